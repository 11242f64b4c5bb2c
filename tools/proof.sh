#!/usr/bin/env bash
# The slow proofs, one after the other: about an hour on two cores. Each ends in a line for PROOF.md; a failing one is
# named at the end. usage: proof.sh [NAME ...]   names: dequant gumbel rules law tokenizer equality spec unlike oracle,
# and, only where they are named: lookups hostile models shuffle (equality with every method, with those that are wrong on
# purpose, with drafters that run a model, and with all of them in turn), accept (acceptance against its formulas)
# The oracle needs PyPI's torch, transformers, accelerate, gguf and sentencepiece, or its saved answers; PYTHON names the
# interpreter that has them. SECONDS_: each run of lookups, models, shuffle ends after so many and goes on when it is
# called again (delete build/proof_* to begin anew); each of accept takes so many (300).
set -uo pipefail
help() { sed -n '2,9s/^# \?//p' "$0"; }
case ${1:-} in -h | --help) help; exit 0 ;; esac
models=${OUTRIDER_MODELS:-${HOME:-/root}/.cache/outrider}
smollm2=$models/SmolLM2-135M-Instruct-Q4_1.gguf
gemma3=$models/gemma-3-270m-Q4_K_M.gguf
prompts=../shared/data/spec-bench/question.jsonl
data=../shared/data
sets="$prompts $data/humanevalpack/python.jsonl $data/edit-eval/edit_eval.jsonl $data/mt-bench/question.jsonl $data/mbpp/mbpp.jsonl"
budget=()
[ -z "${SECONDS_:-}" ] || budget=(-s "$SECONDS_")
failed=0 passed=0

echo "commit $(git rev-parse --short HEAD), $(date -u +%F), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
run() {
    local name=$1
    shift
    echo "== $name: $*"
    if "$@"; then
        passed=$((passed + 1))
    else
        echo "== $name: FAILED"
        failed=$((failed + 1))
    fi
}
# One process a core: parts [-1] [-m SAME] [-x OTHER] MODEL WAYS N_PROMPTS N_TOK. Then one table of all.
parts() {
    local files=() at=()
    if [ "$1" = -1 ]; then # a block at one temperature
        files+=(-1)
        shift
    fi
    while [ "${1#-}" != "$1" ]; do
        files+=("$1" "$2")
        shift 2
    done
    local pids=() n bad=0
    for ((n = 0; n < $(nproc); n++)); do
        at+=("build/proof_$2_$(basename "$1" .gguf)_$n.txt")
        # shellcheck disable=SC2086
        build/tests/proof_spec "${budget[@]}" "${files[@]}" "$@" "$n/$(nproc)" "${at[n]}" $sets > "${at[n]}.out" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || bad=1; done
    for n in "${at[@]}"; do
        grep -h -e DIFFERS -e "still to do" "$n.out"
    done
    build/tests/proof_spec -r "${at[@]}" || bad=1
    return $bad
}
# A pair of models a core.
accept() {
    local pids=() outs=() bad=0 out n target drafter
    for target in F16 Q8_0; do
        for drafter in "$models/SmolLM2-135M-Instruct-Q4_0.gguf" lowbit; do
            out=build/proof_accept_${target}_$(basename "$drafter" .gguf).txt
            build/tests/proof_accept "$models/SmolLM2-135M-Instruct-$target.gguf" "$drafter" "$prompts" "${SECONDS_:-300}" \
                > "$out" &
            pids+=($!)
            outs+=("$out")
            if [ "${#pids[@]}" -eq "$(nproc)" ]; then
                for n in "${pids[@]}"; do wait "$n" || bad=1; done
                pids=()
            fi
        done
    done
    for n in "${pids[@]}"; do wait "$n" || bad=1; done
    cat "${outs[@]}"
    return $bad
}
for what in "${@:-dequant gumbel rules law tokenizer equality spec unlike oracle}"; do
    for name in $what; do
        case $name in
        dequant) run dequant "${PYTHON:-python3}" tools/make_dequant_golden.py --compare ;;
        gumbel) run gumbel build/tests/proof_gumbel 2 ;; # every 4th of all 2^32 words
        rules) run rules build/tests/proof_rules ;;
        law) run law build/tests/proof_law ;; # ten minutes
        tokenizer) run tokenizer build/tests/proof_tokenizer "$smollm2" "$gemma3" ;;
        equality)
            run equality build/tests/proof_equality "$smollm2" "$prompts"
            run equality build/tests/proof_equality "$gemma3" "$prompts"
            run equality build/tests/proof_equality "$smollm2" "$prompts" 2000 5 q8
            run equality build/tests/proof_equality "$gemma3" "$prompts" 1000 5 q8
            ;;
        spec | lookups | hostile)
            ways=$name
            if [ "$name" = spec ]; then
                run "spec auto and shuffle" parts "$smollm2" both 1000 256
                ways=each
            fi
            for m in SmolLM2-135M-Instruct-Q4_1 SmolLM2-135M-Instruct-F16 gemma-3-270m-Q4_K_M; do
                run "spec $ways" parts "$models/$m.gguf" $ways 40 128
            done
            ;;
        models)
            small=$models/SmolLM2-135M-Instruct-Q4_0.gguf
            for m in Q4_1 Q8_0 F16; do
                run "models" parts -m "$small" -x "$gemma3" "$models/SmolLM2-135M-Instruct-$m.gguf" models 40 128
            done
            run "models" parts -m "$gemma3" -x "$small" "$gemma3" models 40 128
            ;;
        shuffle)
            run "shuffle of all" parts -1 -m "$models/SmolLM2-135M-Instruct-Q4_0.gguf" -x "$gemma3" \
                "$models/SmolLM2-135M-Instruct-Q8_0.gguf" shuffle 300 256
            ;;
        accept) run accept accept ;;
        unlike)
            run unlike build/tests/proof_unlike "$gemma3" "$smollm2" "$prompts"
            run unlike build/tests/proof_unlike "$smollm2" "$gemma3" "$prompts"
            ;;
        oracle) run oracle "${PYTHON:-python3}" tools/proof_oracle.py ;;
        *)
            echo "proof: error: no proof '$name' (dequant gumbel rules law tokenizer equality spec unlike oracle lookups hostile models shuffle accept)" >&2
            exit 2
            ;;
        esac
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
