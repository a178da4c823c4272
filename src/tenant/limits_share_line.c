// The line of those for whom the shared store is asked, in the order in which
// they came; and a share's making and end.
#include <stdio.h>
#include <stdlib.h>

#include "limits_room.h"

static const struct metric_family alone_family = {
    "farthing_limits_alone_total",
    "Times that an instance went on with an even share of a limit, without the shared store.",
    METRIC_COUNTER,
    {NULL},
    NULL,
    0,
    0,
    0,
};

// Of one slot, whatever the name has in it: a brace would end the tag.
static char *key_of(struct slice name) {
    char hex[2 * DIGEST_LEN + 1];
    uint8_t digest[DIGEST_LEN];
    struct buffer key = {0};
    if (slice_find_char(name, '{') >= 0 || slice_find_char(name, '}') >= 0) {
        digest_sha256(name, digest);
        digest_hex(digest, sizeof digest, hex);
        name = slice_make(hex, 2 * DIGEST_LEN);
    }
    buffer_printf(&key, "{l:%.*s}:limit", SLICE_ARG(name));
    buffer_append_char(&key, '\0');
    return key.ptr;
}

struct limits_share *limits_share_new(struct limits *l, struct slice name) {
    if (l->store == NULL)
        return NULL;
    struct limits_share *s = base_calloc(1, sizeof *s);
    s->limits = l;
    s->key = key_of(name);
    s->instances = 1;
    s->term_us = (uint64_t)l->sharing.term_ms * 1000;
    return s;
}

void limits_share_free(struct limits_share *s) {
    if (s == NULL)
        return;
    free(s->key);
    free(s);
}

void limits_share(struct limits *l, struct store *store, const struct limits_sharing *how) {
    if (!store_is_shared(store))
        return;
    metric_declare(&alone_family);
    l->store = store;
    l->sharing = *how;
    atomic_store(&l->closed, how->closed);
    if (l->sharing.term_ms <= 0)
        l->sharing.term_ms = LIMITS_TERM_MS;
}

// ---------------------------------------------------------------------- the line

void limits_line_add(struct limits_tenant *t, struct limits_waiter *w) {
    struct limits_share *s = t->share;
    w->place = WAITER_ASKING;
    w->arrival = ++s->arrivals;
    w->next = NULL;
    w->previous = s->last;
    if (s->last != NULL)
        s->last->next = w;
    else
        s->first = w;
    s->last = w;
}

void limits_line_remove(struct limits_tenant *t, struct limits_waiter *w) {
    struct limits_share *s = t->share;
    if (w->previous != NULL)
        w->previous->next = w->next;
    else
        s->first = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    else
        s->last = w->previous;
    w->next = w->previous = NULL;
}

// He is another's from when he is told.
static void end_asking(struct limits_tenant *t, struct limits_waiter *w, enum limits_entry entry) {
    limits_line_remove(t, w);
    switch (entry) {
    case LIMITS_ENTRY_PLACE:
        limits_tell(w, WAITER_GRANTED);
        break;
    case LIMITS_ENTRY_SEAT:
        w->place = WAITER_QUEUED;
        fair_add(&t->queue, &w->seat, w->ask.flow, w->ask.weight);
        break;
    case LIMITS_ENTRY_REFUSED:
    case LIMITS_ENTRY_ASK: // not of a final one
        w->refusal = w->ticket->refusal;
        limits_tell(w, WAITER_DISPLACED);
        break;
    }
}

// By what is known of all it fits, only the credit is not here: nothing is granted where
// it is too little for the first, which says nothing of those behind him; and his own may
// have gone while the store was thought away. They are asked for again. (By an even share,
// or without the store, a refusal has its time.)
static bool was_not_meant(const struct limits_refusal *r) {
    return r->reason != LIMITS_REASON_CONCURRENCY && r->retry_after_ms == 0;
}

void limits_line_judge(struct limits_tenant *t, uint64_t arrivals, uint64_t now_us) {
    struct limits_share *s = t->share;
    while (s->first != NULL && s->first->arrival <= arrivals) {
        struct limits_waiter *w = s->first;
        enum limits_entry entry = limits_enter(t, w->ticket, &w->ask, now_us, true);
        if (entry == LIMITS_ENTRY_REFUSED && was_not_meant(&w->ticket->refusal))
            return;
        end_asking(t, w, entry);
    }
}

void limits_line_give_up(struct limits_tenant *t, uint64_t now_us) {
    struct limits_share *s = t->share;
    s->retry_us = now_us + LIMITS_RETRY_US;
    limits_share_leave(t, now_us);
    limits_hand_over(t);
    limits_line_judge(t, UINT64_MAX, now_us);
}

// --------------------------------------------------------------- without the store

void limits_share_leave(struct limits_tenant *t, uint64_t now_us) {
    struct limits_share *s = t->share;
    if (s->alone)
        return;
    if (atomic_load_explicit(&s->limits->closed, memory_order_relaxed)) {
        s->closed = true;
        return;
    }
    metric_add(metric_plain(&alone_family), 1);
    s->instances = store_instances(s->limits->store);
    limits_share_go_alone(t, now_us);
}

static bool is_away(const struct limits_share *s, uint64_t now_us) {
    return now_us < s->retry_us || !store_is_up(s->limits->store);
}

void limits_share_look(struct limits_tenant *t, uint64_t now_us) {
    struct limits_share *s = t->share;
    if (is_away(s, now_us))
        limits_share_leave(t, now_us);
    else
        s->closed = false;
}

// ------------------------------------------------------------------- what is due

static bool is_due_of_rate(const struct limits_tenant *t, enum limits_kind kind, uint64_t now_us) {
    const struct limits_share *s = t->share;
    const struct limits_rate *r = &s->rates[kind];
    uint64_t since_us = now_us - s->asked_us;
    if (r->charged != r->charged_known && since_us >= LIMITS_REPORT_US)
        return true;
    // Nearly used up, and the store may have more.
    return since_us >= LIMITS_PREFETCH_US &&
           limits_share_recent(&s->starts, now_us) >= LIMITS_BUSY &&
           r->credit < limits_share_recent(&r->used, now_us) / 2;
}

static bool is_due_of_places(const struct limits_tenant *t, uint64_t now_us) {
    const struct limits_share *s = t->share;
    int64_t spare = s->have - t->running;
    if (t->queue.count > 0 && !limits_has_place(t) && (!s->wanting || now_us >= s->poll_us))
        return true;
    if (spare > 0 && (s->yield > 0 || s->waiting > 0))
        return true;
    return s->have > 0 && now_us - s->asked_us >= s->term_us / 10 * 3;
}

bool limits_share_is_due(struct limits_tenant *t, uint64_t now_us) {
    const struct limits_share *s = t->share;
    if (s->call != NULL || is_away(s, now_us))
        return false;
    if (s->first != NULL || s->alone || (s->called && (s->have > 0 || t->queue.count > 0)))
        return true;
    return is_due_of_rate(t, LIMITS_REQUESTS, now_us) || is_due_of_rate(t, LIMITS_TOKENS, now_us) ||
           is_due_of_places(t, now_us) || limits_share_has_idle(t, now_us);
}
