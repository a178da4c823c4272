// POSTs to the admin address, read and checked before anything is done.
//
// There are no keys here, and loopback is no wall against a browser on the same
// machine: any page may have it send a POST to 127.0.0.1. What cannot be had
// without a preflight (which is never granted) is a Content-Type of JSON; and
// browsers say Origin with every POST, and Sec-Fetch-Site. A body without a
// Content-Type is let through for curl's sake only after these.
#include "admin_room.h"

#include <stdio.h>

static const struct {
    unsigned bit;
    const char *name;
    size_t offset;
} members[] = {
    {ORDER_TENANT, "tenant", offsetof(struct admin_order, tenant)},
    {ORDER_BUDGET, "budget", offsetof(struct admin_order, budget)},
    {ORDER_VALUE, "value", offsetof(struct admin_order, value)},
    {ORDER_AMOUNT, "amount", offsetof(struct admin_order, amount)},
    {ORDER_KEY, "key", offsetof(struct admin_order, key)},
    {ORDER_REASON, "reason", offsetof(struct admin_order, reason)},
    {ORDER_NAME, "name", offsetof(struct admin_order, name)},
    {ORDER_REQUEST, "request_id", offsetof(struct admin_order, request_id)},
    {ORDER_OK, "ok", offsetof(struct admin_order, ok)},
    {ORDER_WHO, "who", offsetof(struct admin_order, said_by)},
    {ORDER_FEATURE, "feature", offsetof(struct admin_order, feature)},
    {ORDER_PROMPT_VERSION, "prompt_version", offsetof(struct admin_order, prompt_version)},
    {ORDER_CORPUS_VERSION, "corpus_version", offsetof(struct admin_order, corpus_version)},
    {ORDER_ROUTE, "route", offsetof(struct admin_order, route)},
};

static struct slice *member_at(struct admin_order *o, size_t i) {
    return (struct slice *)(void *)((char *)o + members[i].offset);
}

// ------------------------------------------------------------------------- guard

static bool is_from_a_page(struct http_request *request) {
    struct slice site = http_request_header(request, SLICE("sec-fetch-site"));
    if (http_request_header(request, SLICE("origin")).ptr != NULL)
        return true;
    return site.ptr != NULL && !slice_equal_nocase(site, SLICE("none")) &&
           !slice_equal_nocase(site, SLICE("same-origin"));
}

static bool is_json(struct slice type) {
    ptrdiff_t end = slice_find_char(type, ';');
    if (end >= 0)
        type.len = (size_t)end;
    return slice_equal_nocase(slice_trim(type), SLICE("application/json"));
}

static bool guard(struct http_request *request) {
    struct slice type = http_request_header(request, SLICE("content-type"));
    struct slice encoding = http_request_header(request, SLICE("content-encoding"));
    if (is_from_a_page(request)) {
        http_reply_error(request, API_ERROR_INVALID_REQUEST, 403,
                         SLICE("This comes from a web page (Origin or Sec-Fetch-Site); the admin "
                               "address takes orders from programs only."),
                         SLICE_NONE, NULL, 0);
        return false;
    }
    if ((type.ptr != NULL && !is_json(type)) ||
        (encoding.ptr != NULL && !slice_equal_nocase(encoding, SLICE("identity"))))
        return admin_refuse(request, API_ERROR_UNSUPPORTED_MEDIA_TYPE, NULL,
                            "The body must be plain JSON: Content-Type: application/json.");
    if (http_request_body(request).len > ORDER_BYTES_MAX)
        return admin_refuse(request, API_ERROR_REQUEST_TOO_LARGE, NULL,
                            "The body may have at most %d bytes.", ORDER_BYTES_MAX);
    return true;
}

// ----------------------------------------------------------------------- members

static void list_members(unsigned allowed, struct buffer *out) {
    for (size_t i = 0; i < FARTHING_COUNT(members); i++)
        if (allowed & members[i].bit)
            buffer_printf(out, "%s%s", out->len > 0 ? ", " : "", members[i].name);
}

// Index, or the number of members.
static size_t find_member(const struct json_doc *doc, json_ref key, unsigned allowed) {
    size_t i = 0;
    while (i < FARTHING_COUNT(members) &&
           !((allowed & members[i].bit) && json_string_is(doc, key, slice_of(members[i].name))))
        i++;
    return i;
}

static bool refuse_member(struct admin_order *o, const struct json_doc *doc, json_ref key,
                          unsigned allowed) {
    struct buffer names = {0};
    struct slice name = json_string(doc, key, o->arena);
    list_members(allowed, &names);
    admin_refuse(o->request, API_ERROR_INVALID_REQUEST, arena_string(o->arena, name),
                 "There is no member \"%.*s\" here, only %.*s.",
                 (int)(name.len < 64 ? name.len : 64), name.ptr, SLICE_ARG(buffer_slice(&names)));
    buffer_free(&names);
    return false;
}

static bool read_ok(struct admin_order *o, const struct json_doc *doc, json_ref value) {
    bool said = json_is_true(doc, value) || json_type_of(doc, value) == JSON_FALSE;
    if (!said)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, "ok",
                            "\"ok\" must be true or false.");
    o->ok = json_is_true(doc, value) ? SLICE("true") : SLICE("false");
    return true;
}

static bool read_member(struct admin_order *o, const struct json_doc *doc, json_ref key,
                        unsigned allowed) {
    size_t i = find_member(doc, key, allowed);
    if (i == FARTHING_COUNT(members))
        return refuse_member(o, doc, key, allowed);
    json_ref value = json_value_of(key);
    if (json_is_absent(doc, value))
        return true;
    if (members[i].bit == ORDER_OK)
        return read_ok(o, doc, value);
    if (json_type_of(doc, value) != JSON_STRING)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, members[i].name,
                            "\"%s\" must be a string%s.", members[i].name,
                            members[i].bit == ORDER_AMOUNT ? ", such as \"5 usd\"" : "");
    struct slice text = json_string(doc, value, o->arena);
    if (text.len > KEY_BLOCK_TEXT_MAX)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, members[i].name,
                            "\"%s\" may have at most %d bytes, not %zu.", members[i].name,
                            KEY_BLOCK_TEXT_MAX, text.len);
    *member_at(o, i) = text;
    return true;
}

static bool has_all(struct admin_order *o, unsigned required) {
    for (size_t i = 0; i < FARTHING_COUNT(members); i++)
        if ((required & members[i].bit) && member_at(o, i)->len == 0)
            return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, members[i].name,
                                "\"%s\" is missing.", members[i].name);
    return true;
}

static bool read_members(struct admin_order *o, const struct json_doc *doc, unsigned allowed) {
    if (json_type_of(doc, JSON_ROOT) != JSON_OBJECT)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, NULL,
                            "The body must be a JSON object.");
    if (json_duplicate_key(doc, JSON_ROOT) != JSON_NONE)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, NULL,
                            "A member of the body stands there twice.");
    for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(doc, JSON_ROOT, key))
        if (!read_member(o, doc, key, allowed))
            return false;
    return true;
}

static bool read_body(struct admin_order *o, unsigned allowed) {
    // Strings without escapes point into the text: it is the request's.
    const struct json_limits limits = {.depth = 8, .bytes = ORDER_BYTES_MAX};
    struct json_doc *doc = json_doc_new();
    struct error err;
    bool ok = json_parse(doc, http_request_body(o->request), &limits, &err)
                  ? read_members(o, doc, allowed)
                  : admin_refuse(o->request, API_ERROR_INVALID_REQUEST, NULL,
                                 "The body is not valid JSON: %s", err.text);
    json_doc_free(doc);
    return ok;
}

bool admin_refuse_tenant(struct admin *a, const struct admin_order *o) {
    struct slice near = SLICE_NONE;
    size_t distance = ADMIN_NEAR + 1;
    for (size_t t = 0; t < a->config->tenant_count; t++)
        admin_note_near(a->config->tenants[t].name, o->tenant, &near, &distance);
    return admin_refuse_unknown(o->request, "tenant", "tenant", o->tenant, near);
}

// --------------------------------------------------------------------------- who

// What the asker says of itself: shown as such, and kept printable.
static void read_operator(struct admin_order *o) {
    struct slice name = http_request_header(o->request, SLICE("x-farthing-operator"));
    size_t n = name.len < OPERATOR_MAX ? name.len : OPERATOR_MAX;
    for (size_t i = 0; i < n; i++)
        o->operator_name[i] = name.ptr[i] >= ' ' && name.ptr[i] <= '~' ? name.ptr[i] : '?';
    o->operator_name[n] = '\0';
}

bool order_read(struct admin *a, struct http_request *request, unsigned allowed, unsigned required,
                struct arena *arena, struct admin_order *out) {
    *out = (struct admin_order){.request = request, .arena = arena};
    if (!guard(request) || !read_body(out, allowed) || !has_all(out, required))
        return false;
    read_operator(out);
    out->troubles = audit_count_troubles(a);
    http_request_peer(request, out->who);
    return true;
}
