#!/usr/bin/env python3
"""What blocks mean, by the PyPI gguf package: the oracle of src/load/dequant.c.

    pip install gguf
    python3 tools/make_dequant_golden.py tests/golden/dequant.golden    writes the golden file of test_dequant.c
    python3 tools/make_dequant_golden.py --compare [SEED [BLOCKS]]      compares src/load/dequant.c live (needs cc)

The blocks are random bytes (splitmix64), but their scales and minimums run through all pairs of 16 extreme halves: zeros,
denormals, the largest, infinities, NaNs. Every half and every bfloat16 is tried. The golden file holds the block
sizes of all types, and a hash of the output of each block: FNV-1a over the 32-bit words of the floats, NaNs as 7fc00000. test_dequant.c makes the same bytes.
"""
import ctypes
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

try:
    import gguf
    from gguf.quants import dequantize
except ImportError:
    print("SKIPPED: the PyPI package gguf is not installed")
    sys.exit(0)

GOLDEN_SEED = 20250712
N_BLOCKS = 256
HALVES = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff,
                   0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff, 0x3c00, 0xb555, 0x1234], dtype="<u2")
FLOATS = np.array([0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
                   0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff, 0x3f800000, 0xbeaaaaab, 0x12345678], dtype="<u4")
# type: number in the file, values and bytes of a block, offsets of its halves
TYPES = {"F32": (0, 32, 128, ()), "F16": (1, 256, 512, ()), "BF16": (30, 256, 512, ()),
         "Q4_0": (2, 32, 18, (0,)), "Q4_1": (3, 32, 20, (0, 2)), "Q5_0": (6, 32, 22, (0,)), "Q5_1": (7, 32, 24, (0, 2)),
         "Q8_0": (8, 32, 34, (0,)), "Q4_K": (12, 256, 144, (0, 2)), "Q5_K": (13, 256, 176, (0, 2)), "Q6_K": (14, 256, 210, (208,))}


def splitmix64(seed, n):
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return z ^ (z >> np.uint64(31))


def make_blocks(name, seed, n):
    """[n, bytes] uint8. F16 and BF16: all 65536 values in order. F32: the first value of a block is a special one."""
    number, _, size, halves = TYPES[name]
    if name in ("F16", "BF16"):
        return (np.arange(n * size // 2, dtype=np.uint32) & 0xffff).astype("<u2").view(np.uint8).reshape(n, size)
    words = (size + 7) // 8
    b = splitmix64(seed + number, n * words).astype("<u8").view(np.uint8).reshape(n, words * 8)[:, :size].copy()
    i = np.arange(n)
    if name == "F32":
        b[:, :4] = FLOATS[i % 16].view(np.uint8).reshape(n, 4)
    for k, at in enumerate(halves):
        b[:, at:at + 2] = HALVES[(i // 16 ** k) % 16].view(np.uint8).reshape(n, 2)
    return b


def canonical(x):
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32).copy()
    bits[(bits & 0x7fffffff) > 0x7f800000] = 0x7fc00000
    return bits


def oracle(name, blocks):
    n = len(blocks)
    with np.errstate(all="ignore"):
        return canonical(dequantize(blocks, gguf.GGMLQuantizationType[name])).reshape(n, -1)


def hashes(bits):
    h = np.full(len(bits), 0xcbf29ce484222325, dtype=np.uint64)
    for k in range(bits.shape[1]):
        h = (h ^ bits[:, k].astype(np.uint64)) * np.uint64(0x100000001b3)
    return h


def write_golden(path):
    with open(path, "w", encoding="ascii") as f:
        f.write(f"# outrider-golden v1 blocks to floats, by gguf {version()}: a hash of the floats of each block\n")
        f.write("# made by: python3 tools/make_dequant_golden.py tests/golden/dequant.golden\n")
        f.write(f"seed {GOLDEN_SEED}\n")
        for t, (values, size) in gguf.GGML_QUANT_SIZES.items():
            f.write(f"size {t.name} {int(t)} {values} {size}\n")
        for name, (number, values, size, _) in TYPES.items():
            f.write(f"type {name} {number} {values} {size} {N_BLOCKS}\n")
            for h in hashes(oracle(name, make_blocks(name, GOLDEN_SEED, N_BLOCKS))):
                f.write(f"{int(h):016x}\n")


def version():
    from importlib.metadata import version as of
    return of("gguf")


def compare(seed, n):
    root = pathlib.Path(__file__).resolve().parent.parent
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        lib = f"{tmp}/dequant.so"
        subprocess.run(["cc", "-std=gnu11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-I{root}/src", f"-I{root}/include",
                        f"{root}/src/load/dequant.c", "-o", lib], check=True)
        ours = ctypes.CDLL(lib).dequant_row
        ours.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        for name, (number, values, _, _) in TYPES.items():
            blocks = make_blocks(name, seed, n)
            out = np.empty((n, values), dtype=np.float32)
            ours(number, out.ctypes.data, blocks.ctypes.data, out.size)
            differ = int((canonical(out) != oracle(name, blocks)).sum())
            print(f"{name}: {out.size} values, {differ} differ from gguf {version()}")
            bad += differ > 0
    print(f"{len(TYPES) - bad} passed, {bad} failed (seed {seed})")
    return 1 if bad else 0


if __name__ == "__main__":
    with np.errstate(over="ignore"):
        if len(sys.argv) >= 2 and sys.argv[1] == "--compare":
            sys.exit(compare(int(sys.argv[2]) if len(sys.argv) > 2 else 1, int(sys.argv[3]) if len(sys.argv) > 3 else 20000))
        if len(sys.argv) != 2:
            sys.exit(__doc__)
        write_golden(sys.argv[1])
