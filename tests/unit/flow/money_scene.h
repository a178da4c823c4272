// A proxy with one provider whose answers the test says, on one loop, with all that
// counts money, and its cost log to be read.
#ifndef TESTS_FLOW_MONEY_SCENE_H
#define TESTS_FLOW_MONEY_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/flow.h"
#include "farthing/http.h"
#include "directory.h"
#include "loopback.h"
#include "routing.h"

// SHA-256 of "k".
#define KEY_DIGEST "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"

struct world {
    struct event_base *loop;
    char directory[64], cost_log[96];
    struct flow_shared shared;
    struct store *store; // NULL: what is granted need not be safe on disk first
    struct mailbox *mailbox;
    const struct config *config;
    struct http_server *provider, *server;
    struct flow *flow;
    uint16_t port;
    // The provider.
    int status, requests;
    const char *answer; // NULL: none ever comes
    bool streams;       // gives it as the beginning of a stream
    struct buffer sent; // the last body
};

static const struct http_limits limits = {1 << 20, 8192, 50, 1000, 1000, 1000, 1000, 65536, 0};

// ------------------------------------------------------------------ the provider

static inline void on_request(struct http_request *request, void *arg) {
    struct world *w = arg;
    const struct api_header types[] = {{SLICE("Content-Type"), SLICE("application/json")},
                                       {SLICE("Content-Type"), SLICE("text/event-stream")}};
    w->requests++;
    buffer_clear(&w->sent);
    buffer_append(&w->sent, http_request_body(request));
    if (w->answer == NULL)
        return;
    if (!w->streams) {
        http_reply(request, w->status, &types[0], 1, slice_of(w->answer));
        return;
    }
    http_reply_begin(request, w->status, &types[1], 1);
    (void)http_reply_write(request, slice_of(w->answer));
    http_reply_abort(request);
}

// ------------------------------------------------------------------ the world

static inline struct http_server *serve(struct world *w, struct http_handler handler,
                                       uint16_t *port) {
    struct error err;
    struct http_server *s = http_server_new(w->loop, &limits, &handler);
    *port = http_server_listen(s, SLICE("127.0.0.1:0"), NULL, false, &err);
    assert_int_not_equal(*port, 0);
    return s;
}

static inline const struct config *configure(uint16_t provider, const char *model, const char *file,
                                      const char *tenant) {
    struct buffer text = {0}, messages = {0};
    buffer_printf(&text,
                  "provider \"p\" { base_url = \"http://127.0.0.1:%u/v1\" api_key = \"k\"\n"
                  "  retry { attempts = 3 backoff = \"1ms\" backoff_max = \"1ms\" } }\n"
                  "model \"p/m\" { input_price = \"1 usd\" output_price = \"1 usd\" %s }\n"
                  "model \"p/half\" { output_price = \"1 usd\" }\n"
                  "%s\n"
                  "tenant \"acme\" { keys = {\"sha256:" KEY_DIGEST "\"} %s }\n",
                  provider, model, file, tenant);
    const struct config *config = config_load_text(buffer_slice(&text), "routing.conf", &messages);
    if (config == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    buffer_free(&text);
    buffer_free(&messages);
    return config;
}

static inline void open_shared(struct world *w, bool stored) {
    struct error err;
    strcpy(w->directory, "/tmp/farthing-money-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    if (stored)
        w->store = store_open(&(struct store_options){w->directory, 1 << 20}, &err);
    assert_true(!stored || w->store != NULL);
    snprintf(w->cost_log, sizeof w->cost_log, "%s/cost.jsonl", w->directory);
    w->shared = (struct flow_shared){
        .cache = cache_new(&(struct cache_options){.memory_bytes = 1 << 20,
                                                   .max_entry_bytes = 1 << 18}),
        .ledger = ledger_open(&(struct ledger_options){w->cost_log, NULL, 0}, &err),
        .upstream = upstream_shared_new(),
        .limits = limits_new(),
        .flights = flights_new(&(struct flights_options){.join_bytes = 1 << 20}),
        .store = w->store,
        .budgets = budgets_open(w->store, &err),
        .runs = runs_open(NULL, &err),
        .estimator = estimator_new(),
    };
    share_providers(&w->shared);
    limits_configure(w->shared.limits, w->config);
    budgets_configure(w->shared.budgets, w->config);
}

static inline struct world *world_make(const char *file, const char *tenant, bool stored) {
    struct world *w = base_calloc(1, sizeof *w);
    uint16_t port;
    w->loop = event_base_new();
    w->provider = serve(w, (struct http_handler){on_request, NULL, w}, &port);
    w->config = configure(port, "", file, tenant);
    open_shared(w, stored);
    w->mailbox = mailbox_new(w->loop);
    w->flow = flow_of(w->loop, w->mailbox, &w->shared, w->config);
    w->server = serve(w, flow_handler(w->flow), &w->port);
    w->status = 200;
    return w;
}

static inline struct world *world_new(const char *file, const char *tenant) {
    return world_make(file, tenant, false);
}

static inline void assert_nothing_reserved(void *arg, const struct budget_view *view) {
    (void)arg;
    assert_int_equal(view->reserved, 0);
}

static inline void world_free(struct world *w) {
    http_server_free(w->server);
    flow_free(w->flow);
    http_server_free(w->provider);
    budgets_visit(w->shared.budgets, assert_nothing_reserved, NULL);
    unshare_providers(&w->shared);
    cache_free(w->shared.cache);
    upstream_shared_free(w->shared.upstream);
    budgets_close(w->shared.budgets);
    runs_close(w->shared.runs);
    estimator_free(w->shared.estimator);
    limits_free(w->shared.limits);
    mailbox_free(w->mailbox);
    flights_free(w->shared.flights);
    ledger_close(w->shared.ledger);
    config_unref(w->config);
    event_base_free(w->loop);
    buffer_free(&w->sent);
    store_close(w->store);
    directory_remove(w->directory);
    free(w);
}

// ------------------------------------------------------------------- requests

static inline char *request_of(const char *method, const char *path, const char *type,
                               const char *body) {
    char *text = NULL;
    int n = asprintf(&text,
                     "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %s\r\n"
                     "Authorization: Bearer k\r\nx-farthing-run: r\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, type, strlen(body), body);
    assert_true(n > 0);
    return text;
}

// The status; the exchange has left its row then.
static inline int fetch(struct world *w, const char *method, const char *path, const char *body) {
    const char *type = body[0] == '{' ? "application/json" : "application/octet-stream";
    char *request = request_of(method, path, type, body);
    char *answer = loopback_fetch(w->loop, w->port, request);
    int status = atoi(answer + strlen("HTTP/1.1 "));
    free(answer);
    free(request);
    while (flow_running(w->flow) > 0)
        loopback_turn(w->loop);
    return status;
}

static inline int chat(struct world *w, const char *body) {
    return fetch(w, "POST", "/v1/chat/completions", body);
}

static inline char *rows(struct world *w) {
    struct buffer text = {0};
    ledger_flush(w->shared.ledger);
    FILE *file = fopen(w->cost_log, "r");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buffer_append_char(&text, (char)c);
    fclose(file);
    buffer_append_char(&text, '\0');
    return text.ptr;
}

static inline const char *last_line(const char *all) {
    const char *last = all;
    for (const char *end = all; (end = strchr(end, '\n')) != NULL && *++end != '\0';)
        last = end;
    return last;
}

// Some text of the row that was written last.
static inline void assert_row(struct world *w, const char *what, const char *says) {
    char *all = rows(w);
    if (strstr(last_line(all), says) == NULL)
        fail_msg("%s: there is no %s in %s", what, says, last_line(all));
    free(all);
}

// A number of it.
static inline int64_t number_of_row(struct world *w, const char *field) {
    char *all = rows(w);
    const char *at = strstr(last_line(all), field);
    assert_non_null(at);
    int64_t number = atoll(at + strlen(field) + strlen("\":"));
    free(all);
    return number;
}

// ------------------------------------------------------------------------ texts

#define USAGE "\"usage\":{\"prompt_tokens\":500,\"completion_tokens\":70,\"total_tokens\":570}"
#define ANSWER \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{\"index\":0," \
    "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]," USAGE "}"
#define CHAT(more) "{\"model\":\"p/m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"
#define COLD ",\"temperature\":0,\"max_tokens\":50"
#define TEXT \
    "one two three four five six seven eight nine ten eleven twelve one two three four five six " \
    "seven eight nine ten eleven twelve one two three four five six seven eight nine ten eleven"
#define BUDGET(amount) "budget \"b\" { amount = \"" amount " usd\" window = \"total\" }"

#endif
