// Does a string of JSON begin with some bytes? Clients escape as they like (Go
// writes < as \u003c), so what is compared is what the string says; and only as
// much of it as the prefix is long, because the text behind a marker is long.
#include "context.h"

static unsigned hex(const char *digits) {
    unsigned value = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)digits[i];
        value = value << 4 | ((c <= '9' ? c - (unsigned)'0' : (c | 0x20U) - 'a' + 10) & 0xF);
    }
    return value;
}

static size_t utf8(unsigned code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(leads[len] | code);
    return len;
}

// The escape at the beginning of `at` (which the parser has found well-formed):
// what it means, and how long it is.
static size_t escape(struct slice at, char out[4], size_t *len) {
    static const char plain[] = "\b\f\n\r\t", letters[] = "bfnrt";
    if (at.ptr[1] != 'u') {
        const char *found = strchr(letters, at.ptr[1]);
        out[0] = found != NULL ? plain[found - letters] : at.ptr[1];
        *len = 1;
        return 2;
    }
    unsigned code = hex(at.ptr + 2);
    if (code < 0xD800 || code > 0xDFFF || at.len < 12) {
        *len = utf8(code, out);
        return 6;
    }
    *len = utf8(0x10000 + ((code & 0x3FF) << 10) + (hex(at.ptr + 8) & 0x3FF), out);
    return 12;
}

bool context_begins_with(const struct json_doc *doc, json_ref string, struct slice prefix) {
    struct slice left = json_inner(doc, string);
    if (left.ptr == NULL)
        return false;
    while (prefix.len > 0) {
        if (left.len == 0)
            return false;
        char bytes[4] = {left.ptr[0]};
        size_t len = 1;
        size_t taken = left.ptr[0] == '\\' ? escape(left, bytes, &len) : 1;
        if (memcmp(prefix.ptr, bytes, len < prefix.len ? len : prefix.len) != 0)
            return false;
        prefix = slice_from(prefix, len);
        left = slice_from(left, taken);
    }
    return true;
}
