// The learned model from within: what training makes, the file holds, and scoring
// reads.
#ifndef FARTHING_ROUTE_LEARN_MODEL_H
#define FARTHING_ROUTE_LEARN_MODEL_H

#include <stdatomic.h>

#include "learn_text.h"

enum { LEARN_SMALL, LEARN_LARGE, LEARN_HEADS };
enum { LEARN_KNOTS = 64 };

// What one n-gram weighs. Whole numbers, so that sums are exact in any order.
// 6 bytes, so that those of common n-grams stay in a core's cache.
struct learn_bucket {
    int16_t weights[LEARN_HEADS]; // times learn_model.scales
    uint16_t norm;                // rarity squared, times NORM_UNIT; 0: the n-gram says nothing
};
#define LEARN_NORM_UNIT 512.0

// (x - mean) / deviation, times the weights.
struct learn_linear {
    double mean, deviation;
    double weights[LEARN_HEADS];
};

struct learn_model {
    _Atomic int references;
    struct learn_model_info info;
    struct learn_bucket buckets[LEARN_BUCKETS];
    struct learn_linear signals[LEARN_SIGNALS];
    double scales[LEARN_HEADS];
    double base[LEARN_HEADS];     // the answer for a text of no n-grams and average signals
    double slope[LEARN_HEADS];    // chance = 1 / (1 + exp(-slope * answer - offset))
    double offset[LEARN_HEADS];
    double knots[LEARN_KNOTS];    // answers of large less small, the (i + 0.5) / KNOTS quantiles
};

// A signal far out of what training saw weighs no more than one at its rim.
#define LEARN_DEVIATIONS_MOST 4.0
static inline double learn_standard(const struct learn_linear *l, double value) {
    double x = (value - l->mean) / l->deviation;
    return x < -LEARN_DEVIATIONS_MOST  ? -LEARN_DEVIATIONS_MOST
           : x > LEARN_DEVIATIONS_MOST ? LEARN_DEVIATIONS_MOST
                                       : x;
}

struct learn_model *learn_model_new(void);
// From the sums over n-grams and the signals.
struct learn_score learn_model_score(const struct learn_model *m, const int64_t sums[LEARN_HEADS],
                                     uint64_t norm, const double signals[LEARN_SIGNALS]);

// Nothing when fresh is 0.
static inline void learn_add(const struct learn_model *m, unsigned bucket, unsigned fresh,
                             int64_t sums[LEARN_HEADS], uint64_t *norm) {
    const struct learn_bucket *b = &m->buckets[bucket];
    sums[LEARN_SMALL] += b->weights[LEARN_SMALL] & -(int)fresh;
    sums[LEARN_LARGE] += b->weights[LEARN_LARGE] & -(int)fresh;
    *norm += b->norm & -fresh;
}

#endif
