// What one attempt costs in CPU time: a 1.6 KB request and a 1 KB answer over
// kept connections, at several numbers of them at once. The provider is a child
// process, so its time is not counted.
//
//   bench_upstream [attempts [connections]]    (both, for a profiler)
#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "farthing/upstream.h"

enum { BODY_BYTES = 1200, ANSWER_BYTES = 1024, LAST_BYTE = '}' }; // which ends each request

// ------------------------------------------------------------- the provider

static char answer[4096];
static size_t answer_len;

static void make_answer(void) {
    answer_len = (size_t)snprintf(
        answer, sizeof answer,
        "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 08:00:00 GMT\r\nContent-Type: "
        "application/json\r\n"
        "Content-Length: %d\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
        "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
        "x-request-id: req_0123456789abcdef\r\n\r\n%0*d",
        ANSWER_BYTES, ANSWER_BYTES, 0);
}

static void serve(int poller, struct epoll_event *e, int listener) {
    if (e->data.fd == listener) {
        struct epoll_event new = {.events = EPOLLIN, .data.fd = accept(listener, NULL, NULL)};
        epoll_ctl(poller, EPOLL_CTL_ADD, new.data.fd, &new);
        return;
    }
    static char bytes[65536];
    ssize_t n = recv(e->data.fd, bytes, sizeof bytes, 0);
    if (n <= 0)
        close(e->data.fd);
    else if (bytes[n - 1] == LAST_BYTE && send(e->data.fd, answer, answer_len, MSG_NOSIGNAL) < 0)
        close(e->data.fd);
}

static _Noreturn void run_provider(int listener) {
    int poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        struct epoll_event ready[64];
        int count = epoll_wait(poller, ready, 64, -1);
        for (int i = 0; i < count; i++)
            serve(poller, &ready[i], listener);
    }
}

static pid_t start_provider(char *url, size_t size) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &length) != 0)
        abort();
    snprintf(url, size, "http://127.0.0.1:%d/v1", ntohs(at.sin_port));
    pid_t child = fork();
    if (child == 0)
        run_provider(fd);
    close(fd);
    return child;
}

// ------------------------------------------------------------- the attempts

struct bench {
    struct event_base *loop;
    struct upstream *upstream;
    const char *url;
    long wanted, started, ended, bad;
};

static char body[BODY_BYTES];

static void on_head(void *arg, const struct attempt_head *head) {
    ((struct bench *)arg)->bad += head->status != 200;
}

static void on_data(void *arg, struct slice data) {
    (void)arg;
    (void)data;
}

static void start(struct bench *b);

static void on_done(void *arg, const struct attempt_result *result) {
    struct bench *b = arg;
    b->bad += result->end != ATTEMPT_OK || result->body_bytes != ANSWER_BYTES;
    if (++b->ended == b->wanted)
        event_base_loopbreak(b->loop);
    else if (b->started < b->wanted)
        start(b);
}

static void start(struct bench *b) {
    static const struct attempt_events events = {on_head, on_data, on_done};
    static const struct api_header headers[] = {
        {SLICE("Accept"), SLICE("application/json")},
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("User-Agent"), SLICE("OpenAI/Python 1.40.0")},
        {SLICE("X-Stainless-Lang"), SLICE("python")},
        {SLICE("X-Stainless-Package-Version"), SLICE("1.40.0")},
        {SLICE("X-Stainless-Runtime"), SLICE("CPython")},
        {SLICE("Authorization"), SLICE("Bearer sk-0123456789abcdef0123456789abcdef")},
    };
    struct upstream_target target = {.name = SLICE("bench"),
                                     .base_url = slice_of(b->url),
                                     .connect_timeout_ms = 5000,
                                     .first_byte_timeout_ms = 60000,
                                     .idle_timeout_ms = 120000,
                                     .max_inflight = 100000};
    struct attempt_request request = {.target = &target,
                                      .method = SLICE("POST"),
                                      .path = SLICE("/chat/completions"),
                                      .headers = headers,
                                      .header_count = FARTHING_COUNT(headers),
                                      .body = slice_make(body, sizeof body)};
    b->started++;
    attempt_start(b->upstream, &request, &events, b);
}

static double cpu_seconds(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static void run(struct bench *b, long attempts, long connections) {
    b->wanted = attempts;
    b->started = b->ended = 0;
    while (b->started < connections)
        start(b);
    event_base_loop(b->loop, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void measure(const char *url, long attempts, long connections) {
    struct upstream_shared *shared = upstream_shared_new();
    struct bench b = {.loop = event_base_new(), .url = url};
    b.upstream = upstream_new(b.loop, shared);
    run(&b, connections, connections); // connects
    double cpu = cpu_seconds();
    uint64_t start_ns = clock_mono_ns();
    run(&b, attempts, connections);
    double wall = (double)(clock_mono_ns() - start_ns) * 1e-9;
    printf("%11ld %12.0f %14.2f %6ld\n", connections, (double)attempts / wall,
           (cpu_seconds() - cpu) * 1e6 / (double)attempts, b.bad);
    upstream_free(b.upstream);
    upstream_shared_free(shared);
    event_base_free(b.loop);
}

int main(int argc, char **argv) {
    static const long connections[] = {1, 32, 256, 1000};
    char url[64];
    signal(SIGPIPE, SIG_IGN);
    make_answer();
    memset(body, 'x', sizeof body);
    body[sizeof body - 1] = LAST_BYTE;
    pid_t child = start_provider(url, sizeof url);
    long attempts = argc > 1 ? atol(argv[1]) : 100000;
    printf("connections   attempts/s   CPU us/attempt   bad\n");
    for (size_t i = 0; i < FARTHING_COUNT(connections); i++)
        if (argc <= 2 || atol(argv[2]) == connections[i])
            measure(url, attempts, connections[i]);
    kill(child, SIGTERM);
    return 0;
}
