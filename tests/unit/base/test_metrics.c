// Counting: series and their labels, bounds on what clients invent, threads.
#include "support.h"

#include <pthread.h>
#include <stdio.h>

#include "metrics.h"

static const struct metric_family plain = {
    .name = "t_plain_total", .help = "Plain.", .kind = METRIC_COUNTER};
static const struct metric_family gauge = {
    .name = "t_gauge", .help = "Gauge.", .kind = METRIC_GAUGE};
static const struct metric_family labelled = {
    .name = "t_labelled_total",
    .help = "Labelled.",
    .kind = METRIC_COUNTER,
    .labels = {"tenant", "feature"},
};
static const struct metric_family other = {
    .name = "t_other_total",
    .help = "Another with the same labels.",
    .kind = METRIC_COUNTER,
    .labels = {"tenant", "feature"},
};
static const double bounds[] = {0.001, 0.01, 0.1};
static const struct metric_family histogram = {
    .name = "t_seconds",
    .help = "Seconds.",
    .kind = METRIC_HISTOGRAM,
    .buckets = bounds,
    .bucket_count = FARTHING_COUNT(bounds),
    .scale = 1e-6,
};

static int reset(void **state) {
    (void)state;
    metric_reset_for_test();
    return 0;
}

static struct metric_series *series(const struct metric_family *f, const char *a, const char *b) {
    return metric_series(f, (struct slice[]){slice_of(a), slice_of(b)});
}

static void counters_and_gauges_count(void **state) {
    (void)state;
    metric_add(metric_plain(&plain), 1);
    metric_add(metric_plain(&plain), 41);
    assert_int_equal(metric_value(metric_plain(&plain)), 42);
    metric_set(metric_plain(&gauge), 7);
    metric_add(metric_plain(&gauge), -9);
    assert_true(metric_value(metric_plain(&gauge)) == -2);
}

static void a_series_is_found_again(void **state) {
    (void)state;
    struct metric_series *s = series(&labelled, "acme", "chat");
    assert_ptr_equal(series(&labelled, "acme", "chat"), s);
    assert_ptr_not_equal(series(&labelled, "acme", "mail"), s);
    assert_ptr_not_equal(series(&labelled, "acmechat", ""), s);
    assert_ptr_not_equal(series(&labelled, "", "acmechat"), s);
    assert_ptr_not_equal(series(&other, "acme", "chat"), s);
}

static void a_histogram_sorts_into_buckets(void **state) {
    (void)state;
    struct metric_series *s = metric_plain(&histogram);
    static const int64_t micros[] = {0, 999, 1000, 1001, 10000, 99999, 100000, 100001, 5000000};
    for (size_t i = 0; i < FARTHING_COUNT(micros); i++)
        metric_observe(s, micros[i]);
    static const int64_t wanted[] = {3, 2, 2, 2}; // a bound belongs to its bucket
    for (size_t b = 0; b < FARTHING_COUNT(wanted); b++)
        assert_int_equal(atomic_load(&s->buckets[b]), wanted[b]);
    assert_int_equal(metric_value(s), FARTHING_COUNT(micros));
}

static void what_clients_invent_is_bounded(void **state) {
    (void)state;
    char name[32];
    for (int i = 0; i < METRIC_INVENTED_MAX; i++) {
        snprintf(name, sizeof name, "f%d", i);
        metric_add(series(&labelled, "acme", name), 1);
    }
    // From here on features share one series for each tenant.
    struct metric_series *overflow = series(&labelled, "acme", "one-more");
    assert_string_equal(overflow->values[0], "acme");
    assert_string_equal(overflow->values[1], "other");
    assert_ptr_equal(series(&labelled, "acme", "and-another"), overflow);
    assert_ptr_equal(series(&labelled, "acme", "other"), overflow);
    assert_string_equal(series(&labelled, "zenith", "x")->values[0], "zenith");
    // What is shown is shown everywhere, also for another tenant or family.
    assert_string_equal(series(&labelled, "acme", "f0")->values[1], "f0");
    assert_string_equal(series(&labelled, "zenith", "f1")->values[1], "f1");
    assert_string_equal(series(&other, "acme", "f2")->values[1], "f2");
    assert_string_equal(series(&other, "acme", "one-more")->values[1], "other");
}

static void even_that_overflow_is_bounded(void **state) {
    (void)state;
    char tenant[32];
    for (int i = 0; i < 3 * METRIC_SERIES_MAX; i++) {
        snprintf(tenant, sizeof tenant, "t%d", i);
        metric_add(series(&labelled, tenant, "f"), 1);
    }
    struct metric_series *last = series(&labelled, "t99999", "f");
    assert_string_equal(last->values[0], "other");
    assert_string_equal(last->values[1], "other");
    metric_lock();
    size_t count = metric_entries()->series_count;
    metric_unlock();
    assert_int_equal(count, METRIC_SERIES_MAX + 1);
    assert_int_equal(metric_value(last), 2 * METRIC_SERIES_MAX);
}

// Values that the exposition could not tell apart are one series.
static void label_values_are_cleaned(void **state) {
    (void)state;
    struct slice with_nul[] = {SLICE("a\0b"), SLICE("x")},
                 other_nul[] = {SLICE("a\0c"), SLICE("x")};
    struct metric_series *s = metric_series(&labelled, with_nul);
    assert_ptr_not_equal(metric_series(&labelled, other_nul), s);
    assert_string_equal(s->values[0], "a\xef\xbf\xbd"
                                      "b");
    // The second byte is no UTF-8 either way.
    assert_ptr_equal(series(&labelled, "a\xff", "x"), series(&labelled, "a\xfe", "x"));
    assert_string_equal(series(&labelled, "a\xff", "x")->values[0], "a\xef\xbf\xbd");
    assert_string_equal(series(&labelled, "\xed\xa0\x80", "x")->values[0],
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(series(&labelled, "caf\xc3\xa9", "x")->values[0], "caf\xc3\xa9");
}

static void long_label_values_are_cut(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text);
    struct metric_series *s =
        metric_series(&labelled, (struct slice[]){slice_make(text, 5000), SLICE("")});
    assert_int_equal(strlen(s->values[0]), METRIC_VALUE_MAX);
    assert_ptr_equal(metric_series(&labelled, (struct slice[]){slice_make(text, 4000), SLICE("")}),
                     s);
    // Not within a character.
    text[0] = 'y';
    for (size_t i = 1; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    s = metric_series(&labelled, (struct slice[]){slice_make(text, 4001), SLICE("")});
    assert_int_equal(strlen(s->values[0]), METRIC_VALUE_MAX - 1);
    assert_memory_equal(s->values[0], text, METRIC_VALUE_MAX - 1);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_along(void *arg) {
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        char feature[32];
        snprintf(feature, sizeof feature, "f%d", i % 50);
        metric_add(series(&labelled, "acme", feature), 1);
        metric_observe(metric_plain(&histogram), i);
    }
    return NULL;
}

static void threads_lose_no_count(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_along, NULL), 0);
    struct buffer out = {0};
    metric_write_all(&out); // while they count
    buffer_free(&out);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 50; i++) {
        char feature[32];
        snprintf(feature, sizeof feature, "f%d", i);
        assert_int_equal(metric_value(series(&labelled, "acme", feature)), THREADS * ROUNDS / 50);
    }
    assert_int_equal(metric_value(metric_plain(&histogram)), THREADS * ROUNDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counters_and_gauges_count, reset),
        cmocka_unit_test_setup(a_series_is_found_again, reset),
        cmocka_unit_test_setup(a_histogram_sorts_into_buckets, reset),
        cmocka_unit_test_setup(what_clients_invent_is_bounded, reset),
        cmocka_unit_test_setup(even_that_overflow_is_bounded, reset),
        cmocka_unit_test_setup(label_values_are_cleaned, reset),
        cmocka_unit_test_setup(long_label_values_are_cut, reset),
        cmocka_unit_test_setup(threads_lose_no_count, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
