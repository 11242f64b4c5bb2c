#!/usr/bin/env bash
# outrider tokenize and detokenize, on vocabulary files with the ids that llama.cpp published for them.
# usage: test_tokenize.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
vocabs=$shared/tokenizer-tests
spm=$vocabs/ggml-vocab-llama-spm.gguf
bpe=$vocabs/ggml-vocab-gpt-2.gguf
need "$spm"
need "$bpe"
tok() { "$program" tokenize -m "$@"; }
detok() { "$program" detokenize -m "$@"; }

# "Hello world" in the .inp and .out files of both
same "SPM" "$(tok "$spm" -p "Hello world" --no-bos --json)" "[15043, 3186]"
same "BPE" "$(tok "$bpe" -p "Hello world" --json)" "[15496, 995]"
same "BOS where the vocabulary says so" "$(tok "$spm" -p "Hello world" --json)" "[1, 15043, 3186]"
same "a piece a line" "$(tok "$bpe" -p $'Hello\n\tworld')" $'15496\tHello\n198\t\\n\n197\t\\t\n6894\tworld'
same "special tokens are text" "$(tok "$spm" --no-bos -p "<s>" --json)" "[529, 29879, 29958]"
same "unless asked for" "$(tok "$spm" --no-bos --parse-special -p "<s>" --json)" "[1]"
same "no text, no ids" "$(tok "$bpe" -p "" --json)" "[]"
same "stdin, byte for byte" "$(printf 'Hello world\n' | tok "$bpe" --json)" "[15496, 995, 198]"

same "back, words" "$(detok "$spm" 15043 3186)" "Hello world"
same "back, JSON on stdin" "$(echo '[1, 15043,3186]' | detok "$spm")" "Hello world"
same "special tokens have no text" "$(detok "$spm" 1 15043 2)" "Hello"
same "unless asked for, names" "$(detok "$spm" --special 1 15043 2 | tr -d ' ')" "<s>Hello</s>"
for text in $'caf\xc3\xa9 \xf0\x9f\x98\x80 \xe4\xbd\xa0\xe5\xa5\xbd' '  two  spaces ' $'tab\tnew\nline' '0123456789'; do
    for model in "$spm" "$bpe" "$stories"; do
        printf '%s' "$text" > "$tmp/text"
        tok "$model" -f "$tmp/text" --json | detok "$model" > "$tmp/back"
        check "there and back: '$text' ($(basename "$model"))" cmp -s "$tmp/text" "$tmp/back"
    done
done
refused "invalid UTF-8" 1 "byte 0x80 at offset 2" "$program" tokenize -m "$bpe" -p $'ab\x80'
refused "unknown vocabulary kind" 1 "bert" "$program" tokenize -m "$vocabs/ggml-vocab-bert-bge.gguf" -p x
if [ -f "$smollm" ]; then # bytes that its vocabulary has no token for
    same "dropped, and the rest kept" "$("$program" tokenize -m "$smollm" -p $'a\004b' --json 2> "$tmp/err")" "[81, 82]"
    same "and said so" "$(cat "$tmp/err")" "outrider: note: 1 byte of the text dropped: the vocabulary has no token for it"
else
    echo "SKIPPED: SmolLM2 is not there: dropped bytes"
fi
finish
