// What the files of the runs share.
#ifndef FARTHING_TENANT_RUNS_ROOM_H
#define FARTHING_TENANT_RUNS_ROOM_H

#include <pthread.h>

#include "farthing/runs.h"

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
    int64_t running; // requests
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
    size_t shard_count;
    struct run_shard shards[];
};

// runs.c. Room for `most` runs in each shard.
struct runs *runs_new(size_t shards, size_t most);
// What was before the start. Before any request; newest first.
void runs_restore(struct runs *r, const struct run_view *past, int64_t wall_now_ms);

// runs_store.c
bool runs_recover(struct runs *r, struct store *store, size_t most, struct error *err);

#endif
