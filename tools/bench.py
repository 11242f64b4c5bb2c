#!/usr/bin/env python3
"""Decode and prompt speed of the real models, in turns with a memory read pass and, if given, llama.cpp's llama-bench.

    bench.py [--ours build/outrider] [--roof READ_ROOF] [--peer LLAMA_BENCH] [-t 2] [--rounds 7] [MODEL.gguf ...]

One round = every engine once on every model; medians and [min, max] over the rounds are printed. Decode: 64 tokens after a prompt
of 64 (llama-bench -d 64 -n 64). READ_ROOF: a program whose last line holds GB/s figures; the largest is taken.
"""
import argparse, json, os, pathlib, re, statistics, subprocess

TEXT = "The quick brown fox jumps over the lazy dog and runs through the old forest, past the river and the stone mill. " * 3


def run(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True)
    if r.returncode:
        raise SystemExit(f"bench: error: {' '.join(map(str, cmd))}: {r.stderr.strip()[-300:]}")
    return r.stdout


def ours(program, model, threads):
    ids = json.loads(run([program, "tokenize", "-m", model, "-p", TEXT, "--json"]))
    ids = ids["tokens"] if isinstance(ids, dict) else ids
    text = run([program, "detokenize", "-m", model] + [str(i) for i in ids[1:64]])
    t = json.loads(run([program, "run", "-m", model, "--raw", "-p", text, "-n", "64", "--temp", "0", "--ignore-eos", "-t", str(threads), "--json"]))["timings"]
    return {"tg": t["predicted_per_second"], "pp": t["prompt_per_second"]}


def peer(program, model, threads):
    rows = json.loads(run([program, "-m", model, "-t", str(threads), "-d", "64", "-n", "64", "-p", "64", "-r", "1", "-o", "json"]))
    return {("tg" if row["n_gen"] else "pp"): row["avg_ts"] for row in rows}


def show(v):
    return f"{statistics.median(v):8.1f} [{min(v):.1f}, {max(v):.1f}]"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = pathlib.Path(os.environ.get("OUTRIDER_MODELS") or pathlib.Path.home() / ".cache/outrider")
    ap.add_argument("models", nargs="*", default=sorted(str(p) for p in models.glob("*.gguf")))
    ap.add_argument("--ours", default="build/outrider")
    ap.add_argument("--roof")
    ap.add_argument("--peer")
    ap.add_argument("-t", type=int, default=os.cpu_count())
    ap.add_argument("--rounds", type=int, default=7)
    a = ap.parse_args()
    got = {}
    for _ in range(a.rounds):
        if a.roof:
            got.setdefault(("read roof GB/s", "", ""), []).append(max(map(float, re.findall(r"([0-9]+\.[0-9]+)", run([a.roof]).strip().split("\n")[-1]))))
        for m in a.models:
            name = pathlib.Path(m).stem
            for engine, f, program in (("outrider", ours, a.ours), ("llama.cpp", peer, a.peer)):
                for what, v in f(program, m, a.t).items() if program else ():
                    got.setdefault((name, what, engine), []).append(v)
    print(f"{a.t} threads, {a.rounds} rounds in turn; median [min, max]; tg = decode, pp = prompt of 64, tokens/s")
    for (name, what, engine), v in sorted(got.items()):
        print(f"{name:36} {what:3} {engine:10} {show(v)}")


if __name__ == "__main__":
    main()
