// Bad days that are not damage: directories that cannot be used, a full disk,
// another process that holds the lock, a queue that overflows.
#include "scene.h"

#include <sys/resource.h>

static void silence(void) {
    log_set_level((enum log_level)(LOG_ERROR + 1));
}

static void test_directories_that_cannot_be_used(void **state) {
    struct scene *s = *state;
    char long_path[5000];
    memset(long_path, 'd', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    FILE *f = fopen(s->file, "we");
    fclose(f);
    const char *const paths[] = {
        "/nonexistent/deeper", "/dev/null", s->file, "", long_path, "/proc"};
    for (size_t i = 0; i < FARTHING_COUNT(paths); i++) {
        struct error err = {{0}};
        assert_null(store_open(&(struct store_options){paths[i], 1000}, &err));
        assert_true(err.text[0] != '\0');
    }
}

// Mode bits mean nothing to root, so it is also done as somebody else.
static void test_a_directory_that_is_not_writable(void **state) {
    struct scene *s = *state;
    assert_int_equal(chmod(s->directory, 0555), 0);
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    struct error err = {{0}};
    struct store *store = store_open(&(struct store_options){s->directory, 1000}, &err);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    chmod(s->directory, 0755);
    assert_null(store);
    assert_non_null(strstr(err.text, s->directory));
}

static void test_the_directory_is_made_private(void **state) {
    struct scene *s = *state;
    assert_int_equal(rmdir(s->directory), 0);
    scene_open(s);
    struct stat st;
    assert_int_equal(stat(s->directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

// ----------------------------------------------------------------- full disk

static struct rlimit whole_disk;

// No file grows over so many bytes. SIGXFSZ stays as it is, so a thread that
// does not block it would end the process.
static void disk_of(rlim_t bytes) {
    struct rlimit small = {bytes, whole_disk.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static int tear_down_disk(void **state) {
    setrlimit(RLIMIT_FSIZE, &whole_disk);
    return scene_tear_down(state);
}

static int set_up_disk(void **state) {
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole_disk), 0);
    return scene_set_up(state);
}

static void test_a_full_disk(void **state) {
    struct scene *s = *state;
    enum { BYTES = 8000 };
    char *value = base_calloc(1, BYTES);
    struct store_journal *j = scene_journal(s);
    store_put(s->store, "cache", SLICE("before"), SLICE("v"), 0);
    scene_append(j, 0, 10);
    store_flush(s->store);
    silence();
    disk_of(128 * 1024);
    for (uint32_t i = 0; i < 60; i++) {
        store_put(s->store, "cache", slice_make(&i, sizeof i), slice_make(value, BYTES), 0);
        scene_append(j, 10 + i, 1);
        store_flush(s->store); // returns, whatever became of them
    }
    struct store_stats full = scene_stats(s);
    assert_true(full.failures > 0);
    assert_true(store_disk_troubles(s->store) > 0);
    assert_value(s, "cache", SLICE("before"), SLICE("v")); // reading goes on
    assert_int_equal(scene_count_files(s, "damaged"), 0);  // a full disk is no damage
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole_disk), 0);
    store_put(s->store, "cache", SLICE("after"), SLICE("v"), 0);
    scene_append(j, 70, 1);
    store_flush(s->store);
    assert_true(scene_has(s, "cache", SLICE("after")));
    // Values may be lost; rows are not, and none is there twice.
    assert_query(s, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM rows",
                 "[{\"n\":71,\"d\":71}]");
    assert_int_equal(scene_stats(s).dropped, 0);
    struct store_stats before = scene_stats(s);
    scene_reopen(s); // what was counted is what is there
    assert_int_equal(scene_stats(s).bytes, before.bytes);
    assert_int_equal(scene_stats(s).entries, before.entries);
    free(value);
}

static void test_full_until_the_end(void **state) {
    struct scene *s = *state;
    struct store_journal *j = scene_journal(s);
    store_flush(s->store);
    silence();
    disk_of(1);
    scene_append(j, 0, 5);
    store_flush(s->store);
    assert_true(scene_stats(s).failures > 0);
    scene_close(s); // comes to its end all the same
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole_disk), 0);
    scene_open(s);
    scene_journal(s);
    assert_query(s, "SELECT count(*) AS n FROM rows", "[{\"n\":0}]");
}

// ------------------------------------------------------------ other processes

static void test_a_second_store_on_the_same_file(void **state) {
    struct scene *s = *state;
    struct scene other = *s;
    scene_open(&other);
    struct store_journal *a = scene_journal(s), *b = scene_journal(&other);
    for (unsigned i = 0; i < 50; i++) {
        store_put(i % 2 ? s->store : other.store, "cache", slice_make(&i, sizeof i), SLICE("v"), 0);
        scene_append(i % 2 ? a : b, i, 1);
    }
    store_flush(s->store);
    store_flush(other.store);
    for (unsigned i = 0; i < 50; i++) {
        assert_true(scene_has(s, "cache", slice_make(&i, sizeof i)));
        assert_true(scene_has(&other, "cache", slice_make(&i, sizeof i)));
    }
    assert_query(s, "SELECT count(*) AS n FROM rows", "[{\"n\":50}]");
    scene_close(&other);
}

static void test_a_lock_that_is_held(void **state) {
    struct scene *s = *state;
    struct store_journal *j = scene_journal(s);
    sqlite3 *other;
    store_put(s->store, "cache", SLICE("before"), SLICE("v"), 0);
    store_flush(s->store);
    silence();
    assert_int_equal(sqlite3_open(s->file, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (unsigned i = 0; i < 100; i++) {
        store_put(s->store, "cache", slice_make(&i, sizeof i), SLICE("v"), 0);
        scene_append(j, i, 1);
    }
    assert_value(s, "cache", SLICE("before"), SLICE("v")); // reading needs no lock
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n FROM rows", "[{\"n\":0}]");
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    scene_append(j, 100, 1);
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM rows",
                 "[{\"n\":101,\"d\":101}]");
    assert_int_equal(scene_count_files(s, "damaged"), 0);
}

// ------------------------------------------------------------------ the queue

static void test_the_queue_is_bounded(void **state) {
    struct scene *s = *state;
    pthread_mutex_lock(&s->store->lock);
    s->store->queued_bytes = QUEUE_BYTES_MAX - 3; // as if so much waited
    pthread_mutex_unlock(&s->store->lock);
    store_put(s->store, "cache", SLICE("long key"), SLICE("v"), 0);
    struct answer a = {0};
    assert_null(store_get(s->client, "cache", SLICE("long key"), on_answer, &a));
    struct store_stats stats;
    store_stats_get(s->store, &stats);
    assert_int_equal(stats.dropped, 1);
    store_flush(s->store); // who waits is always let in; and then there is room
    store_put(s->store, "cache", SLICE("long key"), SLICE("v"), 0);
    assert_true(scene_has(s, "cache", SLICE("long key")));
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_int_equal(a.calls, 0);
}

#define DISK(test) cmocka_unit_test_setup_teardown(test, set_up_disk, tear_down_disk)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_CLOSED(test_directories_that_cannot_be_used),
        SCENE_CLOSED(test_a_directory_that_is_not_writable),
        SCENE_CLOSED(test_the_directory_is_made_private),
        DISK(test_a_full_disk),
        DISK(test_full_until_the_end),
        SCENE(test_a_second_store_on_the_same_file),
        SCENE(test_a_lock_that_is_held),
        SCENE(test_the_queue_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
