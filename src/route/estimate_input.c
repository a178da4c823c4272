// The input of a request in tokens: one walk over its index, each string
// measured where it stands in the source, nothing copied.
//
// What a provider shows to the model is counted, what only goes along (ids,
// signatures, cache marks) is not. What nobody here knows is counted as the text
// of its JSON: rather too much than nothing.
#include "context.h"
#include "estimate.h"

enum {
    MESSAGE_TOKENS = 4, // role and the marks around a message; OpenAI says 3
    REQUEST_TOKENS = 3, // the beginning of the answer
    CALL_TOKENS = 8,    // a tool's call or result: its frame
    OBJECT_TOKENS = 2,  // any other
    TOOL_TOKENS = 8,    // a tool's definition: its frame
    TOOLS_TOKENS = 16,  // what is said before the first
    // Anthropic puts a system prompt before tools ("Tool use", up to 346 tokens).
    MESSAGES_TOOLS_TOKENS = 346,
    DEPTH_MAX = 8,            // content in results in messages; deeper is text
    CIPHER_BYTES_A_TOKEN = 4, // base64 of encrypted reasoning
};

static int64_t walk(const struct json_doc *doc, json_ref value, unsigned depth);

static int64_t text_of(const struct json_doc *doc, json_ref value) {
    return estimate_text(json_type_of(doc, value) == JSON_STRING ? json_inner(doc, value)
                                                                 : json_raw(doc, value));
}

static struct slice member(const struct json_doc *doc, json_ref object, const char *name) {
    return json_inner(doc, json_get(doc, object, slice_of(name)));
}

// --------------------------------------------------------------------- media

// {"image_url": {"url", "detail"}} in chat, {"image_url": "...", "detail"} in responses.
static int64_t image_by_url(const struct json_doc *doc, json_ref part) {
    json_ref url = json_get(doc, part, SLICE("image_url"));
    json_ref within = json_get(doc, url, SLICE("url"));
    json_ref holder = within == JSON_NONE ? part : url;
    return estimate_image(json_inner(doc, within == JSON_NONE ? url : within),
                          member(doc, holder, "detail"));
}

static int64_t image_by_source(const struct json_doc *doc, json_ref part) {
    return estimate_image_base64(member(doc, json_get(doc, part, SLICE("source")), "data"),
                                 SLICE_NONE);
}

static int64_t audio(const struct json_doc *doc, json_ref part) {
    return estimate_audio_base64(member(doc, json_get(doc, part, SLICE("input_audio")), "data"));
}

// {"file": {"file_data", "filename"}} in chat, the same flat in responses.
static int64_t file(const struct json_doc *doc, json_ref part) {
    json_ref within = json_get(doc, part, SLICE("file"));
    json_ref holder = within == JSON_NONE ? part : within;
    return estimate_file(member(doc, holder, "file_data"), member(doc, holder, "filename"));
}

// Anthropic's: base64, text, blocks of content, or elsewhere; title and context
// are text.
static int64_t document(const struct json_doc *doc, json_ref part, unsigned depth) {
    json_ref source = json_get(doc, part, SLICE("source"));
    json_ref content = json_get(doc, source, SLICE("content"));
    int64_t around = estimate_text(member(doc, part, "title")) +
                     estimate_text(member(doc, part, "context")) + OBJECT_TOKENS;
    if (content != JSON_NONE)
        return around + walk(doc, content, depth + 1);
    struct slice data = member(doc, source, "data");
    if (slice_equal(member(doc, source, "type"), SLICE("text")))
        return around + estimate_text(data);
    return around + estimate_file(data, member(doc, source, "media_type"));
}

// ------------------------------------------------------------------- objects

enum kind {
    KIND_OTHER,
    KIND_TEXT,
    KIND_CALL,
    KIND_IMAGE_URL,
    KIND_IMAGE,
    KIND_AUDIO,
    KIND_FILE,
    KIND_DOCUMENT
};

static const struct {
    const char *type;
    enum kind kind;
} kinds[] = {
    {"text", KIND_TEXT},
    {"input_text", KIND_TEXT},
    {"output_text", KIND_TEXT},
    {"image_url", KIND_IMAGE_URL},
    {"input_image", KIND_IMAGE_URL},
    {"computer_screenshot", KIND_IMAGE_URL},
    {"image", KIND_IMAGE},
    {"input_audio", KIND_AUDIO},
    {"file", KIND_FILE},
    {"input_file", KIND_FILE},
    {"document", KIND_DOCUMENT},
    {"function", KIND_CALL},
    {"function_call", KIND_CALL},
    {"function_call_output", KIND_CALL},
    {"tool_use", KIND_CALL},
    {"tool_result", KIND_CALL},
};

static enum kind kind_of(struct slice type) {
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++)
        if (slice_equal(type, slice_of(kinds[i].type)))
            return kinds[i].kind;
    return KIND_OTHER;
}

enum rule { RULE_WALK, RULE_CIPHER, RULE_SKIP };

// Members of messages and parts. Others, whose names are nothing that is known,
// count with their names.
static const struct {
    const char *name;
    enum rule rule;
} rules[] = {
    {"content", RULE_WALK},
    {"text", RULE_WALK},
    {"type", RULE_SKIP},
    {"role", RULE_SKIP},
    {"name", RULE_WALK},
    {"arguments", RULE_WALK},
    {"function", RULE_WALK},
    {"function_call", RULE_WALK},
    {"tool_calls", RULE_WALK},
    {"input", RULE_WALK},
    {"output", RULE_WALK},
    {"summary", RULE_WALK},
    {"thinking", RULE_WALK},
    {"refusal", RULE_WALK},
    {"reasoning_content", RULE_WALK},
    {"encrypted_content", RULE_CIPHER},
    {"data", RULE_CIPHER}, // of redacted thinking
    {"signature", RULE_SKIP},
    {"id", RULE_SKIP},
    {"call_id", RULE_SKIP},
    {"tool_call_id", RULE_SKIP},
    {"tool_use_id", RULE_SKIP},
    {"status", RULE_SKIP},
    {"annotations", RULE_SKIP},
    {"logprobs", RULE_SKIP},
    {"cache_control", RULE_SKIP},
};

static int64_t by_rule(const struct json_doc *doc, json_ref key, unsigned depth) {
    struct slice name = json_inner(doc, key);
    json_ref value = json_value_of(key);
    if (json_is_absent(doc, value))
        return 0;
    for (size_t i = 0; i < FARTHING_COUNT(rules); i++) {
        if (!slice_equal(name, slice_of(rules[i].name)))
            continue;
        switch (rules[i].rule) {
        case RULE_WALK:
            return walk(doc, value, depth + 1);
        case RULE_CIPHER:
            return (int64_t)json_raw(doc, value).len / CIPHER_BYTES_A_TOKEN;
        case RULE_SKIP:
            return 0;
        }
    }
    if (estimate_is_data_url(json_inner(doc, value)))
        return estimate_file(json_inner(doc, value), SLICE_NONE);
    return estimate_text(name) + text_of(doc, value);
}

static int64_t object(const struct json_doc *doc, json_ref value, unsigned depth) {
    int64_t tokens = OBJECT_TOKENS;
    switch (kind_of(member(doc, value, "type"))) {
    case KIND_IMAGE_URL:
        return image_by_url(doc, value);
    case KIND_IMAGE:
        return image_by_source(doc, value);
    case KIND_AUDIO:
        return audio(doc, value);
    case KIND_FILE:
        return file(doc, value);
    case KIND_DOCUMENT:
        return document(doc, value, depth);
    case KIND_CALL:
        tokens = CALL_TOKENS;
        break;
    case KIND_TEXT:
        tokens = 0;
        break;
    case KIND_OTHER:
        if (json_get(doc, value, SLICE("role")) != JSON_NONE)
            tokens = MESSAGE_TOKENS;
        break;
    }
    for (json_ref key = json_first(doc, value); key != JSON_NONE; key = json_next(doc, value, key))
        tokens += by_rule(doc, key, depth);
    return tokens;
}

static int64_t walk(const struct json_doc *doc, json_ref value, unsigned depth) {
    enum json_type type = json_type_of(doc, value);
    if (depth > DEPTH_MAX || (type != JSON_ARRAY && type != JSON_OBJECT))
        return text_of(doc, value);
    if (type == JSON_OBJECT)
        return object(doc, value, depth);
    int64_t tokens = 0;
    for (json_ref r = json_first(doc, value); r != JSON_NONE; r = json_next(doc, value, r))
        tokens += walk(doc, r, depth + 1);
    return tokens;
}

int64_t estimate_value(const struct json_doc *doc, json_ref value) {
    return json_is_absent(doc, value) ? 0 : walk(doc, value, 0);
}

// ------------------------------------------------------------------ requests

enum how { HOW_WALK = 1, HOW_TEXT, HOW_TOOLS, HOW_PROMPT };

enum { SOURCES_MAX = 6 };
static const struct source {
    const char *member;
    enum how how;
} sources[API_ENDPOINT_COUNT][SOURCES_MAX] = {
    [API_CHAT_COMPLETIONS] = {{"messages", HOW_WALK},
                              {"tools", HOW_TOOLS},
                              {"functions", HOW_TOOLS},
                              {"response_format", HOW_TEXT}},
    [API_COMPLETIONS] = {{"prompt", HOW_PROMPT}, {"suffix", HOW_TEXT}},
    [API_RESPONSES] = {{"input", HOW_WALK},
                       {"instructions", HOW_WALK},
                       {"tools", HOW_TOOLS},
                       {"text", HOW_TEXT},
                       {"prompt", HOW_WALK}},
    [API_EMBEDDINGS] = {{"input", HOW_PROMPT}},
    [API_MESSAGES] = {{"messages", HOW_WALK},
                      {"system", HOW_WALK},
                      {"tools", HOW_TOOLS},
                      {"output_format", HOW_TEXT},
                      {"output_config", HOW_TEXT}},
    [API_OTHER] = {{"input", HOW_PROMPT},
                   {"prompt", HOW_PROMPT},
                   {"messages", HOW_WALK},
                   {"instructions", HOW_WALK},
                   {"system", HOW_WALK},
                   {"tools", HOW_TOOLS}},
};

static int64_t tools(const struct json_doc *doc, json_ref list, enum api_endpoint e) {
    int64_t tokens = 0;
    for (json_ref r = json_first(doc, list); r != JSON_NONE; r = json_next(doc, list, r))
        tokens += TOOL_TOKENS + estimate_text(json_raw(doc, r));
    return tokens == 0 ? 0 : tokens + (e == API_MESSAGES ? MESSAGES_TOOLS_TOKENS : TOOLS_TOKENS);
}

// A string, strings, token numbers, or lists of these.
static int64_t prompt(const struct json_doc *doc, json_ref value, unsigned depth) {
    switch (json_type_of(doc, value)) {
    case JSON_NUMBER:
        return 1;
    case JSON_ARRAY:
        break;
    default:
        return walk(doc, value, 0);
    }
    int64_t tokens = 0;
    for (json_ref r = json_first(doc, value); r != JSON_NONE; r = json_next(doc, value, r))
        tokens += depth < 2 ? prompt(doc, r, depth + 1) : 1;
    return tokens;
}

// Of a list its elements, so that the list is the sum of them.
static int64_t walk_source(const struct json_doc *doc, json_ref value) {
    if (json_type_of(doc, value) != JSON_ARRAY)
        return walk(doc, value, 0);
    int64_t tokens = 0;
    for (json_ref r = json_first(doc, value); r != JSON_NONE; r = json_next(doc, value, r))
        tokens += estimate_value(doc, r);
    return tokens;
}

static int64_t by_source(enum api_endpoint e, const struct json_doc *doc, json_ref key) {
    json_ref value = json_value_of(key);
    for (size_t i = 0; i < SOURCES_MAX && sources[e][i].member != NULL; i++) {
        if (!json_string_is(doc, key, slice_of(sources[e][i].member)))
            continue;
        switch (json_is_absent(doc, value) ? 0 : sources[e][i].how) {
        case HOW_WALK:
            return walk_source(doc, value);
        case HOW_TEXT:
            return text_of(doc, value);
        case HOW_TOOLS:
            return tools(doc, value, e);
        case HOW_PROMPT:
            return prompt(doc, value, 0);
        }
    }
    return 0;
}

// Member by member and not by name, so that one which stands twice counts twice.
int64_t estimate_input_without(enum api_endpoint e, const struct json_doc *doc, json_ref array) {
    if (json_is_absent(doc, JSON_ROOT) || json_type_of(doc, JSON_ROOT) != JSON_OBJECT)
        return 0;
    int64_t tokens = 0;
    for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(doc, JSON_ROOT, key))
        if (json_value_of(key) != array)
            tokens += by_source(e, doc, key);
    bool any = tokens > 0 || array != JSON_NONE;
    return any && e != API_EMBEDDINGS ? tokens + REQUEST_TOKENS : tokens;
}

int64_t estimate_input(enum api_endpoint e, const struct json_doc *doc) {
    return estimate_input_without(e, doc, JSON_NONE);
}
