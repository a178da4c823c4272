// One loop's share of the flow: what its exchanges have in common, and the
// requests that are no exchanges (health).
#include <stdlib.h>

#include "exchange.h"

struct flow *flow_new(struct event_base *loop, struct mailbox *mailbox, const struct flow_shared *shared,
                      const struct config *config, struct prices *prices,
                      struct routing *routing) {
    struct flow *f = base_calloc(1, sizeof *f);
    f->loop = loop;
    f->shared = *shared;
    f->upstream = upstream_new(loop, shared->upstream);
    f->mailbox = mailbox;
    f->store = shared->store != NULL ? store_client_new(shared->store, loop) : NULL;
    f->limits = limits_loop_new(shared->limits, loop);
    limits_loop_share(f->limits, f->store);
    if (store_is_shared(shared->store))
        f->share = share_new(loop, mailbox, shared->store, f->store);
    f->budgets = budgets_loop_new(shared->budgets, loop, f->store);
    f->breakers = breakers_loop_new(shared->breakers);
    f->retry_budgets = retry_budgets_loop_new(shared->retry_budgets);
    f->balance = balance_loop_new(shared->balances);
    flow_set_config(f, config, prices, routing);
    return f;
}

void flow_set_config(struct flow *f, const struct config *config, struct prices *prices,
                     struct routing *routing) {
    config_ref(config);
    routing_ref(routing);
    routing_unref(f->routing);
    f->routing = routing;
    if (prices != NULL)
        prices_ref(prices);
    tenant_directory_free(f->tenants);
    price_book_free(f->book);
    config_unref(f->config);
    prices_unref(f->prices);
    f->config = config;
    f->prices = prices;
    f->tenants = tenant_directory_new(config);
    f->book = price_book_new(config, prices);
}

struct json_doc *flow_take_doc(struct flow *f) {
    return f->spare_doc_count > 0 ? f->spare_docs[--f->spare_doc_count] : json_doc_new();
}

void flow_give_doc(struct flow *f, struct json_doc *doc) {
    if (doc != NULL && f->spare_doc_count < FARTHING_COUNT(f->spare_docs))
        f->spare_docs[f->spare_doc_count++] = doc;
    else
        json_doc_free(doc);
}

static void reply_text(struct http_request *request, int status, struct slice text) {
    const struct api_header type = {SLICE("Content-Type"), SLICE("text/plain; charset=utf-8")};
    http_reply(request, status, &type, 1, text);
}

// Ready also without the shared store, as the admin address says it.
static void reply_ready(const struct flow *f, struct http_request *request) {
    const struct store *store = f->shared.store;
    if (f->draining)
        reply_text(request, 503, SLICE("draining\n"));
    else if (store_is_shared(store) && !store_is_up(store))
        reply_text(request, 200, SLICE("ready\nthe shared store is away\n"));
    else
        reply_text(request, 200, SLICE("ready\n"));
}

// Health is for load balancers: no key, no row.
static bool answer_probe(struct flow *f, struct http_request *request) {
    struct slice path = http_request_path(request), method = http_request_method(request);
    bool reads = slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD"));
    if (slice_equal(method, SLICE("OPTIONS"))) {
        const struct api_header allow = {SLICE("Allow"), SLICE("GET, HEAD, POST, DELETE, OPTIONS")};
        http_reply(request, 204, &allow, 1, SLICE_NONE);
        return true;
    }
    if (reads && slice_equal(path, SLICE("/healthz")))
        reply_text(request, 200, SLICE("ok\n"));
    else if (reads && slice_equal(path, SLICE("/readyz")))
        reply_ready(f, request);
    else
        return false;
    return true;
}

static void on_request(struct http_request *request, void *arg) {
    struct flow *f = arg;
    if (!answer_probe(f, request))
        exchange_start(f, request);
}

static const struct metric_family refused_family = {
    "farthing_http_refused_total",
    "Requests refused before they were read whole.",
    METRIC_COUNTER,
    {"code"},
    NULL,
    0,
    0,
    0,
};

static void on_refused(enum api_error error, void *arg) {
    (void)arg;
    const struct slice code = slice_of(api_error_info(error)->code);
    metric_add(metric_series(&refused_family, &code), 1);
}

struct http_handler flow_handler(struct flow *f) {
    return (struct http_handler){on_request, on_refused, f};
}

void flow_drain(struct flow *f) {
    f->draining = true;
}

void flow_shut_down(struct flow *f) {
    f->draining = true;
    exchange_shut_down_all(f);
}

size_t flow_running(const struct flow *f) {
    return f->running;
}

void flow_free(struct flow *f) {
    if (f == NULL)
        return;
    exchange_end_all(f); // purchases that outlive their clients
    share_free(f->share);
    limits_loop_free(f->limits);
    budgets_loop_free(f->budgets);
    breakers_loop_free(f->breakers);
    retry_budgets_loop_free(f->retry_budgets);
    balance_loop_free(f->balance);
    routing_unref(f->routing);
    store_client_free(f->store);
    upstream_free(f->upstream);
    for (size_t i = 0; i < f->spare_doc_count; i++)
        json_doc_free(f->spare_docs[i]);
    tenant_directory_free(f->tenants);
    price_book_free(f->book);
    config_unref(f->config);
    prices_unref(f->prices);
    free(f);
}
