// Station 1, receive: is this a request that the API knows, with a body that
// is JSON where it must be? (HTTP itself was judged by the http room.)
#include "exchange.h"

// application/json, application/vnd.x+json, in any case (RFC 9110 8.3.1).
static bool says_json(struct slice type) {
    struct slice json = SLICE("json");
    for (size_t i = 0; i + json.len <= type.len; i++)
        if (slice_equal_nocase(slice_make(type.ptr + i, json.len), json))
            return true;
    return false;
}

static bool content_type_is_json(struct slice type) {
    return type.len == 0 || says_json(type); // absent is forgiven: the body is checked anyway
}

// Content codings of requests are rare among these clients, and an answer may
// only be kept for what was read.
static bool is_compressed(const struct http_request *request) {
    struct slice coding = http_request_header(request, SLICE("content-encoding"));
    return coding.len > 0 && !slice_equal_nocase(coding, SLICE("identity"));
}

static bool has_no_member_twice(struct exchange *x) {
    json_ref twice = json_duplicate_key(x->doc, JSON_ROOT);
    return twice == JSON_NONE ||
           exchange_refuse(x, API_ERROR_INVALID_REQUEST, json_string(x->doc, twice, x->arena),
                           "The body has the member %.*s twice.", SLICE_ARG(json_raw(x->doc, twice)));
}

static bool read_body(struct exchange *x) {
    struct slice body = http_request_body(x->request);
    x->doc = flow_take_doc(x->flow);
    struct error err;
    if (!json_parse(x->doc, body, NULL, &err))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE_NONE,
                               "The body is not valid JSON: %s.", err.text);
    if (json_type_of(x->doc, JSON_ROOT) != JSON_OBJECT)
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE_NONE,
                               "The body must be a JSON object.");
    x->body_is_json = true;
    return has_no_member_twice(x);
}

// A path that is passed through may still name a model and carry attributes.
static bool peek_body(struct exchange *x, struct slice type) {
    struct slice body = http_request_body(x->request);
    if (body.len == 0 || !says_json(type))
        return true;
    x->doc = flow_take_doc(x->flow);
    struct error err;
    x->body_is_json = json_parse(x->doc, body, NULL, &err) &&
                      json_type_of(x->doc, JSON_ROOT) == JSON_OBJECT;
    return !x->body_is_json || has_no_member_twice(x); // which model is meant, and paid?
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

// RFC 3986 2.3: such a character and its percent-encoding are the same.
static bool is_unreserved(int c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static bool has_other_spelling(struct slice segment) {
    for (size_t i = 0; i + 2 < segment.len; i++) {
        int high = hex_value(segment.ptr[i + 1]), low = hex_value(segment.ptr[i + 2]);
        if (segment.ptr[i] == '%' && high >= 0 && low >= 0 && is_unreserved(high * 16 + low))
            return true;
    }
    return false;
}

// A path that a provider reads as another one ("/v1/./chat/completions",
// "/v1/%63hat/completions") would buy uncounted, and "/v1/../" leave the part of
// the provider that its key is meant for.
static bool path_is_plain(struct slice path) {
    struct slice rest = slice_from(path, 1);
    while (rest.len > 0) {
        ptrdiff_t slash = slice_find_char(rest, '/');
        struct slice segment = slash < 0 ? rest : slice_make(rest.ptr, (size_t)slash);
        if (segment.len == 0 || slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")) ||
            has_other_spelling(segment))
            return false;
        rest = slice_from(rest, slash < 0 ? rest.len : (size_t)slash + 1);
    }
    return true;
}

bool station_receive(struct exchange *x) {
    struct slice method = http_request_method(x->request);
    struct slice path = http_request_path(x->request);
    if (!api_endpoint_find(method, path, &x->endpoint)) {
        x->endpoint = API_OTHER;
        return exchange_refuse(x, API_ERROR_NOT_FOUND, SLICE_NONE,
                               "There is no %.*s here: the API is below /v1/.",
                               (int)(path.len < 200 ? path.len : 200), path.ptr);
    }
    if (!path_is_plain(path))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE_NONE,
                               "The path must be in its normal form: without empty segments, \".\", "
                               "\"..\", and letters that are percent-encoded.");
    if (x->flow->draining)
        return exchange_refuse(x, API_ERROR_SHUTTING_DOWN, SLICE_NONE,
                               "This proxy is shutting down; try again.");
    struct slice type = http_request_header(x->request, SLICE("content-type"));
    if (!api_endpoint_is_cacheable(x->endpoint))
        return peek_body(x, type);
    if (!content_type_is_json(type))
        return exchange_refuse(x, API_ERROR_UNSUPPORTED_MEDIA_TYPE, SLICE_NONE,
                               "The content type must be application/json.");
    if (is_compressed(x->request))
        return exchange_refuse(x, API_ERROR_UNSUPPORTED_MEDIA_TYPE, SLICE_NONE,
                               "The body must not have a content coding.");
    return read_body(x);
}
