#!/usr/bin/env python3
"""Claim B of methods/09: does a deep draft cost more than a wide one of equal bytes? (On GPUs it does.)

    shape_study.py PROGRAM FOLDER [--shapes 8x256,2x512] [--types F32,Q8_0] [-t 1,2] [--rounds 3]

Two llama models of random weights, LAYERSxWIDTH, with a feed-forward part of three widths, heads of 64 and the vocabulary of
--like, whose layers have equal bytes; the head is the embedding, and wider with the model, so t_d (a pass of one row, `bench
forward`, its median) is shown whole, and without the head and the other work outside of the layers. Deep and wide are measured
in turn; the ratio is of the medians of all rounds. The models are made in FOLDER (0.6 GB) and stay: remove them afterwards.
No training: what a draft accepts is another matter. About 2 minutes on a quiet machine for each pair of shapes. The default
pair fits most last caches; --shapes 32x512,8x1024 (1.6 GB) does not fit small ones.
"""
import argparse
import array
import json
import os
import random
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import make_synthetic as gguf  # noqa: E402

D_HEAD, F32 = 64, 0
KINDS = {"F32": 0, "F16": 1, "Q8_0": 8, "Q4_0": 2, "Q4_1": 3}
BODY = ("pack", "qkv", "append", "attention", "output", "gate_up", "down")


def values_of(layers, width):
    """Weights of the layers' matrices: q, k, v, o, and three of the feed-forward part."""
    return layers * (4 * width * width + 3 * width * 3 * width)


def tensors(layers, width, n_vocab, noise):
    def random_values(rows, cols):
        n, at = 4 * rows * cols, 4 * random.randrange(4096)
        return (noise * (1 + (n + at) // len(noise)))[at:at + n]

    ones = array.array("f", [1.0] * width).tobytes()
    yield "token_embd.weight", (width, n_vocab), F32, random_values(n_vocab, width)
    yield "output_norm.weight", (width,), F32, ones
    for i in range(layers):
        for name, rows, cols in (("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width),
                                 ("attn_output", width, width), ("ffn_gate", 3 * width, width), ("ffn_up", 3 * width, width),
                                 ("ffn_down", width, 3 * width)):
            yield f"blk.{i}.{name}.weight", (cols, rows), F32, random_values(rows, cols)
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{i}.{name}.weight", (width,), F32, ones


def make(path, layers, width, like):
    """A file of this shape, with the keys of `like` (of architecture llama) for all else."""
    keys = dict(like.keys)
    u32 = lambda x: (gguf.U32, struct.pack("<I", x))
    keys["general.name"] = (gguf.STR, gguf.text(f"random weights, {layers} layers of {width}"))
    for key, value in (("block_count", layers), ("embedding_length", width), ("feed_forward_length", 3 * width),
                       ("attention.head_count", width // D_HEAD), ("attention.head_count_kv", width // D_HEAD),
                       ("rope.dimension_count", D_HEAD)):
        keys["llama." + key] = u32(value)
    keys["general.file_type"] = u32(0)
    n_vocab = struct.unpack("<I", like.keys["llama.vocab_size"][1])[0]
    noise = array.array("f", (random.gauss(0, 0.02) for _ in range(1 << 18))).tobytes()
    gguf.write(path, keys, list(tensors(layers, width, n_vocab, noise)), like.alignment)


def measure(o, path, threads):
    """ms of a pass of one row, and of this what its layers take."""
    done = subprocess.run([o.program, "bench", "forward", "-m", path, "--ctx", "256", "--mb", "0", "--passes", str(o.passes),
                           "-t", str(threads), "--json"], stdout=subprocess.PIPE, text=True, check=True)
    row = json.loads(done.stdout)["contexts"][0]["rows"][0]
    phases, all_ms = row["phases_ms"], row["time"]["median_ms"]
    # barriers belong to both; the phases are minima, the pass a median: shares of it
    body = sum(phases[x] for x in BODY) / (sum(phases.values()) - phases["wait"])
    return all_ms, all_ms * body


def median(v):
    v = sorted(v)
    return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2


def self_check():
    assert values_of(8, 256) == values_of(2, 512) == 8 * 13 * 65536 and values_of(32, 512) == values_of(8, 1024)
    assert values_of(1, 64) == sum(d[0] * d[1] for n, d, _, _ in tensors(1, 64, 10, bytes(1 << 16)) if len(d) == 2) - 640
    assert all(len(b) == 4 * d[0] * (d[1] if len(d) > 1 else 1) for _, d, _, b in tensors(1, 64, 10, bytes(1 << 16)))


def study(o, shapes):
    like = gguf.Reader(o.like)
    print("type  threads   shape    layers MB   t_d ms   of it layers    ratio deep/wide: layers, whole")
    for kind in o.types.split(","):
        files = []
        for layers, width in shapes:
            base = f"{o.folder}/random-{layers}x{width}"
            if not os.path.exists(f"{base}-F32.gguf"):
                random.seed(layers)
                make(f"{base}-F32.gguf", layers, width, like)
            if not os.path.exists(f"{base}-{kind}.gguf"):
                subprocess.run([o.program, "quantize", f"{base}-F32.gguf", f"{base}-{kind}.gguf", kind], check=True,
                               stdout=subprocess.DEVNULL)
            files.append(f"{base}-{kind}.gguf")
        for threads in o.t.split(","):
            t = [[], []]
            for i in range(2 * o.rounds):
                k = (i + i // 2) % 2  # deep wide wide deep ...
                t[k].append(measure(o, files[k], threads))
            whole, body = [[median([x[j] for x in v]) for v in t] for j in (0, 1)]
            for k, (layers, width) in enumerate(shapes):
                n, n_bytes = gguf.BLOCKS[KINDS[kind]]
                mb = values_of(layers, width) // n * n_bytes / 1e6
                tail = f"   {body[0] / body[1]:8.3f} {whole[0] / whole[1]:8.3f}" if k else ""
                print(f"{kind:<5} {threads:>7} {layers:>4}x{width:<6} {mb:9.1f} {whole[k]:8.3f} {body[k]:14.3f}{tail}", flush=True)
    print("methods/09 expects about 1 (0.9 to 1.2) on a CPU, and at least 2 on a GPU")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program", nargs="?", help="build/outrider")
    p.add_argument("folder", nargs="?", help="of the models")
    p.add_argument("--shapes", default="8x256,2x512", help="deep, wide")
    p.add_argument("--types", default="F32,Q8_0")
    p.add_argument("-t", default="1,2", help="threads")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--passes", type=int, default=15, help="of bench forward (15)")
    p.add_argument("--like", default=os.path.expanduser("~/.cache/outrider/SmolLM2-135M-Instruct-Q4_0.gguf"))
    p.add_argument("--self-check", action="store_true", help="sizes on values computed by hand")
    o = p.parse_args()
    self_check()
    if o.self_check:
        return print("shape_study: sizes are right")
    if not o.program or not o.folder:
        p.error("PROGRAM and FOLDER are needed")
    shapes = [tuple(int(x) for x in s.split("x")) for s in o.shapes.split(",")]
    if len(shapes) != 2 or any(w % D_HEAD for _, w in shapes) or values_of(*shapes[0]) != values_of(*shapes[1]):
        p.error("--shapes: two of equal bytes, widths multiples of 64")
    os.makedirs(o.folder, exist_ok=True)
    study(o, shapes)


if __name__ == "__main__":
    sys.exit(main())
