// Places among max_inflight: turns by tenant and weight over all loops, leaving
// at every moment, limits that change, adaptive limits, figures.
//
// Where two loops are needed one thread turns both, so that a grant can be kept
// on its way for as long as a test likes.
#include "scene.h"

static const struct step held[] = {READ, GATE(1), WRITE(ANSWER_OK), AGAIN};
static const struct step *const all_held[] = {held};
static const struct step answer_ok[] = {READ, WRITE(ANSWER_OK), AGAIN};
static const struct step *const always_ok[] = {answer_ok};

struct wish {
    int64_t max;
    bool adaptive;
    const char *tenant;
    unsigned weight;
    int64_t patience_ms, deadline_ms; // 0: none
};

static void start(struct probe *p, struct scene *s, const char *url, struct wish wish) {
    struct upstream_target target = target_of(url);
    target.max_inflight = wish.max;
    target.adaptive_inflight = wish.adaptive;
    target.first_byte_timeout_ms = wish.patience_ms;
    struct attempt_request request = {.target = &target,
                                      .method = SLICE("POST"),
                                      .path = SLICE("/x"),
                                      .tenant = slice_of(wish.tenant),
                                      .weight = wish.weight,
                                      .deadline_ms = wish.deadline_ms};
    probe_start(p, s, &request);
}

static void keep_mock(void *arg, const struct upstream_places_view *view) {
    if (slice_equal(view->name, SLICE("mock")))
        *(struct upstream_places_view *)arg = *view;
}

static struct upstream_places_view view_of(struct scene *s) {
    struct upstream_places_view view = {0};
    upstream_places(s->shared, keep_mock, &view);
    return view;
}

static void assert_places(struct scene *s, int64_t inflight, int64_t limit, int64_t waiting) {
    struct upstream_places_view v = view_of(s);
    if (v.inflight != inflight || v.limit != limit || v.waiting != waiting)
        fail_msg("%d in flight of %d, %d wait; not %d of %d, %d", (int)v.inflight, (int)v.limit,
                 (int)v.waiting, (int)inflight, (int)limit, (int)waiting);
}

// A second loop that shares the first one's places.
static void open_beside(struct scene *s, const struct scene *first) {
    *s = (struct scene){.loop = event_base_new(), .shared = first->shared};
    s->upstream = upstream_new(s->loop, s->shared);
}

static void close_beside(struct scene *s) {
    upstream_free(s->upstream);
    event_base_free(s->loop);
}

static void run_both(struct scene *a, struct scene *b, const _Atomic int *value, int wanted) {
    for (int turns = 0; atomic_load(value) < wanted; turns++) {
        event_base_loop(a->loop, EVLOOP_ONCE); // its tick wakes it
        event_base_loop(b->loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (turns > 20000)
            fail_msg("waited in vain: %d of %d", atomic_load(value), wanted);
    }
}

// ------------------------------------------------------------ turns by weight

enum { GUESTS = 60 };
static char order[2 * GUESTS + 1]; // of tenants, as they were served
static int ticket_of_turn[2 * GUESTS];
static _Atomic int turns;

struct guest {
    struct probe probe; // first
    char tenant;
    int ticket;
};

static void note_turn(struct probe *p) {
    struct guest *g = (struct guest *)p;
    int turn = turns++;
    order[turn] = g->tenant;
    ticket_of_turn[turn] = g->ticket;
}

static int count_in(const char *text, int len, char c) {
    int count = 0;
    for (int i = 0; i < len; i++)
        count += text[i] == c;
    return count;
}

// One place, two loops; tenant a counts three times as much as b. The order of
// heads is the order of turns: there is one place.
static void test_turns_over_two_loops(void **state) {
    (void)state;
    struct scene s[2];
    struct server server;
    scene_open(&s[0]);
    open_beside(&s[1], &s[0]);
    server_open_one(&server, always_ok);
    struct probe blocker = {0};
    start(&blocker, &s[0], server.url, (struct wish){.max = 1, .tenant = "c"});
    static struct guest guests[2 * GUESTS];
    turns = 0;
    for (int i = 0; i < 2 * GUESTS; i++) {
        struct guest *g = &guests[i];
        *g = (struct guest){.tenant = i < GUESTS ? 'b' : 'a', .ticket = i};
        g->probe.in_head = note_turn;
        char name[] = {g->tenant, '\0'};
        start(&g->probe, &s[i % 2], server.url,
              (struct wish){.max = 1, .tenant = name, .weight = g->tenant == 'a' ? 3 : 0});
    }
    assert_places(&s[0], 1, 1, 2 * GUESTS);
    probe_cancel(&blocker);
    run_both(&s[0], &s[1], &turns, 2 * GUESTS);
    for (int len = 8; len <= GUESTS; len += 4) // while both have somebody waiting
        assert_in_range(count_in(order, len, 'a'), len * 3 / 4 - 1, len * 3 / 4 + 1);
    int last['c'] = {0};
    for (int i = 0; i < 2 * GUESTS; i++) { // first come, first served, whichever the loop
        assert_true(ticket_of_turn[i] >= last[(int)order[i]]);
        last[(int)order[i]] = ticket_of_turn[i];
    }
    for (int i = 0; i < 2 * GUESTS; i++) {
        run_both(&s[0], &s[1], &guests[i].probe.done, 1);
        assert_end(&guests[i].probe, ATTEMPT_OK, "a guest");
        probe_free(&guests[i].probe);
    }
    assert_int_equal(server.most_active, 1);
    assert_places(&s[0], 0, 1, 0);
    close_beside(&s[1]);
    scene_close(&s[0]);
    server_close(&server);
}

// ------------------------------------------------------------------- leaving

static void test_leaving_the_queue(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, all_held);
    const struct wish wish = {.max = 1, .tenant = "t"};
    struct probe p[5] = {{0}};
    for (size_t i = 0; i < FARTHING_COUNT(p); i++)
        start(&p[i], &s, server.url, wish);
    assert_places(&s, 1, 1, 4);
    probe_cancel(&p[2]);
    assert_places(&s, 1, 1, 3); // at once
    probe_cancel(&p[1]);
    probe_cancel(&p[4]);
    assert_places(&s, 1, 1, 1);
    probe_cancel(&p[0]);
    assert_places(&s, 1, 1, 0); // handed on
    probe_cancel(&p[3]);        // admitted, and not begun
    assert_places(&s, 0, 1, 0);
    scene_turn(&s, 20);
    assert_int_equal(server.accepted, 0);
    scene_close(&s);
    server_close(&server);
}

// The holder on one loop goes, the grant for another loop is on its way, and the
// one that it is for leaves: cancelled alone, or with his whole loop.
static void test_leaving_with_a_grant_on_its_way(void **state) {
    (void)state;
    for (int whole_loop = 0; whole_loop < 2; whole_loop++) {
        struct scene s[2];
        struct server server;
        scene_open(&s[0]);
        open_beside(&s[1], &s[0]);
        server_open_one(&server, always_ok);
        const struct wish wish = {.max = 1, .tenant = "t"};
        struct probe holder = {0}, gone = {0}, next = {0}, after = {0};
        start(&holder, &s[0], server.url, wish);
        start(&gone, &s[1], server.url, wish);
        start(&next, &s[0], server.url, wish);
        start(&after, &s[whole_loop ? 0 : 1], server.url, wish);
        probe_cancel(&holder);
        assert_places(&s[0], 1, 1, 2); // granted, though it does not know it yet
        if (whole_loop)
            close_beside(&s[1]);
        else
            probe_cancel(&gone);
        assert_places(&s[0], 1, 1, 1); // given on
        if (whole_loop) {
            probe_wait(&after);
        } else {
            run_both(&s[0], &s[1], &after.done, 1);
            close_beside(&s[1]);
        }
        assert_int_equal(next.done, 1);
        assert_end(&next, ATTEMPT_OK, "the next");
        assert_end(&after, ATTEMPT_OK, "the one after");
        assert_int_equal(gone.done, 0);
        assert_places(&s[0], 0, 1, 0);
        probe_free(&next);
        probe_free(&after);
        scene_close(&s[0]);
        server_close(&server);
    }
}

// Patience and deadline, each for one that sits between two others.
static void test_waiting_too_long(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, all_held);
    struct probe holder = {0}, impatient = {0}, hurried = {0}, patient = {0};
    start(&holder, &s, server.url, (struct wish){.max = 1});
    start(&impatient, &s, server.url, (struct wish){.max = 1, .patience_ms = 30});
    start(&hurried, &s, server.url,
          (struct wish){.max = 1, .deadline_ms = (int64_t)clock_mono_ms() + 30});
    start(&patient, &s, server.url, (struct wish){.max = 1});
    probe_wait(&impatient);
    probe_wait(&hurried);
    assert_end(&impatient, ATTEMPT_QUEUE_TIMEOUT, "impatient");
    assert_end(&hurried, ATTEMPT_TOTAL_TIMEOUT, "hurried");
    assert_false(hurried.result.sent);
    assert_places(&s, 1, 1, 1);
    server_open_gate(&server);
    probe_wait(&patient);
    assert_end(&patient, ATTEMPT_OK, "patient");
    probe_free(&holder);
    probe_free(&patient);
    scene_close(&s);
    server_close(&server);
}

// From within a callback, where libcurl begins nothing: it has its place at
// once, and can be cancelled, paused or left to itself before it begins.
static struct probe from_inside[3];

static void start_three(struct probe *p) {
    for (size_t i = 0; i < FARTHING_COUNT(from_inside); i++)
        start(&from_inside[i], p->scene, p->arg, (struct wish){.max = 3});
    assert_places(p->scene, 3, 3, 1);
    probe_cancel(&from_inside[0]);
    assert_places(p->scene, 3, 3, 0);
    attempt_pause(from_inside[1].attempt);
}

static void test_from_within_a_callback(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    memset(from_inside, 0, sizeof from_inside);
    struct probe p = {.in_head = start_three, .arg = server.url};
    start(&p, &s, server.url, (struct wish){.max = 3});
    probe_wait(&p);
    probe_wait(&from_inside[2]);
    scene_run_until(&s, &server.requests, 3);
    scene_turn(&s, 20);
    assert_int_equal(from_inside[1].datas, 0);
    attempt_resume(from_inside[1].attempt);
    probe_wait(&from_inside[1]);
    assert_body(&from_inside[1], "ok");
    assert_body(&from_inside[2], "ok");
    probe_free(&p);
    probe_free(&from_inside[1]);
    probe_free(&from_inside[2]);
    scene_close(&s);
    server_close(&server);
}

// --------------------------------------------------------- limits that change

static void test_the_newest_limit_counts(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, all_held);
    struct probe p[12] = {{0}};
    size_t n = 0;
    while (n < 6)
        start(&p[n++], &s, server.url, (struct wish){.max = 2});
    assert_places(&s, 2, 2, 4);
    start(&p[n++], &s, server.url, (struct wish){.max = 4});
    assert_places(&s, 4, 4, 3); // two of those who waited, not he who came last
    start(&p[n++], &s, server.url, (struct wish){.max = 1});
    assert_places(&s, 4, 1, 4); // nobody is sent away
    for (size_t i = 0; i < 3; i++)
        probe_cancel(&p[i]);
    assert_places(&s, 1, 1, 4);
    probe_cancel(&p[3]);
    assert_places(&s, 1, 1, 3);
    start(&p[n++], &s, server.url, (struct wish){.max = 0});
    assert_places(&s, 5, 0, 0);
    server_open_gate(&server);
    for (size_t i = 4; i < n; i++) {
        probe_wait(&p[i]);
        assert_end(&p[i], ATTEMPT_OK, "let in");
        probe_free(&p[i]);
    }
    assert_places(&s, 0, 0, 0);
    scene_close(&s);
    server_close(&server);
}

// ----------------------------------------------------------- adaptive limits

static void test_what_an_adaptive_limit_heeds(void **state) {
    (void)state;
    static const struct {
        const char *status;
        int64_t limit;
    } rows[] = {{"429 Too Many Requests", 7}, {"503 Service Unavailable", 7}, {"529 Overloaded", 7},
                {"200 OK", 20}, {"400 Bad Request", 20}, {"500 Oops", 20}, {"502 Bad Gateway", 20}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[128];
        int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n",
                           rows[i].status);
        const struct step script[] = {
            READ, {.kind = STEP_WRITE, .bytes = text, .len = (size_t)len}, AGAIN};
        const struct step *const scripts[] = {script};
        for (int adaptive = 0; adaptive < 2; adaptive++) {
            struct scene s;
            struct server server;
            scene_open(&s);
            server_open_one(&server, scripts);
            struct probe p = {0};
            start(&p, &s, server.url, (struct wish){.max = 50, .adaptive = adaptive});
            assert_places(&s, 1, adaptive ? 20 : 50, 0);
            assert_int_equal(view_of(&s).adaptive, adaptive);
            probe_wait(&p);
            assert_places(&s, 0, adaptive ? rows[i].limit : 50, 0);
            probe_free(&p);
            scene_close(&s);
            server_close(&server);
        }
    }
}

static void test_no_answer_in_time_is_an_overload(void **state) {
    (void)state;
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, all_held);
    struct probe p = {0};
    start(&p, &s, server.url, (struct wish){.max = 50, .adaptive = true, .patience_ms = 30});
    probe_wait(&p);
    assert_end(&p, ATTEMPT_FIRST_BYTE_TIMEOUT, "silent");
    assert_places(&s, 0, 7, 0);
    probe_free(&p);
    scene_close(&s);
    server_close(&server);
}

static void test_an_adaptive_limit_grows_while_it_is_reached(void **state) {
    (void)state;
    enum { COUNT = 80 };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, always_ok);
    struct probe p[COUNT] = {{0}};
    for (size_t i = 0; i < COUNT; i++)
        start(&p[i], &s, server.url, (struct wish){.max = 22, .adaptive = true, .tenant = "t"});
    assert_places(&s, 20, 20, COUNT - 20);
    for (size_t i = 0; i < COUNT; i++) {
        probe_wait(&p[i]);
        assert_end(&p[i], ATTEMPT_OK, "one of many");
        probe_free(&p[i]);
    }
    assert_places(&s, 0, 22, 0);
    // What was learned outlasts a reload without it, below the new ceiling.
    struct probe fixed = {0}, again = {0};
    start(&fixed, &s, server.url, (struct wish){.max = 5});
    assert_places(&s, 1, 5, 0);
    start(&again, &s, server.url, (struct wish){.max = 100, .adaptive = true});
    assert_places(&s, 2, 22, 0);
    probe_cancel(&fixed);
    probe_cancel(&again);
    scene_close(&s);
    server_close(&server);
}

// After two refusals one after the other the limit is 2, and grows quickly. It
// grows with a head, while the place is still held: who waits comes in then.
static void test_a_higher_limit_lets_in_at_once(void **state) {
    (void)state;
#define REFUSAL "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    static const struct step refuses[] = {READ, WRITE(REFUSAL), READ, WRITE(REFUSAL),
                                          READ, WRITE(HEAD),    GATE(1), WRITE("ok"), END};
    static const struct step serves[] = {READ, WRITE(HEAD), GATE(1), WRITE("ok"), END};
    static const struct step *const scripts[] = {refuses, serves};
    const struct wish wish = {.max = 50, .adaptive = true};
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open(&server, scripts, 2, NULL);
    for (int i = 0; i < 2; i++) {
        struct probe p = {0};
        start(&p, &s, server.url, wish);
        probe_wait(&p);
        assert_int_equal(p.status, 429);
        probe_free(&p);
        // What is sent in the very millisecond of a decrease does not count.
        for (uint64_t then = clock_mono_ms(); clock_mono_ms() == then;)
            ;
    }
    assert_places(&s, 0, 2, 0);
    struct probe p[3] = {{0}};
    for (size_t i = 0; i < FARTHING_COUNT(p); i++)
        start(&p[i], &s, server.url, wish);
    assert_places(&s, 2, 2, 1);
    scene_run_until(&s, &server.requests, 5);
    server_open_gate(&server);
    for (size_t i = 0; i < FARTHING_COUNT(p); i++) {
        probe_wait(&p[i]);
        assert_end(&p[i], ATTEMPT_OK, "one of three");
        probe_free(&p[i]);
    }
    scene_close(&s);
    server_close(&server);
}

// -------------------------------------------------------------------- figures

static void test_metrics(void **state) {
    (void)state;
    static const char *const lines[] = {
        "farthing_provider_inflight{provider=\"mock\"} 2\n",
        "farthing_provider_inflight_limit{provider=\"mock\"} 2\n",
        "farthing_provider_queue_depth{provider=\"mock\"} 3\n",
    };
    struct scene s;
    struct server server;
    scene_open(&s);
    server_open_one(&server, all_held);
    struct probe p[5] = {{0}};
    for (size_t i = 0; i < FARTHING_COUNT(p); i++)
        start(&p[i], &s, server.url, (struct wish){.max = 2});
    upstream_publish(s.shared);
    struct buffer text = {0};
    metric_write_all(&text);
    for (size_t i = 0; i < FARTHING_COUNT(lines); i++)
        if (slice_find(buffer_slice(&text), slice_of(lines[i])) < 0)
            fail_msg("no %s in\n%.*s", lines[i], SLICE_ARG(buffer_slice(&text)));
    buffer_free(&text);
    for (size_t i = 0; i < FARTHING_COUNT(p); i++)
        probe_cancel(&p[i]);
    scene_close(&s);
    server_close(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_over_two_loops),
        cmocka_unit_test(test_leaving_the_queue),
        cmocka_unit_test(test_leaving_with_a_grant_on_its_way),
        cmocka_unit_test(test_waiting_too_long),
        cmocka_unit_test(test_from_within_a_callback),
        cmocka_unit_test(test_the_newest_limit_counts),
        cmocka_unit_test(test_what_an_adaptive_limit_heeds),
        cmocka_unit_test(test_no_answer_in_time_is_an_overload),
        cmocka_unit_test(test_an_adaptive_limit_grows_while_it_is_reached),
        cmocka_unit_test(test_a_higher_limit_lets_in_at_once),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
