// Request heads. The first two bytes say where the rest is cut and how small
// the limits are; read whole and read in two pieces there must be one verdict,
// and what is accepted must keep the promises that everybody behind relies on.
#include <stdlib.h>

#include "../check.h"
#include "scan.h"

struct reading {
    enum scan_verdict verdict;
    struct scan_refusal refusal;
    struct scan_head head;
    size_t end;
    struct arena *arena;
    char *bytes;
};

static char *exactly(struct slice s) {
    char *copy = base_alloc(s.len + 1);
    memcpy(copy + 1, s.ptr, s.len); // unaligned, and nothing behind
    return copy;
}

static bool feed(struct reading *r, struct scan_progress *progress, struct slice bytes,
                 const struct scan_limits *limits) {
    free(r->bytes);
    r->bytes = exactly(bytes);
    r->verdict =
        scan_find_end(slice_make(r->bytes + 1, bytes.len), limits, progress, &r->end, &r->refusal);
    CHECK(progress->seen <= bytes.len);
    if (r->verdict != SCAN_DONE)
        return r->verdict == SCAN_MORE;
    CHECK(r->end <= bytes.len && r->end <= limits->max_bytes);
    r->arena = arena_new(64);
    r->verdict =
        scan_head(slice_make(r->bytes + 1, r->end), limits, r->arena, &r->head, &r->refusal);
    CHECK(r->verdict != SCAN_MORE);
    return false;
}

static void reading_end(struct reading *r) {
    arena_free(r->arena);
    free(r->bytes);
}

// ---------------------------------------------------------------- invariants

static bool is_clean(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (strchr("\r\n", s.ptr[i]) != NULL) // finds NUL as well
            return false;
    return true;
}

static bool lies_within(const struct reading *r, struct slice s) {
    return s.len == 0 || (s.ptr >= r->bytes + 1 && s.ptr + s.len <= r->bytes + 1 + r->end);
}

static unsigned count_named(const struct scan_head *h, struct slice name) {
    unsigned count = 0;
    for (size_t i = 0; i < h->field_count; i++)
        count += slice_equal_nocase(h->fields[i].name, name);
    return count;
}

static void check_field(const struct reading *r, struct api_header field) {
    CHECK(field.name.len > 0 && is_clean(field.name) && is_clean(field.value));
    CHECK(slice_find_char(field.name, ' ') < 0 && slice_find_char(field.name, '\t') < 0);
    CHECK(slice_find_char(field.name, ':') < 0);
    CHECK(slice_equal(slice_trim(field.value), field.value));
    CHECK(lies_within(r, field.name) && lies_within(r, field.value));
}

static void check_accepted(const struct reading *r, const struct scan_limits *limits) {
    const struct scan_head *h = &r->head;
    struct slice literal = SLICE("/*"); // a path may be one that was not written
    CHECK(h->method.len > 0 && lies_within(r, h->method));
    CHECK(h->path.len > 0 && strchr(literal.ptr, h->path.ptr[0]) != NULL);
    CHECK(is_clean(h->path) && is_clean(h->query) && lies_within(r, h->query));
    CHECK(slice_find_char(h->path, '?') < 0 && slice_find_char(h->path, ' ') < 0);
    CHECK(h->field_count <= limits->max_fields);
    for (size_t i = 0; i < h->field_count; i++)
        check_field(r, h->fields[i]);
    unsigned lengths = count_named(h, SLICE("Content-Length"));
    unsigned encodings = count_named(h, SLICE("Transfer-Encoding"));
    unsigned hosts = count_named(h, SLICE("Host"));
    CHECK(lengths + encodings <= 1);
    CHECK(h->has_length == (lengths == 1) && h->chunked == (encodings == 1));
    CHECK(h->has_length || h->length == 0);
    CHECK(hosts == 1 || (hosts == 0 && h->http_1_0));
    CHECK(!h->chunked || !h->http_1_0);
    CHECK(!h->expects_continue || !h->http_1_0);
    // Each line ends as it should, and only the last one is empty.
    struct slice bytes = slice_make(r->bytes + 1, r->end);
    CHECK(slice_ends_with(bytes, SLICE("\r\n\r\n")));
    CHECK(slice_find(bytes, SLICE("\r\n\r\n")) == (ptrdiff_t)(bytes.len - 4));
    size_t lines = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        CHECK((bytes.ptr[i] == '\n') == (i > 0 && bytes.ptr[i - 1] == '\r'));
        lines += bytes.ptr[i] == '\n';
    }
    CHECK(lines == h->field_count + 2);
}

static void check_same(const struct reading *a, const struct reading *b) {
    CHECK(a->verdict == b->verdict);
    if (a->verdict != SCAN_DONE)
        return;
    CHECK(a->end == b->end && a->head.field_count == b->head.field_count);
    CHECK(slice_equal(a->head.method, b->head.method) && slice_equal(a->head.path, b->head.path));
    CHECK(a->head.length == b->head.length && a->head.keep_alive == b->head.keep_alive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct slice bytes = slice_make(data + 2, size - 2);
    size_t cut = bytes.len * data[0] / 255;
    struct scan_limits limits = {data[1] < 128 ? 8192 : data[1], data[1] < 128 ? 100 : data[1] & 7};
    struct scan_progress once = {0}, twice = {0};
    struct reading whole = {0}, split = {0};
    feed(&whole, &once, bytes, &limits);
    if (feed(&split, &twice, slice_make(bytes.ptr, cut), &limits))
        feed(&split, &twice, bytes, &limits);
    check_same(&whole, &split);
    if (whole.verdict == SCAN_DONE)
        check_accepted(&whole, &limits);
    else if (whole.verdict == SCAN_REFUSED)
        CHECK(whole.refusal.status >= 400 && whole.refusal.status < 600 &&
             whole.refusal.why != NULL);
    reading_end(&whole);
    reading_end(&split);
    return 0;
}
