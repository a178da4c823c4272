// What an answer says, the same for all endpoints: text, calls, how it ended.
#include "gate_room.h"

static json_ref member(const struct gate_reader *r, json_ref object, const char *name) {
    return json_get(r->doc, object, slice_of(name));
}

static struct slice string_at(const struct gate_reader *r, json_ref at) {
    struct slice s = json_string(r->doc, at, r->arena);
    return s.ptr == NULL ? SLICE("") : s;
}

static struct slice string_of(const struct gate_reader *r, json_ref object, const char *name) {
    return string_at(r, member(r, object, name));
}

static bool is_filled(const struct gate_reader *r, json_ref at) {
    if (json_is_absent(r->doc, at))
        return false;
    return json_type_of(r->doc, at) != JSON_ARRAY || json_first(r->doc, at) != JSON_NONE;
}

// --------------------------------------------------------------------- text

// Most answers have one part, which is not copied.
static void add_text(struct buffer *joined, struct slice *text, struct slice part) {
    if (text->len == 0 && joined->len == 0) {
        *text = part;
        return;
    }
    if (part.len == 0)
        return;
    if (joined->len == 0)
        buffer_append(joined, *text);
    buffer_append(joined, part);
}

static void end_text(struct buffer *joined, struct slice *text, struct arena *arena) {
    if (joined->len > 0)
        *text = arena_copy(arena, buffer_slice(joined));
    buffer_free(joined);
}

static void add_call(struct gate_choice *c, struct slice name, struct slice text, json_ref value,
                     bool free_text) {
    c->calls[c->call_count++] = (struct gate_call){name, free_text, text, value};
}

// Arguments are a text that holds JSON; some servers give the value itself.
static void add_function_call(const struct gate_reader *r, struct gate_choice *c, json_ref call,
                              const char *arguments) {
    json_ref value = member(r, call, arguments);
    bool is_text = json_is_absent(r->doc, value) || json_type_of(r->doc, value) == JSON_STRING;
    add_call(c, string_of(r, call, "name"), string_at(r, value), is_text ? JSON_NONE : value,
             false);
}

static struct gate_call *room_for_calls(const struct gate_reader *r, size_t count) {
    return arena_alloc(r->arena, (count + 1) * sizeof(struct gate_call));
}

// Parts as the three endpoints have them: a text, a refusal, a tool's use, what is
// thought and not said, or something else.
static void read_parts(const struct gate_reader *r, json_ref parts, struct buffer *joined,
                       struct gate_choice *c) {
    for (json_ref p = json_first(r->doc, parts); p != JSON_NONE; p = json_next(r->doc, parts, p)) {
        struct slice type = string_of(r, p, "type");
        if (slice_equal(type, SLICE("text")) || slice_equal(type, SLICE("output_text")))
            add_text(joined, &c->text, string_of(r, p, "text"));
        else if (slice_equal(type, SLICE("refusal")))
            c->refused = true;
        else if (slice_equal(type, SLICE("tool_use")))
            add_function_call(r, c, p, "input");
        else if (slice_find(type, SLICE("thinking")) < 0 &&
                 slice_find(type, SLICE("reasoning")) < 0)
            c->speaks = true;
    }
}

// ------------------------------------------------------- chat and completions

static enum gate_finish finish_of(struct slice reason) {
    static const struct {
        const char *word;
        enum gate_finish finish;
    } words[] = {
        {"length", GATE_FINISH_LENGTH},
        {"max_tokens", GATE_FINISH_LENGTH},
        {"max_output_tokens", GATE_FINISH_LENGTH},
        {"model_length", GATE_FINISH_WINDOW},
        {"model_context_window_exceeded", GATE_FINISH_WINDOW},
        {"content_filter", GATE_FINISH_FILTER},
        {"safety", GATE_FINISH_FILTER},
        {"sensitive", GATE_FINISH_FILTER},
        {"stop", GATE_FINISH_STOP},
        {"stop_sequence", GATE_FINISH_STOP_SEQUENCE},
    };
    for (size_t i = 0; i < FARTHING_COUNT(words); i++)
        if (slice_equal_nocase(reason, slice_of(words[i].word)))
            return words[i].finish;
    return GATE_FINISH_OTHER;
}

static void read_chat_calls(const struct gate_reader *r, json_ref message,
                            struct gate_choice *c) {
    json_ref calls = member(r, message, "tool_calls");
    json_ref call = member(r, message, "function_call");
    bool list = is_filled(r, calls) && json_type_of(r->doc, calls) == JSON_ARRAY;
    c->calls = room_for_calls(r, list ? json_count(r->doc, calls) : 0);
    for (json_ref t = list ? json_first(r->doc, calls) : JSON_NONE; t != JSON_NONE;
         t = json_next(r->doc, calls, t)) {
        json_ref custom = member(r, t, "custom");
        if (custom != JSON_NONE)
            add_call(c, string_of(r, custom, "name"), SLICE(""), JSON_NONE, true);
        else
            add_function_call(r, c, member(r, t, "function"), "arguments");
    }
    if (!json_is_absent(r->doc, call))
        add_function_call(r, c, call, "arguments");
}

static void read_chat_choice(const struct gate_reader *r, struct gate_choice *c) {
    json_ref message = member(r, r->at, "message");
    json_ref content = member(r, message, "content");
    c->finish = finish_of(string_of(r, r->at, "finish_reason"));
    c->text = string_of(r, r->at, "text"); // completions
    read_chat_calls(r, message, c);
    if (json_is(r->doc, content, JSON_ARRAY)) {
        struct buffer joined = {0};
        // Room was made for calls in their own place only; parts of chat have none.
        struct gate_choice parts = {.calls = room_for_calls(r, json_count(r->doc, content))};
        read_parts(r, content, &joined, &parts);
        end_text(&joined, &parts.text, r->arena);
        c->text = parts.text;
        c->refused = parts.refused;
        c->speaks = parts.speaks;
    } else if (!json_is_absent(r->doc, content)) {
        c->text = string_at(r, content);
    }
    c->refused |= string_of(r, message, "refusal").len > 0;
    c->speaks |= is_filled(r, member(r, message, "audio")) ||
                 is_filled(r, member(r, message, "images"));
}

// ----------------------------------------------------------------- responses

static void read_response(const struct gate_reader *r, struct gate_choice *c) {
    json_ref output = member(r, JSON_ROOT, "output");
    struct buffer joined = {0};
    c->finish = finish_of(string_of(r, member(r, JSON_ROOT, "incomplete_details"), "reason"));
    c->calls = room_for_calls(r, output != JSON_NONE ? json_count(r->doc, output) : 0);
    for (json_ref i = json_first(r->doc, output); i != JSON_NONE;
         i = json_next(r->doc, output, i)) {
        struct slice type = string_of(r, i, "type");
        if (slice_equal(type, SLICE("message"))) {
            struct gate_choice parts = {0};
            json_ref content = member(r, i, "content");
            parts.calls = room_for_calls(r, content != JSON_NONE ? json_count(r->doc, content) : 0);
            parts.text = c->text;
            read_parts(r, content, &joined, &parts);
            c->text = parts.text;
            c->refused |= parts.refused;
            c->speaks |= parts.speaks;
        } else if (slice_equal(type, SLICE("function_call"))) {
            add_function_call(r, c, i, "arguments");
        } else if (slice_equal(type, SLICE("custom_tool_call"))) {
            add_call(c, string_of(r, i, "name"), SLICE(""), JSON_NONE, true);
        } else if (!slice_equal(type, SLICE("reasoning"))) {
            c->speaks = true;
        }
    }
    end_text(&joined, &c->text, r->arena);
}

bool gate_is_pending(enum api_endpoint e, const struct json_doc *doc) {
    json_ref status = json_get(doc, JSON_ROOT, SLICE("status"));
    return e == API_RESPONSES && (json_string_is(doc, status, SLICE("queued")) ||
                                  json_string_is(doc, status, SLICE("in_progress")));
}

// ------------------------------------------------------------------ messages

static void read_message(const struct gate_reader *r, struct gate_choice *c) {
    json_ref content = member(r, JSON_ROOT, "content");
    struct slice reason = string_of(r, JSON_ROOT, "stop_reason");
    struct buffer joined = {0};
    c->finish = finish_of(reason);
    c->refused = slice_equal(reason, SLICE("refusal"));
    c->calls = room_for_calls(r, content != JSON_NONE ? json_count(r->doc, content) : 0);
    read_parts(r, content, &joined, c);
    end_text(&joined, &c->text, r->arena);
    c->speaks |= slice_equal(reason, SLICE("pause_turn")); // to be continued
}

bool gate_next_choice(struct gate_reader *r, struct gate_choice *out) {
    *out = (struct gate_choice){.doc = r->doc, .text = SLICE("")};
    bool first = !r->begun;
    r->begun = true;
    if (r->endpoint == API_RESPONSES || r->endpoint == API_MESSAGES) {
        if (!first)
            return false;
        if (r->endpoint == API_RESPONSES)
            read_response(r, out);
        else
            read_message(r, out);
        return true;
    }
    json_ref choices = member(r, JSON_ROOT, "choices");
    bool list = json_is(r->doc, choices, JSON_ARRAY);
    r->at = !list ? JSON_NONE : first ? json_first(r->doc, choices)
                                      : json_next(r->doc, choices, r->at);
    if (r->at != JSON_NONE)
        read_chat_choice(r, out);
    return r->at != JSON_NONE || first; // without choices: an empty one
}
