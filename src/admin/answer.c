// What all answers of the admin address are made with.
#include <stdio.h>

#include "admin_room.h"

void admin_reply(struct http_request *request, int status, struct slice type, struct slice body) {
    const struct api_header headers[] = {
        {SLICE("Content-Type"), type},
        {SLICE("Cache-Control"), SLICE("no-store")}, // figures of one moment
    };
    http_reply(request, status, headers, FARTHING_COUNT(headers), body);
}

void admin_reply_json(struct http_request *request, struct buffer *body) {
    buffer_append_char(body, '\n');
    admin_reply(request, 200, SLICE("application/json"), buffer_slice(body));
    buffer_free(body);
}

bool admin_refuse(struct http_request *request, enum api_error error, const char *param,
                  const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    http_reply_error(request, error, 0, slice_make(text, len), slice_of(param), NULL, 0);
    return false;
}

void admin_note_near(struct slice candidate, struct slice name, struct slice *near,
                     size_t *distance) {
    size_t d = slice_distance(candidate, name);
    if (d < *distance) {
        *distance = d;
        *near = candidate;
    }
}

bool admin_refuse_unknown(struct http_request *request, const char *param, const char *what,
                          struct slice name, struct slice near) {
    return admin_refuse(request, API_ERROR_NOT_FOUND, param, "There is no %s \"%.*s\"%s%.*s%s",
                        what, (int)(name.len < 256 ? name.len : 256), name.ptr,
                        near.len > 0 ? "; did you mean \"" : ".", SLICE_ARG(near),
                        near.len > 0 ? "\"?" : "");
}

void admin_put_number(struct json_writer *w, const char *name, int64_t value) {
    json_key(w, slice_of(name));
    json_put_i64(w, value);
}

void admin_put_text(struct json_writer *w, const char *name, struct slice value) {
    json_key(w, slice_of(name));
    json_put_string(w, value);
}

void admin_put_optional(struct json_writer *w, const char *name, struct slice value) {
    json_key(w, slice_of(name));
    if (value.len > 0)
        json_put_string(w, value);
    else
        json_put_null(w);
}

void admin_put_bool(struct json_writer *w, const char *name, bool value) {
    json_key(w, slice_of(name));
    json_put_bool(w, value);
}

void admin_put_money(struct json_writer *w, const char *name, int64_t pico) {
    char text[MONEY_TEXT_MAX];
    size_t n = money_format((struct money){pico}, text);
    admin_put_text(w, name, slice_make(text, n));
}

void admin_put_moment(struct json_writer *w, const char *name, int64_t wall_ms) {
    const int64_t year_10000 = INT64_C(253402300800000);
    char text[25] = "";
    if (wall_ms > 0 && wall_ms < year_10000)
        clock_format_ms(wall_ms, text);
    admin_put_optional(w, name, slice_of(text));
}

void admin_array_begin(struct json_writer *w, const char *name) {
    json_key(w, slice_of(name));
    json_array_begin(w);
}
