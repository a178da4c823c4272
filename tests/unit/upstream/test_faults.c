// Providers that cannot be reached, go away, or take too long: how each
// attempt ends, and whether its request may have been processed.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scene.h"

enum { SHORT_MS = 50 };

// ------------------------------------------------------------- the resolver

// Stands in for the C library's: names under "slow" wait until released.
static pthread_mutex_t slow_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slow_released = PTHREAD_COND_INITIALIZER;
static bool slow_may_go = true;
static _Atomic int slow_entered, slow_left;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    (void)service;
    (void)hints;
    (void)out;
    if (strncmp(node, "slow", 4) == 0) {
        pthread_mutex_lock(&slow_lock);
        slow_entered++;
        while (!slow_may_go)
            pthread_cond_wait(&slow_released, &slow_lock);
        pthread_mutex_unlock(&slow_lock);
        slow_left++;
    }
    return EAI_NONAME;
}

static void hold_resolver(bool hold) {
    pthread_mutex_lock(&slow_lock);
    slow_may_go = !hold;
    pthread_cond_broadcast(&slow_released);
    pthread_mutex_unlock(&slow_lock);
}

static void start_named(struct probe *p, struct scene *s, const char *url, int64_t connect_ms) {
    struct upstream_target target = target_of(url);
    target.connect_timeout_ms = connect_ms;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/x"), .body = SLICE("{}")};
    probe_start(p, s, &request);
}

static void assert_unknown(struct probe *p) {
    probe_wait(p);
    assert_end(p, ATTEMPT_CONNECT_FAILED, "unknown name");
    assert_false(p->result.sent);
    assert_false(p->result.reused);
    assert_int_equal(p->result.status, 0);
    assert_int_equal(p->result.first_byte_ms, -1);
    assert_int_equal(p->heads, 0);
    assert_true(p->result.detail.len > 0);
}

static void test_unknown_names(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    struct probe p = {0};
    start_named(&p, &s, "http://no-such-name.invalid", 10000);
    assert_unknown(&p);
    scene_close(&s);
}

// Each look-up wakes the loop by a socket of its own, which has the number that
// the last one's had.
static void test_unknown_names_in_a_row(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    for (int i = 0; i < 5; i++) {
        struct probe p = {0};
        hold_resolver(true);
        slow_entered = slow_left = 0;
        start_named(&p, &s, "http://slow.invalid", 0);
        scene_run_until(&s, &slow_entered, 1);
        scene_turn(&s, 5);
        hold_resolver(false);
        assert_unknown(&p);
    }
    scene_close(&s);
}

static const struct step answer_ok[] = {READ, WRITE(ANSWER_OK), AGAIN};
static const struct step *const always_ok[] = {answer_ok};

// While a name is looked up others are served, and giving it up does not wait.
static void test_the_resolver_does_not_block(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    hold_resolver(true);
    slow_entered = slow_left = 0;
    struct probe cancelled = {0}, timed_out = {0}, at_the_end = {0}, other = {0};
    start_named(&cancelled, &s, "http://slow1.invalid", 10000);
    start_named(&timed_out, &s, "http://slow2.invalid", SHORT_MS);
    start_named(&at_the_end, &s, "http://slow3.invalid", 10000);
    scene_run_until(&s, &slow_entered, 3);
    probe_start_url(&other, &s, server.url);
    probe_wait(&other);
    assert_end(&other, ATTEMPT_OK, "beside a slow name");
    alarm(15); // what follows would wait for the resolver for ever
    probe_cancel(&cancelled);
    probe_wait(&timed_out);
    assert_end(&timed_out, ATTEMPT_CONNECT_TIMEOUT, "slow name");
    assert_false(timed_out.result.sent);
    scene_close(&s); // cancels the third
    alarm(0);
    assert_int_equal(slow_left, 0);
    hold_resolver(false);
    while (slow_left < 3)
        sched_yield();
    assert_int_equal(at_the_end.done, 0);
    probe_free(&other);
    server_close(&server);
}

// -------------------------------------------------------------- connections

// A listener that never accepts; with `backlog_full` it does not even answer.
static int deaf_listener(char *url, size_t size, const char *scheme, bool backlog_full) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, backlog_full ? 0 : 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    snprintf(url, size, "%s://127.0.0.1:%d", scheme, ntohs(at.sin_port));
    return fd;
}

static void fill_backlog(const char *url, int *fds, size_t count) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1))};
    for (size_t i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)&at, sizeof at);
    }
}

static void test_refused(void **state) {
    (void)state;
    char url[64];
    close(deaf_listener(url, sizeof url, "http", false));
    struct scene s;
    scene_open(&s);
    for (int i = 0; i < 3; i++) {
        struct probe p = {0};
        probe_start_url(&p, &s, url);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_CONNECT_FAILED, "refused");
        assert_false(p.result.sent);
        assert_false(p.result.reused);
        probe_free(&p);
    }
    scene_close(&s);
}

static void test_connect_timeouts(void **state) {
    (void)state;
    static const char *const schemes[] = {"http", "https"};
    for (size_t i = 0; i < FARTHING_COUNT(schemes); i++) {
        char url[64];
        int fds[4] = {-1, -1, -1, -1};
        bool plain = i == 0;
        int fd = deaf_listener(url, sizeof url, schemes[i], plain);
        if (plain)
            fill_backlog(url, fds, FARTHING_COUNT(fds));
        struct scene s;
        scene_open(&s);
        struct probe p = {0};
        start_named(&p, &s, url, SHORT_MS);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_CONNECT_TIMEOUT, schemes[i]);
        assert_false(p.result.sent);
        assert_false(p.result.reused);
        probe_free(&p);
        scene_close(&s);
        for (size_t n = 0; n < FARTHING_COUNT(fds); n++)
            if (fds[n] >= 0)
                close(fds[n]);
        close(fd);
    }
}

// What a handle learnt in its last attempt is not told of the next one.
static void test_nothing_of_the_last_attempt_is_told(void **state) {
    (void)state;
    char deaf_url[64], closed_url[64];
    int fd = deaf_listener(deaf_url, sizeof deaf_url, "https", false);
    close(deaf_listener(closed_url, sizeof closed_url, "http", false));
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    const struct {
        const char *url;
        enum attempt_end end;
    } rows[] = {{closed_url, ATTEMPT_CONNECT_FAILED},
                {deaf_url, ATTEMPT_CONNECT_TIMEOUT},
                {"http://no-such-name.invalid", ATTEMPT_CONNECT_FAILED}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct probe good = {0}, bad = {0};
        probe_start_url(&good, &s, server.url);
        probe_wait(&good);
        assert_end(&good, ATTEMPT_OK, "first");
        assert_true(good.result.sent);
        assert_int_equal(good.result.reused, i > 0);
        assert_int_equal(good.result.detail.len, 0);
        struct upstream_target target = target_of(rows[i].url);
        target.connect_timeout_ms = 200;
        target.first_byte_timeout_ms = SHORT_MS; // must not start before the request is sent
        struct attempt_request request = {
            .target = &target, .method = SLICE("POST"), .path = SLICE("/x"), .body = SLICE("{}")};
        probe_start(&bad, &s, &request);
        probe_wait(&bad);
        assert_end(&bad, rows[i].end, rows[i].url);
        assert_false(bad.result.sent);
        assert_false(bad.result.reused);
        assert_int_equal(bad.result.status, 0);
        probe_free(&good);
        probe_free(&bad);
    }
    scene_close(&s);
    server_close(&server);
    close(fd);
}

// ------------------------------------------------------------------- resets

static const struct step reset_at_once[] = {RESET};
static const struct step reset_after_request[] = {READ, RESET};
static const struct step reset_amid_head[] = {READ, WRITE("HTTP/1.1 200 OK\r\nX-A: 1\r\n"), RESET};
static const struct step reset_after_100[] = {READ, WRITE("HTTP/1.1 100 Continue\r\n\r\n"), RESET};
static const struct step close_after_request[] = {READ, END};
static const struct step close_amid_request[] = {READ_HEAD, END};

static void test_connection_lost(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const struct step *script;
    } rows[] = {
        {"reset at once", reset_at_once},
        {"reset after the request", reset_after_request},
        {"reset amid the head", reset_amid_head},
        {"reset after 100", reset_after_100},
        {"closed after the request", close_after_request},
        {"closed amid the request", close_amid_request},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, &rows[i].script);
        struct probe p = {0};
        probe_start_url(&p, &s, server.url);
        probe_wait(&p);
        // Lost before it was sent or after: the same to the retry policy.
        if (p.result.end != ATTEMPT_SEND_FAILED && p.result.end != ATTEMPT_CONNECT_FAILED)
            assert_end(&p, ATTEMPT_RESET, rows[i].name);
        assert_int_equal(p.result.status, 0);
        assert_int_equal(server.accepted, 1); // not a fresh connection's place to try again
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
    }
}

// The bytes that came before are handed over first. When depends on the other
// end: the reset waits until they have been taken, lest it overtakes them.
static void test_reset_amid_body(void **state) {
    (void)state;
    static const struct step announced[] = {
        READ, WRITE("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), GATE(1), RESET};
    static const struct step chunked[] = {
        READ, WRITE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), GATE(1),
        RESET};
    static const struct step until_close[] = {READ, WRITE("HTTP/1.1 200 OK\r\n\r\nabc"), GATE(1),
                                              RESET};
    static const struct step *const scripts[] = {announced, chunked, until_close};
    for (size_t i = 0; i < FARTHING_COUNT(scripts); i++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, &scripts[i]);
        struct probe p = {0};
        probe_start_url(&p, &s, server.url);
        while (p.body.len < 3)
            event_base_loop(s.loop, EVLOOP_ONCE);
        server_open_gate(&server);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_RESET, "reset amid the body");
        assert_int_equal(p.result.status, 200);
        assert_body(&p, "abc");
        assert_true(p.result.sent);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
    }
}

// A provider that reads no more while a large request is under way.
static void test_large_request_is_cut(void **state) {
    (void)state;
    enum { SIZE = 16 << 20 };
    static const struct step script[] = {READ_HEAD, RESET};
    static const struct step *const scripts[] = {script};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, scripts);
    char *body = base_calloc(1, SIZE);
    struct upstream_target target = target_of(server.url);
    struct attempt_request request = {.target = &target,
                                      .method = SLICE("POST"),
                                      .path = SLICE("/x"),
                                      .body = slice_make(body, SIZE)};
    struct probe p = {0};
    probe_start(&p, &s, &request);
    probe_wait(&p);
    if (p.result.end != ATTEMPT_SEND_FAILED)
        assert_end(&p, ATTEMPT_RESET, "large request");
    assert_true(p.result.sent);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
    free(body);
}

// ----------------------------------------------------------------- timeouts

static const struct step silent[] = {READ, WAIT_CLOSE, END};
static const struct step half_head[] = {READ, WRITE("HTTP/1.1 200 OK\r\nX-A: 1\r\n"), WAIT_CLOSE,
                                        END};
static const struct step only_100[] = {READ, WRITE("HTTP/1.1 100 Continue\r\n\r\n"), WAIT_CLOSE,
                                       END};
static const struct step only_head[] = {READ, WRITE("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
                                        WAIT_CLOSE, END};
static const struct step half_body[] = {
    READ, WRITE("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), WAIT_CLOSE, END};

static void test_timeouts(void **state) {
    (void)state;
    enum { NONE = 0, LONG = 10000 };
    static const struct {
        const char *name;
        const struct step *script;
        int64_t first_byte, idle, total, deadline;
        enum attempt_end end;
        int status;
    } rows[] = {
        {"no answer", silent, SHORT_MS, LONG, LONG, LONG, ATTEMPT_FIRST_BYTE_TIMEOUT, 0},
        {"half a head", half_head, SHORT_MS, LONG, NONE, NONE, ATTEMPT_FIRST_BYTE_TIMEOUT, 0},
        {"100 only", only_100, SHORT_MS, LONG, NONE, NONE, ATTEMPT_FIRST_BYTE_TIMEOUT, 0},
        {"no body", only_head, SHORT_MS * 20, SHORT_MS, NONE, NONE, ATTEMPT_IDLE_TIMEOUT, 200},
        {"half a body", half_body, LONG, SHORT_MS, LONG, LONG, ATTEMPT_IDLE_TIMEOUT, 200},
        {"total, no answer", silent, LONG, LONG, SHORT_MS, NONE, ATTEMPT_TOTAL_TIMEOUT, 0},
        {"total, no other", silent, NONE, NONE, SHORT_MS, NONE, ATTEMPT_TOTAL_TIMEOUT, 0},
        {"total, half a body", half_body, LONG, LONG, SHORT_MS * 4, NONE, ATTEMPT_TOTAL_TIMEOUT,
         200},
        {"deadline", silent, LONG, LONG, NONE, SHORT_MS, ATTEMPT_TOTAL_TIMEOUT, 0},
        {"deadline before total", silent, LONG, LONG, LONG, SHORT_MS, ATTEMPT_TOTAL_TIMEOUT, 0},
        {"deadline that is over", silent, LONG, LONG, LONG, -SHORT_MS, ATTEMPT_TOTAL_TIMEOUT, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, &rows[i].script);
        struct upstream_target target = target_of(server.url);
        target.first_byte_timeout_ms = rows[i].first_byte;
        target.idle_timeout_ms = rows[i].idle;
        target.total_timeout_ms = rows[i].total;
        struct attempt_request request = {
            .target = &target, .method = SLICE("POST"), .path = SLICE("/x"), .body = SLICE("{}")};
        if (rows[i].deadline != NONE)
            request.deadline_ms = (int64_t)clock_mono_ms() + rows[i].deadline;
        struct probe p = {0};
        probe_start(&p, &s, &request);
        probe_wait(&p);
        assert_end(&p, rows[i].end, rows[i].name);
        assert_int_equal(p.result.status, rows[i].status);
        assert_true(p.result.detail.len > 0);
        // The connection goes with it.
        if (server.requests > 0)
            scene_run_until(&s, &server.closed, 1);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
    }
}

// A provider that does not read a large request gets no longer than one that
// does not answer it.
static void test_request_that_is_not_read(void **state) {
    (void)state;
    enum { SIZE = 16 << 20 };
    char url[64];
    int fd = deaf_listener(url, sizeof url, "http", false);
    struct scene s;
    scene_open(&s);
    char *body = base_calloc(1, SIZE);
    struct upstream_target target = target_of(url);
    target.first_byte_timeout_ms = SHORT_MS;
    struct attempt_request request = {.target = &target,
                                      .method = SLICE("POST"),
                                      .path = SLICE("/x"),
                                      .body = slice_make(body, SIZE)};
    struct probe p = {0};
    probe_start(&p, &s, &request);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_FIRST_BYTE_TIMEOUT, "unread request");
    assert_true(p.result.sent);
    probe_free(&p);
    scene_close(&s);
    free(body);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_unknown_names_in_a_row),
        cmocka_unit_test(test_the_resolver_does_not_block),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_connect_timeouts),
        cmocka_unit_test(test_nothing_of_the_last_attempt_is_told),
        cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_reset_amid_body),
        cmocka_unit_test(test_large_request_is_cut),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_request_that_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
