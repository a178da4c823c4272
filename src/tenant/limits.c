// The door of each name: who may come in, and what he gives back.
//
// One lock a name covers both rates and the places, so that a request gets
// all or nothing. Atomics for each figure would need taking back what was taken
// when the next one refuses, and somebody else would be refused meanwhile.
#include <assert.h>

#include "limits_room.h"

void limits_loop_run_due(struct limits_loop *l, uint64_t now_ms) {
    waits_run_due(&l->waits, now_ms);
}

// ------------------------------------------------------------------- the door

static bool refuse_rate(struct limits_refusal *refusal, enum limits_reason reason, struct rate *r,
                        int64_t limit, int64_t units, uint64_t now) {
    *refusal = (struct limits_refusal){.reason = reason,
                                       .limit = limit,
                                       .remaining = rate_remaining(r, limit, now),
                                       .asked = units,
                                       .retry_after_ms = rate_wait_ms(r, limit, units, now)};
    return false;
}

static bool rates_fit(struct limits_tenant *t, int64_t tokens, uint64_t now,
                      struct limits_refusal *refusal) {
    int64_t requests = t->figures.requests_per_minute, limit = t->figures.tokens_per_minute;
    if (requests > 0 && !rate_fits(&t->requests, requests, 1, now))
        return refuse_rate(refusal, LIMITS_REASON_REQUESTS, &t->requests, requests, 1, now);
    if (limit > 0 && !rate_fits(&t->tokens, limit, tokens, now))
        return refuse_rate(refusal, LIMITS_REASON_TOKENS, &t->tokens, limit, tokens, now);
    return true;
}

static void charge_rates(struct limits_tenant *t, struct limits_ticket *ticket, uint64_t now) {
    ticket->charged = t->figures.requests_per_minute > 0;
    if (ticket->charged)
        rate_take(&t->requests, t->figures.requests_per_minute, 1, now);
    ticket->metered = t->figures.tokens_per_minute > 0;
    if (ticket->metered)
        rate_take(&t->tokens, t->figures.tokens_per_minute, ticket->tokens, now);
}

// Under the lock. Everything that can refuse is asked before anything is taken.
// `has_place` says whether there was a place or only a seat.
static bool enter(struct limits_tenant *t, struct limits_ticket *ticket,
                  const struct limits_ask *ask, uint64_t now, bool *has_place) {
    struct limits_waiter *surplus = NULL;
    if (!rates_fit(t, ticket->tokens, now, &ticket->refusal))
        return false;
    *has_place = t->queue.count == 0 && limits_has_place(t);
    bool may_wait = ask->max_wait_ms >= 0;
    if (!*has_place && (!may_wait || !limits_find_seat(t, ask, &surplus))) {
        limits_fill_refusal(t, may_wait ? LIMITS_REASON_CONCURRENCY : LIMITS_REASON_QUEUE_TIMEOUT,
                            &ticket->refusal);
        return false;
    }
    if (surplus != NULL)
        limits_displace(t, surplus);
    charge_rates(t, ticket, now);
    ticket->counted = true;
    return true;
}

static void start_waiting(struct limits_loop *l, struct limits_ticket *ticket,
                          struct limits_waiter *w, int64_t timeout_ms, int64_t max_wait_ms) {
    if (timeout_ms < 0)
        timeout_ms = LIMITS_QUEUE_TIMEOUT_MS;
    if (max_wait_ms > 0 && max_wait_ms < timeout_ms)
        timeout_ms = max_wait_ms;
    ticket->state = LIMITS_WAITING;
    waits_add(&l->waits, &w->wait, ticket->admitted_ms + (uint64_t)timeout_ms);
}

static struct limits_waiter *waiter_new(struct limits_loop *l, struct limits_ticket *ticket,
                                        limits_done *done, void *arg) {
    struct limits_waiter *w = base_calloc(1, sizeof *w);
    w->wait.mail.run = limits_on_told;
    w->place = WAITER_QUEUED;
    w->loop = l;
    w->ticket = ticket;
    w->done = done;
    w->arg = arg;
    return w;
}

static enum limits_verdict admit_limited(struct limits_loop *l, struct limits_ticket *ticket,
                                         const struct limits_ask *ask, uint64_t now,
                                         limits_done *done, void *arg) {
    struct limits_tenant *t = ticket->tenant;
    bool has_place = false;
    pthread_mutex_lock(&t->lock);
    bool entered = enter(t, ticket, ask, now, &has_place);
    if (entered && has_place)
        t->running++;
    else if (entered) {
        ticket->waiter = waiter_new(l, ticket, done, arg);
        fair_add(&t->queue, &ticket->waiter->seat, ask->flow, ask->weight);
    }
    int64_t timeout_ms = t->figures.queue_timeout_ms;
    pthread_mutex_unlock(&t->lock);
    if (!entered) {
        ticket->state = LIMITS_DONE;
        return LIMITS_REFUSED;
    }
    if (has_place)
        return LIMITS_GRANTED;
    // Another thread may have told it by now; its mail comes to this loop.
    start_waiting(l, ticket, ticket->waiter, timeout_ms, ask->max_wait_ms);
    return LIMITS_QUEUED;
}

enum limits_verdict limits_admit(struct limits_loop *l, struct limits_ticket *t,
                                 const struct limits_ask *ask, limits_done *done, void *arg) {
    assert(t->state != LIMITS_WAITING && t->state != LIMITS_HELD);
    uint64_t now = clock_mono_us();
    *t = (struct limits_ticket){.state = LIMITS_HELD,
                                .admitted_ms = now / 1000,
                                .held_ms = now / 1000,
                                .tenant = limits_find_known(l, ask->tenant),
                                .tokens = ask->tokens > 0 ? ask->tokens : 0};
    if (!atomic_load_explicit(&t->tenant->limited, memory_order_relaxed))
        return LIMITS_GRANTED;
    return admit_limited(l, t, ask, now, done, arg);
}

// -------------------------------------------------------------- what goes back

bool limits_settle(struct limits_ticket *t, int64_t tokens) {
    if (t->state != LIMITS_HELD || t->tokens < 0)
        return false;
    int64_t reserved = t->tokens;
    t->tokens = -1; // settled
    if (!t->metered)
        return true;
    struct limits_tenant *tenant = t->tenant;
    pthread_mutex_lock(&tenant->lock);
    rate_take(&tenant->tokens, tenant->figures.tokens_per_minute,
              (tokens > 0 ? tokens : 0) - reserved, clock_mono_us());
    pthread_mutex_unlock(&tenant->lock);
    return true;
}

// One that never ran says nothing about how long places are held.
static bool end(struct limits_ticket *t, bool ran) {
    if (t->state == LIMITS_WAITING) {
        limits_abandon(t);
        return true;
    }
    if (t->state != LIMITS_HELD)
        return false;
    t->state = LIMITS_DONE;
    if (!t->counted)
        return true;
    struct limits_tenant *tenant = t->tenant;
    int64_t held_us = (int64_t)(clock_mono_us() - t->held_ms * 1000);
    if (ran)
        t->charged = false; // spent
    pthread_mutex_lock(&tenant->lock);
    if (ran)
        tenant->hold_us += (held_us - tenant->hold_us) / 8;
    limits_give_rates_back(tenant, t);
    tenant->running--;
    limits_hand_over(tenant);
    pthread_mutex_unlock(&tenant->lock);
    return true;
}

bool limits_release(struct limits_ticket *t) {
    return end(t, true);
}

bool limits_cancel(struct limits_ticket *t) {
    return end(t, false);
}
