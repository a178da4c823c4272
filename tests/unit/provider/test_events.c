// What is read of a stream as it passes: usage, reasons, errors, the end.
#include "chunks.h"

static const struct provider_stream_options chat = {.endpoint = API_CHAT_COMPLETIONS, .n = 1};

#define MESSAGE_START(usage)                                                                       \
    NAMED("message_start", "{\"type\":\"message_start\",\"message\":{\"id\":\"c1\",\"model\":"     \
                           "\"m\",\"usage\":" usage "}}")
#define MESSAGE_DELTA(usage)                                                                       \
    NAMED("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}," \
                           "\"usage\":" usage "}")
#define MESSAGE_STOP NAMED("message_stop", "{\"type\":\"message_stop\"}")
#define RESPONSE_END(type, rest)                                                                   \
    NAMED(type, "{\"type\":\"" type "\",\"response\":{\"id\":\"c1\",\"model\":\"m\"," rest "}}")
#define CHUNK_USAGE(usage)                                                                         \
    EVENT("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":" usage "}")

static const struct spelling {
    const char *name;
    enum api_endpoint endpoint;
    const char *text;
    struct api_usage wanted;
} spellings[] = {
    {"in a last event", API_CHAT_COMPLETIONS, TEXT("a") STOP USAGE DONE, USAGE_READ},
    {"in the event that ends", API_CHAT_COMPLETIONS,
     TEXT("a") EVENT("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                     "\"usage\":" USAGE_OBJECT "}") DONE,
     USAGE_READ},
    {"null before", API_CHAT_COMPLETIONS, CHUNK_USAGE("null") STOP USAGE DONE, USAGE_READ},
    {"null after", API_CHAT_COMPLETIONS, USAGE CHUNK_USAGE("null") STOP DONE, USAGE_READ},
    {"nulls after", API_CHAT_COMPLETIONS,
     USAGE CHUNK_USAGE("{\"prompt_tokens\":null,\"completion_tokens\":null}") STOP DONE,
     USAGE_READ},
    {"zeros after", API_CHAT_COMPLETIONS,
     USAGE CHUNK_USAGE("{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}")
         STOP DONE,
     USAGE_READ},
    {"zeros before", API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}") USAGE DONE,
     USAGE_READ},
    {"cumulative",
     API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10}") CHUNK_USAGE(
         "{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}")
         CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}") STOP DONE,
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"cumulative, then all of it again", API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}")
         STOP USAGE DONE,
     USAGE_READ},
    {"the last is smaller, and wins",
     API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":90,\"completion_tokens\":40,\"total_tokens\":130}")
         CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}") DONE,
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"details only before", API_CHAT_COMPLETIONS,
     USAGE CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}") DONE,
     USAGE_READ},
    {"details that become 0",
     API_CHAT_COMPLETIONS,
     USAGE CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":4,"
                       "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                       "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}")
         DONE,
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"an older total is not compared with newer parts",
     API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":40,\"total_tokens\":49}")
         CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":4}") DONE,
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"reasoning beside, cumulative, is added once",
     API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":0,\"total_tokens\":10,"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":1}}")
         CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":13,"
                     "\"completion_tokens_details\":{\"reasoning_tokens\":2}}") DONE,
     {.known = true, .input_tokens = 9, .output_tokens = 4, .reasoning_tokens = 2}},
    {"Groq's", API_CHAT_COMPLETIONS,
     TEXT("a") EVENT("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                     "\"x_groq\":{\"id\":\"r\",\"usage\":" USAGE_OBJECT "}}") DONE,
     USAGE_READ},
    {"Groq's twice", API_CHAT_COMPLETIONS,
     EVENT("{\"choices\":[],\"x_groq\":{\"usage\":" USAGE_OBJECT "},\"usage\":" USAGE_OBJECT "}")
         DONE,
     USAGE_READ},
    {"Moonshot's", API_CHAT_COMPLETIONS,
     EVENT("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\","
           "\"usage\":" USAGE_OBJECT "}]}") DONE,
     USAGE_READ},
    {"DeepSeek's",
     API_CHAT_COMPLETIONS,
     CHUNK_USAGE("{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13,"
                 "\"prompt_cache_hit_tokens\":8,\"prompt_cache_miss_tokens\":1}") DONE,
     {.known = true, .input_tokens = 9, .output_tokens = 4, .cached_tokens = 8}},
    {"after [DONE]", API_CHAT_COMPLETIONS, STOP DONE USAGE, USAGE_READ},
    {"in an unended event", API_CHAT_COMPLETIONS,
     STOP "data: {\"choices\":[],\"usage\":" USAGE_OBJECT "}", USAGE_READ},
    {"none", API_CHAT_COMPLETIONS, TEXT("a") STOP DONE, {.known = false}},
    {"text completions", API_COMPLETIONS,
     EVENT("{\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"}]}") USAGE DONE,
     USAGE_READ},
    {"Anthropic",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":2,\"cache_read_input_tokens\":4,"
                   "\"cache_creation_input_tokens\":3,\"cache_creation\":{"
                   "\"ephemeral_5m_input_tokens\":1,\"ephemeral_1h_input_tokens\":2},"
                   "\"output_tokens\":1}") MESSAGE_DELTA("{\"output_tokens\":4}") MESSAGE_STOP,
     {.known = true,
      .input_tokens = 9,
      .output_tokens = 4,
      .cached_tokens = 4,
      .cache_write_tokens = 3,
      .cache_write_1h_tokens = 2}},
    {"Anthropic, all of it again",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":2,\"cache_read_input_tokens\":4,"
                   "\"cache_creation_input_tokens\":3,\"output_tokens\":1}")
         MESSAGE_DELTA("{\"input_tokens\":2,\"cache_read_input_tokens\":4,"
                       "\"cache_creation_input_tokens\":3,\"output_tokens\":4}") MESSAGE_STOP,
     {.known = true,
      .input_tokens = 9,
      .output_tokens = 4,
      .cached_tokens = 4,
      .cache_write_tokens = 3}},
    {"Anthropic, input again without its cache",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":2,\"cache_read_input_tokens\":7,\"output_tokens\":1}")
         MESSAGE_DELTA("{\"input_tokens\":2,\"output_tokens\":4}") MESSAGE_STOP,
     {.known = true, .input_tokens = 9, .output_tokens = 4, .cached_tokens = 7}},
    {"Anthropic, zeros in the delta",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":2,\"cache_read_input_tokens\":7,\"output_tokens\":1}")
         MESSAGE_DELTA("{\"input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":4}")
             MESSAGE_STOP,
     {.known = true, .input_tokens = 9, .output_tokens = 4, .cached_tokens = 7}},
    {"Anthropic, zeros at the start",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":0,\"output_tokens\":0}") MESSAGE_DELTA(
         "{\"input_tokens\":2,\"cache_read_input_tokens\":7,\"output_tokens\":4}") MESSAGE_STOP,
     {.known = true, .input_tokens = 9, .output_tokens = 4, .cached_tokens = 7}},
    {"Anthropic, nulls in the delta",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":2,\"cache_read_input_tokens\":7,\"output_tokens\":1}")
         MESSAGE_DELTA("{\"input_tokens\":null,\"cache_read_input_tokens\":null,"
                       "\"output_tokens\":4}") MESSAGE_STOP,
     {.known = true, .input_tokens = 9, .output_tokens = 4, .cached_tokens = 7}},
    {"Anthropic, several deltas",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":9,\"output_tokens\":1}")
         MESSAGE_DELTA("{\"output_tokens\":2}") MESSAGE_DELTA("{\"output_tokens\":4}") MESSAGE_STOP,
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"Anthropic, cut before the delta",
     API_MESSAGES,
     MESSAGE_START("{\"input_tokens\":9,\"output_tokens\":1}"),
     {.known = true, .input_tokens = 9, .output_tokens = 1}},
    {"responses",
     API_RESPONSES,
     RESPONSE_END("response.created", "\"usage\":null") RESPONSE_END(
         "response.completed",
         "\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":8},"
         "\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":3},"
         "\"total_tokens\":13}"),
     {.known = true,
      .input_tokens = 9,
      .output_tokens = 4,
      .cached_tokens = 8,
      .reasoning_tokens = 3}},
    {"responses, incomplete",
     API_RESPONSES,
     RESPONSE_END("response.incomplete", "\"usage\":{\"input_tokens\":9,\"output_tokens\":4}"),
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"responses, failed",
     API_RESPONSES,
     RESPONSE_END("response.failed", "\"usage\":{\"input_tokens\":9,\"output_tokens\":4}"),
     {.known = true, .input_tokens = 9, .output_tokens = 4}},
    {"transcriptions",
     API_OTHER,
     EVENT(
         "{\"type\":\"transcript.text.done\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":9,"
         "\"input_token_details\":{\"audio_tokens\":5},\"output_tokens\":4,\"total_tokens\":13}}"),
     {.known = true, .input_tokens = 9, .output_tokens = 4, .input_audio_tokens = 5}},
};

static void usage_in_every_spelling(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(spellings); i++) {
        const struct spelling *s = &spellings[i];
        for (int swallow = 0; swallow < 2; swallow++)
            for (size_t piece = 0; piece < 2; piece++) {
                const struct provider_stream_options options = {.endpoint = s->endpoint,
                                                                .swallow_usage = swallow == 1};
                struct hearing h = hear_all(&options, slice_of(s->text), piece);
                assert_usage(&heard(&h)->answer.usage, &s->wanted, s->name);
                hearing_free(&h);
            }
    }
}

#define CHOICE(index, rest) "{\"index\":" #index "," rest "}"
#define FINISHED(index)     CHOICE(index, "\"delta\":{},\"finish_reason\":\"stop\"")
#define OPEN(index)         CHOICE(index, "\"delta\":{\"content\":\"x\"},\"finish_reason\":null")
#define CHOICES(list)       EVENT("{\"choices\":[" list "]}")

static const struct ending {
    const char *name;
    enum api_endpoint endpoint;
    int64_t n;
    const char *text;
    bool done, complete, is_error;
    const char *reason;
} endings[] = {
    {"whole", API_CHAT_COMPLETIONS, 1, TEXT("a") STOP DONE, true, true, false, "stop"},
    {"n is not said", API_CHAT_COMPLETIONS, 0, TEXT("a") STOP DONE, true, true, false, "stop"},
    {"no [DONE]", API_CHAT_COMPLETIONS, 1, TEXT("a") STOP, false, true, false, "stop"},
    {"cut", API_CHAT_COMPLETIONS, 1, TEXT("a"), false, false, false, ""},
    {"[DONE] without a reason", API_CHAT_COMPLETIONS, 1, TEXT("a") DONE, true, false, false, ""},
    {"only [DONE]", API_CHAT_COMPLETIONS, 1, DONE, true, false, false, ""},
    {"an empty reason", API_CHAT_COMPLETIONS, 1, CHUNK("{}", "\"\"") DONE, true, false, false, ""},
    {"[DONE] without blank", API_CHAT_COMPLETIONS, 1, STOP "data:[DONE]\n\n", true, true, false,
     "stop"},
    {"[DONE] with blanks", API_CHAT_COMPLETIONS, 1, STOP "data:  [DONE] \n\n", true, true, false,
     "stop"},
    {"[DONE] unended", API_CHAT_COMPLETIONS, 1, STOP "data: [DONE]", true, true, false, "stop"},
    {"[DONE] in a text is none", API_CHAT_COMPLETIONS, 1, TEXT("[DONE]"), false, false, false, ""},
    {"two of two", API_CHAT_COMPLETIONS, 2, CHOICES(FINISHED(0)) CHOICES(FINISHED(1)) DONE, true,
     true, false, "stop"},
    {"two at once", API_CHAT_COMPLETIONS, 2, CHOICES(FINISHED(1) "," FINISHED(0)) DONE, true, true,
     false, "stop"},
    {"one of two", API_CHAT_COMPLETIONS, 2, CHOICES(FINISHED(0)) DONE, true, false, false, "stop"},
    {"the same one twice", API_CHAT_COMPLETIONS, 2, CHOICES(FINISHED(0)) CHOICES(FINISHED(0)) DONE,
     true, false, false, "stop"},
    {"one of two unfinished", API_CHAT_COMPLETIONS, 2, CHOICES(FINISHED(0)) CHOICES(OPEN(1)) DONE,
     true, false, false, "stop"},
    {"one more than asked for, unfinished", API_CHAT_COMPLETIONS, 1,
     CHOICES(FINISHED(0)) CHOICES(OPEN(1)) DONE, true, false, false, "stop"},
    {"indices far apart", API_CHAT_COMPLETIONS, 3,
     CHOICES(FINISHED(0)) CHOICES(FINISHED(64)) CHOICES(FINISHED(127)) DONE, true, true, false,
     "stop"},
    {"an index that cannot be", API_CHAT_COMPLETIONS, 1,
     CHOICES(FINISHED(0)) CHOICES(FINISHED(1024)) DONE, true, false, false, "stop"},
    {"the first reason is the answer's", API_CHAT_COMPLETIONS, 1,
     CHUNK("{}", "\"length\"") STOP DONE, true, true, false, "length"},
    {"the provider broke off", API_CHAT_COMPLETIONS, 1, CHUNK("{}", "\"error\"") DONE, true, false,
     false, "error"},
    {"an error", API_CHAT_COMPLETIONS, 1, TEXT("a") EVENT("{\"error\":{\"message\":\"m\"}}"), false,
     false, true, ""},
    {"an error, and [DONE]", API_CHAT_COMPLETIONS, 1,
     TEXT("a") EVENT("{\"error\":{\"message\":\"m\"}}") DONE, true, false, true, ""},
    {"an error that is named", API_CHAT_COMPLETIONS, 1, TEXT("a") NAMED("error", "oops"), false,
     false, true, ""},
    {"error null", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"choices\":[" FINISHED(0) "],\"error\":null}") DONE, true, true, false, "stop"},
    {"a text completion", API_COMPLETIONS, 1,
     EVENT("{\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"length\"}]}") DONE, true,
     true, false, "length"},
    {"a response", API_RESPONSES, 1, RESPONSE_END("response.completed", "\"error\":null"), true,
     true, false, "stop"},
    {"a response, and [DONE]", API_RESPONSES, 1,
     RESPONSE_END("response.completed", "\"error\":null") DONE, true, true, false, "stop"},
    {"a response that goes on", API_RESPONSES, 1, RESPONSE_END("response.created", "\"a\":1"),
     false, false, false, ""},
    {"a response cut by its length", API_RESPONSES, 1,
     RESPONSE_END("response.incomplete",
                  "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"),
     true, false, false, "length"},
    {"a filtered response", API_RESPONSES, 1,
     RESPONSE_END("response.incomplete", "\"incomplete_details\":{\"reason\":\"content_filter\"}"),
     true, false, false, "content_filter"},
    {"a failed response", API_RESPONSES, 1,
     RESPONSE_END("response.failed", "\"error\":{\"code\":\"c\",\"message\":\"m\"}"), true, false,
     true, "error"},
    {"a failed response without words", API_RESPONSES, 1,
     RESPONSE_END("response.failed", "\"error\":null"), true, false, true, "error"},
    {"a response's error event", API_RESPONSES, 1,
     NAMED("error", "{\"type\":\"error\",\"code\":\"c\",\"message\":\"m\",\"param\":null}"), false,
     false, true, ""},
    {"a message", API_MESSAGES, 1,
     MESSAGE_START("{}") NAMED("ping", "{\"type\":\"ping\"}") MESSAGE_DELTA("{}") MESSAGE_STOP,
     true, true, false, "end_turn"},
    {"a message without its end", API_MESSAGES, 1, MESSAGE_START("{}") MESSAGE_DELTA("{}"), false,
     false, false, "end_turn"},
    {"a message without a reason", API_MESSAGES, 1, MESSAGE_START("{}") MESSAGE_STOP, true, false,
     false, ""},
    {"a message's error", API_MESSAGES, 1,
     MESSAGE_START("{}") NAMED("error", "{\"type\":\"error\",\"error\":{\"type\":"
                                        "\"overloaded_error\",\"message\":\"m\"}}"),
     false, false, true, ""},
};

static void check_ending(const struct ending *e, const struct hearing *h) {
    const struct provider_stream_state *state = heard(h);
    if (state->done != e->done || state->answer.complete != e->complete ||
        state->is_error != e->is_error)
        fail_msg("%s: done %d, complete %d, error %d", e->name, state->done, state->answer.complete,
                 state->is_error);
    assert_bytes(state->answer.finish_reason, slice_of(e->reason), e->name);
    if (h->done_count != (e->done ? 1 : 0))
        fail_msg("%s: PROVIDER_EMIT_DONE %zu times", e->name, h->done_count);
}

static void how_streams_end(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(endings); i++) {
        const struct ending *e = &endings[i];
        const struct provider_stream_options options = {
            .endpoint = e->endpoint, .n = e->n, .assemble = true};
        for (size_t piece = 0; piece < 3; piece++) {
            struct hearing h = hear_all(&options, slice_of(e->text), piece);
            struct buffer answer = {0};
            check_ending(e, &h);
            // What is not complete, or an error, is never given to the cache.
            if (provider_stream_answer(h.stream, &answer) && (!e->complete || e->is_error))
                fail_msg("%s: assembled", e->name);
            buffer_free(&answer);
            hearing_free(&h);
        }
    }
}

static void the_end_is_told_with_its_event(void **state) {
    (void)state;
    struct hearing h = hear_all(&chat, SLICE(STOP "data: [DONE]\r\n\r\n"), 0);
    assert_text(buffer_slice(&h.done), "data: [DONE]\r\n\r\n");
    hearing_free(&h);
    h = hear_all(&chat, SLICE(STOP DONE DONE), 0);
    assert_int_equal(h.done_count, 1);
    hearing_free(&h);
}

static void errors_keep_their_words(void **state) {
    (void)state;
    static const struct {
        enum api_endpoint endpoint;
        const char *text, *message, *code;
    } rows[] = {
        {API_CHAT_COMPLETIONS,
         TEXT("a") EVENT("{\"error\":{\"message\":\"no \\\"m\\\"\",\"code\":502}}") TEXT("b"),
         "no \"m\"", "502"},
        {API_RESPONSES,
         NAMED("error", "{\"type\":\"error\",\"code\":\"c\",\"message\":\"m\",\"param\":null}"),
         "m", "c"},
        {API_RESPONSES,
         RESPONSE_END("response.failed", "\"error\":{\"code\":\"c\",\"message\":\"m\"}"), "m", "c"},
        {API_MESSAGES, EVENT("{\"type\":\"error\",\"error\":{\"message\":\"m\"}}"), "m", ""},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct provider_stream_options options = {.endpoint = rows[i].endpoint};
        struct hearing h = hear_all(&options, slice_of(rows[i].text), 1);
        assert_true(heard(&h)->answer.is_error);
        assert_text(heard(&h)->answer.error_message, rows[i].message);
        assert_text(heard(&h)->answer.error_code, rows[i].code);
        hearing_free(&h);
    }
}

static void names_of_the_answer_are_kept(void **state) {
    (void)state;
    static const struct {
        enum api_endpoint endpoint;
        const char *text;
    } rows[] = {
        {API_CHAT_COMPLETIONS,
         EVENT("{\"id\":\"\",\"model\":\"\",\"choices\":[]}") TEXT("a")
             EVENT("{\"id\":\"c2\",\"model\":\"m2\",\"service_tier\":\"flex\",\"choices\":[]}")},
        {API_RESPONSES, RESPONSE_END("response.created", "\"service_tier\":\"auto\"")
                            RESPONSE_END("response.completed", "\"service_tier\":\"flex\"")},
        {API_MESSAGES,
         MESSAGE_START("{\"service_tier\":\"flex\"}") MESSAGE_DELTA("{}") MESSAGE_STOP},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct provider_stream_options options = {.endpoint = rows[i].endpoint};
        struct hearing h = hear_all(&options, slice_of(rows[i].text), 1);
        assert_text(heard(&h)->answer.id, "c1");
        assert_text(heard(&h)->answer.model, "m");
        assert_text(heard(&h)->answer.service_tier, "flex");
        hearing_free(&h);
    }
}

#define CALL(arguments)                                                                            \
    CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"" arguments "\"}}]}", "nul" \
                                                                                             "l")
#define BLOCK_DELTA(delta)                                                                         \
    EVENT("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":" delta "}")

static void first_token_and_bytes(void **state) {
    (void)state;
    static const struct {
        enum api_endpoint endpoint;
        const char *text;
        bool first_token;
        int64_t at_least, at_most;
    } rows[] = {
        {API_CHAT_COMPLETIONS, TEXT(""), false, 0, 0},
        {API_CHAT_COMPLETIONS, CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null"), false, 0,
         0},
        {API_CHAT_COMPLETIONS, CHUNK("{\"role\":\"assistant\",\"content\":null}", "null"), false, 0,
         0},
        {API_CHAT_COMPLETIONS, CHUNK("{\"content\":\"\",\"tool_calls\":[]}", "null"), false, 0, 0},
        {API_CHAT_COMPLETIONS, STOP USAGE, false, 0, 0},
        {API_CHAT_COMPLETIONS, TEXT("abc") TEXT("de"), true, 5, 5},
        {API_CHAT_COMPLETIONS, CHUNK("{\"refusal\":\"no\"}", "null"), true, 2, 2},
        {API_CHAT_COMPLETIONS, CHUNK("{\"reasoning_content\":\"hm\"}", "null"), true, 2, 2},
        {API_CHAT_COMPLETIONS, CALL("{}"), true, 2, 60},
        {API_COMPLETIONS, EVENT("{\"choices\":[{\"index\":0,\"text\":\"\"}]}"), false, 0, 0},
        {API_COMPLETIONS, EVENT("{\"choices\":[{\"index\":0,\"text\":\"abc\"}]}"), true, 3, 3},
        {API_RESPONSES, EVENT("{\"type\":\"response.created\",\"response\":{}}"), false, 0, 0},
        {API_RESPONSES, EVENT("{\"type\":\"response.output_text.delta\",\"delta\":\"\"}"), false, 0,
         0},
        {API_RESPONSES, EVENT("{\"type\":\"response.output_text.delta\",\"delta\":\"abc\"}"), true,
         3, 3},
        {API_RESPONSES,
         EVENT("{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{}\"}"), true, 2,
         2},
        {API_MESSAGES, MESSAGE_START("{}"), false, 0, 0},
        {API_MESSAGES, BLOCK_DELTA("{\"type\":\"text_delta\",\"text\":\"abc\"}"), true, 3, 3},
        {API_MESSAGES, BLOCK_DELTA("{\"type\":\"input_json_delta\",\"partial_json\":\"\"}"), false,
         0, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct provider_stream_options options = {.endpoint = rows[i].endpoint};
        struct hearing h = hear_all(&options, slice_of(rows[i].text), 0);
        int64_t bytes = heard(&h)->output_bytes;
        if (heard(&h)->first_token != rows[i].first_token || bytes < rows[i].at_least ||
            bytes > rows[i].at_most)
            fail_msg("%s: first token %d, %lld bytes", rows[i].text, heard(&h)->first_token,
                     (long long)bytes);
        hearing_free(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_in_every_spelling),        cmocka_unit_test(how_streams_end),
        cmocka_unit_test(the_end_is_told_with_its_event), cmocka_unit_test(errors_keep_their_words),
        cmocka_unit_test(names_of_the_answer_are_kept),   cmocka_unit_test(first_token_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
