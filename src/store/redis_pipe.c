// The pipeline of a connection: commands out, and their answers, which come in
// the same order.
//
// A read is given up when it is late, but its answer is still waited for, since
// what follows comes behind it. While one is due, no other read is begun: it
// would be late too, and each request would wait its time for nothing.
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "redis.h"

enum { PARTS_MAX = 3 + STORE_RUN_KEYS_MAX + STORE_RUN_ARGUMENTS_MAX };

// ---------------------------------------------------------------- deadlines

static uint64_t timeout_ns(const struct redis_node *n) {
    return (uint64_t)n->options.command_timeout_ms * 1000000u;
}

// It never rings later than command_timeout from now: those that come meanwhile are
// looked at then.
static void arm(struct redis_node *n, uint64_t left_ns) {
    uint64_t most_ns = timeout_ns(n);
    uint64_t left_us = (left_ns < most_ns ? left_ns : most_ns) / 1000;
    if (event_pending(n->deadline, EV_TIMEOUT, NULL))
        return;
    if (left_us < 1000)
        left_us = 1000;
    struct timeval pause = {(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};
    event_add(n->deadline, &pause);
}

void redis_arm_deadline(struct redis_node *n, uint64_t since_ns) {
    uint64_t waited_ns = clock_mono_ns() - since_ns, most_ns = timeout_ns(n);
    arm(n, waited_ns < most_ns ? most_ns - waited_ns : 0);
}

// What somebody waits for, and what is asked each second, which so is a look
// whether Redis is well: a request need not be the first to find out.
bool redis_has_deadline(const struct redis_command *c) {
    bool is_waited_for = c->job != NULL && (c->job->op != NULL || c->job->kind == JOB_BEAT);
    return !c->late && (is_waited_for || c->kind == COMMAND_GENERATION ||
                        c->kind == COMMAND_GENERATION_SET || c->kind == COMMAND_LOOK);
}

static uint64_t due_since(const struct redis_command *c) {
    return c->job != NULL ? c->job->handed_ns : c->sent_ns;
}

static void give_up(struct redis_node *n, struct redis_command *c) {
    redis_count(n->redis, TROUBLE_TIMEOUT);
    c->late = true;
    n->late++;
    if (c->job != NULL)
        redis_job_answer(c->job, STORE_FAILED);
    c->job = NULL;
}

static uint64_t patience_ns(const struct redis_node *n, const struct redis_command *c) {
    uint64_t said_ns = c->job != NULL ? (uint64_t)c->job->patience_ms * 1000000u : 0;
    return said_ns > timeout_ns(n) ? said_ns : timeout_ns(n);
}

// What is waited for longer than it may be fails now.
void redis_check_deadlines(struct redis_node *n) {
    uint64_t now = clock_mono_ns(), least_ns = UINT64_MAX;
    for (struct redis_command *c = n->first; c != NULL; c = c->next) {
        if (!redis_has_deadline(c))
            continue;
        uint64_t waited_ns = now - due_since(c), may_ns = patience_ns(n, c);
        if (waited_ns >= may_ns)
            give_up(n, c);
        else if (may_ns - waited_ns < least_ns)
            least_ns = may_ns - waited_ns;
    }
    if (least_ns != UINT64_MAX)
        arm(n, least_ns);
    redis_spaces_check_deadlines(n->redis, now, timeout_ns(n));
    if (n->late > 0 && n->state == REDIS_READY) {
        struct error why;
        error_set(&why, "no answer within %lld ms", (long long)n->options.command_timeout_ms);
        redis_enter(n, REDIS_LATE);
        if (n->events->late != NULL)
            n->events->late(n, why.text);
    }
}

// ------------------------------------------------------------------ sending

static struct redis_command *append(struct redis_node *n, enum redis_command_kind kind,
                                    struct redis_space *space) {
    struct redis_command *c = base_calloc(1, sizeof *c);
    c->kind = kind;
    c->space = space;
    c->sent_ns = clock_mono_ns();
    if (n->first == NULL) {
        n->first = c;
        n->last_bytes_ns = c->sent_ns; // nothing was due until now
    } else {
        n->last->next = c;
    }
    n->last = c;
    n->appended++;
    return c;
}

struct redis_command *redis_send(struct redis_node *n, enum redis_command_kind kind,
                                 struct redis_space *space, const struct slice *parts,
                                 size_t count) {
    const char *texts[PARTS_MAX];
    size_t lengths[PARTS_MAX];
    char *bytes = NULL;
    for (size_t i = 0; i < count; i++) {
        texts[i] = parts[i].ptr != NULL ? parts[i].ptr : "";
        lengths[i] = parts[i].len;
    }
    long long len = redisFormatCommandArgv(&bytes, (int)count, texts, lengths);
    if (len < 0)
        abort(); // out of memory, as base_alloc does
    redis_link_send(n->link, bytes, (size_t)len);
    return append(n, kind, space);
}

void redis_take_job(struct redis_command *c, struct job *j) {
    c->job = j;
    c->counted = j->kind != JOB_BEAT && j->kind != JOB_CHECK; // which nobody handed over
    c->bytes = j->bytes;
}

// ----------------------------------------------------------------- ending

static struct redis_command *pop(struct redis_node *n) {
    struct redis_command *c = n->first;
    n->first = c->next;
    if (n->first == NULL)
        n->last = NULL;
    n->popped++;
    return c;
}

// Gone from the pipeline.
static void finish(struct redis_node *n, struct redis_command *c, enum store_status status) {
    if (c->late)
        n->late--;
    if (c->kind == COMMAND_PURGE)
        c->space->purges_sent--;
    struct redis_node *next = c->kind == COMMAND_NOTHING ? redis_route_after(n, c->job) : NULL;
    if (next != NULL) { // all before it, on each
        redis_send_nothing(next, c->job);
        free(c);
        return;
    }
    if (c->counted)
        redis_uncount(n->redis, c->bytes); // before whoever waits for it looks
    if (c->job != NULL)
        redis_job_answer(c->job, status);
    free(c);
}

static void finish_nothings(struct redis_node *n) {
    while (n->first != NULL && n->first->kind == COMMAND_NOTHING)
        finish(n, pop(n), STORE_OK);
}

void redis_send_nothing(struct redis_node *n, struct job *j) {
    redis_take_job(append(n, COMMAND_NOTHING, NULL), j);
    finish_nothings(n);
}

void redis_nothings_to_end(struct redis_node *n) {
    struct redis_command *nothings = NULL, **end = &nothings;
    n->last = NULL;
    for (struct redis_command **at = &n->first; *at != NULL;) {
        struct redis_command *c = *at;
        if (c->kind != COMMAND_NOTHING) {
            n->last = c;
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->next = NULL;
        *end = c;
        end = &c->next;
    }
    for (struct redis_command *c = nothings; c != NULL; c = c->next) {
        if (n->last == NULL)
            n->first = c;
        else
            n->last->next = c;
        n->last = c;
    }
}

void redis_keep_written(struct redis_node *n, struct redis_command *c) {
    if (c->job == NULL || (c->kind != COMMAND_PUT && c->kind != COMMAND_DELETE))
        return;
    redis_job_refuse(n->redis, c->job);
    c->job = NULL;
    c->counted = false;
}

void redis_fail_all(struct redis_node *n) {
    while (n->first != NULL) {
        struct redis_command *c = pop(n);
        redis_keep_written(n, c);
        finish(n, c, STORE_FAILED);
    }
}

void redis_node_forget_client(struct redis_node *n, const struct store_client *client) {
    for (struct redis_command *c = n->first; c != NULL; c = c->next)
        if (c->job != NULL && c->job->op != NULL && c->job->op->client == client) {
            redis_job_answer(c->job, STORE_FAILED);
            c->job = NULL;
        }
}

// ----------------------------------------------------------------- answers

static bool take_answer(struct redis_node *n, const struct redis_reply *reply) {
    struct redis_command *c = pop(n);
    bool going_on = n->events->answered(n, c, reply);
    redis_observe(c->kind, clock_mono_ns() - c->sent_ns);
    finish(n, c, c->status);
    return going_on;
}

// To one that listens all that comes is an array, the answers to what it asks, too.
static bool is_message(const struct redis_reply *reply) {
    return reply->kind == REDIS_REPLY_IS_ARRAY && reply->count > 0 &&
           slice_equal(redis_reply_slice(reply->elements[0]), SLICE("message"));
}

// False when there is nothing more to take: no whole reply, or no connection.
static bool take_next(struct redis_node *n) {
    struct redis_reply *reply;
    struct error err;
    if (!redis_reader_next(n->reader, &reply, &err)) {
        redis_lost(n, TROUBLE_PROTOCOL, err.text);
        return false;
    }
    if (reply == NULL)
        return false;
    bool going_on;
    if (n->events->pushed != NULL && is_message(reply)) {
        going_on = n->events->pushed(n, reply);
    } else if (n->first != NULL) {
        going_on = take_answer(n, reply);
    } else {
        redis_lost(n, TROUBLE_PROTOCOL, "it answered what was not asked");
        going_on = false;
    }
    redis_reply_free(reply);
    finish_nothings(n);
    return going_on;
}

void redis_got(struct redis_node *n, struct slice bytes) {
    struct error err;
    n->last_bytes_ns = clock_mono_ns();
    if (!redis_reader_feed(n->reader, bytes, &err)) {
        redis_lost(n, TROUBLE_PROTOCOL, err.text);
        return;
    }
    while (take_next(n))
        ;
    if (n->state == REDIS_LATE && n->late == 0) {
        redis_enter(n, REDIS_READY);
        if (n->events->caught_up != NULL)
            n->events->caught_up(n);
    }
}
