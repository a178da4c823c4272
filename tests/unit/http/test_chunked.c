// Chunked bodies: what is accepted is decoded alike at every cut; what is wrong
// is refused as soon as it shows. Every piece is a block of exactly its size.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scan.h"

enum { ROOMY = 1000 };

struct reading {
    enum scan_verdict verdict;
    struct scan_refusal refusal;
    struct scan_chunks chunks;
    struct buffer body;
    size_t used;
};

static void feed(struct reading *r, struct slice bytes, size_t max_body) {
    char *block = base_alloc(bytes.len > 0 ? bytes.len : 1);
    if (bytes.len > 0)
        memcpy(block, bytes.ptr, bytes.len);
    size_t used = 0;
    r->verdict = scan_chunked(&r->chunks, slice_make(block, bytes.len), &used, &r->body, max_body,
                              &r->refusal);
    if (r->verdict == SCAN_MORE)
        assert_int_equal(used, bytes.len);
    assert_true(used <= bytes.len);
    r->used += used;
    free(block);
}

static struct reading read_split(struct slice bytes, size_t max_body, size_t cut, size_t step) {
    struct reading r = {.verdict = SCAN_MORE};
    feed(&r, slice_make(bytes.ptr, cut), max_body);
    for (size_t at = cut; at < bytes.len && r.verdict == SCAN_MORE; at += step) {
        size_t left = bytes.len - at;
        feed(&r, slice_make(bytes.ptr + at, left < step ? left : step), max_body);
    }
    return r;
}

static void same(const struct reading *a, const struct reading *b) {
    assert_int_equal(a->verdict, b->verdict);
    if (a->verdict == SCAN_REFUSED) {
        assert_int_equal(a->refusal.status, b->refusal.status);
        return;
    }
    assert_int_equal(a->used, b->used);
    assert_true(slice_equal(buffer_slice(&a->body), buffer_slice(&b->body)));
}

static struct reading read_everyhow(struct slice bytes, size_t max_body) {
    struct reading whole = read_split(bytes, max_body, bytes.len, 1);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        struct reading r = read_split(bytes, max_body, cut, bytes.len + 1);
        same(&whole, &r);
        buffer_free(&r.body);
    }
    struct reading slow = read_split(bytes, max_body, 0, 1);
    same(&whole, &slow);
    buffer_free(&slow.body);
    return whole;
}

static const struct accepted {
    const char *bytes, *body, *rest;
} accepted[] = {
    {"0\r\n\r\n", "", ""},
    {"00000000\r\n\r\n", "", ""},
    {"0\r\n\r\nGET / HTTP/1.1\r\n", "", "GET / HTTP/1.1\r\n"},
    {"3\r\nabc\r\n0\r\n\r\n", "abc", ""},
    {"00000003\r\nabc\r\n0\r\n\r\n", "abc", ""},
    {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n0\r\n\r\n", "abc", "0\r\n\r\n"},
    {"a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij", ""},
    {"1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n", "0123456789012345678901234567890", ""},
    {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""},
    {"3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc", ""},
    {"3 \t;a=\"b c\"\r\nabc\r\n0\r\n\r\n", "abc", ""},
    {"3;\xff\r\nabc\r\n0\r\n\r\n", "abc", ""},
    {"0\r\nX: y\r\n\r\n", "", ""},
    {"0\r\nX: y\r\nZ:\r\n\r\nrest", "", "rest"},
    {"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n", "abc", ""},
};

static void decodes_what_is_right(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(accepted); i++) {
        const struct accepted *a = &accepted[i];
        struct reading r = read_everyhow(slice_of(a->bytes), ROOMY);
        if (r.verdict != SCAN_DONE)
            fail_msg("verdict %d: %s", (int)r.verdict, a->bytes);
        assert_true(slice_equal(buffer_slice(&r.body), slice_of(a->body)));
        assert_int_equal(r.used, strlen(a->bytes) - strlen(a->rest));
        buffer_free(&r.body);
    }
}

#define BYTES(text)                                                                                \
    { (text), sizeof(text) - 1 }

static const struct slice malformed[] = {
    // the size
    BYTES("\r"),
    BYTES("x"),
    BYTES(" "),
    BYTES("+"),
    BYTES("-"),
    BYTES(";"),
    BYTES("\0"),
    BYTES("0x"),
    BYTES("1g"),
    BYTES("1,"),
    BYTES("000000001"),
    BYTES("fffffffff"),
    BYTES("3\n"),
    BYTES("3\rx"),
    BYTES("3\r\r"),
    BYTES("3 \r"),
    BYTES("3 \n"),
    BYTES("3 4"),
    BYTES("3\v"),
    BYTES("3\0"),
    // extensions
    BYTES("3;a\n"),
    BYTES("3;a\0"),
    BYTES("3;a\x01"),
    BYTES("3;a\x7f"),
    BYTES("3;a\rb"),
    // data
    BYTES("3\r\nabcd"),
    BYTES("3\r\nabc\n"),
    BYTES("3\r\nabc\rx"),
    BYTES("3\r\nabc0"),
    BYTES("3\r\nabc\r\n\r"),
    // the end and trailers
    BYTES("0\r\n\n"),
    BYTES("0\r\n\rx"),
    BYTES("0\r\nX: y\n"),
    BYTES("0\r\nX: y\rz"),
    BYTES("0\r\nX: \0"),
    BYTES("0\r\n\x01"),
    BYTES("0\r\nX\r"),
    BYTES("0\r\nX "),
    BYTES("0\r\n "),
    BYTES("0\r\nX: y\r\n\n"),
};

static void refuses_what_is_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(malformed); i++) {
        struct reading r = read_everyhow(malformed[i], ROOMY);
        if (r.verdict != SCAN_REFUSED)
            fail_msg("row %zu is not refused", i);
        assert_int_equal(r.refusal.status, 400);
        assert_int_equal(r.refusal.error, API_ERROR_INVALID_REQUEST);
        assert_non_null(r.refusal.why);
        buffer_free(&r.body);
        // Its last byte is what is wrong: what comes before may yet become a body.
        r = read_everyhow(slice_make(malformed[i].ptr, malformed[i].len - 1), ROOMY);
        assert_int_equal(r.verdict, SCAN_MORE);
        buffer_free(&r.body);
    }
}

static int status_within(struct slice bytes, size_t max_body) {
    struct reading r = read_everyhow(bytes, max_body);
    assert_true(r.body.len <= max_body);
    int status = r.verdict == SCAN_REFUSED ? r.refusal.status : r.verdict == SCAN_DONE ? 200 : 0;
    if (status == 413)
        assert_int_equal(r.refusal.error, API_ERROR_REQUEST_TOO_LARGE);
    buffer_free(&r.body);
    return status;
}

static void bounds_the_body(void **state) {
    (void)state;
    assert_int_equal(status_within(SLICE("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 5), 200);
    assert_int_equal(status_within(SLICE("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 4), 413);
    assert_int_equal(status_within(SLICE("0\r\n\r\n"), 0), 200);
    // Refused by what it announces, not by what came.
    assert_int_equal(status_within(SLICE("3\r\nabc\r\nffffffff\r\n"), ROOMY), 413);
    assert_int_equal(status_within(SLICE("6\r\n"), 5), 413);
    assert_int_equal(status_within(SLICE("6\r"), 5), 0);
}

static void bounds_what_is_no_data(void **state) {
    (void)state;
    enum { BOUND = 8192 };
    static const char *const starts[] = {"3;", "3 ", "0\r\nX: "};
    static const char fillers[] = {'a', ' ', 'a'};
    for (size_t i = 0; i < FARTHING_COUNT(starts); i++) {
        struct reading r = {0};
        feed(&r, slice_of(starts[i]), ROOMY);
        size_t fed = 0;
        while (r.verdict == SCAN_MORE && fed <= BOUND) {
            feed(&r, slice_make(&fillers[i], 1), ROOMY);
            fed++;
        }
        assert_int_equal(r.verdict, SCAN_REFUSED);
        assert_true(fed > BOUND / 2);
        buffer_free(&r.body);
    }
    // The bound is on the sum over all chunks.
    struct reading r = {0};
    size_t chunks = 0;
    for (; r.verdict == SCAN_MORE && chunks < BOUND; chunks++)
        feed(&r, SLICE("1;abcdefgh\r\nx\r\n"), BOUND);
    assert_int_equal(r.verdict, SCAN_REFUSED);
    assert_int_equal(r.refusal.status, 400);
    assert_true(chunks < BOUND / 8 + 2);
    buffer_free(&r.body);
}

// Any byte in any place: one verdict, wherever it is cut.
static void takes_every_byte_everywhere(void **state) {
    (void)state;
    static const char base[] = "2;a\r\nxy\r\n0\r\nT: 1\r\n\r\n";
    char bytes[sizeof base];
    for (size_t at = 0; at < sizeof base - 1; at++)
        for (int value = 0; value < 256; value++) {
            memcpy(bytes, base, sizeof base);
            bytes[at] = (char)value;
            struct reading r = read_everyhow(slice_make(bytes, sizeof base - 1), ROOMY);
            buffer_free(&r.body);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_what_is_right),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(bounds_the_body),
        cmocka_unit_test(bounds_what_is_no_data),
        cmocka_unit_test(takes_every_byte_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
