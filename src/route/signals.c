// The signals of a request: one walk over its index. What a conversation is made
// of differs by endpoint; the walk takes each shape where it finds it.
#include "signals.h"

#include <stdio.h>

struct walk {
    const struct json_doc *doc;
    struct arena *arena;
    struct classify_signals *s;
    struct slice *texts; // in the arena, grown by doubling
    size_t count, cap, bytes;
    size_t last; // the text with which the last turn of a user begins
};

static struct slice word(const struct walk *w, json_ref object, struct slice name) {
    return json_inner(w->doc, json_get(w->doc, object, name)); // no word here has escapes
}

// -------------------------------------------------------------------- texts

static void add_text(struct walk *w, json_ref string) {
    struct slice text = json_string(w->doc, string, w->arena);
    if (text.len == 0)
        return;
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 16 : w->cap * 2;
        struct slice *grown = arena_alloc(w->arena, w->cap * sizeof *grown);
        if (w->count > 0)
            memcpy(grown, w->texts, w->count * sizeof *grown);
        w->texts = grown;
    }
    w->texts[w->count++] = text;
    w->bytes += text.len;
    signals_count_text(text, w->s);
}

// -------------------------------------------------------------------- parts

enum part { PART_OTHER, PART_TEXT, PART_IMAGE, PART_FILE, PART_RESULT };

static enum part part_kind(struct slice type) {
    static const char *const texts[] = {"text", "input_text"};
    static const char *const images[] = {"image_url", "input_image", "image",
                                         "computer_screenshot"};
    static const char *const files[] = {"input_audio", "file", "input_file", "document"};
    if (SLICE_IS_ONE_OF(type, texts))
        return PART_TEXT;
    if (SLICE_IS_ONE_OF(type, images))
        return PART_IMAGE;
    if (SLICE_IS_ONE_OF(type, files))
        return PART_FILE;
    return slice_equal(type, SLICE("tool_result")) ? PART_RESULT : PART_OTHER;
}

static void count_media(struct walk *w, enum part kind) {
    w->s->values[CONFIG_SIGNAL_IMAGES] += kind == PART_IMAGE;
    w->s->other_parts += kind == PART_FILE;
}

// What a result holds: not a user's words, but its images are seen by the model.
static void walk_result(struct walk *w, json_ref content) {
    if (json_is(w->doc, content, JSON_OBJECT)) // of a computer's screen
        count_media(w, part_kind(word(w, content, SLICE("type"))));
    if (!json_is(w->doc, content, JSON_ARRAY))
        return;
    for (json_ref r = json_first(w->doc, content); r != JSON_NONE;
         r = json_next(w->doc, content, r))
        count_media(w, part_kind(word(w, r, SLICE("type"))));
}

// True when there is something in it that is no result of a tool.
static bool walk_content(struct walk *w, json_ref content, bool user) {
    if (json_is(w->doc, content, JSON_STRING) && user)
        add_text(w, content);
    if (!json_is(w->doc, content, JSON_ARRAY))
        return true;
    bool other = json_first(w->doc, content) == JSON_NONE;
    for (json_ref r = json_first(w->doc, content); r != JSON_NONE;
         r = json_next(w->doc, content, r)) {
        enum part kind = part_kind(word(w, r, SLICE("type")));
        other |= kind != PART_RESULT;
        count_media(w, kind);
        if (kind == PART_TEXT && user)
            add_text(w, json_get(w->doc, r, SLICE("text")));
        if (kind == PART_RESULT) {
            w->s->values[CONFIG_SIGNAL_TOOL_RESULTS]++;
            walk_result(w, json_get(w->doc, r, SLICE("content")));
        }
    }
    return other;
}

// True: a user spoke.
static bool walk_message(struct walk *w, json_ref message) {
    struct slice role = word(w, message, SLICE("role"));
    json_ref content = json_get(w->doc, message, SLICE("content"));
    bool user = slice_equal(role, SLICE("user"));
    if (slice_equal(role, SLICE("tool")) || slice_equal(role, SLICE("function"))) {
        w->s->values[CONFIG_SIGNAL_TOOL_RESULTS]++;
        walk_result(w, content);
        return false;
    }
    if (role.ptr == NULL && slice_ends_with(word(w, message, SLICE("type")), SLICE("_output"))) {
        w->s->values[CONFIG_SIGNAL_TOOL_RESULTS]++;
        walk_result(w, json_get(w->doc, message, SLICE("output")));
        return false;
    }
    return walk_content(w, content, user) && user;
}

// A turn begins with a user's message, or with several in a row.
static void walk_messages(struct walk *w, json_ref list) {
    bool asking = false;
    if (!json_is(w->doc, list, JSON_ARRAY))
        return;
    for (json_ref r = json_first(w->doc, list); r != JSON_NONE; r = json_next(w->doc, list, r)) {
        size_t before = w->count;
        bool user = walk_message(w, r);
        if (user && !asking) {
            w->s->values[CONFIG_SIGNAL_TURNS]++;
            w->last = before;
        }
        asking = user;
    }
}

// A text, or several, each a request of its own; a list may also be of tokens.
static void walk_prompt(struct walk *w, json_ref prompt) {
    if (json_is(w->doc, prompt, JSON_STRING))
        add_text(w, prompt);
    if (json_is(w->doc, prompt, JSON_ARRAY))
        for (json_ref r = json_first(w->doc, prompt); r != JSON_NONE;
             r = json_next(w->doc, prompt, r))
            if (json_is(w->doc, r, JSON_STRING))
                add_text(w, r);
    w->s->values[CONFIG_SIGNAL_TURNS] = !json_is_absent(w->doc, prompt);
}

// ---------------------------------------------------------------- parameters

static size_t count_of(const struct walk *w, const char *list) {
    json_ref tools = json_get(w->doc, JSON_ROOT, slice_of(list));
    return json_is(w->doc, tools, JSON_ARRAY) ? json_count(w->doc, tools) : 0;
}

// {"type": "json_schema", "json_schema": {"schema": ...}} in chat, without the
// frame elsewhere.
static void take_format(struct walk *w, json_ref format) {
    struct slice type = word(w, format, SLICE("type"));
    bool schema = slice_equal(type, SLICE("json_schema"));
    w->s->json_output = schema || slice_equal(type, SLICE("json_object"));
    json_ref within = json_get(w->doc, format, SLICE("json_schema"));
    json_ref holder = within == JSON_NONE ? format : within;
    json_ref text = json_get(w->doc, holder, SLICE("schema"));
    if (schema && !json_is_absent(w->doc, text))
        w->s->values[CONFIG_SIGNAL_SCHEMA_BYTES] = (int64_t)json_raw(w->doc, text).len;
}

static void take_cap(struct walk *w, const char *name) {
    int64_t tokens;
    json_ref value = json_get(w->doc, JSON_ROOT, slice_of(name));
    if (value != JSON_NONE && json_i64(w->doc, value, &tokens) && tokens >= 0)
        w->s->values[CONFIG_SIGNAL_OUTPUT_TOKENS] = tokens;
}

static void walk_chat(struct walk *w) {
    walk_messages(w, json_get(w->doc, JSON_ROOT, SLICE("messages")));
    take_format(w, json_get(w->doc, JSON_ROOT, SLICE("response_format")));
    take_cap(w, "max_tokens");
    take_cap(w, "max_completion_tokens"); // which of both counts
}

static void walk_responses(struct walk *w) {
    json_ref input = json_get(w->doc, JSON_ROOT, SLICE("input"));
    if (json_is(w->doc, input, JSON_ARRAY))
        walk_messages(w, input);
    else
        walk_prompt(w, input);
    json_ref text = json_get(w->doc, JSON_ROOT, SLICE("text"));
    take_format(w, json_get(w->doc, text, SLICE("format")));
    take_cap(w, "max_output_tokens");
}

static void walk_anthropic(struct walk *w) {
    walk_messages(w, json_get(w->doc, JSON_ROOT, SLICE("messages")));
    json_ref format = json_get(w->doc, JSON_ROOT, SLICE("output_format"));
    json_ref config = json_get(w->doc, JSON_ROOT, SLICE("output_config"));
    json_ref newer = json_get(w->doc, config, SLICE("format"));
    take_format(w, newer != JSON_NONE ? newer : format);
    take_cap(w, "max_tokens");
}

static void walk_endpoint(struct walk *w, enum api_endpoint e) {
    switch (e) {
    case API_CHAT_COMPLETIONS:
        walk_chat(w);
        break;
    case API_RESPONSES:
        walk_responses(w);
        break;
    case API_MESSAGES:
        walk_anthropic(w);
        break;
    case API_COMPLETIONS:
        walk_prompt(w, json_get(w->doc, JSON_ROOT, SLICE("prompt")));
        take_cap(w, "max_tokens");
        return;
    case API_EMBEDDINGS:
        walk_prompt(w, json_get(w->doc, JSON_ROOT, SLICE("input")));
        return;
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        return;
    }
    w->s->values[CONFIG_SIGNAL_TOOLS] = (int64_t)(count_of(w, "tools") + count_of(w, "functions"));
}

void classify_signals(enum api_endpoint e, const struct json_doc *doc, int64_t input_tokens,
                      struct arena *arena, struct classify_signals *signals,
                      struct classify_texts *texts) {
    struct walk w = {.doc = doc, .arena = arena, .s = signals};
    *signals = (struct classify_signals){0};
    signals->values[CONFIG_SIGNAL_INPUT_TOKENS] = input_tokens;
    signals->values[CONFIG_SIGNAL_OUTPUT_TOKENS] = CONFIG_UNSET;
    // The request does not say these.
    signals->values[CONFIG_SIGNAL_DEADLINE_MS] = signals->values[CONFIG_SIGNAL_PAST_SUCCESS] =
        CONFIG_UNSET;
    if (!json_is_absent(doc, JSON_ROOT) && json_type_of(doc, JSON_ROOT) == JSON_OBJECT)
        walk_endpoint(&w, e);
    *texts = (struct classify_texts){w.texts, w.count, w.bytes, w.last};
}

// --------------------------------------------------------------------- words

static const char *const names[CONFIG_SIGNAL_COUNT] = {
    "input_tokens", "turns",     "tools",   "tool_results", "images",       "code_blocks",
    "code_lines",   "questions", "numbers", "math",         "schema_bytes", "output_tokens",
    "deadline_ms",  "past_success",
}; // as enum config_signal

const char *classify_signal_name(enum config_signal s) {
    return names[s];
}

// What is 0 says nothing, but for a share of successes, where it says most.
static bool is_telling(const struct classify_signals *signals, size_t at) {
    return signals->values[at] > 0 ||
           (at == CONFIG_SIGNAL_PAST_SUCCESS && signals->values[at] == 0);
}

static void write_members(const struct classify_signals *signals, struct json_writer *w) {
    for (size_t i = 0; i < CONFIG_SIGNAL_COUNT; i++)
        if (is_telling(signals, i)) {
            json_key(w, slice_of(names[i]));
            json_put_i64(w, signals->values[i]);
        }
    if (signals->other_parts > 0) {
        json_key(w, SLICE("other_parts"));
        json_put_i64(w, signals->other_parts);
    }
    if (signals->json_output) {
        json_key(w, SLICE("json"));
        json_put_bool(w, true);
    }
    if (signals->scripts != 0) {
        json_key(w, SLICE("scripts"));
        json_array_begin(w);
        for (unsigned s = 0; s < CONFIG_SCRIPT_COUNT; s++)
            if ((signals->scripts & 1u << s) != 0)
                json_put_string(w, slice_of(config_script_name((enum config_script)s)));
        json_array_end(w);
    }
}

void classify_signals_write(const struct classify_signals *signals, struct buffer *out) {
    struct json_writer w;
    json_write_start(&w, out);
    json_object_begin(&w);
    write_members(signals, &w);
    json_object_end(&w);
}

void classify_result_write(const struct classify_result *result, struct buffer *out) {
    struct json_writer w;
    json_write_start(&w, out);
    json_object_begin(&w);
    write_members(&result->signals, &w);
    if (result->category != NULL) {
        char text[32];
        int len = snprintf(text, sizeof text, "%.3f", result->similarity);
        json_key(&w, SLICE("similar"));
        json_put_string(&w, result->category->name);
        json_key(&w, SLICE("similarity"));
        json_put_raw(&w, slice_make(text, (size_t)len));
    }
    json_object_end(&w);
}
