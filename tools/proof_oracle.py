#!/usr/bin/env python3
"""Proof: the engine agrees with transformers on real models (SmolLM2 135M Q4_1, Gemma 3 270M Q4_K_M).

    pip install torch transformers accelerate gguf sentencepiece   (the oracle; not needed once its output is cached)
    tools/proof_oracle.py [--build build] [--models DIR] [--shared ../shared] [--cache DIR] [--python PYTHON]

The oracle (shared/tools/oracle.py: transformers, float32, dequantised weights) continues 32 prompts of Spec-Bench and
HumanEval by 64 greedy tokens. Then, for each model:
  ids       our tokenizer gives the oracle's prompt ids
  forced    fed the oracle's own tokens, our argmax is its token wherever its top-2 margin is at least 0.5 (and such
            positions are at least 75 % of all); median and maximum of the log-probability difference are printed
  free      our own greedy tokens equal its up to the first margin under 0.5
  perplexity  of the first 20,000 tokens of wikitext-2, within 1 % of the oracle's
Exit status 0 if all hold. Oracle outputs are kept in --cache (default: the models' folder) and used again.
"""
import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys

MARGIN = 0.5         # an int8-activation engine may differ below it
N_TOK = 64
LONG_TOK = 1000      # prompts over this make Gemma's window of 512 matter
MODELS = {           # perplexity by the oracle: {window: value}
    "SmolLM2-135M-Instruct-Q4_1": {512: 25.7545},
    "gemma-3-270m-Q4_K_M": {512: 45.3850, 2048: 31.5330},
}


def spec_bench(shared):
    """First turns by category."""
    by = {}
    for line in open(shared / "data/spec-bench/question.jsonl", encoding="utf-8"):
        q = json.loads(line)
        by.setdefault(q["category"], []).append(q["turns"][0])
    return by


def choose_prompts(shared):
    """32 prompts, the same ones every time; the last 4 are long."""
    by = spec_bench(shared)
    turns = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
    chosen = [by[c][0] for c in turns]
    chosen += by["translation"][:2] + by["qa"][:2] + by["math_reasoning"][:4] + by["rag"][:2]
    with gzip.open(shared / "data/humaneval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as f:
        chosen += [json.loads(line)["prompt"] for line in f][:100:10]
    chosen += [p for p in by["summarization"] if len(p) > 5200][:4]
    assert len(chosen) == 32, len(chosen)
    return chosen


def oracle(a, name):
    """The oracle's answers, from the cache or by running it."""
    prompts = choose_prompts(a.shared)
    path = a.cache / f"oracle-{name}.json"
    if path.exists():
        answers = json.loads(path.read_text(encoding="utf-8"))
        items = answers["items"]
        if [i["prompt"] for i in items] == prompts and all(len(i["tokens"]) == N_TOK for i in items):
            return path, items
    asked = a.cache / "oracle-prompts.jsonl"
    asked.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts), encoding="utf-8")
    print(f"{name}: running the oracle (minutes)", flush=True)
    subprocess.run([a.python, a.shared / "tools/oracle.py", a.models / f"{name}.gguf", asked, path, "-n", str(N_TOK)],
                   check=True, stdout=sys.stderr)
    return path, json.loads(path.read_text(encoding="utf-8"))["items"]


class Verdict:
    """Prints each check and remembers whether all held."""

    def __init__(self):
        self.n_passed = self.n_failed = 0

    def check(self, holds, text):
        print(("ok    " if holds else "FAIL  ") + text, flush=True)
        if holds:
            self.n_passed += 1
        else:
            self.n_failed += 1


def first_near_tie(margins):
    return next((i for i, m in enumerate(margins) if m < MARGIN), len(margins))


def compare_tokens(v, a, name):
    path, items = oracle(a, name)
    command = [a.build / "tests/proof_teacher", a.models / f"{name}.gguf", path] + (["-k", a.kern] if a.kern else [])
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    ours = json.loads(run.stdout)["items"]
    n_long = sum(len(i["prompt_ids"]) > LONG_TOK for i in items)
    v.check(n_long >= 4, f"{name}: {len(items)} prompts, {n_long} of them over {LONG_TOK} tokens")
    same = sum(o["prompt_ids"] == i["prompt_ids"] for o, i in zip(ours, items))
    v.check(same == len(items), f"{name}: {same} of {len(items)} prompts have the oracle's token ids")

    n = n_clear = n_equal = n_equal_near = 0
    diffs, wrong = [], []
    for k, (o, i) in enumerate(zip(ours, items)):
        for pos, (mine, token, margin) in enumerate(zip(o["argmax"], i["tokens"], i["margin"])):
            n += 1
            diffs.append(abs(o["logprob"][pos] - i["logprob"][pos]))
            if margin >= MARGIN:
                n_clear += 1
                n_equal += mine == token
                if mine != token:
                    wrong.append(f"prompt {k} position {pos} (margin {margin})")
            else:
                n_equal_near += mine == token
    share = 100 * n_clear / n
    v.check(share >= 75, f"{name}: margin >= {MARGIN} at {n_clear} of {n} positions ({share:.1f} %)")
    v.check(n_equal == n_clear, f"{name}: forced: argmax equal at {n_equal} of these {n_clear}; at {n_equal_near} "
            f"of the {n - n_clear} near-ties" + "".join("; differs: " + w for w in wrong[:5]))
    print(f"      {name}: log-probability difference: median {statistics.median(diffs):.5f}, maximum {max(diffs):.5f}")

    early, whole = [], 0
    for k, (o, i) in enumerate(zip(ours, items)):
        upto = first_near_tie(i["margin"])
        if o["greedy"][:upto] != i["tokens"][:upto]:
            early.append(k)
        whole += o["greedy"] == i["tokens"]
    v.check(not early, f"{name}: free: {len(items) - len(early)} of {len(items)} replies equal up to the first margin "
            f"under {MARGIN}; {whole} equal in all {N_TOK} tokens" + (f"; differ: {early}" if early else ""))


def compare_perplexity(v, a, name):
    for window, want in MODELS[name].items():
        command = [a.build / "outrider", "perplexity", "-m", a.models / f"{name}.gguf", "--tokens", "20000", "--window",
                   str(window), "--json", a.shared / "data/wikitext-2/test.txt"]
        run = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        got = json.loads(run.stdout)
        off = got["ppl"] / want - 1
        v.check(abs(off) <= 0.01, f"{name}: perplexity with windows of {window}: {got['ppl']:.4f}, the oracle's "
                f"{want:.4f} ({100 * off:+.3f} %), {got['tokens']} tokens, {got['tokens_per_second']:.0f} tokens/s")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = pathlib.Path(os.environ.get("OUTRIDER_MODELS") or pathlib.Path.home() / ".cache/outrider")
    ap.add_argument("--build", type=pathlib.Path, default="build", help="build folder")
    ap.add_argument("--models", type=pathlib.Path, default=home)
    ap.add_argument("--shared", type=pathlib.Path, default="../shared", help="folder of the oracle and the prompts")
    ap.add_argument("--cache", type=pathlib.Path, help="folder of the oracle's answers")
    ap.add_argument("--python", default=sys.executable, help="a Python that has transformers")
    ap.add_argument("--kern", help="kernel level of our engine")
    ap.add_argument("--no-perplexity", action="store_true")
    ap.add_argument("names", nargs="*", help="of " + ", ".join(MODELS))
    a = ap.parse_args()
    a.cache = a.cache or a.models
    v = Verdict()
    for name in a.names or MODELS:
        compare_tokens(v, a, name)
        if not a.no_perplexity:
            compare_perplexity(v, a, name)
    print(f"{v.n_passed} passed, {v.n_failed} failed")
    return 1 if v.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
