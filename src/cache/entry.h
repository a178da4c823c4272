// An entry in memory, and its form in the store.
#ifndef FARTHING_CACHE_ENTRY_H
#define FARTHING_CACHE_ENTRY_H

#include <stdatomic.h>

#include "farthing/cache.h"

enum entry_queue {
    QUEUE_NONE,  // in no shard: new, or only held by who looked it up
    QUEUE_SMALL, // a newcomer
    QUEUE_MAIN,  // asked for again, or dear
};

// One allocation: the struct and behind it every string of the answer. The
// answer, the key and the size never change; `references` is anybody's; all
// else belongs to the lock of the shard that the entry is in.
struct cache_entry {
    struct cache_answer answer;
    struct cache_key key;
    size_t bytes; // of the whole allocation, as counted against the bound
    _Atomic int references;
    enum entry_queue queue;
    unsigned char credit; // rounds of the main queue that it may still stay
    unsigned char weight; // credit that a use is worth
    uint64_t checked;     // no purge up to this change of the marks was for it
    struct cache_entry *older, *newer; // in its queue
    struct cache_entry *next_in_bucket;
};

// What an entry of this answer would count; for deciding before copying it.
size_t entry_size(const struct cache_answer *answer);
// Copies the answer; one reference.
struct cache_entry *entry_new(const struct cache_key *key, const struct cache_answer *answer);
struct cache_entry *entry_ref(struct cache_entry *e);

// Versioned and checksummed together with the key. entry_decode returns NULL
// for anything that is not exactly what entry_encode wrote under this key.
void entry_encode(const struct cache_key *key, const struct cache_answer *answer,
                  struct buffer *out);
struct cache_entry *entry_decode(const struct cache_key *key, struct slice bytes);

#endif
