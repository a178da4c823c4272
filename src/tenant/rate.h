// One rate limit. Pure: no lock, no clock.
#ifndef FARTHING_TENANT_RATE_H
#define FARTHING_TENANT_RATE_H

#include <stdbool.h>
#include <stdint.h>

// Zero-initialized: nothing was used. `limit` a minute is passed to each call and
// may change between calls. Below 1 is no limit: then only rate_take may be called,
// and does nothing.
struct rate {
    __int128 debt;       // units * RATE_UNIT that have not run off yet
    uint64_t updated_us; // when that was
};

// The debt of one unit: it runs off at `limit` for each microsecond.
#define RATE_UNIT INT64_C(60000000)

// Is there room for `units` now? Nothing is taken.
bool rate_fits(struct rate *r, int64_t limit, int64_t units, uint64_t now_us);
// Takes them, room or not; negative gives back what was taken.
void rate_take(struct rate *r, int64_t limit, int64_t units, uint64_t now_us);

int64_t rate_remaining(struct rate *r, int64_t limit, uint64_t now_us);
// Milliseconds, rounded up, until `units` fit; -1: more than the limit ever allows.
int64_t rate_wait_ms(struct rate *r, int64_t limit, int64_t units, uint64_t now_us);
int64_t rate_reset_ms(struct rate *r, int64_t limit, uint64_t now_us); // until nothing is owed

#endif
