// Decoding strings.
#include "escape.h"

struct slice json_inner(const struct json_doc *doc, json_ref ref) {
    bool is_string = ref < doc->count && doc->nodes[ref].type == JSON_STRING;
    return is_string ? json_between_quotes(doc, ref) : SLICE_NONE;
}

struct slice json_string(const struct json_doc *doc, json_ref ref, struct arena *arena) {
    struct slice inner = json_inner(doc, ref);
    if (inner.ptr == NULL || (doc->nodes[ref].flags & NODE_ESCAPES) == 0)
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
        i += escape_decode(inner.ptr + i, bytes, &len);
        memcpy(out + n, bytes, len);
        n += len;
    }
    return slice_make(out, n);
}

bool json_string_is(const struct json_doc *doc, json_ref ref, struct slice text) {
    struct slice inner = json_inner(doc, ref);
    if (inner.ptr == NULL)
        return false;
    if ((doc->nodes[ref].flags & NODE_ESCAPES) == 0)
        return slice_equal(inner, text);
    size_t n = 0;
    for (size_t i = 0; i < inner.len;) {
        char bytes[4] = {inner.ptr[i]};
        size_t len = 1;
        i += inner.ptr[i] == '\\' ? escape_decode(inner.ptr + i, bytes, &len) : 1;
        if (text.len - n < len || memcmp(text.ptr + n, bytes, len) != 0)
            return false;
        n += len;
    }
    return n == text.len;
}
