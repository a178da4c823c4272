// What routing saves by its rows: what counts, how it leaves the window, when a route is
// switched off and on again, and that a restart and a reload forget nothing.
#include "scene.h"

#define NOW INT64_C(1795236447123)
#define MINUTE INT64_C(60000)
#define CONFIG                                                                                     \
    "provider \"p\" { base_url = \"http://127.0.0.1:1\" api_key = \"k\" }\n"                       \
    "model \"p/s\" { }\nmodel \"p/l\" { }\n"                                                       \
    "tier \"small\" { models = {\"p/s\"} }\ntier \"large\" { models = {\"p/l\"} }\n"
#define ROUTE(name, more)                                                                          \
    "route \"" name "\" { match { features = {\"" name "\"} }\n"                                   \
    "  tiers = {\"small\", \"large\"} " more " }\n"
#define DEFAULT                                                                                    \
    CONFIG ROUTE("r", "savings_window = \"1h\" auto_disable = true")                               \
        ROUTE("only", "savings_window = \"1h\"")

struct state {
    struct scene *s;
    struct store *store;
};

static void configure(struct state *t, const char *text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(slice_of(text), "routing.conf", &messages);
    if (c == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    ledger_set_config(t->s->ledger, c);
    buffer_free(&messages);
    config_unref(c);
}

static void open_all(struct state *t, const char *text) {
    struct error err;
    const struct store_options options = {.path = t->s->directory, .max_bytes = 1 << 20};
    t->store = store_open(&options, &err);
    assert_non_null(t->store);
    t->s->ledger = ledger_open(&(struct ledger_options){t->s->log, t->store, 0}, &err);
    assert_non_null(t->s->ledger);
    configure(t, text);
}

static void close_all(struct state *t) {
    ledger_close(t->s->ledger);
    t->s->ledger = NULL;
    store_close(t->store);
}

static void restart(struct state *t, const char *text) {
    close_all(t);
    open_all(t, text);
}

static int set_up(void **state) {
    struct state *t = base_calloc(1, sizeof *t);
    void *scene;
    clock_freeze(NOW, 1);
    log_set_level(LOG_ERROR); // events are many here
    scene_set_up(&scene);
    t->s = scene;
    open_all(t, DEFAULT);
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct state *t = *state;
    void *scene = t->s;
    close_all(t);
    scene_tear_down(&scene);
    clock_thaw();
    free(t);
    return 0;
}

// -------------------------------------------------------------------------- rows

// Amounts in pico-USD; -1: not known.
struct case_row {
    const char *route, *rule;
    int64_t baseline, cost, retry;
    const char *tenant, *feature, *experiment;
};

static struct cost_row row_of(const struct case_row *c, unsigned number, char id[16]) {
    int n = snprintf(id, 16, "row-%06u", number);
    return (struct cost_row){
        .ts_ms = clock_wall_ms(),
        .request_id = slice_make(id, (size_t)n),
        .tenant_id = slice_of(c->tenant != NULL ? c->tenant : "acme"),
        .feature = slice_of(c->feature),
        .route = slice_of(c->route),
        .classifier_rule = slice_of(c->rule),
        .experiment = slice_of(c->experiment),
        .baseline_known = c->baseline >= 0,
        .baseline_cost = {c->baseline},
        .cost_known = c->cost >= 0,
        .cost = {c->cost},
        .retry_cost = {c->retry},
        .ttft_ms = -1,
    };
}

static void record_at(struct state *t, const struct case_row *c, int64_t ts_ms) {
    static unsigned number;
    char id[16];
    struct cost_row row = row_of(c, number++, id);
    row.ts_ms = ts_ms;
    ledger_record(t->s->ledger, &row);
}

static void record(struct state *t, const struct case_row *c, unsigned times) {
    for (unsigned i = 0; i < times; i++)
        record_at(t, c, clock_wall_ms());
}

static const struct case_row saves = {.route = "r", .rule = "short", .baseline = 10, .cost = 4};
static const struct case_row loses = {
    .route = "r", .rule = "short", .baseline = 10, .cost = 13, .retry = 3};

// -------------------------------------------------------------------------- views

struct search {
    struct slice name;
    bool found;
    struct ledger_route_view view;
};

static void look_at(void *arg, const struct ledger_route_view *view) {
    struct search *search = arg;
    if (!slice_equal(view->route, search->name))
        return;
    search->found = true;
    search->view = *view;
}

static struct search find(const struct state *t, const char *name) {
    struct search search = {.name = slice_of(name)};
    ledger_routes_visit(t->s->ledger, look_at, &search);
    return search;
}

static struct ledger_route_view view(const struct state *t, const char *name) {
    struct search search = find(t, name);
    if (!search.found)
        fail_msg("there is no route \"%s\"", name);
    return search.view;
}

static int64_t net(const struct state *t, const char *name) {
    struct ledger_route_view v = view(t, name);
    return ledger_saving_net(&v.saving).pico;
}

static bool is_off(const struct state *t, const char *name) {
    const struct config_route route = {.name = slice_of(name)};
    bool off = ledger_route_is_off(t->s->ledger, &route);
    struct search search = find(t, name);
    assert_int_equal(off, search.found && search.view.off);
    assert_int_equal(off, search.found && search.view.off_since_ms != 0);
    return off;
}

// "off,on,...", in their order.
static void expect_events(struct state *t, const char *route, const char *expected) {
    struct buffer out = {0};
    struct error err;
    const struct slice params[] = {slice_of(route)};
    store_flush(t->store);
    assert_true(store_query_now(t->store, "SELECT coalesce(group_concat(event), '') AS events FROM "
                                "(SELECT event FROM route_events WHERE route = ?1 ORDER BY rowid)",
                                params, 1, &out, &err));
    char want[64];
    snprintf(want, sizeof want, "[{\"events\":\"%s\"}]", expected);
    assert_slice_equal(buffer_slice(&out), slice_of(want));
    buffer_free(&out);
}

// ------------------------------------------------------------------ what is counted

static const struct {
    const char *what;
    struct case_row row;
    struct ledger_saving saving;
} kinds[] = {
    {"saved", {"r", "short", 10, 4, 0, NULL, NULL, NULL}, {1, 0, {10}, {4}, {0}, {0}}},
    {"lost by a retry", {"r", "model", 10, 13, 3, NULL, NULL, NULL}, {1, 0, {10}, {13}, {3}, {0}}},
    {"a client named the model", {"r", NULL, 10, 13, 3, NULL, NULL, NULL}, {0}},
    {"the route was off", {"r", LEDGER_RULE_OFF, 10, 13, 3, NULL, NULL, NULL}, {0}},
    {"no price", {"r", "short", 10, -1, 0, NULL, NULL, NULL}, {1, 1, {0}, {0}, {0}, {0}}},
    {"no price of the baseline", {"r", "short", -1, 4, 0, NULL, NULL, NULL},
     {1, 1, {0}, {0}, {0}, {0}}},
    {"nobody answered", {"r", "short", -1, 0, 0, NULL, NULL, NULL}, {1, 0, {0}, {0}, {0}, {0}}},
    {"rejected, then nobody", {"r", "short", -1, 3, 3, NULL, NULL, NULL},
     {1, 0, {0}, {3}, {3}, {0}}},
    {"an embedding", {"r", NULL, 9, 2, 0, LEDGER_OWN_TENANT, LEDGER_EMBEDDINGS, NULL},
     {0, 0, {0}, {0}, {0}, {2}}},
    {"an embedding without a price",
     {"r", NULL, -1, -1, 0, LEDGER_OWN_TENANT, LEDGER_EMBEDDINGS, NULL},
     {0}},
    {"a shadow", {"r", "short", 10, 4, 0, LEDGER_OWN_TENANT, "shadow:r", LEDGER_SHADOW}, {0}},
    {"another's embeddings", {"r", NULL, 10, 4, 0, "acme", LEDGER_EMBEDDINGS, NULL}, {0}},
    {"a canary without a classifier", {"r", NULL, 10, 4, 0, NULL, NULL, LEDGER_CANARY},
     {1, 0, {10}, {4}, {0}, {0}}},
    {"another route", {"only", "short", 10, 4, 0, NULL, NULL, NULL}, {0}},
    {"an unknown route", {"gone", "short", 10, 4, 0, NULL, NULL, NULL}, {0}},
};

static void assert_saving(const char *what, const struct ledger_saving *a,
                          const struct ledger_saving *b) {
    if (memcmp(a, b, sizeof *a) != 0)
        fail_msg("%s: %lld requests, %lld unknown, baseline %lld, cost %lld, retries %lld, "
                 "classifier %lld",
                 what, (long long)a->requests, (long long)a->unknown, (long long)a->baseline.pico,
                 (long long)a->cost.pico, (long long)a->retry_cost.pico,
                 (long long)a->classifier_cost.pico);
}

// And what a restart reads is what was counted.
static void test_what_counts(void **state) {
    struct state *t = *state;
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        struct ledger_route_view before = view(t, "r");
        record(t, &kinds[i].row, 1);
        struct ledger_route_view after = view(t, "r");
        after.saving.requests -= before.saving.requests;
        after.saving.unknown -= before.saving.unknown;
        after.saving.baseline.pico -= before.saving.baseline.pico;
        after.saving.cost.pico -= before.saving.cost.pico;
        after.saving.retry_cost.pico -= before.saving.retry_cost.pico;
        after.saving.classifier_cost.pico -= before.saving.classifier_cost.pico;
        assert_saving(kinds[i].what, &after.saving, &kinds[i].saving);
        before = view(t, "r");
        restart(t, DEFAULT);
        after = view(t, "r");
        assert_saving(kinds[i].what, &after.saving, &before.saving);
    }
    assert_int_equal(net(t, "r"), 6 - 3 - 3 - 2 + 6);
    assert_int_equal(net(t, "only"), 6);
}

static void test_the_unnamed_route(void **state) {
    struct state *t = *state;
    assert_false(find(t, "").found);
    record(t, &(struct case_row){.rule = "short", .baseline = 10, .cost = 4}, 1);
    assert_int_equal(net(t, ""), 6);
    assert_false(view(t, "").configured);
    record(t, &(struct case_row){.rule = "short", .baseline = 1, .cost = 99}, LEDGER_ROUTE_FLOOR);
    assert_false(ledger_route_is_off(t->s->ledger, NULL));
    int64_t before = net(t, "");
    restart(t, DEFAULT);
    assert_int_equal(net(t, ""), before);
}

static void test_large_amounts(void **state) {
    struct state *t = *state;
    const struct case_row large = {
        .route = "r", .rule = "short", .baseline = INT64_C(1234567890123456789), .cost = 1};
    record(t, &large, 1);
    restart(t, DEFAULT);
    assert_int_equal(net(t, "r"), large.baseline - 1);
}

// ------------------------------------------------------------------------ window

static void test_rows_leave_the_window(void **state) {
    struct state *t = *state;
    record(t, &saves, 3);
    clock_freeze(NOW + 58 * MINUTE, 1);
    assert_int_equal(net(t, "r"), 18);
    record(t, &saves, 1);
    clock_freeze(NOW + 60 * MINUTE, 1);
    assert_int_equal(net(t, "r"), 6);
    clock_freeze(NOW + 200 * MINUTE, 1);
    assert_int_equal(net(t, "r"), 0);
    assert_int_equal(view(t, "r").saving.requests, 0);
}

static void test_rows_count_by_their_own_time(void **state) {
    struct state *t = *state;
    record_at(t, &saves, NOW - 59 * MINUTE);
    record_at(t, &saves, NOW - 61 * MINUTE); // it ran long
    record_at(t, &saves, 0);
    record_at(t, &saves, NOW + 5 * MINUTE); // a clock that was set back
    assert_int_equal(net(t, "r"), 12);
    clock_freeze(NOW + 2 * MINUTE, 1);
    assert_int_equal(net(t, "r"), 6);
}

static void test_a_clock_that_is_set_back(void **state) {
    struct state *t = *state;
    record(t, &saves, 1);
    clock_freeze(NOW + 1000 * MINUTE, 1);
    record(t, &saves, 2);
    clock_freeze(NOW, 1);
    record(t, &saves, 1);
    assert_true(net(t, "r") >= 6); // what stretches were not written over
    clock_freeze(NOW + 1000 * MINUTE, 1);
    assert_true(net(t, "r") <= 12);
}

static void test_another_window_keeps_what_fits(void **state) {
    struct state *t = *state;
    record_at(t, &saves, NOW - 40 * MINUTE);
    record_at(t, &saves, NOW - 5 * MINUTE);
    configure(t, CONFIG ROUTE("r", "savings_window = \"10m\""));
    assert_int_equal(net(t, "r"), 6);
    assert_int_equal(view(t, "r").window_ms, 10 * MINUTE);
    configure(t, CONFIG ROUTE("r", "savings_window = \"2h\""));
    assert_int_equal(net(t, "r"), 6);
    restart(t, CONFIG ROUTE("r", "savings_window = \"2h\"")); // reads it whole
    assert_int_equal(net(t, "r"), 12);
}

static void test_a_short_window_counts_milliseconds(void **state) {
    static const char short_window[] = CONFIG ROUTE("r", "savings_window = \"1s\"");
    struct state *t = *state;
    record_at(t, &saves, NOW - 50);
    restart(t, short_window);
    clock_freeze(NOW + 900, 1);
    assert_int_equal(net(t, "r"), 6);
    clock_freeze(NOW + 1000, 1);
    assert_int_equal(net(t, "r"), 0);
}

// ------------------------------------------------------------------------ switch

static void test_a_losing_route_is_switched_off(void **state) {
    struct state *t = *state;
    record(t, &loses, LEDGER_ROUTE_FLOOR - 1);
    assert_false(is_off(t, "r"));
    clock_freeze(NOW + MINUTE, 1);
    record(t, &loses, 1);
    assert_true(is_off(t, "r"));
    assert_int_equal(view(t, "r").off_since_ms, NOW + MINUTE);
    record(t, &loses, 5);
    expect_events(t, "r", "off");
    assert_false(is_off(t, "only"));
}

static void test_it_comes_back_when_the_losses_have_left(void **state) {
    static const struct case_row while_off = {
        .route = "r", .rule = LEDGER_RULE_OFF, .baseline = 10, .cost = 10};
    struct state *t = *state;
    record(t, &loses, LEDGER_ROUTE_FLOOR);
    clock_freeze(NOW + 30 * MINUTE, 1);
    record(t, &while_off, 50);
    assert_true(is_off(t, "r"));
    clock_freeze(NOW + 61 * MINUTE, 1);
    record(t, &while_off, 1); // its own traffic finds out
    const struct config_route route = {.name = SLICE("r")};
    assert_false(ledger_route_is_off(t->s->ledger, &route));
    assert_int_equal(view(t, "r").off_since_ms, 0);
    expect_events(t, "r", "off,on");
    record(t, &loses, 1); // too few for a switch, also after a restart
    restart(t, DEFAULT);
    assert_false(is_off(t, "r"));
    expect_events(t, "r", "off,on");
}

// Below the floor it stays off: what is left still lost.
static void test_it_stays_off_while_a_loss_is_left(void **state) {
    struct state *t = *state;
    record(t, &loses, LEDGER_ROUTE_FLOOR - 1);
    clock_freeze(NOW + 30 * MINUTE, 1);
    record(t, &loses, 1);
    clock_freeze(NOW + 70 * MINUTE, 1);
    assert_int_equal(view(t, "r").saving.requests, 1);
    assert_true(is_off(t, "r"));
    restart(t, DEFAULT);
    assert_true(is_off(t, "r"));
    assert_int_equal(view(t, "r").off_since_ms, NOW + 30 * MINUTE);
    clock_freeze(NOW + 100 * MINUTE, 1);
    assert_int_equal(view(t, "r").saving.requests, 0);
    assert_false(is_off(t, "r"));
    expect_events(t, "r", "off,on");
}

static void test_rows_without_a_price_do_not_make_enough(void **state) {
    static const struct case_row unknown = {
        .route = "r", .rule = "short", .baseline = 10, .cost = -1};
    struct state *t = *state;
    record(t, &unknown, 100);
    record(t, &loses, LEDGER_ROUTE_FLOOR - 1);
    assert_false(is_off(t, "r"));
    record(t, &loses, 1);
    assert_true(is_off(t, "r"));
}

static void test_savings_outweigh_losses(void **state) {
    struct state *t = *state;
    record(t, &saves, 10);
    record(t, &loses, 20); // 60 - 60
    assert_int_equal(net(t, "r"), 0);
    assert_false(is_off(t, "r"));
    record(t, &loses, 1);
    assert_true(is_off(t, "r"));
}

static void test_the_classifier_counts(void **state) {
    static const struct case_row embedding = {
        .route = "r", .cost = 200, .tenant = LEDGER_OWN_TENANT, .feature = LEDGER_EMBEDDINGS};
    struct state *t = *state;
    record(t, &saves, LEDGER_ROUTE_FLOOR);
    assert_false(is_off(t, "r"));
    record(t, &embedding, 1);
    assert_true(is_off(t, "r"));
}

static void test_without_auto_disable_it_is_only_told(void **state) {
    struct case_row row = loses;
    struct state *t = *state;
    row.route = "only";
    record(t, &row, 100);
    assert_false(is_off(t, "only"));
    assert_int_equal(net(t, "only"), -300);
    expect_events(t, "only", "");
}

static void test_a_reload_switches(void **state) {
    struct state *t = *state;
    record(t, &loses, LEDGER_ROUTE_FLOOR);
    configure(t, DEFAULT);
    assert_true(is_off(t, "r"));
    configure(t, CONFIG ROUTE("r", "savings_window = \"1h\""));
    assert_false(is_off(t, "r"));
    configure(t, DEFAULT);
    assert_true(is_off(t, "r"));
    configure(t, CONFIG);
    assert_false(is_off(t, "r"));
    expect_events(t, "r", "off,on,off,on");
}

static void test_a_route_that_goes_and_comes(void **state) {
    struct state *t = *state;
    record(t, &saves, 2);
    configure(t, CONFIG);
    assert_false(view(t, "r").configured);
    configure(t, DEFAULT ROUTE("new", ""));
    assert_true(view(t, "r").configured);
    assert_int_equal(net(t, "r"), 12);
    assert_int_equal(net(t, "new"), 0);
    configure(t, CONFIG);
    assert_false(find(t, "new").found); // neither configured nor used
}

// The event was not written before a crash: the rows tell it again.
static void test_a_restart_decides_by_the_rows(void **state) {
    struct state *t = *state;
    struct case_row row = loses;
    row.route = "only";
    record(t, &row, LEDGER_ROUTE_FLOOR);
    restart(t, CONFIG ROUTE("only", "savings_window = \"1h\" auto_disable = true"));
    assert_true(is_off(t, "only"));
    expect_events(t, "only", "off");
}

static void test_without_a_store(void **state) {
    struct state *t = *state;
    close_all(t);
    scene_open(t->s, t->s->log, 0);
    configure(t, DEFAULT);
    record(t, &loses, LEDGER_ROUTE_FLOOR);
    assert_true(is_off(t, "r"));
    ledger_close(t->s->ledger);
    open_all(t, DEFAULT);
}

// ------------------------------------------------------------------------ gauges

static void expect_metric(struct state *t, const char *line, bool expected) {
    struct buffer out = {0};
    ledger_routes_publish(t->s->ledger);
    metric_write_all(&out);
    if ((slice_find(buffer_slice(&out), slice_of(line)) >= 0) != expected)
        fail_msg("%s %s in %.*s", line, expected ? "is not" : "is", SLICE_ARG(buffer_slice(&out)));
    buffer_free(&out);
}

static void test_gauges(void **state) {
    struct state *t = *state;
    metric_reset_for_test();
    expect_metric(t, "farthing_route_net_saving_usd{route=\"r\"} 0\n", true);
    expect_metric(t, "farthing_route_net_saving_usd{route=\"\"}", false);
    record(t, &loses, LEDGER_ROUTE_FLOOR);
    expect_metric(t, "farthing_route_net_saving_usd{route=\"r\"} -0.00000000006\n", true);
    expect_metric(t, "farthing_route_routing_disabled{route=\"r\"} 1\n", true);
    expect_metric(t, "farthing_route_routing_disabled{route=\"only\"} 0\n", true);
    record(t, &(struct case_row){.rule = "short", .baseline = 10, .cost = 4}, 1);
    expect_metric(t, "farthing_route_net_saving_usd{route=\"\"} 0.000000000006\n", true);
    clock_freeze(NOW + 100 * MINUTE, 1);
    expect_metric(t, "farthing_route_net_saving_usd{route=\"r\"} 0\n", true);
    expect_metric(t, "farthing_route_routing_disabled{route=\"r\"} 0\n", true);
    clock_freeze(NOW + 1600 * MINUTE, 1); // its window is a day
    expect_metric(t, "farthing_route_net_saving_usd{route=\"\"} 0\n", true);
}

// ----------------------------------------------------------------------- threads

enum { THREADS = 4, ROWS_EACH = 500 };

static void *record_rows(void *arg) {
    struct state *t = arg;
    const struct config_route route = {.name = SLICE("r")};
    for (unsigned i = 0; i < ROWS_EACH; i++) {
        char id[16];
        struct cost_row row = row_of(&loses, i, id);
        ledger_record(t->s->ledger, &row);
        (void)ledger_route_is_off(t->s->ledger, &route);
    }
    return NULL;
}

static void test_threads(void **state) {
    struct state *t = *state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, record_rows, t), 0);
    for (int i = 0; i < 20; i++) {
        configure(t, i % 2 > 0 ? DEFAULT : DEFAULT ROUTE("other", ""));
        ledger_routes_publish(t->s->ledger);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(view(t, "r").saving.requests, THREADS * ROWS_EACH);
    assert_int_equal(net(t, "r"), -3 * THREADS * ROWS_EACH);
    assert_true(is_off(t, "r"));
    expect_events(t, "r", "off");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_counts),
        TEST(test_the_unnamed_route),
        TEST(test_large_amounts),
        TEST(test_rows_leave_the_window),
        TEST(test_rows_count_by_their_own_time),
        TEST(test_a_clock_that_is_set_back),
        TEST(test_another_window_keeps_what_fits),
        TEST(test_a_short_window_counts_milliseconds),
        TEST(test_a_losing_route_is_switched_off),
        TEST(test_it_comes_back_when_the_losses_have_left),
        TEST(test_it_stays_off_while_a_loss_is_left),
        TEST(test_rows_without_a_price_do_not_make_enough),
        TEST(test_savings_outweigh_losses),
        TEST(test_the_classifier_counts),
        TEST(test_without_auto_disable_it_is_only_told),
        TEST(test_a_reload_switches),
        TEST(test_a_route_that_goes_and_comes),
        TEST(test_a_restart_decides_by_the_rows),
        TEST(test_without_a_store),
        TEST(test_gauges),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
