// Places among max_inflight: who goes next, over all loops.
//
// Taking a place that is free while nobody waits is one atomic operation, and so
// is giving it back. Only when somebody waits is the slot's lock taken, and the
// place given to whose turn it is by the one who frees it, so it is not up for
// grabs: whoever comes then queues up behind.
//
// Somebody who waits ends it in one of three ways: his place comes (from his own
// loop at once, from another by mail), his patience is over, or he is cancelled.
// The first one under the slot's lock decides. A mail that is under way cannot be
// called back: whoever leaves then gives the place on, and leaves the waiter to
// the mail.
#include <stdlib.h>

#include "attempt.h"

// Where a waiter is. Under the slot's lock, but for ABANDONED (its loop's).
enum waiter_place {
    WAITER_QUEUED,    // in the slot's queue
    WAITER_GRANTED,   // has a place; the mail that says so is on its way
    WAITER_ABANDONED, // its attempt has gone meanwhile: the mail frees it
};

// One attempt's seat in the queue. Owned by its loop, which frees it.
struct waiter {
    struct mail mail; // first: the mail is the waiter
    struct fair_seat seat;
    enum waiter_place place;
    struct upstream *upstream;
    struct attempt *attempt;
};

static struct waiter *waiter_of(struct fair_seat *s) {
    return (struct waiter *)(void *)((char *)s - offsetof(struct waiter, seat));
}

// -------------------------------------------------------------------- places

static bool take(struct slot *slot) {
    int64_t now = atomic_load(&slot->inflight);
    do {
        int64_t limit = atomic_load(&slot->limit);
        if (limit > 0 && now >= limit)
            return false;
    } while (!atomic_compare_exchange_weak(&slot->inflight, &now, now + 1));
    return true;
}

static void admit(struct attempt *a) {
    a->waiter = NULL;
    a->holds_place = true;
    attempt_go(a, ATTEMPT_ADMITTED);
    upstream_kick(a->upstream);
}

static void on_granted(struct mail *m) {
    struct waiter *w = (struct waiter *)m;
    if (w->place != WAITER_ABANDONED)
        admit(w->attempt);
    free(w);
}

// Posting under the lock: once it is free the waiter's loop may be closed. It
// is a push, and at most one write to an eventfd that never blocks.
static void grant(struct waiter *w, struct upstream *here) {
    if (w->upstream == here) {
        admit(w->attempt);
        free(w);
        return;
    }
    w->place = WAITER_GRANTED;
    mailbox_post(w->upstream->mailbox, &w->mail);
}

// Under the lock. Those who wait on the loop `here`, whose thread this is, are
// admitted at once; NULL: by mail like all others.
static void hand_over(struct slot *slot, struct upstream *here) {
    while (atomic_load(&slot->waiting) > 0 && take(slot)) {
        struct fair_seat *s = fair_serve(&slot->fair);
        atomic_fetch_sub(&slot->waiting, 1);
        grant(waiter_of(s), here);
    }
}

// ------------------------------------------------------------------ the limit

// Under the lock.
static void refresh_limit(struct slot *slot, struct upstream *here) {
    int64_t setting = atomic_load(&slot->setting);
    int64_t limit = setting & 1 ? adaptive_limit(&slot->adaptive) : setting >> 1;
    if (limit == atomic_load(&slot->limit))
        return;
    atomic_store(&slot->limit, limit);
    hand_over(slot, here);
}

static int64_t setting_of(const struct upstream_target *t) {
    int64_t max = t->max_inflight > 0 ? t->max_inflight : 0;
    return max << 1 | (t->adaptive_inflight ? 1 : 0);
}

// What was learned stays: a reload that changes the ceiling, or turns learning
// off for a while, does not make a provider smaller.
static void configure(struct slot *slot, int64_t setting, struct upstream *here) {
    pthread_mutex_lock(&slot->lock);
    atomic_store(&slot->setting, setting);
    if (setting & 1 && adaptive_limit(&slot->adaptive) == 0)
        adaptive_open(&slot->adaptive, setting >> 1);
    else if (setting & 1)
        adaptive_set_ceiling(&slot->adaptive, setting >> 1);
    refresh_limit(slot, here);
    pthread_mutex_unlock(&slot->lock);
}

static struct adaptive_answer answer_to(const struct attempt *a, uint64_t now_ms) {
    uint64_t sent_ms = attempt_sending_since(a);
    return (struct adaptive_answer){.sent_ms = sent_ms > 0 ? sent_ms : a->running_ms,
                                    .now_ms = now_ms,
                                    .inflight = atomic_load(&a->queue->slot->inflight)};
}

// The rest says nothing about load: refusals of the request itself come
// quickly and whatever the load, other faults are the breaker's.
static void learn(struct attempt *a, bool good, uint64_t now_ms) {
    struct slot *slot = a->queue->slot;
    struct adaptive_answer answer = answer_to(a, now_ms);
    pthread_mutex_lock(&slot->lock);
    if (good)
        adaptive_good(&slot->adaptive, &answer);
    else
        adaptive_overload(&slot->adaptive, &answer);
    refresh_limit(slot, a->upstream);
    pthread_mutex_unlock(&slot->lock);
}

void places_note_head(struct attempt *a) {
    int status = a->answer.status;
    bool good = status >= 200 && status < 300;
    bool overload = status == 429 || status == 503 || status == 529;
    if (a->target.adaptive_inflight && (good || overload))
        learn(a, good, a->head_ms);
}

void places_note_end(struct attempt *a, uint64_t now_ms) {
    bool overload = a->end == ATTEMPT_FIRST_BYTE_TIMEOUT || a->end == ATTEMPT_CONNECT_TIMEOUT;
    if (a->target.adaptive_inflight && overload)
        learn(a, false, now_ms);
}

// ---------------------------------------------------------- coming and going

// Who waits is counted before places are looked for once more, and a place is
// given back before the count is read: one of the two sees the other.
static void wait_in_queue(struct attempt *a, struct slice tenant, unsigned weight) {
    struct slot *slot = a->queue->slot;
    struct waiter *w = base_calloc(1, sizeof *w);
    w->mail.run = on_granted;
    w->upstream = a->upstream;
    w->attempt = a;
    a->waiter = w;
    attempt_go(a, ATTEMPT_WAITING);
    a->waited = true;
    pthread_mutex_lock(&slot->lock);
    fair_join(&slot->fair, &w->seat, tenant, weight);
    atomic_fetch_add(&slot->waiting, 1);
    hand_over(slot, a->upstream);
    pthread_mutex_unlock(&slot->lock);
}

bool places_enter(struct attempt *a, struct slice tenant, unsigned weight) {
    struct slot *slot = a->queue->slot;
    int64_t setting = setting_of(&a->target);
    if (setting != atomic_load_explicit(&slot->setting, memory_order_relaxed))
        configure(slot, setting, a->upstream);
    if (atomic_load(&slot->waiting) == 0 && take(slot)) {
        a->holds_place = true;
        return true;
    }
    wait_in_queue(a, tenant, weight);
    return false;
}

static void give_back(struct slot *slot, struct upstream *here) {
    atomic_fetch_sub(&slot->inflight, 1);
    if (atomic_load(&slot->waiting) == 0)
        return;
    pthread_mutex_lock(&slot->lock);
    hand_over(slot, here);
    pthread_mutex_unlock(&slot->lock);
}

// His seat is free at once. Was a place on its way to him, the next has it, by
// mail: whoever walks over the list of those who wait ends one, not two.
static void leave_queue(struct attempt *a) {
    struct slot *slot = a->queue->slot;
    struct waiter *w = a->waiter;
    a->waiter = NULL;
    pthread_mutex_lock(&slot->lock);
    bool queued = w->place == WAITER_QUEUED;
    if (queued) {
        fair_leave(&slot->fair, &w->seat);
        atomic_fetch_sub(&slot->waiting, 1);
    } else {
        w->place = WAITER_ABANDONED;
        atomic_fetch_sub(&slot->inflight, 1);
        hand_over(slot, NULL);
    }
    pthread_mutex_unlock(&slot->lock);
    if (queued)
        free(w);
}

void places_leave(struct attempt *a) {
    if (a->waiter != NULL)
        leave_queue(a);
    if (!a->holds_place)
        return;
    a->holds_place = false;
    give_back(a->queue->slot, a->upstream);
}

// ---------------------------------------------------------------------- slots

static struct slot *slot_new(struct slice name) {
    struct slot *slot = base_calloc_lines(sizeof *slot);
    base_lock_init(&slot->lock);
    fair_open(&slot->fair);
    slot->name = slice_make(slice_dup(name), name.len);
    return slot;
}

struct slot *slot_find(struct upstream_shared *s, struct slice name) {
    pthread_mutex_lock(&s->lock);
    struct slot *slot = table_get(s->slots_by_name, name);
    if (slot == NULL) {
        slot = slot_new(name);
        slot->next = s->slots;
        s->slots = slot;
        table_put(s->slots_by_name, name, slot);
    }
    pthread_mutex_unlock(&s->lock);
    return slot;
}

void slot_free_all(struct upstream_shared *s) {
    for (struct slot *slot = s->slots, *next; slot != NULL; slot = next) {
        next = slot->next;
        fair_close(&slot->fair);
        pthread_mutex_destroy(&slot->lock);
        free((char *)slot->name.ptr);
        free(slot);
    }
}

// Whoever has posted to this loop did so under the slot's lock, and is done when
// the lock has been free once; nobody begins anew, as nobody of the loop waits.
void places_wait_for_posters(struct upstream *u) {
    for (struct queue *q = u->queues; q != NULL; q = q->next) {
        pthread_mutex_lock(&q->slot->lock);
        pthread_mutex_unlock(&q->slot->lock);
    }
}
