// Cancelling at every stage, from outside and from within each callback: no
// call afterwards, and the connection closed.
#include "scene.h"

static const struct step silent[] = {READ, WAIT_CLOSE, END};
static const struct step half_answer[] = {
    READ, WRITE("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), WAIT_CLOSE, END};
static const struct step whole_answer[] = {READ, WRITE(ANSWER_OK), AGAIN};

static void open_both(struct scene *s, struct server *server, const struct step *const *script) {
    scene_open(s);
    server_open_one(server, script);
}

static void close_both(struct scene *s, struct server *server) {
    scene_close(s);
    server_close(server);
}

// The loop does not run, and yet the provider sees the connection go.
static void wait_for_close_without_loop(struct server *server) {
    for (uint64_t start = clock_mono_ms(); server->closed == 0;) {
        sched_yield();
        assert_true(clock_mono_ms() - start < 10000);
    }
}

// ------------------------------------------------------------- from outside

static void test_before_anything(void **state) {
    (void)state;
    static const struct step *const scripts[] = {silent};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    for (int i = 0; i < 10; i++) {
        struct probe p = {0};
        probe_start_url(&p, &s, server.url);
        probe_cancel(&p);
        scene_turn(&s, 3);
        assert_int_equal(p.heads + p.datas + p.done, 0);
    }
    assert_int_equal(server.requests, 0);
    assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
    close_both(&s, &server);
}

static void test_while_connecting(void **state) {
    (void)state;
    static const struct step *const scripts[] = {silent};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    for (int turns = 1; turns < 8; turns++) {
        struct probe p = {0};
        probe_start_url(&p, &s, server.url);
        scene_turn(&s, turns);
        assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 1);
        probe_cancel(&p);
        assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
        scene_turn(&s, 3);
        assert_int_equal(p.heads + p.datas + p.done, 0);
    }
    close_both(&s, &server);
}

static void test_after_the_request(void **state) {
    (void)state;
    static const struct step *const scripts[] = {silent};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    scene_run_until(&s, &server.requests, 1);
    probe_cancel(&p);
    wait_for_close_without_loop(&server);
    scene_turn(&s, 3);
    assert_int_equal(p.heads + p.datas + p.done, 0);
    close_both(&s, &server);
}

static void test_amid_the_body(void **state) {
    (void)state;
    static const struct step *const scripts[] = {half_answer};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    struct probe p = {0};
    probe_start_url(&p, &s, server.url);
    while (p.body.len < 2)
        event_base_loop(s.loop, EVLOOP_ONCE);
    probe_cancel(&p);
    wait_for_close_without_loop(&server);
    scene_turn(&s, 3);
    assert_int_equal(p.done, 0);
    probe_free(&p);
    close_both(&s, &server);
}

static void test_when_the_end_is_due(void **state) {
    (void)state;
    static const struct step *const scripts[] = {silent};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    struct upstream_target target = target_of(server.url);
    struct attempt_request request = {
        .target = &target, .method = SLICE("PO ST"), .path = SLICE("/")};
    struct probe p = {0};
    probe_start(&p, &s, &request); // on_done is due with the loop's next turn
    probe_cancel(&p);
    scene_turn(&s, 3);
    assert_int_equal(p.done, 0);
    close_both(&s, &server);
}

static void test_with_the_loop(void **state) {
    (void)state;
    static const struct step *const scripts[] = {half_answer};
    struct server server;
    struct scene s;
    open_both(&s, &server, scripts);
    struct upstream_target target = target_of(server.url);
    target.max_inflight = 3;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/")};
    struct probe p[6] = {{0}};
    for (size_t i = 0; i < 5; i++)
        probe_start(&p[i], &s, &request);
    while (p[0].body.len + p[1].body.len < 4)
        event_base_loop(s.loop, EVLOOP_ONCE);
    attempt_pause(p[1].attempt);
    request.method = SLICE("\n");
    target.max_inflight = 0;
    probe_start(&p[5], &s, &request);
    scene_close(&s);
    for (size_t i = 0; i < FARTHING_COUNT(p); i++) {
        assert_int_equal(p[i].done, 0);
        probe_free(&p[i]);
    }
    server_close(&server);
}

// ------------------------------------------------------- from the callbacks

static void cancel_self(struct probe *p) {
    probe_cancel(p);
}

static void test_from_the_callbacks(void **state) {
    (void)state;
    static const struct step *const scripts[] = {half_answer};
    for (int where = 0; where < 2; where++) {
        struct scene s;
        struct server server;
        open_both(&s, &server, scripts);
        struct probe p = {0};
        *(where == 0 ? &p.in_head : &p.in_data) = cancel_self;
        probe_start_url(&p, &s, server.url);
        while (!p.cancelled)
            event_base_loop(s.loop, EVLOOP_ONCE);
        wait_for_close_without_loop(&server); // closed before that turn was over
        assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
        scene_turn(&s, 3);
        assert_int_equal(p.heads, 1);
        assert_int_equal(p.datas, where);
        assert_int_equal(p.done, 0);
        probe_free(&p);
        close_both(&s, &server);
    }
}

static void test_from_on_head_with_all_there(void **state) {
    (void)state;
    static const struct step *const scripts[] = {whole_answer};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    for (int i = 0; i < 5; i++) {
        struct probe p = {.in_head = cancel_self};
        probe_start_url(&p, &s, server.url);
        while (!p.cancelled)
            event_base_loop(s.loop, EVLOOP_ONCE);
        scene_turn(&s, 3);
        assert_int_equal(p.datas + p.done, 0);
    }
    close_both(&s, &server);
}

static void cancel_without_noting(struct probe *p) {
    attempt_cancel(p->attempt);
    attempt_pause(p->attempt);
    attempt_resume(p->attempt);
}

static void test_from_on_done(void **state) {
    (void)state;
    static const struct step *const scripts[] = {whole_answer};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    struct probe p = {.in_done = cancel_without_noting};
    probe_start_url(&p, &s, server.url);
    probe_wait(&p);
    assert_end(&p, ATTEMPT_OK, "cancelled when done");
    probe_free(&p);
    close_both(&s, &server);
}

static void pause_resume_cancel(struct probe *p) {
    attempt_pause(p->attempt);
    attempt_resume(p->attempt);
    struct attempt *a = p->attempt;
    probe_cancel(p);
    attempt_pause(a); // still inside libcurl, so still there
    attempt_resume(a);
    attempt_cancel(a);
}

static void test_cancelled_is_deaf(void **state) {
    (void)state;
    static const struct step *const scripts[] = {half_answer};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    struct probe p = {.in_data = pause_resume_cancel};
    probe_start_url(&p, &s, server.url);
    while (!p.cancelled)
        event_base_loop(s.loop, EVLOOP_ONCE);
    scene_turn(&s, 3);
    assert_int_equal(p.datas, 1);
    assert_int_equal(p.done, 0);
    probe_free(&p);
    close_both(&s, &server);
}

// ---------------------------------------------------------- one the others'

static void cancel_others(struct probe *p) {
    for (struct probe **other = p->arg; *other != NULL; other++)
        if (*other != p && (*other)->attempt != NULL)
            probe_cancel(*other);
}

// Whichever callback comes first cancels all the rest, whatever their stage.
static void test_others(void **state) {
    (void)state;
    static const struct step *const scripts[] = {whole_answer};
    enum { COUNT = 12, STAGES = 3 };
    for (int stage = 0; stage < STAGES; stage++) {
        struct scene s;
        struct server server;
        open_both(&s, &server, scripts);
        struct upstream_target target = target_of(server.url);
        target.max_inflight = COUNT - 4;
        struct attempt_request request = {
            .target = &target, .method = SLICE("POST"), .path = SLICE("/x")};
        struct probe probes[COUNT] = {{0}};
        struct probe *all[COUNT + 1] = {NULL};
        for (size_t i = 0; i < COUNT; i++) {
            struct probe *p = all[i] = &probes[i];
            p->arg = all;
            *(stage == 0 ? &p->in_head : stage == 1 ? &p->in_data : &p->in_done) = cancel_others;
            probe_start(p, &s, &request);
        }
        int done = 0, cancelled = 0;
        while (done + cancelled < COUNT) {
            event_base_loop(s.loop, EVLOOP_ONCE);
            done = cancelled = 0;
            for (size_t i = 0; i < COUNT; i++) {
                done += probes[i].done;
                cancelled += probes[i].cancelled;
            }
        }
        assert_int_equal(done, 1);
        assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
        for (size_t i = 0; i < COUNT; i++)
            probe_free(&probes[i]);
        close_both(&s, &server);
    }
}

// The body is the caller's again once cancelled: libcurl, which may be amid
// its work on several attempts, must not read it any more.
struct doomed {
    struct probe probe;
    char *body;
};

static void cancel_doomed(struct probe *p) {
    struct doomed *d = p->arg;
    buffer_clear(&p->body);
    if (p->datas == 1) {
        attempt_pause(p->attempt);
    } else if (p->datas == 3) { // the second is what was held back, and comes before
        probe_cancel(&d->probe);
        free(d->body);
    }
}

static void start_named(struct probe *p, struct scene *s, const char *name, const char *url,
                        struct slice body) {
    struct upstream_target target = target_of(url);
    target.name = slice_of(name);
    target.max_inflight = 1;
    struct attempt_request request = {
        .target = &target, .method = SLICE("POST"), .path = SLICE("/x"), .body = body};
    probe_start(p, s, &request);
}

// In one turn of the loop a paused attempt is resumed and one that waited for a
// place is given to libcurl, which then takes up both, the former first: it
// cancels the other, which has an idle connection to begin on at once. (Each
// has its target's first handle, so they are with the same multi handle.)
static void test_body_is_not_read_after_cancel(void **state) {
    (void)state;
    static const struct step flood[] = {READ, WRITE("HTTP/1.1 200 OK\r\n\r\n"),
                                        FLOOD((size_t)1 << 40), END};
    static const struct step *const floods[] = {flood}, *const silence[] = {silent},
                                    *const quick[] = {whole_answer};
    enum { SIZE = 50000 };
    struct scene s;
    struct server flooding, holding, answering;
    scene_open(&s);
    server_open_one(&flooding, floods);
    server_open_one(&holding, silence);
    server_open_one(&answering, quick);
    struct probe warm = {0}, holder = {0}, flooded = {.in_data = cancel_doomed};
    struct doomed doomed = {.body = base_calloc(1, SIZE)};
    flooded.arg = &doomed;
    probe_start_url(&warm, &s, answering.url);
    probe_wait(&warm);
    start_named(&holder, &s, "held", holding.url, SLICE("{}"));
    start_named(&doomed.probe, &s, "held", answering.url, slice_make(doomed.body, SIZE));
    start_named(&flooded, &s, "flood", flooding.url, SLICE("{}"));
    scene_run_until(&s, &flooding.stalled, 1);
    attempt_resume(flooded.attempt);
    probe_cancel(&holder);
    while (flooded.datas < 3)
        event_base_loop(s.loop, EVLOOP_ONCE);
    assert_true(doomed.probe.cancelled);
    scene_turn(&s, 5);
    assert_int_equal(answering.requests, 1);
    probe_cancel(&flooded);
    probe_free(&warm);
    probe_free(&flooded);
    scene_close(&s);
    server_close(&flooding);
    server_close(&holding);
    server_close(&answering);
}

static void forget_body(struct probe *p) {
    buffer_clear(&p->body);
}

// Like a timeout, which ends an attempt before libcurl lets go of it.
static void test_other_that_is_ending(void **state) {
    (void)state;
    static const struct step flood[] = {READ, WRITE("HTTP/1.1 200 OK\r\n\r\n"),
                                        FLOOD((size_t)1 << 40), END};
    static const struct step *const scripts[] = {flood};
    struct scene s;
    struct server server;
    open_both(&s, &server, scripts);
    struct upstream_target target = target_of(server.url);
    for (int i = 0; i < 20; i++) {
        struct attempt_request request = {.target = &target,
                                          .method = SLICE("POST"),
                                          .path = SLICE("/x"),
                                          .deadline_ms = (int64_t)clock_mono_ms() + 20};
        struct probe a = {0}, b = {0};
        struct probe *all[] = {&a, &b, NULL};
        a.arg = b.arg = all;
        probe_start(&a, &s, &request);
        probe_start(&b, &s, &request);
        a.in_data = b.in_data = forget_body;
        a.in_done = b.in_done = cancel_others;
        while (!(a.done || a.cancelled) || !(b.done || b.cancelled))
            event_base_loop(s.loop, EVLOOP_ONCE);
        assert_int_equal(a.done + b.done, 1);
        assert_end(a.done ? &a : &b, ATTEMPT_TOTAL_TIMEOUT, "flood");
        probe_free(&a);
        probe_free(&b);
    }
    close_both(&s, &server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_anything),
        cmocka_unit_test(test_while_connecting),
        cmocka_unit_test(test_after_the_request),
        cmocka_unit_test(test_amid_the_body),
        cmocka_unit_test(test_when_the_end_is_due),
        cmocka_unit_test(test_with_the_loop),
        cmocka_unit_test(test_from_the_callbacks),
        cmocka_unit_test(test_from_on_head_with_all_there),
        cmocka_unit_test(test_from_on_done),
        cmocka_unit_test(test_cancelled_is_deaf),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_body_is_not_read_after_cancel),
        cmocka_unit_test(test_other_that_is_ending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
