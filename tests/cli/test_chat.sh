#!/usr/bin/env bash
# The chat of outrider run: what it remembers, what it forgets and says, commands, and a terminal with Ctrl-C and
# history. usage: test_chat.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$smollm"
run=("$program" run -m "$smollm" --temp 0 -n 12)
quiet() { "$@" 2> /dev/null; }
chat() { "${run[@]}" --chat "$@" 2> "$tmp/err"; }
turn() { printf '<|im_start|>%s\n%s' "$1" "$2"; } # ROLE TEXT, as the template of SmolLM2 writes it
end=$'<|im_end|>\n'
standard=$(turn system "You are a helpful AI assistant named SmolLM, trained by Hugging Face")$end
ask() { quiet "${run[@]}" --raw -p "$1$(turn assistant "")"$'\n'; } # a conversation written out; the reply's bytes

# ---- memory ----
one="Name a colour."
two="Another one."
printf '%s\n%s\n' "$one" "$two" | chat > "$tmp/out"
same "status at the end of the input" $? 0
first=$(quiet "${run[@]}" -p "$one")
second=$(ask "$standard$(turn user "$one")$end$(turn assistant "$first")$end$(turn user "$two")$end")
same "replies alone on stdout" "$(cat "$tmp/out")" "$first"$'\n'"$second"
same "figures for each reply" "$(grep -c 'prompt tokens.*reply tokens' "$tmp/err")" 2
printf '%s\n/clear\n%s\n' "$one" "$two" | chat > "$tmp/out"
same "/clear forgets" "$(tail -n +2 "$tmp/out")" "$(quiet "${run[@]}" -p "$two" | tail -n +1)"
printf '/system Be brief.\n%s\n' "$one" | chat > "$tmp/out"
same "/system" "$(cat "$tmp/out")" "$(quiet "${run[@]}" --system "Be brief." -p "$one")"
printf 'Name a colour,\\\nor two.\n' | chat > "$tmp/out"
same "a line goes on after a backslash" "$(cat "$tmp/out")" "$(quiet "${run[@]}" -p $'Name a colour,\nor two.')"
printf '/help\n/stats\n/hlep\n\n/quit\n%s\n' "$one" | chat > "$tmp/out"
same "commands reply nothing; /quit ends" "$(wc -c < "$tmp/out")" 0
check "/help" grep -q '/system TEXT' "$tmp/err"
check "/stats" grep -q 'context: 0 of' "$tmp/err"
check "unknown command" grep -q 'no command /hlep: the nearest is /help' "$tmp/err"

# ---- waiting for a line costs nothing ----
ticks() { awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$1/stat"; } # CPU time so far, in 1/100 s
mkfifo "$tmp/lines"
"${run[@]}" --chat < "$tmp/lines" > "$tmp/out" 2> "$tmp/err" &
exec 3> "$tmp/lines"
printf '%s\n' "$one" >&3
for _ in $(seq 200); do
    grep -q 'reply tokens' "$tmp/err" && break
    sleep 0.1
done
sleep 0.2
before=$(ticks $!)
sleep 1
spent=$(($(ticks $!) - before))
check "a chat that waits uses no CPU ($spent ticks)" [ "$before" -gt 0 -a "$spent" -le 2 ]
exec 3>&-
wait $!

# ---- a full context: the oldest turns go, the system text stays ----
long="Please remember these words: apple, river, stone, cloud, winter, candle, mountain, bread."
printf '%s\n%s\n' "$long" "$two" | chat -c 64 --system "Be brief." > "$tmp/out"
check "says so" grep -q 'context of 64 tokens full: forgot the 1 oldest message and its reply' "$tmp/err"
same "replies as if the oldest had not been said" "$(tail -n 1 "$tmp/out")" \
    "$(quiet "${run[@]}" --system "Be brief." -p "$two" | tail -n 1)"
printf '%s %s %s %s\n%s\n' "$long" "$long" "$long" "$long" "$two" | chat -c 80 > "$tmp/out"
check "a message too long for any chat" grep -q 'error: message too long ([0-9]* tokens): the context has 80' "$tmp/err"
same "and the chat goes on" "$(cat "$tmp/out")" "$(quiet "${run[@]}" -p "$two")"
printf '%s\n' "$long" | chat -c 80 -n -1 --ignore-eos > "$tmp/out"
check "a reply that fills the context" grep -q 'context of 80 tokens full: the reply ends here' "$tmp/err"
printf '%s\n%s\n' "Hi" "$two" | chat -c 120 -n -1 --ignore-eos > "$tmp/out"
check "a reply goes on after the oldest turn is dropped" grep -q 'full: forgot the 1 oldest' "$tmp/err"
printf 'ab\xffc\n%s\n' "$two" | chat > "$tmp/out"
check "a message that is not UTF-8" grep -q 'error: text is not UTF-8 (message): byte 0xff at offset 2' "$tmp/err"
same "is not sent" "$(cat "$tmp/out")" "$(quiet "${run[@]}" -p "$two")"
printf '%s\n%s\n' "$one" "$two" | "${run[@]}" --chat > /dev/full 2> "$tmp/err"
same "stdout is full: status" $? 1
check "stdout is full: message" grep -q '^outrider: error: cannot write (stdout): No space left' "$tmp/err"

# ---- on a terminal ----
if ! script -qec true /dev/null > /dev/null 2>&1; then
    echo "SKIPPED: a terminal (no script command, or no /dev/pts)"
    finish
fi
trap '' PIPE # a program that ended too early is a failed check, not the end of this test
mkfifo "$tmp/keys"
script -qefc "$program run -m $smollm --temp 0 --ignore-eos -c 4096" /dev/null < "$tmp/keys" > "$tmp/screen" 2>&1 &
exec 3> "$tmp/keys"
# shellcheck disable=SC2317
sees() { # PATTERN COUNT: waits until it stands on the screen that often
    for _ in $(seq 200); do
        [ "$(grep -oaE "$1" "$tmp/screen" | wc -l)" -ge "$2" ] && return 0
        sleep 0.1
    done
    return 1
}
check "greets" sees 'Ctrl-D ends' 1
printf 'Count to ten thousand.\r' >&3
sleep 2
printf '\003' >&3
check "Ctrl-C stops the reply" sees 'stopped; [0-9]+ prompt tokens' 1
printf '/stats\r' >&3
check "and not the program" sees 'so far: ' 1
printf '\003' >&3
check "Ctrl-C at the prompt" sees '/quit or Ctrl-D ends the chat' 1
printf '\033[A\r' >&3
check "the arrow brings the last line back" sees 'so far: ' 2
printf '/statz\b\bts\r' >&3
check "a line is edited" sees 'so far: ' 3
printf '\004' >&3
exec 3>&-
wait $!
same "Ctrl-D ends: status" $? 0
finish
