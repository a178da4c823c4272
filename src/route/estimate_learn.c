// What is learned of each model: how its provider's count of tokens compares
// with the raw estimate, and how far it strays.
//
// A request's raw estimate is turned into `base + ratio * raw`: the base is what
// a provider adds to every request and shows in the small ones only, the ratio is
// learned from the others. The mean is a robust one (a step never exceeds some
// deviations, so one wild report moves little and a hundred like it persuade),
// and `most` is above what was seen lately: the mean with some deviations, or the
// highest ratio of late, which fades.
//
// Models are found without a lock: a fixed table of pointers that are written
// once. Learning takes the model's own small lock; asking reads two words that
// learning publishes. The models are bounded; those beyond share one entry.
#include <stdlib.h>

#include "learned.h"

enum {
    SMALL_TOKENS = 50,  // below, the constant part is most of the difference
    FADE_REPORTS = 400, // in which the highest ratio of late fades
    RATIO_UNIT = 1 << 16,
    TOKENS_MAX = 1 << 30, // more is a mistake, and would overflow
    REPORTS_BEFORE = 2,   // what is believed at the start counts as so many
};

// Before anything was reported: estimates lean to the tokenizer that counts most.
#define LIKELY_BEFORE    0.85
#define DEVIATION_BEFORE 0.05
#define DEVIATIONS_MOST  3.0 // what `most` is above the mean

static const double bounds[] = {0.5,  0.6, 0.7,  0.8, 0.85, 0.9, 0.95, 1,
                                1.05, 1.1, 1.15, 1.2, 1.3,  1.5, 2};
static const struct metric_family ratio_family = {
    .name = "farthing_token_estimate_ratio",
    .help = "Estimated input tokens by those that the provider reported.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"model"},
    .buckets = bounds,
    .bucket_count = FARTHING_COUNT(bounds),
    .scale = 1e-3,
};

void learned_publish(struct learned *l) {
    double likely = learned_within(l->mean, LEARNED_RATIO_LEAST, LEARNED_RATIO_MOST);
    double most = l->mean + DEVIATIONS_MOST * l->deviation;
    if (most < l->highest)
        most = l->highest;
    most = learned_within(most, likely, LEARNED_RATIO_MOST);
    uint64_t packed = (uint64_t)(likely * RATIO_UNIT) << 32 | (uint64_t)(most * RATIO_UNIT);
    atomic_store_explicit(&l->ratios, packed, memory_order_relaxed);
    atomic_store_explicit(&l->base_tokens, (int32_t)(l->base + (l->base < 0 ? -0.5 : 0.5)),
                          memory_order_relaxed);
}

static struct learned *learned_new(struct slice model, uint64_t hash) {
    struct learned *l = base_calloc(1, sizeof *l);
    l->model = slice_make(slice_dup(model), model.len);
    l->hash = hash;
    l->ratio = metric_series(&ratio_family, &model);
    l->mean = LIKELY_BEFORE;
    l->deviation = DEVIATION_BEFORE;
    pthread_mutex_init(&l->lock, NULL);
    learned_publish(l);
    return l;
}

static void learned_free(struct learned *l) {
    if (l == NULL)
        return;
    pthread_mutex_destroy(&l->lock);
    free((void *)(uintptr_t)l->model.ptr);
    free(l);
}

struct estimator *estimator_new(void) {
    struct estimator *e = base_calloc(1, sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    metric_declare(&ratio_family);
    e->others = learned_new(SLICE("other"), 0);
    return e;
}

void estimator_free(struct estimator *e) {
    if (e == NULL)
        return;
    for (size_t i = 0; i < LEARNED_SLOTS; i++)
        learned_free(atomic_load_explicit(&e->slots[i], memory_order_relaxed));
    learned_free(e->others);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

// The model's slot, or the free one where its search ends.
static size_t slot_of(struct estimator *e, struct slice model, uint64_t hash,
                      struct learned **found) {
    size_t at = hash % LEARNED_SLOTS;
    for (;; at = (at + 1) % LEARNED_SLOTS) {
        *found = atomic_load_explicit(&e->slots[at], memory_order_acquire);
        if (*found == NULL || ((*found)->hash == hash && slice_equal((*found)->model, model)))
            return at;
    }
}

// NULL: nothing was learned of it.
static struct learned *find(struct estimator *e, struct slice model) {
    struct learned *found;
    (void)slot_of(e, model, base_hash(model), &found);
    return found;
}

struct learned *learned_find_or_add(struct estimator *e, struct slice model, size_t models_max) {
    struct learned *found = find(e, model);
    if (found != NULL)
        return found;
    pthread_mutex_lock(&e->lock);
    uint64_t hash = base_hash(model);
    size_t at = slot_of(e, model, hash, &found);
    if (found == NULL && e->count < models_max) {
        found = learned_new(model, hash);
        atomic_store_explicit(&e->slots[at], found, memory_order_release);
        e->count++;
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

static int64_t scaled(int64_t raw, uint32_t ratio, int32_t base) {
    int64_t tokens = (raw * ratio + RATIO_UNIT - 1) / RATIO_UNIT + base;
    int64_t least = raw * 3 / 10;
    return tokens < least ? least : tokens;
}

static struct estimate estimate_of(struct learned *l, int64_t raw) {
    uint64_t ratios = atomic_load_explicit(&l->ratios, memory_order_relaxed);
    int32_t base = atomic_load_explicit(&l->base_tokens, memory_order_relaxed);
    struct estimate out = {.likely = scaled(raw, (uint32_t)(ratios >> 32), base),
                           .most = scaled(raw, (uint32_t)ratios, base)};
    if (raw > 0 && out.likely < 1)
        out.likely = 1;
    if (out.most < out.likely)
        out.most = out.likely;
    return out;
}

struct estimate estimator_ask(struct estimator *e, struct slice model, int64_t raw) {
    struct learned *l = find(e, model);
    raw = raw < 0 ? 0 : raw > TOKENS_MAX ? TOKENS_MAX : raw;
    if (l == NULL)
        l = e->others;
    return estimate_of(l, raw);
}

// A mean in which the first reports count alike and then the last ones.
static double weight_of(int64_t reports) {
    int64_t count = reports + REPORTS_BEFORE + 1;
    return 1.0 / (double)(count < LEARNED_MEMORY ? count : LEARNED_MEMORY);
}

void learned_take_base(struct learned *l, double base) {
    l->base += weight_of(l->small_reports++) * (base - l->base);
}

double learned_take_ratio(struct learned *l, double ratio) {
    double weight = weight_of(l->reports++);
    double step = LEARNED_DEVIATIONS_STEP * l->deviation;
    double away = learned_within(ratio - l->mean, -step, step);
    l->mean += weight * away;
    l->deviation += weight * ((away < 0 ? -away : away) - l->deviation);
    if (l->deviation < LEARNED_DEVIATION_LEAST)
        l->deviation = LEARNED_DEVIATION_LEAST;
    l->highest -= (l->highest - l->mean) / FADE_REPORTS;
    if (l->highest < l->mean + away)
        l->highest = l->mean + away;
    return away;
}

static void note_base(struct learned *l, int64_t raw, int64_t reported) {
    double base = learned_within((double)reported - l->mean * (double)raw, -LEARNED_BASE_MOST,
                                 LEARNED_BASE_MOST);
    learned_take_base(l, base);
    l->untold.small_reports++;
    l->untold.bases += base;
}

static void note_ratio(struct learned *l, int64_t raw, int64_t reported) {
    double ratio = learned_within(((double)reported - l->base) / (double)raw, LEARNED_RATIO_LEAST,
                                  LEARNED_RATIO_MOST);
    double away = learned_take_ratio(l, ratio);
    struct learned_untold *u = &l->untold;
    u->reports++;
    u->ratios += ratio;
    u->away += away < 0 ? -away : away;
    if (u->highest < l->mean + away)
        u->highest = l->mean + away;
}

void estimator_learn(struct estimator *e, struct slice model, int64_t raw, int64_t reported) {
    if (raw <= 0 || reported <= 0 || raw > TOKENS_MAX || reported > TOKENS_MAX)
        return; // nothing was reported
    struct learned *l = learned_find_or_add(e, model, LEARNED_MODELS_MAX);
    if (l == NULL)
        l = e->others;
    metric_observe(l->ratio, estimate_of(l, raw).likely * 1000 / reported);
    pthread_mutex_lock(&l->lock);
    if (raw < SMALL_TOKENS)
        note_base(l, raw, reported);
    else
        note_ratio(l, raw, reported);
    learned_publish(l);
    pthread_mutex_unlock(&l->lock);
}
