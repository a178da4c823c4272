// Each second: "I am here". Its answer tells the time by Redis's clock and how
// many instances there are; that it comes at all tells that Redis is well,
// before a request has to find out.
#include <stdlib.h>

#include "redis.h"
#include "redis_answer.h"

enum {
    // The answer was on its way for so long that it says little of the time: it
    // is not taken, unless nothing better has come for a while.
    SLOW_US = 20000,
    SLOW_ANSWERS_MAX = 10,
};

static const char beat_text[] =
#include "beat.lua.h"
    ;
static const struct store_script beat_script = {"beat", beat_text};
static const char instances_key[] = "farthing:instances";

static struct job *job_new(const struct redis *r, struct slice what) {
    struct job *j = base_calloc(1, sizeof *j + 3 * sizeof *j->parts);
    j->kind = JOB_BEAT;
    j->handed_ns = clock_mono_ns();
    j->script = &beat_script;
    j->parts = (struct slice *)(j + 1);
    j->parts[0] = SLICE(instances_key);
    j->parts[1] = slice_make(r->instance, RANDOM_ID_LEN);
    j->parts[2] = what;
    j->key_count = 1;
    j->part_count = 3;
    return j;
}

void redis_beat_send(struct redis *r) {
    redis_send_run(r, job_new(r, SLICE("here")));
}

void redis_beat_leave(struct redis *r) {
    redis_send_run(r, job_new(r, SLICE("gone")));
}

static void take_time(struct redis *r, int64_t redis_us, uint64_t sent_ns) {
    uint64_t now_ns = clock_mono_ns();
    int64_t round_us = (int64_t)((now_ns - sent_ns) / 1000);
    if (round_us > SLOW_US && r->slow_answers < SLOW_ANSWERS_MAX) {
        r->slow_answers++;
        if (atomic_load_explicit(&r->has_time, memory_order_relaxed))
            return;
    } else {
        r->slow_answers = 0;
    }
    // Against the clock that is not set: what the host does with its own then
    // does not matter.
    atomic_store_explicit(&r->time_offset_us, redis_us + round_us / 2 - (int64_t)(now_ns / 1000),
                          memory_order_relaxed);
    atomic_store_explicit(&r->has_time, true, memory_order_release);
}

void redis_beat_took(struct redis *r, struct slice answer, uint64_t sent_ns) {
    int64_t us;
    unsigned instances;
    if (!redis_answer_beat(answer, &us, &instances)) {
        redis_complain(r, TROUBLE_OTHER, SLICE("it does not know what its scripts answer"));
        return;
    }
    take_time(r, us, sent_ns);
    atomic_store_explicit(&r->instances, instances, memory_order_relaxed);
}

int64_t redis_now_ms(const struct redis *r) {
    if (!atomic_load_explicit(&r->has_time, memory_order_acquire))
        return clock_wall_ms();
    int64_t offset_us = atomic_load_explicit(&r->time_offset_us, memory_order_relaxed);
    return (offset_us + (int64_t)(clock_mono_ns() / 1000)) / 1000;
}

// One that does not tell who it is may be another each time.
void redis_take_server(struct redis_node *n, struct slice info) {
    struct slice id = redis_answer_server(info);
    if (id.len > 0 && slice_equal(id, slice_of(n->server)))
        return;
    if (id.len > REDIS_SERVER_MAX)
        id.len = REDIS_SERVER_MAX;
    memcpy(n->server, id.ptr != NULL ? id.ptr : "", id.len);
    n->server[id.len] = '\0';
    atomic_fetch_add_explicit(&n->redis->epoch, 1, memory_order_relaxed);
}
