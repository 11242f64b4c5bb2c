#!/usr/bin/env bash
# Builds the engines we compare with, native, into ${OUTRIDER_PEERS:-~/.cache/outrider/peers}: llama.cpp from the PyPI
# sdist `llama-cpp-python`, and ik_llama.cpp from its public repository. Safe to repeat: what is built stays.
# usage: build.sh [llama.cpp] [ik_llama.cpp]      (both when none is named)
#   IK_SOURCE      a folder with the sources of ik_llama.cpp, or a URL that git can clone
#   PEERS_TARGETS  what is built (llama-bench); `tools` of speculation want "llama-bench llama-server"
#   JOBS           of make (2)
# What cannot be had prints SKIPPED and the reason, and the rest goes on; a failed build is an error. Read next: run.sh.
set -euo pipefail
peers=${OUTRIDER_PEERS:-${HOME:-/root}/.cache/outrider/peers}
ik_source=${IK_SOURCE:-https://github.com/ikawrakow/ik_llama.cpp}
llama_version=0.3.36
read -ra targets <<< "${PEERS_TARGETS:-llama-bench}"

built() { # PEER: are all targets there?
    local t
    for t in "${targets[@]}"; do
        [ -x "$peers/$1/build/bin/$t" ] || return 1
    done
}

# PEER CMAKE_FLAG...: builds $peers/PEER/src into $peers/PEER/build
# WHY only these options: native code, and no feature that would need another library; the rest is the project's default.
compile() {
    local at=$peers/$1
    shift
    if ! { cmake -S "$at/src" -B "$at/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_CCACHE=OFF "$@" &&
        cmake --build "$at/build" -j "${JOBS:-2}" --target "${targets[@]}"; } > "$at/build.log" 2>&1; then
        echo "peers: error: cannot build $at: the end of $at/build.log says" >&2
        tail -n 5 "$at/build.log" >&2
        exit 1
    fi
    echo "peers: built ${targets[*]} in $at/build/bin"
}

# Into $peers/PEER/src, whole or not at all. $1: the peer, $2: a folder that becomes it
place() {
    mkdir -p "$peers/$1"
    mv "$2" "$peers/$1/src"
}

fetch_llama() {
    python3 -m pip download --disable-pip-version-check --retries 2 -q --no-deps --no-binary llama-cpp-python \
        -d "$tmp" "llama-cpp-python==$llama_version" > "$tmp/log" 2>&1 || return 1
    tar -xzf "$tmp"/llama_cpp_python-*.tar.gz -C "$tmp"
    place llama.cpp "$tmp/llama_cpp_python-$llama_version/vendor/llama.cpp"
}

fetch_ik() {
    if [ -d "$ik_source" ] && [ -f "$ik_source/CMakeLists.txt" ]; then
        cp -r "$ik_source" "$tmp/ik"
    else
        GIT_TERMINAL_PROMPT=0 timeout 300 git clone -q --depth 1 "$ik_source" "$tmp/ik" > "$tmp/log" 2>&1 || return 1
    fi
    place ik_llama.cpp "$tmp/ik"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
[ $# -gt 0 ] || set -- llama.cpp ik_llama.cpp
for peer in "$@"; do
    case $peer in
    llama.cpp) # the last: a server would download its web page
        fetch=fetch_llama
        flags=(-DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_USE_PREBUILT_UI=OFF)
        ;;
    ik_llama.cpp) fetch=fetch_ik flags=(-DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DGGML_NCCL=OFF) ;;
    *)
        echo "peers: error: no peer '$peer' (llama.cpp, ik_llama.cpp)" >&2
        exit 2
        ;;
    esac
    if built "$peer"; then
        echo "peers: $peer is built"
    elif [ ! -d "$peers/$peer/src" ] && ! $fetch; then
        echo "SKIPPED: $peer: its sources cannot be had: $(tail -n 1 "$tmp/log")"
    else
        compile "$peer" "${flags[@]}"
    fi
done
