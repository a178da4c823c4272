// The mock provider on a thread of its own.
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "process.h"

struct demo_mock {
    struct event_base *loop;
    struct mailbox *mailbox;
    struct mail stop;
    struct mock *mock;
    struct http_server *server;
    pthread_t thread;
    uint16_t port;
};

static void *serve(void *arg) {
    struct demo_mock *m = arg;
    event_base_dispatch(m->loop);
    return NULL;
}

static void on_stop(struct mail *mail) {
    struct demo_mock *m = (struct demo_mock *)(void *)((char *)mail - offsetof(struct demo_mock, stop));
    event_base_loopbreak(m->loop);
}

struct demo_mock *demo_mock_start(const char *listen, const struct mock_options *options) {
    static const struct http_limits limits = {
        .max_body_bytes = 64 << 20,
        .max_header_bytes = 64 << 10,
        .max_headers = 200,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 10000,
        .keepalive_timeout_ms = 300000,
        .write_timeout_ms = 60000,
        .stream_buffer_bytes = 1 << 20,
    };
    struct demo_mock *m = base_calloc(1, sizeof *m);
    struct error err;
    m->loop = event_base_new();
    m->mailbox = mailbox_new(m->loop);
    m->mock = mock_new(m->loop, options);
    struct http_handler handler = mock_handler(m->mock);
    m->server = http_server_new(m->loop, &limits, &handler);
    m->port = http_server_listen(m->server, slice_of(listen), NULL, false, &err);
    if (m->port == 0) {
        fprintf(stderr, "farthing: the mock provider: %s\n", err.text);
        exit(1);
    }
    m->stop.run = on_stop;
    if (pthread_create(&m->thread, NULL, serve, m) != 0)
        abort();
    return m;
}

uint16_t demo_mock_port(const struct demo_mock *m) {
    return m->port;
}

void demo_mock_stop(struct demo_mock *m) {
    mailbox_post(m->mailbox, &m->stop);
    pthread_join(m->thread, NULL);
    http_server_free(m->server);
    mock_free(m->mock);
    mailbox_free(m->mailbox);
    event_base_free(m->loop);
    free(m);
}
