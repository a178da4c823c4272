// The whole answer of a stream of Anthropic's messages.
#include "stream.h"

enum { BLOCKS_MAX = 1024 };

// What the deltas of a content block add to. The pieces of a tool's input are
// JSON inside strings: decoded and joined, they are the block's `input`.
static const struct block_delta {
    const char *type, *from, *to;
    enum { GROWS_TEXT, GROWS_LIST, GROWS_INPUT } how;
} block_deltas[] = {
    {"text_delta", "text", "text", GROWS_TEXT},
    {"thinking_delta", "thinking", "thinking", GROWS_TEXT},
    {"signature_delta", "signature", "signature", GROWS_TEXT},
    {"citations_delta", "citation", "citations", GROWS_LIST},
    {"input_json_delta", "partial_json", "", GROWS_INPUT},
};

// No member of a block has an empty name: the joined input stands there.
#define INPUT_TEXT SLICE("")

// message_start's message, and message_delta's changes to it. Usage is
// cumulative, but the later report may have fewer members.
static void set_message(struct provider_stream *s, json_ref object, json_ref usage) {
    struct merge *message = merge_member(s->parts, SLICE("message"), &s->budget);
    for (json_ref key = json_first(s->doc, object); key != JSON_NONE;
         key = json_next(s->doc, object, key)) {
        struct slice name = json_inner(s->doc, key);
        if (slice_equal(name, SLICE("usage")) || slice_equal(name, SLICE("content")))
            continue;
        merge_set_raw(merge_member(message, name, &s->budget), json_raw(s->doc, json_value_of(key)),
                      &s->budget);
    }
    if (!json_is(s->doc, usage, JSON_OBJECT))
        return;
    struct merge *at = merge_member(message, SLICE("usage"), &s->budget);
    for (json_ref key = json_first(s->doc, usage); key != JSON_NONE;
         key = json_next(s->doc, usage, key)) {
        struct merge *member = merge_member(at, json_inner(s->doc, key), &s->budget);
        json_ref value = json_value_of(key);
        if (json_type_of(s->doc, value) == JSON_NULL)
            merge_value(member, s->doc, value, MERGE_GROW, &s->budget);
        else
            merge_set_raw(member, json_raw(s->doc, value), &s->budget);
    }
}

static bool grows(struct slice name, json_ref value, const struct json_doc *doc) {
    for (size_t i = 0; i < FARTHING_COUNT(block_deltas); i++) {
        const struct block_delta *d = &block_deltas[i];
        enum json_type grown = d->how == GROWS_LIST ? JSON_ARRAY : JSON_STRING;
        enum json_type type = json_type_of(doc, value);
        if (slice_equal(name, slice_of(d->to)) && (type == grown || type == JSON_NULL))
            return true;
    }
    return false;
}

static void start_block(struct provider_stream *s, struct merge *block, json_ref start) {
    if (block == NULL || !json_is(s->doc, start, JSON_OBJECT) || merge_first(block) != NULL) {
        s->budget.failed = true;
        return;
    }
    for (json_ref key = json_first(s->doc, start); key != JSON_NONE;
         key = json_next(s->doc, start, key)) {
        struct slice name = json_inner(s->doc, key);
        struct merge *m = merge_member(block, name, &s->budget);
        json_ref value = json_value_of(key);
        if (grows(name, value, s->doc))
            merge_value(m, s->doc, value, MERGE_GROW, &s->budget);
        else
            merge_set_raw(m, json_raw(s->doc, value), &s->budget);
    }
}

static void grow_block(struct provider_stream *s, struct merge *block, json_ref delta) {
    json_ref type = json_get(s->doc, delta, SLICE("type"));
    for (size_t i = 0; i < FARTHING_COUNT(block_deltas); i++) {
        const struct block_delta *d = &block_deltas[i];
        if (!json_string_is(s->doc, type, slice_of(d->type)))
            continue;
        json_ref from = json_get(s->doc, delta, slice_of(d->from));
        struct merge *to = merge_member(block, slice_of(d->to), &s->budget);
        if (json_is_absent(s->doc, from))
            break;
        if (d->how == GROWS_LIST) {
            merge_append_item(to, json_raw(s->doc, from), &s->budget);
            return;
        }
        if (json_type_of(s->doc, from) != JSON_STRING)
            break;
        struct slice text =
            d->how == GROWS_INPUT ? json_string(s->doc, from, s->scratch)
                                  : json_inner(s->doc, from);
        merge_append_text(to, text, &s->budget);
        return;
    }
    s->budget.failed = true; // what is to come
}

// A message_delta also has changes beside its delta, as context_management.
static void change_message(struct provider_stream *s, json_ref delta) {
    if (json_is(s->doc, delta, JSON_OBJECT))
        set_message(s, delta, json_get(s->doc, JSON_ROOT, SLICE("usage")));
    for (json_ref key = json_first(s->doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(s->doc, JSON_ROOT, key)) {
        struct slice name = json_inner(s->doc, key);
        if (slice_equal(name, SLICE("type")) || slice_equal(name, SLICE("delta")) ||
            slice_equal(name, SLICE("usage")))
            continue;
        struct merge *message = merge_member(s->parts, SLICE("message"), &s->budget);
        merge_set_raw(merge_member(message, name, &s->budget), json_raw(s->doc, json_value_of(key)),
                      &s->budget);
    }
}

static struct merge *block_of(struct provider_stream *s) {
    int64_t index;
    if (!json_i64(s->doc, json_get(s->doc, JSON_ROOT, SLICE("index")), &index) || index < 0 ||
        index >= BLOCKS_MAX) {
        s->budget.failed = true;
        return NULL;
    }
    return merge_element(merge_member(s->parts, SLICE("content"), &s->budget), index, &s->budget);
}

void assemble_message(struct provider_stream *s, struct slice type) {
    json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
    if (slice_equal(type, SLICE("message_start"))) {
        json_ref message = json_get(s->doc, JSON_ROOT, SLICE("message"));
        if (json_is(s->doc, message, JSON_OBJECT))
            set_message(s, message, json_get(s->doc, message, SLICE("usage")));
    } else if (slice_equal(type, SLICE("message_delta"))) {
        change_message(s, delta);
    } else if (slice_equal(type, SLICE("content_block_start"))) {
        start_block(s, block_of(s), json_get(s->doc, JSON_ROOT, SLICE("content_block")));
    } else if (slice_equal(type, SLICE("content_block_delta"))) {
        grow_block(s, block_of(s), delta);
    }
}

// The pieces of a tool's input may have been no JSON after all.
static bool is_json(struct slice text) {
    struct json_doc *doc = json_doc_new();
    struct error ignored;
    bool ok = json_parse(doc, text, NULL, &ignored);
    json_doc_free(doc);
    return ok;
}

static bool put_block(struct buffer *out, const struct merge *block) {
    const struct merge *text = merge_find(block, INPUT_TEXT);
    bool has_input = text != NULL && !merge_is_blank(text);
    bool first = true;
    if (has_input && !is_json(merge_text(text)))
        return false;
    buffer_append_char(out, '{');
    for (const struct merge *m = merge_first(block); m != NULL; m = merge_next(m))
        if (m != text && !(has_input && slice_equal(merge_name(m), SLICE("input"))))
            assemble_put(out, &first, merge_name(m), m);
    if (has_input) {
        buffer_append(out, first ? SLICE("\"input\":") : SLICE(",\"input\":"));
        buffer_append(out, merge_text(text));
    }
    buffer_append_char(out, '}');
    return true;
}

bool assembled_message(struct provider_stream *s, struct buffer *out) {
    const struct merge *message = merge_find(s->parts, SLICE("message"));
    const struct merge *blocks = merge_find(s->parts, SLICE("content"));
    if (message == NULL || merge_first(message) == NULL)
        return false;
    const struct merge *leads = blocks != NULL ? merge_above(blocks, -1) : NULL;
    BUFFER_LITERAL(out, "{\"content\":[");
    for (const struct merge *b = leads; b != NULL; b = merge_above(blocks, merge_index(b))) {
        if (b != leads)
            buffer_append_char(out, ',');
        if (!put_block(out, b))
            return false;
    }
    buffer_append_char(out, ']');
    bool first = false;
    for (const struct merge *m = merge_first(message); m != NULL; m = merge_next(m))
        assemble_put(out, &first, merge_name(m), m);
    buffer_append_char(out, '}');
    return true;
}
