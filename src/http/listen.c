// Listening sockets: one set a loop, shared among loops by the kernel
// (SO_REUSEPORT).
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"

enum { BACKLOG = 4096, ACCEPTS_A_ROUND = 64 };

static void pause_all(struct http_server *s, bool pause) {
    s->accepts_paused = pause;
    for (struct listener *l = s->listeners; l != NULL; l = l->next)
        if (pause)
            event_del(&l->readable);
        else
            event_add(&l->readable, NULL);
}

// Level-triggered readiness of a listener that cannot be served would spin.
static void out_of_descriptors(struct http_server *s) {
    if (!s->starved) // one line, not one each try
        log_write(LOG_ERROR, "cannot accept connections for now: %s", strerror(errno));
    s->starved = true;
    pause_all(s, true);
    server_start_sweep(s);
}

// False: nobody waits any more, or nobody can be taken.
static bool accept_one(struct listener *l) {
    struct http_server *s = l->server;
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            out_of_descriptors(s);
        return errno == ECONNABORTED || errno == EINTR;
    }
    s->starved = false;
    if (s->limits.max_connections > 0 && s->conn_count >= (size_t)s->limits.max_connections) {
        close(fd);
        return true;
    }
    conn_open(s, fd, l->tls);
    return true;
}

static void on_accept(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_ROUND && accept_one(arg); i++)
        ;
}

void listen_resume(struct http_server *s) {
    if (s->accepts_paused)
        pause_all(s, false);
}

void listen_close(struct http_server *s) {
    while (s->listeners != NULL) {
        struct listener *l = s->listeners;
        // Closing would reset those who are connected and wait to be accepted.
        for (int i = 0; i < BACKLOG && !s->ending && accept_one(l); i++)
            ;
        s->listeners = l->next;
        event_del(&l->readable);
        close(l->fd);
        free(l);
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

static int open_socket(const struct addrinfo *a, bool shared) {
    int on = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // inherited by who is accepted
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && (!shared || listen(fd, BACKLOG) == 0))
        return fd;
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

// Two processes that share a port by accident would each get half of the
// requests, so the first of this one must have had it to itself for a moment.
static bool is_free(const struct addrinfo *a) {
    int fd = open_socket(a, false);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// The first of a name's addresses that this machine has: "localhost" may name
// ::1 where there is no IPv6. One that is taken ends the search.
static int open_first(const struct addrinfo *a, bool joins) {
    int fd = -1;
    bool absent = true;
    for (; a != NULL && fd < 0 && absent; a = a->ai_next) {
        fd = joins || is_free(a) ? open_socket(a, true) : -1;
        absent = errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT;
    }
    return fd;
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
                            bool joins, struct error *err) {
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
    int fd = open_first(found, joins);
    int why = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        error_set(err, "cannot listen on %.*s: %s", SLICE_ARG(address), strerror(why));
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
