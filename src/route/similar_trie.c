// Building the tree, level by level: words in order, those with one beginning stand in
// a row, and each node takes such a row apart by the next byte. No recursion, and no
// more nodes than the words have bytes.
#include "similar_trie.h"

#include <stdlib.h>

static int compare(const void *a, const void *b) {
    const struct trie_word *x = a, *y = b;
    int order = slice_compare(x->text, y->text);
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

// The words of a node: from `low` to before `high`, equal in their first `depth` bytes.
struct row {
    uint32_t low, high, depth;
};

struct builder {
    struct trie *trie;
    const struct trie_word *words;
    struct row *rows; // one a node
    size_t cap;
};

static void add_node(struct builder *b, uint8_t label, struct row row) {
    struct trie *t = b->trie;
    if (t->count == b->cap) {
        b->cap = b->cap == 0 ? 256 : b->cap * 2;
        t->nodes = base_realloc(t->nodes, b->cap * sizeof *t->nodes);
        b->rows = base_realloc(b->rows, b->cap * sizeof *b->rows);
    }
    b->rows[t->count] = row;
    t->nodes[t->count++] = (struct trie_node){.id = TRIE_NONE, .label = label};
}

static uint8_t byte_at(const struct builder *b, uint32_t word, uint32_t depth) {
    return (uint8_t)b->words[word].text.ptr[depth];
}

static void take_apart(struct builder *b, uint32_t node) {
    struct row row = b->rows[node];
    for (; row.low < row.high && b->words[row.low].text.len == row.depth; row.low++)
        b->trie->nodes[node].id = row.depth > 0 ? b->words[row.low].id : TRIE_NONE;
    b->trie->nodes[node].first = (uint32_t)b->trie->count;
    for (uint32_t from = row.low, to; from < row.high; from = to) {
        uint8_t label = byte_at(b, from, row.depth);
        for (to = from + 1; to < row.high && byte_at(b, to, row.depth) == label;)
            to++;
        add_node(b, label, (struct row){from, to, row.depth + 1});
        b->trie->nodes[node].count++;
    }
}

void trie_build(struct trie *t, struct trie_word *words, size_t count) {
    struct builder b = {.trie = t, .words = words};
    *t = (struct trie){0};
    if (count > 1)
        qsort(words, count, sizeof *words, compare);
    add_node(&b, 0, (struct row){0, (uint32_t)count, 0});
    for (uint32_t node = 0; node < t->count; node++)
        take_apart(&b, node);
    free(b.rows);
}

void trie_free(struct trie *t) {
    free(t->nodes);
    *t = (struct trie){0};
}

uint32_t trie_walk(const struct trie *t, uint32_t node, struct slice bytes) {
    for (size_t i = 0; i < bytes.len && node != TRIE_NONE; i++)
        node = trie_step(t, node, (uint8_t)bytes.ptr[i]);
    return node;
}

uint32_t trie_longest(const struct trie *t, uint32_t node, struct slice text, size_t *len) {
    uint32_t id = TRIE_NONE;
    for (size_t i = 0; i < text.len; i++) {
        node = trie_step(t, node, (uint8_t)text.ptr[i]);
        if (node == TRIE_NONE)
            break;
        if (t->nodes[node].id != TRIE_NONE) {
            id = t->nodes[node].id;
            *len = i + 1;
        }
    }
    return id;
}
