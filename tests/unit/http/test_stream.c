// Streamed answers: chunks, back-pressure, and every way in which they end.
#include "scene.h"

#include "conn.h"

static char block[16384];

static struct seen *begin(struct scene *s, struct client *c, struct slice request) {
    size_t before = s->seen_count;
    client_send(c, request);
    UNTIL(s, s->seen_count == before + 1);
    struct seen *seen = &s->seen[before];
    http_reply_begin(seen->request, 200, NULL, 0);
    return seen;
}

// Until the server says "full"; how many bytes that were.
static size_t fill(struct seen *seen) {
    size_t given = 0;
    bool room = true;
    while (room) {
        assert_true(given < 64 << 20); // no bound at all
        room = http_reply_write(seen->request, slice_make(block, sizeof block));
        given += sizeof block;
    }
    return given;
}

static void ended(struct scene *s, struct seen *seen, enum http_end how) {
    UNTIL(s, seen->ends == 1);
    assert_int_equal(seen->how, how);
    UNTIL(s, http_server_active(s->server) == 0);
}

// ----------------------------------------------------------------- streaming

static void pieces_arrive_as_they_are_written(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c, GET("/"));
    UNTIL(s, client_is(c, "Transfer-Encoding: chunked\r\n\r\n")); // the head does not wait
    assert_true(http_reply_write(seen->request, SLICE("data: 1\n\n")));
    UNTIL(s, client_is(c, "\r\n\r\n9\r\ndata: 1\n\n\r\n"));
    assert_true(http_reply_write(seen->request, SLICE_NONE)); // would look like the end
    static char longer[300];
    memset(longer, 'y', sizeof longer);
    assert_true(http_reply_write(seen->request, slice_make(longer, sizeof longer)));
    UNTIL(s, client_has(c, "12c\r\nyyy") && client_is(c, "y\r\n"));
    http_reply_finish(seen->request);
    assert_int_equal(seen->ends, 0);
    UNTIL(s, client_is(c, "y\r\n0\r\n\r\n"));
    ended(s, seen, HTTP_END_SENT);
    begin(s, c, GET("/next")); // the connection is kept
    http_reply_finish(s->seen[1].request);
    ended(s, &s->seen[1], HTTP_END_SENT);
}

static void a_stream_to_http_1_0_ends_with_the_connection(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c, SLICE("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    http_reply_write(seen->request, SLICE("one"));
    http_reply_write(seen->request, SLICE("two"));
    http_reply_finish(seen->request);
    UNTIL(s, c->ended);
    assert_true(client_has(c, "\r\nConnection: close\r\n"));
    assert_false(client_has(c, "Transfer-Encoding"));
    assert_true(client_is(c, "\r\n\r\nonetwo"));
    ended(s, seen, HTTP_END_SENT);
}

// ------------------------------------------------------------- back-pressure

static void a_slow_reader_is_waited_for(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open_slow(s, 65536);
    struct seen *seen = begin(s, c, GET("/"));
    size_t given = fill(seen);
    enum { FRAMING = 16 };
    assert_true(output_unsent(seen->request->conn) <=
                (size_t)s->limits.stream_buffer_bytes + sizeof block + FRAMING);
    for (int turn = 0; turn < 20; turn++)
        scene_step(s);
    // Its buffers and the kernel's may still take something, not for ever.
    while (seen->drains > 0 && seen->drains < 50) {
        seen->drains = 0;
        given += fill(seen);
        for (int turn = 0; turn < 20; turn++)
            scene_step(s);
    }
    assert_int_equal(seen->drains, 0);
    size_t unsent = output_unsent(seen->request->conn);
    assert_true(unsent > (size_t)s->limits.stream_buffer_bytes / 2);
    c->is_slow = false;
    UNTIL(s, seen->drains == 1);
    assert_true(output_unsent(seen->request->conn) <= (size_t)s->limits.stream_buffer_bytes / 2);
    struct buffer got = {0};
    UNTIL(s, client_body(c).len >= given);
    assert_int_equal(seen->drains, 1); // once
    http_reply_finish(seen->request);
    UNTIL(s, client_dechunk(c, &got));
    assert_int_equal(got.len, given);
    buffer_free(&got);
    assert_int_equal(seen->drains, 1);
    ended(s, seen, HTTP_END_SENT);
}

static void more_in_on_drain(struct seen *seen) {
    if (seen->drains < 5)
        fill(seen);
    else
        http_reply_finish(seen->request);
}

static void abort_in_on_drain(struct seen *seen) {
    http_reply_abort(seen->request);
}

static void finish_in_on_drain(struct seen *seen) {
    http_reply_write(seen->request, SLICE("last"));
    http_reply_finish(seen->request);
    http_reply_abort(seen->request); // too late
    http_reply_write(seen->request, SLICE("never"));
    assert_int_equal(seen->ends, 0);
}

static void drain_in_on_drain(struct seen *seen) {
    http_server_drain(seen->scene->server);
    finish_in_on_drain(seen);
}

static void on_drain_may_do_everything(void **state) {
    struct scene *s = *state;
    static const struct {
        void (*on_drain)(struct seen *seen);
        enum http_end how;
        unsigned drains;
    } rows[] = {{more_in_on_drain, HTTP_END_SENT, 5},
                {finish_in_on_drain, HTTP_END_SENT, 1},
                {abort_in_on_drain, HTTP_END_ABORTED, 1},
                {drain_in_on_drain, HTTP_END_SENT, 1}};
    scene_start(s);
    struct buffer got = {0};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct client *c = client_open_slow(s, 65536);
        struct seen *seen = begin(s, c, GET("/"));
        seen->on_drain = rows[i].on_drain;
        fill(seen);
        c->is_slow = false;
        ended(s, seen, rows[i].how);
        assert_int_equal(seen->drains, rows[i].drains);
        if (rows[i].how == HTTP_END_SENT)
            UNTIL(s, client_dechunk(c, &got));
        else
            UNTIL(s, c->ended);
        assert_int_equal(client_dechunk(c, &got), rows[i].how == HTTP_END_SENT);
    }
    buffer_free(&got);
}

// -------------------------------------------------------------- client gone

static void give_up_after(struct scene *s, struct client *c, struct seen *seen,
                          void (*leave)(struct client *c)) {
    leave(c);
    ended(s, seen, HTTP_END_CLIENT_GONE);
    assert_int_equal(seen->drains, 0);
    UNTIL(s, http_server_connections(s->server) == 0);
}

static void a_client_that_leaves_amid_a_stream_is_gone(void **state) {
    struct scene *s = *state;
    static void (*const ways[])(struct client *) = {client_close, client_reset, client_half_close};
    scene_start(s);
    for (size_t i = 0; i < FARTHING_COUNT(ways); i++) {
        struct client *c = client_open(s);
        struct seen *seen = begin(s, c, GET("/"));
        http_reply_write(seen->request, SLICE("x"));
        UNTIL(s, client_is(c, "1\r\nx\r\n"));
        give_up_after(s, c, seen, ways[i]);
    }
}

static void a_client_that_leaves_before_the_answer_is_gone(void **state) {
    struct scene *s = *state;
    static void (*const ways[])(struct client *) = {client_close, client_reset, client_half_close};
    scene_start(s);
    for (size_t i = 0; i < FARTHING_COUNT(ways); i++) {
        struct client *c = client_open(s);
        client_send(c, GET("/"));
        UNTIL(s, s->seen_count == i + 1);
        give_up_after(s, c, &s->seen[i], ways[i]);
    }
}

static void a_slow_reader_that_leaves_is_gone(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open_slow(s, 65536);
    struct seen *seen = begin(s, c, GET("/"));
    fill(seen);
    give_up_after(s, c, seen, client_reset);
}

// Its successors fill what is held for it, so its FIN cannot be read.
static void a_client_with_many_successors_that_leaves_is_gone(void **state) {
    struct scene *s = *state;
    s->limits.keepalive_timeout_ms = 40; // the sweep looks
    scene_start(s);
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c, GET("/"));
    struct buffer many = {0};
    while (many.len < INPUT_HELD_MAX + 40000) // the rest fits into the kernel, with the FIN
        buffer_append(&many, GET("/successor"));
    client_send(c, buffer_slice(&many));
    buffer_free(&many);
    UNTIL(s, c->out.len == 0);
    give_up_after(s, c, seen, client_half_close);
    assert_int_equal(s->seen_count, 1);
}

// The handler goes on, unaware: nothing happens.
static void replies_after_the_client_left_are_ignored(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c, GET("/"));
    client_reset(c);
    // The first of these finds out; on_end comes all the same once, and later.
    for (int i = 0; i < 10; i++)
        assert_true(http_reply_write(seen->request, SLICE("x")));
    http_reply_finish(seen->request);
    assert_int_equal(seen->ends, 0);
    ended(s, seen, HTTP_END_CLIENT_GONE);
}

static void a_client_that_leaves_after_the_end_was_served(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c, GET("/"));
    http_reply_write(seen->request, SLICE("x"));
    http_reply_finish(seen->request);
    client_close(c); // before on_end was called
    ended(s, seen, HTTP_END_SENT);
}

// All was given, not all is sent: a FIN alone does not say that it will not be read.
static void a_client_that_closes_its_side_still_gets_what_was_given(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open_slow(s, 65536);
    struct seen *seen = begin(s, c, GET("/"));
    size_t given = fill(seen);
    http_reply_finish(seen->request);
    client_half_close(c);
    for (int turn = 0; turn < 10; turn++)
        scene_step(s);
    assert_int_equal(seen->ends, 0);
    c->is_slow = false;
    ended(s, seen, HTTP_END_SENT);
    struct buffer got = {0};
    UNTIL(s, client_dechunk(c, &got));
    assert_int_equal(got.len, given);
    buffer_free(&got);
    UNTIL(s, c->ended && http_server_connections(s->server) == 0);
}

// -------------------------------------------------------------------- aborts

static void an_abort_is_seen_after_what_was_written(void **state) {
    struct scene *s = *state;
    scene_start(s);
    for (int slow = 0; slow <= 1; slow++) {
        struct client *c = slow ? client_open_slow(s, 65536) : client_open(s);
        struct seen *seen = begin(s, c, GET("/"));
        size_t given = slow ? fill(seen) : 0;
        http_reply_write(seen->request, SLICE("the last words"));
        http_reply_abort(seen->request);
        http_reply_finish(seen->request); // too late
        c->is_slow = false;
        UNTIL(s, c->ended);
        assert_true(client_body(c).len > given);
        assert_true(client_is(c, "e\r\nthe last words\r\n"));
        assert_false(c->broken);
        ended(s, seen, HTTP_END_ABORTED);
    }
}

// Neither chunks nor a length: only a reset tells a break from an end.
static void an_abort_to_http_1_0_is_a_reset(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c, SLICE("GET / HTTP/1.0\r\n\r\n"));
    http_reply_write(seen->request, SLICE("x"));
    UNTIL(s, client_is(c, "\r\n\r\nx"));
    http_reply_abort(seen->request);
    UNTIL(s, c->broken);
    ended(s, seen, HTTP_END_ABORTED);
}

static void an_abort_without_answer_is_a_reset(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open(s);
    client_send(c, GET("/"));
    UNTIL(s, s->seen_count == 1);
    http_reply_abort(s->seen[0].request);
    UNTIL(s, c->broken);
    assert_int_equal(c->in.len, 0);
    ended(s, &s->seen[0], HTTP_END_ABORTED);
}

static void an_aborted_slow_reader_that_leaves_counts_as_aborted(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open_slow(s, 65536);
    struct seen *seen = begin(s, c, GET("/"));
    fill(seen);
    http_reply_abort(seen->request);
    client_reset(c);
    ended(s, seen, HTTP_END_ABORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_make, scene_end)

int main(void) {
    memset(block, 'x', sizeof block);
    const struct CMUnitTest tests[] = {
        TEST(pieces_arrive_as_they_are_written),
        TEST(a_stream_to_http_1_0_ends_with_the_connection),
        TEST(a_slow_reader_is_waited_for),
        TEST(on_drain_may_do_everything),
        TEST(a_client_that_leaves_amid_a_stream_is_gone),
        TEST(a_client_that_leaves_before_the_answer_is_gone),
        TEST(a_slow_reader_that_leaves_is_gone),
        TEST(a_client_with_many_successors_that_leaves_is_gone),
        TEST(replies_after_the_client_left_are_ignored),
        TEST(a_client_that_leaves_after_the_end_was_served),
        TEST(a_client_that_closes_its_side_still_gets_what_was_given),
        TEST(an_abort_is_seen_after_what_was_written),
        TEST(an_abort_to_http_1_0_is_a_reset),
        TEST(an_abort_without_answer_is_a_reset),
        TEST(an_aborted_slow_reader_that_leaves_counts_as_aborted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
