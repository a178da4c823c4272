// The models of tokenizers: from a piece of text to ids.
#include <stdlib.h>

#include "signals_char.h"
#include "similar_tokens.h"

static size_t characters(struct slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((uint8_t)text.ptr[i] & 0xC0) != 0x80;
    return count;
}

// ------------------------------------------------------- BERT: words in pieces

// The longest piece that is known, and again from there on; where nothing is, the whole
// word is unknown.
static void wordpiece(struct tokens_sink *sink, struct slice word) {
    const struct tokens *t = sink->tokens;
    struct tokens_sink before = *sink;
    uint32_t from = TRIE_ROOT;
    if (characters(word) > (size_t)t->word_max) {
        tokens_put(sink, t->unknown);
        return;
    }
    while (word.len > 0) {
        size_t len = 0;
        uint32_t id = from != TRIE_NONE ? trie_longest(&t->words, from, word, &len) : TRIE_NONE;
        if (id == TRIE_NONE) {
            *sink = before;
            tokens_put(sink, t->unknown);
            return;
        }
        tokens_put(sink, id);
        word = slice_from(word, len);
        from = t->inner;
    }
}

static void wordlevel(struct tokens_sink *sink, struct slice word) {
    const struct tokens *t = sink->tokens;
    uint32_t node = trie_walk(&t->words, TRIE_ROOT, word);
    uint32_t id = node != TRIE_NONE ? t->words.nodes[node].id : TRIE_NONE;
    tokens_put(sink, id != TRIE_NONE ? id : t->unknown);
}

// ----------------------------------------------------------- sentencepiece

// The best way to a place in the text: its score, where its last token begins, and
// which that is.
struct place {
    double score;
    uint32_t from; // TRIE_NONE: no way leads here
    uint32_t id;
};

static void try_way(struct place *to, double score, uint32_t from, uint32_t id) {
    if (to->from == TRIE_NONE || score > to->score)
        *to = (struct place){score, from, id};
}

static void ways_from(const struct tokens *t, struct slice text, uint32_t at,
                      struct place *places) {
    unsigned len;
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    double score = places[at].score;
    uint32_t node = TRIE_ROOT;
    bool single = false;
    signals_decode(bytes + at, bytes + text.len, &len);
    for (uint32_t to = at; to < text.len;) {
        node = trie_step(&t->words, node, bytes[to++]);
        if (node == TRIE_NONE)
            break;
        uint32_t id = t->words.nodes[node].id;
        if (id == TRIE_NONE)
            continue;
        try_way(&places[to], score + t->scores[id], at, id);
        single = single || to - at == len;
    }
    if (!single)
        try_way(&places[at + len], score + t->unknown_score, at, t->unknown);
}

// Most likely tokens for the whole (Viterbi). Characters that are unknown, one after the
// other, are one token.
static void unigram(struct tokens_sink *sink, struct slice text) {
    const struct tokens *t = sink->tokens;
    struct place *places = base_alloc((text.len + 1) * sizeof *places);
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    for (size_t i = 0; i <= text.len; i++)
        places[i] = (struct place){0, TRIE_NONE, TRIE_NONE};
    unsigned len;
    for (uint32_t at = 0; at < text.len; at += len) {
        ways_from(t, text, at, places);
        signals_decode(bytes + at, bytes + text.len, &len);
    }
    // From the end to the beginning, and then forwards: links are turned round.
    uint32_t next = TRIE_NONE;
    for (uint32_t at = (uint32_t)text.len; at > 0;) {
        uint32_t from = places[at].from;
        places[at].from = next;
        next = at;
        at = from;
    }
    bool unknown = false; // the one before
    for (uint32_t at = next; at != TRIE_NONE && !tokens_full(sink); at = places[at].from) {
        bool now = places[at].id == t->unknown;
        if (!now || !unknown)
            tokens_put(sink, places[at].id);
        unknown = now;
    }
    free(places);
}

void tokens_of_piece(struct tokens_sink *sink, struct slice piece) {
    if (piece.len == 0 || tokens_full(sink))
        return;
    switch (sink->tokens->model) {
    case TOKENS_WORDPIECE:
        wordpiece(sink, piece);
        break;
    case TOKENS_WORDLEVEL:
        wordlevel(sink, piece);
        break;
    case TOKENS_UNIGRAM:
        unigram(sink, piece);
        break;
    }
}
