// The cache: shards of memory, each behind its own small lock, and the store
// behind them.
#include <pthread.h>
#include <stdlib.h>

#include "memory.h"
#include "purges.h"

enum {
    SHARDS_MAX = 16, // a lock is held for about 100 ns: few loops meet on one of these
    // A smaller cache has fewer shards, so that each holds the largest answers
    // too and its queues are long enough to tell good from bad.
    SHARD_BYTES_LEAST = 4 * 1024 * 1024,
};
static const char default_space[] = "cache";

struct shard {
    pthread_mutex_t lock; // never held over I/O or a callback
    struct memory memory;
    int64_t hits, misses;
    // How often something was taken out on purpose. A look-up in the store
    // that began before must not put it back.
    uint64_t removals;
};

struct cache {
    struct shard *shards;
    size_t shard_count; // a power of two
    struct store *store;
    const char *space;
    struct purges *purges; // NULL: answers are not purged by tags
    int64_t max_entry_option;
    _Atomic size_t max_entry_bytes;
};

struct cache_lookup {
    struct cache *cache;
    struct cache_key key;
    uint64_t removals; // of the key's shard, when it began
    struct store_op *op;
    cache_found *found;
    void *arg;
};

static size_t max_entry_for(const struct cache *c, int64_t memory_bytes) {
    return (size_t)(c->max_entry_option > 0 ? c->max_entry_option : memory_bytes / 8);
}

static void clear_memory(void *cache) {
    struct cache *c = cache;
    for (size_t i = 0; i < c->shard_count; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        c->shards[i].removals++;
        memory_clear(&c->shards[i].memory);
        pthread_mutex_unlock(&c->shards[i].lock);
    }
}

static struct shard *shard_of(struct cache *c, const struct cache_key *key) {
    return &c->shards[key->bytes[DIGEST_LEN - 1] & (c->shard_count - 1)];
}

static void remove_from_shard(struct cache *c, const struct cache_key *key) {
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    s->removals++;
    struct cache_entry *e = memory_find(&s->memory, key);
    if (e != NULL)
        memory_remove(&s->memory, e);
    pthread_mutex_unlock(&s->lock);
}

// Another instance has bought it anew, or removed it.
static void drop_from_memory(void *cache, struct slice bytes) {
    struct cache_key key;
    if (bytes.len != sizeof key.bytes)
        return;
    memcpy(key.bytes, bytes.ptr, bytes.len);
    remove_from_shard(cache, &key);
}

struct cache *cache_new(const struct cache_options *options) {
    struct cache *c = base_calloc(1, sizeof *c);
    c->store = options->store;
    c->space = options->space != NULL ? options->space : default_space;
    c->max_entry_option = options->max_entry_bytes;
    atomic_init(&c->max_entry_bytes, max_entry_for(c, options->memory_bytes));
    c->shard_count = SHARDS_MAX;
    while (c->shard_count > 1 &&
           options->memory_bytes / (int64_t)c->shard_count < SHARD_BYTES_LEAST)
        c->shard_count /= 2;
    c->shards = base_calloc(c->shard_count, sizeof *c->shards);
    for (size_t i = 0; i < c->shard_count; i++) {
        pthread_mutex_init(&c->shards[i].lock, NULL);
        memory_init(&c->shards[i].memory, (size_t)options->memory_bytes / c->shard_count);
    }
    if (options->has_purges)
        c->purges = purges_new(c->store);
    if (c->store != NULL)
        store_watch(c->store, c->space, clear_memory, drop_from_memory, c);
    return c;
}

void cache_free(struct cache *c) {
    if (c == NULL)
        return;
    if (c->store != NULL)
        store_unwatch(c->store, c);
    for (size_t i = 0; i < c->shard_count; i++) {
        memory_free(&c->shards[i].memory);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    free(c->shards);
    purges_free(c->purges);
    free(c);
}

// The number of shards stays: entries would have to move between locks.
void cache_resize(struct cache *c, int64_t memory_bytes) {
    atomic_store(&c->max_entry_bytes, max_entry_for(c, memory_bytes));
    for (size_t i = 0; i < c->shard_count; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        memory_resize(&c->shards[i].memory, (size_t)memory_bytes / c->shard_count);
        pthread_mutex_unlock(&c->shards[i].lock);
    }
}

// Each entry is held against the marks once after each purge. Under the lock of its
// shard, or before anybody else has it.
static bool is_purged(const struct cache *c, struct cache_entry *e) {
    if (c->purges == NULL)
        return false;
    uint64_t version = purges_version(c->purges);
    if (e->checked == version)
        return false;
    if (!purges_allow(c->purges, &e->key, &e->answer))
        return true;
    e->checked = version;
    return false;
}

struct cache_entry *cache_peek(struct cache *c, const struct cache_key *key, int64_t now_ms) {
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    s->memory.now_ms = now_ms;
    struct cache_entry *e = memory_find(&s->memory, key);
    if (e != NULL && e->answer.expires_ms <= now_ms) {
        memory_remove(&s->memory, e);
        e = NULL;
    } else if (e != NULL && is_purged(c, e)) {
        memory_remove(&s->memory, e);
        s->memory.purged++;
        e = NULL;
    }
    if (e != NULL) {
        entry_ref(e);
        memory_touch(e);
        s->hits++;
    } else {
        s->misses++;
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

static void take_out(struct cache *c, const struct cache_key *key) {
    remove_from_shard(c, key);
    if (c->store != NULL)
        store_delete(c->store, c->space, slice_make(key->bytes, DIGEST_LEN));
}

void cache_insert(struct cache *c, const struct cache_key *key, const struct cache_answer *answer) {
    if (entry_size(answer) > atomic_load_explicit(&c->max_entry_bytes, memory_order_relaxed)) {
        take_out(c, key); // the older answer was to be replaced, not kept
        return;
    }
    struct shard *s = shard_of(c, key);
    // It was asked for before the purge; what stands there may have been asked for since.
    if (c->purges != NULL && !purges_allow(c->purges, key, answer))
        return;
    struct cache_entry *e = entry_new(key, answer); // copied before the lock
    pthread_mutex_lock(&s->lock);
    memory_insert(&s->memory, e);
    pthread_mutex_unlock(&s->lock);
    if (c->store == NULL)
        return;
    struct buffer stored = {0};
    entry_encode(key, answer, &stored);
    store_put(c->store, c->space, slice_make(key->bytes, DIGEST_LEN), buffer_slice(&stored),
              answer->expires_ms);
    buffer_free(&stored);
}

void cache_remove(struct cache *c, const struct cache_key *key) {
    take_out(c, key);
}

void cache_purge(struct cache *c) {
    static const struct cache_purge_tags all;
    if (c->purges != NULL) // what is being bought, too
        purges_order(c->purges, &all);
    clear_memory(c);
    if (c->store != NULL)
        store_delete_space(c->store, c->space);
}

void cache_purge_by(struct cache *c, const struct cache_purge_tags *tags) {
    static const struct cache_purge_tags all;
    if (memcmp(tags, &all, sizeof all) == 0)
        cache_purge(c);
    else if (c->purges != NULL)
        purges_order(c->purges, tags);
}

struct cache_birth cache_birth_now(const struct cache *c) {
    return c->purges != NULL ? purges_birth(c->purges) : (struct cache_birth){0};
}

void cache_share_purges(struct cache *c, struct store_client *client, struct event_base *loop) {
    if (c->purges != NULL)
        purges_share(c->purges, client, loop);
}

void cache_unshare_purges(struct cache *c) {
    if (c->purges != NULL)
        purges_unshare(c->purges);
}

void cache_purges_get(struct cache *c, struct cache_purges_view *out) {
    *out = (struct cache_purges_view){0};
    if (c->purges != NULL)
        purges_view(c->purges, out);
}

void cache_stats_get(const struct cache *c, struct cache_stats *out) {
    *out = (struct cache_stats){0};
    for (size_t i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        out->entries += (int64_t)s->memory.count;
        out->bytes += (int64_t)memory_bytes(&s->memory);
        out->hits += s->hits;
        out->misses += s->misses;
        out->insertions += s->memory.insertions;
        out->evictions += s->memory.evictions;
        out->purged += s->memory.purged;
        pthread_mutex_unlock(&s->lock);
    }
}

// -------------------------------------------------------------- the store's

// What came from the store goes into memory, unless something newer got there
// meanwhile (a refresh), or it was removed while it was on its way.
static void fill_memory(const struct cache_lookup *l, struct cache_entry *e) {
    struct shard *s = shard_of(l->cache, &l->key);
    pthread_mutex_lock(&s->lock);
    const struct cache_entry *there = memory_find(&s->memory, &l->key);
    if (s->removals == l->removals &&
        (there == NULL || there->answer.created_ms < e->answer.created_ms))
        memory_insert(&s->memory, entry_ref(e));
    pthread_mutex_unlock(&s->lock);
}

static bool is_unusable(const struct cache *c, struct cache_entry *e) {
    return c->purges != NULL && (purges_are_unknown(c->purges) || is_purged(c, e));
}

static void on_stored(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms; // the entry's own is the same, and checksummed
    struct cache_lookup *l = arg;
    struct cache_entry *e = status == STORE_OK ? entry_decode(&l->key, value) : NULL;
    // By the clock and not by when the look-up began: the store may be slow.
    if (e != NULL && (e->answer.expires_ms <= clock_wall_ms() || is_unusable(l->cache, e))) {
        cache_entry_release(e);
        e = NULL;
    }
    if (e != NULL)
        fill_memory(l, e);
    cache_found *found = l->found;
    void *found_arg = l->arg;
    free(l);
    found(found_arg, e);
}

static uint64_t removals_of(struct cache *c, const struct cache_key *key) {
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    uint64_t removals = s->removals;
    pthread_mutex_unlock(&s->lock);
    return removals;
}

struct cache_lookup *cache_lookup_start(struct cache *c, struct store_client *client,
                                        const struct cache_key *key, int64_t now_ms,
                                        cache_found *found, void *arg) {
    (void)now_ms; // expiry is judged when the answer is there
    if (c->store == NULL || client == NULL)
        return NULL;
    struct cache_lookup *l = base_alloc(sizeof *l);
    *l = (struct cache_lookup){
        .cache = c, .key = *key, .removals = removals_of(c, key), .found = found, .arg = arg};
    l->op = store_get(client, c->space, slice_make(key->bytes, DIGEST_LEN), on_stored, l);
    if (l->op != NULL)
        return l;
    free(l);
    return NULL;
}

void cache_lookup_cancel(struct cache_lookup *l) {
    store_cancel(l->op);
    free(l);
}
