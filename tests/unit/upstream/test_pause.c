// Back-pressure: who reads slowly slows the provider down, and nothing piles
// up in between.
#include "scene.h"

enum {
    FLOOD_BYTES = 64 << 20,
    // What a paused attempt may let through: the kernel's buffers at both ends
    // (as much as tcp_rmem allows for the receiving one) and libcurl's one.
    HELD_BYTES = 16 << 20,
};

static const struct step flood[] = {READ,
                                    WRITE("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n"),
                                    FLOOD(FLOOD_BYTES), WAIT_CLOSE, END};
static const struct step *const flood_only[] = {flood};

static void pause_self(struct probe *p) {
    attempt_pause(p->attempt);
}

static void pause_first(struct probe *p) {
    if (p->datas <= 1)
        attempt_pause(p->attempt);
}

static void start_with_timeouts(struct probe *p, struct scene *s, const char *url, int64_t ms) {
    struct upstream_target target = target_of(url);
    target.first_byte_timeout_ms = target.idle_timeout_ms = ms;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/")};
    probe_start(p, s, &request);
}

// The timeouts rest while paused: another attempt's, which is not, shows that
// they were looked at. The clock stands still but for one leap, so that a busy
// machine makes no timeout of its own.
static void test_a_pause_holds_the_provider(void **state) {
    (void)state;
    static const struct step silent[] = {READ, WAIT_CLOSE, END};
    static const struct step *const silent_only[] = {silent};
    enum { START_MS = 1000, TIMEOUT_MS = 100 };
    for (int where = 0; where < 2; where++) {
        struct scene s;
        struct server server, other;
        clock_freeze(0, START_MS * 1000000ull);
        scene_open(&s);
        server_open_one(&server, flood_only);
        server_open_one(&other, silent_only);
        struct probe p = {0}, waits = {0};
        *(where == 0 ? &p.in_head : &p.in_data) = pause_first;
        start_with_timeouts(&p, &s, server.url, TIMEOUT_MS);
        start_with_timeouts(&waits, &s, other.url, TIMEOUT_MS);
        scene_run_until(&s, &server.stalled, 1);
        scene_run_until(&s, &other.requests, 1);
        clock_freeze(0, (START_MS + 10 * TIMEOUT_MS) * 1000000ull);
        probe_wait(&waits);
        assert_end(&waits, ATTEMPT_FIRST_BYTE_TIMEOUT, "not paused");
        assert_int_equal(p.datas, where);
        assert_true(server.flooded < HELD_BYTES);
        assert_int_equal(p.done, 0);
        attempt_resume(p.attempt);
        assert_int_equal(p.datas, where); // not from within attempt_resume
        probe_wait(&p);
        assert_end(&p, ATTEMPT_OK, "resumed");
        assert_int_equal(p.body.len, FLOOD_BYTES);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
        server_close(&other);
        clock_thaw();
    }
}

// An answer that comes as fast as it is read leaves the loop to others: after
// each turn a pause holds it, and a timer that was due has run.
static size_t held_by_timer;

static void note_len(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    held_by_timer = ((struct probe *)arg)->body.len;
}

static void arm_first(struct probe *p) {
    const struct timeval at_once = {0, 0};
    if (p->datas == 1)
        event_add(p->arg, &at_once);
}

static void test_a_flood_leaves_the_loop_to_others(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, flood_only);
    struct probe p = {.in_head = pause_self, .in_data = arm_first};
    struct event *timer = evtimer_new(s.loop, note_len, &p);
    p.arg = timer;
    held_by_timer = 0;
    probe_start_url(&p, &s, server.url);
    scene_run_until(&s, &server.stalled, 1); // much is there to be read at once
    attempt_resume(p.attempt);
    probe_wait(&p);
    assert_in_range(held_by_timer, 1, HELD_BYTES);
    event_free(timer);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

static void test_pause_from_outside(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, flood_only);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    while (p.datas == 0)
        event_base_loop(s.loop, EVLOOP_ONCE);
    attempt_pause(p.attempt);
    attempt_pause(p.attempt); // twice is once
    int datas = p.datas;
    scene_run_until(&s, &server.stalled, 1);
    assert_int_equal(p.datas, datas);
    assert_true(server.flooded < HELD_BYTES + p.body.len);
    probe_cancel(&p);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

static const struct step two_pieces[] = {
    READ,
    WRITE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "1\r\na\r\n"),
    GATE(1), WRITE("1\r\nb\r\n0\r\n\r\n"), AGAIN};
static const struct step *const two_pieces_only[] = {two_pieces};

// A pause after a resume that has not come to pass yet counts.
static void test_the_last_word_counts(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, two_pieces_only);
    struct probe p = {.in_data = pause_first};
    probe_start_url(&p, &s, server.url);
    while (p.datas == 0)
        event_base_loop(s.loop, EVLOOP_ONCE);
    server_open_gate(&server);
    attempt_resume(p.attempt);
    attempt_resume(p.attempt);
    attempt_pause(p.attempt);
    scene_turn(&s, 50);
    assert_int_equal(p.datas, 1);
    attempt_pause(p.attempt);
    attempt_resume(p.attempt);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "the last word");
    assert_body(&p, "ab");
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

static void test_resume_when_not_paused(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, two_pieces_only);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    attempt_resume(p.attempt);
    server_open_gate(&server);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "never paused");
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

// Paused before the provider has anything to say, or even been reached.
static void test_pause_at_once(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, flood_only);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    attempt_pause(p.attempt);
    scene_run_until(&s, &server.stalled, 1);
    assert_int_equal(p.datas, 0);
    attempt_resume(p.attempt);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "paused at once");
    assert_int_equal(p.body.len, FLOOD_BYTES);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

// While it waits for a place, too.
static void test_pause_in_the_queue(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, flood_only);
    struct upstream_target target = target_of(server.url);
    target.max_inflight = 1;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/")};
    struct probe first = {0}, second = {0}, third = {0};
    probe_start(&first, &s, &request);
    probe_start(&second, &s, &request);
    probe_start(&third, &s, &request);
    attempt_pause(second.attempt);
    attempt_pause(third.attempt);
    attempt_resume(third.attempt);
    probe_cancel(&first);
    scene_run_until(&s, &server.stalled, 1);
    assert_int_equal(second.datas, 0);
    probe_cancel(&second);
    probe_wait(&third);
    assert_int_equal(third.body.len, FLOOD_BYTES);
    probe_free(&third);
    scene_close(&s);
    server_close(&server);
}

static void resume_later(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    attempt_resume(((struct probe *)arg)->attempt);
}

static void pause_and_resume_later(struct probe *p) {
    attempt_pause(p->attempt);
    event_active(p->arg, 0, 0);
}

static void pause_and_resume(struct probe *p) {
    attempt_pause(p->attempt);
    attempt_resume(p->attempt);
}

static void test_paused_at_every_piece(void **state) {
    (void)state;
    void (*const ways[])(struct probe *) = {pause_and_resume_later, pause_and_resume};
    for (size_t i = 0; i < FARTHING_COUNT(ways); i++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, flood_only);
        struct probe p = {.in_head = ways[i], .in_data = ways[i]};
        struct event *later = event_new(s.loop, -1, 0, resume_later, &p);
        p.arg = later;
        probe_start_url(&p, &s, server.url);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_OK, "paused often");
        assert_int_equal(p.body.len, FLOOD_BYTES);
        event_free(later);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
    }
}

// Many resumed in one turn of the loop, some of which cancel others.
static void cancel_neighbour(struct probe *p) {
    struct probe *next = p->arg;
    if (p->datas > 1 && next->attempt != NULL)
        probe_cancel(next);
}

static void pause_first_then_cancel_neighbour(struct probe *p) {
    pause_first(p);
    cancel_neighbour(p);
}

static void test_many_resumed_at_once(void **state) {
    (void)state;
    enum { COUNT = 16 };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, two_pieces_only);
    struct probe p[COUNT] = {{0}};
    for (size_t i = 0; i < COUNT; i++) {
        p[i].arg = &p[(i + 1) % COUNT];
        p[i].in_data = pause_first_then_cancel_neighbour;
        probe_start_url(&p[i], &s, server.url);
    }
    for (size_t i = 0; i < COUNT; i++)
        while (p[i].datas == 0)
            event_base_loop(s.loop, EVLOOP_ONCE);
    server_open_gate(&server);
    scene_turn(&s, 20); // their last pieces are there, and nobody takes them
    for (size_t i = 0; i < COUNT; i++)
        if (p[i].attempt != NULL)
            attempt_resume(p[i].attempt);
    for (size_t i = 0; i < COUNT; i++)
        while (!p[i].done && !p[i].cancelled)
            event_base_loop(s.loop, EVLOOP_ONCE);
    for (size_t i = 0; i < COUNT; i++)
        probe_free(&p[i]);
    assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
    scene_close(&s);
    server_close(&server);
}

// What was held back when paused may be too much: the end comes at once, not
// with the provider's next byte.
static void test_too_large_when_resumed(void **state) {
    (void)state;
    static const struct step script[] = {
        READ, WRITE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"),
        WAIT_CLOSE, END};
    static const struct step *const scripts[] = {script};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, scripts);
    struct upstream_target target = target_of(server.url);
    target.idle_timeout_ms = 0;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/"), .max_body_bytes = 5};
    struct probe p = {.in_head = pause_self};
    probe_start(&p, &s, &request);
    while (p.heads == 0)
        event_base_loop(s.loop, EVLOOP_ONCE);
    scene_turn(&s, 20);
    attempt_resume(p.attempt);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_TOO_LARGE, "held back");
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pause_holds_the_provider),
        cmocka_unit_test(test_a_flood_leaves_the_loop_to_others),
        cmocka_unit_test(test_pause_from_outside),
        cmocka_unit_test(test_the_last_word_counts),
        cmocka_unit_test(test_resume_when_not_paused),
        cmocka_unit_test(test_pause_at_once),
        cmocka_unit_test(test_pause_in_the_queue),
        cmocka_unit_test(test_paused_at_every_piece),
        cmocka_unit_test(test_many_resumed_at_once),
        cmocka_unit_test(test_too_large_when_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
