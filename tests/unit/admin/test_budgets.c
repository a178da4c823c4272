// Orders about budgets: which one is meant, what they change, and that it lasts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scene.h"

#define USD    INT64_C(1000000000000)
#define TOP_UP "/budgets/top-up"
#define RESET  "/budgets/reset"
#define FREEZE "/budgets/freeze"
#define THAW   "/budgets/thaw"
#define DAILY  "\"tenant\":\"acme\",\"budget\":\"daily\""
#define EACH   "\"tenant\":\"acme\",\"budget\":\"each\""

// ---------------------------------------------------------------------- spending

static void on_ready(void *arg, enum budget_verdict verdict, const struct budget_refusal *refusal) {
    (void)arg, (void)verdict, (void)refusal;
}

// One purchase of acme's, of a user; false: refused.
static bool spend(struct scene *s, const char *user, int64_t pico) {
    struct budgets_loop *own = budgets_loop_new(s->budgets, s->loop, s->client);
    struct budget_reservation r = {0};
    struct budget_refusal refusal;
    const struct budget_ask ask = {
        .scope = {.tenant = SLICE("acme"), .user = slice_of(user), .run_amount = CONFIG_UNSET},
        .worst = pico,
    };
    bool granted = budget_reserve(own, &r, &ask, on_ready, NULL, &refusal) != BUDGET_REFUSED;
    if (granted)
        assert_true(budget_settle(own, &r, pico, NULL));
    budgets_loop_free(own);
    return granted;
}

struct search {
    const char *budget, *value;
    bool found;
    struct budget_view view;
};

static void on_budget(void *arg, const struct budget_view *view) {
    struct search *s = arg;
    if (!slice_equal(view->tenant, SLICE("acme")) ||
        !slice_equal(view->budget, slice_of(s->budget)) ||
        !slice_equal(view->value, slice_of(s->value)))
        return;
    s->found = true;
    s->view = *view;
}

static struct budget_view find(struct scene *s, const char *budget, const char *value) {
    struct search search = {.budget = budget, .value = value};
    budgets_visit(s->budgets, on_budget, &search);
    if (!search.found)
        fail_msg("no budget %s/%s", budget, value);
    return search.view;
}

static void expect_daily(struct scene *s, int64_t amount, int64_t spent) {
    const struct budget_view view = find(s, "daily", "");
    assert_int_equal(view.amount, amount);
    assert_int_equal(view.spent, spent);
}

// ------------------------------------------------------------------------ orders

static void more_money_is_more_money(void **state) {
    struct scene *s = *state;
    assert_false(spend(s, "", 11 * USD));
    scene_expect_order(s, TOP_UP, "{" DAILY ",\"amount\":\"2.5 usd\"}", "200",
                       "{\"action\":\"budgets.top-up\",\"what\":\"acme/daily\",\"before\":{" DAILY);
    expect_daily(s, 12 * USD + USD / 2, 0);
    assert_true(spend(s, "", 1 * USD));
    scene_expect_order(s, TOP_UP, "{" DAILY ",\"amount\":\"-3\"}", "200",
                       "\"amount_usd\":\"9.5\",\"topped_up_usd\":\"-0.5\"");
    expect_daily(s, 9 * USD + USD / 2, USD);
    assert_int_equal(find(s, "all", "").amount, 100 * USD);
}

static void a_reset_forgets_what_was_spent(void **state) {
    struct scene *s = *state;
    assert_true(spend(s, "", 1 * USD));
    scene_expect_order(s, RESET, "{" DAILY "}", "200", "\"spent_usd\":\"0\"");
    expect_daily(s, 10 * USD, 0);
    assert_int_equal(find(s, "all", "").spent, 1 * USD);
}

static void frozen_is_until_thawed(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, FREEZE, "{" DAILY "}", "200", "\"frozen\":true");
    assert_false(spend(s, "", 1));
    scene_expect_page(s, "/budgets", "200", "\"frozen\":true");
    scene_expect_order(s, THAW, "{" DAILY "}", "200", "\"saved\":true");
    assert_true(spend(s, "", 1));
}

static void of_a_budget_per_user_one_is_named(void **state) {
    struct scene *s = *state;
    assert_true(spend(s, "u1", USD / 2) && spend(s, "u2", USD / 2));
    scene_expect_order(s, FREEZE, "{" EACH "}", "400", "a counter for each user");
    scene_expect_order(s, FREEZE, "{" EACH ",\"value\":\"u1\"}", "200",
                       "\"what\":\"acme/each/u1\"");
    assert_false(spend(s, "u1", 1));
    assert_true(spend(s, "u2", 1) && spend(s, "", 1));
    scene_expect_order(s, FREEZE, "{" EACH ",\"value\":\"\"}", "200", "\"what\":\"acme/each\"");
    assert_false(spend(s, "", 1));
    assert_true(spend(s, "u2", 1));
}

// Before its first request.
static void a_user_who_has_not_come_can_be_kept_out(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, FREEZE, "{" EACH ",\"value\":\"u9\"}", "200",
                       "\"before\":null,\"after\":{");
    assert_false(spend(s, "u9", 1));
    scene_expect_order(s, RESET, "{" EACH ",\"value\":\"u8\"}", "404", "u8");
}

static void what_is_wrong_is_said(void **state) {
    static const struct {
        const char *path, *body, *status, *text;
    } cases[] = {
        {TOP_UP, "{}", "400", "\\\"tenant\\\" is missing"},
        {TOP_UP, "{\"tenant\":\"acme\"}", "400", "\\\"budget\\\" is missing"},
        {TOP_UP, "{" DAILY "}", "400", "\\\"amount\\\" is missing"},
        {TOP_UP, "{" DAILY ",\"amount\":5}", "400", "must be a string, such as"},
        {TOP_UP, "{" DAILY ",\"amount\":\"5 eur\"}", "400", "5 eur"},
        {TOP_UP, "{" DAILY ",\"amount\":\"1e3\"}", "400", "1e3"},
        {TOP_UP, "{" DAILY ",\"amount\":\"0 usd\"}", "400", "0 usd"},
        {TOP_UP, "{" DAILY ",\"amount\":\"0.0000000000001\"}", "400", "\"param\":\"amount\""},
        {TOP_UP, "{" DAILY ",\"amount\":\"9999999999999\"}", "400", "\"param\":\"amount\""},
        {RESET, "{" DAILY ",\"amount\":\"5\"}", "400", "only tenant, budget, value, reason"},
        {RESET, "{" DAILY ",\"value\":\"u1\"}", "404", "u1"},
        {RESET, "{\"tenant\":\"acme\",\"budget\":\"dayly\"}", "404", "it has daily, all, each"},
        {FREEZE, "{\"tenant\":\"acm\",\"budget\":\"daily\"}", "404", "did you mean \\\"acme\\\"?"},
        {THAW, "{\"tenant\":\"acme\",\"budget\":\"run\",\"value\":\"r\"}", "404", "no budget"},
    };
    struct scene *s = *state;
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        scene_expect_order(s, cases[i].path, cases[i].body, cases[i].status, cases[i].text);
    expect_daily(s, 10 * USD, 0);
    scene_expect_page(s, "/audit", "200", "{\"audit\":[]}");
}

static void orders_survive_a_restart(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, TOP_UP, "{" DAILY ",\"amount\":\"2 usd\"}", "200", "\"saved\":true");
    scene_expect_order(s, FREEZE, "{\"tenant\":\"acme\",\"budget\":\"all\"}", "200",
                       "\"saved\":true");
    scene_close(s);
    s->store = NULL;
    scene_open(s, true);
    expect_daily(s, 12 * USD, 0);
    assert_true(find(s, "all", "").frozen);
    scene_expect_page(s, "/audit", "200", "\"amount_usd\":\"12\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(more_money_is_more_money),
        SCENE(a_reset_forgets_what_was_spent),
        SCENE(frozen_is_until_thawed),
        SCENE(of_a_budget_per_user_one_is_named),
        SCENE(a_user_who_has_not_come_can_be_kept_out),
        SCENE(what_is_wrong_is_said),
        SCENE(orders_survive_a_restart),
    };
    return cmocka_run_group_tests_name("admin/budgets", tests, NULL, NULL);
}
