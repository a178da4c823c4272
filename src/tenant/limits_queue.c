// Places and the queue for them, over all loops. A place that becomes free is
// given to whose turn it is by the one who frees it, so it is never up for grabs
// while somebody waits.
//
// A waiter ends in one of four ways: by a mail (granted, or displaced by one who
// has more right to the seat), by his loop's timer, or by release. The first one
// under the tenant's lock decides; a mail that is under way cannot be called
// back, so whoever leaves then leaves the waiter to it.
#include <stdlib.h>

#include "limits_room.h"

// Shared: of those that are leased; on its own, of an even share.
bool limits_has_place(const struct limits_tenant *t) {
    const struct limits_share *s = t->share;
    int64_t places = t->figures.concurrency;
    if (places <= 0 || s == NULL)
        return places <= 0 || t->running < places;
    if (s->alone)
        return t->running < limits_share_even(s, places);
    int64_t leased = s->have - s->yield;
    return t->running < (leased < places ? leased : places) &&
           limits_share_is_leased(s, clock_mono_us());
}

void limits_start(struct limits_tenant *t, uint64_t now_us) {
    t->running++;
    if (t->share != NULL)
        limits_share_note_start(t->share, t->share->have - t->running, now_us);
}

// When a place may be free for somebody who comes now: as many turns as stand
// before him, at the recent mean. Between a second, below which a retry is only
// load, and a minute, above which it is a guess.
int64_t limits_estimate_wait_ms(const struct limits_tenant *t) {
    int64_t places = t->figures.concurrency > 0 ? t->figures.concurrency : 1;
    int64_t turns = t->queue.count / places + 1, ms;
    if (__builtin_mul_overflow(t->hold_us / 1000, turns, &ms))
        ms = INT64_MAX;
    return ms < 1000 ? 1000 : ms > 60000 ? 60000 : ms;
}

void limits_fill_refusal(const struct limits_tenant *t, enum limits_reason reason,
                         struct limits_refusal *out) {
    *out = (struct limits_refusal){.reason = reason,
                                   .limit = t->figures.concurrency,
                                   .asked = 1,
                                   .queued = t->queue.count,
                                   .retry_after_ms = limits_estimate_wait_ms(t)};
}

// ---------------------------------------------------------------------- seats

static struct limits_waiter *waiter_of(struct fair_seat *s) {
    return (struct limits_waiter *)((char *)s - offsetof(struct limits_waiter, seat));
}

bool limits_find_seat(struct limits_tenant *t, const struct limits_ask *ask,
                      struct limits_waiter **surplus) {
    *surplus = NULL;
    if (t->figures.queue <= 0 || t->figures.queue_timeout_ms == 0)
        return false;
    if (t->queue.count < t->figures.queue)
        return true;
    struct fair_seat *s = fair_find_surplus(&t->queue, ask->flow, ask->weight);
    if (s != NULL)
        *surplus = waiter_of(s);
    return s != NULL;
}

// Posting under the lock: once it is free the waiter's loop may be closed. It
// is a push, and at most one write to an eventfd that never blocks.
void limits_tell(struct limits_waiter *w, enum waiter_place place) {
    w->place = place;
    mailbox_post(w->loop->waits.mailbox, &w->wait.mail);
}

void limits_displace(struct limits_tenant *t, struct limits_waiter *w) {
    fair_remove(&t->queue, &w->seat);
    limits_give_rates_back(t, w->ticket);
    limits_fill_refusal(t, LIMITS_REASON_CONCURRENCY, &w->refusal);
    limits_tell(w, WAITER_DISPLACED);
}

void limits_hand_over(struct limits_tenant *t) {
    while (t->queue.count > 0 && limits_has_place(t)) {
        limits_start(t, clock_mono_us());
        limits_tell(waiter_of(fair_take_next(&t->queue)), WAITER_GRANTED);
    }
}

void limits_give_rates_back(struct limits_tenant *t, const struct limits_ticket *ticket) {
    uint64_t now_us = clock_mono_us();
    if (ticket->charged)
        limits_charge(t, LIMITS_REQUESTS, -1, now_us);
    if (ticket->metered && ticket->tokens > 0)
        limits_charge(t, LIMITS_TOKENS, -ticket->tokens, now_us);
}

// ------------------------------------------------------------ ends of waiting

// Whoever is not in the queue any more is nobody's but his loop's.
static void end_granted(struct limits_waiter *w) {
    w->ticket->state = LIMITS_HELD;
    w->ticket->held_ms = clock_mono_ms();
    w->ticket->waiter = NULL;
    w->done(w->arg, LIMITS_GRANTED);
}

static void end_refused(struct limits_waiter *w, const struct limits_refusal *refusal) {
    w->ticket->state = LIMITS_DONE;
    w->ticket->refusal = *refusal;
    w->ticket->waiter = NULL;
    w->done(w->arg, LIMITS_REFUSED);
}

void limits_on_told(struct mail *m) {
    struct limits_waiter *w = (struct limits_waiter *)m;
    if (w->place != WAITER_ABANDONED) {
        waits_remove(&w->loop->waits, &w->wait);
        if (w->place == WAITER_GRANTED)
            end_granted(w);
        else
            end_refused(w, &w->refusal);
    }
    free(w);
}

static bool leave_queue(struct limits_waiter *w, struct limits_ticket *ticket) {
    struct limits_tenant *t = ticket->tenant;
    if (w->place == WAITER_ASKING) {
        limits_line_remove(t, w);
        return true; // it had taken nothing yet
    }
    if (w->place != WAITER_QUEUED)
        return false;
    fair_remove(&t->queue, &w->seat);
    limits_give_rates_back(t, ticket);
    return true;
}

// Its time of asking is over: if it has a seat, it waits for a place from now on.
static bool goes_on_waiting(struct limits_waiter *w, struct limits_tenant *t) {
    bool asked = w->asks;
    w->asks = false;
    if (w->place == WAITER_ASKING)
        limits_line_give_up(t, clock_mono_us());
    return asked && w->place == WAITER_QUEUED;
}

void limits_on_due(struct wait *wait) {
    struct limits_waiter *w = (struct limits_waiter *)wait;
    struct limits_tenant *t = w->ticket->tenant;
    struct limits_refusal refusal;
    pthread_mutex_lock(&t->lock);
    bool waits = goes_on_waiting(w, t), left = !waits && leave_queue(w, w->ticket);
    limits_fill_refusal(t, LIMITS_REASON_QUEUE_TIMEOUT, &refusal);
    pthread_mutex_unlock(&t->lock);
    if (waits)
        waits_add(&w->loop->waits, &w->wait, w->until_ms);
    if (!left)
        return; // told at the last moment: the mail is under way
    end_refused(w, &refusal);
    free(w);
}

// Of a ticket that waits.
void limits_abandon(struct limits_ticket *ticket) {
    struct limits_waiter *w = ticket->waiter;
    struct limits_tenant *t = ticket->tenant;
    waits_remove(&w->loop->waits, &w->wait);
    pthread_mutex_lock(&t->lock);
    bool left = leave_queue(w, ticket);
    if (w->place == WAITER_GRANTED) { // he has a place, though he does not know it yet
        limits_give_rates_back(t, ticket);
        t->running--;
        limits_hand_over(t);
    }
    if (!left)
        w->place = WAITER_ABANDONED;
    pthread_mutex_unlock(&t->lock);
    ticket->waiter = NULL;
    ticket->state = LIMITS_DONE;
    if (left)
        free(w);
}
