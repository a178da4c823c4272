// An entry in memory, and its form in the store.
#ifndef FARTHING_CACHE_ENTRY_H
#define FARTHING_CACHE_ENTRY_H

#include <stdatomic.h>

#include "farthing/cache.h"

enum entry_queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

// One allocation: the struct and behind it every string of the answer. All but
// `references` and `uses` belong to the shard's lock.
struct cache_entry {
    struct cache_answer answer;
    struct cache_key key;
    _Atomic int references;
    _Atomic unsigned char uses; // 0..3, since the queue last looked
    unsigned char worth;        // 0..2, from its price for each byte kept
    enum entry_queue queue;
    size_t bytes; // of the whole allocation
    struct cache_entry *older, *newer; // in its queue
    struct cache_entry *next_in_bucket;
};

// Copies the answer; one reference.
struct cache_entry *entry_new(const struct cache_key *key, const struct cache_answer *answer);
struct cache_entry *entry_ref(struct cache_entry *e);

// Versioned and checksummed. entry_decode returns NULL for anything that is
// not exactly what entry_encode wrote.
void entry_encode(const struct cache_answer *answer, struct buffer *out);
struct cache_entry *entry_decode(const struct cache_key *key, struct slice bytes);

#endif
