// Retry budgets: the arithmetic, and outages at several rates, with and without a
// breaker. Time is a number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "farthing/breaker.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, PERCENT = 20, ATTEMPTS = 3 };

#define PROVIDER SLICE("openai")

struct scene {
    struct retry_budgets *budgets;
    struct retry_budgets_loop *loop;
    int64_t now_ms;
};

static int open_scene(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    log_set_level(LOG_ERROR);
    random_seed(7);
    metric_reset_for_test();
    s->budgets = retry_budgets_new();
    s->loop = retry_budgets_loop_new(s->budgets);
    s->now_ms = 12345678;
    *state = s;
    return 0;
}

static int close_scene(void **state) {
    struct scene *s = *state;
    retry_budgets_loop_free(s->loop);
    retry_budgets_free(s->budgets);
    free(s);
    return 0;
}

static int take_all(struct scene *s, unsigned percent) {
    int taken = 0;
    while (retry_budget_take(s->loop, PROVIDER, percent, s->now_ms))
        taken++;
    return taken;
}

static void good(struct scene *s, int n) {
    for (int i = 0; i < n; i++)
        retry_budget_note_good(s->loop, PROVIDER, PERCENT, s->now_ms);
}

static void client_retries(struct scene *s, int n) {
    for (int i = 0; i < n; i++)
        retry_budget_note_client_retry(s->loop, PROVIDER, s->now_ms);
}

// ----------------------------------------------------------------- arithmetic

static void test_floor(void **state) {
    struct scene *s = *state;
    assert_int_equal(take_all(s, PERCENT), RETRY_BUDGET_FLOOR);
    s->now_ms += MINUTE - 1;
    assert_int_equal(take_all(s, PERCENT), 0);
    s->now_ms += 1;
    assert_int_equal(take_all(s, PERCENT), 1);
    s->now_ms += 100 * (int64_t)MINUTE;
    assert_int_equal(take_all(s, PERCENT), RETRY_BUDGET_FLOOR);
}

static void test_answers_bring_the_floor_back(void **state) {
    struct scene *s = *state;
    assert_int_equal(take_all(s, PERCENT), 3);
    good(s, 3); // one of the floor, and 0.6 earned
    assert_int_equal(take_all(s, PERCENT), 1);
    s->now_ms += SECOND - 1; // 0.6 of the floor are left, and 0.02 came by itself
    good(s, 1);
    assert_int_equal(take_all(s, PERCENT), 0);
    s->now_ms += 1;
    good(s, 1);
    assert_int_equal(take_all(s, PERCENT), 2); // 0.4 earned, 1.62 of the floor
}

static void test_earning(void **state) {
    static const struct {
        unsigned percent;
        int good, taken;
    } rows[] = {{20, 0, 3}, {20, 4, 3},  {20, 5, 4},   {20, 500, 103},
                {1, 99, 3}, {1, 100, 4}, {100, 7, 10}, {0, 1000, 0}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->now_ms += 100 * (int64_t)MINUTE;
        for (int n = 0; n < rows[i].good; n++)
            retry_budget_note_good(s->loop, PROVIDER, rows[i].percent, s->now_ms);
        if (take_all(s, rows[i].percent) != rows[i].taken)
            fail_msg("row %zu", i);
    }
}

static void test_what_was_earned_runs_off(void **state) {
    static const struct {
        int64_t steps, step_ms;
        int least, most;
    } rows[] = {
        {1, 0, 103, 103},   {1, 1000, 93, 93}, {1, 10000, 3, 3},    {1000, 1, 93, 94},
        {10000, 1, 39, 41}, {60, 1000, 3, 4},  {1, -1000, 103, 103}}; // a clock that is behind
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->now_ms += 100 * (int64_t)MINUTE;
        good(s, 500);
        for (int64_t n = 0; n < rows[i].steps; n++) {
            s->now_ms += rows[i].step_ms;
            assert_false(retry_budget_take(s->loop, PROVIDER, 0, s->now_ms));
        }
        assert_in_range(take_all(s, PERCENT), rows[i].least, rows[i].most);
    }
}

// They are paid first; in debt nothing is left, and debts run off too.
static void test_clients_retries(void **state) {
    static const struct {
        int good, retries;
        int64_t later_ms;
        int taken;
    } rows[] = {{50, 0, 0, 13}, {50, 6, 0, 7},   {50, 13, 0, 0},     {50, 1000, 0, 0},
                {0, 3, 0, 0},   {0, 1000, 0, 0}, {0, 1000, 9000, 0}, {0, 1000, 10000, 3}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->now_ms += 100 * (int64_t)MINUTE;
        good(s, rows[i].good);
        client_retries(s, rows[i].retries);
        s->now_ms += rows[i].later_ms;
        if (take_all(s, PERCENT) != rows[i].taken)
            fail_msg("row %zu", i);
    }
}

// A debt runs off; it is not paid from the floor, which comes back slowly.
static void test_debt_and_floor(void **state) {
    struct scene *s = *state;
    client_retries(s, 1);
    assert_int_equal(take_all(s, PERCENT), 2);
    s->now_ms += RETRY_BUDGET_KEPT_MS;
    assert_int_equal(take_all(s, PERCENT), 1);
}

static void test_providers_are_apart(void **state) {
    struct scene *s = *state;
    assert_int_equal(take_all(s, PERCENT), 3);
    assert_true(retry_budget_take(s->loop, SLICE("azure"), PERCENT, s->now_ms));
}

static void look(void *arg, const struct retry_budget_view *view) {
    *(struct retry_budget_view *)arg = *view;
}

static void test_shown(void **state) {
    struct scene *s = *state;
    struct retry_budget_view v = {0};
    good(s, 10);
    client_retries(s, 1);
    assert_int_equal(take_all(s, PERCENT), 4);
    client_retries(s, 2);
    retry_budgets_visit(s->budgets, s->now_ms, look, &v);
    assert_true(slice_equal(v.provider, PROVIDER));
    assert_int_equal(v.left_milli, -2000);
    assert_true(v.retries == 4 && v.client_retries == 3 && v.denied == 1);
    static const char *const lines[] = {
        "farthing_retries_total{provider=\"openai\",by=\"farthing\"} 4\n",
        "farthing_retries_total{provider=\"openai\",by=\"client\"} 3\n",
        "farthing_retries_denied_total{provider=\"openai\"} 1\n",
    };
    struct buffer text = {0};
    metric_write_all(&text);
    for (size_t i = 0; i < FARTHING_COUNT(lines); i++)
        assert_true(slice_find(buffer_slice(&text), slice_of(lines[i])) >= 0);
    buffer_free(&text);
}

// -------------------------------------------------------------------- outages

struct sim {
    struct scene *scene;
    struct breakers_loop *breaker;
    struct breaker_figures figures; // failures 0: none
    int per_second;                 // clients' requests
    int client_attempts;            // 1: clients do not try again
    int fail_percent;
    // Counted.
    int64_t requests, upstream, first_good_ms;
};

static bool attempt(struct sim *s) {
    struct scene *at = s->scene;
    struct breaker_ticket t;
    if (breaker_admit(s->breaker, SLICE("openai/gpt-4o"), &s->figures, at->now_ms, &t) ==
        BREAKER_OPEN)
        return false;
    bool fails = random_below(100) < (uint64_t)s->fail_percent;
    s->upstream++;
    (void)breaker_report(&t, fails ? BREAKER_BAD : BREAKER_GOOD, 10, at->now_ms);
    return !fails;
}

static bool request(struct sim *s) {
    struct scene *at = s->scene;
    for (int made = 1; made <= ATTEMPTS; made++) {
        if (made > 1 && !retry_budget_take(at->loop, PROVIDER, PERCENT, at->now_ms))
            return false;
        if (attempt(s)) {
            retry_budget_note_good(at->loop, PROVIDER, PERCENT, at->now_ms);
            return true;
        }
    }
    return false;
}

static void client(struct sim *s) {
    for (int made = 1; made <= s->client_attempts; made++) {
        s->requests++;
        if (made > 1)
            retry_budget_note_client_retry(s->scene->loop, PROVIDER, s->scene->now_ms);
        if (!request(s))
            continue;
        if (s->first_good_ms < 0)
            s->first_good_ms = s->scene->now_ms;
        return;
    }
}

static void run(struct sim *s, int64_t ms, int fail_percent) {
    s->requests = s->upstream = 0;
    s->first_good_ms = -1;
    s->fail_percent = fail_percent;
    for (int64_t i = 0; i < ms * s->per_second / SECOND; i++) {
        s->scene->now_ms += SECOND / s->per_second;
        client(s);
    }
}

// Calm times of some length, then 30 seconds in which nothing is answered.
static void check_outage(struct scene *scene, int per_second, unsigned failures,
                         int client_attempts, int64_t before_ms) {
    struct breakers *breakers = breakers_new();
    struct sim s = {.scene = scene,
                    .breaker = breakers_loop_new(breakers),
                    .figures = {failures, 30 * SECOND, 15 * SECOND, 0},
                    .per_second = per_second,
                    .client_attempts = client_attempts};
    scene->now_ms += 10 * (int64_t)MINUTE;
    run(&s, before_ms, 0);
    assert_int_equal(s.upstream, s.requests);
    run(&s, 30 * SECOND, 100);
    if (s.upstream * 10 >= s.requests * 12)
        fail_msg("%d a second: %lld sent upstream for %lld requests", per_second,
                 (long long)s.upstream, (long long)s.requests);
    int64_t back_ms = scene->now_ms;
    run(&s, 30 * SECOND, 0);
    assert_in_range(s.first_good_ms - back_ms, 0, 15 * SECOND + SECOND / per_second);
    breakers_loop_free(s.breaker);
    breakers_free(breakers);
}

static void test_outages(void **state) {
    static const int rates[] = {1, 2, 5, 10, 100, 1000};
    static const int64_t before_ms[] = {0, 5 * SECOND, MINUTE};
    for (size_t r = 0; r < FARTHING_COUNT(rates); r++)
        for (size_t b = 0; b < FARTHING_COUNT(before_ms); b++)
            for (unsigned failures = 0; failures <= 5; failures += 5)
                for (int clients = 1; clients <= 3; clients++)
                    check_outage(*state, rates[r], failures, clients, before_ms[b]);
}

// A tenth of the calls fails: nearly every request is saved.
static void test_calm_failures_are_retried(void **state) {
    static const int rates[] = {1, 10, 1000};
    for (size_t i = 0; i < FARTHING_COUNT(rates); i++) {
        struct breakers *breakers = breakers_new();
        struct sim s = {.scene = *state,
                        .breaker = breakers_loop_new(breakers),
                        .per_second = rates[i],
                        .client_attempts = 1};
        run(&s, 2000 * SECOND / rates[i], 0);
        run(&s, 20000 * (int64_t)SECOND / rates[i], 10);
        struct retry_budget_view v;
        retry_budgets_visit(s.scene->budgets, s.scene->now_ms, look, &v);
        assert_true(v.denied < 20);
        assert_in_range(s.upstream * 100 / s.requests, 110, 112);
        breakers_loop_free(s.breaker);
        breakers_free(breakers);
    }
}

// Half of the calls fail, for long: retries stay within the share of requests,
// and what the floor gives while there are answers.
static void test_partial_outage(void **state) {
    static const int rates[] = {10, 1000};
    for (size_t i = 0; i < FARTHING_COUNT(rates); i++) {
        struct breakers *breakers = breakers_new();
        struct sim s = {.scene = *state,
                        .breaker = breakers_loop_new(breakers),
                        .per_second = rates[i],
                        .client_attempts = 1};
        run(&s, MINUTE, 50);
        int64_t retries = s.upstream - s.requests;
        assert_true(retries > s.requests / 20);
        assert_true(retries <= s.requests * PERCENT / 100 + 60 + RETRY_BUDGET_FLOOR);
        breakers_loop_free(s.breaker);
        breakers_free(breakers);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_floor),
        TEST(test_answers_bring_the_floor_back),
        TEST(test_earning),
        TEST(test_what_was_earned_runs_off),
        TEST(test_clients_retries),
        TEST(test_debt_and_floor),
        TEST(test_providers_are_apart),
        TEST(test_shown),
        TEST(test_outages),
        TEST(test_calm_failures_are_retried),
        TEST(test_partial_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
