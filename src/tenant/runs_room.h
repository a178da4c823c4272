// What the files of the runs share.
#ifndef FARTHING_TENANT_RUNS_ROOM_H
#define FARTHING_TENANT_RUNS_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "farthing/runs.h"
#include "farthing/store.h"
#include "runs_share_answer.h"

enum {
    RUNS_SHARDS = 16,
    RUN_IDLE_MS = 24 * 60 * 60 * 1000, // then a run is over; of the same name: a new one
    RUN_NAME_BYTES_MAX = 256,          // as in the rows; what is longer is cut
};

// In its shard's table from its first request until it was idle for a day, or
// had to make room. With requests running it is on no list and stays.
struct run_state {
    struct run_shard *shard;
    struct run_owner *owner;
    struct run_state *older, *newer; // idle ones of the same tenant, by their last request
    int64_t steps, attempts, tokens, reserved;
    int64_t running; // requests, and questions about it
    struct run_others others; // of other instances, as last known
    bool restored;   // that is of the past, and nobody was asked yet
    struct run_question *questions; // about it
    // By the monotonic clock, so that a clock that is set does not end or
    // prolong a run; of recovered ones: before the process began, so perhaps
    // negative.
    int64_t started_mono_ms, last_mono_ms;
    struct slice name; // behind it
};

// A tenant's runs in one shard. Kept: tenants come from the configuration.
struct run_owner {
    struct slice tenant;
    struct table *by_name;
    struct run_state *oldest, *newest; // idle
    size_t count;                      // running and idle
    struct run_owner *next;
};

struct run_shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct table *by_tenant;
    struct run_owner *owners;
    size_t owner_count, count, most;
};

struct runs {
    struct store *store; // NULL: nothing is shared
    atomic_ullong calls;
    size_t shard_count;
    struct run_shard shards[];
};

// runs.c. Room for `most` runs in each shard.
struct runs *runs_new(size_t shards, size_t most);
// What was before the start. Before any request; newest first.
void runs_restore(struct runs *r, const struct run_view *past, int64_t wall_now_ms);

// Caps that nobody has to be asked for do not exist.
bool run_has_caps(const struct config_run *caps);
// A request, or a question about it, holds the run; the lock of its shard is held.
struct run_state *run_hold(struct run_shard *shard, struct slice tenant, struct slice run);
void run_let_go(struct run_state *s);
struct run_shard *run_shard_of(struct runs *r, struct slice tenant, struct slice run);
struct slice run_name_cut(struct slice run);

// runs_share.c
// Ends what was asked for the ticket; the lock is not held. NULL is fine.
void run_question_free(struct run_question *q);
// What the store said of the step that was asked for; under the lock. False: nothing, or
// nothing was asked. The step is counted or given up from here on.
bool run_question_settle(struct run_question *q, bool *granted, int64_t *used);
// What changed is told; the lock is not held.
void run_report(struct runs *r, struct run_state *s);

// runs_store.c
bool runs_recover(struct runs *r, struct store *store, size_t most, struct error *err);

#endif
