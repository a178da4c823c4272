// The hash table against a plain array that holds the same.
#include "support.h"

#include <stdio.h>

enum { KEYS = 500 };

static struct slice key_of(size_t i, char out[32]) {
    // Keys of many lengths, among them the empty one and one with NULs.
    size_t n = i % 29;
    memset(out, 0, 32);
    for (size_t at = 0; at < n && at < 4; at++)
        out[at] = (char)(i >> (4 * at) & 0xff);
    return slice_make(out, n);
}

static void a_table_holds_what_was_put(void **state) {
    (void)state;
    struct table *t = table_new();
    int one, two;
    assert_int_equal(table_count(t), 0);
    assert_null(table_get(t, SLICE("a")));
    assert_null(table_remove(t, SLICE("a")));
    assert_null(table_put(t, SLICE("a"), &one));
    assert_ptr_equal(table_put(t, SLICE("a"), &two), &one);
    assert_ptr_equal(table_get(t, SLICE("a")), &two);
    assert_int_equal(table_count(t), 1);
    assert_null(table_get(t, SLICE("b")));
    assert_null(table_get(t, SLICE_NONE));
    assert_null(table_put(t, SLICE_NONE, &one));
    assert_ptr_equal(table_get(t, SLICE("")), &one);
    assert_ptr_equal(table_remove(t, SLICE("a")), &two);
    assert_null(table_get(t, SLICE("a")));
    assert_int_equal(table_count(t), 1);
    table_free(t);
    table_free(NULL);
}

static void keys_are_copied(void **state) {
    (void)state;
    struct table *t = table_new();
    char key[] = "key";
    table_put(t, slice_of(key), key);
    key[0] = 'X';
    assert_null(table_get(t, slice_of(key)));
    assert_ptr_equal(table_get(t, SLICE("key")), key);
    table_free(t);
}

static void check_against(const struct table *t, char *const *model) {
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", i);
        assert_ptr_equal(table_get(t, slice_of(name)), model[i]);
        count += model[i] != NULL;
    }
    assert_int_equal(table_count(t), count);
    size_t cursor = 0, seen = 0;
    struct slice key;
    void *value;
    while (table_next(t, &cursor, &key, &value)) {
        uint64_t i;
        assert_true(slice_to_u64(key, &i));
        assert_true(i < KEYS && model[i] == value);
        seen++;
    }
    assert_int_equal(seen, count);
    assert_false(table_next(t, &cursor, &key, &value));
}

// Random puts and removals: growth, probing and closed gaps together.
static void a_table_behaves_as_an_array(void **state) {
    (void)state;
    static char values[2];
    char *model[KEYS] = {0};
    struct table *t = table_new();
    random_seed(17);
    for (int round = 0; round < 20000; round++) {
        size_t i = random_below(KEYS);
        char name[32];
        snprintf(name, sizeof name, "%zu", i);
        char *value = &values[random_below(2)];
        // Phases of growing and of shrinking.
        bool put = random_below(10) < (uint64_t)(round / 2000 % 2 == 0 ? 8 : 2);
        void *before = put ? table_put(t, slice_of(name), value) : table_remove(t, slice_of(name));
        assert_ptr_equal(before, model[i]);
        model[i] = put ? value : NULL;
        if (round % 500 == 0)
            check_against(t, model);
    }
    check_against(t, model);
    table_free(t);
}

static void hashes_differ_and_repeat(void **state) {
    (void)state;
    char a[32], b[32];
    uint64_t all[KEYS];
    size_t equal = 0;
    for (size_t i = 0; i < KEYS; i++) {
        all[i] = base_hash(key_of(i, a));
        assert_true(all[i] == base_hash(key_of(i, a)));
        for (size_t j = 0; j < i; j++)
            if (!slice_equal(key_of(i, a), key_of(j, b)))
                equal += all[i] == all[j];
    }
    assert_int_equal(equal, 0);
    assert_true(base_hash(SLICE("")) == base_hash(SLICE_NONE));
    // Trailing zeros count, also where a word is filled up with them.
    assert_true(base_hash(SLICE("a")) != base_hash(SLICE("a\0")));
    assert_true(base_hash(SLICE("12345678")) != base_hash(SLICE("12345678\0")));
}

// Sharding uses the low bits, sampling the high ones.
static void hashes_spread(void **state) {
    (void)state;
    size_t low[16] = {0}, high[16] = {0};
    for (size_t i = 0; i < 16000; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "tenant-%zu", i);
        uint64_t h = base_hash(slice_make(name, (size_t)n));
        low[h & 15]++;
        high[h >> 60]++;
    }
    for (size_t i = 0; i < 16; i++) {
        // 1000 expected, standard deviation 31: ten of them never happen.
        assert_in_range(low[i], 690, 1310);
        assert_in_range(high[i], 690, 1310);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_holds_what_was_put),
        cmocka_unit_test(keys_are_copied),
        cmocka_unit_test(a_table_behaves_as_an_array),
        cmocka_unit_test(hashes_differ_and_repeat),
        cmocka_unit_test(hashes_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
