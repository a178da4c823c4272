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
#include "past_room.h"

#include <math.h>
#include <stdlib.h>

enum {
    SHARD_TENANT_MAX = PAST_TENANT_MAX / PAST_SHARDS,
    SWEEP_PAUSE_MS = 60000,
    UNKNOWN = -1, // CONFIG_UNSET
};
// What was seen once goes first when there is no room: a client that invents a feature
// for each request shall not keep those out that come back.
static const double FADED = 1;

// --------------------------------------------------------------------- lives

struct past *past_new(void) {
    struct past *p = base_calloc_lines(sizeof *p);
    for (size_t i = 0; i < PAST_SHARDS; i++) {
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
    for (size_t i = 0; i < PAST_SHARDS; i++) {
        pthread_mutex_destroy(&p->shards[i].lock);
        free_table(p->shards[i].entries);
        free_table(p->shards[i].owners);
    }
    free(p);
}

// ---------------------------------------------------------------------- keys

static void put_name(struct past_key *k, struct slice name) {
    if (name.len > 0)
        memcpy(k->bytes + k->len, name.ptr, name.len);
    k->len += name.len;
}

// The lengths of two say where the three end, whatever bytes are in them.
bool past_key_make(struct slice tenant, struct slice feature, struct slice tier,
                   struct past_key *k) {
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
struct past_shard *past_shard_of(struct past *p, struct slice key) {
    return &p->shards[base_hash(key) >> 56 & (PAST_SHARDS - 1)];
}

// -------------------------------------------------------------------- fading

double past_left_of(const struct past_entry *e, uint64_t now_ms) {
    double passed = now_ms > e->noted_ms ? (double)(now_ms - e->noted_ms) : 0;
    return exp2(-passed / PAST_HALF_LIFE_MS);
}

// A table may not change while it is walked through: what is kept moves to another.
static void sweep(struct past_shard *s, uint64_t now_ms) {
    if (s->swept && now_ms - s->swept_ms < SWEEP_PAUSE_MS)
        return;
    s->swept = true;
    s->swept_ms = now_ms;
    struct table *kept = table_new();
    struct slice key;
    size_t at = 0;
    void *value;
    while (table_next(s->entries, &at, &key, &value)) {
        struct past_entry *e = value;
        if (e->seen * past_left_of(e, now_ms) >= FADED) {
            table_put(kept, key, e);
            continue;
        }
        e->owner->entries--; // the owner stays: tenants are the file's, so few
        free(e);
    }
    table_free(s->entries);
    s->entries = kept;
}

static bool is_full(const struct past_shard *s, const struct past_owner *owner) {
    return table_count(s->entries) >= PAST_SHARD_MAX || owner->entries >= SHARD_TENANT_MAX;
}

struct past_entry *past_add(struct past_shard *s, struct slice key, struct slice tenant,
                            uint64_t now_ms) {
    struct past_owner *owner = table_get(s->owners, tenant);
    if (owner == NULL) {
        owner = base_calloc(1, sizeof *owner);
        table_put(s->owners, tenant, owner);
    }
    if (is_full(s, owner))
        sweep(s, now_ms);
    if (is_full(s, owner))
        return NULL;
    struct past_entry *e = base_calloc(1, sizeof *e);
    *e = (struct past_entry){.noted_ms = now_ms, .owner = owner};
    owner->entries++;
    table_put(s->entries, key, e);
    return e;
}

void past_count_in(struct past_entry *e, double seen, double good, uint64_t now_ms) {
    double left = past_left_of(e, now_ms);
    if (e->seen * left > PAST_MEMORY - seen)
        left = (PAST_MEMORY - seen) / e->seen;
    e->seen = e->seen * left + seen;
    e->good = e->good * left + good;
    e->untold_seen *= left;
    e->untold_good *= left;
    if (now_ms > e->noted_ms)
        e->noted_ms = now_ms;
}

// -------------------------------------------------------------------- public

void past_note(struct past *p, struct slice tenant, struct slice feature, struct slice tier,
               bool ok) {
    struct past_key k;
    if (!past_key_make(tenant, feature, tier, &k))
        return;
    struct slice key = slice_make(k.bytes, k.len);
    struct past_shard *s = past_shard_of(p, key);
    pthread_mutex_lock(&s->lock);
    uint64_t now_ms = clock_mono_ms();
    struct past_entry *e = table_get(s->entries, key);
    if (e == NULL)
        e = past_add(s, key, tenant, now_ms);
    if (e != NULL) {
        past_count_in(e, 1, ok, now_ms);
        e->untold_seen += 1;
        e->untold_good += ok;
    }
    pthread_mutex_unlock(&s->lock);
}

int64_t past_percent(struct past *p, struct slice tenant, struct slice feature,
                     struct slice tier) {
    struct past_key k;
    int64_t percent = UNKNOWN;
    if (!past_key_make(tenant, feature, tier, &k))
        return UNKNOWN;
    struct slice key = slice_make(k.bytes, k.len);
    struct past_shard *s = past_shard_of(p, key);
    pthread_mutex_lock(&s->lock);
    const struct past_entry *e = table_get(s->entries, key);
    // Ten outcomes of a moment ago are enough, though they are a little less than ten.
    if (e != NULL && e->seen * past_left_of(e, clock_mono_ms()) > PAST_ENOUGH - 0.5)
        percent = llround(100 * e->good / e->seen);
    pthread_mutex_unlock(&s->lock);
    return percent;
}

size_t past_count(struct past *p) {
    size_t sum = 0;
    for (size_t i = 0; i < PAST_SHARDS; i++) {
        pthread_mutex_lock(&p->shards[i].lock);
        sum += table_count(p->shards[i].entries);
        pthread_mutex_unlock(&p->shards[i].lock);
    }
    return sum;
}
