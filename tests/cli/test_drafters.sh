#!/usr/bin/env bash
# Models that draft, as a user meets them: what they take is said at the start, what cannot draft is refused with a
# sentence, damaged files of ours are made again; heads of a few rows and the counts they come from (datastore freq).
# usage: test_drafters.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
cache=$XDG_CACHE_HOME/outrider
q8=$tmp/q8.gguf
"$program" quantize "$stories" "$q8" Q8_0 > /dev/null 2>&1
run=("$program" run --raw -p "Once upon a time" -n 40 --temp 0 -t 1)
reply() { "${run[@]}" "$@" 2> "$tmp/err"; }
said() { check "$1" grep -qE "$2" "$tmp/err"; }
plain=$(reply -m "$stories" --spec none)
plain_q8=$(reply -m "$q8" --spec none)
check "nothing is said of one model" bash -c "! grep -q memory '$tmp/err'"

# ---- what is taken ----
same "a drafter" "$(reply -m "$stories" -md "$q8")" "$plain"
said "its memory" "note: memory: model [0-9]+ MB and its cache up to [0-9]+ MB; drafter [0-9]+ MB and its cache up to [0-9]+ MB$"
check "no warning" bash -c "! grep -q 'larger than' '$tmp/err'"
same "a drafter that is larger" "$(reply -m "$q8" -md "$stories")" "$plain_q8"
said "it is warned of" "note: the drafter is larger than the model"
same "the model itself" "$(reply -m "$stories" -md "$stories")" "$plain"
said "its memory is the cache" "the drafter is the model, its cache up to"
ln -s "$stories" "$tmp/link.gguf" 2> /dev/null && ln -sf "$(readlink -f "$stories")" "$tmp/link.gguf"
same "the model by another name" "$(reply -m "$stories" -md "$tmp/link.gguf")" "$plain"
said "it is the same file" "the drafter is the model"
same "the target's own weights, lower" "$(reply -m "$stories" --spec lowbit)" "$plain"
said "its memory, too" "which the drafter shares; drafter [0-9]+ MB$"
ln -sf "$(readlink -f "$stories")" "$tmp/t.gguf" && cp "$q8" "$tmp/t.draft.gguf"
same "one that lies beside the model" "$(reply -m "$tmp/t.gguf")" "$plain"
said "it drafts, too" "note: .*t.draft.gguf drafts, too"
said "its memory" "drafter [0-9]+ MB and its cache"
same "among others" "$(reply -m "$tmp/t.gguf" --spec auto,lookahead)" "$plain"
said "it drafts with auto named" "t.draft.gguf drafts, too"
for o in "--spec none" "--spec suffix" "-md $q8"; do
    # shellcheck disable=SC2086
    same "left alone: $o" "$(reply -m "$tmp/t.gguf" $o)" "$plain"
    check "$o: it is not named" bash -c "! grep -q 't.draft.gguf' '$tmp/err'"
done
head -c 1000 "$q8" > "$tmp/t.draft.gguf"
same "a damaged file beside the model" "$(reply -m "$tmp/t.gguf")" "$plain"
said "it is named" "note: .*t.draft.gguf lies beside the model but cannot draft: .+"
if command -v strace > /dev/null && strace -o /dev/null true 2> /dev/null; then
    strace -f -o "$tmp/trace" -e trace=openat "${run[@]}" -m "$stories" --spec "draft:model=$q8" --spec "draft:model=$q8,p_min=0.5" > /dev/null 2>&1
    same "a file that two drafters name is mapped once, after its header was looked at" "$(grep -c "q8.gguf" "$tmp/trace")" \
        "$(grep -c "q8.gguf" <(strace -f -e trace=openat "${run[@]}" -m "$stories" --spec "draft:model=$q8" 2>&1 > /dev/null))"
fi

same "async on one core" "$(taskset -c 0 "${run[@]}" -m "$stories" --spec "async:model=$q8" 2> "$tmp/err")" "$plain"
said "it has no core of its own" "note: async has no core of its own here"

# ---- what cannot draft ----
tiny=tests/golden/tiny/llama-gqa-tied.gguf
vocab=$shared/tokenizer-tests/ggml-vocab-gpt-2.gguf
r=("${run[@]}" -m "$stories")
refused "another vocabulary" 1 "another vocabulary; -md FILE or --spec tli:model=FILE" "${r[@]}" --spec "draft:model=$tiny"
[ -f "$vocab" ] && refused "a vocabulary alone" 1 "a vocabulary only" "${r[@]}" --spec "draft:model=$vocab"
[ -f "$vocab" ] && refused "a vocabulary alone, -md" 1 "a vocabulary only" "${r[@]}" -md "$vocab"
refused "no such file" 1 "none.gguf.*No such file" "${r[@]}" -md "$tmp/none.gguf"
refused "no model" 1 "give model=FILE" "${r[@]}" --spec draft
for e in 0 5 -1 x 1.5; do
    refused "exit after layer $e" 1 "\(--spec, layers\)" "${r[@]}" --spec "exit:layers=$e"
done
refused "nothing is left" 1 "leaves nothing of the model" "${r[@]}" --spec skip:set=bbbbb
refused "a set for another model" 1 "2 letters for a model of 5 layers" "${r[@]}" --spec skip:set=--
refused "no rows" 1 "\(--spec, rows\)" "${r[@]}" --spec lowbit:rows=0
refused "counts without rows" 1 "add rows=N" "${r[@]}" --spec "draft:model=$q8,freq=$0"

# ---- a map between vocabularies is made again where its file is damaged ----
same "another vocabulary, -md" "$(reply -m "$stories" -md "$tiny")" "$plain"
map=$(ls "$cache"/vocab-*.txt)
check "the map is kept" test -s "$map"
cp "$map" "$tmp/map"
for damage in "printf x" "head -c 100 $tmp/map" "tr 1 2 < $tmp/map" "head -c 3000 /dev/zero"; do
    eval "$damage" > "$map"
    same "a damaged map ($damage)" "$(reply -m "$stories" -md "$tiny")" "$plain"
    check "it was made again ($damage)" cmp -s "$map" "$tmp/map"
done

# ---- heads of a few rows ----
freq=("$program" datastore freq)
printf '%s\n' "Once upon a time$plain" > "$tmp/corpus.txt"
"${freq[@]}" "$tmp/corpus.txt" -m "$stories" -o "$tmp/a.freq" > "$tmp/said" 2>&1
same "counting" $? 0
check "what was counted" grep -qE "a.freq: [0-9]+ tokens" "$tmp/said"
same "four bytes a token, and a head" "$(stat -c %s "$tmp/a.freq")" $((48 + 4 * 512))
check "every token is counted" python3 - "$tmp/a.freq" "$(grep -oE "[0-9]+ tokens" "$tmp/said" | grep -oE "[0-9]+")" << 'END'
import struct, sys
b = open(sys.argv[1], "rb").read()
h = 0xCBF29CE484222325
for c in b[48:]:
    h = (h ^ c) * 0x100000001B3 & (1 << 64) - 1
sys.exit(sum(struct.unpack("<512I", b[48:])) != int(sys.argv[2]) or struct.unpack("<Q", b[40:48])[0] != h)
END
for m in "draft:model=$q8" lowbit exit:layers=4 skip:set=-a--- "tli:model=$q8" "slem:model=$q8" "slrs:model=$q8" "md:model=$q8"; do
    case $m in *:*) with="$m," ;; *) with="$m:" ;; esac
    same "$m, 100 rows by a file" "$(reply -m "$stories" --spec "${with}rows=100,freq=$tmp/a.freq")" "$plain"
    same "$m, 64 rows" "$(reply -m "$stories" --spec "${with}rows=64")" "$plain"
done
reply -m "$stories" --spec "draft:model=$stories,rows=100,freq=$tmp/a.freq" --json > "$tmp/r.json"
field "the rows hold the reply" 'r["timings"]["draft_n_accepted"] == r["timings"]["draft_n"]' True
same "what was seen is kept, once" "$(find "$cache" -name "freq-*.bin" | wc -l)" 1
kept=$(echo "$cache"/freq-*.bin)
printf rubbish > "$kept"
same "damaged counts of ours" "$(reply -m "$stories" --spec lowbit:rows=64)" "$plain"
same "they are made anew" "$(stat -c %s "$kept")" $((48 + 4 * 512))
for cut in 0 10 47 48 1000; do
    head -c $cut "$tmp/a.freq" > "$tmp/cut.freq"
    refused "counts cut at $cut" 1 "frequency file \(.*cut.freq\)" "${r[@]}" --spec "lowbit:rows=64,freq=$tmp/cut.freq"
done
refused "no counts" 1 "not a frequency file" "${r[@]}" --spec "lowbit:rows=64,freq=$stories"
refused "counts of another vocabulary" 1 "of another vocabulary" "$program" run -m "$tiny" --raw -p a -n 2 --spec "lowbit:rows=64,freq=$tmp/a.freq"
refused "no action" 2 "build or freq" "$program" datastore count "$tmp/corpus.txt" -m "$stories" -o "$tmp/b"
refused "no corpus" 2 "no corpus \(datastore freq\)" "${freq[@]}" -m "$stories" -o "$tmp/b"
refused "no such corpus" 1 "none.txt" "${freq[@]}" "$tmp/none.txt" -m "$stories" -o "$tmp/b"
refused "a folder" 1 "frequency file .*no regular file" "${freq[@]}" "$tmp/corpus.txt" -m "$stories" -o "$tmp"
refused "the corpus itself" 1 "it is a file that is read" "${freq[@]}" "$tmp/corpus.txt" -m "$stories" -o "$tmp/corpus.txt"
refused "no folder" 1 "cannot write the frequency file" "${freq[@]}" "$tmp/corpus.txt" -m "$stories" -o "$tmp/none/b"
check "nothing is left behind" test ! -e "$tmp/b"
finish
