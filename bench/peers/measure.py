#!/usr/bin/env python3
"""Outrider beside llama.cpp and ik_llama.cpp: the same files, the same threads, in turn, with the read roof of the same run.

    measure.py [--model NAME]... [--rounds 15] [--long-rounds 3] [-t 2] [--out FILE]     measures and prints the tables
    measure.py --show FILE...                                                            prints what was kept

One round = one process of each engine on a model. Ours is `outrider bench speed` (greedy replies, replies at temperature 0.7, prompts,
reads of the weights and of memory with 1, 2 and 4 streams). llama.cpp: `llama-bench -d 64 -n 64`, `-p 256`, `-p 2048`, and passes of 1, 4
and 8 rows at depth 256 (their head is computed for the last row only, so that T4/T1 and T8/T1 are what it costs at least). ik_llama.cpp:
its llama-bench has no -d; `-gp 64,64` is the same measurement; taken as it comes and with `-rtr 1` (weights repacked at load: faster for
some types). Loading is counted for none. The better peer is the best of these three. --out keeps every sample as JSON after each round; a file that is there is continued, so that a run may be cut by model and by time. run.sh builds and makes what is needed.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, time

HOME = pathlib.Path.home()
PEERS = pathlib.Path(os.environ.get("OUTRIDER_PEERS") or HOME / ".cache/outrider/peers")
MODELS = pathlib.Path(os.environ.get("OUTRIDER_MODELS") or HOME / ".cache/outrider")
SMOLLM = "SmolLM2-135M-Instruct-"
FILES = {"smollm2-q4_1": SMOLLM + "Q4_1", "smollm2-q4_0": SMOLLM + "Q4_0", "smollm2-q8_0": SMOLLM + "Q8_0", "smollm2-f16": SMOLLM + "F16",
         "gemma3": "gemma-3-270m-Q4_K_M", "synthetic": SMOLLM + "Q4_1-synthetic-1GB"}
IK = ("ik_llama.cpp", "ik_llama.cpp -rtr")
PEER_NAMES = ("llama.cpp", *IK)
STREAMS, STEPS, DEPTH, GEN, SHORT, LONG = "124", (1, 4, 8), 64, 64, 256, 2048
LEAST = {"smollm2-q4_1": 1.8, "smollm2-q4_0": 1.5, "smollm2-q8_0": 1.3, "gemma3": 1.2, "smollm2-f16": 1.05}  # asked for, against the better peer


def run(cmd):
    r = subprocess.run([str(c) for c in cmd], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"peers: error: {' '.join(map(str, cmd))}: exit {r.returncode}: {r.stderr.strip()[-300:]}")
    return json.loads(r.stdout[r.stdout.index("[" if r.stdout.lstrip()[:1] != "{" else "{"):])


class Outrider:
    name = "outrider"

    def __init__(self, program, mb):
        self.cmd = [program, "bench", "speed", "--rounds", "1", "--json", "--mb", mb, "-d", DEPTH, "-n", GEN]

    def round(self, path, threads, long, entry):
        r = run(self.cmd + ["-m", path, "-t", threads, "-p", f"{SHORT},{LONG}" if long else SHORT])
        entry.update(weight_bytes=r["weight_bytes"], level=r["kernel_level"])
        for kind, v in r["replies_per_second"].items():
            yield f"tg {kind}", v
        for p in r["prompts"]:
            yield f"pp{p['tokens']}", p["per_second"]
        for where in ("roof", "memory"):
            for s in STREAMS:
                yield f"{where} {s}", r[f"{where}_gb_per_second"][s]


class Llama:
    name = "llama.cpp"

    def __init__(self, program):
        self.cmd = [program, "-o", "json", "-r", 1]

    def round(self, path, threads, long, entry):
        cmd = self.cmd + ["-m", path, "-t", threads]
        yield "tg", [run(cmd + ["-p", 0, "-n", GEN, "-d", DEPTH])[0]["avg_ts"]]
        for row in run(cmd + ["-n", 0, "-p", f"{SHORT},{LONG}" if long else SHORT]):
            yield f"pp{row['n_prompt']}", [row["avg_ts"]]
        if long:
            for row in run(self.cmd[:-1] + [5, "-m", path, "-t", threads, "-n", 0, "-d", 256, "-p", ",".join(map(str, STEPS))]):
                yield f"step {row['n_prompt']}", [1e-6 * ns for ns in row["samples_ns"]]  # ms


class Ik:
    def __init__(self, program, repack):
        self.name = IK[repack]
        self.cmd = [program, "-o", "json", "-r", 1, "-rtr", repack]

    def round(self, path, threads, long, entry):
        prompts = f"{SHORT},{LONG}" if long else SHORT
        for row in run(self.cmd + ["-m", path, "-t", threads, "-p", prompts, "-n", 0, "-gp", f"{DEPTH},{GEN}"]):
            yield "tg" if row["n_gen"] else f"pp{row['n_prompt']}", [row["avg_ts"]]


def engines(a):
    out = [Outrider(a.ours, a.mb)]
    for at, make in (("llama.cpp", lambda p: [Llama(p)]), ("ik_llama.cpp", lambda p: [Ik(p, 0), Ik(p, 1)])):
        program = PEERS / at / "build/bin/llama-bench"
        if program.exists():
            out += make(program)
        else:
            print(f"SKIPPED: {at}: {program} is not there", file=sys.stderr)
    return out


def measure(a, kept):
    todo = engines(a)
    for model in a.model or FILES:
        path = MODELS / (FILES[model] + ".gguf")
        if not path.exists():
            print(f"SKIPPED: {model}: {path} is not there", file=sys.stderr)
            continue
        entry = kept["models"].setdefault(model, {"file": path.name, "rounds": 0, "samples": {}})
        for i in range(a.rounds):
            print(f"{model}: round {i + 1} of {a.rounds}", file=sys.stderr)
            for e in todo:
                for what, values in e.round(path, a.t, i < a.long_rounds, entry):
                    entry["samples"].setdefault(f"{e.name} {what}", []).extend(values)
            entry["rounds"] += 1
            if a.out:
                tmp = a.out.with_suffix(".part")
                tmp.write_text(json.dumps(kept, indent=1))
                tmp.replace(a.out)


def machine(threads):
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown CPU")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {"cpu": cpu, "cpus": os.cpu_count(), "threads": threads, "commit": commit or None, "date": time.strftime("%Y-%m-%d %H:%M")}


# ---- tables ----

def median(v):
    return statistics.median(v) if v else None


def num(x, digits=0):
    return "-" if x is None else f"{x:.{digits}f}"


def spread(v, digits=0):
    return f"{num(median(v), digits)} [{num(min(v), digits)}, {num(max(v), digits)}]" if v else "-"


def ratio(a, b, digits=2):
    return num(a / b, digits) if a and b else "-"


def best_reads(s, where):
    """The samples with the number of streams that this machine likes."""
    return max((s.get(f"outrider {where} {k}", []) for k in STREAMS), key=lambda v: median(v) or 0)


def better(s, what):
    return max(median(s.get(f"{p} {what}")) or 0 for p in PEER_NAMES)


def peers(s, what):
    return " | ".join(spread(s.get(f"{p} {what}")) for p in PEER_NAMES)


def show(kept):
    m = kept["machine"]
    print(f"{m['cpu']}, {m['cpus']} CPUs, {m['threads']} threads, commit {m['commit']}, {m['date']}; tokens/s, median [least, most]\n")
    print("| model | level | rounds | MB | memory, GB/s | weights, GB/s | roof/bytes | ours tg | % of it | % of the weights' own roof | temp 0.7, % of greedy "
          "(with top-p) | llama.cpp tg | ik tg | ik -rtr tg | ours / better (asked) | llama.cpp T4/T1, T8/T1 |")
    print("|---" * 16 + "|")
    for name, e in kept["models"].items():
        s, mb = e["samples"], 1e-6 * e["weight_bytes"]
        memory, roof = best_reads(s, "memory"), best_reads(s, "roof")
        tg = median(s.get("outrider tg greedy"))
        hot = [f"{100 * median(s['outrider tg ' + k]) / tg:.0f}" for k in ("temp", "temp_top_p")]
        steps = [median(s.get(f"llama.cpp step {n}")) for n in STEPS]
        asked = f" ({LEAST[name]})" if name in LEAST else ""
        print(f"| {name} | {e['level']} | {e['rounds']} | {mb:.1f} | {spread(memory, 1)} | {spread(roof, 1)} | {1e3 * median(memory) / mb:.0f} | "
              f"{spread(s['outrider tg greedy'])} | {tg * mb / median(memory) / 10:.0f} | {tg * mb / median(roof) / 10:.0f} | {hot[0]} ({hot[1]}) | "
              f"{peers(s, 'tg')} | {ratio(tg, better(s, 'tg'))}{asked} | "
              f"{ratio(steps[1], steps[0], 1)}, {ratio(steps[2], steps[0], 1)} |")
    print("\n| model | prompt | ours | llama.cpp | ik | ik -rtr | ours / better (1.1) |\n|---|---|---|---|---|---|---|")
    for name, e in kept["models"].items():
        for n in (SHORT, LONG):
            s, what = e["samples"], f"pp{n}"
            if f"outrider {what}" in s:
                print(f"| {name} | {n} | {spread(s[f'outrider {what}'])} | {peers(s, what)} | "
                      f"{ratio(median(s[f'outrider {what}']), better(s, what))} |")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", action="append", choices=FILES, metavar="NAME", help="one of " + ", ".join(FILES) + " (default: all)")
    ap.add_argument("--rounds", type=int, default=15)
    ap.add_argument("--long-rounds", type=int, default=3, help="of these with a prompt of 2048 and the passes of 1, 4 and 8 rows")
    ap.add_argument("-t", type=int, default=os.cpu_count(), help="threads of every engine")
    ap.add_argument("--mb", type=int, default=1000, help="memory that is read for the roof; far above the last cache")
    ap.add_argument("--ours", default="build/outrider")
    ap.add_argument("--out", type=pathlib.Path)
    ap.add_argument("--show", nargs="+", type=pathlib.Path, metavar="FILE")
    a = ap.parse_args()
    kept = {"machine": machine(a.t), "models": {}}
    for f in a.show or ([a.out] if a.out and a.out.exists() else []):
        old = json.loads(f.read_text())
        kept = {"machine": old["machine"], "models": kept["models"] | old["models"]}
    if not a.show:
        measure(a, kept)
    if kept["models"]:
        show(kept)


if __name__ == "__main__":
    main()
