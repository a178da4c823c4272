// What whole answers say, one row each.
#include "support.h"

static const struct sample {
    const char *name;
    enum api_endpoint endpoint;
    int64_t n;
    const char *text;
    bool complete, is_error;
    const char *reason, *message, *code;
} samples[] = {
    {"a chat answer", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"index\":0,\"message\":{},\"finish_reason\":\"stop\"}]}", true, false, "stop",
     "", ""},
    {"cut by its length", API_CHAT_COMPLETIONS, 1, "{\"choices\":[{\"finish_reason\":\"length\"}]}",
     true, false, "length", "", ""},
    {"two of two", API_CHAT_COMPLETIONS, 2,
     "{\"choices\":[{\"finish_reason\":\"length\"},{\"finish_reason\":\"stop\"}]}", true, false,
     "length", "", ""},
    {"one of two", API_CHAT_COMPLETIONS, 2, "{\"choices\":[{\"finish_reason\":\"stop\"}]}", false,
     false, "stop", "", ""},
    {"one of two unfinished", API_CHAT_COMPLETIONS, 2,
     "{\"choices\":[{\"finish_reason\":null},{\"finish_reason\":\"stop\"}]}", false, false, "stop",
     "", ""},
    {"more than was asked for, one unfinished", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"finish_reason\":\"stop\"},{}]}", false, false, "stop", "", ""},
    {"an empty reason", API_CHAT_COMPLETIONS, 1, "{\"choices\":[{\"finish_reason\":\"\"}]}", false,
     false, "", "", ""},
    {"a reason that is no text", API_CHAT_COMPLETIONS, 1, "{\"choices\":[{\"finish_reason\":1}]}",
     false, false, "", "", ""},
    {"the provider broke off", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"finish_reason\":\"insufficient_system_resource\"}]}", false, false,
     "insufficient_system_resource", "", ""},
    {"no choices", API_CHAT_COMPLETIONS, 1, "{\"choices\":[]}", false, false, "", "", ""},
    {"choices of another kind", API_CHAT_COMPLETIONS, 1, "{\"choices\":{\"a\":1}}", false, false,
     "", "", ""},
    {"choices null", API_CHAT_COMPLETIONS, 1, "{\"choices\":null}", false, false, "", "", ""},
    {"choices a number", API_CHAT_COMPLETIONS, 1, "{\"choices\":7}", false, false, "", "", ""},
    {"choices of numbers", API_CHAT_COMPLETIONS, 1, "{\"choices\":[7]}", false, false, "", "", ""},
    {"no object", API_CHAT_COMPLETIONS, 1, "[1]", false, false, "", "", ""},
    {"a text completion", API_COMPLETIONS, 1,
     "{\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}]}", true, false, "stop", "", ""},
    {"a response", API_RESPONSES, 1, "{\"status\":\"completed\",\"error\":null}", true, false,
     "stop", "", ""},
    {"a response cut by its length", API_RESPONSES, 1,
     "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}}", false,
     false, "length", "", ""},
    {"a filtered response", API_RESPONSES, 1,
     "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"}}", false,
     false, "content_filter", "", ""},
    {"a response that goes on", API_RESPONSES, 1,
     "{\"status\":\"in_progress\",\"incomplete_details\":null}", false, false, "in_progress", "",
     ""},
    {"a failed response", API_RESPONSES, 1,
     "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"no\"}}", false,
     true, "failed", "no", "server_error"},
    {"a message", API_MESSAGES, 1, "{\"type\":\"message\",\"stop_reason\":\"end_turn\"}", true,
     false, "end_turn", "", ""},
    {"a message without end", API_MESSAGES, 1, "{\"type\":\"message\",\"stop_reason\":null}", false,
     false, "", "", ""},
    {"Anthropic's error", API_MESSAGES, 1,
     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}", false,
     true, "", "busy", ""},
    {"embeddings", API_EMBEDDINGS, 1, "{\"data\":[{\"embedding\":[1]}]}", true, false, "", "", ""},
    {"no embeddings", API_EMBEDDINGS, 1, "{\"data\":[]}", false, false, "", "", ""},
    {"models", API_MODELS, 1, "{\"data\":[{}]}", false, false, "", "", ""},
    {"another", API_OTHER, 1, "{\"status\":\"completed\"}", false, false, "", "", ""},
    {"OpenAI's error", API_CHAT_COMPLETIONS, 1,
     "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"t\",\"param\":null,\"code\":\"c\"}}",
     false, true, "", "a \"b\"", "c"},
    {"an error beside choices", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"finish_reason\":\"stop\"}],\"error\":{\"message\":\"m\",\"code\":502}}",
     false, true, "stop", "m", "502"},
    {"an error that is a text", API_CHAT_COMPLETIONS, 1, "{\"error\":\"out of memory\"}", false,
     true, "", "out of memory", ""},
    {"an error without words", API_CHAT_COMPLETIONS, 1, "{\"error\":{}}", false, true, "", "", ""},
    {"vLLM's older error", API_CHAT_COMPLETIONS, 1,
     "{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}", false,
     true, "", "m", "400"},
    {"no error", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"finish_reason\":\"stop\"}],\"error\":null}", true, false, "stop", "", ""},
    {"an empty error", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"finish_reason\":\"stop\"}],\"error\":\"\"}", true, false, "stop", "", ""},
    {"error: false", API_CHAT_COMPLETIONS, 1,
     "{\"choices\":[{\"finish_reason\":\"stop\"}],\"error\":false}", true, false, "stop", "", ""},
};

static void every_answer(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        struct json_doc *doc = parsed(slice_of(s->text));
        struct arena *arena = arena_new(256);
        struct provider_answer got;
        memset(&got, 0xff, sizeof got);
        provider_read_answer(PROVIDER_OPENAI, s->endpoint, doc, s->n, arena, &got);
        if (got.complete != s->complete || got.is_error != s->is_error)
            fail_msg("%s: complete %d, error %d", s->name, got.complete, got.is_error);
        assert_bytes(got.finish_reason, slice_of(s->reason), s->name);
        assert_bytes(got.error_message, slice_of(s->message), s->name);
        assert_bytes(got.error_code, slice_of(s->code), s->name);
        arena_free(arena);
        json_doc_free(doc);
    }
}

static void head_and_usage(void **state) {
    (void)state;
    static const struct {
        enum api_endpoint endpoint;
        const char *text;
    } rows[] = {
        {API_CHAT_COMPLETIONS, "{\"id\":\"i\",\"model\":\"m\",\"service_tier\":\"flex\","
                               "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"},
        {API_RESPONSES, "{\"id\":\"i\",\"model\":\"m\",\"service_tier\":\"flex\","
                        "\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}"},
        {API_MESSAGES, "{\"id\":\"i\",\"model\":\"m\",\"usage\":{\"input_tokens\":3,"
                       "\"output_tokens\":4,\"service_tier\":\"flex\"}}"},
        {API_OTHER, "{\"id\":\"i\",\"model\":\"m\",\"service_tier\":\"flex\","
                    "\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}"},
    };
    const struct api_usage wanted = {.known = true, .input_tokens = 3, .output_tokens = 4};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct json_doc *doc = parsed(slice_of(rows[i].text));
        struct arena *arena = arena_new(256);
        struct provider_answer got;
        provider_read_answer(PROVIDER_OPENAI, rows[i].endpoint, doc, 1, arena, &got);
        assert_text(got.id, "i");
        assert_text(got.model, "m");
        assert_text(got.service_tier, "flex");
        assert_usage(&got.usage, &wanted, rows[i].text);
        arena_free(arena);
        json_doc_free(doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer),
        cmocka_unit_test(head_and_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
