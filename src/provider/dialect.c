// Dialects: credentials, paths, and which header fields pass.
#include "farthing/provider.h"

bool provider_dialect_find(struct slice name, enum provider_dialect *out) {
    bool anthropic = slice_equal(name, SLICE("anthropic"));
    if (!anthropic && !slice_equal(name, SLICE("openai")))
        return false;
    *out = anthropic ? PROVIDER_ANTHROPIC : PROVIDER_OPENAI;
    return true;
}

struct slice provider_path(enum provider_dialect d, struct slice client_path) {
    (void)d; // both base URLs end in /v1
    return slice_starts_with(client_path, SLICE("/v1/")) ? slice_from(client_path, 3) : client_path;
}

size_t provider_auth(enum provider_dialect d, struct slice key, struct arena *arena,
                     struct api_header out[2]) {
    if (key.len == 0)
        return 0;
    if (d == PROVIDER_ANTHROPIC)
        out[0] = (struct api_header){SLICE("x-api-key"), key};
    else
        out[0] = (struct api_header){SLICE("Authorization"),
                                     arena_printf(arena, "Bearer %.*s", SLICE_ARG(key))};
    return 1;
}

static bool in_list(struct slice name, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct slice entry = slice_of(list[i]);
        bool prefix = entry.ptr[entry.len - 1] == '*';
        if (prefix && name.len >= entry.len - 1 &&
            slice_equal_nocase(slice_make(name.ptr, entry.len - 1),
                               slice_make(entry.ptr, entry.len - 1)))
            return true;
        if (!prefix && slice_equal_nocase(name, entry))
            return true;
    }
    return false;
}

bool provider_request_header_passes(struct slice name) {
    // What is not named stays here: a client's cookies, credentials and
    // network headers are nobody's business upstream.
    static const char *const passing[] = {
        "content-type", "accept",          "user-agent",      "openai-*",
        "anthropic-*",  "x-stainless-*",   "traceparent",     "tracestate",
        "baggage",      "idempotency-key", "x-request-id",    "x-client-request-id",
        "http-referer", "x-title",         "accept-language", "x-goog-*",
        "api-version",  "content-encoding", // or the body is noise
    };
    // Google's other way to send a key.
    return in_list(name, passing, FARTHING_COUNT(passing)) &&
           !slice_equal_nocase(name, SLICE("x-goog-api-key"));
}

bool provider_answer_header_passes(struct slice name) {
    static const char *const passing[] = {
        "content-type",     "x-request-id",        "request-id",
        "openai-*",         "anthropic-*",         "x-ratelimit-*",
        "retry-after",      "retry-after-ms",      "x-should-retry",
        "cf-ray",           "x-envoy-*",           "x-groq-*",
        "x-goog-*",         "apim-request-id",     "x-ms-*",
        "location",         "content-disposition", "content-language",
        "www-authenticate",
    };
    return in_list(name, passing, FARTHING_COUNT(passing));
}

bool provider_ask_usage(enum provider_dialect d, enum api_endpoint e, const struct json_doc *doc,
                        struct json_edits *edits) {
    if (d != PROVIDER_OPENAI || (e != API_CHAT_COMPLETIONS && e != API_COMPLETIONS))
        return false; // the others always report it
    json_ref options = json_get(doc, JSON_ROOT, SLICE("stream_options"));
    if (json_is_true(doc, json_get(doc, options, SLICE("include_usage"))))
        return false; // the client asks
    if (json_is_absent(doc, options) || json_type_of(doc, options) != JSON_OBJECT)
        json_edit_set(edits, JSON_ROOT, SLICE("stream_options"), SLICE("{\"include_usage\":true}"));
    else
        json_edit_set(edits, options, SLICE("include_usage"), SLICE("true"));
    return true;
}

int64_t provider_estimate_tokens(int64_t bytes) {
    // Four bytes a token is OpenAI's rule of thumb for English; JSON's own
    // punctuation makes it err on the high side.
    return bytes <= 4 ? 1 : bytes / 4 + (bytes % 4 > 0 ? 1 : 0);
}
