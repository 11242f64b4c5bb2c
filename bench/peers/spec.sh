#!/usr/bin/env bash
# Speculation of Outrider beside that of llama.cpp and ik_llama.cpp: builds their servers, fetches SmolLM2, measures,
# prints one table.
# usage: spec.sh [FLAGS OF spec_side.py]      from the project's root
#   In pieces: spec.sh --out FILE --seconds 270, until it no longer says that it stopped; see --only and --prompts.
# The environment: OUTRIDER_PEERS, IK_SOURCE (build.sh), OUTRIDER_MODELS (tools/fetch_models.sh). Read next: spec_side.py.
set -euo pipefail
here=$(dirname "$0")
PEERS_TARGETS="llama-bench llama-server" "$here/build.sh" >&2
tools/fetch_models.sh smollm2
exec python3 "$here/spec_side.py" "$@"
