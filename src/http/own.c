// Requests of the process's own: no connection brings them, and what a reply says
// goes to whoever made them.
#include "conn.h"

static struct slice copy(struct http_request *r, struct slice s) {
    return s.len > 0 ? arena_copy(r->arena, s) : SLICE_NONE;
}

struct http_request *http_own_request(const struct http_request *beside,
                                      const struct http_own *own) {
    struct http_server *s = beside->server;
    if (s->ending)
        return NULL;
    struct arena *arena = arena_new(1024);
    struct http_request *r = arena_calloc(arena, sizeof *r);
    r->arena = arena;
    r->server = s;
    r->began_ns = clock_mono_ns();
    r->is_own = true;
    r->on_answer = own->on_answer;
    r->on_answer_arg = own->arg;
    r->head.method = copy(r, own->method);
    r->head.path = copy(r, own->path);
    r->head.query = copy(r, own->query);
    r->head.fields = arena_alloc(arena, (own->header_count + 1) * sizeof *r->head.fields);
    for (size_t i = 0; i < own->header_count; i++)
        r->head.fields[r->head.field_count++] = (struct api_header){
            copy(r, own->headers[i].name), copy(r, own->headers[i].value)};
    buffer_append(&r->body, own->body);
    r->next_own = s->own;
    if (s->own != NULL)
        s->own->previous_own = r;
    s->own = r;
    s->active++;
    return r;
}

void http_own_forget(struct http_request *r) {
    r->on_answer = NULL;
}

void own_reply(struct http_request *r, int status, struct slice body) {
    if (r->reply != REPLY_NONE)
        return;
    r->own_status = status;
    buffer_append(&r->answer, body);
    request_over(r, HTTP_END_SENT);
}

void own_begin(struct http_request *r, int status) {
    if (r->reply != REPLY_NONE)
        return;
    r->own_status = status;
    r->reply = REPLY_STREAM;
}

void own_write(struct http_request *r, struct slice data) {
    if (r->reply == REPLY_STREAM)
        buffer_append(&r->answer, data);
}

void own_end(struct http_request *r, bool whole) {
    if (r->reply == REPLY_OVER)
        return;
    if (!whole)
        r->own_status = 0;
    request_over(r, whole ? HTTP_END_SENT : HTTP_END_ABORTED);
}

void own_tell(struct http_request *r) {
    struct http_server *s = r->server;
    if (r->previous_own != NULL)
        r->previous_own->next_own = r->next_own;
    else
        s->own = r->next_own;
    if (r->next_own != NULL)
        r->next_own->previous_own = r->previous_own;
    if (r->on_answer != NULL)
        r->on_answer(r->on_answer_arg, r->own_status, buffer_slice(&r->answer));
}

void own_end_all(struct http_server *s) {
    for (struct http_request *r = s->own; r != NULL; r = r->next_own) {
        if (r->reply == REPLY_OVER)
            continue;
        r->own_status = 0;
        request_over(r, HTTP_END_SHUTDOWN);
    }
}
