// Budgets in time: zones, sliding windows, clocks that leap, and windows that are
// changed while money is held.
#include "budget_scene.h"

#define BERLIN  "budget \"d\" { amount = \"1 usd\" window = \"1d\" timezone = \"Europe/Berlin\" }"
#define SLIDING "budget \"d\" { amount = \"1 usd\" window = \"1d\" sliding = true }"
#define DAILY   "budget \"d\" { amount = \"1 usd\" window = \"1d\" }"
#define PART_MS HOUR_MS // of a sliding day

// ---------------------------------------------------------------------------- zones

static void test_days_of_berlin(void **state) {
    struct budget_scene *s = *state;
    static const struct {
        int64_t midnight; // in UTC
        int hours;
    } rows[] = {
        {INT64_C(1773183600000), 24}, // 2026-03-11 00:00 +01:00
        {INT64_C(1774738800000), 23}, // 2026-03-29
        {INT64_C(1792879200000), 25}, // 2026-10-25 00:00 +02:00
    };
    configure(s, BERLIN);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        int64_t end = rows[i].midnight + rows[i].hours * HOUR_MS;
        at(rows[i].midnight);
        spend(s, NOBODY, USD);
        assert_int_equal(view_of(s, "d", "").window_start_ms, rows[i].midnight);
        assert_int_equal(view_of(s, "d", "").window_end_ms, end);
        at(end - 1);
        assert_true(is_refused(s, NOBODY, 1));
        assert_int_equal(s->refusal.retry_after_ms, 1);
        at(end);
        assert_int_equal(left(s, NOBODY), USD);
        at(rows[i].midnight - 1); // set back, and forward again
        assert_int_equal(left(s, NOBODY), USD);
        at(rows[i].midnight);
        assert_int_equal(left(s, NOBODY), 0);
    }
}

static void test_a_zone_that_is_none_is_utc(void **state) {
    struct budget_scene *s = *state;
    const struct config_budget budget = {
        .name = SLICE("d"), .amount = USD, .window_ms = DAY_MS, .timezone = SLICE("No/Where")};
    const struct config_tenant tenant = {
        .name = SLICE("acme"), .budgets = &budget, .budget_count = 1};
    const struct config config = {.tenants = &tenant, .tenant_count = 1};
    budgets_configure(s->budgets, &config);
    spend(s, NOBODY, 1);
    assert_int_equal(view_of(s, "d", "").window_start_ms, NOON_MS - 12 * HOUR_MS);
}

// -------------------------------------------------------------------------- sliding

static void test_what_is_spent_comes_back_after_a_length(void **state) {
    struct budget_scene *s = *state;
    configure(s, SLIDING);
    spend(s, NOBODY, 6 * USD / 10);
    at(NOON_MS + 5 * HOUR_MS + 10);
    spend(s, NOBODY, 4 * USD / 10);
    struct budget_view v = view_of(s, "d", "");
    assert_true(v.sliding);
    assert_int_equal(v.spent, USD);
    assert_int_equal(v.window_start_ms, NOON_MS + 5 * HOUR_MS + 10 - DAY_MS);
    assert_int_equal(v.window_end_ms, NOON_MS + DAY_MS + PART_MS);
    // Enough for one leaves with the first part, for both with the second.
    assert_true(is_refused(s, NOBODY, 6 * USD / 10));
    assert_int_equal(s->refusal.retry_after_ms, DAY_MS + PART_MS - 5 * HOUR_MS - 10);
    assert_true(is_refused(s, NOBODY, USD));
    assert_int_equal(s->refusal.retry_after_ms, DAY_MS + PART_MS - 10);
    assert_true(is_refused(s, NOBODY, USD + 1));
    assert_int_equal(s->refusal.retry_after_ms, -1);
    at(NOON_MS + DAY_MS + PART_MS - 1);
    assert_true(is_refused(s, NOBODY, 1));
    at(NOON_MS + DAY_MS + PART_MS);
    assert_int_equal(left(s, NOBODY), 6 * USD / 10);
    at(NOON_MS + 5 * HOUR_MS + DAY_MS + PART_MS);
    assert_int_equal(left(s, NOBODY), USD);
}

// As often as it can be, at random times: any interval of the length, and not only
// those that end now, holds no more than the amount.
static void test_no_interval_holds_more(void **state) {
    struct budget_scene *s = *state;
    enum { COUNT = 4000 };
    static int64_t when[COUNT], cost[COUNT];
    int64_t now = NOON_MS, served = 0;
    configure(s, SLIDING);
    random_seed(7);
    for (int i = 0; i < COUNT; i++) {
        struct budget_reservation r = {0};
        now += (int64_t)random_below(40 * 60 * 1000);
        at(now);
        when[i] = now;
        if (!reserve(s, &r, NOBODY, (config_pico)random_below((uint64_t)USD / 10)))
            continue;
        cost[i] = (config_pico)random_below((uint64_t)r.amount + 1);
        assert_true(budget_settle(s->own, &r, cost[i], NULL));
        served += cost[i];
    }
    int64_t sum = 0;
    for (int first = 0, last = 0; last < COUNT; last++) {
        sum += cost[last];
        while (when[last] - when[first] >= DAY_MS)
            sum -= cost[first++];
        assert_true(sum <= USD);
    }
    // And it is used: of what 25 parts allow, most.
    assert_true(served > (now - NOON_MS) / (25 * HOUR_MS) * USD * 7 / 10);
}

static void test_a_late_cost_counts_where_it_was_reserved(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0}, never = {0};
    configure(s, SLIDING);
    assert_true(reserve(s, &r, NOBODY, USD / 2));
    assert_true(reserve(s, &never, NOBODY, USD / 4));
    at(NOON_MS + 20 * HOUR_MS);
    assert_int_equal(view_of(s, "d", "").reserved, 3 * USD / 4);
    assert_true(budget_settle(s->own, &r, USD / 4, NULL));
    assert_int_equal(left(s, NOBODY), USD / 2);
    at(NOON_MS + DAY_MS + PART_MS);
    assert_int_equal(left(s, NOBODY), USD);
    for (int part = 2; part < 100; part++) {
        at(NOON_MS + DAY_MS + part * PART_MS);
        spend(s, NOBODY, 1);
    }
    assert_true(budget_settle(s->own, &never, USD / 4, NULL)); // nobody remembers
    assert_int_equal(left(s, NOBODY), USD - 25);
}

static void test_sliding_with_a_clock_set_back(void **state) {
    struct budget_scene *s = *state;
    static const int64_t back_ms[] = {1, PART_MS, 12 * HOUR_MS, DAY_MS, 3 * DAY_MS, 400 * DAY_MS};
    configure(s, SLIDING);
    for (size_t i = 0; i < FARTHING_COUNT(back_ms); i++) {
        int64_t day = NOON_MS + (int64_t)(i + 1) * 1000 * DAY_MS;
        at(day - 2 * HOUR_MS);
        spend(s, NOBODY, USD / 2);
        at(day);
        spend(s, NOBODY, USD / 2);
        at(day - back_ms[i]);
        assert_int_equal(left(s, NOBODY), 0);
        at(day + 1000); // and forward again
        assert_int_equal(left(s, NOBODY), 0);
        at(day - back_ms[i]);
        assert_int_equal(left(s, NOBODY), 0);
        // All of it is back one length and some parts after the later clock.
        at(day + DAY_MS + 2 * PART_MS);
        assert_int_equal(left(s, NOBODY), USD);
    }
}

static void test_a_clock_far_back_gives_back_after_a_length(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0};
    int64_t then = NOON_MS - 400 * DAY_MS;
    configure(s, SLIDING);
    spend(s, NOBODY, USD / 2);
    assert_true(reserve(s, &r, NOBODY, USD / 4));
    at(then);
    assert_int_equal(left(s, NOBODY), USD / 4); // what is reserved counts as spent
    assert_true(budget_settle(s->own, &r, USD / 8, NULL));
    assert_int_equal(left(s, NOBODY), USD / 4);
    at(then + DAY_MS);
    assert_int_equal(left(s, NOBODY), USD / 4);
    at(then + DAY_MS + PART_MS);
    assert_int_equal(left(s, NOBODY), USD);
}

static void test_parts_of_every_window(void **state) {
    struct budget_scene *s = *state;
    static const struct {
        const char *window;
        int64_t length_ms;
    } rows[] = {{"1h", HOUR_MS}, {"1d", DAY_MS}, {"1w", 7 * DAY_MS}, {"1mo", 30 * DAY_MS}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char body[128];
        int64_t length = rows[i].length_ms;
        snprintf(body, sizeof body,
                 "budget \"s%zu\" { amount = \"1 usd\" window = \"%s\" sliding = true }", i,
                 rows[i].window);
        at(NOON_MS);
        configure(s, body);
        spend(s, NOBODY, USD);
        at(NOON_MS + length - 1);
        assert_int_equal(left(s, NOBODY), 0);
        at(NOON_MS + length + length / 24);
        assert_int_equal(left(s, NOBODY), USD);
    }
}

// -------------------------------------------------------------------------- reloads

static const char *const shapes[] = {
    DAILY,
    BERLIN,
    SLIDING,
    "budget \"d\" { amount = \"1 usd\" window = \"1h\" sliding = true }",
    "budget \"d\" { amount = \"1 usd\" window = \"1h\" timezone = \"Asia/Kolkata\" }",
    "budget \"d\" { amount = \"1 usd\" window = \"1mo\" }",
    "budget \"d\" { amount = \"1 usd\" }",
};

// What counted before counts on, with what is held, and nothing counts twice.
static void test_a_changed_shape_while_money_is_held(void **state) {
    struct budget_scene *s = *state;
    for (size_t i = 0; i < FARTHING_COUNT(shapes) * FARTHING_COUNT(shapes); i++) {
        struct budget_reservation r = {0};
        close_scene(s);
        at(NOON_MS);
        open_scene(s, shapes[i / FARTHING_COUNT(shapes)]);
        spend(s, NOBODY, USD / 8);
        assert_true(reserve(s, &r, NOBODY, USD / 2));
        configure(s, shapes[i % FARTHING_COUNT(shapes)]);
        assert_int_equal(left(s, NOBODY), 3 * USD / 8);
        spend(s, NOBODY, USD / 8);
        configure(s, shapes[i / FARTHING_COUNT(shapes)]); // and back
        assert_int_equal(left(s, NOBODY), USD / 4);
        configure(s, shapes[i % FARTHING_COUNT(shapes)]);
        assert_true(budget_settle(s->own, &r, USD / 4, NULL));
        assert_int_equal(left(s, NOBODY), USD / 2);
        assert_int_equal(view_of(s, "d", "").reserved, 0);
        at(NOON_MS + 50 * DAY_MS);
        bool total = i % FARTHING_COUNT(shapes) == FARTHING_COUNT(shapes) - 1;
        assert_int_equal(left(s, NOBODY), total ? USD / 2 : USD);
    }
}

static void test_what_is_carried_along_ends_with_the_new_window(void **state) {
    struct budget_scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1mo\" }");
    spend(s, NOBODY, USD);
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1h\" }");
    at(NOON_MS + HOUR_MS - 1);
    assert_int_equal(left(s, NOBODY), 0);
    at(NOON_MS + HOUR_MS);
    assert_int_equal(left(s, NOBODY), USD);
    configure(s, DAILY);
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1w\" }");
    configure(s, DAILY); // the day's own figure is the day's again
    spend(s, NOBODY, USD / 2);
    assert_int_equal(left(s, NOBODY), USD / 2);
    at(NOON_MS + DAY_MS);
    assert_int_equal(left(s, NOBODY), USD);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_memory, tear_down_memory)
    const struct CMUnitTest tests[] = {
        TEST(test_days_of_berlin),
        TEST(test_a_zone_that_is_none_is_utc),
        TEST(test_what_is_spent_comes_back_after_a_length),
        TEST(test_no_interval_holds_more),
        TEST(test_a_late_cost_counts_where_it_was_reserved),
        TEST(test_sliding_with_a_clock_set_back),
        TEST(test_a_clock_far_back_gives_back_after_a_length),
        TEST(test_parts_of_every_window),
        TEST(test_a_changed_shape_while_money_is_held),
        TEST(test_what_is_carried_along_ends_with_the_new_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
