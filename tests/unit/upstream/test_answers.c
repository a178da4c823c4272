// What a provider may write, and what becomes of it: one row an answer, each
// sent once in one piece and once byte by byte.
#include <zlib.h>

#include "scene.h"

struct row {
    const char *name;
    struct slice bytes;
    enum attempt_end end;
    int status; // 0: none is reported
    const char *body;
};

#define H "HTTP/1.1 200 OK\r\n"

static const struct row rows[] = {
    // Framing as it should be.
    {"length", SLICE(H "Content-Length: 5\r\n\r\nhello"), ATTEMPT_OK, 200, "hello"},
    {"length in lower case", SLICE(H "content-length:5\r\n\r\nhello"), ATTEMPT_OK, 200, "hello"},
    {"length zero", SLICE(H "Content-Length: 0\r\n\r\n"), ATTEMPT_OK, 200, ""},
    {"no reason phrase", SLICE("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx"), ATTEMPT_OK, 200, "x"},
    {"chunked", SLICE(H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
     ATTEMPT_OK, 200, "abcde"},
    {"chunk extensions, upper-case size",
     SLICE(H "Transfer-Encoding: chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"), ATTEMPT_OK,
     200, "0123456789"},
    {"trailers",
     SLICE(H "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n"),
     ATTEMPT_OK, 200, "a"},
    {"a trailer that looks like a status line",
     SLICE(H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHTTP/1.1 500 No: x\r\n\r\n"),
     ATTEMPT_OK, 200, "a"},
    {"until close, HTTP/1.0", SLICE("HTTP/1.0 200 OK\r\n\r\nuntil close"), ATTEMPT_OK, 200,
     "until close"},
    {"until close, HTTP/1.1", SLICE(H "\r\nuntil close"), ATTEMPT_OK, 200, "until close"},
    {"until close, nothing", SLICE(H "\r\n"), ATTEMPT_OK, 200, ""},
    {"bare LF lines", SLICE("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), ATTEMPT_OK, 200, "ok"},
    {"folded field", SLICE(H "X-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok"), ATTEMPT_OK, 200,
     "ok"},
    {"a field named as a status line", SLICE(H "HTTP/1.1 500: x\r\nContent-Length: 2\r\n\r\nok"),
     ATTEMPT_OK, 200, "ok"},

    // Statuses.
    {"204", SLICE("HTTP/1.1 204 No Content\r\n\r\n"), ATTEMPT_OK, 204, ""},
    {"204 with a length", SLICE("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), ATTEMPT_OK,
     204, ""},
    {"304 with a length", SLICE("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
     ATTEMPT_OK, 304, ""},
    {"302 is not followed",
     SLICE("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nno"),
     ATTEMPT_OK, 302, "no"},
    {"307 is not followed",
     SLICE("HTTP/1.1 307 Moved\r\nLocation: /v1/y\r\nContent-Length: 0\r\n\r\n"), ATTEMPT_OK, 307,
     ""},
    {"401 is not answered",
     SLICE("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno"),
     ATTEMPT_OK, 401, "no"},
    {"407 is not answered",
     SLICE("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno"),
     ATTEMPT_OK, 407, "no"},
    {"429", SLICE("HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno"), ATTEMPT_OK,
     429, "no"},
    {"500", SLICE("HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\n{}\n"), ATTEMPT_OK, 500, "{}\n"},
    {"599", SLICE("HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n"), ATTEMPT_OK, 599, ""},

    // Informational answers come before the answer and are not it.
    {"100 first", SLICE("HTTP/1.1 100 Continue\r\n\r\n" H "Content-Length: 2\r\n\r\nok"),
     ATTEMPT_OK, 200, "ok"},
    {"103 first",
     SLICE("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" H "Content-Length: 2\r\n\r\nok"),
     ATTEMPT_OK, 200, "ok"},
    {"102, 103, 100 first",
     SLICE("HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
           "HTTP/1.1 404 N\r\nContent-Length: 2\r\n\r\nno"),
     ATTEMPT_OK, 404, "no"},
    {"100 and nothing more", SLICE("HTTP/1.1 100 Continue\r\n\r\n"), ATTEMPT_RESET, 0, ""},
    {"101 unasked for", SLICE("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nraw bytes"),
     ATTEMPT_BAD_ANSWER, 0, ""},

    // Lengths that are not what they say.
    {"body longer than announced", SLICE(H "Content-Length: 2\r\n\r\nokay and more"), ATTEMPT_OK,
     200, "ok"},
    {"body shorter than announced", SLICE(H "Content-Length: 10\r\n\r\nshort"), ATTEMPT_TRUNCATED,
     200, "short"},
    {"announced and nothing", SLICE(H "Content-Length: 10\r\n\r\n"), ATTEMPT_TRUNCATED, 200, ""},
    {"chunks cut between", SLICE(H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
     ATTEMPT_TRUNCATED, 200, "abc"},
    {"chunks cut inside", SLICE(H "Transfer-Encoding: chunked\r\n\r\n9\r\nabc"), ATTEMPT_TRUNCATED,
     200, "abc"},
    {"last chunk without its end", SLICE(H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"),
     ATTEMPT_TRUNCATED, 200, "a"},
    {"two equal lengths", SLICE(H "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"), ATTEMPT_OK,
     200, "ok"},
    {"two lengths", SLICE(H "Content-Length: 2\r\nContent-Length: 4\r\n\r\nokok"),
     ATTEMPT_BAD_ANSWER, 0, ""},
    {"two lengths, longer first", SLICE(H "Content-Length: 4\r\nContent-Length: 2\r\n\r\nokok"),
     ATTEMPT_BAD_ANSWER, 0, ""},
    {"length list", SLICE(H "Content-Length: 2, 4\r\n\r\nokok"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"negative length", SLICE(H "Content-Length: -2\r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"signed length", SLICE(H "Content-Length: +2\r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"length with tail", SLICE(H "Content-Length: 2x\r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"hexadecimal length", SLICE(H "Content-Length: 0x2\r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"empty length", SLICE(H "Content-Length: \r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"length beyond 64 bits", SLICE(H "Content-Length: 99999999999999999999\r\n\r\nok"),
     ATTEMPT_BAD_ANSWER, 0, ""},
    {"length and chunked",
     SLICE(H "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
     ATTEMPT_OK, 200, "a"},
    {"chunked and length",
     SLICE(H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
     ATTEMPT_OK, 200, "ab"},
    // To libcurl much the same as a connection that is lost amid the body.
    {"chunk size no number", SLICE(H "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"),
     ATTEMPT_RESET, 200, ""},
    {"chunk size too large",
     SLICE(H "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n"),
     ATTEMPT_RESET, 200, ""},
    {"chunk longer than its size",
     SLICE(H "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"), ATTEMPT_RESET, 200, "a"},

    // Not HTTP.
    {"nothing at all", SLICE(""), ATTEMPT_RESET, 0, ""},
    {"a line of garbage", SLICE("220 smtp.example.org ESMTP\r\n"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"HTTP/0.9", SLICE("<html>hello</html>"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"JSON without HTTP", SLICE("{\"choices\":[]}\r\n\r\n"), ATTEMPT_BAD_ANSWER, 0, ""},
    {"binary", SLICE("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\x15\x03\x01"), ATTEMPT_BAD_ANSWER, 0,
     ""},
    {"status of letters", SLICE("HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok"),
     ATTEMPT_BAD_ANSWER, 0, ""},
    {"status of four digits", SLICE("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
     ATTEMPT_BAD_ANSWER, 0, ""},
    {"status 099", SLICE("HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0,
     ""},
    {"HTTP/3.0", SLICE("HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), ATTEMPT_BAD_ANSWER, 0,
     ""},
    {"NUL in a field", SLICE("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"),
     ATTEMPT_BAD_ANSWER, 0, ""},

    // The connection goes amid the head.
    {"half a status line", SLICE("HTTP/1.1 20"), ATTEMPT_RESET, 0, ""},
    {"status line only", SLICE(H), ATTEMPT_RESET, 0, ""},
    {"half a head", SLICE(H "Content-Type: text/plain\r\nX-"), ATTEMPT_RESET, 0, ""},

    // Encodings.
    {"identity", SLICE(H "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nok"), ATTEMPT_OK,
     200, "ok"},
    {"unknown encoding", SLICE(H "Content-Encoding: rot13\r\nContent-Length: 2\r\n\r\nok"),
     ATTEMPT_BAD_ANSWER, 200, ""},
    {"gzip that is none", SLICE(H "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"),
     ATTEMPT_BAD_ANSWER, 200, ""},
    {"too many encodings",
     SLICE(H "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip\r\nContent-Length: "
             "2\r\n\r\nok"),
     ATTEMPT_BAD_ANSWER, 0, ""},
};

// Reads the request, writes the answer, closes.
static void run_row(struct scene *s, const struct row *row, enum step_kind how) {
    const struct step script[] = {READ,
                                  {.kind = how, .bytes = row->bytes.ptr, .len = row->bytes.len},
                                  HALF_CLOSE,
                                  WAIT_CLOSE,
                                  END};
    const struct step *const scripts[] = {script};
    struct server server;
    server_open_one(&server, scripts);
    struct probe p = {0};
    probe_start_url(&p, s, server.url);
    probe_wait(&p);
    assert_end(&p, row->end, row->name);
    if (p.result.status != row->status && row->status != 0)
        fail_msg("%s: status %d", row->name, p.result.status);
    assert_body(&p, row->body);
    assert_int_equal(p.result.body_bytes, strlen(row->body));
    assert_true(p.result.sent);
    assert_int_equal(p.heads > 0 ? p.status : 0, p.result.status);
    if (row->end == ATTEMPT_OK)
        assert_int_equal(server.accepted, 1);
    probe_free(&p);
    // A connection that libcurl keeps for later would hold the server.
    upstream_free(s->upstream);
    server_close(&server);
    s->upstream = upstream_new(s->loop, s->shared);
}

static void run_rows(enum step_kind how) {
    struct scene s;
    scene_open(&s);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        run_row(&s, &rows[i], how);
    scene_close(&s);
}

static void test_answers(void **state) {
    (void)state;
    run_rows(STEP_WRITE);
}

static void test_answers_byte_by_byte(void **state) {
    (void)state;
    run_rows(STEP_DRIP);
}

// ------------------------------------------------------------ built answers

// Writes `answer` to whoever asks, once; frees it.
static void get(struct probe *p, struct buffer answer, size_t max_body_bytes) {
    const struct step script[] = {READ,
                                  {.kind = STEP_WRITE, .bytes = answer.ptr, .len = answer.len},
                                  HALF_CLOSE,
                                  WAIT_CLOSE,
                                  END};
    const struct step *const scripts[] = {script};
    struct server server;
    struct scene s;
    scene_open(&s);
    server_open_one(&server, scripts);
    struct upstream_target target = target_of(server.url);
    struct attempt_request request = {.target = &target,
                                      .method = SLICE("GET"),
                                      .path = SLICE("/"),
                                      .max_body_bytes = max_body_bytes};
    probe_start(p, &s, &request);
    probe_wait(p);
    scene_close(&s);
    server_close(&server);
    buffer_free(&answer);
}

static struct buffer compressed(struct slice body, int window_bits, const char *encoding) {
    z_stream z = {0};
    deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
    size_t bound = deflateBound(&z, (uLong)body.len) + 64;
    unsigned char *out = malloc(bound);
    z.next_in = (Bytef *)(uintptr_t)body.ptr;
    z.avail_in = (uInt)body.len;
    z.next_out = out;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    struct buffer answer = {0};
    buffer_printf(&answer, H "Content-Encoding: %s\r\nContent-Length: %lu\r\n\r\n", encoding,
                  z.total_out);
    buffer_append(&answer, slice_make(out, z.total_out));
    deflateEnd(&z);
    free(out);
    return answer;
}

// Nobody asks for these, and some send them all the same.
static void test_compressed_answers_are_decoded(void **state) {
    (void)state;
    static const struct {
        const char *encoding;
        int window_bits;
    } kinds[] = {{"gzip", 15 + 16}, {"x-gzip", 15 + 16}, {"deflate", 15}, {"GZIP", 15 + 16}};
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        struct probe p = {0};
        get(&p, compressed(SLICE("{\"id\":\"1\"}"), kinds[i].window_bits, kinds[i].encoding), 0);
        assert_end(&p, ATTEMPT_OK, kinds[i].encoding);
        assert_body(&p, "{\"id\":\"1\"}");
        // It is true no more, of what is passed on.
        assert_string_equal(p.fields.len > 0 ? p.fields.ptr : "", "");
        probe_free(&p);
    }
}

static void test_gzip_bomb_is_cut(void **state) {
    (void)state;
    enum { SIZE = 64 << 20, MAX = 1 << 20 };
    char *zeros = base_calloc(1, SIZE);
    struct buffer bomb = compressed(slice_make(zeros, SIZE), 15 + 16, "gzip");
    assert_true(bomb.len < SIZE / 500);
    free(zeros);
    struct probe p = {0};
    get(&p, bomb, MAX);
    assert_end(&p, ATTEMPT_TOO_LARGE, "bomb");
    assert_true(p.body.len <= MAX);
    probe_free(&p);
}

static void test_body_limit(void **state) {
    (void)state;
    static const struct {
        size_t max;
        enum attempt_end end;
    } limits[] = {
        {0, ATTEMPT_OK}, {100, ATTEMPT_OK}, {99, ATTEMPT_TOO_LARGE}, {1, ATTEMPT_TOO_LARGE}};
    for (size_t i = 0; i < FARTHING_COUNT(limits); i++) {
        struct buffer answer = {0};
        buffer_printf(&answer, H "Content-Length: 100\r\n\r\n%0100d", 0);
        struct probe p = {0};
        get(&p, answer, limits[i].max);
        assert_end(&p, limits[i].end, "limit");
        assert_int_equal(p.result.status, 200);
        assert_true(limits[i].max == 0 || p.body.len <= limits[i].max);
        probe_free(&p);
    }
}

static void test_header_floods(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct buffer answer = {0};
        if (kind != 2)
            BUFFER_LITERAL(&answer, H);
        if (kind == 3)
            BUFFER_LITERAL(&answer, "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n");
        if (kind == 1)
            BUFFER_LITERAL(&answer, "X-Long: ");
        for (int i = 0; i < 20000; i++)
            buffer_printf(&answer,
                          kind == 1   ? "%032d"
                          : kind == 2 ? "HTTP/1.1 103 Early\r\nX: %d\r\n\r\n"
                                      : "X-Field: %d-012345678901234567890\r\n",
                          i);
        BUFFER_LITERAL(&answer, "\r\n\r\n");
        struct probe p = {0};
        get(&p, answer, 0);
        assert_end(&p, ATTEMPT_BAD_ANSWER, "flood");
        probe_free(&p);
    }
}

// Pieces that come one after the other are handed over so, not held together.
static void test_stream_in_pieces(void **state) {
    (void)state;
    static const struct step script[] = {READ,
                                         WRITE(H "Transfer-Encoding: chunked\r\n\r\n"),
                                         WRITE("4\r\none\n\r\n"),
                                         GATE(1),
                                         WRITE("4\r\ntwo\n\r\n"),
                                         GATE(2),
                                         WRITE("6\r\nthree\n\r\n0\r\n\r\n"),
                                         WAIT_CLOSE,
                                         END};
    static const struct step *const scripts[] = {script};
    static const char *const so_far[] = {"one\n", "one\ntwo\n", "one\ntwo\nthree\n"};
    struct server server;
    struct scene s;
    scene_open(&s);
    server_open_one(&server, scripts);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    for (size_t i = 0; i < FARTHING_COUNT(so_far); i++) {
        // The server waits for us: only a piece that was handed over lets it go on.
        while (p.body.len < strlen(so_far[i]))
            event_base_loop(s.loop, EVLOOP_ONCE);
        assert_body(&p, so_far[i]);
        server_open_gate(&server);
    }
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "stream");
    assert_true(p.result.first_byte_ms >= 0 && p.result.first_byte_ms <= p.result.latency_ms);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answers_byte_by_byte),
        cmocka_unit_test(test_compressed_answers_are_decoded),
        cmocka_unit_test(test_gzip_bomb_is_cut),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_header_floods),
        cmocka_unit_test(test_stream_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
