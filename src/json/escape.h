// Decoding the escapes of strings, for all that reads them. Inline, because
// some texts are nothing else.
#ifndef FARTHING_JSON_ESCAPE_H
#define FARTHING_JSON_ESCAPE_H

#include "doc.h"

// Four digits that are known to be hexadecimal.
static inline unsigned escape_unit(const char *s) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)s[i];
        value = value << 4 | ((c & 15u) + (c >> 6) * 9u); // letters have bit 6, and a is 1
    }
    return value;
}

static inline size_t escape_put_utf8(unsigned point, char out[4]) {
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

// Decodes one escape sequence at s (which starts with a backslash and is known
// to be valid) into UTF-8; returns how many bytes of s it took.
static inline size_t escape_decode(const char *s, char out[4], size_t *out_len) {
    static const char meaning[128] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    if (s[1] != 'u') {
        out[0] = meaning[s[1] & 0x7f];
        *out_len = 1;
        return 2;
    }
    unsigned unit = escape_unit(s + 2);
    size_t taken = 6;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (escape_unit(s + 8) - 0xdc00);
        taken = 12;
    }
    *out_len = escape_put_utf8(unit, out);
    return taken;
}

#endif
