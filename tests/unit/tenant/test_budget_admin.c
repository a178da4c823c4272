// What an operator does to budgets, and what is told of them.
#include "budget_scene.h"

#define DAILY "budget \"d\" { amount = \"1 usd\" window = \"1d\" warn_at = {\"50%\", \"80%\"} }\n"
#define USERS "budget \"u\" { amount = \"1 usd\" window = \"1d\" per = \"user\" }\n"
#define SLIDING                                                                                    \
    "budget \"s\" { amount = \"1 usd\" window = \"1d\" sliding = true warn_at = {\"50%\"} }\n"
#define BOTH DAILY USERS

static const struct budget_name daily = {SLICE("acme"), SLICE("d"), {NULL, 0}};
static const struct budget_name user_x = {SLICE("acme"), SLICE("u"), SLICE("x")};

// ------------------------------------------------------------------------- deeds

static void test_top_up(void **state) {
    struct budget_scene *s = *state;
    configure(s, DAILY);
    spend(s, NOBODY, USD);
    top_up(s, &daily, USD / 2);
    assert_int_equal(left(s, NOBODY), USD / 2);
    assert_int_equal(view_of(s, "d", "").amount, 3 * USD / 2);
    assert_int_equal(view_of(s, "d", "").topped_up, USD / 2);
    spend(s, NOBODY, USD / 2);
    top_up(s, &daily, -USD / 4);
    assert_true(is_refused(s, NOBODY, 0)); // over it
    assert_int_equal(view_of(s, "d", "").remaining, 0);
    at(NOON_MS + DAY_MS); // this window only
    assert_int_equal(left(s, NOBODY), USD);
    top_up(s, &daily, INT64_MIN); // no amount is below 0
    assert_int_equal(view_of(s, "d", "").amount, 0);
    assert_true(is_refused(s, NOBODY, 1));
    top_up(s, &daily, INT64_MAX);
    top_up(s, &daily, INT64_MAX);
    assert_int_equal(view_of(s, "d", "").amount, INT64_MAX);
}

static void test_top_up_of_a_sliding_one(void **state) {
    struct budget_scene *s = *state;
    const struct budget_name name = {SLICE("acme"), SLICE("s"), {NULL, 0}};
    configure(s, SLIDING);
    top_up(s, &name, USD);
    at(NOON_MS + 3 * HOUR_MS);
    top_up(s, &name, -3 * USD);
    assert_int_equal(view_of(s, "s", "").amount, 0);
    at(NOON_MS + DAY_MS - 1);
    assert_int_equal(left(s, NOBODY), 0);
    at(NOON_MS + 3 * HOUR_MS + DAY_MS + HOUR_MS);
    assert_int_equal(left(s, NOBODY), USD);
}

static void test_reset(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0};
    configure(s, DAILY);
    assert_true(reserve(s, &r, NOBODY, USD / 10));
    assert_true(budget_settle(s->own, &r, USD / 2, NULL)); // above it
    assert_true(reserve(s, &r, NOBODY, USD / 4));
    reset(s, &daily);
    struct budget_view v = view_of(s, "d", "");
    assert_int_equal(v.spent, 0);
    assert_int_equal(v.overrun, 0);
    assert_int_equal(v.reserved, USD / 4);
    assert_true(budget_settle(s->own, &r, USD / 8, NULL));
    assert_int_equal(left(s, NOBODY), 7 * USD / 8);
}

static void test_freeze(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0};
    configure(s, BOTH);
    assert_true(reserve(s, &r, SCOPE(.user = SLICE("x")), USD / 4));
    freeze(s, &user_x, true);
    assert_true(is_refused(s, SCOPE(.user = SLICE("x")), 0));
    assert_true(s->refusal.budget.frozen);
    assert_int_equal(s->refusal.retry_after_ms, -1);
    assert_int_equal(s->refusal.fits, 0);
    assert_int_equal(left(s, SCOPE(.user = SLICE("x"))), 0);
    assert_false(is_refused(s, SCOPE(.user = SLICE("y")), 1)); // the others
    assert_true(budget_settle(s->own, &r, USD / 8, NULL));
    freeze(s, &user_x, false);
    assert_int_equal(left(s, SCOPE(.user = SLICE("x"))), 7 * USD / 8);
    freeze(s, &daily, true);
    assert_true(is_refused(s, SCOPE(.user = SLICE("y")), 1));
    assert_true(slice_equal(s->refusal.budget.budget, SLICE("d")));
}

static void test_names_that_are_none(void **state) {
    struct budget_scene *s = *state;
    static const struct {
        struct budget_name name;
        bool top_up, reset;
    } rows[] = {
        {{SLICE("nobody"), SLICE("d"), {NULL, 0}}, false, false},
        {{SLICE("acme"), SLICE("x"), {NULL, 0}}, false, false},
        {{SLICE("acme"), SLICE("d"), SLICE("x")}, false, false},
        {{SLICE("acme"), SLICE("run"), SLICE("x")}, false, false},
        {{SLICE("acme"), SLICE("u"), SLICE("unseen")}, true, true}, // made by the first
        {{SLICE("acme"), SLICE("d"), {NULL, 0}}, true, true},
    };
    configure(s, BOTH);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct error err = {{0}};
        assert_int_equal(budget_top_up(s->budgets, &rows[i].name, 1, &err), rows[i].top_up);
        assert_int_equal(err.text[0] == '\0', rows[i].top_up);
        assert_int_equal(budget_reset(s->budgets, &rows[i].name, &err), rows[i].reset);
    }
    struct error err;
    assert_false(budget_reset(
        s->budgets, &(struct budget_name){SLICE("acme"), SLICE("u"), SLICE("never")}, &err));
    assert_false(budget_freeze(
        s->budgets, &(struct budget_name){SLICE("acme"), SLICE("u"), SLICE("never")}, false, &err));
    configure(s, USERS); // no longer in the file
    assert_false(budget_top_up(s->budgets, &daily, 1, &err));
}

// -------------------------------------------------------------------------- told

static void test_warnings_once_a_window(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0};
    configure(s, DAILY);
    assert_true(reserve(s, &r, NOBODY, 9 * USD / 10)); // reserved is not spent
    assert_int_equal(warnings(s, "d", "50"), 0);
    assert_true(budget_settle(s->own, &r, USD / 2 - 1, NULL));
    assert_int_equal(warnings(s, "d", "50"), 0);
    spend(s, NOBODY, 1);
    assert_int_equal(warnings(s, "d", "50"), 1);
    assert_int_equal(warnings(s, "d", "80"), 0);
    spend(s, NOBODY, 3 * USD / 10);
    spend(s, NOBODY, USD / 10);
    top_up(s, &daily, USD); // 45 %, and again more
    spend(s, NOBODY, USD);
    configure(s, DAILY);
    spend(s, NOBODY, 1);
    assert_int_equal(warnings(s, "d", "50"), 1);
    assert_int_equal(warnings(s, "d", "80"), 1);
    at(NOON_MS + DAY_MS);
    spend(s, NOBODY, USD); // both at once
    assert_int_equal(warnings(s, "d", "50"), 2);
    assert_int_equal(warnings(s, "d", "80"), 2);
    at(NOON_MS); // the clock is set back: told already
    top_up(s, &daily, USD);
    spend(s, NOBODY, 1);
    assert_int_equal(warnings(s, "d", "50"), 2);
}

static void test_warnings_of_a_sliding_one(void **state) {
    struct budget_scene *s = *state;
    configure(s, SLIDING);
    for (int hour = 0; hour < 100; hour++) { // always between 40 and 60 %
        at(NOON_MS + hour * HOUR_MS);
        spend(s, NOBODY, USD * 22 / 1000);
    }
    assert_int_equal(warnings(s, "s", "50"), 4); // 100 hours
}

struct capture {
    FILE *file;
    int saved;
};

static struct capture capture_log(void) {
    struct capture c = {tmpfile(), dup(STDERR_FILENO)};
    fflush(stderr);
    dup2(fileno(c.file), STDERR_FILENO);
    return c;
}

static int count_lines(struct capture *c, const char *with) {
    char line[1024];
    int found = 0;
    fflush(stderr);
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    rewind(c->file);
    while (fgets(line, sizeof line, c->file) != NULL)
        found += strstr(line, with) != NULL;
    fclose(c->file);
    return found;
}

static void test_an_exhausted_budget_is_told_once(void **state) {
    struct budget_scene *s = *state;
    configure(s, BOTH);
    struct capture c = capture_log();
    for (int i = 0; i < 5; i++)
        (void)is_refused(s, NOBODY, 2 * USD);
    at(NOON_MS + DAY_MS);
    (void)is_refused(s, NOBODY, 2 * USD);
    freeze(s, &daily, true);
    at(NOON_MS + 2 * DAY_MS);
    (void)is_refused(s, NOBODY, 2 * USD); // frozen is not exhausted
    assert_int_equal(count_lines(&c, "budget d of tenant acme refuses: 0 USD of 1 USD"), 2);
    freeze(s, &daily, false);
    configure(s, USERS);
    c = capture_log(); // a line a second, however many users are invented
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "u%d", i);
        at(NOON_MS + 3 * DAY_MS + i * 100);
        (void)is_refused(s, SCOPE(.user = slice_of(name)), 2 * USD);
    }
    assert_int_equal(count_lines(&c, "refuses"), 3);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_memory, tear_down_memory)
    const struct CMUnitTest tests[] = {
        TEST(test_top_up),
        TEST(test_top_up_of_a_sliding_one),
        TEST(test_reset),
        TEST(test_freeze),
        TEST(test_names_that_are_none),
        TEST(test_warnings_once_a_window),
        TEST(test_warnings_of_a_sliding_one),
        TEST(test_an_exhausted_budget_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
