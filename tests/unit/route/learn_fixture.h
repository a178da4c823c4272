// Labelled texts of a made-up world: what says "integral" is hard, what says "hello"
// is easy, and the rest of the words say nothing.
#ifndef TESTS_LEARN_FIXTURE_H
#define TESTS_LEARN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "farthing/learn.h"

struct world {
    char text[400];
    bool hard;
};

static inline void world_text(struct world *w, bool hard) {
    size_t at = 0;
    w->hard = hard;
    w->text[0] = '\0';
    uint64_t place = random_below(12);
    for (uint64_t i = 0; i < 12; i++) {
        at += (size_t)snprintf(w->text + at, sizeof w->text - at, "%s ",
                               i != place ? "" : hard ? "integral" : "hello");
        for (uint64_t n = 3 + random_below(6); n > 0; n--)
            w->text[at++] = (char)('a' + random_below(26));
        w->text[at++] = ' ';
        w->text[at] = '\0';
    }
}

static inline void rows_add(struct learn_rows *rows, const char *text, bool small, bool large) {
    learn_rows_text(rows, slice_of(text));
    assert_true(learn_rows_end(rows, small, large));
}

// Half of them hard: there the small model fails, the large one mostly not.
static inline void rows_fill(struct learn_rows *rows, size_t count) {
    struct world w;
    for (size_t i = 0; i < count; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, !w.hard, random_below(10) > 0);
    }
}

static inline struct learn_model *train(const struct learn_rows *rows) {
    struct error err;
    struct learn_model *m = learn_train(rows, NULL, 0, &err);
    assert_non_null(m);
    return m;
}

static inline struct learn_model *some_model(size_t rows_count) {
    struct learn_rows *rows = learn_rows_new();
    random_seed(1);
    rows_fill(rows, rows_count);
    struct learn_model *m = train(rows);
    learn_rows_free(rows);
    return m;
}

static inline struct learn_score ask(const struct learn_model *m, const char *text) {
    struct learn_reading r;
    learn_score_begin(&r);
    learn_score_text(&r, m, slice_of(text));
    return learn_score_end(&r, m);
}

static inline void assert_sane(struct learn_score s) {
    assert_true(s.score >= 0 && s.score <= 1);
    assert_true(s.p_small > 0 && s.p_small < 1);
    assert_true(s.p_large > 0 && s.p_large < 1);
}

static inline void assert_same(struct learn_score a, struct learn_score b) {
    assert_memory_equal(&a, &b, sizeof a);
}

static inline void assert_near(double seen, double wanted, double within) {
    if (!(fabs(seen - wanted) <= within))
        fail_msg("%f is not within %f of %f", seen, within, wanted);
}

#endif
