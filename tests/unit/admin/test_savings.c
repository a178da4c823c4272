// /savings and /routes: rows of every kind, and what is told of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "scene.h"

#define NOW INT64_C(1795236447123)
#define DAY INT64_C(86400000)
// A token of small costs 1 and 10 USD a million, of large 5 and 20.
#define CONFIG                                                                                     \
    "provider \"p\" { base_url = \"http://127.0.0.1:1\" api_key = \"k\" }\n"                       \
    "model \"p/s\" { input_price = \"1 usd\" output_price = \"10 usd\" }\n"                        \
    "model \"p/l\" { input_price = \"5 usd\" output_price = \"20 usd\" }\n"                        \
    "model \"p/unpriced\" { }\n"                                                                   \
    "tier \"small\" { models = {\"p/s\"} }\n"                                                      \
    "tier \"large\" { models = {\"p/l\"} }\n"                                                      \
    "tier \"new\" { models = {\"p/unpriced\"} }\n"                                                 \
    "route \"support\" { match { features = {\"s_*\"} } tiers = {\"small\", \"large\"}\n"          \
    "  auto_disable = true }\n"                                                                    \
    "route \"odd\" { match { features = {\"o_*\"} } tiers = {\"new\", \"large\"}\n"                \
    "  savings_window = \"1h\" }\n"

static int set_up(void **state) {
    clock_freeze(NOW, 1);
    struct scene *s = scene_new_of(CONFIG);
    scene_open(s, true);
    log_set_level(LOG_ERROR); // events are LOG_WARNING
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    scene_tear_down(state);
    clock_thaw();
    return 0;
}

// -------------------------------------------------------------------------- rows

// Of 10 tokens in and 3 out, in pico-USD.
enum { SMALL = 40000000, LARGE = 110000000 };

#define ATTEMPT(tier_name, why, paid)                                                              \
    {.provider = SLICE("p"), .model = SLICE("m"), .tier = SLICE(tier_name), .status = 200,         \
     .reason = SLICE(why), .cost_known = (paid) > 0, .cost = {paid}}

struct kind {
    struct cost_attempt attempts[2];
    size_t attempt_count;
    const char *tier, *experiment, *rule, *ended_by;
    int64_t baseline, cost, retry; // -1: not known
    bool fails;
};
static const struct kind by_small = {
    {ATTEMPT("small", "ok", SMALL)}, 1, "small", NULL, "short", "farthing", LARGE, SMALL, 0, false};
static const struct kind by_large = {
    {ATTEMPT("large", "ok", LARGE)}, 1, "large", NULL, "long", "farthing", LARGE, LARGE, 0, false};
static const struct kind escalated = {
    {ATTEMPT("small", "json", SMALL), ATTEMPT("large", "ok", LARGE)},
    2, "large", NULL, "short", "farthing", LARGE, SMALL + LARGE, SMALL, false};
static const struct kind bad_at_last = {
    {ATTEMPT("large", "refusal", LARGE)},
    1, "large", NULL, "long", "farthing", LARGE, LARGE, 0, false};
static const struct kind failed = {
    {ATTEMPT("large", "status", 0)}, 1, "large", NULL, "long", "provider", -1, 0, 0, true};
static const struct kind client_left = {
    {ATTEMPT("small", "cancelled", SMALL)},
    1, "small", NULL, "short", "client", LARGE, SMALL, 0, true};
static const struct kind refused = {
    .rule = "short", .ended_by = "budget", .baseline = -1, .fails = true};
static const struct kind unpriced = {
    {ATTEMPT("small", "ok", 0)}, 1, "small", NULL, "short", "farthing", LARGE, -1, 0, false};
static const struct kind canary = {
    {ATTEMPT("new", "ok", SMALL)},
    1, "new", LEDGER_CANARY, "short", "farthing", LARGE, SMALL, 0, false};
static const struct kind while_off = {
    {ATTEMPT("large", "ok", LARGE)},
    1, "large", NULL, LEDGER_RULE_OFF, "farthing", LARGE, LARGE, 0, false};
static const struct kind not_ours = {
    {ATTEMPT("large", "ok", LARGE)}, 1, "large", NULL, NULL, "farthing", LARGE, LARGE, 0, false};

static struct cost_row row_of(const struct kind *k, const char *route) {
    return (struct cost_row){
        .ts_ms = clock_wall_ms(),
        .request_id = SLICE("id"),
        .tenant_id = SLICE("acme"),
        .route = slice_of(route),
        .tier = slice_of(k->tier),
        .experiment = slice_of(k->experiment),
        .classifier_rule = slice_of(k->rule),
        .ended_by = slice_of(k->ended_by),
        .success = !k->fails,
        .attempts = k->attempts,
        .attempt_count = k->attempt_count,
        .usage = {.known = true,
                  .input_tokens = 10 * (int64_t)(k->attempt_count),
                  .output_tokens = 3 * (int64_t)(k->attempt_count)},
        .usage_source = LEDGER_USAGE_PROVIDER,
        .baseline_known = k->baseline >= 0,
        .baseline_cost = {k->baseline},
        .cost_known = k->cost >= 0,
        .cost = {k->cost},
        .retry_cost = {k->retry},
        .ttft_ms = -1,
    };
}

static void record(struct scene *s, const struct kind *k, const char *route, unsigned times) {
    struct cost_row row = row_of(k, route);
    for (unsigned i = 0; i < times; i++)
        ledger_record(s->ledger, &row);
    ledger_flush(s->ledger);
}

static void record_own(struct scene *s, const struct kind *k, const char *feature, unsigned times) {
    struct cost_row row = row_of(k, "support");
    row.tenant_id = SLICE(LEDGER_OWN_TENANT);
    row.feature = slice_of(feature);
    row.classifier_rule = SLICE_NONE;
    if (strcmp(feature, LEDGER_EMBEDDINGS) != 0)
        row.experiment = SLICE(LEDGER_SHADOW);
    for (unsigned i = 0; i < times; i++)
        ledger_record(s->ledger, &row);
    ledger_flush(s->ledger);
}

#define SUPPORT "/savings?route=support"

static void expect(struct scene *s, const char *page, const char *text) {
    scene_expect_page(s, page, "200", text);
}

// ----------------------------------------------------------------------- figures

static void without_rows_there_are_zeros_and_nulls(void **state) {
    expect(*state, SUPPORT,
           "{\"window_ms\":86400000,\"since\":\"2026-11-20T04:47:27.123Z\",\"truncated\":false,"
           "\"routes\":[{"
           "\"route\":\"support\",\"configured\":true,\"requests\":0,\"unknown\":0,\"while_off\":0,"
           "\"cost_usd\":\"0\",\"retry_cost_usd\":\"0\",\"classifier_cost_usd\":\"0\","
           "\"always_large_usd\":\"0\",\"always_small_usd\":\"0\",\"net_saving_usd\":\"0\","
           "\"net_saving_share\":null,\"escalated\":0,\"escalated_share\":null,\"retries\":0,"
           "\"quality\":null,\"tiers\":[{\"tier\":\"small\",\"requests\":0,\"judged\":0,\"good\":0,"
           "\"good_share\":null,\"answered\":0},{\"tier\":\"large\",");
}

static void a_route_that_saves(void **state) {
    struct scene *s = *state;
    record(s, &by_small, "support", 3);
    record(s, &escalated, "support", 1);
    expect(s, SUPPORT,
           "\"requests\":4,\"unknown\":0,\"while_off\":0,\"cost_usd\":\"0.00027\","
           "\"retry_cost_usd\":\"0.00004\",\"classifier_cost_usd\":\"0\","
           "\"always_large_usd\":\"0.00044\",\"always_small_usd\":\"0.00016\","
           "\"net_saving_usd\":\"0.00017\",\"net_saving_share\":0.3864,\"escalated\":1,"
           "\"escalated_share\":0.2500,\"retries\":1,\"quality\":1.0000,"
           "\"tiers\":[{\"tier\":\"small\",\"requests\":4,\"judged\":4,\"good\":3,"
           "\"good_share\":0.7500,\"answered\":3},{\"tier\":\"large\",\"requests\":0,\"judged\":0,"
           "\"good\":0,\"good_share\":null,\"answered\":1}],\"arms\":[],\"shadows\":[],"
           "\"points\":[{\"policy\":\"always_small\",\"cost_usd\":\"0.00016\","
           "\"cost_share\":0.3636,\"quality\":0.7500,\"quality_from\":\"gates\"},"
           "{\"policy\":\"routed\",\"cost_usd\":\"0.00027\",\"cost_share\":0.6136,"
           "\"quality\":1.0000,\"quality_from\":\"gates\"},{\"policy\":\"always_large\","
           "\"cost_usd\":\"0.00044\",\"cost_share\":1.0000,\"quality\":1.0000,"
           "\"quality_from\":\"gates\"}]}]}");
}

static void a_route_that_loses(void **state) {
    struct scene *s = *state;
    record(s, &escalated, "support", 2);
    expect(s, SUPPORT, "\"net_saving_usd\":\"-0.00008\",\"net_saving_share\":-0.3636,");
}

// What was never asked of the first tier is priced by its first model.
static void always_small_is_priced_where_it_was_not_asked(void **state) {
    struct scene *s = *state;
    record(s, &by_large, "support", 2);
    expect(s, SUPPORT, "\"always_small_usd\":\"0.00008\"");
    record(s, &by_large, "odd", 1);
    expect(s, "/savings?route=odd", "\"always_small_usd\":null");
    expect(s, "/savings?route=odd",
           "{\"policy\":\"always_small\",\"cost_usd\":null,\"cost_share\":null,\"quality\":null,"
           "\"quality_from\":null}");
}

static void always_small_is_priced_by_the_catalogue(void **state) {
    static const char catalogue[] =
        "{\"date\":\"2026-01-01\",\"source\":\"test\",\"providers\":[{\"id\":\"p\","
        "\"names\":[\"p\"],"
        "\"hosts\":[],\"models\":[{\"id\":\"unpriced\",\"match\":{\"equals\":\"unpriced\"},"
        "\"prices\":[{\"input\":\"2\",\"output\":\"4\",\"request\":\"0.001\"}]}]}]}";
    struct scene *s = *state;
    struct error err;
    struct prices *prices = prices_parse(slice_of(catalogue), &err);
    scene_check(prices != NULL, &err);
    admin_set_prices(s->admin, prices);
    prices_unref(prices);
    record(s, &by_large, "odd", 2);
    expect(s, "/savings?route=odd", "\"always_small_usd\":\"0.002064\"");
    admin_set_prices(s->admin, NULL);
    expect(s, "/savings?route=odd", "\"always_small_usd\":null");
}

// A second attempt at the same tier is no escalation; one at the next is, also after an
// attempt that cost nothing, and then nobody was paid for what the first would have cost.
static void retries_and_escalations(void **state) {
    static const struct kind again = {
        {ATTEMPT("small", "status", 0), ATTEMPT("small", "ok", SMALL)},
        2, "small", NULL, "short", "farthing", LARGE, SMALL, 0, false};
    static const struct kind went_on = {
        {ATTEMPT("small", "status", 0), ATTEMPT("large", "ok", LARGE)},
        2, "large", NULL, "short", "farthing", LARGE, LARGE, 0, false};
    struct scene *s = *state;
    record(s, &again, "support", 3);
    expect(s, SUPPORT, "\"escalated\":0,\"escalated_share\":0.0000,\"retries\":3,");
    record(s, &went_on, "support", 1);
    expect(s, SUPPORT, "\"escalated\":1,\"escalated_share\":0.2500,\"retries\":4,");
    expect(s, SUPPORT, "\"always_small_usd\":\"0.00032\""); // four times 20 in and 6 out
}

static void what_is_judged(void **state) {
    struct scene *s = *state;
    record(s, &by_large, "support", 1);
    record(s, &bad_at_last, "support", 1);
    record(s, &failed, "support", 1);
    record(s, &client_left, "support", 1); // says nothing of the model
    record(s, &refused, "support", 1);     // nor does a refusal
    expect(s, SUPPORT, "\"requests\":5,\"unknown\":0,");
    expect(s, SUPPORT, "\"quality\":0.3333,");
    expect(s, SUPPORT, "{\"tier\":\"large\",\"requests\":3,\"judged\":3,\"good\":1,"
                       "\"good_share\":0.3333,\"answered\":3}");
}

static void what_has_no_price_is_in_no_amount(void **state) {
    struct scene *s = *state;
    record(s, &unpriced, "support", 1);
    record(s, &by_small, "support", 1);
    expect(s, SUPPORT, "\"requests\":2,\"unknown\":1,\"while_off\":0,\"cost_usd\":\"0.00004\"");
    expect(s, SUPPORT, "\"always_large_usd\":\"0.00011\",\"always_small_usd\":\"0.00004\"");
    expect(s, SUPPORT, "\"quality\":1.0000,");
}

static void the_canary_beside_the_rest(void **state) {
    struct scene *s = *state;
    record(s, &canary, "support", 2);
    record(s, &bad_at_last, "support", 1);
    expect(s, SUPPORT,
           "\"arms\":[{\"arm\":\"canary\",\"requests\":2,\"judged\":2,\"good\":2,"
           "\"good_share\":1.0000},{\"arm\":\"rest\",\"requests\":1,\"judged\":1,\"good\":0,"
           "\"good_share\":0.0000}]");
    expect(s, SUPPORT, "{\"tier\":\"new\",\"requests\":2,\"judged\":2,\"good\":2,"
                       "\"good_share\":1.0000,\"answered\":2}]");
    expect(s, SUPPORT, "\"net_saving_usd\":\"0.00014\"");
}

static void shadows_stand_beside(void **state) {
    struct scene *s = *state;
    static const struct kind bad = {
        {ATTEMPT("small", "json", SMALL)},
        1, "small", NULL, NULL, "farthing", LARGE, SMALL, 0, false};
    record(s, &by_large, "support", 1);
    record_own(s, &by_small, "shadow:support", 3);
    record_own(s, &bad, "shadow:support", 1);
    expect(s, SUPPORT, "\"requests\":1,\"unknown\":0,\"while_off\":0,\"cost_usd\":\"0.00011\"");
    expect(s, SUPPORT,
           "\"shadows\":[{\"tier\":\"small\",\"requests\":4,\"judged\":4,\"good\":3,"
           "\"good_share\":0.7500,\"cost_usd\":\"0.00016\"}]");
    expect(s, SUPPORT, "\"quality\":0.7500,\"quality_from\":\"shadows\"}");
}

static void the_classifier_is_paid_for(void **state) {
    struct scene *s = *state;
    record(s, &by_small, "support", 1);
    record_own(s, &by_small, LEDGER_EMBEDDINGS, 1);
    expect(s, SUPPORT, "\"classifier_cost_usd\":\"0.00004\"");
    expect(s, SUPPORT, "\"net_saving_usd\":\"0.00003\"");
    expect(s, SUPPORT, "{\"policy\":\"routed\",\"cost_usd\":\"0.00008\"");
}

static void what_was_not_routed_is_left_out(void **state) {
    struct scene *s = *state;
    record(s, &while_off, "support", 2);
    record(s, &not_ours, "support", 5);
    expect(s, SUPPORT, "\"requests\":0,\"unknown\":0,\"while_off\":2,\"cost_usd\":\"0\"");
}

// ------------------------------------------------------------------------- pages

static void all_routes_in_the_order_of_the_file(void **state) {
    struct scene *s = *state;
    record(s, &by_small, "gone", 1);
    record(s, &by_small, NULL, 1);
    char *got = scene_ask(s, "GET", "/savings");
    static const char *const in_order[] = {"\"route\":\"support\",\"configured\":true",
                                           "\"route\":\"odd\",\"configured\":true"};
    const char *at = got;
    for (size_t i = 0; i < FARTHING_COUNT(in_order); i++) {
        at = strstr(at, in_order[i]);
        assert_non_null(at);
    }
    assert_non_null(strstr(at, "\"route\":\"gone\",\"configured\":false,\"requests\":1"));
    assert_non_null(strstr(at, "\"route\":null,\"configured\":false,\"requests\":1"));
    free(got);
    expect(s, "/savings?route=", "\"routes\":[{\"route\":null,\"configured\":false,\"requests\":1");
    expect(s, "/savings?route=gone", "\"routes\":[{\"route\":\"gone\",\"configured\":false");
}

static void the_window_bounds_the_rows(void **state) {
    struct scene *s = *state;
    clock_freeze(NOW - 3 * DAY, 1);
    record(s, &by_small, "support", 1);
    clock_freeze(NOW - 2 * 3600000, 1);
    record(s, &by_small, "support", 1);
    record(s, &by_small, "odd", 1);
    clock_freeze(NOW, 1);
    expect(s, SUPPORT, "\"requests\":1,");
    expect(s, SUPPORT "&window=7d", "\"requests\":2,");
    expect(s, SUPPORT "&window=1h", "\"requests\":0,");
    expect(s, "/savings?window=7d&route=support", "\"window_ms\":604800000,");
    expect(s, "/savings?route=odd", "\"window_ms\":3600000,"); // its own
}

// As many more, a second younger than what is there, without their way through the ledger;
// in steps, for the store waits for another's lock only so long.
static void insert_many(struct scene *s, int count) {
    enum { STEP = 2000 };
    char path[128], sql[512];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/farthing.db", s->directory);
    ledger_flush(s->ledger);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    for (; count > 0; count -= STEP) {
        snprintf(sql, sizeof sql,
                 "INSERT INTO requests (ts, route, classifier_rule, attempts, retry_cost_usd) "
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                 "SELECT '2026-11-21T04:47:26.123Z', 'support', 'short', '[]', '0' FROM n",
                 count < STEP ? count : STEP);
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
            fail_msg("%s", sqlite3_errmsg(db));
    }
    sqlite3_close(db);
}

static void more_rows_than_are_read(void **state) {
    enum { MOST = 50000 };
    struct scene *s = *state;
    clock_freeze(NOW - 2000, 1);
    record(s, &by_large, "support", 1);
    clock_freeze(NOW, 1);
    insert_many(s, MOST - 2);
    expect(s, SUPPORT, "\"truncated\":false,");
    insert_many(s, 2);
    char *got = scene_ask(s, "GET", SUPPORT);
    assert_non_null(strstr(got, "\"since\":\"2026-11-21T04:47:26.123Z\",\"truncated\":true,"));
    assert_non_null(strstr(got, "\"requests\":50000,"));
    scene_expect(got, "200", "\"always_large_usd\":\"0\""); // the oldest was left out
}

static void what_is_wrong_is_said(void **state) {
    static const struct {
        const char *page, *status, *text;
    } cases[] = {
        {"/savings?route=suport", "404",
         "There is no route \\\"suport\\\"; did you mean \\\"support\\\"?"},
        {"/savings?route=something", "404", "There is no route \\\"something\\\"."},
        {"/savings?window=7x", "400",
         "must be a duration of at most 366d, such as 7d, not \\\"7x\\\""},
        {"/savings?window=", "400", "must be a duration"},
        {"/savings?window=0s", "400", "must be a duration"},
        {"/savings?window=367d", "400", "must be a duration"},
        {"/savings?tenant=a", "400",
         "The parameters here are route=NAME and window=DURATION, once, not \\\"tenant=a\\\"."},
        {"/savings?route", "400", "not \\\"route\\\""},
        {"/savings?route=a&route=b", "400", "not \\\"route=b\\\""},
        {"/routes?a=b", "400", "/routes takes no parameters."},
        {"/budgets?tenant=a&tenant=b", "400", "The one parameter here is tenant=NAME, once"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        scene_expect_page(*state, cases[i].page, cases[i].status, cases[i].text);
    expect(*state, "/savings?&route=s%75pport", "\"route\":\"support\"");
}

static void hostile_names_are_only_names(void **state) {
    struct scene *s = *state;
    record(s, &by_small, "x' OR 1=1 --\"\n", 1);
    expect(s, "/savings", "\"route\":\"x' OR 1=1 --\\\"\\n\"");
    expect(s, "/savings?route=x'%20OR%201=1%20--%22%0A", "\"requests\":1,");
}

// ------------------------------------------------------------------------ routes

static void routes_tell_of_this_moment(void **state) {
    struct scene *s = *state;
    record(s, &by_small, "support", 2);
    expect(s, "/routes",
           "{\"route\":\"support\",\"configured\":true,\"auto_disable\":true,\"off\":false,"
           "\"off_since\":null,\"window_ms\":86400000,\"requests\":2,\"unknown\":0,"
           "\"baseline_cost_usd\":\"0.00022\",\"cost_usd\":\"0.00008\",\"retry_cost_usd\":\"0\","
           "\"classifier_cost_usd\":\"0\",\"net_saving_usd\":\"0.00014\"}");
    expect(s, "/routes", "\"events\":[]}");
    expect(s, "/status", "\"routes_off\":[]");
}

static void a_route_that_is_off_is_seen(void **state) {
    struct scene *s = *state;
    record(s, &escalated, "support", LEDGER_ROUTE_FLOOR);
    expect(s, "/routes", "\"off\":true,\"off_since\":\"2026-11-21T04:47:27.123Z\"");
    expect(s, "/routes",
           "\"events\":[{\"at\":\"2026-11-21T04:47:27.123Z\",\"route\":\"support\","
           "\"event\":\"off\",\"requests\":20,\"net_saving_usd\":\"-0.0008\","
           "\"window_ms\":86400000}]}");
    expect(s, "/status", "\"routes_off\":[\"support\"]");
    expect(s, "/metrics", "farthing_route_routing_disabled{route=\"support\"} 1");
    expect(s, "/metrics", "farthing_route_net_saving_usd{route=\"support\"} -0.0008");
    clock_freeze(NOW + DAY, 1);
    expect(s, "/routes", "\"event\":\"on\"");
    expect(s, "/status", "\"routes_off\":[]");
}

static int set_up_without_store(void **state) {
    struct scene *s = scene_new_of(CONFIG);
    scene_open(s, false);
    *state = s;
    return 0;
}

static void without_a_store(void **state) {
    scene_expect_page(*state, "/savings", "404", "There is no store");
    expect(*state, "/routes", "\"events\":[]}");
    expect(*state, "/routes", "\"route\":\"support\"");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_rows_there_are_zeros_and_nulls),
        TEST(a_route_that_saves),
        TEST(a_route_that_loses),
        TEST(always_small_is_priced_where_it_was_not_asked),
        TEST(always_small_is_priced_by_the_catalogue),
        TEST(retries_and_escalations),
        TEST(what_is_judged),
        TEST(what_has_no_price_is_in_no_amount),
        TEST(the_canary_beside_the_rest),
        TEST(shadows_stand_beside),
        TEST(the_classifier_is_paid_for),
        TEST(what_was_not_routed_is_left_out),
        TEST(all_routes_in_the_order_of_the_file),
        TEST(the_window_bounds_the_rows),
        TEST(more_rows_than_are_read),
        TEST(what_is_wrong_is_said),
        TEST(hostile_names_are_only_names),
        TEST(routes_tell_of_this_moment),
        TEST(a_route_that_is_off_is_seen),
        cmocka_unit_test_setup_teardown(without_a_store, set_up_without_store, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
