// Labelled texts as training reads them, and the linear problem that is made of
// them.
#ifndef FARTHING_ROUTE_LEARN_ROWS_H
#define FARTHING_ROUTE_LEARN_ROWS_H

#include "learn_model.h"

struct learn_row {
    size_t start; // of its n-grams in learn_rows.buckets
    uint32_t count;
    bool ok[LEARN_HEADS];
    uint64_t hash; // of what the model sees: rows that look alike are alike
    double signals[LEARN_SIGNALS];
};

struct learn_rows {
    struct learn_row *rows;
    size_t count, cap;
    uint32_t *buckets;
    size_t bucket_count, bucket_cap;
    struct learn_reading reading; // of the row that comes
    size_t begun;                 // bucket_count before it
};

// ------------------------------------------------------------- learn_solve.c

enum { LEARN_WEIGHTS = LEARN_BUCKETS + LEARN_SIGNALS };

struct learn_pair {
    float of[LEARN_HEADS];
};

struct learn_sample {
    const uint32_t *buckets;
    uint32_t count;
    uint8_t part;                 // of the inner cross-validation
    float scale;                  // 1 / length of the n-grams' vector
    float signals[LEARN_SIGNALS]; // standard, weighted
    bool ok[LEARN_HEADS];
};

struct learn_problem {
    struct learn_sample *samples;
    size_t count;
    float *rarity;      // of each bucket; 0: in too few texts
    struct learn_linear signals[LEARN_SIGNALS];
};

struct learn_solution {
    struct learn_pair *weights; // LEARN_WEIGHTS
    double base[LEARN_HEADS];
};

enum { LEARN_ALL_PARTS = 255 };

// Ridge regression of both outcomes on the samples whose part is not `without`. It
// starts from what the solution holds.
void learn_solve(const struct learn_problem *p, unsigned without, double strength,
                 struct learn_solution *s);
void learn_answer(const struct learn_problem *p, const struct learn_solution *s,
                  const struct learn_sample *sample, double out[LEARN_HEADS]);

// --------------------------------------------------------- learn_calibrate.c

// Platt's: the slope and offset of the logistic curve that tells the chance of ok
// from an answer.
void learn_calibrate(const double *answers, const bool *ok, size_t count, double *slope,
                     double *offset);
// Sorts the values.
void learn_quantiles(double *values, size_t count, double knots[LEARN_KNOTS]);

#endif
