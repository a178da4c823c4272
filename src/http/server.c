// A server's life, deferred endings, and the sweep for connections that took
// too long: one coarse timer for all of them instead of one each.
#include <stdlib.h>

#include "conn.h"

enum { SWEEP_MS_MIN = 10, SWEEP_MS_MAX = 1000 };

// ----------------------------------------------------------------- deferred

void server_wake(struct http_server *s) {
    event_active(s->deferred, 0, 0);
}

static void finish_request(struct http_request *r) {
    r->server->active--;
    if (r->on_end != NULL)
        r->on_end(r->on_end_arg, r->how);
    if (r->is_own)
        own_tell(r);
    struct conn *c = r->conn;
    request_free(r);
    if (c != NULL)
        conn_continue(c);
}

static void on_deferred(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    while (s->over != NULL) {
        struct http_request *r = s->over;
        s->over = r->next_over;
        if (s->over == NULL)
            s->over_tail = &s->over;
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
    bool amid_head = c->state == CONN_HEAD && c->began_ns != 0;
    if (amid_head || c->state == CONN_BODY)
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
        else if (conn_lost_unseen(c))
            conn_close(c);
    }
    listen_resume(s);
    s->sweeping = s->conns != NULL || s->accepts_paused;
    if (s->sweeping)
        arm_sweep(s);
}

// --------------------------------------------------------------------- life

struct http_server *http_server_new(struct event_base *loop, const struct http_limits *limits,
                                    const struct http_handler *handler) {
    struct http_server *s = base_calloc(1, sizeof *s);
    s->loop = loop;
    s->limits = *limits;
    s->handler = *handler;
    s->over_tail = &s->over;
    s->date_second = -1;
    s->deferred = event_new(loop, -1, 0, on_deferred, s);
    s->sweep = evtimer_new(loop, on_sweep, s);
    return s;
}

void http_server_set_tls(struct http_server *s, struct http_tls *tls) {
    for (struct listener *l = s->listeners; l != NULL; l = l->next)
        if (l->tls != NULL)
            l->tls = tls;
}

void http_server_set_limits(struct http_server *s, const struct http_limits *limits) {
    s->limits = *limits;
}

void http_server_drain(struct http_server *s) {
    s->draining = true;
    listen_close(s);
    for (struct conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_drain(c);
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
    s->draining = s->ending = true;
    listen_close(s);
    while (s->conns != NULL)
        conn_close(s->conns);
    own_end_all(s);
    on_deferred(-1, 0, s);
    event_free(s->deferred);
    event_free(s->sweep);
    buffer_free(&s->reply);
    free(s);
}
