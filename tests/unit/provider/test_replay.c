// Whole answers as streams: well-formed, and the same when put together again.
#include "support.h"

#include "answers.h"

static struct buffer replayed(const struct whole_answer *w, struct slice text, bool include_usage) {
    struct buffer out = {0};
    struct error err;
    if (!provider_replay(w->endpoint, text, include_usage, &out, &err))
        fail_msg("%s: %s", w->name, err.text);
    return out;
}

// As OpenAI sends whole answers: a member a line.
static struct buffer with_lines(struct slice text) {
    struct buffer out = {0};
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\') // an escape has no quote that ends a string
            buffer_append_char(&out, text.ptr[i++]);
        else if (c == '"')
            in_string = !in_string;
        buffer_append_char(&out, text.ptr[i]);
        if (!in_string && c != '\\' && strchr("{[,:", c) != NULL)
            BUFFER_LITERAL(&out, "\r\n \r");
    }
    BUFFER_LITERAL(&out, "\n");
    return out;
}

static int64_t choices_of(struct slice text) {
    struct json_doc *doc = parsed(text);
    int64_t n = (int64_t)json_count(doc, json_get(doc, JSON_ROOT, SLICE("choices")));
    json_doc_free(doc);
    return n;
}

// ------------------------------------------------------------- round trip

static void assert_assembled(const struct whole_answer *w, struct slice stream, size_t piece) {
    const struct provider_stream_options options = {
        .endpoint = w->endpoint, .n = choices_of(slice_of(w->text)), .assemble = true};
    struct hearing h = hear_all(&options, stream, piece);
    struct buffer answer = {0};
    if (!provider_stream_answer(h.stream, &answer))
        fail_msg("%s: not assembled from %.*s", w->name, SLICE_ARG(stream));
    assert_same_json(buffer_slice(&answer), slice_of(w->text), w->name);
    assert_true(heard(&h)->done);
    assert_int_equal(h.done_count, 1);
    assert_bytes(buffer_slice(&h.bytes), stream, w->name);
    buffer_free(&answer);
    hearing_free(&h);
}

static void round_trip(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(whole_answers); i++) {
        const struct whole_answer *w = &whole_answers[i];
        struct buffer stream = replayed(w, slice_of(w->text), true);
        for (size_t piece = 0; piece < 3; piece++)
            assert_assembled(w, buffer_slice(&stream), piece * 13);
        buffer_free(&stream);
    }
}

static void round_trip_of_answers_with_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(whole_answers); i++) {
        const struct whole_answer *w = &whole_answers[i];
        struct buffer pretty = with_lines(slice_of(w->text));
        struct buffer stream = replayed(w, buffer_slice(&pretty), true);
        assert_assembled(w, buffer_slice(&stream), 0);
        buffer_free(&pretty);
        buffer_free(&stream);
    }
}

// What a client reads of it is what a client reads of the whole.
static void usage_and_reason_are_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(whole_answers); i++) {
        const struct whole_answer *w = &whole_answers[i];
        struct json_doc *doc = parsed(slice_of(w->text));
        struct arena *arena = arena_new(256);
        struct provider_answer whole;
        int64_t n = choices_of(slice_of(w->text));
        provider_read_answer(PROVIDER_OPENAI, w->endpoint, doc, n, arena, &whole);
        struct buffer stream = replayed(w, slice_of(w->text), true);
        const struct provider_stream_options options = {.endpoint = w->endpoint, .n = n};
        struct hearing h = hear_all(&options, buffer_slice(&stream), 0);
        const struct provider_answer *got = &heard(&h)->answer;
        assert_usage(&got->usage, &whole.usage, w->name);
        assert_bytes(got->finish_reason, whole.finish_reason, w->name);
        assert_bytes(got->id, whole.id, w->name);
        assert_bytes(got->model, whole.model, w->name);
        assert_bytes(got->service_tier, whole.service_tier, w->name);
        assert_int_equal(got->complete, whole.complete);
        hearing_free(&h);
        buffer_free(&stream);
        arena_free(arena);
        json_doc_free(doc);
    }
}

// ------------------------------------------------------------- well-formed

// Reads the events of a stream one by one.
struct reader {
    const struct whole_answer *whole;
    bool include_usage;
    struct json_doc *doc;
    struct buffer types; // of the events, with blanks between
    struct buffer text;  // of all pieces of content, as they are escaped
    size_t events, usage_events, largest_piece;
    bool done;
    bool finished[8], has_role[8]; // choices
    int64_t sequence;
};

static struct slice raw_at(const struct json_doc *doc, json_ref object, const char *name) {
    json_ref ref = json_get(doc, object, slice_of(name));
    return ref == JSON_NONE ? SLICE_NONE : json_raw(doc, ref);
}

static void take_text(struct reader *r, json_ref holder, const char *name) {
    struct slice raw = raw_at(r->doc, holder, name);
    if (raw.len < 2 || raw.ptr[0] != '"')
        return;
    buffer_append(&r->text, slice_make(raw.ptr + 1, raw.len - 2));
    if (raw.len - 2 > r->largest_piece)
        r->largest_piece = raw.len - 2;
}

static void read_choice(struct reader *r, json_ref choice) {
    int64_t index;
    assert_true(json_i64(r->doc, json_get(r->doc, choice, SLICE("index")), &index));
    assert_in_range(index, 0, 7);
    assert_false(r->finished[index]); // nothing comes after the reason
    json_ref reason = json_get(r->doc, choice, SLICE("finish_reason"));
    assert_true(reason != JSON_NONE);
    r->finished[index] = !json_is_absent(r->doc, reason);
    if (r->whole->endpoint == API_COMPLETIONS) {
        assert_int_equal(json_type_of(r->doc, json_get(r->doc, choice, SLICE("text"))),
                         JSON_STRING);
        take_text(r, choice, "text");
        return;
    }
    json_ref delta = json_get(r->doc, choice, SLICE("delta"));
    assert_int_equal(json_type_of(r->doc, delta), JSON_OBJECT);
    bool has_role = json_get(r->doc, delta, SLICE("role")) != JSON_NONE;
    assert_int_equal(has_role, !r->has_role[index]); // first, and once
    r->has_role[index] = true;
    take_text(r, delta, "content");
}

static void read_chunk(struct reader *r) {
    bool chat = r->whole->endpoint == API_CHAT_COMPLETIONS;
    json_ref choices = json_get(r->doc, JSON_ROOT, SLICE("choices"));
    struct slice usage = raw_at(r->doc, JSON_ROOT, "usage");
    assert_text(raw_at(r->doc, JSON_ROOT, "object"),
                chat ? "\"chat.completion.chunk\"" : "\"text_completion\"");
    assert_text(raw_at(r->doc, JSON_ROOT, "id"), "\"c\"");
    assert_text(raw_at(r->doc, JSON_ROOT, "created"), "1");
    assert_text(raw_at(r->doc, JSON_ROOT, "model"), "\"m\"");
    assert_int_equal(r->usage_events, 0); // it is the last
    if (json_first(r->doc, choices) == JSON_NONE) {
        assert_true(r->include_usage);
        r->usage_events++;
        return;
    }
    assert_text(usage, r->include_usage ? "null" : "");
    for (json_ref c = json_first(r->doc, choices); c != JSON_NONE;
         c = json_next(r->doc, choices, c))
        read_choice(r, c);
}

static void read_typed(struct reader *r, const struct sse_event *event) {
    struct slice type = raw_at(r->doc, JSON_ROOT, "type");
    assert_true(type.len > 2);
    type = slice_make(type.ptr + 1, type.len - 2);
    assert_bytes(event->name, type, "the event's name is its type");
    buffer_append(&r->types, type);
    buffer_append_char(&r->types, ' ');
    if (r->whole->endpoint == API_RESPONSES) {
        int64_t sequence;
        assert_true(
            json_i64(r->doc, json_get(r->doc, JSON_ROOT, SLICE("sequence_number")), &sequence));
        assert_int_equal(sequence, r->sequence++);
    }
    if (slice_equal(type, SLICE("response.output_text.delta")))
        take_text(r, JSON_ROOT, "delta");
    take_text(r, json_get(r->doc, JSON_ROOT, SLICE("delta")), "text");
}

static void on_event(void *arg, const struct sse_event *event) {
    struct reader *r = arg;
    struct error err;
    assert_true(event->has_data);
    assert_false(r->done);
    assert_true(slice_find_char(event->data, '\n') < 0);
    r->events++;
    bool chunks =
        r->whole->endpoint == API_CHAT_COMPLETIONS || r->whole->endpoint == API_COMPLETIONS;
    if (chunks && slice_equal(event->data, SLICE("[DONE]"))) {
        r->done = true;
        return;
    }
    // The parser refuses half of a UTF-8 sequence, of an escape, of a pair.
    if (!json_parse(r->doc, event->data, NULL, &err))
        fail_msg("%s: %s: %.*s", r->whole->name, err.text, SLICE_ARG(event->data));
    if (json_duplicate_key(r->doc, JSON_ROOT) != JSON_NONE)
        fail_msg("%s: a key twice: %.*s", r->whole->name, SLICE_ARG(event->data));
    if (chunks)
        read_chunk(r);
    else
        read_typed(r, event);
}

static struct reader read_replay(const struct whole_answer *w, bool include_usage) {
    struct reader r = {.whole = w, .include_usage = include_usage, .doc = json_doc_new()};
    struct buffer stream = replayed(w, slice_of(w->text), include_usage);
    struct sse *sse = sse_new(1 << 20);
    assert_true(sse_feed(sse, buffer_slice(&stream), on_event, &r));
    assert_int_equal(sse_rest(sse).len, 0);
    sse_free(sse);
    buffer_free(&stream);
    return r;
}

static void reader_free(struct reader *r) {
    json_doc_free(r->doc);
    buffer_free(&r->types);
    buffer_free(&r->text);
}

static void streams_are_well_formed(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(whole_answers); i++)
        for (int include_usage = 0; include_usage < 2; include_usage++) {
            const struct whole_answer *w = &whole_answers[i];
            struct reader r = read_replay(w, include_usage == 1);
            if (w->endpoint == API_CHAT_COMPLETIONS || w->endpoint == API_COMPLETIONS) {
                assert_true(r.done);
                assert_int_equal(r.usage_events, include_usage);
                for (int64_t c = 0; c < choices_of(slice_of(w->text)); c++)
                    assert_true(r.finished[c]);
            }
            reader_free(&r);
        }
}

static void text_comes_in_pieces(void **state) {
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; i < FARTHING_COUNT(whole_answers); i++) {
        static const char *const first_of_endpoint[] = {"OpenAI's", "a text completion",
                                                        "a response", "a message"};
        for (size_t k = 0; k < FARTHING_COUNT(first_of_endpoint); k++) {
            if (strcmp(whole_answers[i].name, first_of_endpoint[k]) != 0)
                continue;
            struct reader r = read_replay(&whole_answers[i], false);
            assert_bytes(buffer_slice(&r.text), SLICE(LONG_TEXT), whole_answers[i].name);
            assert_in_range(r.largest_piece, 24, 75); // the last unit may reach over 64
            assert_true(r.events > 8);
            reader_free(&r);
            checked++;
        }
    }
    assert_int_equal(checked, 4);
}

// Wherever a cut may fall: runs without blanks, shifted by each length.
static void nothing_is_cut_in_two(void **state) {
    (void)state;
    static const char *const units[] = {
        "\\ud83d\\ude00", "\\uD83D\\uDE00", "\\u20ac",      "\\\\",
        "\\\"",           "\xc3\xa9",       "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t u = 0; u < FARTHING_COUNT(units); u++)
        for (size_t shift = 0; shift < 13; shift++) {
            struct buffer text = {0}, answer = {0};
            for (size_t i = 0; i < shift; i++)
                buffer_append_char(&text, 'x');
            for (size_t i = 0; i < 60; i++)
                buffer_append(&text, slice_of(units[u]));
            buffer_printf(&answer, ONE("{\"role\":\"assistant\",\"content\":\"%.*s\"}", STOP),
                          SLICE_ARG(buffer_slice(&text)));
            buffer_append_char(&answer, '\0');
            const struct whole_answer whole = {units[u], API_CHAT_COMPLETIONS, answer.ptr};
            struct reader r = read_replay(&whole, false);
            assert_bytes(buffer_slice(&r.text), buffer_slice(&text), units[u]);
            reader_free(&r);
            buffer_free(&text);
            buffer_free(&answer);
        }
}

// Some servers number the calls of whole answers too.
static void a_call_has_one_index(void **state) {
    (void)state;
    static const struct whole_answer whole = {
        "numbered calls", API_CHAT_COMPLETIONS,
        ONE("{\"tool_calls\":[{\"index\":7,\"id\":\"k\"},{\"index\":7,\"id\":\"l\"}]}", STOP)};
    struct buffer out = replayed(&whole, slice_of(whole.text), false);
    assert_true(slice_find(buffer_slice(&out), SLICE("[{\"index\":0,\"id\":\"k\"}]")) > 0);
    assert_true(slice_find(buffer_slice(&out), SLICE("[{\"index\":1,\"id\":\"l\"}]")) > 0);
    buffer_free(&out);
}

static const struct whole_answer *answer_named(const char *name) {
    for (size_t i = 0; i < FARTHING_COUNT(whole_answers); i++)
        if (strcmp(whole_answers[i].name, name) == 0)
            return &whole_answers[i];
    fail_msg("no answer %s", name);
    return NULL;
}

static void events_come_in_their_order(void **state) {
    (void)state;
    static const struct {
        struct whole_answer whole;
        const char *types;
    } rows[] = {
        {{"response", API_RESPONSES,
          RESPONSE("completed",
                   "{\"id\":\"rs\",\"type\":\"reasoning\"},{\"id\":\"ms\",\"type\":\"message\","
                   "\"content\":[{\"type\":\"output_text\",\"text\":\"a\"},{\"type\":\"refusal\","
                   "\"refusal\":\"b\"}]},{\"id\":\"fc\",\"type\":\"function_call\",\"arguments\":"
                   "\"{}\"}",
                   "")},
         "response.created response.in_progress response.output_item.added "
         "response.output_item.done response.output_item.added response.content_part.added "
         "response.output_text.delta response.output_text.done response.content_part.done "
         "response.content_part.added response.refusal.delta response.refusal.done "
         "response.content_part.done response.output_item.done response.output_item.added "
         "response.function_call_arguments.delta response.function_call_arguments.done "
         "response.output_item.done response.completed "},
        {{"incomplete", API_RESPONSES, RESPONSE("incomplete", "", "")},
         "response.created response.in_progress response.incomplete "},
        {{"failed", API_RESPONSES, RESPONSE("failed", "", "")},
         "response.created response.in_progress response.failed "},
        {{"message", API_MESSAGES,
          MESSAGE(
              "{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":\"s\"},{\"type\":\"text\","
              "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"\"},{\"type\":\"tool_use\","
              "\"input\":{}}")},
         "message_start content_block_start content_block_delta content_block_delta "
         "content_block_stop content_block_start content_block_delta content_block_stop "
         "content_block_start content_block_stop content_block_start content_block_delta "
         "content_block_stop message_delta message_stop "},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct reader r = read_replay(&rows[i].whole, false);
        assert_bytes(buffer_slice(&r.types), slice_of(rows[i].types), rows[i].whole.name);
        reader_free(&r);
    }
}

static void a_chat_byte_for_byte(void **state) {
    (void)state;
    static const char wanted[] = EVENT(
        "{\"object\":\"chat.completion.chunk\",\"id\":\"c\",\"created\":1,\"model\":\"m\","
        "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
        "\"finish_reason\":null}]}")
        EVENT("{\"object\":\"chat.completion.chunk\",\"id\":\"c\",\"created\":1,\"model\":\"m\","
              "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}")
            EVENT("{\"object\":\"chat.completion.chunk\",\"id\":\"c\",\"created\":1,\"model\":"
                  "\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}")
                DONE;
    struct buffer out =
        replayed(answer_named("short"), slice_of(answer_named("short")->text), false);
    assert_text(buffer_slice(&out), wanted);
    buffer_free(&out);
}

// ------------------------------------------------------------------ bounds

static void large_members_are_not_repeated(void **state) {
    (void)state;
    struct buffer answer = {0};
    BUFFER_LITERAL(&answer, "{\"id\":\"c\",\"search_results\":[\"");
    for (size_t i = 0; i < 100000; i++)
        buffer_append_char(&answer, 'r');
    BUFFER_LITERAL(&answer, "\"]");
    for (size_t i = 0; i < 1000; i++)
        buffer_printf(&answer, ",\"k%zu\":1", i);
    BUFFER_LITERAL(&answer, ",\"choices\":[{\"index\":0,\"message\":{\"content\":\"");
    for (size_t i = 0; i < 100000; i++)
        buffer_append_char(&answer, "abcdefgh "[i % 9]);
    BUFFER_LITERAL(&answer, "\"},\"finish_reason\":\"stop\"}]}");
    struct buffer out = {0};
    struct error err;
    assert_true(provider_replay(API_CHAT_COMPLETIONS, buffer_slice(&answer), true, &out, &err));
    // Each of some 4000 chunks repeats about 1 KiB, and no more.
    assert_true(out.len < 6 << 20);
    const struct provider_stream_options options = {
        .endpoint = API_CHAT_COMPLETIONS, .n = 1, .assemble = true};
    struct hearing h = hear_all(&options, buffer_slice(&out), 0);
    struct buffer again = {0};
    assert_true(provider_stream_answer(h.stream, &again));
    assert_non_null(memmem(again.ptr, again.len, "\"k999\":1", 8));
    assert_true(again.len > 200000);
    buffer_free(&again);
    hearing_free(&h);
    buffer_free(&out);
    buffer_free(&answer);
}

static void what_has_no_stream_is_refused(void **state) {
    (void)state;
    static const struct {
        enum api_endpoint endpoint;
        const char *text;
    } rows[] = {
        {API_CHAT_COMPLETIONS, ""},
        {API_CHAT_COMPLETIONS, "{"},
        {API_CHAT_COMPLETIONS, "[]"},
        {API_CHAT_COMPLETIONS, "{\"a\":\"x\ny\"}"},
        {API_CHAT_COMPLETIONS, "{\"error\":{\"message\":\"m\"}}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":null}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":{\"a\":{}}}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[1]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{}]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":null}]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":[\"a\"]}]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":{}},{\"message\":1}]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":{\"tool_calls\":[1]}}]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":{\"tool_calls\":\"x\"}}]}"},
        {API_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":{\"tool_calls\":{\"a\":{}}}}]}"},
        {API_COMPLETIONS, "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}"},
        {API_COMPLETIONS, "{\"choices\":[{\"text\":[\"a\"]}]}"},
        {API_RESPONSES, "{\"status\":\"completed\"}"},
        {API_RESPONSES, "{\"status\":\"completed\",\"output\":{}}"},
        {API_RESPONSES, "{\"status\":\"queued\",\"output\":[]}"},
        {API_RESPONSES, "{\"output\":[]}"},
        {API_MESSAGES, "{\"type\":\"error\",\"error\":{}}"},
        {API_MESSAGES, "{\"content\":\"a\"}"},
        {API_MESSAGES, "{\"content\":[1]}"},
        {API_EMBEDDINGS, "{\"data\":[{}]}"},
        {API_MODELS, "{\"data\":[{}]}"},
        {API_OTHER, "{\"choices\":[{\"message\":{}}]}"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer out = {0};
        struct error err = {0};
        if (provider_replay(rows[i].endpoint, slice_of(rows[i].text), true, &out, &err))
            fail_msg("replayed: %s", rows[i].text);
        assert_int_equal(out.len, 0); // nothing half done
        assert_true(err.text[0] != '\0');
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(round_trip_of_answers_with_lines),
        cmocka_unit_test(usage_and_reason_are_the_same),
        cmocka_unit_test(streams_are_well_formed),
        cmocka_unit_test(text_comes_in_pieces),
        cmocka_unit_test(nothing_is_cut_in_two),
        cmocka_unit_test(a_call_has_one_index),
        cmocka_unit_test(events_come_in_their_order),
        cmocka_unit_test(a_chat_byte_for_byte),
        cmocka_unit_test(large_members_are_not_repeated),
        cmocka_unit_test(what_has_no_stream_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
