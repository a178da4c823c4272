// Writing JSON. The nesting is bounded by the code that writes, not by what
// comes from outside, so a bit a level is enough.
#include "scan.h"

#include <assert.h>

void json_quote_byte(struct buffer *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        BUFFER_LITERAL(out, "\\\"");
        return;
    case '\\':
        BUFFER_LITERAL(out, "\\\\");
        return;
    case '\b':
        BUFFER_LITERAL(out, "\\b");
        return;
    case '\t':
        BUFFER_LITERAL(out, "\\t");
        return;
    case '\n':
        BUFFER_LITERAL(out, "\\n");
        return;
    case '\f':
        BUFFER_LITERAL(out, "\\f");
        return;
    case '\r':
        BUFFER_LITERAL(out, "\\r");
        return;
    default:
        BUFFER_LITERAL(out, "\\u00");
        buffer_append_char(out, hex[c >> 4]);
        buffer_append_char(out, hex[c & 15]);
    }
}

void json_quote(struct buffer *out, struct slice text) {
    buffer_reserve(out, text.len + 2);
    buffer_append_char(out, '"');
    const char *plain = text.ptr, *s = text.ptr; // [plain, s) is copied as it is
    const char *end = text.len > 0 ? text.ptr + text.len : text.ptr;
    while ((s = scan_plain(s, end)) < end) {
        bool ascii = (unsigned char)*s < 0x80;
        size_t n = ascii ? 0 : slice_utf8(slice_make(s, (size_t)(end - s)));
        if (n > 0) {
            s += n;
            continue;
        }
        buffer_append(out, slice_make(plain, (size_t)(s - plain)));
        if (ascii)
            json_quote_byte(out, (unsigned char)*s);
        else
            BUFFER_LITERAL(out, "\xef\xbf\xbd");
        plain = ++s;
    }
    buffer_append(out, slice_make(plain, (size_t)(end - plain)));
    buffer_append_char(out, '"');
}

void json_write_start(struct json_writer *w, struct buffer *out) {
    *w = (struct json_writer){.out = out};
}

static void before_value(struct json_writer *w) {
    uint64_t bit = (uint64_t)1 << w->depth;
    if (w->after_key)
        w->after_key = false;
    else if (w->depth > 0 && (w->has_member & bit) != 0)
        buffer_append_char(w->out, ',');
    w->has_member |= bit;
}

static void open_level(struct json_writer *w, char c) {
    assert(w->depth < 63);
    before_value(w);
    buffer_append_char(w->out, c);
    w->depth++;
    w->has_member &= ~((uint64_t)1 << w->depth);
}

void json_object_begin(struct json_writer *w) {
    open_level(w, '{');
}

void json_object_end(struct json_writer *w) {
    w->depth--;
    buffer_append_char(w->out, '}');
}

void json_array_begin(struct json_writer *w) {
    open_level(w, '[');
}

void json_array_end(struct json_writer *w) {
    w->depth--;
    buffer_append_char(w->out, ']');
}

bool json_array_end_or_drop(struct json_writer *w, size_t start) {
    bool is_empty = w->out->len == start + 1;
    json_array_end(w);
    if (is_empty)
        w->out->len = start;
    return !is_empty;
}

void json_key(struct json_writer *w, struct slice name) {
    before_value(w);
    json_quote(w->out, name);
    buffer_append_char(w->out, ':');
    w->after_key = true;
}

void json_put_string(struct json_writer *w, struct slice text) {
    before_value(w);
    json_quote(w->out, text);
}

void json_put_i64(struct json_writer *w, int64_t value) {
    before_value(w);
    buffer_append_i64(w->out, value);
}

void json_put_u64(struct json_writer *w, uint64_t value) {
    before_value(w);
    buffer_append_u64(w->out, value);
}

void json_put_bool(struct json_writer *w, bool value) {
    before_value(w);
    buffer_append(w->out, value ? SLICE("true") : SLICE("false"));
}

void json_put_null(struct json_writer *w) {
    before_value(w);
    BUFFER_LITERAL(w->out, "null");
}

void json_put_raw(struct json_writer *w, struct slice raw) {
    before_value(w);
    buffer_append(w->out, raw);
}
