// Asking the learned model about a text: one pass, no allocation, and no arithmetic
// but of whole numbers until the end.
#include <math.h>

#include "learn_model.h"

void learn_score_begin(struct learn_reading *r) {
    memset(r, 0, sizeof *r);
}

struct asked {
    const struct learn_model *model;
    int64_t sums[LEARN_HEADS]; // of this piece: the compiler keeps them in registers
    uint64_t norm;
};

static inline void add(void *arg, unsigned bucket, unsigned fresh) {
    struct asked *a = arg;
    learn_add(a->model, bucket, fresh, a->sums, &a->norm);
}

void learn_score_text(struct learn_reading *r, const struct learn_model *m, struct slice piece) {
    struct asked asked = {.model = m};
    learn_read(r, piece, add, &asked);
    for (size_t h = 0; h < LEARN_HEADS; h++)
        r->sums[h] += asked.sums[h];
    r->norm += asked.norm;
}

struct learn_score learn_score_end(const struct learn_reading *r, const struct learn_model *m) {
    double signals[LEARN_SIGNALS];
    learn_signals(r, signals);
    return learn_model_score(m, r->sums, r->norm, signals);
}

// So many rows know no chance that is nearer to 0 or 1 (Laplace's rule), however far
// from them all a text may be.
static double chance(const struct learn_model *m, double x) {
    double least = 1 / ((double)m->info.rows + 2), p = 1 / (1 + exp(-x));
    return p < least ? least : p > 1 - least ? 1 - least : p;
}

// The place of x among the training's answers. Beyond the outermost knots it goes on
// towards 0 and 1, and never is the same for two different x.
static double place(const double *knots, double x) {
    const size_t last = LEARN_KNOTS - 1;
    double width = (knots[last] - knots[0]) / LEARN_KNOTS + 1e-9;
    if (x < knots[0])
        return 0.5 / LEARN_KNOTS * exp((x - knots[0]) / width);
    if (x > knots[last])
        return 1 - 0.5 / LEARN_KNOTS * exp((knots[last] - x) / width);
    size_t below = 0, above = 0; // how many knots are less than x, and how many not more
    while (below < LEARN_KNOTS && knots[below] < x)
        below++;
    for (above = below; above < LEARN_KNOTS && knots[above] <= x;)
        above++;
    if (above > below) // on a knot, or on several that are equal
        return ((double)(below + above)) / 2 / LEARN_KNOTS;
    double part = (x - knots[below - 1]) / (knots[below] - knots[below - 1]);
    return ((double)below - 0.5 + part) / LEARN_KNOTS;
}

struct learn_score learn_model_score(const struct learn_model *m, const int64_t sums[LEARN_HEADS],
                                     uint64_t norm, const double signals[LEARN_SIGNALS]) {
    double answers[LEARN_HEADS];
    for (size_t h = 0; h < LEARN_HEADS; h++) {
        answers[h] = m->base[h];
        if (norm > 0)
            answers[h] += (double)sums[h] * m->scales[h] / sqrt((double)norm / LEARN_NORM_UNIT);
        for (size_t i = 0; i < LEARN_SIGNALS; i++)
            answers[h] += learn_standard(&m->signals[i], signals[i]) * m->signals[i].weights[h];
    }
    double z[LEARN_HEADS];
    for (size_t h = 0; h < LEARN_HEADS; h++)
        z[h] = m->slope[h] * answers[h] + m->offset[h];
    return (struct learn_score){
        .score = place(m->knots, answers[LEARN_LARGE] - answers[LEARN_SMALL]),
        .p_small = chance(m, z[LEARN_SMALL]),
        .p_large = chance(m, z[LEARN_LARGE]),
    };
}
