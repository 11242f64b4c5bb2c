#!/usr/bin/env bash
# outrider perplexity: windows, counts, and the figure that shared/tools/oracle.py (transformers, float32) gives.
# usage: test_perplexity.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
text=$shared/tiny-shakespeare/input.txt
need "$text"
head -c 4000 "$text" > "$tmp/text"
score() { "$program" perplexity --json -m "$@" > "$tmp/r.json"; }
# shellcheck disable=SC2317
close() { python3 -c 'import sys; a, b, tol = map(float, sys.argv[1:]); sys.exit(abs(a / b - 1) > tol)' "$@"; }

score "$stories" "$tmp/text" --tokens 100 --window 32
field "keys" '" ".join(sorted(r))' "nll ppl tokens tokens_per_second"
field "with BOS in front every token is scored" 'r["tokens"]' 100
nll=$(json "$tmp/r.json" 'r["nll"]')
ppl=$(json "$tmp/r.json" 'r["ppl"]')
check "ppl is exp(nll)" close "$(python3 -c 'import math, sys; print(math.exp(float(sys.argv[1])))' "$nll")" "$ppl" 1e-8
for how in "-t 1" "-t 2" "-b 1" "-b 7" "--no-repack"; do
    # shellcheck disable=SC2086
    score "$stories" "$tmp/text" --tokens 100 --window 32 $how
    field "nll with $how" 'r["nll"]' "$nll"
done

# windows start afresh: in a text of newlines the second and the third window are the same, so they add the same
printf '\n%.0s' $(seq 40) > "$tmp/newlines"
for n in 8 16 24; do
    score "$stories" "$tmp/newlines" --tokens $n --window 8
    json "$tmp/r.json" 'r["nll"] * r["tokens"]'
done > "$tmp/sums"
check "windows start afresh" python3 -c '
import sys
a, b, c = map(float, open(sys.argv[1]))
sys.exit(not abs((c - b) - (b - a)) < 1e-6 < b - a)' "$tmp/sums"

printf '<unk>%.0s' $(seq 10) > "$tmp/unk"
score "$stories" "$tmp/unk"
field "the name of a token is that token" 'r["tokens"]' 10

same "without --json" "$("$program" perplexity -m "$stories" "$tmp/text" --tokens 10 | sed -E 's/[0-9]+\.[0-9]+/X/g')" \
    "10 tokens scored, nll X, perplexity X, X tokens/s"
"$program" perplexity -m "$stories" --tokens 10 --json - < "$tmp/text" > "$tmp/r.json"
field "stdin" 'r["tokens"]' 10

wiki=$shared/wikitext-2/test.txt
if [ -f "$smollm" ] && [ -f "$wiki" ]; then
    # oracle.py SmolLM2-135M-Instruct-Q4_1.gguf --ppl TEXT --tokens 300 --window 128, TEXT: the first 6000 bytes
    head -c 6000 "$wiki" > "$tmp/wiki"
    score "$smollm" "$tmp/wiki" --tokens 300 --window 128
    field "SmolLM2: tokens scored" 'r["tokens"]' 297
    check "SmolLM2: within 1 % of the oracle" close "$(json "$tmp/r.json" 'r["ppl"]')" 40.9476 0.01
else
    echo "SKIPPED: $smollm or $wiki is not there"
fi
finish
