// Hash table with open addressing, linear probing and backward-shift deletion
// (no tombstones). The hash is seeded from the system at start, so nobody on
// the network can choose keys that collide.
#include "farthing/base.h"

#include <pthread.h>
#include <stdlib.h>

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void make_seed(void) {
    seed[0] = random_u64() | 1u;
    seed[1] = random_u64() | 1u;
}

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Multiply-fold over 8 bytes at a time, in the manner of wyhash: each word is
// mixed with secret state before it is multiplied.
uint64_t base_hash(struct slice s) {
    pthread_once(&seeded, make_seed);
    uint64_t h = seed[0] ^ s.len;
    const char *p = s.ptr;
    size_t left = s.len;
    uint64_t word;
    while (left >= 8) {
        memcpy(&word, p, 8);
        h = mix(h ^ word, seed[1] ^ 0x9e3779b97f4a7c15u);
        p += 8;
        left -= 8;
    }
    word = 0;
    if (left > 0)
        memcpy(&word, p, left);
    return mix(h ^ word ^ ((uint64_t)left << 56), seed[1]);
}

struct slot {
    uint64_t hash;
    char *key; // NULL: free
    size_t key_len;
    void *value;
};

struct table {
    struct slot *slots;
    size_t mask, count;
};

struct table *table_new(void) {
    struct table *t = base_calloc(1, sizeof *t);
    t->mask = 15;
    t->slots = base_calloc(t->mask + 1, sizeof *t->slots);
    return t;
}

void table_free(struct table *t) {
    if (t == NULL)
        return;
    for (size_t i = 0; i <= t->mask; i++)
        free(t->slots[i].key);
    free(t->slots);
    free(t);
}

// The slot of the key, or the free slot where it would go.
static size_t find(const struct table *t, uint64_t hash, struct slice key) {
    size_t i = (size_t)hash & t->mask;
    while (t->slots[i].key != NULL) {
        const struct slot *s = &t->slots[i];
        if (s->hash == hash && slice_equal(slice_make(s->key, s->key_len), key))
            return i;
        i = (i + 1) & t->mask;
    }
    return i;
}

void *table_get(const struct table *t, struct slice key) {
    const struct slot *s = &t->slots[find(t, base_hash(key), key)];
    return s->key != NULL ? s->value : NULL;
}

static void grow(struct table *t) {
    struct slot *old = t->slots;
    size_t old_mask = t->mask;
    t->mask = t->mask * 2 + 1;
    t->slots = base_calloc(t->mask + 1, sizeof *t->slots);
    for (size_t i = 0; i <= old_mask; i++) {
        if (old[i].key == NULL)
            continue;
        size_t to = (size_t)old[i].hash & t->mask;
        while (t->slots[to].key != NULL)
            to = (to + 1) & t->mask;
        t->slots[to] = old[i];
    }
    free(old);
}

void *table_put(struct table *t, struct slice key, void *value) {
    uint64_t hash = base_hash(key);
    size_t i = find(t, hash, key);
    if (t->slots[i].key != NULL) {
        void *before = t->slots[i].value;
        t->slots[i].value = value;
        return before;
    }
    t->slots[i] = (struct slot){hash, slice_dup(key), key.len, value};
    if (++t->count * 4 > (t->mask + 1) * 3)
        grow(t);
    return NULL;
}

void *table_remove(struct table *t, struct slice key) {
    size_t hole = find(t, base_hash(key), key);
    if (t->slots[hole].key == NULL)
        return NULL;
    void *value = t->slots[hole].value;
    free(t->slots[hole].key);
    t->count--;
    // Close the gap: whoever would be cut off from its home slot moves up.
    for (size_t i = (hole + 1) & t->mask; t->slots[i].key != NULL; i = (i + 1) & t->mask) {
        size_t home = (size_t)t->slots[i].hash & t->mask;
        if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = (struct slot){0};
    return value;
}

size_t table_count(const struct table *t) {
    return t->count;
}

bool table_next(const struct table *t, size_t *cursor, struct slice *key, void **value) {
    for (; *cursor <= t->mask; (*cursor)++) {
        const struct slot *s = &t->slots[*cursor];
        if (s->key == NULL)
            continue;
        *key = slice_make(s->key, s->key_len);
        *value = s->value;
        (*cursor)++;
        return true;
    }
    return false;
}
