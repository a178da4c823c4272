// An instruction of the operator's, added where the endpoint takes one and so
// that what the client said stays in front of it, byte for byte: providers keep
// the beginnings of prompts in their own caches.
//
// What has it already does not get it twice: a request may pass two proxies.
#include "request.h"

struct adding {
    const struct json_doc *doc;
    struct json_edits *edits;
    struct arena *arena;
    struct slice text;
};

static struct slice wrapped(const struct adding *a, struct slice head, struct slice tail) {
    struct buffer out = {0};
    buffer_append(&out, head);
    json_quote(&out, a->text);
    buffer_append(&out, tail);
    struct slice raw = arena_copy(a->arena, buffer_slice(&out));
    buffer_free(&out);
    return raw;
}

// Behind what a string says, inside of its quotes, as a paragraph of its own.
static bool append_to_string(const struct adding *a, json_ref value) {
    struct slice said = json_inner(a->doc, value);
    struct slice paragraph = wrapped(a, SLICE("\\n\\n"), SLICE_NONE); // \n\n"text"
    struct slice quoted = slice_from(paragraph, 4);
    struct slice spelled = slice_make(quoted.ptr + 1, quoted.len - 2);
    struct buffer whole = {0};
    if (said.len == 0) {
        json_edit_replace(a->edits, value, quoted);
        return true;
    }
    // The two line ends in front of it make sure that it begins where it seems
    // to, not in the middle of an escape.
    if (slice_equal(said, spelled) ||
        (said.len >= spelled.len + 4 && slice_ends_with(said, spelled) &&
         memcmp(said.ptr + said.len - spelled.len - 4, "\\n\\n", 4) == 0))
        return false;
    buffer_reserve(&whole, said.len + paragraph.len + 2);
    buffer_append_char(&whole, '"');
    buffer_append(&whole, said);
    BUFFER_LITERAL(&whole, "\\n\\n");
    buffer_append(&whole, slice_from(quoted, 1));
    json_edit_replace(a->edits, value, arena_copy(a->arena, buffer_slice(&whole)));
    buffer_free(&whole);
    return true;
}

// `instructions` of responses, `system` of messages.
static bool add_to_member(const struct adding *a, struct slice name) {
    json_ref value = json_get(a->doc, JSON_ROOT, name);
    if (json_is_absent(a->doc, value)) {
        json_edit_set(a->edits, JSON_ROOT, name, wrapped(a, SLICE_NONE, SLICE_NONE));
        return true;
    }
    return json_type_of(a->doc, value) == JSON_STRING && append_to_string(a, value);
}

static bool add_block(const struct adding *a, json_ref blocks) {
    size_t count = 0;
    json_ref last = JSON_NONE;
    for (json_ref b = json_first(a->doc, blocks); b != JSON_NONE;
         b = json_next(a->doc, blocks, b)) {
        last = b;
        count++;
    }
    if (json_string_is(a->doc, json_get(a->doc, last, SLICE("text")), a->text))
        return false;
    json_edit_insert(a->edits, blocks, count,
                     wrapped(a, SLICE("{\"type\":\"text\",\"text\":"), SLICE("}")));
    return true;
}

// As a message of its own behind the leading ones of its kind, and with their
// role: OpenAI refuses requests that mix the two.
static bool add_message(const struct adding *a) {
    json_ref messages = json_get(a->doc, JSON_ROOT, SLICE("messages"));
    if (json_at(a->doc, messages, 0) == JSON_NONE)
        return false; // absent, no list, or empty: refused by the provider as it is
    size_t leading = 0;
    json_ref last = JSON_NONE;
    bool developer = false;
    for (json_ref m = json_first(a->doc, messages); m != JSON_NONE;
         m = json_next(a->doc, messages, m)) {
        json_ref role = json_get(a->doc, m, SLICE("role"));
        bool is_developer = json_string_is(a->doc, role, SLICE("developer"));
        if (!is_developer && !json_string_is(a->doc, role, SLICE("system")))
            break;
        developer = is_developer;
        last = m;
        leading++;
    }
    if (json_string_is(a->doc, json_get(a->doc, last, SLICE("content")), a->text))
        return false;
    struct slice head = developer ? SLICE("{\"role\":\"developer\",\"content\":")
                                  : SLICE("{\"role\":\"system\",\"content\":");
    json_edit_insert(a->edits, messages, leading, wrapped(a, head, SLICE("}")));
    return true;
}

bool provider_add_instruction(enum api_endpoint e, const struct json_doc *doc, struct slice text,
                              struct json_edits *edits, struct arena *arena) {
    const struct adding a = {doc, edits, arena, text};
    if (text.len == 0 || !json_is(doc, JSON_ROOT, JSON_OBJECT))
        return false;
    switch (e) {
    case API_CHAT_COMPLETIONS:
        return add_message(&a);
    case API_RESPONSES:
        return add_to_member(&a, SLICE("instructions"));
    case API_MESSAGES: {
        json_ref system = json_get(doc, JSON_ROOT, SLICE("system"));
        return json_is(doc, system, JSON_ARRAY) ? add_block(&a, system)
                                                : add_to_member(&a, SLICE("system"));
    }
    case API_COMPLETIONS:
    case API_EMBEDDINGS:
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        break;
    }
    return false;
}
