#!/usr/bin/env python3
"""Speculation of Outrider beside that of llama.cpp and ik_llama.cpp: the same prompts, greedy, prompt by prompt in turn.

    spec_side.py [-m MODEL.gguf] [--out FILE] [--seconds N] [--only WORD]... [--prompts A:B]     measures, prints the table
    spec_side.py --show FILE                                                                     prints what was kept

Prompts, settings and the peers' servers are those of ../shared/tools/side_by_side.py (with llama.cpp's ngram-cache, which it
lacks); Outrider is `run --json`, a process for each reply. --out keeps what was measured as JSON after each prompt, and a file
that is there is continued, so that a run may be cut into pieces: --seconds ends one before a prompt that might not fit, --only
names engines or settings. A server meets each prompt once and keeps what it learnt until the piece ends. Ours keeps no text, and
for --pairs repeats of a prompt its folder of measured times is put back to what it was before the prompt.
Equal: the reply, token by token (ik_llama.cpp: its text), is that of the same engine's own plain decoding. Ratios are of decode
time against that plain decoding; the worst prompt is among those with more than 20 tokens. Read next: spec.sh.
"""
import argparse, contextlib, hashlib, importlib.util, json, os, pathlib, shutil, signal, statistics, subprocess, sys
import tempfile, time
import measure

TOOL = pathlib.Path("../shared/tools/side_by_side.py")
MODEL = measure.MODELS / "SmolLM2-135M-Instruct-Q4_1.gguf"
LEAST_TOKENS = 20  # as the tool: shorter replies say nothing about a ratio
WARM_UP = "<|im_start|>user\nName three rivers of Europe.<|im_end|>\n<|im_start|>assistant\n"


def load_tool():
    spec = importlib.util.spec_from_file_location("side_by_side", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


class Ours:
    """`outrider run --json`, with a cache folder of its own."""

    def __init__(self, a, flags, folder):
        self.cmd = [a.ours, "run", "-m", a.m, "-t", a.t, "-c", 4096, "--temp", 0, "--raw", "--json", "-n"]
        self.flags, self.env = flags, {**os.environ, "XDG_CACHE_HOME": folder}

    def reply(self, prompt, n):
        cmd = [str(c) for c in (*self.cmd, n, *self.flags, "-p", prompt)]
        r = subprocess.run(cmd, capture_output=True, text=True, env=self.env)
        if r.returncode:
            sys.exit(f"spec_side: error: {cmd[0]} run: exit {r.returncode}: {r.stderr.strip()[-300:]}")
        r = json.loads(r.stdout)
        return r["tokens"], {**r["timings"], "looping": r["looping"]}

    def close(self):
        pass


def settings(tool):
    """[(engine, setting, flags)]; an engine's plain decoding stands before its speculation."""
    s = {"ours": tool.SETTINGS["ours"][:2],  # none, auto
         "llama": tool.SETTINGS["llama"] + [("ngram-cache", ["--spec-type", "ngram-cache"])], "ik": tool.SETTINGS["ik"]}
    return [(e, name, flags) for e in s for name, flags in s[e]]


def wanted(all_settings, only):
    """Those that --only names, with the plain decoding of their engine."""
    hit = [s for s in all_settings if not only or any(w in (s[0], s[1], s[1].split()[0]) for w in only)]
    return [s for s in all_settings if s in hit or (s[1] == "none" and s[0] in {h[0] for h in hit})]


def start(a, tool, todo, folder, stack):
    """{(engine, setting): what replies}; a peer that is not built is skipped."""
    out, log = {}, stack.enter_context(open(os.devnull, "w"))
    for i, (e, name, flags) in enumerate(todo):
        if e == "ours":
            out[e, name] = Ours(a, flags, folder)
            continue
        at = {"llama": "llama.cpp", "ik": "ik_llama.cpp"}[e]
        program = measure.PEERS / at / "build/bin/llama-server"
        if not program.exists():
            print(f"SKIPPED: {e} {name}: {program} is not there", file=sys.stderr)
            continue
        out[e, name] = tool.Server(str(program), str(a.m), a.t, a.port + i, flags, log)
        stack.callback(out[e, name].close)
    return out


def turns(keys, pairs):
    """The order of one prompt: the peers in turn, and among them our pairs, evenly."""
    ours, peers = [k for k in keys if k[0] == "ours"], [k for k in keys if k[0] != "ours"]
    pairs = pairs if len(ours) > 1 else 1
    cut = [round(i * len(peers) / pairs) for i in range(pairs + 1)]
    for i in range(pairs):
        yield from ours if i % 2 == 0 else reversed(ours)
        yield from peers[cut[i]:cut[i + 1]]


def one_prompt(a, engines, prompt, folder):
    """{engine setting: [{sha, n, ms, drafted, accepted, looping}, ...]}"""
    rows, before = {}, folder + ".before"
    shutil.copytree(folder, before)
    for key in turns(engines, a.pairs):
        if key == ("ours", "auto"):
            shutil.rmtree(folder)
            shutil.copytree(before, folder)
        reply, t = engines[key].reply(prompt, a.n)
        rows.setdefault(" ".join(key), []).append(
            {"sha": hashlib.sha256(json.dumps(reply).encode()).hexdigest()[:16], "n": t["predicted_n"], "ms": t["predicted_ms"],
             "drafted": t.get("draft_n", 0), "accepted": t.get("draft_n_accepted", 0), "looping": t.get("looping", False)})
    shutil.rmtree(before)
    return rows


def across(prompts):
    """Numbered, and of each category in turn, so that a part of them is a fair sample."""
    seen, order = {}, []
    for i, (cat, text) in enumerate(prompts):
        seen[cat] = seen.get(cat, -1) + 1
        order.append((seen[cat], i, (cat, text)))
    return [(i, p) for _, i, p in sorted(order)]


def run(a, tool, kept):
    first, last = (int(x) if x else None for x in a.prompts.split(":"))
    left = [(i, *p) for i, p in across(tool.prompts())[first:last] if str(i) not in kept["prompts"]]
    if not left:
        return
    began, longest = time.monotonic(), 0.0
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory()) + "/cache"
        os.mkdir(folder)
        engines = start(a, tool, wanted(settings(tool), a.only), folder, stack)
        for e in engines.values():  # files read, memory touched, our plans made
            e.reply(WARM_UP, 64)
        for i, cat, text in left:
            at = time.monotonic()
            if a.seconds and at - began + 1.3 * longest > a.seconds:
                print(f"spec_side: stopped before prompt {i}; the same command goes on", file=sys.stderr)
                break
            prompt = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n" if a.template == "chatml" else text + "\n\n"
            kept["prompts"][str(i)] = {"category": cat, "rows": one_prompt(a, engines, prompt, folder)}
            longest = max(longest, time.monotonic() - at)
            print(f"prompt {i} ({cat}): {time.monotonic() - at:.1f} s", file=sys.stderr)
            if a.out:
                part = a.out.with_suffix(".part")
                part.write_text(json.dumps(kept))
                part.replace(a.out)


# ---- the table ----


def rate(rows):
    """tokens/s of [(n, ms)]"""
    return 1000 * sum(n for n, _ in rows) / max(1e-9, sum(ms for _, ms in rows))


def typical(runs):
    """(n, ms) of repeats"""
    return runs[0]["n"], statistics.median(r["ms"] for r in runs)


def pair_ratio(runs, plain):
    """Median over the pairs of one prompt; None for short replies"""
    if min(runs[0]["n"], plain[0]["n"]) <= LEAST_TOKENS:
        return None
    return statistics.median((r["n"] / r["ms"]) / (p["n"] / p["ms"]) for r, p in zip(runs, plain))


def figures(P, key, loops):
    """What the table says of one engine and setting"""
    ids = [i for i in P if key in P[i]["rows"]]
    runs = {i: P[i]["rows"][key] for i in ids}
    plain = {i: P[i]["rows"][key.split()[0] + " none"] for i in ids}
    mine, its = {i: typical(runs[i]) for i in ids}, {i: typical(plain[i]) for i in ids}
    cats = {c: [i for i in ids if P[i]["category"] == c] for c in dict.fromkeys(P[i]["category"] for i in ids)}
    return {"n": len(ids), "ratio": rate(mine.values()) / rate(its.values()),
            "speed": (rate(mine.values()), statistics.median(rate([r]) for r in mine.values()),
                      rate([mine[i] for i in ids if i not in loops])),
            "equal": sum(all(r["sha"] == plain[i][0]["sha"] for r in runs[i]) for i in ids),
            "ratios": {i: x for i in ids if (x := pair_ratio(runs[i], plain[i]))},
            "draft": [sum(runs[i][0][k] for i in ids) for k in ("drafted", "accepted")],
            "by": {c: rate([mine[i] for i in v]) / rate([its[i] for i in v]) for c, v in cats.items()}}


def show(kept):
    P, m = kept["prompts"], kept["machine"]
    loops = [i for i in P if any(r["looping"] for r in P[i]["rows"].get("ours none", []))]
    print("| engine, setting | tok/s | median prompt | without loops | x own plain | equal to own plain | worst prompt | "
          "median ratio | drafted, accepted | by category |\n" + "|---" * 10 + "|")
    F = {key: figures(P, key, loops) for key in next(iter(P.values()))["rows"]}
    for key, f in F.items():
        worst = min(f["ratios"], key=f["ratios"].get, default=None)
        at = f"{f['ratios'][worst]:.2f} (prompt {worst}) | {statistics.median(f['ratios'].values()):.2f}" if worst else "- | -"
        print(f"| {key} | " + " | ".join(f"{x:.1f}" for x in f["speed"]) + f" | {f['ratio']:.2f} | {f['equal']}/{f['n']} | "
              f"{at} | {f['draft'][0]}, {f['draft'][1]} | "
              + ", ".join(f"{c} {v:.2f}" for c, v in f["by"].items()) + " |")
    named = ", ".join(f"{i} ({P[i]['category']})" for i in loops) or "none"
    print(f"\n{m['cpu']}, {m['threads']} threads, commit {m['commit']}, {m['date']}, {kept['model']}, {kept['n']} tokens; "
          f"our pairs a prompt: {kept['pairs']}\nreplies that loop (our plain ones): {named}")
    theirs = [f["speed"] for key, f in F.items() if not key.startswith("ours")]
    if "ours auto" in F and theirs:
        r = [o / max(1e-9, *t) for o, t in zip(F["ours auto"]["speed"], zip(*theirs))]
        print(f"ours auto / best of theirs: {r[0]:.2f} of all tokens, {r[1]:.2f} of medians, {r[2]:.2f} without loops")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-m", type=pathlib.Path, default=MODEL)
    ap.add_argument("-n", type=int, default=128, help="tokens of a reply, at most")
    ap.add_argument("-t", type=int, default=os.cpu_count(), help="threads of every engine")
    ap.add_argument("--pairs", type=int, default=3, help="of our plain and drafted replies to each prompt")
    ap.add_argument("--only", action="append", metavar="WORD", help="an engine (ours, llama, ik) or setting; may be repeated")
    ap.add_argument("--prompts", default=":", metavar="A:B", help="a range of the 32")
    ap.add_argument("--seconds", type=float, help="end before a prompt that might take longer")
    ap.add_argument("--template", choices=["chatml", "none"], default="chatml")
    ap.add_argument("--port", type=int, default=18400)
    ap.add_argument("--ours", default="build/outrider")
    ap.add_argument("--out", type=pathlib.Path)
    ap.add_argument("--show", type=pathlib.Path, metavar="FILE")
    a = ap.parse_args()
    if not TOOL.exists():
        return print(f"SKIPPED: {TOOL} is not there")
    tool = load_tool()
    same = {"model": a.m.name, "n": a.n, "pairs": a.pairs, "only": a.only}
    kept = {"machine": measure.machine(a.t), **same, "prompts": {}}
    old = a.show or a.out
    if old and old.exists():
        kept = json.loads(old.read_text())
        if not a.show and same != {k: kept[k] for k in same}:
            sys.exit(f"spec_side: error: {old} holds a run with other flags")
    if not a.show:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with us
        run(a, tool, kept)
    if kept["prompts"]:
        show(kept)


if __name__ == "__main__":
    main()
