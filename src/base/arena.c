// Bump allocation in blocks that double up to 64 KiB; what is larger than a
// block gets one of its own. The arena's own header lives in its first block.
#include "memory.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

struct block {
    struct block *next;
    size_t size; // of the bytes behind the header
    alignas(max_align_t) char bytes[];
};

struct arena {
    struct block *blocks; // the newest first
    char *at, *end;
    size_t next_size;
    size_t held;
};

enum { BLOCK_MAX = 64 * 1024 };

static size_t aligned(size_t size) {
    return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static struct block *block_new(size_t size) {
    struct block *b = base_alloc(sizeof *b + size);
    b->next = NULL;
    b->size = size;
    return b;
}

struct arena *arena_new(size_t first_block_bytes) {
    size_t size = aligned(first_block_bytes) + aligned(sizeof(struct arena));
    struct block *first = block_new(size);
    struct arena *a = (struct arena *)(void *)first->bytes;
    *a = (struct arena){
        .blocks = first,
        .at = first->bytes + aligned(sizeof *a),
        .end = first->bytes + size,
        .next_size = size * 2,
        .held = sizeof *first + size,
    };
    return a;
}

void arena_free(struct arena *a) {
    if (a == NULL)
        return;
    // The arena itself lies in the last block of the list.
    for (struct block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
}

static void *alloc_in_new_block(struct arena *a, size_t size) {
    if (size > a->next_size / 2) {
        // Behind the newest block, which goes on being filled.
        struct block *own = block_new(size);
        own->next = a->blocks->next;
        // The first block must stay last: it holds the arena.
        if (own->next == NULL) {
            own->next = a->blocks;
            a->blocks = own;
        } else {
            a->blocks->next = own;
        }
        a->held += sizeof *own + size;
        return own->bytes;
    }
    struct block *b = block_new(a->next_size);
    b->next = a->blocks;
    a->blocks = b;
    a->held += sizeof *b + b->size;
    a->at = b->bytes + size;
    a->end = b->bytes + b->size;
    if (a->next_size < BLOCK_MAX)
        a->next_size *= 2;
    return b->bytes;
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > SIZE_MAX / 2)
        base_too_large();
    size = aligned(size > 0 ? size : 1);
    if ((size_t)(a->end - a->at) < size)
        return alloc_in_new_block(a, size);
    void *ptr = a->at;
    a->at += size;
    return ptr;
}

void *arena_calloc(struct arena *a, size_t size) {
    return memset(arena_alloc(a, size), 0, size > 0 ? size : 1);
}

char *arena_string(struct arena *a, struct slice s) {
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct slice arena_copy(struct arena *a, struct slice s) {
    return (struct slice){arena_string(a, s), s.len};
}

struct slice arena_join(struct arena *a, const struct slice *parts, size_t count) {
    size_t len = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    char *out = arena_alloc(a, len + 1);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(out + at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    out[len] = '\0';
    return slice_make(out, len);
}

struct slice arena_printf(struct arena *a, const char *fmt, ...) {
    // Straight into the room that is left, which is a multiple of the
    // alignment, so that what fits stays there; again only when it did not fit
    // and got a place in another block.
    char *text = a->at;
    size_t room = (size_t)(a->end - a->at), len = 0;
    bool placed = false;
    while (!placed) {
        va_list args;
        va_start(args, fmt);
        int length = vsnprintf(text, room, fmt, args);
        va_end(args);
        len = length > 0 ? (size_t)length : 0;
        placed = len < room;
        if (!placed) {
            room = len + 1;
            text = arena_alloc(a, room);
        } else if (text == a->at) {
            text = arena_alloc(a, len + 1);
        }
    }
    text[len] = '\0';
    return (struct slice){text, len};
}

size_t arena_bytes(const struct arena *a) {
    return a->held;
}
