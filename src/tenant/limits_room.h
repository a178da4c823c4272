// What the files of the limits share. A tenant's lock is held for some tens of
// nanoseconds and never while anybody else's code runs; the lock of the names is
// taken when a loop meets a name for the first time.
#ifndef FARTHING_TENANT_LIMITS_ROOM_H
#define FARTHING_TENANT_LIMITS_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "farthing/limits.h"
#include "lock.h"
#include "rate.h"
#include "waits.h"

// Where a waiter is. Under the tenant's lock, but for ABANDONED (its loop's).
enum waiter_place {
    WAITER_QUEUED,    // in its tenant's queue and its loop's heap
    WAITER_GRANTED,   // has a place; the mail that says so is on its way
    WAITER_ABANDONED, // released meanwhile: the mail frees it
};

// Owned by its loop, which frees it. In the queue of its tenant while QUEUED.
struct limits_waiter {
    struct wait wait; // first: the wait is the waiter
    struct limits_waiter *next, *previous;
    enum waiter_place place;
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
    int64_t running, queued;
    int64_t hold_us; // moving mean
    struct limits_waiter *first, *last;
    // Without any limit nothing is counted, and the lock is not taken.
    atomic_bool limited;
    struct slice name;
    struct limits_tenant *next; // all, newest first
};

struct limits {
    pthread_mutex_t lock; // of the two below
    struct table *by_name;
    struct limits_tenant *tenants;
};

struct limits_loop {
    struct limits *limits;
    struct table *known; // by name, without the lock
    struct waits waits;
};

// limits.c
struct limits_tenant *limits_find(struct limits *l, struct slice name);
int64_t limits_estimate_wait_ms(const struct limits_tenant *t); // under its lock

// limits_queue.c; all under the tenant's lock
bool limits_has_place(const struct limits_tenant *t);
void limits_enqueue(struct limits_tenant *t, struct limits_waiter *w);
void limits_dequeue(struct limits_tenant *t, struct limits_waiter *w);
// Gives free places to those who wait longest.
void limits_hand_over(struct limits_tenant *t);
// Ends the waiting of a ticket, on its loop; takes the lock.
void limits_abandon(struct limits_ticket *ticket);

// The ends of waiting, on the loop.
void limits_on_granted(struct mail *m);
void limits_on_due(struct wait *w);

#endif
