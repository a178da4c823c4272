// After a crash the cost log may know rows that the table of requests does not:
// they are put into it, once, and nothing else is.
#include "scene.h"

static const struct {
    const char *line;
    bool taken;
} lines[] = {
    {"-cut-by-the-tail\"}\n", false},                 // no JSON
    {"{\"request_id\":\"row-000000\"}\n", false},     // the table has it
    {"{\"request_id\":\"lost-1\",\"cost_usd\":\"0.5\",\"tenant_id\":\"a\"}\n", true},
    {"{\"request_id\":\"lost-2\",\"cost_usd\":null}\n", true},
    {"{\"cost_usd\":\"1\"}\n", false},                // no row of ours
    {"\n", false},
    {"{\"request_id\":\"torn\",\"cost", false},       // cut by the crash
};

struct tables {
    struct scene *s;
    struct store *store;
};

static void open_both(struct tables *t) {
    struct error err;
    t->store = store_open(&(struct store_options){.path = t->s->directory, .max_bytes = 1 << 20}, &err);
    assert_non_null(t->store);
    t->s->ledger = ledger_open(&(struct ledger_options){t->s->log, t->store, 0}, &err);
    assert_non_null(t->s->ledger);
}

static void close_both(struct tables *t) {
    ledger_close(t->s->ledger);
    t->s->ledger = NULL;
    store_close(t->store);
}

static int64_t count_rows(struct store *store, const char *where) {
    struct buffer sql = {0}, out = {0};
    struct error err;
    int64_t n = -1;
    buffer_printf(&sql, "SELECT count(*) AS n FROM requests WHERE %s", where);
    buffer_append_char(&sql, '\0');
    assert_true(store_query_now(store, sql.ptr, NULL, 0, &out, &err));
    struct json_doc *doc = json_doc_new();
    assert_true(json_parse(doc, buffer_slice(&out), NULL, &err));
    assert_true(json_i64(doc, json_get(doc, json_at(doc, JSON_ROOT, 0), SLICE("n")), &n));
    json_doc_free(doc);
    buffer_free(&sql);
    buffer_free(&out);
    return n;
}

static void append_lines(const struct scene *s) {
    FILE *f = fopen(s->log, "ae");
    assert_non_null(f);
    for (size_t i = 0; i < FARTHING_COUNT(lines); i++)
        fputs(lines[i].line, f);
    fclose(f);
}

static void test_lost_rows_are_taken_once(void **state) {
    struct tables t = {.s = *state};
    open_both(&t);
    scene_record(t.s, 0);
    ledger_flush(t.s->ledger);
    close_both(&t);
    append_lines(t.s);
    for (int again = 0; again < 2; again++) {
        open_both(&t);
        ledger_flush(t.s->ledger);
        for (size_t i = 0; i < FARTHING_COUNT(lines); i++) {
            char where[64];
            if (!lines[i].taken)
                continue;
            snprintf(where, sizeof where, "request_id = 'lost-%zu'", i - 1);
            assert_int_equal(count_rows(t.store, where), 1);
        }
        assert_int_equal(count_rows(t.store, "1"), 3);
        assert_int_equal(count_rows(t.store, "cost_usd = '0.5' AND tenant_id = 'a'"), 1);
        close_both(&t);
    }
}

// A new store is not filled with what another one knew.
static void test_an_empty_table_stays_empty(void **state) {
    struct tables t = {.s = *state};
    append_lines(t.s);
    open_both(&t);
    ledger_flush(t.s->ledger);
    assert_int_equal(count_rows(t.store, "1"), 0);
    close_both(&t);
}

// A log to which an operator goes back after months, whose rows the table had once.
static void test_a_log_of_another_time_is_left(void **state) {
    enum { MORE_THAN_ARE_LOOKED_AT = 20001 };
    struct tables t = {.s = *state};
    open_both(&t);
    scene_record_many(t.s, 0, MORE_THAN_ARE_LOOKED_AT); // of 1970
    close_both(&t);
    FILE *f = fopen(t.s->log, "ae");
    assert_non_null(f);
    fputs("{\"ts\":\"1969-12-31T00:00:00.000Z\",\"request_id\":\"long-ago\"}\n"
          "{\"ts\":\"2999-01-01T00:00:00.000Z\",\"request_id\":\"just-now\"}\n", f);
    fclose(f);
    open_both(&t);
    ledger_flush(t.s->ledger);
    assert_int_equal(count_rows(t.store, "request_id = 'long-ago'"), 0);
    assert_int_equal(count_rows(t.store, "request_id = 'just-now'"), 1);
    close_both(&t);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_lost_rows_are_taken_once),
        TEST(test_an_empty_table_stays_empty),
        TEST(test_a_log_of_another_time_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
