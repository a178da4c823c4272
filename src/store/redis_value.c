// The header, all numbers little-endian:
//   0  'F' 'v'   so that another program's values are told from ours
//   2  version   1
//   3  flags     bit 0: what follows is one zstd frame
//   4  length    of the value itself, 32 bits
//   8  expiry    Unix ms, 64 bits, 0: never
// Redis's own expiry removes the key; this one is what the value is judged by,
// so that all instances agree to the millisecond.
//
// Compression: zstd at level 1. Answers are JSON and become 3 to 6 times smaller;
// of one of 4 KB it takes some 20 us, and 10 us to undo. Smaller ones are left as
// they are: what undoing costs (tables are made before the first byte) is then
// more than sending the difference. There is no checksum here: TCP has one, TLS a better
// one, and who stores (the cache) seals its values together with their keys.
#include "redis_value.h"

#include <stdlib.h>
#include <zstd.h>

enum { VERSION = 1, FLAG_ZSTD = 1, COMPRESS_FROM_BYTES = 4096, LEVEL = 1 };

struct redis_codec {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
};

struct redis_codec *redis_codec_new(void) {
    struct redis_codec *c = base_calloc(1, sizeof *c);
    c->compressor = ZSTD_createCCtx();
    c->decompressor = ZSTD_createDCtx();
    if (c->compressor == NULL || c->decompressor == NULL)
        abort(); // out of memory, as base_alloc does
    return c;
}

void redis_codec_free(struct redis_codec *c) {
    if (c == NULL)
        return;
    ZSTD_freeCCtx(c->compressor);
    ZSTD_freeDCtx(c->decompressor);
    free(c);
}

static void put_number(char *to, uint64_t n, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (char)(n >> (8 * i) & 0xFF);
}

static uint64_t get_number(const char *from, unsigned bytes) {
    uint64_t n = 0;
    for (unsigned i = 0; i < bytes; i++)
        n |= (uint64_t)(unsigned char)from[i] << (8 * i);
    return n;
}

// Appends the frame when it is smaller by an eighth at least: less is not worth
// undoing at each read.
static bool compress(struct redis_codec *c, struct slice value, struct buffer *out) {
    if (value.len < COMPRESS_FROM_BYTES)
        return false;
    size_t bound = ZSTD_compressBound(value.len);
    buffer_reserve(out, bound);
    size_t len =
        ZSTD_compressCCtx(c->compressor, out->ptr + out->len, bound, value.ptr, value.len, LEVEL);
    if (ZSTD_isError(len) || len > value.len - value.len / 8)
        return false;
    out->len += len;
    return true;
}

void redis_value_encode(struct redis_codec *c, struct slice value, int64_t expires_ms,
                        struct buffer *out) {
    size_t start = out->len;
    char header[REDIS_VALUE_HEADER_LEN] = {'F', 'v', VERSION, 0};
    put_number(header + 4, value.len, 4);
    put_number(header + 8, (uint64_t)expires_ms, 8);
    buffer_append(out, slice_make(header, sizeof header));
    if (compress(c, value, out))
        out->ptr[start + 3] = FLAG_ZSTD;
    else
        buffer_append(out, value);
}

// One frame of exactly this length. What it claims of itself is not believed:
// zstd never writes more than the room that it is given.
static bool decompress(struct redis_codec *c, struct slice frame, size_t len, struct buffer *out) {
    if (ZSTD_findFrameCompressedSize(frame.ptr, frame.len) != frame.len)
        return false;
    buffer_reserve(out, len > 0 ? len : 1);
    size_t got = ZSTD_decompressDCtx(c->decompressor, out->ptr, len, frame.ptr, frame.len);
    if (ZSTD_isError(got) || got != len)
        return false;
    out->len = len;
    return true;
}

enum redis_value_verdict redis_value_decode(struct redis_codec *c, struct slice stored,
                                            size_t max_bytes, int64_t now_ms, struct buffer *out,
                                            int64_t *expires_ms) {
    buffer_clear(out);
    *expires_ms = 0;
    const char *h = stored.ptr;
    if (stored.len < REDIS_VALUE_HEADER_LEN || h[0] != 'F' || h[1] != 'v' || h[2] != VERSION ||
        (h[3] & ~FLAG_ZSTD) != 0)
        return REDIS_VALUE_DAMAGED;
    size_t len = (size_t)get_number(h + 4, 4);
    uint64_t expires = get_number(h + 8, 8);
    struct slice rest = slice_from(stored, REDIS_VALUE_HEADER_LEN);
    if (len > max_bytes || expires > INT64_MAX)
        return REDIS_VALUE_DAMAGED;
    *expires_ms = (int64_t)expires;
    if (expires != 0 && *expires_ms <= now_ms)
        return REDIS_VALUE_EXPIRED;
    if (h[3] & FLAG_ZSTD)
        return decompress(c, rest, len, out) ? REDIS_VALUE_GOOD : REDIS_VALUE_DAMAGED;
    if (rest.len != len)
        return REDIS_VALUE_DAMAGED;
    buffer_append(out, rest);
    return REDIS_VALUE_GOOD;
}
