// The signals of whole requests, of each endpoint: a row is a body and the figures
// that must come out, every other one being 0.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/classify.h"

enum { NO_CAP = CONFIG_UNSET };

struct scene {
    struct json_doc *doc;
    struct arena *arena;
    struct classify_signals signals;
    struct classify_texts texts;
};

static void begin(struct scene *s, enum api_endpoint e, struct slice body) {
    struct error err;
    s->doc = json_doc_new();
    s->arena = arena_new(512);
    if (!json_parse(s->doc, body, NULL, &err))
        fail_msg("%s: %.*s", err.text, SLICE_ARG(body));
    classify_signals(e, s->doc, 42, s->arena, &s->signals, &s->texts);
}

static void end(struct scene *s) {
    json_doc_free(s->doc);
    arena_free(s->arena);
}

struct row {
    enum api_endpoint endpoint;
    const char *body;
    // "signal=value ..." of those that are not 0, as classify_signals_write names
    // them, and the texts, each behind a bar.
    const char *wanted;
};

static void describe(const struct scene *s, struct buffer *out) {
    for (unsigned i = 0; i < CONFIG_SIGNAL_COUNT; i++) {
        bool unset = i == CONFIG_SIGNAL_OUTPUT_TOKENS || i == CONFIG_SIGNAL_DEADLINE_MS ||
                     i == CONFIG_SIGNAL_PAST_SUCCESS;
        int64_t idle = unset ? NO_CAP : i == CONFIG_SIGNAL_INPUT_TOKENS ? 42 : 0;
        if (s->signals.values[i] != idle)
            buffer_printf(out, "%s=%lld ", classify_signal_name((enum config_signal)i),
                          (long long)s->signals.values[i]);
    }
    if (s->signals.other_parts > 0)
        buffer_printf(out, "other=%lld ", (long long)s->signals.other_parts);
    if (s->signals.json_output)
        BUFFER_LITERAL(out, "json ");
    for (size_t i = 0; i < s->texts.count; i++)
        buffer_printf(out, "|%.*s", SLICE_ARG(s->texts.items[i]));
}

static void check(const struct row *rows, size_t count) {
    struct buffer seen = {0};
    for (size_t i = 0; i < count; i++) {
        struct scene s;
        begin(&s, rows[i].endpoint, slice_of(rows[i].body));
        buffer_clear(&seen);
        describe(&s, &seen);
        if (!slice_equal(buffer_slice(&seen), slice_of(rows[i].wanted)))
            fail_msg("%s\n     is: %.*s\nnot: %s", rows[i].body, SLICE_ARG(buffer_slice(&seen)),
                     rows[i].wanted);
        end(&s);
    }
    buffer_free(&seen);
}

#define CHAT(messages) API_CHAT_COMPLETIONS, "{\"messages\":[" messages "]}"
#define USER(text)      "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define PART(body)      "{\"role\":\"user\",\"content\":[" body "]}"

static void chats(void **state) {
    (void)state;
    static const struct row rows[] = {
        {CHAT(""), ""},
        {CHAT(USER("hi")), "turns=1 |hi"},
        {CHAT(USER("")), "turns=1 "},
        {CHAT("{\"role\":\"system\",\"content\":\"why? 7\"}," USER("hi")), "turns=1 |hi"},
        {CHAT("{\"role\":\"developer\",\"content\":\"why?\"}"), ""},
        {CHAT(USER("a") "," ASSISTANT("why?") "," USER("b")), "turns=2 |a|b"},
        {CHAT(USER("a") "," USER("b") "," ASSISTANT("x")), "turns=1 |a|b"},
        {CHAT(USER("a\\nb \\u0416 \\\"?\\\"")), "turns=1 questions=1 |a\nb \xD0\x96 \"?\""},
        {CHAT(PART("{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}")),
         "turns=1 |a|b"},
        {CHAT(PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}},"
                   "{\"type\":\"input_audio\"},{\"type\":\"file\"},{\"type\":\"other\"}")),
         "turns=1 images=1 other=2 "},
        {CHAT("{\"role\":\"assistant\",\"tool_calls\":[{}]},"
              "{\"role\":\"tool\",\"content\":\"why?\"},{\"role\":\"function\",\"content\":\"x\"}"),
         "tool_results=2 "},
        {CHAT("{\"role\":\"tool\",\"content\":[{\"type\":\"image_url\"}]}"),
         "tool_results=1 images=1 "},
        {API_CHAT_COMPLETIONS, "{\"tools\":[{},{}],\"functions\":[{}]}", "tools=3 "},
        {API_CHAT_COMPLETIONS, "{\"max_tokens\":7}", "output_tokens=7 "},
        {API_CHAT_COMPLETIONS, "{\"max_completion_tokens\":9,\"max_tokens\":7}",
         "output_tokens=9 "},
        {API_CHAT_COMPLETIONS, "{\"max_tokens\":null,\"max_completion_tokens\":\"9\"}", ""},
        {API_CHAT_COMPLETIONS, "{\"response_format\":{\"type\":\"json_object\"}}", "json "},
        {API_CHAT_COMPLETIONS, "{\"response_format\":{\"type\":\"text\"}}", ""},
        {API_CHAT_COMPLETIONS,
         "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":{\"type\":\"object\"}}}}",
         "schema_bytes=17 json "},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void other_endpoints(void **state) {
    (void)state;
    static const struct row rows[] = {
        {API_RESPONSES, "{\"input\":\"hi?\"}", "turns=1 questions=1 |hi?"},
        {API_RESPONSES, "{\"instructions\":\"why?\",\"input\":[" USER("a") "]}", "turns=1 |a"},
        {API_RESPONSES,
         "{\"input\":[" PART("{\"type\":\"input_text\",\"text\":\"a\"},{\"type\":\"input_image\"},"
                             "{\"type\":\"input_file\"}") ",{\"type\":\"function_call\"},"
         "{\"type\":\"function_call_output\",\"output\":\"why?\"}," USER("b") "]}",
         "turns=2 tool_results=1 images=1 other=1 |a|b"},
        {API_RESPONSES,
         "{\"input\":[{\"type\":\"computer_call_output\",\"output\":{\"type\":"
         "\"computer_screenshot\"}}]}",
         "tool_results=1 images=1 "},
        {API_RESPONSES,
         "{\"tools\":[{}],\"max_output_tokens\":5,\"text\":{\"format\":{\"type\":\"json_schema\","
         "\"schema\":{}}}}",
         "tools=1 schema_bytes=2 output_tokens=5 json "},
        {API_MESSAGES, "{\"system\":\"why?\",\"max_tokens\":3,\"messages\":[" USER("a") "]}",
         "turns=1 output_tokens=3 |a"},
        {API_MESSAGES,
         "{\"messages\":[" USER("a") "," ASSISTANT("b") ","
         PART("{\"type\":\"tool_result\",\"content\":[{\"type\":\"text\",\"text\":\"why?\"},"
              "{\"type\":\"image\"}]}") "]}",
         "turns=1 tool_results=1 images=1 |a"},
        {API_MESSAGES,
         "{\"messages\":[" PART("{\"type\":\"tool_result\",\"content\":\"x\"},"
                                "{\"type\":\"text\",\"text\":\"go on\"},{\"type\":\"document\"}")
         "]}",
         "turns=1 tool_results=1 other=1 |go on"},
        {API_MESSAGES,
         "{\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}}}",
         "schema_bytes=7 json "},
        {API_MESSAGES, "{\"output_format\":{\"type\":\"json_schema\",\"schema\":{}}}",
         "schema_bytes=2 json "},
        {API_COMPLETIONS, "{\"prompt\":\"a 1\",\"max_tokens\":2}",
         "turns=1 numbers=1 output_tokens=2 |a 1"},
        {API_COMPLETIONS, "{\"prompt\":[\"a\",\"b\",3,[4]]}", "turns=1 |a|b"},
        {API_COMPLETIONS, "{\"prompt\":[1,2]}", "turns=1 "},
        {API_COMPLETIONS, "{}", ""},
        {API_EMBEDDINGS, "{\"input\":[\"a\",\"b\"]}", "turns=1 |a|b"},
        {API_OTHER, "{\"input\":\"a\",\"messages\":[" USER("a") "]}", ""},
        {API_MODELS, "{}", ""},
    };
    check(rows, FARTHING_COUNT(rows));
}

// Whatever stands where something else should: no figure, and no harm.
static void strange_shapes_are_nothing(void **state) {
    (void)state;
    static const struct row rows[] = {
        {API_CHAT_COMPLETIONS, "[]", ""},
        {API_CHAT_COMPLETIONS, "null", ""},
        {API_CHAT_COMPLETIONS, "7", ""},
        {API_CHAT_COMPLETIONS, "{\"messages\":7,\"tools\":{},\"response_format\":[]}", ""},
        {API_CHAT_COMPLETIONS, "{\"messages\":[null,7,\"x\",[],{}]}", ""},
        {CHAT("{\"role\":7,\"content\":\"a\"}"), ""},
        {CHAT("{\"role\":\"user\"}"), "turns=1 "},
        {CHAT("{\"role\":\"user\",\"content\":null}"), "turns=1 "},
        {CHAT("{\"role\":\"user\",\"content\":[]}"), "turns=1 "},
        {CHAT(PART("null,7,\"x\",{\"type\":\"text\"},{\"type\":\"text\",\"text\":7}")),
         "turns=1 "},
        {CHAT("{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"a\"}}"), "turns=1 "},
        {API_CHAT_COMPLETIONS, "{\"max_tokens\":-1}", ""},
        {API_CHAT_COMPLETIONS, "{\"max_tokens\":1e99}", ""},
        {API_RESPONSES, "{\"input\":{},\"text\":[],\"tools\":\"x\"}", "turns=1 "},
        {API_MESSAGES, "{\"messages\":[" PART("{\"type\":\"tool_result\"}") "]}",
         "tool_results=1 "},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void texts_without_escapes_are_not_copied(void **state) {
    (void)state;
    struct slice body = slice_of("{\"messages\":[" USER("plain") "," USER("es\\ncaped") "]}");
    struct scene s;
    begin(&s, API_CHAT_COMPLETIONS, body);
    assert_int_equal(s.texts.count, 2);
    assert_int_equal(s.texts.bytes, 13);
    assert_in_range((uintptr_t)s.texts.items[0].ptr, (uintptr_t)body.ptr,
                    (uintptr_t)body.ptr + body.len);
    end(&s);
}

static void many_texts_are_kept_in_order(void **state) {
    (void)state;
    struct buffer body = {0};
    BUFFER_LITERAL(&body, "{\"prompt\":[\"0\"");
    for (int i = 1; i < 1000; i++)
        buffer_printf(&body, ",\"%d\"", i);
    BUFFER_LITERAL(&body, "]}");
    struct scene s;
    begin(&s, API_COMPLETIONS, buffer_slice(&body));
    assert_int_equal(s.texts.count, 1000);
    for (size_t i = 0; i < 1000; i++) {
        uint64_t n;
        assert_true(slice_to_u64(s.texts.items[i], &n));
        assert_int_equal(n, i);
    }
    assert_int_equal(s.signals.values[CONFIG_SIGNAL_NUMBERS], 1000);
    end(&s);
    buffer_free(&body);
}

static void signals_are_written_as_json(void **state) {
    (void)state;
    struct scene s;
    struct buffer out = {0};
    begin(&s, API_CHAT_COMPLETIONS,
          slice_of("{\"messages\":[" PART("{\"type\":\"text\",\"text\":\"Is \xD0\x96 7?\"},"
                                          "{\"type\":\"file\"}") "],\"response_format\":"
                   "{\"type\":\"json_object\"}}"));
    classify_signals_write(&s.signals, &out);
    struct slice wanted = SLICE("{\"input_tokens\":42,\"turns\":1,\"questions\":1,\"numbers\":1,"
                                "\"other_parts\":1,\"json\":true,"
                                "\"scripts\":[\"latin\",\"cyrillic\"]}");
    if (!slice_equal(buffer_slice(&out), wanted))
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&out)));
    buffer_clear(&out);
    const struct classify_signals none = {.values[CONFIG_SIGNAL_OUTPUT_TOKENS] = NO_CAP,
                                          .values[CONFIG_SIGNAL_PAST_SUCCESS] = NO_CAP};
    classify_signals_write(&none, &out);
    assert_true(slice_equal(buffer_slice(&out), SLICE("{}")));
    buffer_free(&out);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats),
        cmocka_unit_test(other_endpoints),
        cmocka_unit_test(strange_shapes_are_nothing),
        cmocka_unit_test(texts_without_escapes_are_not_copied),
        cmocka_unit_test(many_texts_are_kept_in_order),
        cmocka_unit_test(signals_are_written_as_json),
    };
    return cmocka_run_group_tests_name("route/signals", tests, NULL, NULL);
}
