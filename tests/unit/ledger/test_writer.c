// The writer: every row once, in one piece, whatever happens around it: many
// threads, flushes, rotation, shutdown; and the same rows in the table.
#include "scene.h"

#include <pthread.h>
#include <sqlite3.h>

enum { MANY = 3000 };

static void assert_rows_in_log(const struct scene *s, unsigned count) {
    unsigned char *seen = base_calloc(count + 1, 1);
    unsigned torn = 0;
    scene_count_rows(s->log, seen, count, &torn);
    assert_int_equal(torn, 0);
    assert_each_once(seen, count);
    free(seen);
}

static void test_flush_writes_all_so_far(void **state) {
    struct scene *s = *state;
    scene_open(s, s->log, 0);
    ledger_flush(s->ledger); // with nothing to do it returns too
    for (unsigned i = 0; i < 20; i++) {
        scene_record_many(s, i * 5, 5);
        ledger_flush(s->ledger);
        assert_rows_in_log(s, i * 5 + 5);
        assert_int_equal(scene_stats(s).written, i * 5 + 5);
    }
    assert_int_equal(scene_stats(s).rows, 100);
    assert_int_equal(scene_stats(s).dropped, 0);
    assert_int_equal(scene_stats(s).write_errors, 0);
}

static void test_close_writes_what_is_left(void **state) {
    struct scene *s = *state;
    for (unsigned round = 0; round < 10; round++) { // and appends to what is there
        scene_open(s, s->log, 0);
        scene_record_many(s, round * 30, 30);
        ledger_close(s->ledger);
        s->ledger = NULL;
        assert_rows_in_log(s, round * 30 + 30);
    }
    scene_open(s, s->log, 0);
}

static void test_rows_without_a_log_count_as_written(void **state) {
    struct scene *s = *state;
    scene_open(s, NULL, 0);
    scene_record_many(s, 0, 10);
    ledger_reopen(s->ledger);
    ledger_flush(s->ledger);
    assert_int_equal(scene_stats(s).written, 10);
    ledger_close(s->ledger);
    scene_open(s, "", 0);
    ledger_flush(s->ledger);
}

// ------------------------------------------------------------------- threads

struct crowd {
    struct scene *scene;
    unsigned from;
};

static void *record_some(void *arg) {
    struct crowd *c = arg;
    for (unsigned i = 0; i < MANY; i++) {
        scene_record(c->scene, c->from + i);
        if (i % 500 == 0)
            ledger_flush(c->scene->ledger);
        if (i % 700 == 0)
            ledger_reopen(c->scene->ledger);
    }
    return NULL;
}

static void test_many_threads(void **state) {
    struct scene *s = *state;
    enum { THREADS = 4 };
    struct crowd crowds[THREADS];
    pthread_t threads[THREADS];
    scene_open(s, s->log, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){s, i * MANY};
        assert_int_equal(pthread_create(&threads[i], NULL, record_some, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ledger_flush(s->ledger);
    assert_rows_in_log(s, THREADS * MANY);
    assert_int_equal(scene_stats(s).written, THREADS * MANY);
}

// A lost wake-up would hang here: each flush needs the thread to wake twice.
static void *flush_often(void *arg) {
    struct scene *s = arg;
    for (unsigned i = 0; i < 2000; i++)
        ledger_flush(s->ledger);
    return NULL;
}

static void test_flushes_from_many_threads(void **state) {
    struct scene *s = *state;
    pthread_t threads[3];
    scene_open(s, s->log, 0);
    for (size_t i = 0; i < FARTHING_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flush_often, s), 0);
    scene_record_many(s, 0, 1000);
    for (size_t i = 0; i < FARTHING_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    ledger_flush(s->ledger);
    assert_rows_in_log(s, 1000);
}

// ------------------------------------------------------------------ rotation

static void move_log(const struct scene *s, char moved[160]) {
    snprintf(moved, 160, "%s.1", s->log);
    assert_int_equal(rename(s->log, moved), 0);
}

static void test_a_renamed_file_is_left(void **state) {
    struct scene *s = *state;
    char moved[160];
    unsigned char seen[8] = {0};
    unsigned torn = 0;
    scene_open(s, s->log, 0);
    scene_record_many(s, 0, 3);
    ledger_flush(s->ledger);
    move_log(s, moved);
    scene_record_many(s, 3, 5);
    ledger_flush(s->ledger);
    scene_count_rows(moved, seen, 8, &torn);
    assert_int_equal(seen[0] + seen[1] + seen[2], 3);
    assert_int_equal(seen[3], 0);
    scene_count_rows(s->log, seen, 8, &torn);
    assert_each_once(seen, 8);
    assert_int_equal(torn, 0);
}

static void test_a_removed_file_is_made_again(void **state) {
    struct scene *s = *state;
    unsigned char seen[4] = {0};
    unsigned torn = 0;
    scene_open(s, s->log, 0);
    scene_record(s, 0);
    ledger_flush(s->ledger);
    assert_int_equal(unlink(s->log), 0);
    scene_record_many(s, 1, 3);
    ledger_flush(s->ledger);
    scene_count_rows(s->log, seen, 4, &torn);
    seen[0]++; // went with its file
    assert_each_once(seen, 4);
}

// As logrotate does it: rename, then SIGHUP; the new file is there at once.
static void test_reopen(void **state) {
    struct scene *s = *state;
    char moved[160];
    scene_open(s, s->log, 0);
    ledger_flush(s->ledger);
    move_log(s, moved);
    ledger_reopen(s->ledger);
    ledger_flush(s->ledger);
    assert_int_equal(access(s->log, F_OK), 0);
    ledger_reopen(s->ledger); // the same file: nothing changes
    scene_record_many(s, 0, 4);
    ledger_flush(s->ledger);
    assert_rows_in_log(s, 4);
}

static void test_the_directory_is_made(void **state) {
    struct scene *s = *state;
    char path[160];
    snprintf(path, sizeof path, "%s/sub", s->directory);
    char log[200];
    snprintf(log, sizeof log, "%s/cost.jsonl", path);
    scene_open(s, log, 0);
    scene_record(s, 0);
    ledger_flush(s->ledger);
    struct stat st;
    assert_int_equal(stat(log, &st), 0);
    assert_true(st.st_size > 0);
    assert_int_equal(st.st_mode & 0007, 0); // attribution is nobody else's affair
    unlink(log);
    rmdir(path);
}

// A process that was killed amid a line: the next begins on a line of its own.
static void test_a_torn_last_line_is_ended(void **state) {
    struct scene *s = *state;
    FILE *f = fopen(s->log, "we");
    fputs("{\"request_id\":\"row-", f);
    fclose(f);
    scene_open(s, s->log, 0);
    scene_record_many(s, 0, 2);
    ledger_flush(s->ledger);
    unsigned char seen[2] = {0};
    unsigned torn = 0;
    scene_count_rows(s->log, seen, 2, &torn);
    assert_each_once(seen, 2);
    assert_int_equal(torn, 1);
}

// ----------------------------------------------------------------- the table

static void test_rows_reach_the_table(void **state) {
    struct scene *s = *state;
    struct error err;
    char path[160];
    struct store *store = store_open(&(struct store_options){s->directory, 1 << 20}, &err);
    assert_non_null(store);
    struct ledger *l = ledger_open(&(struct ledger_options){s->log, store, 0}, &err);
    assert_non_null(l);
    struct cost_row row = {.ts_ms = INT64_C(1795236447123), .request_id = SLICE("01K"),
                           .tenant_id = SLICE("ac\"me\n"), .stream = true, .status = 200,
                           .usage = {.input_tokens = 1234}, .cost_known = true,
                           .cost = {150000000}, .ttft_ms = -1};
    row.saved[LEDGER_SAVED_CACHE].pico = 5;
    ledger_record(l, &row);
    ledger_flush(l);

    snprintf(path, sizeof path, "%s/farthing.db", s->directory);
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT ts, tenant_id, stream, status, input_tokens, cost_usd, ttft_ms, "
                           "json_extract(saved_usd, '$.cache'), typeof(input_tokens), user_id "
                           "FROM requests WHERE request_id = '01K'", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(q, 0), "2026-11-21T04:47:27.123Z");
    assert_string_equal(sqlite3_column_text(q, 1), "ac\"me\n");
    assert_int_equal(sqlite3_column_int(q, 2), 1);
    assert_int_equal(sqlite3_column_int(q, 3), 200);
    assert_int_equal(sqlite3_column_int(q, 4), 1234);
    assert_string_equal(sqlite3_column_text(q, 5), "0.00015");
    assert_int_equal(sqlite3_column_type(q, 6), SQLITE_NULL);
    assert_string_equal(sqlite3_column_text(q, 7), "0.000000000005");
    assert_string_equal(sqlite3_column_text(q, 8), "integer");
    assert_int_equal(sqlite3_column_type(q, 9), SQLITE_NULL);
    assert_int_equal(sqlite3_step(q), SQLITE_DONE);
    sqlite3_finalize(q);
    sqlite3_close(db);
    ledger_close(l);
    store_close(store);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_set_up, scene_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(test_flush_writes_all_so_far),
        SCENE(test_close_writes_what_is_left),
        SCENE(test_rows_without_a_log_count_as_written),
        SCENE(test_many_threads),
        SCENE(test_flushes_from_many_threads),
        SCENE(test_a_renamed_file_is_left),
        SCENE(test_a_removed_file_is_made_again),
        SCENE(test_reopen),
        SCENE(test_the_directory_is_made),
        SCENE(test_a_torn_last_line_is_ended),
        SCENE(test_rows_reach_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
