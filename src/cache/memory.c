// Eviction: S3-FIFO (Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023), weighted by price.
//
// Most prompts are asked once. LRU lets each of them push something useful out
// and travel the whole list first; S3-FIFO sends newcomers through a small
// queue (a tenth of the bytes), and only what is asked again there, or soon
// after (the ghosts remember that), moves to the main queue. Against W-TinyLFU,
// which does about as well, it needs no sketch that must be aged, and a hit
// moves nothing: it adds to one counter.
//
// An answer is worth what it cost to buy for each byte it takes, and prices
// lie a thousand times apart: an embedding is long and nearly free, a short
// answer of a large model to a long prompt is the contrary. In S3-FIFO a use
// buys one more round of the main queue, up to three. Here it buys as many as
// the price for a byte stands to the mean, which is GreedyDual-Size-Frequency
// with rounds of a queue for its priorities; and a newcomer of twice the mean
// price passes the small queue unasked. bench/cache measures it: over its 24
// traces and sizes LRU hits 45 % and saves 45 % of the money, S3-FIFO without
// prices 52 % and 53 %, this 52 % and 60 %.
#include "memory.h"

#include <stdlib.h>

enum {
    // Credit that a use is worth: WEIGHT_MEAN at the mean price for a byte, in
    // proportion to it between a quarter of that price and eight times of it.
    WEIGHT_MEAN = 4,
    WEIGHT_MAX = 32,
    CREDIT_MAX = 3 * WEIGHT_MAX, // three uses, as in the paper
    WEIGHT_DEAR = 2 * WEIGHT_MEAN,
    SMALL_SHARE = 10, // the small queue's part: a tenth
    FIRST_BUCKETS = 64,
    GHOSTS_MIN = 256,
    // A shard full of hot entries must not be walked a hundred times under its
    // lock for one newcomer. Of the small queue, which holds all until the
    // shard is full for the first time, so many go over to main at once; and
    // after so many entries of main that were spared each has to have twice as
    // much credit (CREDIT_MAX < 1 << 7: none is spared after 7 * PATIENCE).
    PROMOTED_MAX = 256,
    PATIENCE = 64,
};
_Static_assert(CREDIT_MAX < 1 << 7, "the search for room ends");
_Static_assert(MEMORY_LEAST_BYTES == (FIRST_BUCKETS + GHOSTS_MIN) * sizeof(uint64_t),
              "what an empty shard holds");

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

// About as many ghosts as entries of 2 KiB fit; less than a percent of the bytes.
static void make_ghosts(struct memory *m) {
    size_t count = GHOSTS_MIN;
    while (count < m->max_bytes / 2048)
        count *= 2;
    free(m->ghosts);
    m->ghosts = base_calloc(count, sizeof *m->ghosts);
    m->ghost_mask = count - 1;
}

void memory_init(struct memory *m, size_t max_bytes) {
    *m = (struct memory){.max_bytes = max_bytes, .mask = FIRST_BUCKETS - 1};
    m->buckets = base_calloc(FIRST_BUCKETS, sizeof *m->buckets);
    make_ghosts(m);
}

void memory_free(struct memory *m) {
    memory_clear(m);
    free(m->buckets);
    free(m->ghosts);
}

size_t memory_bytes(const struct memory *m) {
    return m->small.bytes + m->main.bytes + (m->mask + 1) * sizeof *m->buckets +
           (m->ghost_mask + 1) * sizeof *m->ghosts;
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

static void rehash(struct memory *m, size_t new_size) {
    size_t old_size = m->mask + 1;
    struct cache_entry **old = m->buckets;
    m->mask = new_size - 1;
    m->buckets = base_calloc(new_size, sizeof *m->buckets);
    for (size_t i = 0; i < old_size; i++)
        for (struct cache_entry *e = old[i], *next; e != NULL; e = next) {
            next = e->next_in_bucket;
            struct cache_entry **bucket = bucket_of(m, &e->key);
            e->next_in_bucket = *bucket;
            *bucket = e;
        }
    free(old);
}

static void link_bucket(struct memory *m, struct cache_entry *e) {
    struct cache_entry **bucket = bucket_of(m, &e->key);
    e->next_in_bucket = *bucket;
    *bucket = e;
    if (++m->count > m->mask + 1)
        rehash(m, 2 * (m->mask + 1));
}

static void unlink_bucket(struct memory *m, struct cache_entry *e) {
    struct cache_entry **at = bucket_of(m, &e->key);
    while (*at != e)
        at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
    m->count--;
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

// ------------------------------------------------------------------- price

void memory_touch(struct cache_entry *e) {
    unsigned credit = (unsigned)e->credit + e->weight;
    e->credit = (unsigned char)(credit < CREDIT_MAX ? credit : CREDIT_MAX);
}

enum { LOG_ONE = 256 }; // a doubling, in the fixed-point logarithms below

// log2 of pico-USD for a KiB. The fraction is linear between powers of two,
// and 256 pico-USD is added, so that nothing is cheaper than that.
static int32_t price_of(const struct cache_entry *e) {
    uint64_t cost = e->answer.cost_pico > 0 ? (uint64_t)e->answer.cost_pico : 0;
    uint64_t price = cost / (e->bytes / 1024 + 1) + LOG_ONE;
    int whole = 63 - __builtin_clzll(price);
    return whole * LOG_ONE + (int32_t)(price >> (whole - 8) & (LOG_ONE - 1));
}

// 2 to the power of log, times WEIGHT_MEAN, between 1 and WEIGHT_MAX.
static unsigned weight_of(int32_t log) {
    if (log <= -2 * LOG_ONE)
        return 1;
    if (log >= 3 * LOG_ONE)
        return WEIGHT_MAX;
    unsigned above = (unsigned)(log + 2 * LOG_ONE); // now 2 ** (above / LOG_ONE)
    return ((LOG_ONE + above % LOG_ONE) << above / LOG_ONE) / LOG_ONE;
}

// The mean is of logarithms: a few answers of a thousand times the usual price
// must not make all others look cheap.
static void weigh(struct memory *m, struct cache_entry *e) {
    e->weight = WEIGHT_MEAN;
    if (!e->answer.cost_known)
        return;
    int32_t price = price_of(e);
    if (m->mean_price == 0)
        m->mean_price = price;
    e->weight = (unsigned char)weight_of(price - m->mean_price);
    m->mean_price += (price - m->mean_price) / 64;
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

static void evict(struct memory *m, struct cache_entry *e) {
    memory_remove(m, e);
    m->evictions++;
}

static bool is_expired(const struct memory *m, const struct cache_entry *e) {
    return e->answer.expires_ms <= m->now_ms;
}

// Both let the oldest of their queue go, or (false) give it another chance.
static bool evict_from_small(struct memory *m) {
    struct cache_entry *e = m->small.oldest;
    if (e->credit > 0 && !is_expired(m, e)) {
        pull(m, e);
        push(m, e, QUEUE_MAIN);
        return false;
    }
    make_ghost(m, &e->key);
    evict(m, e);
    return true;
}

static bool evict_from_main(struct memory *m, unsigned haste) {
    struct cache_entry *e = m->main.oldest;
    if (e->credit >= haste && !is_expired(m, e)) {
        e->credit = (unsigned char)(e->credit - haste);
        pull(m, e);
        push(m, e, QUEUE_MAIN);
        return false;
    }
    evict(m, e);
    return true;
}

static void make_room(struct memory *m) {
    unsigned promoted = 0, spared = 0;
    while (memory_bytes(m) > m->max_bytes && m->count > 0) {
        bool small_is_full = m->small.bytes > m->max_bytes / SMALL_SHARE;
        if (m->small.oldest != NULL &&
            (m->main.oldest == NULL || (small_is_full && promoted < PROMOTED_MAX)))
            promoted += !evict_from_small(m);
        else
            spared += !evict_from_main(m, 1u << spared / PATIENCE);
    }
}

void memory_insert(struct memory *m, struct cache_entry *e) {
    struct cache_entry *before = memory_find(m, &e->key);
    bool to_main = before != NULL && before->queue == QUEUE_MAIN;
    e->credit = before != NULL ? before->credit : 0;
    if (before != NULL)
        memory_remove(m, before);
    if (e->bytes > m->max_bytes / 2) { // would push out all others, and then itself
        cache_entry_release(e);
        return;
    }
    weigh(m, e);
    if (e->weight >= WEIGHT_DEAR && e->credit == 0)
        e->credit = 1; // passes the small queue unasked
    link_bucket(m, e);
    push(m, e, was_ghost(m, &e->key) || to_main ? QUEUE_MAIN : QUEUE_SMALL);
    m->insertions++;
    make_room(m);
}

void memory_resize(struct memory *m, size_t max_bytes) {
    m->max_bytes = max_bytes;
    make_ghosts(m);
    make_room(m);
    size_t size = FIRST_BUCKETS;
    while (size < m->count)
        size *= 2;
    rehash(m, size);
}

void memory_clear(struct memory *m) {
    while (m->small.oldest != NULL)
        memory_remove(m, m->small.oldest);
    while (m->main.oldest != NULL)
        memory_remove(m, m->main.oldest);
}
