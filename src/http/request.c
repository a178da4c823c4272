// Requests: what the handler sees, and how they end.
#include "conn.h"

#include <stdlib.h>

struct http_request *request_new(struct conn *c, struct slice head) {
    struct arena *arena = arena_new(head.len + 2048);
    struct http_request *r = arena_calloc(arena, sizeof *r);
    r->arena = arena;
    r->conn = c;
    r->server = c->server;
    r->head_bytes = arena_string(arena, head);
    r->began_ns = c->began_ns;
    return r;
}

void request_free(struct http_request *r) {
    buffer_free(&r->body);
    arena_free(r->arena);
}

void request_end(struct http_request *r, enum http_end how) {
    if (r->ending && r->how != how && r->conn == NULL) {
        // All was given, but the client went before all was sent.
        r->how = how;
        return;
    }
    if (r->ending)
        return;
    r->ending = true;
    r->how = how;
    struct http_server *s = r->server;
    *s->ended_tail = r;
    s->ended_tail = &r->next_ended;
    server_wake(s);
}

void request_sent(struct conn *c) {
    struct http_request *r = c->request;
    if (r == NULL)
        return;
    if (r->reply == REPLY_WHOLE)
        request_end(r, HTTP_END_SENT);
    else if (r->reply == REPLY_BROKEN)
        conn_close(c);
}

void request_drained(struct http_request *r) {
    if (!r->drain_wanted || r->conn == NULL ||
        conn_unsent(r->conn) > (size_t)r->server->limits.stream_buffer_bytes / 2)
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

struct slice http_request_peer(const struct http_request *r) {
    return r->conn != NULL ? slice_of(r->conn->peer) : SLICE_NONE;
}

uint64_t http_request_started_ns(const struct http_request *r) {
    return r->began_ns;
}

uint64_t http_request_connection_id(const struct http_request *r) {
    return r->conn != NULL ? r->conn->id : 0;
}

void http_request_on_end(struct http_request *r, http_on_end *on_end, void *arg) {
    r->on_end = on_end;
    r->on_end_arg = arg;
}
