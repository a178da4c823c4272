// Several loops on one cache: each body says which key it belongs to, so that
// a mix-up, a use after free or a torn entry would be seen (by the sanitizers
// too, which this test is for).
#include "support.h"

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, STEPS = 20000, KEYS = 400, MEMORY_BYTES = 1 << 20, HELD = 16, TAGS = 8 };

static struct cache *cache;
// By tag: what was born up to then had been purged when this was written.
static _Atomic uint64_t purged[TAGS];

static void purge_tag(uint64_t tag) {
    struct cache_purge_tags tags = {{[CACHE_TAG_FEATURE] = tag + 1}};
    uint64_t born = cache_birth_now(cache).born, before = atomic_load(&purged[tag]);
    cache_purge_by(cache, &tags);
    while (before < born && !atomic_compare_exchange_weak(&purged[tag], &before, born)) {
    }
}

static void body_for(uint64_t n, struct buffer *out) {
    buffer_clear(out);
    buffer_printf(out, "key %llu ", (unsigned long long)n);
    while (out->len < 200 + n * 37 % 6000)
        BUFFER_LITERAL(out, "..........");
}

// Counts what does not belong to the key.
static unsigned check(struct cache_entry *e, uint64_t n, struct buffer *scratch) {
    body_for(n, scratch);
    return !slice_equal(cache_entry_answer(e)->body, buffer_slice(scratch));
}

struct worker {
    pthread_t thread;
    uint64_t seed;
    unsigned wrong, found;
};

static void *work(void *arg) {
    struct worker *w = arg;
    struct buffer scratch = {0};
    struct cache_entry *held[HELD] = {0};
    uint64_t held_key[HELD] = {0};
    random_seed(w->seed);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t n = random_below(KEYS);
        struct cache_key key = key_number(n);
        unsigned what = (unsigned)random_below(100);
        uint64_t gone = atomic_load(&purged[n % TAGS]);
        struct cache_birth birth = cache_birth_now(cache);
        struct cache_entry *e = cache_peek(cache, &key, BORN_MS + (int64_t)(what == 0) * DIES_MS);
        if (e != NULL) {
            w->wrong += gone > 0 && cache_entry_answer(e)->birth.born <= gone;
            unsigned slot = step % HELD;
            if (held[slot] != NULL) {
                w->wrong += check(held[slot], held_key[slot], &scratch);
                cache_entry_release(held[slot]);
            }
            held[slot] = e;
            held_key[slot] = n;
            w->found++;
        }
        if (e == NULL || what < 5) {
            body_for(n, &scratch);
            struct cache_answer a = answer_of(buffer_slice(&scratch));
            a.cost_pico = (int64_t)random_below(1u << 30);
            a.birth = birth;
            a.tags[CACHE_TAG_FEATURE] = n % TAGS + 1;
            cache_insert(cache, &key, &a);
        } else if (what < 10) {
            cache_remove(cache, &key);
        }
        if (step % 5000 == 0)
            cache_purge(cache);
        if (step % 100 == 0)
            purge_tag(n % TAGS);
        if (step % 1000 == 0) {
            cache_resize(cache, (int64_t)(MEMORY_BYTES >> random_below(4)));
            struct cache_stats s;
            cache_stats_get(cache, &s);
        }
    }
    for (size_t i = 0; i < HELD; i++)
        if (held[i] != NULL) {
            w->wrong += check(held[i], held_key[i], &scratch);
            cache_entry_release(held[i]);
        }
    buffer_free(&scratch);
    return NULL;
}

static void run_on(int64_t memory_bytes) {
    cache = cache_new(&(struct cache_options){.memory_bytes = memory_bytes, .has_purges = true});
    for (size_t i = 0; i < TAGS; i++)
        atomic_store(&purged[i], 0);
    struct worker workers[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].seed = 100 + i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
        assert_true(workers[i].found > 0);
    }
    cache_resize(cache, memory_bytes);
    struct cache_stats s;
    cache_stats_get(cache, &s);
    assert_true(s.bytes <= memory_bytes);
    assert_int_equal(s.hits + s.misses, THREADS * STEPS);
    cache_free(cache);
}

static void test_one_shard(void **state) {
    (void)state;
    run_on(MEMORY_BYTES);
}

static void test_many_shards(void **state) {
    (void)state;
    run_on(64 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shard),
        cmocka_unit_test(test_many_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
