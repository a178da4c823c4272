// Parameters of a page: those that it knows, each once, and no other.
#include "admin_room.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// RFC 3986 2.1. A '%' without two digits stays what it is.
static void decode(struct slice s, struct buffer *out) {
    buffer_reserve(out, s.len + 1); // even an empty value is there
    for (size_t i = 0; i < s.len; i++) {
        int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
        if (s.ptr[i] != '%' || high < 0 || low < 0) {
            buffer_append_char(out, s.ptr[i]);
            continue;
        }
        buffer_append_char(out, (char)(high << 4 | low));
        i += 2;
    }
}

static bool refuse(struct http_request *request, const struct admin_param *params, size_t count,
                   struct slice part) {
    struct buffer known = {0};
    struct slice path = http_request_path(request);
    if (count == 0)
        return admin_refuse(request, API_ERROR_INVALID_REQUEST, NULL,
                            "%.*s takes no parameters.", SLICE_ARG(path));
    for (size_t i = 0; i < count; i++)
        buffer_printf(&known, "%s%s=%s", i == 0 ? "" : " and ", params[i].name, params[i].kind);
    admin_refuse(request, API_ERROR_INVALID_REQUEST, NULL, "%s %.*s, once, not \"%.*s\".",
                 count == 1 ? "The one parameter here is" : "The parameters here are",
                 SLICE_ARG(buffer_slice(&known)), (int)(part.len < 64 ? part.len : 64), part.ptr);
    buffer_free(&known);
    return false;
}

bool admin_read_params(struct http_request *request, struct admin_param *params, size_t count) {
    struct slice rest = http_request_query(request), part;
    while (slice_split(&rest, '&', &part)) {
        if (part.len == 0 && count > 0)
            continue;
        ptrdiff_t equals = slice_find_char(part, '=');
        struct slice name = slice_make(part.ptr, equals < 0 ? part.len : (size_t)equals);
        size_t i = 0;
        while (i < count && !slice_equal(name, slice_of(params[i].name)))
            i++;
        if (i == count || equals < 0 || params[i].value.ptr != NULL)
            return refuse(request, params, count, part);
        decode(slice_from(part, (size_t)equals + 1), &params[i].text);
        params[i].value = buffer_slice(&params[i].text);
    }
    return true;
}

void admin_params_free(struct admin_param *params, size_t count) {
    for (size_t i = 0; i < count; i++)
        buffer_free(&params[i].text);
}

bool admin_read_filter(struct http_request *request, struct buffer *buffer, struct slice *out) {
    struct admin_param tenant = {.name = "tenant", .kind = "NAME"};
    bool ok = admin_read_params(request, &tenant, 1);
    *buffer = tenant.text;
    *out = tenant.value;
    return ok;
}
