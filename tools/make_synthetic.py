#!/usr/bin/env python3
"""A model of any size that computes the same function as a small one: to look at large targets on a small machine.

    python3 tools/make_synthetic.py IN OUT --gb 1.0       as many blocks as bring the file to 1.0e9 bytes or just over
    python3 tools/make_synthetic.py IN OUT --blocks 4     four blocks more

The appended blocks are copies of the model's own, in turn, but for their output projections (attn_output, ffn_down): those are
zero, so each such block adds zero to the residual stream, at the full price in time and memory. Types are kept, tensor by tensor.
The name of the model says "synthetic". OUT appears whole or not at all. Only Python's own library is needed.
"""
import argparse
import os
import re
import struct
import sys

U32, STR, ARR = 4, 8, 9
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# SRC: GGML_QUANT_SIZES of the PyPI gguf package. All of these are 0 where their bytes are (scales and minimums of 0).
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 12: (256, 144), 13: (256, 176),
          14: (256, 210), 30: (1, 2)}
ZERO = ("attn_output.weight", "ffn_down.weight", "attn_output.bias", "ffn_down.bias")
MAX_BLOCKS = 1024  # src/load/arch.c


class Reader:
    def __init__(self, path):
        self.b, self.at = memoryview(open(path, "rb").read()), 0
        if bytes(self.b[:4]) != b"GGUF":
            sys.exit(f"{path} is no GGUF file")
        self.at = 4
        version, n_tensors, n_keys = self.take("<IQQ")
        if version not in (2, 3):
            sys.exit(f"{path} has GGUF version {version}, expected 2 or 3")
        self.keys = dict(self.key() for _ in range(n_keys))  # name: (type, bytes of the value)
        self.infos = [self.info() for _ in range(n_tensors)]
        self.alignment = struct.unpack("<I", self.keys.get("general.alignment", (U32, b"\x20\0\0\0"))[1])[0]
        start = self.at + -self.at % self.alignment
        self.tensors = [(name, dims, kind, self.b[start + offset:start + offset + size(dims, kind)])
                        for name, dims, kind, offset in self.infos]

    def take(self, fmt):
        v = struct.unpack_from(fmt, self.b, self.at)
        self.at += struct.calcsize(fmt)
        return v

    def string(self):
        n, = self.take("<Q")
        self.at += n
        return bytes(self.b[self.at - n:self.at])

    def key(self):
        name = self.string().decode()
        kind, = self.take("<I")
        start = self.at
        if kind == STR:
            self.string()
        elif kind == ARR:
            of, n = self.take("<IQ")
            if of == STR:
                for _ in range(n):
                    self.string()
            else:
                self.at += n * SCALARS[of]
        else:
            self.at += SCALARS[kind]
        return name, (kind, bytes(self.b[start:self.at]))

    def info(self):
        name = self.string().decode()
        n, = self.take("<I")
        dims = self.take(f"<{n}Q")
        kind, offset = self.take("<IQ")
        if kind not in BLOCKS:
            sys.exit(f"tensor {name} has type {kind}, which is not one of ours")
        return name, dims, kind, offset


def size(dims, kind):
    values, nbytes = BLOCKS[kind]
    n = 1
    for d in dims:
        n *= d
    return n // values * nbytes


def text(s):
    s = s.encode()
    return struct.pack("<Q", len(s)) + s


def appended(tensors, n_old, n_more):
    """The tensors of n_more blocks, in the order in which the model has those of a block."""
    of, zeros = {}, {}  # zeros: one buffer of each size
    for name, dims, kind, data in tensors:
        m = re.match(r"blk\.(\d+)\.(.*)", name)
        if m:
            of.setdefault(int(m[1]), []).append((m[2], dims, kind, data))
    for i in range(n_more):
        for rest, dims, kind, data in of[i % n_old]:
            if rest in ZERO:
                data = zeros.setdefault(len(data), bytes(len(data)))
            yield f"blk.{n_old + i}.{rest}", dims, kind, data


def grown_keys(r, n_old, n_more):
    arch = r.keys["general.architecture"][1][8:].decode()
    keys = dict(r.keys)
    for name, (kind, value) in keys.items():
        if kind == ARR and name.startswith(arch + ".") and struct.unpack_from("<Q", value, 4)[0] == n_old:
            sys.exit(f"key {name} holds a value for each block: such models are not handled")
    if int.from_bytes(keys.get("split.count", (0, b""))[1], "little") > 1:
        sys.exit("the model is split: join it first (outrider quantize)")
    keys[f"{arch}.block_count"] = (U32, struct.pack("<I", n_old + n_more))
    name = r.keys.get("general.name", (STR, text("model")))[1][8:].decode()
    keys["general.name"] = (STR, text(f"synthetic ({n_more} blocks appended that add zero): {name}"))
    return keys


def write(path, keys, tensors, alignment):
    pad = lambda n: bytes(-n % alignment)
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(keys))]
    head += [text(name) + struct.pack("<I", kind) + value for name, (kind, value) in keys.items()]
    offset = 0
    for name, dims, kind, data in tensors:
        head.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        offset += len(data) + len(pad(len(data)))
    head = b"".join(head)
    tmp = f"{path}.{os.getpid()}.part"
    try:
        with open(tmp, "xb") as f:
            f.write(head + pad(len(head)))
            for _, _, _, data in tensors:
                f.write(data)
                f.write(pad(len(data)))
            f.flush()
            os.fsync(f.fileno())
        os.replace(tmp, path)
    except BaseException:
        if os.path.exists(tmp):
            os.unlink(tmp)
        raise


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", metavar="IN")
    p.add_argument("out", metavar="OUT")
    how = p.add_mutually_exclusive_group(required=True)
    how.add_argument("--gb", type=float, help="size of OUT, 1e9 bytes")
    how.add_argument("--blocks", type=int, help="blocks to append")
    o = p.parse_args()
    if os.path.exists(o.out) and os.path.samefile(o.model, o.out):
        sys.exit("IN and OUT are the same file")
    r = Reader(o.model)
    arch = r.keys["general.architecture"][1][8:].decode()
    n_old = int.from_bytes(r.keys[f"{arch}.block_count"][1], "little")
    n_more = o.blocks
    if o.gb is not None:
        n_more, total = 0, len(r.b)
        sizes = [sum(len(d) for _, _, _, d in appended(r.tensors, n_old, i + 1)) for i in range(n_old)]
        per = [b - a for a, b in zip([0] + sizes, sizes)]
        while total < o.gb * 1e9 and n_more < MAX_BLOCKS:
            total += per[n_more % n_old]
            n_more += 1
    if not n_more or n_more < 0 or n_old + n_more > MAX_BLOCKS:
        sys.exit(f"{n_old} blocks and {n_more} more: expected at least 1 more and at most {MAX_BLOCKS} in all")
    tensors = r.tensors + list(appended(r.tensors, n_old, n_more))
    write(o.out, grown_keys(r, n_old, n_more), tensors, r.alignment)
    print(f"{o.out}: {n_old} blocks and {n_more} that add zero, {os.path.getsize(o.out) / 1e9:.3f} GB")


if __name__ == "__main__":
    main()
