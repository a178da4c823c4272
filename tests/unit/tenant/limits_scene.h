// What the tests of limits share: loops on one thread, guests who are told once,
// and a clock that moves only when a test says so.
#ifndef FARTHING_TEST_TENANT_LIMITS_SCENE_H
#define FARTHING_TEST_TENANT_LIMITS_SCENE_H

#include "farthing/limits.h"
#include "scene.h"

struct scene {
    struct event_base *loop;
    struct limits *limits;
    struct limits_loop *own, *other;
    uint64_t now_ms;
};

// A request and what it was told.
struct guest {
    struct limits_ticket ticket;
    enum limits_verdict verdict, told;
    unsigned calls;
    unsigned turn; // in the order of being told, from 1
};
static unsigned turns;

static inline void on_done(void *arg, enum limits_verdict verdict) {
    struct guest *g = arg;
    g->calls++;
    g->told = verdict;
    g->turn = ++turns;
}

static inline void at(struct scene *s, uint64_t now_ms) {
    s->now_ms = now_ms;
    clock_freeze(NOON_MS, now_ms * 1000000);
}

static inline int set_up(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    s->loop = event_base_new();
    s->limits = limits_new();
    s->own = limits_loop_new(s->limits, s->loop);
    s->other = limits_loop_new(s->limits, s->loop);
    turns = 0;
    at(s, 1000000);
    *state = s;
    return 0;
}

static inline int tear_down(void **state) {
    struct scene *s = *state;
    limits_loop_free(s->own);
    limits_loop_free(s->other);
    limits_free(s->limits);
    event_base_free(s->loop);
    free(s);
    clock_thaw();
    return 0;
}

// Names and figures are the limits' own: the snapshot goes at once.
static inline void configure(struct scene *s, const char *body) {
    const struct config *c = scene_config(body, "");
    limits_configure(s->limits, c);
    config_unref(c);
}

static inline void run_mail(struct scene *s) {
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
}

static inline void release(struct guest *g) {
    assert_true(limits_release(&g->ticket));
    assert_false(limits_release(&g->ticket));
}

static inline struct limits_view view(const struct guest *g) {
    struct limits_view v;
    limits_view_ticket(&g->ticket, &v);
    return v;
}

#endif
