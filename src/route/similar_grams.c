// The vector of a text without a table: its words, pairs of words, and parts of words,
// each counted in one of the places that its hash names.
//
// How cosines come out: the same words in any order and case, 0.9 and up; a paraphrase
// that shares the words that matter, 0.5 to 0.8; one that shares a word or two, 0.2 to
// 0.5; texts on different things, below 0.1. What is said with other words is not seen:
// that takes a table or a model. A threshold of about 0.6 suits it better than the 0.8
// that holds where none is set, which nearly asks for the same words.
//
// Short words (the, is, my) are most of what people say and the least of what they
// mean: they weigh less, and have no parts. Parts make "refunds" near "refund", and a
// word with a slip of the finger near the right one. What stands there ten times weighs
// about three times as much as what stands there once, so that a long text is not only
// its most frequent word.
//
// Counts are made in 16,384 places, so that hardly two words of a text share one, and
// are then folded into 1,024 numbers with signs of either kind: what falls on one
// another by chance cancels out as often as it adds up, and leaves a cosine of about
// 0.03 between texts that have nothing in common.
#include <math.h>

#include "signals_char.h"
#include "similar.h"

enum kind { KIND_SHORT, KIND_WORD, KIND_PAIR, KIND_PART, KIND_COUNT };

static const float weights[KIND_COUNT] = {0.3f, 0.8f, 0.35f, 0.45f};

enum {
    PLACES_OF_KIND = 4096,
    SHORT_MAX = 3, // characters of a word that is short
    PART = 4,      // characters of a part: the ends of a word are one each
    PART_MAX = 24, // characters of a word whose parts count
};

struct grams {
    uint16_t counts[KIND_COUNT][PLACES_OF_KIND];
    const uint8_t *chars;
    uint64_t before; // hash of the word before; 0: none
    uint32_t word[PART_MAX + 2];
    size_t length; // characters of the word, also those that found no place
    uint64_t hash;
};

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

static void count(struct grams *g, enum kind kind, uint64_t hash) {
    uint16_t *place = &g->counts[kind][hash * 0xBF58476D1CE4E5B9u >> 52];
    *place = (uint16_t)(*place + (*place < UINT16_MAX));
}
_Static_assert(PLACES_OF_KIND == 1 << (64 - 52), "the upper bits of the hash");

// Parts of "refund": "^ref", "refu", "efun", "fund", "und$".
static void count_parts(struct grams *g) {
    size_t length = g->length < PART_MAX ? g->length : PART_MAX;
    g->word[0] = '^';
    g->word[length + 1] = '$';
    for (size_t i = 0; i + PART <= length + 2; i++) {
        uint64_t hash = 1;
        for (size_t k = 0; k < PART; k++)
            hash = mix(hash, g->word[i + k]);
        count(g, KIND_PART, hash);
    }
}

static void end_word(struct grams *g, bool is_short) {
    if (g->length == 0)
        return;
    count(g, is_short ? KIND_SHORT : KIND_WORD, g->hash);
    if (g->before != 0)
        count(g, KIND_PAIR, mix(g->before, g->hash));
    if (!is_short)
        count_parts(g);
    g->before = g->hash | 1;
    g->hash = g->length = 0;
}

static void add_character(struct grams *g, uint32_t code) {
    g->hash = mix(g->hash, code);
    if (g->length < PART_MAX)
        g->word[g->length + 1] = code;
    g->length++;
}

// Where no blanks stand between words, each character is one; what it means comes of the
// pair. (It has no parts: one character has none.)
static void read_text(struct grams *g, struct slice text) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    for (unsigned len; at < end; at += len) {
        uint32_t code = signals_decode(at, end, &len);
        uint8_t class = signals_char(g->chars, code);
        if ((class & CHAR_WORD) != 0) {
            add_character(g, keywords_fold(code));
            continue;
        }
        end_word(g, g->length <= SHORT_MAX);
        if ((class & CHAR_SCRIPT) != 0) {
            add_character(g, code);
            count(g, KIND_WORD, g->hash);
            if (g->before != 0)
                count(g, KIND_PAIR, mix(g->before, g->hash));
            g->before = g->hash | 1;
            g->hash = g->length = 0;
        }
    }
    end_word(g, g->length <= SHORT_MAX);
}

static void fold(const struct grams *g, float out[SIMILAR_GRAMS]) {
    memset(out, 0, SIMILAR_GRAMS * sizeof *out);
    for (size_t kind = 0; kind < KIND_COUNT; kind++)
        for (size_t i = 0; i < PLACES_OF_KIND; i++) {
            if (g->counts[kind][i] == 0)
                continue;
            uint64_t hash = mix(kind + 1, i) * 0x9E3779B97F4A7C15u;
            float weight = weights[kind] * (1 + logf((float)g->counts[kind][i]));
            out[hash >> 54] += (hash & 1u << 20) != 0 ? weight : -weight;
        }
}
_Static_assert(SIMILAR_GRAMS == 1 << (64 - 54), "the upper bits of the hash");

void similar_grams(struct slice text, float out[SIMILAR_GRAMS]) {
    struct grams g;
    memset(&g, 0, sizeof g);
    g.chars = signals_chars();
    read_text(&g, text);
    fold(&g, out);
}
