#!/usr/bin/env python3
"""Makes tests/golden/sampler.txt: what other people's samplers keep, and with which probabilities.

    python3 tools/make_sampler_golden.py MODEL.gguf > tests/golden/sampler.txt

Needs the PyPI packages transformers (with torch) and llama-cpp-python. MODEL.gguf: SmolLM2-135M-Instruct; only its
vocabulary is used, because llama.cpp names DRY's sequence breakers by strings.

Three oracles:
  hf      the LogitsProcessors and LogitsWarpers of transformers, one after the other in our order of the chain
  llama   the samplers of llama.cpp, likewise
  dry     DRY straight from its description (text-generation-webui pull 5677), quadratic, in this file; no other station

Known differences, which the cases avoid: transformers keeps all ties at top-k's and typical's border (we: lowest ids, and
whole ties); llama.cpp sums in float and stops typical at > p (we: double, >= p), and its typical computes 0 * log 0 = NaN
where a probability is 0, so that no case of it has bans or DRY there. Logits are distinct multiples of 1/256, and a case
stays out if its kept set changes when a threshold moves by 1e-4.
"""
import ctypes
import math
import random
import sys

import llama_cpp as lc
import torch
import transformers as tf

SEED = 20250301
OFF = dict(temp=1.0, top_k=0, top_p=1.0, min_p=0.0, typical=1.0, last_n=0, repeat=1.0, freq=0.0, presence=0.0,
           dry_mult=0.0, dry_base=1.75, dry_allowed=2, dry_last_n=-1)
THRESHOLDS = ("top_p", "min_p", "typical")


def softmax(logits):
    """{id: logit} to {id: probability}."""
    top = max(logits.values())
    w = {i: math.exp(x - top) for i, x in logits.items()}
    z = sum(w.values())
    return {i: x / z for i, x in w.items()}


def run_hf(c, s):
    ids = torch.tensor([c["hist"]], dtype=torch.long)
    x = torch.tensor([c["logits"]], dtype=torch.float32)
    chain = []
    if s["repeat"] != 1.0:
        chain.append(tf.RepetitionPenaltyLogitsProcessor(s["repeat"]))
    if c["bias"]:
        chain.append(tf.SequenceBiasLogitsProcessor([[[i], b] for i, b in c["bias"]]))
    if s["top_k"]:
        chain.append(tf.TopKLogitsWarper(s["top_k"]))
    if s["typical"] < 1:
        chain.append(tf.TypicalLogitsWarper(mass=s["typical"]))
    if s["top_p"] < 1:
        chain.append(tf.TopPLogitsWarper(s["top_p"]))
    if s["min_p"] > 0:
        chain.append(tf.MinPLogitsWarper(s["min_p"]))
    chain.append(tf.TemperatureLogitsWarper(s["temp"]))
    for step in chain:
        x = step(ids, x)
    return softmax({i: v for i, v in enumerate(x[0].double().tolist()) if v > -math.inf})


def run_llama(c, s):
    chain = lc.llama_sampler_chain_init(lc.llama_sampler_chain_default_params())

    def add(sampler):
        lc.llama_sampler_chain_add(chain, sampler)

    def window(n):
        return len(c["hist"]) if n < 0 else n

    n = len(c["logits"])
    add(lc.llama_sampler_init_penalties(n, window(s["last_n"]), s["repeat"], s["freq"], s["presence"]))
    breakers = [ctypes.create_string_buffer(b.encode()) for b in c["breaker_text"]]
    names = (ctypes.c_char_p * max(len(breakers), 1))(*[ctypes.cast(b, ctypes.c_char_p) for b in breakers])
    add(lc.llama_sampler_init_dry(VOCAB, s["dry_mult"], s["dry_base"], s["dry_allowed"], window(s["dry_last_n"]), names,
                                  len(breakers)))
    bias = (lc.llama_logit_bias * max(len(c["bias"]), 1))(*[lc.llama_logit_bias(i, b) for i, b in c["bias"]])
    add(lc.llama_sampler_init_logit_bias(n, len(c["bias"]), bias))
    add(lc.llama_sampler_init_top_k(s["top_k"]))
    add(lc.llama_sampler_init_typical(s["typical"], 1))
    add(lc.llama_sampler_init_top_p(s["top_p"], 1))
    add(lc.llama_sampler_init_min_p(s["min_p"], 1))
    add(lc.llama_sampler_init_temp(s["temp"]))
    for t in c["hist"]:
        lc.llama_sampler_accept(chain, t)
    data = (lc.llama_token_data * n)(*[lc.llama_token_data(i, x, 0.0) for i, x in enumerate(c["logits"])])
    arr = lc.llama_token_data_array(data, n, -1, False)
    lc.llama_sampler_apply(chain, ctypes.byref(arr))
    out = {arr.data[i].id: arr.data[i].logit for i in range(arr.size) if arr.data[i].logit > -math.inf}
    lc.llama_sampler_free(chain)
    return softmax(out)


def run_dry(c, s):
    hist = c["hist"] if s["dry_last_n"] < 0 else c["hist"][max(0, len(c["hist"]) - s["dry_last_n"]):]
    longest = {}
    for t in range(1, len(hist)):  # hist[t] came once; would it come again now?
        n = 0
        while n < t and hist[-1 - n] == hist[t - 1 - n] and hist[-1 - n] not in c["breakers"]:
            n += 1
        if hist[t] not in c["breakers"]:
            longest[hist[t]] = max(longest.get(hist[t], 0), n)
    x = dict(enumerate(c["logits"]))
    for t, n in longest.items():
        if n >= s["dry_allowed"]:
            x[t] -= s["dry_mult"] * s["dry_base"] ** (n - s["dry_allowed"])
    return softmax(x)


ORACLES = {"hf": run_hf, "llama": run_llama, "dry": run_dry}


def stable(run, c, s, kept):
    """The kept set is the same when any threshold moves a little."""
    for name in THRESHOLDS:
        if s[name] == OFF[name]:
            continue
        for eps in (-1e-4, 1e-4):
            if set(run(c, {**s, name: s[name] + eps})) != kept:
                return False
    return True


def logits_of(r, n):
    """Distinct multiples of 1/256, shaped like a model's: a few large, many small."""
    scale = r.choice((2.0, 4.0, 8.0))
    seen = set()
    while len(seen) < n:
        seen.add(round(r.gauss(-2.0, scale) * 256))
    return [x / 256 for x in r.sample(sorted(seen), n)]


def history_of(r, n_vocab, n):
    """Text that repeats itself: new tokens, and copies of what was there."""
    hist = []
    alphabet = r.choice((3, 8, n_vocab))
    while len(hist) < n:
        if hist and r.random() < 0.4:
            at, k = r.randrange(len(hist)), r.randint(1, 24)
            hist += hist[at:at + k]
        else:
            hist.append(r.randrange(alphabet))
    return hist[:n]


def draw_case(r, oracle):
    n_vocab = r.randint(48, 180)
    c = dict(logits=logits_of(r, n_vocab), hist=history_of(r, n_vocab, r.randint(1, 120)), bias=[], breakers=[],
             breaker_text=[])
    s = dict(OFF, temp=r.choice((0.3, 0.7, 1.0, 1.5)))
    if oracle == "dry":
        c["hist"] = history_of(r, n_vocab, r.randint(1, 400))
        c["breakers"] = sorted(r.sample(range(n_vocab), r.choice((0, 1, 3, 20))))
        s.update(temp=1.0, dry_mult=r.choice((0.1, 0.8)), dry_base=r.choice((1.0, 1.1, 1.2)), dry_allowed=r.randint(1, 6),
                 dry_last_n=r.choice((-1, 7, 50, 1000)))
        return c, s
    if r.random() < 0.5:
        s["top_k"] = r.choice((1, 3, 10, 40, 500))
    if r.random() < 0.5:
        s["typical"] = r.choice((0.2, 0.5, 0.9, 0.99))
    if r.random() < 0.5:
        s["top_p"] = r.choice((0.1, 0.5, 0.9, 0.99))
    if r.random() < 0.5:
        s["min_p"] = r.choice((0.002, 0.05, 0.3))
    if r.random() < 0.5:
        s.update(repeat=r.choice((0.8, 1.1, 1.5)), last_n=-1)
    if r.random() < 0.4:
        c["bias"] = [(i, r.choice((-3.5, 2.25, -math.inf))) for i in r.sample(range(n_vocab), 3)]
    if oracle == "llama":
        if s["typical"] < 1:
            c["bias"] = [(i, b) for i, b in c["bias"] if b > -math.inf]
        if r.random() < 0.5:
            s.update(freq=r.choice((-0.25, 0.5)), presence=r.choice((0.0, 0.75)), last_n=r.choice((-1, 1, 20, 64)))
        if r.random() < 0.6 and s["typical"] == 1:
            s.update(dry_mult=r.choice((0.5, 0.8)), dry_base=r.choice((1.1, 1.75)), dry_allowed=r.randint(1, 4),
                     dry_last_n=r.choice((-1, 16, 60)))
            if r.random() < 0.5:
                c["breaker_text"] = ["e", "7"]
                c["breakers"] = [i for i in range(n_vocab) if any(b in piece(i) for b in c["breaker_text"])]
    return c, s


def piece(i):
    buf = ctypes.create_string_buffer(64)
    n = lc.llama_token_to_piece(VOCAB, i, buf, 64, 0, True)
    return buf.raw[:n].decode(errors="replace")


def put(oracle, c, s, kept):
    order = sorted(kept, key=lambda i: (-kept[i], i))
    print("case", oracle, len(c["logits"]), len(c["hist"]), len(c["bias"]), len(c["breakers"]), len(order))
    print(" ".join(f"{s[k]:g}" for k in OFF))
    print("hist", *c["hist"])
    print("bias", *[f"{i} {b:g}" for i, b in c["bias"]])
    print("breakers", *c["breakers"])
    print("logits", *[round(x * 256) for x in c["logits"]])
    print("kept", *[f"{i} {kept[i]:.7g}" for i in order])


def main():
    global VOCAB
    lc.llama_backend_init()
    params = lc.llama_model_default_params()
    params.vocab_only = True
    VOCAB = lc.llama_model_get_vocab(lc.llama_model_load_from_file(sys.argv[1].encode(), params))
    print("# outrider-golden v1 sampler: kept tokens and their probabilities")
    print(f"# made by tools/make_sampler_golden.py: transformers {tf.__version__}, llama-cpp-python {lc.__version__}; seed",
          SEED)
    print("# case: oracle n_vocab n_hist n_bias n_breakers n_kept; then", " ".join(OFF), "; logits are in 1/256")
    r = random.Random(SEED)
    for oracle, n in (("hf", 40), ("llama", 60), ("dry", 40)):
        run = ORACLES[oracle]
        done = 0
        while done < n:
            c, s = draw_case(r, oracle)
            kept = run(c, s)
            if stable(run, c, s, set(kept)):
                put(oracle, c, s, kept)
                done += 1


if __name__ == "__main__":
    main()
