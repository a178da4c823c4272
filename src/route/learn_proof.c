// What routing by a score is worth, from outcomes that are known: APGR and CPT as
// RouteLLM's paper defines them, and the curve from always-small to always-large.
#include <math.h>
#include <stdlib.h>

#include "farthing/learn.h"

// Hardest first: they go to the large model first.
static int compare(const void *a, const void *b) {
    const struct learn_outcome *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static enum learn_need need_of(const struct learn_outcome *o) {
    if (o->small_ok)
        return o->large_ok ? LEARN_BOTH_OK : LEARN_SMALL_ONLY;
    return o->large_ok ? LEARN_LARGE_ONLY : LEARN_NEITHER;
}

static int gain_of(const struct learn_outcome *o) {
    return (int)o->large_ok - (int)o->small_ok;
}

static size_t tie_end(const struct learn_outcome *o, size_t count, size_t from) {
    size_t end = from + 1;
    while (end < count && !(o[end].score < o[from].score))
        end++;
    return end;
}

// gains[i]: answers gained when the first i go to the large model. Within a tie on a
// straight line: the average over all orders.
static double *gains_of(const struct learn_outcome *o, size_t count) {
    double *gains = base_calloc(count + 1, sizeof *gains);
    for (size_t from = 0, end; from < count; from = end) {
        int sum = 0;
        end = tie_end(o, count, from);
        for (size_t i = from; i < end; i++)
            sum += gain_of(&o[i]);
        for (size_t i = from; i < end; i++)
            gains[i + 1] =
                gains[from] + (double)sum * (double)(i + 1 - from) / (double)(end - from);
    }
    return gains;
}

static double at_share(const double *gains, size_t count, double share) {
    double at = share * (double)count;
    size_t below = (size_t)at;
    if (below >= count)
        return gains[count];
    return gains[below] + (at - (double)below) * (gains[below + 1] - gains[below]);
}

// The least share that gains so much.
static double share_of(const double *gains, size_t count, double wanted) {
    for (size_t i = 1; i <= count; i++)
        if (gains[i] >= wanted) {
            double step = gains[i] - gains[i - 1]; // above 0: the one before was too little
            return ((double)(i - 1) + (wanted - gains[i - 1]) / step) / (double)count;
        }
    return 1;
}

static void set_curve(const double *gains, size_t count, struct learn_proof *out) {
    double base = (double)(out->both_ok + out->small_only), sum = 0;
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i++)
        out->curve[i] =
            (base + at_share(gains, count, (double)i / LEARN_CURVE_STEPS)) / (double)count;
    out->apgr = out->cpt50 = out->cpt80 = NAN;
    if (gains[count] <= 0)
        return;
    for (size_t i = 0; i < count; i++)
        sum += (gains[i] + gains[i + 1]) / 2;
    out->apgr = sum / (double)count / gains[count];
    out->cpt50 = share_of(gains, count, 0.5 * gains[count]);
    out->cpt80 = share_of(gains, count, 0.8 * gains[count]);
}

// Only between different scores can there be a threshold.
static void set_threshold(const struct learn_outcome *o, const double *gains, size_t count,
                          struct learn_proof *out) {
    size_t best = 0;
    double most = 0;
    for (size_t i = 1; i < count; i++) {
        double above = gains[i] - gains[count] * (double)i / (double)count;
        if (o[i].score < o[i - 1].score && above > most + 1e-9) {
            most = above;
            best = i;
        }
    }
    // Nowhere better than chance: all to the model that is better on the whole.
    if (best == 0 && gains[count] > 0)
        best = count;
    out->threshold = best == 0       ? o[0].score + 1
                     : best == count ? o[count - 1].score
                                     : (o[best - 1].score + o[best].score) / 2;
    out->share = (double)best / (double)count;
    out->quality = ((double)(out->both_ok + out->small_only) + gains[best]) / (double)count;
    for (size_t i = 0; i < count; i++)
        (i < best ? out->sent_large : out->sent_small)[need_of(&o[i])]++;
}

void learn_prove(struct learn_outcome *outcomes, size_t count, struct learn_proof *out) {
    size_t needs[4] = {0};
    *out = (struct learn_proof){.rows = count, .apgr = NAN, .cpt50 = NAN, .cpt80 = NAN};
    if (count == 0)
        return;
    qsort(outcomes, count, sizeof *outcomes, compare);
    for (size_t i = 0; i < count; i++)
        needs[need_of(&outcomes[i])]++;
    out->both_ok = needs[LEARN_BOTH_OK];
    out->large_only = needs[LEARN_LARGE_ONLY];
    out->small_only = needs[LEARN_SMALL_ONLY];
    out->neither = needs[LEARN_NEITHER];
    out->small_quality = (double)(out->both_ok + out->small_only) / (double)count;
    out->large_quality = (double)(out->both_ok + out->large_only) / (double)count;
    double *gains = gains_of(outcomes, count);
    set_curve(gains, count, out);
    set_threshold(outcomes, gains, count, out);
    free(gains);
}
