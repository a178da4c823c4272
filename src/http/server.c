// Listening, deferred endings, and the sweep for connections that took too
// long: one coarse timer for all of them instead of one each.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"

enum { BACKLOG = 4096, SWEEP_MS_MIN = 10, SWEEP_MS_MAX = 1000, ACCEPTS_A_ROUND = 64 };

// ----------------------------------------------------------------- deferred

void server_wake(struct http_server *s) {
    event_active(s->deferred, 0, 0);
}

static void finish_request(struct http_request *r) {
    struct conn *c = r->conn;
    r->server->active--;
    if (r->on_end != NULL)
        r->on_end(r->on_end_arg, r->how);
    request_free(r);
    if (c != NULL)
        conn_continue(c);
}

static void on_deferred(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    while (s->ended != NULL) {
        struct http_request *r = s->ended;
        s->ended = r->next_ended;
        if (s->ended == NULL)
            s->ended_tail = &s->ended;
        finish_request(r);
    }
    while (s->dead != NULL) {
        struct conn *c = s->dead;
        s->dead = c->next;
        free(c);
    }
}

// -------------------------------------------------------------------- sweep

static int64_t smallest(int64_t a, int64_t b) {
    return b > 0 && b < a ? b : a;
}

static void arm_sweep(struct http_server *s) {
    const struct http_limits *l = &s->limits;
    int64_t ms = smallest(SWEEP_MS_MAX * 4, l->header_timeout_ms);
    ms = smallest(ms, l->body_timeout_ms);
    ms = smallest(ms, l->keepalive_timeout_ms);
    ms = smallest(ms, l->write_timeout_ms) / 4;
    ms = ms < SWEEP_MS_MIN ? SWEEP_MS_MIN : ms > SWEEP_MS_MAX ? SWEEP_MS_MAX : ms;
    struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    event_add(s->sweep, &pause);
}

void server_start_sweep(struct http_server *s) {
    if (s->sweeping)
        return;
    s->sweeping = true;
    arm_sweep(s);
}

static void too_late(struct conn *c) {
    bool sending = conn_unsent(c) > 0;
    bool amid_head = c->state == CONN_HEAD && c->in.len > 0 && !c->closes;
    if (!sending && (amid_head || c->state == CONN_BODY))
        conn_refuse(c, &(struct scan_refusal){API_ERROR_REQUEST_TIMEOUT, 408,
                                              "The request took too long to arrive."});
    else
        conn_close(c);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    uint64_t now = clock_mono_ms();
    for (struct conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->deadline_ms != 0 && now >= c->deadline_ms)
            too_late(c);
    }
    s->sweeping = s->conns != NULL;
    if (s->sweeping)
        arm_sweep(s);
}

// ---------------------------------------------------------------- listening

static void peer_name(const struct sockaddr_storage *address, char *out, socklen_t room) {
    out[0] = '\0';
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, out, room);
    else if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, out, room);
}

static void on_accept(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct listener *l = arg;
    struct http_server *s = l->server;
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        char peer[48];
        int client = accept4(fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == EMFILE || errno == ENFILE)
                log_write(LOG_ERROR, "cannot accept a connection: out of file descriptors");
            return;
        }
        if (s->limits.max_connections > 0 && s->conn_count >= (size_t)s->limits.max_connections) {
            close(client);
            continue;
        }
        int on = 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peer_name(&address, peer, sizeof peer);
        conn_open(s, client, peer, l->tls);
    }
}

static bool split(struct slice address, char *host, size_t room, char port[8]) {
    size_t colon = address.len;
    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    uint64_t number;
    if (colon == 0 || !slice_to_u64(slice_from(address, colon), &number) || number > 65535)
        return false;
    struct slice name = slice_make(address.ptr, colon - 1);
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_make(name.ptr + 1, name.len - 2);
    if (name.len >= room)
        return false;
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    snprintf(port, 8, "%u", (unsigned)number);
    return true;
}

static int open_socket(const struct addrinfo *a) {
    int on = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

static uint16_t bound_port(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

uint16_t http_server_listen(struct http_server *s, struct slice address, struct http_tls *tls,
                            struct error *err) {
    char host[256], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    if (!split(address, host, sizeof host, port)) {
        error_set(err, "\"%.*s\" is no address; expected host:port", SLICE_ARG(address));
        return 0;
    }
    int code = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (code != 0) {
        error_set(err, "cannot find \"%s\": %s", host, gai_strerror(code));
        return 0;
    }
    int fd = open_socket(found);
    freeaddrinfo(found);
    if (fd < 0) {
        error_set(err, "cannot listen on %.*s: %s", SLICE_ARG(address), strerror(errno));
        return 0;
    }
    struct listener *l = base_calloc(1, sizeof *l);
    l->server = s;
    l->fd = fd;
    l->tls = tls;
    l->next = s->listeners;
    s->listeners = l;
    event_assign(&l->readable, s->loop, fd, EV_READ | EV_PERSIST, on_accept, l);
    event_add(&l->readable, NULL);
    return bound_port(fd);
}

// --------------------------------------------------------------------- life

struct http_server *http_server_new(struct event_base *loop, const struct http_limits *limits,
                                    const struct http_handler *handler) {
    struct http_server *s = base_calloc(1, sizeof *s);
    s->loop = loop;
    s->limits = *limits;
    s->handler = *handler;
    s->ended_tail = &s->ended;
    s->date_second = -1;
    s->deferred = event_new(loop, -1, 0, on_deferred, s);
    s->sweep = evtimer_new(loop, on_sweep, s);
    return s;
}

void http_server_set_limits(struct http_server *s, const struct http_limits *limits) {
    s->limits = *limits;
}

static void close_listeners(struct http_server *s) {
    while (s->listeners != NULL) {
        struct listener *l = s->listeners;
        s->listeners = l->next;
        event_del(&l->readable);
        close(l->fd);
        free(l);
    }
}

void http_server_drain(struct http_server *s) {
    s->draining = true;
    close_listeners(s);
    for (struct conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        if ((c->state == CONN_HEAD && c->in.len == 0 && conn_unsent(c) == 0) ||
            c->state == CONN_HANDSHAKE)
            conn_close(c);
    }
}

size_t http_server_active(const struct http_server *s) {
    return s->active;
}

size_t http_server_connections(const struct http_server *s) {
    return s->conn_count;
}

void http_server_free(struct http_server *s) {
    if (s == NULL)
        return;
    s->draining = true;
    close_listeners(s);
    while (s->conns != NULL) {
        struct http_request *r = s->conns->request;
        bool running = r != NULL && r->handed_over && !r->ending;
        conn_close(s->conns);
        if (running)
            r->how = HTTP_END_SHUTDOWN;
    }
    on_deferred(-1, 0, s);
    event_free(s->deferred);
    event_free(s->sweep);
    buffer_free(&s->reply);
    free(s);
}
