// Replies out of the bytes that Redis sends (RESP2): hiredis's reader, with
// bounds. Pure: no sockets, no clock.
#ifndef FARTHING_STORE_REDIS_READER_H
#define FARTHING_STORE_REDIS_READER_H

#include "farthing/base.h"

enum redis_reply_kind {
    REDIS_REPLY_IS_NIL,
    REDIS_REPLY_IS_BYTES, // a bulk string
    REDIS_REPLY_IS_STATUS,
    REDIS_REPLY_IS_ERROR,
    REDIS_REPLY_IS_NUMBER,
    REDIS_REPLY_IS_ARRAY,
};

struct redis_reply {
    enum redis_reply_kind kind;
    int64_t number;
    // An array's replies, each whole; of others none.
    size_t count;
    struct redis_reply **elements;
    size_t len;
    char bytes[]; // and a NUL behind them
};

struct redis_reader;

// A reply over max_bytes is an error, and so is any that has replies in it,
// unless it was said that some are awaited: a number from the network is not to
// say how much is allocated.
struct redis_reader *redis_reader_new(size_t max_bytes);
// Arrays may come, in arrays up to a depth of REDIS_REPLY_DEPTH_MAX, and with so
// many elements in all of them together.
enum { REDIS_REPLY_DEPTH_MAX = 4 };
void redis_reader_allow_arrays(struct redis_reader *r, size_t max_elements);
void redis_reader_free(struct redis_reader *r);
// False when what came was no reply of Redis's: the connection is of no use
// any more, and the reader neither.
bool redis_reader_feed(struct redis_reader *r, struct slice bytes,
                       struct error *err) FARTHING_MUST_CHECK;
// The next whole reply in *out, or NULL: more bytes are needed. The caller frees
// it: with free() where no arrays are allowed, else with redis_reply_free.
bool redis_reader_next(struct redis_reader *r, struct redis_reply **out,
                       struct error *err) FARTHING_MUST_CHECK;

void redis_reply_free(struct redis_reply *r);

static inline struct slice redis_reply_slice(const struct redis_reply *r) {
    return slice_make(r->bytes, r->len);
}

#endif
