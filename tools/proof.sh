#!/usr/bin/env bash
# The slow proofs, one after the other: about an hour on two cores. Each ends in a line for PROOF.md; a failing one is
# named at the end. usage: proof.sh [NAME ...]   names: dequant gumbel rules law tokenizer equality spec unlike oracle
# The oracle needs PyPI's torch, transformers, accelerate, gguf and sentencepiece, or its saved answers; PYTHON names the
# interpreter that has them.
set -uo pipefail
models=${OUTRIDER_MODELS:-${HOME:-/root}/.cache/outrider}
smollm2=$models/SmolLM2-135M-Instruct-Q4_1.gguf
gemma3=$models/gemma-3-270m-Q4_K_M.gguf
prompts=../shared/data/spec-bench/question.jsonl
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
        spec) # resumes: delete the progress files to begin anew
            data=../shared/data
            sets="$prompts $data/humanevalpack/python.jsonl $data/edit-eval/edit_eval.jsonl $data/mt-bench/question.jsonl $data/mbpp/mbpp.jsonl"
            parts() { # one process a core: proof_spec MODEL WAYS N_PROMPTS N_TOK
                local pids=() n=0 bad=0
                for ((n = 0; n < $(nproc); n++)); do
                    # shellcheck disable=SC2086
                    build/tests/proof_spec "$@" "$n/$(nproc)" "build/proof_$2_$(basename "$1" .gguf)_$n.txt" $sets &
                    pids+=($!)
                done
                for n in "${pids[@]}"; do wait "$n" || bad=1; done
                return $bad
            }
            run "spec auto and shuffle" parts "$smollm2" both 1000 256
            for m in SmolLM2-135M-Instruct-Q4_1 SmolLM2-135M-Instruct-F16 gemma-3-270m-Q4_K_M; do
                run "spec each" parts "$models/$m.gguf" each 40 128
            done
            ;;
        unlike)
            run unlike build/tests/proof_unlike "$gemma3" "$smollm2" "$prompts"
            run unlike build/tests/proof_unlike "$smollm2" "$gemma3" "$prompts"
            ;;
        oracle) run oracle "${PYTHON:-python3}" tools/proof_oracle.py ;;
        *)
            echo "proof: error: no proof '$name' (dequant gumbel rules law tokenizer equality spec unlike oracle)" >&2
            exit 2
            ;;
        esac
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
