// The rooms of one instance that gossip, and something to tell in each.
#ifndef FARTHING_TEST_MAIN_GOSSIP_SCENE_H
#define FARTHING_TEST_MAIN_GOSSIP_SCENE_H

#include "gossip_message.h"

static const struct breaker_figures gossip_figures = {
    .failures = 5, .window_ms = 30000, .open_for_ms = 60000, .slow_call_ms = 0};

#define GOSSIP_MODEL SLICE("openai/gpt-4o")

static inline int64_t mono_ms(void) {
    return (int64_t)clock_mono_ms();
}

static inline struct gossip_rooms rooms_new(void) {
    struct gossip_rooms r = {breakers_new(), retry_budgets_new(), estimator_new(), past_new()};
    breakers_set_figures(r.breakers, GOSSIP_MODEL, &gossip_figures, mono_ms());
    struct retry_budgets_loop *l = retry_budgets_loop_new(r.retry_budgets);
    (void)!retry_budget_take(l, SLICE("openai"), 0, mono_ms()); // known, and nothing taken
    retry_budgets_loop_free(l);
    return r;
}

static inline void rooms_free(struct gossip_rooms *r) {
    breakers_free(r->breakers);
    retry_budgets_free(r->retry_budgets);
    estimator_free(r->estimator);
    past_free(r->past);
}

static inline void rooms_trip(const struct gossip_rooms *r) {
    struct breakers_loop *l = breakers_loop_new(r->breakers);
    for (unsigned i = 0; i < gossip_figures.failures; i++) {
        struct breaker_ticket t;
        if (breaker_admit(l, GOSSIP_MODEL, &gossip_figures, mono_ms(), &t) != BREAKER_OPEN)
            (void)breaker_report(&t, BREAKER_BAD, 1, mono_ms());
    }
    breakers_loop_free(l);
}

static inline void rooms_learn(const struct gossip_rooms *r) {
    for (int i = 0; i < 60; i++)
        estimator_learn(r->estimator, GOSSIP_MODEL, 10000, 16000);
    for (int i = 0; i < 20; i++)
        past_note(r->past, SLICE("acme"), SLICE("faq"), SLICE("small"), i % 4 != 0);
}

static inline void rooms_earn(const struct gossip_rooms *r) {
    struct retry_budgets_loop *l = retry_budgets_loop_new(r->retry_budgets);
    for (int i = 0; i < 100; i++)
        retry_budget_note_good(l, SLICE("openai"), 100, mono_ms());
    retry_budgets_loop_free(l);
}

static inline void see_open(void *arg, const struct breaker_view *view) {
    if (view->state == BREAKER_STATE_OPEN)
        *(bool *)arg = true;
}

static inline bool rooms_is_open(const struct gossip_rooms *r) {
    bool open = false;
    breakers_visit(r->breakers, mono_ms(), see_open, &open);
    return open;
}

static inline int64_t rooms_likely(const struct gossip_rooms *r) {
    return estimator_ask(r->estimator, GOSSIP_MODEL, 10000).likely;
}

static inline int64_t rooms_percent(const struct gossip_rooms *r) {
    return past_percent(r->past, SLICE("acme"), SLICE("faq"), SLICE("small"));
}

static inline void see_left(void *arg, const struct retry_budget_view *view) {
    *(int64_t *)arg = view->left_milli;
}

static inline int64_t rooms_retries_milli(const struct gossip_rooms *r) {
    int64_t left = 0;
    retry_budgets_visit(r->retry_budgets, mono_ms(), see_left, &left);
    return left;
}

#endif
