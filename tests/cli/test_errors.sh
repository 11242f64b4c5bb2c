#!/usr/bin/env bash
# Bad input to the program: each gets its exit status and one sentence. usage: test_errors.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
run=("$program" run -m "$stories" --raw)

# ---- command lines: exit 2 ----
refused "unknown command" 2 "unknown command \(rnu\): the nearest is run" "$program" rnu
refused "unknown flag" 2 "unknown flag \(--tmep\): the nearest of 'run' is --temp" "${run[@]}" --tmep 0
refused "unknown flag of tokenize" 2 "nearest of 'tokenize' is --json" "$program" tokenize --jsno
refused "missing value" 2 "missing value \(-p\)" "${run[@]}" -p
refused "no model" 2 "no model \(-m\)" "$program" run -p x
refused "no model to tokenize with" 2 "no model \(-m\)" "$program" tokenize -p x
refused "-n 0" 2 "bad value \(-n\): 0 tokens" "${run[@]}" -p x -n 0
refused "-n with letters" 2 "bad value \(-n\): 'ten' is not a whole number" "${run[@]}" -p x -n ten
refused "negative temperature" 2 "bad value \(--temp\): -1 is under 0" "${run[@]}" -p x --temp -1
refused "NaN temperature" 2 "bad value \(--temp\): 'nan' is not a finite number" "${run[@]}" -p x --temp nan
refused "infinite temperature" 2 "bad value \(--temp\): 'inf'" "${run[@]}" -p x --temp inf
refused "two prompts" 2 "two prompts" "${run[@]}" -p x -f y
refused "a speculative method" 2 "did you mean suffix" "${run[@]}" -p x --spec sufix
refused "unequal KV types" 2 "must be the same" "${run[@]}" -p x -ctk f32
refused "what llama.cpp downloads" 2 "fetch the file, then -m FILE" "$program" run -hf someone/something
refused "bad variable" 2 "LLAMA_ARG_CTX_SIZE" env LLAMA_ARG_CTX_SIZE=big "${run[@]}" -p x
refused "a text to score is missing" 2 "no text" "$program" perplexity -m "$stories"

# ---- models: exit 1 ----
refused "missing model" 1 "none.gguf.*No such file" "$program" run -m "$tmp/none.gguf" -p x
refused "a directory for a model" 1 "$tmp" "$program" run -m "$tmp" -p x
: > "$tmp/empty.gguf"
refused "empty model" 1 "empty.gguf" "$program" run -m "$tmp/empty.gguf" -p x
head -c 40000 "$stories" > "$tmp/short.gguf"
refused "short model" 1 "short.gguf" "$program" run -m "$tmp/short.gguf" -p x
{ printf 'JUNK'; tail -c +5 "$stories"; } > "$tmp/junk.gguf"
refused "no GGUF file" 1 "junk.gguf" "$program" run -m "$tmp/junk.gguf" -p x
{
    printf 'GGUF\003\0\0\0'
    printf '\377\377\377\377\377\377\377\017%.0s' 1 2 # tensors, keys
    head -c 4096 /dev/zero
} > "$tmp/huge.gguf"
refused "model that claims too much" 1 "huge.gguf" "$program" run -m "$tmp/huge.gguf" -p x
vocab=$shared/tokenizer-tests/ggml-vocab-llama-spm.gguf
if [ -f "$vocab" ]; then
    refused "vocabulary only" 1 "vocab-llama-spm.gguf" "$program" run -m "$vocab" -p x
else
    echo "SKIPPED: $vocab is not there"
fi
# shellcheck disable=SC2317
limited() { # KIB COMMAND...
    (
        ulimit -v "$1"
        shift
        exec "$@"
    )
}
refused "unknown kernels" 1 "no kernel level 'mmx'" env OUTRIDER_KERN=mmx "${run[@]}" -p x
if ldd "$program" | grep -q asan || grep -q __asan_init "$program" || grep -q __tsan_init "$program"; then
    echo "SKIPPED: a limit of memory (sanitizers need more)"
elif [ ! -f "$smollm" ]; then
    echo "SKIPPED: a limit of memory ($smollm is not there)"
else
    # enough for the program to start; then to map the file; then to repack it
    for kib in 40000 130000 200000; do
        refused "no memory, $kib KiB" 1 "memory|Cannot allocate" limited "$kib" "$program" run -m "$smollm" -p x
    done
    refused "no memory for the cache" 1 "memory|Cannot allocate" limited 400000 "${run[@]}" -c 16000000 -p x
fi

# ---- prompts: exit 1 ----
refused "missing prompt file" 1 "cannot read \(.*none.txt\): No such file" "${run[@]}" -f "$tmp/none.txt"
refused "directory as prompt file" 1 "cannot read \($tmp\): Is a directory" "${run[@]}" -f "$tmp"
refused "empty prompt" 1 "empty prompt \(-p\)" "${run[@]}" -p ""
refused "empty prompt file" 1 "empty prompt \(/dev/null\)" "${run[@]}" -f /dev/null
refused "empty stdin" 1 "empty prompt \(stdin\)" "${run[@]}" < /dev/null
refused "closed stdin" 1 "empty prompt \(stdin\)" "${run[@]}" <&-
refused "prompt is not UTF-8" 1 "text is not UTF-8 \(-p\): byte 0xff at offset 3" "${run[@]}" -p $'abc\xff'
printf 'caf\xc3\xa9 \xe2\x82' > "$tmp/cut.txt"
refused "prompt file ends inside a character" 1 "cut.txt\): byte 0xe2 at offset 6" "${run[@]}" -f "$tmp/cut.txt"
head -c 4000 "$shared/stories260K/SOURCE.txt" > "$tmp/long.txt"
refused "prompt longer than the context" 1 "context of 64" "${run[@]}" -c 64 -f "$tmp/long.txt"
refused "bias of no token" 1 "token 512 is outside the vocabulary of 512" "${run[@]}" -p x --logit-bias 512+1
refused "text to score is too short" 1 "too short|empty" "$program" perplexity -m "$stories" /dev/null
refused "text to score is not there" 1 "cannot read" "$program" perplexity -m "$stories" "$tmp/none.txt"
refused "token id with letters" 1 "bad token id \(4x\)" "$program" detokenize -m "$stories" 3 4x
refused "token id over the vocabulary" 1 "bad token id \(512\): the vocabulary ends at 511" \
    "$program" detokenize -m "$stories" 512

# ---- a model without a chat template ----
refused "system text without a template" 1 "no chat template" "$program" run -m "$stories" --system s -p x
refused "chat without a template" 1 "no chat template.*--raw" "$program" run -m "$stories" --chat < /dev/null

# ---- standard output ----
refused "stdout is closed" 1 "cannot write \(stdout\)" bash -c '"$@" >&-' - "${run[@]}" -p Once -n 5
full_device() { # NAME COMMAND...
    local name=$1
    shift
    "$@" > /dev/full 2> "$tmp/err"
    same "$name: status" $? 1
    check "$name: message" grep -q '^outrider: error: cannot write (stdout): No space left on device' "$tmp/err"
}
if [ -c /dev/full ]; then
    full_device "run" "${run[@]}" -p Once -n 5
    full_device "run --json" "${run[@]}" -p Once -n 5 --json
    full_device "tokenize" "$program" tokenize -m "$stories" -p Once
    full_device "detokenize" "$program" detokenize -m "$stories" 403
    full_device "--help" "$program" run --help
    full_device "--version" "$program" --version
fi
("${run[@]}" -p Once -n 400 --ignore-eos 2> "$tmp/err"; echo $? > "$tmp/status") | head -c 1 > /dev/null
same "reader goes away: status" "$(cat "$tmp/status")" 1
check "reader goes away: message" grep -q '^outrider: error: cannot write (stdout): Broken pipe' "$tmp/err"
finish
