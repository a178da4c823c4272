// A worker: one loop, its listener, its flow. Everybody else speaks to it
// through its mailbox.
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "process.h"

enum { DRAIN_CHECK_MS = 10, LAST_WORDS_MS = 50 };

struct worker {
    struct event_base *loop;
    struct mailbox *mailbox, *main_mailbox;
    struct flow *flow;
    struct http_server *server;
    struct http_tls *tls; // NULL: plain
    struct event *drain_check;
    pthread_t thread;
    bool started;
    struct mail ended_mail;
    void (*ended)(void *arg);
    void *arg;
};

void http_limits_of(const struct config *config, struct http_limits *out) {
    const struct config_server *s = &config->server;
    *out = (struct http_limits){
        .max_body_bytes = s->max_body_bytes,
        .max_header_bytes = s->max_header_bytes,
        .max_headers = s->max_headers,
        .header_timeout_ms = s->header_timeout_ms,
        .body_timeout_ms = s->body_timeout_ms,
        .keepalive_timeout_ms = s->keepalive_timeout_ms,
        .write_timeout_ms = s->write_timeout_ms,
        .stream_buffer_bytes = s->stream_buffer_bytes,
        .max_connections = s->max_connections,
    };
}

static bool listen_all(struct worker *w, const struct worker_options *o, uint16_t *bound,
                       struct error *err) {
    const struct config_slices *listen = &o->config->server.listen;
    for (size_t i = 0; i < listen->count; i++) {
        struct slice address = listen->items[i];
        char text[320];
        if (o->ports[i] != 0) { // port 0 was asked for, and an earlier worker got one
            size_t colon = address.len;
            while (colon > 0 && address.ptr[colon - 1] != ':')
                colon--;
            int n = snprintf(text, sizeof text, "%.*s%u", (int)colon, address.ptr, o->ports[i]);
            address = slice_make(text, (size_t)n);
        }
        bound[i] = http_server_listen(w->server, address, o->tls, o->ports[i] != 0, err);
        if (bound[i] == 0)
            return false;
    }
    return true;
}

static void check_drained(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct worker *w = arg;
    if (http_server_active(w->server) == 0 && flow_running(w->flow) == 0)
        event_base_loopbreak(w->loop);
}

struct worker *worker_new(const struct worker_options *o, uint16_t *bound, struct error *err) {
    struct worker *w = base_calloc(1, sizeof *w);
    struct http_limits limits;
    http_limits_of(o->config, &limits);
    w->loop = event_base_new();
    w->mailbox = mailbox_new(w->loop);
    w->flow = flow_new(w->loop, w->mailbox, o->shared, o->config, o->prices, o->routing);
    struct http_handler handler = flow_handler(w->flow);
    w->server = http_server_new(w->loop, &limits, &handler);
    w->tls = o->tls != NULL ? http_tls_ref(o->tls) : NULL;
    w->drain_check = event_new(w->loop, -1, EV_PERSIST, check_drained, w);
    w->main_mailbox = mailbox_new(o->main);
    w->ended = o->ended;
    w->arg = o->arg;
    if (listen_all(w, o, bound, err))
        return w;
    worker_free(w);
    return NULL;
}

static void on_ended(struct mail *m) {
    struct worker *w = (struct worker *)(void *)((char *)m - offsetof(struct worker, ended_mail));
    w->ended(w->arg);
}

static void *serve(void *arg) {
    struct worker *w = arg;
    event_base_dispatch(w->loop);
    // What still runs is ended here, on its own loop; each leaves its row.
    http_server_free(w->server);
    w->server = NULL;
    flow_free(w->flow);
    w->flow = NULL;
    w->ended_mail.run = on_ended;
    mailbox_post(w->main_mailbox, &w->ended_mail);
    return NULL;
}

bool worker_start(struct worker *w) {
    w->started = pthread_create(&w->thread, NULL, serve, w) == 0;
    return w->started;
}

// ------------------------------------------------------------------ messages

struct order {
    struct mail mail; // first
    struct worker *worker;
    void (*carry_out)(struct worker *w, struct order *o);
    const struct config *config;
    struct prices *prices;
    struct routing *routing;
    struct http_tls *tls;
    struct admin_inflight_answer *answer;
};

static void on_order(struct mail *m) {
    struct order *o = (struct order *)m;
    if (o->worker->server != NULL)
        o->carry_out(o->worker, o);
    else if (o->answer != NULL)
        admin_inflight_put(o->answer, SLICE_NONE); // nothing runs here any more
    config_unref(o->config);
    prices_unref(o->prices);
    routing_unref(o->routing);
    http_tls_unref(o->tls);
    free(o);
}

static struct order *order_new(struct worker *w, void (*carry_out)(struct worker *w, struct order *o)) {
    struct order *o = base_calloc(1, sizeof *o);
    o->mail.run = on_order;
    o->worker = w;
    o->carry_out = carry_out;
    return o;
}

static void take_config(struct worker *w, struct order *o) {
    struct http_limits limits;
    http_limits_of(o->config, &limits);
    http_server_set_limits(w->server, &limits);
    flow_set_config(w->flow, o->config, o->prices, o->routing);
    if (o->tls == NULL)
        return;
    http_server_set_tls(w->server, o->tls);
    http_tls_unref(w->tls);
    w->tls = http_tls_ref(o->tls);
}

static void take_drain(struct worker *w, struct order *o) {
    (void)o;
    const struct timeval pause = {0, DRAIN_CHECK_MS * 1000};
    http_server_drain(w->server);
    flow_drain(w->flow);
    event_add(w->drain_check, &pause);
}

// Those who still wait are told; their answers go out while the loop turns a
// last time.
static void take_stop(struct worker *w, struct order *o) {
    (void)o;
    const struct timeval last_words = {0, LAST_WORDS_MS * 1000};
    flow_shut_down(w->flow);
    event_base_loopexit(w->loop, &last_words);
}

static void tell_inflight(struct worker *w, struct order *o) {
    struct buffer text = {0};
    flow_write_inflight(w->flow, &text);
    admin_inflight_put(o->answer, buffer_slice(&text));
    buffer_free(&text);
}

void worker_ask_inflight(struct worker *w, struct admin_inflight_answer *answer) {
    struct order *o = order_new(w, tell_inflight);
    o->answer = answer;
    mailbox_post(w->mailbox, &o->mail);
}

void worker_set_config(struct worker *w, const struct config *config, struct prices *prices,
                       struct routing *routing, struct http_tls *tls) {
    struct order *o = order_new(w, take_config);
    o->config = config_ref(config);
    o->prices = prices != NULL ? prices_ref(prices) : NULL;
    o->routing = routing_ref(routing);
    o->tls = tls != NULL ? http_tls_ref(tls) : NULL;
    mailbox_post(w->mailbox, &o->mail);
}

void worker_drain(struct worker *w) {
    mailbox_post(w->mailbox, &order_new(w, take_drain)->mail);
}

void worker_stop(struct worker *w) {
    mailbox_post(w->mailbox, &order_new(w, take_stop)->mail);
}

void worker_free(struct worker *w) {
    if (w == NULL)
        return;
    if (w->started)
        pthread_join(w->thread, NULL);
    http_server_free(w->server);
    flow_free(w->flow);
    mailbox_free(w->main_mailbox);
    mailbox_free(w->mailbox);
    event_free(w->drain_check);
    event_base_free(w->loop);
    http_tls_unref(w->tls);
    free(w);
}
