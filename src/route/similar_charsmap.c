// The map of characters that sentencepiece compiles into its models (NFKC and more, as
// it was when the model was trained): a double array in the manner of Darts over UTF-8,
// whose values are offsets of replacements that end with a NUL. Hugging Face keeps it in
// base64 in a normalizer Precompiled.
#include <stdlib.h>

#include "signals_char.h"
#include "similar_normal.h"
#include "similar_unicode.h"

struct charsmap {
    const uint32_t *units;
    size_t unit_count;
    struct slice texts;
    char *bytes; // both are in it
};

enum { GRAPHEME_MAX = 5 }; // bytes: longer ones are looked up by the character

// ------------------------------------------------------------------ reading

static int base64_value(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != 0 ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

// `out` has room for three quarters.
static bool decode_base64(struct slice text, char *out, size_t *len) {
    uint32_t bits = 0;
    unsigned held = 0;
    while (text.len > 0 && text.ptr[text.len - 1] == '=')
        text.len--;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[(*len)++] = (char)(bits >> held & 0xFF);
        }
    }
    return true;
}

struct charsmap *charsmap_parse(struct slice base64, struct error *err) {
    struct charsmap *m = base_calloc(1, sizeof *m);
    size_t len = 0;
    uint32_t bytes = 0;
    m->bytes = base_alloc(base64.len / 4 * 3 + 4);
    bool ok = decode_base64(base64, m->bytes, &len) && len > sizeof bytes;
    if (ok)
        memcpy(&bytes, m->bytes, sizeof bytes);
    if (!ok || bytes % 4 != 0 || bytes < 4 || bytes > len - sizeof bytes) {
        charsmap_free(m);
        error_set(err, "normalizer Precompiled: precompiled_charsmap is damaged");
        return NULL;
    }
    m->units = (const uint32_t *)(void *)(m->bytes + sizeof bytes); // malloc's alignment and 4
    m->unit_count = bytes / 4;
    m->texts = slice_make(m->bytes + sizeof bytes + bytes, len - sizeof bytes - bytes);
    return m;
}

void charsmap_free(struct charsmap *m) {
    if (m == NULL)
        return;
    free(m->bytes);
    free(m);
}

// ------------------------------------------------------------------ looking

// Of a unit of the double array: where its children begin, and whether it has a value.
static uint32_t offset_of(uint32_t unit) {
    return unit >> 10 << ((unit & 1u << 9) >> 6);
}

static struct slice text_at(const struct charsmap *m, uint32_t at) {
    if (at >= m->texts.len)
        return SLICE("");
    struct slice rest = slice_from(m->texts, at);
    const char *end = memchr(rest.ptr, 0, rest.len);
    return slice_make(rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len);
}

// The replacement of the shortest beginning of `key` that has one: so do Hugging Face's
// tokenizers, whatever follows it in the key. False: none.
static bool look_up(const struct charsmap *m, struct slice key, struct slice *out) {
    size_t node = offset_of(m->units[0]);
    for (size_t i = 0; i < key.len && key.ptr[i] != 0; i++) {
        uint8_t byte = (uint8_t)key.ptr[i];
        node ^= byte;
        if (node >= m->unit_count || (m->units[node] & (1u << 31 | 0xFF)) != byte)
            return false;
        uint32_t unit = m->units[node];
        node ^= offset_of(unit);
        if (node >= m->unit_count)
            return false;
        if ((unit >> 8 & 1) != 0) {
            *out = text_at(m, m->units[node] & ~(1u << 31));
            return true;
        }
    }
    return false;
}

static void put(const struct charsmap *m, struct slice one, struct buffer *out) {
    struct slice to;
    buffer_append(out, look_up(m, one, &to) ? to : one);
}

void charsmap_apply(const struct charsmap *m, struct slice text, struct buffer *out) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    struct slice to;
    while (at < end && out->len <= NORMAL_BYTES_MAX) {
        struct slice whole = slice_make(at, unicode_grapheme(at, end));
        at += whole.len;
        if (whole.len <= GRAPHEME_MAX && look_up(m, whole, &to)) {
            buffer_append(out, to);
            continue;
        }
        unsigned len;
        for (; whole.len > 0; whole = slice_from(whole, len)) {
            signals_decode((const uint8_t *)whole.ptr, (const uint8_t *)whole.ptr + whole.len,
                           &len);
            put(m, slice_make(whole.ptr, len), out);
        }
    }
}
