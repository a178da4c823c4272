// Streams as they pass: what reaches the client, at every split.
#include "chunks.h"

static const struct provider_stream_options chat = {.endpoint = API_CHAT_COMPLETIONS, .n = 1};
static const struct provider_stream_options chat_swallowing = {
    .endpoint = API_CHAT_COMPLETIONS, .n = 1, .swallow_usage = true};

static const struct forwarded {
    const char *name;
    const char *sent;
    const char *wanted; // with swallow_usage; NULL: all of it
} streams[] = {
    {"plain", TEXT("a") TEXT("b") STOP DONE, NULL},
    {"usage last", TEXT("a") STOP USAGE DONE, TEXT("a") STOP DONE},
    {"usage with CRLF",
     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n"
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\r\n\r\ndata: [DONE]\r\n\r\n",
     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n"
     "data: [DONE]\r\n\r\n"},
    {"usage with CR", "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\r\rdata: [DONE]\r\r",
     "data: [DONE]\r\r"},
    {"usage over several lines",
     "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\ndata: x\n\n",
     "data: x\n\n"},
    {"usage without blank", "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n" DONE, DONE},
    {"usage with a comment inside",
     ": c\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n" DONE, DONE},
    {"usage with null choices", EVENT("{\"choices\":null,\"usage\":{\"prompt_tokens\":1}}") DONE,
     DONE},
    {"usage first", USAGE TEXT("a") STOP DONE, TEXT("a") STOP DONE},
    {"usage twice", USAGE USAGE DONE, DONE},
    {"usage as unended event", STOP "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}", STOP},
    {"usage without choices", EVENT("{\"usage\":{\"prompt_tokens\":1}}") DONE, NULL},
    {"usage beside a choice",
     EVENT("{\"choices\":[{\"index\":0,\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}") DONE,
     NULL},
    {"usage null", EVENT("{\"choices\":[],\"usage\":null}") DONE, NULL},
    {"usage of nulls", EVENT("{\"choices\":[],\"usage\":{\"prompt_tokens\":null}}") DONE, NULL},
    {"usage beside an error",
     EVENT("{\"choices\":[],\"usage\":{\"prompt_tokens\":1},\"error\":{\"message\":\"m\"}}"), NULL},
    {"x_groq with a choice",
     EVENT("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
           "\"x_groq\":{\"usage\":{\"prompt_tokens\":1}}}") DONE,
     NULL},
    {"Azure's first event", EVENT("{\"choices\":[],\"prompt_filter_results\":[]}") TEXT("a") DONE,
     NULL},
    {"comments", ": OPENROUTER PROCESSING\n\n" TEXT("a") ":\n\n" STOP DONE, NULL},
    {"other fields", "id: 1\nretry: 5\nevent: e\n" TEXT("a") "\n\n\n" STOP DONE, NULL},
    {"no JSON", "data: {\"choices\":\n\ndata: hello\n\ndata: \xff\n\n" DONE, NULL},
    {"JSON of other kinds", EVENT("[1]") EVENT("\"x\"") EVENT("null") EVENT("7") DONE, NULL},
    {"empty data", "data:\n\ndata: \n\n" TEXT("a") STOP DONE, NULL},
    {"BOM", "\xef\xbb\xbf" TEXT("a") STOP DONE, NULL},
    {"unended event", TEXT("a") "data: {\"choices\":[]}", NULL},
    {"unended [DONE]", TEXT("a") STOP "data: [DONE]", NULL},
    {"after [DONE]", STOP DONE "\n\n" TEXT("b"), NULL},
    {"nothing", "", NULL},
    {"hostile shapes",
     EVENT("{\"choices\":[1,null,[],\"x\",{}],\"usage\":7,\"x_groq\":[]}")
         EVENT("{\"choices\":{\"a\":[]},\"id\":{},\"model\":[],\"error\":[]}")
             EVENT("{\"choices\":[{\"index\":-1},{\"index\":1e9},{\"index\":1.5},{\"delta\":[1]},"
                   "{\"delta\":\"x\"},{\"delta\":{\"tool_calls\":{}}}]}"),
     NULL},
};

static void check_forwarded(const struct forwarded *f, const struct hearing *h, bool swallowing) {
    const char *wanted = swallowing && f->wanted != NULL ? f->wanted : f->sent;
    assert_bytes(buffer_slice(&h->bytes), slice_of(wanted), f->name);
}

static void in_pieces(const struct forwarded *f, const struct provider_stream_options *options) {
    for (size_t piece = 0; piece < 4; piece++) {
        struct hearing h = hear_all(options, slice_of(f->sent), piece);
        check_forwarded(f, &h, options->swallow_usage);
        hearing_free(&h);
    }
}

static void split_in_two(const struct forwarded *f, const struct provider_stream_options *options) {
    struct slice text = slice_of(f->sent);
    for (size_t at = 0; at <= text.len; at++) {
        struct hearing h = hear(options);
        assert_true(feed_piece(&h, slice_make(text.ptr, at)));
        assert_true(feed_piece(&h, slice_from(text, at)));
        hear_end(&h);
        check_forwarded(f, &h, options->swallow_usage);
        hearing_free(&h);
    }
}

static void every_byte_passes_but_the_usage_event(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(streams); i++) {
        struct provider_stream_options assembling = chat_swallowing;
        assembling.assemble = true;
        in_pieces(&streams[i], &chat);
        in_pieces(&streams[i], &assembling);
        split_in_two(&streams[i], &chat);
        split_in_two(&streams[i], &chat_swallowing);
        split_in_two(&streams[i], &assembling);
    }
}

static void other_endpoints_swallow_nothing(void **state) {
    (void)state;
    static const enum api_endpoint endpoints[] = {API_RESPONSES, API_MESSAGES, API_EMBEDDINGS,
                                                  API_MODELS, API_OTHER};
    for (size_t e = 0; e < FARTHING_COUNT(endpoints); e++)
        for (size_t i = 0; i < FARTHING_COUNT(streams); i++) {
            const struct provider_stream_options options = {
                .endpoint = endpoints[e], .swallow_usage = true, .assemble = true};
            struct hearing h = hear_all(&options, slice_of(streams[i].sent), 0);
            assert_bytes(buffer_slice(&h.bytes), slice_of(streams[i].sent), streams[i].name);
            hearing_free(&h);
        }
}

// It would swallow the error event that has to follow it.
static void half_an_event_is_not_passed_on(void **state) {
    (void)state;
    static const char *const halves[] = {"data: {\"choices\"", "data: [DO", "event: mess", ": so",
                                         "data: {\"a\":1}\ndata: {", "id: 1\n"};
    for (size_t i = 0; i < FARTHING_COUNT(halves); i++) {
        struct hearing h = hear(&chat);
        assert_true(feed_piece(&h, SLICE(TEXT("a"))));
        assert_true(feed_piece(&h, slice_of(halves[i])));
        hear_end(&h);
        assert_text(buffer_slice(&h.bytes), TEXT("a"));
        hearing_free(&h);
    }
}

static void no_event_is_held_back(void **state) {
    (void)state;
    struct hearing h = hear(&chat);
    assert_true(feed_piece(&h, SLICE(TEXT("a") "data: {")));
    assert_text(buffer_slice(&h.bytes), TEXT("a"));
    hearing_free(&h);
}

static void events_of_one_read_are_one_piece(void **state) {
    (void)state;
    struct hearing h = hear(&chat);
    assert_true(feed_piece(&h, SLICE(TEXT("a") TEXT("b") ": c\n\n" STOP)));
    assert_int_equal(h.emit_count, 1);
    assert_true(feed_piece(&h, SLICE(TEXT("a") DONE)));
    assert_int_equal(h.emit_count, 3);
    hearing_free(&h);
}

static void an_event_that_is_too_large_fails(void **state) {
    (void)state;
    const struct provider_stream_options options = {
        .endpoint = API_CHAT_COMPLETIONS, .max_event_bytes = 32, .assemble = true};
    struct hearing h = hear(&options);
    struct error err;
    assert_true(feed_piece(&h, SLICE("data: 1\n\n")));
    assert_false(provider_stream_feed(h.stream, SLICE(TEXT("a")), on_heard, &h, &err));
    assert_non_null(strstr(err.text, "too large"));
    assert_false(feed_piece(&h, SLICE(DONE)));
    hear_end(&h);
    assert_text(buffer_slice(&h.bytes), "data: 1\n\n");
    hearing_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_passes_but_the_usage_event),
        cmocka_unit_test(other_endpoints_swallow_nothing),
        cmocka_unit_test(half_an_event_is_not_passed_on),
        cmocka_unit_test(no_event_is_held_back),
        cmocka_unit_test(events_of_one_read_are_one_piece),
        cmocka_unit_test(an_event_that_is_too_large_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
