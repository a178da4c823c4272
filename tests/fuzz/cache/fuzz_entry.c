// Entries as the store gives them back. Random bytes do not get past the
// checksum, so each input is tried as it is and with its checksum made right;
// what is accepted must be exactly what entry_encode writes for it.
#include <stdlib.h>

#include "entry.h"

enum { CHECK_LEN = 8 };
static const struct cache_key key = {{1, 2, 3}};

static void seal(struct buffer *b) {
    uint8_t sum[DIGEST_LEN];
    struct digest *d = digest_of_thread();
    digest_update(d, slice_make(key.bytes, DIGEST_LEN));
    digest_update(d, buffer_slice(b));
    digest_finish(d, sum);
    buffer_append(b, slice_make(sum, CHECK_LEN));
}

static void check(struct slice bytes) {
    struct cache_entry *e = entry_decode(&key, bytes);
    if (e == NULL)
        return;
    struct buffer again = {0};
    entry_encode(&key, cache_entry_answer(e), &again);
    if (!slice_equal(buffer_slice(&again), bytes) ||
        e->bytes != entry_size(cache_entry_answer(e)))
        abort();
    buffer_free(&again);
    cache_entry_release(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size);
    check(input);
    struct buffer sealed = {0};
    buffer_append(&sealed, input);
    seal(&sealed);
    check(buffer_slice(&sealed));
    buffer_free(&sealed);
    return 0;
}
