// Process life: what all workers share is made here, signals arrive here, and
// the admin address is served here, on the main thread's own loop.
#include "process.h"
#include "stores.h"
#include "farthing/breaker.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 64,
    ADDRESSES_MAX = 16,
    SHARED_STREAM_BYTES = 1 << 20, // of a stream in flight that late followers may still join
    RECORDS_MEMORY_BYTES = 16 << 20, // results under an Idempotency-Key,
    RECORDS_DISK_BYTES = 256 << 20,
    RECORD_BYTES_MAX = 64 << 20, // each of them
    RECENT_BYTES = 32 << 20,     // results that a client's retry may come for
};

struct process {
    const struct config *config;
    const char *path;
    struct prices *prices;
    struct store *store;
    struct cache *cache;
    struct ledger *ledger;
    struct upstream_shared *upstream;
    struct limits *limits;
    struct flights *flights;
    struct budgets *budgets;
    struct runs *runs;
    struct estimator *estimator;
    struct key_blocks *blocks;
    struct routing *routing;
    struct breakers *breakers;
    struct retry_budgets *retry_budgets;
    struct balances *balances;
    struct cache *records, *recent;
    struct idempotency *claims;
    struct store_client *client; // the main loop's
    struct http_tls *tls;
    struct flow_shared shared;
    struct event_base *loop;
    struct event *on_hup, *on_term, *on_int, *on_drain_over;
    struct admin *admin;
    struct http_server *admin_server;
    struct worker *workers[WORKERS_MAX];
    unsigned worker_count, running;
    uint16_t ports[ADDRESSES_MAX];
    bool draining;
};

static bool fail(const struct error *err) {
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

static struct prices *load_prices(const struct config *config) {
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
        return fail(&err);
    budgets_configure(p->budgets, p->config);
    write_recovered_rows(p->budgets, p->store, p->ledger);
    p->runs = runs_open(p->store, &err);
    if (p->runs == NULL)
        return fail(&err);
    p->estimator = estimator_new();
    p->blocks = key_blocks_open(p->store, &err);
    return p->blocks != NULL || fail(&err);
}

static void declare_models(struct process *p, const struct config *config) {
    for (size_t i = 0; i < config->model_count; i++) {
        breakers_declare(p->breakers, config->models[i].name);
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

static bool open_state(struct process *p) {
    struct error err;
    p->store = stores_open(&p->config->store, &err);
    if (p->store == NULL)
        return fail(&err);
    char *cost_log = slice_dup(p->config->log.cost_log);
    p->ledger = ledger_open(&(struct ledger_options){cost_log, p->store, 0}, &err);
    free(cost_log);
    if (p->ledger == NULL)
        return fail(&err);
    if (p->config->cache.enabled)
        p->cache = cache_new(&(struct cache_options){
            .memory_bytes = p->config->cache.memory_bytes,
            .max_entry_bytes = p->config->cache.max_entry_bytes,
            .store = p->store,
        });
    p->prices = load_prices(p->config);
    p->upstream = upstream_shared_new();
    p->limits = limits_new();
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
    declare_models(p, p->config);
    p->shared = (struct flow_shared){
        .cache = p->cache,
        .store = p->store,
        .ledger = p->ledger,
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

static struct http_tls *load_tls(const struct config *config, struct error *err) {
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
    p->tls = load_tls(p->config, &err);
    return p->tls != NULL || fail(&err);
}

// All have started when the first request for it is read.
static void ask_workers(void *arg, struct admin_inflight_answer *answer) {
    struct process *p = arg;
    for (unsigned i = 0; i < p->worker_count; i++)
        worker_ask_inflight(p->workers[i], answer);
}

static bool open_admin(struct process *p) {
    struct error err;
    struct http_limits limits;
    http_limits_of(p->config, &limits);
    const struct admin_sources sources = {
        .cache = p->cache,
        .store = p->store,
        .ledger = p->ledger,
        .limits = p->limits,
        .flights = p->flights,
        .workers = p->config->server.workers,
        .loop = p->loop,
        .client = p->client = store_client_new(p->store, p->loop),
        .budgets = p->budgets,
        .runs = p->runs,
        .blocks = p->blocks,
        .upstream = p->upstream,
        .inflight = {ask_workers, p, p->config->server.workers},
        .breakers = p->breakers,
        .retry_budgets = p->retry_budgets,
        .balances = p->balances,
    };
    p->admin = admin_new(&sources, p->config);
    struct http_handler handler = admin_handler(p->admin);
    limits.max_body_bytes = 64 * 1024; // orders of an operator
    p->admin_server = http_server_new(p->loop, &limits, &handler);
    if (http_server_listen(p->admin_server, p->config->server.admin_listen, NULL, false, &err) == 0)
        return fail(&err);
    return true;
}

static void on_worker_ended(void *arg) {
    struct process *p = arg;
    if (--p->running == 0)
        event_base_loopbreak(p->loop);
}

static bool start_workers(struct process *p) {
    struct error err;
    struct worker_options options = {
        .shared = &p->shared,
        .config = p->config,
        .prices = p->prices,
        .routing = p->routing,
        .tls = p->tls,
        .ports = p->ports,
        .main = p->loop,
        .ended = on_worker_ended,
        .arg = p,
    };
    // All listen before one serves: a port that is taken is found out in time.
    for (unsigned i = 0; i < p->config->server.workers; i++) {
        struct worker *w = worker_new(&options, p->ports, &err);
        if (w == NULL)
            return fail(&err);
        p->workers[p->worker_count++] = w;
    }
    for (unsigned i = 0; i < p->worker_count; i++) {
        if (!worker_start(p->workers[i])) {
            error_set(&err, "cannot start a worker thread");
            return fail(&err);
        }
        p->running++;
    }
    return true;
}

// ------------------------------------------------------------------ signals

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
        !slice_equal(old->log.cost_log, new->log.cost_log))
        log_write(LOG_WARNING, "listen, admin_listen, workers, TLS or none, all of store, "
                               "cache.enabled, cache.max_entry and cost_log change with a restart "
                               "only");
}

// A renewed certificate, for new connections. One that cannot be read leaves
// the old one in place: better that than none.
static void reload_tls(struct process *p, const struct config *config) {
    struct error err;
    if (p->tls == NULL || config->server.tls_certificate.len == 0)
        return;
    struct http_tls *tls = load_tls(config, &err);
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

static void reload(struct process *p) {
    struct routing *routing = NULL;
    ledger_reopen(p->ledger);
    if (p->path == NULL)
        return;
    const struct config *config = read_again(p, &routing);
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->warnings.count; i++)
        log_write(LOG_WARNING, "%.*s", SLICE_ARG(config->warnings.items[i]));
    warn_of_what_needs_a_restart(p->config, config);
    struct prices *prices = load_prices(config);
    if (prices == NULL && p->prices != NULL)
        prices = prices_ref(p->prices);
    reload_tls(p, config);
    for (unsigned i = 0; i < p->worker_count; i++)
        worker_set_config(p->workers[i], config, prices, routing, p->tls);
    declare_models(p, config);
    routing_unref(p->routing);
    p->routing = routing;
    limits_configure(p->limits, config);
    budgets_configure(p->budgets, config);
    admin_set_config(p->admin, config);
    if (p->cache != NULL)
        cache_resize(p->cache, config->cache.memory_bytes);
    log_set_level(config->log.level);
    config_unref(p->config);
    prices_unref(p->prices);
    p->config = config;
    p->prices = prices;
    log_write(LOG_INFO, "reloaded %s", p->path);
}

static void on_hup(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    reload(arg);
}

static void on_drain_over(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct process *p = arg;
    log_write(LOG_WARNING, "drain_timeout is over: ending what still runs");
    for (unsigned i = 0; i < p->worker_count; i++)
        worker_stop(p->workers[i]);
}

static void on_term(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct process *p = arg;
    if (p->draining) { // asked twice: now
        on_drain_over(-1, 0, p);
        return;
    }
    p->draining = true;
    log_write(LOG_INFO, "draining");
    admin_set_state(p->admin, ADMIN_DRAINING);
    for (unsigned i = 0; i < p->worker_count; i++)
        worker_drain(p->workers[i]);
    int64_t ms = p->config->server.drain_timeout_ms;
    struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    event_add(p->on_drain_over, &pause);
}

static void watch_signals(struct process *p) {
    p->on_hup = evsignal_new(p->loop, SIGHUP, on_hup, p);
    p->on_term = evsignal_new(p->loop, SIGTERM, on_term, p);
    p->on_int = evsignal_new(p->loop, SIGINT, on_term, p);
    p->on_drain_over = evtimer_new(p->loop, on_drain_over, p);
    event_add(p->on_hup, NULL);
    event_add(p->on_term, NULL);
    event_add(p->on_int, NULL);
}

// --------------------------------------------------------------------- whole

static void clean_up(struct process *p) {
    for (unsigned i = 0; i < p->worker_count; i++) {
        if (p->running > 0)
            worker_stop(p->workers[i]);
        worker_free(p->workers[i]);
    }
    http_server_free(p->admin_server);
    admin_free(p->admin);
    store_client_free(p->client);
    cache_free(p->cache);
    cache_free(p->records);
    cache_free(p->recent);
    idempotency_free(p->claims);
    budgets_close(p->budgets);
    runs_close(p->runs);
    key_blocks_close(p->blocks);
    estimator_free(p->estimator);
    ledger_close(p->ledger); // writes what is left, to the store too
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
    struct event *const events[] = {p->on_hup, p->on_term, p->on_int, p->on_drain_over};
    for (size_t i = 0; i < FARTHING_COUNT(events); i++)
        if (events[i] != NULL)
            event_free(events[i]);
    event_base_free(p->loop);
}

static void say_hello(const struct process *p, const char *hello) {
    for (size_t i = 0; i < p->config->server.listen.count && i < ADDRESSES_MAX; i++) {
        struct slice address = p->config->server.listen.items[i];
        size_t colon = address.len;
        while (colon > 0 && address.ptr[colon - 1] != ':')
            colon--;
        log_write(LOG_INFO, "farthing %s serves on %s://%.*s%u with %u workers", FARTHING_VERSION,
                  p->tls != NULL ? "https" : "http", (int)colon, address.ptr, p->ports[i],
                  p->worker_count);
    }
    if (hello != NULL) {
        fputs(hello, stdout);
        fflush(stdout);
    }
}

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
        struct http_tls *tls = load_tls(config, err);
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

int process_run(const struct config *config, const char *path, const char *hello) {
    evthread_use_pthreads();
    struct process p = {.config = config, .path = path, .loop = event_base_new()};
    log_set_level(config->log.level);
    bool ok = config->server.listen.count <= ADDRESSES_MAX;
    if (!ok)
        fprintf(stderr, "farthing: at most %d addresses can be listened on\n", ADDRESSES_MAX);
    if (ok)
        watch_signals(&p);
    ok = ok && open_routing(&p) && open_state(&p) && open_tls(&p) && open_admin(&p) && start_workers(&p);
    if (ok) {
        admin_set_state(p.admin, ADMIN_SERVING);
        say_hello(&p, hello);
        event_base_dispatch(p.loop);
        log_write(LOG_INFO, "stopped");
    }
    clean_up(&p);
    return ok ? 0 : 1;
}

void process_wait_for_signal(void) {
    sigset_t set;
    int signal_number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigwait(&set, &signal_number);
}
