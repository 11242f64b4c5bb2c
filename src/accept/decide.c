/* Owns a decision from its beginning to its end; the rules stand in their own files.
 * In: rule, tree, target, dice. Out: the verdict. Read next: target_row.c, rules.c. */
#include "accept/accept_priv.h"

void keep(struct decision *d, int entry)
{
    d->out->node[d->out->n++] = d->t->entry[entry].node;
}

int end_with_draw(struct decision *d, int last)
{
    d->out->next = d->id[d->dice->pick(d->dice->self, d->p, d->n, last)];
    return OTR_OK;
}

int end_with_pick(struct decision *d, int node)
{
    d->asked |= (uint32_t)1 << node;
    d->out->next = d->target->pick(d->target->self, node, d->err);
    return d->out->next < 0 ? d->out->next : OTR_OK;
}

static int run(enum accept_rule rule, struct decision *d)
{
    switch (rule) {
    case RULE_RATIO:
        return rule_multi(d, 1);
    case RULE_MULTI:
    case RULE_MULTI_IID: /* they differ in how entries are drawn: the entry's row says it */
        return rule_multi(d, TREE_MAX);
    case RULE_BLOCK:
        return rule_block(d);
    case RULE_TRAVERSAL:
        return rule_traversal(d);
    case RULE_TYPICAL:
        return rule_typical(d);
    case RULE_RELAXED:
        return rule_relaxed(d);
    case RULE_GREEDY:
    case RULE_GUMBEL:
    case N_RULE:
        break;
    }
    return rule_bytes(d);
}

int accept_decide(enum accept_rule rule, const struct tree *t, const struct accept_target *target,
                  const struct accept_dice *dice, struct accept_scratch *s, struct accept_verdict *out,
                  struct otr_err *err)
{
    struct decision d = {.t = t, .target = target, .dice = dice, .s = s, .out = out, .err = err, .node = -1, .p = s->p};
    *out = (struct accept_verdict){.next = -1};
    const int rc = run(rule, &d);
    out->n_tested = __builtin_popcount(d.asked);
    return rc;
}
