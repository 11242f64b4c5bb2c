#!/usr/bin/env bash
# Runs ctest in a build folder, shows what was skipped and why, and closes with "N passed, N failed[, N skipped]".
# usage: run_tests.sh BUILD_FOLDER [ctest options]
set -uo pipefail
dir=$1
shift
log=$dir/Testing/outrider.log
mkdir -p "$dir/Testing"
ctest --test-dir "$dir" --output-on-failure --no-tests=error -j "${TEST_JOBS:-$(nproc)}" "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
# Tests say for themselves what they leave out; ctest keeps their output.
last=$dir/Testing/Temporary/LastTest.log
[ -f "$last" ] && grep -h 'SKIPPED' "$last" | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 x /'
passed=$(grep -c ' Passed ' "$log")
skipped=$(grep -c '\*\*\*Skipped' "$log")
failed=$(grep -cE '\*\*\*(Failed|Timeout|Exception|Not Run)|Subprocess aborted' "$log")
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
