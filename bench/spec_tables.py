"""Tables of `bench spec` for SPEED.md, from the JSON files that spec.sh leaves: spec_tables.py FOLDER.

For each model one table of what was measured, and one of what could have been had on the same texts."""

import glob
import json
import os
import sys

ORDER = ["multi-turn", "translation", "summarization", "qa", "math_reasoning", "rag", "HumanEval", "edit_eval"]


def place(category):
    return ORDER.index(category) if category in ORDER else len(ORDER)


def measured(runs):
    rows = ["category         method               prompts  speedup    worst  its interval   pairs    whole  accept.   "
            "draft  verify  same bytes",
            "                                                median   prompt                          median   length   "
            "%time   %time"]
    for r in runs:
        for f in r["figures"]:
            worst = min(f["each"], key=lambda e: e["speedup"])
            rows.append(
                f"{f['category']:<16} {f['ran']:<20} {f['prompts']:7} {f['speedup']:8.3f} {worst['speedup']:8.3f} "
                f"[{worst['interval'][0]:5.3f}, {worst['interval'][1]:5.3f}] {worst['pairs']:5} {f['whole']:8.3f} "
                f"{f['mean_acceptance_length']:8.2f} {100 * f['draft_share']:7.1f} {100 * f['verify_share']:7.1f}  "
                f"{f['same']} of {f['replies']}")
    return rows


def possible(runs):
    rows = ["category         best fixed             best             auto           worst   auto/   causal  auto/   bound",
            "                                   simul.  measd.   simul.  measd.   text    best    simul.  simul.  simul."]
    for r in runs:
        for b in r["bounds"]:
            total = {f["method"]: f["total"] for f in r["figures"]}
            first = next(iter(total.values()))
            best = total.get("best", b["best_fixed"])  # none: plain decoding is the best fixed method
            rows.append(f"{b['category']:<16} {b['best']:<17} {b['best_fixed']:7.3f} {best:7.3f}  {b['auto']:7.3f} "
                        f"{first:7.3f} {b.get('auto_worst', 0):7.3f} {first / best:7.3f}  {b['causal']:7.3f} "
                        f"{b['auto'] / b['causal']:7.3f} {b['clairvoyant']:7.3f}")
    return rows


def main(folder):
    models = {}
    for name in glob.glob(os.path.join(folder, "*.json")):
        with open(name, encoding="utf-8") as f:
            run = json.load(f)
        if run["figures"]:
            models.setdefault(os.path.basename(run["model"]), []).append(run)
    for model, runs in sorted(models.items()):
        runs.sort(key=lambda r: place(r["figures"][0]["category"]))
        r = runs[0]
        print(f"{model}, level {r['kernel_level']}, {r['threads']} threads, temperature {r['temperature']:g}, "
              f"{r['tokens']} tokens, {r['rounds'][0]} to {r['rounds'][1]} rounds; "
              f"{sum(x['looping'] for x in runs)} looping replies left out:\n")
        print("\n".join("    " + row for row in measured(runs)) + "\n")
        print("\n".join("    " + row for row in possible(runs)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
