// Who is next: a queue in which tenants take turns in proportion to their
// weights, and within a tenant the first come is the first served.
//
// Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), which for turns
// of one size is stride scheduling (Waldspurger 1995): each tenant has a lane
// with the virtual time of its next turn; the earliest lane is served and goes on
// by STRIDE / weight. A lane that comes (back) begins at the time of the turn
// that was served last: who was away has saved nothing up, and who has just had
// his turn does not get a new one by coming back.
//
// Turns are shared out, not the time that a place is held: nobody knows before
// how long that will be, and a place cannot be taken away.
//
// One thread at a time, no clock, no input or output. Joining, leaving and
// serving take O(log lanes); lanes without anybody in them go when their time has
// come.
#ifndef FARTHING_UPSTREAM_FAIR_H
#define FARTHING_UPSTREAM_FAIR_H

#include "farthing/base.h"

struct fair_lane;

// Part of whoever waits.
struct fair_seat {
    struct fair_seat *next, *previous;
    struct fair_lane *lane;
};

struct fair {
    struct table *by_tenant;
    struct fair_lane **heap; // from 1, by time and then by coming
    size_t count, capacity;
    uint64_t now;     // of the turn that was served last
    uint64_t arrival; // counts, for order among equals
};

void fair_open(struct fair *f);
void fair_close(struct fair *f); // nobody sits there any more
// At the end of his tenant's lane. The tenant's weight is this one from now on; 0 is 1.
void fair_join(struct fair *f, struct fair_seat *s, struct slice tenant, unsigned weight);
void fair_leave(struct fair *f, struct fair_seat *s); // without having had a turn
// Whose turn it is; he has left. NULL: nobody waits.
struct fair_seat *fair_serve(struct fair *f) FARTHING_MUST_CHECK;
size_t fair_lanes(const struct fair *f); // kept now, also those without anybody

#endif
