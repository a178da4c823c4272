// What is in flight under an Idempotency-Key: a table of records by the key's
// digest, in shards with small locks. A record is there while it is claimed, so
// there are never more than requests that run.
#include "farthing/idempotency.h"

#include <stdlib.h>

enum {
    // As in single flight: some thousands of requests at once, and a lock is held
    // for some 50 ns.
    SHARDS = 64,
    BUCKETS = 64,
};

struct shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct idempotency_claim *buckets[BUCKETS];
    struct idempotency_stats stats;
};

struct idempotency {
    struct shard shards[SHARDS];
};

// The record itself; each claim is one of `claims`.
struct idempotency_claim {
    struct shard *shard;
    struct idempotency_claim *next_in_bucket;
    struct idempotency_digest name, fingerprint, purchase;
    // Under the shard's lock.
    size_t claims;
    bool recorded;
};

struct idempotency *idempotency_new(void) {
    struct idempotency *all = base_calloc_lines(sizeof *all);
    for (size_t i = 0; i < SHARDS; i++)
        base_lock_init(&all->shards[i].lock);
    return all;
}

void idempotency_free(struct idempotency *all) {
    if (all == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&all->shards[i].lock);
    free(all);
}

// ------------------------------------------------------------------ claims

// Digests: any of their bytes is as good as random.
static struct shard *shard_of(struct idempotency *all, const struct idempotency_digest *name) {
    return &all->shards[name->bytes[0] % SHARDS];
}

static struct idempotency_claim **bucket_of(struct shard *s,
                                            const struct idempotency_digest *name) {
    return &s->buckets[name->bytes[1] % BUCKETS];
}

static bool is_same(const struct idempotency_digest *a, const struct idempotency_digest *b) {
    return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

static struct idempotency_claim *find(struct shard *s, const struct idempotency_digest *name) {
    struct idempotency_claim *c = *bucket_of(s, name);
    while (c != NULL && !is_same(&c->name, name))
        c = c->next_in_bucket;
    return c;
}

static enum idempotency_standing stand(struct shard *s, struct idempotency_claim *fresh,
                                       struct idempotency_claim **claim) {
    struct idempotency_claim *running = find(s, &fresh->name);
    bool same = running != NULL && is_same(&running->fingerprint, &fresh->fingerprint);
    *claim = running == NULL ? fresh : same ? running : NULL;
    if (*claim == NULL) {
        s->stats.mismatched++;
        return IDEMPOTENCY_OTHER;
    }
    (*claim)->claims++;
    s->stats.claims++;
    if (same) {
        s->stats.joined++;
        return IDEMPOTENCY_SAME;
    }
    struct idempotency_claim **bucket = bucket_of(s, &fresh->name);
    fresh->next_in_bucket = *bucket;
    *bucket = fresh;
    s->stats.keys++;
    return IDEMPOTENCY_FIRST;
}

enum idempotency_standing idempotency_claim(struct idempotency *all,
                                            const struct idempotency_digest *name,
                                            const struct idempotency_digest *fingerprint,
                                            struct idempotency_digest *purchase,
                                            struct idempotency_claim **claim) {
    struct idempotency_claim *fresh = base_calloc(1, sizeof *fresh); // not under the lock
    struct shard *s = fresh->shard = shard_of(all, name);
    fresh->name = *name;
    fresh->fingerprint = *fingerprint;
    fresh->purchase = *purchase;
    pthread_mutex_lock(&s->lock);
    enum idempotency_standing standing = stand(s, fresh, claim);
    pthread_mutex_unlock(&s->lock);
    if (standing != IDEMPOTENCY_FIRST)
        free(fresh);
    if (standing == IDEMPOTENCY_SAME)
        *purchase = (*claim)->purchase; // never changes
    return standing;
}

static void unlist(struct shard *s, struct idempotency_claim *c) {
    struct idempotency_claim **at = bucket_of(s, &c->name);
    while (*at != c)
        at = &(*at)->next_in_bucket;
    *at = c->next_in_bucket;
    s->stats.keys--;
}

void idempotency_release(struct idempotency_claim *claim) {
    struct shard *s = claim->shard;
    pthread_mutex_lock(&s->lock);
    bool last = --claim->claims == 0;
    s->stats.claims--;
    if (last)
        unlist(s, claim);
    pthread_mutex_unlock(&s->lock);
    if (last)
        free(claim);
}

void idempotency_recorded(struct idempotency_claim *claim) {
    pthread_mutex_lock(&claim->shard->lock);
    claim->recorded = true;
    pthread_mutex_unlock(&claim->shard->lock);
}

bool idempotency_is_recorded(const struct idempotency_claim *claim) {
    pthread_mutex_lock(&claim->shard->lock);
    bool recorded = claim->recorded;
    pthread_mutex_unlock(&claim->shard->lock);
    return recorded;
}

void idempotency_stats_get(struct idempotency *all, struct idempotency_stats *out) {
    *out = (struct idempotency_stats){0};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &all->shards[i];
        pthread_mutex_lock(&s->lock);
        out->keys += s->stats.keys;
        out->claims += s->stats.claims;
        out->joined += s->stats.joined;
        out->mismatched += s->stats.mismatched;
        pthread_mutex_unlock(&s->lock);
    }
}

// -------------------------------------------------------------------- keys

static bool is_printable(char c) {
    return c >= ' ' && c <= '~';
}

// What stands between the quotes, with its escapes undone. RFC 8941 4.2.5: a
// backslash escapes itself and the quote, and nothing else; nothing follows the
// closing quote (parameters are not defined for this field).
static bool unquote(struct slice value, struct arena *arena, struct slice *key,
                    struct error *err) {
    char *out = arena_alloc(arena, value.len);
    size_t len = 0, at = 1;
    for (; at < value.len && value.ptr[at] != '"'; at++) {
        bool escape = value.ptr[at] == '\\';
        at += escape;
        if (escape && (at == value.len || (value.ptr[at] != '\\' && value.ptr[at] != '"')))
            return error_set(err, "the Idempotency-Key has a backslash before something else than "
                                  "a quote or a backslash");
        out[len++] = value.ptr[at];
    }
    if (at + 1 != value.len)
        return error_set(err, "the Idempotency-Key begins with a quote and has %s",
                         at < value.len ? "something behind the closing one" : "no closing one");
    *key = slice_make(out, len);
    return true;
}

bool idempotency_read_key(struct slice value, struct arena *arena, struct slice *key,
                          struct error *err) {
    *key = slice_trim(value);
    // Before anything is copied; each character may be escaped.
    if (key->len > 2 * IDEMPOTENCY_KEY_MAX + 2)
        return error_set(err, "the Idempotency-Key is too long: at most %d characters",
                         IDEMPOTENCY_KEY_MAX);
    for (size_t i = 0; i < key->len; i++)
        if (!is_printable(key->ptr[i]))
            return error_set(err, "the Idempotency-Key has a character, at place %zu, that is not "
                                  "printable ASCII", i + 1);
    if (key->len > 0 && key->ptr[0] == '"' && !unquote(*key, arena, key, err))
        return false;
    if (key->len == 0 || key->len > IDEMPOTENCY_KEY_MAX)
        return error_set(err, "the Idempotency-Key has %zu characters; expected 1 to %d", key->len,
                         IDEMPOTENCY_KEY_MAX);
    return true;
}

void idempotency_name(struct slice tenant, const uint8_t provider_key[DIGEST_LEN],
                      struct slice key, struct idempotency_digest *name) {
    struct digest *d = digest_of_thread();
    digest_update_part(d, SLICE("farthing-idempotency-1"));
    digest_update_part(d, tenant);
    digest_update_part(d, provider_key != NULL ? slice_make(provider_key, DIGEST_LEN) : SLICE_NONE);
    digest_update_part(d, key);
    digest_finish(d, name->bytes);
}
