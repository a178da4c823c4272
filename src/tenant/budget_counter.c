// A counter's arithmetic: what is left, when more will be, and where its ceilings
// have to be. No lock, no store, no clock.
#include "budget_room.h"

enum { STEPS_OF_VALUES = 8 }; // see budget.h

// --------------------------------------------------------------------- figures

static void add_span(struct counter_sums *out, const struct span *s) {
    out->spent = pico_add(out->spent, s->spent);
    out->reserved = pico_add(out->reserved, s->reserved);
    out->recovered = pico_add(out->recovered, s->recovered);
    out->overrun = pico_add(out->overrun, s->overrun);
    out->ceiling = pico_add(out->ceiling, s->ceiling);
    out->extra = pico_add(out->extra, s->extra);
}

void counter_sum(const struct budget_counter *c, int64_t now_ms, struct counter_sums *out) {
    *out = (struct counter_sums){0};
    if (!c->many)
        add_span(out, c->now);
    for (size_t i = 0; c->many && i < c->span_count; i++)
        if (span_counts(c, &c->spans[i], now_ms))
            add_span(out, &c->spans[i]);
    if (c->now == NULL)
        return;
    out->spent = pico_add(out->spent, c->now->share.others_spent);
    out->reserved = pico_add(out->reserved, c->now->share.others_open);
}

config_pico counter_amount(const struct budget_counter *c, config_pico extra) {
    config_pico amount = pico_add(c->amount, extra);
    return amount > 0 ? amount : 0;
}

config_pico counter_left(const struct budget_counter *c, int64_t now_ms) {
    if (!c->many && c->now->share.told == 0) // neither is negative
        return counter_amount(c, c->now->extra) - span_used(c->now);
    struct counter_sums sums;
    counter_sum(c, now_ms, &sums);
    return pico_add(counter_amount(c, sums.extra), -pico_add(sums.spent, sums.reserved));
}

// --------------------------------------------------------------------- waiting

static int64_t leaves_ms(const struct budget_counter *c, const struct span *s) {
    int64_t at = s->reach_ms > 0 ? pico_add(s->window.end_ms, s->reach_ms) : s->until_ms;
    if (s == c->now && s->reach_ms == 0)
        at = s->window.end_ms;
    return at > s->until_ms ? at : s->until_ms;
}

// What leaves no later than this.
static config_pico leaving(const struct budget_counter *c, int64_t at_ms, int64_t now_ms) {
    config_pico sum = 0;
    for (size_t i = 0; i < c->span_count; i++) {
        const struct span *s = &c->spans[i];
        if (span_counts(c, s, now_ms) && leaves_ms(c, s) <= at_ms)
            sum = pico_add(sum, span_used(s));
    }
    return sum;
}

// The moment at which so much has left: when a part of it does. 0: too little there.
static int64_t moment_of(const struct budget_counter *c, config_pico amount, int64_t now_ms) {
    int64_t best = 0;
    for (size_t i = 0; i < c->span_count; i++) {
        const struct span *s = &c->spans[i];
        if (!span_counts(c, s, now_ms))
            continue;
        int64_t at = leaves_ms(c, s);
        if ((best == 0 || at < best) && leaving(c, at, now_ms) >= amount)
            best = at;
    }
    return best;
}

int64_t counter_retry_ms(const struct budget_counter *c, config_pico asked, int64_t now_ms) {
    if (c->frozen || asked > c->amount || c->shape.length_ms <= 0)
        return -1; // the next window could not bear it either
    int64_t at = c->now->window.end_ms;
    if (c->shape.sliding) {
        config_pico left = counter_left(c, now_ms);
        // With an operator's cut it is never late to ask when all has left.
        at = moment_of(c, left < 0 ? pico_add(asked, -left) : asked - left, now_ms);
        at = at > 0 ? at : pico_add(c->now->window.end_ms, c->now->reach_ms);
    }
    return at > now_ms ? at - now_ms : 0;
}

// -------------------------------------------------------------------- ceilings

static config_pico step_of(const struct budget_counter *c) {
    return c->amount / (c->budget->by_value != NULL ? STEPS_OF_VALUES : BUDGET_STEPS) + 1;
}

// At the amount the ceiling need go no higher, unless more than that is used.
static config_pico ceiling_for(const struct budget_counter *c, const struct span *s) {
    config_pico used = span_used(s), amount = counter_amount(c, s->extra);
    config_pico most = used > amount ? used : amount;
    config_pico ceiling = s == c->now ? pico_add(used, step_of(c)) : used;
    return ceiling < most ? ceiling : most;
}

// Ahead of need by half a step, so that most grants do not wait for the disk. Where
// nothing more is to come, what is used is enough.
bool counter_wants_raise(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling) {
    if (s->confirming || s->confirmed == INT64_MAX)
        return false;
    config_pico ahead = s == c->now ? step_of(c) / 2 : 0;
    *ceiling = ceiling_for(c, s);
    return *ceiling > s->confirmed && s->confirmed - span_used(s) < ahead;
}

// A crash would count what lies between as spent.
bool counter_wants_lower(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling) {
    if (s->confirming || s->confirmed == INT64_MAX)
        return false;
    config_pico spare = s == c->now ? 2 * step_of(c) : 0;
    *ceiling = ceiling_for(c, s);
    return s->confirmed - span_used(s) > spare;
}

// ------------------------------------------------------------------------ views

struct budget_view budget_view_of(const struct budget *b, const struct window *w) {
    bool total = w->end_ms == INT64_MAX;
    return (struct budget_view){
        .tenant = b->tenant->name,
        .budget = b->name,
        .feature = b->feature,
        .user = b->user,
        .per = b->per == PER_RUN_COST ? CONFIG_PER_RUN : (enum config_budget_per)b->per,
        .window_start_ms = total ? 0 : w->start_ms,
        .window_end_ms = total ? 0 : w->end_ms,
        .configured = b->configured,
    };
}

static void view_sliding(const struct budget_counter *c, int64_t now_ms, struct budget_view *out) {
    int64_t at = moment_of(c, 1, now_ms);
    out->window_start_ms = now_ms - c->shape.length_ms;
    out->window_end_ms = at > 0 ? at : now_ms + c->shape.length_ms;
}

void counter_view(const struct budget_counter *c, int64_t now_ms, struct budget_view *out) {
    struct counter_sums sums;
    counter_sum(c, now_ms, &sums);
    config_pico left = counter_left(c, now_ms);
    *out = budget_view_of(c->budget, &c->now->window);
    out->value = c->value;
    out->sliding = c->shape.sliding;
    out->frozen = c->frozen;
    out->amount = counter_amount(c, sums.extra);
    out->topped_up = sums.extra;
    out->spent = sums.spent;
    out->reserved = sums.reserved;
    out->remaining = left > 0 ? left : 0;
    out->recovered = sums.recovered;
    out->overrun = sums.overrun;
    out->ceiling = sums.ceiling;
    if (c->shape.sliding)
        view_sliding(c, now_ms, out);
}
