// api: the words of the contract that several rooms share: endpoints, error
// codes, header names, token usage. Each list is one table. No I/O.
#ifndef FARTHING_API_H
#define FARTHING_API_H

#include "farthing/base.h"
#include "farthing/json.h"

// ------------------------------------------------------------- endpoints

enum api_endpoint {
    API_CHAT_COMPLETIONS, // POST /v1/chat/completions
    API_COMPLETIONS,      // POST /v1/completions
    API_RESPONSES,        // POST /v1/responses
    API_EMBEDDINGS,       // POST /v1/embeddings
    API_MESSAGES,         // POST /v1/messages (Anthropic's)
    API_MODELS,           // GET /v1/models and /v1/models/{model}
    API_OTHER,            // any other /v1/... path: passed through
    API_ENDPOINT_COUNT
};

// The row's `endpoint`: OpenTelemetry-like short name ("chat.completions").
const char *api_endpoint_name(enum api_endpoint e);
const char *api_endpoint_path(enum api_endpoint e); // NULL for API_OTHER
// False when the path is not below /v1/. `path` without query.
bool api_endpoint_find(struct slice method, struct slice path, enum api_endpoint *out) FARTHING_MUST_CHECK;
// Does an answer of this endpoint have a normalized key and a cacheable form?
bool api_endpoint_is_cacheable(enum api_endpoint e);

// ---------------------------------------------------------------- errors

enum api_error {
    API_ERROR_NONE,
    API_ERROR_INVALID_REQUEST,
    API_ERROR_INVALID_API_KEY,
    API_ERROR_ROUTE_FORBIDDEN,
    API_ERROR_MODEL_NOT_FOUND,
    API_ERROR_NOT_FOUND,
    API_ERROR_METHOD_NOT_ALLOWED,
    API_ERROR_REQUEST_TOO_LARGE,
    API_ERROR_UNSUPPORTED_MEDIA_TYPE,
    API_ERROR_HEADERS_TOO_LARGE,
    API_ERROR_REQUEST_TIMEOUT,
    API_ERROR_CONTEXT_BUDGET_EXCEEDED,
    API_ERROR_MAX_COST_EXCEEDED,
    API_ERROR_RATE_LIMITED,
    API_ERROR_CONCURRENCY_LIMITED,
    API_ERROR_QUEUE_TIMEOUT,
    API_ERROR_BUDGET_EXCEEDED,
    API_ERROR_RUN_BUDGET_EXCEEDED,
    API_ERROR_IDEMPOTENCY_MISMATCH,
    API_ERROR_IDEMPOTENCY_IN_PROGRESS,
    API_ERROR_CACHE_ONLY_MISS,
    API_ERROR_UPSTREAM_ERROR,
    API_ERROR_UPSTREAM_TIMEOUT,
    API_ERROR_ALL_MODELS_FAILED,
    API_ERROR_SHUTTING_DOWN,
    API_ERROR_STORE_UNAVAILABLE, // what instances share cannot be had, and going on alone would break a promise
    API_ERROR_INTERNAL,
    API_ERROR_COUNT
};

struct api_error_info {
    const char *code; // the body's error.code
    const char *type; // the body's error.type, OpenAI's words
    int status;       // default HTTP status
    bool retryable;   // false: the reply says x-should-retry: false
};

const struct api_error_info *api_error_info(enum api_error e);
// Appends {"error":{"message","type","param","code"}}. param empty: null.
void api_error_write(struct buffer *out, enum api_error e, struct slice message, struct slice param);

// ----------------------------------------------------------------- usage

// Tokens of one answer. A field that the provider did not report is 0.
// input_tokens includes cached and cache-write tokens; output_tokens includes
// reasoning tokens (OpenAI's convention; other dialects are converted to it).
// The audio and image figures are parts of input_tokens / output_tokens too.
struct api_usage {
    bool known; // the provider reported usage
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t cached_tokens;         // input read from the provider's prompt cache
    int64_t cache_write_tokens;    // input written to it, all lifetimes
    int64_t cache_write_1h_tokens; // of these, with Anthropic's 1 h lifetime
    int64_t reasoning_tokens;
    int64_t input_audio_tokens;
    int64_t output_audio_tokens;
    int64_t input_image_tokens;
    int64_t output_image_tokens;
};

// --------------------------------------------------------------- headers

// A header field as it goes over the wire. Names compare without case.
struct api_header {
    struct slice name;
    struct slice value;
};

// RFC 9110 7.6.1: must not be forwarded by a proxy (Connection and what it
// lists is the caller's to add).
bool api_header_is_hop_by_hop(struct slice name);
bool api_header_is_farthing(struct slice name); // x-farthing-*
// First value or SLICE_NONE.
struct slice api_header_find(const struct api_header *headers, size_t count, struct slice name);

#endif
