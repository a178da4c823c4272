// A client for tests that run a server on their own loop: everything happens
// on one thread, one turn of the loop at a time.
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "farthing/base.h"

static inline int loopback_connect(uint16_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        abort();
    return fd;
}

static inline void loopback_send(int fd, const char *text) {
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        abort();
}

// "Connection: close" POST of a JSON body; the caller frees.
static inline char *loopback_post(const char *path, const char *headers, const char *body) {
    char *text = NULL;
    if (asprintf(&text,
                 "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                 path, headers, strlen(body), body) < 0)
        abort();
    return text;
}

// One turn: what is ready is served; without anything, waits a moment.
static inline void loopback_turn(struct event_base *loop) {
    struct timeval moment = {0, 1000};
    event_base_loopexit(loop, &moment);
    event_base_loop(loop, EVLOOP_ONCE);
}

// Sends, and turns the loop until the other side has closed; NUL-terminated.
static inline char *loopback_fetch(struct event_base *loop, uint16_t port, const char *request) {
    struct buffer got = {0};
    int fd = loopback_connect(port);
    loopback_send(fd, request);
    for (int turns = 0;; turns++) {
        buffer_reserve(&got, 65536);
        ssize_t n = recv(fd, got.ptr + got.len, got.cap - got.len - 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0)
            got.len += (size_t)n;
        if (turns > 20000) {
            fprintf(stderr, "the answer does not end: %.*s\n", (int)got.len, got.ptr);
            abort();
        }
        loopback_turn(loop);
    }
    close(fd);
    got.ptr[got.len] = '\0';
    return got.ptr;
}

#endif
