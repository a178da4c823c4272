// Budgets in memory: what is granted, what is refused and why, windows and
// clocks, reloads, and money too large for its type.
#include "farthing/budget.h"
#include "scene.h"

struct scene {
    struct event_base *loop;
    struct budgets *budgets;
    struct budgets_loop *own;
};

static void at(int64_t wall_ms) {
    clock_freeze(wall_ms, UINT64_C(1000000000));
}

static int set_up(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    struct error err;
    at(NOON_MS);
    metric_reset_for_test();
    s->loop = event_base_new();
    s->budgets = budgets_open(NULL, &err);
    assert_non_null(s->budgets);
    s->own = budgets_loop_new(s->budgets, s->loop, NULL);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    struct scene *s = *state;
    budgets_loop_free(s->own);
    budgets_close(s->budgets);
    event_base_free(s->loop);
    free(s);
    clock_thaw();
    return 0;
}

static void configure(struct scene *s, const char *body) {
    const struct config *c = scene_config(body, "");
    budgets_configure(s->budgets, c);
    config_unref(c); // names and figures are the budgets' own
}

static struct budget_refusal refusal; // the last

static enum budget_verdict reserve(struct scene *s, struct budget_reservation *r,
                                   const char *feature, config_pico worst) {
    const struct budget_ask ask = {
        .scope = {.tenant = SLICE("acme"), .feature = slice_of(feature), .run_amount = CONFIG_UNSET},
        .worst = worst,
    };
    return budget_reserve(s->own, r, &ask, NULL, NULL, &refusal);
}

static void spend(struct scene *s, const char *feature, config_pico cost) {
    struct budget_reservation r = {0};
    assert_int_equal(reserve(s, &r, feature, cost), BUDGET_GRANTED);
    assert_true(budget_settle(s->own, &r, cost, NULL));
}

static config_pico left(struct scene *s, const char *feature) {
    const struct budget_scope scope = {
        .tenant = SLICE("acme"), .feature = slice_of(feature), .run_amount = CONFIG_UNSET};
    return budget_remaining(s->own, &scope);
}

struct search {
    struct slice name;
    struct budget_view view;
    unsigned found;
};

static void on_view(void *arg, const struct budget_view *view) {
    struct search *search = arg;
    if (slice_equal(view->budget, search->name)) {
        search->view = *view;
        search->found++;
    }
}

static struct budget_view view(struct scene *s, const char *name) {
    struct search search = {.name = slice_of(name)};
    budgets_visit(s->budgets, on_view, &search);
    assert_int_equal(search.found, 1);
    return search.view;
}

// ------------------------------------------------------------------- reservations

static void test_without_budgets_anything_goes(void **state) {
    struct scene *s = *state;
    configure(s, "");
    struct budget_reservation r = {0};
    struct budget_settled settled;
    assert_int_equal(reserve(s, &r, "x", INT64_MAX), BUDGET_GRANTED);
    assert_int_equal(r.state, BUDGET_HELD);
    assert_true(budget_settle(s->own, &r, INT64_MAX, &settled));
    assert_int_equal(settled.remaining, CONFIG_UNSET);
    assert_int_equal(settled.overrun, 0);
    assert_int_equal(left(s, ""), CONFIG_UNSET);
}

static void test_reserve_settle_and_the_rest_is_back(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    struct budget_reservation r = {0}, more = {0};
    struct budget_settled settled;
    assert_int_equal(reserve(s, &r, "", 7 * USD / 10), BUDGET_GRANTED);
    assert_int_equal(left(s, ""), 3 * USD / 10);
    assert_int_equal(reserve(s, &more, "", 3 * USD / 10 + 1), BUDGET_REFUSED);
    assert_int_equal(more.state, BUDGET_RELEASED);
    assert_int_equal(reserve(s, &more, "", 3 * USD / 10), BUDGET_GRANTED);
    assert_int_equal(left(s, ""), 0);
    assert_true(budget_settle(s->own, &r, USD / 10, &settled));
    assert_int_equal(settled.overrun, 0);
    assert_int_equal(settled.remaining, 6 * USD / 10);
    assert_true(budget_release(s->own, &more));
    struct budget_view v = view(s, "d");
    assert_int_equal(v.spent, USD / 10);
    assert_int_equal(v.reserved, 0);
    assert_int_equal(v.remaining, 9 * USD / 10);
}

static void test_each_exactly_once(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    struct budget_reservation r = {0};
    assert_false(budget_settle(s->own, &r, 5, NULL)); // nothing held yet
    assert_false(budget_release(s->own, &r));
    assert_int_equal(reserve(s, &r, "", 100), BUDGET_GRANTED);
    assert_true(budget_settle(s->own, &r, 60, NULL));
    assert_int_equal(r.state, BUDGET_SETTLED);
    assert_false(budget_settle(s->own, &r, 60, NULL));
    assert_false(budget_release(s->own, &r));
    assert_int_equal(view(s, "d").spent, 60);
    assert_int_equal(reserve(s, &r, "", 100), BUDGET_GRANTED); // used again
    assert_true(budget_release(s->own, &r));
    assert_int_equal(r.state, BUDGET_RELEASED);
    assert_false(budget_release(s->own, &r));
    assert_false(budget_settle(s->own, &r, 1, NULL));
    assert_int_equal(view(s, "d").spent, 60);
    assert_int_equal(view(s, "d").reserved, 0);
}

static void test_all_or_none(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"hour\" { amount = \"1 usd\" window = \"1h\" }\n"
                 "budget \"all\" { amount = \"5 usd\" }\n"
                 "budget \"help\" { amount = \"0.5 usd\" window = \"1d\" feature = \"help_*\" }");
    struct budget_reservation r = {0};
    assert_int_equal(reserve(s, &r, "help_me", 6 * USD / 10), BUDGET_REFUSED);
    assert_true(slice_equal(refusal.budget.budget, SLICE("help")));
    assert_true(slice_equal(refusal.budget.tenant, SLICE("acme")));
    assert_int_equal(refusal.budget.amount, USD / 2);
    assert_int_equal(refusal.asked, 6 * USD / 10);
    assert_int_equal(refusal.fits, USD / 2);
    assert_int_equal(refusal.budget.window_end_ms, NOON_MS + 12 * HOUR_MS);
    assert_int_equal(refusal.retry_after_ms, -1); // it never fits
    assert_int_equal(view(s, "hour").reserved, 0);
    assert_int_equal(view(s, "all").reserved, 0);
    assert_int_equal(reserve(s, &r, "help_me", refusal.fits), BUDGET_GRANTED);
    assert_int_equal(view(s, "hour").reserved, USD / 2);
    assert_int_equal(view(s, "all").reserved, USD / 2);
    assert_int_equal(view(s, "help").reserved, USD / 2);
    assert_int_equal(left(s, "other"), USD / 2);
    assert_int_equal(left(s, "help_x"), 0);
    assert_true(budget_settle(s->own, &r, USD / 4, NULL));
    assert_int_equal(view(s, "help").spent, USD / 4);
}

static void test_invented_features_fall_under_the_tenants_budgets(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"all\" { amount = \"1 usd\" window = \"1d\" }\n"
                 "budget \"help\" { amount = \"0.5 usd\" window = \"1d\" feature = \"help_*\" }");
    for (int i = 0; i < 10; i++) {
        char feature[16];
        snprintf(feature, sizeof feature, "new%d", i);
        spend(s, feature, USD / 10);
    }
    struct budget_reservation r = {0};
    assert_int_equal(reserve(s, &r, "new10", 1), BUDGET_REFUSED);
    assert_true(slice_equal(refusal.budget.budget, SLICE("all")));
    assert_int_equal(reserve(s, &r, "", 1), BUDGET_REFUSED);
    assert_int_equal(reserve(s, &r, "help_1", 1), BUDGET_REFUSED);
    assert_int_equal(view(s, "help").spent, 0);
}

static void test_many_budgets(void **state) {
    struct scene *s = *state;
    struct buffer body = {0};
    for (int i = 0; i < 20; i++)
        buffer_printf(&body, "budget \"b%d\" { amount = \"%d usd\" }\n", i, 100 - i);
    buffer_append_char(&body, '\0');
    configure(s, body.ptr);
    buffer_free(&body);
    struct budget_reservation r = {0};
    assert_int_equal(reserve(s, &r, "", 82 * USD), BUDGET_REFUSED);
    assert_true(slice_equal(refusal.budget.budget, SLICE("b19")));
    assert_int_equal(reserve(s, &r, "", 81 * USD), BUDGET_GRANTED);
    assert_true(budget_settle(s->own, &r, USD, NULL));
    assert_int_equal(view(s, "b0").spent, USD);
    assert_int_equal(view(s, "b19").spent, USD);
    assert_int_equal(reserve(s, &r, "", USD), BUDGET_GRANTED);
    assert_true(budget_release(s->own, &r));
}

static void test_an_overrun_is_booked_and_shown(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    struct budget_reservation r = {0};
    struct budget_settled settled;
    assert_int_equal(reserve(s, &r, "", USD), BUDGET_GRANTED);
    assert_true(budget_settle(s->own, &r, USD + 7, &settled));
    assert_int_equal(settled.overrun, 7);
    assert_int_equal(settled.remaining, 0);
    struct budget_view v = view(s, "d");
    assert_int_equal(v.spent, USD + 7);
    assert_int_equal(v.overrun, 7);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(reserve(s, &r, "", 0), BUDGET_REFUSED); // it is over
    assert_int_equal(refusal.fits, 0);
}

static void test_nothing_wraps(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"9000000 usd\" }");
    struct budget_reservation r = {0}, q = {0};
    assert_int_equal(reserve(s, &r, "", INT64_MAX), BUDGET_REFUSED);
    assert_int_equal(reserve(s, &r, "", INT64_MIN), BUDGET_GRANTED); // as 0
    assert_true(budget_settle(s->own, &r, INT64_MIN, NULL));
    assert_int_equal(view(s, "d").spent, 0);
    assert_int_equal(reserve(s, &r, "", 9000000 * USD), BUDGET_GRANTED);
    assert_int_equal(reserve(s, &q, "", 1), BUDGET_REFUSED);
    assert_true(budget_settle(s->own, &r, INT64_MAX, NULL));
    assert_int_equal(view(s, "d").spent, INT64_MAX);
    assert_int_equal(reserve(s, &q, "", INT64_MAX), BUDGET_REFUSED);
    assert_int_equal(reserve(s, &q, "", 0), BUDGET_REFUSED);
    assert_int_equal(left(s, ""), 0);
}

// ------------------------------------------------------------------------ windows

static void test_windows_begin_anew(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }\n"
                 "budget \"t\" { amount = \"10 usd\" }");
    struct budget_reservation r = {0};
    spend(s, "", USD);
    assert_int_equal(reserve(s, &r, "", 1), BUDGET_REFUSED);
    assert_int_equal(refusal.retry_after_ms, 12 * HOUR_MS);
    assert_int_equal(refusal.budget.window_start_ms, NOON_MS - 12 * HOUR_MS);
    at(NOON_MS + 12 * HOUR_MS - 1);
    assert_int_equal(reserve(s, &r, "", 1), BUDGET_REFUSED);
    assert_int_equal(refusal.retry_after_ms, 1);
    at(NOON_MS + 12 * HOUR_MS);
    assert_int_equal(left(s, ""), USD);
    spend(s, "", USD);
    assert_int_equal(view(s, "t").spent, 2 * USD); // the total goes on
    assert_int_equal(view(s, "t").window_end_ms, 0);
}

static void test_a_cost_counts_where_it_was_reserved(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    struct budget_reservation r = {0};
    struct budget_settled settled;
    assert_int_equal(reserve(s, &r, "", USD), BUDGET_GRANTED);
    at(NOON_MS + DAY_MS);
    assert_int_equal(left(s, ""), USD);
    assert_true(budget_settle(s->own, &r, USD / 2, &settled));
    assert_int_equal(settled.remaining, USD);
    assert_int_equal(view(s, "d").spent, 0);
    at(NOON_MS);
    assert_int_equal(view(s, "d").spent, USD / 2);
}

// Twenty windows later nobody remembers where it was.
static void test_a_cost_that_comes_very_late(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"h\" { amount = \"1 usd\" window = \"1h\" }");
    struct budget_reservation r = {0};
    assert_int_equal(reserve(s, &r, "", USD), BUDGET_GRANTED);
    for (int hour = 1; hour < 20; hour++) {
        at(NOON_MS + hour * HOUR_MS);
        spend(s, "", hour);
    }
    assert_true(budget_settle(s->own, &r, USD, NULL));
    assert_int_equal(view(s, "h").spent, 19);
    assert_int_equal(view(s, "h").reserved, 0);
}

static void test_a_clock_set_back_gives_no_second_window(void **state) {
    struct scene *s = *state;
    static const int64_t back_ms[] = {1000, 12 * HOUR_MS, DAY_MS, 3 * DAY_MS, 300 * DAY_MS};
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    for (size_t i = 0; i < FARTHING_COUNT(back_ms); i++) {
        int64_t day = NOON_MS + (int64_t)(i + 1) * 1000 * DAY_MS;
        at(day - 12 * HOUR_MS); // midnight
        spend(s, "", USD);
        at(day - 12 * HOUR_MS - back_ms[i]);
        assert_int_equal(left(s, ""), 0);
        at(day);
        assert_int_equal(left(s, ""), 0);
        at(day + DAY_MS);
        assert_int_equal(left(s, ""), USD);
    }
}

static void test_a_clock_that_flickers_over_midnight(void **state) {
    struct scene *s = *state;
    int64_t midnight = NOON_MS + 12 * HOUR_MS;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    spend(s, "", 6 * USD / 10);
    for (int i = 0; i < 4; i++) {
        at(midnight + 1);
        spend(s, "", USD / 10);
        at(midnight - 1);
        spend(s, "", USD / 10);
    }
    assert_int_equal(left(s, ""), 0);
    at(midnight);
    assert_int_equal(left(s, ""), 6 * USD / 10);
}

// ------------------------------------------------------------------------ reloads

static void test_a_changed_amount_applies_to_what_was_spent(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    spend(s, "", USD);
    configure(s, "budget \"d\" { amount = \"3 usd\" window = \"1d\" }");
    assert_int_equal(left(s, ""), 2 * USD);
    configure(s, "budget \"d\" { amount = \"0.5 usd\" window = \"1d\" }");
    assert_int_equal(left(s, ""), 0);
    assert_int_equal(view(s, "d").spent, USD);
}

static void test_a_budget_taken_out_and_put_back(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    struct budget_reservation r = {0};
    assert_int_equal(reserve(s, &r, "", USD / 2), BUDGET_GRANTED);
    configure(s, "");
    assert_int_equal(left(s, ""), CONFIG_UNSET);
    assert_false(view(s, "d").configured);
    assert_true(budget_settle(s->own, &r, USD / 2, NULL)); // counts on
    configure(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    assert_int_equal(left(s, ""), USD / 2);
}

static void test_a_changed_window_runs_on(void **state) {
    struct scene *s = *state;
    static const char *const windows[] = {"1h", "1d", "1w", "1mo", "total"};
    char body[128];
    for (size_t from = 0; from < FARTHING_COUNT(windows); from++)
        for (size_t to = 0; to < FARTHING_COUNT(windows); to++) {
            char name[16];
            snprintf(name, sizeof name, "b%zu%zu", from, to);
            snprintf(body, sizeof body, "budget \"%s\" { amount = \"1 usd\" window = \"%s\" }",
                     name, windows[from]);
            configure(s, body);
            spend(s, "", USD / 2);
            snprintf(body, sizeof body, "budget \"%s\" { amount = \"1 usd\" window = \"%s\" }",
                     name, windows[to]);
            configure(s, body);
            assert_int_equal(left(s, ""), USD / 2);
        }
    configure(s, "budget \"x\" { amount = \"1 usd\" window = \"1d\" }");
    spend(s, "", USD);
    configure(s, "budget \"x\" { amount = \"1 usd\" window = \"1h\" }");
    at(NOON_MS + HOUR_MS);
    assert_int_equal(left(s, ""), USD);
}

static void test_a_changed_feature(void **state) {
    struct scene *s = *state;
    configure(s, "budget \"d\" { amount = \"1 usd\" feature = \"a*\" }");
    spend(s, "ab", USD / 2);
    configure(s, "budget \"d\" { amount = \"1 usd\" feature = \"b*\" }");
    assert_int_equal(left(s, "ab"), CONFIG_UNSET);
    assert_int_equal(left(s, "ba"), USD / 2);
    assert_true(slice_equal(view(s, "d").feature, SLICE("b*")));
}

// ------------------------------------------------------------------------ metrics

static void test_metrics(void **state) {
    struct scene *s = *state;
    struct budget_reservation r = {0};
    configure(s, "budget \"m\" { amount = \"1 usd\" window = \"1d\" }");
    assert_int_equal(reserve(s, &r, "", 2 * USD), BUDGET_REFUSED);
    assert_int_equal(reserve(s, &r, "", USD / 4), BUDGET_GRANTED);
    assert_true(budget_settle(s->own, &r, USD / 2, NULL));
    budgets_publish(s->budgets);
    assert_true(scene_shows("farthing_budget_rejections_total{tenant=\"acme\",budget=\"m\"} 1\n"));
    assert_true(
        scene_shows("farthing_budget_overrun_usd_total{tenant=\"acme\",budget=\"m\"} 0.25"));
    assert_true(scene_shows("farthing_budget_remaining_usd{tenant=\"acme\",budget=\"m\"} 0.5"));
    at(NOON_MS + DAY_MS);
    budgets_publish(s->budgets);
    assert_true(scene_shows("farthing_budget_remaining_usd{tenant=\"acme\",budget=\"m\"} 1"));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_budgets_anything_goes),
        TEST(test_reserve_settle_and_the_rest_is_back),
        TEST(test_each_exactly_once),
        TEST(test_all_or_none),
        TEST(test_invented_features_fall_under_the_tenants_budgets),
        TEST(test_many_budgets),
        TEST(test_an_overrun_is_booked_and_shown),
        TEST(test_nothing_wraps),
        TEST(test_windows_begin_anew),
        TEST(test_a_cost_counts_where_it_was_reserved),
        TEST(test_a_cost_that_comes_very_late),
        TEST(test_a_clock_set_back_gives_no_second_window),
        TEST(test_a_clock_that_flickers_over_midnight),
        TEST(test_a_changed_amount_applies_to_what_was_spent),
        TEST(test_a_budget_taken_out_and_put_back),
        TEST(test_a_changed_window_runs_on),
        TEST(test_a_changed_feature),
        TEST(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
