// A stream's bytes in reference-counted chunks, for one writer and many
// readers at their own pace. A chunk is held by whoever may still read it: the
// chunk before it, the chain (its first and its last), cursors. What all
// cursors have passed, and the chain has let go of, is freed by itself.
//
// Not thread-safe but for chunk_release and for what chain_prepare does: the
// owner's lock is around all else.
#ifndef FARTHING_CACHE_CHAIN_H
#define FARTHING_CACHE_CHAIN_H

#include <stdatomic.h>

#include "farthing/base.h"

struct chunk;

struct chain {
    struct chunk *first; // NULL before the first byte, and from chain_let_go
    struct chunk *last;
    uint64_t bytes; // ever appended
};

struct cursor {
    struct chunk *chunk; // NULL: not started
    size_t offset;       // in it
    uint64_t position;   // in the stream
};

// Appending in two steps, of the one writer: the copy without the lock (where
// no reader looks yet), and then, under it, showing what was copied.
struct chain_extension {
    size_t in_last; // bytes that went into the chain's last chunk
    struct chunk *next;
};
// `held` counts the bytes of memory that chunks take; it outlives them.
struct chain_extension chain_prepare(const struct chain *c, struct slice bytes,
                                     _Atomic int64_t *held);
void chain_publish(struct chain *c, const struct chain_extension *e);

// From the start no longer: only cursors keep what lies before the last chunk.
// The caller releases what this returns (NULL is possible).
struct chunk *chain_let_go(struct chain *c);
// The last chunk too: the chain is empty as a new one. Release both.
struct chunk *chain_clear(struct chain *c, struct chunk **last);

void chunk_release(struct chunk *chunk); // NULL is fine; any thread, no lock needed

// At the first byte. The chain has not let go, and has bytes.
void cursor_start(struct cursor *at, const struct chain *c);
// The next run; false: none now. *passed is a chunk to release (or NULL), whose
// bytes the run before this one may lie in.
bool cursor_next(struct cursor *at, struct slice *run, struct chunk **passed);

#endif
