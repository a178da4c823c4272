// What the learned model sees of a text: the n-grams of characters in it, hashed,
// each once, and some counts. Training and scoring read with the same code, which
// is inlined into both with what each does with an n-gram.
//
// N-grams of 4 characters, across words. Cross-validation found words and pairs of
// words worse, and nothing better by more than chance: not 3 to 5 characters, not
// words beside them, and each costs as much again. The case of ASCII is folded and
// blanks are one blank, so that neither layout nor capitals make another text.
#ifndef FARTHING_ROUTE_LEARN_TEXT_H
#define FARTHING_ROUTE_LEARN_TEXT_H

#include "farthing/learn.h"

enum { LEARN_GRAM = 4 };

enum learn_signal {
    LEARN_BYTES,
    LEARN_WORDS,
    LEARN_NUMBERS,
    LEARN_SENTENCES,
    LEARN_QUESTIONS,
    LEARN_LETTERS,
    LEARN_DIGITS,
    LEARN_CAPITALS,
    LEARN_LINES,
    LEARN_COMMAS,    // , ; :
    LEARN_OPERATORS, // = + * / ^ < > | and the backslash
    LEARN_MONEY,     // % $
    LEARN_DECIMALS,  // 1.5
    LEARN_CODE,      // { } [ ] ( ) _ ` # ;
    LEARN_OPTIONS,   // a line that begins with "A. ", "(b) ", "3) "
    LEARN_FOREIGN,   // characters beyond ASCII
    // Counted from those above, at the end:
    LEARN_DIGIT_SHARE,
    LEARN_SENTENCE_LENGTH,
    LEARN_SIGNAL_COUNT
};
_Static_assert((int)LEARN_SIGNAL_COUNT == (int)LEARN_SIGNALS, "one count a signal");

// What a byte is to the one before it. Bytes of characters beyond ASCII are letters.
enum {
    IS_LETTER = 1 << 0,
    IS_DIGIT = 1 << 1,
    IS_BLANK = 1 << 2,
    IS_END = 1 << 3,    // of a sentence: . ! ?
    IS_CLOSER = 1 << 4, // . )
};
extern const uint8_t learn_classes[256];
extern const uint8_t learn_folded[128]; // ASCII in lower case, every blank a space

// The signals as the model takes them: logarithms of counts, and shares.
void learn_signals(const struct learn_reading *r, double out[LEARN_SIGNALS]);
void learn_count_signals(struct learn_reading *r, struct slice piece);

// What is done with an n-gram: `fresh` is 1 when the text had it for the first time,
// else 0. A number and not a branch, which no processor could foretell.
typedef void learn_sink(void *arg, unsigned bucket, unsigned fresh);

// The last characters, 12 bits each, the latest lowest: an n-gram is its lower bits.
enum { LEARN_SYMBOL_BITS = 12 };

static inline __attribute__((always_inline)) void
learn_read_gram(struct learn_reading *r, uint64_t window, learn_sink *sink, void *arg) {
    uint64_t gram = window << (64 - LEARN_GRAM * LEARN_SYMBOL_BITS);
    uint64_t hash = (gram ^ gram >> 29) * 0xD6E8FEB86659FD93u;
    hash = (hash ^ hash >> 32) * 0xBF58476D1CE4E5B9u;
    unsigned bucket = (unsigned)(hash >> (64 - LEARN_BUCKET_BITS));
    uint64_t *seen = &r->seen[bucket >> 6];
    unsigned fresh = ~(unsigned)(*seen >> (bucket & 63)) & 1;
    *seen |= (uint64_t)1 << (bucket & 63);
    sink(arg, bucket, fresh);
}

// The character at *at, in 12 bits: ASCII without case, others hashed.
static inline __attribute__((always_inline)) unsigned learn_next(const unsigned char **at,
                                                                 const unsigned char *end) {
    const unsigned char *c = *at;
    if (*c < 0x80) {
        *at = c + 1;
        return learn_folded[*c];
    }
    size_t n = slice_utf8(slice_make(c, (size_t)(end - c)));
    uint32_t code = *c++;
    for (size_t i = 1; i < n; i++)
        code = code << 8 | *c++;
    *at = c;
    return 0x80 + (unsigned)((code * 0x9E3779B1u) >> 16) % ((1u << LEARN_SYMBOL_BITS) - 0x80);
}

// One piece: as if a blank stood on both sides.
static inline __attribute__((always_inline)) void learn_read(struct learn_reading *r,
                                                             struct slice piece, learn_sink *sink,
                                                             void *arg) {
    if (piece.len == 0)
        return;
    size_t left = r->bytes < LEARN_TEXT_MAX ? LEARN_TEXT_MAX - r->bytes : 0, known = 1;
    const unsigned char *at = (const unsigned char *)piece.ptr;
    const unsigned char *end = at + (piece.len < left ? piece.len : left);
    uint64_t window = ' ';
    bool blank = true;
    learn_count_signals(r, piece);
    while (at < end || !blank) {
        unsigned symbol = at < end ? learn_next(&at, end) : ' ';
        if (symbol == ' ' && blank)
            continue;
        blank = symbol == ' ';
        window = window << LEARN_SYMBOL_BITS | symbol;
        if (++known >= LEARN_GRAM)
            learn_read_gram(r, window, sink, arg);
    }
}

#endif
