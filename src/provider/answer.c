// What a whole answer says: usage, why it ended, whether it is complete.
#include "farthing/provider.h"

static void read_error(const struct json_doc *doc, struct arena *arena, struct provider_answer *out) {
    json_ref error = json_get(doc, JSON_ROOT, SLICE("error"));
    if (json_is_absent(doc, error))
        return;
    out->is_error = true;
    out->complete = false;
    out->error_message = json_type_of(doc, error) == JSON_STRING
                             ? json_string(doc, error, arena)
                             : json_string(doc, json_get(doc, error, SLICE("message")), arena);
    json_ref code = json_get(doc, error, SLICE("code"));
    if (!json_is_absent(doc, code))
        out->error_code = json_type_of(doc, code) == JSON_STRING ? json_string(doc, code, arena)
                                                                 : json_raw(doc, code);
}

static void read_choices(const struct json_doc *doc, int64_t n, struct arena *arena,
                         struct provider_answer *out) {
    json_ref choices = json_get(doc, JSON_ROOT, SLICE("choices"));
    int64_t finished = 0, count = 0;
    for (json_ref c = choices == JSON_NONE ? JSON_NONE : json_first(doc, choices); c != JSON_NONE;
         c = json_next(doc, choices, c)) {
        count++;
        json_ref reason = json_get(doc, c, SLICE("finish_reason"));
        if (json_is_absent(doc, reason))
            continue;
        finished++;
        if (out->finish_reason.len == 0)
            out->finish_reason = json_string(doc, reason, arena);
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
                         : reason.len > 0                                 ? reason
                         : out->complete                                  ? SLICE("stop")
                                                                          : status;
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
    json_ref data;
    switch (e) {
    case API_CHAT_COMPLETIONS:
    case API_COMPLETIONS:
        read_choices(doc, n, arena, out);
        break;
    case API_RESPONSES:
        read_response(doc, arena, out);
        break;
    case API_MESSAGES:
        out->finish_reason =
            json_string(doc, json_get(doc, JSON_ROOT, SLICE("stop_reason")), arena);
        out->complete = out->finish_reason.len > 0;
        if (out->service_tier.len == 0)
            out->service_tier = json_string(
                doc, json_get(doc, json_get(doc, JSON_ROOT, SLICE("usage")), SLICE("service_tier")),
                arena);
        break;
    case API_EMBEDDINGS:
        data = json_get(doc, JSON_ROOT, SLICE("data"));
        out->complete = data != JSON_NONE && json_first(doc, data) != JSON_NONE;
        break;
    case API_MODELS:
    case API_OTHER:
    case API_ENDPOINT_COUNT:
        break;
    }
    read_error(doc, arena, out);
}
