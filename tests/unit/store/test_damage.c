// Damaged files: noticed, moved aside, replaced; what comes with the discovery
// is not lost, and nothing of it is fatal.
#include "scene.h"

enum { PAGE = 4096 };

// A database with enough in it that its middle is data.
static void fill(struct scene *s) {
    char value[3000];
    memset(value, 'v', sizeof value);
    scene_open(s);
    for (uint32_t i = 0; i < 200; i++)
        store_put(s->store, "cache", slice_make(&i, sizeof i), slice_make(value, sizeof value), 0);
    scene_append(scene_journal(s), 0, 500);
    scene_close(s); // and the WAL is folded in
    log_set_level((enum log_level)(LOG_ERROR + 1));
}

static void overwrite(const char *path, off_t at, size_t count, int byte) {
    char bytes[PAGE];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    memset(bytes, byte, sizeof bytes);
    for (size_t n; count > 0; count -= n, at += (off_t)n) {
        n = count < sizeof bytes ? count : sizeof bytes;
        assert_int_equal(pwrite(fd, bytes, n, at), n);
    }
    close(fd);
}

static off_t size_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

// The store serves, whatever became of the old file.
static void assert_serves(struct scene *s) {
    store_put(s->store, "cache", SLICE("new"), SLICE("value"), 0);
    assert_value(s, "cache", SLICE("new"), SLICE("value"));
    struct store_journal *j = scene_journal(s);
    scene_append(j, 900, 2);
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n FROM rows WHERE id >= 900", "[{\"n\":2}]");
}

static void test_garbage(void **state) {
    struct scene *s = *state;
    fill(s);
    overwrite(s->file, 0, PAGE, 'x');
    scene_open(s);
    assert_int_equal(scene_count_files(s, "damaged"), 1);
    assert_int_equal(scene_stats(s).entries, 0);
    assert_serves(s);
    scene_reopen(s); // the new file is sound
    assert_int_equal(scene_count_files(s, "damaged"), 1);
    assert_true(scene_has(s, "cache", SLICE("new")));
}

static void test_no_database_at_all(void **state) {
    static const char *const contents[] = {"hello", "SQLite format 3", ""};
    struct scene *s = *state;
    for (size_t i = 0; i < FARTHING_COUNT(contents); i++) {
        directory_clear(s->directory);
        FILE *f = fopen(s->file, "we");
        fputs(contents[i], f);
        fclose(f);
        log_set_level((enum log_level)(LOG_ERROR + 1));
        scene_open(s);
        assert_serves(s);
        scene_close(s);
        assert_int_equal(scene_count_files(s, "damaged"), contents[i][0] != '\0');
    }
}

static void test_truncated(void **state) {
    struct scene *s = *state;
    fill(s);
    assert_int_equal(truncate(s->file, size_of(s->file) / 2), 0);
    scene_open(s);
    for (uint32_t i = 0; i < 200; i++) // sooner or later it is met
        (void)scene_has(s, "cache", slice_make(&i, sizeof i));
    assert_serves(s);
    assert_true(scene_count_files(s, "damaged") >= 1);
}

// Flipped in the middle, and met only while running: the batch that meets it
// goes into the new file.
static void test_damage_met_while_running(void **state) {
    struct scene *s = *state;
    fill(s);
    overwrite(s->file, PAGE, (size_t)size_of(s->file) - PAGE, 0x5a);
    // All but the first page is garbage; opening may meet it already.
    scene_open(s);
    struct answer a = {0};
    uint32_t i = 7;
    store_put(s->store, "cache", SLICE("with it"), SLICE("v"), 0);
    assert_non_null(store_get(s->client, "cache", slice_make(&i, sizeof i), on_answer, &a));
    scene_await(s, &a);
    assert_int_equal(a.status, STORE_MISSING);
    buffer_free(&a.value);
    assert_value(s, "cache", SLICE("with it"), SLICE("v"));
    assert_serves(s);
    assert_int_equal(scene_count_files(s, "damaged") > 0, 1);
}

// While the process holds it: the cache of pages is small, so it is met soon.
static void test_damage_under_a_running_store(void **state) {
    struct scene *s = *state;
    char value[3000];
    memset(value, 'v', sizeof value);
    s->max_bytes = 64 << 20;
    scene_open(s);
    struct store_journal *j = scene_journal(s);
    for (uint32_t i = 0; i < 4000; i++)
        store_put(s->store, "cache", slice_make(&i, sizeof i), slice_make(value, sizeof value), 0);
    store_flush(s->store);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    overwrite(s->file, PAGE, (size_t)size_of(s->file) - PAGE, 0x5a);
    for (uint32_t i = 0; i < 4000 && scene_count_files(s, "damaged") == 0; i++) {
        scene_append(j, i, 1);
        (void)scene_has(s, "cache", slice_make(&i, sizeof i));
    }
    assert_true(scene_count_files(s, "damaged") > 0);
    store_put(s->store, "cache", SLICE("new"), SLICE("value"), 0);
    assert_value(s, "cache", SLICE("new"), SLICE("value"));
    scene_append(j, 9000, 1); // the journal opened before goes on
    store_flush(s->store);
    assert_query(s, "SELECT max(id) AS m FROM rows", "[{\"m\":9000}]");
    struct stat st;
    assert_int_equal(stat(s->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

// Every place in turn: never fatal, always serving afterwards.
static void test_a_flipped_page_anywhere(void **state) {
    struct scene *s = *state;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    for (unsigned i = 0; i < 24; i++) {
        directory_clear(s->directory);
        fill(s);
        off_t pages = size_of(s->file) / PAGE;
        overwrite(s->file, (off_t)(i * (unsigned)pages / 24) * PAGE + 8 * i, 64, 0xff);
        scene_open(s);
        for (uint32_t n = 0; n < 200; n += 7)
            (void)scene_has(s, "cache", slice_make(&n, sizeof n));
        assert_serves(s);
        scene_close(s);
    }
}

static void test_a_left_over_wal(void **state) {
    struct scene *s = *state;
    char wal[160];
    fill(s);
    snprintf(wal, sizeof wal, "%s-wal", s->file);
    FILE *f = fopen(wal, "we");
    for (unsigned i = 0; i < 5000; i++)
        fputs("garbage ", f);
    fclose(f);
    scene_open(s);
    uint32_t key = 199;
    assert_true(scene_has(s, "cache", slice_make(&key, sizeof key))); // it is not played
    assert_int_equal(scene_count_files(s, "damaged"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_CLOSED(test_garbage),
        SCENE_CLOSED(test_no_database_at_all),
        SCENE_CLOSED(test_truncated),
        SCENE_CLOSED(test_damage_met_while_running),
        SCENE_CLOSED(test_damage_under_a_running_store),
        SCENE_CLOSED(test_a_flipped_page_anywhere),
        SCENE_CLOSED(test_a_left_over_wal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
