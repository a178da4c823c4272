// The whole answer that a request without `stream` would have got: chat and
// text completions, and the responses endpoint, whose last event holds it.
#include "stream.h"

// ------------------------------------------------------------- the answer

// The last value counts, where it says anything; null is kept until one does.
static void set_last(struct provider_stream *s, struct merge *m, json_ref value) {
    struct slice raw = json_raw(s->doc, value);
    bool blank = json_type_of(s->doc, value) == JSON_NULL || slice_equal(raw, SLICE("\"\"")) ||
                 slice_equal(raw, SLICE("0"));
    if (json_type_of(s->doc, value) == JSON_NULL)
        merge_value(m, s->doc, value, MERGE_GROW, &s->budget);
    else if (m != NULL && (!blank || !merge_is_set(m)))
        merge_set_raw(m, raw, &s->budget);
}

static void set_usage(struct provider_stream *s, json_ref usage) {
    if (!json_is_absent(s->doc, usage))
        set_last(s, merge_member(s->parts, SLICE("usage"), &s->budget), usage);
}

// Groq's member is the answer's too, but for the usage that streams put in it.
static void assemble_x_groq(struct provider_stream *s, json_ref value) {
    if (json_is_absent(s->doc, json_get(s->doc, JSON_ROOT, SLICE("usage"))))
        set_usage(s, json_get(s->doc, value, SLICE("usage")));
    if (json_type_of(s->doc, value) != JSON_OBJECT) {
        set_last(s, merge_member(s->parts, SLICE("x_groq"), &s->budget), value);
        return;
    }
    for (json_ref key = json_first(s->doc, value); key != JSON_NONE;
         key = json_next(s->doc, value, key)) {
        struct slice name = json_inner(s->doc, key);
        if (slice_equal(name, SLICE("usage")))
            continue;
        struct merge *m = merge_member(s->parts, SLICE("x_groq"), &s->budget);
        set_last(s, merge_member(m, name, &s->budget), json_value_of(key));
    }
}

static void assemble_member(struct provider_stream *s, json_ref key) {
    static const char *const only_in_streams[] = {"choices", "object", "obfuscation"};
    static const char *const first_counts[] = {"id", "created"}; // some change them each time
    struct slice name = json_inner(s->doc, key);
    json_ref value = json_value_of(key);
    if (SLICE_IS_ONE_OF(name, only_in_streams))
        return;
    if (slice_equal(name, SLICE("usage"))) {
        set_usage(s, value);
    } else if (slice_equal(name, SLICE("x_groq"))) {
        assemble_x_groq(s, value);
    } else {
        struct merge *m = merge_member(s->parts, name, &s->budget);
        if (m != NULL && (merge_is_blank(m) || !SLICE_IS_ONE_OF(name, first_counts)))
            set_last(s, m, value);
    }
}

// Audio comes as base64: pieces that were padded cannot be joined.
static bool audio_can_grow(struct provider_stream *s, const struct merge *delta, json_ref more) {
    const struct merge *audio = merge_find(delta, SLICE("audio"));
    const struct merge *data = audio != NULL ? merge_find(audio, SLICE("data")) : NULL;
    json_ref next = json_get(s->doc, json_get(s->doc, more, SLICE("audio")), SLICE("data"));
    return data == NULL || json_is_absent(s->doc, next) ||
           !slice_ends_with(merge_text(data), SLICE("="));
}

static void assemble_choice_member(struct provider_stream *s, struct merge *choice, json_ref key) {
    bool chat = s->options.endpoint == API_CHAT_COMPLETIONS;
    struct slice name = json_inner(s->doc, key);
    json_ref value = json_value_of(key);
    if (slice_equal(name, SLICE("index")))
        return;
    if (slice_equal(name, SLICE("usage"))) { // Moonshot's
        set_usage(s, value);
        return;
    }
    if (chat && slice_equal(name, SLICE("message")))
        return; // Perplexity repeats in it all that has come
    struct merge *m = merge_member(choice, name, &s->budget);
    if (m == NULL)
        return;
    if (slice_equal(name, SLICE("delta"))) {
        enum json_type type = json_type_of(s->doc, value);
        if ((type != JSON_OBJECT && type != JSON_NULL) || !audio_can_grow(s, m, value))
            s->budget.failed = true;
        merge_value(m, s->doc, value, MERGE_BY_INDEX, &s->budget);
    } else if (slice_equal(name, SLICE("logprobs")) ||
               (!chat && slice_equal(name, SLICE("text")))) {
        merge_value(m, s->doc, value, MERGE_GROW, &s->budget);
    } else {
        set_last(s, m, value);
    }
}

static void assemble_choice(struct provider_stream *s, struct merge *choices, json_ref choice) {
    int64_t index = 0;
    (void)!json_i64(s->doc, json_get(s->doc, choice, SLICE("index")), &index);
    if (index < 0 || index >= STREAM_CHOICES_MAX || json_type_of(s->doc, choice) != JSON_OBJECT) {
        s->budget.failed = true;
        return;
    }
    struct merge *at = merge_element(choices, index, &s->budget);
    for (json_ref key = json_first(s->doc, choice); key != JSON_NONE && !s->budget.failed;
         key = json_next(s->doc, choice, key))
        assemble_choice_member(s, at, key);
}

void assemble_chunk(struct provider_stream *s) {
    for (json_ref key = json_first(s->doc, JSON_ROOT); key != JSON_NONE && !s->budget.failed;
         key = json_next(s->doc, JSON_ROOT, key))
        assemble_member(s, key);
    json_ref choices = json_get(s->doc, JSON_ROOT, SLICE("choices"));
    struct merge *list = merge_member(s->parts, SLICE("choices"), &s->budget);
    for (json_ref c = json_first(s->doc, choices); c != JSON_NONE && !s->budget.failed;
         c = json_next(s->doc, choices, c))
        assemble_choice(s, list, c);
}

// ------------------------------------------------------------- writing it

void assemble_put(struct buffer *out, bool *first, struct slice name, const struct merge *value) {
    buffer_append(out, *first ? SLICE("\"") : SLICE(",\""));
    *first = false;
    buffer_append(out, name);
    BUFFER_LITERAL(out, "\":");
    merge_write(value, out);
}

// The index of a tool call is the stream's way to say where it belongs.
static void put_tool_calls(struct buffer *out, const struct merge *calls) {
    const struct merge *first = merge_above(calls, -1);
    BUFFER_LITERAL(out, ",\"tool_calls\":");
    if (first == NULL) {
        merge_write(calls, out);
        return;
    }
    for (const struct merge *call = first; call != NULL;
         call = merge_above(calls, merge_index(call))) {
        bool leads = true;
        buffer_append(out, call == first ? SLICE("[{") : SLICE(",{"));
        for (const struct merge *m = merge_first(call); m != NULL; m = merge_next(m))
            if (!slice_equal(merge_name(m), SLICE("index")))
                assemble_put(out, &leads, merge_name(m), m);
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}

// A stream starts with content "" where it does not know yet what comes; whole,
// it is null beside whatever else came.
static bool replaces_content(const struct merge *delta) {
    static const char *const others[] = {"tool_calls", "function_call", "refusal", "audio"};
    for (size_t i = 0; i < FARTHING_COUNT(others); i++) {
        const struct merge *m = merge_find(delta, slice_of(others[i]));
        if (m != NULL && !merge_is_blank(m) && (i > 0 || merge_above(m, -1) != NULL))
            return true;
    }
    return false;
}

static void put_message(struct buffer *out, const struct merge *delta) {
    static const char *const led[] = {"role", "content", "refusal", "tool_calls"};
    const struct merge *role = merge_find(delta, SLICE("role"));
    const struct merge *content = merge_find(delta, SLICE("content"));
    const struct merge *refusal = merge_find(delta, SLICE("refusal"));
    const struct merge *calls = merge_find(delta, SLICE("tool_calls"));
    bool first = false;
    BUFFER_LITERAL(out, "{\"role\":");
    if (merge_is_set(role))
        merge_write(role, out);
    else
        BUFFER_LITERAL(out, "\"assistant\"");
    bool is_null = content == NULL || (merge_is_blank(content) && replaces_content(delta));
    assemble_put(out, &first, SLICE("content"), is_null ? NULL : content);
    if (refusal != NULL)
        assemble_put(out, &first, SLICE("refusal"), merge_is_blank(refusal) ? NULL : refusal);
    if (calls != NULL)
        put_tool_calls(out, calls);
    for (const struct merge *m = merge_first(delta); m != NULL; m = merge_next(m))
        if (!SLICE_IS_ONE_OF(merge_name(m), led))
            assemble_put(out, &first, merge_name(m), m);
    buffer_append_char(out, '}');
}

static bool put_choice(struct buffer *out, const struct merge *choice, bool chat) {
    static const char *const led[] = {"delta", "text", "finish_reason"};
    const struct merge *text = merge_find(choice, SLICE("text"));
    const struct merge *delta = merge_find(choice, SLICE("delta"));
    bool first = false;
    BUFFER_LITERAL(out, "{\"index\":");
    buffer_append_i64(out, merge_index(choice));
    if (chat) {
        if (delta == NULL)
            return false;
        BUFFER_LITERAL(out, ",\"message\":");
        put_message(out, delta);
    } else if (merge_is_set(text)) {
        assemble_put(out, &first, SLICE("text"), text);
    } else {
        BUFFER_LITERAL(out, ",\"text\":\"\"");
    }
    assemble_put(out, &first, SLICE("finish_reason"), merge_find(choice, SLICE("finish_reason")));
    for (const struct merge *m = merge_first(choice); m != NULL; m = merge_next(m))
        if (!SLICE_IS_ONE_OF(merge_name(m), led))
            assemble_put(out, &first, merge_name(m), m);
    buffer_append_char(out, '}');
    return true;
}

bool assembled_chunks(struct provider_stream *s, struct buffer *out) {
    bool chat = s->options.endpoint == API_CHAT_COMPLETIONS;
    bool first = false, ok = true;
    buffer_append(out, chat ? SLICE("{\"object\":\"chat.completion\"")
                            : SLICE("{\"object\":\"text_completion\""));
    for (const struct merge *m = merge_first(s->parts); m != NULL; m = merge_next(m))
        if (!slice_equal(merge_name(m), SLICE("choices")))
            assemble_put(out, &first, merge_name(m), m);
    BUFFER_LITERAL(out, ",\"choices\":[");
    const struct merge *list = merge_find(s->parts, SLICE("choices"));
    const struct merge *leads = merge_above(list, -1);
    for (const struct merge *c = leads; c != NULL && ok; c = merge_above(list, merge_index(c))) {
        if (c != leads)
            buffer_append_char(out, ',');
        ok = put_choice(out, c, chat);
    }
    BUFFER_LITERAL(out, "]}");
    return ok;
}

// --------------------------------------------------------------- responses

void assemble_response(struct provider_stream *s, json_ref response) {
    // Some servers leave the output out of their last event.
    size_t items = json_count(s->doc, json_get(s->doc, response, SLICE("output")));
    struct slice raw = json_raw(s->doc, response);
    if (raw.len > s->budget.bytes_left || items < s->output_items)
        s->budget.failed = true;
    else
        buffer_append(&s->whole, raw);
}
