// The error codes of the contract, in one table, and OpenAI's error shape.
#include "farthing/api.h"

// `type` uses the words that OpenAI's SDKs and their users switch on. A code
// is retryable where the same request may pass later: the SDKs retry 408,
// 409, 429 and 5xx by themselves unless x-should-retry says false.
static const struct api_error_info errors[API_ERROR_COUNT] = {
    [API_ERROR_NONE] = {"", "", 200, false},
    [API_ERROR_INVALID_REQUEST] = {"invalid_request", "invalid_request_error", 400, false},
    [API_ERROR_INVALID_API_KEY] = {"invalid_api_key", "authentication_error", 401, false},
    [API_ERROR_ROUTE_FORBIDDEN] = {"route_forbidden", "permission_error", 403, false},
    [API_ERROR_MODEL_NOT_FOUND] = {"model_not_found", "invalid_request_error", 404, false},
    [API_ERROR_NOT_FOUND] = {"not_found", "invalid_request_error", 404, false},
    [API_ERROR_METHOD_NOT_ALLOWED] = {"method_not_allowed", "invalid_request_error", 405, false},
    [API_ERROR_REQUEST_TOO_LARGE] = {"request_too_large", "invalid_request_error", 413, false},
    [API_ERROR_UNSUPPORTED_MEDIA_TYPE] = {"unsupported_media_type", "invalid_request_error", 415,
                                          false},
    [API_ERROR_HEADERS_TOO_LARGE] = {"headers_too_large", "invalid_request_error", 431, false},
    [API_ERROR_REQUEST_TIMEOUT] = {"request_timeout", "invalid_request_error", 408, true},
    [API_ERROR_CONTEXT_BUDGET_EXCEEDED] = {"context_budget_exceeded", "invalid_request_error", 400,
                                           false},
    [API_ERROR_MAX_COST_EXCEEDED] = {"max_cost_exceeded", "invalid_request_error", 400, false},
    [API_ERROR_RATE_LIMITED] = {"rate_limited", "rate_limit_error", 429, true},
    [API_ERROR_CONCURRENCY_LIMITED] = {"concurrency_limited", "rate_limit_error", 429, true},
    [API_ERROR_QUEUE_TIMEOUT] = {"queue_timeout", "rate_limit_error", 429, true},
    [API_ERROR_BUDGET_EXCEEDED] = {"budget_exceeded", "insufficient_quota", 429, false},
    [API_ERROR_RUN_BUDGET_EXCEEDED] = {"run_budget_exceeded", "insufficient_quota", 429, false},
    [API_ERROR_IDEMPOTENCY_MISMATCH] = {"idempotency_mismatch", "invalid_request_error", 422,
                                        false},
    [API_ERROR_IDEMPOTENCY_IN_PROGRESS] = {"idempotency_in_progress", "invalid_request_error", 409,
                                           true},
    [API_ERROR_CACHE_ONLY_MISS] = {"cache_only_miss", "invalid_request_error", 504, false},
    [API_ERROR_UPSTREAM_ERROR] = {"upstream_error", "upstream_error", 502, true},
    [API_ERROR_UPSTREAM_TIMEOUT] = {"upstream_timeout", "upstream_error", 504, true},
    [API_ERROR_ALL_MODELS_FAILED] = {"all_models_failed", "upstream_error", 502, true},
    [API_ERROR_SHUTTING_DOWN] = {"shutting_down", "server_error", 503, true},
    [API_ERROR_STORE_UNAVAILABLE] = {"store_unavailable", "server_error", 503, true},
    [API_ERROR_INTERNAL] = {"internal_error", "server_error", 500, true},
};

const struct api_error_info *api_error_info(enum api_error e) {
    return &errors[e];
}

void api_error_write(struct buffer *out, enum api_error e, struct slice message,
                     struct slice param) {
    struct json_writer w;
    json_write_start(&w, out);
    json_object_begin(&w);
    json_key(&w, SLICE("error"));
    json_object_begin(&w);
    json_key(&w, SLICE("message"));
    json_put_string(&w, message);
    json_key(&w, SLICE("type"));
    json_put_string(&w, slice_of(errors[e].type));
    json_key(&w, SLICE("param"));
    if (param.len > 0)
        json_put_string(&w, param);
    else
        json_put_null(&w);
    json_key(&w, SLICE("code"));
    json_put_string(&w, slice_of(errors[e].code));
    json_object_end(&w);
    json_object_end(&w);
}
