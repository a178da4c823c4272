// Queries: rows as well-formed JSON whatever the values are, and nothing but
// reading.
#include "scene.h"

#include "farthing/json.h"

static void test_every_type(void **state) {
    static const char *const rows[][2] = {
        {"SELECT 1 AS a, -9223372036854775807 - 1 AS b", "[{\"a\":1,\"b\":-9223372036854775808}]"},
        {"SELECT 1.5 AS a, 1e300 AS b", "[{\"a\":1.5,\"b\":1.0e+300}]"},
        {"SELECT 9e999 AS a, -9e999 AS b", "[{\"a\":null,\"b\":null}]"}, // infinities
        {"SELECT NULL AS a", "[{\"a\":null}]"},
        {"SELECT '' AS a, 'x' AS b", "[{\"a\":\"\",\"b\":\"x\"}]"},
        {"SELECT 'q\"\\' || char(10) || char(1) AS a", "[{\"a\":\"q\\\"\\\\\\n\\u0001\"}]"},
        {"SELECT CAST(x'41ff42' AS TEXT) AS a", "[{\"a\":\"A\xef\xbf\xbd"
                                                "B\"}]"}, // not UTF-8
        {"SELECT 'a' || char(0) || 'b' AS a", "[{\"a\":\"a\\u0000b\"}]"},
        {"SELECT x'00ff10' AS a, x'' AS b", "[{\"a\":\"00ff10\",\"b\":\"\"}]"},
        {"SELECT 1 AS \"we\"\"ird\"", "[{\"we\\\"ird\":1}]"},
        {"SELECT 1 AS a WHERE 0", "[]"},
        {"SELECT 1 AS a UNION SELECT 2 ORDER BY a", "[{\"a\":1},{\"a\":2}]"},
        {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i "
         "FROM n",
         "[{\"i\":1},{\"i\":2},{\"i\":3}]"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_query(*state, rows[i][0], rows[i][1]);
}

static void test_all_answers_are_json(void **state) {
    struct scene *s = *state;
    struct json_doc *doc = json_doc_new();
    struct buffer sql = {0};
    // Every byte, alone and between others.
    BUFFER_LITERAL(&sql, "SELECT 0 AS n");
    for (unsigned i = 0; i < 256; i++)
        buffer_printf(&sql, ", CAST(x'61%02x62' AS TEXT) AS c%u, CAST(x'%02x' AS TEXT) AS d%u", i,
                      i, i, i);
    buffer_append_char(&sql, '\0');
    char *text = scene_query(s, sql.ptr, NULL, 0);
    struct error err;
    assert_non_null(text);
    if (!json_parse(doc, slice_of(text), NULL, &err))
        fail_msg("%s", err.text);
    free(text);
    buffer_free(&sql);
    json_doc_free(doc);
}

// What rows are read for, and how many may still come.
struct gathering {
    struct buffer text;
    size_t wanted;
};

static bool gather(void *arg, const struct store_row *row, struct error *err) {
    struct gathering *g = arg;
    if (g->wanted == 0)
        return error_set(err, "enough");
    g->wanted--;
    buffer_printf(&g->text, "%.*s=%lld;", SLICE_ARG(store_row_text(row, SLICE("a"))),
                  (long long)store_row_i64(row, SLICE("b")));
    return true;
}

static void test_rows(void **state) {
    (void)state;
    static const struct {
        const char *rows;
        size_t wanted;
        const char *text;
        bool ok;
    } table[] = {
        {"[]", 0, "", true},
        {"[{\"a\":\"x\",\"b\":-3},{\"a\":\"q\\\"\",\"b\":9223372036854775807}]", 2,
         "x=-3;q\"=9223372036854775807;", true},
        {"[{\"a\":null,\"b\":null},{\"c\":1},{\"a\":7,\"b\":\"7\"},{\"b\":1.5}]", 4,
         "=0;=0;=0;=0;", true},
        {"[{\"a\":\"x\"},{\"a\":\"y\"},{\"a\":\"z\"}]", 2, "x=0;y=0;", false},
        {"[{\"a\":\"x\"}", 9, "", false},
        {"", 9, "", false},
    };
    for (size_t i = 0; i < FARTHING_COUNT(table); i++) {
        struct gathering g = {.wanted = table[i].wanted};
        struct error err;
        assert_int_equal(store_rows_visit(slice_of(table[i].rows), gather, &g, &err), table[i].ok);
        assert_true(slice_equal(buffer_slice(&g.text), slice_of(table[i].text)));
        buffer_free(&g.text);
    }
}

static void test_parameters(void **state) {
    struct scene *s = *state;
    const struct slice params[QUERY_PARAMS_MAX] = {
        SLICE("'; DROP TABLE entries; --"), SLICE("b\0c"), SLICE_NONE,
        SLICE("4"), SLICE("5"), SLICE("6"), SLICE("7"), SLICE("8")};
    char *text = scene_query(s, "SELECT ?1 AS a, length(CAST(?2 AS BLOB)) AS b, ?3 AS c, ?8 AS h",
                             params, QUERY_PARAMS_MAX);
    assert_non_null(text);
    assert_string_equal(text,
                        "[{\"a\":\"'; DROP TABLE entries; --\",\"b\":3,\"c\":\"\",\"h\":\"8\"}]");
    free(text);
    struct answer a = {0};
    const struct slice too_many[QUERY_PARAMS_MAX + 1] = {{0}};
    assert_null(store_query(s->client, "SELECT 1", too_many, QUERY_PARAMS_MAX + 1, on_answer, &a));
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_int_equal(a.calls, 0);
}

static void test_refused(void **state) {
    struct scene *s = *state;
    static const char *const rows[] = {
        "", "  ", "-- nothing", "SELEC 1", "SELECT * FROM no_such_table",
        "DELETE FROM entries", "INSERT INTO entries VALUES ('a', 'b', 'c', 0, 0)",
        "UPDATE entries SET value = ''", "DROP TABLE entries", "CREATE TABLE t (a)",
        "COMMIT", "BEGIN", "ROLLBACK", "SAVEPOINT a", "VACUUM",
        "ATTACH 'other.db' AS o", "PRAGMA journal_mode = DELETE", "PRAGMA max_page_count = 1",
    };
    log_set_level((enum log_level)(LOG_ERROR + 1));
    store_put(s->store, "cache", SLICE("k"), SLICE("v"), 0);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char *text = scene_query(s, rows[i], NULL, 0);
        if (text != NULL)
            fail_msg("\"%s\" was run: %s", rows[i], text);
    }
    const struct slice two[] = {SLICE("1"), SLICE("2")};
    assert_null(scene_query(s, "SELECT ?1 AS a", two, 2));
    assert_query(s, "SELECT count(*) AS n FROM entries", "[{\"n\":1}]");
    assert_int_equal(access("other.db", F_OK), -1);
}

static void test_an_answer_without_end(void **state) {
    struct scene *s = *state;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    assert_null(scene_query(s, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                               "SELECT hex(zeroblob(500000)) AS z FROM n", NULL, 0));
    assert_query(s, "SELECT 1 AS a", "[{\"a\":1}]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(test_every_type),
        SCENE(test_all_answers_are_json),
        cmocka_unit_test(test_rows),
        SCENE(test_parameters),
        SCENE(test_refused),
        SCENE(test_an_answer_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
