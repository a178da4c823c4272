// Which rule fits which request: each condition alone, then together, then their
// order.
#include <stdio.h>
#include <stdlib.h>

#include "rules_fixture.h"

struct row {
    const char *rule; // its conditions; the outcome is tier "large"
    const char *body; // what a user says, or a whole request when it begins with {
    bool fits;
};

static void check(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char text[512];
        snprintf(text, sizeof text, "classifier { rule \"r\" { %s tier = large } }", rows[i].rule);
        struct rules_scene s;
        rules_begin(&s, text);
        if (s.classifier == NULL)
            fail_msg("%s: %.*s", rows[i].rule, SLICE_ARG(buffer_slice(&s.messages)));
        s.in.feature = SLICE("support_mail");
        s.in.prompt_version = SLICE("v7");
        s.in.model = SLICE("auto");
        if (rows[i].body[0] == '{')
            rules_ask_body(&s, slice_of(rows[i].body));
        else
            rules_ask(&s, rows[i].body);
        if ((s.out.rule != NULL) != rows[i].fits)
            fail_msg("%s %s \"%s\"", rows[i].rule, rows[i].fits ? "does not fit" : "fits",
                     rows[i].body);
        rules_end(&s);
    }
}

static void each_condition(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", "anything", true},
        {"keywords = {\"refund\", \"CVE-\"}", "I want a REFUND", true},
        {"keywords = {\"refund\", \"CVE-\"}", "see cve-2024", true},
        {"keywords = {\"refund\"}", "refunds", false},
        {"contains = {\"refund\"}", "nonrefundable", true},
        {"contains = {\"refund\"}", "fund", false},
        {"patterns = {\"x+y\", \"^hello\"}", "axxyb", true},
        {"patterns = {\"x+y\", \"^hello\"}", "hello", true},
        {"patterns = {\"x+y\"}", "xz", false},
        {"patterns = {\"Hello\"}", "hello", false},
        {"patterns = {\"(?i)Hello\"}", "hello", true},
        {"patterns = {\"a.b\"}", "a\\\"b", true}, // decoded
        {"features = {\"support_*\"}", "x", true},
        {"features = {\"a\", \"support_mail\"}", "x", true},
        {"features = {\"support\"}", "x", false},
        {"models = {\"auto\"}", "x", true},
        {"models = {\"gpt-*\"}", "x", false},
        {"prompt_versions = {\"v?\"}", "x", true},
        {"prompt_versions = {\"v\"}", "x", false},
        {"scripts = {\"cyrillic\", \"han\"}", "a \\u0416", true},
        {"scripts = {\"cyrillic\", \"han\"}", "abc", false},
        {"min_input_tokens = 100", "x", true},
        {"min_input_tokens = 101", "x", false},
        {"max_input_tokens = 100", "x", true},
        {"max_input_tokens = 99", "x", false},
        {"min_questions = 2", "a? b?", true},
        {"min_questions = 2", "a?", false},
        {"max_questions = 0", "a", true},
        {"min_numbers = 1 max_numbers = 2", "1 2 3", false},
        {"min_math = 1", "x = 2", true},
        {"min_code_blocks = 1 min_code_lines = 2", "```\\na\\nb\\n```", true},
        {"min_code_lines = 3", "```\\na\\nb\\n```", false},
        {"min_turns = 2", "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\"},"
                          "{\"role\":\"user\"}]}", true},
        {"min_turns = 2", "x", false},
        {"min_tools = 2", "{\"tools\":[{},{}]}", true},
        {"no_tools = true", "{\"tools\":[{}]}", false},
        {"no_tools = true", "{\"tools\":[]}", true},
        {"no_tools = false", "{\"tools\":[{}]}", true},
        {"no_tools = false", "{}", false},
        {"no_tools = false max_tools = 1", "{\"tools\":[{},{}]}", false},
        {"min_tool_results = 1", "{\"messages\":[{\"role\":\"tool\"}]}", true},
        {"min_tool_results = 1", "{}", false},
        {"min_images = 1", "{\"messages\":[{\"content\":[{\"type\":\"image_url\"}]}]}", true},
        {"min_images = 1", "{}", false},
        {"json = true", "{\"response_format\":{\"type\":\"json_object\"}}", true},
        {"json = true", "{}", false},
        {"json = false", "{\"response_format\":{\"type\":\"json_object\"}}", false},
        {"json = false", "{}", true},
        {"min_schema_bytes = 2",
         "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}}", true},
        {"min_schema_bytes = 3",
         "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}}", false},
        {"max_output_tokens = 50", "{\"max_tokens\":50}", true},
        {"max_output_tokens = 50", "{\"max_tokens\":51}", false},
        {"max_output_tokens = 50", "{}", false}, // no cap is in no range
        {"min_output_tokens = 0", "{}", false},
        {"min_output_tokens = 0", "{\"max_tokens\":0}", true},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void all_conditions_must_hold(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"keywords = {\"a\"} contains = {\"b\"} patterns = {\"c\"}", "a xbx c", true},
        {"keywords = {\"a\"} contains = {\"b\"} patterns = {\"c\"}", "xbx c", false},
        {"keywords = {\"a\"} contains = {\"b\"} patterns = {\"c\"}", "a c", false},
        {"keywords = {\"a\"} contains = {\"b\"} patterns = {\"c\"}", "a b", false},
        {"keywords = {\"a\"} min_questions = 1", "a", false},
        {"keywords = {\"a\"} features = {\"other\"}", "a", false},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void only_what_users_say_is_searched(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"contains = {\"refund\"}", "{\"messages\":[{\"role\":\"system\",\"content\":\"refund\"}]}",
         false},
        {"contains = {\"refund\"}",
         "{\"messages\":[{\"role\":\"assistant\",\"content\":\"refund\"}]}", false},
        {"patterns = {\"refund\"}", "{\"messages\":[{\"role\":\"tool\",\"content\":\"refund\"}]}",
         false},
        {"patterns = {\"refund\"}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"refund\"},{\"role\":\"assistant\","
         "\"content\":\"yes\"},{\"role\":\"user\",\"content\":\"thanks\"}]}", true},
        {"contains = {\"refund\"}",
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
         "{\"type\":\"text\",\"text\":\"refund\"}]}]}", true},
        {"contains = {\"refund\"}", "{\"refund\":\"refund\"}", false},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void the_first_that_fits_wins(void **state) {
    (void)state;
    static const struct {
        const char *text, *rule;
    } rows[] = {
        {"alpha", "one"}, {"alpha beta", "one"}, {"beta", "two"}, {"beta gamma?", "two"},
        {"gamma", "rest"}, {"gamma?", "three"},
    };
    struct rules_scene s;
    rules_begin(&s, "classifier {\n"
                    "rule \"one\" { keywords = {\"alpha\"} tier = large }\n"
                    "rule \"two\" { keywords = {\"alpha\", \"beta\"} tier = small }\n"
                    "rule \"three\" { keywords = {\"gamma\"} min_questions = 1 score = 0.5 }\n"
                    "rule \"rest\" { tier = middle } }\n");
    assert_int_equal(s.messages.len, 0);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        rules_ask(&s, rows[i].text);
        if (!slice_equal(rules_fired(&s), slice_of(rows[i].rule)))
            fail_msg("%s: %.*s", rows[i].text, SLICE_ARG(rules_fired(&s)));
    }
    rules_end(&s);
}

static int64_t counted(const char *rule) {
    struct buffer text = {0};
    char line[128];
    int n = snprintf(line, sizeof line, "farthing_classifier_rule_total{rule=\"%s\"} ", rule);
    metric_write_all(&text);
    ptrdiff_t at = slice_find(buffer_slice(&text), slice_make(line, (size_t)n));
    int64_t value = -1;
    buffer_append_char(&text, '\0');
    if (at >= 0)
        value = strtoll(text.ptr + at + n, NULL, 10);
    buffer_free(&text);
    return value;
}

static void every_rule_is_counted(void **state) {
    (void)state;
    struct rules_scene s;
    metric_reset_for_test();
    rules_begin(&s, "classifier { rule \"one\" { keywords = {\"a\"} tier = large }\n"
                    "rule \"two\" { keywords = {\"b\"} score = 0.1 } }\n");
    assert_int_equal(counted("one"), 0); // shown before it fires
    rules_ask(&s, "a");
    rules_ask(&s, "a b");
    rules_ask(&s, "b");
    rules_ask(&s, "c");
    assert_int_equal(counted("one"), 2);
    assert_int_equal(counted("two"), 1);
    rules_end(&s);
}

static void a_pattern_that_does_not_compile_is_told(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "classifier {\nrule \"r\" { patterns = {\"fine\", \"(\"} tier = large }\n"
                    "rule \"q\" { patterns = {\"[z-a]\"} tier = large } }\n");
    assert_null(s.classifier);
    struct slice seen = buffer_slice(&s.messages);
    assert_true(slice_find(seen, SLICE("t.conf:6: rule \"r\": pattern 2: ")) >= 0);
    assert_true(slice_find(seen, SLICE("t.conf:7: rule \"q\": pattern 1: ")) >= 0);
    rules_end(&s);
}

static void without_rules_nothing_fits(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "");
    rules_ask(&s, "x");
    assert_null(s.out.rule);
    assert_int_equal(s.out.by, CLASSIFY_BY_DEFAULT);
    assert_int_equal(s.out.texts.count, 1);
    assert_int_equal(s.out.signals.values[CONFIG_SIGNAL_TURNS], 1);
    rules_end(&s);
}

// Patterns that would take for ever are given up, and do not fit.
static void a_hostile_text_does_not_hold_a_pattern(void **state) {
    (void)state;
    struct rules_scene s;
    struct buffer text = {0};
    rules_begin(&s, "classifier { rule \"r\" { patterns = {\"^(a+)+$\"} tier = large } }");
    for (int i = 0; i < 5000; i++)
        buffer_append_char(&text, 'a');
    buffer_printf(&text, "b%c", '\0');
    rules_ask(&s, text.ptr);
    assert_null(s.out.rule);
    rules_ask(&s, "aaa");
    assert_non_null(s.out.rule);
    buffer_free(&text);
    rules_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition),
        cmocka_unit_test(all_conditions_must_hold),
        cmocka_unit_test(only_what_users_say_is_searched),
        cmocka_unit_test(the_first_that_fits_wins),
        cmocka_unit_test(every_rule_is_counted),
        cmocka_unit_test(a_pattern_that_does_not_compile_is_told),
        cmocka_unit_test(without_rules_nothing_fits),
        cmocka_unit_test(a_hostile_text_does_not_hold_a_pattern),
    };
    return cmocka_run_group_tests_name("route/rules", tests, NULL, NULL);
}
