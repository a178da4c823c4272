// admin: the admin address: /metrics, /healthz, /readyz, /status.
#ifndef FARTHING_ADMIN_H
#define FARTHING_ADMIN_H

#include "farthing/base.h"
#include "farthing/cache.h"
#include "farthing/config.h"
#include "farthing/flight.h"
#include "farthing/http.h"
#include "farthing/ledger.h"
#include "farthing/limits.h"
#include "farthing/store.h"

enum admin_state { ADMIN_STARTING, ADMIN_SERVING, ADMIN_DRAINING };

// What the admin address shows. Pointers outlive the admin; `config` and
// `state` are changed with the functions below.
struct admin_sources {
    struct cache *cache;   // may be NULL
    struct store *store;   // may be NULL
    struct ledger *ledger;
    struct limits *limits;
    struct flights *flights;
    unsigned workers;
};

struct admin; // on one loop

struct admin *admin_new(const struct admin_sources *sources, const struct config *config);
void admin_set_config(struct admin *a, const struct config *config);
void admin_set_state(struct admin *a, enum admin_state state);
void admin_reload_failed(struct admin *a, struct slice why); // shown in /status until the next good one
struct http_handler admin_handler(struct admin *a);
void admin_free(struct admin *a);

#endif
