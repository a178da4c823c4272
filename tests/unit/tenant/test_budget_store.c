// Budgets over the end of a process, orderly and by SIGKILL, and over a store
// that does not answer.
#include "budget_scene.h"

#define BUDGETS                                                                                    \
    "budget \"d\" { amount = \"1 usd\" window = \"1d\" }\n"                                        \
    "budget \"t\" { amount = \"10 usd\" }\n"                                                       \
    "budget \"f\" { amount = \"2 usd\" feature = \"f*\" }"
#define STEP     (USD / BUDGET_STEPS + 1)
#define OF(name) SCOPE(.feature = SLICE(name))

// ------------------------------------------------------------------ orderly ends

static void test_figures_outlive_an_orderly_end_exactly(void **state) {
    struct budget_scene *s = *state;
    open_scene(s, BUDGETS);
    spend(s, OF("f1"), 123456789);
    spend(s, OF(""), USD / 3);
    close_scene(s);
    open_scene(s, BUDGETS);
    assert_int_equal(view_of(s, "d", "").spent, 123456789 + USD / 3);
    assert_int_equal(view_of(s, "t", "").spent, 123456789 + USD / 3);
    assert_int_equal(view_of(s, "f", "").spent, 123456789);
    assert_int_equal(view_of(s, "d", "").recovered, 0);
    assert_int_equal(view_of(s, "d", "").reserved, 0);
    close_scene(s);
    at(NOON_MS + DAY_MS);
    open_scene(s, BUDGETS);
    assert_int_equal(view_of(s, "d", "").spent, 0);
    assert_int_equal(view_of(s, "t", "").spent, 123456789 + USD / 3);
    at(NOON_MS); // the clock is set back: the day before is remembered
    assert_int_equal(view_of(s, "d", "").spent, 123456789 + USD / 3);
    close_scene(s);
}

static void test_a_changed_window_over_a_restart(void **state) {
    struct budget_scene *s = *state;
    open_scene(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    spend(s, OF(""), USD / 4);
    close_scene(s);
    open_scene(s, "budget \"d\" { amount = \"1 usd\" window = \"1w\" }");
    assert_int_equal(view_of(s, "d", "").spent, USD / 4);
    spend(s, OF(""), USD / 4);
    close_scene(s);
    for (int i = 0; i < 2; i++) { // rows of both windows are there
        open_scene(s, "budget \"d\" { amount = \"1 usd\" window = \"1w\" }");
        assert_int_equal(view_of(s, "d", "").spent, USD / 2);
        close_scene(s);
    }
}

static void test_hours_do_not_push_a_total_out(void **state) {
    struct budget_scene *s = *state;
    open_scene(s, "budget \"t\" { amount = \"1 usd\" }");
    spend(s, OF(""), USD / 4);
    close_scene(s);
    for (int hour = 0; hour < 12; hour++) {
        at(NOON_MS + hour * HOUR_MS);
        open_scene(s, "budget \"t\" { amount = \"1 usd\" window = \"1h\" }");
        spend(s, OF(""), 1000);
        close_scene(s);
    }
    open_scene(s, "budget \"t\" { amount = \"1 usd\" }");
    assert_true(view_of(s, "t", "").spent >= USD / 4);
    close_scene(s);
}

// ------------------------------------------------------------------------ crashes

static void hold_one(struct budget_scene *s) {
    struct budget_reservation r = {0};
    spend(s, OF("f1"), USD / 10);
    assert_true(reserve(s, &r, OF("f1"), USD / 2));
}

static void test_reservations_of_a_dead_process_count_at_their_worst(void **state) {
    struct budget_scene *s = *state;
    crash_after(s, "hold_one");
    open_scene(s, BUDGETS);
    static const struct {
        const char *name;
        config_pico amount;
    } rows[] = {{"d", USD}, {"t", 10 * USD}, {"f", 2 * USD}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct budget_view v = view_of(s, rows[i].name, "");
        config_pico step = rows[i].amount / BUDGET_STEPS + 1;
        assert_true(v.spent >= 6 * USD / 10);
        assert_true(v.spent <= 6 * USD / 10 + 2 * step);
        assert_true(v.spent <= v.amount);
        assert_true(v.recovered >= USD / 2 && v.recovered <= v.spent);
        assert_int_equal(v.reserved, 0);
    }
    config_pico before = view_of(s, "d", "").spent;
    close_scene(s);
    open_scene(s, BUDGETS); // once only
    assert_int_equal(view_of(s, "d", "").spent, before);
    close_scene(s);
}

static void hold_another(struct budget_scene *s) {
    struct budget_reservation r = {0};
    spend(s, OF(""), USD / 10);
    assert_true(reserve(s, &r, OF(""), USD / 2));
}

static void spend_much(struct budget_scene *s) {
    for (int i = 0; i < 500; i++) {
        struct budget_reservation r = {0};
        assert_true(reserve(s, &r, OF(""), USD / 100));
        assert_true(budget_settle(s->own, &r, USD / 1000, NULL));
    }
}

static void test_little_is_lost_when_nothing_was_reserved(void **state) {
    struct budget_scene *s = *state;
    crash_after(s, "spend_much");
    open_scene(s, BUDGETS);
    config_pico spent = view_of(s, "d", "").spent;
    assert_true(spent >= USD / 2);
    // What the last reservation held, at most, and the steps.
    assert_true(spent <= USD / 2 + USD / 100 + 2 * STEP);
    close_scene(s);
}

static void test_many_crashes_never_forget(void **state) {
    struct budget_scene *s = *state;
    config_pico last = 0;
    for (int i = 0; i < 5; i++) {
        crash_after(s, "hold_another");
        open_scene(s, "budget \"t\" { amount = \"10 usd\" }");
        config_pico spent = view_of(s, "t", "").spent;
        assert_true(spent >= last + 6 * USD / 10);
        last = spent;
        close_scene(s);
        at(NOON_MS + (i + 1) * DAY_MS);
    }
}

static void hold_in_the_past(struct budget_scene *s) {
    struct budget_reservation r = {0};
    assert_true(reserve(s, &r, OF(""), USD / 2));
    at(NOON_MS + DAY_MS);
    spend(s, OF(""), USD / 10);
}

static void test_a_crash_in_the_next_window(void **state) {
    struct budget_scene *s = *state;
    crash_after(s, "hold_in_the_past");
    at(NOON_MS + DAY_MS);
    open_scene(s, BUDGETS);
    config_pico spent = view_of(s, "d", "").spent;
    assert_true(spent >= USD / 10 && spent <= USD / 10 + 2 * STEP);
    assert_true(view_of(s, "t", "").spent >= 6 * USD / 10);
    close_scene(s);
}

// ------------------------------------------------------------------------ waiting

static void test_what_is_above_the_ceiling_waits_for_the_disk(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0}, small = {0};
    open_scene(s, BUDGETS);
    assert_int_equal(ask_for(s, &r, OF(""), USD / 2), BUDGET_WAIT);
    assert_int_equal(s->ready, 0);
    wait_until_held(s, &r);
    assert_int_equal(s->ready, 1);
    assert_int_equal(ask_for(s, &small, OF(""), STEP / 4), BUDGET_GRANTED); // below it
    assert_true(budget_release(s->own, &small));
    assert_true(budget_settle(s->own, &r, 0, NULL));
    assert_true(view_of(s, "d", "").ceiling <= 2 * STEP);
    close_scene(s);
}

static void test_who_leaves_while_he_waits_is_not_called(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation a = {0}, b = {0}, c = {0};
    open_scene(s, BUDGETS);
    assert_int_equal(ask_for(s, &a, OF(""), USD / 4), BUDGET_WAIT);
    assert_int_equal(ask_for(s, &b, OF(""), USD / 4), BUDGET_WAIT);
    assert_int_equal(ask_for(s, &c, OF(""), USD / 4), BUDGET_WAIT);
    assert_true(budget_release(s->own, &b));
    assert_true(budget_settle(s->own, &c, 5, NULL)); // spent before it was told to
    wait_until_held(s, &a);
    assert_int_equal(s->ready, 1);
    assert_int_equal(view_of(s, "d", "").spent, 5);
    assert_int_equal(view_of(s, "d", "").reserved, USD / 4);
    assert_true(budget_release(s->own, &a));
    close_scene(s);
}

static void test_a_loop_may_close_while_the_store_is_asked(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation a = {0};
    open_scene(s, BUDGETS);
    assert_int_equal(ask_for(s, &a, OF(""), USD / 4), BUDGET_WAIT);
    assert_true(budget_release(s->own, &a));
    close_scene(s);
    assert_int_equal(s->ready, 0);
}

static void test_nobody_waits_for_a_store_that_is_slow(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation a = {0}, b = {0}, c = {0};
    open_scene(s, BUDGETS);
    assert_int_equal(ask_for(s, &a, OF(""), USD / 4), BUDGET_WAIT);
    budgets_loop_run_due(s->own, clock_mono_ms() + BUDGET_CONFIRM_MS - 1);
    assert_int_equal(s->ready, 0);
    budgets_loop_run_due(s->own, clock_mono_ms() + BUDGET_CONFIRM_MS);
    assert_int_equal(s->ready, 1);
    assert_int_equal(a.state, BUDGET_HELD);
    assert_int_equal(ask_for(s, &b, OF(""), USD / 4), BUDGET_GRANTED);
    assert_int_equal(ask_for(s, &c, OF(""), USD), BUDGET_REFUSED); // never overspent all the same
    assert_true(budget_release(s->own, &a));
    assert_true(budget_release(s->own, &b));
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK); // it answers again
    assert_int_equal(ask_for(s, &c, OF(""), USD / 2), BUDGET_WAIT);
    wait_until_held(s, &c);
    assert_true(budget_release(s->own, &c));
    close_scene(s);
}

static const struct deed deeds[] = {
    {"hold_one", BUDGETS, hold_one},
    {"hold_another", BUDGETS, hold_another},
    {"spend_much", BUDGETS, spend_much},
    {"hold_in_the_past", BUDGETS, hold_in_the_past},
    {NULL, NULL, NULL},
};

static void ignore_rows(void *arg, enum store_status status, struct slice value,
                        int64_t expires_ms) {
    (void)arg, (void)status, (void)value, (void)expires_ms;
}

// A failure of the store between writing and asking: it may have been this row.
static void test_a_store_in_trouble_confirms_nothing(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation a = {0}, b = {0};
    open_scene(s, BUDGETS);
    assert_int_equal(ask_for(s, &a, OF(""), USD / 4), BUDGET_WAIT);
    assert_non_null(
        store_query(s->client, "SELECT nonsense FROM nowhere", NULL, 0, ignore_rows, s));
    store_flush(s->store);
    wait_until_held(s, &a); // without it
    assert_int_equal(s->ready, 1);
    assert_int_equal(ask_for(s, &b, OF(""), USD / 4), BUDGET_GRANTED); // and asks again
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_true(budget_release(s->own, &b));
    assert_int_equal(ask_for(s, &b, OF(""), USD / 2), BUDGET_WAIT);
    assert_true(budget_release(s->own, &b));
    assert_true(budget_release(s->own, &a));
    close_scene(s);
}

int main(int argc, char **argv) {
    if (argc == 4)
        return crash(deeds, argv);
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_directory, tear_down_directory)
    const struct CMUnitTest tests[] = {
        TEST(test_figures_outlive_an_orderly_end_exactly),
        TEST(test_a_changed_window_over_a_restart),
        TEST(test_hours_do_not_push_a_total_out),
        TEST(test_reservations_of_a_dead_process_count_at_their_worst),
        TEST(test_little_is_lost_when_nothing_was_reserved),
        TEST(test_many_crashes_never_forget),
        TEST(test_a_crash_in_the_next_window),
        TEST(test_what_is_above_the_ceiling_waits_for_the_disk),
        TEST(test_who_leaves_while_he_waits_is_not_called),
        TEST(test_a_loop_may_close_while_the_store_is_asked),
        TEST(test_nobody_waits_for_a_store_that_is_slow),
        TEST(test_a_store_in_trouble_confirms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
