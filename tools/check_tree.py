#!/usr/bin/env python3
"""The rules of the tree that no compiler checks: the include ladder, unique file names, file and function length.

    check_tree.py      from the project's root; prints each breach, exits 1 if there is one
"""
import pathlib, re, subprocess, sys

LADDER = "base kern load tokenize template kv forward sample accept draft control emit engine serve train dist bench".split()
MAX_FILE, MAX_FUNCTION = 800, 80


def functions(text):
    """(name, first line, lines) of each function body: a '{' alone in column 0 to the next '}' in column 0."""
    lines = text.split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            yield lines[start - 1].strip()[:60], start + 1, i - start
            start = None


def main():
    files = [pathlib.Path(p) for p in subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n") if p]
    bad, names = [], {}
    for f in files:
        if f.suffix not in (".c", ".h", ".py", ".sh") or not f.exists():
            continue
        text = f.read_text(encoding="utf-8")
        if text.count("\n") > MAX_FILE:
            bad.append(f"{f}: {text.count(chr(10))} lines (at most {MAX_FILE})")
        if f.suffix not in (".c", ".h"):
            continue
        if f.name in names:
            bad.append(f"{f}: the name is also {names[f.name]}")
        names[f.name] = f
        if f.suffix == ".c":
            for name, line, n in functions(text):
                if n > MAX_FUNCTION and "WHY long" not in text:
                    bad.append(f"{f}:{line}: {n} lines in {name} (at most {MAX_FUNCTION}; 'WHY long' in a comment gives a reason)")
        if f.parts[0] == "src":
            own = LADDER.index(f.parts[1])
            for inc in re.findall(r'#include "([a-z_]+)/', text):
                if inc in LADDER and LADDER.index(inc) > own:
                    bad.append(f"{f}: includes {inc}/, which stands after {f.parts[1]}/")
    print("\n".join(bad) if bad else "tree: ladder, names and lengths hold")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
