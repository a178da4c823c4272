// Chat and text completions as streams: role first, the content in pieces,
// tool calls, the finish reason, usage when asked for, [DONE].
#include "replay.h"

struct chunks {
    struct replay *r;
    bool chat;
    struct buffer head; // {"id":...,"object":...,  up to the choices
};

static void copy_member(struct buffer *out, const struct json_doc *doc, json_ref key) {
    buffer_append(out, json_raw(doc, key));
    buffer_append_char(out, ':');
    buffer_append(out, json_raw(doc, json_value_of(key)));
}

// Every chunk repeats the answer's own members.
static void make_head(struct chunks *c) {
    const struct json_doc *doc = c->r->doc;
    buffer_append(&c->head, c->chat ? SLICE("{\"object\":\"chat.completion.chunk\"")
                                    : SLICE("{\"object\":\"text_completion\""));
    for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(doc, JSON_ROOT, key)) {
        if (json_string_is(doc, key, SLICE("choices")) || json_string_is(doc, key, SLICE("usage")) ||
            json_string_is(doc, key, SLICE("object")))
            continue;
        buffer_append_char(&c->head, ',');
        copy_member(&c->head, doc, key);
    }
    BUFFER_LITERAL(&c->head, ",\"choices\":[");
}

static void begin_chunk(struct chunks *c) {
    BUFFER_LITERAL(c->r->out, "data: ");
    buffer_append(c->r->out, buffer_slice(&c->head));
}

static void end_chunk(struct chunks *c) {
    buffer_append(c->r->out, c->r->include_usage ? SLICE("],\"usage\":null}\n\n") : SLICE("]}\n\n"));
}

static void begin_choice(struct chunks *c, int64_t index) {
    begin_chunk(c);
    BUFFER_LITERAL(c->r->out, "{\"index\":");
    buffer_append_i64(c->r->out, index);
}

static void end_choice(struct chunks *c, struct slice logprobs, struct slice finish_reason) {
    BUFFER_LITERAL(c->r->out, ",\"logprobs\":");
    buffer_append(c->r->out, logprobs.len > 0 ? logprobs : SLICE("null"));
    BUFFER_LITERAL(c->r->out, ",\"finish_reason\":");
    buffer_append(c->r->out, finish_reason.len > 0 ? finish_reason : SLICE("null"));
    buffer_append_char(c->r->out, '}');
    end_chunk(c);
}

// One member of the delta, a string, in pieces. The log probabilities of the
// whole go with the first piece: they are one list, wherever it is cut.
static void put_text(struct chunks *c, int64_t index, struct slice name, struct slice text,
                     struct slice logprobs) {
    while (text.len > 0) {
        struct slice piece = replay_piece(&text);
        begin_choice(c, index);
        BUFFER_LITERAL(c->r->out, ",\"delta\":{");
        buffer_append(c->r->out, name);
        BUFFER_LITERAL(c->r->out, ":\"");
        buffer_append(c->r->out, piece);
        BUFFER_LITERAL(c->r->out, "\"}");
        end_choice(c, logprobs, SLICE_NONE);
        logprobs = SLICE_NONE;
    }
}

static bool is_streamed_text(const struct json_doc *doc, json_ref key) {
    return json_type_of(doc, json_value_of(key)) == JSON_STRING &&
           !json_string_is(doc, key, SLICE("role"));
}

// The role, and whatever does not come in pieces.
static void put_role(struct chunks *c, int64_t index, json_ref message) {
    const struct json_doc *doc = c->r->doc;
    json_ref role = json_get(doc, message, SLICE("role"));
    bool has_content = json_get(doc, message, SLICE("content")) != JSON_NONE;
    begin_choice(c, index);
    BUFFER_LITERAL(c->r->out, ",\"delta\":{\"role\":");
    buffer_append(c->r->out, role != JSON_NONE ? json_raw(doc, role) : SLICE("\"assistant\""));
    if (has_content) {
        bool text = json_type_of(doc, json_get(doc, message, SLICE("content"))) == JSON_STRING;
        buffer_append(c->r->out, text ? SLICE(",\"content\":\"\"") : SLICE(",\"content\":null"));
    }
    for (json_ref key = json_first(doc, message); key != JSON_NONE;
         key = json_next(doc, message, key)) {
        if (is_streamed_text(doc, key) || json_string_is(doc, key, SLICE("role")) ||
            json_string_is(doc, key, SLICE("content")) ||
            json_string_is(doc, key, SLICE("tool_calls")))
            continue;
        buffer_append_char(c->r->out, ',');
        copy_member(c->r->out, doc, key);
    }
    buffer_append_char(c->r->out, '}');
    end_choice(c, SLICE_NONE, SLICE_NONE);
}

static void put_tool_calls(struct chunks *c, int64_t index, json_ref calls) {
    const struct json_doc *doc = c->r->doc;
    int64_t position = 0;
    if (json_is_absent(doc, calls) || json_type_of(doc, calls) != JSON_ARRAY)
        return;
    for (json_ref call = json_first(doc, calls); call != JSON_NONE;
         call = json_next(doc, calls, call)) {
        struct slice raw = json_raw(doc, call);
        bool empty = json_first(doc, call) == JSON_NONE;
        begin_choice(c, index);
        BUFFER_LITERAL(c->r->out, ",\"delta\":{\"tool_calls\":[{\"index\":");
        buffer_append_i64(c->r->out, position++);
        if (!empty)
            buffer_append_char(c->r->out, ',');
        buffer_append(c->r->out, slice_from(raw, 1)); // its own members, and its brace
        BUFFER_LITERAL(c->r->out, "]}");
        end_choice(c, SLICE_NONE, SLICE_NONE);
    }
}

static struct slice raw_or_none(const struct json_doc *doc, json_ref ref) {
    return json_is_absent(doc, ref) ? SLICE_NONE : json_raw(doc, ref);
}

static void put_chat_choice(struct chunks *c, int64_t index, json_ref choice) {
    const struct json_doc *doc = c->r->doc;
    json_ref message = json_get(doc, choice, SLICE("message"));
    struct slice logprobs = raw_or_none(doc, json_get(doc, choice, SLICE("logprobs")));
    put_role(c, index, message);
    for (json_ref key = json_first(doc, message); key != JSON_NONE;
         key = json_next(doc, message, key)) {
        if (!is_streamed_text(doc, key))
            continue;
        bool content = json_string_is(doc, key, SLICE("content"));
        struct slice text = replay_inner(doc, json_value_of(key));
        put_text(c, index, json_raw(doc, key), text, content ? logprobs : SLICE_NONE);
        if (content && text.len > 0)
            logprobs = SLICE_NONE;
    }
    put_tool_calls(c, index, json_get(doc, message, SLICE("tool_calls")));
    begin_choice(c, index);
    BUFFER_LITERAL(c->r->out, ",\"delta\":{}");
    for (json_ref key = json_first(doc, choice); key != JSON_NONE; key = json_next(doc, choice, key)) {
        if (json_string_is(doc, key, SLICE("index")) || json_string_is(doc, key, SLICE("message")) ||
            json_string_is(doc, key, SLICE("logprobs")) ||
            json_string_is(doc, key, SLICE("finish_reason")))
            continue;
        buffer_append_char(c->r->out, ',');
        copy_member(c->r->out, doc, key);
    }
    end_choice(c, logprobs, raw_or_none(doc, json_get(doc, choice, SLICE("finish_reason"))));
}

static void put_text_choice(struct chunks *c, int64_t index, json_ref choice) {
    const struct json_doc *doc = c->r->doc;
    struct slice text = replay_inner(doc, json_get(doc, choice, SLICE("text")));
    struct slice logprobs = raw_or_none(doc, json_get(doc, choice, SLICE("logprobs")));
    while (text.len > 0) {
        struct slice piece = replay_piece(&text);
        begin_choice(c, index);
        BUFFER_LITERAL(c->r->out, ",\"text\":\"");
        buffer_append(c->r->out, piece);
        buffer_append_char(c->r->out, '"');
        end_choice(c, logprobs, SLICE_NONE);
        logprobs = SLICE_NONE;
    }
    begin_choice(c, index);
    BUFFER_LITERAL(c->r->out, ",\"text\":\"\"");
    end_choice(c, logprobs, raw_or_none(doc, json_get(doc, choice, SLICE("finish_reason"))));
}

bool replay_chunks(struct replay *r, bool chat) {
    struct chunks c = {.r = r, .chat = chat};
    const struct json_doc *doc = r->doc;
    json_ref choices = json_get(doc, JSON_ROOT, SLICE("choices"));
    if (json_is_absent(doc, choices) || json_first(doc, choices) == JSON_NONE)
        return false;
    make_head(&c);
    int64_t position = 0;
    for (json_ref choice = json_first(doc, choices); choice != JSON_NONE;
         choice = json_next(doc, choices, choice), position++) {
        int64_t index = position;
        (void)!json_i64(doc, json_get(doc, choice, SLICE("index")), &index);
        if (chat)
            put_chat_choice(&c, index, choice);
        else
            put_text_choice(&c, index, choice);
    }
    json_ref usage = json_get(doc, JSON_ROOT, SLICE("usage"));
    if (r->include_usage) {
        begin_chunk(&c);
        BUFFER_LITERAL(r->out, "],\"usage\":");
        buffer_append(r->out, usage != JSON_NONE ? json_raw(doc, usage) : SLICE("null"));
        BUFFER_LITERAL(r->out, "}\n\n");
    }
    BUFFER_LITERAL(r->out, "data: [DONE]\n\n");
    buffer_free(&c.head);
    return true;
}
