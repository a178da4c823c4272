// One budget's arithmetic: its windows, what is left, and where its ceiling has
// to be. No lock, no store, no clock.
#include "budget_room.h"

config_pico pico_add(config_pico a, config_pico b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

config_pico span_used(const struct span *s) {
    return pico_add(s->spent, s->reserved);
}

config_pico counter_left(const struct budget_counter *c) {
    return c->amount - span_used(c->now); // neither is negative
}

// -------------------------------------------------------------------- windows

struct span *counter_span(struct budget_counter *c, uint64_t epoch) {
    for (size_t i = 0; i < SPANS; i++)
        if (epoch != 0 && c->spans[i].epoch == epoch)
            return &c->spans[i];
    return NULL;
}

struct span *counter_make_room(struct budget_counter *c) {
    struct span *oldest = NULL;
    for (size_t i = 0; i < SPANS; i++) {
        struct span *s = &c->spans[i];
        if (s->epoch == 0)
            return s;
        if (s != c->now && (oldest == NULL || s->window.end_ms < oldest->window.end_ms))
            oldest = s;
    }
    return oldest;
}

static bool holds(const struct window *w, int64_t now_ms) {
    return w->start_ms <= now_ms && now_ms < w->end_ms;
}

// What was spent before the clock was set back further than is remembered may
// have been spent in the window that it shows now: it counts there as well.
static config_pico spent_before(const struct budget_counter *c, const struct window *w) {
    return c->now != NULL && w->start_ms < c->now->window.start_ms ? c->now->spent : 0;
}

struct span *counter_turn(struct budget_counter *c, int64_t now_ms) {
    if (c->now != NULL && (c->length_ms == 0 || holds(&c->now->window, now_ms)))
        return c->now;
    struct window w = window_at(c->length_ms, now_ms);
    for (size_t i = 0; i < SPANS; i++)
        if (c->spans[i].epoch != 0 && c->spans[i].window.start_ms == w.start_ms)
            return c->now = &c->spans[i];
    config_pico spent = spent_before(c, &w);
    struct span *s = counter_make_room(c);
    bool in_memory = c->tenant->budgets->journal == NULL;
    *s = (struct span){.window = w,
                       .epoch = ++c->last_epoch,
                       .spent = spent,
                       .confirmed = in_memory ? INT64_MAX : 0};
    return c->now = s;
}

static bool is_of_length(const struct span *s, int64_t length_ms) {
    struct window w = window_at(length_ms, s->window.start_ms);
    return w.start_ms == s->window.start_ms && w.end_ms == s->window.end_ms;
}

// The newest of those that hold now but are of another length; NULL also where
// one of the right length is there (read from the store, after a change before).
static struct span *carried_over(struct budget_counter *c, int64_t length_ms, int64_t now_ms) {
    struct span *best = NULL;
    for (size_t i = 0; i < SPANS; i++) {
        struct span *s = &c->spans[i];
        if (s->epoch == 0 || !holds(&s->window, now_ms))
            continue;
        if (is_of_length(s, length_ms))
            return NULL;
        if (best == NULL || s->epoch > best->epoch)
            best = s;
    }
    return best;
}

void counter_set_length(struct budget_counter *c, int64_t length_ms, int64_t now_ms) {
    if (c->length_ms == length_ms)
        return;
    if (c->now != NULL)
        counter_turn(c, now_ms); // with the old length: what runs now is carried over
    c->length_ms = length_ms;
    struct window w = window_at(length_ms, now_ms);
    struct span *carried = carried_over(c, length_ms, now_ms);
    for (size_t i = 0; i < SPANS; i++)
        if (&c->spans[i] != carried && c->spans[i].epoch != 0 &&
            !is_of_length(&c->spans[i], length_ms))
            c->spans[i] = (struct span){0};
    c->now = carried;
    if (carried != NULL) {
        carried->window = w;
        carried->ceiling = 0; // its rows were those of another window
        if (carried->confirmed != INT64_MAX)
            carried->confirmed = 0;
    }
    counter_turn(c, now_ms);
}

// -------------------------------------------------------------------- ceilings

static config_pico step_of(const struct budget_counter *c) {
    return c->amount / BUDGET_STEPS + 1;
}

// At the amount the ceiling need go no higher, unless more than that is used.
static config_pico ceiling_for(const struct budget_counter *c, const struct span *s) {
    config_pico used = span_used(s), most = used > c->amount ? used : c->amount;
    config_pico ceiling = pico_add(used, step_of(c));
    return ceiling < most ? ceiling : most;
}

// Ahead of need by half a step, so that most grants do not wait for the disk.
bool counter_wants_raise(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling) {
    if (s->confirming || s->confirmed == INT64_MAX)
        return false;
    *ceiling = ceiling_for(c, s);
    return *ceiling > s->confirmed && s->confirmed - span_used(s) < step_of(c) / 2;
}

// A crash would count what lies between as spent.
bool counter_wants_lower(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling) {
    if (s->confirming || s->confirmed == INT64_MAX)
        return false;
    *ceiling = ceiling_for(c, s);
    return s->confirmed - span_used(s) > 2 * step_of(c);
}

// --------------------------------------------------------------------- figures

void counter_view(const struct budget_counter *c, struct budget_view *out) {
    const struct span *s = c->now;
    config_pico left = counter_left(c);
    bool total = s->window.end_ms == INT64_MAX;
    *out = (struct budget_view){.tenant = c->tenant->name,
                                .budget = c->name,
                                .feature = c->feature,
                                .amount = c->amount,
                                .spent = s->spent,
                                .reserved = s->reserved,
                                .remaining = left > 0 ? left : 0,
                                .recovered = s->recovered,
                                .overrun = s->overrun,
                                .ceiling = s->ceiling,
                                .window_start_ms = total ? 0 : s->window.start_ms,
                                .window_end_ms = total ? 0 : s->window.end_ms,
                                .configured = c->configured};
}
