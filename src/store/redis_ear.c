// Messages between instances: a connection of its own that listens (in RESP2
// one that listens does nothing else), opened when somebody first wants to hear.
// It is lost and comes back by itself; what was said meanwhile is not heard.
#include <stdlib.h>

#include "redis.h"

enum {
    ELEMENTS_MAX = 1024, // of what is pushed
    // Messages that a loop has not taken yet; over it what comes is not heard.
    WAITING_MAX = 4096,
};

// One channel, and who of this process listens to it.
struct redis_channel {
    struct store_ear *ears;
    char *name; // with the prefix
};

// A message on its way to a loop.
struct heard {
    struct mail mail; // first: mail is the message
    struct store_ear *ear;
    struct slice bytes;
};

// ------------------------------------------------------------- ears, any thread

static void release(struct store_ear *ear) {
    if (atomic_fetch_sub(&ear->references, 1) > 1)
        return;
    free(ear->channel);
    free(ear);
}

static void on_heard(struct mail *m) {
    struct heard *h = (struct heard *)m;
    atomic_fetch_sub_explicit(&h->ear->waiting, 1, memory_order_relaxed);
    if (!h->ear->deaf)
        h->ear->heard(h->ear->arg, h->bytes);
    release(h->ear);
    free(h);
}

static struct job *job_of(enum job_kind kind, struct store_ear *ear) {
    struct job *j = base_calloc(1, sizeof *j);
    j->kind = kind;
    j->ear = ear;
    return j;
}

struct store_ear *store_listen(struct store_client *c, const char *channel, store_heard *heard,
                               void *arg) {
    struct store_ear *ear = base_calloc(1, sizeof *ear);
    struct buffer name = {0};
    buffer_printf(&name, "%s%s", REDIS_PREFIX, channel);
    ear->channel = slice_dup(buffer_slice(&name));
    buffer_free(&name);
    ear->client = c;
    ear->heard = heard;
    ear->arg = arg;
    ear->references = 2;
    ear->next = c->ears;
    if (c->ears != NULL)
        c->ears->previous = ear;
    c->ears = ear;
    (void)redis_enqueue(c->store->redis, job_of(JOB_LISTEN, ear)); // never refused
    return ear;
}

void store_unlisten(struct store_ear *ear) {
    if (ear->previous != NULL)
        ear->previous->next = ear->next;
    else
        ear->client->ears = ear->next;
    if (ear->next != NULL)
        ear->next->previous = ear->previous;
    ear->deaf = true;
    (void)redis_enqueue(ear->client->store->redis, job_of(JOB_UNLISTEN, ear));
    release(ear); // the loop's
}

// ------------------------------------------------------------------ the thread

static void send_subscribe(struct redis *r, const char *word, struct slice channel) {
    if (r->ear != NULL && redis_node_is_open(r->ear))
        REDIS_SEND(r->ear, COMMAND_SUBSCRIBE, NULL, slice_of(word), channel);
}

void redis_ear_add(struct redis *r, struct store_ear *ear) {
    struct slice name = slice_of(ear->channel);
    struct redis_channel *channel = table_get(r->channels, name);
    redis_ear_open(r);
    if (channel == NULL) {
        channel = base_calloc(1, sizeof *channel);
        channel->name = slice_dup(name);
        table_put(r->channels, name, channel);
        send_subscribe(r, "SUBSCRIBE", name);
    }
    ear->next_on_channel = channel->ears;
    channel->ears = ear;
}

static void free_channel(struct redis_channel *channel) {
    for (struct store_ear *e = channel->ears, *next; e != NULL; e = next) {
        next = e->next_on_channel;
        release(e); // the thread's
    }
    free(channel->name);
    free(channel);
}

void redis_ear_remove(struct redis *r, struct store_ear *ear) {
    struct slice name = slice_of(ear->channel);
    struct redis_channel *channel = table_get(r->channels, name);
    struct store_ear **at = &channel->ears;
    while (*at != ear)
        at = &(*at)->next_on_channel;
    *at = ear->next_on_channel;
    if (channel->ears == NULL) {
        send_subscribe(r, "UNSUBSCRIBE", name);
        table_remove(r->channels, name);
        free_channel(channel);
    }
    release(ear); // the thread's
}

static void deliver(struct store_ear *ear, struct slice message) {
    if (atomic_fetch_add_explicit(&ear->waiting, 1, memory_order_relaxed) >= WAITING_MAX) {
        atomic_fetch_sub_explicit(&ear->waiting, 1, memory_order_relaxed);
        return;
    }
    struct heard *h = base_alloc(sizeof *h + message.len + 1);
    *h = (struct heard){.mail.run = on_heard, .ear = ear};
    char *bytes = (char *)(h + 1);
    if (message.len > 0)
        memcpy(bytes, message.ptr, message.len);
    bytes[message.len] = '\0';
    h->bytes = slice_make(bytes, message.len);
    atomic_fetch_add(&ear->references, 1);
    mailbox_post(ear->client->mailbox, &h->mail);
}

// ["message", CHANNEL, MESSAGE]
static bool pushed(struct redis_node *n, const struct redis_reply *reply) {
    const struct redis_reply *channel = reply->count == 3 ? reply->elements[1] : NULL;
    const struct redis_reply *message = reply->count == 3 ? reply->elements[2] : NULL;
    if (channel == NULL || message == NULL || channel->kind != REDIS_REPLY_IS_BYTES)
        return true;
    if (redis_track_heard(n->redis, redis_reply_slice(channel), message))
        return true;
    struct redis_channel *c = table_get(n->redis->channels, redis_reply_slice(channel));
    if (c == NULL || message->kind != REDIS_REPLY_IS_BYTES)
        return true;
    for (struct store_ear *e = c->ears; e != NULL; e = e->next_on_channel)
        deliver(e, redis_reply_slice(message));
    return true;
}

void redis_say(struct redis *r, struct job *j) {
    struct redis_node *n = redis_route_of(r, j->key);
    if (n != NULL && redis_node_takes(n, j))
        redis_take_job(REDIS_SEND(n, COMMAND_SAY, NULL, SLICE("PUBLISH"), j->key, j->value), j);
    else
        redis_job_refuse(r, j);
}

// ------------------------------------------------------------- the connection

static void greet(struct redis_node *n) {
    redis_send_greeting(n);
    // Of one that listens already it cannot be asked.
    REDIS_SEND(n, COMMAND_NUMBER, NULL, SLICE("CLIENT"), SLICE("ID"));
    REDIS_SEND(n, COMMAND_GREETED, NULL, SLICE("PING"));
}

static void on_ready(struct redis_node *n) {
    size_t cursor = 0;
    struct slice name;
    void *channel;
    while (table_next(n->redis->channels, &cursor, &name, &channel))
        send_subscribe(n->redis, "SUBSCRIBE", name);
    redis_track_listen(n->redis);
}

// When Redis is away the other connection says so.
static void on_failing(struct redis_node *n, enum redis_trouble trouble, const char *why) {
    struct error text;
    if (redis_state_of(n->redis) != REDIS_READY)
        return;
    error_set(&text, "the connection that listens: %s", why);
    redis_complain(n->redis, trouble, slice_of(text.text));
}

static void on_gone(struct redis_node *n) {
    n->redis->ear_number = 0;
    n->redis->hears_changes = n->redis->is_tracking = false;
}

static void take_answer(struct redis_node *n, const struct redis_command *c,
                        const struct redis_reply *reply) {
    if (c->kind == COMMAND_NUMBER && reply->kind == REDIS_REPLY_IS_NUMBER)
        n->redis->ear_number = reply->number;
    if (c->kind == COMMAND_CHANGES) {
        n->redis->hears_changes = true;
        redis_track_ready(n->redis);
    }
    if (c->kind == COMMAND_GREETED)
        redis_greeted(n);
}

static bool answered(struct redis_node *n, struct redis_command *c,
                     const struct redis_reply *reply) {
    c->status = STORE_OK;
    n->has_written = n->has_written || c->kind == COMMAND_SUBSCRIBE;
    if (reply->kind != REDIS_REPLY_IS_ERROR) {
        take_answer(n, c, reply);
        return true;
    }
    struct slice error = redis_reply_slice(reply);
    struct slice text = redis_without_arguments(n->redis, error);
    enum redis_trouble trouble = redis_trouble_of(error);
    if (c->kind == COMMAND_NAME && trouble == TROUBLE_OTHER)
        return true;
    if ((c->kind == COMMAND_NUMBER || c->kind == COMMAND_CHANGES) && trouble == TROUBLE_OTHER) {
        redis_track_refused(n->redis, text);
        return true;
    }
    if (c->kind == COMMAND_SUBSCRIBE && !redis_trouble_ends_connection(trouble)) {
        redis_complain(n->redis, trouble, text); // no permission, as a rule
        return true;
    }
    return redis_lost_for(n, c->kind == COMMAND_GREETING ? TROUBLE_AUTH : trouble, error);
}

static const struct redis_node_events events = {
    .greet = greet,
    .ready = on_ready,
    .failing = on_failing,
    .gone = on_gone,
    .answered = answered,
    .pushed = pushed,
};

static bool is_same(const char *a, const char *b) {
    return slice_equal(slice_of(a), slice_of(b));
}

static void forget_node(struct redis *r) {
    if (r->ear != NULL)
        redis_fail_all(r->ear);
    redis_node_free(r->ear);
    r->ear = NULL;
    r->ear_number = 0;
    r->hears_changes = r->is_tracking = false;
    free(r->ear_host);
    r->ear_host = NULL;
}

// It goes where commands go. Any server of a cluster will do, for messages reach
// all of them.
void redis_ear_follow(struct redis *r, const struct redis_node *n) {
    if (!r->is_listening)
        return;
    if (r->ear != NULL) {
        const struct store_redis_options *o = &r->ear->options;
        bool is_there = is_same(o->host, n->options.host) && o->port == n->options.port;
        if (is_there || (o->kind == STORE_REDIS_CLUSTER && redis_node_is_open(r->ear)))
            return;
    }
    struct store_redis_options options = n->options;
    forget_node(r);
    if (options.host != NULL) // the node's may go before
        options.host = r->ear_host = slice_dup(slice_of(options.host));
    r->ear = redis_node_new(r, &options, &events);
    r->ear->is_anywhere = options.kind == STORE_REDIS_CLUSTER; // where one is gone, at another
    r->ear->max_elements = ELEMENTS_MAX;
    redis_node_start(r->ear);
}

void redis_ear_open(struct redis *r) {
    if (r->is_listening)
        return;
    r->is_listening = true;
    for (struct redis_node *n = r->nodes; n != NULL; n = n->next)
        if (redis_node_is_open(n))
            redis_ear_follow(r, n);
}

// A connection that only listens does not notice by itself that it is dead.
void redis_ear_beat(struct redis *r) {
    if (r->ear != NULL && redis_node_is_open(r->ear) && redis_node_is_alive(r->ear))
        REDIS_SEND(r->ear, COMMAND_PING, NULL, SLICE("PING"));
}

void redis_ear_close(struct redis *r) {
    size_t cursor = 0;
    struct slice name;
    void *channel;
    forget_node(r);
    if (r->channels == NULL)
        return;
    while (table_next(r->channels, &cursor, &name, &channel))
        free_channel(channel);
    table_free(r->channels);
}
