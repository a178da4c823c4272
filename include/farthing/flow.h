// flow: one client request as an exchange that passes the stations of
// docs/architecture.md in order: receive, identify, normalize, admit, recall,
// classify, plan, reserve, dispatch, judge, settle, record, reply.
#ifndef FARTHING_FLOW_H
#define FARTHING_FLOW_H

#include "farthing/base.h"
#include "farthing/budget.h"
#include "farthing/cache.h"
#include "farthing/config.h"
#include "farthing/estimate.h"
#include "farthing/flight.h"
#include "farthing/http.h"
#include "farthing/idempotency.h"
#include "farthing/ledger.h"
#include "farthing/limits.h"
#include "farthing/outcomes.h"
#include "farthing/past.h"
#include "farthing/runs.h"
#include "farthing/store.h"
#include "farthing/upstream.h"

// What all loops share; owned by the caller, outlives every flow.
struct flow_shared {
    struct cache *cache;       // NULL: no cache
    struct store *store;       // NULL: no store
    struct ledger *ledger;
    struct upstream_shared *upstream;
    struct limits *limits;
    struct flights *flights;
    struct budgets *budgets;
    struct runs *runs;
    struct estimator *estimator;
    // Results under an Idempotency-Key, and what is in flight under one; NULL: keys
    // are the provider's affair.
    struct cache *records;
    struct idempotency *claims;
    struct cache *recent;      // what clients' retries are served from; NULL: nothing
    struct breakers *breakers;
    struct retry_budgets *retry_budgets;
    struct balances *balances;
    struct key_blocks *blocks; // NULL: nobody is blocked
    struct outcomes *outcomes; // NULL: nothing is kept to learn from
    struct past *past;
};

struct key_blocks;
struct breakers;
struct retry_budgets;
struct balances;

// What is made of a configuration for choosing and judging; shared by all loops.
// NULL with `messages` ("FILE:LINE: ...", a line each) where a pattern or a model's
// file is no good; otherwise these may be warnings. References: any thread.
struct routing;
struct routing *routing_new(const struct config *config, struct buffer *messages);
struct routing *routing_ref(struct routing *r);
void routing_unref(struct routing *r);

struct flow; // one loop's share

// Takes references of its own on config, routing and prices (prices NULL: nothing is
// priced but what the file prices).
// `mailbox` is the loop's; it is freed after all loops have stopped.
struct flow *flow_new(struct event_base *loop, struct mailbox *mailbox, const struct flow_shared *shared,
                      const struct config *config, struct prices *prices,
                      struct routing *routing);
// Running exchanges keep the snapshot that they started with. On the loop.
void flow_set_config(struct flow *f, const struct config *config, struct prices *prices,
                     struct routing *routing);
// What the loop's http_server calls.
struct http_handler flow_handler(struct flow *f);
// From here on new requests are refused with shutting_down.
void flow_drain(struct flow *f);
// Ends what runs, with an error to each client that still waits: shutting_down.
void flow_shut_down(struct flow *f);
size_t flow_running(const struct flow *f);
// What runs, as a JSON array. On the loop.
void flow_write_inflight(struct flow *f, struct buffer *out);
// After the loop's http_server was freed (which ends every exchange).
void flow_free(struct flow *f);

#endif
