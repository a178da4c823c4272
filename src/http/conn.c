// A connection: reading requests one after the other, sending answers, and
// every way in which it may end. While a request is with the handler its
// pipelined successors wait in `in`, up to a bound, so answers are in order by
// construction.
//
// Bodies are received straight into their request: a prompt of 300 KB costs
// two or three system calls and no copy.
#include "conn.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINGER_BYTES = 4 << 20, // read and forgotten, so that the error is not lost to a reset
    LINGER_MS = 2000,
    PIPELINED_BYTES = 64 * 1024,
    KEPT_BUFFER = 4096, // an idle connection keeps no more
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

void conn_set_deadline(struct conn *c, int64_t timeout_ms) {
    c->deadline_ms = timeout_ms > 0 ? clock_mono_ms() + (uint64_t)timeout_ms : 0;
}

size_t conn_unsent(const struct conn *c) {
    return c->out.len - c->out_at;
}

// ---------------------------------------------------------------- life

void conn_open(struct http_server *s, int fd, const char *peer, struct http_tls *tls) {
    struct conn *c = base_calloc(1, sizeof *c);
    c->server = s;
    c->fd = fd;
    c->id = ++s->next_id;
    c->state = CONN_HEAD;
    memcpy(c->peer, peer, strnlen(peer, sizeof c->peer - 1));
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
    conn_set_deadline(c, tls != NULL ? s->limits.header_timeout_ms : s->limits.keepalive_timeout_ms);
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

void conn_close(struct conn *c) {
    if (c->state == CONN_CLOSED)
        return;
    if (c->request != NULL) {
        struct http_request *r = c->request;
        c->request = NULL;
        r->conn = NULL;
        if (r->handed_over)
            request_end(r, r->reply == REPLY_BROKEN ? HTTP_END_ABORTED : HTTP_END_CLIENT_GONE);
        else
            request_free(r);
    }
    c->state = CONN_CLOSED;
    event_del(&c->readable);
    event_del(&c->writable);
    if (c->ssl != NULL) {
        SSL_shutdown(c->ssl); // says goodbye, does not wait
        SSL_free(c->ssl);
    }
    close(c->fd);
    buffer_free(&c->in);
    buffer_free(&c->out);
    unlink_conn(c);
    // Callers up the stack may still look at it.
    c->next = c->server->dead;
    c->server->dead = c;
    server_wake(c->server);
}

static bool wants_to_read(const struct conn *c) {
    if (c->state == CONN_CLOSED || c->peer_closed)
        return false;
    return c->state != CONN_BUSY || c->in.len < PIPELINED_BYTES;
}

void conn_update(struct conn *c) {
    if (c->state == CONN_CLOSED)
        return;
    bool reads = wants_to_read(c);
    bool writes = conn_unsent(c) > 0 || c->tls_wants_write;
    if (reads != c->reads) {
        if (reads)
            event_add(&c->readable, NULL);
        else
            event_del(&c->readable);
        c->reads = reads;
    }
    if (writes != c->waits_to_write) {
        if (writes)
            event_add(&c->writable, NULL);
        else
            event_del(&c->writable);
        c->waits_to_write = writes;
    }
}

// ------------------------------------------------------------------ writing

static void start_linger(struct conn *c) {
    c->state = CONN_LINGER;
    conn_set_deadline(c, LINGER_MS);
    if (c->ssl == NULL)
        shutdown(c->fd, SHUT_WR);
    else
        SSL_shutdown(c->ssl);
    buffer_free(&c->in);
    if (c->peer_closed)
        conn_close(c);
}

static void all_sent(struct conn *c) {
    if (c->out.cap > KEPT_BUFFER)
        buffer_free(&c->out);
    else
        buffer_clear(&c->out);
    c->out_at = 0;
    if (c->state == CONN_BUSY)
        request_sent(c);
    else if (c->closes && c->state != CONN_LINGER && c->state != CONN_CLOSED && c->request == NULL)
        start_linger(c);
}

void conn_send(struct conn *c, struct slice head, struct slice body) {
    size_t total = head.len + body.len, sent = 0;
    while (conn_unsent(c) == 0 && sent < total) {
        struct slice h = slice_from(head, sent), b = slice_from(body, sent > head.len ? sent - head.len : 0);
        ssize_t n = wire_write(c, h, b);
        if (n == WIRE_ERROR) {
            conn_close(c);
            return;
        }
        if (n == WIRE_AGAIN)
            break;
        sent += (size_t)n;
    }
    if (sent < total) {
        if (conn_unsent(c) == 0)
            conn_set_deadline(c, c->server->limits.write_timeout_ms);
        if (c->out_at > 0 && c->out_at == c->out.len) {
            buffer_clear(&c->out);
            c->out_at = 0;
        }
        buffer_append(&c->out, slice_from(head, sent));
        buffer_append(&c->out, slice_from(body, sent > head.len ? sent - head.len : 0));
        conn_update(c);
        return;
    }
    if (conn_unsent(c) == 0)
        all_sent(c);
}

static void write_more(struct conn *c) {
    while (conn_unsent(c) > 0) {
        struct slice rest = slice_from(buffer_slice(&c->out), c->out_at);
        ssize_t n = wire_write(c, rest, SLICE_NONE);
        if (n == WIRE_ERROR) {
            conn_close(c);
            return;
        }
        if (n == WIRE_AGAIN)
            break;
        c->out_at += (size_t)n;
        conn_set_deadline(c, c->server->limits.write_timeout_ms);
    }
    // What was sent goes once it is the greater part.
    if (c->out_at > c->out.len / 2) {
        buffer_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
    if (c->request != NULL)
        request_drained(c->request);
    if (c->state != CONN_CLOSED && conn_unsent(c) == 0)
        all_sent(c);
}

void conn_refuse(struct conn *c, const struct scan_refusal *refusal) {
    struct http_server *s = c->server;
    struct buffer body = {0}, head = {0};
    if (s->handler.on_refused != NULL)
        s->handler.on_refused(refusal->error, s->handler.arg);
    api_error_write(&body, refusal->error, slice_of(refusal->why), SLICE_NONE);
    buffer_printf(&head,
                  "HTTP/1.1 %d Refused\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "%sConnection: close\r\n\r\n",
                  refusal->status, body.len,
                  api_error_info(refusal->error)->retryable ? "" : "x-should-retry: false\r\n");
    if (c->request != NULL) {
        request_free(c->request);
        c->request = NULL;
    }
    c->closes = true;
    c->state = CONN_HEAD; // no request any more; what is sent ends in CONN_LINGER
    conn_send(c, buffer_slice(&head), buffer_slice(&body));
    buffer_free(&head);
    buffer_free(&body);
    conn_update(c);
}

// ------------------------------------------------------------------ reading

static void hand_over(struct conn *c) {
    struct http_request *r = c->request;
    struct http_server *s = c->server;
    c->state = CONN_BUSY;
    c->deadline_ms = 0;
    c->closes = c->closes || !r->head.keep_alive || s->draining;
    r->handed_over = true;
    s->active++;
    s->handler.on_request(r, s->handler.arg);
}

static bool take_length_body(struct conn *c) {
    struct http_request *r = c->request;
    size_t wanted = (size_t)r->head.length - r->body.len;
    size_t there = c->in.len < wanted ? c->in.len : wanted;
    buffer_append(&r->body, slice_make(c->in.ptr, there));
    buffer_consume(&c->in, there);
    return r->body.len == r->head.length;
}

static enum scan_verdict take_chunks(struct conn *c, struct scan_refusal *refusal) {
    size_t used = 0;
    enum scan_verdict verdict =
        scan_chunked(&c->chunks, buffer_slice(&c->in), &used, &c->request->body,
                     (size_t)c->server->limits.max_body_bytes, refusal);
    if (verdict != SCAN_REFUSED)
        buffer_consume(&c->in, used);
    return verdict;
}

// A body's bytes that are in `in`; true when the body is whole.
static bool take_body(struct conn *c) {
    struct scan_refusal refusal;
    if (!c->request->head.chunked)
        return take_length_body(c);
    enum scan_verdict verdict = take_chunks(c, &refusal);
    if (verdict == SCAN_REFUSED)
        conn_refuse(c, &refusal);
    return verdict == SCAN_DONE;
}

static void begin_body(struct conn *c) {
    struct http_request *r = c->request;
    uint64_t max = (uint64_t)c->server->limits.max_body_bytes;
    if (r->head.has_length && r->head.length > max) {
        conn_refuse(c, &(struct scan_refusal){API_ERROR_REQUEST_TOO_LARGE, 413, "The body is too large."});
        return;
    }
    c->state = CONN_BODY;
    conn_set_deadline(c, c->server->limits.body_timeout_ms);
    c->chunks = (struct scan_chunks){0};
    // Room only as it comes, but for what is surely on its way: a claimed
    // length costs a liar nothing.
    if (r->head.has_length && r->head.length > 0)
        buffer_reserve(&r->body, r->head.length < (1 << 20) ? (size_t)r->head.length : 1 << 20);
    bool wanted = r->head.chunked || r->head.length > 0;
    if (wanted && r->head.expects_continue && c->in.len == 0)
        conn_send(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"), SLICE_NONE);
    if (c->state != CONN_BODY)
        return;
    if (!wanted || take_body(c))
        hand_over(c);
}

// Heads, as long as there are whole ones and no request is under way.
static void take_heads(struct conn *c) {
    struct http_server *s = c->server;
    const struct scan_limits limits = {(size_t)s->limits.max_header_bytes, s->limits.max_headers};
    while (c->state == CONN_HEAD && !c->closes) {
        // RFC 9112 2.2: empty lines before a request are to be ignored.
        while (c->scanned == 0 && c->in.len >= 2 && memcmp(c->in.ptr, "\r\n", 2) == 0)
            buffer_consume(&c->in, 2);
        if (c->in.len == 0)
            break;
        struct scan_refusal refusal;
        size_t end = 0;
        enum scan_verdict verdict =
            scan_find_end(buffer_slice(&c->in), &limits, &c->scanned, &end, &refusal);
        if (verdict == SCAN_MORE)
            break;
        if (verdict == SCAN_DONE) {
            c->request = request_new(c, slice_make(c->in.ptr, end));
            struct http_request *r = c->request;
            verdict = scan_head(slice_make(r->head_bytes, end), &limits, r->arena, &r->head, &refusal);
        }
        if (verdict == SCAN_REFUSED) {
            conn_refuse(c, &refusal);
            return;
        }
        buffer_consume(&c->in, end);
        c->scanned = 0;
        begin_body(c);
    }
    if (c->state == CONN_HEAD && c->in.len == 0 && c->in.cap > KEPT_BUFFER)
        buffer_free(&c->in);
}

static void bytes_came(struct conn *c, size_t n) {
    struct http_server *s = c->server;
    if (c->state == CONN_HEAD && c->in.len == n) { // the first of a head
        c->began_ns = clock_mono_ns();
        c->deadline_ms = c->began_ns / 1000000u + (uint64_t)s->limits.header_timeout_ms;
    } else if (c->state == CONN_BODY) {
        conn_set_deadline(c, s->limits.body_timeout_ms);
    }
    if (c->state == CONN_HEAD)
        take_heads(c);
    else if (c->state == CONN_BODY && take_body(c))
        hand_over(c);
}

// Straight into the request's body, as far as its announced length goes.
static bool read_body_directly(struct conn *c) {
    struct http_request *r = c->request;
    while (c->state == CONN_BODY && r->body.len < r->head.length) {
        size_t wanted = (size_t)r->head.length - r->body.len;
        if (r->body.cap == r->body.len)
            buffer_reserve(&r->body, wanted < r->body.cap ? wanted : r->body.cap);
        size_t room = r->body.cap - r->body.len;
        ssize_t n = wire_read(c, r->body.ptr + r->body.len, room < wanted ? room : wanted);
        if (n == WIRE_AGAIN)
            return true;
        if (n <= 0)
            return false;
        r->body.len += (size_t)n;
        conn_set_deadline(c, c->server->limits.body_timeout_ms);
    }
    hand_over(c);
    return true;
}

static void client_ended(struct conn *c) {
    c->peer_closed = true;
    // As nginx: a client that closes its side while it waits is gone. What it
    // has already been given may still be on its way.
    bool answered = c->request != NULL && c->request->handed_over && c->request->ending;
    if (c->state == CONN_BUSY && answered && conn_unsent(c) > 0)
        return;
    conn_close(c);
}

static void read_more(struct conn *c) {
    struct http_server *s = c->server;
    bool direct = c->state == CONN_BODY && !c->request->head.chunked && c->in.len == 0;
    if (direct) {
        if (!read_body_directly(c))
            conn_close(c);
        return;
    }
    ssize_t n = wire_read(c, s->scratch, sizeof s->scratch);
    if (n == WIRE_AGAIN)
        return;
    if (n == 0 && c->state != CONN_LINGER) {
        client_ended(c);
        return;
    }
    if (n <= 0) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_LINGER) {
        c->lingered += (size_t)n;
        if (c->lingered > LINGER_BYTES)
            conn_close(c);
        return;
    }
    if (c->closes)
        return; // an answer says close: nothing more is read
    buffer_append(&c->in, slice_make(s->scratch, (size_t)n));
    bytes_came(c, (size_t)n);
}

static void shake_hands(struct conn *c) {
    int result = wire_handshake(c);
    if (result == WIRE_ERROR) {
        conn_close(c);
    } else if (result == 1) {
        c->state = CONN_HEAD;
        conn_set_deadline(c, c->server->limits.keepalive_timeout_ms);
        read_more(c); // the first request often came along
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct conn *c = arg;
    c->tls_wants_write = false;
    if (c->state == CONN_HANDSHAKE)
        shake_hands(c);
    else
        read_more(c);
    // TLS may hold decrypted bytes that no poll will announce.
    while (c->state != CONN_CLOSED && c->ssl != NULL && wants_to_read(c) && SSL_pending(c->ssl) > 0)
        read_more(c);
    conn_update(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct conn *c = arg;
    bool for_tls = c->tls_wants_write;
    c->tls_wants_write = false;
    if (for_tls && c->state == CONN_HANDSHAKE)
        shake_hands(c);
    else
        write_more(c);
    conn_update(c);
}

void conn_continue(struct conn *c) {
    c->request = NULL;
    c->state = CONN_HEAD;
    if (c->closes || c->peer_closed || c->server->draining) {
        c->closes = true;
        start_linger(c);
        conn_update(c);
        return;
    }
    conn_set_deadline(c, c->server->limits.keepalive_timeout_ms);
    if (c->in.len > 0)
        bytes_came(c, c->in.len);
    conn_update(c);
}
