// Eviction: S3-FIFO (Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023), weighted by price.
//
// Most prompts are asked once. LRU lets each of them push something useful out
// and has it travel the whole list; S3-FIFO sends newcomers through a small
// queue (a tenth of the bytes), and only what is asked again there moves to the
// main queue. A hit only raises a counter: no list is touched, so hits of
// several loops hardly meet. W-TinyLFU does about as well on hit rate, but
// needs a sketch that ages and a lock for each hit.
//
// An answer is worth what it cost to buy for each byte it takes. One that is
// worth well more than the mean starts with a use or two to its credit: it
// passes the small queue once and stays for more rounds of the main queue. See
// bench/cache for what this does against LRU on a Zipf trace.
#include "memory.h"

#include <stdlib.h>

enum { USES_MAX = 3, SMALL_SHARE = 10, FIRST_BUCKETS = 64, GHOSTS_MIN = 256 };

static uint64_t fingerprint(const struct cache_key *key) {
    uint64_t f;
    memcpy(&f, key->bytes, sizeof f); // a SHA-256 is as good as random
    return f | 1u;                    // 0 is an empty place
}

static struct cache_entry **bucket_of(struct memory *m, const struct cache_key *key) {
    uint64_t hash;
    memcpy(&hash, key->bytes + 8, sizeof hash);
    return &m->buckets[(size_t)hash & m->mask];
}

void memory_init(struct memory *m, size_t max_bytes) {
    *m = (struct memory){.max_bytes = max_bytes, .mask = FIRST_BUCKETS - 1};
    m->buckets = base_calloc(FIRST_BUCKETS, sizeof *m->buckets);
    // About as many ghosts as entries of 2 KiB fit.
    size_t ghosts = GHOSTS_MIN;
    while (ghosts < max_bytes / 2048)
        ghosts *= 2;
    m->ghosts = base_calloc(ghosts, sizeof *m->ghosts);
    m->ghost_mask = ghosts - 1;
}

void memory_free(struct memory *m) {
    memory_clear(m);
    free(m->buckets);
    free(m->ghosts);
}

size_t memory_bytes(const struct memory *m) {
    return m->small.bytes + m->main.bytes;
}

// ------------------------------------------------------------------ queues

static struct queue *queue_of(struct memory *m, const struct cache_entry *e) {
    return e->queue == QUEUE_SMALL ? &m->small : &m->main;
}

static void push(struct memory *m, struct cache_entry *e, enum entry_queue queue) {
    e->queue = queue;
    struct queue *q = queue_of(m, e);
    e->newer = NULL;
    e->older = q->newest;
    if (q->newest != NULL)
        q->newest->newer = e;
    else
        q->oldest = e;
    q->newest = e;
    q->bytes += e->bytes;
}

static void pull(struct memory *m, struct cache_entry *e) {
    struct queue *q = queue_of(m, e);
    if (e->older != NULL)
        e->older->newer = e->newer;
    else
        q->oldest = e->newer;
    if (e->newer != NULL)
        e->newer->older = e->older;
    else
        q->newest = e->older;
    q->bytes -= e->bytes;
    e->queue = QUEUE_NONE;
}

// ------------------------------------------------------------------- table

static void unlink_bucket(struct memory *m, struct cache_entry *e) {
    struct cache_entry **at = bucket_of(m, &e->key);
    while (*at != e)
        at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
    m->count--;
}

static void grow(struct memory *m) {
    size_t old_size = m->mask + 1;
    struct cache_entry **old = m->buckets;
    m->mask = old_size * 2 - 1;
    m->buckets = base_calloc(m->mask + 1, sizeof *m->buckets);
    for (size_t i = 0; i < old_size; i++)
        for (struct cache_entry *e = old[i], *next; e != NULL; e = next) {
            next = e->next_in_bucket;
            struct cache_entry **bucket = bucket_of(m, &e->key);
            e->next_in_bucket = *bucket;
            *bucket = e;
        }
    free(old);
}

struct cache_entry *memory_find(struct memory *m, const struct cache_key *key) {
    for (struct cache_entry *e = *bucket_of(m, key); e != NULL; e = e->next_in_bucket)
        if (memcmp(e->key.bytes, key->bytes, DIGEST_LEN) == 0)
            return e;
    return NULL;
}

void memory_remove(struct memory *m, struct cache_entry *e) {
    pull(m, e);
    unlink_bucket(m, e);
    cache_entry_release(e);
}

// ---------------------------------------------------------------- eviction

static bool was_ghost(struct memory *m, const struct cache_key *key) {
    uint64_t f = fingerprint(key);
    uint64_t *place = &m->ghosts[(size_t)f >> 1 & m->ghost_mask];
    bool was = *place == f;
    if (was)
        *place = 0;
    return was;
}

static void make_ghost(struct memory *m, const struct cache_key *key) {
    uint64_t f = fingerprint(key);
    m->ghosts[(size_t)f >> 1 & m->ghost_mask] = f;
}

static void evict_from_small(struct memory *m) {
    struct cache_entry *e = m->small.oldest;
    if (atomic_load(&e->uses) > 0) {
        pull(m, e);
        atomic_store(&e->uses, 0);
        push(m, e, QUEUE_MAIN);
        return;
    }
    make_ghost(m, &e->key);
    memory_remove(m, e);
    m->evictions++;
}

static void evict_from_main(struct memory *m) {
    struct cache_entry *e = m->main.oldest;
    unsigned char uses = atomic_load(&e->uses);
    if (uses > 0 || e->worth > 0) {
        // Worth is spent like uses, but only once.
        if (uses > 0)
            atomic_store(&e->uses, (unsigned char)(uses - 1));
        else
            e->worth--;
        pull(m, e);
        push(m, e, QUEUE_MAIN);
        return;
    }
    memory_remove(m, e);
    m->evictions++;
}

static void make_room(struct memory *m) {
    while (memory_bytes(m) > m->max_bytes) {
        bool small_is_full = m->small.bytes > m->max_bytes / SMALL_SHARE;
        if (m->small.oldest != NULL && (small_is_full || m->main.oldest == NULL))
            evict_from_small(m);
        else
            evict_from_main(m);
    }
}

static unsigned char worth_of(struct memory *m, const struct cache_entry *e) {
    uint64_t cost = e->answer.cost_pico > 0 ? (uint64_t)e->answer.cost_pico : 0;
    uint64_t density = cost / (e->bytes / 1024 + 1);
    uint64_t mean = m->mean_worth;
    m->mean_worth = mean - mean / 256 + density / 256;
    if (mean == 0)
        return 0;
    return density >= 8 * mean ? 2 : density >= 2 * mean ? 1 : 0;
}

void memory_insert(struct memory *m, struct cache_entry *e) {
    struct cache_entry *before = memory_find(m, &e->key);
    bool asked_again = before != NULL && before->queue == QUEUE_MAIN;
    if (before != NULL)
        memory_remove(m, before);
    e->worth = worth_of(m, e);
    atomic_store(&e->uses, e->worth);
    struct cache_entry **bucket = bucket_of(m, &e->key);
    e->next_in_bucket = *bucket;
    *bucket = e;
    if (++m->count > m->mask + 1)
        grow(m);
    push(m, e, was_ghost(m, &e->key) || asked_again ? QUEUE_MAIN : QUEUE_SMALL);
    m->insertions++;
    make_room(m);
}

void memory_resize(struct memory *m, size_t max_bytes) {
    m->max_bytes = max_bytes;
    make_room(m);
}

void memory_clear(struct memory *m) {
    while (m->small.oldest != NULL)
        memory_remove(m, m->small.oldest);
    while (m->main.oldest != NULL)
        memory_remove(m, m->main.oldest);
}
