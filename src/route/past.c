// Past success: decayed counts by tenant, feature and tier.
//
// Two numbers an entry: how much was seen, and how much of it was good. With each
// outcome both shrink by the time that has passed and, once PAST_MEMORY is reached, by
// one part in PAST_MEMORY: busy features forget by count, quiet ones by time. Doubles
// and an exponent, under a lock that is held for some hundred nanoseconds.
//
// Shards by the hash of the whole key, so that loops seldom meet. Each shard keeps its
// part of the bounds itself; a full one looks for entries that have faded, not more
// often than once a minute, because that walks over all of them.
#include "farthing/past.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    SHARDS = 16,
    SHARD_MAX = PAST_MAX / SHARDS,
    SHARD_TENANT_MAX = PAST_TENANT_MAX / SHARDS,
    SWEEP_PAUSE_MS = 60000,
    UNKNOWN = -1, // CONFIG_UNSET
};
// What was seen once goes first when there is no room: a client that invents a feature
// for each request shall not keep those out that come back.
static const double FADED = 1;

struct owner { // a tenant's share of one shard
    size_t entries;
};

struct entry {
    double seen, good; // as of noted_ms
    uint64_t noted_ms;
    struct owner *owner;
};

struct shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct table *entries, *owners;
    uint64_t swept_ms;
    bool swept;
};

struct past {
    struct shard shards[SHARDS];
};

// --------------------------------------------------------------------- lives

struct past *past_new(void) {
    struct past *p = base_calloc_lines(sizeof *p);
    for (size_t i = 0; i < SHARDS; i++) {
        base_lock_init(&p->shards[i].lock);
        p->shards[i].entries = table_new();
        p->shards[i].owners = table_new();
    }
    return p;
}

static void free_table(struct table *t) {
    struct slice key;
    size_t at = 0;
    void *value;
    while (table_next(t, &at, &key, &value))
        free(value);
    table_free(t);
}

void past_free(struct past *p) {
    if (p == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&p->shards[i].lock);
        free_table(p->shards[i].entries);
        free_table(p->shards[i].owners);
    }
    free(p);
}

// ---------------------------------------------------------------------- keys

struct key {
    char bytes[PAST_KEY_MAX + 2 * sizeof(uint32_t)];
    size_t len;
};

static void put_name(struct key *k, struct slice name) {
    if (name.len > 0)
        memcpy(k->bytes + k->len, name.ptr, name.len);
    k->len += name.len;
}

// The lengths of two say where the three end, whatever bytes are in them.
static bool make_key(struct slice tenant, struct slice feature, struct slice tier, struct key *k) {
    if (tenant.len > PAST_KEY_MAX || feature.len > PAST_KEY_MAX || tier.len > PAST_KEY_MAX ||
        tenant.len + feature.len + tier.len > PAST_KEY_MAX)
        return false;
    const uint32_t lengths[2] = {(uint32_t)tenant.len, (uint32_t)feature.len};
    memcpy(k->bytes, lengths, sizeof lengths);
    k->len = sizeof lengths;
    put_name(k, tenant);
    put_name(k, feature);
    put_name(k, tier);
    return true;
}

// Above the bits by which the shard's own table places it.
static struct shard *shard_of(struct past *p, struct slice key) {
    return &p->shards[base_hash(key) >> 56 & (SHARDS - 1)];
}

// -------------------------------------------------------------------- fading

static double left_of(const struct entry *e, uint64_t now_ms) {
    double passed = now_ms > e->noted_ms ? (double)(now_ms - e->noted_ms) : 0;
    return exp2(-passed / PAST_HALF_LIFE_MS);
}

// A table may not change while it is walked through: what is kept moves to another.
static void sweep(struct shard *s, uint64_t now_ms) {
    if (s->swept && now_ms - s->swept_ms < SWEEP_PAUSE_MS)
        return;
    s->swept = true;
    s->swept_ms = now_ms;
    struct table *kept = table_new();
    struct slice key;
    size_t at = 0;
    void *value;
    while (table_next(s->entries, &at, &key, &value)) {
        struct entry *e = value;
        if (e->seen * left_of(e, now_ms) >= FADED) {
            table_put(kept, key, e);
            continue;
        }
        e->owner->entries--; // the owner stays: tenants are the file's, so few
        free(e);
    }
    table_free(s->entries);
    s->entries = kept;
}

static bool is_full(const struct shard *s, const struct owner *owner) {
    return table_count(s->entries) >= SHARD_MAX || owner->entries >= SHARD_TENANT_MAX;
}

static struct entry *add(struct shard *s, struct slice key, struct slice tenant,
                         uint64_t now_ms) {
    struct owner *owner = table_get(s->owners, tenant);
    if (owner == NULL) {
        owner = base_calloc(1, sizeof *owner);
        table_put(s->owners, tenant, owner);
    }
    if (is_full(s, owner))
        sweep(s, now_ms);
    if (is_full(s, owner))
        return NULL;
    struct entry *e = base_calloc(1, sizeof *e);
    *e = (struct entry){.noted_ms = now_ms, .owner = owner};
    owner->entries++;
    table_put(s->entries, key, e);
    return e;
}

static void count(struct entry *e, bool ok, uint64_t now_ms) {
    double left = left_of(e, now_ms);
    if (e->seen * left > PAST_MEMORY - 1)
        left = (PAST_MEMORY - 1) / e->seen;
    e->seen = e->seen * left + 1;
    e->good = e->good * left + (ok ? 1 : 0);
    if (now_ms > e->noted_ms)
        e->noted_ms = now_ms;
}

// -------------------------------------------------------------------- public

void past_note(struct past *p, struct slice tenant, struct slice feature, struct slice tier,
               bool ok) {
    struct key k;
    if (!make_key(tenant, feature, tier, &k))
        return;
    struct slice key = slice_make(k.bytes, k.len);
    struct shard *s = shard_of(p, key);
    pthread_mutex_lock(&s->lock);
    uint64_t now_ms = clock_mono_ms();
    struct entry *e = table_get(s->entries, key);
    if (e == NULL)
        e = add(s, key, tenant, now_ms);
    if (e != NULL)
        count(e, ok, now_ms);
    pthread_mutex_unlock(&s->lock);
}

int64_t past_percent(struct past *p, struct slice tenant, struct slice feature,
                     struct slice tier) {
    struct key k;
    int64_t percent = UNKNOWN;
    if (!make_key(tenant, feature, tier, &k))
        return UNKNOWN;
    struct slice key = slice_make(k.bytes, k.len);
    struct shard *s = shard_of(p, key);
    pthread_mutex_lock(&s->lock);
    const struct entry *e = table_get(s->entries, key);
    // Ten outcomes of a moment ago are enough, though they are a little less than ten.
    if (e != NULL && e->seen * left_of(e, clock_mono_ms()) > PAST_ENOUGH - 0.5)
        percent = llround(100 * e->good / e->seen);
    pthread_mutex_unlock(&s->lock);
    return percent;
}

size_t past_count(struct past *p) {
    size_t sum = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&p->shards[i].lock);
        sum += table_count(p->shards[i].entries);
        pthread_mutex_unlock(&p->shards[i].lock);
    }
    return sum;
}
