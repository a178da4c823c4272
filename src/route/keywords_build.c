// Making the automaton: a tree of all streams, numbered by depth, then the ways
// back, then rows and edges.
#include <stdlib.h>

#include "keywords_automaton.h"
#include "signals_char.h"

// Rows of about this size stay in the second-level cache of any processor in use.
enum { DENSE_BYTES_MAX = 512 * 1024 };

struct node {
    uint32_t child, sibling; // 0: none (the root is nobody's child)
    uint32_t flags;          // head of a list in `uses`; KEYWORDS_NONE
    uint32_t state;          // its number, by depth
    uint32_t back;           // as a node
    uint8_t byte;
};

struct use {
    uint32_t flag, next;
};

struct build {
    struct keywords *k;
    struct node *nodes;
    uint32_t node_count, node_cap;
    struct use *uses;
    uint32_t use_count, use_cap;
    uint32_t *order; // nodes by state
};

// --------------------------------------------------------------------- tree

static uint32_t new_node(struct build *b, uint8_t byte) {
    if (b->node_count == b->node_cap) {
        b->node_cap = b->node_cap == 0 ? 1024 : b->node_cap * 2;
        b->nodes = base_realloc(b->nodes, b->node_cap * sizeof *b->nodes);
    }
    b->nodes[b->node_count] = (struct node){.byte = byte, .flags = KEYWORDS_NONE};
    return b->node_count++;
}

static uint32_t child_of(const struct build *b, uint32_t node, uint8_t byte) {
    uint32_t child = b->nodes[node].child;
    while (child != 0 && b->nodes[child].byte != byte)
        child = b->nodes[child].sibling;
    return child;
}

static void use_at(struct build *b, uint32_t node, uint32_t flag) {
    for (uint32_t u = b->nodes[node].flags; u != KEYWORDS_NONE; u = b->uses[u].next)
        if (b->uses[u].flag == flag)
            return;
    if (b->use_count == b->use_cap) {
        b->use_cap = b->use_cap == 0 ? 256 : b->use_cap * 2;
        b->uses = base_realloc(b->uses, b->use_cap * sizeof *b->uses);
    }
    b->uses[b->use_count] = (struct use){flag, b->nodes[node].flags};
    b->nodes[node].flags = b->use_count++;
}

static void add(struct build *b, const struct keyword *word, struct buffer *stream) {
    buffer_clear(stream);
    keywords_stream(word->text, word->whole, stream);
    uint32_t node = 0;
    for (size_t i = 0; i < stream->len; i++) {
        uint8_t byte = (uint8_t)stream->ptr[i];
        uint32_t child = child_of(b, node, byte);
        if (child == 0) {
            child = new_node(b, byte);
            b->nodes[child].sibling = b->nodes[node].child;
            b->nodes[node].child = child;
        }
        node = child;
    }
    bool blank = stream->len == 1 && stream->ptr[0] == ' ';
    if (node != 0 && !blank)
        use_at(b, node, word->flag);
}

static void number_states(struct build *b) {
    b->order = base_alloc(b->node_count * sizeof *b->order);
    b->order[0] = 0;
    uint32_t count = 1;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t c = b->nodes[b->order[i]].child; c != 0; c = b->nodes[c].sibling) {
            b->nodes[c].state = count;
            b->order[count++] = c;
        }
}

// The longest other thing that is read so far: from the parent's way back on.
static void find_back(struct build *b, uint32_t parent, uint32_t node) {
    uint32_t at = parent;
    b->nodes[node].back = 0;
    while (at != 0) {
        at = b->nodes[at].back;
        uint32_t found = child_of(b, at, b->nodes[node].byte);
        if (found != 0) {
            b->nodes[node].back = found;
            return;
        }
    }
}

static void find_all_back(struct build *b) {
    for (uint32_t i = 0; i < b->node_count; i++)
        for (uint32_t c = b->nodes[b->order[i]].child; c != 0; c = b->nodes[c].sibling)
            find_back(b, b->order[i], c);
}

// ------------------------------------------------------------------- tables

static void *table(struct keywords *k, size_t count, size_t size) {
    k->bytes += count * size;
    return base_calloc(count > 0 ? count : 1, size);
}

static void make_classes(struct build *b) {
    struct keywords *k = b->k;
    k->class_count = 1;
    for (uint32_t n = 1; n < b->node_count; n++)
        if (k->classes[b->nodes[n].byte] == 0)
            k->classes[b->nodes[n].byte] = (uint8_t)k->class_count++;
    const uint8_t *chars = signals_chars();
    for (unsigned c = 0; c < FARTHING_COUNT(k->ascii); c++) {
        bool blank = c == ' ' || (c >= '\t' && c <= '\r');
        k->ascii[c] = k->classes[blank ? ' ' : keywords_fold(c)];
        if (blank)
            k->ascii[c] |= KEYWORDS_ASCII_BLANK;
        if ((chars[c] & CHAR_WORD) != 0)
            k->ascii[c] |= KEYWORDS_ASCII_WORD;
    }
}

// By depth, so that what is shorter has its end already.
static void make_ends(struct build *b) {
    struct keywords *k = b->k;
    k->state_ends = table(k, b->node_count, sizeof *k->state_ends);
    k->ends = table(k, b->use_count, sizeof *k->ends);
    k->end_flags = table(k, b->use_count, sizeof *k->end_flags);
    uint32_t flags = 0;
    k->state_ends[0] = KEYWORDS_NONE;
    for (uint32_t s = 1; s < b->node_count; s++) {
        const struct node *n = &b->nodes[b->order[s]];
        uint32_t shorter = k->state_ends[b->nodes[n->back].state];
        k->state_ends[s] = shorter;
        if (n->flags == KEYWORDS_NONE)
            continue;
        k->state_ends[s] = k->end_count;
        struct keywords_end *end = &k->ends[k->end_count++];
        *end = (struct keywords_end){.first = flags, .shorter = shorter};
        for (uint32_t u = n->flags; u != KEYWORDS_NONE; u = b->uses[u].next, end->count++)
            k->end_flags[flags++] = b->uses[u].flag;
    }
}

static uint32_t target_of(const struct build *b, uint32_t node) {
    uint32_t state = b->nodes[node].state;
    return state | (b->k->state_ends[state] != KEYWORDS_NONE ? KEYWORDS_HIT : 0);
}

static void make_rows(struct build *b) {
    struct keywords *k = b->k;
    size_t most = DENSE_BYTES_MAX / (k->class_count * sizeof *k->rows);
    k->dense_count = b->node_count < most ? b->node_count : (uint32_t)most;
    k->rows = table(k, (size_t)k->dense_count * k->class_count, sizeof *k->rows);
    for (uint32_t s = 0; s < k->dense_count; s++) {
        const struct node *n = &b->nodes[b->order[s]];
        uint32_t *row = k->rows + (size_t)s * k->class_count;
        if (s > 0) // of lesser depth, so it has its row
            memcpy(row, k->rows + (size_t)b->nodes[n->back].state * k->class_count,
                   k->class_count * sizeof *row);
        for (uint32_t c = n->child; c != 0; c = b->nodes[c].sibling)
            row[k->classes[b->nodes[c].byte]] = target_of(b, c);
    }
}

static void make_edges(struct build *b) {
    struct keywords *k = b->k;
    uint32_t sparse = b->node_count - k->dense_count, edges = 0;
    k->edges = table(k, sparse, sizeof *k->edges);
    k->edge_classes = table(k, b->node_count, sizeof *k->edge_classes);
    k->edge_targets = table(k, b->node_count, sizeof *k->edge_targets);
    for (uint32_t s = k->dense_count; s < b->node_count; s++) {
        const struct node *n = &b->nodes[b->order[s]];
        struct keywords_edges *e = &k->edges[s - k->dense_count];
        *e = (struct keywords_edges){.first = edges, .back = b->nodes[n->back].state};
        for (uint32_t c = n->child; c != 0; c = b->nodes[c].sibling, e->count++) {
            k->edge_classes[edges] = k->classes[b->nodes[c].byte];
            k->edge_targets[edges++] = target_of(b, c);
        }
    }
}

struct keywords *keywords_new(const struct keyword *list, size_t count, uint32_t flag_count) {
    struct keywords *k = base_calloc(1, sizeof *k);
    struct build b = {.k = k};
    struct buffer stream = {0};
    k->flag_count = flag_count;
    k->bytes = sizeof *k;
    (void)new_node(&b, 0);
    for (size_t i = 0; i < count; i++)
        add(&b, &list[i], &stream);
    k->state_count = b.node_count;
    number_states(&b);
    find_all_back(&b);
    make_classes(&b);
    make_ends(&b);
    make_rows(&b);
    make_edges(&b);
    buffer_free(&stream);
    free(b.order);
    free(b.uses);
    free(b.nodes);
    return k;
}

void keywords_free(struct keywords *k) {
    if (k == NULL)
        return;
    free(k->rows);
    free(k->edges);
    free(k->edge_classes);
    free(k->edge_targets);
    free(k->state_ends);
    free(k->ends);
    free(k->end_flags);
    free(k);
}
