#!/usr/bin/env bash
# Start-up timing of tile plans as a user meets it: kept in the cache folder, repeated by nobody, ignored when broken or
# switched off; the reply is the same in every case.
# usage: test_plans.sh PROGRAM
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
need "$smollm"

cache=$tmp/cache
unset OUTRIDER_PLAN
reply() { XDG_CACHE_HOME=$cache "$program" run -m "$smollm" --raw -p "The sea is" --temp 0 -n 12 --spec none "$@" 2> /dev/null; }
plans() { find "$cache" -name 'plans-*' 2> /dev/null | wc -l; }

want=$(OUTRIDER_PLAN=builtin reply)
check "a reply" test -n "$want"
same "builtin keeps nothing" "$(plans)" 0
same "level c has nothing to choose" "$(OUTRIDER_KERN=c reply)" "$want"
same "and keeps nothing" "$(plans)" 0

same "timed: the same reply" "$(reply -t 2)" "$want"
if [ "$(plans)" = 1 ]; then # a level with plans
    file=$(find "$cache" -name 'plans-*')
    check "a file as written" grep -qxE 'q4 [0-9]{5}' "$file"
    before=$(stat -c %i "$file")
    same "from the file: the same reply" "$(reply -t 2)" "$want"
    same "the file is left alone" "$(stat -c %i "$file")" "$before"
    sed -i 's/^q4 .*/q4 11111/' "$file"
    same "other plans: the same reply" "$(reply -t 2)" "$want"
    head -c 40 /dev/urandom > "$file"
    same "a broken file: the same reply" "$(reply -t 2)" "$want"
    check "it is written anew" grep -qxE 'q4 [0-9]{5}' "$file"
    (for _ in 1 2 3; do reply -t 2 > "$tmp/one" & done; wait)
    check "several at once" grep -qxE 'q4 [0-9]{5}' "$file"
    chmod 0500 "$cache/outrider"
    rm -f "$file" 2> /dev/null
    same "a folder that takes nothing: the same reply" "$(reply -t 1)" "$want"
    chmod 0700 "$cache/outrider"
else
    echo "SKIPPED: this level has no plans"
fi
refused "a word that is neither" 2 "\(OUTRIDER_PLAN\): 'x' is neither timed nor builtin" env OUTRIDER_PLAN=x "$program" inspect "$smollm"
finish
