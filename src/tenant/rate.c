// GCRA (ITU-T I.371), written as a debt: each unit taken owes the time that it
// takes to earn it, and the debt runs off with the clock. The usual spelling
// keeps the moment at which the debt will be gone; with units as small as
// tokens that moment would need fractions of a nanosecond, and a changed limit
// would have to be converted. Here the debt is counted in 60 millionths of a
// unit, so that it falls by exactly `limit` a microsecond: no rounding, ever. A
// whole minute's worth may be taken at once.
#include "rate.h"

// A tenant can owe this much at most, so that a provider's absurd figure does
// not shut it out for longer than an hour.
enum { DEBT_MINUTES_MAX = 60 };

static __int128 bound(__int128 debt, int64_t limit) {
    __int128 most = (__int128)limit * RATE_UNIT * DEBT_MINUTES_MAX;
    if (debt < 0)
        return 0;
    return debt < most ? debt : most;
}

// A clock read by another thread a moment earlier counts as now.
static void run_off(struct rate *r, int64_t limit, uint64_t now_us) {
    if (now_us <= r->updated_us)
        return;
    r->debt = bound(r->debt - (__int128)(now_us - r->updated_us) * limit, limit);
    r->updated_us = now_us;
}

bool rate_fits(struct rate *r, int64_t limit, int64_t units, uint64_t now_us) {
    run_off(r, limit, now_us);
    return r->debt + (__int128)units * RATE_UNIT <= (__int128)limit * RATE_UNIT;
}

void rate_take(struct rate *r, int64_t limit, int64_t units, uint64_t now_us) {
    if (limit < 1)
        return;
    run_off(r, limit, now_us);
    r->debt = bound(r->debt + (__int128)units * RATE_UNIT, limit);
}

int64_t rate_remaining(struct rate *r, int64_t limit, uint64_t now_us) {
    run_off(r, limit, now_us);
    __int128 left = (__int128)limit * RATE_UNIT - r->debt;
    return left > 0 ? (int64_t)(left / RATE_UNIT) : 0;
}

static int64_t run_off_ms(__int128 debt, int64_t limit) {
    __int128 each_ms = (__int128)limit * 1000;
    return debt > 0 ? (int64_t)((debt + each_ms - 1) / each_ms) : 0;
}

int64_t rate_wait_ms(struct rate *r, int64_t limit, int64_t units, uint64_t now_us) {
    if (units > limit)
        return -1;
    run_off(r, limit, now_us);
    return run_off_ms(r->debt - (__int128)(limit - units) * RATE_UNIT, limit);
}

int64_t rate_reset_ms(struct rate *r, int64_t limit, uint64_t now_us) {
    run_off(r, limit, now_us);
    return run_off_ms(r->debt, limit);
}
