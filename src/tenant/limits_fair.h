// Who is next, and who has too many seats, where several flows (tenants) wait
// for the same places. Pure: no lock, no clock; under its owner's lock.
#ifndef FARTHING_TENANT_LIMITS_FAIR_H
#define FARTHING_TENANT_LIMITS_FAIR_H

#include "farthing/base.h"

struct fair_flow;

// Part of whatever waits.
struct fair_seat {
    struct fair_seat *next, *previous; // of its flow
    struct fair_flow *flow;            // NULL: not waiting
    uint64_t arrival;
};

// The same flows in two orders, each a heap.
enum fair_order { FAIR_NEXT, FAIR_FULLEST, FAIR_ORDERS };

// Zero-initialized: nobody waits.
struct fair {
    int64_t count; // that wait
    struct table *by_name;
    struct fair_flow *flows; // all that ever waited
    size_t flow_count;
    struct fair_flow **heaps[FAIR_ORDERS]; // from 1; those of whom somebody waits
    size_t waiting, capacity;
    uint64_t arrivals;
    uint64_t now;   // virtual time: the pass of whoever was taken last
    uint64_t epoch; // ends when nobody waits; passes of an earlier one are worth nothing
};

void fair_free(struct fair *f); // nobody waits
void fair_add(struct fair *f, struct fair_seat *s, struct slice flow, unsigned weight);
void fair_remove(struct fair *f, struct fair_seat *s);
// Takes out whose turn it is; NULL: nobody waits.
struct fair_seat *fair_take_next(struct fair *f);
// Who has to stand up for a newcomer when all seats are taken (he is not removed);
// NULL: nobody (see limits.h for the rule).
struct fair_seat *fair_find_surplus(const struct fair *f, struct slice flow, unsigned weight);

#endif
