// libcurl's sockets on libevent's loop.
//
// libcurl forgets a socket after each transfer and asks for it anew with the
// next on the same connection; following that to the letter costs two epoll
// calls a request. A watch stays registered for reading while its connection
// is idle, and goes when the socket is closed or stirs with nobody using it.
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attempt.h"

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct watch *w = arg;
    if (!w->wanted) { // the provider closed an idle connection: libcurl will find out
        event_del(&w->readable);
        w->reads = false;
        return;
    }
    shard_action(w->shard, fd, CURL_CSELECT_IN);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct watch *w = arg;
    shard_action(w->shard, fd, CURL_CSELECT_OUT);
}

static struct watch *watch_of(struct upstream *u, int fd) {
    size_t at = (size_t)fd;
    if (at >= u->watch_cap) {
        size_t cap = u->watch_cap == 0 ? 64 : u->watch_cap;
        while (cap <= at)
            cap *= 2;
        u->watches = base_realloc(u->watches, cap * sizeof *u->watches);
        memset(u->watches + u->watch_cap, 0, (cap - u->watch_cap) * sizeof *u->watches);
        u->watch_cap = cap;
    }
    if (u->watches[at] == NULL) {
        struct watch *w = base_calloc(1, sizeof *w);
        w->fd = fd;
        event_assign(&w->readable, u->loop, fd, EV_READ | EV_PERSIST, on_readable, w);
        event_assign(&w->writable, u->loop, fd, EV_WRITE | EV_PERSIST, on_writable, w);
        u->watches[at] = w;
    }
    return u->watches[at];
}

static void set(struct event *e, bool *added, bool wanted) {
    if (*added == wanted)
        return;
    if (wanted)
        event_add(e, NULL);
    else
        event_del(e);
    *added = wanted;
}

int watch_socket(CURL *easy, curl_socket_t fd, int what, void *shard, void *watch) {
    (void)easy;
    (void)watch;
    struct shard *s = shard;
    struct watch *w = watch_of(s->upstream, fd);
    w->shard = s;
    w->wanted = what != CURL_POLL_REMOVE;
    // Given up while connecting: libcurl (7.88) has closed it, not through
    // watch_close, and the number may come back as a socket of its own.
    if (!w->wanted && !w->reads)
        w->connection = false;
    set(&w->writable, &w->writes, what == CURL_POLL_OUT || what == CURL_POLL_INOUT);
    // Reading stays on while a connection is idle; a paused transfer (CURL_POLL_NONE) must not
    // be woken by what it does not want to read.
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        set(&w->readable, &w->reads, true);
    else if (what != CURL_POLL_REMOVE || !w->connection)
        set(&w->readable, &w->reads, false);
    return 0;
}

// Only sockets from here outlive a REMOVE: the resolver's own are closed without
// a word, and their numbers given to others.
curl_socket_t watch_open(void *upstream, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0)
        watch_of(upstream, fd)->connection = true;
    return fd;
}

int watch_close(void *upstream, curl_socket_t fd) {
    struct upstream *u = upstream;
    if ((size_t)fd < u->watch_cap && u->watches[fd] != NULL) {
        struct watch *w = u->watches[fd];
        set(&w->readable, &w->reads, false);
        set(&w->writable, &w->writes, false);
        w->wanted = w->connection = false;
    }
    return close(fd);
}

void watch_free_all(struct upstream *u) {
    for (size_t i = 0; i < u->watch_cap; i++) {
        struct watch *w = u->watches[i];
        if (w == NULL)
            continue;
        set(&w->readable, &w->reads, false);
        set(&w->writable, &w->writes, false);
        free(w);
    }
    free(u->watches);
}
