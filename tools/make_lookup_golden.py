#!/usr/bin/env python3
"""Writes tests/golden/lookup.bin: a lookup file as llama.cpp's common/ngram-cache.cpp saves one, packed here by hand.
Per n-gram: four int32 (LLAMA_TOKEN_NULL = -1 fills up), int32 number of pairs, then pairs of int32 (token, count).
tests/unit/test_draft_lookup.c says what must be drafted from it. usage: tools/make_lookup_golden.py"""
import struct

CACHE = {
    (7, 8): {9: 10},
    (8, 9): {10: 7, 11: 1},
    (9, 10): {12: 3, 13: 1, 14: 3},  # nobody is sure
    (40, 41): {42: 2},  # just enough
    (50, 51): {52: 1},  # too few
}
with open("tests/golden/lookup.bin", "wb") as f:
    for ngram, followers in CACHE.items():
        f.write(struct.pack("<4i", *ngram, *[-1] * (4 - len(ngram))))
        f.write(struct.pack("<i", len(followers)))
        for token, count in followers.items():
            f.write(struct.pack("<2i", token, count))
