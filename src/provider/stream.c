// A provider's stream as it passes: every event goes on byte for byte, and is
// read on the way (events.c) for what it says.
#include "stream.h"

#include <stdlib.h>

enum { EVENT_BYTES_MAX = 8 << 20, ANSWER_BYTES_MAX = 16 << 20 };

struct provider_stream *provider_stream_new(const struct provider_stream_options *options) {
    struct provider_stream *s = base_calloc(1, sizeof *s);
    s->options = *options;
    s->sse = sse_new(options->max_event_bytes > 0 ? options->max_event_bytes : EVENT_BYTES_MAX);
    s->doc = json_doc_new();
    s->scratch = arena_new(512);
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
    arena_free(s->scratch);
    merge_free(s->parts);
    buffer_free(&s->whole);
    for (size_t i = 0; i < KEPT_COUNT; i++)
        buffer_free(&s->kept[i]);
    free(s);
}

const struct provider_stream_state *provider_stream_state(const struct provider_stream *s) {
    return &s->state;
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

static enum passing passing_of(struct provider_stream *s, const struct sse_event *event) {
    // The late half of a line's end shares the fate of its event.
    if (event->is_late_lf)
        return s->last_passing == PASS_NOT ? PASS_NOT : PASS_EVENT;
    return s->last_passing = stream_read_event(s, event);
}

static void on_event(void *arg, const struct sse_event *event) {
    struct emitter *e = arg;
    enum passing passing = passing_of(e->stream, event);
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
    if (ok)
        return true;
    s->budget.failed = true;
    return error_set(err, "The provider sent an event that is too large.");
}

static void on_last_event(void *arg, const struct sse_event *event) {
    struct provider_stream *s = arg;
    if (!event->has_data)
        return;
    s->last_passing = stream_read_event(s, event);
    struct error ignored;
    s->last_is_whole = slice_equal(event->data, SLICE("[DONE]")) ||
                       json_parse(s->doc, event->data, NULL, &ignored);
}

void provider_stream_end(struct provider_stream *s, provider_on_emit *on_emit, void *arg) {
    struct slice rest = sse_rest(s->sse);
    if (rest.len == 0)
        return;
    // Some servers leave out the last blank line: it is read as if it were
    // there, and the client gets what was sent. Half an event, though, would
    // swallow the error that has to follow it.
    struct buffer copy = {0};
    buffer_append(&copy, rest);
    s->last_passing = PASS_EVENT;
    s->last_is_whole = false;
    if (!sse_feed(s->sse, SLICE("\n\n"), on_last_event, s))
        s->budget.failed = true;
    if (s->last_passing != PASS_NOT && s->last_is_whole)
        on_emit(arg, s->last_passing == PASS_DONE ? PROVIDER_EMIT_DONE : PROVIDER_EMIT_EVENT,
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
