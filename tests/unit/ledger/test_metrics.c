// The metrics that a row tells: the right families, labels and amounts, money
// exact, and nothing counted that was not bought.
#include "support.h"

static struct ledger *open_quiet(void **state) {
    struct error err;
    (void)state;
    metric_reset_for_test();
    log_set_level(LOG_ERROR);
    struct ledger *l = ledger_open(&(struct ledger_options){0}, &err);
    assert_non_null(l);
    return l;
}

static void assert_shown(const char *line, bool shown) {
    struct buffer text = {0};
    metric_write_all(&text);
    if ((slice_find(buffer_slice(&text), slice_of(line)) >= 0) != shown)
        fail_msg("%s %s", line, shown ? "is missing" : "is there");
    buffer_free(&text);
}

static struct cost_row bought(void) {
    struct cost_row row = {
        .tenant_id = SLICE("acme"), .feature = SLICE("mail"), .route = SLICE("support"),
        .tier = SLICE("small"), .provider = SLICE("openai"), .model = SLICE("gpt"), .status = 200,
        .usage = {.known = true, .input_tokens = 100, .output_tokens = 20, .cached_tokens = 40,
                  .cache_write_tokens = 5, .reasoning_tokens = 7},
        .usage_source = LEDGER_USAGE_PROVIDER, .cost_known = true, .cost = {150000001},
        .retry_cost = {3}, .cache = SLICE("miss"), .latency_ms = 1500, .ttft_ms = 200,
        .overhead_us = 60,
    };
    row.saved[LEDGER_SAVED_CAP].pico = 7;
    return row;
}

static void test_a_purchase(void **state) {
    struct ledger *l = open_quiet(state);
    struct cost_row row = bought();
    ledger_record(l, &row);
    ledger_record(l, &row);
    ledger_close(l);
    static const char *const lines[] = {
        "farthing_requests_total{tenant=\"acme\",feature=\"mail\",route=\"support\",tier=\"small\","
        "model=\"gpt\",status=\"200\"} 2\n",
        "tier=\"small\",model=\"gpt\",kind=\"input\"} 200\n",
        "tier=\"small\",model=\"gpt\",kind=\"output\"} 40\n",
        "tier=\"small\",model=\"gpt\",kind=\"cached\"} 80\n",
        "tier=\"small\",model=\"gpt\",kind=\"cache_write\"} 10\n",
        "tier=\"small\",model=\"gpt\",kind=\"reasoning\"} 14\n",
        "farthing_cost_usd_total{tenant=\"acme\",feature=\"mail\",route=\"support\",model=\"gpt\"} "
        "0.000300000002\n",
        "farthing_saved_usd_total{lever=\"cap\",tenant=\"acme\",feature=\"mail\",route=\"support\"}"
        " "
        "0.000000000014\n",
        "farthing_retry_cost_usd_total{tenant=\"acme\",feature=\"mail\",route=\"support\"} "
        "0.000000000006\n",
        "farthing_cache_requests_total{result=\"miss\"} 2\n",
        "farthing_request_duration_seconds_bucket{route=\"support\",le=\"1\"} 0\n",
        "farthing_request_duration_seconds_bucket{route=\"support\",le=\"2.5\"} 2\n",
        "farthing_request_duration_seconds_sum{route=\"support\"} 3\n",
        "farthing_time_to_first_token_seconds_count{route=\"support\"} 2\n",
        "farthing_overhead_seconds_bucket{route=\"support\",le=\"0.0001\"} 2\n",
        "farthing_cost_rows_dropped_total 0\n",
        "farthing_cost_log_errors_total 0\n",
    };
    for (size_t i = 0; i < FARTHING_COUNT(lines); i++)
        assert_shown(lines[i], true);
    assert_shown("farthing_unpriced_requests_total{", false);
}

static void test_a_replay_buys_nothing(void **state) {
    struct ledger *l = open_quiet(state);
    struct cost_row row = bought();
    row.usage_source = LEDGER_USAGE_CACHE;
    row.cost.pico = row.retry_cost.pico = row.saved[LEDGER_SAVED_CAP].pico = 0;
    row.saved[LEDGER_SAVED_CACHE].pico = 150000000;
    row.saved[LEDGER_SAVED_ROUTE].pico = -5; // a counter cannot go down
    row.cache = SLICE("hit");
    row.ttft_ms = -1;
    ledger_record(l, &row);
    ledger_close(l);
    assert_shown("farthing_cache_requests_total{result=\"hit\"} 1\n", true);
    assert_shown("farthing_saved_usd_total{lever=\"cache\",tenant=\"acme\",feature=\"mail\","
                 "route=\"support\"} 0.00015\n", true);
    assert_shown("lever=\"route\"", false);
    assert_shown("farthing_tokens_total{", false);
    assert_shown("farthing_cost_usd_total{", false);
    assert_shown("farthing_time_to_first_token_seconds_count{", false);
}

static void test_an_unknown_price_is_counted(void **state) {
    struct ledger *l = open_quiet(state);
    struct cost_row row = bought();
    row.cost_known = false;
    ledger_record(l, &row);
    ledger_close(l);
    assert_shown("farthing_unpriced_requests_total{provider=\"openai\",model=\"gpt\"} 1\n", true);
    assert_shown("farthing_cost_usd_total{", false);
}

// Also those that have nothing to say yet have their help.
static void test_families_are_declared(void **state) {
    static const char *const families[] = {
        "farthing_requests_total", "farthing_tokens_total", "farthing_cost_usd_total",
        "farthing_saved_usd_total", "farthing_retry_cost_usd_total",
        "farthing_cache_requests_total", "farthing_unpriced_requests_total",
        "farthing_request_duration_seconds", "farthing_time_to_first_token_seconds",
        "farthing_overhead_seconds", "farthing_cost_rows_dropped_total",
        "farthing_cost_log_errors_total",
    };
    ledger_close(open_quiet(state));
    for (size_t i = 0; i < FARTHING_COUNT(families); i++) {
        struct buffer help = {0};
        buffer_printf(&help, "# HELP %s %c", families[i], '\0');
        assert_shown(help.ptr, true);
        buffer_free(&help);
    }
}

static void test_odd_statuses(void **state) {
    static const struct {
        int status;
        const char *text;
    } rows[] = {{0, "\"0\""}, {-3, "\"0\""}, {7, "\"7\""}, {499, "\"499\""}};
    struct ledger *l = open_quiet(state);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct cost_row row = bought();
        row.status = rows[i].status;
        ledger_record(l, &row);
        struct buffer label = {0};
        buffer_printf(&label, "model=\"gpt\",status=%s}%c", rows[i].text, '\0');
        assert_shown(label.ptr, true);
        buffer_free(&label);
    }
    ledger_close(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_purchase),
        cmocka_unit_test(test_a_replay_buys_nothing),
        cmocka_unit_test(test_an_unknown_price_is_counted),
        cmocka_unit_test(test_families_are_declared),
        cmocka_unit_test(test_odd_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
