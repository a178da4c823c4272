// Once a second, one of the loops says what was spent, renews the leases that are open
// and gives back what is not needed; of the counters of which nothing is to be said a
// few are asked for all the same, so that figures are fresh, an operator's word is
// heard, and what was leased to who is gone is found where nobody spends any more.
#include <event2/event.h>
#include <stdlib.h>

#include "budget_room.h"

void budget_share_activate(struct budget_counter *c) {
    struct budget_tenant *t = c->budget->tenant;
    if (c->share.active)
        return;
    c->share.active = true;
    c->share.next_active = t->active;
    t->active = c;
}

// ---------------------------------------------------------------- those that spend

static struct budget_counter *pop(struct budget_counter **list) {
    struct budget_counter *c = *list;
    if (c != NULL)
        *list = c->share.next_active;
    return c;
}

static void put_back(struct budget_tenant *t, struct budget_counter *c) {
    c->share.next_active = t->active;
    t->active = c;
}

// Some of those that are still to come in this beat. NULL: that was all.
static struct share_call *report_some(struct budgets_loop *l, struct budget_tenant *t) {
    int64_t now_ms = budgets_now_ms(l->budgets);
    struct share_call *call = NULL;
    struct budget_counter *c;
    while ((call == NULL || !budget_share_call_is_full(call)) &&
           (c = pop(&t->beating)) != NULL) {
        counter_turn(c, now_ms);
        if (!c->share.asking && budget_share_is_told(c, now_ms)) {
            c->share.active = false;
            continue;
        }
        put_back(t, c);
        if (c->share.asking)
            continue;
        if (call == NULL)
            call = budget_share_round_new(l, t);
        budget_share_call_add(call, c, true);
    }
    return call;
}

static void gather(struct budget_tenant *t) {
    pthread_mutex_lock(&t->lock);
    while (t->active != NULL) { // beside what an earlier beat left
        struct budget_counter *c = pop(&t->active);
        c->share.next_active = t->beating;
        t->beating = c;
    }
    pthread_mutex_unlock(&t->lock);
}

// One call after the other: thousands of counters at once would keep the store busy
// for longer than a request may wait for its own question.
void budget_share_report_on(struct budgets_loop *l) {
    struct share_call *call = NULL;
    for (; l->reporting != NULL; l->reporting = l->reporting->next) {
        pthread_mutex_lock(&l->reporting->lock);
        call = report_some(l, l->reporting);
        pthread_mutex_unlock(&l->reporting->lock);
        if (call != NULL)
            break;
    }
    budget_share_send(call);
}

static void report_all(struct budgets_loop *l) {
    bool is_under_way = l->reporting != NULL;
    for (struct budget_tenant *t = budget_tenant_first(l->budgets); t != NULL; t = t->next)
        gather(t);
    l->reporting = budget_tenant_first(l->budgets);
    if (!is_under_way)
        budget_share_report_on(l);
}

// --------------------------------------------------------------------- refreshing

static bool is_stale(const struct budget *b, uint64_t now, uint64_t age_ms) {
    if (!b->configured || b->by_value != NULL || b->count == 0 || b->slots[0]->now == NULL)
        return false;
    const struct counter_share *s = &b->slots[0]->share;
    return !s->asking && !s->active && (s->told_ms == 0 || now - s->told_ms >= age_ms);
}

static size_t refresh_tenant(struct budgets_loop *l, struct budget_tenant *t, uint64_t now,
                             uint64_t age_ms, size_t most) {
    struct share_call *call = NULL;
    size_t count = 0;
    int64_t now_ms = budgets_now_ms(l->budgets);
    pthread_mutex_lock(&t->lock);
    for (struct budget *b = t->first; b != NULL && count < most; b = b->next) {
        if (!is_stale(b, now, age_ms))
            continue;
        if (call == NULL)
            call = budget_share_call_new(l, t);
        counter_turn(b->slots[0], now_ms);
        budget_share_call_add(call, b->slots[0], true);
        count++;
    }
    pthread_mutex_unlock(&t->lock);
    budget_share_send(call);
    return count;
}

// From the tenant on at which the last round ended.
static void refresh_some(struct budgets_loop *l, uint64_t now) {
    struct budgets *b = l->budgets;
    uint64_t viewed = atomic_load(&b->share.viewed_ms);
    bool watched = viewed != 0 && now - viewed < SHARE_WATCHED_MS;
    uint64_t age_ms = watched ? SHARE_BEAT_MS / 2 : SHARE_IDLE_MS;
    size_t skip = atomic_load(&b->share.refreshed), at = 0, left = SHARE_REFRESHED;
    for (struct budget_tenant *t = budget_tenant_first(b); t != NULL; t = t->next, at++)
        if (at >= skip && left > 0) {
            left -= refresh_tenant(l, t, now, age_ms, left);
            atomic_store(&b->share.refreshed, at + 1);
        }
    if (left > 0)
        atomic_store(&b->share.refreshed, 0);
}

// ------------------------------------------------------------------- another server

static void tell_all_again(struct budgets *b) {
    for (struct budget_tenant *t = budget_tenant_first(b); t != NULL; t = t->next) {
        pthread_mutex_lock(&t->lock);
        for (struct budget *at = t->first; at != NULL; at = at->next)
            for (size_t i = 0; i < at->count; i++) {
                struct budget_counter *c = at->slots[i];
                if (c->now == NULL || c->share.lease == 0)
                    continue;
                c->share.tell_all = true;
                budget_share_activate(c);
            }
        pthread_mutex_unlock(&t->lock);
    }
}

static void check_server(struct budgets *b, uint64_t now) {
    uint64_t epoch = store_epoch(b->store), before = atomic_exchange(&b->share.epoch, epoch);
    if (epoch == before || before == 0)
        return;
    atomic_store(&b->share.fresh_until_ms, now + SHARE_FRESH_MS);
    tell_all_again(b);
}

// ----------------------------------------------------------------------- the beat

void budget_share_beat(struct budgets_loop *l) {
    struct budgets *b = l->budgets;
    uint64_t now = clock_mono_ms();
    check_server(b, now);
    if (!store_is_connected(b->store))
        return;
    report_all(l);
    refresh_some(l, now);
}

// Every loop has the timer; the first whose time has come does it for all.
static void on_beat(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct budgets_loop *l = arg;
    struct budgets_share *share = &l->budgets->share;
    uint64_t now = clock_mono_ms(), last = atomic_load(&share->beat_ms);
    if (now - last < SHARE_BEAT_MS - SHARE_BEAT_MS / 8 ||
        !atomic_compare_exchange_strong(&share->beat_ms, &last, now))
        return;
    budget_share_beat(l);
}

void budget_share_start(struct budgets_loop *l, struct event_base *loop) {
    const struct timeval pause = {0, SHARE_BEAT_MS * 1000 / 4};
    if (!l->budgets->share.on || l->client == NULL)
        return;
    l->beat = event_new(loop, -1, EV_PERSIST, on_beat, l);
    event_add(l->beat, &pause);
}

void budget_share_stop(struct budgets_loop *l) {
    if (l->beat != NULL)
        event_free(l->beat);
    budget_share_cancel(l);
}

// ---------------------------------------------------------------------- the life

void budget_share_open(struct budgets *b) {
    b->share.on = store_is_shared(b->store);
    b->share.term_ms = SHARE_TERM_MS;
    b->share.hold_ms = SHARE_HOLD_MS;
    atomic_store(&b->share.timeout_ms, BUDGET_CONFIRM_MS);
}

static bool close_tenant(struct budgets *b, struct budget_tenant *t) {
    int64_t now_ms = budgets_now_ms(b);
    struct budget_counter *c;
    bool ok = true;
    while (ok && (t->active != NULL || t->beating != NULL)) {
        struct share_call *call = budget_share_call_new(NULL, t);
        while (!budget_share_call_is_full(call) &&
               ((c = pop(&t->active)) != NULL || (c = pop(&t->beating)) != NULL)) {
            counter_turn(c, now_ms);
            c->now->confirmed = span_used(c->now);
            c->share.growth = 0;
            c->share.used_before = c->share.peak = span_used(c->now);
            budget_share_call_add(call, c, true);
        }
        ok = budget_share_send_quietly(call);
    }
    return ok;
}

// Where the store is away, what was leased counts as spent once its term is over.
void budget_share_close(struct budgets *b) {
    for (struct budget_tenant *t = budget_tenant_first(b); t != NULL; t = t->next)
        if (!close_tenant(b, t))
            break;
    store_flush(b->store);
}
