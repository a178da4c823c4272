// What is asked of a server, and what is made of its answers.
#include <stdio.h>
#include <stdlib.h>

#include "redis.h"
#include "redis_answer.h"

// ------------------------------------------------------------------ sending

void redis_send_greeting(struct redis_node *n) {
    const struct store_redis_options *o = &n->options;
    char database[16];
    int len = snprintf(database, sizeof database, "%u", o->database);
    if (o->password != NULL && o->user != NULL)
        REDIS_SEND(n, COMMAND_GREETING, NULL, SLICE("AUTH"), slice_of(o->user),
                   slice_of(o->password));
    else if (o->password != NULL)
        REDIS_SEND(n, COMMAND_GREETING, NULL, SLICE("AUTH"), slice_of(o->password));
    if (o->database != 0)
        REDIS_SEND(n, COMMAND_GREETING, NULL, SLICE("SELECT"), slice_make(database, (size_t)len));
    REDIS_SEND(n, COMMAND_NAME, NULL, SLICE("CLIENT"), SLICE("SETNAME"), SLICE("farthing"));
}

static void greet(struct redis_node *n) {
    redis_send_greeting(n);
    if (n->sentinel != NULL)
        REDIS_SEND(n, COMMAND_ROLE, NULL, SLICE("INFO"), SLICE("replication"));
    REDIS_SEND(n, COMMAND_SERVER, NULL, SLICE("INFO"), SLICE("server"));
    REDIS_SEND(n, COMMAND_GREETED, NULL, SLICE("PING"));
}

// What cannot be asked now is asked at the next beat or on the next connection.
void redis_send_generation(struct redis *r, struct redis_space *space,
                           enum redis_command_kind kind) {
    struct buffer name = {0};
    char fresh[RANDOM_ID_LEN + 1];
    redis_space_append_generation_key(space, &name);
    struct slice key = buffer_slice(&name);
    struct redis_node *n = redis_route_of(r, key);
    random_id(fresh);
    if (n == NULL || !redis_node_is_open(n)) {
        buffer_free(&name);
        return;
    }
    if (kind == COMMAND_NEW) { // the one that all had, where Redis was restarted empty
        const char *generation = space->generation[0] != '\0' ? space->generation : fresh;
        REDIS_SEND(n, kind, space, SLICE("SET"), key, slice_of(generation), SLICE("NX"));
    } else if (kind == COMMAND_PURGE) {
        REDIS_SEND(n, kind, space, SLICE("SET"), key, slice_of(space->generation));
        space->purges_sent++;
    } else { // not all of what another program may have put there
        struct redis_command *c =
            REDIS_SEND(n, kind, space, SLICE("GETRANGE"), key, SLICE("0"), SLICE("64"));
        redis_arm_deadline(n, c->sent_ns);
    }
    buffer_free(&name);
}

// GETRANGE and not GET: however large what another put there, no more is sent
// than a value of ours can have.
void redis_send_get(struct redis *r, struct redis_space *space, struct job *j) {
    struct buffer name = {0};
    char end[24];
    int len = snprintf(end, sizeof end, "%lld",
                       (long long)r->options.max_value_bytes + REDIS_VALUE_HEADER_LEN - 1);
    redis_space_append_key(space, j->key, &name);
    struct redis_node *n = redis_route_for(r, buffer_slice(&name), j);
    if (n != NULL) {
        redis_take_job(REDIS_SEND(n, COMMAND_GET, space, SLICE("GETRANGE"), buffer_slice(&name),
                                  SLICE("0"), slice_make(end, (size_t)len)),
                       j);
        redis_arm_deadline(n, j->handed_ns);
    }
    buffer_free(&name);
}

void redis_send_delete(struct redis *r, struct redis_space *space, struct job *j) {
    struct buffer name = {0};
    redis_space_append_key(space, j->key, &name);
    struct redis_node *n = redis_route_for(r, buffer_slice(&name), j);
    if (n != NULL) {
        redis_keep_replaced(r, j);
        redis_take_job(REDIS_SEND(n, COMMAND_DELETE, space, SLICE("UNLINK"), buffer_slice(&name)),
                       j);
        redis_track_removed(n, space, buffer_slice(&name));
    }
    buffer_free(&name);
}

static void send_set(struct redis_node *n, struct redis_space *space, struct job *j,
                     struct slice name, int64_t ttl_ms) {
    struct buffer stored = {0};
    char ttl[24];
    int len = snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    redis_keep_replaced(n->redis, j);
    redis_value_encode(n->redis->codec, j->value, j->expires_ms, &stored);
    const struct slice parts[] = {SLICE("SET"), name, buffer_slice(&stored), SLICE("PX"),
                                  slice_make(ttl, (size_t)len)};
    redis_take_job(redis_send(n, COMMAND_PUT, space, parts, j->expires_ms != 0 ? 5 : 3), j);
    redis_track_written(n, space, name);
    buffer_free(&stored);
}

// The time to live is told as a span, so that Redis's clock need not be ours.
// What cannot be kept takes what it was to replace with it.
void redis_send_put(struct redis *r, struct redis_space *space, struct job *j) {
    const int64_t longest_ms = INT64_C(3650) * 24 * 3600 * 1000;
    int64_t ttl_ms = j->expires_ms - clock_wall_ms();
    bool too_large = j->value.len > (size_t)r->options.max_value_bytes;
    if (too_large)
        redis_count(r, TROUBLE_TOO_LARGE);
    if (too_large || (j->expires_ms != 0 && ttl_ms <= 0)) {
        redis_send_delete(r, space, j);
        return;
    }
    struct buffer name = {0};
    redis_space_append_key(space, j->key, &name);
    struct redis_node *n = redis_route_for(r, buffer_slice(&name), j);
    if (n != NULL)
        send_set(n, space, j, buffer_slice(&name), ttl_ms < longest_ms ? ttl_ms : longest_ms);
    buffer_free(&name);
}

// ----------------------------------------------------------------- answers

// An error may repeat what was sent ("unknown command 'SET', with args beginning
// with: ..."): a part of an answer, or the password. The log gets none of it.
struct slice redis_without_arguments(const struct redis *r, struct slice text) {
    ptrdiff_t at = slice_find(text, SLICE(", with args"));
    struct slice shown = at >= 0 ? slice_make(text.ptr, (size_t)at) : text;
    const char *password = r->options.password;
    if (password != NULL && slice_find(shown, slice_of(password)) >= 0)
        return SLICE("an error that is not shown, for it has the password in it");
    return shown;
}

bool redis_lost_for(struct redis_node *n, enum redis_trouble trouble, struct slice text) {
    struct error why;
    error_set(&why, "%.*s", SLICE_ARG(redis_without_arguments(n->redis, text)));
    redis_lost(n, trouble, why.text);
    return false;
}

// False when the connection was given up for it.
static bool take_error(struct redis_node *n, const struct redis_command *c, struct slice reply) {
    struct slice error = c->kind == COMMAND_RUN ? redis_answer_error(reply) : reply;
    enum redis_trouble trouble = redis_trouble_of(error);
    struct slice text = redis_without_arguments(n->redis, error);
    struct error why;
    bool is_courtesy =
        c->kind == COMMAND_NAME || c->kind == COMMAND_SERVER || c->kind == COMMAND_ROLE;
    bool is_of_slots = trouble == TROUBLE_CLUSTER && n->redis->route != NULL;
    if (is_courtesy && trouble == TROUBLE_OTHER)
        return true;
    if (c->kind == COMMAND_CACHING && n->redis->is_tracking) // rather none than all
        REDIS_SEND(n, COMMAND_TRACKING, NULL, SLICE("CLIENT"), SLICE("TRACKING"), SLICE("OFF"));
    if ((c->kind == COMMAND_TRACKING || c->kind == COMMAND_CACHING) && trouble == TROUBLE_OTHER) {
        n->redis->is_tracking = false;
        redis_track_refused(n->redis, text);
        return true;
    }
    if ((redis_trouble_ends_connection(trouble) && !is_of_slots) || c->kind == COMMAND_GREETING ||
        c->kind == COMMAND_GREETED)
        return redis_lost_for(n, c->kind == COMMAND_GREETING ? TROUBLE_AUTH : trouble, error);
    if (c->kind == COMMAND_RUN && c->job != NULL) {
        error_set(&why, "script %s: %.*s", c->job->script->name, SLICE_ARG(text));
        text = slice_of(why.text);
    }
    redis_complain(n->redis, trouble, text);
    return true;
}

static void take_generation(struct redis *r, struct redis_command *c,
                            const struct redis_reply *reply) {
    bool is_text = reply->kind == REDIS_REPLY_IS_BYTES;
    if (is_text && reply->len > 0 && reply->len <= REDIS_GENERATION_MAX &&
        memchr(reply->bytes, '\0', reply->len) == NULL) {
        redis_space_learn(r, c->space, redis_reply_slice(reply));
    } else if (c->kind == COMMAND_GENERATION && is_text && reply->len == 0 && !c->space->purging) {
        redis_send_generation(r, c->space, COMMAND_NEW);
        redis_send_generation(r, c->space, COMMAND_GENERATION_SET);
    } else if (reply->kind != REDIS_REPLY_IS_ERROR || c->space->state == SPACE_ASKED) {
        // It can be neither read nor made; the next use asks again. A known one
        // is not forgotten for an error that is none of its own.
        redis_space_give_up(r, c->space);
    }
}

static enum store_status take_value(struct redis *r, struct redis_command *c,
                                    const struct redis_reply *reply) {
    if (c->job == NULL || (reply->kind == REDIS_REPLY_IS_BYTES && reply->len == 0))
        return STORE_MISSING;
    struct store_op *op = c->job->op;
    enum redis_value_verdict verdict = REDIS_VALUE_DAMAGED;
    if (reply->kind == REDIS_REPLY_IS_BYTES)
        verdict = redis_value_decode(r->codec, redis_reply_slice(reply),
                                     (size_t)r->options.max_value_bytes, clock_wall_ms(),
                                     &op->value, &op->expires_ms);
    if (verdict == REDIS_VALUE_DAMAGED)
        redis_complain(r, TROUBLE_DAMAGED, SLICE("a value there is damaged or another program's"));
    return verdict == REDIS_VALUE_GOOD ? STORE_OK : STORE_MISSING;
}

static enum store_status take_run(struct redis_node *n, struct redis_command *c,
                                  const struct redis_reply *reply) {
    n->has_written = true;
    if (c->job == NULL)
        return STORE_FAILED;
    if (c->job->kind == JOB_BEAT)
        redis_beat_took(n->redis, redis_reply_slice(reply), c->sent_ns);
    return c->job->op != NULL ? redis_run_value(reply, &c->job->op->value) : STORE_OK;
}

// Those that only learn something from it, be it an error.
static void learn(struct redis_node *n, struct redis_command *c, const struct redis_reply *reply) {
    bool is_error = reply->kind == REDIS_REPLY_IS_ERROR;
    if (c->kind == COMMAND_GENERATION || c->kind == COMMAND_GENERATION_SET)
        take_generation(n->redis, c, reply);
    if (c->kind == COMMAND_PURGE && !is_error && c->space->purges_sent == 1)
        c->space->purging = false;
    if (!is_error && (c->kind == COMMAND_PUT || c->kind == COMMAND_DELETE))
        n->has_written = true;
    if (c->kind == COMMAND_TRACKING)
        n->redis->is_tracking = !is_error;
    if (c->kind == COMMAND_CHECK)
        redis_track_checked(n->redis, c, reply);
    if (c->kind == COMMAND_SERVER)
        redis_take_server(n, is_error ? SLICE_NONE : redis_reply_slice(reply));
    if (c->kind == COMMAND_GREETED)
        redis_greeted(n);
}

static bool answered(struct redis_node *n, struct redis_command *c,
                     const struct redis_reply *reply) {
    c->status = STORE_OK;
    if (reply->kind == REDIS_REPLY_IS_ERROR) {
        struct slice error = redis_reply_slice(reply);
        c->status = STORE_FAILED;
        if (redis_run_again(n, c, error) || redis_route_again(n, c, error))
            return true;
        if (!take_error(n, c, error)) {
            redis_keep_written(n, c);
            return false;
        }
    } else if (c->kind == COMMAND_GET) {
        c->status = take_value(n->redis, c, reply);
    } else if (c->kind == COMMAND_RUN) {
        c->status = take_run(n, c, reply);
    } else if (c->kind == COMMAND_ROLE && !redis_node_take_role(n, redis_reply_slice(reply))) {
        return false;
    }
    learn(n, c, reply);
    return true;
}

// ------------------------------------------------------------- the connection

static void on_ready(struct redis_node *n) {
    struct redis *r = n->redis;
    redis_beat_send(r);
    redis_spaces_ask(r);
    redis_ear_follow(r, n);
    redis_track_ready(r);
    redis_route_settled(r);
}

static void on_failing(struct redis_node *n, enum redis_trouble trouble, const char *why) {
    struct error said;
    redis_route_explain(n, why, &said);
    redis_report_down(n->redis, trouble, said.text);
}

static void on_gone(struct redis_node *n) {
    n->redis->is_tracking = false; // that was the connection's
    redis_spaces_forget(n->redis, n);
    redis_route_gone(n->redis);
}

static void on_late(struct redis_node *n, const char *why) {
    struct error said;
    redis_route_explain(n, why, &said);
    redis_report_down(n->redis, TROUBLE_TIMEOUT, said.text);
    redis_route_refresh(n->redis);
}

static void on_caught_up(struct redis_node *n) {
    redis_route_settled(n->redis);
}

const struct redis_node_events redis_command_events = {
    .greet = greet,
    .ready = on_ready,
    .failing = on_failing,
    .gone = on_gone,
    .late = on_late,
    .caught_up = on_caught_up,
    .answered = answered,
};
