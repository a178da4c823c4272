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
};

struct redis_reply {
    enum redis_reply_kind kind;
    int64_t number;
    size_t len;
    char bytes[]; // and a NUL behind them
};

struct redis_reader;

// A reply over max_bytes is an error, and so is any that has replies in it:
// nothing that is asked here is answered so, and a number from the network is
// not to say how much is allocated.
struct redis_reader *redis_reader_new(size_t max_bytes);
void redis_reader_free(struct redis_reader *r);
// False when what came was no reply of Redis's: the connection is of no use
// any more, and the reader neither.
bool redis_reader_feed(struct redis_reader *r, struct slice bytes,
                       struct error *err) FARTHING_MUST_CHECK;
// The next whole reply in *out (the caller frees it), or NULL: more bytes are needed.
bool redis_reader_next(struct redis_reader *r, struct redis_reply **out,
                       struct error *err) FARTHING_MUST_CHECK;

static inline struct slice redis_reply_slice(const struct redis_reply *r) {
    return slice_make(r->bytes, r->len);
}

#endif
