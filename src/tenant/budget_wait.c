// Those who wait until a ceiling is on disk, where their money is reserved already;
// or (budget_share_take.c) until a shared store has said whether there is some. The
// wait ends with a mail from whoever learns that it is safe, by the timer of
// their loop, or because the reservation ends.
#include <stdlib.h>

#include "budget_room.h"

static void unlink_waiter(struct budget_tenant *t, struct budget_waiter *w) {
    if (w->previous != NULL)
        w->previous->next = w->next;
    else
        t->waiters = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    else
        t->last_waiter = w->previous;
    w->next = w->previous = NULL;
}

static void link_waiter(struct budget_tenant *t, struct budget_waiter *w) {
    w->previous = t->last_waiter;
    if (t->last_waiter != NULL)
        t->last_waiter->next = w;
    else
        t->waiters = w;
    t->last_waiter = w;
    w->number = ++t->waiter_number;
}

// Is all that was used when this leg was reserved, or all that is used now, on
// disk? Whoever was granted before is part of both, so the sum of all grants
// stays below the ceiling.
static bool leg_is_safe(const struct budget_leg *leg) {
    const struct span *s = counter_span(leg->counter, leg->epoch);
    return s == NULL || leg->level <= s->confirmed || span_used(s) <= s->confirmed;
}

bool budget_is_safe(const struct budget_reservation *r) {
    for (size_t i = 0; i < r->leg_count; i++)
        if (!leg_is_safe(&r->legs[i]))
            return false;
    return true;
}

// Whoever is not safe waits for an answer of the store. Where none is to come,
// because the last one was bad, there is nothing to wait for.
static bool waits_for_nothing(const struct budget_reservation *r) {
    for (size_t i = 0; i < r->leg_count; i++) {
        const struct span *s = counter_span(r->legs[i].counter, r->legs[i].epoch);
        if (!leg_is_safe(&r->legs[i]) && s->confirming)
            return false;
    }
    return true;
}

// Posting under the lock: once it is free the waiter's loop may be closed.
void budget_wait_end(struct budget_tenant *t, struct budget_waiter *w) {
    unlink_waiter(t, w);
    w->place = BUDGET_WAITER_GRANTED;
    mailbox_post(w->loop->waits.mailbox, &w->wait.mail);
}

void budget_wake(struct budget_tenant *t) {
    for (struct budget_waiter *w = t->waiters, *next; w != NULL; w = next) {
        next = w->next;
        if (!waits_for_nothing(w->reservation))
            continue;
        if (!budget_is_safe(w->reservation))
            metric_add(metric_plain(&budget_unconfirmed_family), 1);
        budget_wait_end(t, w);
    }
}

static void finish_waiting(struct budget_waiter *w) {
    bool granted = w->verdict == BUDGET_GRANTED;
    w->reservation->state = granted ? BUDGET_HELD : BUDGET_RELEASED;
    w->reservation->waiter = NULL;
    w->ready(w->arg, w->verdict, granted ? NULL : &w->refusal);
    free(w);
}

// Who had asked for it too is gone, and with it the answer.
static void ask_again(struct budget_waiter *w) {
    struct budget_tenant *t = w->reservation->tenant;
    pthread_mutex_lock(&t->lock);
    w->place = BUDGET_WAITER_QUEUED;
    link_waiter(t, w);
    struct share_call *call = budget_share_ask(w->loop, t);
    pthread_mutex_unlock(&t->lock);
    budget_share_send(call);
}

static void on_granted(struct mail *m) {
    struct budget_waiter *w = (struct budget_waiter *)m;
    if (w->place == BUDGET_WAITER_ABANDONED) {
        free(w);
        return;
    }
    if (w->verdict == BUDGET_WAIT) {
        ask_again(w);
        return;
    }
    waits_remove(&w->loop->waits, &w->wait);
    finish_waiting(w);
}

void budget_on_due(struct wait *wait) {
    struct budget_waiter *w = (struct budget_waiter *)wait;
    struct budget_tenant *t = w->reservation->tenant;
    pthread_mutex_lock(&t->lock);
    bool granted = w->place == BUDGET_WAITER_GRANTED;
    if (!granted)
        unlink_waiter(t, w);
    if (!granted && t->budgets->share.on)
        budget_share_give_up(w, budgets_now_ms(t->budgets));
    pthread_mutex_unlock(&t->lock);
    if (granted)
        return; // the mail is under way
    if (t->budgets->share.on) {
        finish_waiting(w);
        return;
    }
    atomic_store(&t->budgets->store_is_slow, true);
    metric_add(metric_plain(&budget_unconfirmed_family), 1);
    finish_waiting(w);
}

void budget_wait_start(struct budgets_loop *l, struct budget_reservation *r,
                       const struct budget_scope *scope, budget_ready *ready, void *arg) {
    struct budget_waiter *w = base_calloc(1, sizeof *w);
    w->wait.mail.run = on_granted;
    w->loop = l;
    w->reservation = r;
    w->ready = ready;
    w->arg = arg;
    w->verdict = BUDGET_GRANTED;
    w->scope = *scope;
    r->waiter = w;
    link_waiter(r->tenant, w);
}

void budget_wait_stop(struct budget_reservation *r) {
    struct budget_waiter *w = r->waiter;
    if (w == NULL)
        return;
    r->waiter = NULL;
    waits_remove(&w->loop->waits, &w->wait);
    if (w->place == BUDGET_WAITER_GRANTED) {
        w->place = BUDGET_WAITER_ABANDONED;
        return;
    }
    unlink_waiter(r->tenant, w);
    free(w);
}
