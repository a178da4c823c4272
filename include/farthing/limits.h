// tenant, its limits: how much a tenant may do at once and in a minute. Concurrency with a
// bounded queue (first come, first served, over all loops), and rates of
// requests and tokens. Figures only: who refuses whom in which words, and the
// text of header fields, is the caller's.
//
// State is kept by the tenant's name, so it outlives a reload of the file.
#ifndef FARTHING_LIMITS_H
#define FARTHING_LIMITS_H

#include "farthing/base.h"
#include "farthing/config.h"

struct event_base;
struct limits;      // the process's; any thread
struct limits_loop; // one loop's access; that loop's thread only
struct limits_tenant;
struct limits_waiter;

// Figures (config.h) that are CONFIG_UNSET or below do not limit. queue: CONFIG_UNSET is 0
// (nobody waits); queue_timeout_ms: CONFIG_UNSET is LIMITS_QUEUE_TIMEOUT_MS.
enum { LIMITS_QUEUE_TIMEOUT_MS = 10000, LIMITS_WINDOW_S = 60 };

struct limits *limits_new(void);
void limits_free(struct limits *l); // after all its loops
// The figures of every tenant of the snapshot, in force when it returns: places
// that a higher concurrency makes go to those who wait. Names that are no longer
// in the file keep their figures for the requests that still run.
void limits_configure(struct limits *l, const struct config *config);
// The same for one name (a tenant's, or any other that requests are held under).
void limits_set(struct limits *l, struct slice name, const struct config_limits *figures);

struct limits_loop *limits_loop_new(struct limits *l, struct event_base *loop);
// Every ticket of this loop is released by then.
void limits_loop_free(struct limits_loop *l);

// ------------------------------------------------------------------- tickets

enum limits_state {
    LIMITS_IDLE,    // zero: nothing held
    LIMITS_WAITING, // in the queue
    LIMITS_HELD,    // granted: a place and tokens
    LIMITS_DONE,    // released, or refused
};

enum limits_reason {
    LIMITS_REASON_NONE,
    LIMITS_REASON_REQUESTS,    // requests a minute
    LIMITS_REASON_TOKENS,      // tokens a minute
    LIMITS_REASON_CONCURRENCY, // all places taken, and so is the queue
    LIMITS_REASON_QUEUE_TIMEOUT,
};

struct limits_refusal {
    enum limits_reason reason;
    int64_t limit;          // of the rate, or places
    int64_t remaining;      // of the rate; places: 0
    int64_t asked;          // tokens; otherwise 1
    int64_t queued;         // waiting ahead (concurrency)
    int64_t retry_after_ms; // when it would fit; places: an estimate. -1: more than it ever can be
};

// The caller's, in memory of its own (zeroed before first use): one request's
// hold on its tenant's limits. Fields are for reading.
struct limits_ticket {
    enum limits_state state;
    struct limits_refusal refusal; // when refused
    uint64_t admitted_ms;          // clock_mono_ms of asking
    uint64_t held_ms;              // and of the grant: their difference was spent in the queue
    // private
    struct limits_tenant *tenant;
    struct limits_waiter *waiter;
    int64_t tokens; // reserved and not settled
    bool counted, metered;
};

struct limits_ask {
    struct slice tenant;
    int64_t tokens;      // estimate, reserved in the rate of tokens
    int64_t max_wait_ms; // the request's own bound on queueing; 0: only the tenant's
};

enum limits_verdict { LIMITS_GRANTED, LIMITS_QUEUED, LIMITS_REFUSED };

// The end of waiting, on the ticket's loop, exactly once or never after
// limits_release. GRANTED, or REFUSED (ticket->refusal says why).
typedef void limits_done(void *arg, enum limits_verdict verdict);

// All or nothing. Takes one request and `tokens` from the rates and a place;
// where there is no place, a seat in the queue. A rate is charged at the door
// and given back to those who never got in. `done` is called only after
// LIMITS_QUEUED, never before this has returned.
enum limits_verdict limits_admit(struct limits_loop *l, struct limits_ticket *t,
                                 const struct limits_ask *ask, limits_done *done,
                                 void *arg) FARTHING_MUST_CHECK;
// The tokens that were really used, in place of the estimate: less gives the
// rest back at once, more is owed. Once for each ticket, while it is held; false
// (and nothing happens) otherwise.
bool limits_settle(struct limits_ticket *t, int64_t tokens);
// Gives the place (or the seat in the queue) up at once; the next in the queue
// has it. Tokens that were never settled go back: nothing was used. Does
// nothing on a ticket that holds nothing; false then.
bool limits_release(struct limits_ticket *t);

// Ends the waiting of those whose time is over; a timer of the loop calls it.
// For tests with a frozen clock.
void limits_loop_run_due(struct limits_loop *l, uint64_t now_ms);

// ------------------------------------------------------------------- figures

// For RateLimit (r = remaining, t = reset), RateLimit-Policy (q = limit,
// w = LIMITS_WINDOW_S) and x-ratelimit-{limit,remaining,reset}-{requests,tokens}.
struct limits_rate_view {
    int64_t limit;     // CONFIG_UNSET: no such limit, and the rest says nothing
    int64_t remaining; // never negative
    int64_t reset_ms;  // until all of `limit` is there again
    int64_t next_ms;   // until one more fits; 0: now
};
struct limits_view {
    struct slice name; // lives as long as the limits
    struct limits_rate_view requests, tokens;
    int64_t concurrency; // CONFIG_UNSET: no limit
    int64_t running;     // counted only where concurrency is limited
    int64_t queue, queued;
    int64_t hold_ms; // recent mean time a place is held
};

// Of the ticket's tenant, now. For the headers of its answer.
void limits_view_ticket(const struct limits_ticket *t, struct limits_view *out);
// Every name that was ever set. Any thread.
typedef void limits_visitor(void *arg, const struct limits_view *view);
void limits_visit(struct limits *l, limits_visitor *visit, void *arg);

#endif
