// The cache as others see it, without a store behind it.
#include "support.h"

enum { MEMORY_BYTES = 8 << 20 };
static char filler[MEMORY_BYTES];

static struct cache *memory_only(int64_t bytes, int64_t max_entry) {
    return cache_new(&(struct cache_options){.memory_bytes = bytes, .max_entry_bytes = max_entry});
}

static void insert(struct cache *c, uint64_t n, struct slice body) {
    struct cache_key key = key_number(n);
    struct cache_answer a = answer_of(body);
    cache_insert(c, &key, &a);
}

static struct cache_entry *peek_at(struct cache *c, uint64_t n, int64_t now_ms) {
    struct cache_key key = key_number(n);
    return cache_peek(c, &key, now_ms);
}

static bool holds(struct cache *c, uint64_t n) {
    struct cache_entry *e = peek_at(c, n, BORN_MS);
    if (e != NULL)
        cache_entry_release(e);
    return e != NULL;
}

static struct cache_stats stats_of(const struct cache *c) {
    struct cache_stats s;
    cache_stats_get(c, &s);
    return s;
}

static void test_gives_back_a_copy(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    char body[] = "{\"id\":1}";
    insert(c, 1, slice_of(body));
    body[2] = 'X';
    struct cache_entry *e = peek_at(c, 1, BORN_MS);
    assert_non_null(e);
    const struct cache_answer *a = cache_entry_answer(e);
    assert_slice_equal(a->body, SLICE("{\"id\":1}"));
    assert_slice_equal(a->provider, SLICE("openai"));
    assert_slice_equal(a->tier, SLICE("small"));
    assert_int_equal(a->usage.output_tokens, 3);
    assert_int_equal(a->cost_pico, 3150000);
    cache_entry_release(e);
    assert_false(holds(c, 2));
    cache_free(c);
}

static void test_all_bytes_of_the_key_count(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    struct cache_key key = key_number(1);
    struct cache_answer a = answer_of(SLICE("{}"));
    cache_insert(c, &key, &a);
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        struct cache_key other = key;
        other.bytes[i] ^= 0x40;
        assert_null(cache_peek(c, &other, BORN_MS));
    }
    cache_free(c);
}

static void test_ttl(void **state) {
    (void)state;
    static const struct {
        int64_t now_ms;
        bool there;
    } cases[] = {{BORN_MS, true}, {DIES_MS - 1, true}, {DIES_MS, false}, {INT64_MAX, false},
                 {0, true}}; // a clock that went back
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct cache *c = memory_only(MEMORY_BYTES, 0);
        insert(c, 1, SLICE("{}"));
        struct cache_entry *e = peek_at(c, 1, cases[i].now_ms);
        assert_int_equal(e != NULL, cases[i].there);
        assert_int_equal(stats_of(c).entries, cases[i].there);
        if (e != NULL)
            cache_entry_release(e);
        assert_int_equal(holds(c, 1), cases[i].there); // gone is gone
        cache_free(c);
    }
}

static void test_replaces(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    insert(c, 1, SLICE("old"));
    struct cache_entry *old = peek_at(c, 1, BORN_MS);
    insert(c, 1, SLICE("new and longer"));
    struct cache_entry *new = peek_at(c, 1, BORN_MS);
    assert_slice_equal(cache_entry_answer(new)->body, SLICE("new and longer"));
    assert_slice_equal(cache_entry_answer(old)->body, SLICE("old")); // still held
    assert_int_equal(stats_of(c).entries, 1);
    cache_entry_release(old);
    cache_entry_release(new);
    cache_free(c);
}

static void test_held_entries_outlive_everything(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    struct cache_entry *held[4];
    for (uint64_t i = 0; i < 4; i++) {
        insert(c, i, SLICE("kept"));
        held[i] = peek_at(c, i, BORN_MS);
        assert_non_null(held[i]);
    }
    struct cache_key key = key_number(0);
    cache_remove(c, &key);
    assert_null(peek_at(c, 1, DIES_MS)); // expired
    cache_purge(c);
    for (uint64_t i = 100; i < 20000; i++)
        insert(c, i, slice_make(filler, 3000)); // evicts all there is
    assert_true(stats_of(c).evictions > 0);
    cache_free(c);
    for (size_t i = 0; i < 4; i++) {
        assert_slice_equal(cache_entry_answer(held[i])->body, SLICE("kept"));
        cache_entry_release(held[i]);
    }
}

static void test_bytes_are_bounded(void **state) {
    (void)state;
    static const int64_t sizes[] = {1 << 16, 1 << 20, MEMORY_BYTES, 64 << 20};
    for (size_t s = 0; s < FARTHING_COUNT(sizes); s++) {
        struct cache *c = memory_only(sizes[s], 0);
        random_seed(7);
        assert_true(stats_of(c).bytes <= sizes[s]);
        for (uint64_t i = 0; i < 5000; i++) {
            insert(c, i, slice_make(filler, random_below(i % 10 == 0 ? 200000 : 4000)));
            if (i % 3 == 0)
                (void)holds(c, random_below(i + 1));
            if (i % 100 == 0)
                assert_true(stats_of(c).bytes <= sizes[s]);
        }
        assert_true(stats_of(c).bytes <= sizes[s]);
        assert_true(stats_of(c).bytes > sizes[s] / 2 || sizes[s] > MEMORY_BYTES);
        assert_true(stats_of(c).entries > 5);
        cache_free(c);
    }
}

static void test_too_large(void **state) {
    (void)state;
    static const struct {
        int64_t max_entry;
        size_t body;
        bool kept;
    } cases[] = {
        {0, MEMORY_BYTES / 8 - 4096, true}, {0, MEMORY_BYTES / 8, false},
        {10000, 9000, true},                {10000, 10000, false}, // overhead counts too
        {MEMORY_BYTES * 4, MEMORY_BYTES, false},                   // never fits a shard
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct cache *c = memory_only(MEMORY_BYTES, cases[i].max_entry);
        insert(c, 1, slice_make(filler, cases[i].body));
        assert_int_equal(holds(c, 1), cases[i].kept);
        cache_free(c);
    }
}

static void test_too_large_drops_the_older(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 10000);
    insert(c, 1, SLICE("old"));
    insert(c, 2, SLICE("other"));
    insert(c, 1, slice_make(filler, 20000)); // a refresh: the old one is no longer true
    assert_false(holds(c, 1));
    assert_true(holds(c, 2));
    cache_free(c);
}

static void test_remove_and_purge(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    for (uint64_t i = 0; i < 100; i++)
        insert(c, i, SLICE("{}"));
    struct cache_key key = key_number(50), unknown = key_number(5000);
    cache_remove(c, &key);
    cache_remove(c, &unknown);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(holds(c, i), i != 50);
    cache_purge(c);
    assert_int_equal(stats_of(c).entries, 0);
    insert(c, 1, SLICE("{}"));
    assert_true(holds(c, 1));
    cache_free(c);
}

static void test_resize(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    for (uint64_t i = 0; i < 2000; i++)
        insert(c, i, slice_make(filler, 3000));
    cache_resize(c, 1 << 20);
    assert_in_range(stats_of(c).bytes, 1 << 16, 1 << 20);
    insert(c, 5000, slice_make(filler, MEMORY_BYTES / 16)); // under an eighth of the old size only
    assert_false(holds(c, 5000));
    cache_resize(c, 4 * MEMORY_BYTES);
    insert(c, 5000, slice_make(filler, MEMORY_BYTES / 4));
    assert_true(holds(c, 5000));
    cache_free(c);
}

static void test_stats(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    int64_t empty = stats_of(c).bytes;
    insert(c, 1, SLICE("{}"));
    insert(c, 2, SLICE("{}"));
    (void)holds(c, 1);
    (void)holds(c, 1);
    (void)holds(c, 3);
    struct cache_stats s = stats_of(c);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.insertions, 2);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 1);
    assert_int_equal(s.evictions, 0);
    assert_true(s.bytes > empty + 2 * (int64_t)sizeof(struct cache_entry));
    cache_purge(c);
    assert_int_equal(stats_of(c).bytes, empty);
    cache_free(c);
}

static void test_no_store_no_lookup(void **state) {
    (void)state;
    struct cache *c = memory_only(MEMORY_BYTES, 0);
    struct cache_key key = key_number(1);
    assert_null(cache_lookup_start(c, NULL, &key, BORN_MS, NULL, NULL));
    cache_free(c);
    cache_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_back_a_copy),
        cmocka_unit_test(test_all_bytes_of_the_key_count),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_replaces),
        cmocka_unit_test(test_held_entries_outlive_everything),
        cmocka_unit_test(test_bytes_are_bounded),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_too_large_drops_the_older),
        cmocka_unit_test(test_remove_and_purge),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_no_store_no_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
