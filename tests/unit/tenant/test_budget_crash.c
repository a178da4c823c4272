// What an operator did, what was told and what was reserved, over the end of a
// process by SIGKILL.
#include <sqlite3.h>

#include "budget_scene.h"

#define DAILY "budget \"d\" { amount = \"1 usd\" window = \"1d\" warn_at = {\"50%\", \"80%\"} }\n"
#define USERS "budget \"u\" { amount = \"1 usd\" window = \"1d\" per = \"user\" }\n"
#define SLIDING                                                                                    \
    "budget \"s\" { amount = \"1 usd\" window = \"1d\" sliding = true warn_at = {\"50%\"} }\n"
#define BOTH DAILY USERS

static const struct deed deeds[];

static const struct budget_name daily = {SLICE("acme"), SLICE("d"), {NULL, 0}};
static const struct budget_name user_x = {SLICE("acme"), SLICE("u"), SLICE("x")};

static void change_all(struct budget_scene *s) {
    struct budget_reservation r = {0};
    spend(s, SCOPE(.user = SLICE("x")), USD / 2);
    assert_true(reserve(s, &r, SCOPE(.user = SLICE("y")), USD / 4));
    reset(s, &daily);
    top_up(s, &daily, USD);
    top_up(s, &user_x, -USD / 4);
    freeze(s, &user_x, true);
    store_flush(s->store);
}

static void test_all_of_it_outlives_a_kill(void **state) {
    struct budget_scene *s = *state;
    crash_after(s, "change_all");
    for (int i = 0; i < 3; i++) { // and orderly ends after it
        open_scene(s, BOTH);
        struct budget_view d = view_of(s, "d", "");
        assert_int_equal(d.spent, USD / 4); // what was reserved, exactly: no raise came after
        assert_int_equal(d.amount, 2 * USD);
        assert_int_equal(view_of(s, "u", "x").topped_up, -USD / 4);
        assert_true(view_of(s, "u", "x").frozen);
        assert_false(view_of(s, "u", "y").frozen);
        assert_true(view_of(s, "u", "x").spent >= USD / 2);
        assert_true(view_of(s, "u", "y").spent >= USD / 4);
        close_scene(s);
    }
    at(NOON_MS + 40 * DAY_MS); // frozen until it is thawed
    for (int i = 0; i < 3; i++) {
        open_scene(s, BOTH);
        assert_int_equal(is_refused(s, SCOPE(.user = SLICE("x")), 1), i < 2);
        assert_int_equal(view_of(s, "d", "").amount, USD);
        freeze(s, &user_x, i < 1);
        close_scene(s);
        at(NOON_MS + (80 + 40 * i) * DAY_MS);
    }
}

static void thaw(struct budget_scene *s) {
    freeze(s, &daily, false);
    freeze(s, &daily, true);
    freeze(s, &daily, false);
    store_flush(s->store);
}

static void test_a_thaw_outlives_a_kill(void **state) {
    struct budget_scene *s = *state;
    open_scene(s, BOTH);
    freeze(s, &daily, true);
    close_scene(s);
    crash_after(s, "thaw");
    open_scene(s, BOTH);
    assert_false(view_of(s, "d", "").frozen);
    close_scene(s);
}

// A raise of the ceiling is on its way when the budget is reset: its answer is old.
static void reset_while_asking(struct budget_scene *s) {
    struct budget_reservation r = {0};
    assert_int_equal(ask_for(s, &r, NOBODY, USD / 2), BUDGET_WAIT);
    reset(s, &daily);
    wait_until_held(s, &r);
    struct budget_reservation more = {0}; // above what the reset wrote, below the old raise
    assert_true(reserve(s, &more, NOBODY, USD / 1000));
}

static void test_a_reset_while_the_store_is_asked(void **state) {
    struct budget_scene *s = *state;
    crash_after(s, "reset_while_asking");
    open_scene(s, BOTH);
    assert_true(view_of(s, "d", "").spent >= USD / 2 + USD / 1000); // both were on disk first
    close_scene(s);
}

// ----------------------------------------------------------------------- recovered

static void hold_much(struct budget_scene *s) {
    static struct budget_reservation r[3];
    const struct budget_scope run = {.run = SLICE("r"), .user = SLICE("x"), .run_amount = USD};
    spend(s, SCOPE(.user = SLICE("x")), USD / 10);
    assert_true(reserve(s, &r[0], SCOPE(.user = SLICE("x")), USD / 4));
    assert_true(reserve(s, &r[1], run, USD / 4));
}

struct losses {
    unsigned count;
    config_pico daily, user, run;
};

static void on_loss(void *arg, const struct budget_view *v) {
    struct losses *l = arg;
    l->count++;
    assert_true(v->recovered > 0 && v->recovered <= v->spent);
    assert_true(slice_equal(v->tenant, SLICE("acme")));
    if (slice_equal(v->budget, SLICE("d")))
        l->daily = v->recovered;
    else if (slice_equal(v->budget, SLICE("u")) && slice_equal(v->value, SLICE("x")))
        l->user = v->recovered;
    else if (slice_equal(v->budget, SLICE("run")) && slice_equal(v->value, SLICE("r")))
        l->run = v->recovered;
}

static void test_what_was_counted_as_spent_is_told_once(void **state) {
    struct budget_scene *s = *state;
    struct losses l = {0};
    crash_after(s, "hold_much");
    open_scene(s, BOTH);
    budgets_recovered(s->budgets, on_loss, &l);
    assert_int_equal(l.count, 3);
    config_pico step = USD / BUDGET_STEPS + 1, value_step = USD / 8 + 1;
    assert_true(l.daily >= USD / 2 && l.daily <= USD / 2 + 2 * step);
    assert_true(l.user >= USD / 2 && l.user <= USD / 2 + 2 * value_step);
    assert_true(l.run >= USD / 4 && l.run <= USD / 4 + 2 * value_step);
    assert_int_equal(view_of(s, "d", "").recovered, l.daily);
    assert_int_equal(view_of(s, "d", "").spent, USD / 10 + l.daily);
    assert_int_equal(view_of(s, "u", "x").spent, USD / 10 + l.user);
    assert_int_equal(view_of(s, "run", "r").amount, USD); // known before it goes on
    l.count = 0;
    budgets_recovered(s->budgets, on_loss, &l);
    assert_int_equal(l.count, 0);
    // What is passed already is not told again.
    spend(s, SCOPE(.user = SLICE("z")), 1);
    assert_int_equal(warnings(s, "d", "50"), 0);
    spend(s, SCOPE(.user = SLICE("z")), 3 * USD / 10);
    assert_int_equal(warnings(s, "d", "80"), 1);
    reopen_scene(s, BOTH);
    budgets_recovered(s->budgets, on_loss, &l);
    assert_int_equal(l.count, 0);
    close_scene(s);
}

// A window that ended leaves nothing to be counted.
static void spend_for_days(struct budget_scene *s) {
    for (int day = 0; day < 3; day++) {
        at(NOON_MS + day * DAY_MS);
        spend(s, SCOPE(.user = SLICE("x")), USD / 100);
    }
    store_flush(s->store);
}

static void test_a_window_that_is_over_is_exact(void **state) {
    struct budget_scene *s = *state;
    struct losses l = {0};
    crash_after(s, "spend_for_days");
    at(NOON_MS + 2 * DAY_MS);
    open_scene(s, BOTH);
    budgets_recovered(s->budgets, on_loss, &l);
    assert_int_equal(l.count, 2); // today's, of each
    at(NOON_MS);
    assert_int_equal(view_of(s, "d", "").spent, USD / 100);
    assert_int_equal(view_of(s, "u", "x").spent, USD / 100);
    close_scene(s);
}

// Sliding parts that are over leave nothing to be counted.
static void slide(struct budget_scene *s) {
    for (int hour = 0; hour < 20; hour++) {
        at(NOON_MS + hour * HOUR_MS);
        spend(s, NOBODY, USD / 100);
    }
    store_flush(s->store);
}

static void test_a_crash_of_a_sliding_one(void **state) {
    struct budget_scene *s = *state;
    at(NOON_MS - 30 * DAY_MS); // where it is begun
    crash_after(s, "slide");
    at(NOON_MS + 19 * HOUR_MS);
    open_scene(s, SLIDING);
    config_pico spent = view_of(s, "s", "").spent;
    assert_true(spent >= USD / 5);
    assert_true(spent <= USD / 5 + 2 * (USD / BUDGET_STEPS + 1));
    at(NOON_MS + 10 * HOUR_MS + DAY_MS); // parts leave one by one
    spent = view_of(s, "s", "").spent;
    assert_true(spent >= USD / 10 && spent <= USD / 10 + 2 * (USD / BUDGET_STEPS + 1));
    close_scene(s);
    at(NOON_MS - 10 * DAY_MS); // set back while nothing ran
    open_scene(s, SLIDING);
    assert_true(view_of(s, "s", "").spent >= USD / 10);
    at(NOON_MS - 10 * DAY_MS + DAY_MS + HOUR_MS);
    assert_int_equal(view_of(s, "s", "").spent, 0);
    close_scene(s);
}

static void test_values_outlive_an_orderly_end_exactly(void **state) {
    struct budget_scene *s = *state;
    open_scene(s, BOTH);
    spend(s, SCOPE(.user = SLICE("x")), 1234567);
    spend(s, SCOPE(.user = SLICE("\xff")), 7);
    spend(s, NOBODY, 5);
    reopen_scene(s, BOTH);
    assert_int_equal(view_of(s, "u", "x").spent, 1234567);
    assert_int_equal(view_of(s, "u", "").spent, 5);
    configure(s, USERS);
    assert_int_equal(left(s, SCOPE(.user = SLICE("\xff"))), USD - 7);
    // Another shape and a restart: what counted counts on, to the new window's end.
    reopen_scene(s, "budget \"u\" { amount = \"1 usd\" window = \"1w\" per = \"user\" }");
    assert_int_equal(view_of(s, "u", "x").spent, 1234567);
    reopen_scene(s, "budget \"u\" { amount = \"1 usd\" window = \"1w\" per = \"user\" }");
    at(NOON_MS + DAY_MS);
    assert_int_equal(view_of(s, "u", "x").spent, 1234567);
    reopen_scene(s, "budget \"u\" { amount = \"1 usd\" window = \"1w\" per = \"user\" }");
    assert_int_equal(view_of(s, "u", "x").spent, 1234567);
    at(NOON_MS + 7 * DAY_MS);
    assert_int_equal(view_of(s, "u", "x").spent, 0);
    close_scene(s);
}

// A table of before had no column for values, shapes and operators.
static void test_rows_of_an_earlier_version(void **state) {
    struct budget_scene *s = *state;
    char path[128], sql[1024];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/farthing.db", s->directory);
    snprintf(sql, sizeof sql,
             "CREATE TABLE budgets (number INTEGER, tenant TEXT, budget TEXT, start_ms INTEGER, "
             "end_ms INTEGER, spent INTEGER, recovered INTEGER, overrun INTEGER, ceiling INTEGER, "
             "written TEXT);"
             "INSERT INTO budgets VALUES (1, 'acme', 'd', %lld, %lld, 100, 0, 0, 500, '');"
             "INSERT INTO budgets VALUES (2, 'acme', 'd', %lld, %lld, 300, 0, 0, 300, '');",
             (long long)(NOON_MS - DAY_MS / 2), (long long)(NOON_MS + DAY_MS / 2),
             (long long)(NOON_MS - DAY_MS / 2), (long long)(NOON_MS + DAY_MS / 2));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    for (int i = 0; i < 2; i++) {
        open_scene(s, BOTH);
        assert_int_equal(view_of(s, "d", "").spent, 300);
        assert_int_equal(view_of(s, "d", "").recovered, 0);
        close_scene(s);
    }
}

static int64_t count_rows(struct budget_scene *s, const char *budget) {
    char path[128], sql[128];
    sqlite3 *db;
    sqlite3_stmt *statement;
    store_flush(s->store);
    snprintf(path, sizeof path, "%s/farthing.db", s->directory);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM budgets WHERE budget = '%s'", budget);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

// The journal forgets its oldest rows: what nobody touches is written again.
static void test_rows_are_written_again(void **state) {
    struct budget_scene *s = *state;
    static const char idle[] = "budget \"idle\" { amount = \"1 usd\" feature = \"idle\" }";
    open_scene(s, idle);
    spend(s, SCOPE(.feature = SLICE("idle")), USD / 2);
    int64_t before = count_rows(s, "idle");
    for (int i = 0; i < 1000; i++) { // each run has a row of its own
        char run[16];
        snprintf(run, sizeof run, "r%d", i);
        spend(s, (struct budget_scope){.run = slice_of(run), .run_amount = USD}, 1);
    }
    assert_true(count_rows(s, "run") >= 1000);
    assert_true(count_rows(s, "idle") > before);
    freeze(s, &(struct budget_name){SLICE("acme"), SLICE("idle"), {NULL, 0}}, true);
    before = count_rows(s, "idle");
    reopen_scene(s, idle); // with the end and with the start: its window, and that it is frozen
    assert_int_equal(count_rows(s, "idle"), before + 4);
    assert_int_equal(view_of(s, "idle", "").spent, USD / 2);
    assert_int_equal(count_views(s, "run"), 1000);
    assert_int_equal(view_of(s, "run", "r999").spent, 1);
    close_scene(s);
}

static const struct deed deeds[] = {
    {"change_all", BOTH, change_all},
    {"thaw", BOTH, thaw},
    {"reset_while_asking", BOTH, reset_while_asking},
    {"hold_much", BOTH, hold_much},
    {"slide", SLIDING, slide},
    {"spend_for_days", BOTH, spend_for_days},
    {NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc == 4)
        return crash(deeds, argv);
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_directory, tear_down_directory)
    const struct CMUnitTest tests[] = {
        TEST(test_all_of_it_outlives_a_kill),
        TEST(test_a_thaw_outlives_a_kill),
        TEST(test_a_reset_while_the_store_is_asked),
        TEST(test_what_was_counted_as_spent_is_told_once),
        TEST(test_a_window_that_is_over_is_exact),
        TEST(test_a_crash_of_a_sliding_one),
        TEST(test_values_outlive_an_orderly_end_exactly),
        TEST(test_rows_of_an_earlier_version),
        TEST(test_rows_are_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
