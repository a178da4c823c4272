// The way into a connection: heads, then bodies, one request at a time. While
// one is with the handler its pipelined successors wait in `in`, up to a bound,
// so answers are in order by construction.
//
// Bytes are judged where the kernel put them: `in` holds only what is left
// over. The rest of a body whose length is known is received straight into its
// request: a prompt of 300 KB costs a few system calls and no copy.
#include "conn.h"

enum {
    DROPPED_MAX = 4 << 20,   // read and forgotten, so that an error is not lost to a reset
    ROOM_AT_ONCE = 1 << 20,  // for a body, before its bytes came: a claim costs a liar nothing
    KEPT_BUFFER = 4096,      // an idle connection keeps no more
};

static void hand_over(struct conn *c) {
    struct http_request *r = c->request;
    struct http_server *s = c->server;
    c->state = CONN_BUSY;
    // The handler may take its time; a 100 Continue that does not get out may not.
    conn_set_deadline(c, output_unsent(c) > 0 ? s->limits.write_timeout_ms : 0);
    c->closes = c->closes || !r->head.keep_alive || s->draining;
    s->active++;
    s->handler.on_request(r, s->handler.arg);
}

// ------------------------------------------------------------------- bodies

static size_t take_known_length(struct conn *c, struct slice bytes) {
    struct http_request *r = c->request;
    size_t wanted = (size_t)r->head.length - r->body.len;
    size_t used = bytes.len < wanted ? bytes.len : wanted;
    buffer_append(&r->body, slice_make(bytes.ptr, used));
    if (used == wanted)
        hand_over(c);
    return used;
}

static size_t take_chunks(struct conn *c, struct slice bytes) {
    struct scan_refusal refusal;
    size_t used = 0;
    enum scan_verdict verdict = scan_chunked(&c->chunks, bytes, &used, &c->request->body,
                                             (size_t)c->server->limits.max_body_bytes, &refusal);
    if (verdict == SCAN_REFUSED)
        conn_refuse(c, &refusal);
    else if (verdict == SCAN_DONE)
        hand_over(c);
    return used;
}

static size_t take_body(struct conn *c, struct slice bytes) {
    return c->request->head.chunked ? take_chunks(c, bytes) : take_known_length(c, bytes);
}

// The head is read; `more_came` says whether bytes behind it are there already.
static void begin_body(struct conn *c, bool more_came) {
    struct http_request *r = c->request;
    const struct http_limits *limits = &c->server->limits;
    if (r->head.length > (uint64_t)limits->max_body_bytes) {
        conn_refuse(
            c, &(struct scan_refusal){API_ERROR_REQUEST_TOO_LARGE, 413, "The body is too large."});
        return;
    }
    if (!r->head.chunked && r->head.length == 0) {
        hand_over(c);
        return;
    }
    c->state = CONN_BODY;
    conn_set_deadline(c, limits->body_timeout_ms);
    c->chunks = (struct scan_chunks){0};
    if (!r->head.chunked)
        buffer_reserve(&r->body,
                       r->head.length < ROOM_AT_ONCE ? (size_t)r->head.length : ROOM_AT_ONCE);
    if (r->head.expects_continue && !more_came)
        output_send(c, &SLICE("HTTP/1.1 100 Continue\r\n\r\n"), 1);
}

// -------------------------------------------------------------------- heads

static size_t take_head(struct conn *c, struct slice bytes) {
    const struct http_limits *l = &c->server->limits;
    const struct scan_limits limits = {(size_t)l->max_header_bytes, l->max_headers};
    size_t blank = 0;
    // RFC 9112 2.2: empty lines before a request are to be ignored. They are
    // on the head's clock, so that they cannot keep a connection for ever.
    if (c->progress.seen == 0)
        while (bytes.len >= blank + 2 && memcmp(bytes.ptr + blank, "\r\n", 2) == 0)
            blank += 2;
    bytes = slice_from(bytes, blank);
    if (bytes.len == 0 || (bytes.len == 1 && bytes.ptr[0] == '\r'))
        return blank;
    struct scan_refusal refusal;
    size_t end = 0;
    enum scan_verdict verdict = scan_find_end(bytes, &limits, &c->progress, &end, &refusal);
    if (verdict == SCAN_MORE)
        return blank;
    if (verdict == SCAN_DONE) {
        c->request = request_new(c, slice_make(bytes.ptr, end), &limits, &refusal);
        verdict = c->request != NULL ? SCAN_DONE : SCAN_REFUSED;
    }
    if (verdict == SCAN_REFUSED)
        conn_refuse(c, &refusal);
    else
        begin_body(c, bytes.len > end);
    return blank + end;
}

// Uses what can be used now and says how much that was.
static size_t take(struct conn *c, struct slice bytes) {
    size_t used = 0;
    while (used < bytes.len && !c->closes) {
        struct slice rest = slice_from(bytes, used);
        size_t n = 0;
        if (c->state == CONN_HEAD) {
            if (c->began_ns == 0) {
                c->began_ns = clock_mono_ns();
                conn_set_deadline(c, c->server->limits.header_timeout_ms);
            }
            n = take_head(c, rest);
        } else if (c->state == CONN_BODY) {
            n = take_body(c, rest);
        }
        if (n == 0)
            break;
        used += n;
    }
    return used;
}

void input_take(struct conn *c) {
    if (input_held(c) > 0) {
        size_t used = take(c, slice_from(buffer_slice(&c->in), c->in_at));
        if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
            return; // a refusal; `in` is gone
        c->in_at += used;
    }
    if (input_held(c) == 0) {
        c->in_at = 0;
        if (c->in.cap > KEPT_BUFFER)
            buffer_free(&c->in);
        else
            buffer_clear(&c->in);
    } else if (c->in_at > c->in.len / 2) {
        buffer_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
}

// ------------------------------------------------------------------ reading

// False: the connection has ended.
static bool read_body_directly(struct conn *c) {
    struct http_request *r = c->request;
    while (r->body.len < r->head.length) {
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

static void read_requests(struct conn *c) {
    struct http_server *s = c->server;
    ssize_t n = wire_read(c, s->scratch, sizeof s->scratch);
    if (n == WIRE_AGAIN)
        return;
    if (n <= 0) {
        conn_peer_ended(c, n == 0);
        return;
    }
    if (c->state == CONN_BODY)
        conn_set_deadline(c, s->limits.body_timeout_ms);
    struct slice came = slice_make(s->scratch, (size_t)n);
    if (input_held(c) == 0)
        came = slice_from(came, take(c, came));
    bool kept =
        !c->closes && (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_BUSY);
    if (kept && came.len > 0) {
        bool waited = input_held(c) > 0;
        buffer_append(&c->in, came);
        if (waited)
            input_take(c);
    }
}

// What comes after the last answer is read, so that closing does not reset the
// connection under it, and forgotten.
static void read_to_forget(struct conn *c) {
    ssize_t n =
        c->ssl == NULL ? wire_drop(c) : wire_read(c, c->server->scratch, sizeof c->server->scratch);
    if (n == WIRE_AGAIN)
        return;
    if (n > 0)
        c->dropped += (size_t)n;
    if (n == 0 && c->state == CONN_FLUSH)
        c->peer_closed = true; // it may still read
    else if (n <= 0 || c->dropped > DROPPED_MAX)
        conn_close(c);
}

static void shake_hands(struct conn *c) {
    int result = wire_handshake(c);
    if (result == WIRE_ERROR) {
        conn_close(c);
    } else if (result == 1) {
        c->state = CONN_HEAD;
        conn_set_deadline(c, c->server->limits.keepalive_timeout_ms);
        read_requests(c); // the first often came along
    }
}

static void read_once(struct conn *c) {
    switch (c->state) {
    case CONN_HANDSHAKE:
        shake_hands(c);
        break;
    case CONN_HEAD:
    case CONN_BUSY:
        read_requests(c);
        break;
    case CONN_BODY:
        if (c->request->head.chunked || input_held(c) > 0)
            read_requests(c);
        else if (!read_body_directly(c))
            conn_close(c);
        break;
    case CONN_FLUSH:
    case CONN_LINGER:
        read_to_forget(c);
        break;
    case CONN_CLOSED:
        break;
    }
}

void input_ready(struct conn *c) {
    read_once(c);
    // TLS may hold decrypted bytes that no poll will announce. Never while
    // reading is paused: `scratch` has room for a whole record, and a body that
    // is read directly leaves off amid one only when `in` is empty.
    while (c->state != CONN_CLOSED && c->ssl != NULL && conn_reads(c) && SSL_pending(c->ssl) > 0)
        read_once(c);
}
