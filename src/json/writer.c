// Writing JSON.
#include "doc.h"

static size_t valid_utf8(const unsigned char *s, size_t left) {
    unsigned char c = s[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if (n > 2 && ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
                  (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)))
        return 0;
    return n;
}

static void quote_control(struct buffer *out, unsigned char c) {
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
    size_t plain = 0, i = 0; // [plain, i) is copied as it is
    while (i < text.len) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n = c < 0x80 ? 1 : valid_utf8((const unsigned char *)text.ptr + i, text.len - i);
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += n;
            continue;
        }
        buffer_append(out, slice_make(text.ptr + plain, i - plain));
        if (n == 0)
            BUFFER_LITERAL(out, "\xef\xbf\xbd");
        else
            quote_control(out, c);
        plain = ++i;
    }
    buffer_append(out, slice_make(text.ptr + plain, i - plain));
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
