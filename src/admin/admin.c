// The admin address: metrics, health, status. No keys: it listens on loopback
// unless the operator says otherwise.
#include "farthing/admin.h"

#include <stdlib.h>

struct admin {
    struct admin_sources sources;
    const struct config *config;
    enum admin_state state;
    int64_t started_ms;
    char *reload_error;
    int64_t reloads;
};

static const struct metric_family up_family = {
    "farthing_build_info", "The running version.", METRIC_GAUGE, {"version"}, NULL, 0, 0, 0};
static const struct metric_family reloads_family = {
    "farthing_config_reloads_total", "Reloads of the configuration, by result.", METRIC_COUNTER,
    {"result"}, NULL, 0, 0, 0};
#define GAUGE(variable, name, help) \
    static const struct metric_family variable = {name, help, METRIC_GAUGE, {0}, NULL, 0, 0, 0}
GAUGE(cache_bytes, "farthing_cache_bytes", "Bytes of answers in memory.");
GAUGE(cache_entries, "farthing_cache_entries", "Answers in memory.");
GAUGE(store_bytes, "farthing_store_bytes", "Bytes of values in the store.");
GAUGE(store_queue, "farthing_store_queue", "Operations that wait for the store.");

static void count_reload(struct slice result, int64_t by) {
    metric_add(metric_series(&reloads_family, &result), by);
}

static const struct metric_family queue_family = {
    "farthing_queue_depth", "Requests that wait for a place of their tenant's.", METRIC_GAUGE,
    {"tenant"}, NULL, 0, 0, 0};

struct admin *admin_new(const struct admin_sources *sources, const struct config *config) {
    struct admin *a = base_calloc(1, sizeof *a);
    a->sources = *sources;
    a->config = config_ref(config);
    a->started_ms = clock_wall_ms();
    const struct slice version = SLICE(FARTHING_VERSION);
    metric_set(metric_series(&up_family, &version), 1);
    count_reload(SLICE("ok"), 0); // shown from the start, so that the first one is seen to come
    count_reload(SLICE("failed"), 0);
    return a;
}

void admin_set_config(struct admin *a, const struct config *config) {
    config_ref(config);
    config_unref(a->config);
    a->config = config;
    a->reloads++;
    count_reload(SLICE("ok"), 1);
    free(a->reload_error);
    a->reload_error = NULL;
}

void admin_set_state(struct admin *a, enum admin_state state) {
    a->state = state;
}

void admin_reload_failed(struct admin *a, struct slice why) {
    count_reload(SLICE("failed"), 1);
    free(a->reload_error);
    a->reload_error = slice_dup(why);
}

static void reply(struct http_request *request, int status, struct slice type, struct slice body) {
    const struct api_header header = {SLICE("Content-Type"), type};
    http_reply(request, status, &header, 1, body);
}

// ----------------------------------------------------------------- metrics

static void show_queue(void *arg, const struct limits_view *view) {
    (void)arg;
    metric_set(metric_series(&queue_family, &view->name), view->queued);
}

static void refresh_gauges(struct admin *a) {
    limits_visit(a->sources.limits, show_queue, NULL);
    if (a->sources.cache != NULL) {
        struct cache_stats s;
        cache_stats_get(a->sources.cache, &s);
        metric_set(metric_plain(&cache_bytes), s.bytes);
        metric_set(metric_plain(&cache_entries), s.entries);
    }
    if (a->sources.store != NULL) {
        struct store_stats s;
        store_stats_get(a->sources.store, &s);
        metric_set(metric_plain(&store_bytes), s.bytes);
        metric_set(metric_plain(&store_queue), s.queued);
    }
}

static void serve_metrics(struct admin *a, struct http_request *request) {
    struct buffer out = {0};
    refresh_gauges(a);
    metric_write_all(&out);
    reply(request, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"), buffer_slice(&out));
    buffer_free(&out);
}

// ------------------------------------------------------------------ status

static void put_number(struct json_writer *w, const char *name, int64_t value) {
    json_key(w, slice_of(name));
    json_put_i64(w, value);
}

static void put_text(struct json_writer *w, const char *name, struct slice value) {
    json_key(w, slice_of(name));
    json_put_string(w, value);
}

static void put_flights(struct json_writer *w, struct flights *flights) {
    struct flights_stats s;
    flights_stats_get(flights, &s);
    json_key(w, SLICE("shared_purchases"));
    json_object_begin(w);
    put_number(w, "running", s.purchases);
    put_number(w, "followers", s.followers);
    put_number(w, "held_bytes", s.held_bytes);
    put_number(w, "joined", s.joined);
    put_number(w, "promoted", s.promoted);
    json_object_end(w);
}

static void put_cache(struct json_writer *w, struct cache *cache) {
    struct cache_stats s;
    json_key(w, SLICE("cache"));
    if (cache == NULL) {
        json_put_null(w);
        return;
    }
    cache_stats_get(cache, &s);
    json_object_begin(w);
    put_number(w, "entries", s.entries);
    put_number(w, "bytes", s.bytes);
    put_number(w, "hits", s.hits);
    put_number(w, "misses", s.misses);
    put_number(w, "insertions", s.insertions);
    put_number(w, "evictions", s.evictions);
    json_object_end(w);
}

static void put_store(struct json_writer *w, struct store *store) {
    struct store_stats s;
    json_key(w, SLICE("store"));
    if (store == NULL) {
        json_put_null(w);
        return;
    }
    store_stats_get(store, &s);
    json_object_begin(w);
    put_number(w, "entries", s.entries);
    put_number(w, "bytes", s.bytes);
    put_number(w, "queued", s.queued);
    put_number(w, "dropped", s.dropped);
    put_number(w, "failures", s.failures);
    json_object_end(w);
}

static void put_ledger(struct json_writer *w, const struct ledger *ledger) {
    struct ledger_stats s;
    ledger_stats_get(ledger, &s);
    json_key(w, SLICE("cost_log"));
    json_object_begin(w);
    put_number(w, "rows", s.rows);
    put_number(w, "written", s.written);
    put_number(w, "dropped", s.dropped);
    put_number(w, "errors", s.write_errors);
    json_object_end(w);
}

static void put_rate(struct json_writer *w, const char *name, const struct limits_rate_view *rate) {
    json_key(w, slice_of(name));
    if (rate->limit <= 0) {
        json_put_null(w);
        return;
    }
    json_object_begin(w);
    put_number(w, "limit", rate->limit);
    put_number(w, "remaining", rate->remaining);
    put_number(w, "reset_ms", rate->reset_ms);
    json_object_end(w);
}

static void put_tenant_limits(void *arg, const struct limits_view *view) {
    struct json_writer *w = arg;
    json_key(w, view->name);
    json_object_begin(w);
    put_number(w, "running", view->running);
    put_number(w, "concurrency", view->concurrency);
    put_number(w, "queued", view->queued);
    put_number(w, "queue", view->queue);
    put_rate(w, "requests", &view->requests);
    put_rate(w, "tokens", &view->tokens);
    json_object_end(w);
}

static void put_limits(struct json_writer *w, struct limits *limits) {
    json_key(w, SLICE("limits"));
    json_object_begin(w);
    limits_visit(limits, put_tenant_limits, w);
    json_object_end(w);
}

static void serve_status(struct admin *a, struct http_request *request) {
    static const char *const states[] = {"starting", "serving", "draining"};
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    put_text(&w, "version", SLICE(FARTHING_VERSION));
    put_text(&w, "state", slice_of(states[a->state]));
    put_number(&w, "uptime_seconds", (clock_wall_ms() - a->started_ms) / 1000);
    put_number(&w, "workers", a->sources.workers);
    put_text(&w, "config", a->config->file);
    put_number(&w, "reloads", a->reloads);
    json_key(&w, SLICE("reload_error"));
    if (a->reload_error != NULL)
        json_put_string(&w, slice_of(a->reload_error));
    else
        json_put_null(&w);
    put_number(&w, "providers", (int64_t)a->config->provider_count);
    put_number(&w, "models", (int64_t)a->config->model_count);
    put_number(&w, "routes", (int64_t)a->config->route_count);
    put_number(&w, "tenants", (int64_t)a->config->tenant_count);
    put_limits(&w, a->sources.limits);
    put_flights(&w, a->sources.flights);
    put_cache(&w, a->sources.cache);
    put_store(&w, a->sources.store);
    put_ledger(&w, a->sources.ledger);
    json_object_end(&w);
    buffer_append_char(&out, '\n');
    reply(request, 200, SLICE("application/json"), buffer_slice(&out));
    buffer_free(&out);
}

// ------------------------------------------------------------------- paths

static void serve_health(struct admin *a, struct http_request *request) {
    (void)a;
    reply(request, 200, SLICE("text/plain; charset=utf-8"), SLICE("ok\n"));
}

static void serve_ready(struct admin *a, struct http_request *request) {
    bool ready = a->state == ADMIN_SERVING;
    reply(request, ready ? 200 : 503, SLICE("text/plain; charset=utf-8"),
          ready ? SLICE("ready\n") : SLICE("not ready\n"));
}

static const struct {
    const char *path;
    void (*serve)(struct admin *a, struct http_request *request);
} pages[] = {
    {"/metrics", serve_metrics},
    {"/status", serve_status},
    {"/healthz", serve_health},
    {"/readyz", serve_ready},
};

static void refuse_method(struct http_request *request) {
    const struct api_header allow = {SLICE("Allow"), SLICE("GET, HEAD")}; // RFC 9110 15.5.6
    http_reply_error(request, API_ERROR_METHOD_NOT_ALLOWED, 0, SLICE("Only GET is served here."),
                     SLICE_NONE, &allow, 1);
}

static void on_request(struct http_request *request, void *arg) {
    struct slice method = http_request_method(request), path = http_request_path(request);
    bool reads = slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD"));
    for (size_t i = 0; i < FARTHING_COUNT(pages); i++) {
        if (!slice_equal(path, slice_of(pages[i].path)))
            continue;
        if (reads)
            pages[i].serve(arg, request);
        else
            refuse_method(request);
        return;
    }
    http_reply_error(request, API_ERROR_NOT_FOUND, 0,
                     SLICE("The admin address serves /metrics, /status, /healthz and /readyz."),
                     SLICE_NONE, NULL, 0);
}

struct http_handler admin_handler(struct admin *a) {
    return (struct http_handler){on_request, NULL, a};
}

void admin_free(struct admin *a) {
    if (a == NULL)
        return;
    config_unref(a->config);
    free(a->reload_error);
    free(a);
}
