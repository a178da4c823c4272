// The windows of a counter. Ordinarily one span counts: that of the window of now.
// Of a sliding window its parts of the last length_ms count, the oldest whole
// until all of it is out: what is given back comes late by a part at most, and no
// interval of length_ms ever holds more than the amount. After a change of shape
// what counted before counts on, beside the new window's span, until that ends.
#include "budget_room.h"

config_pico pico_add(config_pico a, config_pico b) {
    config_pico sum;
    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

static bool holds(const struct window *w, int64_t now_ms) {
    return w->start_ms <= now_ms && now_ms < w->end_ms;
}

static bool is_same(const struct window *a, const struct window *b) {
    return a->start_ms == b->start_ms && a->end_ms == b->end_ms;
}

// A part that lies ahead counts too, unless the clock was set back by more than the
// window: then it sleeps until the clock comes by again.
bool span_counts(const struct budget_counter *c, const struct span *s, int64_t now_ms) {
    return s == c->now || s->until_ms > now_ms ||
           (s->reach_ms > 0 && pico_add(s->window.end_ms, s->reach_ms) > now_ms &&
            s->window.start_ms - s->reach_ms <= now_ms);
}

bool span_is_live(const struct span *s, int64_t now_ms) {
    int64_t after_ms = s->window.end_ms - s->window.start_ms;
    after_ms = s->reach_ms > 0 ? s->reach_ms
                               : (after_ms < INT64_MAX / SPANS ? SPANS * after_ms : INT64_MAX);
    return s->until_ms > now_ms || pico_add(s->window.end_ms, after_ms) > now_ms;
}

// ----------------------------------------------------------------------- spans

struct span *counter_span(struct budget_counter *c, uint64_t epoch) {
    if (c->now != NULL && c->now->epoch == epoch)
        return c->now;
    for (size_t i = 0; i < c->span_count; i++)
        if (c->spans[i].epoch == epoch)
            return &c->spans[i];
    return NULL;
}

struct span *counter_span_of(struct budget_counter *c, const struct window *w) {
    for (size_t i = 0; i < c->span_count; i++)
        if (is_same(&c->spans[i].window, w))
            return &c->spans[i];
    return NULL;
}

// That of the window that ended longest ago, of those that need no longer count.
static struct span *oldest_span(struct budget_counter *c, int64_t now_ms) {
    struct span *oldest = NULL;
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        if (!span_counts(c, s, now_ms) &&
            (oldest == NULL || s->window.end_ms < oldest->window.end_ms))
            oldest = s;
    }
    return oldest;
}

static void grow(struct budget_counter *c) {
    size_t at = c->now != NULL ? (size_t)(c->now - c->spans) : 0;
    c->span_capacity = c->span_capacity > 0 ? 2 * c->span_capacity : 1;
    c->spans = base_realloc(c->spans, c->span_capacity * sizeof *c->spans);
    if (c->now != NULL)
        c->now = &c->spans[at];
}

struct span *counter_push_span(struct budget_counter *c) {
    if (c->span_count == c->span_capacity)
        grow(c);
    return &c->spans[c->span_count++];
}

struct span *counter_add_span(struct budget_counter *c, struct window window, int64_t now_ms) {
    size_t enough = c->shape.sliding ? SPANS_SLIDING : SPANS;
    struct span *s = c->span_count < enough ? NULL : oldest_span(c, now_ms);
    if (s == NULL)
        s = counter_push_span(c);
    const struct budgets *b = c->budget->tenant->budgets;
    bool in_memory = b->journal == NULL && !b->share.on;
    *s = (struct span){
        .window = window, .epoch = ++c->last_epoch, .confirmed = in_memory ? INT64_MAX : 0};
    return s;
}

void counter_set_dirty(struct budget_counter *c, struct span *s) {
    s->dirty = c->dirty = true;
}

// --------------------------------------------------------------------- turning

// What was spent before the clock was set back further than is remembered may
// have been spent in the window that it shows now: it counts there as well.
static config_pico spent_before(const struct budget_counter *c, const struct window *w) {
    return c->now != NULL && w->start_ms < c->now->window.start_ms ? c->now->spent : 0;
}

static bool any_carried(const struct budget_counter *c, int64_t now_ms) {
    for (size_t i = 0; i < c->span_count; i++)
        if (&c->spans[i] != c->now && span_counts(c, &c->spans[i], now_ms))
            return true;
    return false;
}

// Its window says how long it counts, where it was carried along before. (Not 0: a
// row that says so passes the filter of recovery as the older one does.)
static void count_as_itself(struct budget_counter *c, struct span *s) {
    if (s->until_ms <= 0 || s->until_ms == s->window.end_ms)
        return;
    s->until_ms = s->window.end_ms;
    counter_set_dirty(c, s);
}

static struct span *turn_fixed(struct budget_counter *c, int64_t now_ms) {
    struct window w = window_of(&c->shape, now_ms);
    struct span *s = counter_span_of(c, &w);
    if (c->now != NULL)
        counter_set_dirty(c, c->now); // nothing more is to come on its ceiling
    if (s == NULL) {
        config_pico spent = spent_before(c, &w);
        s = counter_add_span(c, w, now_ms);
        s->spent = spent;
    }
    s->reach_ms = 0;
    count_as_itself(c, s);
    c->now = s;
    c->many = any_carried(c, now_ms);
    return s;
}

// A clock that was set back by more than the window: all that counted then is spent
// in the part that it shows now, and is out of the window one length from here.
static struct span *start_again(struct budget_counter *c, struct window w, int64_t then_ms,
                                int64_t now_ms) {
    config_pico used = 0;
    for (size_t i = 0; i < c->span_count; i++)
        if (span_counts(c, &c->spans[i], then_ms))
            used = pico_add(used, span_used(&c->spans[i]));
    struct span *s = counter_span_of(c, &w); // the clock may have been here before
    if (s == NULL)
        s = counter_add_span(c, w, now_ms);
    s->spent = s->spent > used ? s->spent : used;
    counter_set_dirty(c, s);
    return s;
}

// The newest part, but for those that sleep; NULL: none.
static struct span *newest_part(struct budget_counter *c, const struct window *w) {
    struct span *newest = NULL;
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        if (s->reach_ms == c->shape.length_ms && s->window.start_ms - w->start_ms <= s->reach_ms &&
            (newest == NULL || s->window.start_ms > newest->window.start_ms))
            newest = s;
    }
    return newest;
}

// A clock that was set back by less than the window finds the newest part open.
static struct span *turn_sliding(struct budget_counter *c, int64_t now_ms) {
    struct window w = window_of(&c->shape, now_ms);
    int64_t then_ms = c->now != NULL ? c->now->window.start_ms : c->touched_ms;
    struct span *s = newest_part(c, &w);
    if (c->now != NULL)
        counter_set_dirty(c, c->now); // nothing more is to come on its ceiling
    if (then_ms - w.start_ms > c->shape.length_ms)
        s = start_again(c, w, then_ms, now_ms);
    else if (s == NULL || s->window.start_ms < w.start_ms)
        s = counter_add_span(c, w, now_ms);
    s->reach_ms = c->shape.length_ms;
    c->touched_ms = now_ms; // rows say it, for a clock that is set back until the next start
    count_as_itself(c, s);
    c->many = true;
    return c->now = s;
}

// What a shared store said of all parts holds until it says something of the new one.
static struct span *turn_told(struct budget_counter *c, int64_t now_ms) {
    struct span_share told = c->now->share;
    config_pico extra = c->now->extra, recovered = c->now->recovered;
    c->now->extra = c->now->recovered = 0;
    struct span *s = turn_sliding(c, now_ms);
    s->share.others_spent = told.others_spent;
    s->share.others_open = told.others_open;
    s->extra = extra;
    s->recovered = recovered;
    return s;
}

struct span *counter_turn(struct budget_counter *c, int64_t now_ms) {
    if (c->now != NULL && (holds(&c->now->window, now_ms) || c->shape.length_ms == 0))
        return c->now;
    if (!c->shape.sliding)
        return turn_fixed(c, now_ms);
    bool told = c->now != NULL && c->budget->tenant->budgets->share.on;
    return told ? turn_told(c, now_ms) : turn_sliding(c, now_ms);
}

// --------------------------------------------------------------- another shape

// Of a counter that was only read from the store nobody knows the shape.
static bool counted(const struct budget_counter *c, const struct span *s, int64_t now_ms) {
    return span_counts(c, s, now_ms) ||
           (c->shape.length_ms == CONFIG_UNSET && holds(&s->window, now_ms));
}

static bool fits(const struct span *s, const struct window_shape *shape, const struct window *w) {
    if (!shape->sliding)
        return is_same(&s->window, w);
    return s->reach_ms == shape->length_ms &&
           s->window.end_ms - s->window.start_ms == window_part_ms(shape->length_ms);
}

void counter_set_shape(struct budget_counter *c, const struct window_shape *shape, int64_t now_ms) {
    if (window_shape_equal(&c->shape, shape))
        return;
    if (c->now != NULL)
        counter_turn(c, now_ms); // in the old shape: what counts now counts on
    struct window w = window_of(shape, now_ms);
    int64_t until_ms = shape->sliding ? w.end_ms + shape->length_ms : w.end_ms;
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        if (!counted(c, s, now_ms) || fits(s, shape, &w))
            continue;
        s->until_ms = until_ms;
        s->reach_ms = 0;
        counter_set_dirty(c, s);
    }
    c->shape = *shape;
    c->now = NULL;
    c->told = (struct budget_told){0};
    counter_turn(c, now_ms);
}
