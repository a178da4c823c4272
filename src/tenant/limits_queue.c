// Places and the queue for them: who comes first goes first, whichever loop he
// is on. A place that becomes free is given to the first in the queue by the
// one who frees it, so it is never up for grabs while somebody waits.
//
// A waiter ends in one of three ways: by a mail (granted), by his loop's timer,
// or by release. The first one under the tenant's lock decides; a mail that is
// under way cannot be called back, so whoever leaves then leaves the waiter to
// it.
#include <stdlib.h>

#include "limits_room.h"

bool limits_has_place(const struct limits_tenant *t) {
    return t->figures.concurrency <= 0 || t->running < t->figures.concurrency;
}

void limits_enqueue(struct limits_tenant *t, struct limits_waiter *w) {
    w->place = WAITER_QUEUED;
    w->next = NULL;
    w->previous = t->last;
    if (t->last != NULL)
        t->last->next = w;
    else
        t->first = w;
    t->last = w;
    t->queued++;
}

void limits_dequeue(struct limits_tenant *t, struct limits_waiter *w) {
    if (w->previous != NULL)
        w->previous->next = w->next;
    else
        t->first = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    else
        t->last = w->previous;
    w->next = w->previous = NULL;
    t->queued--;
}

// Posting under the lock: once it is free the waiter's loop may be closed. It
// is a push, and at most one write to an eventfd that never blocks.
void limits_hand_over(struct limits_tenant *t) {
    while (t->first != NULL && limits_has_place(t)) {
        struct limits_waiter *w = t->first;
        limits_dequeue(t, w);
        w->place = WAITER_GRANTED;
        t->running++;
        mailbox_post(w->loop->waits.mailbox, &w->wait.mail);
    }
}

// ------------------------------------------------------------ ends of waiting

void limits_on_granted(struct mail *m) {
    struct limits_waiter *w = (struct limits_waiter *)m;
    if (w->place != WAITER_ABANDONED) { // nobody else looks at it any more
        waits_remove(&w->loop->waits, &w->wait);
        w->ticket->state = LIMITS_HELD;
        w->ticket->held_ms = clock_mono_ms();
        w->ticket->waiter = NULL;
        w->done(w->arg, LIMITS_GRANTED);
    }
    free(w);
}

// He paid at the door and did not get in.
static void give_rates_back(struct limits_tenant *t, const struct limits_ticket *ticket) {
    uint64_t now_us = clock_mono_ns() / 1000;
    rate_take(&t->requests, t->figures.requests_per_minute, -1, now_us);
    if (ticket->metered)
        rate_take(&t->tokens, t->figures.tokens_per_minute, -ticket->tokens, now_us);
}

static bool leave_queue(struct limits_waiter *w, struct limits_ticket *ticket) {
    struct limits_tenant *t = ticket->tenant;
    if (w->place != WAITER_QUEUED)
        return false;
    limits_dequeue(t, w);
    give_rates_back(t, ticket);
    return true;
}

void limits_on_due(struct wait *wait) {
    struct limits_waiter *w = (struct limits_waiter *)wait;
    struct limits_ticket *ticket = w->ticket;
    struct limits_tenant *t = ticket->tenant;
    struct limits_refusal refusal = {.reason = LIMITS_REASON_QUEUE_TIMEOUT, .asked = 1};
    pthread_mutex_lock(&t->lock);
    bool left = leave_queue(w, ticket);
    refusal.limit = t->figures.concurrency;
    refusal.queued = t->queued;
    refusal.retry_after_ms = limits_estimate_wait_ms(t);
    pthread_mutex_unlock(&t->lock);
    if (!left)
        return; // granted at the last moment: the mail is under way
    ticket->state = LIMITS_DONE;
    ticket->refusal = refusal;
    ticket->waiter = NULL;
    w->done(w->arg, LIMITS_REFUSED);
    free(w);
}

// Of a ticket that waits.
void limits_abandon(struct limits_ticket *ticket) {
    struct limits_waiter *w = ticket->waiter;
    struct limits_tenant *t = ticket->tenant;
    waits_remove(&w->loop->waits, &w->wait);
    pthread_mutex_lock(&t->lock);
    bool left = leave_queue(w, ticket);
    if (!left) { // he has a place, though he does not know it yet
        w->place = WAITER_ABANDONED;
        give_rates_back(t, ticket);
        t->running--;
        limits_hand_over(t);
    }
    pthread_mutex_unlock(&t->lock);
    ticket->waiter = NULL;
    ticket->state = LIMITS_DONE;
    if (left)
        free(w);
}
