// A provider's stream as it passes: every event goes on byte for byte, and is
// read on the way for usage, finish reasons, the end, and (where the answer is
// to be kept) its parts.
#include "stream.h"

#include <stdlib.h>

enum { EVENT_BYTES_MAX = 8 << 20, ANSWER_BYTES_MAX = 16 << 20 };

struct provider_stream *provider_stream_new(const struct provider_stream_options *options) {
    struct provider_stream *s = base_calloc(1, sizeof *s);
    s->options = *options;
    s->sse = sse_new(options->max_event_bytes > 0 ? options->max_event_bytes : EVENT_BYTES_MAX);
    s->doc = json_doc_new();
    s->arena = arena_new(512);
    s->assembling = options->assemble;
    s->budget.bytes_left =
        options->max_answer_bytes > 0 ? options->max_answer_bytes : ANSWER_BYTES_MAX;
    if (s->assembling)
        s->parts = merge_new();
    return s;
}

void provider_stream_free(struct provider_stream *s) {
    if (s == NULL)
        return;
    sse_free(s->sse);
    json_doc_free(s->doc);
    arena_free(s->arena);
    merge_free(s->parts);
    buffer_free(&s->whole);
    free(s);
}

const struct provider_stream_state *provider_stream_state(const struct provider_stream *s) {
    return &s->state;
}

static struct slice text_at(struct provider_stream *s, json_ref object, struct slice name) {
    struct slice text = json_string(s->doc, json_get(s->doc, object, name), s->arena);
    return text.len == 0 ? SLICE_NONE : text;
}

// Kept beyond the event: set when it changes, which is once.
static void keep(struct provider_stream *s, struct slice *at, struct slice text) {
    if (text.len > 0 && !slice_equal(*at, text))
        *at = arena_copy(s->arena, text);
}

// The last report wins; details that only an earlier one had are kept.
static void take_usage(struct provider_stream *s, json_ref usage) {
    struct api_usage now = {0};
    provider_read_usage(s->doc, usage, &now);
    if (!now.known)
        return;
    const struct api_usage before = s->state.answer.usage;
#define KEPT(field) \
    if (now.field == 0 && before.field <= now.input_tokens + now.output_tokens) \
    now.field = before.field
    KEPT(cached_tokens);
    KEPT(cache_write_tokens);
    KEPT(cache_write_1h_tokens);
    KEPT(reasoning_tokens);
    KEPT(input_audio_tokens);
    KEPT(output_audio_tokens);
#undef KEPT
    if (now.input_tokens == 0)
        now.input_tokens = before.input_tokens;
    s->state.answer.usage = now;
}

static void count_output(struct provider_stream *s, json_ref delta) {
    for (json_ref key = delta == JSON_NONE ? JSON_NONE : json_first(s->doc, delta);
         key != JSON_NONE; key = json_next(s->doc, delta, key)) {
        json_ref value = json_value_of(key);
        enum json_type type = json_type_of(s->doc, value);
        if (json_string_is(s->doc, key, SLICE("role")) || type == JSON_NULL)
            continue;
        size_t bytes = json_raw(s->doc, value).len;
        if (type == JSON_STRING)
            bytes -= 2;
        if (bytes > 0)
            s->state.first_token = true;
        s->state.output_bytes += (int64_t)bytes;
    }
}

// ------------------------------------------------- chat and text completions

static void read_choice(struct provider_stream *s, json_ref choice) {
    struct slice reason = text_at(s, choice, SLICE("finish_reason"));
    int64_t index = 0;
    (void)!json_i64(s->doc, json_get(s->doc, choice, SLICE("index")), &index);
    if (reason.len > 0) {
        if (index >= 0 && index < 1024 && (s->finished[index / 64] >> (index % 64) & 1u) == 0) {
            s->finished[index / 64] |= (uint64_t)1 << (index % 64);
            s->finished_count++;
        }
        if (s->state.answer.finish_reason.len == 0)
            keep(s, &s->state.answer.finish_reason, reason);
    }
    if (s->options.endpoint == API_CHAT_COMPLETIONS) {
        count_output(s, json_get(s->doc, choice, SLICE("delta")));
    } else {
        struct slice text = text_at(s, choice, SLICE("text"));
        s->state.first_token = s->state.first_token || text.len > 0;
        s->state.output_bytes += (int64_t)text.len;
    }
}

// True when the event is only the usage that Farthing asked for.
static bool read_chunk(struct provider_stream *s) {
    json_ref choices = json_get(s->doc, JSON_ROOT, SLICE("choices"));
    json_ref usage = json_get(s->doc, JSON_ROOT, SLICE("usage"));
    if (json_is_absent(s->doc, usage)) // Groq's older spelling
        usage = json_get(s->doc, json_get(s->doc, JSON_ROOT, SLICE("x_groq")), SLICE("usage"));
    take_usage(s, usage);
    keep(s, &s->state.answer.model, text_at(s, JSON_ROOT, SLICE("model")));
    keep(s, &s->state.answer.service_tier, text_at(s, JSON_ROOT, SLICE("service_tier")));
    if (s->state.answer.id.len == 0)
        keep(s, &s->state.answer.id, text_at(s, JSON_ROOT, SLICE("id")));
    json_ref first = choices == JSON_NONE ? JSON_NONE : json_first(s->doc, choices);
    for (json_ref c = first; c != JSON_NONE; c = json_next(s->doc, choices, c))
        read_choice(s, c);
    int64_t n = s->options.n > 0 ? s->options.n : 1;
    s->state.answer.complete = s->finished_count >= n;
    if (s->assembling)
        assemble_chunk(s);
    return first == JSON_NONE && choices != JSON_NONE && !json_is_absent(s->doc, usage);
}

// ---------------------------------------------------------------- responses

static void read_response_event(struct provider_stream *s, struct slice type) {
    if (slice_ends_with(type, SLICE(".delta"))) {
        struct slice delta = text_at(s, JSON_ROOT, SLICE("delta"));
        s->state.first_token = s->state.first_token || delta.len > 0;
        s->state.output_bytes += (int64_t)delta.len;
    }
    bool completed = slice_equal(type, SLICE("response.completed"));
    bool ended = completed || slice_equal(type, SLICE("response.incomplete")) ||
                 slice_equal(type, SLICE("response.failed"));
    if (slice_equal(type, SLICE("error")))
        s->state.is_error = true;
    json_ref response = json_get(s->doc, JSON_ROOT, SLICE("response"));
    if (response == JSON_NONE)
        return;
    take_usage(s, json_get(s->doc, response, SLICE("usage")));
    keep(s, &s->state.answer.model, text_at(s, response, SLICE("model")));
    keep(s, &s->state.answer.id, text_at(s, response, SLICE("id")));
    keep(s, &s->state.answer.service_tier, text_at(s, response, SLICE("service_tier")));
    if (!ended)
        return;
    s->state.done = true;
    s->state.answer.complete = completed;
    json_ref details = json_get(s->doc, response, SLICE("incomplete_details"));
    struct slice reason = text_at(s, details, SLICE("reason"));
    keep(s, &s->state.answer.finish_reason,
         completed                                           ? SLICE("stop")
         : slice_equal(reason, SLICE("max_output_tokens")) ? SLICE("length")
         : reason.len > 0                                    ? reason
                                                             : SLICE("error"));
    if (completed && s->assembling && json_raw(s->doc, response).len <= s->budget.bytes_left)
        buffer_append(&s->whole, json_raw(s->doc, response));
}

// ----------------------------------------------------------------- messages

static void read_message_event(struct provider_stream *s, struct slice type) {
    if (slice_equal(type, SLICE("message_start"))) {
        json_ref message = json_get(s->doc, JSON_ROOT, SLICE("message"));
        take_usage(s, json_get(s->doc, message, SLICE("usage")));
        s->start_usage = s->state.answer.usage;
        keep(s, &s->state.answer.model, text_at(s, message, SLICE("model")));
        keep(s, &s->state.answer.id, text_at(s, message, SLICE("id")));
    } else if (slice_equal(type, SLICE("content_block_delta"))) {
        json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
        count_output(s, delta);
    } else if (slice_equal(type, SLICE("message_delta"))) {
        struct api_usage *u = &s->state.answer.usage;
        take_usage(s, json_get(s->doc, JSON_ROOT, SLICE("usage")));
        // The delta often repeats only the output.
        if (u->input_tokens < s->start_usage.input_tokens)
            u->input_tokens = s->start_usage.input_tokens;
        json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
        keep(s, &s->state.answer.finish_reason, text_at(s, delta, SLICE("stop_reason")));
    } else if (slice_equal(type, SLICE("message_stop"))) {
        s->state.done = true;
        s->state.answer.complete = s->state.answer.finish_reason.len > 0;
    } else if (slice_equal(type, SLICE("error"))) {
        s->state.is_error = true;
    }
    if (s->assembling)
        assemble_message(s, type);
}

// ------------------------------------------------------------------- events

static bool is_error_object(struct provider_stream *s) {
    json_ref error = json_get(s->doc, JSON_ROOT, SLICE("error"));
    return !json_is_absent(s->doc, error);
}

// What kind of event it was, for the client's side.
enum passing { PASS_EVENT, PASS_DONE, PASS_NOT };

static enum passing read_event(struct provider_stream *s, const struct sse_event *e) {
    if (!e->has_data)
        return PASS_EVENT;
    bool chunks = s->options.endpoint == API_CHAT_COMPLETIONS || s->options.endpoint == API_COMPLETIONS;
    if (slice_equal(slice_trim(e->data), SLICE("[DONE]"))) {
        s->state.done = true;
        return PASS_DONE;
    }
    struct error ignored; // what is not JSON is passed on all the same
    if (!json_parse(s->doc, e->data, NULL, &ignored) ||
        json_type_of(s->doc, JSON_ROOT) != JSON_OBJECT) {
        s->budget.failed = true; // but cannot be put together
        return PASS_EVENT;
    }
    if (slice_equal(e->name, SLICE("error")) || is_error_object(s))
        s->state.is_error = true;
    if (chunks)
        return read_chunk(s) && s->options.swallow_usage ? PASS_NOT : PASS_EVENT;
    struct slice type = text_at(s, JSON_ROOT, SLICE("type"));
    bool was_done = s->state.done;
    if (s->options.endpoint == API_RESPONSES)
        read_response_event(s, type);
    else
        read_message_event(s, type);
    return s->state.done && !was_done ? PASS_DONE : PASS_EVENT;
}

struct emitter {
    struct provider_stream *stream;
    provider_on_emit *on_emit;
    void *arg;
    struct slice run; // events that lie side by side go on as one piece
};

static void emit_run(struct emitter *e) {
    if (e->run.len > 0)
        e->on_emit(e->arg, PROVIDER_EMIT_EVENT, e->run);
    e->run = SLICE_NONE;
}

static void on_event(void *arg, const struct sse_event *event) {
    struct emitter *e = arg;
    enum passing passing = read_event(e->stream, event);
    if (passing == PASS_EVENT && e->run.len > 0 && e->run.ptr + e->run.len == event->raw.ptr) {
        e->run.len += event->raw.len;
        return;
    }
    emit_run(e);
    if (passing == PASS_EVENT)
        e->run = event->raw;
    else if (passing == PASS_DONE)
        e->on_emit(e->arg, PROVIDER_EMIT_DONE, event->raw);
    // An event out of the reader's own memory is gone after this call.
    struct slice held = sse_rest(e->stream->sse);
    if (held.ptr != NULL && event->raw.ptr == held.ptr)
        emit_run(e);
}

bool provider_stream_feed(struct provider_stream *s, struct slice bytes, provider_on_emit *on_emit,
                          void *arg, struct error *err) {
    struct emitter e = {s, on_emit, arg, SLICE_NONE};
    bool ok = sse_feed(s->sse, bytes, on_event, &e);
    emit_run(&e);
    return ok || error_set(err, "The provider sent an event that is too large.");
}

struct last {
    struct provider_stream *stream;
    enum passing *passing;
};

static void on_last_event(void *arg, const struct sse_event *event) {
    struct last *last = arg;
    if (event->has_data)
        *last->passing = read_event(last->stream, event);
}

void provider_stream_end(struct provider_stream *s, provider_on_emit *on_emit, void *arg) {
    struct slice rest = sse_rest(s->sse);
    if (rest.len == 0)
        return;
    // Some servers leave out the last blank line: it is read as if it were
    // there, and the client gets what was sent.
    struct buffer copy = {0};
    buffer_append(&copy, rest);
    bool was_done = s->state.done;
    enum passing passing = PASS_EVENT;
    if (!sse_feed(s->sse, SLICE("\n\n"), on_last_event, &(struct last){s, &passing}))
        s->budget.failed = true;
    if (passing != PASS_NOT)
        on_emit(arg, s->state.done && !was_done ? PROVIDER_EMIT_DONE : PROVIDER_EMIT_EVENT,
                buffer_slice(&copy));
    buffer_free(&copy);
}

bool provider_stream_answer(struct provider_stream *s, struct buffer *out) {
    if (!s->assembling || s->budget.failed || !s->state.answer.complete || s->state.is_error)
        return false;
    switch (s->options.endpoint) {
    case API_CHAT_COMPLETIONS:
    case API_COMPLETIONS:
        return assembled_chunks(s, out);
    case API_MESSAGES:
        return assembled_message(s, out);
    case API_RESPONSES:
        buffer_append(out, buffer_slice(&s->whole));
        return s->whole.len > 0;
    case API_EMBEDDINGS:
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        break;
    }
    return false;
}
