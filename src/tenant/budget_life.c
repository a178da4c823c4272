// The life of the budgets and of a loop's access to them.
#include <stdlib.h>

#include "budget_room.h"
#include "zone.h"

struct budgets *budgets_open(struct store *store, struct error *err) {
    struct budgets *b = base_calloc(1, sizeof *b);
    base_lock_init(&b->lock);
    base_lock_init(&b->refreshing);
    b->by_name = table_new();
    b->names = arena_new(4096);
    b->store = store;
    budget_metrics_declare();
    budget_share_open(b);
    if (store == NULL || b->share.on || budget_recover(b, err))
        return b;
    b->journal = NULL; // nothing to write
    budgets_close(b);
    return NULL;
}

void budgets_on_recovered(struct budgets *b, budget_visitor *recovered, void *arg) {
    b->share.recovered = recovered;
    b->share.recovered_arg = arg;
}

static void tenant_free(struct budget_tenant *t) {
    for (struct budget *b = t->first, *next; b != NULL; b = next) {
        next = b->next;
        budget_counters_free(b);
        free(b);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void zones_free(struct budgets *b) {
    for (struct budget_zone *z = b->zones, *next; z != NULL; z = next) {
        next = z->next;
        zone_free(z->zone);
        free(z);
    }
}

void budgets_close(struct budgets *b) {
    if (b == NULL)
        return;
    if (b->share.on)
        budget_share_close(b);
    budget_rows_write_all(b, true);
    for (struct budget_tenant *t = b->tenants, *next; t != NULL; t = next) {
        next = t->next;
        tenant_free(t);
    }
    zones_free(b);
    budget_losses_free(b);
    table_free(b->by_name);
    arena_free(b->names);
    pthread_mutex_destroy(&b->refreshing);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

// ----------------------------------------------------------------------- loops

struct budgets_loop *budgets_loop_new(struct budgets *b, struct event_base *loop,
                                      struct store_client *client) {
    struct budgets_loop *l = base_calloc(1, sizeof *l);
    l->budgets = b;
    l->client = client;
    l->known = table_new();
    waits_open(&l->waits, loop, budget_on_due);
    budget_share_start(l, loop);
    return l;
}

void budgets_loop_free(struct budgets_loop *l) {
    if (l == NULL)
        return;
    budget_confirmations_cancel(l);
    budget_share_stop(l);
    waits_close(&l->waits);
    table_free(l->known);
    free(l);
}

void budgets_loop_run_due(struct budgets_loop *l, uint64_t now_ms) {
    waits_run_due(&l->waits, now_ms);
}
