#!/usr/bin/env bash
# Installs the Debian packages that a build needs. `deps.sh dev` adds linters, clang and the fuzzer's runtime.
set -euo pipefail
want="gcc libc6-dev make cmake ninja-build pkg-config libcmocka-dev libjansson-dev libpcre2-dev libutf8proc-dev libedit-dev
      libdivsufsort-dev python3 python3-pip"
[ "${1:-}" = dev ] && want="$want clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 cppcheck valgrind"

missing=""
for p in $want; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
    echo "deps: all packages are installed"
    exit 0
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo > /dev/null || { echo "deps: error: needs root or sudo to install:$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "deps: installing with apt-get:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing > /dev/null
echo "deps: done"
