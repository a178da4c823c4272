// Reserving where several instances share the budgets: within the ceilings that the
// store granted at once, and above them once it has granted more. Before anything is
// refused the store is asked, since others may have given something back; but not
// again and again for the same.
#include <stdlib.h>

#include "budget_room.h"

// ------------------------------------------------------------------ what is short

static bool leg_fits(const struct budget_leg *leg, config_pico amount) {
    const struct span *s = leg->counter->now;
    return !leg->counter->frozen && s->confirmed - span_used(s) >= amount;
}

static bool fits(const struct budget_reservation *r) {
    for (size_t i = 0; i < r->leg_count; i++)
        if (!leg_fits(&r->legs[i], r->amount))
            return false;
    return true;
}

static void turn(struct budget_reservation *r, int64_t now_ms) {
    for (size_t i = 0; i < r->leg_count; i++)
        counter_turn(r->legs[i].counter, now_ms);
}

// The figures of a moment later may differ: what was refused is more than fits.
static config_pico least_left(const struct budget_reservation *r, int64_t now_ms) {
    config_pico least = r->amount > 0 ? r->amount - 1 : 0;
    for (size_t i = 0; i < r->leg_count; i++) {
        struct budget_counter *c = r->legs[i].counter;
        config_pico left = c->frozen ? 0 : counter_left(c, now_ms);
        least = left < least ? left : least;
    }
    return least > 0 ? least : 0;
}

// ------------------------------------------------------------------------ taking

void budget_share_force(struct budget_reservation *r, int64_t now_ms) {
    turn(r, now_ms);
    for (size_t i = 0; i < r->leg_count; i++) {
        struct budget_counter *c = r->legs[i].counter;
        c->now->reserved = pico_add(c->now->reserved, r->amount);
        r->legs[i].epoch = c->now->epoch;
        if (span_used(c->now) > c->share.peak)
            c->share.peak = span_used(c->now);
        budget_share_activate(c);
    }
}

static void force_open(struct budget_reservation *r, int64_t now_ms) {
    budget_share_force(r, now_ms);
    metric_add(metric_plain(&budget_unconfirmed_family), 1);
}

static void refuse(struct budget_reservation *r, struct budget_counter *c,
                   const struct budget_scope *scope, int64_t now_ms, bool unavailable,
                   struct budget_rows *rows, struct budget_refusal *out) {
    budget_refuse(c, scope, r->amount, now_ms, out);
    out->fits = least_left(r, now_ms);
    out->unavailable = unavailable;
    if (!unavailable && rows != NULL)
        budget_check_exhausted(rows, c, r->amount, now_ms);
    budget_drop_legs(r);
}

static bool was_refused(const struct budget_reservation *r, uint64_t mono_ms,
                        struct budget_counter **which) {
    for (size_t i = 0; i < r->leg_count; i++) {
        struct budget_counter *c = r->legs[i].counter;
        if (!leg_fits(&r->legs[i], r->amount) && mono_ms < c->share.refused_until_ms &&
            r->amount >= c->share.refused) {
            *which = c;
            return true;
        }
    }
    return false;
}

enum budget_verdict budget_share_take(struct budgets_loop *l, struct budget_reservation *r,
                                      const struct budget_ask *ask,
                                      struct budget_counter *tightest, int64_t now_ms,
                                      struct budget_rows *rows, struct budget_refusal *refusal) {
    struct budgets_share *share = &l->budgets->share;
    if (fits(r)) {
        budget_share_force(r, now_ms);
        return BUDGET_GRANTED;
    }
    if (was_refused(r, clock_mono_ms(), &tightest)) {
        refuse(r, tightest, &ask->scope, now_ms, false, rows, refusal);
        return BUDGET_REFUSED;
    }
    struct store *store = l->budgets->store;
    if (store_is_up(store) || (store_is_connected(store) && !atomic_load(&share->is_silent)))
        return BUDGET_WAIT;
    if (atomic_load_explicit(&share->open, memory_order_relaxed)) {
        force_open(r, now_ms);
        return BUDGET_GRANTED;
    }
    refuse(r, tightest, &ask->scope, now_ms, true, rows, refusal);
    return BUDGET_REFUSED;
}

// ----------------------------------------------------------------------- waiting

static bool open_to_all(const struct budget_tenant *t) {
    return atomic_load_explicit(&t->budgets->share.open, memory_order_relaxed);
}

// The one that has said no to this waiter; NULL: some answer is still to come.
static struct budget_counter *denied_by(const struct budget_waiter *w, int64_t now_ms) {
    const struct budget_reservation *r = w->reservation;
    struct budget_counter *denied = NULL;
    for (size_t i = 0; i < r->leg_count; i++) {
        struct budget_counter *c = r->legs[i].counter;
        if (leg_fits(&r->legs[i], r->amount) || c->share.asking ||
            c->share.answered < w->number)
            continue;
        if (denied == NULL || counter_left(c, now_ms) < counter_left(denied, now_ms))
            denied = c;
    }
    return denied;
}

static void remember_refusal(struct budget_counter *c, config_pico amount) {
    uint64_t now = clock_mono_ms();
    if (now >= c->share.refused_until_ms || amount < c->share.refused)
        c->share.refused = amount;
    c->share.refused_until_ms = now + SHARE_SAME_MS;
}

static void deny(struct budget_waiter *w, struct budget_counter *c, int64_t now_ms,
                 struct budget_rows *rows) {
    bool unavailable = c->share.failed || c->share.holding;
    w->verdict = BUDGET_REFUSED;
    if (unavailable && open_to_all(c->budget->tenant)) {
        force_open(w->reservation, now_ms);
        w->verdict = BUDGET_GRANTED;
        return;
    }
    if (!unavailable)
        remember_refusal(c, w->reservation->amount);
    refuse(w->reservation, c, &w->scope, now_ms, unavailable, rows, &w->refusal);
}

// In the order in which they came.
void budget_share_wake(struct budget_tenant *t, int64_t now_ms, struct budget_rows *rows) {
    for (struct budget_waiter *w = t->waiters, *next; w != NULL; w = next) {
        next = w->next;
        turn(w->reservation, now_ms);
        if (fits(w->reservation)) {
            budget_share_force(w->reservation, now_ms);
            w->verdict = BUDGET_GRANTED;
        } else {
            struct budget_counter *c = denied_by(w, now_ms);
            if (c == NULL)
                continue;
            deny(w, c, now_ms, rows);
        }
        budget_wait_end(t, w);
    }
}

static void ask_for_legs(struct share_call **call, struct budgets_loop *l,
                         const struct budget_waiter *w) {
    const struct budget_reservation *r = w->reservation;
    for (size_t i = 0; i < r->leg_count; i++) {
        struct budget_counter *c = r->legs[i].counter;
        if (leg_fits(&r->legs[i], r->amount) || c->share.asking || c->share.answered >= w->number)
            continue;
        if (*call == NULL)
            *call = budget_share_call_new(l, c->budget->tenant);
        if (budget_share_call_is_full(*call))
            return; // the answer brings the others' turn
        budget_share_activate(c);
        budget_share_call_add(*call, c, false);
    }
}

struct share_call *budget_share_ask(struct budgets_loop *l, struct budget_tenant *t) {
    struct share_call *call = NULL;
    for (const struct budget_waiter *w = t->waiters; w != NULL; w = w->next)
        ask_for_legs(&call, l, w);
    return call;
}

// More in hand than this instance's part of what is left (twice what it is granted
// ahead): others may need it now, and the beat is a second away.
static bool holds_too_much(struct budget_counter *c, int64_t now_ms, unsigned instances) {
    config_pico spare = c->now->confirmed - span_used(c->now);
    config_pico left = counter_left(c, now_ms);
    return spare > 0 && spare > (left > 0 ? left : 0) / (config_pico)instances;
}

struct share_call *budget_share_return(struct budgets_loop *l, const struct budget_reservation *r,
                                       int64_t now_ms) {
    unsigned instances = store_instances(l->budgets->store);
    struct share_call *call = NULL;
    for (size_t i = 0; instances > 1 && i < r->leg_count; i++) {
        struct budget_counter *c = r->legs[i].counter;
        counter_turn(c, now_ms);
        if (c->share.asking || !holds_too_much(c, now_ms, instances))
            continue;
        if (call == NULL)
            call = budget_share_call_new(l, r->tenant);
        if (budget_share_call_is_full(call))
            break;
        c->now->confirmed = span_used(c->now);
        budget_share_call_add(call, c, false);
    }
    return call;
}

void budget_share_give_up(struct budget_waiter *w, int64_t now_ms) {
    struct budget_reservation *r = w->reservation;
    struct budget_counter *c = r->legs[0].counter;
    turn(r, now_ms);
    if (open_to_all(r->tenant)) {
        force_open(r, now_ms);
        w->verdict = BUDGET_GRANTED;
        return;
    }
    w->verdict = BUDGET_REFUSED;
    refuse(r, c, &w->scope, now_ms, true, NULL, &w->refusal);
}
