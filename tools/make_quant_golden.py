#!/usr/bin/env python3
"""Floats to blocks, by the PyPI gguf package: the oracle of src/load/quant.c and of `outrider quantize`.

    pip install gguf
    python3 tools/make_quant_golden.py tests/golden/quant.golden        writes the golden file of test_quantize.c
    python3 tools/make_quant_golden.py --compare [SEED [BLOCKS]]        compares src/load/quant.c live (needs cc)
    python3 tools/make_quant_golden.py --ggml LIB [SEED [BLOCKS]]       the same against ggml itself (libggml-base.so)
    python3 tools/make_quant_golden.py --files IN OUT                   checks OUT, that `outrider quantize IN OUT TYPE` made:
                                                                        keys, order, and the bytes of every tensor

Blocks are 32 floats from splitmix64, of four kinds in turn: whole multiples of a power of two; few small values, so that many
lie on ties; random mantissas and exponents; a large value among small ones. Scales run from 2^-50 (the block's own scale
becomes a denormal half, or zero) to 2^0. The golden file holds one FNV-1a hash over the bytes of each group of blocks.
test_quantize.c makes the same floats.
"""
import ctypes
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

try:
    import gguf
    from gguf.quants import dequantize, quantize
except ImportError:
    print("SKIPPED: the PyPI package gguf is not installed")
    sys.exit(0)

GOLDEN_SEED = 20250714
N_GROUPS, GROUP = 32, 64
TYPES = {"F16": (1, 64), "BF16": (30, 64), "Q8_0": (8, 34), "Q4_0": (2, 18), "Q4_1": (3, 20)}  # number, bytes of 32 values
SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")


def splitmix64(seed, n):
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return z ^ (z >> np.uint64(31))


def make_floats(seed, n):
    """[n, 32] float32; every operation is exact."""
    w = splitmix64(seed, n * 32).reshape(n, 32)
    i = np.arange(n)[:, None]
    whole = (w & np.uint64(0xffff)).astype(np.int64) - 32768
    scale = np.exp2((i // 4 % 51) - 50.0)
    x = whole * scale
    few = np.array([17, 31, 255])[(i // 4 + i // 204) % 3]  # with the largest there, halves of it are ties of Q4_0, Q4_1, Q8_0
    x = np.where(i % 4 == 1, np.where(np.arange(32) == 0, few - 1, whole % few) * (scale / 2), x)
    bits = (w & np.uint64(0x807fffff)) | ((w >> np.uint64(32)) % np.uint64(40) + np.uint64(96)) << np.uint64(23)
    x = np.where(i % 4 == 2, bits.astype(np.uint32).view(np.float32).astype(np.float64), x)
    x = np.where(i % 4 == 3, np.where(np.arange(32) == w[:, :1] % np.uint64(32), whole, whole % 5) * scale, x)
    return np.ascontiguousarray(x, dtype=np.float32)


def oracle(number, x):
    return quantize(x, gguf.GGMLQuantizationType(number)).view(np.uint8).reshape(len(x), -1)


def write_golden(path):
    x = make_floats(GOLDEN_SEED, N_GROUPS * GROUP)
    with open(path, "w", encoding="ascii") as f:
        f.write(f"# outrider-golden v1 floats to blocks, by gguf {version()}: a hash of the bytes of each group of blocks\n")
        f.write("# made by: python3 tools/make_quant_golden.py tests/golden/quant.golden\n")
        f.write(f"seed {GOLDEN_SEED} groups {N_GROUPS} of {GROUP}\n")
        for name, (number, size) in TYPES.items():
            f.write(f"type {name} {number} {size}\n")
            for group in oracle(number, x).reshape(N_GROUPS, -1):
                h = 0xcbf29ce484222325
                for byte in group:
                    h = (h ^ int(byte)) * 0x100000001b3 & 0xffffffffffffffff
                f.write(f"{h:016x}\n")


def version():
    from importlib.metadata import version as of
    return of("gguf")


def ggml_oracle(lib, name, x):
    out = np.empty((len(x), TYPES[name][1]), dtype=np.uint8)
    f = getattr(lib, {"F16": "ggml_fp32_to_fp16_row", "BF16": "ggml_fp32_to_bf16_row_ref"}.get(name, f"quantize_row_{name.lower()}_ref"))
    f.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    f.restype = None
    f(x.ctypes.data, out.ctypes.data, x.size)
    return out


def compare(seed, n, ggml):
    root = pathlib.Path(__file__).resolve().parent.parent
    lib = ctypes.CDLL(ggml) if ggml else None
    x = make_floats(seed, n)
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        so = f"{tmp}/quant.so"
        subprocess.run(["cc", "-std=gnu11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-I{root}/src", f"-I{root}/include",
                        f"{root}/src/load/quant.c", "-o", so, "-lm"], check=True)
        ours = ctypes.CDLL(so).quant_row
        ours.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        ours.restype = ctypes.c_bool
        for name, (number, size) in TYPES.items():
            out = np.empty((n, size), dtype=np.uint8)
            fits = ours(number, out.ctypes.data, x.ctypes.data, x.size)
            want = ggml_oracle(lib, name, x) if lib else oracle(number, x)
            differ = int((out != want).any(axis=1).sum())
            print(f"{name}: {n} blocks, {differ} differ from {'ggml' if lib else 'gguf ' + version()}")
            bad += differ > 0 or not fits
    print(f"{len(TYPES) - bad} passed, {bad} failed (seed {seed})")
    return 1 if bad else 0


def check_files(path_in, path_out):
    a, b = gguf.GGUFReader(path_in), gguf.GGUFReader(path_out)
    bad = []
    changed = ("general.file_type", "general.quantization_version")
    keys = [[k for k in r.fields if not k.startswith("GGUF.") and k not in SPLIT_KEYS + changed] for r in (a, b)]
    if keys[0] != keys[1]:
        bad.append("the keys are others, or in another order")
    bad += [f"key {k}" for k in keys[0] if k in b.fields and a.fields[k].contents() != b.fields[k].contents()]
    if [t.name for t in a.tensors] != [t.name for t in b.tensors]:
        bad.append("the tensors are others, or in another order")
    for s, t in zip(a.tensors, b.tensors):
        want = s.data if s.tensor_type == t.tensor_type else quantize(dequantize(s.data, s.tensor_type), t.tensor_type)
        if list(s.shape) != list(t.shape) or want.tobytes() != t.data.tobytes():
            bad.append(f"tensor {t.name}")
    print("\n".join(bad[:20] + [f"{len(a.tensors)} tensors, {len(keys[0])} keys: {len(bad)} differ"]))
    return 1 if bad else 0


def main(args):
    if len(args) == 3 and args[0] == "--files":
        return check_files(args[1], args[2])
    ggml = args[1] if len(args) > 1 and args[0] == "--ggml" else None
    if ggml or (args and args[0] == "--compare"):
        rest = args[2:] if ggml else args[1:]
        return compare(int(rest[0]) if rest else 1, int(rest[1]) if len(rest) > 1 else 100000, ggml)
    if len(args) != 1:
        sys.exit(__doc__)
    return write_golden(args[0])


if __name__ == "__main__":
    with np.errstate(over="ignore"):
        sys.exit(main(sys.argv[1:]))
