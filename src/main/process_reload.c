// SIGHUP: the configuration, and what is made of it, are read again and swapped in as a
// whole. A file that is no good leaves everything as it was.
#include "process_room.h"
#include "stores.h"

static bool same_lists(struct config_slices a, struct config_slices b) {
    bool same = a.count == b.count;
    for (size_t i = 0; same && i < a.count; i++)
        same = slice_equal(a.items[i], b.items[i]);
    return same;
}

static void warn_of_what_needs_a_restart(const struct config *old, const struct config *new) {
    if (!same_lists(old->server.listen, new->server.listen) ||
        !slice_equal(old->server.admin_listen, new->server.admin_listen) ||
        old->server.workers != new->server.workers ||
        (old->server.tls_certificate.len > 0) != (new->server.tls_certificate.len > 0) ||
        !stores_are_same(&old->store, &new->store) ||
        old->cache.enabled != new->cache.enabled ||
        old->cache.max_entry_bytes != new->cache.max_entry_bytes ||
        !slice_equal(old->log.cost_log, new->log.cost_log) ||
        !slice_equal(old->classifier.capture, new->classifier.capture))
        log_write(LOG_WARNING, "listen, admin_listen, workers, TLS or none, all of store, "
                               "cache.enabled, cache.max_entry, cost_log and capture change with a "
                               "restart only");
}

// A renewed certificate, for new connections. One that cannot be read leaves
// the old one in place: better that than none.
static void reload_tls(struct process *p, const struct config *config) {
    struct error err;
    if (p->tls == NULL || config->server.tls_certificate.len == 0)
        return;
    struct http_tls *tls = process_load_tls(config, &err);
    if (tls == NULL) {
        log_write(LOG_ERROR, "%s; the old certificate stays", err.text);
        return;
    }
    http_tls_unref(p->tls);
    p->tls = tls;
}

static void log_lines(enum log_level level, struct slice lines) {
    struct slice line;
    while (slice_split(&lines, '\n', &line))
        if (line.len > 0)
            log_write(level, "%.*s", SLICE_ARG(line));
}

// The file, and what is made of it for choosing and judging. NULL, with the old one
// in place, where either is no good.
static const struct config *read_again(struct process *p, struct routing **routing) {
    struct buffer messages = {0};
    const struct config *config = config_load(p->path, &messages);
    if (config != NULL) {
        buffer_clear(&messages);
        *routing = routing_new(config, &messages);
        if (*routing == NULL) {
            config_unref(config);
            config = NULL;
        } else {
            log_lines(LOG_WARNING, buffer_slice(&messages));
        }
    }
    if (config == NULL) {
        log_write(LOG_ERROR, "reload failed, the old configuration stays:");
        log_lines(LOG_ERROR, buffer_slice(&messages));
        admin_reload_failed(p->admin, buffer_slice(&messages));
    }
    buffer_free(&messages);
    return config;
}

void process_reload(struct process *p) {
    struct routing *routing = NULL;
    ledger_reopen(p->ledger);
    if (p->outcomes != NULL)
        outcomes_reopen(p->outcomes);
    if (p->path == NULL)
        return;
    const struct config *config = read_again(p, &routing);
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->warnings.count; i++)
        log_write(LOG_WARNING, "%.*s", SLICE_ARG(config->warnings.items[i]));
    warn_of_what_needs_a_restart(p->config, config);
    struct prices *prices = process_load_prices(config);
    if (prices == NULL && p->prices != NULL)
        prices = prices_ref(p->prices);
    reload_tls(p, config);
    for (unsigned i = 0; i < p->worker_count; i++)
        worker_set_config(p->workers[i], config, prices, routing, p->tls);
    process_declare_models(p, config);
    routing_unref(p->routing);
    p->routing = routing;
    limits_configure(p->limits, config);
    budgets_configure(p->budgets, config);
    ledger_set_config(p->ledger, config);
    admin_set_config(p->admin, config);
    admin_set_prices(p->admin, prices);
    if (p->cache != NULL)
        cache_resize(p->cache, config->cache.memory_bytes);
    log_set_level(config->log.level);
    config_unref(p->config);
    prices_unref(p->prices);
    p->config = config;
    p->prices = prices;
    log_write(LOG_INFO, "reloaded %s", p->path);
}
