// What routing needs: the classifier's rules, a tier's balance, a route's chain,
// its gate, a provider's breaker; each value where it belongs, and what is left out.
#include "config_fixture.h"

#define TIERS                                                                                      \
    PROVIDER "tier \"small\" { models = {\"p/a\"} }\n"                                             \
             "tier \"large\" { models = {\"p/b\", \"p/c\"} }\n"
#define BIT(reason) (1u << CONFIG_ESCALATE_##reason)

static void assert_range(const struct config_rule *r, enum config_signal s, int64_t min,
                         int64_t max) {
    if (r->signals[s].min != min || r->signals[s].max != max)
        fail_msg("signal %d: %lld to %lld", s, (long long)r->signals[s].min,
                 (long long)r->signals[s].max);
}

static void a_rule_has_what_it_says(void **state) {
    (void)state;
    const struct config *c = load_valid(TIERS
        "classifier { model = \"models/m.bin\" default_tier = large\n"
        "  rule \"all\" { keywords = {\"OWASP\", \"CVE-\"} contains = {\"refund\"}\n"
        "    patterns = {\"a+\"} features = {\"f*\"} models = {\"m\"} prompt_versions = {\"v?\"}\n"
        "    scripts = {\"han\", \"latin\"} min_turns = 2 max_turns = 5 max_output_tokens = 100\n"
        "    no_tools = false json = true tier = large }\n"
        "  rule \"elsewhere\" { route = \"r\" }\n\n"
        "  rule \"hard\" { score = 0.25 }\n  rule \"easy\" { score = \"-0.001\" } }\n"
        "route \"r\" { }\n");
    const struct config_rule *r = c->classifier.rules;
    assert_slice(c->classifier.model, "models/m.bin");
    assert_int_equal(c->classifier.rule_count, 4);
    assert_slice(r[0].name, "all");
    assert_slice(r[0].where, "t.conf:5");
    assert_slice(r[0].keywords.items[1], "CVE-");
    assert_slice(r[0].contains.items[0], "refund");
    assert_slice(r[0].patterns.items[0], "a+");
    assert_slice(r[0].features.items[0], "f*");
    assert_slice(r[0].models.items[0], "m");
    assert_slice(r[0].prompt_versions.items[0], "v?");
    assert_int_equal(r[0].scripts.count, 2);
    assert_range(&r[0], CONFIG_SIGNAL_TURNS, 2, 5);
    assert_range(&r[0], CONFIG_SIGNAL_OUTPUT_TOKENS, CONFIG_UNSET, 100);
    assert_range(&r[0], CONFIG_SIGNAL_TOOLS, CONFIG_UNSET, CONFIG_UNSET);
    assert_int_equal(r[0].no_tools, 0);
    assert_int_equal(r[0].json_output, 1);
    assert_int_equal(r[0].outcome, CONFIG_OUTCOME_TIER);
    assert_ptr_equal(r[0].tier, &c->tiers[1]);
    assert_int_equal(r[1].outcome, CONFIG_OUTCOME_ROUTE);
    assert_ptr_equal(r[1].route, &c->routes[0]);
    assert_null(r[1].tier);
    assert_slice(r[2].where, "t.conf:11");
    assert_int_equal(r[2].outcome, CONFIG_OUTCOME_SCORE);
    assert_int_equal(r[2].score_milli, 250);
    assert_int_equal(r[2].json_output, CONFIG_UNSET);
    assert_int_equal(r[3].outcome, CONFIG_OUTCOME_SCORE);
    assert_int_equal(r[3].score_milli, -1);
    config_unref(c);
}

// Each min_ and max_ key has its own place.
static void every_range_has_its_place(void **state) {
    (void)state;
    static const char *const names[CONFIG_SIGNAL_COUNT] = {
        "input_tokens", "turns",     "tools",   "tool_results", "images",       "code_blocks",
        "code_lines",   "questions", "numbers", "math",         "schema_bytes", "output_tokens",
        "deadline_ms",  "past_success"};
    struct buffer text = {0};
    BUFFER_LITERAL(&text, TIERS "classifier { rule \"r\" { tier = small\n");
    for (int i = 0; i < CONFIG_SIGNAL_COUNT; i++)
        buffer_printf(&text, "min_%s = %d max_%s = %d\n", names[i], i, names[i], 50 + i);
    buffer_printf(&text, "} }%c", '\0');
    const struct config *c = load_valid(text.ptr);
    for (int i = 0; i < CONFIG_SIGNAL_COUNT; i++)
        assert_range(c->classifier.rules, (enum config_signal)i, i, 50 + i);
    config_unref(c);
    buffer_free(&text);
}

static void a_rule_has_exactly_one_outcome(void **state) {
    (void)state;
    refused_at(TIERS "classifier {\nrule \"r\" { min_turns = 1 } }", 5, "rule \"r\" has no outcome",
               "score = 0.5");
    refused_at(TIERS "classifier {\nrule \"r\" { tier = small score = 0.1 } }", 5,
               "more than one outcome", "expected one of");
    refused_at(TIERS "classifier {\nrule \"r\" { tier = small route = x } } route \"x\" { }", 5,
               "more than one outcome", "expected one of");
}

static void weights_are_one_unless_given(void **state) {
    (void)state;
    const struct config *c =
        load_valid(TIERS "tier \"w\" { models = {\"p/a\", \"p/b\"} weights = {3, 1}\n"
                         "  balance = weighted }\n"
                         "tier \"o\" { models = {\"p/a\", \"p/b\"}\n weights = {3, 1} }\n");
    assert_int_equal(c->tiers[0].balance, CONFIG_BALANCE_ORDER);
    assert_int_equal(c->tiers[1].weights[0], 1);
    assert_int_equal(c->tiers[1].weights[1], 1);
    assert_int_equal(c->tiers[2].balance, CONFIG_BALANCE_WEIGHTED);
    assert_int_equal(c->tiers[2].weights[0], 3);
    assert_int_equal(c->tiers[2].weights[1], 1);
    assert_int_equal(c->warnings.count, 1);
    assert_true(warns(c, "t.conf:7: warning: weights have no effect without balance"));
    config_unref(c);
}

static void a_chain_has_what_it_says(void **state) {
    (void)state;
    const struct config *c = load_valid(PROVIDER
        "route \"r\" {\n"
        "  escalate_on = {\"length\", \"content_filter\", \"json\", \"tools\", \"pattern\",\n"
        "    \"too_short\", \"language\", \"repetition\", \"context\", \"refusal\"}\n"
        "  fallback_temperature = 0 fallback_max_output_tokens = 900 fallback_explain = true\n"
        "  max_attempts = 4 deadline = \"20s\" quality_target = 0.85 gate_streams = \"head 200\"\n"
        "  gate { refusals = {\"^I can\"} must_match = {\"a\", \"b\"} must_not_match = {\"c\"}\n"
        "    min_characters = 20 scripts = {\"latin\", \"greek\"} } }\n");
    const struct config_route *r = &c->routes[0];
    assert_slice(r->where, "t.conf:2");
    assert_int_equal(r->escalate_on,
                     BIT(LENGTH) | BIT(CONTENT_FILTER) | BIT(JSON) | BIT(TOOLS) | BIT(PATTERN) |
                         BIT(TOO_SHORT) | BIT(LANGUAGE) | BIT(REPETITION) | BIT(CONTEXT) |
                         BIT(REFUSAL));
    assert_int_equal(r->fallback_temperature_milli, 0);
    assert_int_equal(r->fallback_max_output_tokens, 900);
    assert_true(r->fallback_explain);
    assert_int_equal(r->max_attempts, 4);
    assert_int_equal(r->deadline_ms, 20000);
    assert_int_equal(r->quality_target_milli, 850);
    assert_int_equal(r->gate_streams, CONFIG_GATE_HEAD);
    assert_int_equal(r->gate_head_tokens, 200);
    assert_slice(r->gate.refusals.items[0], "^I can");
    assert_slice(r->gate.must_match.items[1], "b");
    assert_slice(r->gate.must_not_match.items[0], "c");
    assert_int_equal(r->gate.min_characters, 20);
    assert_slice(r->gate.scripts.items[1], "greek");
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void a_chain_that_says_nothing_has_defaults(void **state) {
    (void)state;
    const struct config *c =
        load_valid(PROVIDER "route \"r\" { }\n"
                            "route \"none\" { escalate_on = {} gate_streams = buffer }\n");
    const struct config_route *r = &c->routes[0];
    assert_int_equal(r->escalate_on, BIT(ERROR) | BIT(TIMEOUT) | BIT(CONTEXT));
    assert_int_equal(r->fallback_temperature_milli, CONFIG_UNSET);
    assert_int_equal(r->fallback_max_output_tokens, CONFIG_UNSET);
    assert_false(r->fallback_explain);
    assert_int_equal(r->max_attempts, CONFIG_UNSET);
    assert_int_equal(r->deadline_ms, CONFIG_UNSET);
    assert_int_equal(r->quality_target_milli, CONFIG_UNSET);
    assert_int_equal(r->gate_streams, CONFIG_GATE_OFF);
    assert_int_equal(r->gate.min_characters, CONFIG_UNSET);
    assert_int_equal(r->gate.refusals.count + r->gate.scripts.count, 0);
    assert_int_equal(c->routes[1].escalate_on, 0);
    assert_int_equal(c->routes[1].gate_streams, CONFIG_GATE_BUFFER);
    assert_int_equal(c->providers[0].breaker.failures, 5);
    assert_int_equal(c->providers[0].breaker.slow_call_ms, CONFIG_UNSET);
    config_unref(c);
}

// A gate's key is only asked where its reason is in escalate_on.
static void a_gate_without_its_reason_is_warned_about(void **state) {
    (void)state;
    static const struct {
        const char *key, *reason;
    } rows[] = {
        {"refusals = {\"a\"}", "refusal"},       {"must_match = {\"a\"}", "pattern"},
        {"must_not_match = {\"a\"}", "pattern"}, {"min_characters = 2", "too_short"},
        {"scripts = {\"thai\"}", "language"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[256], wanted[64];
        snprintf(text, sizeof text, PROVIDER "route \"r\" { gate {\n%s } }", rows[i].key);
        snprintf(wanted, sizeof wanted, "no effect without \"%s\" in escalate_on", rows[i].reason);
        const struct config *c = load_valid(text);
        assert_int_equal(c->warnings.count, 1);
        assert_true(warns(c, "t.conf:3: warning: ") && warns(c, wanted));
        config_unref(c);
        snprintf(text, sizeof text, PROVIDER "route \"r\" { escalate_on = {\"%s\"} gate {\n%s } }",
                 rows[i].reason, rows[i].key);
        c = load_valid(text);
        assert_int_equal(c->warnings.count, 0);
        config_unref(c);
    }
}

static void a_breaker_may_count_slow_calls(void **state) {
    (void)state;
    const struct config *c = load_valid(
        "provider \"p\" { base_url = \"http://h/v1\" retry { budget_percent = 10 }\n"
        "  breaker { failures = 3 window = \"10s\" open_for = \"5s\" slow_call = \"20s\" } }\n");
    const struct config_breaker *b = &c->providers[0].breaker;
    assert_int_equal(b->failures, 3);
    assert_int_equal(b->window_ms, 10000);
    assert_int_equal(b->open_for_ms, 5000);
    assert_int_equal(b->slow_call_ms, 20000);
    assert_int_equal(c->providers[0].retry.budget_percent, 10);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void scripts_have_names_both_ways(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIG_SCRIPT_COUNT; i++) {
        enum config_script found = CONFIG_SCRIPT_COUNT;
        struct slice name = slice_of(config_script_name((enum config_script)i));
        assert_true(config_script_find(name, &found));
        assert_int_equal(found, i);
    }
    enum config_script found = CONFIG_SCRIPT_THAI;
    assert_false(config_script_find(SLICE("Latin"), &found));
    assert_false(config_script_find(SLICE_NONE, &found));
    assert_string_equal(config_script_name(CONFIG_SCRIPT_HANGUL), "hangul");
    assert_string_equal(config_script_name(CONFIG_SCRIPT_OTHER), "other");
}

// As rows and metrics say them is as the file spells them.
static void other_names_are_the_file_s(void **state) {
    (void)state;
    char text[256];
    for (int i = 0; i < CONFIG_ESCALATE_COUNT; i++) {
        snprintf(text, sizeof text, PROVIDER "route \"r\" { escalate_on = {\"%s\"} }",
                 config_escalation_name((enum config_escalation)i));
        const struct config *c = load_valid(text);
        assert_int_equal(c->routes[0].escalate_on, 1u << i);
        config_unref(c);
    }
    for (int i = CONFIG_EFFORT_NONE; i < CONFIG_EFFORT_COUNT; i++) {
        snprintf(text, sizeof text, PROVIDER "route \"r\" { max_reasoning_effort = \"%s\" }",
                 config_effort_name((enum config_effort)i));
        const struct config *c = load_valid(text);
        assert_int_equal(c->routes[0].max_reasoning_effort, i);
        config_unref(c);
    }
    assert_string_equal(config_effort_name(CONFIG_EFFORT_UNSET), "");
    for (int i = 0; i < CONFIG_CONTEXT_PART_COUNT; i++) {
        snprintf(text, sizeof text, PROVIDER "route \"r\" { context \"%s\" { max_tokens = 1 } }",
                 config_context_part_name((enum config_context_part)i));
        const struct config *c = load_valid(text);
        assert_int_equal(c->routes[0].contexts[0].part, i);
        config_unref(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_has_what_it_says),
        cmocka_unit_test(every_range_has_its_place),
        cmocka_unit_test(a_rule_has_exactly_one_outcome),
        cmocka_unit_test(weights_are_one_unless_given),
        cmocka_unit_test(a_chain_has_what_it_says),
        cmocka_unit_test(a_chain_that_says_nothing_has_defaults),
        cmocka_unit_test(a_gate_without_its_reason_is_warned_about),
        cmocka_unit_test(a_breaker_may_count_slow_calls),
        cmocka_unit_test(scripts_have_names_both_ways),
        cmocka_unit_test(other_names_are_the_file_s),
    };
    return cmocka_run_group_tests_name("config/routing", tests, NULL, NULL);
}
