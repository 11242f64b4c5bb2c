# Shared by tests/cli/test_*.sh: sourced with the program's path as $1. Each check prints a line when it fails only; the
# last line is "N passed, N failed", and the exit status says the same.
# shellcheck shell=bash disable=SC2034
set -uo pipefail
program=$1
shared=../shared/data
stories=$shared/stories260K/stories260K-f32.gguf
smollm=${OUTRIDER_MODELS:-${HOME:-/root}/.cache/outrider}/SmolLM2-135M-Instruct-Q4_1.gguf
tmp=$(mktemp -d)
export XDG_CACHE_HOME=$tmp/cache # what runs learn stays in the test
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0
for v in "${!LLAMA_ARG_@}"; do unset "$v"; done

need() { # FILE: without it the whole test is skipped
    if [ ! -f "$1" ]; then
        echo "SKIPPED: $1 is not there"
        exit 77
    fi
}

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAILED: $1"
}

# check NAME COMMAND...: the command must succeed
check() {
    local name=$1
    shift
    if "$@"; then ok; else bad "$name"; fi
}

# same NAME GOT WANTED
same() {
    if [ "$2" = "$3" ]; then ok; else bad "$1: got '$2', wanted '$3'"; fi
}

# refused NAME STATUS PATTERN COMMAND...: that exit status, nothing on stdout, and on stderr exactly one line, which
# is "outrider: error: " and a sentence that the pattern (grep -E) finds
refused() {
    local name=$1 status=$2 pattern=$3 got
    shift 3
    "$@" > "$tmp/out" 2> "$tmp/err"
    got=$?
    if [ "$got" -ne "$status" ]; then
        bad "$name: exit $got, wanted $status: $(head -c 300 "$tmp/err")"
    elif [ -s "$tmp/out" ]; then
        bad "$name: wrote '$(head -c 100 "$tmp/out")' to stdout"
    elif [ "$(wc -l < "$tmp/err")" -ne 1 ] || ! grep -qE "^outrider: error: .*($pattern)" "$tmp/err"; then
        bad "$name: said '$(head -c 300 "$tmp/err")', wanted one line with '$pattern'"
    else
        ok
    fi
}

# json FILE EXPRESSION: a Python expression of the object `r` prints
json() {
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# field NAME EXPRESSION WANTED: the same of $tmp/r.json, compared
field() { same "$1" "$(json "$tmp/r.json" "$2")" "$3"; }

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}
