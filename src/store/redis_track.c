// What others change of the values that this instance has read or written, so
// that whoever keeps them in memory hears of it. Redis remembers which keys a
// connection has read (CLIENT TRACKING) and tells the one that listens when one
// changes; where it does not do so (an ACL, an old proxy, a cluster), what is in
// memory lasts as long as its time to live says.
#include <stdio.h>
#include <stdlib.h>

#include "redis.h"

// Redis's own channel, and ours for what was removed on purpose.
static const char changes[] = "__redis__:invalidate";
static const char removals[] = REDIS_PREFIX "removed";

void redis_track_space(struct redis *r, struct redis_space *space) {
    space->is_tracked = true;
    if (r->is_tracking_wanted)
        return;
    r->is_tracking_wanted = true;
    redis_ear_open(r);
    if (r->ear != NULL && redis_node_is_open(r->ear))
        redis_track_listen(r);
}

// ----------------------------------------------------------------- beginning

// The connection that listens is ready: it is asked for its number, and told
// what to listen to; when it does, the other one may name it to Redis.
void redis_track_listen(struct redis *r) {
    if (!r->is_tracking_wanted)
        return;
    REDIS_SEND(r->ear, COMMAND_SUBSCRIBE, NULL, SLICE("SUBSCRIBE"), SLICE(removals));
    if (r->ear_number > 0)
        REDIS_SEND(r->ear, COMMAND_CHANGES, NULL, SLICE("SUBSCRIBE"), SLICE(changes));
}

void redis_track_ready(struct redis *r) {
    struct redis_node *n = r->nodes;
    char number[24];
    bool is_cluster = r->options.kind == STORE_REDIS_CLUSTER; // keys are on many servers
    if (!r->hears_changes || is_cluster || n == NULL || !redis_node_is_open(n))
        return;
    int len = snprintf(number, sizeof number, "%lld", (long long)r->ear_number);
    REDIS_SEND(n, COMMAND_TRACKING, NULL, SLICE("CLIENT"), SLICE("TRACKING"), SLICE("ON"),
               SLICE("REDIRECT"), slice_make(number, (size_t)len), SLICE("OPTOUT"),
               SLICE("NOLOOP"));
}

// Else each instance would hear of all that scripts of others write where its own
// have read: of each reservation and each place.
void redis_track_not(struct redis_node *n) {
    if (n->redis->is_tracking)
        REDIS_SEND(n, COMMAND_CACHING, NULL, SLICE("CLIENT"), SLICE("CACHING"), SLICE("NO"));
}

void redis_track_refused(struct redis *r, struct slice why) {
    if (!r->said_untracked && r->is_tracking_wanted)
        log_write(LOG_INFO,
                  "store: %s does not tell what changes there (%.*s): what is in memory is "
                  "renewed as it expires",
                  r->where.ptr, SLICE_ARG(why));
    r->said_untracked = r->is_tracking_wanted;
}

// ------------------------------------------------------------------- changes

// The key of a value that counts now, within its space.
static struct redis_space *space_of_key(struct redis *r, struct slice name,
                                        uint8_t digest[DIGEST_LEN], struct slice *key) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next)
        if (s->is_tracked && redis_space_read_key(s, name, digest, key))
            return s;
    return NULL;
}

static struct job *check_new(const struct redis_space *space, struct slice key) {
    struct job *j = base_alloc(sizeof *j + key.len);
    *j = (struct job){.kind = JOB_CHECK, .space = space->name, .handed_ns = clock_mono_ns()};
    char *bytes = (char *)(j + 1);
    memcpy(bytes, key.ptr, key.len);
    j->key = slice_make(bytes, key.len);
    return j;
}

// A server that is full drops what it has not seen used for long, which is just
// what is used from memory here all the time: only what is there, and so is
// another value, is a change.
static void take_change(struct redis *r, struct slice name) {
    uint8_t digest[DIGEST_LEN];
    struct slice key;
    struct redis_space *space = space_of_key(r, name, digest, &key);
    struct redis_node *n = redis_route_of(r, name);
    if (space == NULL || n == NULL || !redis_node_is_open(n))
        return;
    struct redis_command *c =
        REDIS_SEND(n, COMMAND_CHECK, space, SLICE("GETRANGE"), name, SLICE("0"), SLICE("0"));
    redis_take_job(c, check_new(space, key));
}

void redis_track_checked(struct redis *r, const struct redis_command *c,
                         const struct redis_reply *reply) {
    if (c->job != NULL && reply->kind == REDIS_REPLY_IS_BYTES && reply->len > 0)
        r->watcher.changed(r->watcher.arg, c->space->name, c->job->key);
}

bool redis_track_heard(struct redis *r, struct slice channel, const struct redis_reply *message) {
    uint8_t digest[DIGEST_LEN];
    struct slice key;
    if (slice_equal(channel, SLICE(removals)) && message->kind == REDIS_REPLY_IS_BYTES) {
        struct redis_space *space = space_of_key(r, redis_reply_slice(message), digest, &key);
        if (space != NULL)
            r->watcher.changed(r->watcher.arg, space->name, key);
        return true;
    }
    if (!slice_equal(channel, SLICE(changes)))
        return false;
    // Nil: all was flushed, which is no purge (docs/redis.md).
    for (size_t i = 0; message->kind == REDIS_REPLY_IS_ARRAY && i < message->count; i++)
        if (message->elements[i]->kind == REDIS_REPLY_IS_BYTES)
            take_change(r, redis_reply_slice(message->elements[i]));
    return true;
}

// --------------------------------------------------------- what is written here

// Redis remembers what was read, not what was written.
void redis_track_written(struct redis_node *n, const struct redis_space *space, struct slice name) {
    if (space->is_tracked && n->redis->is_tracking)
        REDIS_SEND(n, COMMAND_TRACK, NULL, SLICE("GETRANGE"), name, SLICE("0"), SLICE("0"));
}

void redis_track_removed(struct redis_node *n, const struct redis_space *space, struct slice name) {
    if (space->is_tracked)
        REDIS_SEND(n, COMMAND_TRACK, NULL, SLICE("PUBLISH"), SLICE(removals), name);
}
