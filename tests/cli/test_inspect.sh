#!/usr/bin/env bash
# outrider inspect: right files are described, wrong ones refused with key and offset, and nothing crashes it.
# usage: test_inspect.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# described FILE: exit 0, as text and as JSON, and no control characters but newlines reach the terminal.
# The JSON is collected, a line each, and looked at once: starting Python takes longer than the rest.
described() {
    "$program" inspect --tensors "$1" > "$tmp/text" 2> "$tmp/err" && "$program" inspect --json "$1" > "$tmp/json" 2>> "$tmp/err" &&
        [ ! -s "$tmp/err" ] && ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$tmp/text" &&
        iconv -f utf-8 -t utf-8 "$tmp/text" > "$tmp/iconv" && cat "$tmp/json" >> "$tmp/all"
}

# lines EXPRESSION: of the list `r` of all collected objects; forgets them
lines() {
    python3 -c 'import json, sys; r = [json.loads(l) for l in open(sys.argv[1])]; print(eval(sys.argv[2]))' "$tmp/all" "$1"
    : > "$tmp/all"
}

# ---- every seed of the fuzzer: the names of right ones begin with ok_ ----
right=0
wrong=0
for f in tests/fuzz/corpus/gguf/*; do
    case $(basename "$f") in
    ok_*)
        right=$((right + 1))
        check "$f" described "$f"
        ;;
    *)
        wrong=$((wrong + 1))
        refused "$f" 1 "cannot read model \($f\): " "$program" inspect "$f"
        "$program" inspect --json "$f" >> "$tmp/all" 2> "$tmp/err"
        same "$f as JSON" $? 1
        ;;
    esac
done
check "the corpus is there" test "$right" -gt 10 -a "$wrong" -gt 80
same "the objects of right and wrong files" "$(lines 'len([o for o in r if "keys" in o]), len([o for o in r if "error" in o and o["why"] and not o["runs"]])')" \
    "($right, $wrong)"

refused "no file" 2 "no file \(inspect\)" "$program" inspect
refused "two files" 2 "too many files" "$program" inspect a b
refused "a missing file" 1 "none.gguf\): No such file" "$program" inspect "$tmp/none.gguf"
refused "a folder" 1 "it is a directory" "$program" inspect "$tmp"
mkfifo "$tmp/fifo"
refused "a FIFO" 1 "not a regular file" timeout 10 "$program" inspect "$tmp/fifo"

# ---- text of the file is quoted ----
"$program" inspect tests/fuzz/corpus/gguf/ok_key_no_utf8 > "$tmp/text"
check "escapes are shown as text" grep -qF '"\xff\u001b[31m\n"' "$tmp/text"

# ---- tiny models and vocabularies ----
for f in tests/golden/tiny/*.gguf; do
    check "$f" described "$f"
done
same "tiny models run" "$(lines 'len(r) > 5 and all(o["runs"] for o in r)')" True
[ -d "$shared/tokenizer-tests" ] || echo "SKIPPED: $shared/tokenizer-tests is not there"
for f in "$shared"/tokenizer-tests/*.gguf; do
    [ -f "$f" ] && check "$f" described "$f"
done
same "vocabularies do not" "$(lines '[o["file"] for o in r if o["runs"] or o["n_tensors"] or "a vocabulary only" not in o["why"]]')" "[]"

# ---- figures: by hand from the file's shapes (stories260K: 5 layers, 4 KV heads of 8; 2 bytes each for K and V) ----
if [ -f "$stories" ]; then
    described "$stories"
    same "parameters of stories260K" "$(json "$tmp/json" 'r["memory"]["parameters"]')" 260032
    same "KV cache of stories260K" "$(json "$tmp/json" 'r["memory"]["kv_bytes_per_1000_tokens"]')" $((5 * 4 * 8 * 2 * 2 * 1000))
    same "its pieces" "$(json "$tmp/json" 'r["pieces"]')" 512
    same "its file" "$(json "$tmp/json" 'r["bytes"]')" "$(stat -c %s "$stories")"
    head -c 600000 "$stories" > "$tmp/cut.gguf"
    refused "a file cut short" 1 "cut.gguf\): tensor .* at offset [0-9]+: its [0-9]+ bytes end after the file \(600000 bytes\)" \
        "$program" inspect "$tmp/cut.gguf"
fi
if [ -f "$smollm" ]; then
    described "$smollm"
    same "types of SmolLM2" "$(json "$tmp/json" '{k: (v["n"], v["read"]) for k, v in r["types"].items()}')" \
        "{'F32': (61, True), 'Q4_1': (210, True), 'Q8_0': (1, True)}"
    # at level c nothing is repacked
    OUTRIDER_KERN=c "$program" inspect --json "$smollm" > "$tmp/c.json"
    same "memory at level c" "$(json "$tmp/c.json" '[r["memory"][k] for k in ("repacked_bytes", "no_repack_thread_bytes")]')" "[0, 0]"
    same "its KV cache" "$(json "$tmp/json" 'r["memory"]["kv_bytes_per_1000_tokens"]')" $((30 * 3 * 64 * 2 * 2 * 1000))
fi
finish
