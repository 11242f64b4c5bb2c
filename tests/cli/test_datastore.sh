#!/usr/bin/env bash
# outrider datastore build: builds, is drafted from, is refused where it does not belong; a failure leaves the folder as it
# was. usage: test_datastore.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$stories"
out=$tmp/made
mkdir "$out"
if "$program" datastore build "$0" -m "$stories" -o "$tmp/try" 2>&1 | grep -q "has no suffix sorting"; then
    echo "SKIPPED: built without libdivsufsort"
    exit 77
fi

# files WANTED: all names in $out, those that begin with a dot too
files() { same "files after $1" "$(ls -A "$out" | tr '\n' ' ')" "$2"; }
reply() { "$program" run -m "$stories" --raw -p "Once upon a time" -n 60 --temp 0 -t 1 "$@" 2> "$tmp/err"; }
build=("$program" datastore build)

# ---- a corpus that holds the reply: it is drafted from, and the reply is the same ----
plain=$(reply --spec none)
printf '%s\n' "Once upon a time$plain" > "$tmp/corpus.txt"
head -c 20000 "$0" > "$tmp/more.txt"
"${build[@]}" "$tmp/corpus.txt" "$tmp/more.txt" -m "$stories" -o "$out/a.store" > "$tmp/said" 2> "$tmp/err"
same "build: status" $? 0
check "build: what was made" grep -qE "a.store: [0-9]+ tokens" "$tmp/said"
n=$(grep -oE "[0-9]+ tokens" "$tmp/said" | grep -oE "[0-9]+")
same "eight bytes a token, and a head" "$(stat -c %s "$out/a.store")" $((48 + 8 * n))
check "every suffix is in order" python3 - "$out/a.store" << 'END'
import struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[40:48])[0]
tok = struct.unpack(f"<{n}i", b[48 : 48 + 4 * n])
place = struct.unpack(f"<{n}I", b[48 + 4 * n :])
sys.exit(list(place) != sorted(range(n), key=lambda i: tok[i : i + 2000]))
END
same "the reply is the same" "$(reply --spec "rest:file=$out/a.store")" "$plain"
reply --spec "rest:file=$out/a.store" --json > "$tmp/r.json"
field "it was drafted from" "r[\"timings\"][\"draft_n_accepted\"] > 10" True
"${build[@]}" "$tmp/corpus.txt" "$tmp/more.txt" -m "$stories" -o "$out/a.store" > /dev/null # replaces it
files "building twice" "a.store "

# ---- refused as a datastore ----
run=("$program" run -m "$stories" --raw -p x -n 2)
refused "no such file" 1 "cannot open the datastore" "${run[@]}" --spec "rest:file=$out/none"
refused "no file" 1 "no datastore" "${run[@]}" --spec rest
refused "no datastore" 1 "not a datastore" "${run[@]}" --spec "rest:file=$tmp/more.txt"
for cut in 0 10 47 48 1000; do
    head -c $cut "$out/a.store" > "$tmp/cut.store"
    refused "cut at $cut" 1 "datastore \(.*cut.store\)" "${run[@]}" --spec "rest:file=$tmp/cut.store"
done
if [ -f "$smollm" ]; then
    refused "of another model" 1 "a datastore of another model" "$program" run -m "$smollm" --raw -p x -n 2 --spec "rest:file=$out/a.store"
fi

# ---- refused to build ----
refused "no action" 2 "no action" "$program" datastore
refused "no corpus" 2 "no corpus" "${build[@]}" -m "$stories" -o "$out/b"
refused "no output" 2 "no output" "${build[@]}" "$tmp/more.txt" -m "$stories"
refused "no model" 2 "no model" "${build[@]}" "$tmp/more.txt" -o "$out/b"
refused "no such corpus" 1 "none.txt" "${build[@]}" "$tmp/none.txt" -m "$stories" -o "$out/b"
: > "$tmp/empty.txt"
refused "an empty corpus" 1 "empty corpus" "${build[@]}" "$tmp/empty.txt" -m "$stories" -o "$out/b"
refused "a device" 1 "no regular file" "${build[@]}" "$tmp/more.txt" -m "$stories" -o /dev/full
check "the device is one still" test -c /dev/full
refused "a folder" 1 "no regular file" "${build[@]}" "$tmp/more.txt" -m "$stories" -o "$out"
refused "no folder" 1 "cannot write the datastore" "${build[@]}" "$tmp/more.txt" -m "$stories" -o "$out/none/b"
cp "$stories" "$tmp/model.gguf"
refused "the model itself" 1 "it is a file that is read" "${build[@]}" "$tmp/more.txt" -m "$tmp/model.gguf" -o "$tmp/model.gguf"
refused "the corpus itself" 1 "it is a file that is read" "${build[@]}" "$tmp/more.txt" -m "$stories" -o "$tmp/more.txt"
check "both are as they were" cmp -s "$stories" "$tmp/model.gguf"
files "what was refused" "a.store "

# ---- no room ----
rm "$out"/*
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=20k none "$out" 2> /dev/null; then
    trap 'umount "$out" 2> /dev/null; rm -rf "$tmp"' EXIT
    refused "a full disk" 1 "cannot write the datastore .*No space left" "${build[@]}" "$tmp/more.txt" -m "$stories" -o "$out/b"
    files "the full disk" ""
    umount "$out"
else
    echo "SKIPPED: a full disk (no right to mount one)"
fi
finish
