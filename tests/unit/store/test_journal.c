// Journals: lines become rows with columns, are there after a restart, stay
// within their bound, and one bad line costs nobody else anything.
#include "scene.h"

static void test_lines_become_rows(void **state) {
    struct scene *s = *state;
    struct store_journal *j = scene_journal(s);
    store_journal_append(j, SLICE("{\"id\":1,\"name\":\"a\\\"b\",\"cost\":\"0.10\"}\n"
                                  "{\"id\":2,\"name\":null,\"other\":[1]}\n"
                                  "{\"cost\":[1, {\"a\":2}],\"name\":true,\"id\":3.5}\n"
                                  "{\"name\":\"\"}\n"));
    store_journal_flush(j);
    assert_query(s, "SELECT id, name, cost, typeof(id) AS t FROM rows WHERE id < 3 ORDER BY id",
                 "[{\"id\":1,\"name\":\"a\\\"b\",\"cost\":\"0.10\",\"t\":\"integer\"},"
                 "{\"id\":2,\"name\":null,\"cost\":null,\"t\":\"integer\"}]");
    // Whatever the members' order and types; what a line lacks is null.
    assert_query(s, "SELECT id, name, json_extract(cost, '$[1].a') AS c FROM rows WHERE id > 3",
                 "[{\"id\":3.5,\"name\":\"1\",\"c\":2}]");
    assert_query(s, "SELECT name, cost FROM rows WHERE id IS NULL", "[{\"name\":\"\",\"cost\":null}]");
}

static void test_a_restart_keeps_them(void **state) {
    struct scene *s = *state;
    scene_append(scene_journal(s), 0, 1000); // queued only
    scene_reopen(s);
    scene_append(scene_journal(s), 1000, 5);
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n, max(id) AS m FROM rows", "[{\"n\":1005,\"m\":1004}]");
}

static void test_a_new_column_is_added(void **state) {
    struct scene *s = *state;
    static const struct store_column more[] = {
        {"id", "INTEGER", true}, {"name", "TEXT", true}, {"extra", "TEXT", false}};
    struct error err;
    store_journal_append(scene_journal(s), SLICE("{\"id\":1,\"extra\":\"was there\"}\n"));
    scene_reopen(s);
    struct store_journal *j =
        store_journal_open(s->store, "rows", more, FARTHING_COUNT(more), &err);
    assert_non_null(j);
    store_journal_append(j, SLICE("{\"id\":2,\"extra\":\"is there\"}\n"));
    store_flush(s->store);
    assert_query(s, "SELECT id, extra, cost FROM rows", // the old column stays
                 "[{\"id\":1,\"extra\":null,\"cost\":null},"
                 "{\"id\":2,\"extra\":\"is there\",\"cost\":null}]");
}

static void test_the_index_is_used(void **state) {
    struct scene *s = *state;
    scene_journal(s);
    assert_query(
        s, "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'rows'",
        "[{\"n\":1}]");
}

static void test_odd_lines(void **state) {
    struct scene *s = *state;
    struct store_journal *j = scene_journal(s);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_journal_append(j, SLICE_NONE);
    store_journal_append(j, SLICE("\n\n"));
    store_journal_append(j, SLICE("{\"id\":1}\nnot JSON\n{\"id\":2}\n"));
    store_journal_append(j, SLICE("{\"id\":3}")); // its end was not said
    store_put(s->store, "cache", SLICE("k"), SLICE("v"), 0);
    store_flush(s->store);
    assert_query(s, "SELECT id FROM rows ORDER BY id", "[{\"id\":1},{\"id\":2},{\"id\":3}]");
    assert_true(scene_has(s, "cache", SLICE("k")));
    assert_int_equal(scene_stats(s).failures, 1);
}

static void test_the_newest_rows_are_kept(void **state) {
    struct scene *s = *state;
    struct store_journal *j = scene_journal(s);
    j->rows_max = 100;
    scene_append(j, 0, 100);
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n, min(id) AS a FROM rows", "[{\"n\":100,\"a\":0}]");
    // Other tables' rowids have nothing to do with it.
    for (uint32_t i = 0; i < 500; i++)
        store_put(s->store, "cache", slice_make(&i, sizeof i), SLICE("v"), 0);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_journal_append(j, SLICE("not JSON\n"));
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n FROM rows", "[{\"n\":100}]");
    for (unsigned i = 100; i < 250; i += 30)
        scene_append(j, i, 30);
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n, min(id) AS a, max(id) AS z FROM rows",
                 "[{\"n\":100,\"a\":150,\"z\":249}]");
    scene_reopen(s); // numbering goes on where it was
    j = scene_journal(s);
    j->rows_max = 100;
    scene_append(j, 250, 1);
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n, max(id) AS z FROM rows", "[{\"n\":100,\"z\":250}]");
}

static void test_two_journals(void **state) {
    struct scene *s = *state;
    struct error err;
    struct store_journal *a = scene_journal(s);
    struct store_journal *b = store_journal_open(s->store, "others", scene_columns, 1, &err);
    assert_non_null(b);
    scene_append(a, 1, 1);
    scene_append(b, 2, 2);
    store_flush(s->store);
    assert_query(s, "SELECT (SELECT count(*) FROM rows) AS a, (SELECT count(*) FROM others) AS b",
                 "[{\"a\":1,\"b\":2}]");
}

static void test_a_table_that_cannot_be_made(void **state) {
    struct scene *s = *state;
    struct error err;
    static const struct store_column bad[] = {{"a\"b", "TEXT", false}};
    log_set_level((enum log_level)(LOG_ERROR + 1));
    assert_null(store_journal_open(s->store, "entries", scene_columns, 3, &err)); // the store's own
    assert_true(err.text[0] != '\0');
    assert_null(store_journal_open(s->store, "fine", bad, 1, &err));
    scene_append(scene_journal(s), 1, 1); // the store goes on
    store_flush(s->store);
    assert_query(s, "SELECT count(*) AS n FROM rows", "[{\"n\":1}]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(test_lines_become_rows),
        SCENE(test_a_restart_keeps_them),
        SCENE(test_a_new_column_is_added),
        SCENE(test_the_index_is_used),
        SCENE(test_odd_lines),
        SCENE(test_the_newest_rows_are_kept),
        SCENE(test_two_journals),
        SCENE(test_a_table_that_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
