/* T(rows) before the first step: two layers and the head, timed on weights that no cache holds, scaled to the whole.
 * WHY: no constant ratio is right on two machines (kernels.md A.2), and a first guess that is wrong costs the first
 * replies; real passes correct it. WHY so little: it must not delay the first token (5 % of the load at most).
 * Read next: control/control.h. */
#include "base/clock.h"
#include "engine/engine.h"

enum { FIT_LAYERS = 2 };

/* One timing of m rows: the layers from l0 on, scaled, and the head. <= 0: it could not run. */
static double time_rows(struct otr_engine *e, struct kv_seq *kv, int m, int l0)
{
    const int n_layer = e->m->info.n_layer, l1 = l0 + FIT_LAYERS < n_layer ? l0 + FIT_LAYERS : n_layer;
    for (int i = 0; i < m; i++) {
        e->rows[i] = (struct fwd_row){.token = 0, .seq = kv, .parent = i - 1};
        e->path[i] = i;
    }
    if (fwd_begin(e->fwd, e->rows, m, NULL) < 0)
        return 0;
    fwd_embed(e->fwd);
    const double t0 = clock_ms();
    fwd_layers(e->fwd, l0, l1);
    const double t1 = clock_ms();
    if (fwd_head(e->fwd, e->path, m, NULL) < 0)
        return 0;
    return (t1 - t0) * n_layer / (l1 - l0) + clock_ms() - t1;
}

void fit_times(struct otr_engine *e, struct control *c)
{
    static const int rows[] = {1, 2, 4, 8, 16};
    struct kv_seq *kv;
    const int n_layer = e->m->info.n_layer;
    if (kv_seq_create(&kv, e->kv, e->n_ctx, NULL) < 0)
        return;
    e->last = NULL;
    for (int i = 0, l = 0; i < (int)(sizeof rows / sizeof *rows); i++, l = (l + FIT_LAYERS) % n_layer) {
        if (rows[i] > e->n_batch || rows[i] > e->n_ctx)
            break;
        const double ms = time_rows(e, kv, rows[i], l);
        if (ms > 0)
            control_guess_time(c, rows[i], ms);
        kv_truncate(kv, 0);
    }
    kv_drop(kv);
}
