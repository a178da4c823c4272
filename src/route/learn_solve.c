// Ridge regression by conjugate gradients, of both outcomes in the same passes over
// the texts.
//
// Squared loss on 0 and 1 and not a logistic one: in cross-validation it ranks as
// well or better, needs a tenth of the passes, and the difference of its two answers
// estimates what the large model gains, which is what routing ranks by. Chances come
// from calibration afterwards.
//
// The problem is centred: with t = X p less its mean, X' t is the centred product
// too, so the means of the n-grams are never subtracted and X stays sparse.
#include <math.h>
#include <stdlib.h>

#include "learn_rows.h"

enum { ITERATIONS_MOST = 40 };
#define RESIDUAL_ENOUGH 1e-3 // of the first: more changes the third decimal of nothing

struct pair {
    double of[LEARN_HEADS];
};

// Vectors over the weights, in one piece of memory.
struct work {
    struct learn_pair *scaled, *residual, *direction, *product;
    struct pair *answers; // a sample each
};

static struct pair dot(const struct learn_pair *a, const struct learn_pair *b) {
    struct pair sum = {{0}};
    for (size_t i = 0; i < LEARN_WEIGHTS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            sum.of[h] += (double)a[i].of[h] * (double)b[i].of[h];
    return sum;
}

// Weights times rarity, so that the inner loop only adds.
static void scale(const struct learn_problem *p, const struct learn_pair *from,
                  struct learn_pair *to) {
    for (size_t i = 0; i < LEARN_BUCKETS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            to[i].of[h] = from[i].of[h] * p->rarity[i];
    memcpy(to + LEARN_BUCKETS, from + LEARN_BUCKETS, LEARN_SIGNALS * sizeof *to);
}

static struct pair answer(const struct learn_sample *s, const struct learn_pair *scaled) {
    struct learn_pair sum = {{0}};
    for (size_t i = 0; i < s->count; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            sum.of[h] += scaled[s->buckets[i]].of[h];
    for (size_t h = 0; h < LEARN_HEADS; h++)
        sum.of[h] *= s->scale;
    for (size_t i = 0; i < LEARN_SIGNALS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            sum.of[h] += s->signals[i] * scaled[LEARN_BUCKETS + i].of[h];
    return (struct pair){{(double)sum.of[0], (double)sum.of[1]}};
}

static void spread(const struct learn_sample *s, struct pair amount, struct learn_pair *to) {
    float of[LEARN_HEADS], scaled[LEARN_HEADS];
    for (size_t h = 0; h < LEARN_HEADS; h++) {
        of[h] = (float)amount.of[h];
        scaled[h] = of[h] * s->scale;
    }
    for (size_t i = 0; i < s->count; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            to[s->buckets[i]].of[h] += scaled[h];
    for (size_t i = 0; i < LEARN_SIGNALS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            to[LEARN_BUCKETS + i].of[h] += s->signals[i] * of[h];
}

// Subtracts the mean over the samples that count; returns it.
static struct pair centre(const struct learn_problem *p, unsigned without, struct pair *values) {
    struct pair mean = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        if (p->samples[i].part != without) {
            for (size_t h = 0; h < LEARN_HEADS; h++)
                mean.of[h] += values[i].of[h];
            n++;
        }
    for (size_t h = 0; h < LEARN_HEADS; h++)
        mean.of[h] /= n > 0 ? (double)n : 1;
    for (size_t i = 0; i < p->count; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            values[i].of[h] -= mean.of[h];
    return mean;
}

// out = X' values, scaled by rarity.
static void transpose(const struct learn_problem *p, unsigned without, const struct pair *values,
                      struct learn_pair *out) {
    memset(out, 0, LEARN_WEIGHTS * sizeof *out);
    for (size_t i = 0; i < p->count; i++)
        if (p->samples[i].part != without)
            spread(&p->samples[i], values[i], out);
    scale(p, out, out);
}

static void answer_all(const struct learn_problem *p, unsigned without,
                       const struct learn_pair *weights, struct work *w) {
    scale(p, weights, w->scaled);
    for (size_t i = 0; i < p->count; i++)
        if (p->samples[i].part != without)
            w->answers[i] = answer(&p->samples[i], w->scaled);
        else
            w->answers[i] = (struct pair){{0}};
}

// residual = X' (y - X weights) - strength * weights, with y and X centred.
static void begin(const struct learn_problem *p, unsigned without, double strength,
                  const struct learn_solution *s, struct work *w) {
    answer_all(p, without, s->weights, w);
    for (size_t i = 0; i < p->count; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            w->answers[i].of[h] = (double)p->samples[i].ok[h] - w->answers[i].of[h];
    centre(p, without, w->answers);
    transpose(p, without, w->answers, w->residual);
    for (size_t i = 0; i < LEARN_WEIGHTS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            w->residual[i].of[h] -= (float)strength * s->weights[i].of[h];
    memcpy(w->direction, w->residual, LEARN_WEIGHTS * sizeof *w->direction);
}

static void multiply(const struct learn_problem *p, unsigned without, double strength,
                     struct work *w) {
    answer_all(p, without, w->direction, w);
    centre(p, without, w->answers);
    transpose(p, without, w->answers, w->product);
    for (size_t i = 0; i < LEARN_WEIGHTS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            w->product[i].of[h] += (float)strength * w->direction[i].of[h];
}

// One step along the direction of each outcome. False: near enough.
static bool step(struct learn_solution *s, struct work *w, struct pair *square,
                 const struct pair *enough) {
    struct pair curve = dot(w->direction, w->product), next;
    float along[LEARN_HEADS], keep[LEARN_HEADS];
    for (size_t h = 0; h < LEARN_HEADS; h++)
        along[h] = curve.of[h] > 0 ? (float)(square->of[h] / curve.of[h]) : 0;
    for (size_t i = 0; i < LEARN_WEIGHTS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++) {
            s->weights[i].of[h] += along[h] * w->direction[i].of[h];
            w->residual[i].of[h] -= along[h] * w->product[i].of[h];
        }
    next = dot(w->residual, w->residual);
    bool far = false;
    for (size_t h = 0; h < LEARN_HEADS; h++) {
        keep[h] = square->of[h] > 0 ? (float)(next.of[h] / square->of[h]) : 0;
        far = far || next.of[h] > enough->of[h];
    }
    for (size_t i = 0; i < LEARN_WEIGHTS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            w->direction[i].of[h] = w->residual[i].of[h] + keep[h] * w->direction[i].of[h];
    *square = next;
    return far;
}

// The mean of what is left is the base.
static void set_base(const struct learn_problem *p, unsigned without, struct learn_solution *s,
                     struct work *w) {
    answer_all(p, without, s->weights, w);
    for (size_t i = 0; i < p->count; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            w->answers[i].of[h] = (double)p->samples[i].ok[h] - w->answers[i].of[h];
    struct pair mean = centre(p, without, w->answers);
    memcpy(s->base, mean.of, sizeof s->base);
}

void learn_solve(const struct learn_problem *p, unsigned without, double strength,
                 struct learn_solution *s) {
    struct learn_pair *vectors = base_alloc(4 * LEARN_WEIGHTS * sizeof *vectors);
    struct work w = {vectors, vectors + LEARN_WEIGHTS, vectors + 2 * LEARN_WEIGHTS,
                     vectors + 3 * LEARN_WEIGHTS, base_alloc((p->count + 1) * sizeof *w.answers)};
    begin(p, without, strength, s, &w);
    struct pair square = dot(w.residual, w.residual), enough = square;
    bool far = false;
    for (size_t h = 0; h < LEARN_HEADS; h++) {
        enough.of[h] = square.of[h] * RESIDUAL_ENOUGH * RESIDUAL_ENOUGH;
        far = far || square.of[h] > 1e-12;
    }
    for (int i = 0; i < ITERATIONS_MOST && far; i++) {
        multiply(p, without, strength, &w);
        far = step(s, &w, &square, &enough);
    }
    set_base(p, without, s, &w);
    free(w.answers);
    free(vectors);
}

void learn_answer(const struct learn_problem *p, const struct learn_solution *s,
                  const struct learn_sample *sample, double out[LEARN_HEADS]) {
    double sum[LEARN_HEADS] = {0};
    for (size_t i = 0; i < sample->count; i++) {
        unsigned b = sample->buckets[i];
        for (size_t h = 0; h < LEARN_HEADS; h++)
            sum[h] += (double)(s->weights[b].of[h] * p->rarity[b]);
    }
    for (size_t h = 0; h < LEARN_HEADS; h++)
        out[h] = s->base[h] + sum[h] * (double)sample->scale;
    for (size_t i = 0; i < LEARN_SIGNALS; i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            out[h] += (double)(s->weights[LEARN_BUCKETS + i].of[h] * sample->signals[i]);
}
