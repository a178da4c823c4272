// A list in order of use, as indices into one array: no hash table is needed
// where objects are numbered. Its own overhead is not counted against its
// bound, which flatters it a little.
#include "lru.h"

#include "farthing/base.h"

#include <stdlib.h>

struct node {
    uint32_t older, newer; // NONE at the ends
    uint32_t bytes;        // 0: not in the cache
};

#define NONE UINT32_MAX

struct lru {
    struct node *nodes;
    uint32_t oldest, newest;
    size_t bytes, max_bytes;
};

struct lru *lru_new(size_t objects, size_t max_bytes) {
    struct lru *l = base_alloc(sizeof *l);
    *l = (struct lru){.nodes = base_calloc(objects, sizeof *l->nodes),
                      .oldest = NONE,
                      .newest = NONE,
                      .max_bytes = max_bytes};
    return l;
}

void lru_free(struct lru *l) {
    free(l->nodes);
    free(l);
}

static void pull(struct lru *l, uint32_t o) {
    struct node *n = &l->nodes[o];
    *(n->older == NONE ? &l->oldest : &l->nodes[n->older].newer) = n->newer;
    *(n->newer == NONE ? &l->newest : &l->nodes[n->newer].older) = n->older;
    l->bytes -= n->bytes;
    n->bytes = 0;
}

static void push(struct lru *l, uint32_t o, size_t bytes) {
    l->nodes[o] = (struct node){.older = l->newest, .newer = NONE, .bytes = (uint32_t)bytes};
    *(l->newest == NONE ? &l->oldest : &l->nodes[l->newest].newer) = o;
    l->newest = o;
    l->bytes += bytes;
}

bool lru_ask(struct lru *l, uint32_t object, size_t bytes) {
    bool hit = l->nodes[object].bytes > 0;
    if (hit)
        pull(l, object);
    while (l->oldest != NONE && l->bytes + bytes > l->max_bytes)
        pull(l, l->oldest);
    if (bytes <= l->max_bytes)
        push(l, object, bytes);
    return hit;
}
