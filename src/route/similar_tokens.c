// From a text to ids: added tokens out of it, normalized, cut into pieces, and each
// piece to the model.
#include "similar_tokens.h"

#include <stdlib.h>

#include "signals_char.h"
#include "similar_unicode.h"

size_t tokens_count(const struct tokens *t) {
    return t->count;
}

void tokens_free(struct tokens *t) {
    if (t == NULL)
        return;
    normal_free(&t->normal);
    trie_free(&t->words);
    trie_free(&t->raw);
    trie_free(&t->normalized);
    free(t->scores);
    free(t->added);
    free(t);
}

// ------------------------------------------------------------ pre-tokenizer

// One piece on its way through the steps.
struct cutting {
    struct tokens_sink *sink;
    size_t step;
    bool begins; // the text begins with it
};

static void cut(struct cutting c, struct slice piece);

static void pass_on(const struct cutting *c, const uint8_t *from, const uint8_t *to, bool begins) {
    if (to > from)
        cut((struct cutting){c->sink, c->step + 1, begins}, slice_make(from, (size_t)(to - from)));
}

// Is there a cut between characters of these classes? And is the second kept?
struct border {
    bool cut, drop;
};

static struct border border_of(enum tokens_cut kind, uint8_t before, uint8_t now) {
    bool space = (now & UNICODE_SPACE) != 0, mark = (now & UNICODE_PUNCTUATION) != 0;
    if (kind == TOKENS_CUT_PUNCTUATION)
        return (struct border){mark || (before & UNICODE_PUNCTUATION) != 0, false};
    if (kind == TOKENS_CUT_WORDS)
        return (struct border){space || ((before ^ now) & UNICODE_WORD) != 0, space};
    return (struct border){space, space};
}

static void cut_by_class(const struct cutting *c, enum tokens_cut kind, struct slice piece) {
    const uint8_t *at = (const uint8_t *)piece.ptr, *end = at + piece.len, *from = at, *begin = at;
    uint8_t before = 0;
    for (unsigned len; at < end && !tokens_full(c->sink); at += len) {
        uint8_t now = unicode_class(signals_decode(at, end, &len));
        struct border border = border_of(kind, before, now);
        if (border.cut) {
            pass_on(c, from, at, c->begins && from == begin);
            from = border.drop ? at + len : at;
        }
        before = now;
    }
    pass_on(c, from, end, c->begins && from == begin);
}

static void cut_metaspace(const struct cutting *c, const struct tokens_step *step,
                          struct slice piece) {
    struct slice blank = slice_of(step->blank);
    struct buffer text = {0};
    bool has = slice_starts_with(piece, blank) || slice_starts_with(piece, SLICE(" "));
    if (!has && (step->always || (step->first && c->begins)))
        buffer_append(&text, blank);
    for (size_t i = 0; i < piece.len; i++)
        if (piece.ptr[i] == ' ')
            buffer_append(&text, blank);
        else
            buffer_append_char(&text, piece.ptr[i]);
    const uint8_t *from = (const uint8_t *)text.ptr, *begin = from, *end = from + text.len;
    for (const uint8_t *at = from; step->split && at < end; at++) {
        struct slice rest = slice_make(at, (size_t)(end - at));
        if (at > from && slice_starts_with(rest, blank)) {
            pass_on(c, from, at, c->begins && from == begin);
            from = at;
        }
    }
    pass_on(c, from, end, c->begins && from == begin);
    buffer_free(&text);
}

static void cut(struct cutting c, struct slice piece) {
    const struct tokens *t = c.sink->tokens;
    if (c.step == t->step_count) {
        tokens_of_piece(c.sink, piece);
        return;
    }
    const struct tokens_step *step = &t->steps[c.step];
    if (step->cut == TOKENS_CUT_METASPACE)
        cut_metaspace(&c, step, piece);
    else
        cut_by_class(&c, step->cut, piece);
}

// -------------------------------------------------------------- added tokens

typedef void tokens_rest(struct tokens_sink *sink, struct slice text, bool begins);

static bool is_class(struct slice text, bool last, uint8_t class) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    unsigned len;
    if (text.len == 0)
        return false;
    if (last)
        for (at = end - 1; at > (const uint8_t *)text.ptr && (*at & 0xC0) == 0x80;)
            at--;
    return (unicode_class(signals_decode(at, end, &len)) & class) != 0;
}

// Bytes of white space at the beginning, or at the end.
static size_t spaces(struct slice text, bool last) {
    size_t whole = text.len;
    while (is_class(text, last, UNICODE_SPACE)) {
        size_t n = 1;
        while (n < text.len && ((uint8_t)text.ptr[last ? text.len - n : n] & 0xC0) == 0x80)
            n++;
        text = last ? slice_make(text.ptr, text.len - n) : slice_from(text, n);
    }
    return whole - text.len;
}

static bool stands_alone(struct slice text, size_t at, size_t len) {
    return !is_class(slice_make(text.ptr, at), true, UNICODE_WORD) &&
           !is_class(slice_from(text, at + len), false, UNICODE_WORD);
}

// Takes the leftmost, longest tokens out of the text; what lies between goes to `rest`.
static void split_added(struct tokens_sink *sink, const struct trie *added, struct slice text,
                        bool begins, tokens_rest *rest) {
    size_t from = 0;
    for (size_t at = 0; at < text.len && added->nodes[TRIE_ROOT].count > 0 && !tokens_full(sink);) {
        size_t len = 0;
        uint32_t place = trie_longest(added, TRIE_ROOT, slice_from(text, at), &len);
        const struct tokens_added *a = &sink->tokens->added[place != TRIE_NONE ? place : 0];
        if (place == TRIE_NONE || (a->single_word && !stands_alone(text, at, len))) {
            at += place == TRIE_NONE ? 1 : len;
            continue;
        }
        struct slice before = slice_make(text.ptr + from, at - from);
        if (a->lstrip)
            before.len -= spaces(before, true);
        if (before.len > 0)
            rest(sink, before, begins && from == 0);
        tokens_put(sink, a->id);
        at += len;
        if (a->rstrip)
            at += spaces(slice_from(text, at), false);
        from = at;
    }
    if (from < text.len && !tokens_full(sink))
        rest(sink, slice_from(text, from), begins && from == 0);
}

static void begin_cutting(struct tokens_sink *sink, struct slice text, bool begins) {
    cut((struct cutting){sink, 0, begins}, text);
}

static void normalize(struct tokens_sink *sink, struct slice text, bool begins) {
    struct buffer out = {0};
    normal_apply(&sink->tokens->normal, text, &out);
    split_added(sink, &sink->tokens->normalized, buffer_slice(&out), begins, begin_cutting);
    buffer_free(&out);
}

// model2vec cuts a text before it is read, at so many characters of the middle length.
static struct slice cut_to(struct slice text, size_t characters) {
    for (size_t i = 0; i < text.len; i++)
        if (((uint8_t)text.ptr[i] & 0xC0) != 0x80 && characters-- == 0)
            return slice_make(text.ptr, i);
    return text;
}

size_t tokens_read(const struct tokens *t, struct slice text, uint32_t ids[TOKENS_MAX]) {
    struct tokens_sink sink = {.tokens = t, .ids = ids};
    split_added(&sink, &t->raw, cut_to(text, TOKENS_MAX * t->median), true, normalize);
    return sink.count;
}
