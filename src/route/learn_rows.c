// Labelled texts, kept as the n-grams and counts that the model sees: four bytes an
// n-gram, so that 10,000 prompts of 1 KB take some 30 MB.
#include <stdlib.h>

#include "learn_rows.h"

enum { BUCKETS_MAX = 1 << 26 }; // 256 MB

struct learn_rows *learn_rows_new(void) {
    return base_calloc(1, sizeof(struct learn_rows));
}

void learn_rows_free(struct learn_rows *rows) {
    if (rows == NULL)
        return;
    free(rows->rows);
    free(rows->buckets);
    free(rows);
}

size_t learn_rows_count(const struct learn_rows *rows) {
    return rows->count;
}

static inline void add(void *arg, unsigned bucket, unsigned fresh) {
    struct learn_rows *rows = arg;
    rows->buckets[rows->bucket_count] = bucket;
    rows->bucket_count += fresh;
}

void learn_rows_text(struct learn_rows *rows, struct slice piece) {
    // A text has LEARN_BUCKETS different n-grams at most.
    if (rows->bucket_cap - rows->begun <= LEARN_BUCKETS) {
        rows->bucket_cap = rows->bucket_cap + rows->bucket_cap / 2 + LEARN_BUCKETS + 1;
        rows->buckets = base_realloc(rows->buckets, rows->bucket_cap * sizeof *rows->buckets);
    }
    learn_read(&rows->reading, piece, add, rows);
}

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static int compare_buckets(const void *a, const void *b) {
    return (int)*(const uint32_t *)a - (int)*(const uint32_t *)b;
}

bool learn_rows_end(struct learn_rows *rows, bool small_ok, bool large_ok) {
    struct learn_row row = {.start = rows->begun,
                            .count = (uint32_t)(rows->bucket_count - rows->begun),
                            .ok = {small_ok, large_ok}};
    learn_signals(&rows->reading, row.signals);
    row.hash = mix(rows->reading.bytes + 1);
    for (size_t i = 0; i < row.count; i++)
        row.hash += mix(rows->buckets[row.start + i] + 0x9E3779B97F4A7C15u);
    learn_score_begin(&rows->reading);
    if (rows->bucket_count > BUCKETS_MAX) {
        rows->bucket_count = rows->begun;
        return false;
    }
    if (row.count > 0) // neighbours in memory are read one after the other
        qsort(rows->buckets + row.start, row.count, sizeof *rows->buckets, compare_buckets);
    if (rows->count == rows->cap) {
        rows->cap = rows->cap * 2 + 64;
        rows->rows = base_realloc(rows->rows, rows->cap * sizeof *rows->rows);
    }
    rows->rows[rows->count++] = row;
    rows->begun = rows->bucket_count;
    return true;
}

// ---------------------------------------------------------------- folds

struct placed {
    uint64_t key, hash;
    size_t row;
};

static int compare_placed(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

void learn_rows_fold(const struct learn_rows *rows, unsigned folds, uint64_t seed, uint8_t *out) {
    struct placed *placed = base_alloc((rows->count + 1) * sizeof *placed);
    for (size_t i = 0; i < rows->count; i++) {
        uint64_t hash = rows->rows[i].hash;
        placed[i] = (struct placed){mix(hash ^ mix(seed + 1)), hash, i};
    }
    qsort(placed, rows->count, sizeof *placed, compare_placed);
    unsigned fold = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (i > 0 && placed[i].hash != placed[i - 1].hash)
            fold = (fold + 1) % folds;
        out[placed[i].row] = (uint8_t)fold;
    }
    free(placed);
}

struct learn_score learn_rows_score(const struct learn_rows *rows, size_t row,
                                    const struct learn_model *m) {
    const struct learn_row *r = &rows->rows[row];
    int64_t sums[LEARN_HEADS] = {0};
    uint64_t norm = 0;
    for (size_t i = 0; i < r->count; i++)
        learn_add(m, rows->buckets[r->start + i], 1, sums, &norm);
    return learn_model_score(m, sums, norm, r->signals);
}
