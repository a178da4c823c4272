// Many words as one tree of their bytes: which of them does a text begin with? One
// step a byte, however many words there are.
#ifndef FARTHING_ROUTE_SIMILAR_TRIE_H
#define FARTHING_ROUTE_SIMILAR_TRIE_H

#include "farthing/base.h"

#define TRIE_NONE UINT32_MAX
#define TRIE_ROOT 0u

struct trie_word {
    struct slice text;
    uint32_t id; // below TRIE_NONE
};

struct trie_node {
    uint32_t first; // of its children, which stand in a row, by label
    uint32_t id;    // of the word that ends here, or TRIE_NONE
    uint16_t count; // of children
    uint8_t label;  // the byte that leads here
};

struct trie {
    struct trie_node *nodes;
    size_t count;
};

// Sorts the words. Of two that are equal, the higher id counts. Empty words are
// nowhere.
void trie_build(struct trie *t, struct trie_word *words, size_t count);
void trie_free(struct trie *t);

// The child by this byte, or TRIE_NONE.
static inline uint32_t trie_step(const struct trie *t, uint32_t node, uint8_t byte) {
    const struct trie_node *n = &t->nodes[node];
    uint32_t low = n->first, high = n->first + n->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->nodes[middle].label < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n->first + n->count && t->nodes[low].label == byte ? low : TRIE_NONE;
}

// The node at the end of these bytes, from `node` on, or TRIE_NONE.
uint32_t trie_walk(const struct trie *t, uint32_t node, struct slice bytes);
// The longest word, from `node` on, that `text` begins with: its id, and *len its bytes
// (without those that led to `node`). TRIE_NONE: none.
uint32_t trie_longest(const struct trie *t, uint32_t node, struct slice text, size_t *len);

#endif
