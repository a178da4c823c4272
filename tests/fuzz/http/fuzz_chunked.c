// Chunked bodies. The first two bytes say where the rest is cut and how much
// is allowed; read whole, in two pieces and byte by byte there must be one
// verdict and one body.
#include <stdlib.h>

#include "../check.h"
#include "scan.h"

struct reading {
    enum scan_verdict verdict;
    struct scan_refusal refusal;
    struct scan_chunks chunks;
    struct buffer body;
    size_t used;
};

static void feed(struct reading *r, struct slice bytes, size_t max_body) {
    char *copy = base_alloc(bytes.len + 1);
    memcpy(copy + 1, bytes.ptr, bytes.len);
    size_t used = 0;
    r->verdict = scan_chunked(&r->chunks, slice_make(copy + 1, bytes.len), &used, &r->body,
                              max_body, &r->refusal);
    CHECK(used <= bytes.len && (r->verdict != SCAN_MORE || used == bytes.len));
    r->used += used;
    // Decoding never makes more of it, and never more than is allowed.
    CHECK(r->body.len <= max_body);
    CHECK(r->verdict == SCAN_REFUSED || r->body.len <= r->used);
    free(copy);
}

static struct reading read_by(struct slice bytes, size_t cut, size_t step, size_t max_body) {
    struct reading r = {0};
    feed(&r, slice_make(bytes.ptr, cut), max_body);
    for (size_t at = cut; at < bytes.len && r.verdict == SCAN_MORE; at += step)
        feed(&r, slice_make(bytes.ptr + at, bytes.len - at < step ? bytes.len - at : step),
             max_body);
    return r;
}

static void check_same(const struct reading *a, const struct reading *b) {
    CHECK(a->verdict == b->verdict);
    if (a->verdict == SCAN_REFUSED)
        CHECK(a->refusal.status == b->refusal.status);
    else
        CHECK(a->used == b->used);
    CHECK(slice_equal(buffer_slice(&a->body), buffer_slice(&b->body)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct slice bytes = slice_make(data + 2, size - 2);
    size_t max_body = (size_t)data[1] * 16;
    struct reading whole = read_by(bytes, bytes.len, 1, max_body);
    struct reading split = read_by(bytes, bytes.len * data[0] / 255, bytes.len + 1, max_body);
    struct reading slow = read_by(bytes, 0, 1, max_body);
    check_same(&whole, &split);
    check_same(&whole, &slow);
    // At the least "0", CR LF, CR LF, and what each byte of data costs.
    if (whole.verdict == SCAN_DONE)
        CHECK(whole.used >= whole.body.len + 5 &&
             slice_equal(slice_make(bytes.ptr + whole.used - 2, 2), SLICE("\r\n")));
    buffer_free(&whole.body);
    buffer_free(&split.body);
    buffer_free(&slow.body);
    return 0;
}
