#!/usr/bin/env bash
# outrider bench: both measurements run with tiny sizes, their JSON has its shape, bad command lines are refused. No time is
# asserted.
# usage: test_bench.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

kernels() { "$program" bench kernels -K 256 -N 128 --mb 1 --passes 2 "$@"; }
all='"Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K F16 BF16 F32"'
kernels --json -t 2 > "$tmp/r.json"
field "kernels: keys" '" ".join(sorted(r))' "k machine n passes types"
field "kernels: machine" '" ".join(sorted(r["machine"]))' "barrier_ns kernel_level l3_bytes lost_fraction threads"
field "kernels: lost time is a share" '0 <= r["machine"]["lost_fraction"] <= 1' True
field "kernels: settings" '(r["k"], r["n"], r["passes"], r["machine"]["threads"])' "(256, 128, 2, 2)"
field "kernels: all types" "' '.join(t['type'] for t in r['types']) == $all" True
field "kernels: keys of a type" '" ".join(sorted(r["types"][0]))' \
    "bytes huge_pages pair peak_gop_per_second peak_gop_per_second_1_core roof rows tensor_bytes type well_above_l3"
field "kernels: rows" 'all([x["m"] for x in t["rows"]] == list(range(1, 17)) for t in r["types"])' True
field "kernels: every row has the bits of M = 1" 'all(x["same"] for t in r["types"] for x in t["rows"])' True
field "kernels: keys of a row" '" ".join(sorted(r["types"][0]["rows"][0]))' \
    "gb_per_second gop_per_second m peak_fraction roof_fraction same t_over_roof t_over_t1 time"
field "kernels: minimum <= quartile <= median" \
    'all(0 < x["time"]["min_ms"] <= x["time"]["q25_ms"] <= x["time"]["median_ms"] for t in r["types"] for x in t["rows"])' True
field "kernels: the roof by streams" 'all(t["roof"][s]["min_ms"] > 0 for t in r["types"] for s in "124")' True
field "kernels: T/T1 of M = 1" 'r["types"][3]["rows"][0]["t_over_t1"]' 1.0
field "kernels: bytes of Q8_0" 'next(t for t in r["types"] if t["type"] == "Q8_0")["tensor_bytes"] % (256 * 128 // 32 * 34)' 0
field "kernels: 1 MB is said to be little" '[t for t in r["types"] if r["machine"]["l3_bytes"] and t["well_above_l3"]]' "[]"
field "kernels: passes counted" '{t["pair"]["passes"] for t in r["types"]}' "{2}"

kernels --json --type q4_1 --type F32 --level c -t 1 > "$tmp/r.json"
field "kernels: chosen types" '[t["type"] for t in r["types"]]' "['Q4_1', 'F32']"
field "kernels: level" '(r["machine"]["kernel_level"], r["machine"]["threads"])' "('c', 1)"
field "kernels: one thread is no pair" '[(t["pair"]["factor"], t["pair"]["dropped"]) for t in r["types"]]' "[(1.0, 0), (1.0, 0)]"
OUTRIDER_KERN=c kernels --json --type Q4_0 > "$tmp/r.json"
field "kernels: OUTRIDER_KERN" 'r["machine"]["kernel_level"]' c
"$program" bench kernels -K 96 -N 32 --mb 1 --passes 1 -t 1 --json > "$tmp/r.json"
field "kernels: types whose block does not fit are left out" '" ".join(t["type"] for t in r["types"])' \
    "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 F16 BF16 F32"

kernels --type Q4_0 > "$tmp/table"
same "kernels: 17 rows in the table" "$(grep -cE '^ +[0-9]+ +[0-9.]+ +[0-9.]+ ' "$tmp/table")" 17
check "kernels: the record" grep -qE '^level [a-z0-9]+, [0-9]+ threads?, L3 .*, barrier [0-9]+ ns, lost time [0-9.]+ %$' "$tmp/table"
check "kernels: the roof" grep -qE '^Q4_0  K 256, N 128, .*roof [0-9.]+ GB/s \([124] streams\), P [0-9]+ GOP/s .*huge pages' "$tmp/table"

kernels --type Q4_0 --level avx2 --targets -t 1 > "$tmp/table" 2> "$tmp/err" || grep -q "no kernel level" "$tmp/err" || bad "targets"
if [ -s "$tmp/table" ]; then
    check "kernels: targets" grep -qE '^  targets, Q4_0: T\(1\) %roof [0-9.]+ >= 92.0 (pass|FAIL); T2 ' "$tmp/table"
    check "kernels: the tile table" grep -qE '^  tiles .*: 1-2: [0-9] x [124]( far)?, [0-9]+; 3-4: ' "$tmp/table"
fi
kernels --type Q4_0 --ab c,c > "$tmp/table"
same "kernels: 17 rows of a comparison" "$(grep -cE '^ +[0-9]+ +[0-9.]+ +[0-9.]+ .*\.\.' "$tmp/table")" 17
refused "one side" 2 "\(--ab\): two sides" kernels --ab c
refused "no such side" 2 "\(--ab\): 'x' is no LEVEL" kernels --ab c,x
refused "a comparison as JSON" 2 "--ab, --json" kernels --ab c,c --json

refused "nothing to measure" 2 "kernels, forward, speed, spec or skip-search" "$program" bench
refused "unknown measurement" 2 "kernels, forward, speed, spec and skip-search" "$program" bench everything
refused "unknown type" 2 "\(--type\): 'Q3_K' is none of" kernels --type Q3_K
refused "K and type" 2 "\(-K\): 96 is not a multiple of 256" "$program" bench kernels -K 96 -N 32 --mb 1 --type Q4_K
refused "N" 2 "\(-N\): 100 is not a multiple of 32" "$program" bench kernels -N 100
refused "level" 2 "no kernel level 'x'" "$program" bench kernels --level x
refused "a word" 2 "unexpected word \(Q4_0\)" "$program" bench kernels Q4_0
refused "no model" 2 "no model" "$program" bench forward
refused "contexts" 2 "\(--ctx\)" "$program" bench forward -m "$stories" --ctx 16,x
refused "context 0" 2 "\(--ctx\)" "$program" bench forward -m "$stories" --ctx 0
refused "a missing model" 1 "cannot" "$program" bench forward -m "$tmp/none.gguf"
for what in "" kernels forward speed; do
    # shellcheck disable=SC2086
    check "help of '$what'" test "$("$program" bench $what --help | grep -c "^  .* bench [a-z]* ")" -ge 1
done

need "$stories"
"$program" bench forward -m "$stories" --ctx 16,40 --mb 8 --passes 2 -t 2 --json > "$tmp/r.json"
field "forward: keys" '" ".join(sorted(r))' "contexts kv_type machine model passes"
field "forward: contexts" '[c["context"] for c in r["contexts"]]' "[16, 40]"
field "forward: keys of a context" '" ".join(sorted(r["contexts"][0]))' \
    "context huge_pages kv_bytes memory pair roof rows weight_bytes well_above_l3"
field "forward: rows" 'all([x["m"] for x in c["rows"]] == list(range(1, 17)) for c in r["contexts"])' True
field "forward: every row has the bits of M = 1" 'all(x["same"] for c in r["contexts"] for x in c["rows"])' True
field "forward: keys of a row" '" ".join(sorted(r["contexts"][0]["rows"][0]))' \
    "gb_per_second m phases_ms roof_fraction same t_over_t1 time"
field "forward: phases" '" ".join(r["contexts"][0]["rows"][0]["phases_ms"])' \
    "embed pack qkv append attention output gate_up down head wait"
field "forward: all phases take time" 'all(v > 0 for c in r["contexts"] for x in c["rows"] for v in x["phases_ms"].values())' True
field "forward: phases are within the pass" \
    'all(sum(x["phases_ms"].values()) <= x["time"]["min_ms"] for c in r["contexts"] for x in c["rows"])' True
# 5 layers, 4 KV heads of 8, K and V, f16; the measured row sees itself too
field "forward: K and V bytes" '[c["kv_bytes"] for c in r["contexts"]]' "[$((17 * 5 * 4 * 8 * 2 * 2)), $((41 * 5 * 4 * 8 * 2 * 2))]"
field "forward: memory read" 'r["contexts"][0]["memory"]["bytes"]' $((8 << 20))
"$program" bench forward -m "$stories" --ctx 16 --mb 0 --passes 1 -t 1 --level c -ctk f32 -ctv f32 --json > "$tmp/r.json"
field "forward: level c, f32, no memory roof" \
    '(r["machine"]["kernel_level"], r["kv_type"], r["contexts"][0]["memory"], all(x["same"] for x in r["contexts"][0]["rows"]))' \
    "('c', 'f32', None, True)"
"$program" bench forward -m "$stories" --ctx 16 --mb 0 --passes 1 -ctk q8 -ctv q8 --json > "$tmp/r.json"
field "forward: q8 has a byte a value and a scale a row" '(r["kv_type"], r["contexts"][0]["kv_bytes"])' "('q8', $((17 * 5 * 4 * (8 + 4) * 2)))"
"$program" bench forward -m "$stories" --ctx 16 --mb 8 --passes 1 > "$tmp/table"
same "forward: 16 rows in each table" "$(grep -cE '^ +[0-9]+ +[0-9.]+ +[0-9.]+ ' "$tmp/table")" 32
"$program" bench forward -m "$stories" --ctx 16,40 --mb 0 --passes 1 -t 1 --levels c,c --json > "$tmp/r.json"
field "forward: two levels" '[(l["machine"]["kernel_level"], [c["context"] for c in l["contexts"]]) for l in r["levels"]]' \
    "[('c', [16, 40]), ('c', [16, 40])]"
"$program" bench forward -m "$stories" --ctx 16 --mb 0 --passes 1 -t 1 --levels c,c > "$tmp/table"
check "forward: levels side by side" grep -qE '^T/T1 at context 16 \(%roof of M = 1: c [0-9.]+, c [0-9.]+\)$' "$tmp/table"
same "forward: 16 rows of them" "$(grep -cE '^ +[0-9]+ +[0-9]+\.[0-9]+ +[0-9]+\.[0-9]+$' "$tmp/table")" 16
refused "forward: a level among several" 1 "no kernel level 'x'" "$program" bench forward -m "$stories" --ctx 16 --mb 0 --passes 1 --levels x,c --json
refused "forward: five levels" 2 "\(--level\): more than 4" "$program" bench forward -m "$stories" --levels c,c,c,c,c
refused "forward: few rows a pass" 1 "\(-b\): 16 are measured" "$program" bench forward -m "$stories" --ctx 16 --mb 0 -b 8 --json
"$program" bench skip-search -m "$stories" -n 120 --tries 30 --windows 2 --json > "$tmp/r.json"
field "skip-search: keys" '" ".join(sorted(r))' "cost expected_speedup match set"
field "skip-search: a letter a layer, the outer ones stay" '(len(r["set"]), r["set"][0], r["set"][4])' "(5, '-', '-')"
field "skip-search: sense" '0 < r["match"] <= 1 and 0 < r["cost"] <= 1 <= r["expected_speedup"]' True
refused "skip-search: too little text" 2 "\(-n\)" "$program" bench skip-search -m "$stories" -n 8
"$program" bench speed -m "$stories" -d 16 -n 8 -p 4,300 --mb 8 --rounds 2 -t 2 --json > "$tmp/r.json"
field "speed: keys" '" ".join(sorted(r))' \
    "depth kernel_level memory_gb_per_second model prompts replies_per_second reply_tokens roof_gb_per_second rounds threads weight_bytes"
field "speed: settings" '(r["depth"], r["reply_tokens"], r["rounds"], r["threads"])' "(16, 8, 2, 2)"
field "speed: each way of drawing, each round" '[(k, len(v), min(v) > 0) for k, v in sorted(r["replies_per_second"].items())]' \
    "[('greedy', 2, True), ('temp', 2, True), ('temp_top_p', 2, True)]"
field "speed: prompts" '[(p["tokens"], len(p["per_second"]), min(p["per_second"]) > 0) for p in r["prompts"]]' "[(4, 2, True), (300, 2, True)]"
field "speed: both roofs by streams" \
    'all(len(r[w + "_gb_per_second"][s]) == 2 and min(r[w + "_gb_per_second"][s]) > 0 for w in ("roof", "memory") for s in "124")' True
"$program" inspect --json "$stories" > "$tmp/i.json"
field "speed: bytes that a token reads" 'r["weight_bytes"]' "$(json "$tmp/i.json" 'r["tensor_bytes"]')"
"$program" bench speed -m "$stories" -d 16 -n 8 --mb 0 --rounds 1 -t 1 --level c > "$tmp/table"
check "speed: the record" grep -qE '^level c, 1 threads?, [0-9.]+ MB of weights a token, replies of 8 tokens after 16, 1 rounds?$' "$tmp/table"
same "speed: three replies" "$(grep -cE '^  (greedy|temp|temp_top_p) +[0-9.]+ +\[[0-9.]+, [0-9.]+\] +[0-9.]+$' "$tmp/table")" 3
refused "speed: prompts" 2 "\(-p\)" "$program" bench speed -m "$stories" -p 0
refused "speed: a missing model" 1 "cannot" "$program" bench speed -m "$tmp/none.gguf"

cat > "$tmp/p.jsonl" << 'EOF'
{"category": "tales", "turns": ["Once upon a time there was a little girl. She had a red ball. One day"]}
{"category": "tales", "prompt": "Tom and Lily went to the park. Tom and Lily went to the"}
{"category": "edits", "instruction": "Once upon a time", "input": "there was a little girl named Lily. She loved to play outside."}
EOF
spec() { "$program" bench spec -m "$stories" --prompts "$tmp/p.jsonl" -n 24 --loops "$@"; }
spec --rounds 2:3 --method auto --method suffix@2 --method random --method auto+slow:ms=1 --method best --bounds --json > "$tmp/r.json"
field "spec: keys" '" ".join(sorted(r))' "bounds figures kernel_level looping model rounds temperature threads tokens"
field "spec: every reply has the bytes of the plain one" 'all(f["same"] == f["replies"] > 0 for f in r["figures"])' True
field "spec: categories and prompts" 'sorted({(f["category"], f["prompts"]) for f in r["figures"]})' "[('edits', 1), ('tales', 2)]"
field "spec: methods" '[f["method"] for f in r["figures"] if f["category"] == "tales" and f["method"] != "best"]' \
    "['auto', 'suffix@2', 'random', 'auto+slow:ms=1']"
field "spec: what best is" 'all(f["ran"] == b["best"] for f in r["figures"] for b in r["bounds"] if f["method"] == "best" and f["category"] == b["category"])' True
# only the first method goes on, and only where it gains little
field "spec: pairs" '{e["pairs"] for f in r["figures"] for e in f["each"] if f["method"] != "auto"}' "{2}"
field "spec: pairs of the first" '{e["pairs"] for f in r["figures"] for e in f["each"] if f["method"] == "auto"} <= {2, 3}' True
field "spec: the interval holds the median" 'all(e["interval"][0] <= e["speedup"] <= e["interval"][1] and e["covers"] in (0.5, 0.75) for f in r["figures"] for e in f["each"])' True
# on the same tables: no policy beats the bound, nothing fitted in hindsight is worse than plain decoding
field "spec: bounds" 'all(1 <= b["causal"] <= b["clairvoyant"] + 1e-9 and 1 <= b["best_fixed"] and 0 < b["auto"] <= b["clairvoyant"] + 1e-9 for b in r["bounds"])' True
field "spec: the worst text" 'all(0 < b["auto_worst"] <= b["auto"] + 1e-9 for b in r["bounds"])' True
field "spec: times by rows" '[(len(b["rows"]), b["rows"][0]) for b in r["bounds"]]' "[(32, 1.0), (32, 1.0)]"
spec --rounds 1 --category edits > "$tmp/table"
same "spec: one category" "$(grep -cE '^edits +auto +1 +[0-9.]+ +[0-9.]+ \[[0-9.]+, [0-9.]+\] +1 .* 1 of 1$' "$tmp/table")" 1
same "spec: no other" "$(grep -c '^tales' "$tmp/table")" 0
refused "spec: rounds" 2 "\(--rounds\): '3:2' is not" spec --rounds 3:2
refused "spec: rounds are numbers" 2 "\(--rounds\): '2:x' is not" spec --rounds 2:x
refused "spec: a method" 1 "unknown drafting method.*'sufix'" spec --method auto+sufix
refused "spec: a fixed length" 1 "NAME@K, K from 1 to 31" spec --method suffix@32
refused "spec: no such category" 1 "no prompts" spec --category none
finish
