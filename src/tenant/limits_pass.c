// Several tickets as one: the tenant's, the key's, the route's, each waited for
// while those before it are held. The whole has one bound on waiting, one end,
// and gives everything back if any of them refuses.
#include <assert.h>

#include "farthing/limits.h"

static void on_ticket(void *arg, enum limits_verdict verdict);

// The last first: its queue is the one that the others may be held for.
static void cancel_before(struct limits_pass *p, unsigned end) {
    while (end > 0)
        (void)limits_cancel(&p->tickets[--end]);
}

static void note_wait(struct limits_pass *p) {
    p->queue_ms = (int64_t)(clock_mono_ms() - p->tickets[0].admitted_ms);
}

static enum limits_verdict refuse(struct limits_pass *p) {
    p->state = LIMITS_DONE;
    p->refused_at = p->at;
    p->refusal = p->tickets[p->at].refusal;
    cancel_before(p, p->at);
    return LIMITS_REFUSED;
}

// What is left of the patience of the whole, in the words of limits_ask.
static int64_t remaining_wait(const struct limits_pass *p) {
    if (p->max_wait_ms <= 0)
        return p->max_wait_ms;
    int64_t left = p->max_wait_ms - (int64_t)(clock_mono_ms() - p->tickets[0].admitted_ms);
    return left > 0 ? left : -1;
}

// From the ticket `at` on. `asks` may be the pass's own.
static enum limits_verdict take_tickets(struct limits_pass *p, const struct limits_ask *asks) {
    for (; p->at < p->count; p->at++) {
        struct limits_ask ask = asks[p->at];
        ask.max_wait_ms = p->at > 0 ? remaining_wait(p) : p->max_wait_ms;
        enum limits_verdict verdict =
            limits_admit(p->loop, &p->tickets[p->at], &ask, on_ticket, p);
        if (verdict == LIMITS_REFUSED)
            return refuse(p);
        if (verdict == LIMITS_QUEUED) {
            p->state = LIMITS_WAITING;
            return LIMITS_QUEUED;
        }
    }
    p->state = LIMITS_HELD;
    return LIMITS_GRANTED;
}

static void on_ticket(void *arg, enum limits_verdict verdict) {
    struct limits_pass *p = arg;
    if (verdict == LIMITS_GRANTED) {
        p->at++;
        verdict = take_tickets(p, p->asks);
    } else {
        verdict = refuse(p);
    }
    if (verdict == LIMITS_QUEUED)
        return;
    note_wait(p);
    p->done(p->arg, verdict);
}

static int64_t shortest_wait(const struct limits_ask *asks, unsigned count) {
    int64_t shortest = 0;
    for (unsigned i = 0; i < count; i++)
        if (asks[i].max_wait_ms != 0 && (shortest == 0 || asks[i].max_wait_ms < shortest))
            shortest = asks[i].max_wait_ms;
    return shortest;
}

enum limits_verdict limits_pass_admit(struct limits_loop *l, struct limits_pass *p,
                                      const struct limits_ask *asks, unsigned count,
                                      limits_done *done, void *arg) {
    assert(count > 0 && count <= LIMITS_PASS_MAX);
    assert(p->state != LIMITS_WAITING && p->state != LIMITS_HELD);
    p->count = count;
    p->at = p->refused_at = 0;
    p->refusal = (struct limits_refusal){0};
    p->queue_ms = 0;
    p->loop = l;
    p->done = done;
    p->arg = arg;
    p->max_wait_ms = shortest_wait(asks, count);
    enum limits_verdict verdict = take_tickets(p, asks);
    if (verdict == LIMITS_QUEUED)
        memcpy(p->asks, asks, count * sizeof *asks);
    return verdict;
}

bool limits_pass_settle(struct limits_pass *p, int64_t tokens) {
    if (p->state != LIMITS_HELD)
        return false;
    bool settled = false;
    for (unsigned i = 0; i < p->count; i++)
        settled = limits_settle(&p->tickets[i], tokens) || settled;
    return settled;
}

bool limits_pass_release(struct limits_pass *p) {
    if (p->state == LIMITS_WAITING) {
        note_wait(p);
        cancel_before(p, p->at + 1);
    } else if (p->state == LIMITS_HELD) {
        for (unsigned i = p->count; i > 0; i--)
            (void)limits_release(&p->tickets[i - 1]);
    } else {
        return false;
    }
    p->state = LIMITS_DONE;
    return true;
}

bool limits_pass_waiting(const struct limits_pass *p) {
    return p->state == LIMITS_WAITING;
}
