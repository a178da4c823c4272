// Chat and text completions as streams: role first, the content in pieces,
// tool calls, the finish reason, usage when asked for, [DONE].
#include "replay.h"

// Chunks repeat the answer's own members, as providers' do; but large ones (a
// search's results) stand in the first chunk only, or a replay could be many
// times as large as the answer.
enum { REPEATED_BYTES_MAX = 1024 };

struct chunks {
    struct replay *r;
    bool chat;
    struct buffer head; // {"object":..., up to the choices
    struct buffer once; // members of the first chunk; then empty
};

static bool name_is_one_of(const struct json_doc *doc, json_ref key, const char *const *names,
                           size_t count) {
    for (size_t i = 0; i < count; i++)
        if (json_string_is(doc, key, slice_of(names[i])))
            return true;
    return false;
}
#define NAME_IS_ONE_OF(doc, key, names) name_is_one_of((doc), (key), (names), FARTHING_COUNT(names))

static void copy_member(struct buffer *out, const struct json_doc *doc, json_ref key) {
    buffer_append_char(out, ',');
    buffer_append(out, json_raw(doc, key));
    buffer_append_char(out, ':');
    buffer_append(out, json_raw(doc, json_value_of(key)));
}

static void make_head(struct chunks *c) {
    static const char *const others[] = {"choices", "usage", "object"};
    const struct json_doc *doc = c->r->doc;
    buffer_append(&c->head, c->chat ? SLICE("{\"object\":\"chat.completion.chunk\"")
                                    : SLICE("{\"object\":\"text_completion\""));
    for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(doc, JSON_ROOT, key)) {
        if (NAME_IS_ONE_OF(doc, key, others))
            continue;
        size_t bytes = json_raw(doc, key).len + json_raw(doc, json_value_of(key)).len;
        bool repeated = c->head.len + bytes <= REPEATED_BYTES_MAX;
        copy_member(repeated ? &c->head : &c->once, doc, key);
    }
}

static void begin_chunk(struct chunks *c) {
    BUFFER_LITERAL(c->r->out, "data: ");
    buffer_append(c->r->out, buffer_slice(&c->head));
    buffer_append(c->r->out, buffer_slice(&c->once));
    buffer_clear(&c->once);
    BUFFER_LITERAL(c->r->out, ",\"choices\":[");
}

// A choice's place in the answer, and the log probabilities that no chunk has
// brought yet: they are one list, wherever it is cut, and go with the first
// piece of the content.
struct choice {
    int64_t index;
    struct slice logprobs; // empty: the answer has none
};

static void begin_choice(struct chunks *c, const struct choice *at) {
    begin_chunk(c);
    BUFFER_LITERAL(c->r->out, "{\"index\":");
    buffer_append_i64(c->r->out, at->index);
}

static void end_choice(struct chunks *c, struct slice logprobs, struct slice finish_reason) {
    if (logprobs.len > 0) {
        BUFFER_LITERAL(c->r->out, ",\"logprobs\":");
        buffer_append(c->r->out, logprobs);
    }
    BUFFER_LITERAL(c->r->out, ",\"finish_reason\":");
    buffer_append(c->r->out, finish_reason);
    buffer_append(c->r->out,
                  c->r->include_usage ? SLICE("}],\"usage\":null}\n\n") : SLICE("}]}\n\n"));
}

// The chunk's logprobs: null, but for the piece that brings them.
static void end_piece(struct chunks *c, struct choice *at, bool brings_logprobs) {
    struct slice null = at->logprobs.len > 0 ? SLICE("null") : SLICE_NONE;
    end_choice(c, brings_logprobs ? at->logprobs : null, SLICE("null"));
    if (brings_logprobs)
        at->logprobs = null;
}

// A string of the message, in pieces.
static void put_text(struct chunks *c, struct choice *at, json_ref key) {
    const struct json_doc *doc = c->r->doc;
    bool content = json_string_is(doc, key, SLICE("content"));
    struct slice text = json_inner(doc, json_value_of(key));
    while (text.len > 0) {
        struct slice piece = replay_piece(&text);
        begin_choice(c, at);
        BUFFER_LITERAL(c->r->out, ",\"delta\":{");
        buffer_append(c->r->out, json_raw(doc, key));
        BUFFER_LITERAL(c->r->out, ":\"");
        buffer_append(c->r->out, piece);
        BUFFER_LITERAL(c->r->out, "\"}");
        end_piece(c, at, content);
    }
}

static bool is_streamed_text(const struct json_doc *doc, json_ref key) {
    static const char *const whole[] = {"role", "id", "type", "name"};
    return json_type_of(doc, json_value_of(key)) == JSON_STRING && !NAME_IS_ONE_OF(doc, key, whole);
}

static bool is_calls(const struct json_doc *doc, json_ref key) {
    return json_string_is(doc, key, SLICE("tool_calls")) &&
           json_first(doc, json_value_of(key)) != JSON_NONE;
}

// The role, the content's kind, and whatever does not come in pieces.
static void put_role(struct chunks *c, struct choice *at, json_ref message) {
    const struct json_doc *doc = c->r->doc;
    struct buffer *out = c->r->out;
    json_ref role = json_get(doc, message, SLICE("role"));
    begin_choice(c, at);
    BUFFER_LITERAL(out, ",\"delta\":{\"role\":");
    buffer_append(out, role != JSON_NONE ? json_raw(doc, role) : SLICE("\"assistant\""));
    for (json_ref key = json_first(doc, message); key != JSON_NONE;
         key = json_next(doc, message, key)) {
        if (json_string_is(doc, key, SLICE("role")) || is_calls(doc, key))
            continue;
        if (!is_streamed_text(doc, key)) {
            copy_member(out, doc, key);
        } else { // announced empty, as OpenAI does with content
            buffer_append_char(out, ',');
            buffer_append(out, json_raw(doc, key));
            BUFFER_LITERAL(out, ":\"\"");
        }
    }
    buffer_append_char(out, '}');
    end_piece(c, at, false);
}

static void put_tool_calls(struct chunks *c, struct choice *at, json_ref calls) {
    const struct json_doc *doc = c->r->doc;
    int64_t position = 0;
    for (json_ref call = json_first(doc, calls); call != JSON_NONE;
         call = json_next(doc, calls, call)) {
        begin_choice(c, at);
        BUFFER_LITERAL(c->r->out, ",\"delta\":{\"tool_calls\":[{\"index\":");
        buffer_append_i64(c->r->out, position++);
        for (json_ref key = json_first(doc, call); key != JSON_NONE;
             key = json_next(doc, call, key))
            if (!json_string_is(doc, key, SLICE("index")))
                copy_member(c->r->out, doc, key);
        BUFFER_LITERAL(c->r->out, "}]}");
        end_piece(c, at, false);
    }
}

// The finish reason, and the members of the choice that this dialect does not know.
static void put_finish(struct chunks *c, struct choice *at, json_ref choice) {
    static const char *const others[] = {"index", "logprobs", "finish_reason"};
    const struct json_doc *doc = c->r->doc;
    json_ref reason = json_get(doc, choice, SLICE("finish_reason"));
    begin_choice(c, at);
    buffer_append(c->r->out, c->chat ? SLICE(",\"delta\":{}") : SLICE(",\"text\":\"\""));
    for (json_ref key = json_first(doc, choice); key != JSON_NONE;
         key = json_next(doc, choice, key))
        if (!NAME_IS_ONE_OF(doc, key, others) &&
            !json_string_is(doc, key, c->chat ? SLICE("message") : SLICE("text")))
            copy_member(c->r->out, doc, key);
    end_choice(c, at->logprobs, reason != JSON_NONE ? json_raw(doc, reason) : SLICE("null"));
}

static void put_message(struct chunks *c, struct choice *at, json_ref message) {
    const struct json_doc *doc = c->r->doc;
    put_role(c, at, message);
    for (json_ref key = json_first(doc, message); key != JSON_NONE;
         key = json_next(doc, message, key))
        if (is_streamed_text(doc, key))
            put_text(c, at, key);
    put_tool_calls(c, at, json_get(doc, message, SLICE("tool_calls")));
}

static void put_completion(struct chunks *c, struct choice *at, json_ref value) {
    struct slice text = json_inner(c->r->doc, value);
    while (text.len > 0) {
        struct slice piece = replay_piece(&text);
        begin_choice(c, at);
        BUFFER_LITERAL(c->r->out, ",\"text\":\"");
        buffer_append(c->r->out, piece);
        buffer_append_char(c->r->out, '"');
        end_piece(c, at, true);
    }
}

static void put_choice(struct chunks *c, int64_t position, json_ref choice) {
    const struct json_doc *doc = c->r->doc;
    struct choice at = {.index = position};
    json_ref logprobs = json_get(doc, choice, SLICE("logprobs"));
    (void)!json_i64(doc, json_get(doc, choice, SLICE("index")), &at.index);
    if (logprobs != JSON_NONE)
        at.logprobs = json_raw(doc, logprobs);
    if (c->chat)
        put_message(c, &at, json_get(doc, choice, SLICE("message")));
    else
        put_completion(c, &at, json_get(doc, choice, SLICE("text")));
    put_finish(c, &at, choice);
}

// Of a shape that has a stream's?
static bool can_replay(const struct chunks *c, json_ref choice) {
    const struct json_doc *doc = c->r->doc;
    if (!c->chat)
        return json_is(doc, json_get(doc, choice, SLICE("text")), JSON_STRING);
    json_ref message = json_get(doc, choice, SLICE("message"));
    json_ref calls = json_get(doc, message, SLICE("tool_calls"));
    if (!json_is(doc, message, JSON_OBJECT))
        return false;
    if (json_is_absent(doc, calls))
        return true;
    for (json_ref call = json_first(doc, calls); call != JSON_NONE;
         call = json_next(doc, calls, call))
        if (!json_is(doc, call, JSON_OBJECT))
            return false;
    return json_type_of(doc, calls) == JSON_ARRAY;
}

bool replay_chunks(struct replay *r, bool chat) {
    struct chunks c = {.r = r, .chat = chat};
    const struct json_doc *doc = r->doc;
    json_ref choices = json_get(doc, JSON_ROOT, SLICE("choices"));
    if (!json_is(doc, choices, JSON_ARRAY) || json_first(doc, choices) == JSON_NONE)
        return false;
    for (json_ref choice = json_first(doc, choices); choice != JSON_NONE;
         choice = json_next(doc, choices, choice))
        if (!can_replay(&c, choice))
            return false;
    make_head(&c);
    int64_t position = 0;
    for (json_ref choice = json_first(doc, choices); choice != JSON_NONE;
         choice = json_next(doc, choices, choice))
        put_choice(&c, position++, choice);
    json_ref usage = json_get(doc, JSON_ROOT, SLICE("usage"));
    if (r->include_usage) {
        begin_chunk(&c);
        BUFFER_LITERAL(r->out, "],\"usage\":");
        buffer_append(r->out, usage != JSON_NONE ? json_raw(doc, usage) : SLICE("null"));
        BUFFER_LITERAL(r->out, "}\n\n");
    }
    BUFFER_LITERAL(r->out, "data: [DONE]\n\n");
    buffer_free(&c.head);
    buffer_free(&c.once);
    return true;
}
