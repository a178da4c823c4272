// What the events of a stream say: usage, finish reasons, errors, the end.
#include "stream.h"

#include "answer.h"

enum { SCRATCH_BYTES_MAX = 64 << 10 };

// The member's decoded text, for as long as the event.
static struct slice text_at(struct provider_stream *s, json_ref object, struct slice name) {
    return json_string(s->doc, json_get(s->doc, object, name), s->scratch);
}

static void keep(struct provider_stream *s, enum kept_text which, struct slice *at,
                 struct slice text) {
    if (text.len == 0 || slice_equal(*at, text))
        return;
    buffer_clear(&s->kept[which]);
    buffer_append(&s->kept[which], text);
    *at = buffer_slice(&s->kept[which]);
}

static void keep_first(struct provider_stream *s, enum kept_text which, struct slice *at,
                       struct slice text) {
    if (at->len == 0)
        keep(s, which, at, text);
}

// What chunks, responses and messages all begin with. The tier that served is
// known at the end: `auto` becomes `default`.
static void keep_head(struct provider_stream *s, json_ref object) {
    struct provider_answer *a = &s->state.answer;
    keep_first(s, KEPT_ID, &a->id, text_at(s, object, SLICE("id")));
    keep_first(s, KEPT_MODEL, &a->model, text_at(s, object, SLICE("model")));
    keep(s, KEPT_TIER, &a->service_tier, text_at(s, object, SLICE("service_tier")));
}

static bool take_usage(struct provider_stream *s, json_ref usage) {
    struct usage_report report;
    if (!usage_read(s->doc, usage, &report))
        return false;
    usage_merge(&s->usage, &report);
    usage_resolve(&s->usage, &s->state.answer.usage);
    return true;
}

static bool take_error(struct provider_stream *s, json_ref object) {
    struct provider_answer now = {0};
    if (!answer_read_error(s->doc, object, s->scratch, &now))
        return false;
    struct provider_answer *a = &s->state.answer;
    s->state.is_error = a->is_error = true;
    keep_first(s, KEPT_MESSAGE, &a->error_message, now.error_message);
    keep_first(s, KEPT_CODE, &a->error_code, now.error_code);
    return true;
}

static void count_output(struct provider_stream *s, size_t bytes) {
    s->state.first_token = s->state.first_token || bytes > 0;
    s->state.output_bytes += (int64_t)bytes;
}

// As it is written: enough to count by.
static void count_text(struct provider_stream *s, json_ref text) {
    count_output(s, json_inner(s->doc, text).len);
}

// All that a delta brings, but for what only says whose and what it is.
static void count_delta(struct provider_stream *s, json_ref delta) {
    for (json_ref key = json_first(s->doc, delta); key != JSON_NONE;
         key = json_next(s->doc, delta, key)) {
        json_ref value = json_value_of(key);
        enum json_type type = json_type_of(s->doc, value);
        if (json_string_is(s->doc, key, SLICE("role")) ||
            json_string_is(s->doc, key, SLICE("type")))
            continue;
        if (type == JSON_STRING)
            count_text(s, value);
        else if (json_first(s->doc, value) != JSON_NONE)
            count_output(s, json_raw(s->doc, value).len);
    }
}

// ------------------------------------------------- chat and text completions

static void add_choice(struct choice_set *set, int64_t index) {
    uint64_t bit = (uint64_t)1 << (index % 64);
    if ((set->bits[index / 64] & bit) == 0)
        set->count++;
    set->bits[index / 64] |= bit;
}

static void read_choice(struct provider_stream *s, json_ref choice) {
    int64_t index = 0;
    (void)!json_i64(s->doc, json_get(s->doc, choice, SLICE("index")), &index);
    bool known = index >= 0 && index < STREAM_CHOICES_MAX;
    if (known)
        add_choice(&s->seen, index);
    else
        s->broke_off = true;
    struct slice reason = text_at(s, choice, SLICE("finish_reason"));
    if (known && reason.len > 0)
        add_choice(&s->finished, index);
    if (answer_broke_off(reason))
        s->broke_off = true;
    keep_first(s, KEPT_REASON, &s->state.answer.finish_reason, reason);
    if (s->options.endpoint == API_CHAT_COMPLETIONS) {
        json_ref delta = json_get(s->doc, choice, SLICE("delta"));
        if (json_is(s->doc, delta, JSON_OBJECT))
            count_delta(s, delta);
    } else {
        count_text(s, json_get(s->doc, choice, SLICE("text")));
    }
}

static enum passing read_chunk(struct provider_stream *s, bool is_error) {
    json_ref choices = json_get(s->doc, JSON_ROOT, SLICE("choices"));
    json_ref x_groq = json_get(s->doc, JSON_ROOT, SLICE("x_groq"));
    bool has_usage = take_usage(s, json_get(s->doc, JSON_ROOT, SLICE("usage")));
    if (!has_usage) // Groq's older spelling
        has_usage = take_usage(s, json_get(s->doc, x_groq, SLICE("usage")));
    keep_head(s, JSON_ROOT);
    bool has_choice = false;
    for (json_ref c = json_first(s->doc, choices); c != JSON_NONE;
         c = json_next(s->doc, choices, c)) {
        has_choice = true;
        read_choice(s, c);
        if (!has_usage) // Moonshot's, within the choice that ends
            (void)take_usage(s, json_get(s->doc, c, SLICE("usage")));
    }
    int64_t n = s->options.n > 0 ? s->options.n : 1;
    s->state.answer.complete =
        s->finished.count >= n && s->finished.count == s->seen.count && !s->broke_off;
    if (s->assembling)
        assemble_chunk(s);
    bool only_usage = has_usage && !has_choice && choices != JSON_NONE && !is_error;
    return only_usage && s->options.swallow_usage ? PASS_NOT : PASS_EVENT;
}

// ---------------------------------------------------------------- responses

static struct slice response_reason(struct provider_stream *s, struct slice type,
                                    json_ref response) {
    json_ref details = json_get(s->doc, response, SLICE("incomplete_details"));
    struct slice reason = text_at(s, details, SLICE("reason"));
    if (slice_equal(type, SLICE("response.completed")))
        return SLICE("stop");
    if (slice_equal(reason, SLICE("max_output_tokens")))
        return SLICE("length");
    return reason.len > 0 ? reason : SLICE("error");
}

static enum passing read_response_event(struct provider_stream *s, struct slice type) {
    if (slice_ends_with(type, SLICE(".delta")))
        count_text(s, json_get(s->doc, JSON_ROOT, SLICE("delta")));
    if (slice_equal(type, SLICE("response.output_item.done")))
        s->output_items++;
    json_ref response = json_get(s->doc, JSON_ROOT, SLICE("response"));
    if (json_is_absent(s->doc, response))
        return PASS_EVENT;
    (void)take_usage(s, json_get(s->doc, response, SLICE("usage")));
    keep_head(s, response);
    (void)take_error(s, response);
    bool completed = slice_equal(type, SLICE("response.completed"));
    bool failed = slice_equal(type, SLICE("response.failed"));
    if ((!completed && !failed && !slice_equal(type, SLICE("response.incomplete"))) ||
        s->state.done)
        return PASS_EVENT;
    s->state.done = true;
    s->state.is_error = s->state.is_error || failed;
    s->state.answer.complete = completed;
    keep(s, KEPT_REASON, &s->state.answer.finish_reason, response_reason(s, type, response));
    if (completed && s->assembling)
        assemble_response(s, response);
    return PASS_DONE;
}

// ----------------------------------------------------------------- messages

static enum passing read_message_event(struct provider_stream *s, struct slice type) {
    bool was_done = s->state.done;
    if (slice_equal(type, SLICE("message_start"))) {
        json_ref message = json_get(s->doc, JSON_ROOT, SLICE("message"));
        json_ref usage = json_get(s->doc, message, SLICE("usage"));
        (void)take_usage(s, usage);
        keep_head(s, message);
        keep(s, KEPT_TIER, &s->state.answer.service_tier, text_at(s, usage, SLICE("service_tier")));
    } else if (slice_equal(type, SLICE("content_block_delta"))) {
        json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
        if (json_is(s->doc, delta, JSON_OBJECT))
            count_delta(s, delta);
    } else if (slice_equal(type, SLICE("message_delta"))) {
        (void)take_usage(s, json_get(s->doc, JSON_ROOT, SLICE("usage")));
        json_ref delta = json_get(s->doc, JSON_ROOT, SLICE("delta"));
        keep(s, KEPT_REASON, &s->state.answer.finish_reason,
             text_at(s, delta, SLICE("stop_reason")));
    } else if (slice_equal(type, SLICE("message_stop"))) {
        s->state.done = true;
        s->state.answer.complete = s->state.answer.finish_reason.len > 0;
    }
    if (s->assembling)
        assemble_message(s, type);
    return s->state.done && !was_done ? PASS_DONE : PASS_EVENT;
}

// ------------------------------------------------------------------- events

static void renew_scratch(struct provider_stream *s) {
    if (arena_bytes(s->scratch) <= SCRATCH_BYTES_MAX)
        return;
    arena_free(s->scratch);
    s->scratch = arena_new(512);
}

enum passing stream_read_event(struct provider_stream *s, const struct sse_event *e) {
    struct slice data = slice_trim(e->data);
    struct error ignored;
    if (slice_equal(e->name, SLICE("error")))
        s->state.is_error = true;
    if (!e->has_data || data.len == 0)
        return PASS_EVENT; // a comment, or a sign of life
    if (slice_equal(data, SLICE("[DONE]"))) {
        bool was_done = s->state.done;
        s->state.done = true;
        return was_done ? PASS_EVENT : PASS_DONE;
    }
    if (!json_parse(s->doc, data, NULL, &ignored) ||
        json_type_of(s->doc, JSON_ROOT) != JSON_OBJECT) {
        s->budget.failed = true; // it is passed on, but cannot be put together
        return PASS_EVENT;
    }
    renew_scratch(s);
    bool is_error = take_error(s, JSON_ROOT);
    switch (s->options.endpoint) {
    case API_CHAT_COMPLETIONS:
    case API_COMPLETIONS:
        return read_chunk(s, is_error);
    case API_RESPONSES:
        return read_response_event(s, text_at(s, JSON_ROOT, SLICE("type")));
    case API_MESSAGES:
        return read_message_event(s, text_at(s, JSON_ROOT, SLICE("type")));
    case API_EMBEDDINGS:
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        break;
    }
    // Transcriptions and images report it in the event that ends.
    (void)take_usage(s, json_get(s->doc, JSON_ROOT, SLICE("usage")));
    return PASS_EVENT;
}
