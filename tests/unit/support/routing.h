// A flow with what is made of its configuration for choosing and judging, and what
// loops share of providers and their answers.
#ifndef FARTHING_TEST_ROUTING_H
#define FARTHING_TEST_ROUTING_H

#include "farthing/breaker.h"
#include "farthing/flow.h"

static inline struct routing *routing_of(const struct config *config) {
    struct buffer messages = {0};
    struct routing *r = routing_new(config, &messages);
    if (r == NULL)
        abort();
    buffer_free(&messages);
    return r;
}

static inline void share_providers(struct flow_shared *shared) {
    shared->breakers = breakers_new();
    shared->retry_budgets = retry_budgets_new();
    shared->balances = balances_new();
    shared->past = past_new();
}

static inline void unshare_providers(struct flow_shared *shared) {
    breakers_free(shared->breakers);
    retry_budgets_free(shared->retry_budgets);
    balances_free(shared->balances);
    past_free(shared->past);
}

static inline struct flow *flow_of(struct event_base *loop, struct mailbox *mailbox,
                                   const struct flow_shared *shared, const struct config *config) {
    struct routing *r = routing_of(config);
    struct flow *f = flow_new(loop, mailbox, shared, config, NULL, r);
    routing_unref(r);
    return f;
}

static inline void flow_reload(struct flow *f, const struct config *config) {
    struct routing *r = routing_of(config);
    flow_set_config(f, config, NULL, r);
    routing_unref(r);
}

#endif
