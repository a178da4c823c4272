// Budgets that instances have together: one amount, whoever spends it; leases that cover
// many requests, come back when they are not needed, and count as spent when their
// instance is gone.
#include "budget_share_scene.h"

#define DAY_OF_TEN   "budget \"day\" { amount = \"10 usd\" window = \"1d\" }"
#define TOTAL_OF_TEN "budget \"all\" { amount = \"10 usd\" window = \"total\" }"

static void test_a_lease_covers_many(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN);
    for (int i = 0; i < 1000; i++)
        buy(a, NOBODY, USD / 1000);
    assert_true(calls_of(a) <= 20);
    give_back(a);
    assert_int_equal(view_of(a, "day", "").spent, USD);
    assert_int_equal(view_of(a, "day", "").remaining, 9 * USD);
    uint64_t before = calls_of(a);
    beat(a);
    assert_true(calls_of(a) <= before + 1); // but for a look: nothing is to be said
}

static void test_one_amount(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN), *b = instance(*state, 1, DAY_OF_TEN);
    struct budget_reservation held = {0}, other = {0};
    assert_true(take(a, &held, NOBODY, 6 * USD));
    give_back(a);
    assert_false(take(b, &other, NOBODY, 5 * USD));
    assert_false(b->refusal.unavailable);
    assert_int_equal(b->refusal.budget.reserved, 6 * USD);
    assert_int_equal(b->refusal.fits, 4 * USD);
    assert_true(b->refusal.retry_after_ms > 0);
    assert_true(take(b, &other, NOBODY, 4 * USD));
    assert_true(budget_settle(a->own, &held, USD, NULL));
    assert_false(can_take(b, NOBODY, 1)); // it is not known there yet
    give_back(a);
    assert_true(can_take(b, NOBODY, 5 * USD));
    assert_false(can_take(b, NOBODY, 5 * USD + 1));
    assert_true(budget_settle(b->own, &other, 4 * USD, NULL));
    give_back(b);
    give_back(a);
    assert_int_equal(view_of(a, "day", "").spent, 5 * USD);
    assert_int_equal(view_of(b, "day", "").spent, 5 * USD);
    assert_int_equal(left(a, NOBODY), 5 * USD);
}

static void test_a_refusal_is_not_asked_for_again(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN);
    struct budget_reservation r = {0};
    assert_false(take(a, &r, NOBODY, 11 * USD));
    uint64_t before = calls_of(a);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask_for(a, &r, NOBODY, 12 * USD), BUDGET_REFUSED);
    assert_true(calls_of(a) <= before + 2); // a tenth of a second may be over, on a slow machine
    assert_true(take(a, &r, NOBODY, 10 * USD)); // less is another question
    assert_true(budget_release(a->own, &r));
}

static void test_all_or_none(void **state) {
    static const char body[] = DAY_OF_TEN
        " budget \"all\" { amount = \"5 usd\" window = \"total\" }";
    struct budget_scene *a = instance(*state, 0, body), *b = instance(*state, 1, body);
    struct budget_reservation r = {0};
    assert_false(take(a, &r, NOBODY, 6 * USD));
    assert_string_equal(a->refusal.budget.budget.ptr, "all");
    assert_int_equal(a->refusal.fits, 5 * USD);
    give_back(a);
    assert_true(take(b, &r, NOBODY, 5 * USD));
    assert_int_equal(view_of(b, "day", "").reserved, 5 * USD);
    assert_int_equal(view_of(b, "all", "").reserved, 5 * USD);
    assert_true(budget_release(b->own, &r));
}

static void test_values_apart(void **state) {
    static const char body[] =
        "budget \"user\" { amount = \"2 usd\" window = \"1d\" per = \"user\" }";
    struct budget_scene *a = instance(*state, 0, body), *b = instance(*state, 1, body);
    buy(a, SCOPE(.user = SLICE("ann {x} %")), 2 * USD);
    give_back(a);
    assert_false(can_take(b, SCOPE(.user = SLICE("ann {x} %")), 1));
    assert_true(can_take(b, SCOPE(.user = SLICE("bob")), 2 * USD));
    buy(b, SCOPE(.user = SLICE("")), USD);
    give_back(b);
    assert_true(can_take(a, SCOPE(.user = SLICE("")), USD));
}

static void test_runs(void **state) {
    struct budget_scene *a = instance(*state, 0, ""), *b = instance(*state, 1, "");
    struct budget_scope run = {.run = SLICE("r-1"), .run_amount = 3 * USD};
    buy(a, run, 2 * USD);
    give_back(a);
    assert_true(can_take(b, run, USD));
    assert_false(can_take(b, run, USD + 1));
}

static void test_large_amounts_are_exact(void **state) {
    static const char body[] =
        "budget \"all\" { amount = \"9000000 usd\" window = \"total\" }";
    struct budget_scene *a = instance(*state, 0, body), *b = instance(*state, 1, body);
    buy(a, NOBODY, 4500000 * USD + 1);
    give_back(a);
    buy(b, NOBODY, 4500000 * USD - 3);
    give_back(b);
    assert_false(can_take(a, NOBODY, 3));
    assert_true(can_take(a, NOBODY, 2));
    give_back(a);
    assert_int_equal(view_of(a, "all", "").spent, 9000000 * USD - 2);
}

static void test_an_orderly_end_gives_back(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN);
    for (int i = 0; i < 50; i++)
        buy(a, NOBODY, USD / 10);
    instance_end(a);
    struct budget_scene *b = instance(*state, 1, DAY_OF_TEN);
    assert_true(can_take(b, NOBODY, 5 * USD));
    assert_false(can_take(b, NOBODY, 5 * USD + 1));
    beat(b);
    assert_int_equal(view_of(b, "day", "").recovered, 0);
    assert_int_equal(((struct share_scene *)*state)->told_count, 0);
}

// ------------------------------------------------------------------------- windows

static void test_windows_turn(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, DAY_OF_TEN), *b = instance(s, 1, DAY_OF_TEN);
    struct budget_reservation late = {0};
    buy(a, NOBODY, 7 * USD);
    assert_true(take(a, &late, NOBODY, 3 * USD));
    assert_false(can_take(b, NOBODY, 1));
    ahead(s, DAY_MS);
    assert_true(can_take(b, NOBODY, 10 * USD));
    give_back(b);
    buy(a, NOBODY, 4 * USD);
    assert_true(budget_settle(a->own, &late, 3 * USD, NULL)); // of the day before
    give_back(a);
    assert_true(can_take(b, NOBODY, 6 * USD));
    assert_false(can_take(b, NOBODY, 6 * USD + 1));
    give_back(b);
    ahead(s, -DAY_MS);
    beat(b);
    assert_int_equal(view_of(b, "day", "").spent, 10 * USD);
}

static void test_sliding(void **state) {
    static const char body[] = "budget \"hours\" { amount = \"10 usd\" window = \"1d\" "
                               "sliding = true }";
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, body), *b = instance(s, 1, body);
    buy(a, NOBODY, 4 * USD);
    give_back(a);
    ahead(s, 12 * HOUR_MS);
    buy(b, NOBODY, 5 * USD);
    give_back(b);
    assert_true(can_take(a, NOBODY, USD));
    assert_false(can_take(a, NOBODY, USD + 1));
    give_back(a);
    assert_int_equal(view_of(a, "hours", "").spent, 9 * USD);
    ahead(s, 14 * HOUR_MS); // the first is out
    assert_true(can_take(a, NOBODY, 5 * USD));
    assert_false(can_take(a, NOBODY, 5 * USD + 1));
    give_back(a);
    assert_int_equal(view_of(a, "hours", "").spent, 5 * USD);
}

// In the hour that is left of this day, or else of the next, all of both counts.
static void test_another_shape_carries_along(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, DAY_OF_TEN), *b = instance(s, 1, DAY_OF_TEN);
    buy(a, NOBODY, 4 * USD);
    give_back(a);
    configure(b, "budget \"day\" { amount = \"10 usd\" window = \"1h\" }");
    assert_true(can_take(b, NOBODY, 6 * USD));
    assert_false(can_take(b, NOBODY, 6 * USD + 1));
}

static void test_another_amount(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN);
    for (int i = 0; i < 40; i++)
        buy(a, NOBODY, USD / 10);
    configure(a, "budget \"day\" { amount = \"4 usd\" window = \"1d\" }");
    assert_false(can_take(a, NOBODY, 1));
    configure(a, "budget \"day\" { amount = \"5 usd\" window = \"1d\" }");
    assert_true(can_take(a, NOBODY, USD));
    assert_false(can_take(a, NOBODY, USD + 1));
}

// ------------------------------------------------------------------ by an operator

// The order goes over the instance's own connection; it is carried out when this is over.
static void ordered(struct budget_scene *i) {
    store_flush(i->store);
}

static const struct budget_name the_day = {SLICE("acme"), SLICE("day"), SLICE_NONE};

static void test_top_up(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN), *b = instance(*state, 1, DAY_OF_TEN);
    buy(a, NOBODY, 10 * USD);
    assert_false(can_take(a, NOBODY, 1));
    top_up(b, &the_day, 2 * USD);
    ordered(b);
    assert_int_equal(view_of(b, "day", "").topped_up, 2 * USD);
    assert_true(can_take(a, NOBODY, 2 * USD));
    assert_false(can_take(a, NOBODY, 2 * USD + 1));
    give_back(a);
    assert_int_equal(view_of(a, "day", "").amount, 12 * USD);
    top_up(a, &the_day, -100 * USD);
    ordered(a);
    give_back(b);
    assert_int_equal(view_of(b, "day", "").amount, 0);
}

static void test_reset(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN), *b = instance(*state, 1, DAY_OF_TEN);
    struct budget_reservation held = {0};
    buy(a, NOBODY, 4 * USD - 1);
    buy(b, NOBODY, 3 * USD);
    assert_true(take(a, &held, NOBODY, 2 * USD));
    give_back(a);
    give_back(b);
    reset(b, &the_day);
    ordered(b);
    assert_int_equal(view_of(b, "day", "").spent, 0);
    assert_true(can_take(b, NOBODY, 8 * USD));
    assert_false(can_take(b, NOBODY, 8 * USD + 1)); // what was reserved is
    give_back(b);
    assert_true(budget_settle(a->own, &held, USD, NULL));
    give_back(a);
    assert_int_equal(view_of(a, "day", "").spent, USD);
    buy(b, NOBODY, USD);
    give_back(b);
    assert_int_equal(view_of(b, "day", "").spent, 2 * USD);
}

static void test_freeze(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN), *b = instance(*state, 1, DAY_OF_TEN);
    struct budget_reservation held = {0}, r = {0};
    assert_true(take(a, &held, NOBODY, USD));
    freeze(b, &the_day, true);
    ordered(b);
    assert_false(can_take(b, NOBODY, 1));
    beat(a); // which comes by itself within a second
    assert_false(take(a, &r, NOBODY, 1));
    assert_true(a->refusal.budget.frozen);
    assert_int_equal(a->refusal.fits, 0);
    assert_int_equal(a->refusal.retry_after_ms, -1);
    assert_true(budget_settle(a->own, &held, USD, NULL));
    freeze(a, &the_day, false);
    ordered(a);
    assert_true(can_take(b, NOBODY, USD));
    assert_true(can_take(a, NOBODY, USD));
}

// One that nobody has spent from here.
static void test_a_freeze_is_seen_by_the_idle(void **state) {
    struct budget_scene *a = instance(*state, 0, DAY_OF_TEN), *b = instance(*state, 1, DAY_OF_TEN);
    freeze(a, &the_day, true);
    ordered(a);
    beat(b);
    assert_true(view_of(b, "day", "").frozen);
}

// -------------------------------------------------------------------- who is gone

static void quick_terms(struct share_scene *s) {
    for (unsigned n = 0; n < INSTANCES; n++)
        if (s->instances[n].store != NULL)
            s->instances[n].budgets->share.term_ms = 50;
}

static void await_told(struct share_scene *s, struct budget_scene *i, size_t count) {
    for (unsigned n = 0; n < PATIENT_MS && s->told_count < count; n++) {
        usleep(1000);
        beat(i);
    }
    assert_int_equal(s->told_count, count);
}

static void test_the_dead_spent_what_they_held(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, DAY_OF_TEN), *b = instance(s, 1, DAY_OF_TEN);
    struct budget_reservation held = {0};
    quick_terms(s);
    buy(a, NOBODY, 2 * USD);
    assert_true(take(a, &held, NOBODY, 3 * USD));
    beat(a);
    budget_share_beat(a->own);
    settle_down(a);
    assert_true(budget_release(a->own, &held));
    instance_kill(a);
    await_told(s, b, 1);
    assert_int_equal(s->told[0].recovered, 3 * USD);
    assert_true(slice_equal(s->told[0].budget, SLICE("day")));
    assert_true(s->told[0].window_end_ms > s->told[0].window_start_ms);
    give_back(b);
    struct budget_view view = view_of(b, "day", "");
    assert_int_equal(view.spent, 5 * USD);
    assert_int_equal(view.recovered, 3 * USD);
    assert_false(can_take(b, NOBODY, 5 * USD + 1));
    assert_true(can_take(b, NOBODY, 5 * USD));
    give_back(b);
    assert_int_equal(s->told_count, 1); // once
}

static void test_who_comes_back_gets_it_back(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, DAY_OF_TEN), *b = instance(s, 1, DAY_OF_TEN);
    struct budget_reservation held = {0};
    quick_terms(s);
    assert_true(take(a, &held, NOBODY, 4 * USD));
    give_back(a);
    await_told(s, b, 1); // a did not beat: it was stopped
    assert_int_equal(s->told[0].recovered, 4 * USD);
    assert_false(can_take(b, NOBODY, 6 * USD + 1));
    assert_true(budget_settle(a->own, &held, USD, NULL)); // its money all the same
    give_back(a);
    assert_int_equal(s->told_count, 2);
    assert_int_equal(s->told[1].recovered, -4 * USD);
    assert_int_equal(view_of(a, "day", "").spent, USD);
    assert_int_equal(view_of(a, "day", "").recovered, 0);
    assert_true(can_take(b, NOBODY, 9 * USD));
    assert_false(can_take(b, NOBODY, 9 * USD + 1));
}

// Only one budget's rows can agree with the requests that several have seen.
static void test_rows_are_of_one_budget(void **state) {
    static const char body[] = "budget \"feature\" { amount = \"10 usd\" window = \"1d\" "
                               "feature = \"*\" }" DAY_OF_TEN TOTAL_OF_TEN;
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, body), *b = instance(s, 1, body);
    struct budget_reservation held = {0};
    quick_terms(s);
    assert_true(take(a, &held, NOBODY, 4 * USD));
    give_back(a);
    assert_true(budget_release(a->own, &held));
    instance_kill(a);
    await_told(s, b, 1);
    for (int i = 0; i < 3; i++)
        give_back(b);
    assert_int_equal(s->told_count, 1);
    assert_true(slice_equal(s->told[0].budget, SLICE("day")));
    assert_int_equal(view_of(b, "feature", "").spent, 4 * USD);
    assert_int_equal(view_of(b, "all", "").spent, 4 * USD);
}

// ------------------------------------------------------ rows of a process that crashed

static bool rows_of_the_dead(void *arg, const struct budget_view *view, config_pico *sum) {
    assert_true(slice_equal(view->budget, SLICE("day")) && view->window_end_ms > 0);
    *sum = *(const config_pico *)arg;
    return true;
}

// What it held counts as spent; its own rows say how much of that has a row already.
static void crash_with_rows(struct share_scene *s, config_pico rows, bool crashed) {
    struct budget_scene *a = instance(s, 0, DAY_OF_TEN);
    struct budget_reservation held = {0};
    char id[RANDOM_ID_LEN + 1] = {0};
    memcpy(id, store_instance(a->store).ptr, RANDOM_ID_LEN);
    buy(a, NOBODY, 2 * USD);
    assert_true(take(a, &held, NOBODY, 3 * USD));
    give_back(a);
    if (!crashed)
        assert_true(budget_release(a->own, &held));
    if (crashed)
        instance_kill(a);
    else
        instance_end(a);
    a = instance(s, 0, DAY_OF_TEN);
    budgets_settle_earlier(a->budgets, slice_of(id), rows_of_the_dead, &rows);
    budgets_settle_earlier(a->budgets, slice_of(id), rows_of_the_dead, &rows); // found once
    give_back(a);
    give_back(a);
}

static void test_rows_of_who_crashed(void **state) {
    struct share_scene *s = *state;
    crash_with_rows(s, USD, true);
    assert_int_equal(s->told_count, 1);
    assert_int_equal(s->told[0].recovered, 4 * USD);
    assert_int_equal(view_of(&s->instances[0], "day", "").spent, 5 * USD);
    assert_true(can_take(&s->instances[0], NOBODY, 5 * USD)); // at once, not after a term
    assert_false(can_take(&s->instances[0], NOBODY, 5 * USD + 1));
}

static void test_rows_of_who_ended_agree_already(void **state) {
    struct share_scene *s = *state;
    crash_with_rows(s, USD, false); // even where some have no cost
    assert_int_equal(s->told_count, 0);
    assert_int_equal(view_of(&s->instances[0], "day", "").spent, 2 * USD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHARE(test_a_lease_covers_many),
        SHARE(test_one_amount),
        SHARE(test_a_refusal_is_not_asked_for_again),
        SHARE(test_all_or_none),
        SHARE(test_values_apart),
        SHARE(test_runs),
        SHARE(test_large_amounts_are_exact),
        SHARE(test_an_orderly_end_gives_back),
        SHARE(test_windows_turn),
        SHARE(test_sliding),
        SHARE(test_another_shape_carries_along),
        SHARE(test_another_amount),
        SHARE(test_top_up),
        SHARE(test_reset),
        SHARE(test_freeze),
        SHARE(test_a_freeze_is_seen_by_the_idle),
        SHARE(test_the_dead_spent_what_they_held),
        SHARE(test_who_comes_back_gets_it_back),
        SHARE(test_rows_are_of_one_budget),
        SHARE(test_rows_of_who_crashed),
        SHARE(test_rows_of_who_ended_agree_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
