// What an instance has of a limit that it keeps together with others: credit of
// the rates, and places. Under the lock of the limit's name, but for what talks
// to the store (limits_share_call.c).
#ifndef FARTHING_TENANT_LIMITS_SHARE_H
#define FARTHING_TENANT_LIMITS_SHARE_H

#include "limits_share_answer.h"
#include "rate.h"

struct limits;
struct limits_tenant;
struct limits_loop;
struct limits_waiter;
struct limits_call; // one under way

enum {
    LIMITS_KEEP_US = 500000,    // what was not touched for so long is given back at the next look
    LIMITS_METER_US = 100000,   // recent use is of one to two of these
    LIMITS_REPORT_US = 100000,  // what is owed or given back is told this often
    LIMITS_FRESH_US = 50000,    // a refusal is the store's word for so long
    LIMITS_RETRY_US = 100000,   // after a failure
    LIMITS_PREFETCH_US = 10000, // between two calls for more of what is nearly used up
    LIMITS_BUSY = 4,            // requests within the meter's time: worth keeping credit for
    LIMITS_MORE_PLACES = 8,
};

// A limit a minute above that is this one: Lua counts exactly to 2^53.
#define LIMITS_VALUE_MAX INT64_C(1000000000000)

// How much there was lately.
struct limits_meter {
    int64_t now, before;
    uint64_t since_us;
};

// The least that lay idle since: that much is not needed.
struct limits_low {
    int64_t least;
    uint64_t since_us;
};

struct limits_rate {
    int64_t credit;        // granted and not spent
    int64_t granted;       // all ever, as the store said
    int64_t charged;       // beside that, all ever: owed, or (below 0) given back
    int64_t charged_known; // by the store
    struct rate alone;     // use on this instance's own, against an even share
    struct limits_meter used;
    struct limits_low low;
};

// What a call says, and what became of it is judged by.
struct limits_request {
    uint64_t number, sent_us;
    unsigned instances;
    uint64_t arrivals; // in the line: those up to this one are asked for
    struct {
        int64_t limit, granted, charged_known, debt, need, least, more, charged;
    } rates[LIMITS_KINDS];
    int64_t concurrency, have, need, more;
    bool gave_places_back; // that others wait for
};

// Where the figures are shared. In the line stand those whom neither credit nor
// places cover, until the store has answered.
struct limits_share {
    struct limits *limits;
    struct limits_rate rates[LIMITS_KINDS];
    struct limits_meter starts; // requests that came in
    // Places: `have` were granted until a term after leased_us; of these `yield` are
    // not given out any more. The queue's want was said if `wanting`.
    int64_t have, yield, waiting;
    uint64_t leased_us;
    struct limits_low spare;
    bool wanting;
    struct limits_waiter *first, *last;
    uint64_t arrivals;
    struct limits_call *call; // NULL: none
    uint64_t number;          // of calls
    uint64_t asked_us, answered_us, full_us, poll_us, retry_us, said_us;
    bool called; // another instance has something to say
    // The store is away: with an even share of the figures, or with what is leased.
    bool alone, closed;
    unsigned instances; // as last known
    uint64_t term_us;   // of places
    char *key;
    // Whose timer looks after it: a loop's list. NULL: nothing is to be done.
    struct limits_loop *steward;
    struct limits_tenant *next;
};

// limits_share.c; pure
// Are its places still its own?
bool limits_share_is_leased(const struct limits_share *s, uint64_t now_us);
int64_t limits_share_even(const struct limits_share *s, int64_t figure); // at least 1
int64_t limits_share_recent(const struct limits_meter *m, uint64_t now_us);
void limits_share_spend(struct limits_share *s, enum limits_kind kind, int64_t units,
                        uint64_t now_us);
void limits_share_note_start(struct limits_share *s, int64_t spare, uint64_t now_us);
// Has something lain idle that others could have?
bool limits_share_has_idle(struct limits_tenant *t, uint64_t now_us);
void limits_share_charge(struct limits_share *s, enum limits_kind kind, int64_t units);
// What the line needs is counted by the caller into need and least.
void limits_share_prepare(struct limits_tenant *t, struct limits_request *r, int64_t need_places,
                          uint64_t now_us);
void limits_share_apply(struct limits_tenant *t, const struct limits_request *r,
                        const struct limits_answer *a, uint64_t now_us);
void limits_share_go_alone(struct limits_tenant *t, uint64_t now_us);
bool limits_share_is_idle(const struct limits_tenant *t);

#endif
