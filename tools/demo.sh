#!/usr/bin/env bash
# A real model answers two prompts, plain and with speculation; the bytes must be equal.
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
again="Repeat this sentence three times: The quick brown fox jumps over the lazy dog near the river bank."
n=0
for p in "$prompt" "$again"; do
    n=$((n + 1))
    for spec in none auto; do
        build/outrider run -m "$model" -p "$p" --temp 0 -n 128 --spec $spec --json > "$tmp/$n.$spec.json" 2> "$tmp/stats" ||
            { cat "$tmp/stats" >&2; exit 1; }
    done
done
python3 - "$tmp" "$prompt" "$again" <<'PY'
import json, sys
same = True
for n, prompt in enumerate(sys.argv[2:], 1):
    none, auto = (json.load(open(f"{sys.argv[1]}/{n}.{spec}.json")) for spec in ("none", "auto"))
    print(prompt)
    for name, r in (("plain      ", none), ("speculation", auto)):
        t, s = r["timings"], r["speculative"]
        more = f", {s['num_accepted_draft_tokens']} of {s['num_draft_tokens']} drafted tokens kept" if s else ""
        print(f"  {name}: prompt {t['prompt_per_second']:7.1f} tokens/s, reply {t['predicted_per_second']:7.1f} tokens/s, {t['predicted_n']} tokens{more}")
    same = same and none["tokens"] == auto["tokens"] and none["text"] == auto["text"]
print("the bytes are equal" if same else "error: the bytes differ")
sys.exit(0 if same else 1)
PY
