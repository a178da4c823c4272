// Tiers on trial (canary, shadow), what a route must save, and the tenant that
// Farthing itself is: when there is one, what it has, and that it changes nothing
// for anybody else.
#include "config_fixture.h"

#define USD    INT64_C(1000000000000)
#define DAY_MS INT64_C(86400000)
#define TIERS                                                                                      \
    PROVIDER "tier \"small\" { models = {\"p/a\"} }\n"                                             \
             "tier \"large\" { models = {\"p/b\"} }\n"                                             \
             "tier \"new\" { models = {\"p/c\"} }\n"
#define SHADOW   "shadow { tier = small percent = 2 budget = \"1 usd\" }"
#define TENANT   "tenant \"acme\" { keys = {\"" DIGEST_A "\"} }\n"
#define CATEGORY "category \"c\" { examples = {\"a\"} tier = small }"

// ------------------------------------------------------------------ trials

static void trials_are_what_they_say(void **state) {
    (void)state;
    const struct config *c = load_valid(
        TIERS "route \"r\" { tiers = {\"small\", \"large\"}\n"
              "  canary { tier = new percent = 5 sticky = user }\n"
              "  shadow { tier = new percent = 0.001 budget = \"2.50 usd\" window = 1w }\n"
              "  savings_window = \"6h\" auto_disable = true }\n");
    const struct config_route *r = &c->routes[0];
    assert_ptr_equal(r->canary.tier, &c->tiers[2]);
    assert_int_equal(r->canary.percent_milli, 5000);
    assert_int_equal(r->canary.sticky, CONFIG_STICKY_USER);
    assert_ptr_equal(r->shadow.tier, &c->tiers[2]);
    assert_int_equal(r->shadow.percent_milli, 1);
    assert_int_equal(r->shadow.budget, 5 * USD / 2);
    assert_int_equal(r->shadow.window_ms, 7 * DAY_MS);
    assert_int_equal(r->savings_window_ms, DAY_MS / 4);
    assert_true(r->auto_disable);
    assert_int_equal(r->tier_count, 2); // neither is of the chain
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void without_them_nothing_is_tried(void **state) {
    (void)state;
    const struct config *c = load_valid(TIERS "route \"r\" { }\n"
                                              "route \"s\" { " SHADOW "\n"
                                              "  canary { tier = new percent = 1 } }\n");
    const struct config_route *r = &c->routes[0];
    assert_null(r->canary.tier);
    assert_null(r->shadow.tier);
    assert_int_equal(r->savings_window_ms, DAY_MS);
    assert_false(r->auto_disable);
    assert_int_equal(c->routes[1].canary.sticky, CONFIG_STICKY_NONE);
    assert_int_equal(c->routes[1].shadow.window_ms, DAY_MS);
    config_unref(c);
}

static void each_word_of_sticky_and_window(void **state) {
    (void)state;
    static const struct {
        const char *sticky, *window;
        enum config_sticky is;
        int64_t days;
    } rows[] = {
        {"none", "1d", CONFIG_STICKY_NONE, 1},        {"user", "1w", CONFIG_STICKY_USER, 7},
        {"run", "1mo", CONFIG_STICKY_RUN, 30},        {"feature", "1d", CONFIG_STICKY_FEATURE, 1},
        {"tenant", "total", CONFIG_STICKY_TENANT, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 TIERS "route \"r\" { canary { tier = new percent = 1 sticky = %s }\n"
                       " shadow { tier = new percent = 1 budget = 1 window = \"%s\" } }\n",
                 rows[i].sticky, rows[i].window);
        const struct config *c = load_valid(text);
        assert_int_equal(c->routes[0].canary.sticky, rows[i].is);
        assert_int_equal(c->routes[0].shadow.window_ms, rows[i].days * DAY_MS);
        assert_int_equal(c->own->budgets[0].window_ms, rows[i].days * DAY_MS);
        config_unref(c);
    }
}

static void auto_disable_needs_a_choice(void **state) {
    (void)state;
    static const struct {
        const char *text, *warning; // NULL: none
    } rows[] = {
        {TIERS "route \"r\" { auto_disable = true }", NULL},
        {TIERS "route \"r\" { tiers = {\"small\", \"new\"} auto_disable = true }", NULL},
        {TIERS "route \"r\" { tiers = {\"small\"}\n auto_disable = true }",
         "t.conf:6: warning: auto_disable has no effect on a chain of 1 tier"},
        {TIERS "route \"r\" { tiers = {\"small\"} auto_disable = false }", NULL},
        {PROVIDER "route \"r\" {\n auto_disable = true }",
         "t.conf:3: warning: auto_disable has no effect on a chain of 0 tiers"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct config *c = load_valid(rows[i].text);
        assert_int_equal(c->warnings.count, rows[i].warning != NULL);
        assert_true(rows[i].warning == NULL || warns(c, rows[i].warning));
        config_unref(c);
    }
}

// ------------------------------------------------------------ the own tenant

static void it_is_there_where_something_needs_it(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t tenants;
        int budgets; // of its own; -1: there is no such tenant
    } rows[] = {
        {PROVIDER, 1, -1},
        {TIERS "route \"r\" { }", 1, -1},
        {TIERS "route \"r\" { canary { tier = new percent = 5 } }", 1, -1},
        {TIERS "classifier { " CATEGORY " }", 1, -1},
        {TIERS "classifier { " CATEGORY " embedding_table = \"e\" }", 1, -1},
        {TIERS "route \"r\" { " SHADOW " }", 2, 1},
        {TIERS "route \"r\" { " SHADOW " }\nroute \"s\" { }\nroute \"t\" { " SHADOW " }", 2, 2},
        {TIERS "classifier { " CATEGORY " embedding_model = \"p/a\" }", 2, 0},
        {TIERS "classifier { " CATEGORY " embedding_model = \"p/a\" embedding_budget = 1 }", 2, 1},
        {TIERS "classifier { " CATEGORY " embedding_model = \"p/a\" embedding_budget = 1 }\n"
               "route \"r\" { " SHADOW " }",
         2, 2},
        {TIERS TENANT, 1, -1},
        {TIERS TENANT "route \"r\" { " SHADOW " }", 2, 1},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct config *c = load_valid(rows[i].text);
        assert_int_equal(c->tenant_count, rows[i].tenants);
        assert_int_equal(c->own != NULL ? (int)c->own->budget_count : -1, rows[i].budgets);
        config_unref(c);
    }
}

static void it_has_no_keys_and_no_limits(void **state) {
    (void)state;
    const struct config *c =
        load_valid(TIERS TENANT "run { max_steps = 3 max_cost = 1 }\nroute \"r\" { " SHADOW " }\n");
    const struct config_tenant *own = c->own;
    assert_ptr_equal(own, &c->tenants[1]);
    assert_ptr_equal(config_tenant_find(c, SLICE("farthing")), own);
    assert_int_equal(own->index, 1);
    assert_int_equal(c->tenants[0].index, 0);
    assert_int_equal(own->key_count, 0);
    assert_int_equal(own->routes.count, 0);
    assert_true(own->may_override_route);
    assert_int_equal(own->unpriced, CONFIG_UNPRICED_REFUSE);
    assert_int_equal(own->priority, 1);
    assert_int_equal(own->limits.concurrency, CONFIG_UNSET);
    assert_int_equal(own->limits.requests_per_minute, CONFIG_UNSET);
    assert_int_equal(own->each_key.requests_per_minute, CONFIG_UNSET);
    assert_int_equal(own->caps.max_cost, CONFIG_UNSET);
    assert_int_equal(own->run.max_steps, CONFIG_UNSET); // the file's runs are its clients'
    assert_int_equal(own->run.max_cost, CONFIG_UNSET);
    assert_int_equal(c->tenants[0].run.max_steps, 3);
    config_unref(c);
}

static void assert_budget(const struct config_budget *b, const char *name, config_pico amount,
                          int64_t window_ms) {
    assert_slice(b->name, name);
    assert_slice(b->feature, name);
    assert_true(b->feature_exact);
    assert_int_equal(b->amount, amount);
    assert_int_equal(b->window_ms, window_ms);
    assert_false(b->sliding);
    assert_int_equal(b->timezone.len + b->user.len + b->warn_at_count, 0);
    assert_int_equal(b->per, CONFIG_PER_ALL);
}

// A route may be called like a glob, and its budget is not another's.
static void its_budgets_are_of_shadows_and_embeddings(void **state) {
    (void)state;
    const struct config *c = load_valid(
        TIERS TENANT
        "route \"plain\" { }\n"
        "route \"a*\" { shadow { tier = small percent = 2 budget = 3 } }\n"
        "route \"ab\" { shadow { tier = small percent = 2 budget = 4 window = total } }\n"
        "classifier { " CATEGORY " embedding_model = \"p/a\" embedding_budget = \"0.5 usd\" }\n");
    assert_int_equal(c->own->budget_count, 3);
    assert_budget(&c->own->budgets[0], "shadow:a*", 3 * USD, DAY_MS);
    assert_budget(&c->own->budgets[1], "shadow:ab", 4 * USD, 0);
    assert_budget(&c->own->budgets[2], "embeddings", USD / 2, DAY_MS);
    config_unref(c);
}

// A client's budget is a glob as before.
static void other_budgets_are_not_exact(void **state) {
    (void)state;
    const struct config *c =
        load_valid(PROVIDER "tenant \"acme\" { keys = {\"" DIGEST_A "\"}\n"
                            "  budget \"b\" { amount = 1 feature = \"a*\" } }\n");
    assert_false(c->tenants[0].budgets[0].feature_exact);
    config_unref(c);
}

static void without_tenant_sections_the_first_is_still_default(void **state) {
    (void)state;
    const struct config *c = load_valid(TIERS "route \"r\" { " SHADOW " }\n");
    assert_false(c->has_tenant_sections);
    assert_slice(c->tenants[0].name, "default");
    assert_ptr_equal(c->own, &c->tenants[1]);
    config_unref(c);
    refused_at(TIERS "route \"r\" { " SHADOW " }\nserver {\n listen = {\"0.0.0.0:1\"} }", 7,
               "0.0.0.0:1", "no tenant section");
}

// A name that is only like it is anybody's.
static void its_name_alone_is_reserved(void **state) {
    (void)state;
    static const char *const names[] = {"Farthing", "farthing2", "farthings", "far thing"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 TIERS "tenant \"%s\" { keys = {\"" DIGEST_A "\"} }\nroute \"r\" { " SHADOW " }",
                 names[i]);
        const struct config *c = load_valid(text);
        assert_slice(c->tenants[0].name, names[i]);
        assert_slice(c->own->name, "farthing");
        config_unref(c);
    }
}

// Nobody is there whose key could be sent on.
static void own_requests_have_no_client_s_key(void **state) {
    (void)state;
    static const char with_keys_of_clients[] =
        "provider \"p\" { base_url = \"http://h\" api_key = \"passthrough\" }\n"
        "provider \"q\" { base_url = \"http://h\" api_key = \"k\" }\n"
        "tier \"small\" { models = {\"q/a\", \"p/a\"} }\n"
        "tier \"large\" { models = {\"q/b\"} }\n"
        "route \"r\" { shadow { percent = 2 budget = 1\n tier = small } }\n"
        "route \"s\" { shadow { tier = large percent = 2 budget = 1 } }\n"
        "classifier { " CATEGORY "\n embedding_model = \"p/a\" }\n";
    const struct config *c = load_valid(with_keys_of_clients);
    assert_int_equal(c->warnings.count, 2);
    assert_true(warns(c, "t.conf:6: warning: tier: the provider of \"p/a\" gets the client's key"));
    assert_true(warns(c, "t.conf:9: warning: embedding_model: the provider of \"p/a\""));
    config_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trials_are_what_they_say),
        cmocka_unit_test(without_them_nothing_is_tried),
        cmocka_unit_test(each_word_of_sticky_and_window),
        cmocka_unit_test(auto_disable_needs_a_choice),
        cmocka_unit_test(it_is_there_where_something_needs_it),
        cmocka_unit_test(it_has_no_keys_and_no_limits),
        cmocka_unit_test(its_budgets_are_of_shadows_and_embeddings),
        cmocka_unit_test(other_budgets_are_not_exact),
        cmocka_unit_test(without_tenant_sections_the_first_is_still_default),
        cmocka_unit_test(its_name_alone_is_reserved),
        cmocka_unit_test(own_requests_have_no_client_s_key),
    };
    return cmocka_run_group_tests_name("config/trials", tests, NULL, NULL);
}
