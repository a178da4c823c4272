// Counters by value: of each feature, user, run or key one of its own.
//
// Clients invent values, so a budget has no more than BUDGET_VALUES_MAX of them
// (and all budgets together BUDGET_COUNTERS_MAX); whoever comes later shares the
// counter "other" and so cannot escape. First those make room that nobody used in
// their window. They stand in the order of their last use, so that few have to be
// looked at.
#include <stdlib.h>

#include "budget_room.h"

enum { LOOKED_AT = 8 }; // at the old end: the oldest may still be held by somebody
#define OTHER SLICE("other")

// ---------------------------------------------------------------------- values

struct slice budget_value_of(const struct budget *b, const struct budget_scope *scope) {
    switch (b->per) {
    case CONFIG_PER_FEATURE:
        return scope->feature;
    case CONFIG_PER_USER:
        return scope->user;
    case CONFIG_PER_RUN:
    case PER_RUN_COST:
        return scope->run;
    case CONFIG_PER_KEY:
        return scope->key;
    default:
        return SLICE_NONE;
    }
}

static bool is_plain(struct slice s) {
    bool odd = false;
    for (size_t i = 0; i < s.len; i++)
        odd |= (uint8_t)s.ptr[i] - 0x20u >= 0x7f - 0x20;
    return !odd;
}

static bool is_text(struct slice s) {
    while (s.len > 0) {
        size_t n = slice_utf8(s);
        if (n == 0 || (n == 1 && !is_plain(slice_make(s.ptr, 1))))
            return false;
        s = slice_from(s, n);
    }
    return true;
}

// As it stands, or where that is long or no text its digest: rows are JSON.
struct value_key {
    struct slice text;
    char room[2 * DIGEST_LEN + sizeof "sha256:"];
};

static struct slice key_of(struct slice value, struct value_key *key) {
    uint8_t digest[DIGEST_LEN];
    if (value.len <= VALUE_BYTES && (is_plain(value) || is_text(value)))
        return value;
    digest_sha256(value, digest);
    memcpy(key->room, "sha256:", 7);
    digest_hex(digest, DIGEST_LEN, key->room + 7);
    return slice_make(key->room, 7 + 2 * DIGEST_LEN);
}

// ------------------------------------------------------------- the order of use

static void unlink_counter(struct budget_counter *c) {
    struct budget *b = c->budget;
    *(c->older != NULL ? &c->older->newer : &b->oldest) = c->newer;
    *(c->newer != NULL ? &c->newer->older : &b->newest) = c->older;
    c->older = c->newer = NULL;
}

static void link_newest(struct budget_counter *c) {
    struct budget *b = c->budget;
    c->older = b->newest;
    c->newer = NULL;
    *(b->newest != NULL ? &b->newest->newer : &b->oldest) = c;
    b->newest = c;
}

void budget_counter_touch(struct budget_counter *c, int64_t now_ms) {
    c->touched_ms = now_ms;
    if (c->newer == NULL)
        return;
    unlink_counter(c);
    link_newest(c);
}

// --------------------------------------------------------------- making, freeing

static struct budget_counter *counter_new(struct budget *b, struct slice value, int64_t now_ms) {
    struct budget_counter *c = base_calloc(1, sizeof *c + value.len + 1);
    char *text = (char *)(c + 1);
    if (value.len > 0)
        memcpy(text, value.ptr, value.len);
    c->budget = b;
    c->value = slice_make(text, value.len);
    c->amount = b->amount;
    c->shape.length_ms = CONFIG_UNSET;
    c->touched_ms = now_ms;
    if (b->shape.length_ms != CONFIG_UNSET)
        counter_set_shape(c, &b->shape, now_ms);
    return c;
}

static void counter_free(struct budget_counter *c) {
    free(c->spans);
    free(c);
}

static void add_slot(struct budget *b, struct budget_counter *c) {
    if (b->count == b->capacity) {
        b->capacity = b->capacity > 0 ? 2 * b->capacity : 1;
        b->slots = base_realloc(b->slots, b->capacity * sizeof *b->slots);
    }
    c->slot = b->count;
    b->slots[b->count++] = c;
    atomic_fetch_add_explicit(&b->tenant->budgets->counters, 1, memory_order_relaxed);
}

// Whoever invents runs gets a new amount with each, so that nothing is won by
// having an old one forgotten.
static int64_t forget_after_ms(const struct budget *b) {
    return b->per == CONFIG_PER_RUN || b->per == PER_RUN_COST ? FORGET_RUN_MS : FORGET_TOTAL_MS;
}

// Of one from the store whose windows are not known yet: does anything of it count?
static bool counts_unshaped(const struct budget_counter *c, int64_t now_ms) {
    for (size_t i = 0; i < c->span_count; i++) {
        const struct span *s = &c->spans[i];
        if (s->window.end_ms > now_ms || span_counts(c, s, now_ms))
            return true;
    }
    return false;
}

static bool is_total(const struct budget_counter *c) {
    return c->now != NULL ? c->shape.length_ms == 0
                          : c->span_count == 1 && c->spans[0].window.end_ms == INT64_MAX;
}

// May it be forgotten? Nobody points to it, and a new one would say the same, but
// of a total that has not been touched for long.
static bool is_idle(struct budget_counter *c, int64_t now_ms) {
    if (c->holds > 0 || c->frozen || c->share.active || atomic_load_explicit(&c->writing, memory_order_acquire) > 0)
        return false;
    if (is_total(c) && now_ms - c->touched_ms > forget_after_ms(c->budget))
        return true;
    if (c->now == NULL)
        return !counts_unshaped(c, now_ms);
    struct counter_sums sums;
    counter_turn(c, now_ms);
    counter_sum(c, now_ms, &sums);
    return sums.spent == 0 && sums.reserved == 0 && sums.extra == 0;
}

// The slot of one that was forgotten; SIZE_MAX: none could be.
static size_t make_room(struct budget *b, int64_t now_ms) {
    struct budget_counter *c = b->oldest;
    for (int i = 0; c != NULL && i < LOOKED_AT; i++, c = c->newer) {
        if (!is_idle(c, now_ms) || slice_equal(c->value, OTHER))
            continue;
        size_t slot = c->slot;
        unlink_counter(c);
        table_remove(b->by_value, c->value);
        counter_free(c);
        return slot;
    }
    return SIZE_MAX;
}

static bool is_full(const struct budget *b) {
    return b->count >= BUDGET_VALUES_MAX ||
           atomic_load_explicit(&b->tenant->budgets->counters, memory_order_relaxed) >=
               BUDGET_COUNTERS_MAX;
}

static struct budget_counter *make_value(struct budget *b, struct slice value, int64_t now_ms) {
    bool other = slice_equal(value, OTHER), full = is_full(b);
    size_t slot = full ? make_room(b, now_ms) : SIZE_MAX;
    if (full && slot == SIZE_MAX && !other)
        return NULL;
    struct budget_counter *c = counter_new(b, value, now_ms);
    table_put(b->by_value, c->value, c);
    link_newest(c);
    if (slot != SIZE_MAX) {
        c->slot = slot;
        b->slots[slot] = c;
    } else {
        add_slot(b, c);
    }
    return c;
}

struct budget_counter *budget_counter_find(struct budget *b, struct slice value) {
    struct value_key key;
    if (b->by_value == NULL)
        return b->count > 0 ? b->slots[0] : NULL;
    return table_get(b->by_value, key_of(value, &key));
}

static struct budget_counter *the_only(struct budget *b, int64_t now_ms) {
    if (b->count == 0)
        add_slot(b, counter_new(b, SLICE_NONE, now_ms));
    return b->slots[0];
}

struct budget_counter *budget_counter_make(struct budget *b, struct slice value, int64_t now_ms) {
    struct value_key key;
    if (b->by_value == NULL)
        return the_only(b, now_ms);
    value = key_of(value, &key);
    struct budget_counter *c = table_get(b->by_value, value);
    if (c == NULL)
        c = make_value(b, value, now_ms);
    if (c == NULL)
        c = table_get(b->by_value, OTHER);
    return c != NULL ? c : make_value(b, OTHER, now_ms);
}

void budget_counters_free(struct budget *b) {
    for (size_t i = 0; i < b->count; i++)
        counter_free(b->slots[i]);
    free(b->slots);
    table_free(b->by_value);
}
