// How a value lies in Redis: a small header, then the bytes, compressed when
// that is worth it. Pure: bytes in, bytes out.
#ifndef FARTHING_STORE_REDIS_VALUE_H
#define FARTHING_STORE_REDIS_VALUE_H

#include "farthing/base.h"

enum { REDIS_VALUE_HEADER_LEN = 16 };

enum redis_value_verdict {
    REDIS_VALUE_GOOD,
    REDIS_VALUE_EXPIRED,
    REDIS_VALUE_DAMAGED, // or foreign: of another version, another program's, cut
};

// The compressor's memory, for one thread: making it anew costs more than most
// values do.
struct redis_codec;

struct redis_codec *redis_codec_new(void);
void redis_codec_free(struct redis_codec *c);

// Appends the stored form. value.len fits 32 bits.
void redis_value_encode(struct redis_codec *c, struct slice value, int64_t expires_ms,
                        struct buffer *out);
// Replaces *out by the value; empties it unless the verdict is good. A value
// that says it is over max_bytes is damaged: nothing is allocated for it.
enum redis_value_verdict redis_value_decode(struct redis_codec *c, struct slice stored,
                                            size_t max_bytes, int64_t now_ms, struct buffer *out,
                                            int64_t *expires_ms);

#endif
