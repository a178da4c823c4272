// A tokenizer.json of Hugging Face's tokenizers: which tokens is a text made of? As far
// as models in model2vec's format use it: BERT's words in pieces, whole words, and
// sentencepiece's unigrams.
//
// A text goes through: tokens that were added to the vocabulary (before and after the
// normalizer, as each says), the normalizer, the pre-tokenizer, the model.
#ifndef FARTHING_ROUTE_SIMILAR_TOKENS_H
#define FARTHING_ROUTE_SIMILAR_TOKENS_H

#include "farthing/json.h"
#include "similar_normal.h"
#include "similar_trie.h"

// Immutable once made: any number of threads may read at once.
struct tokens;

// NULL: err says what is damaged, or not supported.
struct tokens *tokens_parse(struct slice json, struct error *err) FARTHING_MUST_CHECK;
void tokens_free(struct tokens *t);          // NULL is fine
size_t tokens_count(const struct tokens *t); // every id is below

// The ids of a text's first TOKENS_MAX tokens, but for the unknown one: their number.
// model2vec reads no more, and nothing of the unknown. Costs grow with the text.
enum { TOKENS_MAX = 512 };
size_t tokens_read(const struct tokens *t, struct slice text, uint32_t ids[TOKENS_MAX]);

// ---------------------------------------------- what similar_tokens*.c share

enum tokens_model { TOKENS_WORDPIECE, TOKENS_WORDLEVEL, TOKENS_UNIGRAM };

enum tokens_cut {
    TOKENS_CUT_SPACES,      // at white space
    TOKENS_CUT_PUNCTUATION, // each mark by itself
    TOKENS_CUT_WORDS,       // white space away; runs of letters and digits, and of the rest
    TOKENS_CUT_METASPACE,   // before each blank, which becomes another character
};

struct tokens_step {
    enum tokens_cut cut;
    char blank[5]; // METASPACE: the other character, as UTF-8, and a NUL
    bool first, always, split;
};
enum { TOKENS_STEPS_MAX = 8 };

struct tokens_added {
    bool single_word, lstrip, rstrip;
    uint32_t id;
};

struct tokens {
    enum tokens_model model;
    struct normal normal;
    struct tokens_step steps[TOKENS_STEPS_MAX]; // of the pre-tokenizer
    size_t step_count;
    struct trie words;
    size_t count;
    uint32_t unknown; // TRIE_NONE: there is none
    size_t median;    // characters of a token: the middle of all
    uint32_t inner;   // WORDPIECE: the node of what goes on within a word
    int64_t word_max; // and characters of a word that is looked at
    double *scores;   // UNIGRAM: by id
    double unknown_score;
    // By place in `added`: those that are looked for in the text as it is, and as it is
    // normalized.
    struct tokens_added *added;
    struct trie raw, normalized;
};

// Where ids go.
struct tokens_sink {
    const struct tokens *tokens;
    uint32_t *ids;
    size_t count, taken; // of `ids`; of all tokens, the unknown too
};

static inline bool tokens_full(const struct tokens_sink *sink) {
    return sink->taken >= TOKENS_MAX;
}

static inline void tokens_put(struct tokens_sink *sink, uint32_t id) {
    if (tokens_full(sink))
        return;
    sink->taken++;
    if (id != sink->tokens->unknown && id != TRIE_NONE)
        sink->ids[sink->count++] = id;
}

// similar_model.c: the tokens of one piece, after the pre-tokenizer.
void tokens_of_piece(struct tokens_sink *sink, struct slice piece);

#endif
