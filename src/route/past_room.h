// What the files of past success share: past.c keeps, past_gossip.c speaks with other
// instances.
#ifndef FARTHING_ROUTE_PAST_ROOM_H
#define FARTHING_ROUTE_PAST_ROOM_H

#include "farthing/past.h"

enum { PAST_SHARDS = 16, PAST_SHARD_MAX = PAST_MAX / PAST_SHARDS };

struct past_owner { // a tenant's share of one shard
    size_t entries;
};

struct past_entry {
    double seen, good;               // as of noted_ms
    double untold_seen, untold_good; // of these; other instances do not know of them yet
    uint64_t noted_ms;
    struct past_owner *owner;
};

struct past_shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct table *entries, *owners;
    uint64_t swept_ms;
    bool swept;
};

struct past {
    struct past_shard shards[PAST_SHARDS];
    size_t tell_from; // the first to be told of next; of the thread that tells
};

// The lengths of tenant and feature, and the three.
struct past_key {
    char bytes[PAST_KEY_MAX + 2 * sizeof(uint32_t)];
    size_t len;
};

bool past_key_make(struct slice tenant, struct slice feature, struct slice tier,
                   struct past_key *k); // false: too long
struct past_shard *past_shard_of(struct past *p, struct slice key);

// Under the shard's lock.
struct past_entry *past_add(struct past_shard *s, struct slice key, struct slice tenant,
                            uint64_t now_ms);                     // NULL: there is no room
double past_left_of(const struct past_entry *e, uint64_t now_ms); // of one outcome
// At most PAST_MEMORY outcomes.
void past_count_in(struct past_entry *e, double seen, double good, uint64_t now_ms);

#endif
