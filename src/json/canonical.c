// Canonical form: members in the order of their keys' UTF-16 code units,
// strings in RFC 8785's spelling, numbers by value (number.c), no white space.
//
// A walk over the index with a stack of open containers. Each object's members
// go onto one shared array; they are sorted only where they do not already
// stand in order. What stands in canonical spelling in the text is not copied
// byte by byte: neighbours are joined to one run, and a long run goes to the
// sink as it lies there. Short ones are gathered first, since a hash likes
// long pieces.
#include "escape.h"

#include <stdlib.h>

// Name and value follow each other in the index.
struct member {
    json_ref key;
    struct slice name; // decoded
};

struct frame {
    json_ref container, next;  // next: element of an array
    size_t member, member_end; // positions in the shared array; an array has none
    bool object, first;
};

enum { GATHER_BYTES = 4096, PASS_BYTES = 512, COPY_BYTES = 16, INSERTION_MAX = 32 };

struct walk {
    const struct json_doc *doc;
    struct arena *arena; // decoded keys; made for the first key with escapes
    struct frame *frames;
    size_t depth, frame_cap;
    struct member *members;
    size_t member_count, member_cap;
    json_skip *skip;
    void *skip_arg;
    json_sink *sink;
    void *sink_arg;
    struct error *err;
    size_t run, run_end; // bytes of the text that come next
    size_t gathered;
    char gather[GATHER_BYTES + COPY_BYTES]; // what came before them; the last few are slack
};

// ------------------------------------------------------------------ output

static void flush_gathered(struct walk *w) {
    if (w->gathered > 0)
        w->sink(w->sink_arg, slice_make(w->gather, w->gathered));
    w->gathered = 0;
}

// Bytes from anywhere, behind the run. They may go away after the call.
static void put(struct walk *w, const char *bytes, size_t len) {
    if (w->gathered + len > sizeof w->gather)
        flush_gathered(w);
    if (len > PASS_BYTES) {
        flush_gathered(w);
        w->sink(w->sink_arg, slice_make(bytes, len));
        return;
    }
    memcpy(w->gather + w->gathered, bytes, len);
    w->gathered += len;
}

static void end_run(struct walk *w) {
    size_t from = w->run, len = w->run_end - w->run;
    w->run = w->run_end = 0;
    if (len <= COPY_BYTES && w->doc->text.len - from >= COPY_BYTES && w->gathered < GATHER_BYTES) {
        // Copying a few bytes too many is cheaper than counting them.
        memcpy(w->gather + w->gathered, w->doc->text.ptr + from, COPY_BYTES);
        w->gathered += len;
        if (w->gathered >= GATHER_BYTES)
            flush_gathered(w);
    } else if (len > 0) {
        put(w, w->doc->text.ptr + from, len);
    }
}

static void emit_bytes(struct walk *w, struct slice piece) {
    end_run(w);
    put(w, piece.ptr, piece.len);
}

// Bytes [from, to) of the text.
static void emit_text(struct walk *w, size_t from, size_t to) {
    if (from != w->run_end) {
        end_run(w);
        w->run = from;
    }
    w->run_end = to;
}

// A comma or colon: most often the text has it right behind the run.
static void emit_char(struct walk *w, char c) {
    const struct slice text = w->doc->text;
    if (w->run_end > w->run && w->run_end < text.len && text.ptr[w->run_end] == c)
        w->run_end++;
    else
        emit_bytes(w, slice_make(&c, 1));
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
    return utf16_rank((unsigned char)a.ptr[i]) < utf16_rank((unsigned char)b.ptr[i]) ? -1 : 1;
}

static int compare_members(const void *a, const void *b) {
    return compare_utf16(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static void push_member(struct walk *w, json_ref key, struct slice name) {
    if (w->member_count == w->member_cap) {
        w->member_cap = w->member_cap == 0 ? 64 : w->member_cap * 2;
        w->members = base_realloc(w->members, w->member_cap * sizeof *w->members);
    }
    w->members[w->member_count++] = (struct member){key, name};
}

static bool duplicate(struct walk *w, json_ref key) {
    struct slice raw = json_raw(w->doc, key);
    return error_set(w->err, "the key %.*s stands twice in one object, at byte %zu",
                     (int)(raw.len < 80 ? raw.len : 80), raw.ptr,
                     (size_t)(raw.ptr - w->doc->text.ptr));
}

// The objects of a request have a handful of members: no call a comparison.
static void sort_members(struct member *m, size_t count) {
    if (count > INSERTION_MAX) {
        qsort(m, count, sizeof *m, compare_members);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct member moved = m[i];
        size_t to = i;
        for (; to > 0 && compare_utf16(moved.name, m[to - 1].name) < 0; to--)
            m[to] = m[to - 1];
        m[to] = moved;
    }
}

static struct slice name_of(struct walk *w, json_ref key) {
    if ((w->doc->nodes[key].flags & NODE_ESCAPES) == 0)
        return json_between_quotes(w->doc, key);
    if (w->arena == NULL)
        w->arena = arena_new(1024);
    return json_string(w->doc, key, w->arena);
}

// Gathers the object's members and brings them in order; false for a duplicate.
static bool order_members(struct walk *w, json_ref object) {
    size_t from = w->member_count;
    bool ordered = true;
    for (json_ref key = json_first(w->doc, object); key != JSON_NONE;
         key = json_next(w->doc, object, key)) {
        struct slice name = name_of(w, key);
        if (object == JSON_ROOT && w->skip != NULL &&
            w->skip(w->skip_arg, name, json_value_of(key)))
            continue;
        if (ordered && w->member_count > from)
            ordered = compare_utf16(w->members[w->member_count - 1].name, name) < 0;
        push_member(w, key, name);
    }
    if (ordered)
        return true;
    struct member *m = w->members + from;
    size_t count = w->member_count - from;
    sort_members(m, count);
    for (size_t i = 1; i < count; i++)
        if (slice_equal(m[i - 1].name, m[i].name))
            return duplicate(w, m[i - 1].key > m[i].key ? m[i - 1].key : m[i].key);
    return true;
}

// ------------------------------------------------------------------ values

// One escape at text offset `at`, in canonical spelling; returns how long it is.
static size_t emit_escape(struct walk *w, size_t at) {
    const char *escape = w->doc->text.ptr + at;
    if (escape[1] != 'u' && escape[1] != '/') {
        emit_text(w, at, at + 2);
        return 2;
    }
    end_run(w);
    if (w->gathered >= GATHER_BYTES)
        flush_gathered(w);
    // Decoded to where it goes: texts of many languages are nothing but this.
    char *to = w->gather + w->gathered;
    size_t len, taken = escape_decode(escape, to, &len);
    unsigned char c = (unsigned char)to[0];
    if (c >= 0x20 && c != '"' && c != '\\') {
        w->gathered += len;
        return taken;
    }
    struct buffer spelled = {0};
    json_quote_byte(&spelled, c);
    emit_bytes(w, buffer_slice(&spelled));
    buffer_free(&spelled);
    return taken;
}

// Escapes that are not in RFC 8785's spelling: \/ and \uXXXX.
static void emit_respelled(struct walk *w, const struct json_node *n) {
    const char *text = w->doc->text.ptr;
    size_t at = n->start, end = n->end;
    while (at < end) {
        const char *escape = memchr(text + at, '\\', end - at);
        size_t plain_end = escape != NULL ? (size_t)(escape - text) : end;
        if (plain_end > at)
            emit_text(w, at, plain_end);
        at = plain_end;
        while (at < end && text[at] == '\\')
            at += emit_escape(w, at);
    }
}

static void emit_number(struct walk *w, json_ref ref) {
    const struct json_node *n = &w->doc->nodes[ref];
    struct slice raw = json_raw(w->doc, ref);
    if (json_number_is_canonical(raw)) {
        emit_text(w, n->start, n->end);
        return;
    }
    struct buffer spelled = {0};
    json_number_canonical(raw, &spelled);
    emit_bytes(w, buffer_slice(&spelled));
    buffer_free(&spelled);
}

static void emit_scalar(struct walk *w, json_ref ref) {
    const struct json_node *n = &w->doc->nodes[ref];
    if ((n->flags & NODE_RESPELL) == 0)
        emit_text(w, n->start, n->end);
    else if (n->type == JSON_NUMBER)
        emit_number(w, ref);
    else
        emit_respelled(w, n);
}

// The scalars at the front of an array, up to the first container: token
// numbers and vectors are arrays of nothing else. Returns that container.
static json_ref emit_scalars(struct walk *w, json_ref array, json_ref value, bool *first) {
    const struct json_node *nodes = w->doc->nodes;
    json_ref end = nodes[array].next;
    while (value < end && !json_is_container(&nodes[value])) {
        if (!*first)
            emit_char(w, ',');
        *first = false;
        emit_scalar(w, value++);
    }
    return value < end ? value : JSON_NONE;
}

static bool open_frame(struct walk *w, json_ref container) {
    if (w->depth == w->frame_cap) {
        w->frame_cap = w->frame_cap == 0 ? 16 : w->frame_cap * 2;
        w->frames = base_realloc(w->frames, w->frame_cap * sizeof *w->frames);
    }
    const struct json_node *n = &w->doc->nodes[container];
    struct frame *f = &w->frames[w->depth++];
    *f = (struct frame){
        .container = container,
        .object = n->type == JSON_OBJECT,
        .first = true,
        .member = w->member_count,
    };
    emit_text(w, n->start, n->start + 1);
    bool ok = true;
    if (f->object)
        ok = order_members(w, container);
    else
        f->next = json_first(w->doc, container);
    f->member_end = w->member_count;
    return ok;
}

static void close_frame(struct walk *w, const struct frame *f) {
    size_t end = w->doc->nodes[f->container].end;
    emit_text(w, end - 1, end);
    w->member_count = f->member; // forgets the members of what is closed
    w->depth--;
}

// The next value of the innermost container, or JSON_NONE when it is closed.
static json_ref next_value(struct walk *w) {
    struct frame *f = &w->frames[w->depth - 1];
    if (!f->object && f->next != JSON_NONE)
        f->next = emit_scalars(w, f->container, f->next, &f->first);
    if (f->object ? f->member == f->member_end : f->next == JSON_NONE) {
        close_frame(w, f);
        return JSON_NONE;
    }
    if (!f->first)
        emit_char(w, ',');
    f->first = false;
    if (!f->object) {
        json_ref value = f->next;
        f->next = json_next(w->doc, f->container, value);
        return value;
    }
    json_ref key = w->members[f->member++].key;
    emit_scalar(w, key);
    emit_char(w, ':');
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
        if (w->depth > 0)
            value = next_value(w);
    } while (w->depth > 0);
    return true;
}

bool json_canonical(const struct json_doc *doc, json_ref ref, json_skip *skip, void *skip_arg,
                    json_sink *sink, void *sink_arg, struct error *err) {
    struct walk w;
    // All but the gathered bytes, which need no zeros.
    memset(&w, 0, offsetof(struct walk, gather));
    w.doc = doc;
    w.skip = skip;
    w.skip_arg = skip_arg;
    w.sink = sink;
    w.sink_arg = sink_arg;
    w.err = err;
    bool ok = walk_all(&w, ref);
    end_run(&w);
    flush_gathered(&w);
    free(w.frames);
    free(w.members);
    arena_free(w.arena);
    return ok;
}
