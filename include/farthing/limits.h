// tenant, its limits: how much a tenant, one of its keys, or a route may do at
// once and in a minute. Concurrency with a bounded and fair queue (over all
// loops), and rates of requests and tokens. Figures only: who refuses whom in
// which words, and the text of header fields, is the caller's.
//
// State is kept by name, so it outlives a reload of the file: a tenant's own
// name, "route:NAME", "key:HEX". One request may stand under several: a pass.
#ifndef FARTHING_LIMITS_H
#define FARTHING_LIMITS_H

#include "farthing/base.h"
#include "farthing/config.h"

struct event_base;
struct store;
struct store_client;
struct limits;      // the process's; any thread
struct limits_loop; // one loop's access; that loop's thread only
struct limits_tenant;
struct limits_waiter;

// Figures (config.h) that are CONFIG_UNSET or below do not limit. queue: CONFIG_UNSET is 0
// (nobody waits); queue_timeout_ms: CONFIG_UNSET is LIMITS_QUEUE_TIMEOUT_MS.
enum { LIMITS_QUEUE_TIMEOUT_MS = 10000, LIMITS_WINDOW_S = 60, LIMITS_WEIGHT_MAX = 100 };

// The queue. Within a flow: first come, first served. Between flows places go in
// proportion to their weights, and nobody is passed over for ever: a flow of
// weight 1 beside one of weight 100 has every 101st place. Seats: when all are
// taken, a newcomer may still have the last-come waiter's seat of the flow that
// has most for its weight, who is refused (CONCURRENCY) in his stead: if the
// newcomer's flow has none, that flow more than one; otherwise if, first seats
// not counted, his flow has fewer for its weight even with the one more. So one
// seat is everybody's own, the rest goes by weight, and two flows cannot take
// the same seat from each other in turn.

struct limits *limits_new(void);
void limits_free(struct limits *l); // after all its loops

// Several instances, one limit (docs/redis.md): with a store that is shared, rates
// and places of a name hold for all of them together; seats and their order are each
// instance's own. A request that what is leased does not cover waits for the store,
// and no longer than wait_ms. Without the store each instance has an even share of
// the figures, or (closed) refuses what its leases do not cover (STORE).
enum { LIMITS_TERM_MS = 10000 };
struct limits_sharing {
    int64_t wait_ms;
    int64_t term_ms; // of places: a dead instance's are free after it; 0: LIMITS_TERM_MS
    bool closed;
};
// Before any name is set. Does nothing where the store is not shared (NULL: it is not).
void limits_share(struct limits *l, struct store *store, const struct limits_sharing *how);
// The figures of every tenant of the snapshot, of every route that has some, and
// of every key of a tenant whose keys have some; in force when it returns: places
// that a higher concurrency makes go to those who wait. A name that the file no
// longer has, or no longer limits, is unlimited: whoever waits there is let in,
// and what still runs gives back as ever. (And limits_share's `closed`.) One thread
// at a time.
void limits_configure(struct limits *l, const struct config *config);
// The same for one name of the caller's own, which limits_configure leaves alone.
void limits_set(struct limits *l, struct slice name, const struct config_limits *figures);

// Does any of the figures limit? (A route or key without needs no ticket.)
bool limits_any(const struct config_limits *figures);
// The names under which limits_configure keeps them.
struct slice limits_name_of_route(struct arena *a, struct slice route);
struct slice limits_name_of_key(struct arena *a, const uint8_t digest[DIGEST_LEN]);

struct limits_loop *limits_loop_new(struct limits *l, struct event_base *loop);
// The loop's access to the shared store: it outlives the limits_loop. Without (and where
// nothing is shared: it does nothing) the loop's requests have what other loops leased.
void limits_loop_share(struct limits_loop *l, struct store_client *client);
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
    LIMITS_REASON_CONCURRENCY, // all places taken, and so is the queue, or his seat in it
    LIMITS_REASON_QUEUE_TIMEOUT,
    LIMITS_REASON_STORE, // the shared store is away, and nothing is decided without it
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
    struct limits_loop *loop;
    struct limits_tenant *tenant;
    struct limits_waiter *waiter;
    int64_t tokens;                 // reserved; -1: settled
    bool counted, charged, metered; // a place; a request, tokens of the rates
};

struct limits_ask {
    struct slice tenant;
    int64_t tokens;      // estimate, reserved in the rate of tokens
    int64_t max_wait_ms; // the request's own bound on queueing; 0: none; below: it cannot wait
    // Whom it comes from, where several wait for the same places (tenants at a
    // route), and his weight: 1..LIMITS_WEIGHT_MAX, 0 is 1. Names of flows are
    // kept: they come from the configuration, as the others.
    struct slice flow;
    unsigned weight;
};

enum limits_verdict { LIMITS_GRANTED, LIMITS_QUEUED, LIMITS_REFUSED };

// The end of waiting, on the ticket's loop, exactly once or never after
// limits_release. GRANTED, or REFUSED (ticket->refusal says why).
typedef void limits_done(void *arg, enum limits_verdict verdict);

// The slices of an ask live until the waiting is over.
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
// The same for a request that never ran: the request goes back to its rate too.
bool limits_cancel(struct limits_ticket *t);

// Ends the waiting of those whose time is over; a timer of the loop calls it.
// For tests with a frozen clock.
void limits_loop_run_due(struct limits_loop *l, uint64_t now_ms);

// ---------------------------------------------------------------------- passes

// One request under several limits (its tenant's, its key's, its route's): the
// tickets are taken in the order of the asks, each when the one before is held.
// If one refuses, those before it are cancelled, and it is as if the request had
// never come. Nobody waits for another in a circle as long as everybody asks in
// the same order of kinds.
enum { LIMITS_PASS_MAX = 3 };

// The caller's, in memory of its own, zeroed before first use. For reading:
struct limits_pass {
    enum limits_state state;
    unsigned count;                // of the tickets that were asked for
    unsigned refused_at;           // index of the ticket that refused,
    struct limits_refusal refusal; // and why; reason NONE: none did
    int64_t queue_ms;              // spent in all queues, until granted, refused or released
    struct limits_ticket tickets[LIMITS_PASS_MAX];
    // private
    struct limits_loop *loop;
    struct limits_ask asks[LIMITS_PASS_MAX]; // while it waits
    unsigned at;                             // the ticket that waits
    int64_t max_wait_ms;
    limits_done *done;
    void *arg;
};

// As limits_admit, for 1..LIMITS_PASS_MAX asks. The smallest max_wait_ms of the
// asks (0 counts for none) bounds the waiting in all queues together; a pass
// whose time is over is still granted what there is. The slices in the asks live
// until the waiting is over or the pass is released. `done` only after
// LIMITS_QUEUED, exactly once or never after limits_pass_release.
enum limits_verdict limits_pass_admit(struct limits_loop *l, struct limits_pass *p,
                                      const struct limits_ask *asks, unsigned count,
                                      limits_done *done, void *arg) FARTHING_MUST_CHECK;
// limits_settle of each; once, while held; false (and nothing happens) otherwise.
bool limits_pass_settle(struct limits_pass *p, int64_t tokens);
// limits_release of each. One that still waits never ran: what it holds is
// cancelled. False if nothing was held.
bool limits_pass_release(struct limits_pass *p);
bool limits_pass_waiting(const struct limits_pass *p);

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
    int64_t queue, queued; // seats, and how many are taken
    int64_t hold_ms; // recent mean time a place is held
};

// Of the ticket's tenant, now. For the headers of its answer.
void limits_view_ticket(const struct limits_ticket *t, struct limits_view *out);
// Every name that was ever set. Any thread.
typedef void limits_visitor(void *arg, const struct limits_view *view);
void limits_visit(struct limits *l, limits_visitor *visit, void *arg);

#endif
