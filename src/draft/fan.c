/* Owns the fan-out of prepared drafts. See fan.h. */
#include "draft/fan.h"

#include <math.h>

#define FADE 0.99
/* Before anything is known: as if so many had been seen. */
#define PRIOR 4.0
#define PRIOR_CHANCE 0.7
#define PRIOR_EXPONENT 1.0
#define PRIOR_FAN 4.0
#define LEAST_EXPONENT 0.1
#define MOST_EXPONENT 4.0

double fan_chance(const struct fan_stats *s)
{
    return (s->kept + PRIOR * PRIOR_CHANCE) / (s->tried + PRIOR);
}

double fan_exponent(const struct fan_stats *s)
{
    const double log_prior = log(1 + PRIOR_FAN), n = s->seen + PRIOR;
    const double missed = (s->missed + PRIOR * exp(-PRIOR_EXPONENT * log_prior)) / n;
    const double r = -log(missed) / ((s->log_fan + PRIOR * log_prior) / n);
    return fmin(fmax(r, LEAST_EXPONENT), MOST_EXPONENT);
}

void fan_see_chain(struct fan_stats *s, int n_tried, int n_kept)
{
    for (int i = 0; i < n_tried; i++) {
        s->tried = s->tried * FADE + 1;
        s->kept = s->kept * FADE + (i < n_kept ? 1 : 0);
    }
}

void fan_see_outcome(struct fan_stats *s, int fan, bool missed)
{
    if (fan < 1)
        return;
    s->seen = s->seen * FADE + 1;
    s->missed = s->missed * FADE + (missed ? 1 : 0);
    s->log_fan = s->log_fan * FADE + log(1.0 + fan);
}

void fan_split(double a, double r, int n_chain, int total, int most, int *fan)
{
    double gain[FAN_MAX + 1], chance = 1; /* gain[f]: of one token more where f are prepared */
    double place[FAN_MAX + 1];
    const int n = n_chain < FAN_MAX ? n_chain : FAN_MAX;
    for (int f = 0; f <= FAN_MAX; f++)
        gain[f] = pow(1 + f, -r) - pow(2 + f, -r);
    for (int j = 0; j <= n_chain; j++)
        fan[j] = 0;
    for (int j = 0; j <= n; j++) {
        place[j] = j < n_chain ? chance * (1 - a) : chance;
        chance *= a;
    }
    for (int given = 0; given < total; given++) {
        int best = -1;
        for (int j = 0; j <= n; j++)
            if (fan[j] < most && fan[j] < FAN_MAX &&
                (best < 0 || place[j] * gain[fan[j]] > place[best] * gain[fan[best]]))
                best = j;
        if (best < 0)
            return;
        fan[best]++;
    }
}
