// Anthropic's messages as a stream: message_start, each content block with its
// deltas, message_delta, message_stop.
#include "replay.h"

static void begin_event(struct replay *r, const char *type) {
    buffer_printf(r->out, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void end_event(struct replay *r) {
    BUFFER_LITERAL(r->out, "}\n\n");
}

static struct slice raw_of(struct replay *r, json_ref object, const char *name) {
    json_ref ref = json_get(r->doc, object, slice_of(name));
    return ref == JSON_NONE ? SLICE("null") : json_raw(r->doc, ref);
}

static void put_start(struct replay *r) {
    struct json_edits *edits = json_edits_new(r->doc, r->arena);
    json_edit_set(edits, JSON_ROOT, SLICE("content"), SLICE("[]"));
    json_edit_set(edits, JSON_ROOT, SLICE("stop_reason"), SLICE("null"));
    if (json_get(r->doc, JSON_ROOT, SLICE("stop_sequence")) != JSON_NONE)
        json_edit_set(edits, JSON_ROOT, SLICE("stop_sequence"), SLICE("null"));
    begin_event(r, "message_start");
    BUFFER_LITERAL(r->out, ",\"message\":");
    buffer_append(r->out, json_edits_apply(edits));
    end_event(r);
}

static void put_delta(struct replay *r, int64_t index, const char *type, const char *name,
                      struct slice inner) {
    begin_event(r, "content_block_delta");
    buffer_printf(r->out, ",\"index\":%lld,\"delta\":{\"type\":\"%s\",\"%s\":\"", (long long)index,
                  type, name);
    buffer_append(r->out, inner);
    BUFFER_LITERAL(r->out, "\"}");
    end_event(r);
}

static void put_pieces(struct replay *r, int64_t index, const char *type, const char *name,
                       struct slice inner) {
    while (inner.len > 0) {
        struct slice piece = replay_piece(&inner);
        put_delta(r, index, type, name, piece);
    }
}

// The block's empty form, which its deltas fill.
static void put_block_start(struct replay *r, int64_t index, json_ref block, const char *name,
                            struct slice empty) {
    struct json_doc *doc = json_doc_new();
    struct slice start = json_raw(r->doc, block);
    struct error ignored;
    if (name != NULL && json_parse(doc, start, NULL, &ignored)) {
        struct json_edits *edits = json_edits_new(doc, r->arena);
        json_edit_set(edits, JSON_ROOT, slice_of(name), empty);
        if (json_get(doc, JSON_ROOT, SLICE("signature")) != JSON_NONE)
            json_edit_set(edits, JSON_ROOT, SLICE("signature"), SLICE("\"\""));
        start = json_edits_apply(edits);
    }
    json_doc_free(doc);
    begin_event(r, "content_block_start");
    buffer_printf(r->out, ",\"index\":%lld,\"content_block\":", (long long)index);
    buffer_append(r->out, start);
    end_event(r);
}

static void put_block(struct replay *r, int64_t index, json_ref block) {
    json_ref type = json_get(r->doc, block, SLICE("type"));
    json_ref input = json_get(r->doc, block, SLICE("input"));
    // tool_use, server_tool_use, mcp_tool_use
    bool tool = slice_ends_with(json_inner(r->doc, type), SLICE("tool_use"));
    if (json_string_is(r->doc, type, SLICE("text"))) {
        put_block_start(r, index, block, "text", SLICE("\"\""));
        put_pieces(r, index, "text_delta", "text",
                   json_inner(r->doc, json_get(r->doc, block, SLICE("text"))));
    } else if (json_string_is(r->doc, type, SLICE("thinking"))) {
        put_block_start(r, index, block, "thinking", SLICE("\"\""));
        put_pieces(r, index, "thinking_delta", "thinking",
                   json_inner(r->doc, json_get(r->doc, block, SLICE("thinking"))));
        struct slice signature = json_inner(r->doc, json_get(r->doc, block, SLICE("signature")));
        if (signature.len > 0)
            put_delta(r, index, "signature_delta", "signature", signature);
    } else if (tool && input != JSON_NONE) {
        struct buffer quoted = {0};
        put_block_start(r, index, block, "input", SLICE("{}"));
        json_quote(&quoted, json_raw(r->doc, input));
        put_delta(r, index, "input_json_delta", "partial_json",
                  slice_make(quoted.ptr + 1, quoted.len - 2));
        buffer_free(&quoted);
    } else {
        put_block_start(r, index, block, NULL, SLICE_NONE); // whole, as it is
    }
    begin_event(r, "content_block_stop");
    buffer_printf(r->out, ",\"index\":%lld", (long long)index);
    end_event(r);
}

static void put_end(struct replay *r) {
    json_ref usage = json_get(r->doc, JSON_ROOT, SLICE("usage"));
    begin_event(r, "message_delta");
    BUFFER_LITERAL(r->out, ",\"delta\":{\"stop_reason\":");
    buffer_append(r->out, raw_of(r, JSON_ROOT, "stop_reason"));
    if (json_get(r->doc, JSON_ROOT, SLICE("stop_sequence")) != JSON_NONE) {
        BUFFER_LITERAL(r->out, ",\"stop_sequence\":");
        buffer_append(r->out, raw_of(r, JSON_ROOT, "stop_sequence"));
    }
    buffer_append_char(r->out, '}');
    if (usage != JSON_NONE) {
        BUFFER_LITERAL(r->out, ",\"usage\":");
        buffer_append(r->out, json_raw(r->doc, usage));
    }
    end_event(r);
    begin_event(r, "message_stop");
    end_event(r);
}

bool replay_message(struct replay *r) {
    json_ref content = json_get(r->doc, JSON_ROOT, SLICE("content"));
    if (!json_is(r->doc, content, JSON_ARRAY))
        return false;
    for (json_ref block = json_first(r->doc, content); block != JSON_NONE;
         block = json_next(r->doc, content, block))
        if (!json_is(r->doc, block, JSON_OBJECT))
            return false;
    put_start(r);
    int64_t index = 0;
    for (json_ref block = json_first(r->doc, content); block != JSON_NONE;
         block = json_next(r->doc, content, block))
        put_block(r, index++, block);
    put_end(r);
    return true;
}
