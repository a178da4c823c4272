// Spaces beside each other: each has its own bound and makes room for itself
// alone; and files from before that was so.
#include "scene.h"

enum { BYTES = 8192, KEPT_BYTES = 40 * BYTES };

static const char kept[] = "kept";

static void put(struct scene *s, const char *space, uint32_t key, size_t bytes,
                int64_t expires_ms) {
    char *value = base_calloc(1, bytes);
    store_put(s->store, space, slice_make(&key, sizeof key), slice_make(value, bytes), expires_ms);
    free(value);
}

static void put_many(struct scene *s, const char *space, uint32_t from, uint32_t count) {
    for (uint32_t i = from; i < from + count; i++) {
        clock_freeze(SCENE_WALL_MS + i, 1000000000u);
        put(s, space, i, BYTES, 0);
        store_flush(s->store); // one put a batch: their times differ
    }
}

static uint32_t count_there(struct scene *s, const char *space, uint32_t from, uint32_t count) {
    uint32_t there = 0;
    for (uint32_t i = from; i < from + count; i++)
        there += scene_has(s, space, slice_make(&i, sizeof i));
    return there;
}

// As the metrics' page says it; 0 where it does not.
static int64_t evicted(const char *space) {
    struct buffer page = {0};
    char line[128];
    metric_write_all(&page);
    buffer_append_char(&page, '\0');
    snprintf(line, sizeof line, "\nfarthing_store_evicted_total{space=\"%s\"} ", space);
    const char *at = strstr(page.ptr, line);
    int64_t count = at != NULL ? strtoll(at + strlen(line), NULL, 10) : 0;
    buffer_free(&page);
    return count;
}

// What is meant by it all: the cache may be filled as it likes.
static void test_a_space_makes_room_for_itself_alone(void **state) {
    struct scene *s = *state;
    enum { CACHED = 300 }; // more than twice what fits
    put_many(s, kept, 0, 30);
    put_many(s, "cache", 100, CACHED);
    assert_int_equal(count_there(s, kept, 0, 30), 30);
    uint32_t left = count_there(s, "cache", 100, CACHED);
    assert_true(left > 0 && left * BYTES <= SCENE_MAX_BYTES);
    assert_int_equal(count_there(s, "cache", 100 + CACHED - left, left), left); // the newest
    assert_int_equal(scene_stats(s).entries, 30 + left);
    assert_int_equal(scene_stats(s).bytes, (30 + left) * BYTES);
    assert_int_equal(evicted(kept), 0);
    assert_int_equal(evicted("cache"), CACHED - left);
    scene_reopen(s); // counted again, the same
    assert_int_equal(scene_stats(s).bytes, (30 + left) * BYTES);
    put_many(s, "cache", 1000, 10);
    assert_int_equal(count_there(s, kept, 0, 30), 30);
}

static void test_a_bound_of_its_own_holds(void **state) {
    struct scene *s = *state;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_bound_space(s->store, kept, KEPT_BYTES);
    put_many(s, "cache", 0, 60);
    for (uint32_t i = 0; i < 100; i++) {
        put_many(s, kept, 1000 + i, 1);
        assert_true(scene_stats(s).bytes <= KEPT_BYTES + 60 * BYTES);
    }
    uint32_t left = count_there(s, kept, 1000, 100);
    assert_true(left >= 38); // room is made for little more than it takes
    assert_int_equal(count_there(s, kept, 1100 - left, left), left);
    assert_int_equal(evicted(kept), 100 - left);
    assert_int_equal(count_there(s, "cache", 0, 60), 60);
}

static void test_bounds_change(void **state) {
    struct scene *s = *state;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_bound_space(s->store, kept, KEPT_BYTES);
    put_many(s, kept, 0, 40);
    assert_int_equal(count_there(s, kept, 0, 40), 40); // exactly what fits
    store_bound_space(s->store, kept, 10 * BYTES);
    put_many(s, kept, 40, 1);
    uint32_t left = count_there(s, kept, 0, 41);
    assert_in_range(left, 9, 10);
    store_bound_space(s->store, kept, 0); // as any other
    put_many(s, kept, 41, 100);
    assert_int_equal(count_there(s, kept, 0, 141), left + 100);
}

// Large values: one that comes pushes out what it needs and no more.
static void test_large_values_push_out_few(void **state) {
    struct scene *s = *state;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_bound_space(s->store, kept, 10 * 65536);
    for (uint32_t i = 0; i < 30; i++) {
        clock_freeze(SCENE_WALL_MS + i, 1000000000u);
        put(s, kept, i, 65536, 0);
        store_flush(s->store);
        uint32_t fits = i < 10 ? i + 1 : 9;
        assert_true(count_there(s, kept, 0, i + 1) >= fits);
    }
    put(s, kept, 99, 10 * 65536 + 1, 0); // never fits, and pushes nothing out
    assert_true(count_there(s, kept, 0, 30) >= 9);
    assert_int_equal(count_there(s, kept, 99, 1), 0);
}

static void test_what_had_expired_is_not_counted(void **state) {
    struct scene *s = *state;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_bound_space(s->store, kept, 10 * BYTES);
    for (uint32_t i = 0; i < 10; i++)
        put(s, kept, i, BYTES, SCENE_WALL_MS + (i < 5 ? 1 : 1000000));
    store_flush(s->store);
    clock_freeze(SCENE_WALL_MS + 10, 1000000000u);
    for (uint32_t i = 10; i < 20; i++)
        put(s, kept, i, BYTES, SCENE_WALL_MS + 1000000);
    uint32_t left = count_there(s, kept, 0, 20);
    assert_in_range(left, 9, 10);
    assert_int_equal(evicted(kept), 20 - 5 - (int64_t)left);
}

// Damage takes the file, not what it was told of its spaces.
static void test_a_bound_outlives_the_file(void **state) {
    struct scene *s = *state;
    scene_open(s);
    put_many(s, kept, 0, 20);
    scene_close(s);
    assert_int_equal(truncate(s->file, 3 * 4096 + 100), 0);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    scene_open(s);
    store_bound_space(s->store, kept, 10 * BYTES);
    (void)count_there(s, kept, 0, 20); // sooner or later it is met
    put_many(s, kept, 100, 20);
    assert_true(scene_count_files(s, "damaged") >= 1);
    assert_in_range(count_there(s, kept, 0, 120), 9, 10);
    assert_true(scene_stats(s).bytes <= 10 * BYTES);
}

static void test_many_spaces(void **state) {
    struct scene *s = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                                        "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        put(s, names[i], (uint32_t)i, 100 + i, 0);
    for (size_t i = 0; i < FARTHING_COUNT(names); i += 2)
        store_delete_space(s->store, names[i]);
    assert_int_equal(scene_stats(s).entries, FARTHING_COUNT(names) / 2);
    int64_t bytes = scene_stats(s).bytes;
    scene_reopen(s);
    assert_int_equal(scene_stats(s).bytes, bytes);
}

// ---------------------------------------------------------------- older files

// As it was before spaces had bounds: one index by time over all.
static const char old_schema[] =
    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
    "CREATE TABLE entries ("
    "  space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
    "  expires_ms INTEGER NOT NULL, written_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (space, key));"
    "CREATE INDEX entries_written ON entries (written_ms);"
    "CREATE INDEX entries_expires ON entries (expires_ms) WHERE expires_ms > 0;"
    "INSERT INTO entries VALUES ('cache', x'6b31', 'old value', 0, 500),"
    "  ('cache', x'6b32', 'expires', 1000500, 600), ('cache', x'6b33', 'has expired', 900000, 700),"
    "  ('other', x'6b31', 'of another space', 0, 400);"
    "CREATE TABLE cost_log (id INTEGER, name TEXT);"
    "INSERT INTO cost_log VALUES (1, 'a row');";

static void test_an_older_file_goes_on(void **state) {
    struct scene *s = *state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(s->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, old_schema, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    scene_open(s);
    for (unsigned opened = 0; opened < 2; opened++) {
        assert_int_equal(scene_count_files(s, "damaged"), 0);
        assert_value(s, "cache", SLICE("k1"), SLICE("old value"));
        assert_value(s, "cache", SLICE("k2"), SLICE("expires"));
        assert_false(scene_has(s, "cache", SLICE("k3")));
        assert_value(s, "other", SLICE("k1"), SLICE("of another space"));
        assert_query(s, "SELECT * FROM cost_log", "[{\"id\":1,\"name\":\"a row\"}]");
        assert_query(s,
                     "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE "
                     "'entries%' ORDER BY name",
                     "[{\"name\":\"entries_expires\"},{\"name\":\"entries_space_written\"}]");
        scene_reopen(s);
    }
    put_many(s, "cache", 0, 300);
    assert_false(scene_has(s, "cache", SLICE("k1"))); // the oldest of its space has gone
    assert_value(s, "other", SLICE("k1"), SLICE("of another space"));
    assert_int_equal(scene_stats(s).failures, 0);
}

static int clear_metrics(void **state) {
    metric_reset_for_test();
    return scene_set_up(state);
}

#define COUNTED(test) cmocka_unit_test_setup_teardown(test, clear_metrics, scene_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        COUNTED(test_a_space_makes_room_for_itself_alone),
        COUNTED(test_a_bound_of_its_own_holds),
        SCENE(test_bounds_change),
        SCENE(test_large_values_push_out_few),
        COUNTED(test_what_had_expired_is_not_counted),
        SCENE_CLOSED(test_a_bound_outlives_the_file),
        SCENE(test_many_spaces),
        SCENE_CLOSED(test_an_older_file_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
