// Whose budget it is: users, runs, keys and features each with a counter of their
// own, those that are invented, and a run's own amount.
#include "budget_scene.h"

#define PER(what)            "budget \"p\" { amount = \"1 usd\" window = \"1d\" per = \"" what "\" }"
#define FOR(dimension, text) SCOPE(.dimension = slice_of(text))
#define OF_RUN(name, amount) ((struct budget_scope){.run = slice_of(name), .run_amount = (amount)})

static struct budget_scope scope_of(const char *per, const char *value) {
    struct slice v = slice_of(value);
    return strcmp(per, "feature") == 0 ? SCOPE(.feature = v)
           : strcmp(per, "user") == 0  ? SCOPE(.user = v)
           : strcmp(per, "run") == 0   ? SCOPE(.run = v)
                                       : SCOPE(.key = v);
}

static void test_each_value_has_its_own(void **state) {
    struct budget_scene *s = *state;
    static const struct {
        const char *per, *body;
        enum config_budget_per kind;
    } rows[] = {{"feature", PER("feature"), CONFIG_PER_FEATURE},
                {"user", PER("user"), CONFIG_PER_USER},
                {"run", PER("run"), CONFIG_PER_RUN},
                {"key", PER("key"), CONFIG_PER_KEY}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        configure(s, rows[i].body);
        struct budget_scope a = scope_of(rows[i].per, "a"), b = scope_of(rows[i].per, "b");
        assert_int_equal(left(s, a), USD);
        spend(s, a, USD);
        assert_true(is_refused(s, a, 1));
        assert_true(slice_equal(s->refusal.budget.value, SLICE("a")));
        assert_true(slice_equal(s->refusal.budget.budget, SLICE("p")));
        assert_int_equal(s->refusal.budget.per, rows[i].kind);
        assert_int_equal(left(s, a), 0);
        assert_int_equal(left(s, b), USD);
        spend(s, b, USD / 4);
        spend(s, NOBODY, USD / 2); // who says nothing has one too
        assert_int_equal(left(s, NOBODY), USD / 2);
        assert_true(is_refused(s, NOBODY, USD));
        assert_int_equal(s->refusal.budget.value.len, 0);
    }
}

static void test_globs_of_users_beside_features(void **state) {
    struct budget_scene *s = *state;
    configure(s, "budget \"g\" { amount = \"1 usd\" feature = \"chat*\" user = \"vip_*\" }\n"
                 "budget \"u\" { amount = \"5 usd\" user = \"vip_*\" per = \"user\" }");
    static const struct {
        const char *feature, *user;
        config_pico left;
    } rows[] = {
        {"chat", "vip_1", USD},      {"chat", "x", CONFIG_UNSET}, {"chat", "", CONFIG_UNSET},
        {"other", "vip_1", 5 * USD}, {"", "vip_2", 5 * USD},      {"other", "x", CONFIG_UNSET},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_int_equal(
            left(s, SCOPE(.feature = slice_of(rows[i].feature), .user = slice_of(rows[i].user))),
            rows[i].left);
    spend(s, SCOPE(.feature = SLICE("chat"), .user = SLICE("vip_1")), USD);
    assert_true(is_refused(s, SCOPE(.feature = SLICE("chat"), .user = SLICE("vip_2")), 1));
    assert_int_equal(left(s, FOR(user, "vip_1")), 4 * USD);
    assert_int_equal(left(s, FOR(user, "vip_2")), 5 * USD);
    assert_true(slice_equal(view_of(s, "g", "").user, SLICE("vip_*")));
}

static void test_all_kinds_at_once_all_or_none(void **state) {
    struct budget_scene *s = *state;
    configure(s, "budget \"a\" { amount = \"9 usd\" }\n"
                 "budget \"f\" { amount = \"8 usd\" per = \"feature\" }\n"
                 "budget \"u\" { amount = \"7 usd\" per = \"user\" }\n"
                 "budget \"k\" { amount = \"6 usd\" per = \"key\" }\n"
                 "budget \"r\" { amount = \"5 usd\" per = \"run\" }\n");
    struct budget_scope all =
        SCOPE(.feature = SLICE("f1"), .user = SLICE("u1"), .run = SLICE("r1"), .key = SLICE("k1"));
    struct budget_reservation r = {0};
    assert_true(is_refused(s, all, 5 * USD + 1));
    assert_int_equal(s->refusal.fits, 5 * USD);
    assert_int_equal(view_of(s, "a", "").reserved, 0);
    assert_true(reserve(s, &r, all, 5 * USD));
    static const char *const names[][2] = {
        {"a", ""}, {"f", "f1"}, {"u", "u1"}, {"k", "k1"}, {"r", "r1"}};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        assert_int_equal(view_of(s, names[i][0], names[i][1]).reserved, 5 * USD);
    assert_true(budget_settle(s->own, &r, USD, NULL));
    assert_false(budget_settle(s->own, &r, USD, NULL));
    assert_false(budget_release(s->own, &r));
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        assert_int_equal(view_of(s, names[i][0], names[i][1]).spent, USD);
}

// --------------------------------------------------------------------- a run's own

static void test_a_runs_own_amount(void **state) {
    struct budget_scene *s = *state;
    struct budget_scope one = OF_RUN("one", USD);
    struct budget_scope two = OF_RUN("two", 2 * USD);
    assert_int_equal(left(s, one), USD); // nobody has come yet
    assert_int_equal(left(s, SCOPE(.run = SLICE("one"))), CONFIG_UNSET);
    spend(s, one, 6 * USD / 10);
    assert_int_equal(left(s, one), 4 * USD / 10);
    assert_int_equal(left(s, two), 2 * USD);
    assert_true(is_refused(s, one, USD / 2));
    assert_true(slice_equal(s->refusal.budget.budget, SLICE("run")));
    assert_true(slice_equal(s->refusal.budget.value, SLICE("one")));
    assert_int_equal(s->refusal.fits, 4 * USD / 10);
    assert_int_equal(s->refusal.retry_after_ms, -1);
    one.run_amount = 2 * USD; // a reload gave more
    assert_int_equal(left(s, one), 14 * USD / 10);
    spend(s, one, USD);
    spend(s, OF_RUN("", 1), USD); // of no run
    one.run_amount = 0;
    assert_true(is_refused(s, one, 1));
    configure(s, ""); // it stands in no file
    assert_int_equal(view_of(s, "run", "one").spent, 16 * USD / 10);
    assert_true(view_of(s, "run", "one").configured);
}

static void test_a_budget_that_is_called_run(void **state) {
    struct budget_scene *s = *state;
    configure(s, "budget \"run\" { amount = \"3 usd\" per = \"run\" }");
    struct budget_scope one = OF_RUN("one", USD);
    spend(s, one, USD / 2);
    assert_int_equal(left(s, one), USD / 2);
    one.run_amount = CONFIG_UNSET;
    assert_int_equal(left(s, one), 5 * USD / 2);
    assert_int_equal(count_views(s, "run"), 2);
}

// ------------------------------------------------------------------------ invented

static struct budget_scope invented(int i, char name[16]) {
    snprintf(name, 16, "u%d", i);
    return SCOPE(.user = slice_of(name));
}

static void test_who_invents_users_shares_one_counter(void **state) {
    struct budget_scene *s = *state;
    char name[16];
    configure(s, PER("user"));
    for (int i = 0; i < BUDGET_VALUES_MAX; i++)
        spend(s, invented(i, name), USD / 2);
    assert_int_equal(left(s, invented(3, name)), USD / 2);
    spend(s, FOR(user, "late1"), USD / 2);
    spend(s, FOR(user, "late2"), USD / 4);
    assert_int_equal(left(s, FOR(user, "late2")), USD / 4); // what it would find
    assert_int_equal(left(s, FOR(user, "late3")), USD / 4);
    assert_true(is_refused(s, FOR(user, "late3"), USD / 2));
    assert_true(slice_equal(s->refusal.budget.value, SLICE("other")));
    assert_int_equal(view_of(s, "p", "other").spent, 3 * USD / 4);
    assert_int_equal(count_views(s, "p"), BUDGET_VALUES_MAX + 1);
    assert_true(is_refused(s, FOR(user, "other"), USD / 2)); // who says so is one of them
    spend(s, invented(3, name), USD / 2);                    // who was there is not
    assert_true(shows(s, "farthing_budget_remaining_usd{tenant=\"acme\",budget=\"p\"} 0\n"));
    // In the next window those make room whom nobody needs.
    at(NOON_MS + DAY_MS);
    spend(s, FOR(user, "late3"), USD);
    assert_int_equal(view_of(s, "p", "late3").spent, USD);
    assert_int_equal(count_views(s, "p"), BUDGET_VALUES_MAX + 1);
}

static void test_who_holds_money_makes_no_room(void **state) {
    struct budget_scene *s = *state;
    char name[16];
    struct budget_reservation held = {0};
    configure(s, PER("user"));
    assert_true(reserve(s, &held, FOR(user, "holder"), USD / 2));
    for (int i = 0; i < BUDGET_VALUES_MAX + 100; i++) // nothing was spent: they make room
        assert_false(is_refused(s, invented(i, name), USD));
    assert_int_equal(count_views(s, "p"), BUDGET_VALUES_MAX);
    assert_int_equal(view_of(s, "p", "holder").reserved, USD / 2);
    assert_true(budget_settle(s->own, &held, USD / 4, NULL));
    assert_int_equal(view_of(s, "p", "holder").spent, USD / 4);
    // Nor with what it holds in the window before.
    assert_true(reserve(s, &held, FOR(user, "holder"), USD / 2));
    at(NOON_MS + DAY_MS);
    for (int i = 0; i < BUDGET_VALUES_MAX + 100; i++)
        assert_false(is_refused(s, invented(i, name), USD));
    assert_true(budget_settle(s->own, &held, USD / 4, NULL));
    at(NOON_MS);
    assert_int_equal(view_of(s, "p", "holder").spent, USD / 2);
}

static void test_totals_make_room_when_untouched_for_long(void **state) {
    struct budget_scene *s = *state;
    char name[16];
    configure(s, "budget \"p\" { amount = \"1 usd\" per = \"user\" }");
    for (int i = 0; i < BUDGET_VALUES_MAX; i++)
        spend(s, invented(i, name), 1);
    at(NOON_MS + 7 * DAY_MS);
    spend(s, FOR(user, "new"), 1);
    assert_int_equal(view_of(s, "p", "other").spent, 1);
    spend(s, invented(0, name), 1); // used again: stays
    at(NOON_MS + 7 * DAY_MS + 1);
    spend(s, FOR(user, "newer"), 1);
    assert_int_equal(view_of(s, "p", "newer").spent, 1);
    assert_int_equal(view_of(s, "p", "u0").spent, 2);
}

static void test_runs_make_room_sooner(void **state) {
    struct budget_scene *s = *state;
    char name[16];
    for (int i = 0; i < BUDGET_VALUES_MAX; i++) {
        snprintf(name, sizeof name, "r%d", i);
        spend(s, OF_RUN(name, 10), 1);
    }
    at(NOON_MS + 10 * 60 * 1000 + 1);
    spend(s, OF_RUN("new", 10), 1);
    assert_int_equal(view_of(s, "run", "new").spent, 1);
    assert_int_equal(view_of(s, "run", "r1").spent, 1);
    assert_int_equal(count_views(s, "run"), BUDGET_VALUES_MAX);
}

// Long ones, and what is no text, are told apart all the same.
static void test_values_of_any_bytes(void **state) {
    struct budget_scene *s = *state;
    static char longs[2][1000];
    memset(longs, 'x', sizeof longs);
    longs[1][999] = 'y';
    const struct slice values[] = {
        slice_make(longs[0], 1000), slice_make(longs[1], 1000), slice_make(longs[0], 128),
        slice_make("a\0b", 3),      slice_make("a\0c", 3),      slice_make("\xff\xfe", 2),
        slice_make("\xff\xfd", 2),  SLICE("gr\xc3\xbcn"),       SLICE("a\nb"),
    };
    configure(s, PER("user"));
    for (size_t i = 0; i < FARTHING_COUNT(values); i++)
        spend(s, SCOPE(.user = values[i]), USD);
    for (size_t i = 0; i < FARTHING_COUNT(values); i++)
        assert_true(is_refused(s, SCOPE(.user = values[i]), 1));
    assert_true(slice_equal(s->refusal.budget.value, SLICE("a\nb")));
    assert_int_equal(count_views(s, "p"), FARTHING_COUNT(values));
    assert_int_equal(view_of(s, "p", "gr\xc3\xbcn").spent, USD);
}

// ------------------------------------------------------------------------- reloads

static void test_a_changed_per_is_another_budget(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation held = {0};
    configure(s, PER("user"));
    assert_true(reserve(s, &held, FOR(user, "a"), USD));
    configure(s, PER("run"));
    assert_int_equal(left(s, SCOPE(.user = SLICE("a"), .run = SLICE("a"))), USD);
    assert_true(budget_settle(s->own, &held, USD / 2, NULL)); // where it was reserved
    assert_int_equal(left(s, FOR(run, "a")), USD);
    configure(s, PER("user"));
    assert_int_equal(left(s, FOR(user, "a")), USD / 2);
}

static void test_a_changed_amount_is_that_of_each(void **state) {
    struct budget_scene *s = *state;
    configure(s, PER("user"));
    spend(s, FOR(user, "a"), USD);
    configure(s, "budget \"p\" { amount = \"3 usd\" window = \"1d\" per = \"user\" }");
    assert_int_equal(left(s, FOR(user, "a")), 2 * USD);
    assert_int_equal(left(s, FOR(user, "b")), 3 * USD);
    assert_true(shows(s, "farthing_budget_remaining_usd{tenant=\"acme\",budget=\"p\"} 2\n"));
}

static void test_metrics_are_one_series_a_budget(void **state) {
    struct budget_scene *s = *state;
    struct budget_reservation r = {0};
    configure(s, PER("user"));
    assert_true(shows(s, "farthing_budget_remaining_usd{tenant=\"acme\",budget=\"p\"} 1\n"));
    for (int i = 0; i < 3; i++) {
        char name[16];
        assert_true(is_refused(s, invented(i, name), 2 * USD));
    }
    assert_true(reserve(s, &r, FOR(user, "a"), USD / 4));
    assert_true(budget_settle(s->own, &r, USD / 2, NULL));
    assert_true(shows(s, "farthing_budget_rejections_total{tenant=\"acme\",budget=\"p\"} 3\n"));
    assert_true(shows(s, "farthing_budget_overrun_usd_total{tenant=\"acme\",budget=\"p\"} 0.25"));
    assert_true(shows(s, "farthing_budget_remaining_usd{tenant=\"acme\",budget=\"p\"} 0.5"));
}

// A shadow's budget is named after its route, and a route may be called like a glob.
static void test_the_budget_of_a_shadow_is_of_its_route_alone(void **state) {
    struct budget_scene *s = *state;
    static const struct {
        const char *feature;
        config_pico left;
    } rows[] = {
        {"shadow:a*", USD},         {"shadow:ab", 2 * USD}, {"shadow:a", CONFIG_UNSET},
        {"shadow:", CONFIG_UNSET},  {"", CONFIG_UNSET},     {"shadow:a*b", CONFIG_UNSET},
        {"shadow:??", CONFIG_UNSET},
    };
    struct buffer messages = {0};
    const struct config *c = config_load_text(
        SLICE("provider \"p\" { base_url = \"http://h\" }\n"
              "tier \"t\" { models = {\"p/m\"} }\n"
              "route \"a*\" { shadow { tier = t percent = 1 budget = \"1 usd\" } }\n"
              "route \"ab\" { shadow { tier = t percent = 1 budget = \"2 usd\" } }\n"),
        "test.conf", &messages);
    assert_non_null(c);
    budgets_configure(s->budgets, c);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct budget_scope scope =
            SCOPE(.tenant = c->own->name, .feature = slice_of(rows[i].feature));
        assert_int_equal(budget_remaining(s->own, &scope), rows[i].left);
    }
    config_unref(c);
}

static void test_extremes(void **state) {
    struct budget_scene *s = *state;
    struct budget_scope most = OF_RUN("r", INT64_MAX);
    struct budget_reservation a = {0}, b = {0};
    assert_true(reserve(s, &a, most, INT64_MAX)); // the only budget bears it
    assert_true(is_refused(s, most, 1));
    assert_int_equal(s->refusal.fits, 0);
    assert_true(reserve(s, &b, most, 0));
    assert_true(budget_settle(s->own, &b, INT64_MAX, NULL));
    assert_true(budget_settle(s->own, &a, INT64_MAX, NULL));
    assert_int_equal(view_of(s, "run", "r").spent, INT64_MAX);
    assert_int_equal(view_of(s, "run", "r").remaining, 0);
    configure(s, "budget \"zero\" { amount = \"0 usd\" window = \"1d\" }");
    assert_true(is_refused(s, NOBODY, 1));
    assert_int_equal(s->refusal.retry_after_ms, -1); // never
    assert_false(is_refused(s, NOBODY, 0));          // what costs nothing may
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_memory, tear_down_memory)
    const struct CMUnitTest tests[] = {
        TEST(test_each_value_has_its_own),
        TEST(test_globs_of_users_beside_features),
        TEST(test_all_kinds_at_once_all_or_none),
        TEST(test_the_budget_of_a_shadow_is_of_its_route_alone),
        TEST(test_a_runs_own_amount),
        TEST(test_a_budget_that_is_called_run),
        TEST(test_who_invents_users_shares_one_counter),
        TEST(test_who_holds_money_makes_no_room),
        TEST(test_totals_make_room_when_untouched_for_long),
        TEST(test_runs_make_room_sooner),
        TEST(test_values_of_any_bytes),
        TEST(test_a_changed_per_is_another_budget),
        TEST(test_a_changed_amount_is_that_of_each),
        TEST(test_metrics_are_one_series_a_budget),
        TEST(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
