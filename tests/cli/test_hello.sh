#!/usr/bin/env bash
# The example is built and tells the story that llama2.c tells; it is also built the way a user would: against an
# installed copy, with pkg-config.
set -euo pipefail
program=$1
build=$(dirname "$program")
data=../shared/data/stories260K
model=$data/stories260K-f32.gguf
if [ ! -f "$model" ]; then
    echo "SKIPPED: $model is not there"
    exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

expected=$(head -n 1 "$data/expected-greedy-200.txt")
said=$("$build/example_hello" "$model" "Once upon a time" | head -n 1)
[ -n "$said" ] || fail "no text"
case "$expected" in
"Once upon a time$said"*) ;;
*) fail "said '$said', expected the continuation in '$expected'" ;;
esac

if "$build/example_hello" "$tmp/none.gguf" x 2> "$tmp/err"; then
    fail "a missing model is no error"
fi
grep -q 'hello: error: .*none.gguf' "$tmp/err" || fail "unclear: $(cat "$tmp/err")"

cmake --install "$build" --prefix "$tmp/usr" > /dev/null
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig:$(find "$tmp/usr" -name pkgconfig -type d | head -n 1)
if grep -q 'OTR_SANITIZE:STRING=.' "$build/CMakeCache.txt" || grep -q 'OTR_COVERAGE:BOOL=ON' "$build/CMakeCache.txt"; then
    echo "SKIPPED: linking against the installed library (this build is instrumented)"
    exit 0
fi
# shellcheck disable=SC2046
cc -o "$tmp/hello" examples/hello.c $(pkg-config --cflags --libs outrider)
[ "$("$tmp/hello" "$model" "Once upon a time" | head -n 1)" = "$said" ] || fail "the installed library says something else"
[ "$("$tmp/usr/bin/outrider" --version)" = "outrider $(pkg-config --modversion outrider)" ] || fail "versions differ"
echo "hello: ok"
