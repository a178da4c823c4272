// The responses endpoint's stream: created, in_progress, each output item with
// its parts, completed. Event names and members as in OpenAI's API reference.
#include "replay.h"

static void begin_event(struct replay *r, const char *type) {
    buffer_printf(r->out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%lld", type, type,
                  (long long)r->sequence++);
}

static void end_event(struct replay *r) {
    BUFFER_LITERAL(r->out, "}\n\n");
}

static void member(struct replay *r, const char *name, struct slice raw) {
    buffer_printf(r->out, ",\"%s\":", name);
    buffer_append(r->out, raw.len > 0 ? raw : SLICE("null"));
}

static void number(struct replay *r, const char *name, int64_t value) {
    buffer_printf(r->out, ",\"%s\":%lld", name, (long long)value);
}

static struct slice raw_of(struct replay *r, json_ref object, const char *name) {
    json_ref ref = json_get(r->doc, object, slice_of(name));
    return ref == JSON_NONE ? SLICE_NONE : json_raw(r->doc, ref);
}

// The response as it stood before its output was there.
static void put_unfinished(struct replay *r, const char *type) {
    struct json_edits *edits = json_edits_new(r->doc, r->arena);
    json_edit_set(edits, JSON_ROOT, SLICE("status"), SLICE("\"in_progress\""));
    json_edit_set(edits, JSON_ROOT, SLICE("output"), SLICE("[]"));
    static const char *const at_the_end[] = {"usage", "completed_at", "incomplete_details",
                                             "error"};
    for (size_t i = 0; i < FARTHING_COUNT(at_the_end); i++)
        if (json_get(r->doc, JSON_ROOT, slice_of(at_the_end[i])) != JSON_NONE)
            json_edit_set(edits, JSON_ROOT, slice_of(at_the_end[i]), SLICE("null"));
    begin_event(r, type);
    member(r, "response", json_edits_apply(edits));
    end_event(r);
}

// An item as it is announced: without what comes in pieces.
static struct slice announced(struct replay *r, json_ref item, bool message) {
    struct json_doc *doc = json_doc_new();
    struct slice out = json_raw(r->doc, item);
    struct error ignored;
    if (json_parse(doc, out, NULL, &ignored)) {
        struct json_edits *edits = json_edits_new(doc, r->arena);
        if (message)
            json_edit_set(edits, JSON_ROOT, SLICE("content"), SLICE("[]"));
        else
            json_edit_set(edits, JSON_ROOT, SLICE("arguments"), SLICE("\"\""));
        if (json_get(doc, JSON_ROOT, SLICE("status")) != JSON_NONE)
            json_edit_set(edits, JSON_ROOT, SLICE("status"), SLICE("\"in_progress\""));
        out = json_edits_apply(edits);
    }
    json_doc_free(doc);
    return out;
}

static void place(struct replay *r, struct slice item_id, int64_t output, int64_t content) {
    member(r, "item_id", item_id);
    number(r, "output_index", output);
    if (content >= 0)
        number(r, "content_index", content);
}

static void put_pieces(struct replay *r, const char *type, struct slice text, struct slice item_id,
                       int64_t output, int64_t content, bool logprobs) {
    while (text.len > 0) {
        struct slice piece = replay_piece(&text);
        begin_event(r, type);
        place(r, item_id, output, content);
        BUFFER_LITERAL(r->out, ",\"delta\":\"");
        buffer_append(r->out, piece);
        buffer_append_char(r->out, '"');
        if (logprobs)
            BUFFER_LITERAL(r->out, ",\"logprobs\":[]");
        end_event(r);
    }
}

static void put_part(struct replay *r, json_ref part, struct slice item_id, int64_t output,
                     int64_t content) {
    json_ref type = json_get(r->doc, part, SLICE("type"));
    bool text = json_string_is(r->doc, type, SLICE("output_text"));
    bool refusal = json_string_is(r->doc, type, SLICE("refusal"));
    begin_event(r, "response.content_part.added");
    place(r, item_id, output, content);
    member(r, "part",
           text      ? SLICE("{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],"
                                  "\"logprobs\":[]}")
           : refusal ? SLICE("{\"type\":\"refusal\",\"refusal\":\"\"}")
                     : json_raw(r->doc, part));
    end_event(r);
    if (text || refusal) {
        const char *name = text ? "text" : "refusal";
        json_ref value = json_get(r->doc, part, slice_of(name));
        put_pieces(r, text ? "response.output_text.delta" : "response.refusal.delta",
                   json_inner(r->doc, value), item_id, output, content, text);
        begin_event(r, text ? "response.output_text.done" : "response.refusal.done");
        place(r, item_id, output, content);
        member(r, name, value != JSON_NONE ? json_raw(r->doc, value) : SLICE("\"\""));
        if (text)
            BUFFER_LITERAL(r->out, ",\"logprobs\":[]");
        end_event(r);
    }
    begin_event(r, "response.content_part.done");
    place(r, item_id, output, content);
    member(r, "part", json_raw(r->doc, part));
    end_event(r);
}

static void put_item(struct replay *r, json_ref item, int64_t output) {
    json_ref type = json_get(r->doc, item, SLICE("type"));
    bool message = json_string_is(r->doc, type, SLICE("message"));
    bool call = json_string_is(r->doc, type, SLICE("function_call"));
    struct slice id = raw_of(r, item, "id");
    begin_event(r, "response.output_item.added");
    number(r, "output_index", output);
    member(r, "item", message || call ? announced(r, item, message) : json_raw(r->doc, item));
    end_event(r);
    json_ref parts = message ? json_get(r->doc, item, SLICE("content")) : JSON_NONE;
    int64_t content = 0;
    for (json_ref p = json_is_absent(r->doc, parts) ? JSON_NONE : json_first(r->doc, parts);
         p != JSON_NONE; p = json_next(r->doc, parts, p))
        put_part(r, p, id, output, content++);
    if (call) {
        json_ref arguments = json_get(r->doc, item, SLICE("arguments"));
        put_pieces(r, "response.function_call_arguments.delta", json_inner(r->doc, arguments), id,
                   output, -1, false);
        begin_event(r, "response.function_call_arguments.done");
        place(r, id, output, -1);
        member(r, "name", raw_of(r, item, "name"));
        member(r, "arguments",
               arguments != JSON_NONE ? json_raw(r->doc, arguments) : SLICE("\"\""));
        end_event(r);
    }
    begin_event(r, "response.output_item.done");
    number(r, "output_index", output);
    member(r, "item", json_raw(r->doc, item));
    end_event(r);
}

// How the stream of a response with this status ends, or NULL: one that is
// still being made has not ended.
static const char *last_event(struct replay *r) {
    static const struct {
        const char *status, *event;
    } ends[] = {
        {"completed", "response.completed"},
        {"incomplete", "response.incomplete"},
        {"failed", "response.failed"},
    };
    json_ref status = json_get(r->doc, JSON_ROOT, SLICE("status"));
    for (size_t i = 0; i < FARTHING_COUNT(ends); i++)
        if (json_string_is(r->doc, status, slice_of(ends[i].status)))
            return ends[i].event;
    return NULL;
}

bool replay_response(struct replay *r) {
    json_ref output = json_get(r->doc, JSON_ROOT, SLICE("output"));
    const char *last = last_event(r);
    if (!json_is(r->doc, output, JSON_ARRAY) || last == NULL)
        return false;
    put_unfinished(r, "response.created");
    put_unfinished(r, "response.in_progress");
    int64_t position = 0;
    for (json_ref item = json_first(r->doc, output); item != JSON_NONE;
         item = json_next(r->doc, output, item))
        put_item(r, item, position++);
    begin_event(r, last);
    member(r, "response", json_raw(r->doc, JSON_ROOT));
    end_event(r);
    return true;
}
