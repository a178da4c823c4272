// Walking the automaton. See keywords_automaton.h for its tables.
#include "keywords_automaton.h"
#include "signals_char.h"

// ------------------------------------------------------------------- stream

static bool is_blank(uint32_t code) {
    return code == ' ' || (code >= '\t' && code <= '\r') || code == 0xA0 || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x3000 || (code >= 0x2000 && code <= 0x200A);
}

static unsigned encode(uint32_t code, uint8_t *out) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    unsigned len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (unsigned i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)((0xF00u >> len & 0xF0) | code);
    return len;
}

unsigned keywords_stream_next(struct keywords_stream *s, uint8_t out[KEYWORDS_CHAR_BYTES_MAX]) {
    unsigned n = 0, len;
    while (s->at < s->end) {
        uint32_t code = signals_decode(s->at, s->end, &len);
        s->at += len;
        uint8_t class = signals_char(s->chars, code);
        bool word = (class & CHAR_WORD) != 0, blank = is_blank(code);
        if (blank && s->blank)
            continue;
        if (word != s->in_word)
            out[n++] = KEYWORDS_EDGE;
        s->in_word = word;
        s->blank = blank;
        return n + encode(blank                         ? ' '
                          : (class & CHAR_FOLDS) != 0 ? keywords_fold(code)
                                                        : code,
                          out + n);
    }
    if (s->in_word) // once, at the end
        out[n++] = KEYWORDS_EDGE;
    s->in_word = false;
    return n;
}

// Takes a byte off an end of the stream that begins at `start`, where it stands.
static void strip(struct buffer *out, size_t start, uint8_t byte) {
    if (out->len > start && (uint8_t)out->ptr[out->len - 1] == byte)
        out->len--;
    if (out->len > start && (uint8_t)out->ptr[start] == byte) {
        memmove(out->ptr + start, out->ptr + start + 1, out->len - start - 1);
        out->len--;
    }
}

void keywords_stream(struct slice text, bool whole, struct buffer *out) {
    struct keywords_stream s = {.chars = signals_chars(),
                                .at = (const uint8_t *)text.ptr,
                                .end = (const uint8_t *)text.ptr + text.len};
    uint8_t bytes[KEYWORDS_CHAR_BYTES_MAX];
    size_t start = out->len;
    for (unsigned n; (n = keywords_stream_next(&s, bytes)) > 0;)
        buffer_append(out, slice_make(bytes, n));
    // Of a whole word the blanks around it are slips; of a part of a word, the edges
    // at its ends are not asked for.
    strip(out, start, whole ? ' ' : KEYWORDS_EDGE);
}

// ------------------------------------------------------------------- search

struct keywords_found keywords_begin(const struct keywords *k, struct arena *arena) {
    return (struct keywords_found){
        .flags = arena_calloc(arena, (k->flag_count / 64 + 1) * sizeof(uint64_t)),
        .seen = arena_calloc(arena, (k->end_count / 64 + 1) * sizeof(uint64_t)),
    };
}

// Something ends here, and perhaps shorter things. What was seen once has raised
// its flags and those of all that is shorter: each end is taken once in a search.
static void raise_flags(const struct keywords *k, uint32_t state, struct keywords_found *found) {
    uint32_t e = k->state_ends[state];
    while (e != KEYWORDS_NONE && (found->seen[e / 64] >> (e % 64) & 1) == 0) {
        const struct keywords_end *end = &k->ends[e];
        found->seen[e / 64] |= UINT64_C(1) << (e % 64);
        for (uint32_t i = 0; i < end->count; i++) {
            uint32_t flag = k->end_flags[end->first + i];
            found->flags[flag / 64] |= UINT64_C(1) << (flag % 64);
        }
        e = end->shorter;
    }
}

static uint32_t edge_target(const struct keywords *k, const struct keywords_edges *e,
                            uint8_t class) {
    for (uint32_t i = e->first; i < e->first + e->count; i++)
        if (k->edge_classes[i] == class)
            return k->edge_targets[i];
    return KEYWORDS_NONE;
}

// Each step back is paid for by a step forward: linear over a whole text.
static uint32_t step_sparse(const struct keywords *k, uint32_t state, uint8_t class) {
    while (state >= k->dense_count) {
        const struct keywords_edges *e = &k->edges[state - k->dense_count];
        uint32_t target = edge_target(k, e, class);
        if (target != KEYWORDS_NONE)
            return target;
        state = e->back;
    }
    return k->rows[(size_t)state * k->class_count + class];
}

static inline uint32_t step_class(const struct keywords *k, uint32_t state, uint8_t class,
                                  struct keywords_found *found) {
    if (class == 0)
        return 0;
    uint32_t target = state < k->dense_count ? k->rows[(size_t)state * k->class_count + class]
                                             : step_sparse(k, state, class);
    if ((target & KEYWORDS_HIT) == 0)
        return target;
    target &= ~KEYWORDS_HIT;
    raise_flags(k, target, found);
    return target;
}

// ASCII, which is most of a text, without the detour of keywords_stream_next: a byte
// costs one look-up and its step. Returns the state behind it.
static uint32_t step_ascii(const struct keywords *k, uint32_t state, struct keywords_stream *s,
                           struct keywords_found *found) {
    const uint8_t *at = s->at, *end = s->end;
    unsigned word = s->in_word ? KEYWORDS_ASCII_WORD : 0;
    bool blank = s->blank;
    uint8_t edge = k->classes[KEYWORDS_EDGE];
    for (; at < end && *at < 0x80; at++) {
        unsigned class = k->ascii[*at];
        bool was_blank = blank;
        blank = (class & KEYWORDS_ASCII_BLANK) != 0;
        if (blank && was_blank)
            continue;
        if ((class & KEYWORDS_ASCII_WORD) != word)
            state = step_class(k, state, edge, found);
        word = class & KEYWORDS_ASCII_WORD;
        state = step_class(k, state, (uint8_t)class, found);
    }
    s->at = at;
    s->in_word = word != 0;
    s->blank = blank;
    return state;
}

void keywords_search(const struct keywords *k, struct slice text, struct keywords_found *found) {
    struct keywords_stream s = {.chars = signals_chars(),
                                .at = (const uint8_t *)text.ptr,
                                .end = (const uint8_t *)text.ptr + text.len};
    uint8_t bytes[KEYWORDS_CHAR_BYTES_MAX];
    uint32_t state = 0;
    if (k->state_count <= 1)
        return;
    for (;;) {
        state = step_ascii(k, state, &s, found);
        unsigned n = keywords_stream_next(&s, bytes);
        if (n == 0)
            return;
        for (unsigned i = 0; i < n; i++)
            state = step_class(k, state, k->classes[bytes[i]], found);
    }
}

size_t keywords_bytes(const struct keywords *k) {
    return k->bytes;
}
