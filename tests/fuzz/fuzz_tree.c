/* Fuzzes draft trees. The first byte says how one is made: 0 raw bytes over the whole struct; otherwise entries are
 * added and drawn, and then some bytes are poked. What tree_check lets pass must survive every rule and everything the
 * core does with trees, and the verdict must be a path of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accept/accept.h"
#include "control/acceptance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { V = 12 };

struct input {
    const uint8_t *p;
    size_t n;
};

static unsigned byte(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

/* ---- a target: its answers are a function of the node ---- */

static float logit[V];
static int32_t ids[V];

static int32_t pick(void *self, int node, struct otr_err *err)
{
    (void)err;
    return (int32_t)((*(const unsigned *)self + 5 * (unsigned)node) % V);
}

static int dist(void *self, int node, struct dist *out, struct otr_err *err)
{
    (void)err;
    const unsigned k = *(const unsigned *)self + (unsigned)node;
    for (int i = 0; i < V; i++) {
        ids[i] = i;
        logit[i] = (float)((k * 31 + (unsigned)i * 7) % 9) - (k % 4 == 0 && i > 2 ? 200.0f : 0.0f);
    }
    *out = (struct dist){V, ids, logit};
    return OTR_OK;
}

static void judge(const struct tree *t, unsigned k)
{
    static struct accept_scratch *s;
    const struct accept_target target = {&k, pick, dist};
    const struct accept_key key = {.seed = k, .step = 3};
    const struct accept_dice dice = accept_keyed_dice(&key);
    if (!s && accept_scratch_open(&s, V, NULL) < 0)
        abort();
    for (int rule = 0; rule < N_RULE; rule++) {
        struct accept_verdict v = {0};
        bool chain = true;
        for (int e = 0; e < t->n; e++)
            chain &= t->entry[e].parent == e - 1;
        if (!chain && (rule == RULE_RATIO || rule == RULE_BLOCK)) /* the step asks for chains there */
            continue;
        if (accept_decide((enum accept_rule)rule, t, &target, &dice, s, &v, NULL) != OTR_OK)
            abort();
        if (v.n < 0 || v.n > t->n || v.next < 0 || v.next >= V)
            abort();
        for (int i = 0; i < v.n; i++)
            if (v.node[i] < 1 || v.node[i] >= t->n_node || t->node_parent[v.node[i]] != (i ? v.node[i - 1] : 0))
                abort();
        if (rule == RULE_GREEDY || rule == RULE_GUMBEL) /* what plain decoding says, node by node */
            for (int i = 0; i <= v.n; i++)
                if ((i < v.n ? t->node_token[v.node[i]] : v.next) != pick(&k, i ? v.node[i - 1] : 0, NULL))
                    abort();
    }
}

/* ---- what the core does with a tree ---- */

static void use(const struct tree *t, struct input *in)
{
    static struct tree copy;
    static struct acceptance a;
    double reach[TREE_MAX];
    bool keep[TREE_MAX];
    int path[TREE_MAX + 1];
    int32_t run[TREE_MAX];
    tree_copy(&copy, t);
    if (tree_check(&copy, V, TREE_MAX, NULL) != OTR_OK || copy.n != t->n)
        abort();
    ac_reach(&a, &copy, reach);
    for (int e = 0; e < t->n; e++) {
        if (!(reach[e] >= 0 && reach[e] <= 1))
            abort();
        run[e] = t->entry[e].token;
        keep[e] = (byte(in) & 3) && (t->entry[e].parent < 0 || keep[t->entry[e].parent]);
    }
    const int n = tree_follow(t, run, t->n, path);
    ac_see_path(&a, t, path, n, byte(in) & 1);
    tree_keep(&copy, keep);
    if (tree_check(&copy, V, TREE_MAX, NULL) != OTR_OK)
        abort();
    tree_copy(&copy, t);
    tree_cut(&copy, (int)(byte(in) % (TREE_MAX + 2)) - 1);
    if (tree_check(&copy, V, TREE_MAX, NULL) != OTR_OK)
        abort();
    tree_copy(&copy, t);
    tree_make_chosen(&copy);
    if (tree_check(&copy, V, TREE_MAX, NULL) != OTR_OK)
        abort();
}

static void build(struct tree *t, struct input *in)
{
    const struct tree_luck luck = {.rule = (enum accept_rule)(byte(in) % N_RULE), .key = {.seed = 5}, .n_vocab = V};
    tree_clear(t);
    for (unsigned n = byte(in) % 40; n > 0; n--) {
        const int parent = (int)(byte(in) % ((unsigned)t->n + 2)) - 1;
        const unsigned how = byte(in);
        if (how & 1) {
            int32_t id[V];
            double p[V];
            const unsigned m = how % V;
            for (unsigned i = 0; i < m; i++) {
                id[i] = (int32_t)((how + 5 * i) % (V + (how > 250 ? 1u : 0u)));
                const unsigned w = byte(in);
                p[i] = w == 255 ? (double)NAN : w == 254 ? -1 : w == 253 ? HUGE_VAL : w == 252 ? 5e-324 : w / 32;
            }
            tree_draw(t, parent, id, p, (int)m, &luck);
        } else {
            tree_add(t, parent, (int32_t)(how / 2 % V), (float)byte(in) / 100 - 0.2f, V);
        }
    }
    t->match = (int)byte(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tree t;
    struct input in = {data, size};
    struct otr_err err = {0};
    const unsigned how = byte(&in);
    if (how == 0) {
        memset(&t, 0, sizeof t);
        memcpy(&t, in.p, in.n < sizeof t ? in.n : sizeof t);
    } else {
        build(&t, &in);
        for (unsigned pokes = how % 4; pokes > 0; pokes--) { /* of the counts, entries and nodes; of rows the first */
            const size_t at = (byte(&in) | byte(&in) << 8) % (offsetof(struct tree, row) + 64);
            ((unsigned char *)&t)[at] ^= (unsigned char)byte(&in);
        }
    }
    const int rc = tree_check(&t, V, TREE_MAX, &err);
    if (rc < 0) {
        if (err.code != rc || !err.msg[0] || (how > 0 && how % 4 == 0))
            abort(); /* a tree that the core made itself is sound */
        return 0;
    }
    judge(&t, byte(&in));
    use(&t, &in);
    return 0;
}
