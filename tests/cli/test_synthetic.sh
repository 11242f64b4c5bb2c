#!/usr/bin/env bash
# tools/make_synthetic.py: a model made deep says what the small one says, and is as large as asked.
# usage: test_synthetic.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
make=(python3 tools/make_synthetic.py)
reply() { "$program" run -m "$1" --raw -p "Once upon a time" --temp "$2" --seed 5 -n 16 2> "$tmp/err"; }

for model in "$stories" tests/golden/tiny/gemma3.gguf "$smollm"; do
    name=$(basename "$model")
    if [ ! -f "$model" ]; then
        echo "SKIPPED: $model is not there"
        continue
    fi
    "${make[@]}" "$model" "$tmp/deep.gguf" --blocks 4 > "$tmp/said"
    check "$name: made" grep -q "blocks and 4 that add zero" "$tmp/said"
    "$program" inspect --json "$model" > "$tmp/small.json"
    "$program" inspect --json "$tmp/deep.gguf" > "$tmp/r.json"
    arch=$(json "$tmp/small.json" 'r["keys"]["general.architecture"]["value"]')
    field "$name: four more blocks" "r['keys']['$arch.block_count']['value']" \
        "$(json "$tmp/small.json" "r['keys']['$arch.block_count']['value'] + 4")"
    field "$name: its name says so" 'r["keys"]["general.name"]["value"].startswith("synthetic (4 blocks")' True
    if [ "$name" != gemma3.gguf ]; then # tiny models have random weights, and no text
        same "$name: greedy reply" "$(reply "$tmp/deep.gguf" 0)" "$(reply "$model" 0)"
        same "$name: sampled reply" "$(reply "$tmp/deep.gguf" 0.9)" "$(reply "$model" 0.9)"
        check "$name: it is a reply" test "$(reply "$model" 0 | wc -c)" -gt 10
    fi
done
"${make[@]}" "$stories" "$tmp/deep.gguf" --gb 0.004 > "$tmp/said"
bytes=$(stat -c %s "$tmp/deep.gguf")
check "--gb 0.004 gives $bytes bytes" test "$bytes" -ge 4000000 -a "$bytes" -lt 4250000
for bad in "--blocks 0" "--blocks 2000" "--gb 0.0001"; do
    # shellcheck disable=SC2086
    "${make[@]}" "$stories" "$tmp/bad.gguf" $bad > "$tmp/said" 2> "$tmp/err"
    same "$bad: status" $? 1
    check "$bad: no file" test ! -e "$tmp/bad.gguf"
done
finish
