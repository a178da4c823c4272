// Requests in, whole answers out: what the handler sees, what the client gets,
// and in which order.
#include "scene.h"

#include "conn.h"

#include <stdio.h>

static struct client *ask(struct scene *s, struct slice bytes) {
    struct client *c = client_open(s);
    client_send(c, bytes);
    return c;
}

// ------------------------------------------------------------------ requests

static void the_handler_sees_the_request(void **state) {
    struct scene *s = *state;
    scene_start(s);
    clock_freeze(0, 77000000);
    ask(s, SLICE("POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-a: 2\r\nContent-Length: "
                 "5\r\n\r\nhello"));
    UNTIL(s, s->seen_count == 1);
    struct seen *seen = &s->seen[0];
    assert_true(slice_equal(buffer_slice(&seen->method), SLICE("POST")));
    assert_true(slice_equal(buffer_slice(&seen->path), SLICE("/a/b")));
    assert_true(slice_equal(buffer_slice(&seen->query), SLICE("c=d")));
    assert_true(slice_equal(buffer_slice(&seen->body), SLICE("hello")));
    assert_int_equal(seen->started_ns, 77000000);
    assert_int_equal(http_request_header_count(seen->request), 4);
    assert_true(slice_equal(http_request_header(seen->request, SLICE("x-A")), SLICE("1")));
    assert_true(slice_equal(http_request_header_at(seen->request, 2).value, SLICE("2")));
    assert_null(http_request_header(seen->request, SLICE("x-b")).ptr);
    assert_int_equal(http_server_active(s->server), 1);
    assert_int_equal(http_server_connections(s->server), 1);
    act_ok(seen);
    assert_int_equal(seen->ends, 0); // never from within a reply function
    UNTIL(s, seen->ends == 1);
    assert_int_equal(seen->how, HTTP_END_SENT);
    assert_int_equal(http_server_active(s->server), 0);
}

// Lengths around what is read at once and what is set aside for a body.
static void bodies_of_any_length_arrive_whole(void **state) {
    struct scene *s = *state;
    static const size_t sizes[] = {1, 4095, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 3000001};
    s->act = act_echo;
    scene_start(s);
    struct client *c = client_open(s);
    for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
        struct buffer request = {0};
        buffer_printf(&request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                      sizes[i]);
        size_t head = request.len;
        for (size_t k = 0; k < sizes[i]; k++)
            buffer_append_char(&request, (char)('a' + k % 23));
        buffer_clear(&c->in);
        client_send(c, buffer_slice(&request));
        UNTIL(s, client_body(c).len == sizes[i]);
        assert_true(slice_equal(client_body(c), slice_from(buffer_slice(&request), head)));
        buffer_free(&request);
    }
    UNTIL(s, s->seen[s->seen_count - 1].ends == 1);
}

static void requests_arrive_in_any_pieces(void **state) {
    struct scene *s = *state;
    static const char *const requests[] = {
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "\r\n\r\nPOST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n"
        "0\r\nT: 1\r\n\r\n"};
    s->act = act_echo;
    scene_start(s);
    for (size_t i = 0; i < FARTHING_COUNT(requests); i++) {
        struct client *c = client_open(s);
        for (size_t at = 0; at < strlen(requests[i]); at++) {
            client_send(c, slice_make(requests[i] + at, 1));
            scene_step(s);
        }
        UNTIL(s, client_is(c, "\r\n\r\nabc"));
    }
    assert_int_equal(s->seen_count, FARTHING_COUNT(requests));
    UNTIL(s, http_server_active(s->server) == 0);
}

static void a_client_that_expects_is_told_to_continue(void **state) {
    struct scene *s = *state;
    s->act = act_echo;
    scene_start(s);
    struct client *c = ask(
        s,
        SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
    UNTIL(s, client_is(c, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(s->seen_count, 0);
    client_send(c, SLICE("hi"));
    UNTIL(s, client_is(c, "\r\n\r\nhi"));
    // Not when the body is there already, nor when it would be refused.
    c = ask(
        s,
        SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi"));
    UNTIL(s, client_is(c, "\r\n\r\nhi"));
    assert_false(client_has(c, "100 Continue"));
    c = ask(s, SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
                     "Expect: 100-continue\r\n\r\n"));
    UNTIL(s, c->ended);
    assert_true(client_has(c, "HTTP/1.1 413 Content Too Large\r\n"));
    assert_false(client_has(c, "100 Continue"));
}

static void refusals_are_answered_counted_and_final(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *bytes, *status;
        enum api_error error;
    } rows[] = {
        {"BREW / HTTP/1.1\r\n", "400 Bad Request", API_ERROR_INVALID_REQUEST},
        {"TRACE / HTTP/1.1\r\n", "405 Method Not Allowed", API_ERROR_METHOD_NOT_ALLOWED},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n", "413 Content Too Large",
         API_ERROR_REQUEST_TOO_LARGE},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4000001\r\n",
         "413 Content Too Large", API_ERROR_REQUEST_TOO_LARGE},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx", "400 Bad Request",
         API_ERROR_INVALID_REQUEST},
    };
    s->act = act_ok;
    scene_start(s);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct client *c = ask(s, slice_of(rows[i].bytes));
        client_send(c, GET("/never"));
        unsigned before = s->refused[rows[i].error];
        UNTIL(s, c->ended);
        assert_true(client_has(c, rows[i].status));
        assert_true(client_has(c, "\r\nConnection: close\r\n"));
        assert_true(client_has(c, "\r\nx-should-retry: false\r\n"));
        assert_true(client_has(c, api_error_info(rows[i].error)->code));
        assert_int_equal(client_count(c, "HTTP/1.1 "), 1);
        assert_int_equal(s->refused[rows[i].error], before + 1);
        assert_false(c->broken);
    }
    assert_int_equal(s->seen_count, 0);
}

// A refused client may go on sending for a while: its error is not lost to a reset.
static void a_refused_client_may_finish_sending(void **state) {
    struct scene *s = *state;
    s->limits.max_body_bytes = 10;
    scene_start(s);
    struct client *c =
        ask(s, SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"));
    static char body[1000000];
    memset(body, 'x', sizeof body);
    client_send(c, slice_make(body, sizeof body));
    UNTIL(s, c->ended && c->out.len == 0);
    assert_true(client_has(c, "HTTP/1.1 413 "));
    client_half_close(c);
    UNTIL(s, http_server_connections(s->server) == 0);
}

// ------------------------------------------------------------------- answers

static const struct api_header some_headers[] = {
    {{"X-One", 5}, {"1", 1}},
    {{"X-Injected", 10}, {"a\r\nX-Evil: 1", 12}},
    {{"X-Lf", 4}, {"a\nX-Evil: 1", 11}},
    {{"X-Nul", 5}, {"a\0b", 3}},
    {{"X-Bad\r\nX-Evil", 13}, {"1", 1}},
    {{"X-Evil:", 7}, {"1", 1}},
    {{"", 0}, {"X-Evil", 6}},
    {{"Content-Length", 14}, {"99", 2}},
    {{"transfer-encoding", 17}, {"chunked", 7}},
    {{"CONNECTION", 10}, {"X-Evil", 6}},
    {{"Date", 4}, {"X-Evil", 6}},
    {{"X-Two", 5}, {"", 0}},
};

static void act_headers(struct seen *seen) {
    http_reply(seen->request, 201, some_headers, FARTHING_COUNT(some_headers), SLICE("hello"));
}

static void act_headers_in_a_stream(struct seen *seen) {
    http_reply_begin(seen->request, 201, some_headers, FARTHING_COUNT(some_headers));
    http_reply_write(seen->request, SLICE("hello"));
    http_reply_finish(seen->request);
}

static void headers_cannot_be_injected(void **state) {
    struct scene *s = *state;
    scene_start(s);
    clock_freeze(1163652325000, 1);
    s->act = act_headers;
    struct client *c = ask(s, GET("/"));
    UNTIL(s, client_is(c, "\r\n\r\nhello"));
    assert_true(slice_equal(buffer_slice(&c->in),
                            SLICE("HTTP/1.1 201 Created\r\nDate: Thu, 16 Nov 2006 04:45:25 GMT\r\n"
                                  "X-One: 1\r\nX-Two: \r\nContent-Length: 5\r\n\r\nhello")));
    s->act = act_headers_in_a_stream;
    c = ask(s, GET("/"));
    UNTIL(s, client_is(c, "0\r\n\r\n"));
    assert_true(slice_equal(buffer_slice(&c->in),
                            SLICE("HTTP/1.1 201 Created\r\nDate: Thu, 16 Nov 2006 04:45:25 GMT\r\n"
                                  "X-One: 1\r\nX-Two: \r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "5\r\nhello\r\n0\r\n\r\n")));
}

static int status_to_send;

static void act_status(struct seen *seen) {
    http_reply(seen->request, status_to_send, NULL, 0, SLICE("body"));
}

static void act_stream_of_status(struct seen *seen) {
    http_reply_begin(seen->request, status_to_send, NULL, 0);
    assert_true(http_reply_write(seen->request, SLICE("body")));
    http_reply_finish(seen->request);
}

// RFC 9110 6.4.1: what has no body gets none, and the next answer stands right behind.
static void answers_without_body_have_none(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *method;
        int status;
        bool streamed;
        const char *framing; // which the head must have; NULL: neither
    } rows[] = {
        {"GET", 200, false, "Content-Length: 4"},
        {"HEAD", 200, false, "Content-Length: 4"},
        {"GET", 204, false, NULL},
        {"GET", 304, false, NULL},
        {"HEAD", 204, false, NULL},
        {"HEAD", 200, true, NULL},
        {"GET", 204, true, NULL},
        {"GET", 304, true, NULL},
        {"GET", 200, true, "Transfer-Encoding: chunked"},
    };
    scene_start(s);
    struct client *c = client_open(s);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        status_to_send = rows[i].status;
        s->act = rows[i].streamed ? act_stream_of_status : act_status;
        bool has_body = strcmp(rows[i].method, "GET") == 0 && rows[i].status == 200;
        const char *body = !has_body ? "" : rows[i].streamed ? "4\r\nbody\r\n0\r\n\r\n" : "body";
        struct buffer request = {0};
        buffer_printf(&request, "%s / HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].method);
        buffer_clear(&c->in);
        client_send(c, buffer_slice(&request));
        buffer_free(&request);
        UNTIL(s,
              s->seen_count == i + 1 && s->seen[i].ends == 1 && client_body(c).len == strlen(body));
        assert_int_equal(s->seen[i].how, HTTP_END_SENT);
        assert_true(slice_equal(client_body(c), slice_of(body)));
        assert_int_equal(client_has(c, "Content-Length"),
                         rows[i].framing != NULL && !rows[i].streamed);
        assert_int_equal(client_has(c, "Transfer-Encoding"),
                         rows[i].framing != NULL && rows[i].streamed);
        assert_true(rows[i].framing == NULL || client_has(c, rows[i].framing));
    }
    assert_false(client_gone(c));
}

static void act_error(struct seen *seen) {
    const struct api_header more[] = {{SLICE("Retry-After"), SLICE("2")},
                                      {SLICE("content-type"), SLICE("text/plain")}};
    if (slice_equal(http_request_path(seen->request), SLICE("/429")))
        http_reply_error(seen->request, API_ERROR_RATE_LIMITED, 0, SLICE("Slow \"down\"."),
                         SLICE_NONE, more, FARTHING_COUNT(more));
    else
        http_reply_error(seen->request, API_ERROR_INVALID_REQUEST, 422, SLICE("No."),
                         SLICE("model"), NULL, 0);
}

static void errors_have_the_contract_s_shape(void **state) {
    struct scene *s = *state;
    s->act = act_error;
    scene_start(s);
    struct client *c = ask(s, GET("/429"));
    UNTIL(s, client_has(c, "}}"));
    assert_true(client_has(c, "HTTP/1.1 429 Too Many Requests\r\n"));
    assert_true(client_has(c, "\r\nRetry-After: 2\r\n"));
    assert_true(client_has(c, "\r\nContent-Type: application/json\r\n"));
    assert_false(client_has(c, "text/plain"));
    assert_false(client_has(c, "x-should-retry"));
    assert_true(client_has(c, "Slow \\\"down\\\"."));
    c = ask(s, GET("/"));
    UNTIL(s, client_has(c, "}}"));
    assert_true(client_has(c, "HTTP/1.1 422 Unprocessable Content\r\n"));
    assert_true(client_has(c, "\r\nx-should-retry: false\r\n"));
    assert_true(client_has(c, "\"param\":\"model\""));
}

static void a_second_answer_is_ignored(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = ask(s, GET("/"));
    UNTIL(s, s->seen_count == 1);
    struct http_request *r = s->seen[0].request;
    http_reply(r, 200, NULL, 0, SLICE("one"));
    http_reply(r, 200, NULL, 0, SLICE("two"));
    http_reply_begin(r, 200, NULL, 0);
    assert_true(http_reply_write(r, SLICE("three")));
    http_reply_finish(r);
    http_reply_abort(r);
    UNTIL(s, s->seen[0].ends == 1 && client_is(c, "\r\n\r\none"));
    assert_int_equal(s->seen[0].how, HTTP_END_SENT);
    assert_int_equal(client_count(c, "HTTP/1.1"), 1);
}

// ---------------------------------------------------------------- connections

static void keep_alive_follows_version_and_header(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *request;
        bool kept;
        const char *says; // in the answer; NULL: nothing
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, NULL},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, "Connection: close"},
        {"GET / HTTP/1.0\r\n\r\n", false, "Connection: close"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "Connection: keep-alive"},
    };
    s->act = act_ok;
    scene_start(s);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        size_t at = s->seen_count;
        struct client *c = ask(s, slice_of(rows[i].request));
        UNTIL(s, client_is(c, "\r\n\r\nok") && s->seen[at].ends == 1);
        assert_true(rows[i].says != NULL ? client_has(c, rows[i].says)
                                         : !client_has(c, "Connection"));
        if (rows[i].kept) {
            buffer_clear(&c->in);
            client_send(c, SLICE("HEAD / HTTP/1.0\r\n\r\n"));
        }
        UNTIL(s, c->ended);
        assert_int_equal(c->in.len > 0, 1);
    }
}

static void pipelined_requests_are_answered_in_order_at_once(void **state) {
    struct scene *s = *state;
    s->act = act_echo;
    scene_start(s);
    struct buffer all = {0};
    for (int i = 0; i < 30; i++)
        buffer_printf(&all, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n<%02d>", i);
    struct client *c = ask(s, buffer_slice(&all));
    buffer_free(&all);
    UNTIL(s, client_is(c, "<29>"));
    ptrdiff_t before = -1;
    for (int i = 0; i < 30; i++) {
        char mark[16];
        snprintf(mark, sizeof mark, "<%02d>", i);
        ptrdiff_t at = slice_find(buffer_slice(&c->in), slice_of(mark));
        assert_true(at > before);
        before = at;
    }
    UNTIL(s, http_server_active(s->server) == 0);
}

// One at a time comes to the handler; the last byte of a request and the first
// of the next may come together.
static void pipelined_requests_are_answered_in_order_later(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c =
        ask(s, SLICE("GET /0 HTTP/1.1\r\nHost: x\r\n\r\n"
                     "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "1\r\na\r\n0\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3"));
    for (size_t i = 0; i < 3; i++) {
        UNTIL(s, s->seen_count == i + 1);
        for (int turn = 0; turn < 3; turn++)
            scene_step(s);
        assert_int_equal(s->seen_count, i + 1);
        assert_int_equal(http_server_active(s->server), 1);
        assert_int_equal(s->seen[i].path.ptr[1], '0' + (int)i);
        http_reply(s->seen[i].request, 200, NULL, 0, buffer_slice(&s->seen[i].path));
    }
    client_send(
        c,
        SLICE(
            " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n"));
    UNTIL(s, s->seen_count == 4);
    act_ok(&s->seen[3]);
    UNTIL(s, c->ended);
    assert_int_equal(s->seen_count, 4); // nothing after "close"
    assert_int_equal(client_count(c, "HTTP/1.1 200 OK\r\n"), 4);
}

// More than is held for a busy connection: reading pauses, nothing is lost.
static void pipelining_is_bounded(void **state) {
    struct scene *s = *state;
    enum { COUNT = 40, SIZE = 50000 };
    scene_start(s);
    struct buffer all = {0};
    for (int i = 0; i < COUNT; i++) {
        buffer_printf(&all, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
        for (int k = 0; k < SIZE; k++)
            buffer_append_char(&all, (char)('a' + i % 26));
    }
    struct client *c = ask(s, buffer_slice(&all));
    buffer_free(&all);
    for (size_t i = 0; i < COUNT; i++) {
        UNTIL(s, s->seen_count == i + 1);
        assert_true(input_held(s->seen[i].request->conn) < 2 * INPUT_HELD_MAX);
        assert_int_equal(s->seen[i].body.len, SIZE);
        assert_int_equal(s->seen[i].body.ptr[SIZE - 1], 'a' + (int)i % 26);
        act_ok(&s->seen[i]);
    }
    UNTIL(s, client_count(c, "\r\n\r\nok") == COUNT && http_server_active(s->server) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_make, scene_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_handler_sees_the_request),
        TEST(bodies_of_any_length_arrive_whole),
        TEST(requests_arrive_in_any_pieces),
        TEST(a_client_that_expects_is_told_to_continue),
        TEST(refusals_are_answered_counted_and_final),
        TEST(a_refused_client_may_finish_sending),
        TEST(headers_cannot_be_injected),
        TEST(answers_without_body_have_none),
        TEST(errors_have_the_contract_s_shape),
        TEST(a_second_answer_is_ignored),
        TEST(keep_alive_follows_version_and_header),
        TEST(pipelined_requests_are_answered_in_order_at_once),
        TEST(pipelined_requests_are_answered_in_order_later),
        TEST(pipelining_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
