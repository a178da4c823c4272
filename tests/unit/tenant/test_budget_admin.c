// What an operator does to budgets, what is told of them, and that both outlive
// the process.
#include <sqlite3.h>

#include "budget_scene.h"

#define DAILY "budget \"d\" { amount = \"1 usd\" window = \"1d\" warn_at = {\"50%\", \"80%\"} }\n"
#define USERS "budget \"u\" { amount = \"1 usd\" window = \"1d\" per = \"user\" }\n"
#define SLIDING "budget \"s\" { amount = \"1 usd\" window = \"1d\" sliding = true warn_at = {\"50%\"} }\n"
#define BOTH DAILY USERS

static const struct deed deeds[];

static const struct budget_name daily = {SLICE("acme"), SLICE("d"), {NULL, 0}};
static const struct budget_name user_x = {SLICE("acme"), SLICE("u"), SLICE("x")};

static void top_up(struct budget_scene *s, const struct budget_name *name, config_pico amount) {
    struct error err;
    if (!budget_top_up(s->budgets, name, amount, &err))
        fail_msg("%s", err.text);
}

static void reset(struct budget_scene *s, const struct budget_name *name) {
    struct error err;
    if (!budget_reset(s->budgets, name, &err))
        fail_msg("%s", err.text);
}

static void freeze(struct budget_scene *s, const struct budget_name *name, bool frozen) {
    struct error err;
    if (!budget_freeze(s->budgets, name, frozen, &err))
        fail_msg("%s", err.text);
}

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

static int64_t warnings(struct budget_scene *s, const char *budget, const char *percent) {
    char line[128];
    struct buffer text = {0};
    snprintf(line, sizeof line,
             "farthing_budget_warnings_total{tenant=\"acme\",budget=\"%s\",percent=\"%s\"} ",
             budget, percent);
    budgets_publish(s->budgets);
    metric_write_all(&text);
    ptrdiff_t found = slice_find(buffer_slice(&text), slice_of(line));
    int64_t count = found < 0 ? 0 : strtoll(text.ptr + found + strlen(line), NULL, 10);
    buffer_free(&text);
    return count;
}

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

// ------------------------------------------------------------------------- crashes

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
    const struct budget_ask ask = {.scope = {.tenant = SLICE("acme"), .run_amount = CONFIG_UNSET},
                                   .worst = USD / 2};
    assert_int_equal(budget_reserve(s->own, &r, &ask, scene_ready, NULL, &s->refusal), BUDGET_WAIT);
    reset(s, &daily);
    while (r.state == BUDGET_WAITING)
        event_base_loop(s->loop, EVLOOP_ONCE);
}

static void test_a_reset_while_the_store_is_asked(void **state) {
    struct budget_scene *s = *state;
    crash_after(s, "reset_while_asking");
    open_scene(s, BOTH);
    assert_true(view_of(s, "d", "").spent >= USD / 2); // its grant was on disk all the same
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

static const struct deed deeds[] = {
    {"change_all", BOTH, change_all},
    {"thaw", BOTH, thaw},
    {"reset_while_asking", BOTH, reset_while_asking},
    {"hold_much", BOTH, hold_much},
    {"slide", SLIDING, slide},
    {NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc == 4)
        return crash(deeds, argv);
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_memory, tear_down_memory)
#define DISK_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_directory, tear_down_directory)
    const struct CMUnitTest tests[] = {
        TEST(test_top_up),
        TEST(test_top_up_of_a_sliding_one),
        TEST(test_reset),
        TEST(test_freeze),
        TEST(test_names_that_are_none),
        TEST(test_warnings_once_a_window),
        TEST(test_warnings_of_a_sliding_one),
        TEST(test_an_exhausted_budget_is_told_once),
        DISK_TEST(test_all_of_it_outlives_a_kill),
        DISK_TEST(test_a_thaw_outlives_a_kill),
        DISK_TEST(test_a_reset_while_the_store_is_asked),
        DISK_TEST(test_what_was_counted_as_spent_is_told_once),
        DISK_TEST(test_a_crash_of_a_sliding_one),
        DISK_TEST(test_values_outlive_an_orderly_end_exactly),
        DISK_TEST(test_rows_of_an_earlier_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
