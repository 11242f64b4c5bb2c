#!/usr/bin/env python3
"""Claim A of methods/09: what a draft is worth follows from its latency and its acceptance length alone.

    draft_study.py PROGRAM OUT [--targets F16,F32,1GB,Gemma] [--minutes M] ...

For each target and drafter, at fixed lengths 1..8, `bench spec` measures the speedup, the acceptance length TAR and the
drafter's time; `bench forward` measures T(M), the time of a pass of M rows. Predicted (methods/09 3.2; t1 = T(1)):

    speedup = TAR / (g t_d / t1 + T(g+1) / T(1))          break-even: TAR_min = g t_d / t1 + T(g+1) / T(1)

t_d, and what the drafter needs to catch up with a prompt, are a line through the drafter's times at the *other* lengths, so
that no length predicts itself; steps without a draft count as plain ones. The first E layers of `exit` are part of the
verification: there the second term is s + (1 - s) T(g+1) / T(1), s the share of a pass that these layers are.
Passed where: median |predicted / measured - 1| <= 8 %, Spearman >= 0.9, predicted below 1: measured below 1, predicted 1.1 or
more: measured above 1. OUT holds a JSON file a run: the same call goes on where it stopped. About 8 minutes for F16 and
Gemma each, 15 for F32, 40 for 1GB, on a quiet machine; --minutes ends earlier and shows what there is.
"""
import argparse
import json
import os
import subprocess
import sys
import time

NAME = "SmolLM2-135M-Instruct-"
TARGETS = {"F16": NAME + "F16.gguf", "F32": NAME + "F32.gguf", "1GB": NAME + "Q4_1-synthetic-1GB.gguf",
           "Gemma": "gemma-3-270m-Q4_K_M.gguf", "Q4_1": NAME + "Q4_1.gguf", "Q8_0": NAME + "Q8_0.gguf"}
DRAFTERS = [  # {models}: the folder; targets: None for all
    ("ngram", "ngram-simple", None),
    ("suffix", "suffix", None),
    ("draft Q4_0", "draft:model={models}/" + NAME + "Q4_0.gguf", {"F16", "F32", "1GB", "Q4_1", "Q8_0"}),
    ("lowbit", "lowbit:reach=0", {"F16", "F32", "Q8_0"}),
    ("exit 4", "exit:layers=4,reach=0", None),
    ("exit 8", "exit:layers=8,reach=0", None),
    ("exit 16", "exit:layers=16,reach=0", None),
    ("exit 30", "exit:layers=30,reach=0", {"1GB"}),  # of 437 layers; those behind the 30th add zero
    ("skip", "skip:set={set},reach=0,p_min=0", {"F16", "F32", "Gemma", "Q4_1", "Q8_0"}),
    ("hetero", "hetero:model={models}/gemma-3-270m-Q4_K_M.gguf,p_min=0", {"F16", "F32", "1GB", "Q4_1", "Q8_0"}),
    ("hetero", "hetero:model={models}/" + NAME + "Q4_0.gguf,p_min=0", {"Gemma"}),
]

# ---- formulas ----


def at(rel, m):
    """T(m) / T(1) from the list of m = 1, 2, ...; linear in between."""
    i = min(int(m), len(rel) - 1)
    return rel[i - 1] + (m - i) * (rel[i] - rel[i - 1])


def tar_of(a, g):
    """Acceptance length of chains of g, each entry right with chance a."""
    return g + 1.0 if a == 1 else (1 - a ** (g + 1)) / (1 - a)


def round_cost(g, t_d, rel, share=0.0):
    """A step of g drafted entries, in passes of one row. t_d likewise."""
    return g * t_d + share + (1 - share) * at(rel, g + 1)


def median(v):
    v = sorted(v)
    return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2


def ranks(v):
    return [sum(y < x for y in v) + (sum(y == x for y in v) + 1) / 2 for x in v]


def spearman(a, b):
    a, b = ranks(a), ranks(b)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    below = (sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b)) ** 0.5
    return top / below if below else 0.0


def line(points):
    """(c, t) of y = c + t x, both at least 0, least squares."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    var = sum((x - mx) ** 2 for x, _ in points)
    t = sum((x - mx) * (y - my) for x, y in points) / var if var else 0.0
    if t <= 0 or my - t * mx < 0:  # through the origin
        return 0.0, sum(x * y for x, y in points) / (sum(x * x for x, _ in points) or 1)
    return my - t * mx, t


def self_check():
    rel = [1.0, 1.05, 1.1, 1.3]
    ok = lambda x, y: abs(x - y) < 1e-12
    assert ok(tar_of(0.5, 2), 1.75) and ok(tar_of(1, 3), 4)
    assert ok(round_cost(2, 0.25, rel), 1.6) and ok(1.75 / round_cost(2, 0.25, rel), 1.09375)
    assert ok(round_cost(2, 0.25, rel, 0.4), 0.5 + 0.4 + 0.6 * 1.1) and ok(at(rel, 3.5), 1.2) and ok(at(rel, 4), 1.3)
    assert ok(spearman([1, 2, 3], [1, 3, 2]), 0.5) and ok(spearman([1, 1, 2], [5, 5, 9]), 1) and ok(median([4, 1, 2, 3]), 2.5)
    assert all(map(ok, line([(1, 3), (2, 5), (4, 9)]), (1, 2))) and all(map(ok, line([(1, 1), (2, 4)]), (0, 1.8)))
    # by hand: 10 replies of 64 steps' tokens, 16 ms a pass; steps of 2 entries all kept but for 4 plain ones
    p = predict({"n": 64.0, "steps": 24.0, "drafted_steps": 20.0, "drafted": 40.0, "plain_ms": 1024.0}, 8.0, 4.0, rel, 0.0)
    assert ok(p["ms"], 8 + 40 * 4 + 20 * 16 * 1.1 + 4 * 16) and ok(p["speedup"], 1024 / 584) and ok(p["tar_min"], 584 / (24 * 16))


# ---- measuring ----


def run(o, path, words):
    """The JSON of a run, kept at path; None: no time left, or it failed."""
    if not os.path.exists(path):
        if o.until and time.time() > o.until:
            return None
        print(f"  {os.path.basename(path)}", file=sys.stderr, flush=True)
        done = subprocess.run([o.program] + words, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"draft_study: no figures: {' '.join(words)}", file=sys.stderr)
            return None
        with open(path + ".part", "w", encoding="utf-8") as f:
            f.write(done.stdout)
        os.replace(path + ".part", path)
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def layers_of(o, model):
    keys = json.loads(subprocess.run([o.program, "inspect", "--json", model], capture_output=True, text=True,
                                     check=True).stdout)["keys"]
    return next(v["value"] for k, v in keys.items() if k.endswith(".block_count"))


def skip_set(n):
    """Attention of every third middle layer."""
    return "".join("a" if 2 <= i < n - 2 and i % 3 == 0 else "-" for i in range(n))


def forward(o, name, model):
    r = run(o, f"{o.out}/{name}.forward.json",
            ["bench", "forward", "-m", model, "--ctx", "256", "--mb", "0", "--passes", str(o.passes), "--json"] + o.threads)
    if not r:
        return None
    rows = r["contexts"][0]["rows"]
    phases = rows[0]["phases_ms"]
    t1 = rows[0]["time"]["median_ms"]
    return {"t1": t1, "rel": [x["time"]["median_ms"] / t1 for x in rows[:10]],
            "head": phases["head"] / sum(phases.values())}


def spec(o, name, label, method, model):
    words = ["bench", "spec", "-m", model, "--prompts", o.prompts, "--count", str(o.count), "-n", str(o.tokens), "--rounds",
             str(o.rounds), "--json"] + o.threads
    for g in o.lengths:
        words += ["--method", f"{method}@{g}"]
    r = run(o, f"{o.out}/{name}.{label.replace(' ', '-')}.json", words)
    if not r:
        return []
    points = []
    for g in o.lengths:
        f = [x for x in r["figures"] if x["method"] == f"{method}@{g}"]
        replies, prompts = sum(x["replies"] for x in f), [e for x in f for e in x["each"]]
        if not f or not replies:
            continue
        s = {k: sum(x["sums"][k] for x in f) / replies for k in f[0]["sums"]}
        if s["steps"] > s["plain_steps"]:
            points.append({"target": name, "drafter": label, "g": g, "n": s["steps"] + s["kept"], "steps": s["steps"],
                           "drafted_steps": s["steps"] - s["plain_steps"], "drafted": s["drafted"], "draft_ms": s["draft_ms"],
                           "plain_ms": sum(e["plain_ms"] for e in prompts) / len(prompts),
                           "ms": sum(e["ms"] for e in prompts) / len(prompts),
                           "differ": replies - sum(x["same"] for x in f), "tar": (s["steps"] + s["kept"]) / s["steps"]})
    return points


# ---- predicting ----


def predict(p, catch_up, t_d, rel, share):
    """Of one reply, from its steps: ms. n: tokens after the first one."""
    t1 = p["plain_ms"] / p["n"]
    entries = p["drafted"] / p["drafted_steps"]
    ms = catch_up + p["drafted_steps"] * t1 * round_cost(entries, t_d / t1, rel, share) + (p["steps"] - p["drafted_steps"]) * t1
    return {"ms": ms, "speedup": p["plain_ms"] / ms, "tar_min": ms / (p["steps"] * t1)}


def study(points, fwd, n_layer):
    for p in points:
        others = [(q["drafted"], q["draft_ms"]) for q in points if q is not p] or [(p["drafted"], p["draft_ms"])]
        words = p["drafter"].split()
        share = int(words[1]) / n_layer * (1 - fwd["head"]) if words[0] == "exit" else 0.0
        catch_up, p["t_d"] = line(others)
        x = predict(p, catch_up, p["t_d"], fwd["rel"], share)
        p.update(predicted=x["speedup"], tar_min=x["tar_min"], catch_up=catch_up, measured=p["plain_ms"] / p["ms"],
                 t_d_rel=p["t_d"] * p["n"] / p["plain_ms"])
    return points


def summary(title, points):
    error = [abs(p["predicted"] / p["measured"] - 1) for p in points]
    wrong = [p for p in points if (p["predicted"] < 1 <= p["measured"]) or (p["predicted"] >= 1.1 and p["measured"] <= 1)]
    rho = spearman([p["predicted"] for p in points], [p["measured"] for p in points])
    good = median(error) <= 0.08 and rho >= 0.9 and not wrong
    below, above = sum(p["predicted"] < 1 for p in points), sum(p["predicted"] >= 1.1 for p in points)
    print(f"{title}: {len(points)} points, median |error| {100 * median(error):.1f} %, worst {100 * max(error):.1f} %, Spearman "
          f"{rho:.3f}; break-even: {below} below TAR_min, {above} 10 % above, {len(wrong)} of them on the wrong side; "
          f"{sum(p['differ'] for p in points)} replies differ: {'passed' if good else 'NOT PASSED'}")
    for p in wrong:
        print(f"    {p['target']}, {p['drafter']}, {p['g']}: predicted {p['predicted']:.3f}, measured {p['measured']:.3f}")


def show(name, fwd, points):
    print(f"\n{name}: T(1) {fwd['t1']:.2f} ms, T(M)/T(1), M = 1..9: " + " ".join(f"{x:.2f}" for x in fwd["rel"][:9]))
    print("drafter      length  t_d ms  t_d/t1     TAR  TAR_min  predicted  measured   error")
    for p in points:
        print(f"{p['drafter']:<12} {p['g']:6} {p['t_d']:7.3f} {p['t_d_rel']:7.3f} {p['tar']:7.3f} {p['tar_min']:8.3f} "
              f"{p['predicted']:10.3f} {p['measured']:9.3f} {100 * (p['predicted'] / p['measured'] - 1):+6.1f} %")
    summary(name, points)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program", nargs="?", help="build/outrider")
    p.add_argument("out", nargs="?", help="folder of the runs")
    p.add_argument("--targets", default="F16,F32,1GB,Gemma", help="of " + " ".join(TARGETS))
    p.add_argument("--drafters", default="", help="only these, by commas (as in the table)")
    p.add_argument("--lengths", default="1,2,3,4,5,6,7,8")
    p.add_argument("--models", default=os.path.expanduser("~/.cache/outrider"))
    p.add_argument("--prompts", default="../shared/data/spec-bench/question.jsonl")
    p.add_argument("--count", type=int, default=1, help="prompts of each category (1)")
    p.add_argument("--tokens", type=int, default=64, help="of a reply (64)")
    p.add_argument("--rounds", type=int, default=2, help="pairs of each (2)")
    p.add_argument("--passes", type=int, default=9, help="of bench forward (9)")
    p.add_argument("-t", dest="t", type=int, default=0, help="threads")
    p.add_argument("--minutes", type=float, default=0, help="no run begins later (0: no end)")
    p.add_argument("--self-check", action="store_true", help="the formulas on values computed by hand")
    o = p.parse_args()
    self_check()
    if o.self_check:
        return print("draft_study: formulas are right")
    if not o.program or not o.out:
        p.error("PROGRAM and OUT are needed")
    os.makedirs(o.out, exist_ok=True)
    o.until = time.time() + 60 * o.minutes if o.minutes else 0
    o.threads = ["-t", str(o.t)] if o.t else []
    o.lengths = [int(x) for x in o.lengths.split(",")]
    every = []
    for name in o.targets.split(","):
        model = os.path.join(o.models, TARGETS[name])
        fwd, points, n_layer = forward(o, name, model), [], layers_of(o, model)
        for label, method, only in DRAFTERS if fwd else []:
            wanted = not o.drafters or label in o.drafters.split(",")
            if wanted and (only is None or name in only) and not (label[:4] == "exit" and int(label[5:]) >= n_layer):
                method = method.format(models=o.models, set=skip_set(n_layer))
                points += study(spec(o, name, label, method, model), fwd, n_layer)
        if points:
            show(name, fwd, points)
        every += points
    if every:
        print()
        summary("all", every)


if __name__ == "__main__":
    sys.exit(main())
