// The breakers' states. Which calls pass is read from two atomics; a lock is taken
// to count the end of a call and to change the state.
#include "breaker_room.h"

#include <stdlib.h>

enum {
    // An outage shorter than this ends within one open_for_ms of the provider's
    // coming back: a request in every open_for_ms is little to pay for that. From
    // here on each probe that fails doubles the interval,
    LONG_OUTAGE_MS = 5 * 60 * 1000,
    INTERVAL_FACTOR_MAX = 8, // up to this many open_for_ms.
    JITTER_PART = 10,        // a tenth
};

// A day is more than any figure that makes sense, and far from overflow.
static const int64_t OPEN_FOR_MAX_MS = INT64_C(24) * 3600 * 1000;

struct breakers_loop {
    struct names_loop names;
};

static struct breaker *breaker_of(struct named *n) {
    return (struct breaker *)(void *)n;
}

static void adopt(struct breaker *b, const struct breaker_ticket *t) {
    if (t->admitted_ms < b->figures_ms)
        return;
    b->figures = t->figures;
    b->figures_ms = t->admitted_ms;
}

// ---------------------------------------------------------------------- lives

static void on_open(struct named *n) {
    struct breaker *b = breaker_of(n);
    base_lock_init(&b->lock);
    b->good_ms = b->bad_ms = b->over_ms = BREAKER_NEVER_MS;
}

static void on_close(struct named *n) {
    pthread_mutex_destroy(&breaker_of(n)->lock);
}

struct breakers *breakers_new(void) {
    struct breakers *b = base_calloc(1, sizeof *b);
    names_open(&b->names, sizeof(struct breaker), on_open, on_close);
    breaker_declare_metrics();
    return b;
}

void breakers_free(struct breakers *b) {
    if (b == NULL)
        return;
    names_close(&b->names);
    free(b);
}

void breakers_declare(struct breakers *b, struct slice name) {
    (void)names_declare(&b->names, name);
}

void breakers_set_figures(struct breakers *b, struct slice name,
                          const struct breaker_figures *figures, int64_t now_ms) {
    struct breaker *found = breaker_of(names_declare(&b->names, name));
    const struct breaker_ticket as_admitted = {.figures = *figures, .admitted_ms = now_ms};
    pthread_mutex_lock(&found->lock);
    adopt(found, &as_admitted);
    pthread_mutex_unlock(&found->lock);
}

struct breakers_loop *breakers_loop_new(struct breakers *b) {
    struct breakers_loop *l = base_calloc(1, sizeof *l);
    names_loop_open(&l->names, &b->names);
    return l;
}

void breakers_loop_free(struct breakers_loop *l) {
    if (l == NULL)
        return;
    names_loop_close(&l->names);
    free(l);
}

// --------------------------------------------------------------------- states
//
// All under the lock. next_ms is set before the mark: who sees a breaker open
// sees until when.

static void go(struct breaker *b, enum breaker_state to) {
    uint64_t changes = atomic_load(&b->mark) >> 2;
    atomic_store(&b->mark, (changes + 1) << 2 | (uint64_t)to);
}

int64_t breaker_open_for_ms(const struct breaker_figures *f) {
    if (f->open_for_ms < 1)
        return 1;
    return f->open_for_ms < OPEN_FOR_MAX_MS ? f->open_for_ms : OPEN_FOR_MAX_MS;
}

static int64_t next_interval_ms(const struct breaker *b, int64_t now_ms) {
    int64_t least = breaker_open_for_ms(&b->figures), most = least * INTERVAL_FACTOR_MAX;
    if (now_ms - b->outage_ms < LONG_OUTAGE_MS || b->interval_ms < least)
        return least;
    return b->interval_ms < most / 2 ? b->interval_ms * 2 : most;
}

// Less, never more: what is configured is how long it takes at most.
static int64_t jittered_ms(int64_t interval_ms) {
    return interval_ms - (int64_t)random_below((uint64_t)(interval_ms / JITTER_PART) + 1);
}

void breaker_go_open(struct breaker *b, int64_t wait_ms, int64_t now_ms,
                     struct breaker_change *change) {
    b->opened++;
    atomic_store(&b->shown, true);
    change->wait_ms = jittered_ms(wait_ms);
    atomic_store(&b->next_ms, now_ms + change->wait_ms);
    go(b, BREAKER_STATE_OPEN);
}

static struct breaker_change open_it(struct breaker *b, enum breaker_cause cause, int64_t now_ms) {
    struct breaker_change change = {.cause = cause, .to = BREAKER_STATE_OPEN};
    if (cause == BREAKER_CAUSE_FAILURES) {
        breaker_window_sum(&b->window, now_ms, &change.calls, &change.failures);
        change.window_ms = b->figures.window_ms;
        b->outage_ms = now_ms;
        b->outage_wall_ms = clock_wall_ms();
        b->calls_told = change.calls;
        b->failures_told = change.failures;
        b->misled = b->trusting;
    } else {
        b->calls_told++;
        b->failures_told++;
    }
    b->hearsay = b->trusting = false;
    b->interval_ms = next_interval_ms(b, now_ms);
    breaker_go_open(b, b->interval_ms, now_ms, &change);
    breaker_put_news(b, BREAKER_NEWS_OPEN, now_ms);
    return change;
}

// Only what was found out here is told: no word goes round and round.
static void note_closed(struct breaker *b, enum breaker_cause cause, bool was_closed,
                        int64_t now_ms) {
    if (cause == BREAKER_CAUSE_RESET) {
        breaker_put_news(b, BREAKER_NEWS_RESET, now_ms); // others may have it open
        b->over_ms = now_ms;
    } else if (!was_closed) {
        bool found_out = cause == BREAKER_CAUSE_PROBE_GOOD;
        breaker_put_news(b, found_out ? BREAKER_NEWS_CLOSED : BREAKER_NEWS_NONE, now_ms);
    }
    b->trusting = cause == BREAKER_CAUSE_HEARD_CLOSED && !b->hearsay;
    b->hearsay = b->misled = false;
}

struct breaker_change breaker_close(struct breaker *b, enum breaker_cause cause, int64_t now_ms) {
    bool was_closed = breaker_state_of(atomic_load(&b->mark)) == BREAKER_STATE_CLOSED;
    b->window = (struct breaker_window){0};
    note_closed(b, cause, was_closed, now_ms);
    go(b, BREAKER_STATE_CLOSED); // from closed, too: tickets of before count for nothing
    if (was_closed)
        return (struct breaker_change){.cause = BREAKER_CAUSE_NONE};
    return (struct breaker_change){
        .cause = cause, .to = BREAKER_STATE_CLOSED, .outage_ms = now_ms - b->outage_ms};
}

// ------------------------------------------------------------------ admission

static void turn_off(struct breaker *b, int64_t now_ms) {
    if (breaker_state_of(atomic_load(&b->mark)) == BREAKER_STATE_CLOSED)
        return;
    pthread_mutex_lock(&b->lock);
    struct breaker_change change = breaker_close(b, BREAKER_CAUSE_OFF, now_ms);
    pthread_mutex_unlock(&b->lock);
    breaker_tell(b, &change);
}

static enum breaker_verdict let_pass(struct breaker *b, uint64_t mark, struct breaker_ticket *t) {
    t->breaker = b;
    t->mark = mark;
    return t->probe ? BREAKER_PROBE : BREAKER_CLOSED;
}

static enum breaker_verdict refuse(int64_t wait_ms, struct breaker_ticket *t) {
    t->retry_after_ms = wait_ms > 0 ? wait_ms : 1;
    return BREAKER_OPEN;
}

// The one who finds a probe due, of all that did at this moment, is it. What was
// sent before him and not heard of is no longer waited for.
static enum breaker_verdict probe(struct breaker *b, int64_t now_ms, struct breaker_ticket *t) {
    struct breaker_change change = {.cause = BREAKER_CAUSE_NONE};
    enum breaker_verdict verdict;
    pthread_mutex_lock(&b->lock);
    uint64_t mark = atomic_load(&b->mark);
    int64_t next_ms = atomic_load(&b->next_ms);
    if (breaker_state_of(mark) == BREAKER_STATE_CLOSED) {
        verdict = let_pass(b, mark, t);
    } else if (now_ms < next_ms) {
        verdict = refuse(next_ms - now_ms, t);
    } else {
        if (breaker_state_of(mark) == BREAKER_STATE_OPEN)
            change = (struct breaker_change){.cause = BREAKER_CAUSE_PROBE_DUE,
                                             .to = BREAKER_STATE_HALF_OPEN};
        adopt(b, t);
        atomic_store(&b->next_ms, now_ms + breaker_open_for_ms(&b->figures));
        go(b, BREAKER_STATE_HALF_OPEN);
        t->probe = true;
        verdict = let_pass(b, atomic_load(&b->mark), t);
    }
    pthread_mutex_unlock(&b->lock);
    breaker_tell(b, &change);
    return verdict;
}

enum breaker_verdict breaker_admit(struct breakers_loop *l, struct slice name,
                                   const struct breaker_figures *figures, int64_t now_ms,
                                   struct breaker_ticket *t) {
    struct breaker *b = breaker_of(names_meet(&l->names, name));
    *t = (struct breaker_ticket){.admitted_ms = now_ms, .figures = *figures};
    if (figures->failures == 0) {
        turn_off(b, now_ms);
        return BREAKER_CLOSED;
    }
    uint64_t mark = atomic_load(&b->mark);
    if (breaker_state_of(mark) == BREAKER_STATE_CLOSED)
        return let_pass(b, mark, t);
    int64_t next_ms = atomic_load(&b->next_ms);
    return now_ms < next_ms ? refuse(next_ms - now_ms, t) : probe(b, now_ms, t);
}

// -------------------------------------------------------------------- reports

static bool is_slow(const struct breaker_figures *f, int64_t latency_ms) {
    return f->slow_call_ms > 0 && latency_ms > f->slow_call_ms;
}

// Under the lock, as the next.
static struct breaker_change probe_ended(struct breaker *b, const struct breaker_ticket *t,
                                         enum breaker_outcome outcome, int64_t now_ms) {
    uint64_t mark = atomic_load(&b->mark);
    if (breaker_state_of(mark) != BREAKER_STATE_HALF_OPEN)
        return (struct breaker_change){.cause = BREAKER_CAUSE_NONE};
    // A good answer is one, also to the probe that was given up.
    if (outcome == BREAKER_GOOD) {
        b->good_ms = now_ms;
        return breaker_close(b, BREAKER_CAUSE_PROBE_GOOD, now_ms);
    }
    if (mark == t->mark && outcome == BREAKER_BAD) {
        b->bad_ms = now_ms;
        return open_it(b, BREAKER_CAUSE_PROBE_BAD, now_ms);
    }
    if (mark == t->mark)
        atomic_store(&b->next_ms, now_ms); // the next one is the probe
    return (struct breaker_change){.cause = BREAKER_CAUSE_NONE};
}

static struct breaker_change call_ended(struct breaker *b, const struct breaker_ticket *t,
                                        enum breaker_outcome outcome, int64_t now_ms) {
    struct breaker_change none = {.cause = BREAKER_CAUSE_NONE};
    if (atomic_load(&b->mark) != t->mark || outcome == BREAKER_NEUTRAL)
        return none;
    adopt(b, t);
    bool failed = outcome == BREAKER_BAD;
    if (failed) {
        b->bad_ms = now_ms;
    } else {
        b->good_ms = now_ms;
        b->trusting = false;
    }
    breaker_window_count(&b->window, b->figures.window_ms, now_ms, failed);
    if (!failed || !breaker_window_tripped(&b->window, b->figures.failures))
        return none;
    return open_it(b, BREAKER_CAUSE_FAILURES, now_ms);
}

bool breaker_report(struct breaker_ticket *t, enum breaker_outcome outcome, int64_t latency_ms,
                    int64_t now_ms) {
    struct breaker *b = t->breaker;
    if (b == NULL)
        return false;
    t->breaker = NULL;
    if (outcome == BREAKER_GOOD && is_slow(&t->figures, latency_ms))
        outcome = BREAKER_BAD;
    pthread_mutex_lock(&b->lock);
    struct breaker_change change =
        t->probe ? probe_ended(b, t, outcome, now_ms) : call_ended(b, t, outcome, now_ms);
    pthread_mutex_unlock(&b->lock);
    breaker_tell(b, &change);
    return true;
}

void breaker_answered(struct breaker_ticket *t, int64_t latency_ms, int64_t now_ms) {
    struct breaker *b = t->breaker;
    if (b == NULL || !t->probe || is_slow(&t->figures, latency_ms))
        return;
    pthread_mutex_lock(&b->lock);
    struct breaker_change change = probe_ended(b, t, BREAKER_GOOD, now_ms);
    t->mark = atomic_load(&b->mark);
    t->probe = false;
    pthread_mutex_unlock(&b->lock);
    breaker_tell(b, &change);
}
