#!/usr/bin/env bash
# A real model answers a prompt twice, on one thread and on two; the bytes must be equal.
# While no drafting method is built in, --spec auto is plain decoding, and the comparison is one of threads.
set -euo pipefail
tools/fetch_models.sh smollm2
model=${OUTRIDER_MODELS:-${HOME:-/root}/.cache/outrider}/SmolLM2-135M-Instruct-Q4_1.gguf
prompt="Explain in three sentences why the sky is blue."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cmd="build/outrider run -m $model -p \"$prompt\" --temp 0 -n 128"

echo "\$ $cmd"
build/outrider run -m "$model" -p "$prompt" --temp 0 -n 128 2> "$tmp/stats" || { cat "$tmp/stats" >&2; exit 1; }
printf '\n\n'
for t in 1 2; do
    build/outrider run -m "$model" -p "$prompt" --temp 0 -n 128 -t $t --json > "$tmp/$t.json" 2> "$tmp/stats" || { cat "$tmp/stats" >&2; exit 1; }
done
python3 - "$tmp" <<'PY'
import json, sys
one, two = (json.load(open(f"{sys.argv[1]}/{t}.json")) for t in (1, 2))
for name, r in (("1 thread ", one), ("2 threads", two)):
    t = r["timings"]
    print(f"{name}: prompt {t['prompt_per_second']:7.1f} tokens/s, reply {t['predicted_per_second']:7.1f} tokens/s, {t['predicted_n']} tokens")
same = one["tokens"] == two["tokens"] and one["text"] == two["text"]
print("the bytes are equal" if same else "error: the bytes differ")
print("speculation: no drafting method is built in yet; both runs are plain decoding")
sys.exit(0 if same else 1)
PY
