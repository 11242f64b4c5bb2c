#!/usr/bin/env bash
# What drafting is worth: every model and every category of prompts, a run of its own each, collected as tables.
# usage: spec.sh PROGRAM OUT MODEL.gguf...       all runs that OUT does not hold yet, then the tables on stdout
#   DATA      the folder of spec-bench/, humaneval/ and edit-eval/ (../shared/data)
#   COUNT     prompts of each category (20; of a file named *F32* 5)
#   ROUNDS    pairs, MIN:MAX (2:9)
#   SECONDS_  of rounds for a category (60): when they are over, no round but the first begins. A run takes this, and
#             about two replies for each prompt
#   METHODS   (auto ngram-simple suffix best), the first one is under test
#   RUNNER    a command that each run is handed to, such as one that waits until the machine is quiet
# A run that fails or is killed leaves nothing behind, so that the same call goes on. Read next: spec_tables.py.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '3,11s/^# \?//p' "$0" >&2; exit 2; }
program=$1 out=$2
shift 2
data=${DATA:-../shared/data}
categories="multi-turn translation summarization qa math_reasoning rag HumanEval edit_eval"
mkdir -p "$out"
[ -f "$out/HumanEval.jsonl" ] || gunzip -c "$data/humaneval/HumanEval.jsonl.gz" > "$out/HumanEval.jsonl"
read -ra runner <<< "${RUNNER:-}"
methods=()
for m in ${METHODS:-auto ngram-simple suffix best}; do methods+=(--method "$m"); done

file_of() {
    case $1 in
    HumanEval) echo "$out/HumanEval.jsonl" ;;
    edit_eval) echo "$data/edit-eval/edit_eval.jsonl" ;;
    *) echo "$data/spec-bench/question.jsonl" ;;
    esac
}

for model in "$@"; do
    name=$(basename "$model" .gguf)
    count=${COUNT:-20}
    case $name in *F32* | *f32*) [ "$count" -le 5 ] || count=5 ;; esac
    for c in $categories; do
        to=$out/$name.$c.json
        [ ! -s "$to" ] || continue
        echo "$name, $c" >&2
        if "${runner[@]}" "$program" bench spec -m "$model" --prompts "$(file_of "$c")" --category "$c" \
            --count "$count" --rounds "${ROUNDS:-2:9}" --seconds "${SECONDS_:-60}" --bounds "${methods[@]}" --json \
            > "$to.part"; then
            mv "$to.part" "$to"
        else
            rm -f "$to.part"
            echo "spec.sh: $name, $c: no figures" >&2
        fi
    done
done
python3 "$(dirname "$0")/spec_tables.py" "$out"
