// Replies out of any bytes, cut anywhere (the first byte says how): the same
// replies as at once, and never more kept than allowed.
#include <stdlib.h>

#include "redis_reader.h"

enum { MAX = 2000 };

static void write(const struct redis_reply *reply, struct buffer *out) {
    buffer_printf(out, "%d %lld %zu %zu ", (int)reply->kind, (long long)reply->number, reply->len,
                  reply->count);
    buffer_append(out, redis_reply_slice(reply));
    for (size_t i = 0; i < reply->count; i++)
        write(reply->elements[i], out);
}

// Each reply's kind, number and bytes; false where the reader gave up.
static bool read_all(struct slice bytes, size_t at_once, struct buffer *out) {
    struct redis_reader *r = redis_reader_new(MAX);
    struct redis_reply *reply = NULL;
    struct error err;
    bool ok = true;
    redis_reader_allow_arrays(r, 100);
    while (ok && bytes.len > 0) {
        struct slice part = slice_make(bytes.ptr, bytes.len < at_once ? bytes.len : at_once);
        bytes = slice_from(bytes, part.len);
        ok = redis_reader_feed(r, part, &err);
        while (ok && (ok = redis_reader_next(r, &reply, &err)) && reply != NULL) {
            write(reply, out);
            redis_reply_free(reply);
        }
    }
    redis_reader_free(r);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct slice bytes = slice_make(data + 1, size - 1);
    struct buffer whole = {0}, cut = {0};
    bool whole_ok = read_all(bytes, SIZE_MAX, &whole);
    bool cut_ok = read_all(bytes, (size_t)data[0] + 1, &cut);
    // What is too large is told by what waits, which depends on the pieces.
    if (bytes.len <= MAX &&
        (whole_ok != cut_ok || !slice_equal(buffer_slice(&whole), buffer_slice(&cut))))
        abort();
    buffer_free(&whole);
    buffer_free(&cut);
    return 0;
}
