// What a process is made of: opened once, before the first loop runs, and freed after
// the last.
#include "process_room.h"
#include "stores.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SHARED_STREAM_BYTES = 1 << 20, // of a stream in flight that late followers may still join
    RECORDS_MEMORY_BYTES = 16 << 20, // results under an Idempotency-Key,
    RECORDS_DISK_BYTES = 256 << 20,
    RECORD_BYTES_MAX = 64 << 20, // each of them
    RECENT_BYTES = 32 << 20,     // results that a client's retry may come for
};

bool process_fail(const struct error *err) {
    fprintf(stderr, "farthing: %s\n", err->text);
    return false;
}

// ------------------------------------------------------------------ prices

// Beside the build (a checkout), or where it was installed.
static bool find_catalogue(char *out, size_t room) {
    char self[2048];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
        snprintf(out, room, "%s/../conf/prices.json", self);
        if (access(out, R_OK) == 0)
            return true;
    }
    snprintf(out, room, "%s/prices.json", FARTHING_DATA_DIR);
    return access(out, R_OK) == 0;
}

struct prices *process_load_prices(const struct config *config) {
    char path[4096];
    struct error err;
    if (config->log.prices.len > 0) {
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(config->log.prices));
    } else if (!find_catalogue(path, sizeof path)) {
        log_write(LOG_WARNING, "there is no price catalogue: costs are null where the file gives none");
        return NULL;
    }
    struct prices *prices = prices_load(path, &err);
    if (prices == NULL)
        log_write(LOG_ERROR, "%s", err.text);
    else
        log_write(LOG_INFO, "prices of %zu models, made %.*s", prices_count(prices),
                  SLICE_ARG(prices_date(prices)));
    return prices;
}

// ------------------------------------------------------------------- set-up

// What an earlier process left reserved counts as spent from here on.
static bool open_money(struct process *p) {
    struct error err;
    p->budgets = budgets_open(p->store, &err);
    if (p->budgets == NULL)
        return process_fail(&err);
    budgets_configure(p->budgets, p->config);
    write_recovered_rows(p->budgets, p->store, p->ledger);
    write_rows_recovered_later(p->budgets, p->ledger);
    settle_with_earlier_process(p->budgets, p->store);
    p->runs = runs_open(p->store, &err);
    if (p->runs == NULL)
        return process_fail(&err);
    p->estimator = estimator_new();
    p->blocks = key_blocks_open(p->store, &err);
    return p->blocks != NULL || process_fail(&err);
}

void process_declare_models(struct process *p, const struct config *config) {
    for (size_t i = 0; i < config->model_count; i++) {
        const struct config_breaker *b = &config->models[i].provider->breaker;
        const struct breaker_figures figures = {b->failures, b->window_ms, b->open_for_ms,
                                                b->slow_call_ms};
        breakers_set_figures(p->breakers, config->models[i].name, &figures,
                             (int64_t)clock_mono_ms());
        balances_declare(p->balances, config->models[i].name);
    }
}

static bool open_routing(struct process *p) {
    struct buffer messages = {0};
    p->routing = routing_new(p->config, &messages);
    if (messages.len > 0)
        fwrite(messages.ptr, 1, messages.len, stderr);
    buffer_free(&messages);
    return p->routing != NULL;
}

static bool open_learning(struct process *p) {
    struct error err;
    struct slice path = p->config->classifier.capture;
    p->past = past_new();
    if (path.len == 0)
        return true;
    char *name = slice_dup(path);
    p->outcomes = outcomes_open(name, &err);
    free(name);
    return p->outcomes != NULL || process_fail(&err);
}

static bool open_shared(struct process *p) {
    struct error err;
    p->store = stores_open(&p->config->store, &err);
    if (p->store == NULL)
        return process_fail(&err);
    char *cost_log = slice_dup(p->config->log.cost_log);
    p->ledger = ledger_open(&(struct ledger_options){cost_log, p->store, 0}, &err);
    free(cost_log);
    if (p->ledger == NULL)
        return process_fail(&err);
    if (!open_learning(p))
        return false;
    ledger_set_config(p->ledger, p->config);
    if (p->config->cache.enabled)
        p->cache = cache_new(&(struct cache_options){
            .memory_bytes = p->config->cache.memory_bytes,
            .max_entry_bytes = p->config->cache.max_entry_bytes,
            .store = p->store,
            .has_purges = true,
        });
    p->prices = process_load_prices(p->config);
    p->upstream = upstream_shared_new();
    p->limits = limits_new();
    limits_share(p->limits, p->store,
                 &(struct limits_sharing){.wait_ms = p->config->store.redis.command_timeout_ms});
    limits_configure(p->limits, p->config);
    p->records = cache_new(&(struct cache_options){
        .memory_bytes = RECORDS_MEMORY_BYTES,
        .max_entry_bytes = RECORD_BYTES_MAX,
        .store = p->store,
        .space = "idempotency",
    });
    store_bound_space(p->store, "idempotency", RECORDS_DISK_BYTES);
    p->recent = cache_new(&(struct cache_options){.memory_bytes = RECENT_BYTES});
    p->claims = idempotency_new();
    p->flights = flights_new(&(struct flights_options){.join_bytes = SHARED_STREAM_BYTES});
    if (!open_money(p))
        return false;
    p->breakers = breakers_new();
    p->retry_budgets = retry_budgets_new();
    p->balances = balances_new();
    process_declare_models(p, p->config);
    p->shared = (struct flow_shared){
        .cache = p->cache,
        .store = p->store,
        .ledger = p->ledger,
        .outcomes = p->outcomes,
        .past = p->past,
        .upstream = p->upstream,
        .limits = p->limits,
        .flights = p->flights,
        .budgets = p->budgets,
        .runs = p->runs,
        .estimator = p->estimator,
        .breakers = p->breakers,
        .retry_budgets = p->retry_budgets,
        .balances = p->balances,
        .blocks = p->blocks,
        .records = p->records,
        .claims = p->claims,
        .recent = p->recent,
    };
    return true;
}

struct http_tls *process_load_tls(const struct config *config, struct error *err) {
    char *certificate = slice_dup(config->server.tls_certificate);
    char *key = slice_dup(config->server.tls_key);
    struct http_tls *tls = http_tls_new(certificate, key, err);
    free(certificate);
    free(key);
    return tls;
}

static bool open_tls(struct process *p) {
    struct error err;
    if (p->config->server.tls_certificate.len == 0)
        return true;
    p->tls = process_load_tls(p->config, &err);
    return p->tls != NULL || process_fail(&err);
}

bool process_open_state(struct process *p) {
    return open_routing(p) && open_shared(p) && open_tls(p);
}

void process_close_state(struct process *p) {
    cache_free(p->cache);
    cache_free(p->records);
    cache_free(p->recent);
    idempotency_free(p->claims);
    budgets_close(p->budgets);
    runs_close(p->runs);
    key_blocks_close(p->blocks);
    estimator_free(p->estimator);
    ledger_close(p->ledger); // writes what is left, to the store too
    outcomes_close(p->outcomes);
    past_free(p->past);
    store_close(p->store);
    upstream_shared_free(p->upstream);
    limits_free(p->limits);
    flights_free(p->flights);
    routing_unref(p->routing);
    breakers_free(p->breakers);
    retry_budgets_free(p->retry_budgets);
    balances_free(p->balances);
    http_tls_unref(p->tls);
    prices_unref(p->prices);
    config_unref(p->config);
}

// What a start would need, and nothing of it is kept.
bool process_check(const struct config *config, struct error *err) {
    struct buffer messages = {0};
    struct routing *routing = routing_new(config, &messages);
    if (messages.len > 0)
        fwrite(messages.ptr, 1, messages.len, stderr);
    buffer_free(&messages);
    routing_unref(routing);
    if (routing == NULL)
        return error_set(err, "the configuration's patterns or its classifier cannot be used");
    if (!stores_check(&config->store, err))
        return false;
    if (config->server.tls_certificate.len > 0) {
        struct http_tls *tls = process_load_tls(config, err);
        if (tls == NULL)
            return false;
        http_tls_unref(tls);
    }
    if (config->log.prices.len == 0)
        return true;
    char *path = slice_dup(config->log.prices);
    struct prices *prices = prices_load(path, err);
    free(path);
    prices_unref(prices);
    return prices != NULL;
}
