#!/usr/bin/env bash
# Formatting, the tree's own rules, cppcheck, clang-tidy. Tools that are absent are named (make deps-dev installs them).
set -uo pipefail
bad=0
python3 tools/check_tree.py || bad=1

sources=$(git ls-files 'src/*.c' 'app/*.c' 'examples/*.c')
all=$(git ls-files '*.c' '*.h')
if command -v clang-format-14 > /dev/null; then
    # shellcheck disable=SC2086
    if clang-format-14 --dry-run -Werror $all 2> /tmp/outrider-format.$$; then
        echo "clang-format: clean"
    else
        grep -o '^[^:]*' /tmp/outrider-format.$$ | grep '\.[ch]$' | sort -u | sed 's/^/clang-format: /'
        bad=1
    fi
    rm -f /tmp/outrider-format.$$
else
    echo "SKIPPED: clang-format-14 is not installed"
fi
if command -v cppcheck > /dev/null; then
    # shellcheck disable=SC2086
    cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppress=missingIncludeSystem --suppress=unknownMacro -D__x86_64__ -D_GNU_SOURCE -Iinclude -Isrc $sources && echo "cppcheck: clean" || bad=1
else
    echo "SKIPPED: cppcheck is not installed"
fi
if command -v clang-tidy-14 > /dev/null; then
    if echo "$sources" | xargs -P "$(nproc)" -n 4 clang-tidy-14 -p build --quiet 2> /dev/null | grep -E 'warning:|error:'; then
        bad=1
    else
        echo "clang-tidy: clean"
    fi
else
    echo "SKIPPED: clang-tidy-14 is not installed"
fi
exit $bad
