// The exposition, byte for byte (Prometheus' text format 0.0.4).
#include "support.h"

static const struct metric_family requests = {
    .name = "t_requests_total",
    .help = "Requests, by \"who\" \\ and\nwhat.",
    .kind = METRIC_COUNTER,
    .labels = {"tenant", "status"},
};
static const struct metric_family money = {
    .name = "t_cost_usd_total",
    .help = "Money.",
    .kind = METRIC_COUNTER,
    .decimals = 12,
};
static const struct metric_family scaled = {
    .name = "t_uptime_seconds",
    .help = "Scaled.",
    .kind = METRIC_GAUGE,
    .scale = 1e-3,
};
static const double bounds[] = {0.0005, 0.25, 1, 30};
static const struct metric_family duration = {
    .name = "t_duration_seconds",
    .help = "Duration.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"route"},
    .buckets = bounds,
    .bucket_count = FARTHING_COUNT(bounds),
    .scale = 1e-6,
};
static const struct metric_family declared = {
    .name = "t_declared_total", .help = "D.", .kind = METRIC_COUNTER};

static int reset(void **state) {
    (void)state;
    metric_reset_for_test();
    return 0;
}

static void assert_exposition(const char *wanted) {
    struct buffer out = {0};
    metric_write_all(&out);
    assert_text(buffer_slice(&out), wanted);
    buffer_free(&out);
}

static void nothing_declared_is_nothing_shown(void **state) {
    (void)state;
    assert_exposition("");
}

static void a_declared_family_has_its_head(void **state) {
    (void)state;
    metric_declare(&declared);
    metric_declare(&declared);
    assert_exposition("# HELP t_declared_total D.\n# TYPE t_declared_total counter\n");
    metric_add(metric_plain(&declared), 3);
    assert_exposition("# HELP t_declared_total D.\n# TYPE t_declared_total counter\n"
                      "t_declared_total 3\n");
}

static void labels_and_help_are_escaped(void **state) {
    (void)state;
    struct slice values[] = {SLICE("a\"b\\c\nd\xc3\xa9\xff"), SLICE("200")};
    metric_add(metric_series(&requests, values), 5);
    assert_exposition(
        "# HELP t_requests_total Requests, by \"who\" \\\\ and\\nwhat.\n"
        "# TYPE t_requests_total counter\n"
        "t_requests_total{tenant=\"a\\\"b\\\\c\\nd\xc3\xa9\xef\xbf\xbd\",status=\"200\"} 5\n");
}

static void an_empty_label_value_is_shown(void **state) {
    (void)state;
    metric_add(metric_series(&requests, (struct slice[]){SLICE_NONE, SLICE("200")}), 1);
    struct buffer out = {0};
    metric_write_all(&out);
    assert_true(slice_find(buffer_slice(&out), SLICE("{tenant=\"\",status=\"200\"} 1\n")) > 0);
    buffer_free(&out);
}

static void assert_sample(const struct metric_family *family, int64_t value, const char *shown) {
    metric_reset_for_test();
    metric_set(metric_plain(family), value);
    struct buffer out = {0};
    metric_write_all(&out);
    ptrdiff_t at = slice_find(buffer_slice(&out), slice_of(shown));
    if (at < 0 || (size_t)at + strlen(shown) != out.len)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&out)));
    buffer_free(&out);
}

static void money_is_exact(void **state) {
    (void)state;
    assert_sample(&money, 0, "\nt_cost_usd_total 0\n");
    assert_sample(&money, 1, "\nt_cost_usd_total 0.000000000001\n");
    assert_sample(&money, 1000000000000, "\nt_cost_usd_total 1\n");
    assert_sample(&money, 1500000000000, "\nt_cost_usd_total 1.5\n");
    assert_sample(&money, 1000000000001, "\nt_cost_usd_total 1.000000000001\n");
    assert_sample(&money, -2500000000000, "\nt_cost_usd_total -2.5\n");
    assert_sample(&money, INT64_MAX, "\nt_cost_usd_total 9223372.036854775807\n");
    assert_sample(&money, INT64_MIN, "\nt_cost_usd_total -9223372.036854775808\n");
}

static void scaled_values_keep_their_digits(void **state) {
    (void)state;
    assert_sample(&scaled, 0, "\nt_uptime_seconds 0\n");
    assert_sample(&scaled, 1500, "\nt_uptime_seconds 1.5\n");
    assert_sample(&scaled, 1300, "\nt_uptime_seconds 1.3\n");
    // A sum over months still moves with each millisecond.
    assert_sample(&scaled, 123456789012345, "\nt_uptime_seconds 123456789012.345\n");
}

static void a_histogram_is_cumulative(void **state) {
    (void)state;
    struct metric_series *s = metric_series(&duration, (struct slice[]){SLICE("chat")});
    static const int64_t micros[] = {100, 500, 200000, 900000, 60000000};
    for (size_t i = 0; i < FARTHING_COUNT(micros); i++)
        metric_observe(s, micros[i]);
    assert_exposition("# HELP t_duration_seconds Duration.\n# TYPE t_duration_seconds histogram\n"
                      "t_duration_seconds_bucket{route=\"chat\",le=\"0.0005\"} 2\n"
                      "t_duration_seconds_bucket{route=\"chat\",le=\"0.25\"} 3\n"
                      "t_duration_seconds_bucket{route=\"chat\",le=\"1\"} 4\n"
                      "t_duration_seconds_bucket{route=\"chat\",le=\"30\"} 4\n"
                      "t_duration_seconds_bucket{route=\"chat\",le=\"+Inf\"} 5\n"
                      "t_duration_seconds_sum{route=\"chat\"} 61.1006\n"
                      "t_duration_seconds_count{route=\"chat\"} 5\n");
}

static void families_stand_together_in_order(void **state) {
    (void)state;
    metric_declare(&scaled);
    metric_add(metric_series(&requests, (struct slice[]){SLICE("a"), SLICE("200")}), 1);
    metric_add(metric_plain(&money), 1);
    metric_add(metric_series(&requests, (struct slice[]){SLICE("b"), SLICE("200")}), 1);
    struct buffer out = {0};
    metric_write_all(&out);
    struct slice text = buffer_slice(&out);
    ptrdiff_t gauge_at = slice_find(text, SLICE("# TYPE t_uptime_seconds gauge\n"));
    ptrdiff_t a = slice_find(text, SLICE("tenant=\"a\"")),
              b = slice_find(text, SLICE("tenant=\"b\""));
    ptrdiff_t money_at = slice_find(text, SLICE("# HELP t_cost_usd_total"));
    assert_true(gauge_at >= 0 && gauge_at < a && gauge_at < b);
    assert_true(a < money_at && b < money_at);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_declared_is_nothing_shown, reset),
        cmocka_unit_test_setup(a_declared_family_has_its_head, reset),
        cmocka_unit_test_setup(labels_and_help_are_escaped, reset),
        cmocka_unit_test_setup(an_empty_label_value_is_shown, reset),
        cmocka_unit_test_setup(money_is_exact, reset),
        cmocka_unit_test_setup(scaled_values_keep_their_digits, reset),
        cmocka_unit_test_setup(a_histogram_is_cumulative, reset),
        cmocka_unit_test_setup(families_stand_together_in_order, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
