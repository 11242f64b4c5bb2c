#!/usr/bin/env bash
# outrider quantize: each type is made, described and run; a failure leaves the folder as it was.
# usage: [OUTRIDER_ORACLE_PYTHON=a python that has the PyPI package gguf] test_quantize.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
out=$tmp/made
mkdir "$out"

# files WANTED: all names in $out, those that begin with a dot too
files() { same "files after $1" "$(ls -A "$out" | tr '\n' ' ')" "$2"; }

# types FILE: {"F32": 11, ...}
types() {
    "$program" inspect --json "$1" > "$tmp/r.json"
    json "$tmp/r.json" '{k: v["n"] for k, v in r["types"].items()}'
}

# ---- every type. stories260K: 11 vectors, 5 x 7 matrices and the embeddings; rows of ffn_down are 172, no multiple of 32 ----
declare -A wanted=(
    [F32]="{'F32': 47}"
    [F16]="{'F32': 11, 'F16': 36}"
    [BF16]="{'F32': 11, 'BF16': 36}"
    [Q8_0]="{'F32': 11, 'F16': 5, 'Q8_0': 31}"
    [Q4_0]="{'F32': 11, 'F16': 5, 'Q4_0': 30, 'Q8_0': 1}"
    [Q4_1]="{'F32': 11, 'F16': 5, 'Q4_1': 30, 'Q8_0': 1}"
)
declare -A file_type=([F32]=0 [F16]=1 [BF16]=32 [Q8_0]=7 [Q4_0]=2 [Q4_1]=3)
reply() { "$program" run -m "$1" --raw -p "Once upon a time" --temp 0 -n 40 2> "$tmp/err"; }
for type in F32 F16 BF16 Q8_0 Q4_0 Q4_1; do
    "$program" quantize "$stories" "$out/m.gguf" "$type" > "$tmp/said" 2> "$tmp/err"
    same "$type: status" $? 0
    check "$type: what was written" grep -qE "m.gguf: $type, 260032 weights, [0-9.]+ MB, [0-9.]+ bits each" "$tmp/said"
    case $type in
    Q*) same "$type: the odd rows are told" "$(cat "$tmp/err")" \
        "outrider: note: 5 tensors become F16: the rows are no multiple of the 32 of a block" ;;
    *) same "$type: no notes" "$(cat "$tmp/err")" "" ;;
    esac
    same "$type: types" "$(types "$out/m.gguf")" "${wanted[$type]}"
    field "$type: file type" 'r["keys"]["general.file_type"]["value"]' "${file_type[$type]}"
    check "$type: it runs" test "$(reply "$out/m.gguf" | wc -c)" -gt 40
    cp "$out/m.gguf" "$tmp/$type.gguf"
    "$program" quantize -t 1 "$tmp/F32.gguf" "$out/m.gguf" "${type,,}" > /dev/null 2>&1 # replaces it
    check "$type: one thread, other letters, from the copy" cmp -s "$out/m.gguf" "$tmp/$type.gguf"
done
files "six types" "m.gguf "
same "F32 of F32 is the same model" "$(reply "$tmp/F32.gguf")" "$(reply "$stories")"
"$program" quantize "$stories" "$out/m.gguf" Q4_0 --pure > /dev/null 2>&1
same "--pure" "$(types "$out/m.gguf")" "{'F32': 11, 'F16': 5, 'Q4_0': 31}"
"$program" quantize "$tmp/Q8_0.gguf" "$out/m.gguf" Q4_0 > /dev/null 2> "$tmp/err"
check "a loss of losses is told" grep -q "^outrider: note: 30 tensors are quantized already" "$tmp/err"
"$program" quantize "$tmp/F16.gguf" "$out/m.gguf" F32 > /dev/null 2> "$tmp/err"
"$program" quantize "$out/m.gguf" "$out/n.gguf" F16 > /dev/null 2>> "$tmp/err"
check "F16 to F32 and back" cmp -s "$tmp/F16.gguf" "$out/n.gguf"
rm "$out"/*

# SmolLM2's own Q4_1 was made by llama.cpp's rules with Q8_0 embeddings: made again of its values, it is the same file
if [ -f "$smollm" ]; then
    "$program" quantize "$smollm" "$out/m.gguf" Q4_1 > /dev/null
    check "SmolLM2 Q4_1 again" cmp -s "$smollm" "$out/m.gguf"
    "$program" quantize "$smollm" "$out/n.gguf" F16 > /dev/null
    "$program" quantize "$out/n.gguf" "$out/m.gguf" Q4_1 --pure > /dev/null
    same "types of SmolLM2, pure" "$(types "$out/m.gguf")" "{'F32': 61, 'Q4_1': 211}"
    rm "$out"/*
fi
python=${OUTRIDER_ORACLE_PYTHON:-python3}
if "$python" -c "import gguf" 2> /dev/null; then
    for type in F16 BF16 Q8_0 Q4_0 Q4_1; do
        check "$type by the gguf package" "$python" tools/make_quant_golden.py --files "$stories" "$tmp/$type.gguf" > "$tmp/said"
    done
else
    echo "SKIPPED: the PyPI package gguf is not installed (whole files against it)"
fi

# ---- bad command lines ----
q=("$program" quantize)
refused "no words" 2 "too few words \(quantize\): IN OUT TYPE" "${q[@]}"
refused "no type" 2 "too few words" "${q[@]}" "$stories" "$out/m.gguf"
refused "four words" 2 "too many words" "${q[@]}" "$stories" "$out/m.gguf" F16 8
refused "a type we only read" 2 "bad type \(Q4_K\): the types are F32" "${q[@]}" "$stories" "$out/m.gguf" Q4_K
refused "a flag of llama-quantize" 2 "flag not supported \(--imatrix\)" "${q[@]}" --imatrix x "$stories" "$out/m.gguf" F16

# ---- bad models ----
refused "no such model" 1 "none.gguf\): No such file" "${q[@]}" "$tmp/none.gguf" "$out/m.gguf" F16
head -c 600000 "$stories" > "$tmp/cut.gguf"
refused "a model cut short" 1 "cut.gguf\): tensor .* end after the file" "${q[@]}" "$tmp/cut.gguf" "$out/m.gguf" F16
cp "$stories" "$tmp/nan.gguf"
printf '\0\0\300\177' | dd of="$tmp/nan.gguf" bs=4 seek=150000 conv=notrunc status=none
for type in F16 Q8_0 Q4_1; do
    "${q[@]}" "$tmp/nan.gguf" "$out/m.gguf" $type > "$tmp/said" 2> "$tmp/err"
    same "NaN to $type: status" $? 1
    check "NaN to $type: message" grep -qE "^outrider: error: cannot quantize \(.*nan.gguf\): tensor .*weight holds a value that is no finite number in $type" "$tmp/err"
done
files "bad models" ""

# ---- bad names for the result ----
cp "$stories" "$out/in.gguf"
ln "$out/in.gguf" "$out/hard.gguf"
ln -s in.gguf "$out/soft.gguf"
for f in in hard soft; do
    refused "the model itself ($f)" 1 "$f.gguf\): it is the model that is read" "${q[@]}" "$out/in.gguf" "$out/$f.gguf" F16
done
check "the model is as it was" cmp -s "$stories" "$out/in.gguf"
refused "a folder" 1 "it is a folder" "${q[@]}" "$stories" "$out" F16
refused "no folder" 1 "No such file or directory" "${q[@]}" "$stories" "$out/none/m.gguf" F16
refused "a device" 1 "/dev/full\): it is no regular file" "${q[@]}" "$stories" /dev/full F16
refused "a folder where no file can be" 1 "no file can be made in its folder" "${q[@]}" "$stories" /proc/m.gguf F16
if [ "$(id -u)" -ne 0 ]; then
    chmod 555 "$out"
    refused "a folder without rights" 1 "Permission denied" "${q[@]}" "$stories" "$out/m.gguf" F16
    chmod 755 "$out"
fi
files "bad names" "hard.gguf in.gguf soft.gguf "
rm "$out"/*

# ---- no room: the old file stays, nothing else does ----
# shellcheck disable=SC2317
small_files() { # of at most 200 KiB
    (
        ulimit -f 200
        exec "$@"
    )
}
echo old > "$out/m.gguf"
refused "a limit of file size" 1 "m.gguf\): File too large \(the file takes [0-9]+ bytes\)" small_files "${q[@]}" "$stories" "$out/m.gguf" F32
same "the old file" "$(cat "$out/m.gguf")" old
files "the limit" "m.gguf "
rm "$out"/*
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=200k none "$out" 2> /dev/null; then
    trap 'umount "$out" 2> /dev/null; rm -rf "$tmp"' EXIT
    refused "a full disk" 1 "m.gguf\): No space left on device \(the file takes [0-9]+ bytes\)" "${q[@]}" "$stories" "$out/m.gguf" F32
    files "the full disk" ""
    same "its bytes are free again" "$(df --output=used "$out" | tail -1 | tr -d ' ')" 0
    umount "$out"
else
    echo "SKIPPED: a full disk (no right to mount one)"
fi

# ---- Ctrl-C and its kin, twice too; a reader of stdout that went away ----
if [ -f "$smollm" ]; then
    for sig in INT TERM HUP; do
        env --default-signal=INT,TERM,HUP "${q[@]}" -t 1 "$smollm" "$out/m.gguf" F32 > "$tmp/said" 2> "$tmp/err" &
        until [ -n "$(ls -A "$out")" ] || ! kill -0 $! 2> /dev/null; do sleep 0.01; done
        kill -$sig $!
        kill -$sig $! 2> /dev/null
        wait $!
        same "SIG$sig: status" $? $((128 + $(kill -l $sig)))
        same "SIG$sig: message" "$(cat "$tmp/err")" "outrider: error: interrupted ($out/m.gguf): nothing was written"
        files "SIG$sig" ""
    done
else
    echo "SKIPPED: Ctrl-C ($smollm is not there)"
fi
finish
