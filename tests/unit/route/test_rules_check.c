// Rules that can never fire, and rules of which that is not certain.
#include <stdio.h>

#include "rules_fixture.h"

// The rules are those of the row, in a classifier of their own, each on its line
// from line 6 on. `wanted` NULL: no warning.
static void check(const char *rules, const char *wanted) {
    char text[1024];
    snprintf(text, sizeof text, "classifier {\n%s }\n", rules);
    struct rules_scene s;
    rules_begin(&s, text);
    struct slice seen = buffer_slice(&s.messages);
    assert_non_null(s.classifier);
    if (wanted == NULL ? seen.len > 0 : slice_find(seen, slice_of(wanted)) < 0)
        fail_msg("%s\nsays: %.*s", rules, SLICE_ARG(seen));
    rules_end(&s);
}

static void contradictions(void **state) {
    (void)state;
    static const struct {
        const char *rule, *why;
    } rows[] = {
        {"min_turns = 2 max_turns = 1", "min_turns is over max_turns"},
        {"min_turns = 2 max_turns = 2", NULL},
        {"min_output_tokens = 9 max_output_tokens = 8", "min_output_tokens is over"},
        {"no_tools = true min_tools = 1", "no_tools, min_tools and max_tools contradict"},
        {"no_tools = true min_tools = 0", NULL},
        {"no_tools = false max_tools = 0", "no_tools, min_tools and max_tools contradict"},
        {"no_tools = true max_tools = 5", NULL},
        {"min_tools = 3 max_tools = 2", "min_tools is over max_tools"},
        {"json = false min_schema_bytes = 1", "a schema asks for JSON, which json = false"},
        {"json = false min_schema_bytes = 0", NULL},
        {"json = true min_schema_bytes = 1", NULL},
        {"max_code_blocks = 0 min_code_lines = 1", "there are no code lines without a code block"},
        {"max_code_blocks = 1 min_code_lines = 1", NULL},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char rule[256], wanted[256];
        snprintf(rule, sizeof rule, "rule \"r\" { %s tier = large }", rows[i].rule);
        snprintf(wanted, sizeof wanted, "t.conf:6: warning: rule \"r\" can never fire: %s",
                 rows[i].why != NULL ? rows[i].why : "");
        check(rule, rows[i].why != NULL ? wanted : NULL);
    }
}

// `a` stands before `b`: is b never reached?
struct pair {
    const char *a, *b;
    bool shadowed;
};

static void check_pairs(const struct pair *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char rules[512];
        snprintf(rules, sizeof rules,
                 "rule \"a\" { %s tier = large }\nrule \"b\" { %s tier = small }", rows[i].a,
                 rows[i].b);
        check(rules, rows[i].shadowed ? "t.conf:7: warning: rule \"b\" can never fire: rule \"a\" "
                                        "(t.conf:6) fits wherever it would\n"
                                      : NULL);
    }
}

static void ranges_and_flags(void **state) {
    (void)state;
    static const struct pair rows[] = {
        {"", "", true},
        {"", "keywords = {\"x\"} min_turns = 3", true},
        {"min_turns = 1", "", false},
        {"min_turns = 0", "", true}, // every request has
        {"max_turns = 5", "", false},
        {"min_turns = 2", "min_turns = 2", true},
        {"min_turns = 2", "min_turns = 3", true},
        {"min_turns = 3", "min_turns = 2", false},
        {"max_turns = 5", "max_turns = 5", true},
        {"max_turns = 5", "max_turns = 4", true},
        {"max_turns = 4", "max_turns = 5", false},
        {"max_turns = 5", "min_turns = 4", false},
        {"min_turns = 2 max_turns = 9", "min_turns = 3 max_turns = 9", true},
        {"min_turns = 2 min_tools = 1", "min_turns = 2", false},
        {"min_output_tokens = 0", "", false}, // no cap is in no range
        {"min_output_tokens = 0", "max_output_tokens = 5", true},
        {"max_output_tokens = 9", "max_output_tokens = 5", true},
        {"max_output_tokens = 9", "min_output_tokens = 5", false},
        {"no_tools = true", "max_tools = 0", true},
        {"max_tools = 0", "no_tools = true", true},
        {"no_tools = false", "min_tools = 2", true},
        {"no_tools = true", "no_tools = false", false},
        {"json = true", "json = true", true},
        {"json = true", "json = false", false},
        {"json = true", "", false},
        {"json = true", "min_schema_bytes = 5", true},
        {"json = true", "min_schema_bytes = 0", false},
        {"scripts = {\"han\", \"thai\"}", "scripts = {\"thai\"}", true},
        {"scripts = {\"han\"}", "scripts = {\"han\", \"thai\"}", false},
        {"scripts = {\"han\"}", "", false},
    };
    check_pairs(rows, FARTHING_COUNT(rows));
}

static void words_globs_and_patterns(void **state) {
    (void)state;
    static const struct pair rows[] = {
        {"keywords = {\"a\", \"b\"}", "keywords = {\"B\"}", true},
        {"keywords = {\"a\"}", "keywords = {\"a\", \"b\"}", false},
        {"keywords = {\"a\"}", "", false},
        {"keywords = {\"card\"}", "keywords = {\"credit card\"}", true},
        {"keywords = {\"card\"}", "contains = {\"a card b\"}", true},
        {"keywords = {\"card\"}", "contains = {\"card\"}", false},
        {"keywords = {\"card\"}", "keywords = {\"cards\"}", false},
        {"contains = {\"card\"}", "keywords = {\"cards\"}", true},
        {"contains = {\"card\"}", "contains = {\"discards\"}", true},
        {"contains = {\"cards\"}", "contains = {\"card\"}", false},
        {"contains = {\"x\"}", "keywords = {\"ax\"} contains = {\"y\"}", true},
        {"keywords = {\"a\"} contains = {\"x\"}", "keywords = {\"a\"}", false},
        {"keywords = {\"a\"} contains = {\"x\"}", "keywords = {\"a\"} contains = {\"xx\"}", true},
        {"patterns = {\"p\", \"q\"}", "patterns = {\"q\"}", true},
        {"patterns = {\"p\"}", "patterns = {\"pp\"}", false},
        {"features = {\"*\"}", "", false}, // none is not reasoned about
        {"features = {\"s_*\"}", "features = {\"s_a\"}", true},
        {"features = {\"s_*\"}", "features = {\"s_a*\", \"s_b?\"}", true},
        {"features = {\"s_a*\"}", "features = {\"s_*\"}", false},
        {"features = {\"s_?\"}", "features = {\"s_*\"}", false},
        {"features = {\"s_?\"}", "features = {\"s_?\"}", true},
        {"features = {\"s_*\"}", "features = {\"s_a\", \"t\"}", false},
        {"models = {\"gpt-*\"}", "models = {\"gpt-4o\"}", true},
        {"prompt_versions = {\"v1\"}", "prompt_versions = {\"v1\"}", true},
        {"prompt_versions = {\"v1\"}", "prompt_versions = {\"v2\"}", false},
    };
    check_pairs(rows, FARTHING_COUNT(rows));
}

// A dead rule forestalls nothing, and is not itself called forestalled.
static void the_dead_do_not_count(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "classifier {\nrule \"dead\" { min_turns = 2 max_turns = 1 tier = large }\n"
                    "rule \"all\" { tier = large }\n"
                    "rule \"dead too\" { min_math = 2 max_math = 1 tier = small } }");
    struct slice seen = buffer_slice(&s.messages);
    assert_true(slice_find(seen, SLICE("rule \"dead\" can never fire: min_turns")) >= 0);
    assert_true(slice_find(seen, SLICE("rule \"all\"")) < 0);
    assert_true(slice_find(seen, SLICE("rule \"dead too\" can never fire: min_math")) >= 0);
    rules_end(&s);
}

// A rule is passed over on routes that lack its tier: there a later one is reached.
static void routes_that_lack_the_tier_are_thought_of(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool shadowed;
    } rows[] = {
        {"classifier { rule \"a\" { tier = large }\nrule \"b\" { tier = small } }\n"
         "route \"r\" { tiers = {\"small\", \"middle\"} }", false},
        {"classifier { rule \"a\" { tier = large }\nrule \"b\" { tier = large } }\n"
         "route \"r\" { tiers = {\"small\", \"middle\"} }", true},
        {"classifier { rule \"a\" { tier = large }\nrule \"b\" { tier = small } }\n"
         "route \"r\" { tiers = {\"small\", \"large\"} }\nroute \"q\" { }", true},
        {"classifier { rule \"a\" { score = 0.1 }\nrule \"b\" { tier = small } }\n"
         "route \"r\" { tiers = {\"small\", \"middle\"} }", true},
        {"classifier { rule \"a\" { route = r }\nrule \"b\" { tier = small } }\n"
         "route \"r\" { tiers = {\"small\", \"middle\"} }", true},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct rules_scene s;
        rules_begin(&s, rows[i].text);
        if ((s.messages.len > 0) != rows[i].shadowed)
            fail_msg("%s\n%.*s", rows[i].text, SLICE_ARG(buffer_slice(&s.messages)));
        rules_end(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictions),
        cmocka_unit_test(ranges_and_flags),
        cmocka_unit_test(words_globs_and_patterns),
        cmocka_unit_test(the_dead_do_not_count),
        cmocka_unit_test(routes_that_lack_the_tier_are_thought_of),
    };
    return cmocka_run_group_tests_name("route/rules_check", tests, NULL, NULL);
}
