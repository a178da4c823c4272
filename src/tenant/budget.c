// Reserving, settling and releasing money in all budgets that apply.
#include <assert.h>
#include <stdlib.h>

#include "budget_room.h"

// -------------------------------------------------------------------- reserving

static bool applies(const struct budget_counter *c, struct slice feature) {
    return c->configured && (c->feature.len == 0 || slice_glob(c->feature, feature));
}

// Under the lock. The budget with least left of those that apply, all turned to
// the window of now; NULL: none apply.
static struct budget_counter *find_tightest(struct budget_tenant *t, struct slice feature,
                                            int64_t now_ms, size_t *count) {
    struct budget_counter *tightest = NULL;
    *count = 0;
    for (struct budget_counter *c = t->counters; c != NULL; c = c->next) {
        if (!applies(c, feature))
            continue;
        counter_turn(c, now_ms);
        ++*count;
        if (tightest == NULL || counter_left(c) < counter_left(tightest))
            tightest = c;
    }
    return tightest;
}

static void refuse(const struct budget_counter *c, config_pico asked, int64_t now_ms,
                   struct budget_refusal *out) {
    *out = (struct budget_refusal){.asked = asked, .retry_after_ms = -1};
    counter_view(c, &out->budget);
    out->fits = out->budget.remaining;
    // A wait helps only where the next window could bear it.
    if (out->budget.window_end_ms > 0 && asked <= c->amount)
        out->retry_after_ms =
            out->budget.window_end_ms > now_ms ? out->budget.window_end_ms - now_ms : 0;
    metric_add(c->rejections, 1);
}

static void take_legs(struct budget_reservation *r, struct slice feature,
                      struct budget_rows *rows) {
    size_t n = 0;
    for (struct budget_counter *c = r->tenant->counters; c != NULL; c = c->next) {
        if (!applies(c, feature))
            continue;
        c->now->reserved += r->amount; // it fits
        r->legs[n++] = (struct budget_leg){c, c->now->epoch, span_used(c->now)};
        budget_rows_note(rows, c, c->now);
    }
}

// Under the lock: takes the money from all budgets, or says which has too little.
static enum budget_verdict take(struct budgets_loop *l, struct budget_reservation *r,
                                const struct budget_ask *ask, struct budget_rows *rows,
                                struct budget_refusal *refusal) {
    int64_t now_ms = clock_wall_ms();
    struct budget_counter *tightest = find_tightest(r->tenant, ask->scope.feature, now_ms, &r->leg_count);
    if (tightest != NULL && r->amount > counter_left(tightest)) {
        refuse(tightest, r->amount, now_ms, refusal);
        return BUDGET_REFUSED;
    }
    r->legs = r->leg_count <= BUDGET_LEGS ? r->own : base_calloc(r->leg_count, sizeof *r->legs);
    take_legs(r, ask->scope.feature, rows);
    if (budget_is_safe(r))
        return BUDGET_GRANTED;
    if (!atomic_load_explicit(&l->budgets->store_is_slow, memory_order_relaxed))
        return BUDGET_WAIT;
    metric_add(metric_plain(&budget_unconfirmed_family), 1);
    return BUDGET_GRANTED;
}

enum budget_verdict budget_reserve(struct budgets_loop *l, struct budget_reservation *r,
                                   const struct budget_ask *ask, budget_ready *ready, void *arg,
                                   struct budget_refusal *refusal) {
    assert(r->state != BUDGET_WAITING && r->state != BUDGET_HELD);
    struct budget_rows rows;
    r->tenant = budget_tenant_known(l, ask->scope.tenant);
    r->amount = ask->worst > 0 ? ask->worst : 0;
    r->waiter = NULL;
    budget_rows_start(&rows);
    pthread_mutex_lock(&r->tenant->lock);
    enum budget_verdict verdict = take(l, r, ask, &rows, refusal);
    if (verdict == BUDGET_WAIT)
        budget_wait_start(l, r, ready, arg);
    pthread_mutex_unlock(&r->tenant->lock);
    r->state = verdict == BUDGET_GRANTED ? BUDGET_HELD
               : verdict == BUDGET_WAIT  ? BUDGET_WAITING
                                         : BUDGET_RELEASED;
    if (verdict == BUDGET_WAIT)
        waits_add(&l->waits, &r->waiter->wait, clock_mono_ms() + BUDGET_CONFIRM_MS);
    budget_rows_write(l, &rows);
    return verdict;
}

// --------------------------------------------------------------------- settling

// Under the lock.
static void settle_leg(const struct budget_leg *leg, config_pico reserved, config_pico cost,
                       struct budget_rows *rows) {
    struct budget_counter *c = leg->counter;
    struct span *s = counter_span(c, leg->epoch);
    if (s == NULL)
        return; // its window ended long ago
    s->reserved -= reserved;
    s->spent = pico_add(s->spent, cost);
    if (cost > reserved) {
        s->overrun = pico_add(s->overrun, cost - reserved);
        metric_add(c->overruns, cost - reserved);
    }
    budget_rows_note(rows, c, s);
}

static config_pico least_left(const struct budget_reservation *r) {
    config_pico least = CONFIG_UNSET;
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < r->leg_count; i++) {
        counter_turn(r->legs[i].counter, now_ms);
        config_pico left = counter_left(r->legs[i].counter);
        left = left > 0 ? left : 0;
        if (i == 0 || left < least)
            least = left;
    }
    return least;
}

static bool end(struct budgets_loop *l, struct budget_reservation *r, enum budget_state state,
                config_pico cost, struct budget_settled *out) {
    if (r->state != BUDGET_HELD && r->state != BUDGET_WAITING)
        return false;
    struct budget_rows rows;
    cost = cost > 0 ? cost : 0;
    budget_rows_start(&rows);
    pthread_mutex_lock(&r->tenant->lock);
    budget_wait_stop(r);
    for (size_t i = 0; i < r->leg_count; i++)
        settle_leg(&r->legs[i], r->amount, cost, &rows);
    config_pico remaining = least_left(r);
    pthread_mutex_unlock(&r->tenant->lock);
    budget_rows_write(l, &rows);
    r->state = state;
    bool over = r->leg_count > 0 && cost > r->amount;
    if (out != NULL)
        *out = (struct budget_settled){over ? cost - r->amount : 0, remaining};
    if (r->legs != r->own)
        free(r->legs);
    r->legs = NULL;
    r->leg_count = 0;
    return true;
}

bool budget_settle(struct budgets_loop *l, struct budget_reservation *r, config_pico cost,
                   struct budget_settled *out) {
    return end(l, r, BUDGET_SETTLED, cost, out);
}

bool budget_release(struct budgets_loop *l, struct budget_reservation *r) {
    return end(l, r, BUDGET_RELEASED, 0, NULL);
}

// ---------------------------------------------------------------------- figures

config_pico budget_remaining(struct budgets_loop *l, const struct budget_scope *scope) {
    struct budget_tenant *t = budget_tenant_known(l, scope->tenant);
    size_t count;
    pthread_mutex_lock(&t->lock);
    struct budget_counter *c = find_tightest(t, scope->feature, clock_wall_ms(), &count);
    config_pico left = c != NULL ? counter_left(c) : CONFIG_UNSET;
    pthread_mutex_unlock(&t->lock);
    return c == NULL || left > 0 ? left : 0;
}
