// Canonical form: members in the order of their keys' UTF-16 code units,
// strings in RFC 8785's spelling, numbers by value (number.c), no white space.
//
// A walk over the index with a stack of open containers. Each object's keys go
// onto one shared array; they are sorted only where they do not already stand
// in order. Small pieces are gathered before they reach the sink, since a hash
// likes long runs; long strings in canonical spelling go through untouched.
#include "doc.h"

#include <stdlib.h>

struct frame {
    json_ref container, next; // next: element of an array
    size_t key, key_end;      // positions in the shared array of keys; an array has none
    bool object, first;
};

struct walk {
    const struct json_doc *doc;
    struct arena *arena; // decoded keys
    struct frame *frames;
    size_t depth, frame_cap;
    json_ref *keys;
    size_t key_count, key_cap;
    json_skip *skip;
    void *skip_arg;
    json_sink *sink;
    void *sink_arg;
    struct buffer small;
    struct error *err;
};

enum { GATHER_BYTES = 4096, PASS_BYTES = 256 };

static void flush(struct walk *w) {
    if (w->small.len > 0)
        w->sink(w->sink_arg, buffer_slice(&w->small));
    buffer_clear(&w->small);
}

static void emit(struct walk *w, struct slice piece) {
    if (piece.len >= PASS_BYTES) {
        flush(w);
        w->sink(w->sink_arg, piece);
        return;
    }
    buffer_append(&w->small, piece);
    if (w->small.len >= GATHER_BYTES)
        flush(w);
}

// ------------------------------------------------------------------- order

// Bytewise order of UTF-8 is code point order; UTF-16 puts the supplementary
// planes (lead byte F0 and up, surrogates D800..) before U+E000..U+FFFF (EE, EF).
static unsigned utf16_rank(unsigned char c) {
    return c >= 0xf0 ? c - 2u : c >= 0xee ? c + 8u : c;
}

static int compare_utf16(struct slice a, struct slice b) {
    size_t shared = a.len < b.len ? a.len : b.len, i = 0;
    while (i < shared && a.ptr[i] == b.ptr[i])
        i++;
    if (i == shared)
        return (a.len > b.len) - (a.len < b.len);
    unsigned char x = (unsigned char)a.ptr[i], y = (unsigned char)b.ptr[i];
    if (x >= 0xee && y >= 0xee)
        return utf16_rank(x) < utf16_rank(y) ? -1 : 1;
    return x < y ? -1 : 1;
}

static int compare_keys(struct walk *w, json_ref a, json_ref b) {
    return compare_utf16(json_string(w->doc, a, w->arena), json_string(w->doc, b, w->arena));
}

static int compare_for_sort(const void *a, const void *b, void *arg) {
    return compare_keys(arg, *(const json_ref *)a, *(const json_ref *)b);
}

static void push_key(struct walk *w, json_ref key) {
    if (w->key_count == w->key_cap) {
        w->key_cap = w->key_cap == 0 ? 64 : w->key_cap * 2;
        w->keys = base_realloc(w->keys, w->key_cap * sizeof *w->keys);
    }
    w->keys[w->key_count++] = key;
}

static bool duplicate(struct walk *w, json_ref key) {
    struct slice raw = json_raw(w->doc, key);
    return error_set(w->err, "the key %.*s stands twice in one object, at byte %zu",
                     (int)(raw.len < 80 ? raw.len : 80), raw.ptr,
                     (size_t)(raw.ptr - w->doc->text.ptr));
}

// Gathers the object's keys and brings them in order; false for a duplicate.
static bool order_keys(struct walk *w, json_ref object, size_t from) {
    bool ordered = true;
    for (json_ref key = json_first(w->doc, object); key != JSON_NONE;
         key = json_next(w->doc, object, key)) {
        if (object == JSON_ROOT && w->skip != NULL &&
            w->skip(w->skip_arg, json_string(w->doc, key, w->arena), json_value_of(key)))
            continue;
        if (ordered && w->key_count > from)
            ordered = compare_keys(w, w->keys[w->key_count - 1], key) < 0;
        push_key(w, key);
    }
    if (ordered)
        return true;
    qsort_r(w->keys + from, w->key_count - from, sizeof *w->keys, compare_for_sort, w);
    for (size_t i = from + 1; i < w->key_count; i++)
        if (compare_keys(w, w->keys[i - 1], w->keys[i]) == 0)
            return duplicate(w, w->keys[i]);
    return true;
}

// ------------------------------------------------------------------ values

// Escapes that are not in RFC 8785's spelling: \/ and \uXXXX.
static void emit_respelled(struct walk *w, json_ref ref) {
    struct slice inner = json_inner(w->doc, ref);
    emit(w, SLICE("\""));
    while (inner.len > 0) {
        ptrdiff_t at = slice_find_char(inner, '\\');
        size_t plain = at < 0 ? inner.len : (size_t)at;
        emit(w, slice_make(inner.ptr, plain));
        inner = slice_from(inner, plain);
        if (inner.len == 0)
            break;
        char bytes[4];
        size_t len;
        size_t taken = json_decode_escape(inner.ptr, bytes, &len);
        if (len == 1 && ((unsigned char)bytes[0] < 0x20 || bytes[0] == '"' || bytes[0] == '\\')) {
            struct buffer spelled = {0};
            json_quote(&spelled, slice_make(bytes, 1));
            emit(w, slice_make(spelled.ptr + 1, spelled.len - 2));
            buffer_free(&spelled);
        } else {
            emit(w, slice_make(bytes, len));
        }
        inner = slice_from(inner, taken);
    }
    emit(w, SLICE("\""));
}

static void emit_scalar(struct walk *w, json_ref ref) {
    const struct json_node *n = &w->doc->nodes[ref];
    struct slice raw = json_raw(w->doc, ref);
    if (n->type == JSON_STRING && (n->flags & NODE_RESPELL) != 0) {
        emit_respelled(w, ref);
    } else if (n->type == JSON_NUMBER && !json_number_is_canonical(raw)) {
        json_number_canonical(raw, &w->small);
        if (w->small.len >= GATHER_BYTES)
            flush(w);
    } else {
        emit(w, raw);
    }
}

static bool open_frame(struct walk *w, json_ref container) {
    if (w->depth == w->frame_cap) {
        w->frame_cap = w->frame_cap == 0 ? 16 : w->frame_cap * 2;
        w->frames = base_realloc(w->frames, w->frame_cap * sizeof *w->frames);
    }
    bool object = w->doc->nodes[container].type == JSON_OBJECT;
    struct frame *f = &w->frames[w->depth++];
    *f = (struct frame){.container = container, .object = object, .first = true,
                        .key = w->key_count};
    emit(w, object ? SLICE("{") : SLICE("["));
    f->key_end = f->key;
    if (!object) {
        f->next = json_first(w->doc, container);
        return true;
    }
    bool ok = order_keys(w, container, f->key);
    f->key_end = w->key_count;
    return ok;
}

// The next value of the innermost container, or JSON_NONE when it is closed.
static json_ref next_value(struct walk *w) {
    struct frame *f = &w->frames[w->depth - 1];
    bool done = f->object ? f->key == f->key_end : f->next == JSON_NONE;
    if (done) {
        emit(w, f->object ? SLICE("}") : SLICE("]"));
        w->depth--;
        return JSON_NONE;
    }
    if (!f->first)
        emit(w, SLICE(","));
    f->first = false;
    if (!f->object) {
        json_ref value = f->next;
        f->next = json_next(w->doc, f->container, value);
        return value;
    }
    json_ref key = w->keys[f->key++];
    emit_scalar(w, key);
    emit(w, SLICE(":"));
    return json_value_of(key);
}

static bool walk_all(struct walk *w, json_ref root) {
    json_ref value = root;
    do {
        if (value != JSON_NONE) {
            if (!json_is_container(&w->doc->nodes[value]))
                emit_scalar(w, value);
            else if (!open_frame(w, value))
                return false;
        }
        if (w->depth > 0) {
            // Forget the keys of objects that are closed.
            w->key_count = w->frames[w->depth - 1].key_end;
            value = next_value(w);
        }
    } while (w->depth > 0);
    return true;
}

bool json_canonical(const struct json_doc *doc, json_ref ref, json_skip *skip, void *skip_arg,
                    json_sink *sink, void *sink_arg, struct error *err) {
    struct walk w = {
        .doc = doc,
        .arena = arena_new(1024),
        .skip = skip,
        .skip_arg = skip_arg,
        .sink = sink,
        .sink_arg = sink_arg,
        .err = err,
    };
    bool ok = walk_all(&w, ref);
    flush(&w);
    buffer_free(&w.small);
    free(w.frames);
    free(w.keys);
    arena_free(w.arena);
    return ok;
}
