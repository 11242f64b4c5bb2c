#!/usr/bin/env python3
"""Instructions of one decoded token, counted by valgrind: a witness of speed that gives the same digits on a busy machine.

    callgrind.py [--ours build/outrider] [--more 8] [--top 12] [--level avx2] [MODEL.gguf ...]     (SmolLM2 when none is named)

Two replies of one prompt on one thread, the second --more tokens longer; the difference is what these tokens cost, with sampling and
text. Only otr_generate is counted. Valgrind has no AVX-512 (3.19), so the level is avx2 or c. Everything is done twice: different
counts are an error. What it cannot see: memory, so it says nothing about the roof.
"""
import argparse, os, pathlib, re, shutil, subprocess, sys, tempfile

PROMPT, FEW = "The quick brown fox jumps over the lazy dog and runs through the old forest, past the river and the stone mill.", 2


def count(a, model, n_tok, folder):
    """{function: instructions} of a reply."""
    out = f"{folder}/callgrind.out"
    cmd = ["valgrind", "--tool=callgrind", "--toggle-collect=otr_generate", f"--callgrind-out-file={out}", a.ours, "run", "-m", model, "--raw", "-p", PROMPT,
           "-n", str(n_tok), "-t", "1", "-c", "256", "--temp", "0", "--ignore-eos", "--spec", "none"]
    r = subprocess.run(cmd, capture_output=True, text=True, env={**os.environ, "OUTRIDER_KERN": a.level})
    if r.returncode:
        sys.exit(f"callgrind: error: {' '.join(cmd)}: exit {r.returncode}: {r.stderr.strip()[-300:]}")
    text = subprocess.run(["callgrind_annotate", "--threshold=100", out], capture_output=True, text=True, check=True).stdout
    counts = {}
    for m in re.finditer(r"^ *([\d,]+) +(?:\([ \d.]+%\) +)?[^ ]*?:([^ ]+)(?: \[.*\])?$", text, re.M):
        counts[m[2]] = counts.get(m[2], 0) + int(m[1].replace(",", ""))
    return counts


def per_token(a, model, folder):
    few, many = (count(a, model, n, folder) for n in (FEW, FEW + a.more))
    return {f: many[f] - few.get(f, 0) for f in many if many[f] != few.get(f, 0)}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = pathlib.Path(os.environ.get("OUTRIDER_MODELS") or pathlib.Path.home() / ".cache/outrider")
    ap.add_argument("models", nargs="*", default=[str(models / "SmolLM2-135M-Instruct-Q4_1.gguf")])
    ap.add_argument("--ours", default="build/outrider")
    ap.add_argument("--more", type=int, default=8)
    ap.add_argument("--top", type=int, default=12)
    ap.add_argument("--level", default="avx2", choices=["c", "avx2"])
    a = ap.parse_args()
    if not shutil.which("valgrind"):
        sys.exit(print("SKIPPED: valgrind is not installed") or 0)
    with tempfile.TemporaryDirectory() as folder:
        for model in a.models:
            got = per_token(a, model, folder)
            if got != per_token(a, model, folder):
                sys.exit(f"callgrind: error: two counts of {model} differ")
            total = sum(got.values())
            print(f"{pathlib.Path(model).name}, level {a.level}, 1 thread: {total / a.more:,.0f} instructions a token (mean of {a.more}, counted twice)")
            for f, n in sorted(got.items(), key=lambda p: -p[1])[:a.top]:
                print(f"  {100 * n / total:5.1f} %  {n / a.more:14,.0f}  {f}")


if __name__ == "__main__":
    main()
