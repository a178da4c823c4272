// Station 1, receive: is this a request that the API knows, with a body that
// is JSON where it must be? (HTTP itself was judged by the http room.)
#include "exchange.h"

static bool content_type_is_json(struct slice type) {
    // Absent is forgiven: the body is checked anyway.
    return type.len == 0 || slice_find(type, SLICE("json")) >= 0;
}

static struct json_doc *take_doc(struct flow *f) {
    return f->spare_doc_count > 0 ? f->spare_docs[--f->spare_doc_count] : json_doc_new();
}

// Content codings of requests are rare among these clients, and an answer may
// only be kept for what was read.
static bool is_compressed(const struct http_request *request) {
    struct slice coding = http_request_header(request, SLICE("content-encoding"));
    return coding.len > 0 && !slice_equal_nocase(coding, SLICE("identity"));
}

static bool read_body(struct exchange *x) {
    struct slice body = http_request_body(x->request);
    x->doc = take_doc(x->flow);
    struct error err;
    if (!json_parse(x->doc, body, NULL, &err))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE_NONE,
                               "The body is not valid JSON: %s.", err.text);
    if (json_type_of(x->doc, JSON_ROOT) != JSON_OBJECT)
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE_NONE,
                               "The body must be a JSON object.");
    json_ref twice = json_duplicate_key(x->doc, JSON_ROOT);
    if (twice != JSON_NONE)
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST,
                               json_string(x->doc, twice, x->arena),
                               "The body has the member %.*s twice.",
                               SLICE_ARG(json_raw(x->doc, twice)));
    x->body_is_json = true;
    return true;
}

// A path that is passed through may still name a model and carry attributes.
static bool peek_body(struct exchange *x, struct slice type) {
    struct slice body = http_request_body(x->request);
    if (body.len == 0 || slice_find(type, SLICE("json")) < 0)
        return true;
    x->doc = take_doc(x->flow);
    struct error err;
    x->body_is_json = json_parse(x->doc, body, NULL, &err) &&
                      json_type_of(x->doc, JSON_ROOT) == JSON_OBJECT;
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
