// /status: how the process is, on one page.
#include "admin_room.h"

struct figure {
    const char *name;
    int64_t value;
};

static void put_figures(struct json_writer *w, const char *name, const struct figure *figures,
                        size_t count) {
    json_key(w, slice_of(name));
    json_object_begin(w);
    for (size_t i = 0; i < count; i++)
        admin_put_number(w, figures[i].name, figures[i].value);
    json_object_end(w);
}
#define PUT_FIGURES(w, name, ...)                                                                  \
    put_figures((w), (name), (const struct figure[]){__VA_ARGS__},                                 \
                FARTHING_COUNT(((const struct figure[]){__VA_ARGS__})))

static void put_flights(struct json_writer *w, struct flights *flights) {
    struct flights_stats s;
    flights_stats_get(flights, &s);
    PUT_FIGURES(w, "shared_purchases", {"running", s.purchases}, {"followers", s.followers},
                {"held_bytes", s.held_bytes}, {"joined", s.joined}, {"promoted", s.promoted});
}

static void put_cache(struct json_writer *w, struct cache *cache) {
    if (cache == NULL) {
        admin_put_optional(w, "cache", SLICE_NONE);
        return;
    }
    json_key(w, SLICE("cache"));
    json_object_begin(w);
    put_cache_figures(w, cache);
    json_object_end(w);
}

static void put_store(struct json_writer *w, struct admin *a) {
    struct store_stats s;
    if (a->sources.store == NULL) {
        admin_put_optional(w, "store", SLICE_NONE);
        return;
    }
    store_stats_get(a->sources.store, &s);
    json_key(w, SLICE("store"));
    json_object_begin(w);
    put_shared(w, a);
    admin_put_number(w, "entries", s.entries);
    admin_put_number(w, "bytes", s.bytes);
    admin_put_number(w, "queued", s.queued);
    admin_put_number(w, "dropped", s.dropped);
    admin_put_number(w, "failures", s.failures);
    json_object_end(w);
}

static void put_ledger(struct json_writer *w, const struct ledger *ledger) {
    struct ledger_stats s;
    ledger_stats_get(ledger, &s);
    PUT_FIGURES(w, "cost_log", {"rows", s.rows}, {"written", s.written}, {"dropped", s.dropped},
                {"errors", s.write_errors});
}

static void put_rate(struct json_writer *w, const char *name, const struct limits_rate_view *rate) {
    if (rate->limit <= 0)
        admin_put_optional(w, name, SLICE_NONE);
    else
        PUT_FIGURES(w, name, {"limit", rate->limit}, {"remaining", rate->remaining},
                    {"reset_ms", rate->reset_ms});
}

void put_limits_figures(struct json_writer *w, const struct limits_view *view) {
    admin_put_number(w, "running", view->running);
    admin_put_number(w, "concurrency", view->concurrency);
    admin_put_number(w, "queued", view->queued);
    admin_put_number(w, "queue", view->queue);
    put_rate(w, "requests", &view->requests);
    put_rate(w, "tokens", &view->tokens);
}

struct limits_page {
    struct admin *admin;
    struct json_writer *writer;
};

// Of tenants; routes and keys are on a page of their own.
static void put_tenant_limits(void *arg, const struct limits_view *view) {
    const struct limits_page *page = arg;
    struct json_writer *w = page->writer;
    if (admin_limits_kind(page->admin, view->name) != LIMITS_OF_TENANT)
        return;
    json_key(w, view->name);
    json_object_begin(w);
    put_limits_figures(w, view);
    json_object_end(w);
}

static void put_limits(struct json_writer *w, struct admin *a) {
    struct limits_page page = {a, w};
    json_key(w, SLICE("limits"));
    json_object_begin(w);
    limits_visit(a->sources.limits, put_tenant_limits, &page);
    json_object_end(w);
}

void serve_status(struct admin *a, struct http_request *request) {
    static const char *const states[] = {"starting", "serving", "draining"};
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    admin_put_text(&w, "version", SLICE(FARTHING_VERSION));
    admin_put_text(&w, "state", slice_of(states[a->state]));
    admin_put_number(&w, "uptime_seconds", (clock_wall_ms() - a->started_ms) / 1000);
    admin_put_number(&w, "workers", a->sources.workers);
    admin_put_text(&w, "config", a->config->file);
    admin_put_number(&w, "reloads", a->reloads);
    admin_put_optional(&w, "reload_error", slice_of(a->reload_error));
    admin_put_number(&w, "providers", (int64_t)a->config->provider_count);
    admin_put_number(&w, "models", (int64_t)a->config->model_count);
    admin_put_number(&w, "routes", (int64_t)a->config->route_count);
    admin_put_number(&w, "tenants", (int64_t)(a->config->tenant_count - (a->config->own != NULL)));
    put_routes_off(&w, a);
    put_limits(&w, a);
    put_flights(&w, a->sources.flights);
    put_cache(&w, a->sources.cache);
    put_store(&w, a);
    put_ledger(&w, a->sources.ledger);
    json_object_end(&w);
    admin_reply_json(request, &out);
}
