// Names, paths, credentials, the header fields that pass, and the question for
// usage.
#include "support.h"

static void dialects_are_found_by_name(void **state) {
    (void)state;
    enum provider_dialect d;
    assert_true(provider_dialect_find(SLICE("openai"), &d));
    assert_int_equal(d, PROVIDER_OPENAI);
    assert_true(provider_dialect_find(SLICE("anthropic"), &d));
    assert_int_equal(d, PROVIDER_ANTHROPIC);
    assert_false(provider_dialect_find(SLICE("OpenAI"), &d));
    assert_false(provider_dialect_find(SLICE(""), &d));
}

static void paths_go_below_the_base_url(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"/v1/chat/completions", "/chat/completions"},
        {"/v1/models/a/b", "/models/a/b"},
        {"/v1/", "/"},
        {"/v1", "/v1"},
        {"/v1x/y", "/v1x/y"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_text(provider_path(PROVIDER_OPENAI, slice_of(rows[i][0])), rows[i][1]);
}

static void credentials(void **state) {
    (void)state;
    struct arena *arena = arena_new(64);
    struct api_header out[2];
    assert_int_equal(provider_auth(PROVIDER_OPENAI, SLICE(""), arena, out), 0);
    assert_int_equal(provider_auth(PROVIDER_OPENAI, SLICE("k"), arena, out), 1);
    assert_text(out[0].name, "Authorization");
    assert_text(out[0].value, "Bearer k");
    assert_int_equal(provider_auth(PROVIDER_ANTHROPIC, SLICE("k"), arena, out), 1);
    assert_text(out[0].name, "x-api-key");
    assert_text(out[0].value, "k");
    arena_free(arena);
}

static const struct {
    const char *name;
    bool to_provider, to_client;
} fields[] = {
    {"content-type", true, true},
    {"Content-Type", true, true},
    {"accept", true, false},
    {"user-agent", true, false},
    {"openai-organization", true, true},
    {"OpenAI-Beta", true, true},
    {"openai-processing-ms", true, true},
    {"openai-", true, true},
    {"openai", false, false},
    {"anthropic-version", true, true},
    {"anthropic-ratelimit-requests-remaining", true, true},
    {"x-stainless-retry-count", true, false},
    {"traceparent", true, false},
    {"idempotency-key", true, false},
    {"x-request-id", true, true},
    {"x-goog-user-project", true, true},
    {"retry-after", false, true},
    {"Retry-After-Ms", false, true},
    {"x-should-retry", false, true},
    {"x-ratelimit-limit-requests", false, true},
    {"request-id", false, true},
    {"cf-ray", false, true},
    {"location", false, true},
    // Credentials.
    {"authorization", false, false},
    {"Authorization", false, false},
    {"x-api-key", false, false},
    {"api-key", false, false},
    {"cookie", false, false},
    {"set-cookie", false, false},
    {"proxy-authorization", false, false},
    // Of the connection, or made anew.
    {"connection", false, false},
    {"transfer-encoding", false, false},
    {"keep-alive", false, false},
    {"host", false, false},
    {"content-length", false, false},
    {"content-encoding", true, false},
    {"accept-encoding", false, false},
    {"expect", false, false},
    {"date", false, false},
    {"server", false, false},
    {"x-forwarded-for", false, false},
    {"x-farthing-feature", false, false},
    {"X-Farthing-Cache", false, false},
    {"", false, false},
};

static void fields_that_pass(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(fields); i++) {
        struct slice name = slice_of(fields[i].name);
        if (provider_request_header_passes(name) != fields[i].to_provider ||
            provider_answer_header_passes(name) != fields[i].to_client)
            fail_msg("%s", fields[i].name);
    }
    assert_false(provider_request_header_passes(SLICE("X-Goog-Api-Key")));
}

static const struct {
    enum provider_dialect dialect;
    enum api_endpoint endpoint;
    const char *request;
    const char *wanted; // NULL: nothing is added
} questions[] = {
    {PROVIDER_OPENAI, API_CHAT_COMPLETIONS, "{\"stream\":true}",
     "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {PROVIDER_OPENAI, API_COMPLETIONS, "{}", "{\"stream_options\":{\"include_usage\":true}}"},
    {PROVIDER_OPENAI, API_CHAT_COMPLETIONS, "{\"stream_options\":null}",
     "{\"stream_options\":{\"include_usage\":true}}"},
    {PROVIDER_OPENAI, API_CHAT_COMPLETIONS, "{\"stream_options\":{}}",
     "{\"stream_options\":{\"include_usage\":true}}"},
    {PROVIDER_OPENAI, API_CHAT_COMPLETIONS,
     "{\"stream_options\":{\"include_usage\":false,\"include_obfuscation\":false}}",
     "{\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}"},
    {PROVIDER_OPENAI, API_CHAT_COMPLETIONS, "{\"stream_options\":{\"include_obfuscation\":true}}",
     "{\"stream_options\":{\"include_obfuscation\":true,\"include_usage\":true}}"},
    {PROVIDER_OPENAI, API_CHAT_COMPLETIONS, "{\"stream_options\":{\"include_usage\":true}}", NULL},
    {PROVIDER_OPENAI, API_RESPONSES, "{\"stream\":true}", NULL},
    {PROVIDER_OPENAI, API_MESSAGES, "{\"stream\":true}", NULL},
    {PROVIDER_ANTHROPIC, API_CHAT_COMPLETIONS, "{\"stream\":true}", NULL},
};

static void asking_for_usage(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(questions); i++) {
        struct json_doc *doc = parsed(slice_of(questions[i].request));
        struct arena *arena = arena_new(256);
        struct json_edits *edits = json_edits_new(doc, arena);
        bool added = provider_ask_usage(questions[i].dialect, questions[i].endpoint, doc, edits);
        const char *wanted = questions[i].wanted;
        assert_int_equal(added, wanted != NULL);
        assert_text(json_edits_apply(edits), wanted != NULL ? wanted : questions[i].request);
        arena_free(arena);
        json_doc_free(doc);
    }
}

static void errors_that_end_a_stream(void **state) {
    (void)state;
    static const struct {
        enum api_endpoint endpoint;
        const char *wanted;
    } rows[] = {
        {API_CHAT_COMPLETIONS, EVENT("{\"error\":{\"message\":\"a "
                                     "\\\"b\\\"\\n\",\"type\":\"upstream_error\",\"param\":null,"
                                     "\"code\":\"upstream_error\"}}")},
        {API_COMPLETIONS, EVENT("{\"error\":{\"message\":\"a "
                                "\\\"b\\\"\\n\",\"type\":\"upstream_error\",\"param\":null,"
                                "\"code\":\"upstream_error\"}}")},
        {API_RESPONSES, NAMED("error", "{\"type\":\"error\",\"code\":\"upstream_error\","
                                       "\"message\":\"a \\\"b\\\"\\n\",\"param\":null,\"error\":{"
                                       "\"message\":\"a \\\"b\\\"\\n\",\"type\":\"upstream_error\","
                                       "\"param\":null,\"code\":\"upstream_error\"}}")},
        {API_MESSAGES, NAMED("error", "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                                      "\"message\":\"a \\\"b\\\"\\n\"}}")},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer out = {0};
        provider_stream_error(rows[i].endpoint, API_ERROR_UPSTREAM_ERROR, SLICE("a \"b\"\n"), &out);
        assert_text(buffer_slice(&out), rows[i].wanted);
        // Our own reader takes it for what it is.
        const struct provider_stream_options options = {.endpoint = rows[i].endpoint};
        struct hearing h = hear_all(&options, buffer_slice(&out), 0);
        assert_true(heard(&h)->is_error);
        assert_text(heard(&h)->answer.error_message, "a \"b\"\n");
        hearing_free(&h);
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialects_are_found_by_name),
        cmocka_unit_test(paths_go_below_the_base_url),
        cmocka_unit_test(credentials),
        cmocka_unit_test(fields_that_pass),
        cmocka_unit_test(asking_for_usage),
        cmocka_unit_test(errors_that_end_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
