// The whole answer that a request without `stream` would have got.
#include "stream.h"

// ------------------------------------------------- chat and text completions

// Members of a chunk that belong to the stream, not to the answer.
static bool only_in_streams(struct slice name) {
    return slice_equal(name, SLICE("choices")) || slice_equal(name, SLICE("object")) ||
           slice_equal(name, SLICE("obfuscation")) || slice_equal(name, SLICE("x_groq"));
}

static void assemble_choice(struct provider_stream *s, struct merge *choices, json_ref choice) {
    int64_t index = 0;
    (void)!json_i64(s->doc, json_get(s->doc, choice, SLICE("index")), &index);
    if (index < 0 || index >= 1024) {
        s->budget.failed = true;
        return;
    }
    merge_value(merge_element(choices, index), s->doc, choice, &s->budget);
}

void assemble_chunk(struct provider_stream *s) {
    for (json_ref key = json_first(s->doc, JSON_ROOT); key != JSON_NONE && !s->budget.failed;
         key = json_next(s->doc, JSON_ROOT, key)) {
        struct slice raw = json_raw(s->doc, key);
        struct slice name = slice_make(raw.ptr + 1, raw.len - 2);
        json_ref value = json_value_of(key);
        if (slice_find_char(name, '\\') >= 0)
            s->budget.failed = true;
        else if (!only_in_streams(name) && !json_is_absent(s->doc, value))
            merge_set_raw(merge_member(s->parts, name), json_raw(s->doc, value), &s->budget);
    }
    json_ref choices = json_get(s->doc, JSON_ROOT, SLICE("choices"));
    struct merge *list = merge_member(s->parts, SLICE("choices"));
    for (json_ref c = choices == JSON_NONE ? JSON_NONE : json_first(s->doc, choices);
         c != JSON_NONE && !s->budget.failed; c = json_next(s->doc, choices, c))
        assemble_choice(s, list, c);
}

static void put_member(struct buffer *out, bool *first, struct slice name, const struct merge *value) {
    if (!*first)
        buffer_append_char(out, ',');
    *first = false;
    buffer_append_char(out, '"');
    buffer_append(out, name);
    BUFFER_LITERAL(out, "\":");
    if (value != NULL)
        merge_write(value, out);
    else
        BUFFER_LITERAL(out, "null");
}

// role, content and refusal first, as OpenAI has them, then whatever came.
static void put_message(struct buffer *out, const struct merge *delta) {
    static const char *const leading[] = {"role", "content", "refusal"};
    bool first = true;
    buffer_append_char(out, '{');
    for (size_t i = 0; i < FARTHING_COUNT(leading); i++) {
        const struct merge *m = delta != NULL ? merge_find(delta, slice_of(leading[i])) : NULL;
        // A delta starts with content "" where tool calls follow; whole, it is null.
        bool empty = m != NULL && i > 0 && merge_text_len(m) == 0 &&
                     (i == 2 || merge_find(delta, SLICE("tool_calls")) != NULL);
        if (i == 0 && !merge_is_set(m)) {
            BUFFER_LITERAL(out, "\"role\":\"assistant\"");
            first = false;
        } else {
            put_member(out, &first, slice_of(leading[i]), empty ? NULL : m);
        }
    }
    for (const struct merge *m = delta != NULL ? merge_first(delta) : NULL; m != NULL;
         m = merge_next(m)) {
        struct slice name = merge_name(m);
        bool led = slice_equal(name, SLICE("role")) || slice_equal(name, SLICE("content")) ||
                   slice_equal(name, SLICE("refusal"));
        if (!led && merge_is_set(m))
            put_member(out, &first, name, m);
    }
    buffer_append_char(out, '}');
}

static void put_choice(struct provider_stream *s, struct buffer *out, const struct merge *choice) {
    bool chat = s->options.endpoint == API_CHAT_COMPLETIONS;
    bool first = false;
    BUFFER_LITERAL(out, "{\"index\":");
    buffer_append_i64(out, merge_index(choice));
    if (chat) {
        BUFFER_LITERAL(out, ",\"message\":");
        put_message(out, merge_find(choice, SLICE("delta")));
    } else {
        const struct merge *text = merge_find(choice, SLICE("text"));
        if (text == NULL)
            BUFFER_LITERAL(out, ",\"text\":\"\"");
        else
            put_member(out, &first, SLICE("text"), text);
    }
    put_member(out, &first, SLICE("logprobs"), merge_find(choice, SLICE("logprobs")));
    put_member(out, &first, SLICE("finish_reason"), merge_find(choice, SLICE("finish_reason")));
    for (const struct merge *m = merge_first(choice); m != NULL; m = merge_next(m)) {
        struct slice name = merge_name(m);
        bool known = slice_equal(name, SLICE("index")) || slice_equal(name, SLICE("delta")) ||
                     slice_equal(name, SLICE("text")) || slice_equal(name, SLICE("logprobs")) ||
                     slice_equal(name, SLICE("finish_reason"));
        if (!known && merge_is_set(m))
            put_member(out, &first, name, m);
    }
    buffer_append_char(out, '}');
}

// In the order of their index: they may have come in another.
static void put_choices(struct provider_stream *s, struct buffer *out, const struct merge *list) {
    int64_t last = -1;
    bool first = true;
    buffer_append_char(out, '[');
    for (;;) {
        const struct merge *next = NULL;
        for (const struct merge *c = merge_first(list); c != NULL; c = merge_next(c))
            if (merge_index(c) > last && (next == NULL || merge_index(c) < merge_index(next)))
                next = c;
        if (next == NULL)
            break;
        if (!first)
            buffer_append_char(out, ',');
        first = false;
        put_choice(s, out, next);
        last = merge_index(next);
    }
    buffer_append_char(out, ']');
}

bool assembled_chunks(struct provider_stream *s, struct buffer *out) {
    static const char *const leading[] = {"id", "created", "model"};
    bool chat = s->options.endpoint == API_CHAT_COMPLETIONS;
    bool first = false;
    buffer_append(out, chat ? SLICE("{\"object\":\"chat.completion\"")
                            : SLICE("{\"object\":\"text_completion\""));
    for (size_t i = 0; i < FARTHING_COUNT(leading); i++)
        put_member(out, &first, slice_of(leading[i]), merge_find(s->parts, slice_of(leading[i])));
    BUFFER_LITERAL(out, ",\"choices\":");
    put_choices(s, out, merge_find(s->parts, SLICE("choices")));
    for (const struct merge *m = merge_first(s->parts); m != NULL; m = merge_next(m)) {
        struct slice name = merge_name(m);
        bool led = slice_equal(name, SLICE("choices"));
        for (size_t i = 0; i < FARTHING_COUNT(leading); i++)
            led = led || slice_equal(name, slice_of(leading[i]));
        if (!led)
            put_member(out, &first, name, m);
    }
    buffer_append_char(out, '}');
    return true;
}

// ----------------------------------------------------------------- messages

static void assemble_block_delta(struct provider_stream *s, struct merge *block) {
    static const struct {
        const char *type, *from, *to;
    } kinds[] = {
        {"text_delta", "text", "text"},
        {"thinking_delta", "thinking", "thinking"},
        {"signature_delta", "signature", "signature"},
        {"input_json_delta", "partial_json", "partial_json"},
    };
    json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
    json_ref type = json_get(s->doc, delta, SLICE("type"));
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        if (!json_string_is(s->doc, type, slice_of(kinds[i].type)))
            continue;
        json_ref text = json_get(s->doc, delta, slice_of(kinds[i].from));
        if (text == JSON_NONE || json_type_of(s->doc, text) != JSON_STRING)
            break;
        struct slice raw = json_raw(s->doc, text);
        struct slice inner = slice_make(raw.ptr + 1, raw.len - 2);
        if (i == 3) // JSON inside a string: decoded, it is the block's input
            inner = json_string(s->doc, text, s->arena);
        merge_append_text(merge_member(block, slice_of(kinds[i].to)), inner, &s->budget);
        return;
    }
    s->budget.failed = true; // citations, and what is to come
}

void assemble_message(struct provider_stream *s, struct slice type) {
    int64_t index;
    struct merge *blocks = merge_member(s->parts, SLICE("content"));
    bool has_index = json_i64(s->doc, json_get(s->doc, JSON_ROOT, SLICE("index")), &index) &&
                     index >= 0 && index < 1024;
    if (slice_equal(type, SLICE("message_start"))) {
        json_ref message = json_get(s->doc, JSON_ROOT, SLICE("message"));
        if (message != JSON_NONE)
            merge_value(merge_member(s->parts, SLICE("message")), s->doc, message, &s->budget);
    } else if (slice_equal(type, SLICE("content_block_start")) && has_index) {
        json_ref block = json_get(s->doc, JSON_ROOT, SLICE("content_block"));
        if (block != JSON_NONE)
            merge_value(merge_element(blocks, index), s->doc, block, &s->budget);
    } else if (slice_equal(type, SLICE("content_block_delta")) && has_index) {
        assemble_block_delta(s, merge_element(blocks, index));
    } else if (slice_equal(type, SLICE("message_delta"))) {
        struct merge *message = merge_member(s->parts, SLICE("message"));
        json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
        json_ref usage = json_get(s->doc, JSON_ROOT, SLICE("usage"));
        if (delta != JSON_NONE)
            merge_value(message, s->doc, delta, &s->budget);
        if (usage != JSON_NONE)
            merge_value(merge_member(message, SLICE("usage")), s->doc, usage, &s->budget);
    }
}

static void put_block(struct buffer *out, const struct merge *block) {
    const struct merge *input = merge_find(block, SLICE("partial_json"));
    bool first = true;
    buffer_append_char(out, '{');
    for (const struct merge *m = merge_first(block); m != NULL; m = merge_next(m)) {
        struct slice name = merge_name(m);
        if (slice_equal(name, SLICE("partial_json")))
            continue;
        if (slice_equal(name, SLICE("input")) && input != NULL && merge_text_len(input) > 0) {
            buffer_append(out, first ? SLICE("\"input\":") : SLICE(",\"input\":"));
            buffer_append(out, merge_text(input));
            first = false;
        } else {
            put_member(out, &first, name, m);
        }
    }
    buffer_append_char(out, '}');
}

bool assembled_message(struct provider_stream *s, struct buffer *out) {
    const struct merge *message = merge_find(s->parts, SLICE("message"));
    const struct merge *blocks = merge_find(s->parts, SLICE("content"));
    if (message == NULL || merge_first(message) == NULL)
        return false;
    bool first = true;
    buffer_append_char(out, '{');
    for (const struct merge *m = merge_first(message); m != NULL; m = merge_next(m)) {
        if (!slice_equal(merge_name(m), SLICE("content"))) {
            put_member(out, &first, merge_name(m), m);
            continue;
        }
        buffer_append(out, first ? SLICE("\"content\":[") : SLICE(",\"content\":["));
        first = false;
        for (const struct merge *b = merge_first(blocks); b != NULL; b = merge_next(b)) {
            if (b != merge_first(blocks))
                buffer_append_char(out, ',');
            put_block(out, b);
        }
        buffer_append_char(out, ']');
    }
    buffer_append_char(out, '}');
    // The pieces of a tool's input may have been no JSON after all.
    struct json_doc *doc = json_doc_new();
    struct error ignored;
    bool ok = json_parse(doc, buffer_slice(out), NULL, &ignored);
    json_doc_free(doc);
    return ok;
}
