// The way out of a connection: what is given goes to the kernel at once, and
// what it does not take waits in `out`.
#include "conn.h"

static void all_sent(struct conn *c) {
    buffer_free(&c->out); // was needed for a slow reader; the next may be quick
    c->out_at = 0;
    if (c->state == CONN_BUSY) {
        c->deadline_ms = 0; // from here on it waits for the handler
        request_all_sent(c->request);
    } else if (c->state == CONN_FLUSH) {
        conn_last_sent(c);
    }
}

static void keep(struct conn *c, const struct slice *parts, size_t count, size_t skip) {
    // A 100 Continue does not change what a body's deadline is.
    if (output_unsent(c) == 0 && c->state != CONN_BODY)
        conn_set_deadline(c, c->server->limits.write_timeout_ms);
    for (size_t i = 0; i < count; i++) {
        size_t skipped = skip < parts[i].len ? skip : parts[i].len;
        buffer_append(&c->out, slice_from(parts[i], skipped));
        skip -= skipped;
    }
}

// What was sent goes once it is the greater part: each byte moves once.
static void compact(struct conn *c) {
    if (c->out_at > c->out.len / 2) {
        buffer_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
}

// False: the connection is closed.
static bool flush(struct conn *c) {
    while (output_unsent(c) > 0) {
        struct slice rest = slice_from(buffer_slice(&c->out), c->out_at);
        ssize_t n = wire_write(c, &rest, 1);
        if (n == WIRE_AGAIN)
            break;
        if (n < 0) {
            conn_close(c);
            return false;
        }
        c->out_at += (size_t)n;
        if (c->state != CONN_BODY)
            conn_set_deadline(c, c->server->limits.write_timeout_ms);
    }
    compact(c);
    return true;
}

static void send_plain(struct conn *c, const struct slice *parts, size_t count, size_t total) {
    ssize_t n = wire_write(c, parts, count);
    if (n == WIRE_ERROR) {
        conn_close(c);
        return;
    }
    size_t sent = n == WIRE_AGAIN ? 0 : (size_t)n;
    if (sent < total)
        keep(c, parts, count, sent); // a short write: the socket is full
    else
        all_sent(c);
}

void output_send(struct conn *c, const struct slice *parts, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    if (c->state == CONN_CLOSED || total == 0)
        return;
    if (output_unsent(c) > 0) {
        keep(c, parts, count, 0);
    } else if (c->ssl == NULL) {
        send_plain(c, parts, count, total);
    } else {
        // One piece, one record; and OpenSSL wants to see the same bytes again
        // after a full socket.
        keep(c, parts, count, 0);
        if (flush(c) && output_unsent(c) == 0)
            all_sent(c);
    }
    conn_update(c);
}

void output_ready(struct conn *c) {
    if (output_unsent(c) == 0 || !flush(c))
        return;
    if (c->state == CONN_BUSY)
        request_drained(c->request); // may give more, or end it all
    if (c->state != CONN_CLOSED && output_unsent(c) == 0)
        all_sent(c);
}
