#!/usr/bin/env bash
# Runs every fuzzer of build-fuzz for FUZZ_SECONDS (600) each, two at a time, from the saved corpus; new inputs go to
# build-fuzz/corpus. Ends with one line a fuzzer; exits 1 if one found something.
set -uo pipefail
seconds=${FUZZ_SECONDS:-600}
run_one() {
    local f=$1 name dir
    name=$(basename "$f")
    dir=build-fuzz/corpus/$name
    mkdir -p "$dir" build-fuzz/findings
    if "$f" -max_total_time="$2" -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 -artifact_prefix=build-fuzz/findings/"$name"- \
        "$dir" tests/fuzz/corpus/"${name#fuzz_}" > build-fuzz/"$name".log 2>&1; then
        echo "$name: $2 s, $(grep -o 'stat::number_of_executed_units: *[0-9]*' build-fuzz/"$name".log | grep -o '[0-9]*$') runs, no finding"
    else
        echo "$name: FINDING, see build-fuzz/$name.log"
        return 1
    fi
}
export -f run_one
find build-fuzz -maxdepth 1 -name 'fuzz_*' -type f -perm -u+x | sort | xargs -P "${FUZZ_JOBS:-2}" -I{} bash -c 'run_one {} '"$seconds"
