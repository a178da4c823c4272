// Reserving, settling and releasing money in all budgets that apply.
#include <assert.h>
#include <stdlib.h>

#include "budget_room.h"

// ---------------------------------------------------------------- which budgets

static bool fits(struct slice glob, struct slice text) {
    return glob.len == 0 || slice_glob(glob, text);
}

static bool applies(const struct budget *b, const struct budget_scope *scope) {
    if (!b->configured)
        return false;
    if (b->per == PER_RUN_COST)
        return scope->run.len > 0 && scope->run_amount != CONFIG_UNSET;
    bool feature = b->feature_exact ? slice_equal(b->feature, scope->feature)
                                    : fits(b->feature, scope->feature);
    return feature && fits(b->user, scope->user);
}

// The run's own amount is what the ask says.
static struct budget_counter *counter_for(struct budget *b, const struct budget_scope *scope,
                                          int64_t now_ms, struct budget_rows *rows) {
    if (b->by_value == NULL)
        return b->slots[0];
    struct slice value = budget_value_of(b, scope);
    struct budget_counter *c = budget_counter_find(b, value);
    if (c == NULL) {
        c = budget_counter_make(b, value, now_ms);
        if (c != budget_counter_find(b, value))
            budget_check_full(rows, b);
    }
    if (b->per == PER_RUN_COST)
        c->amount = scope->run_amount > 0 ? scope->run_amount : 0;
    budget_counter_touch(c, now_ms);
    return c;
}

// -------------------------------------------------------------------- reserving

// Under the lock. Legs on all budgets that apply, turned to the window of now; the
// one with least left (a frozen one has nothing), NULL: none apply.
static struct budget_counter *find_legs(struct budget_reservation *r,
                                        const struct budget_scope *scope, int64_t now_ms,
                                        struct budget_rows *rows, config_pico *least) {
    struct budget_tenant *t = r->tenant;
    struct budget_counter *tightest = NULL;
    if (t->run == NULL && scope->run.len > 0 && scope->run_amount != CONFIG_UNSET)
        (void)budget_of_runs(t);
    r->legs =
        t->budget_count <= BUDGET_LEGS ? r->own : base_calloc(t->budget_count, sizeof *r->legs);
    for (struct budget *b = t->first; b != NULL; b = b->next) {
        if (!applies(b, scope))
            continue;
        struct budget_counter *c = counter_for(b, scope, now_ms, rows);
        counter_turn(c, now_ms);
        config_pico left = c->frozen ? INT64_MIN : counter_left(c, now_ms);
        if (tightest == NULL || left < *least) {
            tightest = c;
            *least = left;
        }
        c->holds++; // also so that it does not make room for the next
        r->legs[r->leg_count++].counter = c;
    }
    return tightest;
}

void budget_drop_legs(struct budget_reservation *r) {
    for (size_t i = 0; i < r->leg_count; i++)
        r->legs[i].counter->holds--;
    if (r->legs != r->own)
        free(r->legs);
    r->legs = NULL;
    r->leg_count = 0;
}

void budget_refuse(struct budget_counter *c, const struct budget_scope *scope, config_pico asked,
                   int64_t now_ms, struct budget_refusal *out) {
    *out = (struct budget_refusal){.asked = asked};
    counter_view(c, now_ms, &out->budget);
    // The counter may be gone when this is read; what the caller said is not.
    struct slice said = budget_value_of(c->budget, scope);
    bool other = c->budget->by_value != NULL && budget_counter_find(c->budget, said) != c;
    out->budget.value = other ? SLICE("other") : said;
    out->fits = c->frozen ? 0 : out->budget.remaining;
    out->retry_after_ms = counter_retry_ms(c, asked, now_ms);
    metric_add(c->budget->rejections, 1);
}

static void take_legs(struct budget_reservation *r, struct budget_rows *rows) {
    for (size_t i = 0; i < r->leg_count; i++) {
        struct budget_leg *leg = &r->legs[i];
        struct budget_counter *c = leg->counter;
        c->now->reserved += r->amount; // it fits
        leg->epoch = c->now->epoch;
        leg->level = span_used(c->now);
        if (c->dirty)
            budget_rows_note_dirty(rows, c);
        budget_rows_note(rows, c, c->now);
    }
}

// Under the lock: takes the money from all budgets, or says which has too little.
static enum budget_verdict take(struct budgets_loop *l, struct budget_reservation *r,
                                const struct budget_ask *ask, int64_t now_ms,
                                struct budget_rows *rows, struct budget_refusal *refusal) {
    config_pico least = INT64_MAX;
    struct budget_counter *tightest = find_legs(r, &ask->scope, now_ms, rows, &least);
    if (l->budgets->share.on)
        return budget_share_take(l, r, ask, tightest, now_ms, rows, refusal);
    if (tightest != NULL && (tightest->frozen || r->amount > least)) {
        budget_refuse(tightest, &ask->scope, r->amount, now_ms, refusal);
        budget_check_exhausted(rows, tightest, r->amount, now_ms);
        budget_drop_legs(r);
        return BUDGET_REFUSED;
    }
    take_legs(r, rows);
    if (budget_is_safe(r))
        return BUDGET_GRANTED;
    if (!atomic_load_explicit(&l->budgets->store_is_slow, memory_order_relaxed))
        return BUDGET_WAIT;
    metric_add(metric_plain(&budget_unconfirmed_family), 1);
    return BUDGET_GRANTED;
}

static uint64_t longest_wait_ms(struct budgets *b) {
    return b->share.on ? (uint64_t)atomic_load_explicit(&b->share.timeout_ms, memory_order_relaxed)
                       : BUDGET_CONFIRM_MS;
}

enum budget_verdict budget_reserve(struct budgets_loop *l, struct budget_reservation *r,
                                   const struct budget_ask *ask, budget_ready *ready, void *arg,
                                   struct budget_refusal *refusal) {
    assert(r->state != BUDGET_WAITING && r->state != BUDGET_HELD);
    struct budget_rows rows;
    r->tenant = budget_tenant_known(l, ask->scope.tenant);
    r->amount = ask->worst > 0 ? ask->worst : 0;
    r->waiter = NULL;
    r->leg_count = 0;
    int64_t now_ms = budgets_now_ms(l->budgets);
    struct share_call *call = NULL;
    budget_rows_start(&rows);
    pthread_mutex_lock(&r->tenant->lock);
    enum budget_verdict verdict = take(l, r, ask, now_ms, &rows, refusal);
    if (verdict == BUDGET_WAIT)
        budget_wait_start(l, r, &ask->scope, ready, arg);
    if (verdict == BUDGET_WAIT && l->budgets->share.on)
        call = budget_share_ask(l, r->tenant);
    pthread_mutex_unlock(&r->tenant->lock);
    r->state = verdict == BUDGET_GRANTED ? BUDGET_HELD
               : verdict == BUDGET_WAIT  ? BUDGET_WAITING
                                         : BUDGET_RELEASED;
    if (verdict == BUDGET_WAIT)
        waits_add(&l->waits, &r->waiter->wait, clock_mono_ms() + longest_wait_ms(l->budgets));
    budget_rows_write(l, &rows);
    budget_share_send(call);
    return verdict;
}

// --------------------------------------------------------------------- settling

// Under the lock.
static void settle_leg(const struct budget_leg *leg, config_pico reserved, config_pico cost,
                       int64_t now_ms, struct budget_rows *rows) {
    struct budget_counter *c = leg->counter;
    struct span *s = counter_span(c, leg->epoch);
    if (s == NULL)
        return; // its window ended long ago
    s->reserved -= reserved;
    s->spent = pico_add(s->spent, cost);
    if (cost > reserved) {
        s->overrun = pico_add(s->overrun, cost - reserved);
        metric_add(c->budget->overruns, cost - reserved);
    }
    if (cost > 0 && c->budget->warn_count > 0)
        budget_check_warnings(rows, c, s, now_ms);
    budget_rows_note(rows, c, s);
}

static config_pico least_left(const struct budget_reservation *r, int64_t now_ms) {
    config_pico least = CONFIG_UNSET;
    for (size_t i = 0; i < r->leg_count; i++) {
        counter_turn(r->legs[i].counter, now_ms);
        config_pico left = counter_left(r->legs[i].counter, now_ms);
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
    bool over = r->leg_count > 0 && cost > r->amount;
    int64_t now_ms = budgets_now_ms(l->budgets);
    budget_rows_start(&rows);
    pthread_mutex_lock(&r->tenant->lock);
    if (l->budgets->share.on && budget_is_asked_for(r))
        budget_share_force(r, now_ms);
    budget_wait_stop(r);
    for (size_t i = 0; i < r->leg_count; i++)
        settle_leg(&r->legs[i], r->amount, cost, now_ms, &rows);
    config_pico remaining = least_left(r, now_ms);
    struct share_call *call =
        l->budgets->share.on ? budget_share_return(l, r, now_ms) : NULL;
    budget_drop_legs(r);
    pthread_mutex_unlock(&r->tenant->lock);
    budget_rows_write(l, &rows);
    budget_share_send(call);
    r->state = state;
    if (out != NULL)
        *out = (struct budget_settled){over ? cost - r->amount : 0, remaining};
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

// Of a value that has not come yet: all of it, or what the others share.
static config_pico left_for(struct budget *b, const struct budget_scope *scope, int64_t now_ms) {
    struct budget_counter *c = budget_counter_find(b, budget_value_of(b, scope));
    config_pico amount = b->per == PER_RUN_COST ? scope->run_amount : b->amount;
    if (c == NULL && b->count >= BUDGET_VALUES_MAX)
        c = budget_counter_find(b, SLICE("other"));
    if (c == NULL)
        return amount;
    if (b->per == PER_RUN_COST)
        c->amount = amount > 0 ? amount : 0;
    counter_turn(c, now_ms);
    return c->frozen ? 0 : counter_left(c, now_ms);
}

config_pico budget_remaining(struct budgets_loop *l, const struct budget_scope *scope) {
    struct budget_tenant *t = budget_tenant_known(l, scope->tenant);
    int64_t now_ms = budgets_now_ms(l->budgets);
    config_pico least = INT64_MAX;
    bool any = false;
    pthread_mutex_lock(&t->lock);
    for (struct budget *b = t->first; b != NULL; b = b->next) {
        if (!applies(b, scope))
            continue;
        config_pico left = left_for(b, scope, now_ms);
        least = left < least ? left : least;
        any = true;
    }
    bool unseen_run = t->run == NULL && scope->run.len > 0 && scope->run_amount != CONFIG_UNSET;
    pthread_mutex_unlock(&t->lock);
    if (unseen_run && scope->run_amount < least)
        least = scope->run_amount;
    if (!any && !unseen_run)
        return CONFIG_UNSET;
    return least > 0 ? least : 0;
}
