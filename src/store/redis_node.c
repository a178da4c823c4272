// A connection, which comes back after it was lost: at random within a time
// that doubles (full jitter), so that a hundred instances do not knock at once.
#include <event2/event.h>
#include <stdlib.h>

#include "redis_route.h"
#include "redis_sentinel.h"

enum {
    BACKOFF_MS = 100, // the first time within which it is tried again
    BACKOFF_MAX_MS = 5000,
    // A connection over which something was written, or that lived so long, was
    // a good one: back to BACKOFF_MS. One that is ended at its first write (a
    // replica), or still loads, must not be tried at once for ever.
    STEADY_MS = 10000,
};

void redis_enter(struct redis_node *n, enum redis_state state) {
    n->state = state;
    redis_node_changed(n);
}

bool redis_state_takes(enum redis_state state, const struct job *j) {
    bool can_wait = j->op == NULL || j->patience_ms > 0;
    return state == REDIS_READY || (state == REDIS_LATE && can_wait);
}

bool redis_node_takes(const struct redis_node *n, const struct job *j) {
    return redis_state_takes(n->state, j);
}

static void rest(struct redis_node *n) {
    bool was_steady =
        n->ready_ns != 0 && clock_mono_ns() - n->ready_ns >= (uint64_t)STEADY_MS * 1000000u;
    n->attempt = was_steady || n->has_written ? 0 : n->attempt + 1;
    n->has_written = false;
    n->ready_ns = 0;
    int64_t within_ms = BACKOFF_MS;
    for (unsigned i = 0; i < n->attempt && within_ms < BACKOFF_MAX_MS; i++)
        within_ms *= 2;
    if (within_ms > BACKOFF_MAX_MS)
        within_ms = BACKOFF_MAX_MS;
    redis_enter(n, REDIS_RESTING);
    redis_set_timer(n->pause, (int64_t)random_below((uint64_t)within_ms) + 1);
}

void redis_lost(struct redis_node *n, enum redis_trouble trouble, const char *why) {
    redis_link_close(n->link);
    if (n->sentinel != NULL)
        redis_sentinel_cancel(n->sentinel);
    event_del(n->deadline);
    rest(n);
    n->events->failing(n, trouble, why);
    redis_fail_all(n);
    n->events->gone(n);
}

static void on_opened(void *arg) {
    struct redis_node *n = arg;
    size_t largest = (size_t)n->options.max_value_bytes;
    if (largest < REDIS_ANSWER_BYTES)
        largest = REDIS_ANSWER_BYTES;
    redis_enter(n, REDIS_GREETING);
    redis_reader_free(n->reader);
    n->reader = redis_reader_new(largest + REDIS_REPLY_BYTES);
    if (n->max_elements > 0)
        redis_reader_allow_arrays(n->reader, n->max_elements);
    n->events->greet(n);
}

void redis_greeted(struct redis_node *n) {
    event_del(n->pause);
    n->ready_ns = clock_mono_ns();
    redis_enter(n, REDIS_READY);
    n->events->ready(n);
}

static void on_got(void *arg, struct slice bytes) {
    redis_got(arg, bytes);
}

static void on_closed(void *arg, const char *why) {
    struct redis_node *n = arg;
    redis_lost(n, n->state != REDIS_OPENING ? TROUBLE_CONNECTION : TROUBLE_CONNECT, why);
}

static const struct redis_link_events link_events = {on_opened, on_got, on_closed};

// A node of a cluster with no place of its own goes to another one each time.
void redis_node_start(struct redis_node *n) {
    redis_enter(n, REDIS_OPENING);
    redis_set_timer(n->pause, n->options.connect_timeout_ms);
    if (n->sentinel != NULL) {
        n->is_placed = false;
        redis_sentinel_ask(n->sentinel);
        return;
    }
    if (n->is_anywhere)
        redis_cluster_choose(n->redis->route, n);
    redis_link_open(n->link);
}

void redis_node_place(struct redis_node *n, struct slice host, unsigned port) {
    char *before = n->host;
    n->host = slice_dup(host);
    n->options.host = n->host;
    n->options.port = port;
    n->is_placed = true;
    free(before);
}

// ---------------------------------------------------------------- sentinels

static void on_found(void *arg, struct slice host, unsigned port) {
    struct redis_node *n = arg;
    bool is_same =
        n->host != NULL && slice_equal(slice_of(n->host), host) && n->options.port == port;
    if (n->state == REDIS_OPENING) {
        if (n->host != NULL && !is_same)
            log_write(LOG_INFO, "store: %s is now at %.*s:%u", n->redis->where.ptr, SLICE_ARG(host),
                      port);
        redis_node_place(n, host, port);
        redis_set_timer(n->pause, n->options.connect_timeout_ms);
        redis_link_open(n->link);
    } else if (!is_same) {
        redis_lost(n, TROUBLE_READONLY, "the sentinels name another master");
    }
}

static void on_not_found(void *arg, const char *why) {
    struct redis_node *n = arg;
    if (n->state == REDIS_OPENING)
        redis_lost(n, TROUBLE_CONNECT, why);
}

static const struct redis_sentinel_events sentinel_events = {on_found, on_not_found};

void redis_node_look(struct redis_node *n) {
    if (!redis_node_is_open(n))
        return;
    if (n->sentinel != NULL) // a former master does not always know that it is one
        redis_sentinel_ask(n->sentinel);
    if (n->redis->route != NULL)
        redis_arm_deadline(n, REDIS_SEND(n, COMMAND_LOOK, NULL, SLICE("PING"))->sent_ns);
}

// Sentinels say for a while what was, and a former master answers for a while.
bool redis_node_take_role(struct redis_node *n, struct slice info) {
    if (slice_find(info, SLICE("role:slave")) < 0)
        return true;
    redis_lost(n, TROUBLE_READONLY, "it is a replica, and no master yet");
    return false;
}

static void on_pause(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct redis_node *n = arg;
    struct error why;
    switch (n->state) {
    case REDIS_RESTING:
        redis_node_start(n);
        return;
    case REDIS_OPENING:
    case REDIS_GREETING:
        error_set(&why, "no connection within %lld ms", (long long)n->options.connect_timeout_ms);
        redis_lost(n, TROUBLE_CONNECT, why.text);
        return;
    case REDIS_READY:
    case REDIS_LATE:
        return;
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    redis_check_deadlines(arg);
}

bool redis_node_is_alive(struct redis_node *n) {
    int64_t dead_ms = 2 * n->options.command_timeout_ms;
    if (dead_ms < REDIS_DEAD_MS)
        dead_ms = REDIS_DEAD_MS;
    if (n->first == NULL || clock_mono_ns() - n->last_bytes_ns <= (uint64_t)dead_ms * 1000000u)
        return true;
    struct error why;
    error_set(&why, "no answer for %lld ms", (long long)dead_ms);
    redis_lost(n, TROUBLE_TIMEOUT, why.text);
    return false;
}

struct redis_node *redis_node_new(struct redis *r, const struct store_redis_options *options,
                                  const struct redis_node_events *events) {
    struct redis_node *n = base_calloc(1, sizeof *n);
    n->redis = r;
    n->events = events;
    n->options = *options;
    n->pause = evtimer_new(r->loop, on_pause, n);
    n->deadline = evtimer_new(r->loop, on_deadline, n);
    n->link = redis_link_new(r->loop, &n->options, r->tls, &link_events, n);
    n->is_anywhere = options->kind == STORE_REDIS_CLUSTER && options->host == NULL;
    if (options->kind == STORE_REDIS_SENTINEL)
        n->sentinel = redis_sentinel_new(r->loop, &n->options, r->tls, &sentinel_events, n);
    return n;
}

void redis_node_free(struct redis_node *n) {
    if (n == NULL)
        return;
    redis_link_free(n->link);
    redis_sentinel_free(n->sentinel);
    free(n->host);
    event_free(n->pause);
    event_free(n->deadline);
    redis_reader_free(n->reader);
    free(n);
}
