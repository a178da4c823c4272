// Heads: what is accepted and how it is read, what is refused and with which
// status, and that neither depends on where the network cut the bytes. Every
// piece is a block of exactly its size, so that the sanitizer sees a step
// beyond it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scan.h"

static const struct scan_limits roomy = {4096, 50};

// A head that was read, with the memory that it points into.
struct reading {
    enum scan_verdict verdict;
    struct scan_refusal refusal;
    struct scan_head head;
    struct arena *arena;
    char *bytes;
    size_t end;
};

static char *exactly(struct slice s) {
    char *block = base_alloc(s.len > 0 ? s.len : 1);
    if (s.len > 0)
        memcpy(block, s.ptr, s.len);
    return s.len > 0 ? block : (free(block), NULL);
}

static enum scan_verdict feed(struct slice bytes, const struct scan_limits *limits,
                              struct scan_progress *progress, struct reading *r) {
    char *block = exactly(bytes);
    r->verdict =
        scan_find_end(slice_make(block, bytes.len), limits, progress, &r->end, &r->refusal);
    if (r->verdict == SCAN_DONE) {
        assert_true(r->end <= bytes.len);
        r->bytes = exactly(slice_make(bytes.ptr, r->end));
        r->arena = arena_new(64);
        r->verdict =
            scan_head(slice_make(r->bytes, r->end), limits, r->arena, &r->head, &r->refusal);
    }
    free(block);
    return r->verdict;
}

static void reading_end(struct reading *r) {
    arena_free(r->arena);
    free(r->bytes);
}

// In pieces of `step` bytes after the first `cut`.
static struct reading read_split(struct slice bytes, const struct scan_limits *limits, size_t cut,
                                 size_t step) {
    struct reading r = {0};
    struct scan_progress progress = {0};
    for (size_t len = cut; len < bytes.len; len += step)
        if (feed(slice_make(bytes.ptr, len), limits, &progress, &r) != SCAN_MORE)
            return r;
    feed(bytes, limits, &progress, &r);
    return r;
}

static struct reading read_whole(struct slice bytes, const struct scan_limits *limits) {
    return read_split(bytes, limits, bytes.len, 1);
}

static void same(const struct reading *a, const struct reading *b) {
    assert_int_equal(a->verdict, b->verdict);
    if (a->verdict != SCAN_DONE)
        return;
    assert_int_equal(a->end, b->end);
    assert_true(slice_equal(a->head.method, b->head.method));
    assert_true(slice_equal(a->head.path, b->head.path));
    assert_true(slice_equal(a->head.query, b->head.query));
    assert_int_equal(a->head.length, b->head.length);
    assert_int_equal(a->head.field_count, b->head.field_count);
}

// The same verdict wherever the bytes are cut in two, and byte by byte.
static struct reading read_everyhow(struct slice bytes, const struct scan_limits *limits) {
    struct reading whole = read_whole(bytes, limits);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        struct reading r = read_split(bytes, limits, cut, bytes.len);
        same(&whole, &r);
        reading_end(&r);
    }
    struct reading slow = read_split(bytes, limits, 0, 1);
    same(&whole, &slow);
    reading_end(&slow);
    return whole;
}

// ----------------------------------------------------------------- accepted

#define HOST          "Host: x\r\n"
#define FLAG_1_0      1
#define FLAG_KEEP     2
#define FLAG_CONTINUE 4
#define FLAG_CHUNKED  8
#define FLAG_LENGTH   16

static const struct accepted {
    const char *bytes, *method, *path, *query;
    unsigned flags;
    uint64_t length;
    size_t fields;
} accepted[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", NULL, FLAG_KEEP, 0, 1},
    {"HEAD /a HTTP/1.1\r\nHOST:x\r\n\r\n", "HEAD", "/a", NULL, FLAG_KEEP, 0, 1},
    {"PUT /a HTTP/1.1\r\nHost: \t x \t \r\n\r\n", "PUT", "/a", NULL, FLAG_KEEP, 0, 1},
    {"PATCH /a HTTP/1.1\r\nhost:\r\n\r\n", "PATCH", "/a", NULL, FLAG_KEEP, 0, 1},
    {"DELETE /a HTTP/1.1\r\n" HOST "X:\r\n\r\n", "DELETE", "/a", NULL, FLAG_KEEP, 0, 2},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", NULL, FLAG_KEEP, 0, 1},
    {"GET /a?b=c?d HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "b=c?d", FLAG_KEEP, 0, 1},
    {"GET /? HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", FLAG_KEEP, 0, 1},
    {"GET //a/../%00 HTTP/1.1\r\n" HOST "\r\n", "GET", "//a/../%00", NULL, FLAG_KEEP, 0, 1},
    {"GET http://h HTTP/1.1\r\n" HOST "\r\n", "GET", "/", NULL, FLAG_KEEP, 0, 1},
    {"GET http://h:1/a?b HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "b", FLAG_KEEP, 0, 1},
    {"GET HTTPS://h/a@b HTTP/1.1\r\n" HOST "\r\n", "GET", "/a@b", NULL, FLAG_KEEP, 0, 1},
    {"GET http://h?x=/v1 HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "x=/v1", FLAG_KEEP, 0, 1},
    {"GET http://[::1]:4000/ HTTP/1.1\r\n" HOST "\r\n", "GET", "/", NULL, FLAG_KEEP, 0, 1},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST", "/", NULL,
     FLAG_KEEP | FLAG_LENGTH, 0, 2},
    {"POST / HTTP/1.1\r\ncontent-length:007 \r\n" HOST "\r\n", "POST", "/", NULL,
     FLAG_KEEP | FLAG_LENGTH, 7, 2},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", "POST", "/", NULL,
     FLAG_KEEP | FLAG_LENGTH, UINT64_MAX, 2},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", "POST", "/", NULL,
     FLAG_KEEP | FLAG_CHUNKED, 0, 2},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n", "POST", "/", NULL,
     FLAG_KEEP | FLAG_CONTINUE, 0, 2},
    {"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "POST", "/", NULL, FLAG_1_0, 0, 1},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", NULL, FLAG_1_0, 0, 0},
    {"GET / HTTP/1.0\r\nConnection: a , Keep-Alive\r\n\r\n", "GET", "/", NULL, FLAG_1_0 | FLAG_KEEP,
     0, 1},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", "GET", "/", NULL,
     FLAG_1_0, 0, 2},
    {"GET / HTTP/1.1\r\n" HOST "Connection: CLOSE\r\n\r\n", "GET", "/", NULL, 0, 0, 2},
    {"GET / HTTP/1.1\r\n" HOST "Connection: x,,close\r\n\r\n", "GET", "/", NULL, 0, 0, 2},
    {"GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", "GET", "/", NULL, FLAG_KEEP, 0, 2},
    {"GET / HTTP/1.1\r\n" HOST "!#$%&'*+-.^_`|~09azAZ: a:b\tc\r\n\r\n", "GET", "/", NULL, FLAG_KEEP,
     0, 2},
    {"GET / HTTP/1.1\r\n" HOST "X: \xc3\xbc\xff\x80\r\n\r\n", "GET", "/", NULL, FLAG_KEEP, 0, 2},
};

static unsigned flags_of(const struct scan_head *h) {
    return (h->http_1_0 ? FLAG_1_0 : 0u) | (h->keep_alive ? FLAG_KEEP : 0u) |
           (h->expects_continue ? FLAG_CONTINUE : 0u) | (h->chunked ? FLAG_CHUNKED : 0u) |
           (h->has_length ? FLAG_LENGTH : 0u);
}

static void accepts_what_is_right(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(accepted); i++) {
        const struct accepted *a = &accepted[i];
        struct reading r = read_everyhow(slice_of(a->bytes), &roomy);
        if (r.verdict != SCAN_DONE)
            fail_msg("refused: %s (%s)", a->bytes, r.refusal.why);
        assert_int_equal(r.end, strlen(a->bytes));
        assert_true(slice_equal(r.head.method, slice_of(a->method)));
        assert_true(slice_equal(r.head.path, slice_of(a->path)));
        assert_true(slice_equal(r.head.query, slice_of(a->query)));
        assert_int_equal(flags_of(&r.head), a->flags);
        assert_int_equal(r.head.length, a->length);
        assert_int_equal(r.head.field_count, a->fields);
        reading_end(&r);
    }
}

static void reads_fields_in_order_and_trimmed(void **state) {
    (void)state;
    struct reading r = read_whole(
        SLICE("GET / HTTP/1.1\r\nHost: x\r\nA:1\r\nB: \t 2 3\t\r\na:  4\r\nEmpty:  \r\n\r\n"),
        &roomy);
    static const char *const expected[][2] = {
        {"Host", "x"}, {"A", "1"}, {"B", "2 3"}, {"a", "4"}, {"Empty", ""}};
    assert_int_equal(r.verdict, SCAN_DONE);
    assert_int_equal(r.head.field_count, FARTHING_COUNT(expected));
    for (size_t i = 0; i < FARTHING_COUNT(expected); i++) {
        assert_true(slice_equal(r.head.fields[i].name, slice_of(expected[i][0])));
        assert_true(slice_equal(r.head.fields[i].value, slice_of(expected[i][1])));
    }
    reading_end(&r);
}

static void stops_where_the_head_ends(void **state) {
    (void)state;
    struct slice head = SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    struct slice both = SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\n\r\n\r\n");
    struct reading r = read_everyhow(both, &roomy);
    assert_int_equal(r.verdict, SCAN_DONE);
    assert_int_equal(r.end, head.len);
    reading_end(&r);
}

static void waits_for_what_is_missing(void **state) {
    (void)state;
    struct slice head = SLICE("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    for (size_t len = 0; len < head.len; len++) {
        struct reading r = read_everyhow(slice_make(head.ptr, len), &roomy);
        assert_int_equal(r.verdict, SCAN_MORE);
        reading_end(&r);
    }
}

// ------------------------------------------------------------------ refused

#define LINE         "GET / HTTP/1.1\r\n"
#define WITH(fields) LINE HOST fields "\r\n"
#define BYTES(text)                                                                                \
    { (text), sizeof(text) - 1 }

static const struct refused {
    struct slice bytes;
    int status;
} refused[] = {
    // the request line
    {BYTES("\r\n\r\n"), 400},
    {BYTES("\n"), 400},
    {BYTES(" GET / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("\x16\x03\x01\x02\x00\x01"), 400},
    {BYTES("\0GET / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET\r\n\r\n"), 400},
    {BYTES("GET /\r\n" HOST "\r\n"), 400},
    {BYTES("GET / \r\n" HOST "\r\n"), 400},
    {BYTES("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /  HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/1.1 \r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/1.1\r\r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/1.1\n" HOST "\r\n"), 400},
    {BYTES("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/1.x\r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/11\r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/1.10\r\n" HOST "\r\n"), 400},
    {BYTES("GET / http/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET / HTTP/2.0\r\n" HOST "\r\n"), 505},
    {BYTES("GET / HTTP/0.9\r\n" HOST "\r\n"), 505},
    {BYTES("GET / HTTP/1.2\r\n" HOST "\r\n"), 505},
    {BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {BYTES("get / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("BREW / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("G(T / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n"), 405},
    {BYTES("TRACE / HTTP/1.1\r\n" HOST "\r\n"), 405},
    // the target
    {BYTES("GET a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET * HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("OPTIONS ** HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET ?a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /#a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /\xc3\xbc HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /\t HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET /\r HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET http:/h HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET http:// HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET http:///a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET http://:80/a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {BYTES("GET http://u:p@h/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    // fields
    {BYTES(LINE HOST "X\r\n\r\n"), 400},
    {BYTES(WITH(": x\r\n")), 400},
    {BYTES(WITH("X : y\r\n")), 400},
    {BYTES(WITH("X\t: y\r\n")), 400},
    {BYTES(WITH(" X: y\r\n")), 400},
    {BYTES(WITH("X: y\r\n z\r\n")), 400},
    {BYTES(WITH("X: y\r\n\tz\r\n")), 400},
    {BYTES(WITH("X Y: z\r\n")), 400},
    {BYTES(WITH("X\"Y: z\r\n")), 400},
    {BYTES(WITH("X\xc3\xbc: z\r\n")), 400},
    {BYTES(WITH("X\0: y\r\n")), 400},
    {BYTES(WITH("X: a\0b\r\n")), 400},
    {BYTES(WITH("X: a\rb\r\n")), 400},
    {BYTES(WITH("X: a\r\r\n")), 400},
    {BYTES(WITH("X: a\x01\r\n")), 400},
    {BYTES(WITH("X: a\x1f\r\n")), 400},
    {BYTES(WITH("X: a\x7f\r\n")), 400},
    {BYTES(WITH("X: a\n")), 400},
    {BYTES(LINE HOST "\n"), 400},
    {BYTES(LINE HOST "\r\r\n\r\n"), 400},
    // hosts
    {BYTES(LINE "\r\n"), 400},
    {BYTES(WITH("Host: x\r\n")), 400},
    {BYTES(LINE "Host: x/y\r\n\r\n"), 400},
    {BYTES(LINE "Host: x y\r\n\r\n"), 400},
    {BYTES(LINE "Host: x,y\r\n\r\n"), 400},
    {BYTES(LINE "Host: u@x\r\n\r\n"), 400},
    {BYTES(LINE "Host: x\\y\r\n\r\n"), 400},
    {BYTES(LINE "Host: x?y\r\n\r\n"), 400},
    {BYTES(LINE "Host: x#y\r\n\r\n"), 400},
    {BYTES("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), 400},
    // framing
    {BYTES(WITH("Content-Length: 1\r\nContent-Length: 1\r\n")), 400},
    {BYTES(WITH("Content-Length: 1\r\nContent-Length: 2\r\n")), 400},
    {BYTES(WITH("Content-Length: 1, 1\r\n")), 400},
    {BYTES(WITH("Content-Length: 1 1\r\n")), 400},
    {BYTES(WITH("Content-Length:\r\n")), 400},
    {BYTES(WITH("Content-Length: +1\r\n")), 400},
    {BYTES(WITH("Content-Length: -1\r\n")), 400},
    {BYTES(WITH("Content-Length: 0x1\r\n")), 400},
    {BYTES(WITH("Content-Length: 1.0\r\n")), 400},
    {BYTES(WITH("Content-Length: 18446744073709551616\r\n")), 400},
    {BYTES(WITH("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding:\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: gzip\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: identity\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: xchunked\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: chunked;x\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: \"chunked\"\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: \vchunked\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: chunked, gzip\r\n")), 400},
    {BYTES(WITH("Transfer-Encoding: gzip, chunked\r\n")), 501},
    {BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {BYTES(WITH("Expect: something\r\n")), 417},
    {BYTES(WITH("Expect:\r\n")), 417},
};

static void refuses_what_is_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(refused); i++) {
        struct reading r = read_everyhow(refused[i].bytes, &roomy);
        if (r.verdict != SCAN_REFUSED || r.refusal.status != refused[i].status)
            fail_msg("row %zu: verdict %d, status %d: %.*s", i, (int)r.verdict, r.refusal.status,
                     SLICE_ARG(refused[i].bytes));
        assert_non_null(r.refusal.why);
        assert_int_equal(r.refusal.error, refused[i].status == 405 ? API_ERROR_METHOD_NOT_ALLOWED
                                                                   : API_ERROR_INVALID_REQUEST);
        reading_end(&r);
    }
}

// What is certainly wrong is not waited upon: nobody knows whether more comes.
static void refuses_early(void **state) {
    (void)state;
    static const char *const early[] = {"\x16", "BREW / HTTP/1.1\r\n", "GET / HTTP/3.0\r\n",
                                        LINE "Host: x\n", "\r"};
    for (size_t i = 0; i < FARTHING_COUNT(early); i++) {
        struct reading r = read_everyhow(slice_of(early[i]), &roomy);
        assert_int_equal(r.verdict, SCAN_REFUSED);
        reading_end(&r);
    }
}

// Any byte in any place: never outside of the block, and the same verdict
// wherever it is cut.
static void takes_every_byte_everywhere(void **state) {
    (void)state;
    static const char base[] = "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
    char bytes[sizeof base];
    for (size_t at = 0; at < sizeof base - 1; at++)
        for (int value = 0; value < 256; value++) {
            memcpy(bytes, base, sizeof base);
            bytes[at] = (char)value;
            struct slice s = slice_make(bytes, sizeof base - 1);
            struct reading whole = read_whole(s, &roomy), slow = read_split(s, &roomy, 0, 1);
            same(&whole, &slow);
            reading_end(&whole);
            reading_end(&slow);
        }
}

// Every byte, in values of every length, in every place: values are looked at
// several bytes at a time.
static void values_are_judged_byte_by_byte(void **state) {
    (void)state;
    enum { LONGEST = 20 };
    for (size_t len = 1; len <= LONGEST; len++) {
        char *value = base_alloc(len);
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                memset(value, at % 2 == 0 ? '\t' : 0xff, len);
                value[at] = (char)byte;
                bool right = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
                assert_int_equal(scan_is_value(slice_make(value, len)), right);
            }
        free(value);
    }
    assert_true(scan_is_value(SLICE_NONE));
    assert_false(scan_is_token(SLICE_NONE));
}

// More than there is room for at first.
static void many_fields_keep_their_order(void **state) {
    (void)state;
    struct buffer head = {0};
    BUFFER_LITERAL(&head, "GET / HTTP/1.0\r\n");
    enum { COUNT = 10 * SCAN_FIELDS_FIRST };
    for (int i = 0; i < COUNT; i++)
        buffer_printf(&head, "X: %d\r\n", i);
    BUFFER_LITERAL(&head, "\r\n");
    struct scan_limits limits = {head.len, COUNT};
    struct reading r = read_whole(buffer_slice(&head), &limits);
    assert_int_equal(r.head.field_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t value;
        assert_true(slice_to_u64(r.head.fields[i].value, &value) && value == i);
    }
    reading_end(&r);
    buffer_free(&head);
}

// ------------------------------------------------------------------- limits

static int status_within(struct slice bytes, size_t max_bytes, unsigned max_fields) {
    struct scan_limits limits = {max_bytes, max_fields};
    struct reading r = read_everyhow(bytes, &limits);
    int status = r.verdict == SCAN_REFUSED ? r.refusal.status : r.verdict == SCAN_DONE ? 200 : 0;
    if (status == 431)
        assert_int_equal(r.refusal.error, API_ERROR_HEADERS_TOO_LARGE);
    reading_end(&r);
    return status;
}

static void bounds_bytes(void **state) {
    (void)state;
    struct slice head = SLICE("GET / HTTP/1.1\r\nHost: x\r\nX: aaaaaaaaaa\r\n\r\n");
    assert_int_equal(status_within(head, head.len, 10), 200);
    assert_int_equal(status_within(head, head.len - 1, 10), 431);
    assert_int_equal(status_within(head, 5, 10), 431);
    // Without an end the bound is met as soon as it is crossed.
    assert_int_equal(status_within(SLICE("GET /aaaaaaaaa"), 14, 10), 0);
    assert_int_equal(status_within(SLICE("GET /aaaaaaaaaa"), 14, 10), 431);
    // What follows a head does not count.
    assert_int_equal(status_within(SLICE("GET / HTTP/1.0\r\n\r\naaaaaaaaaaaaaa"), 18, 10), 200);
}

static void bounds_fields(void **state) {
    (void)state;
    struct slice three = SLICE("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\n");
    assert_int_equal(status_within(three, 4096, 3), 200);
    assert_int_equal(status_within(three, 4096, 2), 431);
    assert_int_equal(status_within(SLICE("GET / HTTP/1.0\r\n\r\n"), 4096, 0), 200);
    struct buffer many = {0};
    BUFFER_LITERAL(&many, "GET / HTTP/1.0\r\n");
    for (int i = 0; i < SCAN_FIELDS_MAX; i++)
        BUFFER_LITERAL(&many, "A:\r\n");
    size_t without_end = many.len;
    BUFFER_LITERAL(&many, "\r\n");
    struct scan_limits none = {SIZE_MAX, UINT32_MAX};
    struct reading r = read_whole(buffer_slice(&many), &none);
    assert_int_equal(r.verdict, SCAN_DONE);
    assert_int_equal(r.head.field_count, SCAN_FIELDS_MAX);
    reading_end(&r);
    many.len = without_end;
    BUFFER_LITERAL(&many, "A:\r\n\r\n");
    r = read_whole(buffer_slice(&many), &none);
    assert_int_equal(r.verdict, SCAN_REFUSED);
    assert_int_equal(r.refusal.status, 431);
    reading_end(&r);
    buffer_free(&many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_right),
        cmocka_unit_test(reads_fields_in_order_and_trimmed),
        cmocka_unit_test(stops_where_the_head_ends),
        cmocka_unit_test(waits_for_what_is_missing),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(refuses_early),
        cmocka_unit_test(takes_every_byte_everywhere),
        cmocka_unit_test(values_are_judged_byte_by_byte),
        cmocka_unit_test(many_fields_keep_their_order),
        cmocka_unit_test(bounds_bytes),
        cmocka_unit_test(bounds_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
