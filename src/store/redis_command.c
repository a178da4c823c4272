// The pipeline: commands out, and their answers, which come in the same order.
//
// A read is given up when it is late, but its answer is still waited for, since
// what follows comes behind it. While one is due, no other read is begun: it
// would be late too, and each request would wait its time for nothing.
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "redis.h"

enum { ARGUMENTS_MAX = 6 };

struct arguments {
    struct slice at[ARGUMENTS_MAX];
    unsigned count;
};

#define ARGUMENTS(...)                                                                             \
    (struct arguments) {                                                                           \
        {__VA_ARGS__}, sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice)                \
    }

// ---------------------------------------------------------------- deadlines

// The timer is for the oldest: those that come later are looked at when it rings.
void redis_arm_deadline(struct redis *r, uint64_t since_ns) {
    if (event_pending(r->deadline, EV_TIMEOUT, NULL))
        return;
    int64_t left_us =
        r->options.command_timeout_ms * 1000 - (int64_t)((clock_mono_ns() - since_ns) / 1000);
    if (left_us < 1000)
        left_us = 1000;
    struct timeval pause = {left_us / 1000000, left_us % 1000000};
    event_add(r->deadline, &pause);
}

// Reads, and the questions for generations, which so are a look each second
// whether Redis is well: a request need not be the first to find out.
static bool has_deadline(const struct redis_command *c) {
    return !c->late && ((c->kind == COMMAND_GET && c->job != NULL) ||
                        c->kind == COMMAND_GENERATION || c->kind == COMMAND_GENERATION_SET);
}

static uint64_t due_since(const struct redis_command *c) {
    return c->job != NULL ? c->job->handed_ns : c->sent_ns;
}

static void give_up(struct redis *r, struct redis_command *c) {
    redis_count(r, TROUBLE_TIMEOUT);
    c->late = true;
    r->late++;
    if (c->job != NULL)
        redis_job_answer(c->job, STORE_FAILED);
    c->job = NULL;
}

static void give_up_waiting(struct redis *r, uint64_t now, uint64_t timeout_ns) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next) {
        if (s->waiting_first == NULL)
            continue;
        if (now - s->waiting_first->handed_ns >= timeout_ns)
            redis_space_give_up(r, s);
        else
            redis_arm_deadline(r, s->waiting_first->handed_ns);
    }
}

// Reads that wait longer than they may fail now. The oldest stands first; only
// by the few microseconds between threads it may not.
void redis_check_deadlines(struct redis *r) {
    uint64_t now = clock_mono_ns();
    uint64_t timeout_ns = (uint64_t)r->options.command_timeout_ms * 1000000u;
    for (struct redis_command *c = r->first; c != NULL; c = c->next) {
        if (!has_deadline(c))
            continue;
        if (now - due_since(c) < timeout_ns) {
            redis_arm_deadline(r, due_since(c));
            break;
        }
        give_up(r, c);
    }
    give_up_waiting(r, now, timeout_ns);
    if (r->late > 0 && redis_state_of(r) == REDIS_READY) {
        struct error why;
        error_set(&why, "no answer within %lld ms", (long long)r->options.command_timeout_ms);
        redis_enter(r, REDIS_LATE);
        redis_report_down(r, TROUBLE_TIMEOUT, why.text);
    }
}

// ------------------------------------------------------------------ sending

static struct redis_command *append(struct redis *r, enum redis_command_kind kind,
                                    struct redis_space *space) {
    struct redis_command *c = base_calloc(1, sizeof *c);
    c->kind = kind;
    c->space = space;
    c->sent_ns = clock_mono_ns();
    if (r->first == NULL) {
        r->first = c;
        r->last_bytes_ns = c->sent_ns; // nothing was due until now
    } else {
        r->last->next = c;
    }
    r->last = c;
    return c;
}

static struct redis_command *send_command(struct redis *r, enum redis_command_kind kind,
                                          struct redis_space *space, struct arguments a) {
    const char *texts[ARGUMENTS_MAX];
    size_t lengths[ARGUMENTS_MAX];
    char *bytes = NULL;
    for (unsigned i = 0; i < a.count; i++) {
        texts[i] = a.at[i].ptr != NULL ? a.at[i].ptr : "";
        lengths[i] = a.at[i].len;
    }
    long long len = redisFormatCommandArgv(&bytes, (int)a.count, texts, lengths);
    if (len < 0)
        abort(); // out of memory, as base_alloc does
    redis_link_send(r->link, bytes, (size_t)len);
    return append(r, kind, space);
}

void redis_send_greeting(struct redis *r) {
    const struct store_redis_options *o = &r->options;
    char database[16];
    int len = snprintf(database, sizeof database, "%u", o->database);
    if (o->password != NULL && o->user != NULL)
        send_command(r, COMMAND_GREETING, NULL,
                     ARGUMENTS(SLICE("AUTH"), slice_of(o->user), slice_of(o->password)));
    else if (o->password != NULL)
        send_command(r, COMMAND_GREETING, NULL, ARGUMENTS(SLICE("AUTH"), slice_of(o->password)));
    if (o->database != 0)
        send_command(r, COMMAND_GREETING, NULL,
                     ARGUMENTS(SLICE("SELECT"), slice_make(database, (size_t)len)));
    send_command(r, COMMAND_NAME, NULL,
                 ARGUMENTS(SLICE("CLIENT"), SLICE("SETNAME"), SLICE("farthing")));
    send_command(r, COMMAND_GREETED, NULL, ARGUMENTS(SLICE("PING")));
}

void redis_send_generation(struct redis *r, struct redis_space *space,
                           enum redis_command_kind kind) {
    struct buffer name = {0};
    char fresh[RANDOM_ID_LEN + 1];
    redis_space_append_generation_key(space, &name);
    struct slice key = buffer_slice(&name);
    random_id(fresh);
    if (kind == COMMAND_NEW) { // the one that all had, where Redis was restarted empty
        const char *generation = space->generation[0] != '\0' ? space->generation : fresh;
        send_command(r, kind, space,
                     ARGUMENTS(SLICE("SET"), key, slice_of(generation), SLICE("NX")));
    } else if (kind == COMMAND_PURGE) {
        send_command(r, kind, space, ARGUMENTS(SLICE("SET"), key, slice_of(space->generation)));
        space->purges_sent++;
    } else { // not all of what another program may have put there
        struct redis_command *c = send_command(
            r, kind, space, ARGUMENTS(SLICE("GETRANGE"), key, SLICE("0"), SLICE("64")));
        redis_arm_deadline(r, c->sent_ns);
    }
    buffer_free(&name);
}

// What is counted for the job is counted for its command from here on.
static void take_count(struct redis_command *c, const struct job *j) {
    c->counted = true;
    c->bytes = j->bytes;
}

// GETRANGE and not GET: however large what another put there, no more is sent
// than a value of ours can have.
void redis_send_get(struct redis *r, struct redis_space *space, struct job *j) {
    struct buffer name = {0};
    char end[24];
    int len = snprintf(end, sizeof end, "%lld",
                       (long long)r->options.max_value_bytes + REDIS_VALUE_HEADER_LEN - 1);
    redis_space_append_key(space, j->key, &name);
    struct redis_command *c = send_command(r, COMMAND_GET, space,
                                           ARGUMENTS(SLICE("GETRANGE"), buffer_slice(&name),
                                                     SLICE("0"), slice_make(end, (size_t)len)));
    buffer_free(&name);
    c->job = j;
    take_count(c, j);
    redis_arm_deadline(r, j->handed_ns);
}

void redis_send_delete(struct redis *r, struct redis_space *space, struct job *j) {
    struct buffer name = {0};
    redis_space_append_key(space, j->key, &name);
    take_count(
        send_command(r, COMMAND_DELETE, space, ARGUMENTS(SLICE("UNLINK"), buffer_slice(&name))), j);
    buffer_free(&name);
    redis_job_answer(j, STORE_OK);
}

static void send_set(struct redis *r, struct redis_space *space, struct job *j, int64_t ttl_ms) {
    struct buffer name = {0}, stored = {0};
    char ttl[24];
    int len = snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    redis_space_append_key(space, j->key, &name);
    redis_value_encode(r->codec, j->value, j->expires_ms, &stored);
    struct arguments a = ARGUMENTS(SLICE("SET"), buffer_slice(&name), buffer_slice(&stored),
                                   SLICE("PX"), slice_make(ttl, (size_t)len));
    if (j->expires_ms == 0)
        a.count = 3;
    take_count(send_command(r, COMMAND_PUT, space, a), j);
    buffer_free(&name);
    buffer_free(&stored);
    redis_job_answer(j, STORE_OK);
}

// The time to live is told as a span, so that Redis's clock need not be ours.
// What cannot be kept takes what it was to replace with it.
void redis_send_put(struct redis *r, struct redis_space *space, struct job *j) {
    const int64_t longest_ms = INT64_C(3650) * 24 * 3600 * 1000;
    int64_t ttl_ms = j->expires_ms - clock_wall_ms();
    bool too_large = j->value.len > (size_t)r->options.max_value_bytes;
    if (too_large)
        redis_count(r, TROUBLE_TOO_LARGE);
    if (too_large || (j->expires_ms != 0 && ttl_ms <= 0))
        redis_send_delete(r, space, j);
    else
        send_set(r, space, j, ttl_ms < longest_ms ? ttl_ms : longest_ms);
}

// ----------------------------------------------------------------- ending

static struct redis_command *pop(struct redis *r) {
    struct redis_command *c = r->first;
    r->first = c->next;
    if (r->first == NULL)
        r->last = NULL;
    return c;
}

// Gone from the pipeline.
static void finish(struct redis *r, struct redis_command *c, enum store_status status) {
    if (c->late)
        r->late--;
    if (c->kind == COMMAND_PURGE)
        c->space->purges_sent--;
    if (c->counted)
        redis_uncount(r, c->bytes); // before whoever waits for it looks
    if (c->job != NULL)
        redis_job_answer(c->job, status);
    free(c);
}

static void finish_nothings(struct redis *r) {
    while (r->first != NULL && r->first->kind == COMMAND_NOTHING)
        finish(r, pop(r), STORE_OK);
}

void redis_send_nothing(struct redis *r, struct job *j) {
    struct redis_command *c = append(r, COMMAND_NOTHING, NULL);
    c->job = j;
    take_count(c, j);
    finish_nothings(r);
}

void redis_fail_all(struct redis *r) {
    while (r->first != NULL) {
        struct redis_command *c = pop(r);
        if (c->kind == COMMAND_PUT || c->kind == COMMAND_DELETE)
            redis_count_dropped(r);
        finish(r, c, STORE_FAILED);
    }
}

void redis_forget_client(struct redis *r, const struct store_client *client) {
    for (struct redis_command *c = r->first; c != NULL; c = c->next)
        if (c->kind == COMMAND_GET && c->job != NULL && c->job->op->client == client) {
            redis_job_answer(c->job, STORE_FAILED);
            c->job = NULL;
        }
    redis_spaces_forget_client(r, client);
}

// ----------------------------------------------------------------- answers

// An error may repeat what was sent ("unknown command 'SET', with args beginning
// with: ..."): a part of an answer, or the password. The log gets none of it.
static struct slice without_arguments(const struct redis *r, struct slice text) {
    ptrdiff_t at = slice_find(text, SLICE(", with args"));
    struct slice shown = at >= 0 ? slice_make(text.ptr, (size_t)at) : text;
    const char *password = r->options.password;
    if (password != NULL && slice_find(shown, slice_of(password)) >= 0)
        return SLICE("an error that is not shown, for it has the password in it");
    return shown;
}

// False when the connection was given up for it.
static bool take_error(struct redis *r, const struct redis_command *c, struct slice reply) {
    enum redis_trouble trouble = redis_trouble_of(reply);
    struct slice text = without_arguments(r, reply);
    if (c->kind == COMMAND_NAME && trouble == TROUBLE_OTHER) // a name is a courtesy
        return true;
    if (redis_trouble_ends_connection(trouble) || c->kind == COMMAND_GREETING ||
        c->kind == COMMAND_GREETED) {
        struct error why;
        error_set(&why, "%.*s", SLICE_ARG(text));
        redis_lost(r, c->kind == COMMAND_GREETING ? TROUBLE_AUTH : trouble, why.text);
        return false;
    }
    redis_complain(r, trouble, text);
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

// False when the connection was given up for it.
static bool take_reply(struct redis *r, struct redis_command *c, const struct redis_reply *reply) {
    enum store_status status = STORE_OK;
    bool is_error = reply->kind == REDIS_REPLY_IS_ERROR;
    bool going_on = !is_error || take_error(r, c, redis_reply_slice(reply));
    if (is_error)
        status = STORE_FAILED;
    if (going_on && c->kind == COMMAND_GET && !is_error)
        status = take_value(r, c, reply);
    if (going_on && (c->kind == COMMAND_GENERATION || c->kind == COMMAND_GENERATION_SET))
        take_generation(r, c, reply);
    if (going_on && c->kind == COMMAND_PURGE && !is_error && c->space->purges_sent == 1)
        c->space->purging = false;
    if (going_on && !is_error && (c->kind == COMMAND_PUT || c->kind == COMMAND_DELETE))
        r->has_written = true;
    if (going_on && c->kind == COMMAND_GREETED)
        redis_greeted(r);
    redis_observe(c->kind, clock_mono_ns() - c->sent_ns);
    finish(r, c, status);
    return going_on;
}

// False when there is nothing more to take: no whole reply, or no connection.
static bool take_next(struct redis *r) {
    struct redis_reply *reply;
    struct error err;
    if (!redis_reader_next(r->reader, &reply, &err)) {
        redis_lost(r, TROUBLE_PROTOCOL, err.text);
        return false;
    }
    if (reply == NULL)
        return false;
    bool going_on = r->first != NULL;
    if (going_on)
        going_on = take_reply(r, pop(r), reply);
    else
        redis_lost(r, TROUBLE_PROTOCOL, "it answered what was not asked");
    free(reply);
    finish_nothings(r);
    return going_on;
}

void redis_got(struct redis *r, struct slice bytes) {
    struct error err;
    r->last_bytes_ns = clock_mono_ns();
    if (!redis_reader_feed(r->reader, bytes, &err)) {
        redis_lost(r, TROUBLE_PROTOCOL, err.text);
        return;
    }
    while (take_next(r))
        ;
    if (redis_state_of(r) == REDIS_LATE && r->late == 0) {
        redis_enter(r, REDIS_READY);
        redis_report_up(r);
    }
}
