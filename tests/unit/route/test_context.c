// Context budgets: what counts as which part, what each action does.
#include "context_fixture.h"

#define MARKED            "<documents>Paris is in France."
#define USE(id)                                                                                    \
    "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"look\",\"input\":{\"n\":1}}"
#define USED(id)                                                                                   \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":\"it is 42\"}"
#define TEXT(text)        "{\"type\":\"text\",\"text\":\"" text "\"}"
#define SAYS(role, parts) "{\"role\":\"" role "\",\"content\":[" parts "]}"
#define FUNCTION_CALL(id)                                                                          \
    "{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":\"look\",\"arguments\":\"{}\"}"
#define FUNCTION_OUTPUT(id)                                                                        \
    "{\"type\":\"function_call_output\",\"call_id\":\"" id "\",\"output\":\"it is 42\"}"
#define REASONING "{\"type\":\"reasoning\",\"id\":\"r\",\"summary\":[" TEXT("so it is") "]}"

static const struct slice marker_list[] = {
    {"Sources:", 8}, {"<documents>", 11}, {"\"\xC3\xA9\xF0\x9F\x98\x80", 7}};
static const struct config_slices markers = {marker_list, FARTHING_COUNT(marker_list)};

// ----------------------------------------------------------------------- parts

// By part the messages that it should consist of, as a list; NULL: nothing.
static const struct {
    const char *what;
    enum api_endpoint endpoint;
    const char *request;
    const char *parts[CONFIG_CONTEXT_TOTAL];
} parts[] = {
    {"a question alone is in the total only", CHAT, "{\"messages\":[" USER("1") "]}", {NULL}},
    {"roles",
     CHAT,
     "{\"messages\":[" SYSTEM "," DEVELOPER "," USER("1") "," ASSISTANT("1") "," USER("2") "]}",
     {[CONFIG_CONTEXT_SYSTEM] = "[" SYSTEM "]",
      [CONFIG_CONTEXT_DEVELOPER] = "[" DEVELOPER "]",
      [CONFIG_CONTEXT_HISTORY] = "[" USER("1") "," ASSISTANT("1") "]"}},
    {"system messages later on",
     CHAT,
     "{\"messages\":[" USER("1") "," SYSTEM "," ASSISTANT("1") "," USER("2") "," SYSTEM "]}",
     {[CONFIG_CONTEXT_SYSTEM] = "[" SYSTEM "," SYSTEM "]",
      [CONFIG_CONTEXT_HISTORY] = "[" USER("1") "," ASSISTANT("1") "]"}},
    {"calls and results, also of the turn that goes on",
     CHAT,
     "{\"messages\":[" USER("1") "," CALL("a") "," RESULT(
         "a") "],\"tools\":[{\"type\":\"function\"}]}",
     {[CONFIG_CONTEXT_HISTORY] = "[" CALL("a") "]",
      [CONFIG_CONTEXT_TOOL_RESULTS] = "[" RESULT("a") "]"}},
    {"old functions",
     CHAT,
     "{\"messages\":[" USER(
         "1") ",{\"role\":\"function\",\"name\":\"context\",\"content\":\"42\"}]}",
     {[CONFIG_CONTEXT_TOOL_RESULTS] =
          "[{\"role\":\"function\",\"name\":\"context\",\"content\":\"42\"}]"}},
    {"several messages of one question",
     CHAT,
     "{\"messages\":[" USER("1") "," ASSISTANT("1") "," USER("2") "," SYSTEM "," USER("3") "]}",
     {[CONFIG_CONTEXT_SYSTEM] = "[" SYSTEM "]",
      [CONFIG_CONTEXT_HISTORY] = "[" USER("1") "," ASSISTANT("1") "]"}},
    {"what is marked is retrieved",
     CHAT,
     "{\"messages\":[" ROLE("system", MARKED) "," ROLE("user", MARKED) "," USER("1") "]}",
     {[CONFIG_CONTEXT_RETRIEVED] = "[" ROLE("system", MARKED) "," ROLE("user", MARKED) "]"}},
    {"also results of tools",
     CHAT,
     "{\"messages\":[" CALL(
         "a") ",{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"Sources: x\"}]}",
     {[CONFIG_CONTEXT_HISTORY] = "[" CALL("a") "]",
      [CONFIG_CONTEXT_RETRIEVED] =
          "[{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"Sources: x\"}]"}},
    {"by escapes, too",
     CHAT,
     "{\"messages\":[" ROLE("user", "\\u003cdocu\\u006dents\\u003E x") "," ASSISTANT("1") "," ROLE(
         "assistant", "\\\"\\u00e9\\ud83d\\ude00") "," USER("1") "]}",
     {[CONFIG_CONTEXT_RETRIEVED] = "[" ROLE("user", "\\u003cdocu\\u006dents\\u003E x") "," ROLE(
          "assistant", "\\\"\\u00e9\\ud83d\\ude00") "]",
      [CONFIG_CONTEXT_HISTORY] = "[" ASSISTANT("1") "]"}},
    {"not within a text",
     CHAT,
     "{\"messages\":[" ROLE("user", " " MARKED) "," ROLE("assistant",
                                                         "<documents") "," USER("1") "]}",
     {[CONFIG_CONTEXT_HISTORY] =
          "[" ROLE("user", " " MARKED) "," ROLE("assistant", "<documents") "]"}},
    {"by name",
     CHAT,
     "{\"messages\":[{\"role\":\"user\",\"name\":\"documents\",\"content\":\"Paris\"}," USER(
         "1") "]}",
     {[CONFIG_CONTEXT_RETRIEVED] =
          "[{\"role\":\"user\",\"name\":\"documents\",\"content\":\"Paris\"}]"}},
    {"one part of a message",
     CHAT,
     "{\"messages\":[" SAYS("user",
                            TEXT(MARKED) "," TEXT("Where?")) "," ASSISTANT("1") "," USER("2") "]}",
     {[CONFIG_CONTEXT_RETRIEVED] = "[" TEXT(MARKED) "]",
      [CONFIG_CONTEXT_HISTORY] = "[" SAYS("user", TEXT("Where?")) "," ASSISTANT("1") "]"}},
    {"responses: a string",
     API_RESPONSES,
     "{\"input\":\"What is it?\",\"instructions\":\"Be brief.\"}",
     {[CONFIG_CONTEXT_SYSTEM] = "[\"Be brief.\"]"}},
    {"responses: items",
     API_RESPONSES,
     "{\"instructions\":\"Be brief.\",\"input\":[" SYSTEM
     "," USER("1") "," REASONING "," FUNCTION_CALL("a") "," FUNCTION_OUTPUT("a") "," USER("2") "]}",
     {[CONFIG_CONTEXT_SYSTEM] = "[\"Be brief.\"," SYSTEM "]",
      [CONFIG_CONTEXT_HISTORY] = "[" USER("1") "," REASONING "," FUNCTION_CALL("a") "]",
      [CONFIG_CONTEXT_TOOL_RESULTS] = "[" FUNCTION_OUTPUT("a") "]"}},
    {"messages: system as blocks, one of them marked",
     API_MESSAGES,
     "{\"system\":[" TEXT("Be brief.") "," TEXT(MARKED) "],\"messages\":[" USER("1") "]}",
     {[CONFIG_CONTEXT_SYSTEM] = "[" TEXT("Be brief.") "]",
      [CONFIG_CONTEXT_RETRIEVED] = "[" TEXT(MARKED) "]"}},
    {"messages: results are user's messages",
     API_MESSAGES,
     "{\"system\":\"Be brief.\",\"messages\":[" USER("1") "," SAYS("assistant", USE("a")) "," SAYS(
         "user", USED("a") "," TEXT("go on")) "]}",
     {[CONFIG_CONTEXT_SYSTEM] = "[\"Be brief.\"]",
      [CONFIG_CONTEXT_HISTORY] = "[" SAYS("assistant", USE("a")) "]",
      [CONFIG_CONTEXT_TOOL_RESULTS] = "[" SAYS("user", USED("a") "," TEXT("go on")) "]"}},
    {"completions have a total", API_COMPLETIONS, "{\"prompt\":\"Once upon a time\"}", {NULL}},
    {"embeddings have a total", API_EMBEDDINGS, "{\"input\":[\"one\",\"two\"]}", {NULL}},
    {"no messages", CHAT, "{\"messages\":\"none\"}", {NULL}},
    {"odd messages",
     CHAT,
     "{\"messages\":[1,\"two\",null,[],{}]}",
     {[CONFIG_CONTEXT_HISTORY] = "[1,\"two\",null,[],{}]"}},
    {"no object", CHAT, "[1]", {NULL}},
};

static int64_t tokens_of(const char *list) {
    if (list == NULL)
        return 0;
    struct json_doc *doc = parse_new(slice_of(list));
    int64_t tokens = 0;
    for (json_ref r = json_first(doc, JSON_ROOT); r != JSON_NONE; r = json_next(doc, JSON_ROOT, r))
        tokens += estimate_value(doc, r);
    json_doc_free(doc);
    return tokens;
}

static void every_message_is_one_part(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(parts); i++) {
        struct slice text = slice_of(parts[i].request);
        struct route_context got = measured(parts[i].endpoint, text, &markers);
        for (size_t p = 0; p < CONFIG_CONTEXT_TOTAL; p++)
            if (got.tokens[p] != tokens_of(parts[i].parts[p]))
                fail_msg("%s: part %zu has %lld tokens, not %lld", parts[i].what, p,
                         (long long)got.tokens[p], (long long)tokens_of(parts[i].parts[p]));
        struct json_doc *doc = parse_new(text);
        assert_int_equal(got.tokens[CONFIG_CONTEXT_TOTAL], estimate_input(parts[i].endpoint, doc));
        json_doc_free(doc);
    }
}

// A name or a marker is no way around the budget for history where there is none
// for what is retrieved.
static void without_its_budget_nothing_is_retrieved(void **state) {
    (void)state;
    struct slice text =
        SLICE("{\"messages\":[" ROLE("user", MARKED) "," ASSISTANT("1") "," USER("2") "]}");
    struct route_context got = measured(CHAT, text, NULL);
    assert_int_equal(got.tokens[CONFIG_CONTEXT_RETRIEVED], 0);
    assert_int_equal(got.tokens[CONFIG_CONTEXT_HISTORY],
                     tokens_of("[" ROLE("user", MARKED) "," ASSISTANT("1") "]"));
}

static void figures_are_scaled(void **state) {
    (void)state;
    struct slice text = SLICE("{\"messages\":[" SYSTEM "," USER("1") "]}");
    int64_t raw = measured(CHAT, text, NULL).tokens[CONFIG_CONTEXT_TOTAL];
    const struct config_context budget = {.part = CONFIG_CONTEXT_TOTAL, .max_tokens = raw / 2};
    struct scene s = scene_scaled(CHAT, text, 500, &budget, 1);
    assert_int_equal(s.result.verdict, ROUTE_CONTEXT_FITS);
    assert_int_equal(s.result.before.tokens[CONFIG_CONTEXT_TOTAL], raw / 2);
    scene_end(&s);
    s = scene_scaled(CHAT, text, 2000, &budget, 1);
    assert_int_equal(s.result.verdict, ROUTE_CONTEXT_REJECTED);
    assert_int_equal(s.result.before.tokens[CONFIG_CONTEXT_TOTAL], raw * 2);
    scene_end(&s);
}

static void without_budgets_nothing_is_measured(void **state) {
    (void)state;
    struct scene s = scene_of(CHAT, SLICE("{\"messages\":[" USER("1") "]}"), NULL, 0);
    assert_int_equal(s.result.verdict, ROUTE_CONTEXT_FITS);
    assert_int_equal(s.result.before.tokens[CONFIG_CONTEXT_TOTAL], 0);
    route_context_apply(NULL, CHAT, s.doc, 1000, NULL, &s.result);
    assert_int_equal(s.result.verdict, ROUTE_CONTEXT_FITS);
    scene_end(&s);
}

// --------------------------------------------------------------------- actions

// Budgets by part of one request that has something of each: LESS is one token less
// than what it has.
enum { NONE, ENOUGH, LESS };
#define REJECT CONFIG_CONTEXT_REJECT
#define WARN   CONFIG_CONTEXT_WARN
#define TRIM   CONFIG_CONTEXT_TRIM_OLDEST

static const struct {
    struct {
        int room;
        enum config_context_action action;
    } budgets[CONFIG_CONTEXT_PART_COUNT];
    enum route_context_verdict verdict;
    int over; // part; -1: none
} verdicts[] = {
    {{[CONFIG_CONTEXT_SYSTEM] = {ENOUGH, REJECT}}, ROUTE_CONTEXT_FITS, -1},
    {{[CONFIG_CONTEXT_SYSTEM] = {LESS, REJECT}}, ROUTE_CONTEXT_REJECTED, CONFIG_CONTEXT_SYSTEM},
    {{[CONFIG_CONTEXT_SYSTEM] = {LESS, WARN}}, ROUTE_CONTEXT_WARNS, CONFIG_CONTEXT_SYSTEM},
    {{[CONFIG_CONTEXT_DEVELOPER] = {LESS, REJECT}},
     ROUTE_CONTEXT_REJECTED,
     CONFIG_CONTEXT_DEVELOPER},
    {{[CONFIG_CONTEXT_RETRIEVED] = {LESS, REJECT}},
     ROUTE_CONTEXT_REJECTED,
     CONFIG_CONTEXT_RETRIEVED},
    {{[CONFIG_CONTEXT_TOOL_RESULTS] = {LESS, REJECT}},
     ROUTE_CONTEXT_REJECTED,
     CONFIG_CONTEXT_TOOL_RESULTS},
    {{[CONFIG_CONTEXT_HISTORY] = {LESS, REJECT}}, ROUTE_CONTEXT_REJECTED, CONFIG_CONTEXT_HISTORY},
    {{[CONFIG_CONTEXT_HISTORY] = {LESS, TRIM}}, ROUTE_CONTEXT_TRIMMED, CONFIG_CONTEXT_HISTORY},
    {{[CONFIG_CONTEXT_TOTAL] = {ENOUGH, TRIM}}, ROUTE_CONTEXT_FITS, -1},
    {{[CONFIG_CONTEXT_TOTAL] = {LESS, TRIM}}, ROUTE_CONTEXT_TRIMMED, CONFIG_CONTEXT_TOTAL},
    // The first of several that say the same.
    {{[CONFIG_CONTEXT_SYSTEM] = {LESS, WARN}, [CONFIG_CONTEXT_TOTAL] = {LESS, WARN}},
     ROUTE_CONTEXT_WARNS,
     CONFIG_CONTEXT_SYSTEM},
    {{[CONFIG_CONTEXT_SYSTEM] = {LESS, REJECT}, [CONFIG_CONTEXT_DEVELOPER] = {LESS, REJECT}},
     ROUTE_CONTEXT_REJECTED,
     CONFIG_CONTEXT_SYSTEM},
    // Rejecting beats trimming beats warning, wherever they stand.
    {{[CONFIG_CONTEXT_SYSTEM] = {LESS, WARN}, [CONFIG_CONTEXT_TOOL_RESULTS] = {LESS, REJECT}},
     ROUTE_CONTEXT_REJECTED,
     CONFIG_CONTEXT_TOOL_RESULTS},
    {{[CONFIG_CONTEXT_HISTORY] = {LESS, TRIM}, [CONFIG_CONTEXT_RETRIEVED] = {LESS, REJECT}},
     ROUTE_CONTEXT_REJECTED,
     CONFIG_CONTEXT_RETRIEVED},
    {{[CONFIG_CONTEXT_SYSTEM] = {LESS, WARN}, [CONFIG_CONTEXT_HISTORY] = {LESS, TRIM}},
     ROUTE_CONTEXT_TRIMMED,
     CONFIG_CONTEXT_HISTORY},
    // What history's budget has trimmed, the total finds gone.
    {{[CONFIG_CONTEXT_HISTORY] = {LESS, TRIM}, [CONFIG_CONTEXT_TOTAL] = {LESS, REJECT}},
     ROUTE_CONTEXT_TRIMMED,
     CONFIG_CONTEXT_HISTORY},
};

static void the_strictest_verdict_counts(void **state) {
    (void)state;
    struct slice text =
        SLICE("{\"messages\":[" SYSTEM "," DEVELOPER "," USER("1") "," ASSISTANT("1") "," USER(
            "2") "," CALL("a") "," RESULT("a") "," USER("3") "," ROLE("user", MARKED) "]}");
    struct route_context has = measured(CHAT, text, &markers);
    for (size_t i = 0; i < FARTHING_COUNT(verdicts); i++) {
        struct config_context budgets[CONFIG_CONTEXT_PART_COUNT + 1] = {
            {.part = CONFIG_CONTEXT_RETRIEVED, .max_tokens = INT64_MAX, .markers = markers}};
        size_t count = verdicts[i].budgets[CONFIG_CONTEXT_RETRIEVED].room == NONE ? 1 : 0;
        for (int p = 0; p < CONFIG_CONTEXT_PART_COUNT; p++)
            if (verdicts[i].budgets[p].room != NONE)
                budgets[count++] = (struct config_context){
                    .part = (enum config_context_part)p,
                    .max_tokens = has.tokens[p] - (verdicts[i].budgets[p].room == LESS),
                    .action = verdicts[i].budgets[p].action,
                    .keep_turns = 2,
                    .markers = markers,
                };
        struct scene s = scene_of(CHAT, text, budgets, count);
        int over = s.result.over == NULL ? -1 : (int)s.result.over->part;
        if (s.result.verdict != verdicts[i].verdict || over != verdicts[i].over)
            fail_msg("row %zu: verdict %d over %d", i, (int)s.result.verdict, over);
        assert_int_equal(s.result.trimmed_messages,
                         s.result.verdict == ROUTE_CONTEXT_TRIMMED ? 2 : 0);
        if (s.result.verdict != ROUTE_CONTEXT_TRIMMED)
            assert_memory_equal(&s.result.before, &s.result.after, sizeof s.result.after);
        scene_end(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_one_part),
        cmocka_unit_test(without_its_budget_nothing_is_retrieved),
        cmocka_unit_test(figures_are_scaled),
        cmocka_unit_test(without_budgets_nothing_is_measured),
        cmocka_unit_test(the_strictest_verdict_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
