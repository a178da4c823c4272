// Limits by name: the door of each tenant.
//
// One lock a tenant covers both rates and the places, so that a request gets
// all or nothing. Atomics for each figure would need taking back what was taken
// when the next one refuses, and somebody else would be refused meanwhile.
#include <assert.h>
#include <stdlib.h>

#include "limits_room.h"

static uint64_t now_us(void) {
    return clock_mono_ns() / 1000;
}

// -------------------------------------------------------------------- by name

struct limits *limits_new(void) {
    struct limits *l = base_calloc(1, sizeof *l);
    lock_init(&l->lock);
    l->by_name = table_new();
    return l;
}

void limits_free(struct limits *l) {
    if (l == NULL)
        return;
    for (struct limits_tenant *t = l->tenants, *next; t != NULL; t = next) {
        next = t->next;
        pthread_mutex_destroy(&t->lock);
        free((char *)t->name.ptr);
        free(t);
    }
    table_free(l->by_name);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static const struct config_limits no_figures = {CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET,
                                                 CONFIG_UNSET, CONFIG_UNSET};

static struct limits_tenant *tenant_new(struct slice name) {
    struct limits_tenant *t = aligned_alloc(CACHE_LINE, sizeof *t);
    if (t == NULL)
        abort();
    *t = (struct limits_tenant){.figures = no_figures};
    lock_init(&t->lock);
    t->name = slice_make(slice_dup(name), name.len);
    return t;
}

struct limits_tenant *limits_find(struct limits *l, struct slice name) {
    pthread_mutex_lock(&l->lock);
    struct limits_tenant *t = table_get(l->by_name, name);
    if (t == NULL) {
        t = tenant_new(name);
        table_put(l->by_name, name, t);
        t->next = l->tenants;
        l->tenants = t;
    }
    pthread_mutex_unlock(&l->lock);
    return t;
}

static struct limits_tenant *find_known(struct limits_loop *l, struct slice name) {
    struct limits_tenant *t = table_get(l->known, name);
    if (t == NULL) {
        t = limits_find(l->limits, name);
        table_put(l->known, name, t);
    }
    return t;
}

void limits_set(struct limits *l, struct slice name, const struct config_limits *figures) {
    struct limits_tenant *t = limits_find(l, name);
    pthread_mutex_lock(&t->lock);
    t->figures = *figures;
    atomic_store(&t->limited, figures->concurrency > 0 || figures->requests_per_minute > 0 ||
                                  figures->tokens_per_minute > 0);
    limits_hand_over(t);
    pthread_mutex_unlock(&t->lock);
}

void limits_configure(struct limits *l, const struct config *config) {
    for (size_t i = 0; i < config->tenant_count; i++) {
        const struct config_tenant *t = &config->tenants[i];
        limits_set(l, t->name, &t->limits);
    }
}

struct limits_loop *limits_loop_new(struct limits *l, struct event_base *loop) {
    struct limits_loop *ll = base_calloc(1, sizeof *ll);
    ll->limits = l;
    ll->known = table_new();
    waits_open(&ll->waits, loop, limits_on_due);
    return ll;
}

void limits_loop_free(struct limits_loop *l) {
    if (l == NULL)
        return;
    waits_close(&l->waits);
    table_free(l->known);
    free(l);
}

void limits_loop_run_due(struct limits_loop *l, uint64_t now_ms) {
    waits_run_due(&l->waits, now_ms);
}

// ------------------------------------------------------------------- the door

// When a place may be free for somebody who comes now: as many turns as stand
// before him, at the recent mean. Between a second, below which a retry is only
// load, and a minute, above which it is a guess.
int64_t limits_estimate_wait_ms(const struct limits_tenant *t) {
    int64_t places = t->figures.concurrency > 0 ? t->figures.concurrency : 1;
    int64_t turns = t->queued / places + 1;
    int64_t ms = t->hold_us / 1000 * turns;
    return ms < 1000 ? 1000 : ms > 60000 ? 60000 : ms;
}

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

static bool queue_has_seat(const struct limits_tenant *t) {
    return t->figures.queue > 0 && t->queued < t->figures.queue && t->figures.queue_timeout_ms != 0;
}

static bool refuse_place(const struct limits_tenant *t, struct limits_refusal *refusal) {
    *refusal = (struct limits_refusal){.reason = LIMITS_REASON_CONCURRENCY,
                                       .limit = t->figures.concurrency,
                                       .asked = 1,
                                       .queued = t->queued,
                                       .retry_after_ms = limits_estimate_wait_ms(t)};
    return false;
}

// Under the lock. Everything that can refuse is asked before anything is taken.
// `has_place` says whether there was a place or only a seat.
static bool enter(struct limits_tenant *t, struct limits_ticket *ticket, uint64_t now,
                  bool *has_place) {
    if (!rates_fit(t, ticket->tokens, now, &ticket->refusal))
        return false;
    *has_place = t->first == NULL && limits_has_place(t);
    if (!*has_place && !queue_has_seat(t))
        return refuse_place(t, &ticket->refusal);
    if (t->figures.requests_per_minute > 0)
        rate_take(&t->requests, t->figures.requests_per_minute, 1, now);
    ticket->metered = t->figures.tokens_per_minute > 0;
    if (ticket->metered)
        rate_take(&t->tokens, t->figures.tokens_per_minute, ticket->tokens, now);
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
    w->wait.mail.run = limits_on_granted;
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
    bool entered = enter(t, ticket, now, &has_place);
    if (entered && has_place)
        t->running++;
    else if (entered)
        limits_enqueue(t, ticket->waiter = waiter_new(l, ticket, done, arg));
    int64_t timeout_ms = t->figures.queue_timeout_ms;
    pthread_mutex_unlock(&t->lock);
    if (!entered) {
        ticket->state = LIMITS_DONE;
        return LIMITS_REFUSED;
    }
    ticket->counted = true;
    if (has_place)
        return LIMITS_GRANTED;
    // Another thread may have granted it by now; its mail comes to this loop.
    start_waiting(l, ticket, ticket->waiter, timeout_ms, ask->max_wait_ms);
    return LIMITS_QUEUED;
}

enum limits_verdict limits_admit(struct limits_loop *l, struct limits_ticket *t,
                                 const struct limits_ask *ask, limits_done *done, void *arg) {
    assert(t->state != LIMITS_WAITING && t->state != LIMITS_HELD);
    uint64_t now = now_us();
    *t = (struct limits_ticket){.state = LIMITS_HELD,
                                .admitted_ms = now / 1000,
                                .held_ms = now / 1000,
                                .tenant = find_known(l, ask->tenant),
                                .tokens = ask->tokens > 0 ? ask->tokens : 0};
    if (!atomic_load_explicit(&t->tenant->limited, memory_order_relaxed))
        return LIMITS_GRANTED;
    return admit_limited(l, t, ask, now, done, arg);
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
    rate_take(&tenant->tokens, tenant->figures.tokens_per_minute,
              (tokens > 0 ? tokens : 0) - reserved, now_us());
    pthread_mutex_unlock(&tenant->lock);
    return true;
}

bool limits_release(struct limits_ticket *t) {
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
    uint64_t now = now_us();
    int64_t held_us = (int64_t)(now - t->held_ms * 1000);
    pthread_mutex_lock(&tenant->lock);
    tenant->hold_us += (held_us - tenant->hold_us) / 8;
    if (t->metered && t->tokens > 0)
        rate_take(&tenant->tokens, tenant->figures.tokens_per_minute, -t->tokens, now);
    tenant->running--;
    limits_hand_over(tenant);
    pthread_mutex_unlock(&tenant->lock);
    return true;
}
