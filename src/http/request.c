// Requests: what the handler sees, and how they end.
#include <netdb.h>
#include <sys/socket.h>

#include "conn.h"

// Head, fields and request lie in one arena; the exchange has its own.
struct http_request *request_new(struct conn *c, struct slice head,
                                 const struct scan_limits *limits, struct scan_refusal *refusal) {
    enum { FOR_FIELDS = SCAN_FIELDS_FIRST * sizeof(struct api_header), FOR_REST = 128 };
    struct arena *arena = arena_new(sizeof(struct http_request) + head.len + FOR_FIELDS + FOR_REST);
    struct http_request *r = arena_calloc(arena, sizeof *r);
    r->arena = arena;
    if (scan_head(arena_copy(arena, head), limits, arena, &r->head, refusal) != SCAN_DONE) {
        arena_free(arena);
        return NULL;
    }
    r->conn = c;
    r->server = c->server;
    r->began_ns = c->began_ns;
    return r;
}

void request_free(struct http_request *r) {
    buffer_free(&r->body);
    buffer_free(&r->answer);
    arena_free(r->arena);
}

void request_over(struct http_request *r, enum http_end how) {
    if (r->reply == REPLY_OVER)
        return;
    r->reply = REPLY_OVER;
    r->how = how;
    struct http_server *s = r->server;
    *s->over_tail = r;
    s->over_tail = &r->next_over;
    server_wake(s);
}

void request_all_sent(struct http_request *r) {
    if (r->reply == REPLY_WHOLE)
        request_over(r, HTTP_END_SENT);
    else if (r->reply == REPLY_BROKEN && r->chunked_reply)
        request_over(r, HTTP_END_ABORTED); // the missing last chunk says it
    else if (r->reply == REPLY_BROKEN)
        conn_reset(r->conn);
}

void request_drained(struct http_request *r) {
    if (!r->drain_wanted ||
        output_unsent(r->conn) > (size_t)r->server->limits.stream_buffer_bytes / 2)
        return;
    r->drain_wanted = false;
    if (r->on_drain != NULL)
        r->on_drain(r->on_drain_arg);
}

struct slice http_request_method(const struct http_request *r) {
    return r->head.method;
}

struct slice http_request_path(const struct http_request *r) {
    return r->head.path;
}

struct slice http_request_query(const struct http_request *r) {
    return r->head.query;
}

struct slice http_request_header(const struct http_request *r, struct slice name) {
    return api_header_find(r->head.fields, r->head.field_count, name);
}

size_t http_request_header_count(const struct http_request *r) {
    return r->head.field_count;
}

struct api_header http_request_header_at(const struct http_request *r, size_t i) {
    return r->head.fields[i];
}

struct slice http_request_body(const struct http_request *r) {
    return buffer_slice(&r->body);
}

void http_request_peer(const struct http_request *r, char out[HTTP_PEER_MAX]) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (r->conn == NULL || getpeername(r->conn->fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, out, HTTP_PEER_MAX, NULL, 0,
                    NI_NUMERICHOST) != 0)
        out[0] = '\0';
}

uint64_t http_request_started_ns(const struct http_request *r) {
    return r->began_ns;
}

void http_request_on_end(struct http_request *r, http_on_end *on_end, void *arg) {
    r->on_end = on_end;
    r->on_end_arg = arg;
}
