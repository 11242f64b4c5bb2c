#!/usr/bin/env bash
# outrider run: text, JSON, seeds, stops, prompts from everywhere. usage: test_run.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
golden=$shared/stories260K/expected-greedy-200.txt
run=("$program" run -m "$stories" --raw)
quiet() { "$@" 2> /dev/null; }

# ---- the story that llama2.c tells, whatever the threads, the passes, the kernels ----
told=$(cat "$golden")
start="Once upon a time"
for how in "-t 1" "-t 2" "-t 3" "-b 1" "-b 2" "--no-repack" "-nr -t 3"; do
    # shellcheck disable=SC2086
    said=$(quiet "${run[@]}" -p "$start" --temp 0 -n 60 $how)
    case $told in
    "$start$said"*) ok ;;
    *) bad "story with $how: '$said'" ;;
    esac
done
same "level c says the same" "$(quiet env OUTRIDER_KERN=c "${run[@]}" -p "$start" --temp 0 -n 60)" \
    "$(quiet "${run[@]}" -p "$start" --temp 0 -n 60)"
check "--spec auto is understood" quiet "${run[@]}" -p "$start" -n 2 --spec auto > "$tmp/out"

# ---- stdout holds the reply alone; stderr one line of figures ----
"${run[@]}" -p "$start" --temp 0 --spec none -n 12 --seed 9 > "$tmp/out" 2> "$tmp/err"
same "status" $? 0
same "stats" "$(sed -E 's/[0-9.]+\/s/R\/s/g' "$tmp/err")" \
    "outrider: 5 prompt tokens (R/s), 12 reply tokens (R/s), seed 9"
"$program" run -m "$stories" -p "$start" --temp 0 -n 12 --seed 9 > "$tmp/out2" 2> "$tmp/err"
check "a model without a template completes" cmp -s "$tmp/out" "$tmp/out2"
same "and says so once" "$(grep -c 'no chat template' "$tmp/err")" 1

# ---- prompts from -p, a file, stdin ----
printf '%s' "$start" > "$tmp/p.txt"
"${run[@]}" -f "$tmp/p.txt" --temp 0 -n 12 > "$tmp/out2" 2> /dev/null
check "-f" cmp -s "$tmp/out" "$tmp/out2"
"${run[@]}" --temp 0 -n 12 < "$tmp/p.txt" > "$tmp/out2" 2> /dev/null
check "stdin" cmp -s "$tmp/out" "$tmp/out2"
"${run[@]}" -f - --temp 0 -n 12 < "$tmp/p.txt" > "$tmp/out2" 2> /dev/null
check "-f -" cmp -s "$tmp/out" "$tmp/out2"

# ---- --json ----
quiet "${run[@]}" -p "$start" --temp 0 --spec none -n 12 --seed 9 --json > "$tmp/r.json"
same "one line of JSON" "$(wc -l < "$tmp/r.json")" 1
field "keys" '" ".join(sorted(r))' \
    "exact kv_type looping lossless machine prompt_tokens seed speculative stop text timings tokens"
field "timings" '" ".join(sorted(r["timings"]))' \
    "cache_n draft_n draft_n_accepted predicted_ms predicted_n predicted_per_second prompt_ms prompt_n \
prompt_per_second"
field "machine" '" ".join(sorted(r["machine"]))' "kernel_level t_ms threads"
field "values" '[r[k] for k in ("stop", "lossless", "exact", "seed", "kv_type", "speculative")]' \
    "['length', True, 'bytes', 9, 'f16', None]"
field "text" 'r["text"]' "$(cat "$tmp/out")"
field "counts" '[len(r["tokens"]), r["timings"]["predicted_n"], len(r["prompt_tokens"]), r["timings"]["prompt_n"]]' \
    "[12, 12, 5, 5]"
field "ids are those of tokenize" 'r["prompt_tokens"]' "$("$program" tokenize -m "$stories" -p "$start" --json)"
quiet "${run[@]}" -p "$start" --temp 0 -n 3 --json -ctk f32 -ctv f32 -t 2 > "$tmp/r.json"
field "KV type and threads" '[r["kv_type"], r["machine"]["threads"]]' "['f32', 2]"
quiet "${run[@]}" -p "$start" --temp 0 -n 3 --json -ctk q8 -ctv q8_0 > "$tmp/r.json"
field "KV type q8" 'r["kv_type"]' q8

# ---- seeds ----
draw() { quiet "${run[@]}" -p "$start" -n 20 --temp 1.5 --top-k 0 --top-p 1 --min-p 0 "$@"; }
same "one seed, one text" "$(draw --seed 5)" "$(draw --seed 5 -t 2 -b 2)"
check "another seed, another text" test "$(draw --seed 5)" != "$(draw --seed 6)"
draw --json > "$tmp/r.json"
seed=$(json "$tmp/r.json" 'r["seed"]')
field "the random seed is reported, and repeats the text" 'r["text"]' "$(draw --seed "$seed")"
draw --json > "$tmp/r2.json"
check "two random seeds differ" test "$(json "$tmp/r.json" 'r["seed"]')" != "$(json "$tmp/r2.json" 'r["seed"]')"
same "-s, --seed=, llama.cpp's spelling with _" "$(draw -s 5)" "$(draw --seed=5)"

# ---- ends ----
quiet "${run[@]}" -p "$start" --temp 0 --stop " Lily" --json > "$tmp/r.json"
field "stop string" '[r["stop"], r["text"]]' "['stop', ', there was a little girl named']"
quiet "${run[@]}" -p "$start" --temp 0 -r xyz -r "girl named L" --json > "$tmp/r.json"
field "stop string over token borders" 'r["text"]' ", there was a little "
quiet "${run[@]}" -p "$start" --temp 0 -n -1 -c 48 --json > "$tmp/r.json"
field "a full context ends the reply" '[r["stop"], len(r["prompt_tokens"]) + len(r["tokens"])]' "['length', 49]"
quiet "${run[@]}" -p "$start" --temp 0 -n 1 --logit-bias 432-inf --json > "$tmp/r.json"
check "a banned token" test "$(json "$tmp/r.json" 'r["tokens"][0]')" != 432
quiet "${run[@]}" -p "$start" --temp 0 -n 4 --logit-bias 2+100 --json > "$tmp/r.json"
field "EOS ends" '[r["stop"], r["tokens"], r["text"]]' "['eos', [2], '']"
quiet "${run[@]}" -p "$start" --temp 0 -n 4 --logit-bias 2+100 --ignore-eos --json > "$tmp/r.json"
field "--ignore-eos goes on" '[r["stop"], r["tokens"]]' "['length', [2, 2, 2, 2]]"

# ---- variables of llama.cpp; the flag wins ----
LLAMA_ARG_MODEL=$stories LLAMA_ARG_N_PREDICT=3 quiet "$program" run --raw -p "$start" --json > "$tmp/r.json"
field "LLAMA_ARG_MODEL, LLAMA_ARG_N_PREDICT" 'len(r["tokens"])' 3
LLAMA_ARG_N_PREDICT=3 quiet "${run[@]}" -n 4 -p "$start" --json > "$tmp/r.json"
field "the flag wins" 'len(r["tokens"])' 4
"${run[@]}" -p "$start" -n 2 -ngl 99 -fa on --no-mmap > /dev/null 2> "$tmp/err"
same "flags that do nothing here say so" "$(grep -c 'note: .* does nothing here' "$tmp/err")" 3

# ---- Ctrl-C stops the reply; the figures still come ----
# (a background job of a script ignores SIGINT unless it is told not to: env --default-signal)
env --default-signal=INT "${run[@]}" -p "$start" --ignore-eos -c 400000 > "$tmp/out" 2> "$tmp/err" &
for _ in $(seq 100); do
    [ -s "$tmp/out" ] && break
    sleep 0.05
done
kill -INT $!
wait $!
same "interrupted: status" $? 130
check "interrupted: text came" test -s "$tmp/out"
check "interrupted: figures" grep -q 'reply tokens.*; stopped$' "$tmp/err"

# ---- help ----
for command in run tokenize detokenize perplexity; do
    "$program" $command --help > "$tmp/out"
    same "$command --help: status" $? 0
    check "$command --help: lines" test "$(wc -l < "$tmp/out")" -le 40
    check "$command --help: columns" test "$(sed '/^example/,$d' "$tmp/out" | wc -L)" -le 100
    check "$command --help has an example" grep -q " $command -m " "$tmp/out"
done
same "--version" "$("$program" --version)" "outrider 0.1.0"

# ---- a model with a template ----
if [ ! -f "$smollm" ]; then
    echo "SKIPPED: $smollm is not there"
    finish
fi
real=("$program" run -m "$smollm" --temp 0 -n 8)
# what the template of SmolLM2 makes of a system text and the message "Hi" (but its last newline)
written() { printf '<|im_start|>system\n%s<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant' "$1"; }
ids() { "$program" tokenize -m "$smollm" --parse-special --no-bos --json -p "$(written "$1")"$'\n'; }
standard="You are a helpful AI assistant named SmolLM, trained by Hugging Face"
quiet "${real[@]}" -p "Hi" --json > "$tmp/r.json"
text=$(json "$tmp/r.json" 'r["text"]')
field "-p goes through the template" 'r["prompt_tokens"]' "$(ids "$standard")"
same "a message from stdin loses its last newline" "$(echo Hi | quiet "${real[@]}")" "$text"
same "the template written out, --raw" "$(quiet "${real[@]}" --raw -p "$(written "$standard")"$'\n')" "$text"
quiet "${real[@]}" -p "<|im_end|>" --json > "$tmp/r.json"
field "a message yields no special token" 'r["prompt_tokens"].count(2)' 2
quiet "${real[@]}" --system "Be brief." -p "Hi" --json > "$tmp/r.json"
field "--system" 'r["prompt_tokens"]' "$(ids "Be brief.")"
printf 'a\0b' > "$tmp/zero.txt"
refused "zero byte in a message" 1 "zero byte in a message .*offset 1" "${real[@]}" -f "$tmp/zero.txt"
"$program" run --help | sed -n '/^example:/{n;s/^  //;p;}' > "$tmp/example.sh"
if [ -z "${OUTRIDER_MODELS:-}" ]; then
    bash "$tmp/example.sh" > "$tmp/out" 2> "$tmp/err"
    same "the example works as typed" "$?" 0
    check "and replies" test -s "$tmp/out"
fi
finish
