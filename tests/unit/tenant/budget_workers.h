// Loops on threads of their own: each reserves at random, and settles or gives back
// at random, until all that it holds is given back.
#ifndef FARTHING_TEST_TENANT_BUDGET_WORKERS_H
#define FARTHING_TEST_TENANT_BUDGET_WORKERS_H

#include "scene.h"
// After it: cmocka's.
#include <pthread.h>
#include <stdatomic.h>

#include "farthing/budget.h"
#include "farthing/store.h"

enum { WORKERS = 4, WORKER_HELD_MAX = 16 };

struct budget_worker;

// For the texts of an ask, until it was answered.
struct budget_ask_texts {
    char user[16], run[24];
};

struct budget_work {
    int rounds;  // with a store an eighth
    size_t held; // at once
    unsigned seed;
    struct budget_ask (*ask)(const struct budget_worker *w, int round,
                             struct budget_ask_texts *texts);
};

struct budget_worker {
    pthread_t thread;
    const struct budget_work *work;
    struct budgets *budgets;
    struct store *store; // NULL: in memory
    unsigned number;
    int64_t settled, granted, refused;
};

static atomic_int budget_workers_running;

static inline void worker_end_one(struct budgets_loop *l, struct budget_worker *w,
                                  struct budget_reservation *r) {
    if (r->state != BUDGET_HELD && r->state != BUDGET_WAITING)
        return;
    config_pico cost = (config_pico)random_below((uint64_t)r->amount / 8 + 1);
    if (random_below(4) == 0) {
        if (!budget_release(l, r))
            abort();
    } else {
        w->settled += cost;
        if (!budget_settle(l, r, cost, NULL))
            abort();
    }
}

static inline void worker_on_ready(void *arg, enum budget_verdict verdict,
                                   const struct budget_refusal *refusal) {
    struct budget_reservation *r = arg;
    bool granted = verdict == BUDGET_GRANTED;
    if (r->state != (granted ? BUDGET_HELD : BUDGET_RELEASED) || granted != (refusal == NULL))
        abort();
}

static inline void *worker_run(void *arg) {
    struct budget_worker *w = arg;
    struct event_base *loop = event_base_new();
    struct store_client *client = w->store != NULL ? store_client_new(w->store, loop) : NULL;
    struct budgets_loop *l = budgets_loop_new(w->budgets, loop, client);
    struct budget_reservation held[WORKER_HELD_MAX] = {0};
    random_seed(w->work->seed + w->number);
    for (int i = 0; i < (client != NULL ? w->work->rounds / 8 : w->work->rounds); i++) {
        struct budget_reservation *r = &held[random_below(w->work->held)];
        struct budget_refusal refusal;
        struct budget_ask_texts texts;
        const struct budget_ask ask = w->work->ask(w, i, &texts);
        worker_end_one(l, w, r);
        if (budget_reserve(l, r, &ask, worker_on_ready, r, &refusal) != BUDGET_REFUSED)
            w->granted++;
        else
            w->refused++;
        if (random_below(4) == 0)
            event_base_loop(loop, EVLOOP_NONBLOCK);
    }
    for (size_t i = 0; i < w->work->held; i++)
        worker_end_one(l, w, &held[i]);
    budgets_loop_free(l);
    store_client_free(client);
    event_base_free(loop);
    atomic_fetch_sub(&budget_workers_running, 1);
    return NULL;
}

// The test has said before how many run, for those who look on meanwhile.
static inline void budget_workers_start(struct budget_worker w[WORKERS],
                                        const struct budget_work *work, struct budgets *budgets,
                                        struct store *store) {
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct budget_worker){
            .work = work, .budgets = budgets, .store = store, .number = i};
        pthread_create(&w[i].thread, NULL, worker_run, &w[i]);
    }
}

// What all have settled. They met the end of the budget.
static inline config_pico budget_workers_join(struct budget_worker w[WORKERS]) {
    config_pico settled = 0;
    int64_t granted = 0, refused = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(w[i].thread, NULL);
        settled += w[i].settled;
        granted += w[i].granted;
        refused += w[i].refused;
    }
    assert_true(granted > 0 && refused > 0);
    return settled;
}

#endif
