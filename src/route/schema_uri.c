// As much of RFC 3986 as references between schemas need: no normal forms, no
// checks. What is resolved wrongly is found nowhere, and rejects nothing.
#include "schema_uri.h"

// ":" included; 0: none.
static size_t scheme_len(struct slice uri) {
    for (size_t i = 0; i < uri.len; i++) {
        unsigned char c = (unsigned char)uri.ptr[i];
        bool alpha = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (c == ':' && i > 0)
            return i + 1;
        if (!alpha && (i == 0 || ((c < '0' || c > '9') && c != '+' && c != '-' && c != '.')))
            return 0;
    }
    return 0;
}

// Scheme and, where there is one, authority.
static size_t authority_end(struct slice uri) {
    size_t at = scheme_len(uri);
    if (!slice_starts_with(slice_from(uri, at), SLICE("//")))
        return at;
    for (at += 2; at < uri.len && uri.ptr[at] != '/' && uri.ptr[at] != '?'; at++)
        ;
    return at;
}

static size_t path_end(struct slice uri) {
    ptrdiff_t query = slice_find_char(uri, '?');
    return query < 0 ? uri.len : (size_t)query;
}

// Appends the path without its "." and ".." segments (RFC 3986 5.2.4).
static void append_path(struct buffer *out, struct slice path) {
    // What no ".." takes away.
    size_t root = out->len + (path.len > 0 && path.ptr[0] == '/' ? 1 : 0);
    struct slice segment, rest = path;
    bool dots = false;
    for (bool first = true; slice_split(&rest, '/', &segment); first = false) {
        if (!first && !dots)
            buffer_append_char(out, '/');
        bool up = slice_equal(segment, SLICE(".."));
        dots = up || slice_equal(segment, SLICE("."));
        if (up) { // the slash that was just written, and the segment before it
            if (out->len > root)
                out->len--;
            while (out->len > root && out->ptr[out->len - 1] != '/')
                out->len--;
        } else if (!dots) {
            buffer_append(out, segment);
        }
    }
}

struct slice schema_uri_resolve(struct arena *arena, struct slice base, struct slice reference) {
    if (scheme_len(reference) > 0)
        return arena_copy(arena, reference);
    if (reference.len == 0)
        return base;
    struct buffer out = {0};
    size_t authority = authority_end(base), end = path_end(base);
    if (slice_starts_with(reference, SLICE("//"))) {
        buffer_append(&out, slice_make(base.ptr, scheme_len(base)));
        buffer_append(&out, reference);
    } else if (reference.ptr[0] == '?') {
        buffer_append(&out, slice_make(base.ptr, end));
        buffer_append(&out, reference);
    } else {
        size_t query = path_end(reference);
        struct buffer path = {0};
        if (reference.ptr[0] != '/') {
            size_t folder = end;
            while (folder > authority && base.ptr[folder - 1] != '/')
                folder--;
            buffer_append(&path, slice_make(base.ptr + authority, folder - authority));
        }
        buffer_append(&path, slice_make(reference.ptr, query));
        buffer_append(&out, slice_make(base.ptr, authority));
        append_path(&out, buffer_slice(&path));
        buffer_append(&out, slice_from(reference, query));
        buffer_free(&path);
    }
    struct slice resolved = arena_copy(arena, buffer_slice(&out));
    buffer_free(&out);
    return resolved;
}

static struct slice percent_decoded(struct arena *arena, struct slice s) {
    char *out = arena_string(arena, s);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte;
        if (s.ptr[i] == '%' && i + 2 < s.len &&
            digest_unhex(slice_make(s.ptr + i + 1, 2), &byte, 1)) {
            out[len++] = (char)byte;
            i += 2;
        } else {
            out[len++] = s.ptr[i];
        }
    }
    return slice_make(out, len);
}

void schema_uri_split(struct arena *arena, struct slice uri, struct slice *without,
                      struct slice *fragment) {
    ptrdiff_t hash = slice_find_char(uri, '#');
    *without = slice_make(uri.ptr, hash < 0 ? uri.len : (size_t)hash);
    *fragment = hash < 0 ? SLICE_NONE : percent_decoded(arena, slice_from(uri, (size_t)hash + 1));
}

struct slice schema_pointer_token(struct arena *arena, struct slice token) {
    if (slice_find_char(token, '~') < 0)
        return token;
    char *out = arena_string(arena, token);
    size_t len = 0;
    for (size_t i = 0; i < token.len; i++) {
        out[len++] = token.ptr[i];
        if (token.ptr[i] == '~' && i + 1 < token.len) {
            char c = token.ptr[i + 1];
            if (c == '0' || c == '1') {
                out[len - 1] = c == '0' ? '~' : '/';
                i++;
            }
        }
    }
    return slice_make(out, len);
}
