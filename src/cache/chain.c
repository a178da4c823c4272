// Chunks of a stream.
//
// Chunks, and not one growing buffer: what a reader was given must stay where
// it is while the writer goes on, and what all have read must go while the
// stream still runs.
#include "chain.h"

#include <stdlib.h>

enum {
    // A chunk is as long as the stream before it, between these: short answers
    // take little, long ones few chunks, and at most half is unused.
    CHUNK_LEAST = 4 * 1024,
    CHUNK_MOST = 64 * 1024,
};

struct chunk {
    _Atomic int references;
    size_t len, cap;    // len under the owner's lock; above it only the writer looks
    struct chunk *next; // under the owner's lock; holds a reference
    _Atomic int64_t *held;
    char bytes[];
};

static struct chunk *chunk_new(size_t cap, _Atomic int64_t *held) {
    struct chunk *chunk = base_alloc(sizeof *chunk + cap);
    *chunk = (struct chunk){.references = 1, .cap = cap, .held = held};
    atomic_fetch_add_explicit(held, (int64_t)(sizeof *chunk + cap), memory_order_relaxed);
    return chunk;
}

static struct chunk *chunk_ref(struct chunk *chunk) {
    atomic_fetch_add_explicit(&chunk->references, 1, memory_order_relaxed);
    return chunk;
}

void chunk_release(struct chunk *chunk) {
    while (chunk != NULL &&
           atomic_fetch_sub_explicit(&chunk->references, 1, memory_order_acq_rel) == 1) {
        struct chunk *next = chunk->next;
        atomic_fetch_sub_explicit(chunk->held, (int64_t)(sizeof *chunk + chunk->cap),
                                  memory_order_relaxed);
        free(chunk);
        chunk = next;
    }
}

// ------------------------------------------------------------------ writing

static size_t next_cap(const struct chain *c, size_t needed) {
    size_t cap = c->bytes < CHUNK_LEAST  ? CHUNK_LEAST
                 : c->bytes > CHUNK_MOST ? CHUNK_MOST
                                         : (size_t)c->bytes;
    return needed > cap ? needed : cap;
}

struct chain_extension chain_prepare(const struct chain *c, struct slice bytes,
                                     _Atomic int64_t *held) {
    struct chain_extension e = {0, NULL};
    if (c->last != NULL) {
        size_t room = c->last->cap - c->last->len;
        e.in_last = bytes.len < room ? bytes.len : room;
        if (e.in_last > 0)
            memcpy(c->last->bytes + c->last->len, bytes.ptr, e.in_last);
    }
    struct slice rest = slice_from(bytes, e.in_last);
    if (rest.len > 0) {
        e.next = chunk_new(next_cap(c, rest.len), held);
        memcpy(e.next->bytes, rest.ptr, rest.len);
        e.next->len = rest.len;
    }
    return e;
}

void chain_publish(struct chain *c, const struct chain_extension *e) {
    if (c->last != NULL)
        c->last->len += e->in_last;
    c->bytes += e->in_last;
    if (e->next == NULL)
        return;
    c->bytes += e->next->len;
    if (c->last == NULL) {
        c->first = chunk_ref(e->next);
    } else {
        struct chunk *before = c->last;
        before->next = chunk_ref(e->next);
        chunk_release(before); // frees it when all have passed it
    }
    c->last = e->next;
}

struct chunk *chain_let_go(struct chain *c) {
    struct chunk *first = c->first;
    c->first = NULL;
    return first;
}

struct chunk *chain_clear(struct chain *c, struct chunk **last) {
    struct chunk *first = c->first;
    *last = c->last;
    *c = (struct chain){0};
    return first;
}

// ------------------------------------------------------------------ reading

void cursor_start(struct cursor *at, const struct chain *c) {
    *at = (struct cursor){.chunk = chunk_ref(c->first)};
}

bool cursor_next(struct cursor *at, struct slice *run, struct chunk **passed) {
    *passed = NULL;
    struct chunk *chunk = at->chunk;
    if (chunk == NULL)
        return false;
    if (at->offset == chunk->len && chunk->next != NULL) {
        *passed = chunk;
        at->chunk = chunk = chunk_ref(chunk->next);
        at->offset = 0;
    }
    *run = slice_make(chunk->bytes + at->offset, chunk->len - at->offset);
    at->offset = chunk->len;
    at->position += run->len;
    return run->len > 0;
}
