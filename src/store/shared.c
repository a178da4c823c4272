// What instances do together, as the rooms see it: scripts, the clock and who
// else is there. The Redis behind it does the work.
#include <stdio.h>
#include <stdlib.h>

#include "redis.h"

bool store_is_shared(const struct store *s) {
    return s != NULL && s->redis != NULL;
}

bool store_is_up(const struct store *s) {
    return redis_state_of(s->redis) == REDIS_READY;
}

bool store_is_connected(const struct store *s) {
    enum redis_state state = redis_state_of(s->redis);
    return state == REDIS_READY || state == REDIS_LATE;
}

struct slice store_instance(const struct store *s) {
    return slice_make(s->redis->instance, RANDOM_ID_LEN);
}

unsigned store_instances(const struct store *s) {
    return atomic_load_explicit(&s->redis->instances, memory_order_relaxed);
}

int64_t store_now_ms(const struct store *s) {
    return redis_now_ms(s->redis);
}

uint64_t store_epoch(const struct store *s) {
    return atomic_load_explicit(&s->redis->epoch, memory_order_relaxed);
}

// ------------------------------------------------------------------ scripts

static char *append(char *at, struct slice s) {
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

// Keys with their prefix, then arguments, all behind the job.
static struct job *run_job_new(const struct store_call *call) {
    static const char prefix[] = REDIS_PREFIX;
    size_t count = call->key_count + call->arg_count, bytes = 0;
    for (size_t i = 0; i < call->key_count; i++)
        bytes += strlen(prefix) + call->keys[i].len;
    for (size_t i = 0; i < call->arg_count; i++)
        bytes += call->args[i].len;
    struct job *j = base_alloc(sizeof *j + count * sizeof *j->parts + bytes);
    *j = (struct job){.kind = JOB_RUN,
                      .bytes = bytes + count * sizeof *j->parts,
                      .script = call->script,
                      .patience_ms = call->patience_ms,
                      .parts = (struct slice *)(j + 1),
                      .key_count = call->key_count,
                      .part_count = count};
    char *at = (char *)(j->parts + count);
    for (size_t i = 0; i < count; i++) {
        char *start = at;
        bool is_key = i < call->key_count;
        if (is_key)
            at = append(at, SLICE(prefix));
        at = append(at, is_key ? call->keys[i] : call->args[i - call->key_count]);
        j->parts[i] = slice_make(start, (size_t)(at - start));
    }
    return j;
}

static bool is_possible(const struct store_call *call) {
    return call->key_count >= 1 && call->key_count <= STORE_RUN_KEYS_MAX &&
           call->arg_count <= STORE_RUN_ARGUMENTS_MAX;
}

struct store_op *store_run(struct store_client *c, const struct store_call *call, store_done *done,
                           void *arg) {
    return is_possible(call) ? store_start_op(c, run_job_new(call), done, arg) : NULL;
}

bool store_run_quietly(struct store *s, const struct store_call *call) {
    return is_possible(call) && redis_enqueue(s->redis, run_job_new(call));
}

struct slice store_number(char text[STORE_NUMBER_MAX], int64_t number) {
    int len = snprintf(text, STORE_NUMBER_MAX, "%lld", (long long)number);
    return slice_make(text, (size_t)len);
}

// ----------------------------------------------------------------- messages

void store_say(struct store *s, const char *channel, struct slice message) {
    static const char prefix[] = REDIS_PREFIX;
    size_t name_len = strlen(prefix) + strlen(channel);
    struct job *j = base_alloc(sizeof *j + name_len + message.len);
    char *name = (char *)(j + 1), *bytes = name + name_len;
    append(append(name, SLICE(prefix)), slice_of(channel));
    append(bytes, message);
    *j = (struct job){.kind = JOB_SAY,
                      .bytes = name_len + message.len,
                      .key = slice_make(name, name_len),
                      .value = slice_make(bytes, message.len)};
    (void)redis_enqueue(s->redis, j); // who is away says nothing
}
