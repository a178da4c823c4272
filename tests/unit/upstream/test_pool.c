// Connections kept and reused, and places among max_inflight: on one loop and
// between loops.
#include "scene.h"

#include <unistd.h>

static const struct step answer_ok[] = {READ, WRITE(ANSWER_OK), AGAIN};
static const struct step *const always_ok[] = {answer_ok};

static void get_ok(struct scene *s, const char *url, bool reused) {
    struct probe p = {0};
    probe_start_url(&p, s, url);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "ok");
    assert_body(&p, "ok");
    assert_int_equal(p.result.reused, reused);
    probe_free(&p);
}

// -------------------------------------------------------------- connections

static void test_one_connection_serves_many(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    for (int i = 0; i < 50; i++)
        get_ok(&s, server.url, i > 0);
    assert_int_equal(server.accepted, 1);
    assert_int_equal(server.requests, 50);
    scene_close(&s);
    server_close(&server);
}

// Methods other than POST have a handle for themselves alone, but no connection.
static void test_methods_share_connections(void **state) {
    (void)state;
    static const char *const methods[] = {"POST", "GET", "GET", "POST", "DELETE"};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    for (size_t i = 0; i < 40; i++) {
        struct upstream_target target = target_of(server.url);
        struct attempt_request request = {.target = &target,
                                          .path = SLICE("/x"),
                                          .method = slice_of(methods[i % FARTHING_COUNT(methods)])};
        struct probe p = {0};
        probe_start(&p, &s, &request);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_OK, "one of several methods");
        probe_free(&p);
    }
    assert_in_range(server.accepted, 1, 2);
    scene_close(&s);
    server_close(&server);
}

static void test_as_many_as_are_running(void **state) {
    (void)state;
    enum { COUNT = 32 };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    for (int round = 0; round < 3; round++) {
        struct probe p[COUNT] = {{0}};
        for (size_t i = 0; i < COUNT; i++)
            probe_start_url(&p[i], &s, server.url);
        assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            probe_wait(&p[i]);
            assert_end(&p[i], ATTEMPT_OK, "one of many");
            probe_free(&p[i]);
        }
        assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
        assert_in_range(server.accepted, 1, COUNT);
    }
    scene_close(&s);
    server_close(&server);
}

static void test_not_after_close(void **state) {
    (void)state;
    static const struct step says_close[] = {
        READ, WRITE("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), AGAIN};
    static const struct step old[] = {READ, WRITE("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
                                      AGAIN};
    static const struct step more[] = {READ, WRITE(ANSWER_OK "HTTP/1.1 200 OK\r\n"), AGAIN};
    static const struct step *const scripts[] = {says_close, old, more};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open(&server, scripts, 3, NULL);
    for (int i = 0; i < 4; i++)
        get_ok(&s, server.url, false);
    assert_int_equal(server.accepted, 4);
    scene_close(&s);
    server_close(&server);
}

// The provider closes what it kept long enough: the next request goes on a
// connection of its own, and whoever asked sees nothing of it.
static void test_stale_connections(void **state) {
    (void)state;
    static const struct step closes[] = {READ, WRITE(ANSWER_OK), END};
    static const struct step resets[] = {READ, WRITE(ANSWER_OK), GATE(1), RESET};
    // Closes only when the next request is there: nobody can know before.
    static const struct step takes_one_more[] = {READ, WRITE(ANSWER_OK), READ, END};
    static const struct step *const kinds[] = {closes, resets, takes_one_more};
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        const struct step *const scripts[] = {kinds[i], answer_ok};
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open(&server, scripts, 2, NULL);
        get_ok(&s, server.url, false);
        server_open_gate(&server);
        if (kinds[i] != takes_one_more)
            scene_run_until(&s, &server.over, 1);
        get_ok(&s, server.url, false);
        assert_int_equal(server.accepted, 2);
        assert_int_equal(server.requests, kinds[i] == takes_one_more ? 3 : 2);
        get_ok(&s, server.url, true);
        scene_close(&s);
        server_close(&server);
    }
}

static void post(struct scene *s, struct server *server, struct slice body) {
    struct upstream_target target = target_of(server->url);
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/v1/x"), .body = body};
    struct probe p = {0};
    probe_start(&p, s, &request);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "ok");
    char *text = server_last_request(server);
    const char *got = strstr(text, "\r\n\r\n");
    assert_non_null(got);
    assert_true(slice_equal(slice_of(got + 4), body));
    free(text);
    probe_free(&p);
}

// Short or long, a body is sent whole, and again from its beginning where the provider
// took it over a connection that it then closed.
static void test_bodies_over_stale_connections(void **state) {
    (void)state;
    static const struct step takes_one_more[] = {READ, WRITE(ANSWER_OK), READ, END};
    static const struct step *const scripts[] = {takes_one_more, answer_ok};
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 3 << 20};
    for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
        struct buffer body = {0};
        for (size_t n = 0; n < sizes[i]; n++)
            buffer_append_char(&body, (char)('a' + n * 7 % 26));
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open(&server, scripts, 2, NULL);
        post(&s, &server, buffer_slice(&body));
        post(&s, &server, buffer_slice(&body));
        assert_int_equal(server.accepted, 2);
        assert_int_equal(server.requests, 3);
        scene_close(&s);
        server_close(&server);
        buffer_free(&body);
    }
}

static _Atomic int heard;

static void note_heard(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
    heard++;
}

// libcurl closes a socket that is given up while it connects without a word. The
// next to get its number may be the resolver's, and then somebody else's on the
// same loop, who must hear what is said to him.
static void test_numbers_of_sockets_come_back(void **state) {
    (void)state;
    enum { PIPES = 8 };
    struct scene s;
    scene_open(&s);
    struct probe given_up = {0}, unknown = {0};
    probe_start_url(&given_up, &s, "http://127.0.0.1:9"); // whoever may be there
    event_base_loop(s.loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    if (!given_up.done)
        probe_cancel(&given_up);
    probe_start_url(&unknown, &s, "http://nowhere.invalid");
    probe_wait(&unknown);
    int ends[PIPES][2];
    struct event *events[PIPES];
    heard = 0;
    for (size_t i = 0; i < PIPES; i++) {
        assert_int_equal(pipe(ends[i]), 0);
        events[i] = event_new(s.loop, ends[i][0], EV_READ, note_heard, NULL);
        event_add(events[i], NULL);
        assert_int_equal(write(ends[i][1], "x", 1), 1);
    }
    scene_run_until(&s, &heard, PIPES);
    for (size_t i = 0; i < PIPES; i++) {
        event_free(events[i]);
        close(ends[i][0]);
        close(ends[i][1]);
    }
    probe_free(&given_up);
    probe_free(&unknown);
    scene_close(&s);
}

static void test_targets_do_not_mix(void **state) {
    (void)state;
    static const struct step other[] = {
        READ, WRITE("HTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\nB"), AGAIN};
    static const struct step *const others[] = {other};
    struct scene s;
    struct server a, b;
    scene_open(&s);
    server_open_one(&a, always_ok);
    server_open_one(&b, others);
    for (int i = 0; i < 6; i++) {
        struct probe p = {0};
        probe_start_url(&p, &s, i % 2 == 0 ? a.url : b.url);
        probe_wait(&p);
        assert_body(&p, i % 2 == 0 ? "ok" : "B");
        probe_free(&p);
    }
    assert_int_equal(a.accepted + b.accepted, 2);
    scene_close(&s);
    server_close(&a);
    server_close(&b);
}

// ------------------------------------------- attempts that start in callbacks

static void start_next(struct probe *p) {
    probe_start_url(p->arg, p->scene, ((struct probe *)p->arg)->arg);
}

static void test_started_from_the_callbacks(void **state) {
    (void)state;
    for (int where = 0; where < 3; where++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, always_ok);
        struct probe next = {.arg = server.url}, p = {.arg = &next};
        *(where == 0 ? &p.in_head : where == 1 ? &p.in_data : &p.in_done) = start_next;
        probe_start_url(&p, &s, server.url);
        probe_wait(&p);
        probe_wait(&next);
        assert_end(&next, ATTEMPT_OK, "started from a callback");
        probe_free(&p);
        probe_free(&next);
        scene_close(&s);
        server_close(&server);
    }
}

// ------------------------------------------------------------- max_inflight

static void start_limited(struct probe *p, struct scene *s, struct slice name, const char *url,
                          int64_t max_inflight, int64_t first_byte_ms) {
    struct upstream_target target = target_of(url);
    target.name = name;
    target.max_inflight = max_inflight;
    target.first_byte_timeout_ms = first_byte_ms;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/x")};
    probe_start(p, s, &request);
}

static int order_of_ends;

static void note_order(struct probe *p) {
    p->arg = (void *)(intptr_t)++order_of_ends;
}

static void test_places_are_bounded_and_in_order(void **state) {
    (void)state;
    enum { COUNT = 20 };
    for (int64_t max = 1; max <= 4; max++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, always_ok);
        struct probe p[COUNT] = {{0}};
        order_of_ends = 0;
        for (size_t i = 0; i < COUNT; i++) {
            p[i].in_done = note_order;
            start_limited(&p[i], &s, SLICE("limited"), server.url, max, 10000);
        }
        assert_int_equal(upstream_inflight(s.shared, SLICE("limited")), max);
        for (size_t i = 0; i < COUNT; i++) {
            probe_wait(&p[i]);
            assert_end(&p[i], ATTEMPT_OK, "limited");
            assert_true(p[i].result.queue_ms >= 0);
            assert_true(p[i].result.queue_ms <= p[i].result.latency_ms);
            if (max == 1) // the first come is the first served
                assert_int_equal((intptr_t)p[i].arg, i + 1);
            probe_free(&p[i]);
        }
        assert_in_range(server.most_active, 1, max);
        assert_in_range(server.accepted, 1, max);
        assert_int_equal(upstream_inflight(s.shared, SLICE("limited")), 0);
        scene_close(&s);
        server_close(&server);
    }
}

static void test_a_full_target_holds_up_no_other(void **state) {
    (void)state;
    static const struct step held[] = {READ, GATE(1), WRITE(ANSWER_OK), AGAIN};
    static const struct step *const all_held[] = {held};
    struct scene s;
    struct server slow, quick;
    scene_open(&s);
    server_open_one(&slow, all_held);
    server_open_one(&quick, always_ok);
    struct probe a = {0}, b = {0}, c = {0}, d = {0};
    start_limited(&a, &s, SLICE("slow"), slow.url, 1, 10000);
    start_limited(&b, &s, SLICE("slow"), slow.url, 1, 10000);
    start_limited(&c, &s, SLICE("quick"), quick.url, 1, 10000);
    start_limited(&d, &s, SLICE("quick"), quick.url, 1, 10000);
    probe_wait(&c);
    probe_wait(&d);
    assert_int_equal(a.done + b.done, 0);
    assert_int_equal(upstream_inflight(s.shared, SLICE("slow")), 1);
    server_open_gate(&slow);
    probe_wait(&b);
    assert_int_equal(a.done, 1);
    probe_free(&a);
    probe_free(&b);
    probe_free(&c);
    probe_free(&d);
    scene_close(&s);
    server_close(&slow);
    server_close(&quick);
}

static void test_waiting_ends(void **state) {
    (void)state;
    static const struct step held[] = {READ, GATE(1), WRITE(ANSWER_OK), AGAIN};
    static const struct step *const all_held[] = {held};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, all_held);
    struct probe running = {0}, impatient = {0}, cancelled = {0}, patient = {0};
    start_limited(&running, &s, SLICE("m"), server.url, 1, 0);
    start_limited(&impatient, &s, SLICE("m"), server.url, 1, 50);
    start_limited(&cancelled, &s, SLICE("m"), server.url, 1, 0);
    start_limited(&patient, &s, SLICE("m"), server.url, 1, 0);
    probe_wait(&impatient);
    assert_end(&impatient, ATTEMPT_QUEUE_TIMEOUT, "impatient");
    assert_false(impatient.result.sent);
    assert_false(impatient.result.reused);
    assert_true(impatient.result.detail.len > 0);
    assert_int_equal(impatient.result.queue_ms, impatient.result.latency_ms);
    attempt_pause(patient.attempt); // there is nothing to pause yet
    attempt_resume(patient.attempt);
    probe_cancel(&cancelled);
    assert_int_equal(upstream_inflight(s.shared, SLICE("m")), 1);
    probe_cancel(&running); // its place goes to the next
    scene_run_until(&s, &server.requests, 2);
    server_open_gate(&server);
    probe_wait(&patient);
    assert_end(&patient, ATTEMPT_OK, "patient");
    probe_free(&patient);
    scene_close(&s);
    server_close(&server);
}

// ------------------------------------------------------------ several loops

enum { LOOPS = 3, EACH = 60, SHARED_MAX = 4 };

struct worker {
    struct upstream_shared *shared;
    const char *url;
    pthread_t thread;
    struct event_base *loop;
    struct upstream *upstream;
    int started, ended, bad;
};

static void start_another(struct worker *w);

static void on_worker_done(void *arg, const struct attempt_result *result) {
    struct worker *w = arg;
    w->bad += result->end != ATTEMPT_OK;
    if (++w->ended == EACH)
        event_base_loopbreak(w->loop);
    else if (w->started < EACH)
        start_another(w);
}

static void on_worker_head(void *arg, const struct attempt_head *head) {
    ((struct worker *)arg)->bad += head->status != 200;
}

static void on_worker_data(void *arg, struct slice data) {
    ((struct worker *)arg)->bad += !slice_equal(data, SLICE("ok"));
}

static void start_another(struct worker *w) {
    static const struct attempt_events events = {on_worker_head, on_worker_data, on_worker_done};
    struct upstream_target target = target_of(w->url);
    target.max_inflight = SHARED_MAX;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/x")};
    w->started++;
    attempt_start(w->upstream, &request, &events, w);
}

static void *run_worker(void *arg) {
    struct worker *w = arg;
    w->loop = event_base_new();
    w->upstream = upstream_new(w->loop, w->shared);
    for (int i = 0; i < SHARED_MAX; i++)
        start_another(w);
    event_base_loop(w->loop, EVLOOP_NO_EXIT_ON_EMPTY);
    upstream_free(w->upstream);
    event_base_free(w->loop);
    return NULL;
}

// A place that one loop gives back wakes those who wait on another.
static void test_loops_share_places(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    struct worker workers[LOOPS];
    for (size_t i = 0; i < LOOPS; i++) {
        workers[i] = (struct worker){.shared = s.shared, .url = server.url};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].bad, 0);
        assert_int_equal(workers[i].ended, EACH);
    }
    assert_int_equal(server.requests, LOOPS * EACH);
    assert_in_range(server.most_active, 1, SHARED_MAX);
    assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
    scene_close(&s);
    server_close(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_connection_serves_many),
        cmocka_unit_test(test_methods_share_connections),
        cmocka_unit_test(test_as_many_as_are_running),
        cmocka_unit_test(test_not_after_close),
        cmocka_unit_test(test_stale_connections),
        cmocka_unit_test(test_bodies_over_stale_connections),
        cmocka_unit_test(test_numbers_of_sockets_come_back),
        cmocka_unit_test(test_targets_do_not_mix),
        cmocka_unit_test(test_started_from_the_callbacks),
        cmocka_unit_test(test_places_are_bounded_and_in_order),
        cmocka_unit_test(test_a_full_target_holds_up_no_other),
        cmocka_unit_test(test_waiting_ends),
        cmocka_unit_test(test_loops_share_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
