#!/usr/bin/env bash
# The formulas of the studies in bench/ on values computed by hand, and their help.
set -euo pipefail
command -v python3 > /dev/null || { echo "SKIPPED: no python3"; exit 77; }
for study in draft_study shape_study; do
    python3 "bench/$study.py" --self-check
    python3 "bench/$study.py" --help | grep -q "$study.py PROGRAM"
done
if python3 bench/draft_study.py 2> /dev/null; then exit 1; fi
if python3 bench/shape_study.py build /nowhere --shapes 8x256,2x256 2> /dev/null; then exit 1; fi
echo "2 passed, 0 failed"
