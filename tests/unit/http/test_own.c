// Requests of the process's own: made beside a client's, answered like any other,
// told to whoever made them, and ended with the server.
#include "scene.h"

#include "conn.h"

struct told {
    unsigned count, ends;
    int status;
    struct buffer body;
    enum http_end how;
    bool end_was_first;
};

static void on_answer(void *arg, int status, struct slice body) {
    struct told *told = arg;
    told->count++;
    told->status = status;
    told->end_was_first = told->ends == 1;
    buffer_append(&told->body, body);
}

static void on_end(void *arg, enum http_end how) {
    struct told *told = arg;
    told->ends++;
    told->how = how;
}

static struct http_request *client_request(struct scene *s) {
    scene_start(s);
    struct client *c = client_open(s);
    client_send(c, SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    UNTIL(s, s->seen_count == 1);
    return s->seen[0].request;
}

static struct http_request *make(struct scene *s, struct told *told) {
    struct api_header header = {SLICE("X-A"), SLICE("1")};
    const struct http_own own = {
        .method = SLICE("POST"),
        .path = SLICE("/v1/embeddings"),
        .query = SLICE("q"),
        .headers = &header,
        .header_count = 1,
        .body = SLICE("{}"),
        .on_answer = on_answer,
        .arg = told,
    };
    struct http_request *r = http_own_request(client_request(s), &own);
    header.value = SLICE("changed");
    http_request_on_end(r, on_end, told);
    return r;
}

static void it_reads_like_any_other(void **state) {
    struct scene *s = *state;
    struct told told = {0};
    char peer[HTTP_PEER_MAX];
    clock_freeze(0, 5000);
    struct http_request *r = make(s, &told);
    assert_true(slice_equal(http_request_method(r), SLICE("POST")));
    assert_true(slice_equal(http_request_path(r), SLICE("/v1/embeddings")));
    assert_true(slice_equal(http_request_query(r), SLICE("q")));
    assert_true(slice_equal(http_request_body(r), SLICE("{}")));
    assert_true(slice_equal(http_request_header(r, SLICE("x-a")), SLICE("1"))); // a copy
    assert_int_equal(http_request_started_ns(r), 5000);
    http_request_peer(r, peer);
    assert_string_equal(peer, "");
    assert_int_equal(http_server_active(s->server), 2);
    assert_int_equal(s->seen_count, 1); // the handler was not called
    http_reply(r, 204, NULL, 0, SLICE_NONE);
    UNTIL(s, told.count == 1);
    assert_int_equal(told.status, 204);
    assert_int_equal(http_server_active(s->server), 1);
}

static void a_whole_answer_is_told_once_and_later(void **state) {
    struct scene *s = *state;
    struct told told = {0};
    struct http_request *r = make(s, &told);
    http_reply(r, 200, NULL, 0, SLICE("one"));
    http_reply(r, 500, NULL, 0, SLICE("two"));
    assert_int_equal(told.count + told.ends, 0); // never from within a reply function
    UNTIL(s, told.count == 1);
    assert_true(slice_equal(buffer_slice(&told.body), SLICE("one")));
    assert_int_equal(told.status, 200);
    assert_int_equal(told.how, HTTP_END_SENT);
    assert_true(told.end_was_first);
    buffer_free(&told.body);
}

static void an_error_is_told(void **state) {
    struct scene *s = *state;
    struct told told = {0};
    http_reply_error(make(s, &told), API_ERROR_BUDGET_EXCEEDED, 0, SLICE("none left"), SLICE_NONE,
                     NULL, 0);
    UNTIL(s, told.count == 1);
    assert_int_equal(told.status, 429);
    assert_true(slice_find(buffer_slice(&told.body), SLICE("none left")) > 0);
    buffer_free(&told.body);
}

static void a_stream_is_told_when_it_is_whole(void **state) {
    struct scene *s = *state;
    struct told told = {0};
    struct http_request *r = make(s, &told);
    http_reply_begin(r, 200, NULL, 0);
    assert_true(http_reply_write(r, SLICE("a")));
    assert_true(http_reply_write(r, SLICE("b")));
    http_reply_finish(r);
    http_reply_abort(r); // too late
    UNTIL(s, told.count == 1);
    assert_int_equal(told.status, 200);
    assert_true(slice_equal(buffer_slice(&told.body), SLICE("ab")));
    buffer_free(&told.body);
}

static void a_broken_stream_is_no_answer(void **state) {
    struct scene *s = *state;
    struct told told = {0};
    struct http_request *r = make(s, &told);
    http_reply_begin(r, 200, NULL, 0);
    http_reply_abort(r);
    UNTIL(s, told.count == 1);
    assert_int_equal(told.status, 0);
    assert_int_equal(told.how, HTTP_END_ABORTED);
}

static void who_forgets_it_is_not_told(void **state) {
    struct scene *s = *state;
    struct told told = {0};
    struct http_request *r = make(s, &told);
    http_own_forget(r);
    http_reply(r, 200, NULL, 0, SLICE("x"));
    UNTIL(s, told.ends == 1);
    assert_int_equal(told.count, 0);
}

// Two that run, and one that was answered a moment ago.
static void it_ends_with_the_server(void **state) {
    struct scene *s = *state;
    struct told told[3] = {0};
    const struct http_own own = {.method = SLICE("GET"), .path = SLICE("/"), .on_answer = on_answer};
    struct http_request *beside = client_request(s);
    for (size_t i = 0; i < FARTHING_COUNT(told); i++) {
        struct http_own each = own;
        each.arg = &told[i];
        struct http_request *r = http_own_request(beside, &each);
        http_request_on_end(r, on_end, &told[i]);
        if (i == 1)
            http_reply(r, 200, NULL, 0, SLICE("kept"));
    }
    http_server_free(s->server);
    s->server = NULL;
    for (size_t i = 0; i < FARTHING_COUNT(told); i++) {
        assert_int_equal(told[i].count, 1);
        assert_int_equal(told[i].ends, 1);
        assert_int_equal(told[i].status, i == 1 ? 200 : 0);
        assert_int_equal(told[i].how, i == 1 ? HTTP_END_SENT : HTTP_END_SHUTDOWN);
        buffer_free(&told[i].body);
    }
}

static struct http_request *beside_the_last, *made_at_the_end;

static void make_one(struct seen *seen) {
    const struct http_own own = {.method = SLICE("GET"), .path = SLICE("/")};
    (void)seen;
    made_at_the_end = http_own_request(beside_the_last, &own);
}

static void a_server_that_ends_takes_none(void **state) {
    struct scene *s = *state;
    beside_the_last = made_at_the_end = client_request(s);
    s->seen[0].on_end = make_one;
    http_server_free(s->server);
    s->server = NULL;
    assert_null(made_at_the_end);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_reads_like_any_other, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(a_whole_answer_is_told_once_and_later, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(an_error_is_told, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(a_stream_is_told_when_it_is_whole, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(a_broken_stream_is_no_answer, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(who_forgets_it_is_not_told, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(it_ends_with_the_server, scene_make, scene_end),
        cmocka_unit_test_setup_teardown(a_server_that_ends_takes_none, scene_make, scene_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
