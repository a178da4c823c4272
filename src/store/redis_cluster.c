// A cluster's topology: asked for at the start, after a loss or a MOVED, each
// 200 ms while it is not whole (each second, when that lasts), and each 30 s
// otherwise. Who serves slots has a connection; a node that serves none any more
// is let go once what it was asked is answered. Replicas are known by their
// addresses, for when only they are left to be asked.
#include <event2/event.h>
#include <stdlib.h>

#include "redis_route.h"

enum {
    SLOW_TICK_MS = 30000,
    FAST_TICK_MS = 200,
    BROKEN_TICK_MS = 1000, // once it has not been whole for so long that no vote is to come
    BROKEN_MS = 10000,
    // With one node, while the cluster is not whole: it may know less than others.
    SCOUT_STAY_MS = 1000,
    DOWN_MS = 300,     // so long nobody is to have said that the cluster is down
    RETIRED_MS = 1000, // for the answers that are due
};

static bool has_passed(uint64_t since_ns, int64_t ms) {
    return clock_mono_ns() - since_ns >= (uint64_t)ms * 1000000u;
}

// -------------------------------------------------------------------- state

bool redis_cluster_is_whole(const struct redis_route *t) {
    if (t->topology == NULL || t->topology->served < REDIS_SLOTS ||
        (t->down_ns != 0 && !has_passed(t->down_ns, DOWN_MS)))
        return false;
    for (const struct redis_node *n = t->redis->nodes; n != NULL; n = n->next)
        if (!n->is_retired && n->state != REDIS_READY)
            return false;
    return true;
}

static void set_pace(struct redis_route *t) {
    bool is_calm = redis_cluster_is_whole(t);
    for (const struct redis_node *n = t->redis->nodes; is_calm && n != NULL; n = n->next)
        is_calm = !n->is_retired;
    if (event_pending(t->tick, EV_TIMEOUT, NULL) && t->is_tick_slow == is_calm)
        return;
    if (is_calm)
        t->broken_ns = 0;
    else if (t->broken_ns == 0)
        t->broken_ns = clock_mono_ns();
    t->is_tick_slow = is_calm;
    bool is_lasting = t->broken_ns != 0 && has_passed(t->broken_ns, BROKEN_MS);
    redis_set_timer(t->tick, is_calm ? SLOW_TICK_MS : is_lasting ? BROKEN_TICK_MS : FAST_TICK_MS);
}

// Commands may come while any node takes them: what goes to another fails at once.
void redis_cluster_summarize(struct redis_route *t) {
    enum redis_state state = REDIS_RESTING;
    for (const struct redis_node *n = t->redis->nodes; n != NULL; n = n->next)
        if (!n->is_retired && redis_node_is_open(n) && state != REDIS_READY)
            state = n->state;
    atomic_store_explicit(&t->redis->state, (int)state, memory_order_relaxed);
    set_pace(t);
}

// Of several masters some may serve, and yet do nothing while others are away.
void redis_cluster_is_down(struct redis_route *t) {
    if (redis_cluster_is_whole(t))
        redis_report_down(t->redis, TROUBLE_CLUSTER, "it says that it is down");
    t->down_ns = clock_mono_ns();
    redis_cluster_refresh(t);
    set_pace(t);
}

// All that could be reached at the start is, or it takes too long.
void redis_cluster_check_tried(struct redis_route *t) {
    bool tried = t->scout_failures >= t->redis->options.seed_count ||
                 has_passed(t->opened_ns, t->redis->options.connect_timeout_ms);
    if (!tried && t->topology != NULL) {
        tried = true;
        for (const struct redis_node *n = t->redis->nodes; n != NULL; n = n->next)
            tried = tried && n->state != REDIS_OPENING && n->state != REDIS_GREETING;
    }
    if (tried)
        redis_has_tried(t->redis);
}

// --------------------------------------------------------------------- nodes

static struct redis_node *find_node(const struct redis *r, struct slice host, unsigned port) {
    for (struct redis_node *n = r->nodes; n != NULL; n = n->next)
        if (n->options.port == port && slice_equal(slice_of(n->options.host), host))
            return n;
    return NULL;
}

static struct redis_node *make_node(struct redis *r, struct slice host, unsigned port) {
    struct redis_node *n = redis_node_new(r, &r->options, &redis_command_events), **end = &r->nodes;
    n->is_anywhere = false;
    redis_node_place(n, host, port);
    while (*end != NULL)
        end = &(*end)->next;
    *end = n;
    redis_node_start(n);
    return n;
}

struct redis_node *redis_cluster_node(struct redis_route *t, struct slice host, unsigned port,
                                      unsigned *place) {
    *place = redis_topology_place(t->topology, host, port);
    if (*place == REDIS_NOBODY)
        return NULL;
    struct redis_node *n = find_node(t->redis, host, port);
    if (n == NULL)
        n = make_node(t->redis, host, port);
    n->is_retired = false;
    t->at[*place] = n;
    return n;
}

static bool is_at_a_place(const struct redis_route *t, const struct redis_node *n) {
    for (size_t i = 0; i < t->topology->count; i++)
        if (t->at[i] == n)
            return true;
    return false;
}

static struct redis_node *server_of(const struct redis_route *t, unsigned slot) {
    unsigned place = t->topology != NULL ? t->topology->owner[slot] : REDIS_NOBODY;
    return place != REDIS_NOBODY ? t->at[place] : NULL;
}

static void take_over(struct redis_route *t, struct redis_topology *topology) {
    struct redis_node **former = base_alloc(REDIS_SLOTS * sizeof(struct redis_node *));
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
        former[slot] = server_of(t, slot);
    redis_topology_free(t->topology);
    t->topology = topology;
    memset(t->at, 0, sizeof t->at);
    for (size_t i = 0; i < topology->count; i++) {
        const struct redis_place *p = &topology->places[i];
        unsigned place;
        if (p->is_master)
            (void)redis_cluster_node(t, slice_of(p->host), p->port, &place);
    }
    for (struct redis_node *n = t->redis->nodes; n != NULL; n = n->next)
        if (!n->is_retired && !is_at_a_place(t, n)) {
            n->is_retired = true;
            n->retired_ns = clock_mono_ns();
        }
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
        if (former[slot] != server_of(t, slot))
            redis_route_note_former(t, slot, former[slot]);
    free(former);
    redis_cluster_summarize(t);
    if (redis_cluster_is_whole(t))
        redis_report_up(t->redis);
    redis_cluster_check_tried(t);
}

// Not from within a function of theirs.
static void free_retired(struct redis *r) {
    for (struct redis_node **at = &r->nodes; *at != NULL;) {
        struct redis_node *n = *at;
        bool is_done = !redis_node_is_open(n) || n->first == NULL;
        if (!n->is_retired || (!is_done && !has_passed(n->retired_ns, RETIRED_MS))) {
            at = &n->next;
            continue;
        }
        redis_fail_all(n); // what waits for all goes on to the next
        redis_route_forget_node(r->route, n);
        *at = n->next;
        redis_node_free(n);
    }
}

// --------------------------------------------------------------------- scout

static void ask(struct redis_route *t) {
    if (t->is_asked || !redis_node_is_open(t->scout))
        return; // it asks by itself when it is there
    REDIS_SEND(t->scout, COMMAND_TOPOLOGY, NULL, SLICE("CLUSTER"), SLICE("SLOTS"));
    t->is_asked = true;
}

void redis_cluster_refresh(struct redis_route *t) {
    ask(t);
}

static size_t candidates(const struct redis_route *t) {
    return (t->topology != NULL ? t->topology->count : 0) + t->redis->options.seed_count;
}

// False: it is known to be away.
static bool place_candidate(const struct redis_route *t, struct redis_node *n, size_t i) {
    size_t known = t->topology != NULL ? t->topology->count : 0;
    if (i < known) {
        redis_node_place(n, slice_of(t->topology->places[i].host), t->topology->places[i].port);
        return t->at[i] == NULL || redis_node_is_open(t->at[i]);
    }
    const struct store_redis_seed *seed = &t->redis->options.seeds[i - known];
    redis_node_place(n, slice_of(seed->host), seed->port);
    return true;
}

void redis_cluster_choose(struct redis_route *t, struct redis_node *n) {
    size_t count = candidates(t);
    for (size_t tried = 0; tried < count; tried++)
        if (place_candidate(t, n, t->next_candidate++ % count))
            return;
}

static void greet(struct redis_node *n) {
    redis_send_greeting(n);
    REDIS_SEND(n, COMMAND_GREETED, NULL, SLICE("PING"));
}

static void on_ready(struct redis_node *n) {
    struct redis_route *t = n->redis->route;
    t->scout_since_ns = clock_mono_ns();
    t->is_asked = false;
    ask(t);
}

static void on_failing(struct redis_node *n, enum redis_trouble trouble, const char *why) {
    struct redis_route *t = n->redis->route;
    struct error said;
    t->is_asked = false;
    redis_route_explain(n, why, &said);
    if (t->topology != NULL)
        return; // it asks another; what is wrong with a node, that node's connection says
    t->scout_failures++;
    redis_report_down(n->redis, trouble, said.text);
}

static void on_gone(struct redis_node *n) {
    redis_cluster_check_tried(n->redis->route);
}

static bool take_topology(struct redis_node *n, const struct redis_reply *reply) {
    struct redis_route *t = n->redis->route;
    struct error err;
    struct redis_topology *topology = redis_topology_read(reply, slice_of(n->options.host), &err);
    t->is_asked = false;
    n->attempt = 0; // it was of use
    if (topology == NULL)
        return redis_lost_for(n, TROUBLE_PROTOCOL, slice_of(err.text));
    if (topology->served == 0) { // a node of no cluster, or of none yet
        redis_topology_free(topology);
        return redis_lost_for(n, TROUBLE_CLUSTER, SLICE("it knows of nobody who serves a slot"));
    }
    take_over(t, topology);
    return true;
}

static bool answered(struct redis_node *n, struct redis_command *c,
                     const struct redis_reply *reply) {
    bool is_error = reply->kind == REDIS_REPLY_IS_ERROR;
    if (is_error && c->kind == COMMAND_GREETING)
        return redis_lost_for(n, TROUBLE_AUTH, redis_reply_slice(reply));
    if (is_error && c->kind != COMMAND_NAME)
        return redis_lost_for(n, redis_trouble_of(redis_reply_slice(reply)),
                              redis_reply_slice(reply));
    if (c->kind == COMMAND_GREETED)
        redis_greeted(n);
    return c->kind != COMMAND_TOPOLOGY || take_topology(n, reply);
}

static const struct redis_node_events scout_events = {
    .greet = greet,
    .ready = on_ready,
    .failing = on_failing,
    .gone = on_gone,
    .answered = answered,
};

// ---------------------------------------------------------------------- tick

static void move_scout(struct redis_route *t) {
    redis_fail_all(t->scout);
    redis_link_close(t->scout->link);
    t->is_asked = false;
    redis_node_start(t->scout);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct redis_route *t = arg;
    free_retired(t->redis);
    bool is_open = redis_node_is_open(t->scout) && redis_node_is_alive(t->scout);
    if (is_open && !redis_cluster_is_whole(t) && has_passed(t->scout_since_ns, SCOUT_STAY_MS))
        move_scout(t);
    else
        ask(t);
    redis_cluster_check_tried(t);
    set_pace(t);
}

static void on_again(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    redis_route_on_again(arg);
}

// ---------------------------------------------------------- making, freeing

void redis_cluster_open(struct redis *r) {
    struct redis_route *t = base_calloc(1, sizeof *t);
    t->redis = r;
    t->opened_ns = clock_mono_ns();
    t->tick = evtimer_new(r->loop, on_tick, t);
    t->again = evtimer_new(r->loop, on_again, t);
    r->route = t;
    t->scout = redis_node_new(r, &r->options, &scout_events);
    t->scout->max_elements = REDIS_TOPOLOGY_ELEMENTS_MAX;
    redis_node_start(t->scout);
    set_pace(t);
}

void redis_cluster_free(struct redis *r) {
    struct redis_route *t = r->route;
    if (t == NULL)
        return;
    redis_route_refuse_again(r, NULL);
    redis_fail_all(t->scout);
    redis_node_free(t->scout);
    redis_topology_free(t->topology);
    event_free(t->tick);
    event_free(t->again);
    free(t);
    r->route = NULL;
}
