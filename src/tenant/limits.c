// The door of each name: who may come in, and what he gives back.
//
// One lock a name covers both rates and the places, so that a request gets
// all or nothing. Atomics for each figure would need taking back what was taken
// when the next one refuses, and somebody else would be refused meanwhile.
#include <assert.h>

#include "limits_room.h"

enum { AWAY_RETRY_MS = 1000 }; // the store may be back

void limits_loop_run_due(struct limits_loop *l, uint64_t now_ms) {
    waits_run_due(&l->waits, now_ms);
}

// ------------------------------------------------------------------- the door

static struct rate *rate_of(struct limits_tenant *t, enum limits_kind kind) {
    struct limits_share *s = t->share;
    if (s != NULL && s->alone)
        return &s->rates[kind].alone;
    return kind == LIMITS_REQUESTS ? &t->requests : &t->tokens;
}

static int64_t figure_of(const struct limits_tenant *t, enum limits_kind kind) {
    return kind == LIMITS_REQUESTS ? t->figures.requests_per_minute : t->figures.tokens_per_minute;
}

static int64_t limit_of(const struct limits_tenant *t, enum limits_kind kind) {
    int64_t figure = figure_of(t, kind);
    return t->share != NULL && t->share->alone && figure > 0 ? limits_share_even(t->share, figure)
                                                             : figure;
}

// What is in credit is paid for. Nothing at all fits only where nothing is owed.
static bool is_covered(struct limits_tenant *t, enum limits_kind kind, int64_t units,
                       uint64_t now) {
    if (t->share == NULL || t->share->alone || units == 0)
        return rate_fits(rate_of(t, kind), limit_of(t, kind), units, now);
    return units <= t->share->rates[kind].credit;
}

static bool refuse_rate(struct limits_tenant *t, enum limits_kind kind, int64_t units, uint64_t now,
                        struct limits_refusal *refusal) {
    int64_t figure = figure_of(t, kind), limit = limit_of(t, kind);
    struct rate *r = rate_of(t, kind);
    bool never_here = units > limit && units <= figure; // but perhaps when the store is back
    *refusal = (struct limits_refusal){
        .reason = kind == LIMITS_REQUESTS ? LIMITS_REASON_REQUESTS : LIMITS_REASON_TOKENS,
        .limit = figure,
        .remaining = rate_remaining(r, limit, now),
        .asked = units,
        .retry_after_ms = never_here ? AWAY_RETRY_MS : rate_wait_ms(r, limit, units, now)};
    return false;
}

static bool rates_fit(struct limits_tenant *t, int64_t tokens, uint64_t now,
                      struct limits_refusal *refusal) {
    const int64_t units[LIMITS_KINDS] = {[LIMITS_REQUESTS] = 1, [LIMITS_TOKENS] = tokens};
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        if (figure_of(t, k) > 0 && !is_covered(t, k, units[k], now))
            return refuse_rate(t, k, units[k], now, refusal);
    return true;
}

static void take(struct limits_tenant *t, enum limits_kind kind, int64_t units, uint64_t now) {
    rate_take(rate_of(t, kind), limit_of(t, kind), units, now);
    if (t->share != NULL && !t->share->alone)
        limits_share_spend(t->share, kind, units, now);
}

void limits_charge(struct limits_tenant *t, enum limits_kind kind, int64_t units, uint64_t now) {
    rate_take(rate_of(t, kind), limit_of(t, kind), units, now);
    if (t->share != NULL && !t->share->alone)
        limits_share_charge(t->share, kind, units);
}

static void charge_rates(struct limits_tenant *t, struct limits_ticket *ticket, uint64_t now) {
    ticket->charged = t->figures.requests_per_minute > 0;
    if (ticket->charged)
        take(t, LIMITS_REQUESTS, 1, now);
    ticket->metered = t->figures.tokens_per_minute > 0;
    if (ticket->metered)
        take(t, LIMITS_TOKENS, ticket->tokens, now);
}

// Has the store just said so?
static bool is_fresh(const struct limits_share *s, const struct limits_refusal *refusal,
                     uint64_t now) {
    if (refusal->reason == LIMITS_REASON_CONCURRENCY)
        return s->full_us != 0 && now - s->full_us < LIMITS_FRESH_US;
    return refusal->retry_after_ms != 0 && s->answered_us != 0 &&
           now - s->answered_us < LIMITS_FRESH_US;
}

// What this instance has does not cover it. The store's word may be another, but
// not for what never fits.
static enum limits_entry turn_away(struct limits_tenant *t, struct limits_refusal *refusal,
                                   bool may_ask, uint64_t now) {
    const struct limits_share *s = t->share;
    if (s == NULL || s->alone || refusal->retry_after_ms < 0)
        return LIMITS_ENTRY_REFUSED;
    if (s->closed) {
        refusal->reason = LIMITS_REASON_STORE;
        refusal->retry_after_ms = AWAY_RETRY_MS;
        return LIMITS_ENTRY_REFUSED;
    }
    return may_ask && !is_fresh(s, refusal, now) ? LIMITS_ENTRY_ASK : LIMITS_ENTRY_REFUSED;
}

// Under the lock. Everything that can refuse is asked before anything is taken.
enum limits_entry limits_enter(struct limits_tenant *t, struct limits_ticket *ticket,
                               const struct limits_ask *ask, uint64_t now, bool final) {
    struct limits_waiter *surplus = NULL;
    bool may_wait = ask->max_wait_ms >= 0, may_ask = may_wait && !final;
    if (!rates_fit(t, ticket->tokens, now, &ticket->refusal))
        return turn_away(t, &ticket->refusal, may_ask, now);
    bool has_place = t->queue.count == 0 && limits_has_place(t);
    if (!has_place && (!may_wait || !limits_find_seat(t, ask, &surplus))) {
        limits_fill_refusal(t, may_wait ? LIMITS_REASON_CONCURRENCY : LIMITS_REASON_QUEUE_TIMEOUT,
                            &ticket->refusal);
        return turn_away(t, &ticket->refusal, may_ask, now);
    }
    if (surplus != NULL)
        limits_displace(t, surplus);
    charge_rates(t, ticket, now);
    ticket->counted = true;
    if (has_place)
        limits_start(t, now);
    return has_place ? LIMITS_ENTRY_PLACE : LIMITS_ENTRY_SEAT;
}

// While it asks no longer than the store may take; then on_due puts it back for as
// long as it has patience in the queue.
static void start_waiting(struct limits_loop *l, struct limits_waiter *w, bool asks,
                          int64_t timeout_ms) {
    struct limits_ticket *ticket = w->ticket;
    int64_t most_ms = w->ask.max_wait_ms;
    if (timeout_ms < 0)
        timeout_ms = LIMITS_QUEUE_TIMEOUT_MS;
    if (most_ms > 0 && most_ms < timeout_ms)
        timeout_ms = most_ms;
    w->asks = asks;
    int64_t wait_ms = asks ? l->limits->sharing.wait_ms : timeout_ms;
    if (most_ms > 0 && most_ms < wait_ms)
        wait_ms = most_ms;
    ticket->state = LIMITS_WAITING;
    w->until_ms = ticket->admitted_ms + (uint64_t)timeout_ms;
    waits_add(&l->waits, &w->wait, ticket->admitted_ms + (uint64_t)wait_ms);
}

static struct limits_waiter *waiter_new(struct limits_loop *l, struct limits_ticket *ticket,
                                        const struct limits_ask *ask, limits_done *done,
                                        void *arg) {
    struct limits_waiter *w = base_calloc(1, sizeof *w);
    w->wait.mail.run = limits_on_told;
    w->loop = l;
    w->ticket = ticket;
    w->ask = *ask;
    w->done = done;
    w->arg = arg;
    return w;
}

// Nobody passes those for whom the store is being asked.
static enum limits_entry try_to_enter(struct limits_tenant *t, struct limits_ticket *ticket,
                                      const struct limits_ask *ask, uint64_t now) {
    if (t->share != NULL && t->share->first != NULL && ask->max_wait_ms >= 0)
        return LIMITS_ENTRY_ASK;
    return limits_enter(t, ticket, ask, now, false);
}

static enum limits_verdict admit_limited(struct limits_loop *l, struct limits_ticket *ticket,
                                         const struct limits_ask *ask, uint64_t now,
                                         limits_done *done, void *arg) {
    struct limits_tenant *t = ticket->tenant;
    pthread_mutex_lock(&t->lock);
    if (t->share != NULL)
        limits_share_look(t, now);
    enum limits_entry entry = try_to_enter(t, ticket, ask, now);
    bool waits = entry == LIMITS_ENTRY_SEAT || entry == LIMITS_ENTRY_ASK;
    if (waits)
        ticket->waiter = waiter_new(l, ticket, ask, done, arg);
    if (entry == LIMITS_ENTRY_SEAT) {
        ticket->waiter->place = WAITER_QUEUED;
        fair_add(&t->queue, &ticket->waiter->seat, ask->flow, ask->weight);
    } else if (entry == LIMITS_ENTRY_ASK) {
        limits_line_add(t, ticket->waiter);
    }
    int64_t timeout_ms = t->figures.queue_timeout_ms;
    bool call = t->share != NULL && limits_share_note(l, t, now);
    pthread_mutex_unlock(&t->lock);
    // Another thread may have told it by now; its mail comes to this loop.
    if (waits)
        start_waiting(l, ticket->waiter, entry == LIMITS_ENTRY_ASK, timeout_ms);
    else if (entry == LIMITS_ENTRY_REFUSED)
        ticket->state = LIMITS_DONE;
    if (call)
        limits_share_call(l, t);
    return waits ? LIMITS_QUEUED
                 : entry == LIMITS_ENTRY_PLACE ? LIMITS_GRANTED : LIMITS_REFUSED;
}

enum limits_verdict limits_admit(struct limits_loop *l, struct limits_ticket *t,
                                 const struct limits_ask *ask, limits_done *done, void *arg) {
    assert(t->state != LIMITS_WAITING && t->state != LIMITS_HELD);
    uint64_t now = clock_mono_us();
    *t = (struct limits_ticket){.state = LIMITS_HELD,
                                .admitted_ms = now / 1000,
                                .held_ms = now / 1000,
                                .loop = l,
                                .tenant = limits_find_known(l, ask->tenant),
                                .tokens = ask->tokens > 0 ? ask->tokens : 0};
    if (!atomic_load_explicit(&t->tenant->limited, memory_order_relaxed))
        return LIMITS_GRANTED;
    return admit_limited(l, t, ask, now, done, arg);
}

// -------------------------------------------------------------- what goes back

// What was changed under the lock may be the store's affair.
static void unlock_and_call(struct limits_loop *l, struct limits_tenant *t) {
    bool call = t->share != NULL && limits_share_note(l, t, clock_mono_us());
    pthread_mutex_unlock(&t->lock);
    if (call)
        limits_share_call(l, t);
}

bool limits_settle(struct limits_ticket *t, int64_t tokens) {
    if (t->state != LIMITS_HELD || t->tokens < 0)
        return false;
    int64_t reserved = t->tokens;
    t->tokens = -1; // settled
    if (!t->metered)
        return true;
    struct limits_tenant *tenant = t->tenant;
    pthread_mutex_lock(&tenant->lock);
    limits_charge(tenant, LIMITS_TOKENS, (tokens > 0 ? tokens : 0) - reserved, clock_mono_us());
    unlock_and_call(t->loop, tenant);
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
    unlock_and_call(t->loop, tenant);
    return true;
}

bool limits_release(struct limits_ticket *t) {
    return end(t, true);
}

bool limits_cancel(struct limits_ticket *t) {
    return end(t, false);
}
