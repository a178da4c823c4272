// Header fields: what leaves in a request, and what of an answer is passed on.
#include "scene.h"

static const struct step answer_ok[] = {READ, WRITE(ANSWER_OK), AGAIN};
static const struct step *const always_ok[] = {answer_ok};

// ----------------------------------------------------------------- requests

// The bytes that arrive when `request` (its target is filled in) is sent; NULL
// when it is refused. The caller frees.
static char *sent_as(struct scene *s, struct server *server, struct attempt_request request,
                     const char *base_path) {
    char base_url[128];
    snprintf(base_url, sizeof base_url, "%s%s", server->url, base_path);
    struct upstream_target target = target_of(base_url);
    request.target = &target;
    struct probe p = {0};
    probe_start(&p, s, &request);
    memset(base_url, '?', sizeof base_url - 1); // only read during the call
    probe_wait(&p);
    bool refused = p.result.end == ATTEMPT_BAD_REQUEST;
    if (!refused)
        assert_end(&p, ATTEMPT_OK, "request");
    else
        assert_false(p.result.sent);
    probe_free(&p);
    return refused ? NULL : server_last_request(server);
}

// The request line up to the host, then the rest.
static void assert_sent(const char *got, const char *line, const struct server *server,
                        const char *rest) {
    struct buffer expected = {0};
    buffer_printf(&expected, "%s\r\nHost: %s\r\nAccept-Encoding: identity\r\n%s", line,
                  server->url + strlen("http://"), rest);
    buffer_append_char(&expected, '\0');
    assert_string_equal(got, expected.ptr);
    buffer_free(&expected);
}

#define AGENT "User-Agent: farthing/" FARTHING_VERSION "\r\n"

static void test_request_lines(void **state) {
    (void)state;
    static const struct {
        const char *method, *base, *path, *body, *wanted; // %s: host and port
    } rows[] = {
        {"POST", "/v1", "/chat/completions", "{}", "POST /v1/chat/completions HTTP/1.1"},
        {"POST", "/v1", "/x?api-version=2024-10-21&b=%20", "{}",
         "POST /v1/x?api-version=2024-10-21&b=%20 HTTP/1.1"},
        {"POST", "", "/a/../b/./c//d", "{}", "POST /a/../b/./c//d HTTP/1.1"},
        {"POST", "/v1", "", "{}", "POST /v1 HTTP/1.1"},
        {"POST", "/v1", "?q=1", "{}", "POST /v1?q=1 HTTP/1.1"},
        {"POST", "", "/caf\xc3\xa9", "{}", "POST /caf%c3%a9 HTTP/1.1"},
        {"GET", "/v1", "/models", "", "GET /v1/models HTTP/1.1"},
        {"DELETE", "/v1", "/files/1", "", "DELETE /v1/files/1 HTTP/1.1"},
        {"OPTIONS", "/v1", "/x", "", "OPTIONS /v1/x HTTP/1.1"},
        {"PATCH", "/v1", "/x", "{}", "PATCH /v1/x HTTP/1.1"},
        {"QUERY", "/v1", "/x", "{}", "QUERY /v1/x HTTP/1.1"},
    };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char *got = sent_as(&s, &server,
                            (struct attempt_request){.method = slice_of(rows[i].method),
                                                     .path = slice_of(rows[i].path),
                                                     .body = slice_of(rows[i].body)},
                            rows[i].base);
        assert_non_null(got);
        *strchr(got, '\r') = '\0';
        assert_string_equal(got, rows[i].wanted);
        free(got);
    }
    scene_close(&s);
    server_close(&server);
}

static void test_whole_request(void **state) {
    (void)state;
    static const struct api_header headers[] = {
        {SLICE("Authorization"), SLICE("Bearer sk-1")},
        {SLICE("content-type"), SLICE("application/json")},
        {SLICE("X-Empty"), SLICE("")},
        {SLICE("X-Blank"), SLICE("  \t ")},
        {SLICE("X-Semicolon"), SLICE(";")},
        {SLICE("X-Utf8"), SLICE("caf\xc3\xa9")},
        {SLICE("X-Twice"), SLICE("1")},
        {SLICE("X-Twice"), SLICE("2")},
        {SLICE("X-Colon"), SLICE("a:b: c")},
    };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    char *got = sent_as(&s, &server,
                        (struct attempt_request){.method = SLICE("POST"),
                                                 .path = SLICE("/x"),
                                                 .headers = headers,
                                                 .header_count = FARTHING_COUNT(headers),
                                                 .body = SLICE("{\"a\":1}")},
                        "/v1");
    assert_sent(got, "POST /v1/x HTTP/1.1", &server,
                "Authorization: Bearer sk-1\r\ncontent-type: application/json\r\nX-Empty:\r\n"
                "X-Blank:\r\nX-Semicolon: ;\r\nX-Utf8: caf\xc3\xa9\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
                "X-Colon: a:b: c\r\nAccept: */*\r\n" AGENT "Content-Length: 7\r\n\r\n{\"a\":1}");
    free(got);
    scene_close(&s);
    server_close(&server);
}

// Framing, the host, and what belongs to one hop are this room's alone.
static void test_fields_that_are_not_the_callers(void **state) {
    (void)state;
    static const char *const names[] = {
        "Host",   "content-length", "Transfer-Encoding", "Connection",          "Keep-Alive",
        "TE",     "Trailer",        "Upgrade",           "Proxy-Authorization", "Proxy-Connection",
        "Expect", "ACCEPT-ENCODING"};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        struct api_header header = {slice_of(names[i]), SLICE("100-continue")};
        char *got = sent_as(&s, &server,
                            (struct attempt_request){.method = SLICE("POST"),
                                                     .path = SLICE("/x"),
                                                     .headers = &header,
                                                     .header_count = 1,
                                                     .body = SLICE("ab")},
                            "");
        assert_sent(got, "POST /x HTTP/1.1", &server,
                    "Accept: */*\r\n" AGENT "Content-Length: 2\r\n\r\nab");
        free(got);
    }
    scene_close(&s);
    server_close(&server);
}

// CR, LF and NUL become blanks (RFC 9110 5.5); a field whose name could carry
// them is not sent.
static void test_nothing_is_injected(void **state) {
    (void)state;
    static const struct api_header headers[] = {
        {SLICE("X-A"), SLICE("1\r\nX-Injected: 2")},
        {SLICE("X-B"), SLICE("1\nX-Injected: 2\r\n\r\nGET /evil HTTP/1.1\r\n")},
        {SLICE("X-C"), SLICE("\r\n\r\n")},
        {SLICE("X-D"), SLICE("a\0b")},
        {SLICE("X-E\r\nX-Injected"), SLICE("2")},
        {SLICE("X-F: 1\r\nX-Injected"), SLICE("2")},
        {SLICE(""), SLICE("2")},
        {SLICE("X G"), SLICE("2")},
        {SLICE("X-H;"), SLICE("2")},
        {SLICE("X-I\0"), SLICE("2")},
        {SLICE(":authority"), SLICE("evil")},
        {SLICE("X-Last"), SLICE("1")},
    };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    char *got = sent_as(&s, &server,
                        (struct attempt_request){.method = SLICE("POST"),
                                                 .path = SLICE("/x"),
                                                 .headers = headers,
                                                 .header_count = FARTHING_COUNT(headers),
                                                 .body = SLICE("ab")},
                        "");
    assert_sent(got, "POST /x HTTP/1.1", &server,
                "X-A: 1  X-Injected: 2\r\n"
                "X-B: 1 X-Injected: 2    GET /evil HTTP/1.1\r\nX-C:\r\nX-D: a b\r\nX-Last: 1\r\n"
                "Accept: */*\r\n" AGENT "Content-Length: 2\r\n\r\nab");
    free(got);
    scene_close(&s);
    server_close(&server);
}

static void test_unsendable_requests(void **state) {
    (void)state;
    static const struct {
        struct slice method, path;
    } rows[] = {
        {SLICE(""), SLICE("/x")},
        {SLICE("GET /evil HTTP/1.1\r\nX:"), SLICE("/x")},
        {SLICE("PO ST"), SLICE("/x")},
        {SLICE("POST\0"), SLICE("/x")},
        {SLICE("POST"), SLICE("/x HTTP/1.1\r\nX-Injected: 1")},
        {SLICE("POST"), SLICE("/x y")},
        {SLICE("POST"), SLICE("/x\ny")},
        {SLICE("POST"), SLICE("/x\0y")},
        {SLICE("POST"), SLICE("/x\x7fy")},
        {SLICE("POST"), SLICE("@evil.example/x")}, // another host, behind a base without path
        {SLICE("POST"), SLICE(":1/x")},
        {SLICE("POST"), SLICE(".evil.example/x")},
        {SLICE("POST"), SLICE("#/x")},
    };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char *got =
            sent_as(&s, &server,
                    (struct attempt_request){
                        .method = rows[i].method, .path = rows[i].path, .body = SLICE("ab")},
                    "");
        if (got != NULL)
            fail_msg("row %zu was sent as \"%s\"", i, got);
    }
    assert_int_equal(server.accepted, 0);
    scene_close(&s);
    server_close(&server);
}

static void test_unusable_base_urls(void **state) {
    (void)state;
    static const char *const urls[] = {
        "",           "ftp://127.0.0.1",        "file:///etc",         "http://",
        "http://a b", "http://127.0.0.1:99999", "gopher://127.0.0.1:1"};
    struct scene s;
    scene_open(&s);
    for (size_t i = 0; i < FARTHING_COUNT(urls); i++) {
        struct probe p = {0};
        probe_start_url(&p, &s, urls[i]);
        probe_wait(&p);
        if (p.result.end == ATTEMPT_OK || p.result.end == ATTEMPT_BAD_ANSWER || p.result.sent)
            fail_msg("\"%s\": %s", urls[i], attempt_end_name(p.result.end));
        probe_free(&p);
    }
    scene_close(&s);
}

// One handle serves all of these in turn: nothing of one may stick to the next.
static void test_methods_do_not_stick(void **state) {
    (void)state;
    static const struct {
        const char *method, *body;
        const char *length; // what stands behind Content-Length, NULL: no such field
    } rows[] = {
        {"POST", "abc", "3"},  {"GET", "", NULL},    {"POST", "", "0"},     {"HEAD", "", NULL},
        {"POST", "abcd", "4"}, {"DELETE", "", NULL}, {"DELETE", "ab", "2"}, {"PUT", "x", "1"},
        {"PUT", "", "0"},      {"POST", "a", "1"},   {"GET", "q", "1"},     {"GET", "", NULL},
        {"PATCH", "", "0"},    {"POST", "abc", "3"}, {"POST", "", "0"},     {"post", "", NULL},
    };
    // A head has no body; the rest of the scripts do not care.
    static const struct step head[] = {READ, WRITE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
                                       END};
    static const struct step *const head_only[] = {head};
    struct scene s;
    scene_open(&s);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct server server;
        server_open_one(&server, strcmp(rows[i].method, "HEAD") == 0 ? head_only : always_ok);
        char *got = sent_as(&s, &server,
                            (struct attempt_request){.method = slice_of(rows[i].method),
                                                     .path = SLICE("/x"),
                                                     .body = slice_of(rows[i].body)},
                            "");
        size_t len = strlen(rows[i].method);
        assert_memory_equal(got, rows[i].method, len);
        assert_int_equal(got[len], ' ');
        const char *length = strstr(got, "Content-Length: ");
        if (rows[i].length != NULL)
            assert_int_equal(atoi(length + 16), atoi(rows[i].length));
        else
            assert_null(length);
        assert_string_equal(strstr(got, "\r\n\r\n") + 4, rows[i].body);
        free(got);
        shutdown(server.connections[0].fd, SHUT_RD); // kept alive, and not needed again
        server_close(&server);
    }
    scene_close(&s);
}

static void test_the_environments_proxy_is_ignored(void **state) {
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    char *got = sent_as(&s, &server,
                        (struct attempt_request){.method = SLICE("GET"), .path = SLICE("/x")}, "");
    assert_non_null(got);
    free(got);
    scene_close(&s);
    server_close(&server);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

// ------------------------------------------------------------------ answers

static void test_answer_fields(void **state) {
    (void)state;
    static const struct {
        const char *fields, *passed;
    } rows[] = {
        {"x-request-id: 1\r\nopenai-version: 2\r\nX-RateLimit-Remaining: 3\r\nRetry-After: 4\r\n",
         "x-request-id: 1\nopenai-version: 2\nX-RateLimit-Remaining: 3\nRetry-After: 4\n"},
        {"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "Set-Cookie: a=1\nSet-Cookie: b=2\n"},
        {"X-Empty:\r\nX-Blank:   \r\nX-Trim: \t a b \t \r\n",
         "X-Empty: \nX-Blank: \nX-Trim: a b\n"},
        {"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nTE: x\r\nTrailer: "
         "y\r\n"
         "Proxy-Authenticate: Basic\r\nProxy-Connection: z\r\nA: 1\r\n",
         "A: 1\n"},
        {"A: 1\r\nConnection: A, close\r\nB: 2\r\n", "B: 2\n"},
        {"A: 1\r\nConnection: close\r\nB: 2\r\nConnection: x,b ,\r\nC: 3\r\n", "A: 1\nC: 3\n"},
        {"Connection: , ,a\r\nA: 1\r\nB: 2\r\n", "B: 2\n"},
        // A blank before the colon hid these from who reads fields by name.
        {"Transfer-Encoding : identity\r\nKeep-Alive\t: x\r\nA: 1\r\n", "A: 1\n"},
        {": no name\r\nX Y: 1\r\nX(Y): 1\r\nA: 1\r\n", "A: 1\n"},
        {"A: 1\r\n  and 2\r\n\tand 3: x\r\nB: 4\r\n", "A: 1 and 2 and 3: x\nB: 4\n"},
        {"Connection: close,\r\n B\r\nA: 1\r\nB: 2\r\n", "A: 1\n"},
        {"A: x\ry\r\nB: \x01\x7f\r\n", "A: x y\nB: \x01\x7f\n"},
        {"HTTP/1.1 500: x\r\nA: 1\r\n", "A: 1\n"},
        {"Content-Encoding: identity\r\nContent-Type: text/plain\r\n",
         "Content-Type: text/plain\n"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer answer = {0};
        buffer_printf(&answer, "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok", rows[i].fields);
        const struct step script[] = {READ,
                                      {.kind = STEP_WRITE, .bytes = answer.ptr, .len = answer.len},
                                      HALF_CLOSE,
                                      WAIT_CLOSE,
                                      END};
        const struct step *const scripts[] = {script};
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, scripts);
        struct probe p = {0};
        probe_start_url(&p, &s, server.url);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_OK, rows[i].fields);
        buffer_append_char(&p.fields, '\0');
        assert_string_equal(p.fields.ptr, rows[i].passed);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
        buffer_free(&answer);
    }
}

// Fields of an informational answer are not the answer's.
static void test_fields_before_the_answer(void **state) {
    (void)state;
    static const struct step script[] = {
        READ,
        WRITE("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: B\r\nContent-Length: 9\r\n\r\n"
              "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nContent-Length: 2\r\n\r\nok"),
        WAIT_CLOSE, END};
    static const struct step *const scripts[] = {script};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, scripts);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "103");
    assert_memory_equal(p.fields.ptr, "A: 1\nB: 2\n", 10);
    assert_int_equal(p.fields.len, 10);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_whole_request),
        cmocka_unit_test(test_fields_that_are_not_the_callers),
        cmocka_unit_test(test_nothing_is_injected),
        cmocka_unit_test(test_unsendable_requests),
        cmocka_unit_test(test_unusable_base_urls),
        cmocka_unit_test(test_methods_do_not_stick),
        cmocka_unit_test(test_the_environments_proxy_is_ignored),
        cmocka_unit_test(test_answer_fields),
        cmocka_unit_test(test_fields_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
