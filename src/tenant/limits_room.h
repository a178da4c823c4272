// What the files of the limits share. A tenant's lock is held for some tens of
// nanoseconds and never while anybody else's code runs; the lock of the names is
// taken when a loop meets a name for the first time.
#ifndef FARTHING_TENANT_LIMITS_ROOM_H
#define FARTHING_TENANT_LIMITS_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "farthing/limits.h"
#include "limits_fair.h"
#include "rate.h"
#include "waits.h"

// Where a waiter is. Under the tenant's lock, but for ABANDONED (its loop's).
enum waiter_place {
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
};

// Made once for each name and kept: names come from the configuration.
struct limits_tenant {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct config_limits figures;
    struct rate requests, tokens;
    int64_t running;
    int64_t hold_us; // moving mean
    struct fair queue;
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
};

struct limits_loop {
    struct limits *limits;
    struct table *known; // by name, without the lock
    struct waits waits;
};

// limits_names.c
struct limits_tenant *limits_find_known(struct limits_loop *l, struct slice name);

// limits_queue.c; all under the tenant's lock
bool limits_has_place(const struct limits_tenant *t);
int64_t limits_estimate_wait_ms(const struct limits_tenant *t);
void limits_fill_refusal(const struct limits_tenant *t, enum limits_reason reason,
                         struct limits_refusal *out); // for want of a place
// A seat for one of this flow: there is one (*surplus NULL), or somebody has to
// stand up for him.
bool limits_find_seat(struct limits_tenant *t, const struct limits_ask *ask,
                      struct limits_waiter **surplus);
void limits_displace(struct limits_tenant *t, struct limits_waiter *w);
// Gives free places to those whose turn it is.
void limits_hand_over(struct limits_tenant *t);
// He paid at the door, and it is as if he had not come.
void limits_give_rates_back(struct limits_tenant *t, const struct limits_ticket *ticket);

// Ends the waiting of a ticket, on its loop; takes the lock.
void limits_abandon(struct limits_ticket *ticket);

// The ends of waiting, on the loop.
void limits_on_told(struct mail *m);
void limits_on_due(struct wait *w);

#endif
