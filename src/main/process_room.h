// The running process, as its files share it: process.c has its life, process_open.c what
// is made at its start, process_reload.c what SIGHUP changes.
#ifndef FARTHING_MAIN_PROCESS_ROOM_H
#define FARTHING_MAIN_PROCESS_ROOM_H

#include "gossip.h"
#include "process.h"

enum {
    WORKERS_MAX = 64,
    ADDRESSES_MAX = 16,
};

// On the main thread.
struct process {
    const struct config *config;
    const char *path;
    struct prices *prices;
    struct store *store;
    struct cache *cache;
    struct ledger *ledger;
    struct outcomes *outcomes; // NULL: nothing is kept to learn from
    struct past *past;
    struct upstream_shared *upstream;
    struct limits *limits;
    struct flights *flights;
    struct budgets *budgets;
    struct runs *runs;
    struct estimator *estimator;
    struct key_blocks *blocks;
    struct routing *routing;
    struct breakers *breakers;
    struct retry_budgets *retry_budgets;
    struct balances *balances;
    struct cache *records, *recent;
    struct idempotency *claims;
    struct store_client *client; // the main loop's
    struct gossip *gossip;       // NULL: there are no other instances
    struct http_tls *tls;
    struct flow_shared shared;
    struct event_base *loop;
    struct event *on_hup, *on_term, *on_int, *on_drain_over;
    struct admin *admin;
    struct http_server *admin_server;
    uint16_t admin_port;
    struct worker *workers[WORKERS_MAX];
    unsigned worker_count, running;
    uint16_t ports[ADDRESSES_MAX];
    bool draining;
};

bool process_fail(const struct error *err); // says it; false, for `return`
// What all loops share. False: it was said why, and process_close_state frees what there is.
bool process_open_state(struct process *p);
void process_close_state(struct process *p);
// For the start and for a reload.
struct prices *process_load_prices(const struct config *config); // NULL: said in the log
struct http_tls *process_load_tls(const struct config *config, struct error *err);
void process_declare_models(struct process *p, const struct config *config);

void process_reload(struct process *p);

#endif
