// Which server it is that knows a key. With one server, or one master that
// sentinels know, there is but one. In a cluster it is the node that serves the
// key's slot; and what a node does not serve any more is sent again to the one
// that it names, a few times at most. Order is kept where it matters: what is
// sent again goes out in the order of its answers, which is that in which it was
// sent.
#include <event2/event.h>
#include <stdlib.h>

#include "redis_route.h"

enum {
    REDIRECTS_MAX = 5,   // of one command
    TRY_AGAIN_MS = 20,   // some keys of a script move to another node, or a vote is under way
    TRY_AGAIN_MAX = 250, // of one that nobody waits for
};

static const struct metric_family redirects_family = {
    .name = "farthing_store_redirects_total",
    .help = "Commands that another node of the cluster was to do (MOVED, ASK).",
    .kind = METRIC_COUNTER,
};

struct redis_node *redis_route_of(struct redis *r, struct slice key) {
    const struct redis_route *t = r->route;
    if (t == NULL)
        return r->nodes;
    if (t->topology == NULL)
        return NULL;
    unsigned slot = redis_slot_of(key);
    if (t->elsewhere != NULL && slot == t->elsewhere_slot)
        return t->elsewhere;
    unsigned place = t->topology->owner[slot];
    return place != REDIS_NOBODY ? t->at[place] : NULL;
}

// ---------------------------------------------------------------- in order

void redis_route_note_former(struct redis_route *t, unsigned slot, struct redis_node *former) {
    if (former == NULL || former->first == NULL)
        return;
    t->former[slot] = former;
    t->former_appended[slot] = former->appended;
}

void redis_route_forget_node(struct redis_route *t, const struct redis_node *n) {
    for (size_t slot = 0; slot < REDIS_SLOTS; slot++)
        if (t->former[slot] == n)
            t->former[slot] = NULL;
}

static bool is_settling(const struct redis_route *t, unsigned slot) {
    const struct redis_node *former = t->former[slot];
    return former != NULL && former->popped < t->former_appended[slot];
}

struct redis_node *redis_route_for(struct redis *r, struct slice key, struct job *j) {
    struct redis_node *n = redis_route_of(r, key);
    bool is_again = j->redirects > 0 || j->kind == JOB_BEAT; // those go before the others
    if (r->route != NULL && !is_again && is_settling(r->route, redis_slot_of(key))) {
        j->tries++;
        redis_route_wait(r, j);
        return NULL;
    }
    if (n != NULL && redis_node_takes(n, j))
        return n;
    if (j->kind == JOB_BEAT) // which nobody handed over
        redis_job_answer(j, STORE_FAILED);
    else
        redis_job_refuse(r, j);
    return NULL;
}

// ------------------------------------------------------------------ all together

void redis_node_changed(struct redis_node *n) {
    if (n->redis->route != NULL)
        redis_cluster_summarize(n->redis->route);
    else if (n == n->redis->nodes)
        atomic_store_explicit(&n->redis->state, (int)n->state, memory_order_relaxed);
}

bool redis_route_is_whole(const struct redis *r) {
    return r->route == NULL || redis_cluster_is_whole(r->route);
}

void redis_route_settled(struct redis *r) {
    if (redis_route_is_whole(r))
        redis_report_up(r);
    if (r->route == NULL)
        redis_has_tried(r);
    else
        redis_cluster_check_tried(r->route);
}

void redis_route_gone(struct redis *r) {
    if (r->route == NULL) {
        redis_has_tried(r);
    } else {
        redis_cluster_check_tried(r->route);
        redis_cluster_refresh(r->route);
    }
}

void redis_route_refresh(struct redis *r) {
    if (r->route != NULL)
        redis_cluster_refresh(r->route);
}

// Where there are several, it is of use which one it is.
void redis_route_explain(const struct redis_node *n, const char *why, struct error *out) {
    if (n->is_placed)
        error_set(out, "%s:%u: %s", n->options.host, n->options.port, why);
    else
        error_set(out, "%s", why);
}

// Who waits for all that was sent goes from node to node. What was sent to
// another one meanwhile may have gone to one that it had passed.
struct redis_node *redis_route_after(struct redis_node *n, struct job *j) {
    const struct redis_route *t = n->redis->route;
    if (n->next != NULL || t == NULL || t->redirects == j->redirects_seen)
        return n->next;
    j->redirects_seen = t->redirects;
    return n->redis->nodes;
}

// ---------------------------------------------------------------- once more

static void perform_again(struct redis_route *t, struct job *j) {
    const struct redis *r = t->redis;
    uint64_t timeout_ns = (uint64_t)r->options.command_timeout_ms * 1000000u;
    bool is_over =
        j->op != NULL ? clock_mono_ns() - j->handed_ns >= timeout_ns : j->tries >= TRY_AGAIN_MAX;
    if (is_over)
        redis_job_refuse(t->redis, j);
    else
        redis_perform(t->redis, j);
}

static struct job *take_again(struct redis_route *t) {
    struct job *first = t->again_first;
    t->again_first = t->again_last = NULL;
    return first;
}

void redis_route_on_again(struct redis_route *t) {
    t->redirects++; // they are on their way now
    for (struct job *j = take_again(t), *next; j != NULL; j = next) {
        next = j->next;
        perform_again(t, j);
    }
}

void redis_route_refuse_again(struct redis *r, const struct store_client *client) {
    struct redis_route *t = r->route;
    for (struct job *j = t != NULL ? take_again(t) : NULL, *next; j != NULL; j = next) {
        next = j->next;
        if (client == NULL || (j->op != NULL && j->op->client == client))
            redis_job_refuse(r, j);
        else
            redis_route_wait(r, j);
    }
}

void redis_route_wait(struct redis *r, struct job *j) {
    struct redis_route *t = r->route;
    j->next = NULL;
    if (t->again_first == NULL)
        t->again_first = j;
    else
        t->again_last->next = j;
    t->again_last = j;
    if (!event_pending(t->again, EV_TIMEOUT, NULL))
        redis_set_timer(t->again, TRY_AGAIN_MS);
}

bool redis_route_has_waiting(const struct redis *r) {
    return r->route != NULL && r->route->again_first != NULL;
}

// ---------------------------------------------------------------- elsewhere

static struct job *take_job(struct redis_command *c) {
    struct job *j = c->job;
    c->job = NULL;
    c->counted = false;
    return j;
}

// To whoever is found for its key now.
static void send_again(struct redis_route *t, struct redis_node *to, struct redis_command *c) {
    const struct redis_command *last = to->last;
    t->redirects++;
    metric_add(metric_plain(&redirects_family), 1);
    if (c->job != NULL) {
        c->job->redirects++;
        redis_perform(t->redis, take_job(c));
    } else {
        redis_send_generation(t->redis, c->space, c->kind);
        if (to->last != last)
            to->last->redirects = c->redirects + 1;
    }
}

static bool send_asking(struct redis_route *t, struct redis_node *to, unsigned slot,
                        struct redis_command *c) {
    if (!redis_node_is_open(to)) { // it is new, as a rule
        if (c->job == NULL || c->job->kind == JOB_BEAT)
            return false;
        c->job->tries++;
        redis_route_wait(t->redis, take_job(c));
        return true;
    }
    REDIS_SEND(to, COMMAND_ASKING, NULL, SLICE("ASKING"));
    t->elsewhere = to;
    t->elsewhere_slot = slot;
    send_again(t, to, c);
    t->elsewhere = NULL;
    return true;
}

// Is there still somebody who wants it?
static bool is_to_be_done(const struct redis_command *c) {
    bool has_job = c->kind == COMMAND_GET || c->kind == COMMAND_PUT || c->kind == COMMAND_DELETE ||
                   c->kind == COMMAND_RUN;
    bool is_generation = c->kind == COMMAND_GENERATION || c->kind == COMMAND_GENERATION_SET ||
                         c->kind == COMMAND_NEW || c->kind == COMMAND_PURGE;
    return has_job ? c->job != NULL : is_generation && !c->late;
}

// Some keys of a script are here and some are not; or masters are away and no others
// are voted for yet, without which the others do nothing either: that takes a second
// or more, for which no request waits.
static bool is_in_a_moment(struct redis_route *t, const struct redis_command *c,
                           struct slice error) {
    bool is_down = slice_starts_with(error, SLICE("CLUSTERDOWN"));
    if (is_down)
        redis_cluster_is_down(t);
    if (c->job == NULL || c->job->kind == JOB_BEAT || !is_to_be_done(c))
        return false;
    return slice_starts_with(error, SLICE("TRYAGAIN")) || (is_down && c->job->op == NULL);
}

bool redis_route_again(struct redis_node *n, struct redis_command *c, struct slice error) {
    struct redis_route *t = n->redis->route;
    struct redis_redirect where;
    unsigned place, before = c->job != NULL ? c->job->redirects : c->redirects;
    if (t == NULL)
        return false;
    if (is_in_a_moment(t, c, error)) {
        c->job->tries++;
        redis_route_wait(n->redis, take_job(c));
        return true;
    }
    if (before >= REDIRECTS_MAX || !is_to_be_done(c) || !redis_redirect_read(error, &where))
        return false;
    struct slice host = where.host.len > 0 ? where.host : slice_of(n->options.host);
    struct redis_node *to = redis_cluster_node(t, host, where.port, &place);
    if (to == NULL)
        return false;
    if (where.is_ask)
        return send_asking(t, to, where.slot, c);
    if (to != n)
        redis_route_note_former(t, where.slot, n);
    redis_topology_own(t->topology, where.slot, place);
    redis_cluster_refresh(t); // it is not the only one, most likely
    send_again(t, to, c);
    return true;
}

// ---------------------------------------------------------- making, freeing

void redis_nodes_open(struct redis *r) {
    if (r->options.kind == STORE_REDIS_CLUSTER) {
        metric_add(metric_plain(&redirects_family), 0);
        redis_cluster_open(r);
    } else {
        r->nodes = redis_node_new(r, &r->options, &redis_command_events);
        redis_node_start(r->nodes);
    }
}

void redis_nodes_free(struct redis *r) {
    redis_cluster_free(r);
    while (r->nodes != NULL) {
        struct redis_node *next = r->nodes->next;
        redis_node_free(r->nodes);
        r->nodes = next;
    }
}
