// admin: the admin address: /metrics, /healthz, /readyz, /status; what budgets,
// limits, keys, runs and breakers look like now; and what an operator may change.
#ifndef FARTHING_ADMIN_H
#define FARTHING_ADMIN_H

#include "farthing/base.h"
#include "farthing/breaker.h"
#include "farthing/budget.h"
#include "farthing/cache.h"
#include "farthing/config.h"
#include "farthing/flight.h"
#include "farthing/http.h"
#include "farthing/ledger.h"
#include "farthing/limits.h"
#include "farthing/outcomes.h"
#include "farthing/past.h"
#include "farthing/runs.h"
#include "farthing/store.h"
#include "farthing/tenant.h"
#include "farthing/upstream.h"

enum admin_state { ADMIN_STARTING, ADMIN_SERVING, ADMIN_DRAINING };

// What runs now is known to the loops, each of its own. `ask` has every one of
// `count` loops call admin_inflight_put once, with a JSON array of its running
// exchanges (SLICE_NONE: it has none, or has ended). Each exchange is an object
// with id, tenant, feature, run, route, model, state, age_ms, attempts, stream
// and reserved_usd; more may be added. An answer for which one does not call
// is never freed.
struct admin_inflight_answer;
struct admin_inflight_source {
    void (*ask)(void *arg, struct admin_inflight_answer *answer);
    void *arg;
    unsigned count;
};
// Any thread, also within `ask`, and also long after: who comes late is heard
// and forgotten. The answer outlives the admin where it has to.
void admin_inflight_put(struct admin_inflight_answer *answer, struct slice json_array);

// What the admin address shows. Pointers outlive the admin; `config` and
// `state` are changed with the functions below.
struct admin_sources {
    struct cache *cache; // may be NULL
    struct store *store; // may be NULL
    struct ledger *ledger;
    struct limits *limits;
    struct flights *flights;
    unsigned workers;
    // Each of these may be NULL: then there is nothing to show, or to change.
    struct event_base *loop;     // the admin's own
    struct store_client *client; // of that loop
    struct budgets *budgets;
    struct runs *runs;
    struct key_blocks *blocks;
    struct upstream_shared *upstream;
    struct admin_inflight_source inflight; // ask NULL: none
    struct breakers *breakers;
    struct retry_budgets *retry_budgets;
    struct balances *balances;
    struct outcomes *outcomes; // what feedback is written to
    struct past *past;         // and counted in
};

struct admin; // on one loop

// With a store it opens the table `audit`, which blocks.
struct admin *admin_new(const struct admin_sources *sources, const struct config *config);
void admin_set_config(struct admin *a, const struct config *config);
void admin_set_prices(struct admin *a, struct prices *prices); // NULL: there are none
void admin_set_state(struct admin *a, enum admin_state state);
// Shown in /status until the next good one.
void admin_reload_failed(struct admin *a, struct slice why);
struct http_handler admin_handler(struct admin *a);
void admin_free(struct admin *a); // after the server that it handles requests for

#endif
