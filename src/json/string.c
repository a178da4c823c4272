// Decoding strings.
#include "doc.h"

static unsigned hex_unit(const char *s) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)s[i];
        value = value << 4 | (c <= '9' ? c - (unsigned)'0' : (c | 32u) - 'a' + 10u);
    }
    return value;
}

static size_t put_utf8(unsigned point, char out[4]) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

size_t json_decode_escape(const char *s, char out[4], size_t *out_len) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s[1] != 'u') {
        out[0] = to[strchr(from, s[1]) - from];
        *out_len = 1;
        return 2;
    }
    unsigned unit = hex_unit(s + 2);
    size_t taken = 6;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (hex_unit(s + 8) - 0xdc00);
        taken = 12;
    }
    *out_len = put_utf8(unit, out);
    return taken;
}

struct slice json_string(const struct json_doc *doc, json_ref ref, struct arena *arena) {
    if (ref >= doc->count || doc->nodes[ref].type != JSON_STRING)
        return SLICE_NONE;
    struct slice inner = json_inner(doc, ref);
    if ((doc->nodes[ref].flags & NODE_ESCAPES) == 0)
        return inner;
    char *out = arena_alloc(arena, inner.len); // an escape is never shorter than what it means
    size_t n = 0;
    for (size_t i = 0; i < inner.len;) {
        if (inner.ptr[i] != '\\') {
            out[n++] = inner.ptr[i++];
            continue;
        }
        char bytes[4];
        size_t len;
        i += json_decode_escape(inner.ptr + i, bytes, &len);
        memcpy(out + n, bytes, len);
        n += len;
    }
    return slice_make(out, n);
}

bool json_string_is(const struct json_doc *doc, json_ref ref, struct slice text) {
    if (ref >= doc->count || doc->nodes[ref].type != JSON_STRING)
        return false;
    struct slice inner = json_inner(doc, ref);
    if ((doc->nodes[ref].flags & NODE_ESCAPES) == 0)
        return slice_equal(inner, text);
    size_t n = 0;
    for (size_t i = 0; i < inner.len;) {
        char bytes[4] = {inner.ptr[i]};
        size_t len = 1;
        i += inner.ptr[i] == '\\' ? json_decode_escape(inner.ptr + i, bytes, &len) : 1;
        if (text.len - n < len || memcmp(text.ptr + n, bytes, len) != 0)
            return false;
        n += len;
    }
    return n == text.len;
}
