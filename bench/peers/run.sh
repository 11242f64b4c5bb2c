#!/usr/bin/env bash
# Outrider beside llama.cpp and ik_llama.cpp, built here from source: builds them, makes the models of the table, measures.
# usage: run.sh [--dry-run] [FLAGS OF measure.py]      from the project's root
#   --dry-run   says what would be built, made and measured, and does none of it
# The environment: OUTRIDER_PEERS, IK_SOURCE (build.sh), OUTRIDER_MODELS (tools/fetch_models.sh). Read next: measure.py.
set -euo pipefail
here=$(dirname "$0")
dir=${OUTRIDER_MODELS:-${HOME:-/root}/.cache/outrider}
small=$dir/SmolLM2-135M-Instruct
do=()
if [ "${1:-}" = --dry-run ]; then
    shift
    do=(echo would run:)
fi

make_model() { # FILE COMMAND...: with the file's name as OUT
    local file=$1
    shift
    [ -f "$file" ] || "${do[@]}" "$@"
}

"${do[@]}" "$here/build.sh"
"${do[@]}" tools/fetch_models.sh smollm2 gemma3
for type in Q4_0 Q8_0 F16; do
    make_model "$small-$type.gguf" build/outrider quantize "$small-Q4_1.gguf" "$small-$type.gguf" "$type"
done
make_model "$small-Q4_1-synthetic-1GB.gguf" \
    python3 tools/make_synthetic.py "$small-Q4_1.gguf" "$small-Q4_1-synthetic-1GB.gguf" --gb 1.0
"${do[@]}" python3 "$here/measure.py" "$@"
