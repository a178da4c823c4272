// Which route a request takes: every list that is given must fit, and the
// first route of the file wins.
#include "route_fixture.h"

static const char routes[] =
    "provider \"p\" { base_url = \"http://h\" }\n"
    "route \"both\"    { match { features = {\"support_*\"} models = {\"auto\"} } }\n"
    "route \"support\" { match { features = {\"support_*\", \"help\"} } }\n"
    "route \"shadow\"  { match { features = {\"support_a\"} } }\n"
    "route \"mini\"    { match { models = {\"*mini*\", \"openai/o?\"} paths = {\"/v1/chat/*\"} } "
    "}\n"
    "route \"embed\"   { match { paths = {\"/v1/embeddings\"} } }\n"
    "route \"acme\"    { match { tenants = {\"acme\"} features = {\"*\"} } }\n"
    "route \"named\"   { match { features = {\"?*\"} models = {\"?*\"} paths = {\"/v1/files*\"} } "
    "}\n";

struct match {
    const char *feature, *model, *path, *tenant, *route; // route NULL: none fits
};

static const struct match matches[] = {
    {"support_a", "auto", "/v1/chat/completions", "t", "both"},
    {"support_a", "gpt-4o", "/v1/chat/completions", "t", "support"},
    {"support_", "auto", "/v1/x", "t", "both"},
    {"support", "auto", "/v1/x", "t", NULL},
    {"Support_a", "auto", "/v1/x", "t", NULL},
    {"help", "auto", "/v1/x", "t", "support"},
    {"help2", "auto", "/v1/x", "t", NULL},
    {"", "gpt-4o-mini", "/v1/chat/completions", "t", "mini"},
    {"", "openai/o3", "/v1/chat/completions", "t", "mini"},
    {"", "openai/o33", "/v1/chat/completions", "t", NULL},
    {"", "gpt-4o-mini", "/v1/completions", "t", NULL},
    {"", "gpt-4o-mini", "/v1/embeddings", "t", "embed"},
    {"", "", "/v1/embeddings", "acme", "embed"},
    {"", "", "/v1/embeddings/", "t", NULL},
    {"", "", "/v1/x", "acme", "acme"},
    {"", "", "/v1/x", "acme2", NULL},
    {"", "m", "/v1/files/1", "t", NULL},
    {"f", "", "/v1/files/1", "t", NULL},
    {"f", "m", "/v1/files/1", "t", "named"},
    {"", "", "", "", NULL},
};

static void the_first_route_that_fits_wins(void **state) {
    (void)state;
    const struct config *c = load(routes);
    for (size_t i = 0; i < FARTHING_COUNT(matches); i++) {
        const struct match *m = &matches[i];
        struct route_question q = {
            .path = slice_of(m->path),
            .tenant = slice_of(m->tenant),
            .feature = slice_of(m->feature),
            .model = slice_of(m->model),
        };
        const struct config_route *r = route_match(c, &q);
        if (m->route == NULL ? r != NULL : r != config_route_find(c, slice_of(m->route)))
            fail_msg("row %zu takes %.*s", i, r != NULL ? (int)r->name.len : 4,
                     r != NULL ? r->name.ptr : "none");
    }
    config_unref(c);
}

static void a_route_without_match_takes_everything(void **state) {
    (void)state;
    const struct config *c =
        load("provider \"p\" { base_url = \"http://h\" }\n"
             "route \"first\" { match { models = {\"a\"} } }\n"
             "route \"rest\" { }\nroute \"never\" { match { models = {\"b\"} } }\n");
    struct route_question q = {.model = SLICE("b")};
    assert_ptr_equal(route_match(c, &q), &c->routes[1]);
    q.model = SLICE_NONE;
    assert_ptr_equal(route_match(c, &q), &c->routes[1]);
    q.model = SLICE("a");
    assert_ptr_equal(route_match(c, &q), &c->routes[0]);
    config_unref(c);
}

static void without_routes_none_fits(void **state) {
    (void)state;
    const struct config *c = load("provider \"p\" { base_url = \"http://h\" }");
    struct route_question q = {.model = SLICE("auto")};
    assert_null(route_match(c, &q));
    config_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_route_that_fits_wins),
        cmocka_unit_test(a_route_without_match_takes_everything),
        cmocka_unit_test(without_routes_none_fits),
    };
    return cmocka_run_group_tests_name("route/match", tests, NULL, NULL);
}
