#!/usr/bin/env python3
"""Makes tests/golden/rules.txt: what the verification rules do on tiny models, in rational arithmetic.

    tools/enumerate_rules.py > tests/golden/rules.txt      (about a minute; standard library only)

Written from the text of the verification law (drafting and verification, sections 2 and 5), not from the C sources:
an independent oracle. It first proves its own rules: on models whose probabilities are fractions of small integers the
joint law of 4 tokens over at least 2 steps must equal the target's exactly, as fractions; and the check values must
come out: p = (1/3, 2/3), q = (2/3, 1/3), two drafts: 10/9 kept by ratio, 11/9 by block. Then it writes, for models
whose logits are 32-bit floats (exp to 50 digits), the mean number of kept drafts and the law of a step's tokens.

A tree is a list of entries (parent, kind). A history of at most 2 tokens is the context of every law.
"""
import random
import struct
import sys
from decimal import Decimal, getcontext
from fractions import Fraction as F

getcontext().prec = 50
SEED = 20260511


def norm(w):
    z = sum(w.values())
    return {t: x / z for t, x in w.items() if x > 0}


def pos(f):
    return {t: x for t, x in f.items() if x > 0}


def minus(p, q, a=F(1)):
    """max(a p - q, 0), and its sum."""
    r = pos({t: a * x - q.get(t, F(0)) for t, x in p.items()})
    return r, sum(r.values(), F(0))


# ---- drafting: all trees with their probabilities --------------------------------------------------------------------

def drafts(shape, model, hist, without):
    """Yields (probability, [(parent, token, q, path)]): q is the law of the token given its earlier siblings."""

    def grow(i, tree, weight):
        if i == len(shape):
            yield weight, tree
            return
        parent, kind = shape[i]
        path = (tree[parent][3] if parent >= 0 else ()) if parent < 0 or tree[parent] else None
        if path is None:  # its parent was never drawn
            yield from grow(i + 1, tree + [None], weight)
            return
        context = hist + path
        if kind == "c":
            token = model.choice(i, context)
            yield from grow(i + 1, tree + [(parent, token, {token: F(1)}, path + (token,))], weight)
            return
        q = model.q(context)
        if without:  # of the node: all entries whose path to the parent is the same
            seen = {e[1] for e in tree if e and e[3][:-1] == path}
            q = {t: x for t, x in q.items() if t not in seen}
            if not q:
                yield from grow(i + 1, tree + [None], weight)
                return
            q = norm(q)
        for t, x in q.items():
            yield from grow(i + 1, tree + [(parent, t, q, path + (t,))], weight * x)

    yield from grow(0, [], F(1))


def under(tree, path):
    return [e for e in tree if e and e[3][:-1] == path]


# ---- verification: each yields (probability, kept path, law of the token after it) -----------------------------------

def multi(tree, p_of, path=(), most=99):
    p, weight = p_of(path), F(1)
    for _, x, q, below in under(tree, path)[:most]:
        h = min(F(1), p.get(x, F(0)) / q[x])
        if h > 0:
            for w, kept, law in multi(tree, p_of, below, most):
                yield weight * h * w, kept, law
        weight *= 1 - h
        if weight == 0:
            return
        r, s = minus(p, q)
        p = norm(r) if s > 0 else p
    yield weight, path, p


def ratio(tree, p_of):
    return multi(tree, p_of, (), 1)


def block(tree, p_of):
    chain, path = [], ()
    while under(tree, path):
        chain.append(under(tree, path)[0])
        path = chain[-1][3]
    k, big_p, h = len(chain), [F(1)], [F(1)]
    for i, (_, x, q, below) in enumerate(chain, 1):
        big_p.append(min(F(1), big_p[-1] * p_of(below[:-1]).get(x, F(0)) / q[x]))
        if i == k:
            h.append(big_p[i])
        else:
            _, s = minus(p_of(below), chain[i][2], big_p[i])
            d = s + 1 - big_p[i]
            h.append(s / d if d > 0 else F(0))
    weight = F(1)
    for i in range(k, -1, -1):  # the largest i with u_i < h_i
        if weight * h[i] > 0:
            path = chain[i - 1][3] if i else ()
            p = p_of(path)
            if i < k:
                r, s = minus(p, chain[i][2], big_p[i])
                p = norm(r) if s > 0 else p
            yield weight * h[i], path, p
        weight *= 1 - h[i]


def traversal(tree, p_of):
    """A node's visit yields its ends; what is left of the probability is that it was refused."""

    def visit(path, a):
        p, weight = p_of(path), F(1)
        for _, x, q, below in under(tree, path):
            child_a = min(F(1), a * p.get(x, F(0)) / q[x])
            taken = F(0)
            for w, kept, law in visit(below, child_a):
                taken += w
                yield weight * w, kept, law
            weight *= 1 - taken
            if weight == 0:
                return
            r, s = minus(p, q, a)
            p, a = (norm(r) if s > 0 else p), (s / (s + 1 - a) if s + 1 - a > 0 else F(0))
        if weight * a > 0:
            yield weight * a, path, p

    return visit((), F(1))


RULES = {"ratio": (ratio, False), "multi": (multi, True), "multi-iid": (multi, False), "block": (block, False),
         "traversal": (traversal, True)}


# ---- laws ------------------------------------------------------------------------------------------------------------

def step(rule, shape, model, hist):
    """(mean number of kept drafts, {tokens: probability}) of one step after a history."""
    verify, without = RULES[rule]
    law, kept_mean = {}, F(0)
    for w_tree, tree in drafts(shape, model, hist, without):
        for w, kept, p in verify(tree, lambda path: model.p(hist + path)):
            kept_mean += w_tree * w * len(kept)
            for t, x in p.items():
                law[kept + (t,)] = law.get(kept + (t,), F(0)) + w_tree * w * x
    return kept_mean, law


def joined(rule, shape, model, n):
    """The law of the first n tokens; steps follow each other until there are so many."""
    done, open_, memo = {}, {(): F(1)}, {}
    while open_:
        hist, w = open_.popitem()
        key = hist[-2:] if len(hist) > 1 else hist
        if key not in memo:
            memo[key] = step(rule, shape, model, hist)[1]
        for s, x in memo[key].items():
            to = (hist + s)[:n]
            side = done if len(to) == n else open_
            side[to] = side.get(to, F(0)) + w * x
    return done


class Model:
    def __init__(self, rng, v, zeros, support, floats):
        self.v, self.rng, self.rows = v, rng, {}
        self.zeros, self.support, self.floats = zeros, support, floats
        contexts = [()] + [(a,) for a in range(v)] + [(a, b) for b in range(v) for a in range(v)]
        for c in contexts:  # in the order of law_ctx: by the last token, then the one before it
            self.rows[c] = self.make()

    def weights(self, n):
        w = [0] * self.v
        for t in self.rng.sample(range(self.v), n):
            w[t] = self.rng.randint(1, 9)
        return w

    def make(self):
        pw = self.weights(self.rng.randint(2, self.v - 1) if self.zeros else self.v)
        qw = self.weights(self.support)
        logits = [struct.unpack("f", struct.pack("f", float(Decimal(x).ln())))[0] if x else None for x in pw]
        if self.floats:
            p = norm({t: F(Decimal(x).exp()) for t, x in enumerate(logits) if x is not None})
        else:
            p = norm({t: F(x) for t, x in enumerate(pw)})
        return p, norm({t: F(x) for t, x in enumerate(qw)}), logits, qw, [self.rng.randrange(self.v) for _ in range(9)]

    def row(self, hist):
        return self.rows[tuple(hist[-2:])]

    def p(self, hist):
        return self.row(hist)[0]

    def q(self, hist):
        return self.row(hist)[1]

    def choice(self, i, hist):
        return self.row(hist)[4][i]


class CheckModel(Model):
    """p = (1/3, 2/3), q = (2/3, 1/3) everywhere."""

    def make(self):
        two = struct.unpack("f", struct.pack("f", float(Decimal(2).ln())))[0]
        p = norm({0: F(1), 1: F(Decimal(two).exp())}) if self.floats else {0: F(1, 3), 1: F(2, 3)}
        return p, {0: F(2, 3), 1: F(1, 3)}, [0.0, two], [2, 1], [0] * 9


SHAPES = {"k1": [-1], "k2": [-1, 0], "k3": [-1, 0, 1], "1x1": [-1, 0], "2x1": [-1, -1, 0, 1],
          "2x2": [-1, -1, 0, 0, 1, 1], "3x2": [-1, -1, -1, 0, 0, 1, 1, 2, 2]}


def shape_of(name, kinds):
    return [(p, kinds[i % len(kinds)]) for i, p in enumerate(SHAPES[name])]


# rule, shape, kinds, zeros in p, tokens of q
CASES = [("ratio", "k2", "d", False, 4), ("ratio", "k3", "dc", True, 3), ("ratio", "2x1", "d", False, 3),
         ("multi", "2x1", "d", True, 4), ("multi", "2x2", "d", False, 3), ("multi", "3x2", "dc", True, 3),
         ("multi", "2x2", "cdd", False, 3), ("multi-iid", "2x1", "d", False, 4), ("multi-iid", "2x2", "d", True, 3),
         ("multi-iid", "3x2", "cd", False, 2), ("block", "k3", "d", False, 4), ("block", "k2", "cd", True, 3),
         ("block", "2x1", "d", True, 3), ("traversal", "k3", "d", True, 4), ("traversal", "2x1", "d", False, 4),
         ("traversal", "2x2", "d", False, 3), ("traversal", "2x2", "dc", True, 4), ("traversal", "3x2", "ddc", False, 3)]


def prove(rng):
    check = CheckModel(rng, 2, False, 2, False)
    assert step("ratio", shape_of("k2", "d"), check, ())[0] == F(10, 9)
    assert step("block", shape_of("k2", "d"), check, ())[0] == F(11, 9)
    assert step("traversal", shape_of("k2", "d"), check, ())[0] == F(11, 9)
    for rule, name, kinds, zeros, support in CASES:
        model = Model(rng, 4, zeros, support if name != "3x2" else 2, False)
        for tokens, x in joined(rule, shape_of(name, kinds), model, 4).items():
            want = F(1)
            for i, t in enumerate(tokens):
                want *= model.p(tokens[:i]).get(t, F(0))
            assert x == want, (rule, name, kinds, tokens)
        print(f"{rule} {name} {kinds}: joint law exact", file=sys.stderr)


def write_case(rule, name, kinds, model):
    kept, law = step(rule, shape_of(name, kinds), model, ())
    print(f"case {rule} {name} {kinds} {model.v} {len(model.rows)} {len(law)} {float(kept):.17g}")
    for _, _, logits, qw, choice in model.rows.values():
        print(" ".join("-inf" if x is None else f"{x:.9g}" for x in logits), "q", *qw, "choice", *choice)
    for tokens in sorted(law):
        print(len(tokens), *tokens, f"{float(law[tokens]):.17g}")


def main():
    rng = random.Random(SEED)
    prove(rng)
    print("# outrider-golden v1 rules: mean number of kept drafts and the law of the tokens of one step")
    print(f"# made by tools/enumerate_rules.py, seed {SEED}, in rational arithmetic")
    print("# case: rule shape kinds n_vocab n_contexts n_strings kept; then per context logits, weights of q, chosen tokens; then strings")
    for rule in ("ratio", "block", "traversal"):
        write_case(rule, "k2", "d", CheckModel(rng, 2, False, 2, True))
    for rule, name, kinds, zeros, support in CASES:
        write_case(rule, name, kinds, Model(rng, 4, zeros, support, True))


if __name__ == "__main__":
    main()
