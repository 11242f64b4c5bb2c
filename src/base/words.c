/* Owns the distance of words: optimal string alignment. See words.h. */
#include "base/words.h"

#include <string.h>

int word_distance(const char *a, const char *b)
{
    enum { N = 64 };
    const int na = (int)strnlen(a, N), nb = (int)strnlen(b, N);
    int row[3][N + 1]; /* rows i - 2, i - 1 and i of the usual table, in turn */
    for (int j = 0; j <= nb; j++)
        row[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *cur = row[i % 3];
        const int *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        cur[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = up[j - 1] + (a[i - 1] != b[j - 1]);
            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = cur[j - 1] + 1 < best ? cur[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            cur[j] = best;
        }
    }
    return row[na % 3][nb];
}
