// One breaker, "openai/gpt-4o", on one loop. Time is a number.
#ifndef FARTHING_TEST_UPSTREAM_BREAKER_SCENE_H
#define FARTHING_TEST_UPSTREAM_BREAKER_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "farthing/breaker.h"

enum { SECOND = 1000, WINDOW = 30 * SECOND, SLICE_MS = WINDOW / 10, OPEN_FOR = 15 * SECOND };

static const struct breaker_figures usual = {5, WINDOW, OPEN_FOR, 0};

#define NAME SLICE("openai/gpt-4o")

struct scene {
    struct breakers *breakers;
    struct breakers_loop *loop;
    struct breaker_figures figures;
    int64_t now_ms;
};

static inline int open_scene(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    log_set_level(LOG_ERROR);
    random_seed(7);
    metric_reset_for_test();
    s->breakers = breakers_new();
    s->loop = breakers_loop_new(s->breakers);
    s->figures = usual;
    s->now_ms = 1000 * SLICE_MS; // at the beginning of a slice
    *state = s;
    return 0;
}

static inline int close_scene(void **state) {
    struct scene *s = *state;
    breakers_loop_free(s->loop);
    breakers_free(s->breakers);
    clock_thaw();
    free(s);
    return 0;
}

static inline enum breaker_verdict admit(struct scene *s, struct breaker_ticket *t) {
    return breaker_admit(s->loop, NAME, &s->figures, s->now_ms, t);
}

static inline void report(struct scene *s, struct breaker_ticket *t, enum breaker_outcome outcome) {
    assert_true(breaker_report(t, outcome, 10, s->now_ms));
}

// Calls that come and end at once; how many were let through.
static inline int call(struct scene *s, int n, enum breaker_outcome outcome) {
    int passed = 0;
    for (int i = 0; i < n; i++) {
        struct breaker_ticket t;
        if (admit(s, &t) == BREAKER_OPEN)
            continue;
        report(s, &t, outcome);
        passed++;
    }
    return passed;
}

struct found {
    struct slice name;
    struct breaker_view view;
    size_t count;
};

static inline void look(void *arg, const struct breaker_view *view) {
    struct found *f = arg;
    f->count++;
    if (slice_equal(view->name, f->name))
        f->view = *view;
}

static inline struct breaker_view view_of(struct scene *s, struct slice name) {
    struct found f = {.name = name};
    breakers_visit(s->breakers, s->now_ms, look, &f);
    assert_true(slice_equal(f.view.name, name));
    return f.view;
}

static inline void assert_state(struct scene *s, enum breaker_state state) {
    assert_string_equal(breaker_state_name(view_of(s, NAME).state), breaker_state_name(state));
}

static inline void trip(struct scene *s) {
    (void)call(s, 5, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_OPEN);
}

static inline void wait_for_probe(struct scene *s) {
    s->now_ms += view_of(s, NAME).retry_in_ms;
}

static inline struct breaker_ticket probe(struct scene *s) {
    struct breaker_ticket t;
    assert_int_equal(admit(s, &t), BREAKER_PROBE);
    return t;
}

#define BREAKER_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

#endif
