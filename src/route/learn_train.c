// Training: what the texts are made of, how strong the regularisation is, and what
// the file keeps.
//
// Classes are not weighted: that would bend the chances and the difference of the two
// answers, which is what the large model gains. Everything runs over the rows in the
// order of their hashes, so that the order of lines and files does not matter.
#include <math.h>
#include <stdlib.h>

#include "learn_rows.h"

enum { PARTS = 5, TEXTS_LEAST = 2 }; // an n-gram of one text says nothing of another
#define SIGNALS_WEIGHT 0.3           // of all signals beside the n-grams' 1
static const double strengths[] = {32, 16, 8, 4}; // falling: each starts from the one before

// -------------------------------------------------------------- problem

static int compare_rows(const void *a, const void *b) {
    const struct learn_row *x = *(const struct learn_row *const *)a,
                           *y = *(const struct learn_row *const *)b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->ok[LEARN_SMALL] * 2 + x->ok[LEARN_LARGE] - y->ok[LEARN_SMALL] * 2 -
           y->ok[LEARN_LARGE];
}

static const struct learn_row **choose_rows(const struct learn_rows *rows, const uint8_t *folds,
                                            unsigned without, size_t *count) {
    const struct learn_row **chosen = base_alloc((rows->count + 1) * sizeof *chosen);
    *count = 0;
    for (size_t i = 0; i < rows->count; i++)
        if (folds == NULL || folds[i] != without)
            chosen[(*count)++] = &rows->rows[i];
    qsort(chosen, *count, sizeof(struct learn_row *), compare_rows);
    return chosen;
}

// The rarer, the more it says: logarithm of texts by texts that have it.
static void set_rarity(struct learn_problem *p) {
    uint32_t *texts = base_calloc(LEARN_BUCKETS, sizeof *texts);
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->samples[i].count; k++)
            texts[p->samples[i].buckets[k]]++;
    for (size_t i = 0; i < LEARN_BUCKETS; i++)
        p->rarity[i] = texts[i] < TEXTS_LEAST ? 0
                                              : (float)(log((double)(p->count + 1) /
                                                            (double)(texts[i] + 1)) +
                                                        1);
    free(texts);
    for (size_t i = 0; i < p->count; i++) {
        double square = 0;
        for (size_t k = 0; k < p->samples[i].count; k++) {
            double r = (double)p->rarity[p->samples[i].buckets[k]];
            square += r * r;
        }
        p->samples[i].scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
    }
}

static void set_signals(struct learn_problem *p, const struct learn_row **rows) {
    const double weight = SIGNALS_WEIGHT / sqrt(LEARN_SIGNALS);
    for (size_t k = 0; k < LEARN_SIGNALS; k++) {
        struct learn_linear *l = &p->signals[k];
        double sum = 0, square = 0;
        for (size_t i = 0; i < p->count; i++)
            sum += rows[i]->signals[k];
        l->mean = sum / (double)p->count;
        for (size_t i = 0; i < p->count; i++)
            square += (rows[i]->signals[k] - l->mean) * (rows[i]->signals[k] - l->mean);
        l->deviation = sqrt(square / (double)p->count);
        if (l->deviation < 1e-6) // the same everywhere: what differs later is unknown
            l->deviation = 1e6;
        for (size_t i = 0; i < p->count; i++)
            p->samples[i].signals[k] = (float)(learn_standard(l, rows[i]->signals[k]) * weight);
    }
}

static void set_problem(struct learn_problem *p, const struct learn_rows *rows,
                        const struct learn_row **chosen, size_t count) {
    p->count = count;
    p->samples = base_calloc(count, sizeof *p->samples);
    p->rarity = base_calloc(LEARN_BUCKETS, sizeof *p->rarity);
    unsigned part = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && chosen[i]->hash != chosen[i - 1]->hash)
            part = (part + 1) % PARTS;
        p->samples[i] = (struct learn_sample){.buckets = rows->buckets + chosen[i]->start,
                                              .count = chosen[i]->count,
                                              .part = (uint8_t)part,
                                              .ok = {chosen[i]->ok[0], chosen[i]->ok[1]}};
    }
    set_rarity(p);
    set_signals(p, chosen);
}

static void free_problem(struct learn_problem *p) {
    free(p->samples);
    free(p->rarity);
}

// ------------------------------------------------------------- strength

// What models that did not see a row say of it, by strength.
struct trial {
    double strength, error;
    double *answers[LEARN_HEADS];
};

static void start_solution(struct learn_solution *s) {
    memset(s->weights, 0, LEARN_WEIGHTS * sizeof *s->weights);
    memset(s->base, 0, sizeof s->base);
}

static void try_part(const struct learn_problem *p, unsigned part, struct trial *trials,
                     struct learn_solution *s) {
    start_solution(s);
    for (size_t k = 0; k < FARTHING_COUNT(strengths); k++) {
        learn_solve(p, part, strengths[k], s);
        for (size_t i = 0; i < p->count; i++) {
            if (p->samples[i].part != part)
                continue;
            double answers[LEARN_HEADS];
            const bool *ok = p->samples[i].ok;
            learn_answer(p, s, &p->samples[i], answers);
            for (size_t h = 0; h < LEARN_HEADS; h++)
                trials[k].answers[h][i] = answers[h];
            // Of what the large model gains: that is what is ranked by.
            double off = (answers[LEARN_LARGE] - answers[LEARN_SMALL]) -
                         ((double)ok[LEARN_LARGE] - (double)ok[LEARN_SMALL]);
            trials[k].error += off * off;
        }
    }
}

static void try_strengths(const struct learn_problem *p, struct trial *trials,
                          struct learn_solution *s) {
    for (size_t k = 0; k < FARTHING_COUNT(strengths); k++) {
        trials[k] = (struct trial){.strength = strengths[k]};
        for (size_t h = 0; h < LEARN_HEADS; h++)
            trials[k].answers[h] = base_calloc(p->count, sizeof(double));
    }
    for (unsigned part = 0; part < PARTS; part++)
        try_part(p, part, trials, s);
}

static const struct trial *best_of(const struct trial *trials) {
    const struct trial *best = &trials[0];
    for (size_t k = 1; k < FARTHING_COUNT(strengths); k++)
        if (trials[k].error < best->error)
            best = &trials[k];
    return best;
}

static void free_trials(struct trial *trials) {
    for (size_t k = 0; k < FARTHING_COUNT(strengths); k++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            free(trials[k].answers[h]);
}

// ----------------------------------------------------------------- model

static uint16_t norm_of(double rarity) {
    double norm = rarity * rarity * LEARN_NORM_UNIT;
    return norm > UINT16_MAX ? UINT16_MAX : (uint16_t)lround(norm);
}

static void keep_weights(struct learn_model *m, const struct learn_problem *p,
                         const struct learn_solution *s) {
    for (size_t h = 0; h < LEARN_HEADS; h++) {
        double most = 0;
        for (size_t i = 0; i < LEARN_BUCKETS; i++)
            most = fmax(most, fabs((double)(s->weights[i].of[h] * p->rarity[i])));
        m->scales[h] = most > 0 ? most / INT16_MAX : 1;
        for (size_t i = 0; i < LEARN_BUCKETS; i++)
            m->buckets[i].weights[h] = (int16_t)lround(
                (double)(s->weights[i].of[h] * p->rarity[i]) / m->scales[h]);
        m->base[h] = s->base[h];
    }
    for (size_t i = 0; i < LEARN_BUCKETS; i++)
        m->buckets[i].norm = norm_of((double)p->rarity[i]);
    for (size_t i = 0; i < LEARN_SIGNALS; i++) {
        m->signals[i] = p->signals[i];
        for (size_t h = 0; h < LEARN_HEADS; h++)
            m->signals[i].weights[h] = (double)s->weights[LEARN_BUCKETS + i].of[h] *
                                       SIGNALS_WEIGHT / sqrt(LEARN_SIGNALS);
    }
}

static void keep_calibration(struct learn_model *m, const struct learn_problem *p,
                             const struct trial *t) {
    bool *ok = base_alloc(p->count * sizeof *ok);
    double *gains = base_alloc(p->count * sizeof *gains);
    for (size_t h = 0; h < LEARN_HEADS; h++) {
        for (size_t i = 0; i < p->count; i++)
            ok[i] = p->samples[i].ok[h];
        learn_calibrate(t->answers[h], ok, p->count, &m->slope[h], &m->offset[h]);
    }
    for (size_t i = 0; i < p->count; i++)
        gains[i] = t->answers[LEARN_LARGE][i] - t->answers[LEARN_SMALL][i];
    learn_quantiles(gains, p->count, m->knots);
    free(gains);
    free(ok);
}

static void keep_info(struct learn_model *m, const struct learn_problem *p, double strength) {
    m->info.rows = p->count;
    m->info.strength = strength;
    for (size_t i = 0; i < p->count; i++) {
        m->info.small_ok += p->samples[i].ok[LEARN_SMALL];
        m->info.large_ok += p->samples[i].ok[LEARN_LARGE];
    }
}

struct learn_model *learn_train(const struct learn_rows *rows, const uint8_t *folds,
                                unsigned without, struct error *err) {
    struct learn_problem problem = {0};
    struct trial trials[FARTHING_COUNT(strengths)];
    size_t count;
    const struct learn_row **chosen = choose_rows(rows, folds, without, &count);
    if (count == 0) {
        free(chosen);
        error_set(err, "there is no row to learn from");
        return NULL;
    }
    struct learn_solution s = {.weights = base_alloc(LEARN_WEIGHTS * sizeof *s.weights)};
    set_problem(&problem, rows, chosen, count);
    try_strengths(&problem, trials, &s);
    const struct trial *best = best_of(trials);
    start_solution(&s);
    learn_solve(&problem, LEARN_ALL_PARTS, best->strength, &s);
    struct learn_model *m = learn_model_new();
    keep_weights(m, &problem, &s);
    keep_calibration(m, &problem, best);
    keep_info(m, &problem, best->strength);
    free_trials(trials);
    free_problem(&problem);
    free(s.weights);
    free(chosen);
    return m;
}
