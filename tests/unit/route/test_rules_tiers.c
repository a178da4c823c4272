// Which tier a request begins with: by a rule, by what its tenant prefers, by a
// rule's score, or by default.
#include <stdio.h>

#include "rules_fixture.h"

struct row {
    const char *text; // the classifier's section and routes
    const char *route; // that the request matched; NULL: none
    enum classify_quality quality;
    const char *tier;
    enum classify_by by;
};

static void check(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct rules_scene s;
        rules_begin(&s, rows[i].text);
        s.in.quality = rows[i].quality;
        if (rows[i].route != NULL)
            s.in.route = config_route_find(s.config, slice_of(rows[i].route));
        rules_ask(&s, "a word");
        struct slice tier = s.out.tier != NULL ? s.out.tier->name : SLICE("none");
        if (!slice_equal(tier, slice_of(rows[i].tier)) || s.out.by != rows[i].by)
            fail_msg("%s\nis %.*s by %s", rows[i].text, SLICE_ARG(tier),
                     classify_by_name(s.out.by));
        rules_end(&s);
    }
}

#define RULE(outcome) "classifier { rule \"r\" { " outcome " } default_tier = middle }\n"
#define ROUTES                                                                                     \
    "route \"all\" { }\n"                                                                          \
    "route \"two\" { tiers = {\"small\", \"large\"} }\n"                                           \
    "route \"one\" { tiers = {\"middle\"} }\n"

static void rules_choose(void **state) {
    (void)state;
    static const struct row rows[] = {
        {RULE("tier = large"), NULL, CLASSIFY_BALANCED, "large", CLASSIFY_BY_RULE},
        {RULE("tier = large") ROUTES, "all", CLASSIFY_BALANCED, "large", CLASSIFY_BY_RULE},
        {RULE("tier = large") ROUTES, "two", CLASSIFY_BALANCED, "large", CLASSIFY_BY_RULE},
        // The operator's rule comes before the tenant's wish.
        {RULE("tier = small"), NULL, CLASSIFY_BEST, "small", CLASSIFY_BY_RULE},
        {RULE("tier = large"), NULL, CLASSIFY_ECONOMY, "large", CLASSIFY_BY_RULE},
        // The route's chain lacks it: as if the rule did not fit.
        {RULE("tier = middle") ROUTES, "two", CLASSIFY_BALANCED, "small", CLASSIFY_BY_DEFAULT},
        {RULE("tier = large } rule \"s\" { tier = middle") ROUTES, "one", CLASSIFY_BALANCED,
         "middle", CLASSIFY_BY_RULE},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void without_a_rule_there_is_a_default(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", NULL, CLASSIFY_BALANCED, "small", CLASSIFY_BY_DEFAULT},
        {"classifier { default_tier = large }", NULL, CLASSIFY_BALANCED, "large",
         CLASSIFY_BY_DEFAULT},
        {"classifier { default_tier = large }" ROUTES, "two", CLASSIFY_BALANCED, "large",
         CLASSIFY_BY_DEFAULT},
        {"classifier { default_tier = large }" ROUTES, "one", CLASSIFY_BALANCED, "middle",
         CLASSIFY_BY_DEFAULT},
        {"classifier { default_tier = large }", NULL, CLASSIFY_ECONOMY, "small",
         CLASSIFY_BY_QUALITY},
        {"", NULL, CLASSIFY_BEST, "large", CLASSIFY_BY_QUALITY},
        {ROUTES, "one", CLASSIFY_BEST, "middle", CLASSIFY_BY_QUALITY},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void a_score_is_a_place_in_the_chain(void **state) {
    (void)state;
    static const struct row rows[] = {
        {RULE("score = -1"), NULL, CLASSIFY_BALANCED, "small", CLASSIFY_BY_SCORE},
        {RULE("score = -0.6"), NULL, CLASSIFY_BALANCED, "small", CLASSIFY_BY_SCORE},
        {RULE("score = -0.4"), NULL, CLASSIFY_BALANCED, "middle", CLASSIFY_BY_SCORE},
        {RULE("score = 0.4"), NULL, CLASSIFY_BALANCED, "middle", CLASSIFY_BY_SCORE},
        {RULE("score = 0.6"), NULL, CLASSIFY_BALANCED, "large", CLASSIFY_BY_SCORE},
        {RULE("score = 1"), NULL, CLASSIFY_BALANCED, "large", CLASSIFY_BY_SCORE},
        {RULE("score = 0"), NULL, CLASSIFY_BALANCED, "middle", CLASSIFY_BY_DEFAULT},
        {RULE("score = -0.1") ROUTES, "two", CLASSIFY_BALANCED, "small", CLASSIFY_BY_SCORE},
        {RULE("score = 0.1") ROUTES, "two", CLASSIFY_BALANCED, "large", CLASSIFY_BY_SCORE},
        {RULE("score = 1") ROUTES, "one", CLASSIFY_BALANCED, "middle", CLASSIFY_BY_SCORE},
        {RULE("score = -1"), NULL, CLASSIFY_BEST, "large", CLASSIFY_BY_QUALITY},
    };
    check(rows, FARTHING_COUNT(rows));
}

// A rule may send a request to another route: its chain counts then.
static void a_rule_may_send_it_to_another_route(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "classifier { rule \"r\" { keywords = {\"a\"} route = one } }\n" ROUTES);
    s.in.route = config_route_find(s.config, SLICE("two"));
    rules_ask(&s, "a");
    assert_ptr_equal(s.out.route, config_route_find(s.config, SLICE("one")));
    assert_true(slice_equal(s.out.tier->name, SLICE("middle")));
    assert_int_equal(s.out.by, CLASSIFY_BY_DEFAULT);
    rules_ask(&s, "b");
    assert_ptr_equal(s.out.route, s.in.route);
    assert_null(s.out.rule);
    rules_end(&s);
}

static void without_tiers_there_is_none(void **state) {
    (void)state;
    struct buffer messages = {0};
    const struct config *config = load("provider \"p\" { base_url = \"http://h/v1\" }");
    struct classifier *c = classifier_new(config, &messages);
    struct arena *arena = arena_new(256);
    struct json_doc *doc = json_doc_new();
    struct classify_result out;
    assert_true(json_parse(doc, SLICE("{}"), NULL, NULL));
    for (int q = CLASSIFY_BALANCED; q <= CLASSIFY_BEST; q++) {
        struct classify_input in = {.arena = arena, .quality = (enum classify_quality)q};
        classify_request(c, NULL, API_MESSAGES, doc, &in, &out);
        assert_null(out.tier);
        assert_int_equal(out.by, CLASSIFY_BY_DEFAULT);
    }
    json_doc_free(doc);
    arena_free(arena);
    classifier_unref(c);
    config_unref(config);
}

// More tiers than anybody has: each can be chosen.
static void chains_may_be_long(void **state) {
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 40; i++)
        buffer_printf(&text, "tier \"t%d\" { models = {\"p/a\"} }\n", i);
    buffer_printf(&text, "classifier { rule \"r\" { keywords = {\"a\"} tier = t39 } }%c", '\0');
    struct rules_scene s;
    rules_begin(&s, text.ptr);
    rules_ask(&s, "a");
    assert_true(slice_equal(s.out.tier->name, SLICE("t39")));
    buffer_free(&text);
    rules_end(&s);
}

static void the_classifier_holds_its_snapshot(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "classifier { rule \"r\" { keywords = {\"a\"} tier = large } }");
    config_unref(s.config);
    struct classifier *again = classifier_ref(s.classifier);
    classifier_unref(s.classifier);
    rules_ask(&s, "a");
    assert_true(slice_equal(s.out.tier->name, SLICE("large")));
    s.config = NULL;
    s.classifier = again;
    rules_end(&s);
    classifier_unref(NULL);
}

static void words(void **state) {
    (void)state;
    enum classify_quality quality = CLASSIFY_BEST;
    assert_true(classify_quality_find(SLICE("economy"), &quality));
    assert_int_equal(quality, CLASSIFY_ECONOMY);
    assert_true(classify_quality_find(SLICE("balanced"), &quality));
    assert_int_equal(quality, CLASSIFY_BALANCED);
    assert_true(classify_quality_find(SLICE("best"), &quality));
    assert_int_equal(quality, CLASSIFY_BEST);
    assert_false(classify_quality_find(SLICE("Best"), &quality));
    assert_false(classify_quality_find(SLICE_NONE, &quality));
    assert_string_equal(classify_by_name(CLASSIFY_BY_RULE), "rule");
    assert_string_equal(classify_by_name(CLASSIFY_BY_QUALITY), "quality");
    assert_string_equal(classify_by_name(CLASSIFY_BY_MODEL), "model");
    assert_string_equal(classify_by_name(CLASSIFY_BY_SCORE), "score");
    assert_string_equal(classify_by_name(CLASSIFY_BY_DEFAULT), "default");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_choose),
        cmocka_unit_test(without_a_rule_there_is_a_default),
        cmocka_unit_test(a_score_is_a_place_in_the_chain),
        cmocka_unit_test(a_rule_may_send_it_to_another_route),
        cmocka_unit_test(without_tiers_there_is_none),
        cmocka_unit_test(chains_may_be_long),
        cmocka_unit_test(the_classifier_holds_its_snapshot),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("route/rules_tiers", tests, NULL, NULL);
}
