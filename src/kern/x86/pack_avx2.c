/* Level avx2: packs GGUF rows into panels of 8, once, at load. In: rows of a file. Out: panels.
 * Read next: pack_panel.h. */
#include "kern/x86/pack_panel.h"

size_t pack_bytes_avx2(enum ggml_type type, int n_rows, int n_cols)
{
    return (size_t)((n_rows + PANEL_ROWS - 1) / PANEL_ROWS) * panel_bytes(type, n_cols, PANEL_ROWS);
}

void pack_avx2(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi)
{
    pack_panels(dst, src, type, n_rows, n_cols, row_lo, row_hi, PANEL_ROWS);
}
