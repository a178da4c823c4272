// The cache: sixteen shards of memory, each behind its own small lock, and the
// store behind them.
#include <pthread.h>
#include <stdlib.h>

#include "memory.h"

enum { SHARDS = 16 };
static const char space[] = "cache";

struct shard {
    pthread_mutex_t lock; // never held over I/O or a callback
    struct memory memory;
    int64_t hits, misses;
};

struct cache {
    struct shard shards[SHARDS];
    struct store *store;
    size_t max_entry_bytes;
};

struct cache_lookup {
    struct cache *cache;
    struct cache_key key;
    struct store_op *op;
    cache_found *found;
    void *arg;
};

struct cache *cache_new(const struct cache_options *options) {
    struct cache *c = base_calloc(1, sizeof *c);
    c->store = options->store;
    c->max_entry_bytes = (size_t)(options->max_entry_bytes > 0 ? options->max_entry_bytes
                                                               : options->memory_bytes / 8);
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&c->shards[i].lock, NULL);
        memory_init(&c->shards[i].memory, (size_t)options->memory_bytes / SHARDS);
    }
    return c;
}

void cache_free(struct cache *c) {
    if (c == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        memory_free(&c->shards[i].memory);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    free(c);
}

static struct shard *shard_of(struct cache *c, const struct cache_key *key) {
    return &c->shards[key->bytes[31] % SHARDS];
}

void cache_resize(struct cache *c, int64_t bytes) {
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        memory_resize(&c->shards[i].memory, (size_t)bytes / SHARDS);
        pthread_mutex_unlock(&c->shards[i].lock);
    }
}

struct cache_entry *cache_peek(struct cache *c, const struct cache_key *key, int64_t now_ms) {
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    struct cache_entry *e = memory_find(&s->memory, key);
    if (e != NULL && e->answer.expires_ms <= now_ms) {
        memory_remove(&s->memory, e);
        e = NULL;
    }
    if (e != NULL) {
        entry_ref(e);
        unsigned char uses = atomic_load_explicit(&e->uses, memory_order_relaxed);
        if (uses < 3)
            atomic_store_explicit(&e->uses, (unsigned char)(uses + 1), memory_order_relaxed);
        s->hits++;
    } else {
        s->misses++;
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

static void insert_entry(struct cache *c, struct cache_entry *e) {
    struct shard *s = shard_of(c, &e->key);
    pthread_mutex_lock(&s->lock);
    memory_insert(&s->memory, e);
    pthread_mutex_unlock(&s->lock);
}

void cache_insert(struct cache *c, const struct cache_key *key, const struct cache_answer *answer) {
    if (answer->body.len > c->max_entry_bytes)
        return;
    insert_entry(c, entry_new(key, answer));
    if (c->store == NULL)
        return;
    struct buffer stored = {0};
    entry_encode(answer, &stored);
    store_put(c->store, space, slice_make(key->bytes, DIGEST_LEN), buffer_slice(&stored),
              answer->expires_ms);
    buffer_free(&stored);
}

void cache_remove(struct cache *c, const struct cache_key *key) {
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    struct cache_entry *e = memory_find(&s->memory, key);
    if (e != NULL)
        memory_remove(&s->memory, e);
    pthread_mutex_unlock(&s->lock);
    if (c->store != NULL)
        store_delete(c->store, space, slice_make(key->bytes, DIGEST_LEN));
}

void cache_purge(struct cache *c) {
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        memory_clear(&c->shards[i].memory);
        pthread_mutex_unlock(&c->shards[i].lock);
    }
    if (c->store != NULL)
        store_delete_space(c->store, space);
}

// -------------------------------------------------------------- the store's

static void on_stored(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms; // the entry's own is the same, and checksummed
    struct cache_lookup *l = arg;
    struct cache_entry *e = status == STORE_OK ? entry_decode(&l->key, value) : NULL;
    if (e != NULL && e->answer.expires_ms <= clock_wall_ms()) {
        cache_entry_release(e);
        e = NULL;
    }
    if (e != NULL)
        insert_entry(l->cache, entry_ref(e));
    cache_found *found = l->found;
    void *found_arg = l->arg;
    free(l);
    found(found_arg, e);
}

struct cache_lookup *cache_lookup_start(struct cache *c, struct store_client *client,
                                        const struct cache_key *key, int64_t now_ms,
                                        cache_found *found, void *arg) {
    (void)now_ms;
    if (c->store == NULL || client == NULL)
        return NULL;
    struct cache_lookup *l = base_alloc(sizeof *l);
    *l = (struct cache_lookup){.cache = c, .key = *key, .found = found, .arg = arg};
    l->op = store_get(client, space, slice_make(key->bytes, DIGEST_LEN), on_stored, l);
    if (l->op != NULL)
        return l;
    free(l);
    return NULL;
}

void cache_lookup_cancel(struct cache_lookup *l) {
    store_cancel(l->op);
    free(l);
}

void cache_stats_get(const struct cache *c, struct cache_stats *out) {
    *out = (struct cache_stats){0};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = (struct shard *)(uintptr_t)&c->shards[i];
        pthread_mutex_lock(&s->lock);
        out->entries += (int64_t)s->memory.count;
        out->bytes += (int64_t)memory_bytes(&s->memory);
        out->hits += s->hits;
        out->misses += s->misses;
        out->insertions += s->memory.insertions;
        out->evictions += s->memory.evictions;
        pthread_mutex_unlock(&s->lock);
    }
}
