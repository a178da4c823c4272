// What is learned of models: how fast, how sure, and that no report poisons it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "farthing/estimate.h"

#define MODEL SLICE("openai/gpt-4o-mini")

// A tokenizer that counts `base` and `ratio` of the raw estimate, with noise.
struct tokenizer {
    double ratio, noise;
    int64_t base;
};

// About normal, of standard deviation 1.
static double noise(void) {
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)random_below(1u << 20) / (1u << 20);
    return sum - 6;
}

static int64_t some_raw(void) {
    return (int64_t)(60 + random_below(1u << random_below(16)));
}

static int64_t reported(const struct tokenizer *t, int64_t raw) {
    double tokens = (double)raw * t->ratio * (1 + t->noise * noise());
    return t->base + (tokens < 1 ? 1 : (int64_t)(tokens + 0.5));
}

static void teach(struct estimator *e, const struct tokenizer *t, int reports) {
    for (int i = 0; i < reports; i++) {
        int64_t raw = some_raw();
        estimator_learn(e, MODEL, raw, reported(t, raw));
    }
}

static void starts_with_what_is_usual(void **state) {
    (void)state;
    struct estimator *e = estimator_new();
    struct estimate got = estimator_ask(e, MODEL, 1000);
    assert_int_equal(got.likely, 850);
    assert_int_equal(got.most, 1000);
    got = estimator_ask(e, MODEL, 0);
    assert_int_equal(got.likely, 0);
    got = estimator_ask(e, MODEL, 1);
    assert_int_equal(got.likely, 1);
    got = estimator_ask(e, MODEL, -5);
    assert_int_equal(got.most, 0);
    assert_true(estimator_ask(e, MODEL, INT64_MAX).most > 0);
    estimator_free(e);
    estimator_free(NULL);
}

static const struct tokenizer tokenizers[] = {
    {0.4, 0.0, 0},  {0.55, 0.03, 0}, {0.7, 0.05, 0},  {0.82, 0.05, 7}, {0.95, 0.1, 0},
    {1.2, 0.05, 0}, {1.6, 0.1, 0},   {2.3, 0.05, 12}, {2.8, 0.0, 0},
};

static void fifty_reports_are_enough(void **state) {
    (void)state;
    random_seed(1);
    for (size_t i = 0; i < FARTHING_COUNT(tokenizers); i++) {
        const struct tokenizer *t = &tokenizers[i];
        struct estimator *e = estimator_new();
        teach(e, t, 50);
        double ratio = (double)estimator_ask(e, MODEL, 10000).likely / 10000;
        if (fabs(ratio - t->ratio) > 0.1 * t->ratio)
            fail_msg("learned %.3f for %.3f", ratio, t->ratio);
        estimator_free(e);
    }
}

static void most_is_hardly_exceeded(void **state) {
    enum { WARM_UP = 100, REQUESTS = 20000 };
    (void)state;
    random_seed(2);
    for (size_t i = 0; i < FARTHING_COUNT(tokenizers); i++) {
        const struct tokenizer *t = &tokenizers[i];
        struct estimator *e = estimator_new();
        teach(e, t, WARM_UP);
        int exceeded = 0;
        double room = 0;
        for (int n = 0; n < REQUESTS; n++) {
            int64_t raw = some_raw(), tokens = reported(t, raw);
            struct estimate got = estimator_ask(e, MODEL, raw);
            assert_true(got.most >= got.likely);
            exceeded += tokens > got.most;
            room += (double)got.most / (double)tokens;
            estimator_learn(e, MODEL, raw, tokens);
        }
        if (exceeded > REQUESTS / 100)
            fail_msg("%.2f: %d of %d exceed it", t->ratio, exceeded, REQUESTS);
        // Not by being far too much.
        if (room / REQUESTS > 1.15 + 5 * t->noise)
            fail_msg("%.2f: most is %.2f of what is", t->ratio, room / REQUESTS);
        estimator_free(e);
    }
}

static void most_shrinks_again(void **state) {
    const struct tokenizer wide = {0.8, 0.2, 0}, narrow = {0.8, 0.01, 0};
    (void)state;
    random_seed(3);
    struct estimator *e = estimator_new();
    teach(e, &wide, 300);
    int64_t before = estimator_ask(e, MODEL, 10000).most;
    teach(e, &narrow, 20);
    assert_true(estimator_ask(e, MODEL, 10000).most > 9000); // what it saw lately
    teach(e, &narrow, 2000);
    int64_t after = estimator_ask(e, MODEL, 10000).most;
    assert_true(before > 10500);
    assert_in_range(after, 8000, 8800);
    estimator_free(e);
}

static void small_requests_show_what_is_always_added(void **state) {
    (void)state;
    struct estimator *e = estimator_new();
    for (int i = 0; i < 200; i++) {
        estimator_learn(e, MODEL, 20, 16 + 9);
        estimator_learn(e, MODEL, 2000, 1600 + 9);
    }
    assert_in_range(estimator_ask(e, MODEL, 20).likely, 24, 26);
    assert_in_range(estimator_ask(e, MODEL, 2000).likely, 1590, 1625);
    assert_true(estimator_ask(e, MODEL, 20).most >= 25);
    estimator_free(e);
}

// ------------------------------------------------------------------ wild reports

static const int64_t wild[][2] = {{1000, 0},      {1000, -1},     {0, 1000},
                                  {-1000, 1000},  {1000, 100000}, {1000, INT64_MAX},
                                  {INT64_MAX, 1}, {1000, 1},      {INT64_MIN, INT64_MIN},
                                  {10, 1000000},  {49, 1},        {1 << 30, 1 << 30}};

static void a_wild_report_changes_little(void **state) {
    const struct tokenizer t = {0.8, 0.03, 0};
    (void)state;
    random_seed(4);
    for (size_t i = 0; i < FARTHING_COUNT(wild); i++) {
        struct estimator *e = estimator_new();
        teach(e, &t, 100);
        struct estimate before = estimator_ask(e, MODEL, 10000);
        estimator_learn(e, MODEL, wild[i][0], wild[i][1]);
        struct estimate after = estimator_ask(e, MODEL, 10000);
        assert_in_range(after.likely, before.likely * 97 / 100, before.likely * 103 / 100);
        assert_in_range(after.most, before.most * 97 / 100, before.most * 115 / 100);
        estimator_free(e);
    }
}

// Also where it is the first that is heard of a model.
static void whatever_is_reported_bounds_hold(void **state) {
    (void)state;
    random_seed(5);
    struct estimator *e = estimator_new();
    for (int i = 0; i < 20000; i++) {
        int64_t raw = (int64_t)random_below(1u << random_below(31));
        int64_t tokens = (int64_t)random_below(1u << random_below(31));
        struct slice model = random_below(50) == 0 ? SLICE("a/b") : MODEL;
        estimator_learn(e, model, raw, tokens);
        int64_t ask = (int64_t)random_below(1u << random_below(31));
        struct estimate got = estimator_ask(e, model, ask);
        assert_true(got.likely <= got.most);
        assert_true(got.likely >= ask * 3 / 10 && got.most <= 3 * ask + 17);
    }
    estimator_free(e);
}

// ------------------------------------------------------------------------ models

static void models_are_apart(void **state) {
    (void)state;
    struct estimator *e = estimator_new();
    for (int i = 0; i < 100; i++)
        estimator_learn(e, SLICE("a/low"), 1000, 500);
    assert_in_range(estimator_ask(e, SLICE("a/low"), 1000).likely, 490, 520);
    assert_int_equal(estimator_ask(e, SLICE("a/other"), 1000).likely, 850);
    estimator_free(e);
}

// Those beyond the bound share what they learn; asking makes no model known.
static void models_are_bounded(void **state) {
    enum { MODELS = 512, MORE = 1000, REPORTS = 60 };
    (void)state;
    struct estimator *e = estimator_new();
    char name[32];
    for (int n = 0; n < MODELS + MORE; n++) {
        struct slice model = slice_make(name, (size_t)snprintf(name, sizeof name, "asked/%d", n));
        assert_int_equal(estimator_ask(e, model, 1000).likely, 850);
    }
    for (int n = 0; n < MODELS + MORE; n++)
        for (int i = 0; i < REPORTS; i++) {
            struct slice model = slice_make(name, (size_t)snprintf(name, sizeof name, "p/m-%d", n));
            estimator_learn(e, model, 1000, n < MODELS ? 500 : 1500);
        }
    for (int n = 0; n < MODELS + MORE; n++) {
        struct slice model = slice_make(name, (size_t)snprintf(name, sizeof name, "p/m-%d", n));
        int64_t likely = estimator_ask(e, model, 1000).likely;
        assert_in_range(likely, n < MODELS ? 480 : 1450, n < MODELS ? 550 : 1550);
    }
    estimator_free(e);
}

static void the_error_is_counted(void **state) {
    (void)state;
    struct estimator *e = estimator_new();
    for (int i = 0; i < 5; i++)
        estimator_learn(e, SLICE("seen/model"), 1000, 850);
    struct buffer text = {0};
    metric_write_all(&text);
    struct slice wanted =
        SLICE("farthing_token_estimate_ratio_bucket{model=\"seen/model\",le=\"1\"} 5\n");
    assert_true(slice_find(buffer_slice(&text), wanted) >= 0);
    wanted = SLICE("farthing_token_estimate_ratio_bucket{model=\"seen/model\",le=\"0.95\"} 0\n");
    assert_true(slice_find(buffer_slice(&text), wanted) >= 0);
    buffer_free(&text);
    estimator_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_is_counted), // before names of models run out
        cmocka_unit_test(starts_with_what_is_usual),
        cmocka_unit_test(fifty_reports_are_enough),
        cmocka_unit_test(most_is_hardly_exceeded),
        cmocka_unit_test(most_shrinks_again),
        cmocka_unit_test(small_requests_show_what_is_always_added),
        cmocka_unit_test(a_wild_report_changes_little),
        cmocka_unit_test(whatever_is_reported_bounds_hold),
        cmocka_unit_test(models_are_apart),
        cmocka_unit_test(models_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
