// What the files of what is learned of models share: estimate_learn.c learns,
// estimate_gossip.c speaks with other instances.
#ifndef FARTHING_ROUTE_LEARNED_H
#define FARTHING_ROUTE_LEARNED_H

#include <pthread.h>
#include <stdatomic.h>

#include "estimate.h"

enum {
    LEARNED_MODELS_MAX = 512,
    LEARNED_SLOTS = 2048, // a power of two, sparse: a search ends at the first free slot
    LEARNED_MEMORY = 64,  // reports that count, the later ones more
    LEARNED_BASE_MOST = 16,
};

#define LEARNED_DEVIATIONS_STEP 4.0 // what one report may be away from the mean
#define LEARNED_DEVIATION_LEAST 0.01
#define LEARNED_RATIO_LEAST     0.3
#define LEARNED_RATIO_MOST      3.0

// Reports that others are not told of yet.
struct learned_untold {
    int64_t reports, small_reports;
    double ratios, away, highest; // sums, and the most of them
    double bases;
};

// Of one model. Made once, freed with the estimator.
struct learned {
    struct slice model;
    uint64_t hash;
    struct metric_series *ratio;
    pthread_mutex_t lock; // of what follows, but what is atomic
    int64_t reports;
    int64_t small_reports;
    double mean, deviation, highest, base;
    struct learned_untold untold;
    _Atomic uint64_t ratios; // likely and most, RATIO_UNIT each, published together
    _Atomic int32_t base_tokens;
};

struct estimator {
    pthread_mutex_t lock; // of adding a model
    size_t count;
    _Atomic(struct learned *) slots[LEARNED_SLOTS];
    struct learned *others; // shared by the models beyond LEARNED_MODELS_MAX
};

static inline double learned_within(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

// NULL: so many models are known already.
struct learned *learned_find_or_add(struct estimator *e, struct slice model, size_t models_max);
// Under its lock, as all that follows. A report of a small request, and of another; how
// far that is from the mean, as far as it is believed.
void learned_take_base(struct learned *l, double base);
double learned_take_ratio(struct learned *l, double ratio);
void learned_publish(struct learned *l); // after any of them

#endif
