// A whole answer as the stream that its provider would have sent.
#include "replay.h"

enum { PIECE_BYTES = 24, PIECE_BYTES_MAX = 64 };

// Length of the character or escape at the start of s. A surrogate pair's two
// escapes are one.
static size_t unit_length(struct slice s) {
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = 1;
    if (c == '\\')
        n = s.len > 1 && s.ptr[1] == 'u' ? 6 : 2;
    else if (c >= 0xf0)
        n = 4;
    else if (c >= 0xe0)
        n = 3;
    else if (c >= 0xc0)
        n = 2;
    if (n == 6 && s.len >= 12 && (s.ptr[2] == 'd' || s.ptr[2] == 'D') &&
        strchr("89abAB", s.ptr[3]) != NULL)
        n = 12;
    return n < s.len ? n : s.len;
}

struct slice replay_piece(struct slice *rest) {
    size_t n = 0;
    while (n < rest->len && n < PIECE_BYTES_MAX) {
        if (n >= PIECE_BYTES && rest->ptr[n] == ' ')
            break; // the blank leads the next piece, as tokens do
        n += unit_length(slice_from(*rest, n));
    }
    struct slice piece = slice_make(rest->ptr, n);
    *rest = slice_from(*rest, n);
    return piece;
}

static bool replay_endpoint(struct replay *r, enum api_endpoint e) {
    switch (e) {
    case API_CHAT_COMPLETIONS:
    case API_COMPLETIONS:
        return replay_chunks(r, e == API_CHAT_COMPLETIONS);
    case API_RESPONSES:
        return replay_response(r);
    case API_MESSAGES:
        return replay_message(r);
    case API_EMBEDDINGS:
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        break;
    }
    return false;
}

// A line's end would end the event's data. OpenAI's whole answers have them
// between all members; within strings JSON knows them as escapes only.
static bool parse_as_one_line(struct replay *r, struct json_doc *doc, struct slice answer,
                              struct error *err) {
    if (!json_parse(doc, answer, NULL, err))
        return false;
    if (slice_find_char(answer, '\n') < 0 && slice_find_char(answer, '\r') < 0)
        return true;
    char *line = arena_alloc(r->arena, answer.len);
    size_t n = 0;
    for (size_t i = 0; i < answer.len; i++)
        if (answer.ptr[i] != '\n' && answer.ptr[i] != '\r')
            line[n++] = answer.ptr[i];
    return json_parse(doc, slice_make(line, n), NULL, err);
}

bool provider_replay(enum api_endpoint e, struct slice answer, bool include_usage,
                     struct buffer *out, struct error *err) {
    struct json_doc *doc = json_doc_new();
    struct replay r = {
        .doc = doc,
        .arena = arena_new(1024),
        .out = out,
        .include_usage = include_usage,
    };
    bool ok = parse_as_one_line(&r, doc, answer, err);
    if (ok && json_type_of(doc, JSON_ROOT) != JSON_OBJECT)
        ok = error_set(err, "the answer is no object");
    else if (ok && !replay_endpoint(&r, e))
        ok = error_set(err, "the answer has no form as a stream");
    json_doc_free(doc);
    arena_free(r.arena);
    return ok;
}

// OpenAI's ResponseErrorEvent, with an error object for SDKs that look there.
static void write_response_error(struct buffer *out, enum api_error error, struct slice message) {
    struct json_writer w;
    struct buffer shape = {0};
    const size_t before = sizeof "{\"error\":" - 1, after = 1;
    api_error_write(&shape, error, message, SLICE_NONE);
    json_write_start(&w, out);
    json_object_begin(&w);
    json_key(&w, SLICE("type"));
    json_put_string(&w, SLICE("error"));
    json_key(&w, SLICE("code"));
    json_put_string(&w, slice_of(api_error_info(error)->code));
    json_key(&w, SLICE("message"));
    json_put_string(&w, message);
    json_key(&w, SLICE("param"));
    json_put_null(&w);
    json_key(&w, SLICE("error"));
    json_put_raw(&w, slice_make(shape.ptr + before, shape.len - before - after));
    json_object_end(&w);
    buffer_free(&shape);
}

// Anthropic's error event.
static void write_message_error(struct buffer *out, struct slice message) {
    struct json_writer w;
    json_write_start(&w, out);
    json_object_begin(&w);
    json_key(&w, SLICE("type"));
    json_put_string(&w, SLICE("error"));
    json_key(&w, SLICE("error"));
    json_object_begin(&w);
    json_key(&w, SLICE("type"));
    json_put_string(&w, SLICE("api_error"));
    json_key(&w, SLICE("message"));
    json_put_string(&w, message);
    json_object_end(&w);
    json_object_end(&w);
}

void provider_stream_error(enum api_endpoint e, enum api_error error, struct slice message,
                           struct buffer *out) {
    if (e == API_RESPONSES || e == API_MESSAGES)
        BUFFER_LITERAL(out, "event: error\n");
    BUFFER_LITERAL(out, "data: ");
    if (e == API_RESPONSES)
        write_response_error(out, error, message);
    else if (e == API_MESSAGES)
        write_message_error(out, message);
    else
        api_error_write(out, error, message, SLICE_NONE);
    BUFFER_LITERAL(out, "\n\n");
}
