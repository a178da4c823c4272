// Gates on whole answers, endpoint by endpoint: each reason and what only looks
// like it.
#include "gate_fixture.h"

struct row {
    const char *request, *answer, *reason;
    bool own_cap;
};

static void check(enum api_endpoint e, const struct row *rows, size_t count) {
    struct bench b;
    bench_begin(&b, every_reason());
    for (size_t i = 0; i < count; i++) {
        const char *got = judged(&b, e, rows[i].request, rows[i].answer, rows[i].own_cap);
        if (strcmp(got, rows[i].reason) != 0)
            fail_msg("%s for %s: %s (%.*s)", rows[i].answer, rows[i].request, got,
                     SLICE_ARG(b.violation));
    }
    bench_end(&b);
}

#define OBJECT "{\"response_format\":{\"type\":\"json_object\"}}"
#define SCHEMA                                                                                     \
    "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":"   \
    "{\"type\":\"object\",\"required\":[\"a\"]}}}}"
#define TOOL                                                                                       \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get\",\"parameters\":"             \
    "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"}},\"required\":[\"id\"]}}}" \
    ",{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]"
#define SAYS(text, finish)                                                                         \
    "{\"choices\":[{\"message\":{\"content\":\"" text "\"},\"finish_reason\":\"" finish "\"}]}"
#define CALLS(name, arguments)                                                                     \
    "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"type\":\"function\","         \
    "\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}]},"                     \
    "\"finish_reason\":\"tool_calls\"}]}"

static const struct row chat[] = {
    {"{}", SAYS("Fine.", "stop"), "none", false},
    // length
    {"{}", SAYS("Fine", "length"), "length", false},
    {"{}", SAYS("Fine", "length"), "none", true},
    {"{}", SAYS("Fine", "max_tokens"), "length", false},
    {"{}", SAYS("Fine", "model_length"), "length", true}, // the window, no cap of the client's
    {OBJECT, SAYS("{\\\"a\\\":", "length"), "none", true}, // cut off as ordered
    {OBJECT, SAYS("{\\\"a\\\":", "length"), "length", false},
    {"{}", SAYS("", "length"), "none", true},
    // content_filter
    {"{}", SAYS("Fi", "content_filter"), "content_filter", false},
    {"{}", SAYS("Fi", "SAFETY"), "content_filter", true},
    // empty
    {"{}", SAYS("", "stop"), "empty", false},
    {"{}", SAYS(" \\n\\t", "stop"), "empty", false},
    {"{}", "{\"choices\":[]}", "empty", false},
    {"{}", "{}", "empty", false},
    {"{}", "[]", "empty", false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":null,\"reasoning_content\":\"hm\"}}]}",
     "empty", false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":null,\"audio\":{\"id\":\"a\"}}}]}", "none",
     false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":\"\",\"images\":[{}]}}]}", "none", false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":\"\",\"images\":[],\"tool_calls\":[]}}]}",
     "empty", false},
    {"{\"stop\":[\"x\"]}", SAYS("", "stop"), "none", false}, // stopped as ordered
    {"{\"stop\":\"x\"}", SAYS("", "stop"), "none", false},
    {"{\"stop\":[]}", SAYS("", "stop"), "empty", false},
    {"{\"stop\":null}", SAYS("", "stop"), "empty", false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},"
           "{\"type\":\"text\",\"text\":\"!\"}]}}]}", "none", false},
    // refusal in its own field
    {"{}", "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"No.\"}}]}", "refusal",
     false},
    {OBJECT, "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"No.\"}}]}", "refusal",
     false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":\"Hi\",\"refusal\":null}}]}", "none", false},
    {"{}", "{\"choices\":[{\"message\":{\"content\":\"Hi\",\"refusal\":\"\"}}]}", "none", false},
    {"{}", SAYS("I'm sorry, but I can't help with that.", "stop"), "refusal", false},
    // json
    {OBJECT, SAYS(" {\\\"a\\\":1}\\n", "stop"), "none", false},
    {OBJECT, SAYS("{a:1}", "stop"), "json", false},
    {OBJECT, SAYS("Sure: {\\\"a\\\":1}", "stop"), "json", false},
    {OBJECT, SAYS("```json\\n{\\\"a\\\":1}\\n```", "stop"), "json", false},
    {OBJECT, SAYS("[1]", "stop"), "json", false},
    {"{\"response_format\":{\"type\":\"text\"}}", SAYS("{a:1}", "stop"), "none", false},
    {"{\"stop\":\"}\",\"response_format\":{\"type\":\"json_object\"}}",
     SAYS("{\\\"a\\\":1", "stop"), "none", false},
    // json_schema
    {SCHEMA, SAYS("{\\\"a\\\":1}", "stop"), "none", false},
    {SCHEMA, SAYS("{\\\"b\\\":1}", "stop"), "json_schema", false},
    {SCHEMA, SAYS("{", "stop"), "json", false},
    {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":5}}}",
     SAYS("{}", "stop"), "none", false},
    {"{\"response_format\":{\"type\":\"json_schema\"}}", SAYS("1", "stop"), "none", false},
    // tools
    {"{" TOOL "}", CALLS("get", "{\\\"id\\\":1}"), "none", false},
    {"{" TOOL "}", CALLS("get", "{\\\"id\\\":1.0}"), "none", false},
    {"{" TOOL "}", CALLS("get", "{\\\"id\\\":\\\"1\\\"}"), "tools", false},
    {"{" TOOL "}", CALLS("get", "{\\\"id\\\":"), "tools", false},
    {"{" TOOL "}", CALLS("get", ""), "tools", false},
    {"{" TOOL "}", CALLS("now", ""), "none", false},
    {"{" TOOL "}", CALLS("now", "{\\\"any\\\":1}"), "none", false},
    {"{" TOOL "}", CALLS("Get", "{}"), "tools", false},
    {"{}", CALLS("get", "{}"), "tools", false},
    {"{" TOOL "}", SAYS("No call.", "stop"), "none", false},
    {"{" TOOL ",\"tool_choice\":\"auto\"}", SAYS("No call.", "stop"), "none", false},
    {"{" TOOL ",\"tool_choice\":\"required\"}", SAYS("No call.", "stop"), "tools", false},
    {"{" TOOL ",\"tool_choice\":\"required\"}", CALLS("now", "{}"), "none", false},
    {"{" TOOL ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"get\"}}}",
     CALLS("now", "{}"), "tools", false},
    {"{" TOOL ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"now\"}}}",
     CALLS("now", "{}"), "none", false},
    {"{" TOOL ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":"
     "{\"mode\":\"required\",\"tools\":[]}}}", SAYS("No call.", "stop"), "tools", false},
    {"{" TOOL ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":"
     "{\"mode\":\"auto\",\"tools\":[]}}}", SAYS("No call.", "stop"), "none", false},
    {"{\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"sh\"}}]}",
     "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"type\":\"custom\","
     "\"custom\":{\"name\":\"sh\",\"input\":\"ls {\"}}]}}]}", "none", false},
    {"{\"functions\":[{\"name\":\"f\",\"parameters\":{\"required\":[\"x\"]}}]}",
     "{\"choices\":[{\"message\":{\"content\":null,\"function_call\":"
     "{\"name\":\"f\",\"arguments\":\"{}\"}}}]}", "tools", false},
    {"{\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"}}",
     SAYS("No call.", "stop"), "tools", false},
    {"{" TOOL "}", // a server that gives arguments as a value
     "{\"choices\":[{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"get\","
     "\"arguments\":{\"id\":\"x\"}}}]}}]}", "tools", false},
    {"{" TOOL "}", // cut off within the arguments, as ordered
     "{\"choices\":[{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"get\","
     "\"arguments\":\"{\"}}]},\"finish_reason\":\"length\"}]}", "none", true},
    {"{\"tools\":[{\"type\":\"namespace\",\"tools\":[]}]}", CALLS("x.y", "{}"), "none", false},
    // JSON is asked of the last answer, not of what is said beside a call.
    {"{\"response_format\":{\"type\":\"json_object\"}," TOOL "}", CALLS("now", "{}"), "none",
     false},
    {"{\"response_format\":{\"type\":\"json_object\"}," TOOL "}",
     "{\"choices\":[{\"message\":{\"content\":\"One moment.\",\"tool_calls\":[{\"function\":"
     "{\"name\":\"now\",\"arguments\":\"{}\"}}]}}]}", "none", false},
    // Several choices: the first bad one decides.
    {"{\"n\":2}", "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},"
                  "{\"message\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}", "empty", false},
    {"{\"n\":2}", "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"length\"},"
                  "{\"message\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}", "length",
     false},
    {"{\"n\":2}", "{\"choices\":[{\"message\":{\"content\":\"a\"}},"
                  "{\"message\":{\"content\":\"b\"}}]}", "none", false},
    // Nonsense in place of what is known.
    {"[]", "{\"choices\":[1,null,{\"message\":{\"content\":{\"a\":1}}}]}", "empty", false},
    {"{\"tools\":{\"a\":1},\"tool_choice\":5,\"response_format\":[],\"stop\":5}",
     SAYS("ok", "stop"), "none", false},
};

static void chat_completions(void **state) {
    (void)state;
    check(API_CHAT_COMPLETIONS, chat, FARTHING_COUNT(chat));
}

static void completions(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{}", "{\"choices\":[{\"text\":\" Fine.\",\"finish_reason\":\"stop\"}]}", "none", false},
        {"{}", "{\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}", "empty", false},
        {"{}", "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"length\"}]}", "length", false},
        {"{}", "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"length\"}]}", "none", true},
        {"{}", "{\"choices\":[{\"text\":\"I cannot assist with that.\"}]}", "refusal", false},
        {"{\"echo\":true}", "{\"choices\":[{\"text\":\"I cannot assist with that.\"}]}", "none",
         false},
        {OBJECT, "{\"choices\":[{\"text\":\"no\",\"finish_reason\":\"stop\"}]}", "json", false},
        {"{" TOOL ",\"tool_choice\":\"required\"}", "{\"choices\":[{\"text\":\"a\"}]}", "none",
         false},
    };
    check(API_COMPLETIONS, rows, FARTHING_COUNT(rows));
}

#define FORMAT(inner) "{\"text\":{\"format\":{" inner "}}}"
#define OUTPUT(items) "{\"status\":\"completed\",\"output\":[" items "]}"
#define MESSAGE(text)                                                                              \
    "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" text "\"}]}"
#define FLAT_TOOL                                                                                  \
    "\"tools\":[{\"type\":\"function\",\"name\":\"get\",\"parameters\":{\"required\":[\"id\"]}},"  \
    "{\"type\":\"web_search\"}]"

static void responses(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{}", OUTPUT(MESSAGE("Fine.")), "none", false},
        {"{}", OUTPUT("{\"type\":\"reasoning\"}," MESSAGE("Fine.")), "none", false},
        {"{}", OUTPUT("{\"type\":\"reasoning\"}"), "empty", false},
        {"{}", OUTPUT(""), "empty", false},
        {"{}", OUTPUT("{\"type\":\"image_generation_call\"}"), "none", false},
        {"{}", "{\"status\":\"queued\",\"output\":[]}", "none", false},
        {"{}", "{\"status\":\"in_progress\",\"output\":[]}", "none", false},
        {"{}", "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
               "\"max_output_tokens\"},\"output\":[" MESSAGE("Fi") "]}", "length", false},
        {"{}", "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
               "\"max_output_tokens\"},\"output\":[" MESSAGE("Fi") "]}", "none", true},
        {"{}", "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
               "\"content_filter\"},\"output\":[]}", "content_filter", false},
        {"{}", OUTPUT("{\"type\":\"message\",\"content\":[{\"type\":\"refusal\",\"refusal\":"
                      "\"No.\"}]}"), "refusal", false},
        {FORMAT("\"type\":\"json_object\""), OUTPUT(MESSAGE("{}")), "none", false},
        {FORMAT("\"type\":\"json_object\""), OUTPUT(MESSAGE("{") "," MESSAGE("}")), "none", false},
        {FORMAT("\"type\":\"json_object\""), OUTPUT(MESSAGE("no")), "json", false},
        {FORMAT("\"type\":\"json_schema\",\"schema\":{\"type\":\"array\"}"), OUTPUT(MESSAGE("{}")),
         "json_schema", false},
        {FORMAT("\"type\":\"json_schema\",\"schema\":{\"type\":\"array\"}"), OUTPUT(MESSAGE("[]")),
         "none", false},
        {"{" FLAT_TOOL "}",
         OUTPUT("{\"type\":\"function_call\",\"name\":\"get\",\"arguments\":\"{\\\"id\\\":1}\"}"),
         "none", false},
        {"{" FLAT_TOOL "}",
         OUTPUT("{\"type\":\"function_call\",\"name\":\"get\",\"arguments\":\"{}\"}"), "tools",
         false},
        {"{" FLAT_TOOL "}",
         OUTPUT("{\"type\":\"function_call\",\"name\":\"put\",\"arguments\":\"{}\"}"), "tools",
         false},
        {"{\"prompt\":{\"id\":\"p\"}}",
         OUTPUT("{\"type\":\"function_call\",\"name\":\"put\",\"arguments\":\"{}\"}"), "none",
         false},
        {"{\"tools\":[{\"type\":\"custom\",\"name\":\"sh\"}]}",
         OUTPUT("{\"type\":\"custom_tool_call\",\"name\":\"sh\",\"input\":\"ls\"}"), "none", false},
        {"{" FLAT_TOOL ",\"tool_choice\":\"required\"}", OUTPUT(MESSAGE("Fine.")), "tools", false},
        {"{" FLAT_TOOL ",\"tool_choice\":\"required\"}",
         OUTPUT("{\"type\":\"web_search_call\"}," MESSAGE("Fine.")), "none", false},
        {"{" FLAT_TOOL ",\"tool_choice\":{\"type\":\"web_search\"}}", OUTPUT(MESSAGE("Fine.")),
         "none", false},
        {"{" FLAT_TOOL ",\"tool_choice\":{\"type\":\"function\",\"name\":\"get\"}}",
         OUTPUT(MESSAGE("Fine.")), "tools", false},
    };
    check(API_RESPONSES, rows, FARTHING_COUNT(rows));
}

#define CONTENT(parts, reason) "{\"content\":[" parts "],\"stop_reason\":\"" reason "\"}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define USE(name, input) "{\"type\":\"tool_use\",\"name\":\"" name "\",\"input\":" input "}"
#define INPUT_TOOL                                                                                 \
    "\"tools\":[{\"name\":\"get\",\"input_schema\":{\"required\":[\"id\"]}},"                      \
    "{\"type\":\"bash_20250124\",\"name\":\"bash\"}]"

static void messages(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{}", CONTENT(TEXT("Fine."), "end_turn"), "none", false},
        {"{}", CONTENT("{\"type\":\"thinking\",\"thinking\":\"hm\"}", "end_turn"), "empty", false},
        {"{}", CONTENT("", "end_turn"), "empty", false},
        {"{}", CONTENT("", "pause_turn"), "none", false},
        {"{}", CONTENT("", "stop_sequence"), "none", false},
        {"{\"stop_sequences\":[\"x\"]}", CONTENT("", "end_turn"), "empty", false},
        {"{}", CONTENT(TEXT("Fi"), "max_tokens"), "length", false},
        {"{}", CONTENT(TEXT("Fi"), "max_tokens"), "none", true},
        {"{}", CONTENT(TEXT("Fi"), "model_context_window_exceeded"), "length", true},
        {"{}", CONTENT(TEXT(""), "refusal"), "refusal", false},
        {"{" INPUT_TOOL "}", CONTENT(USE("get", "{\"id\":1}"), "tool_use"), "none", false},
        {"{" INPUT_TOOL "}", CONTENT(USE("get", "{}"), "tool_use"), "tools", false},
        {"{" INPUT_TOOL "}", CONTENT(USE("bash", "{\"command\":\"ls\"}"), "tool_use"), "none",
         false},
        {"{" INPUT_TOOL "}", CONTENT(USE("put", "{}"), "tool_use"), "tools", false},
        {"{" INPUT_TOOL ",\"tool_choice\":{\"type\":\"any\"}}",
         CONTENT(TEXT("Fine."), "end_turn"), "tools", false},
        {"{" INPUT_TOOL ",\"tool_choice\":{\"type\":\"auto\"}}",
         CONTENT(TEXT("Fine."), "end_turn"), "none", false},
        {"{" INPUT_TOOL ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"get\"}}",
         CONTENT(USE("bash", "{}"), "tool_use"), "tools", false},
        {"{\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":"
         "{\"type\":\"array\"}}}}", CONTENT(TEXT("{}"), "end_turn"), "json_schema", false},
        {"{\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"array\"}}}",
         CONTENT(TEXT("[1") "," TEXT("]"), "end_turn"), "none", false},
    };
    check(API_MESSAGES, rows, FARTHING_COUNT(rows));
}

// ------------------------------------------------------------------- the rest

static void only_the_routes_reasons_are_looked_for(void **state) {
    (void)state;
    static const struct {
        uint32_t reasons;
        const char *request, *answer, *reason;
    } rows[] = {
        {ONLY(LENGTH), "{}", SAYS("", "stop"), "none"},
        {ONLY(EMPTY), "{}", SAYS("a", "length"), "none"},
        {ONLY(EMPTY), SCHEMA, SAYS("{", "stop"), "none"},
        {ONLY(JSON), SCHEMA, SAYS("{}", "stop"), "none"},
        {ONLY(JSON), SCHEMA, SAYS("{", "stop"), "json"},
        {ONLY(JSON_SCHEMA), SCHEMA, SAYS("{", "stop"), "json_schema"},
        {ONLY(JSON_SCHEMA), SCHEMA, SAYS("", "stop"), "json_schema"},
        {ONLY(JSON_SCHEMA), OBJECT, SAYS("{", "stop"), "none"},
        {ONLY(LENGTH), "{}", CALLS("x", "{}"), "none"},
        {ONLY(TOOLS), "{}", CALLS("x", "{}"), "tools"},
        {ONLY(LENGTH), "{}", SAYS("I can't help with that.", "stop"), "none"},
        {ONLY(LENGTH), "{}", SAYS("a", "content_filter"), "none"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct config_route route = every_reason();
        route.escalate_on = rows[i].reasons;
        struct bench b;
        bench_begin(&b, route);
        assert_string_equal(
            judged(&b, API_CHAT_COMPLETIONS, rows[i].request, rows[i].answer, false),
            rows[i].reason);
        bench_end(&b);
    }
}

static void without_a_reason_there_is_no_gate(void **state) {
    (void)state;
    struct config_route route = every_reason();
    struct bench b;
    bench_begin(&b, route);
    assert_null(gate_for(&b, API_EMBEDDINGS, "{}"));
    assert_null(gate_for(&b, API_OTHER, "{}"));
    b.route.escalate_on = ONLY(ERROR) | ONLY(TIMEOUT) | ONLY(CONTEXT);
    assert_null(gate_for(&b, API_CHAT_COMPLETIONS, "{}"));
    struct json_doc *doc = parsed("{}");
    assert_null(gate_new(NULL, NULL, API_CHAT_COMPLETIONS, doc, b.arena));
    struct gate_result r = gate_judge(NULL, doc, false, b.arena);
    assert_int_equal(r.reason, GATE_NONE);
    assert_int_equal(gate_judge_text(NULL, SLICE("a"), b.arena).reason, GATE_NONE);
    // Without a book: no patterns, all else.
    b.route.escalate_on = ALL_REASONS;
    const struct gate *g = gate_new(NULL, &b.route, API_CHAT_COMPLETIONS, doc, b.arena);
    assert_int_equal(gate_judge(g, doc, false, b.arena).reason, CONFIG_ESCALATE_EMPTY);
    assert_int_equal(gate_judge_text(g, SLICE("I can't help with that."), b.arena).reason,
                     GATE_NONE);
    json_doc_free(doc);
    bench_end(&b);
    gate_book_free(NULL);
}

static void violations_say_what_to_do(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer, *words;
    } rows[] = {
        {SCHEMA, SAYS("{\\\"b\\\":1}", "stop"),
         "The answer does not fit the JSON schema: the whole value: expected the member \"a\", "
         "which is missing."},
        {OBJECT, SAYS("```\\n{}", "stop"),
         "The answer is JSON in a code fence: give the JSON alone."},
        {OBJECT, SAYS("[]", "stop"), "The answer is JSON but not an object, as was asked for."},
        {"{" TOOL "}", CALLS("get", "{\\\"id\\\":null}"),
         "The arguments of the tool \"get\" do not fit its schema: /id: expected an integer, got "
         "null."},
        {"{" TOOL "}", CALLS("put", "{}"), "The tool \"put\" was called, which was not offered."},
        {"{" TOOL ",\"tool_choice\":\"required\"}", SAYS("a", "stop"),
         "A tool had to be called, and none was."},
    };
    struct bench b;
    bench_begin(&b, every_reason());
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        (void)judged(&b, API_CHAT_COMPLETIONS, rows[i].request, rows[i].answer, false);
        if (!slice_equal(b.violation, slice_of(rows[i].words)))
            fail_msg("[%.*s]", SLICE_ARG(b.violation));
    }
    bench_end(&b);
}

static void every_reason_has_its_word(void **state) {
    (void)state;
    assert_string_equal(gate_reason_name(CONFIG_ESCALATE_ERROR), "error");
    assert_string_equal(gate_reason_name(CONFIG_ESCALATE_JSON_SCHEMA), "json_schema");
    assert_string_equal(gate_reason_name(CONFIG_ESCALATE_CONTEXT), "context");
    assert_string_equal(gate_reason_name(GATE_NONE), "none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_completions),
        cmocka_unit_test(completions),
        cmocka_unit_test(responses),
        cmocka_unit_test(messages),
        cmocka_unit_test(only_the_routes_reasons_are_looked_for),
        cmocka_unit_test(without_a_reason_there_is_no_gate),
        cmocka_unit_test(violations_say_what_to_do),
        cmocka_unit_test(every_reason_has_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
