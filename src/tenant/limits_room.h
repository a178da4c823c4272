// What the files of the limits share. A tenant's lock is held for some tens of
// nanoseconds and never while anybody else's code runs; the lock of the names is
// taken when a loop meets a name for the first time.
#ifndef FARTHING_TENANT_LIMITS_ROOM_H
#define FARTHING_TENANT_LIMITS_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "farthing/limits.h"
#include "farthing/store.h"
#include "limits_fair.h"
#include "limits_share.h"
#include "rate.h"
#include "waits.h"

// Where a waiter is. Under the tenant's lock, but for ABANDONED (its loop's).
enum waiter_place {
    WAITER_ASKING,    // in the line of those for whom the shared store is asked, and in the heap
    WAITER_QUEUED,    // in its tenant's queue and its loop's heap
    WAITER_GRANTED,   // has a place; the mail that says so is on its way
    WAITER_DISPLACED, // lost its seat; so is that mail
    WAITER_ABANDONED, // released meanwhile: the mail frees it
};

// Owned by its loop, which frees it. In the queue of its tenant while QUEUED.
struct limits_waiter {
    struct wait wait;      // first: the wait is the waiter
    struct fair_seat seat; // in the queue
    enum waiter_place place;
    struct limits_refusal refusal; // DISPLACED
    struct limits_loop *loop;
    struct limits_ticket *ticket;
    limits_done *done;
    void *arg;
    struct limits_ask ask;
    bool asks;         // its loop's: it is in the heap for as long as the store may take
    uint64_t until_ms; // its patience in the queue
    // In the line, oldest first.
    uint64_t arrival;
    struct limits_waiter *next, *previous;
};

// Made once for each name and kept: names come from the configuration.
struct limits_tenant {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct config_limits figures;
    struct rate requests, tokens;
    int64_t running;
    int64_t hold_us; // moving mean
    struct fair queue;
    struct limits_share *share; // NULL: these figures are this process's alone
    // Without any limit nothing is counted, and the lock is not taken.
    atomic_bool limited;
    uint64_t round; // of limits_configure (its thread's) that set it last; 0: none does
    struct slice name;
    struct limits_tenant *next; // all, newest first
};

struct limits {
    pthread_mutex_t lock; // of the two below
    struct table *by_name;
    struct limits_tenant *tenants;
    uint64_t round; // of limits_configure, its thread's
    struct store *store; // NULL: nothing is shared
    struct limits_sharing sharing; // but for
    atomic_bool closed;
};

struct limits_loop {
    struct limits *limits;
    struct event_base *base;
    struct table *known; // by name, without the lock
    struct waits waits;
    // Where the figures are shared.
    struct store_client *client; // NULL: they are not, or not from this loop
    struct store_ear *ear;
    struct limits_call *calls;    // under way
    struct limits_tenant *tended; // those that it is the steward of
    struct event *tick;
};

// What became of one at the door.
enum limits_entry {
    LIMITS_ENTRY_REFUSED,
    LIMITS_ENTRY_PLACE,
    LIMITS_ENTRY_SEAT,
    LIMITS_ENTRY_ASK, // the store has to be asked; nothing was taken
};

// limits.c; under the tenant's lock. `final`: the store was asked.
enum limits_entry limits_enter(struct limits_tenant *t, struct limits_ticket *ticket,
                               const struct limits_ask *ask, uint64_t now_us, bool final);

// limits_names.c
struct limits_tenant *limits_find_known(struct limits_loop *l, struct slice name);

// limits_queue.c; all under the tenant's lock
bool limits_has_place(const struct limits_tenant *t);
void limits_start(struct limits_tenant *t, uint64_t now_us); // one more runs
int64_t limits_estimate_wait_ms(const struct limits_tenant *t);
void limits_fill_refusal(const struct limits_tenant *t, enum limits_reason reason,
                         struct limits_refusal *out); // for want of a place
// A seat for one of this flow: there is one (*surplus NULL), or somebody has to
// stand up for him.
bool limits_find_seat(struct limits_tenant *t, const struct limits_ask *ask,
                      struct limits_waiter **surplus);
void limits_displace(struct limits_tenant *t, struct limits_waiter *w);
void limits_tell(struct limits_waiter *w, enum waiter_place place);
// Gives free places to those whose turn it is.
void limits_hand_over(struct limits_tenant *t);
// He paid at the door, and it is as if he had not come.
void limits_give_rates_back(struct limits_tenant *t, const struct limits_ticket *ticket);

// What the rates of the name are charged beside what was taken at the door; below 0: less.
void limits_charge(struct limits_tenant *t, enum limits_kind kind, int64_t units, uint64_t now_us);

// Ends the waiting of a ticket, on its loop; takes the lock.
void limits_abandon(struct limits_ticket *ticket);

// The ends of waiting, on the loop.
void limits_on_told(struct mail *m);
void limits_on_due(struct wait *w);

// limits_share_line.c; under the tenant's lock
struct limits_share *limits_share_new(struct limits *l, struct slice name);
void limits_share_free(struct limits_share *s);
void limits_line_add(struct limits_tenant *t, struct limits_waiter *w);
void limits_line_remove(struct limits_tenant *t, struct limits_waiter *w);
// Those who came until then enter, are seated or refused, but for those behind one for
// whom there was too little.
void limits_line_judge(struct limits_tenant *t, uint64_t arrivals, uint64_t now_us);
// Nobody has answered in time: without the store, then, for all.
void limits_line_give_up(struct limits_tenant *t, uint64_t now_us);
// Is the store there? Before anybody is judged.
void limits_share_look(struct limits_tenant *t, uint64_t now_us);
void limits_share_leave(struct limits_tenant *t, uint64_t now_us); // it is not
bool limits_share_is_due(struct limits_tenant *t, uint64_t now_us); // a call to it

// limits_share_call.c
// Whether a call to the store is due; under the lock. It is looked after from now on.
bool limits_share_note(struct limits_loop *l, struct limits_tenant *t, uint64_t now_us);
void limits_share_call(struct limits_loop *l, struct limits_tenant *t); // takes the lock
void limits_share_close(struct limits_loop *l);

#endif
