// /metrics, and the gauges that are read only when somebody looks.
#include "admin_room.h"

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
static const struct metric_family queue_family = {
    "farthing_queue_depth", "Requests that wait for a place of their tenant's.", METRIC_GAUGE,
    {"tenant"}, NULL, 0, 0, 0};

void metrics_count_reload(struct slice result, int64_t by) {
    metric_add(metric_series(&reloads_family, &result), by);
}

void metrics_declare(void) {
    const struct slice version = SLICE(FARTHING_VERSION);
    metric_set(metric_series(&up_family, &version), 1);
    metrics_count_reload(SLICE("ok"), 0); // shown from the start: the first is seen to come
    metrics_count_reload(SLICE("failed"), 0);
}

static void show_queue(void *arg, const struct limits_view *view) {
    if (admin_limits_kind(arg, view->name) == LIMITS_OF_TENANT)
        metric_set(metric_series(&queue_family, &view->name), view->queued);
}

static void refresh_gauges(struct admin *a) {
    limits_visit(a->sources.limits, show_queue, a);
    ledger_routes_publish(a->sources.ledger);
    if (a->sources.budgets != NULL)
        budgets_publish(a->sources.budgets);
    if (a->sources.breakers != NULL)
        breakers_publish(a->sources.breakers);
    if (a->sources.upstream != NULL)
        upstream_publish(a->sources.upstream);
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

void serve_metrics(struct admin *a, struct http_request *request) {
    struct buffer out = {0};
    refresh_gauges(a);
    metric_write_all(&out);
    admin_reply(request, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"),
                buffer_slice(&out));
    buffer_free(&out);
}
