// A connection: its life, its states, and every way in which it may end.
// Reading is in input.c, writing in output.c.
#include "conn.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 2000 };

void conn_set_deadline(struct conn *c, int64_t timeout_ms) {
    c->deadline_ms = timeout_ms > 0 ? clock_mono_ms() + (uint64_t)timeout_ms : 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct conn *c = arg;
    c->tls_wants_write = false;
    input_ready(c);
    conn_update(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct conn *c = arg;
    bool for_input = c->tls_wants_write; // a handshake, or a read amid one
    c->tls_wants_write = false;
    output_ready(c);
    if (for_input && conn_reads(c))
        input_ready(c);
    conn_update(c);
}

void conn_open(struct http_server *s, int fd, struct http_tls *tls) {
    struct conn *c = base_calloc(1, sizeof *c);
    c->server = s;
    c->fd = fd;
    c->state = CONN_HEAD;
    if (tls != NULL) {
        c->ssl = SSL_new(tls->ctx);
        SSL_set_fd(c->ssl, fd);
        SSL_set_accept_state(c->ssl);
        c->state = CONN_HANDSHAKE;
    }
    event_assign(&c->readable, s->loop, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, s->loop, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->next = s->conns;
    if (s->conns != NULL)
        s->conns->previous = c;
    s->conns = c;
    s->conn_count++;
    conn_set_deadline(c,
                      tls != NULL ? s->limits.header_timeout_ms : s->limits.keepalive_timeout_ms);
    server_start_sweep(s);
    conn_update(c);
}

static void unlink_conn(struct conn *c) {
    struct http_server *s = c->server;
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        s->conns = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    s->conn_count--;
}

static void part_from_request(struct conn *c) {
    struct http_request *r = c->request;
    c->request = NULL;
    if (r == NULL)
        return;
    r->conn = NULL;
    if (c->state == CONN_BODY)
        request_free(r);
    else
        request_over(r, r->reply == REPLY_BROKEN ? HTTP_END_ABORTED
                        : c->server->ending      ? HTTP_END_SHUTDOWN
                                                 : HTTP_END_CLIENT_GONE);
}

void conn_close(struct conn *c) {
    if (c->state == CONN_CLOSED)
        return;
    part_from_request(c);
    c->state = CONN_CLOSED;
    event_del(&c->readable);
    event_del(&c->writable);
    if (c->ssl != NULL) {
        if (SSL_is_init_finished(c->ssl))
            SSL_shutdown(c->ssl); // says goodbye, does not wait
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    close(c->fd);
    buffer_free(&c->in);
    buffer_free(&c->out);
    c->in_at = c->out_at = 0;
    unlink_conn(c);
    c->next = c->server->dead;
    c->server->dead = c;
    server_wake(c->server);
}

void conn_reset(struct conn *c) {
    if (c->state != CONN_CLOSED)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    conn_close(c);
}

bool conn_reads(const struct conn *c) {
    if (c->state == CONN_CLOSED || c->peer_closed)
        return false;
    return c->state != CONN_BUSY || input_held(c) < INPUT_HELD_MAX;
}

static void set_event(struct event *e, bool wanted, bool *added) {
    if (wanted == *added)
        return;
    if (wanted)
        event_add(e, NULL);
    else
        event_del(e);
    *added = wanted;
}

void conn_update(struct conn *c) {
    if (c->state == CONN_CLOSED)
        return;
    set_event(&c->readable, conn_reads(c), &c->reads);
    set_event(&c->writable, output_unsent(c) > 0 || c->tls_wants_write, &c->waits_to_write);
}

static bool is_idle(const struct conn *c) {
    return c->state == CONN_HANDSHAKE ||
           (c->state == CONN_HEAD && c->began_ns == 0 && output_unsent(c) == 0);
}

static bool has_input(const struct conn *c) {
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void conn_drain(struct conn *c) {
    if (!is_idle(c))
        return;
    // Closing over bytes that came just now would reset who sent them.
    if (has_input(c))
        conn_set_deadline(c, c->server->limits.header_timeout_ms);
    else
        conn_close(c);
}

bool conn_lost_unseen(const struct conn *c) {
    if (c->state != CONN_BUSY || c->reads || c->peer_closed)
        return false;
    struct pollfd poll_fd = {.fd = c->fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1;
}

// ------------------------------------------------------------------ endings

void conn_peer_ended(struct conn *c, bool orderly) {
    c->peer_closed = true;
    // As nginx: a client that closes its side while it waits is gone. One that
    // was given its whole answer may still read it.
    bool given = c->state == CONN_BUSY && c->request->reply >= REPLY_WHOLE;
    if (!orderly || !given || output_unsent(c) == 0)
        conn_close(c);
}

void conn_last_sent(struct conn *c) {
    if (c->peer_closed) {
        conn_close(c);
        return;
    }
    c->state = CONN_LINGER;
    conn_set_deadline(c, LINGER_MS);
    if (c->ssl != NULL)
        SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    buffer_free(&c->in);
    c->in_at = 0;
}

void conn_continue(struct conn *c) {
    c->request = NULL;
    if (c->closes || c->peer_closed || c->server->draining) {
        conn_last_sent(c);
    } else {
        c->state = CONN_HEAD;
        c->began_ns = 0;
        c->progress = (struct scan_progress){0};
        conn_set_deadline(c, c->server->limits.keepalive_timeout_ms);
        input_take(c);
    }
    conn_update(c);
}

void conn_refuse(struct conn *c, const struct scan_refusal *refusal) {
    struct http_server *s = c->server;
    if (s->handler.on_refused != NULL)
        s->handler.on_refused(refusal->error, s->handler.arg);
    if (c->request != NULL)
        request_free(c->request);
    c->request = NULL;
    c->closes = true;
    c->state = CONN_FLUSH;
    reply_refusal(c, refusal);
    conn_update(c);
}
