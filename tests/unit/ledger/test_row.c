// The row as JSON: every field of the contract with its type, texts escaped,
// absent things null, and one generated column for each field.
#include "support.h"

#include <stdlib.h>

// The contract's list, written out again so that the code's table cannot
// forget one. From ended_by on they are beside the contract.
enum kind { TEXT, NUMBER, BOOL, LIST, OBJECT };
static const struct {
    const char *name;
    enum kind kind;
    bool may_be_null;
    const char *sql;
} contract[] = {
    {"ts", TEXT, false, "TEXT"},
    {"request_id", TEXT, true, "TEXT"},
    {"tenant_id", TEXT, true, "TEXT"},
    {"feature", TEXT, true, "TEXT"},
    {"user_id", TEXT, true, "TEXT"},
    {"run_id", TEXT, true, "TEXT"},
    {"step_id", TEXT, true, "TEXT"},
    {"route", TEXT, true, "TEXT"},
    {"tier", TEXT, true, "TEXT"},
    {"prompt_version", TEXT, true, "TEXT"},
    {"provider", TEXT, true, "TEXT"},
    {"model", TEXT, true, "TEXT"},
    {"requested_model", TEXT, true, "TEXT"},
    {"endpoint", TEXT, false, "TEXT"},
    {"stream", BOOL, false, "INTEGER"},
    {"status", NUMBER, false, "INTEGER"},
    {"error_code", TEXT, true, "TEXT"},
    {"success", BOOL, false, "INTEGER"},
    {"finish_reason", TEXT, true, "TEXT"},
    {"input_tokens", NUMBER, false, "INTEGER"},
    {"output_tokens", NUMBER, false, "INTEGER"},
    {"cached_tokens", NUMBER, false, "INTEGER"},
    {"cache_write_tokens", NUMBER, false, "INTEGER"},
    {"reasoning_tokens", NUMBER, false, "INTEGER"},
    {"usage_source", TEXT, true, "TEXT"},
    {"cost_usd", TEXT, true, "TEXT"},
    {"attempts", LIST, false, "TEXT"},
    {"retry_cost_usd", TEXT, false, "TEXT"},
    {"baseline_cost_usd", TEXT, true, "TEXT"},
    {"saved_usd", OBJECT, false, "TEXT"},
    {"cache", TEXT, true, "TEXT"},
    {"classifier_rule", TEXT, true, "TEXT"},
    {"signals", OBJECT, true, "TEXT"},
    {"latency_ms", NUMBER, false, "INTEGER"},
    {"ttft_ms", NUMBER, true, "INTEGER"},
    {"queue_ms", NUMBER, false, "INTEGER"},
    {"overhead_us", NUMBER, false, "INTEGER"},
    {"ended_by", TEXT, true, "TEXT"},
    {"refused_by", TEXT, true, "TEXT"},
    {"queued_for", TEXT, true, "TEXT"},
    {"capped", OBJECT, true, "TEXT"},
    {"trimmed_tokens", NUMBER, false, "INTEGER"},
    {"context_warning", TEXT, true, "TEXT"},
    {"reserved_usd", TEXT, false, "TEXT"},
    {"experiment", TEXT, true, "TEXT"},
    {"shadow_of", TEXT, true, "TEXT"},
};

static const struct cost_attempt two_attempts[] = {
    {.provider = SLICE("openai"), .model = SLICE("gpt-4o-mini"), .tier = SLICE("small"),
     .status = 0, .reason = SLICE("timeout"), .latency_ms = 61000},
    {.provider = SLICE("azure"), .model = SLICE("gpt-4o"), .tier = SLICE("large"), .status = 200,
     .reason = SLICE("ok"), .latency_ms = 1200, .cost_known = true, .cost = {150000000}},
};

static struct cost_row full_row(void) {
    struct cost_row row = {
        .ts_ms = INT64_C(1795236447123),
        .request_id = SLICE("01K"), .tenant_id = SLICE("acme"), .feature = SLICE("support_mail"),
        .user_id = SLICE("u-1"), .run_id = SLICE("run-1"), .step_id = SLICE("step-2"),
        .route = SLICE("support"), .tier = SLICE("large"), .prompt_version = SLICE("v3"),
        .provider = SLICE("azure"), .model = SLICE("gpt-4o"), .requested_model = SLICE("auto"),
        .endpoint = API_CHAT_COMPLETIONS, .stream = true, .status = 200,
        .error_code = SLICE("none"), .success = true, .finish_reason = SLICE("stop"),
        .usage = {.known = true, .input_tokens = 1000, .output_tokens = 500, .cached_tokens = 400,
                  .cache_write_tokens = 30, .reasoning_tokens = 200},
        .usage_source = LEDGER_USAGE_PROVIDER, .cost_known = true, .cost = {150000000},
        .attempts = two_attempts, .attempt_count = 2, .retry_cost = {1},
        .baseline_known = true, .baseline_cost = {INT64_C(2000000000000)},
        .cache = SLICE("miss"), .classifier_rule = SLICE("short"), .ended_by = SLICE("farthing"),
        .signals = SLICE("{\"turns\":2}"),
        .latency_ms = 1234, .ttft_ms = 210, .queue_ms = 5, .overhead_us = 87,
        .refused_by = SLICE("budget:daily"), .queued_for = SLICE("tenant"),
        .capped = SLICE("{\"max_output_tokens\":[null,300]}"), .trimmed_tokens = 77,
        .context_warning = SLICE("history: about 5 of 4 tokens"), .reserved = {2},
        .experiment = SLICE("shadow"), .shadow_of = SLICE("01J"),
    };
    row.saved[LEDGER_SAVED_ROUTE].pico = INT64_C(500000000000);
    row.saved[LEDGER_SAVED_PROVIDER_CACHE].pico = -1;
    return row;
}

// A parsed row and what it was parsed from.
struct parsed {
    struct buffer text;
    struct json_doc *doc;
    struct arena *arena;
};

static struct parsed write_and_parse(const struct cost_row *row) {
    struct parsed p = {.doc = json_doc_new(), .arena = arena_new(256)};
    struct error err;
    cost_row_write(&p.text, row);
    if (!json_parse(p.doc, buffer_slice(&p.text), NULL, &err))
        fail_msg("%s: %.*s", err.text, SLICE_ARG(buffer_slice(&p.text)));
    assert_true(slice_find_char(buffer_slice(&p.text), '\n') < 0); // one line
    return p;
}

static void parsed_free(struct parsed *p) {
    json_doc_free(p->doc);
    arena_free(p->arena);
    buffer_free(&p->text);
}

static struct slice raw(const struct parsed *p, const char *name) {
    json_ref value = json_get(p->doc, JSON_ROOT, slice_of(name));
    if (value == JSON_NONE)
        fail_msg("there is no %s", name);
    return json_raw(p->doc, value);
}

static bool is_of(enum kind kind, enum json_type type) {
    switch (kind) {
    case TEXT:
        return type == JSON_STRING;
    case NUMBER:
        return type == JSON_NUMBER;
    case BOOL:
        return type == JSON_TRUE || type == JSON_FALSE;
    case LIST:
        return type == JSON_ARRAY;
    case OBJECT:
        return type == JSON_OBJECT;
    }
    return false;
}

static void check_types(const struct cost_row *row, bool nulls) {
    struct parsed p = write_and_parse(row);
    assert_int_equal(json_count(p.doc, JSON_ROOT), FARTHING_COUNT(contract));
    assert_int_equal(json_duplicate_key(p.doc, JSON_ROOT), JSON_NONE);
    for (size_t i = 0; i < FARTHING_COUNT(contract); i++) {
        json_ref value = json_get(p.doc, JSON_ROOT, slice_of(contract[i].name));
        if (value == JSON_NONE)
            fail_msg("%s is missing", contract[i].name);
        enum json_type type = json_type_of(p.doc, value);
        if (!(nulls && contract[i].may_be_null ? type == JSON_NULL : is_of(contract[i].kind, type)))
            fail_msg("%s is %.*s", contract[i].name, SLICE_ARG(json_raw(p.doc, value)));
    }
    parsed_free(&p);
}

static void test_every_field_has_its_type(void **state) {
    (void)state;
    struct cost_row row = full_row();
    check_types(&row, false);
}

static void test_absent_things_are_null(void **state) {
    (void)state;
    struct cost_row row = {.ttft_ms = -1};
    check_types(&row, true);
}

static void test_values(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"ts", "\"2026-11-21T04:47:27.123Z\""}, {"tenant_id", "\"acme\""}, {"user_id", "\"u-1\""},
        {"run_id", "\"run-1\""}, {"step_id", "\"step-2\""}, {"prompt_version", "\"v3\""},
        {"provider", "\"azure\""}, {"model", "\"gpt-4o\""}, {"requested_model", "\"auto\""},
        {"endpoint", "\"chat.completions\""}, {"stream", "true"}, {"status", "200"},
        {"success", "true"}, {"input_tokens", "1000"}, {"output_tokens", "500"},
        {"cached_tokens", "400"}, {"cache_write_tokens", "30"}, {"reasoning_tokens", "200"},
        {"usage_source", "\"provider\""}, {"cost_usd", "\"0.00015\""},
        {"retry_cost_usd", "\"0.000000000001\""}, {"baseline_cost_usd", "\"2\""},
        {"saved_usd", "{\"route\":\"0.5\",\"provider_cache\":\"-0.000000000001\"}"},
        {"latency_ms", "1234"}, {"ttft_ms", "210"}, {"queue_ms", "5"}, {"overhead_us", "87"},
        {"refused_by", "\"budget:daily\""}, {"queued_for", "\"tenant\""},
        {"capped", "{\"max_output_tokens\":[null,300]}"}, {"trimmed_tokens", "77"},
        {"context_warning", "\"history: about 5 of 4 tokens\""},
        {"reserved_usd", "\"0.000000000002\""},
        {"experiment", "\"shadow\""}, {"shadow_of", "\"01J\""},
        {"attempts",
         "[{\"provider\":\"openai\",\"model\":\"gpt-4o-mini\",\"tier\":\"small\",\"status\":null,"
         "\"reason\":\"timeout\",\"latency_ms\":61000,\"cost_usd\":null},"
         "{\"provider\":\"azure\",\"model\":\"gpt-4o\",\"tier\":\"large\",\"status\":200,"
         "\"reason\":\"ok\",\"latency_ms\":1200,\"cost_usd\":\"0.00015\"}]"},
    };
    struct cost_row row = full_row();
    struct parsed p = write_and_parse(&row);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_slice_equal(raw(&p, rows[i][0]), slice_of(rows[i][1]));
    parsed_free(&p);
}

static void test_nothing_spent_is_not_unknown(void **state) {
    (void)state;
    struct cost_row row = {.cost_known = true, .ttft_ms = 0};
    struct parsed p = write_and_parse(&row);
    assert_slice_equal(raw(&p, "cost_usd"), SLICE("\"0\""));
    assert_slice_equal(raw(&p, "ttft_ms"), SLICE("0"));
    assert_slice_equal(raw(&p, "saved_usd"), SLICE("{}"));
    assert_slice_equal(raw(&p, "attempts"), SLICE("[]"));
    parsed_free(&p);
}

static void test_usage_sources_and_levers(void **state) {
    (void)state;
    static const char *const sources[] = {"null", "\"provider\"", "\"estimated\"", "\"cache\""};
    for (size_t i = 0; i < FARTHING_COUNT(sources); i++) {
        struct cost_row row = {.usage_source = (enum ledger_usage_source)i};
        struct parsed p = write_and_parse(&row);
        assert_slice_equal(raw(&p, "usage_source"), slice_of(sources[i]));
        parsed_free(&p);
    }
    static const char *const levers[] = {"cache", "coalesce", "idempotency", "retry", "route",
                                         "cap", "provider_cache", "batch", "answer"};
    assert_int_equal(FARTHING_COUNT(levers), LEDGER_LEVER_COUNT);
    struct cost_row row = {0};
    for (size_t i = 0; i < FARTHING_COUNT(levers); i++) {
        assert_string_equal(ledger_lever_name((enum ledger_lever)i), levers[i]);
        row.saved[i].pico = (int64_t)i + 1;
    }
    struct parsed p = write_and_parse(&row);
    json_ref saved = json_get(p.doc, JSON_ROOT, SLICE("saved_usd"));
    assert_int_equal(json_count(p.doc, saved), LEDGER_LEVER_COUNT);
    for (size_t i = 0; i < FARTHING_COUNT(levers); i++)
        assert_true(json_get(p.doc, saved, slice_of(levers[i])) != JSON_NONE);
    parsed_free(&p);
}

// What a client wrote comes back as it wrote it, on one line, whatever it is.
static void test_hostile_texts(void **state) {
    (void)state;
    static const struct {
        struct slice in, out;
    } rows[] = {
        {SLICE("a\"b\\c"), SLICE("a\"b\\c")},
        {SLICE("two\nlines\r\n"), SLICE("two\nlines\r\n")},
        {SLICE("\",\"cost_usd\":\"0\"}"), SLICE("\",\"cost_usd\":\"0\"}")},
        {SLICE("\0\x01\x1f\x7f"), SLICE("\0\x01\x1f\x7f")},
        {SLICE("caf\xc3\xa9 \xf0\x9f\x92\xb0"), SLICE("caf\xc3\xa9 \xf0\x9f\x92\xb0")},
        {SLICE("bad \xff utf-8"), SLICE("bad \xef\xbf\xbd utf-8")},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct cost_attempt attempt = {.provider = rows[i].in, .model = rows[i].in,
                                       .tier = rows[i].in, .reason = rows[i].in};
        struct cost_row row = {.feature = rows[i].in,
                               .requested_model = rows[i].in,
                               .finish_reason = rows[i].in,
                               .attempts = &attempt,
                               .attempt_count = 1};
        struct parsed p = write_and_parse(&row);
        static const char *const names[] = {"feature", "requested_model", "finish_reason"};
        for (size_t n = 0; n < FARTHING_COUNT(names); n++)
            assert_slice_equal(
                json_string(p.doc, json_get(p.doc, JSON_ROOT, slice_of(names[n])), p.arena),
                rows[i].out);
        json_ref first = json_at(p.doc, json_get(p.doc, JSON_ROOT, SLICE("attempts")), 0);
        assert_slice_equal(json_string(p.doc, json_get(p.doc, first, SLICE("reason")), p.arena),
                           rows[i].out);
        parsed_free(&p);
    }
}

static void test_extreme_figures(void **state) {
    (void)state;
    struct cost_row row = full_row();
    row.usage.input_tokens = INT64_MAX;
    row.cost.pico = INT64_MAX;
    row.retry_cost.pico = INT64_MIN;
    row.latency_ms = INT64_MAX;
    struct parsed p = write_and_parse(&row);
    assert_slice_equal(raw(&p, "input_tokens"), SLICE("9223372036854775807"));
    assert_slice_equal(raw(&p, "cost_usd"), SLICE("\"9223372.036854775807\""));
    assert_slice_equal(raw(&p, "retry_cost_usd"), SLICE("\"-9223372.036854775808\""));
    parsed_free(&p);
}

static void test_columns_are_the_fields(void **state) {
    (void)state;
    size_t count;
    const struct store_column *columns = cost_row_columns(&count);
    assert_int_equal(count, FARTHING_COUNT(contract));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(columns[i].name, contract[i].name);
        assert_string_equal(columns[i].type, contract[i].sql);
    }
}

static void test_the_page_names_every_field(void **state) {
    (void)state;
    struct buffer page = {0};
    cost_row_write_reference(&page);
    for (size_t i = 0; i < FARTHING_COUNT(contract); i++) {
        struct buffer cell = {0};
        buffer_printf(&cell, "| `%s` | %s |", contract[i].name, contract[i].sql);
        assert_true(slice_find(buffer_slice(&page), buffer_slice(&cell)) >= 0);
        buffer_free(&cell);
    }
    buffer_free(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_has_its_type),
        cmocka_unit_test(test_absent_things_are_null),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nothing_spent_is_not_unknown),
        cmocka_unit_test(test_usage_sources_and_levers),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_extreme_figures),
        cmocka_unit_test(test_columns_are_the_fields),
        cmocka_unit_test(test_the_page_names_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
