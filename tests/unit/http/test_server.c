// A server's life: deadlines, draining, its end amid everything, addresses,
// and running out of descriptors.
#include "scene.h"

#include "conn.h"

#include <sys/resource.h>
#include <unistd.h>

static char block[16384];

// ----------------------------------------------------------------- deadlines

enum { NOW_MS = 1000000, SHORT_MS = 40 };

static void set_clock(uint64_t ms) {
    clock_freeze((int64_t)ms, ms * 1000000u);
}

// Time stands still until the test moves it; only the sweep's timer is real.
static void start_timed(struct scene *s) {
    set_clock(NOW_MS);
    scene_start(s);
}

// Lets the time pass and returns once a sweep has judged by it. Sweeps look at
// the newest connection first, so one that is opened before all others and
// dies of being idle shows that all were looked at.
static void pass(struct scene *s, struct client *canary, uint64_t ms) {
    set_clock(NOW_MS + ms);
    UNTIL(s, canary->ended);
}

static void each_phase_has_its_deadline(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *sent;
        int64_t header_ms, body_ms, keepalive_ms;
        const char *answer;
    } rows[] = {
        {"", 60000, 60000, SHORT_MS, ""},
        {"GET /", SHORT_MS, 60000, 60000, "HTTP/1.1 408 Request Timeout\r\n"},
        {"\r\n", SHORT_MS, 60000, 60000, "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx", 60000, SHORT_MS, 60000,
         "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 60000, SHORT_MS, 60000,
         "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", 60000,
         SHORT_MS, 60000, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 Request Timeout\r\n"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        s->limits.header_timeout_ms = rows[i].header_ms;
        s->limits.body_timeout_ms = rows[i].body_ms;
        s->limits.keepalive_timeout_ms = rows[i].keepalive_ms;
        start_timed(s);
        struct client *c = client_open(s);
        client_send(c, slice_of(rows[i].sent));
        for (int turn = 0; turn < 5; turn++)
            scene_step(s);
        assert_false(c->ended);
        set_clock(NOW_MS + SHORT_MS);
        UNTIL(s, c->ended);
        assert_true(slice_starts_with(buffer_slice(&c->in), slice_of(rows[i].answer)));
        assert_int_equal(c->in.len > 0, rows[i].answer[0] != '\0');
        assert_int_equal(client_count(c, "x-should-retry"), 0); // a 408 may be retried
        scene_stop(s);
    }
    assert_int_equal(s->seen_count, 0);
    assert_int_equal(s->refused[API_ERROR_REQUEST_TIMEOUT], FARTHING_COUNT(rows) - 1);
}

static void every_read_of_a_body_starts_its_deadline_anew(void **state) {
    struct scene *s = *state;
    s->limits.body_timeout_ms = SHORT_MS;
    s->act = act_echo;
    start_timed(s);
    struct client *c = client_open(s);
    client_send(c, SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"));
    for (uint64_t i = 0; i < 9; i++) {
        for (int turn = 0; turn < 15; turn++)
            scene_step(s);
        set_clock(NOW_MS + (SHORT_MS - 1) * (i + 1));
        client_send(c, SLICE("x"));
        scene_step(s);
    }
    UNTIL(s, client_is(c, "\r\n\r\nxxxxxxxxx"));
    UNTIL(s, http_server_active(s->server) == 0);
}

static void the_handler_may_take_any_time(void **state) {
    struct scene *s = *state;
    s->limits.header_timeout_ms = s->limits.body_timeout_ms = SHORT_MS;
    s->limits.keepalive_timeout_ms = s->limits.write_timeout_ms = SHORT_MS;
    start_timed(s);
    struct client *canary = client_open(s);
    scene_step(s);
    struct client *c = client_open(s);
    client_send(c, GET("/"));
    UNTIL(s, s->seen_count == 1);
    pass(s, canary, 1000 * SHORT_MS);
    act_ok(&s->seen[0]);
    UNTIL(s, s->seen[0].ends == 1 && client_is(c, "\r\n\r\nok"));
    assert_int_equal(s->seen[0].how, HTTP_END_SENT);
}

static size_t fill(struct seen *seen) {
    size_t given = sizeof block;
    for (; http_reply_write(seen->request, slice_make(block, sizeof block)); given += sizeof block)
        assert_true(given < 64 << 20);
    return given;
}

static struct client *start_slow_stream(struct scene *s) {
    struct client *c = client_open_slow(s, 65536);
    client_send(c, GET("/"));
    UNTIL(s, s->seen_count == 1);
    http_reply_begin(s->seen[0].request, 200, NULL, 0);
    fill(&s->seen[0]);
    // Until the kernel takes no more.
    for (int turn = 0; turn < 20; turn++)
        scene_step(s);
    while (s->seen[0].drains > 0) {
        s->seen[0].drains = 0;
        fill(&s->seen[0]);
        for (int turn = 0; turn < 20; turn++)
            scene_step(s);
    }
    return c;
}

static void a_reader_that_does_not_read_is_gone(void **state) {
    struct scene *s = *state;
    s->limits.write_timeout_ms = SHORT_MS;
    start_timed(s);
    start_slow_stream(s);
    assert_int_equal(s->seen[0].ends, 0);
    set_clock(NOW_MS + SHORT_MS);
    UNTIL(s, s->seen[0].ends == 1);
    assert_int_equal(s->seen[0].how, HTTP_END_CLIENT_GONE);
    assert_int_equal(http_server_connections(s->server), 0);
}

static void act_expects_write_deadline(struct seen *seen) {
    struct conn *c = seen->request->conn;
    assert_true(output_unsent(c) > 0);
    assert_int_equal(c->deadline_ms, NOW_MS + SHORT_MS);
    act_ok(seen);
}

// What is unsent when a body is whole (a 100 Continue into a full socket) would
// be on nobody's clock: neither the body's nor the handler's.
static void what_is_unsent_before_the_answer_is_timed(void **state) {
    struct scene *s = *state;
    s->limits.write_timeout_ms = SHORT_MS;
    s->act = act_expects_write_deadline;
    start_timed(s);
    struct client *c = client_open_slow(s, 65536);
    client_send(c, SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"));
    UNTIL(s, s->server->conns != NULL && s->server->conns->state == CONN_BODY);
    for (int i = 0; i < 1000; i++) // more than the kernel takes
        buffer_append(&s->server->conns->out, slice_make(block, sizeof block));
    client_send(c, SLICE("x"));
    UNTIL(s, s->seen_count == 1);
    for (int turn = 0; turn < 20; turn++)
        scene_step(s);
    assert_int_equal(s->seen[0].ends, 0);
    set_clock(NOW_MS + SHORT_MS);
    UNTIL(s, s->seen[0].ends == 1);
    assert_int_equal(s->seen[0].how, HTTP_END_CLIENT_GONE);
}

static void a_stream_that_drained_may_be_idle(void **state) {
    struct scene *s = *state;
    s->limits.write_timeout_ms = SHORT_MS;
    s->limits.keepalive_timeout_ms = 500 * SHORT_MS;
    start_timed(s);
    struct client *canary = client_open(s);
    scene_step(s);
    struct client *c = start_slow_stream(s);
    c->is_slow = false;
    UNTIL(s, s->seen[0].drains == 1);
    for (size_t before = 0; before != c->in.len;) { // all that is on its way
        before = c->in.len;
        for (int turn = 0; turn < 20; turn++)
            scene_step(s);
    }
    pass(s, canary, 1000 * SHORT_MS);
    assert_int_equal(s->seen[0].ends, 0);
    http_reply_write(s->seen[0].request, SLICE("still here"));
    http_reply_finish(s->seen[0].request);
    UNTIL(s, s->seen[0].ends == 1 && client_is(c, "still here\r\n0\r\n\r\n"));
    assert_int_equal(s->seen[0].how, HTTP_END_SENT);
}

static void a_client_that_lingers_is_cut_off(void **state) {
    struct scene *s = *state;
    s->limits.header_timeout_ms = SHORT_MS; // the sweep looks often
    start_timed(s);
    struct client *c = client_open(s);
    client_send(c, SLICE("NO\r\n"));
    UNTIL(s, c->ended); // our side only: it may still send
    assert_int_equal(http_server_connections(s->server), 1);
    set_clock(NOW_MS + 60000);
    UNTIL(s, http_server_connections(s->server) == 0);
}

// ------------------------------------------------------------------ draining

static void draining_closes_the_idle_and_finishes_the_running(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *idle = client_open(s), *used = client_open(s), *running = client_open(s),
                  *coming = client_open(s);
    client_send(used, GET("/used"));
    UNTIL(s, s->seen_count == 1);
    act_ok(&s->seen[0]);
    UNTIL(s, s->seen[0].ends == 1);
    client_send(running, GET("/running"));
    UNTIL(s, s->seen_count == 2);
    client_send(running, GET("/successor"));
    http_reply_begin(s->seen[1].request, 200, NULL, 0);
    client_send(coming, SLICE("GET /coming HTTP/1.1\r\n"));
    for (int turn = 0; turn < 3; turn++)
        scene_step(s);
    http_server_drain(s->server);
    UNTIL(s, idle->ended && used->ended);
    assert_int_equal(http_server_connections(s->server), 2);
    assert_false(client_gone(running));
    client_send(coming, SLICE("Host: x\r\n\r\n"));
    UNTIL(s, s->seen_count == 3);
    act_ok(&s->seen[2]);
    UNTIL(s, coming->ended);
    assert_true(client_has(coming, "\r\nConnection: close\r\n"));
    http_reply_write(s->seen[1].request, SLICE("x"));
    http_reply_finish(s->seen[1].request);
    UNTIL(s, running->ended && client_is(running, "1\r\nx\r\n0\r\n\r\n"));
    UNTIL(s, http_server_active(s->server) == 0);
    assert_int_equal(s->seen_count, 3); // the successor is not begun
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(s->seen[i].how, HTTP_END_SENT);
}

// Who connected and asked before the listener closed is not reset.
static void draining_serves_who_waits_to_be_accepted(void **state) {
    struct scene *s = *state;
    s->act = act_ok;
    scene_start(s);
    struct client *kept = client_open(s);
    client_send(kept, GET("/"));
    UNTIL(s, client_is(kept, "\r\n\r\nok") && http_server_active(s->server) == 0);
    struct client *waits = client_open(s), *silent = client_open(s);
    client_send(waits, GET("/"));
    buffer_clear(&kept->in);
    client_send(kept, GET("/"));
    http_server_drain(s->server);
    UNTIL(s, waits->ended && kept->ended && client_gone(silent));
    assert_true(client_is(waits, "\r\n\r\nok") && client_has(waits, "Connection: close"));
    assert_true(client_is(kept, "\r\n\r\nok") && client_has(kept, "Connection: close"));
    assert_int_equal(s->seen_count, 3);
}

static void drain_now(struct seen *seen) {
    http_server_drain(seen->scene->server);
    act_ok(seen);
}

static void a_handler_may_start_draining(void **state) {
    struct scene *s = *state;
    s->act = drain_now;
    scene_start(s);
    struct client *c = client_open(s), *other = client_open(s);
    scene_step(s);
    client_send(c, GET("/"));
    UNTIL(s, c->ended && other->ended);
    assert_true(client_has(c, "Connection: close"));
}

// -------------------------------------------------------------- http_server_free

static void poke_others(struct seen *seen) {
    // Other requests may be over already, or not yet: their pointers are good
    // until their own on_end.
    for (size_t i = 0; i < seen->scene->seen_count; i++) {
        struct http_request *r = seen->scene->seen[i].request;
        if (r == NULL)
            continue;
        http_reply(r, 200, NULL, 0, SLICE("late"));
        http_reply_write(r, SLICE("late"));
        http_reply_abort(r);
        assert_true(http_request_method(r).len > 0);
    }
}

static void freeing_ends_everything(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c[7];
    for (size_t i = 0; i < FARTHING_COUNT(c); i++) {
        c[i] = i == 4 || i == 5 ? client_open_slow(s, 65536) : client_open(s);
        client_send(c[i], i == 0 ? SLICE("GET /amid-a-head")
                          : i == 6
                              ? SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
                              : GET("/"));
        UNTIL(s, s->seen_count == (i < 5 ? i : 5));
    }
    // 0: unanswered. 1: begun. 2: whole, its on_end due. 3: whole, unsent. 4: aborted, unsent.
    http_reply_begin(s->seen[1].request, 200, NULL, 0);
    act_ok(&s->seen[2]);
    for (size_t i = 3; i < 5; i++) {
        http_reply_begin(s->seen[i].request, 200, NULL, 0);
        fill(&s->seen[i]);
    }
    http_reply_finish(s->seen[3].request);
    http_reply_abort(s->seen[4].request);
    for (size_t i = 0; i < 5; i++)
        s->seen[i].on_end = poke_others;
    scene_stop(s);
    static const enum http_end expected[] = {HTTP_END_SHUTDOWN, HTTP_END_SHUTDOWN, HTTP_END_SENT,
                                             HTTP_END_SHUTDOWN, HTTP_END_ABORTED};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(s->seen[i].ends, 1);
        assert_int_equal(s->seen[i].how, expected[i]);
    }
    for (size_t i = 0; i < FARTHING_COUNT(c); i++) {
        c[i]->is_slow = false;
        UNTIL(s, client_gone(c[i]));
    }
}

static void freeing_what_never_ran(void **state) {
    struct scene *s = *state;
    scene_start(s);
    client_open(s); // waits to be accepted
    scene_stop(s);
    http_server_free(NULL);
}

// ----------------------------------------------------------------- addresses

static struct http_server *second(struct scene *s) {
    return http_server_new(s->loop, &s->limits, &(struct http_handler){0});
}

static uint16_t listen_at(struct http_server *server, const char *host, uint16_t port, bool joins) {
    struct buffer address = {0};
    struct error err = {""};
    buffer_printf(&address, "%s:%u", host, port);
    uint16_t bound = http_server_listen(server, buffer_slice(&address), NULL, joins, &err);
    assert_int_equal(bound == 0, err.text[0] != '\0');
    if (bound == 0)
        assert_true(slice_find(slice_of(err.text), buffer_slice(&address)) >= 0);
    buffer_free(&address);
    return bound;
}

static void a_taken_port_is_refused_unless_it_is_shared(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct http_server *other = second(s);
    assert_int_equal(listen_at(other, "127.0.0.1", s->port, false), 0);
    assert_int_equal(listen_at(other, "0.0.0.0", s->port, false), 0);
    assert_int_equal(listen_at(other, "127.0.0.1", s->port, true), s->port);
    http_server_free(other);
    // Free again, and with connections of the past around: not taken.
    struct client *c = client_open(s);
    scene_step(s);
    uint16_t port = s->port;
    scene_stop(s);
    UNTIL(s, client_gone(c));
    other = second(s);
    assert_int_equal(listen_at(other, "127.0.0.1", port, false), port);
    http_server_free(other);
}

static void several_addresses_are_served(void **state) {
    struct scene *s = *state;
    s->act = act_ok;
    scene_start(s);
    struct error err;
    uint16_t first = s->port;
    uint16_t more = http_server_listen(s->server, SLICE(":0"), NULL, false, &err);
    assert_true(more != 0 && more != first);
    s->port = more;
    struct client *c = client_open(s);
    client_send(c, GET("/"));
    UNTIL(s, client_is(c, "ok"));
    uint16_t six = http_server_listen(s->server, SLICE("[::1]:0"), NULL, false, &err);
    if (six == 0) // a machine without IPv6
        assert_true(slice_find(slice_of(err.text), SLICE("[::1]:0")) >= 0);
    UNTIL(s, http_server_active(s->server) == 0);
}

static void what_is_no_address_is_refused(void **state) {
    struct scene *s = *state;
    static const char *const bad[] = {
        "",    "127.0.0.1",       "127.0.0.1:",  ":x",    ":65536",
        ":-1", "127.0.0.1:4000x", "256.0.0.1:1", "[::1]", "no.such.host.invalid:1"};
    struct http_server *server = second(s);
    for (size_t i = 0; i < FARTHING_COUNT(bad); i++) {
        struct error err = {""};
        assert_int_equal(http_server_listen(server, slice_of(bad[i]), NULL, false, &err), 0);
        assert_int_not_equal(err.text[0], '\0');
    }
    http_server_free(server);
}

// ------------------------------------------------------------------- limits

static void connections_are_bounded(void **state) {
    struct scene *s = *state;
    s->limits.max_connections = 2;
    s->act = act_ok;
    scene_start(s);
    struct client *one = client_open(s), *two = client_open(s), *three = client_open(s);
    UNTIL(s, client_gone(three));
    assert_int_equal(http_server_connections(s->server), 2);
    client_close(one);
    UNTIL(s, http_server_connections(s->server) == 1);
    struct client *four = client_open(s);
    client_send(four, GET("/"));
    client_send(two, GET("/"));
    UNTIL(s, client_is(four, "ok") && client_is(two, "ok") && http_server_active(s->server) == 0);
}

static void limits_can_change(void **state) {
    struct scene *s = *state;
    s->act = act_echo;
    scene_start(s);
    struct http_limits smaller = s->limits;
    smaller.max_body_bytes = 3;
    http_server_set_limits(s->server, &smaller);
    struct client *c = client_open(s);
    client_send(c, SLICE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd"));
    UNTIL(s, c->ended);
    assert_int_equal(client_count(c, "HTTP/1.1 200 "), 1);
    assert_int_equal(client_count(c, "HTTP/1.1 413 "), 1);
}

// Out of descriptors: no spinning, no loss, and on as soon as there are some.
static void running_out_of_descriptors_is_survived(void **state) {
    struct scene *s = *state;
    struct rlimit before, none;
    s->limits.header_timeout_ms = SHORT_MS; // the sweep tries again soon
    s->act = act_ok;
    scene_start(s);
    struct client *early = client_open(s);
    UNTIL(s, http_server_connections(s->server) == 1);
    struct client *late = client_open(s);
    client_send(late, GET("/"));
    int next = dup(late->fd); // the lowest that is free
    close(next);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = (rlim_t)next;
    setrlimit(RLIMIT_NOFILE, &none);
    for (int turn = 0; turn < 50; turn++)
        scene_step(s);
    assert_int_equal(late->in.len, 0);
    client_send(early, GET("/")); // who is here is served
    UNTIL(s, client_is(early, "ok"));
    setrlimit(RLIMIT_NOFILE, &before);
    UNTIL(s, client_is(late, "ok") && http_server_active(s->server) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_make, scene_end)

int main(void) {
    memset(block, 'x', sizeof block);
    const struct CMUnitTest tests[] = {
        TEST(each_phase_has_its_deadline),
        TEST(every_read_of_a_body_starts_its_deadline_anew),
        TEST(the_handler_may_take_any_time),
        TEST(a_reader_that_does_not_read_is_gone),
        TEST(what_is_unsent_before_the_answer_is_timed),
        TEST(a_stream_that_drained_may_be_idle),
        TEST(a_client_that_lingers_is_cut_off),
        TEST(draining_closes_the_idle_and_finishes_the_running),
        TEST(draining_serves_who_waits_to_be_accepted),
        TEST(a_handler_may_start_draining),
        TEST(freeing_ends_everything),
        TEST(freeing_what_never_ran),
        TEST(a_taken_port_is_refused_unless_it_is_shared),
        TEST(several_addresses_are_served),
        TEST(what_is_no_address_is_refused),
        TEST(connections_are_bounded),
        TEST(limits_can_change),
        TEST(running_out_of_descriptors_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
