#!/usr/bin/env bash
# Stack stores inside the innermost loops of the kernels: a vector that is put away and fetched again each time round is what
# costs these loops 2-4x when a compiler (or a change) has its way. Fails above what is allowed below, so that a regression
# is seen; an allowance may only fall. Figures are of gcc 12; other compilers spill elsewhere (set ASMCHECK_ANY=1 to look).
# usage: asmcheck.sh [PROGRAM]     (build/outrider)
set -uo pipefail
program=${1:-build/outrider}
if [ ! -f "$program" ]; then
    echo "asmcheck: error: no program ($program): build it first" >&2
    exit 2
fi
if ! command -v objdump > /dev/null; then
    echo "SKIPPED: objdump is not installed"
    exit 0
fi
if [ -z "${ASMCHECK_ANY:-}" ] && ! readelf -p .comment "$program" | grep 'GCC: (.*) 12\.' > /dev/null; then
    echo "SKIPPED: $program was not built by gcc 12"
    exit 0
fi

# Function class (a regular expression of the whole name, first match counts) and stores allowed in one round of a loop.
# Tiles are called TABLE_M_R: M tokens, R panels. A function that no line names may have none.
allowed='
tiles_f(16|32)_6_2      3
tiles_bf16_5_2          1
tiles_bf16_6_2          5
tiles_q4_[01]_[78]_1    4
tiles_q4_[01]_3_2       3
tiles_q4_[01]_4_2       8
tiles_q4_[01]_2_4       8
tiles_q8_0_8_1          2
tiles_q8_0_4_2          4
tiles_q8_0_2_4          6
tiles_q4_k_[78]_1       3
tiles_q4_k_[34]_2       5
tiles_q4_k_2_4          7
tiles_q5_0_[678]_1      6
tiles_q5_0_[23]_2       6
tiles_q5_0_4_2          8
tiles_q5_0_1_4          4
tiles_q5_0_2_4         41
tiles_q5_1_[456]_1      6
tiles_q5_1_[78]_1      11
tiles_q5_1_[23]_2      10
tiles_q5_1_4_2         15
tiles_q5_1_1_4          8
tiles_q5_1_2_4         39
tiles_q5_k_[456]_1      8
tiles_q5_k_[78]_1      14
tiles_q5_k_[12]_2       7
tiles_q5_k_3_2         14
tiles_q5_k_4_2         23
tiles_q5_k_1_4         12
tiles_q5_k_2_4         51
tiles_q6_k_[456]_1      6
tiles_q6_k_[78]_1      12
tiles_q6_k_[23]_2      10
tiles_q6_k_4_2         15
tiles_q6_k_1_4          8
tiles_q6_k_2_4         25
qk_[1236]               1
qk_q8_[1-6]             3
zqk_q8_[1-4]            4
ztiles_b?f(16|32)_(16_1|6_2|8_2) 1
ztiles_q5_k_14_1        1
'

objdump -d --no-show-raw-insn "$program" | awk -v table="$allowed" '
BEGIN {
    n_class = split(table, line, "\n")
    for (i = 1; i <= n_class; i++)
        if (split(line[i], field, " +") == 2) {
            class[i] = field[1]
            limit[i] = field[2]
        }
}

# A loop is a jump back; it is innermost when no other jump back lies inside. Stores are counted where %rsp, or %rbp as the
# frame, is the base.
function finish(   i, j, k, n, inner, worst, size, cap, frame) {
    if (name == "")
        return
    worst = size = 0
    for (i = 1; i <= n_ins; i++)
        frame = frame || ins[i] ~ /^mov +%rsp,%rbp/
    for (i = 1; i <= n_ins; i++) {
        if (!(to[i] in at) || at[to[i]] > i)
            continue
        inner = 1
        for (j = at[to[i]]; j < i; j++)
            inner = inner && !((to[j] in at) && at[to[j]] <= j && at[to[j]] >= at[to[i]])
        if (!inner)
            continue
        n = 0
        for (k = at[to[i]]; k <= i; k++)
            n += ins[k] ~ /^v?mov[a-z0-9]* +[^(]*,-?(0x[0-9a-f]+)?\(%rsp[,)]/ || (frame && ins[k] ~ /^v?mov[a-z0-9]* +[^(]*,-?(0x[0-9a-f]+)?\(%rbp[,)]/)
        if (n > worst)
            worst = n
        size += i - at[to[i]] + 1
    }
    cap = 0
    for (i = 1; i <= n_class; i++)
        if ((i in class) && name ~ "^(" class[i] ")$") {
            cap = limit[i]
            break
        }
    n_fn++
    bad = worst > cap
    n_bad += bad
    if (size == 0) {
        n_bad++
        printf "%-18s no loop found\n", name
    } else if (worst > 0 || bad)
        printf "%-18s %4d instructions in innermost loops, %3d stack stores, %3d allowed%s\n", name, size, worst, cap, bad ? "   FAILED" : ""
}

/^[0-9a-f]+ <.*>:$/ {
    finish()
    name = $2
    gsub(/[<>:]/, "", name)
    if (name !~ /^(z?tiles_[a-z0-9_]+_[0-9]+_[0-9]+|z?qk_(q8_)?[0-9]+|z?pv_(q8_)?[0-9]+_[0-9]+)(\..*)?$/)
        name = ""
    sub(/\..*/, "", name)
    n_ins = 0
    split("", at); split("", to); split("", ins)
    next
}
name != "" && /^ +[0-9a-f]+:\t/ {
    addr = $1
    sub(/:/, "", addr)
    at[addr] = ++n_ins
    text = $0
    sub(/^ +[0-9a-f]+:\t/, "", text)
    ins[n_ins] = text
    to[n_ins] = text ~ /^j/ ? $3 : "-"
}
END {
    finish()
    printf "%d functions, %d above their allowance\n", n_fn, n_bad
    exit n_fn == 0 || n_bad > 0
}'
