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
    // Running mean, over what was inserted, of log2(price for a KiB), times 256.
    int32_t mean_price;
    // The latest time that was seen: what expired before it goes first.
    int64_t now_ms;
    int64_t insertions, evictions;
    int64_t purged;
};

void memory_init(struct memory *m, size_t max_bytes);
void memory_free(struct memory *m);
void memory_resize(struct memory *m, size_t max_bytes);
void memory_clear(struct memory *m);

struct cache_entry *memory_find(struct memory *m, const struct cache_key *key); // no new reference
void memory_touch(struct cache_entry *e); // it was asked for
// Takes the reference, and keeps the entry when it fits. Replaces what stands
// under the same key either way.
void memory_insert(struct memory *m, struct cache_entry *e);
void memory_remove(struct memory *m, struct cache_entry *e);

// All that the shard holds, its tables too: never above max_bytes, but for
// the tables of an empty one (MEMORY_LEAST_BYTES).
size_t memory_bytes(const struct memory *m);
enum { MEMORY_LEAST_BYTES = (64 + 256) * 8 };

#endif
