// What instances tell each other of models: what was reported to them since they last
// did, as its number, mean and spread. What is heard counts as if so many reports had
// come here, so that what all learn is the same, but for the order.
//
// One row each: [MODEL,REPORTS,MEAN,AWAY,HIGHEST,SMALL_REPORTS,BASE], ratios and tokens
// in TOLD_UNIT parts.
#include "learned.h"

enum {
    TOLD_UNIT = 1000000,
    MODEL_BYTES_MAX = 256,                     // of a name that is told
    ROW_BYTES_MAX = 6 * MODEL_BYTES_MAX + 160, // a byte of it may become \u0000
    // Others' models leave room for those that are asked for here.
    HEARD_MODELS_MAX = LEARNED_MODELS_MAX / 2,
};

struct row {
    int64_t reports, small_reports;
    double mean, away, highest, base;
};

// -------------------------------------------------------------------- telling

static int64_t at_most_memory(int64_t reports) {
    return reports < LEARNED_MEMORY ? reports : LEARNED_MEMORY;
}

static struct row take_untold(struct learned *l) {
    const struct learned_untold u = l->untold;
    struct row r = {.reports = at_most_memory(u.reports),
                    .small_reports = at_most_memory(u.small_reports),
                    .highest = u.highest};
    if (u.reports > 0) {
        r.mean = u.ratios / (double)u.reports;
        r.away = u.away / (double)u.reports;
    }
    if (u.small_reports > 0)
        r.base = u.bases / (double)u.small_reports;
    l->untold = (struct learned_untold){0};
    return r;
}

static struct row all_of(const struct learned *l) {
    return (struct row){.reports = at_most_memory(l->reports),
                        .small_reports = at_most_memory(l->small_reports),
                        .mean = l->mean,
                        .away = l->deviation,
                        .highest = l->highest,
                        .base = l->base};
}

static void put_parts(struct json_writer *w, double value) {
    double parts = value * TOLD_UNIT;
    json_put_i64(w, (int64_t)(parts + (parts < 0 ? -0.5 : 0.5)));
}

static void put_row(struct json_writer *w, struct learned *l, bool all) {
    pthread_mutex_lock(&l->lock);
    struct row r = all ? all_of(l) : take_untold(l);
    pthread_mutex_unlock(&l->lock);
    if (r.reports + r.small_reports == 0)
        return;
    json_array_begin(w);
    json_put_string(w, l->model);
    json_put_i64(w, r.reports);
    put_parts(w, r.mean);
    put_parts(w, r.away);
    put_parts(w, r.highest);
    json_put_i64(w, r.small_reports);
    put_parts(w, r.base);
    json_array_end(w);
}

bool estimator_tell(struct estimator *e, struct buffer *out, size_t room, bool all) {
    size_t start = out->len;
    struct json_writer w;
    json_write_start(&w, out);
    json_array_begin(&w);
    for (size_t i = 0; i < LEARNED_SLOTS && out->len - start + ROW_BYTES_MAX <= room; i++) {
        struct learned *l = atomic_load_explicit(&e->slots[i], memory_order_acquire);
        if (l != NULL && l->model.len <= MODEL_BYTES_MAX)
            put_row(&w, l, all);
    }
    return json_array_end_or_drop(&w, start);
}

// -------------------------------------------------------------------- hearing

static bool read_parts(const struct json_doc *doc, json_ref row, size_t index, double low,
                       double high, double *out) {
    int64_t parts;
    if (!json_i64(doc, json_at(doc, row, index), &parts))
        return false;
    *out = (double)parts / TOLD_UNIT;
    return *out >= low && *out <= high;
}

static bool read_count(const struct json_doc *doc, json_ref row, size_t index, int64_t *out) {
    return json_i64(doc, json_at(doc, row, index), out) && *out >= 0 && *out <= LEARNED_MEMORY;
}

static bool read_row(const struct json_doc *doc, json_ref row, struct row *r) {
    if (!read_count(doc, row, 1, &r->reports) || !read_count(doc, row, 5, &r->small_reports))
        return false;
    // Without reports of a kind its figures are zeros, or what is believed before any.
    return read_parts(doc, row, 2, r->reports > 0 ? LEARNED_RATIO_LEAST : 0, LEARNED_RATIO_MOST,
                      &r->mean) &&
           read_parts(doc, row, 3, 0, LEARNED_RATIO_MOST, &r->away) &&
           read_parts(doc, row, 4, 0, 2 * LEARNED_RATIO_MOST, &r->highest) &&
           read_parts(doc, row, 6, -LEARNED_BASE_MOST, LEARNED_BASE_MOST, &r->base);
}

// In pairs around the mean, so that their spread is learned, too.
static void learn_row(struct learned *l, const struct row *r) {
    for (int64_t i = 0; i < r->reports; i++) {
        bool alone = i + 1 == r->reports && i % 2 == 0;
        double away = alone ? 0 : i % 2 == 0 ? r->away : -r->away;
        (void)learned_take_ratio(
            l, learned_within(r->mean + away, LEARNED_RATIO_LEAST, LEARNED_RATIO_MOST));
    }
    if (r->reports > 0) {
        double most = l->mean + LEARNED_DEVIATIONS_STEP * l->deviation;
        double highest = r->highest < most ? r->highest : most;
        if (l->highest < highest)
            l->highest = highest;
    }
    for (int64_t i = 0; i < r->small_reports; i++)
        learned_take_base(l, r->base);
}

static void adopt_row(struct learned *l, const struct row *r) {
    if (r->reports > l->reports) {
        l->reports = r->reports;
        l->mean = r->mean;
        l->deviation = r->away > LEARNED_DEVIATION_LEAST ? r->away : LEARNED_DEVIATION_LEAST;
        l->highest = r->highest;
    }
    if (r->small_reports > l->small_reports) {
        l->small_reports = r->small_reports;
        l->base = r->base;
    }
}

void estimator_hear(struct estimator *e, const struct json_doc *doc, json_ref rows,
                    struct arena *arena, bool all) {
    if (!json_is(doc, rows, JSON_ARRAY))
        return;
    for (json_ref at = json_first(doc, rows); at != JSON_NONE; at = json_next(doc, rows, at)) {
        struct slice model = json_string(doc, json_at(doc, at, 0), arena);
        struct row row;
        if (model.len == 0 || model.len > MODEL_BYTES_MAX || !read_row(doc, at, &row))
            continue;
        struct learned *l = learned_find_or_add(e, model, HEARD_MODELS_MAX);
        if (l == NULL)
            continue;
        pthread_mutex_lock(&l->lock);
        if (all)
            adopt_row(l, &row);
        else
            learn_row(l, &row);
        learned_publish(l);
        pthread_mutex_unlock(&l->lock);
    }
}
