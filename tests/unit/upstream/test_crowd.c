// A crowd for a few places: several loops on threads of their own, tenants of
// several weights, and attempts that are given up at any moment. Nobody is
// forgotten, no place is lost or given twice, and each loop and tenant gets on.
//
// Nobody listens where they go: an attempt ends as soon as libcurl finds that
// out, so that places change hands as often as can be.
#include "scene.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

// libcurl tells the loop of a socket that it gave up while connecting only when it
// is closed. The number may be another thread's by then; the loop's epoll set does
// not have that one, and says so.
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
    return "race:epoll_ctl\n";
}

enum { LOOPS = 3, TENANTS = 3, AT_ONCE = 12, EACH = 1500, PLACES = 4 };

struct worker {
    struct upstream_shared *shared;
    const char *url;
    pthread_t thread;
    struct event_base *loop;
    struct upstream *upstream;
    int started, over, bad, of_tenant[TENANTS];
    struct visitor {
        struct worker *worker;
        struct attempt *attempt; // NULL: free
        int tenant;
    } visitors[AT_ONCE];
};

static void fill(struct worker *w);

static void on_head(void *arg, const struct attempt_head *head) {
    (void)head;
    ((struct visitor *)arg)->worker->bad++;
}

static void on_data(void *arg, struct slice data) {
    (void)data;
    ((struct visitor *)arg)->worker->bad++;
}

static void count_over(struct visitor *v) {
    struct worker *w = v->worker;
    v->attempt = NULL;
    if (++w->over == EACH)
        event_base_loopbreak(w->loop);
}

// Each third time another one is given up: waiting, admitted, with a grant on its
// way or running.
static void on_done(void *arg, const struct attempt_result *result) {
    struct visitor *v = arg;
    struct worker *w = v->worker;
    w->bad += result->end != ATTEMPT_CONNECT_FAILED;
    w->of_tenant[v->tenant]++;
    count_over(v);
    struct visitor *other = &w->visitors[random_below(AT_ONCE)];
    if (w->over % 3 == 0 && other->attempt != NULL) {
        attempt_cancel(other->attempt);
        count_over(other);
    }
    fill(w);
}

static void fill(struct worker *w) {
    static const struct attempt_events events = {on_head, on_data, on_done};
    static const struct slice names[TENANTS] = {SLICE("a"), SLICE("b"), SLICE("c")};
    for (size_t i = 0; i < AT_ONCE && w->started < EACH; i++) {
        struct visitor *v = &w->visitors[i];
        if (v->attempt != NULL)
            continue;
        struct upstream_target target = target_of(w->url);
        target.max_inflight = PLACES - w->started / 100 % 2; // a reload now and then
        v->worker = w;
        v->tenant = (int)(i % TENANTS);
        struct attempt_request request = {.target = &target,
                                          .method = SLICE("POST"),
                                          .path = SLICE("/x"),
                                          .tenant = names[v->tenant],
                                          .weight = (unsigned)v->tenant};
        w->started++;
        v->attempt = attempt_start(w->upstream, &request, &events, v);
    }
}

static void *run_worker(void *arg) {
    struct worker *w = arg;
    w->loop = event_base_new();
    w->upstream = upstream_new(w->loop, w->shared);
    fill(w);
    event_base_loop(w->loop, EVLOOP_NO_EXIT_ON_EMPTY);
    upstream_free(w->upstream);
    event_base_free(w->loop);
    return NULL;
}

// Bound, so that nobody else gets it, and not listening.
static int dead_port(char *url, size_t size) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    snprintf(url, size, "http://127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

struct watcher {
    struct upstream_shared *shared;
    _Atomic bool over;
    bool too_many;
};

static void check(void *arg, const struct upstream_places_view *view) {
    if (view->inflight > PLACES || view->inflight < 0 || view->waiting < 0)
        ((struct watcher *)arg)->too_many = true;
}

static void *watch(void *arg) {
    struct watcher *w = arg;
    while (!w->over)
        upstream_places(w->shared, check, w);
    return NULL;
}

static void test_a_crowd(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    char url[64];
    int fd = dead_port(url, sizeof url);
    struct watcher watcher = {.shared = s.shared};
    pthread_t watching;
    assert_int_equal(pthread_create(&watching, NULL, watch, &watcher), 0);
    static struct worker workers[LOOPS];
    for (size_t i = 0; i < LOOPS; i++) {
        workers[i] = (struct worker){.shared = s.shared, .url = url};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].bad, 0);
        assert_int_equal(workers[i].over, EACH);
        for (int t = 0; t < TENANTS; t++)
            assert_true(workers[i].of_tenant[t] > 0);
    }
    watcher.over = true;
    pthread_join(watching, NULL);
    assert_false(watcher.too_many);
    assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
    close(fd);
    scene_close(&s);
}

// Loops that close while others give them places.
static void *come_and_go(void *arg) {
    struct worker *w = arg;
    for (int round = 0; round < 200; round++) {
        w->loop = event_base_new();
        w->upstream = upstream_new(w->loop, w->shared);
        memset(w->visitors, 0, sizeof w->visitors);
        w->started = w->over = 0;
        fill(w);
        for (int turn = 0; turn < 3; turn++)
            event_base_loop(w->loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        upstream_free(w->upstream);
        event_base_free(w->loop);
    }
    return NULL;
}

static void test_loops_come_and_go(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    char url[64];
    int fd = dead_port(url, sizeof url);
    static struct worker workers[LOOPS];
    for (size_t i = 0; i < LOOPS; i++) {
        workers[i] = (struct worker){.shared = s.shared, .url = url};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, come_and_go, &workers[i]), 0);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].bad, 0);
    }
    assert_int_equal(upstream_inflight(s.shared, SLICE("mock")), 0);
    close(fd);
    scene_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crowd),
        cmocka_unit_test(test_loops_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
