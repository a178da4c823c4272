// The writer on bad days: a disk that is full from the start, that fills amid a
// line, that has room again; a log that cannot be opened; a queue that overflows.
// The complaints are caught from stderr, to see that they are few.
#include "scene.h"

#include <fcntl.h>
#include <sys/resource.h>

// ------------------------------------------------------------------- helpers

// Between these two, what goes to stderr goes to a pipe.
struct ear {
    int real, pipe[2];
};

static void ear_open(struct ear *e) {
    assert_int_equal(pipe(e->pipe), 0);
    fcntl(e->pipe[0], F_SETFL, O_NONBLOCK);
    e->real = dup(STDERR_FILENO);
    dup2(e->pipe[1], STDERR_FILENO);
}

// How often `word` was said; NULL: never mind.
static unsigned ear_close(struct ear *e, const char *word) {
    static char heard[65536];
    dup2(e->real, STDERR_FILENO);
    close(e->real);
    close(e->pipe[1]);
    ssize_t n = read(e->pipe[0], heard, sizeof heard - 1);
    close(e->pipe[0]);
    heard[n > 0 ? n : 0] = '\0';
    unsigned count = 0;
    for (const char *at = heard; word != NULL && (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

// A disk of so many bytes: no file grows over it. SIGXFSZ stays as it is, so a
// thread that does not block it would end the process.
static struct rlimit whole_disk;

static void disk_of(rlim_t bytes) {
    struct rlimit small = {bytes, whole_disk.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static void disk_whole(void) {
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole_disk), 0);
}

static int set_up(void **state) {
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole_disk), 0);
    return scene_set_up(state);
}

static int tear_down(void **state) {
    disk_whole();
    return scene_tear_down(state);
}

static off_t log_bytes(const struct scene *s) {
    struct stat st;
    return stat(s->log, &st) == 0 ? st.st_size : -1;
}

// --------------------------------------------------------------------- tests

static void test_a_full_disk_is_said_once_and_counted(void **state) {
    struct scene *s = *state;
    struct ear ear;
    ear_open(&ear);
    scene_open(s, "/dev/full", 0);
    for (unsigned i = 0; i < 20; i++) {
        scene_record(s, i);
        ledger_flush(s->ledger); // returns, though nothing was written
    }
    struct ledger_stats stats = scene_stats(s);
    ledger_close(s->ledger);
    s->ledger = NULL;
    assert_int_equal(ear_close(&ear, "No space left"), 1);
    assert_int_equal(stats.rows, 20);
    assert_int_equal(stats.written, 0);
    assert_true(stats.write_errors >= 20); // each try
    assert_int_equal(stats.dropped, 0);    // they wait
}

static void test_what_a_full_disk_keeps_is_counted_as_lost(void **state) {
    struct scene *s = *state;
    struct ear ear;
    metric_reset_for_test();
    ear_open(&ear);
    scene_open(s, "/dev/full", 0);
    scene_record_many(s, 0, 5);
    ledger_close(s->ledger);
    s->ledger = NULL;
    assert_int_equal(ear_close(&ear, "5 rows could not be written"), 1);
    struct buffer text = {0};
    metric_write_all(&text);
    assert_true(slice_find(buffer_slice(&text), SLICE("farthing_cost_rows_dropped_total 5\n")) >=
                0);
    buffer_free(&text);
}

// Rows before, during and after: each is in the file once, the torn one too.
static void test_room_again(void **state) {
    struct scene *s = *state;
    struct ear ear;
    unsigned char seen[30] = {0};
    unsigned torn = 0;
    scene_open(s, s->log, 0);
    scene_record_many(s, 0, 10);
    ledger_flush(s->ledger);
    off_t before = log_bytes(s);
    ear_open(&ear);
    disk_of((rlim_t)(before + before / 4)); // two rows and a half
    scene_record_many(s, 10, 10);
    ledger_flush(s->ledger);
    assert_int_equal(log_bytes(s), before + before / 4);
    assert_int_equal(scene_stats(s).written, 12);
    disk_whole();
    scene_record_many(s, 20, 10);
    ledger_flush(s->ledger);
    assert_int_equal(ear_close(&ear, "rows wait"), 1);
    scene_count_rows(s->log, seen, 30, &torn);
    assert_each_once(seen, 30);
    assert_int_equal(torn, 0);
    assert_int_equal(scene_stats(s).written, 30);
}

// The operator takes the full file away: the rows that wait go to the new one,
// the torn line whole.
static void test_a_full_file_can_be_rotated(void **state) {
    struct scene *s = *state;
    struct ear ear;
    char moved[160];
    unsigned char seen[20] = {0};
    unsigned torn = 0;
    scene_open(s, s->log, 0);
    scene_record_many(s, 0, 10);
    ledger_flush(s->ledger);
    ear_open(&ear);
    disk_of((rlim_t)(log_bytes(s) * 5 / 4));
    scene_record_many(s, 10, 5);
    ledger_flush(s->ledger);
    snprintf(moved, sizeof moved, "%s.1", s->log);
    assert_int_equal(rename(s->log, moved), 0);
    scene_record_many(s, 15, 5);
    ledger_flush(s->ledger);
    ear_close(&ear, NULL);
    scene_count_rows(moved, seen, 20, &torn);
    assert_int_equal(torn, 1);
    assert_int_equal(seen[12], 0);
    scene_count_rows(s->log, seen, 20, &torn);
    assert_int_equal(torn, 1);
    assert_each_once(seen, 20);
}

static void test_reopening_a_torn_file_starts_a_line(void **state) {
    struct scene *s = *state;
    struct ear ear;
    unsigned char seen[12] = {0};
    unsigned torn = 0;
    scene_open(s, s->log, 0);
    scene_record_many(s, 0, 10);
    ledger_flush(s->ledger);
    ear_open(&ear);
    disk_of((rlim_t)(log_bytes(s) * 21 / 20)); // half a row
    scene_record_many(s, 10, 2);
    ledger_flush(s->ledger);
    disk_whole();
    ledger_reopen(s->ledger);
    ledger_flush(s->ledger);
    ear_close(&ear, NULL);
    scene_count_rows(s->log, seen, 12, &torn);
    assert_each_once(seen, 12);
    assert_int_equal(torn, 1);
}

static void test_the_queue_is_bounded(void **state) {
    struct scene *s = *state;
    struct ear ear;
    enum { ROWS = 100 };
    ear_open(&ear);
    scene_open(s, "/dev/full", 8192);
    for (unsigned i = 0; i < ROWS; i++) {
        scene_record(s, i);
        ledger_flush(s->ledger);
    }
    struct ledger_stats stats = scene_stats(s);
    ear_close(&ear, NULL);
    assert_int_equal(stats.rows, ROWS);
    assert_true(stats.dropped > ROWS / 2 && stats.dropped < ROWS); // some eight wait
}

static void test_one_row_larger_than_the_queue(void **state) {
    struct scene *s = *state;
    scene_open(s, s->log, 100);
    scene_record(s, 0);
    ledger_flush(s->ledger);
    assert_int_equal(scene_stats(s).dropped, 1);
    assert_int_equal(log_bytes(s), 0);
}

static void test_a_log_that_cannot_be_opened(void **state) {
    struct scene *s = *state;
    struct error err;
    static const char *const paths[] = {"/nonexistent/deeper/cost.jsonl", "/", "/dev/null/x"};
    for (size_t i = 0; i < FARTHING_COUNT(paths); i++) {
        s->ledger = ledger_open(&(struct ledger_options){paths[i], NULL, 0}, &err);
        assert_null(s->ledger);
        assert_non_null(strstr(err.text, paths[i]));
    }
}

// Removed with its directory: rows wait until the directory can be made.
static void test_the_directory_goes(void **state) {
    struct scene *s = *state;
    struct ear ear;
    unsigned char seen[3] = {0};
    unsigned torn = 0;
    scene_open(s, s->log, 0);
    ledger_flush(s->ledger);
    scene_remove_files(s);
    assert_int_equal(rmdir(s->directory), 0);
    FILE *in_the_way = fopen(s->directory, "we");
    fclose(in_the_way);
    ear_open(&ear);
    scene_record_many(s, 0, 2);
    ledger_flush(s->ledger);
    assert_int_equal(scene_stats(s).written, 0);
    assert_int_equal(unlink(s->directory), 0);
    scene_record(s, 2);
    ledger_flush(s->ledger);
    assert_int_equal(ear_close(&ear, "cannot open"), 1);
    scene_count_rows(s->log, seen, 3, &torn);
    assert_each_once(seen, 3);
}

static void test_one_warning_for_each_unknown_model(void **state) {
    struct scene *s = *state;
    struct ear ear;
    struct cost_row row = {.provider = SLICE("openai"), .model = SLICE("new-model")};
    ear_open(&ear);
    scene_open(s, NULL, 0);
    for (unsigned i = 0; i < 10; i++)
        ledger_record(s->ledger, &row);
    row.model = SLICE("other-model");
    ledger_record(s->ledger, &row);
    assert_int_equal(ear_close(&ear, "no price is known for"), 2);
    ear_open(&ear); // clients may invent models without end
    for (unsigned i = 0; i < 400; i++) {
        char name[16];
        row.model = slice_make(name, (size_t)snprintf(name, sizeof name, "m%u", i));
        ledger_record(s->ledger, &row);
    }
    assert_true(ear_close(&ear, "no price is known for") <= 256);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(test_a_full_disk_is_said_once_and_counted),
        SCENE(test_what_a_full_disk_keeps_is_counted_as_lost),
        SCENE(test_room_again),
        SCENE(test_a_full_file_can_be_rotated),
        SCENE(test_reopening_a_torn_file_starts_a_line),
        SCENE(test_the_queue_is_bounded),
        SCENE(test_one_row_larger_than_the_queue),
        SCENE(test_a_log_that_cannot_be_opened),
        SCENE(test_the_directory_goes),
        SCENE(test_one_warning_for_each_unknown_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
