// Process life: workers are started here, signals arrive here, and the admin address is
// served here, on the main thread's own loop.
#include "process_room.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>

// All have started when the first request for it is read.
static void ask_workers(void *arg, struct admin_inflight_answer *answer) {
    struct process *p = arg;
    for (unsigned i = 0; i < p->worker_count; i++)
        worker_ask_inflight(p->workers[i], answer);
}

static void open_gossip(struct process *p) {
    const struct gossip_options options = {
        .store = p->store,
        .client = p->client,
        .loop = p->loop,
        .rooms = {p->breakers, p->retry_budgets, p->estimator, p->past},
    };
    p->gossip = gossip_new(&options);
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
        .outcomes = p->outcomes,
        .past = p->past,
    };
    if (p->cache != NULL)
        cache_share_purges(p->cache, p->client, p->loop);
    key_blocks_share(p->blocks, p->client, p->loop);
    open_gossip(p);
    p->admin = admin_new(&sources, p->config);
    admin_set_prices(p->admin, p->prices);
    struct http_handler handler = admin_handler(p->admin);
    limits.max_body_bytes = 64 * 1024; // orders of an operator
    p->admin_server = http_server_new(p->loop, &limits, &handler);
    p->admin_port =
        http_server_listen(p->admin_server, p->config->server.admin_listen, NULL, false, &err);
    return p->admin_port != 0 || process_fail(&err);
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
            return process_fail(&err);
        p->workers[p->worker_count++] = w;
    }
    for (unsigned i = 0; i < p->worker_count; i++) {
        if (!worker_start(p->workers[i])) {
            error_set(&err, "cannot start a worker thread");
            return process_fail(&err);
        }
        p->running++;
    }
    return true;
}

// ------------------------------------------------------------------ signals

static void on_hup(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    process_reload(arg);
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
    if (p->cache != NULL)
        cache_unshare_purges(p->cache);
    key_blocks_unshare(p->blocks);
    gossip_free(p->gossip);
    store_client_free(p->client);
    process_close_state(p);
    struct event *const events[] = {p->on_hup, p->on_term, p->on_int, p->on_drain_over};
    for (size_t i = 0; i < FARTHING_COUNT(events); i++)
        if (events[i] != NULL)
            event_free(events[i]);
    event_base_free(p->loop);
}

// Up to its port, which the system chose where the configuration says 0.
static struct slice without_port(struct slice address) {
    while (address.len > 0 && address.ptr[address.len - 1] != ':')
        address.len--;
    return address;
}

static void say_hello(const struct process *p, const char *hello) {
    const struct config_server *server = &p->config->server;
    log_write(LOG_INFO, "metrics, health and status on http://%.*s%u",
              SLICE_ARG(without_port(server->admin_listen)), p->admin_port);
    for (size_t i = 0; i < server->listen.count && i < ADDRESSES_MAX; i++)
        log_write(LOG_INFO, "farthing %s serves on %s://%.*s%u with %u workers", FARTHING_VERSION,
                  p->tls != NULL ? "https" : "http",
                  SLICE_ARG(without_port(server->listen.items[i])), p->ports[i], p->worker_count);
    if (hello != NULL) {
        fputs(hello, stdout);
        fflush(stdout);
    }
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
    ok = ok && process_open_state(&p) && open_admin(&p) && start_workers(&p);
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
