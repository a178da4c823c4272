// Values: put, get, delete, expiry, spaces, and all of it again after a restart,
// in either kind of store; and the embedded one's bound and files.
#include "scene.h"

static void test_put_get_delete(void **state) {
    struct scene *s = *state;
    static const struct {
        struct slice key, value;
    } rows[] = {
        {SLICE("k"), SLICE("v")},
        {SLICE("a\0b"), SLICE("x\0y\xff")},
        {SLICE("a"), SLICE("other")},
        {SLICE("empty"), SLICE("")},
        {SLICE(""), SLICE("of the empty key")},
        {SLICE("quote'\"; DROP TABLE entries"), SLICE("'")},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        store_put(s->store, "cache", rows[i].key, rows[i].value, 0);
    for (unsigned restarts = 0; restarts < 2; restarts++) {
        for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
            assert_value(s, "cache", rows[i].key, rows[i].value);
        assert_entries(s, FARTHING_COUNT(rows));
        scene_reopen(s);
    }
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        store_delete(s->store, "cache", rows[i].key);
        store_delete(s->store, "cache", rows[i].key); // twice is nothing
        assert_false(scene_has(s, "cache", rows[i].key));
    }
    assert_held(s, 0, 0);
    assert_int_equal(scene_stats(s).failures, 0);
}

static void test_an_empty_slice_is_a_value(void **state) {
    struct scene *s = *state;
    store_put(s->store, "cache", SLICE_NONE, SLICE_NONE, 0);
    assert_value(s, "cache", SLICE_NONE, SLICE(""));
    store_put(s->store, "cache", SLICE_NONE, SLICE("new"), 0);
    assert_value(s, "cache", SLICE(""), SLICE("new"));
    assert_entries(s, 1);
}

static void test_the_last_put_wins(void **state) {
    struct scene *s = *state;
    store_put(s->store, "cache", SLICE("k"), SLICE("first, and longer"), 0);
    store_put(s->store, "cache", SLICE("k"), SLICE("second"), SCENE_WALL_MS + 5);
    int64_t expires;
    struct buffer value = {0};
    assert_int_equal(scene_get(s, "cache", SLICE("k"), &value, &expires), STORE_OK);
    assert_true(slice_equal(buffer_slice(&value), SLICE("second")));
    assert_int_equal(expires, SCENE_WALL_MS + 5);
    buffer_free(&value);
    assert_held(s, 1, 6);
}

static void test_spaces_are_apart(void **state) {
    struct scene *s = *state;
    store_put(s->store, "one", SLICE("k"), SLICE("1"), 0);
    store_put(s->store, "two", SLICE("k"), SLICE("22"), 0);
    assert_value(s, "one", SLICE("k"), SLICE("1"));
    assert_value(s, "two", SLICE("k"), SLICE("22"));
    store_delete_space(s->store, "one");
    assert_false(scene_has(s, "one", SLICE("k")));
    assert_value(s, "two", SLICE("k"), SLICE("22"));
    assert_held(s, 1, 2);
    store_delete_space(s->store, "none");
    assert_held(s, 1, 2);
}

// Each operation sees those before it, however they follow on one another.
static void test_a_space_is_emptied_between(void **state) {
    struct scene *s = *state;
    for (unsigned round = 0; round < 20; round++) {
        store_put(s->store, "cache", SLICE("before"), SLICE("1"), 0);
        store_put(s->store, "other", SLICE("kept"), SLICE("2"), 0);
        store_delete_space(s->store, "cache");
        store_put(s->store, "cache", SLICE("after"), SLICE("3"), 0);
        store_delete(s->store, "cache", SLICE("none"));
        assert_false(scene_has(s, "cache", SLICE("before")));
        assert_value(s, "cache", SLICE("after"), SLICE("3"));
        assert_value(s, "other", SLICE("kept"), SLICE("2"));
        if (round % 5 == 0)
            scene_reopen(s);
    }
    store_delete_space(s->store, "fresh"); // the first that is heard of it
    store_put(s->store, "fresh", SLICE("k"), SLICE("v"), 0);
    assert_value(s, "fresh", SLICE("k"), SLICE("v"));
}

// Text that compresses, and bytes that do not.
static void test_values_of_every_size(void **state) {
    struct scene *s = *state;
    static const size_t sizes[] = {0,    1,    16,   511,   512,   1023,
                                   1024, 1025, 4096, 65535, 65536, 400000};
    struct buffer value = {0};
    random_seed(7);
    for (size_t i = 0; i < 2 * FARTHING_COUNT(sizes); i++) {
        buffer_clear(&value);
        while (value.len < sizes[i / 2])
            buffer_append_char(&value, i % 2 == 0 ? "{\"a\":1}"[value.len % 7]
                                                  : (char)random_below(256));
        store_put(s->store, "cache", SLICE("k"), buffer_slice(&value), SCENE_WALL_MS + 500000);
        assert_value(s, "cache", SLICE("k"), buffer_slice(&value));
    }
    buffer_free(&value);
}

static void test_expiry(void **state) {
    struct scene *s = *state;
    store_put(s->store, "cache", SLICE("soon"), SLICE("v"), SCENE_WALL_MS + 1000);
    store_put(s->store, "cache", SLICE("never"), SLICE("v"), 0);
    store_put(s->store, "cache", SLICE("past"), SLICE("v"), SCENE_WALL_MS);
    assert_true(scene_has(s, "cache", SLICE("soon")));
    assert_false(scene_has(s, "cache", SLICE("past")));
    clock_freeze(SCENE_WALL_MS + 999, 1000000000u);
    assert_true(scene_has(s, "cache", SLICE("soon")));
    clock_freeze(SCENE_WALL_MS + 1000, 1000000000u);
    assert_false(scene_has(s, "cache", SLICE("soon")));
    assert_true(scene_has(s, "cache", SLICE("never")));
    // A minute later the sweep has come round: the bytes are free again.
    clock_freeze(SCENE_WALL_MS + 61000, UINT64_C(61000000000));
    assert_true(scene_has(s, "cache", SLICE("never")));
    assert_held(s, 1, 1);
}

// The oldest-written go, as many as it takes; what is new stays.
static void test_the_bound(void **state) {
    struct scene *s = *state;
    enum { VALUES = 400, BYTES = 8192 };
    char *value = base_calloc(1, BYTES);
    for (uint32_t i = 0; i < VALUES; i++) {
        clock_freeze(SCENE_WALL_MS + i, 1000000000u);
        store_put(s->store, "cache", slice_make(&i, sizeof i), slice_make(value, BYTES), 0);
        store_flush(s->store);
        struct store_stats stats = scene_stats(s);
        assert_true(stats.bytes <= SCENE_MAX_BYTES);
        assert_int_equal(stats.bytes, stats.entries * BYTES);
    }
    uint32_t oldest = 0, newest = VALUES - 1;
    assert_false(scene_has(s, "cache", slice_make(&oldest, sizeof oldest)));
    assert_true(scene_has(s, "cache", slice_make(&newest, sizeof newest)));
    struct store_stats before = scene_stats(s);
    scene_reopen(s);
    assert_int_equal(scene_stats(s).bytes, before.bytes); // counted again, the same
    assert_int_equal(scene_stats(s).entries, before.entries);
    struct stat st;
    assert_int_equal(stat(s->file, &st), 0);
    assert_true(st.st_size < 3 * SCENE_MAX_BYTES); // 3.2 MB went through it
    free(value);
}

static void test_a_value_over_the_bound_pushes_nothing_out(void **state) {
    struct scene *s = *state;
    char *big = base_calloc(1, SCENE_MAX_BYTES + 1);
    store_put(s->store, "cache", SLICE("small"), SLICE("v"), 0);
    store_put(s->store, "cache", SLICE("big"), SLICE("old"), 0);
    store_put(s->store, "cache", SLICE("big"), slice_make(big, SCENE_MAX_BYTES + 1), 0);
    assert_true(scene_has(s, "cache", SLICE("small")));
    assert_false(scene_has(s, "cache", SLICE("big"))); // not the old one either
    assert_int_equal(scene_stats(s).entries, 1);
    free(big);
}

// Deleted values' pages go back to the file system, not at once but in steps.
static void test_the_file_shrinks(void **state) {
    struct scene *s = *state;
    enum { VALUES = 100, BYTES = 10000 };
    char *value = base_calloc(1, BYTES);
    struct stat before, after;
    for (uint32_t i = 0; i < VALUES; i++)
        store_put(s->store, "cache", slice_make(&i, sizeof i), slice_make(value, BYTES),
                  SCENE_WALL_MS + 1);
    scene_reopen(s);
    assert_int_equal(stat(s->file, &before), 0);
    clock_freeze(SCENE_WALL_MS + 10, UINT64_C(61000000000));
    store_flush(s->store); // the sweep comes after it
    scene_reopen(s);
    assert_int_equal(scene_stats(s).entries, 0);
    assert_int_equal(stat(s->file, &after), 0);
    assert_true(after.st_size < before.st_size / 2);
    free(value);
}

static void test_nobody_else_may_read(void **state) {
    struct scene *s = *state;
    static const char *const suffixes[] = {"", "-wal"};
    char path[160];
    store_put(s->store, "cache", SLICE("k"), SLICE("v"), 0);
    store_flush(s->store);
    for (size_t i = 0; i < FARTHING_COUNT(suffixes); i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s%s", s->file, suffixes[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void test_closing_loses_nothing(void **state) {
    struct scene *s = *state;
    enum { VALUES = 5000 };
    for (uint32_t i = 0; i < VALUES; i++)
        store_put(s->store, "cache", slice_make(&i, sizeof i), SLICE("v"), 0);
    scene_reopen(s);
    assert_entries(s, VALUES);
    for (uint32_t i = 0; i < VALUES; i += 97)
        assert_value(s, "cache", slice_make(&i, sizeof i), SLICE("v"));
}

int main(void) {
    const struct CMUnitTest either[] = {
        SCENE(test_put_get_delete),
        SCENE(test_an_empty_slice_is_a_value),
        SCENE(test_the_last_put_wins),
        SCENE(test_spaces_are_apart),
        SCENE(test_a_space_is_emptied_between),
        SCENE(test_values_of_every_size),
        SCENE(test_expiry),
        SCENE(test_closing_loses_nothing),
    };
    const struct CMUnitTest embedded[] = {
        SCENE(test_the_bound),
        SCENE(test_a_value_over_the_bound_pushes_nothing_out),
        SCENE(test_the_file_shrinks),
        SCENE(test_nobody_else_may_read),
    };
    int failed = cmocka_run_group_tests(either, NULL, NULL);
    return scene_is_redis() ? failed : failed + cmocka_run_group_tests(embedded, NULL, NULL);
}
