// HTTP/2, against nghttpd: connections that are used again, one stream at a time
// on each. Skipped where nghttpd is not installed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "certs.h"
#include "scene.h"

enum {
    LARGE_BYTES = 512 << 20, // a hole, of no size on the disk
    HELD_KIB = 16 << 10, // of a paused stream, with room for what else is going on
};

static char folder[] = "farthing-http2-XXXXXX";
static char ca_path[64], cert_path[64], key_path[64], large_path[64];
static char url[64];
static pid_t server;

static void write_file(const char *path, off_t size, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    if (size > 0)
        assert_int_equal(truncate(path, size), 0);
}

static int free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void wait_for_port(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    for (uint64_t start = clock_mono_ms(); clock_mono_ms() - start < 10000;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int code = connect(fd, (struct sockaddr *)&at, sizeof at);
        close(fd);
        if (code == 0)
            return;
        usleep(5000);
    }
    fail_msg("nghttpd does not listen");
}

static int start_server(void **state) {
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(ca_path, sizeof ca_path, "%s/ca.pem", folder);
    snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    snprintf(large_path, sizeof large_path, "%s/large", folder);
    struct cert authority = cert_make("", NULL, 10), c = cert_make("127.0.0.1", &authority, 10);
    cert_write(&authority, ca_path, NULL);
    cert_write(&c, cert_path, key_path);
    cert_free(&authority);
    cert_free(&c);
    write_file(large_path, LARGE_BYTES, "");
    int port = free_port();
    char text[16];
    snprintf(text, sizeof text, "%d", port);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
    server = fork();
    if (server == 0) {
        execl(NGHTTPD, NGHTTPD, "-d", folder, "--echo-upload", "-a", "127.0.0.1", text, key_path,
              cert_path, (char *)NULL);
        _exit(127);
    }
    wait_for_port(port);
    return 0;
}

static int stop_server(void **state) {
    (void)state;
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    const char *const paths[] = {ca_path, cert_path, key_path, large_path};
    for (size_t i = 0; i < FARTHING_COUNT(paths); i++)
        unlink(paths[i]);
    rmdir(folder);
    return 0;
}

static void start(struct probe *p, struct scene *s, const char *method, const char *path,
                  struct slice body) {
    static const struct api_header headers[] = {{SLICE("X-Empty"), SLICE("")},
                                                {SLICE("Authorization"), SLICE("Bearer sk-1")}};
    struct upstream_target target = target_of(url);
    target.ca_file = slice_of(ca_path);
    struct attempt_request request = {.target = &target,
                                      .method = slice_of(method),
                                      .path = slice_of(path),
                                      .headers = headers,
                                      .header_count = FARTHING_COUNT(headers),
                                      .body = body};
    probe_start(p, s, &request);
}

static void test_connections_are_used_again(void **state) {
    (void)state;
    enum { COUNT = 8, ROUNDS = 4 };
    struct scene s;
    scene_open(&s);
    int fresh = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct probe p[COUNT] = {{0}};
        for (size_t i = 0; i < COUNT; i++)
            start(&p[i], &s, "POST", "/x", SLICE("{\"model\":\"m\"}"));
        for (size_t i = 0; i < COUNT; i++) {
            probe_wait(&p[i]);
            assert_end(&p[i], ATTEMPT_OK, "one of many");
            assert_int_equal(p[i].status, 200);
            assert_body(&p[i], "{\"model\":\"m\"}");
            fresh += !p[i].result.reused;
            probe_free(&p[i]);
        }
    }
    assert_in_range(fresh, 1, COUNT);
    scene_close(&s);
}

static void test_large_bodies(void **state) {
    (void)state;
    enum { SIZE = 3 << 20 };
    struct scene s;
    scene_open(&s);
    char *body = base_alloc(SIZE);
    memset(body, 'b', SIZE);
    for (int i = 0; i < 3; i++) {
        struct probe p = {0};
        start(&p, &s, "POST", "/x", slice_make(body, SIZE));
        probe_wait(&p);
        assert_end(&p, ATTEMPT_OK, "large body");
        assert_true(slice_equal(buffer_slice(&p.body), slice_make(body, SIZE)));
        probe_free(&p);
    }
    free(body);
    scene_close(&s);
}

static void test_other_methods_and_statuses(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    static const struct {
        const char *method, *path;
        int status;
    } rows[] = {{"GET", "/missing", 404}, {"HEAD", "/large", 200}, {"GET", "/cert.pem", 200}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct probe p = {0};
        start(&p, &s, rows[i].method, rows[i].path, SLICE_NONE);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_OK, rows[i].path);
        assert_int_equal(p.status, rows[i].status);
        probe_free(&p);
    }
    scene_close(&s);
}

static void cancel_self(struct probe *p) {
    probe_cancel(p);
}

// Its connection goes, at once; others are not touched.
static void test_cancel_one_of_many(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    struct probe first = {0};
    start(&first, &s, "POST", "/x", SLICE("a"));
    probe_wait(&first);
    for (int where = 0; where < 4; where++) {
        struct probe doomed = {0}, other = {0};
        if (where == 2)
            doomed.in_head = cancel_self;
        if (where == 3)
            doomed.in_data = cancel_self;
        start(&doomed, &s, "GET", "/large", SLICE_NONE);
        start(&other, &s, "POST", "/x", SLICE("b"));
        scene_turn(&s, where == 0 ? 0 : 2);
        if (where < 2 && doomed.attempt != NULL)
            probe_cancel(&doomed);
        probe_wait(&other);
        while (!doomed.cancelled)
            event_base_loop(s.loop, EVLOOP_ONCE);
        assert_end(&other, ATTEMPT_OK, "beside a cancelled one");
        assert_int_equal(doomed.done, 0);
        probe_free(&doomed);
        probe_free(&other);
    }
    probe_free(&first);
    scene_close(&s);
}

enum { UPLOADS = 6 };
struct uploads {
    struct probe probes[UPLOADS];
    char *body;
};

static void cancel_uploads(struct probe *p) {
    struct uploads *u = p->arg;
    buffer_clear(&p->body);
    if (u->body == NULL || p->datas < 3)
        return;
    for (size_t i = 0; i < UPLOADS; i++)
        if (u->probes[i].attempt != NULL) // a short one may be over
            probe_cancel(&u->probes[i]);
    free(u->body);
    u->body = NULL;
}

// One cancels the others amid their requests; in what order libcurl comes to
// them is its own affair.
static void test_body_is_not_read_after_cancel(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    for (int round = 0; round < 10; round++) {
        size_t size = round % 2 == 0 ? 8 << 20 : 4096;
        struct uploads uploads = {.body = base_calloc(1, size)};
        struct probe p = {.in_data = cancel_uploads, .arg = &uploads};
        for (size_t i = 0; i < UPLOADS; i++) {
            if (i == UPLOADS / 2)
                start(&p, &s, "GET", "/large", SLICE_NONE);
            start(&uploads.probes[i], &s, "POST", "/x", slice_make(uploads.body, size));
        }
        while (uploads.body != NULL)
            event_base_loop(s.loop, EVLOOP_ONCE);
        scene_turn(&s, 5);
        probe_cancel(&p);
        probe_free(&p);
        for (size_t i = 0; i < UPLOADS; i++)
            probe_free(&uploads.probes[i]);
    }
    scene_close(&s);
}

static long peak_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void pause_self(struct probe *p) {
    attempt_pause(p->attempt);
}

// A paused stream is held back by flow control, and holds nobody up.
static void test_pause_one_of_many(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    long before_kib = peak_kib();
    struct probe paused = {.in_data = pause_self};
    start(&paused, &s, "GET", "/large", SLICE_NONE);
    while (paused.datas == 0)
        event_base_loop(s.loop, EVLOOP_ONCE);
    for (int i = 0; i < 50; i++) {
        struct probe other = {0};
        start(&other, &s, "POST", "/x", SLICE("b"));
        probe_wait(&other);
        assert_end(&other, ATTEMPT_OK, "beside a paused one");
        probe_free(&other);
    }
    assert_int_equal(paused.datas, 1);
    if (!SANITIZED) // whose own memory counts too
        assert_true(peak_kib() - before_kib < HELD_KIB);
    probe_cancel(&paused);
    probe_free(&paused);
    scene_close(&s);
}

int main(void) {
    if (access(NGHTTPD, X_OK) != 0) {
        fprintf(stderr, "skipped: nghttpd is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_are_used_again),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_other_methods_and_statuses),
        cmocka_unit_test(test_cancel_one_of_many),
        cmocka_unit_test(test_body_is_not_read_after_cancel),
        cmocka_unit_test(test_pause_one_of_many),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
