// One connection, one request after the other, 1.6 KB with 12 fields each,
// answered with 1 KB from memory: what this room itself costs.
//
//   bench_http [requests]            prints requests a second, client included
//   valgrind --tool=callgrind bench_http 20000
#include <arpa/inet.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "farthing/http.h"

enum { BODY_BYTES = 1150, ANSWER_BYTES = 1024 };

static char answer[ANSWER_BYTES];

static void on_request(struct http_request *request, void *arg) {
    (void)arg;
    const struct api_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("x-farthing-request-id"), SLICE("01JD3V1XN0ZQ8W7T6S5R4P3M2K")},
        {SLICE("x-farthing-cache"), SLICE("hit")},
        {SLICE("x-farthing-model"), SLICE("openai/gpt-4o-mini")},
    };
    http_reply(request, 200, headers, FARTHING_COUNT(headers), slice_make(answer, sizeof answer));
}

static void write_request(struct buffer *out) {
    buffer_printf(out,
                  "POST /v1/chat/completions HTTP/1.1\r\n"
                  "Host: 127.0.0.1:4000\r\n"
                  "Accept-Encoding: gzip, deflate\r\n"
                  "Connection: keep-alive\r\n"
                  "Accept: application/json\r\n"
                  "Content-Type: application/json\r\n"
                  "User-Agent: OpenAI/Python 1.54.3\r\n"
                  "X-Stainless-Lang: python\r\n"
                  "X-Stainless-Package-Version: 1.54.3\r\n"
                  "X-Stainless-Retry-Count: 0\r\n"
                  "Authorization: Bearer sk-farthing-0123456789abcdef0123456789abcdef\r\n"
                  "x-farthing-feature: support_chat\r\n"
                  "Content-Length: %d\r\n\r\n",
                  BODY_BYTES);
    for (int i = 0; i < BODY_BYTES; i++)
        buffer_append_char(out, 'x');
}

static int connect_to(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        abort();
    return fd;
}

// Reads one answer; they are all of one length, which the first one shows.
static void read_answer(struct event_base *loop, int fd, size_t *length) {
    char bytes[8192];
    size_t got = 0;
    while (*length == 0 || got < *length) {
        event_base_loop(loop, EVLOOP_NONBLOCK);
        ssize_t n = recv(fd, bytes + got, sizeof bytes - got, MSG_DONTWAIT);
        if (n == 0)
            abort();
        got += n > 0 ? (size_t)n : 0;
        ptrdiff_t end = slice_find(slice_make(bytes, got), SLICE("\r\n\r\n"));
        if (*length == 0 && end >= 0)
            *length = (size_t)end + 4 + ANSWER_BYTES;
    }
}

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 200000;
    signal(SIGPIPE, SIG_IGN);
    memset(answer, 'y', sizeof answer);
    const struct http_limits limits = {1 << 25, 32768, 100, 10000, 10000, 75000, 30000, 65536, 0};
    const struct http_handler handler = {on_request, NULL, NULL};
    struct error err;
    struct event_base *loop = event_base_new();
    struct http_server *server = http_server_new(loop, &limits, &handler);
    uint16_t port = http_server_listen(server, SLICE("127.0.0.1:0"), NULL, false, &err);
    if (port == 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int fd = connect_to(port);
    struct buffer request = {0};
    write_request(&request);
    size_t length = 0;
    uint64_t started = clock_mono_ns();
    for (long i = 0; i < count; i++) {
        if (send(fd, request.ptr, request.len, 0) != (ssize_t)request.len)
            abort();
        read_answer(loop, fd, &length);
    }
    double seconds = (double)(clock_mono_ns() - started) / 1e9;
    printf("%ld requests of %zu bytes, answers of %zu: %.0f a second, %.2f us each\n", count,
           request.len, length, (double)count / seconds, seconds * 1e6 / (double)count);
    close(fd);
    buffer_free(&request);
    http_server_free(server);
    event_base_free(loop);
    return 0;
}
