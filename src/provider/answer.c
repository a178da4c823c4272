// What a whole answer says: usage, why it ended, whether it is complete.
#include "answer.h"

bool answer_broke_off(struct slice finish_reason) {
    static const char *const reasons[] = {
        "error",                        // OpenRouter, vLLM
        "network_error",                // Zhipu
        "insufficient_system_resource", // DeepSeek
        "abort",                        // vLLM, SGLang
        "cancelled",
    };
    return SLICE_IS_ONE_OF(finish_reason, reasons);
}

// The object that holds `message` and `code`; a string is its own message.
static json_ref error_of(const struct json_doc *doc, json_ref object) {
    json_ref error = json_get(doc, object, SLICE("error"));
    if (!json_is_absent(doc, error)) {
        enum json_type type = json_type_of(doc, error);
        return type == JSON_OBJECT || (type == JSON_STRING && json_raw(doc, error).len > 2)
                   ? error
                   : JSON_NONE;
    }
    // The responses endpoint's error event, and vLLM's older errors.
    if (json_string_is(doc, json_get(doc, object, SLICE("type")), SLICE("error")) ||
        json_string_is(doc, json_get(doc, object, SLICE("object")), SLICE("error")))
        return object;
    return JSON_NONE;
}

bool answer_read_error(const struct json_doc *doc, json_ref object, struct arena *arena,
                       struct provider_answer *out) {
    json_ref error = error_of(doc, object);
    if (error == JSON_NONE)
        return false;
    out->is_error = true;
    out->complete = false;
    out->error_message = json_type_of(doc, error) == JSON_STRING
                             ? json_string(doc, error, arena)
                             : json_string(doc, json_get(doc, error, SLICE("message")), arena);
    json_ref code = json_get(doc, error, SLICE("code"));
    if (!json_is_absent(doc, code))
        out->error_code = json_type_of(doc, code) == JSON_STRING ? json_string(doc, code, arena)
                                                                 : json_raw(doc, code);
    return true;
}

static void read_choices(const struct json_doc *doc, int64_t n, struct arena *arena,
                         struct provider_answer *out) {
    json_ref choices = json_get(doc, JSON_ROOT, SLICE("choices"));
    int64_t finished = 0, count = 0;
    for (json_ref c = json_first(doc, choices); c != JSON_NONE; c = json_next(doc, choices, c)) {
        count++;
        struct slice reason = json_string(doc, json_get(doc, c, SLICE("finish_reason")), arena);
        if (reason.len == 0)
            continue;
        finished += answer_broke_off(reason) ? 0 : 1;
        if (out->finish_reason.len == 0)
            out->finish_reason = reason;
    }
    out->complete = count > 0 && count >= n && finished == count;
}

static void read_response(const struct json_doc *doc, struct arena *arena,
                          struct provider_answer *out) {
    struct slice status = json_string(doc, json_get(doc, JSON_ROOT, SLICE("status")), arena);
    out->complete = slice_equal(status, SLICE("completed"));
    json_ref details = json_get(doc, JSON_ROOT, SLICE("incomplete_details"));
    struct slice reason = json_string(doc, json_get(doc, details, SLICE("reason")), arena);
    out->finish_reason = slice_equal(reason, SLICE("max_output_tokens")) ? SLICE("length")
                         : reason.len > 0                                ? reason
                         : out->complete                                 ? SLICE("stop")
                                                                         : status;
}

static void read_message(const struct json_doc *doc, struct arena *arena,
                         struct provider_answer *out) {
    out->finish_reason = json_string(doc, json_get(doc, JSON_ROOT, SLICE("stop_reason")), arena);
    out->complete = out->finish_reason.len > 0;
    json_ref usage = json_get(doc, JSON_ROOT, SLICE("usage"));
    if (out->service_tier.len == 0)
        out->service_tier = json_string(doc, json_get(doc, usage, SLICE("service_tier")), arena);
}

void provider_read_answer(enum provider_dialect d, enum api_endpoint e, const struct json_doc *doc,
                          int64_t n, struct arena *arena, struct provider_answer *out) {
    (void)d; // the endpoint decides the shape, whoever serves it
    *out = (struct provider_answer){0};
    if (json_type_of(doc, JSON_ROOT) != JSON_OBJECT)
        return;
    provider_read_usage(doc, json_get(doc, JSON_ROOT, SLICE("usage")), &out->usage);
    out->model = json_string(doc, json_get(doc, JSON_ROOT, SLICE("model")), arena);
    out->id = json_string(doc, json_get(doc, JSON_ROOT, SLICE("id")), arena);
    out->service_tier = json_string(doc, json_get(doc, JSON_ROOT, SLICE("service_tier")), arena);
    switch (e) {
    case API_CHAT_COMPLETIONS:
    case API_COMPLETIONS:
        read_choices(doc, n, arena, out);
        break;
    case API_RESPONSES:
        read_response(doc, arena, out);
        break;
    case API_MESSAGES:
        read_message(doc, arena, out);
        break;
    case API_EMBEDDINGS:
        out->complete = (int64_t)json_count(doc, json_get(doc, JSON_ROOT, SLICE("data"))) >= n;
        break;
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        break;
    }
    (void)answer_read_error(doc, JSON_ROOT, arena, out);
}
