// One shard of the memory tier. Not thread-safe: its owner holds a lock.
#ifndef FARTHING_CACHE_MEMORY_H
#define FARTHING_CACHE_MEMORY_H

#include "entry.h"

struct queue {
    struct cache_entry *oldest, *newest;
    size_t bytes;
};

struct memory {
    struct cache_entry **buckets;
    size_t mask, count;
    struct queue small, main;
    size_t max_bytes;
    uint64_t *ghosts; // fingerprints of keys that left the small queue unused
    size_t ghost_mask;
    // Running mean of pico-USD for a KiB kept, of what was inserted.
    uint64_t mean_worth;
    int64_t insertions, evictions;
};

void memory_init(struct memory *m, size_t max_bytes);
void memory_free(struct memory *m);
void memory_resize(struct memory *m, size_t max_bytes);
struct cache_entry *memory_find(struct memory *m, const struct cache_key *key); // no new reference
void memory_insert(struct memory *m, struct cache_entry *e);                   // takes the reference
void memory_remove(struct memory *m, struct cache_entry *e);
void memory_clear(struct memory *m);
size_t memory_bytes(const struct memory *m);

#endif
