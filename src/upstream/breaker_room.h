// What the files of the breakers share: breaker.c decides, breaker_view.c tells.
#ifndef FARTHING_UPSTREAM_BREAKER_ROOM_H
#define FARTHING_UPSTREAM_BREAKER_ROOM_H

#include "breaker_names.h"
#include "breaker_window.h"

// One name's. Admitting reads the first two without the lock; all is written under
// it. It is never held while anybody else's code runs.
struct breaker {
    struct named named; // first: the record is the breaker
    // The state, and how often it changed: a ticket of an earlier one is stale.
    // Half-open, each probe has a mark of its own.
    _Alignas(CACHE_LINE) _Atomic uint64_t mark;
    _Atomic int64_t next_ms; // open or half-open: when the next probe may pass
    pthread_mutex_t lock;
    struct breaker_figures figures; // of the call
    int64_t figures_ms;             // that was admitted last
    struct breaker_window window;   // closed: of this time of being closed
    int64_t outage_ms;              // open, half-open: since when
    int64_t outage_wall_ms;         // the same, Unix
    int64_t interval_ms;            // between probes
    int64_t opened;
    atomic_bool shown; // was open once
};

struct breakers {
    struct names names;
};

enum breaker_cause {
    BREAKER_CAUSE_NONE, // nothing changed
    BREAKER_CAUSE_FAILURES,
    BREAKER_CAUSE_PROBE_BAD,
    BREAKER_CAUSE_PROBE_DUE,
    BREAKER_CAUSE_PROBE_GOOD,
    BREAKER_CAUSE_RESET,
    BREAKER_CAUSE_OFF, // the configuration has no breaker here any more
};

// A change of state, told when the lock is free again.
struct breaker_change {
    enum breaker_cause cause;
    enum breaker_state to;
    int64_t calls, failures, window_ms; // FAILURES
    int64_t wait_ms;                    // to OPEN
    int64_t outage_ms;                  // to CLOSED: how long it lasted
};

static inline enum breaker_state breaker_state_of(uint64_t mark) {
    return (enum breaker_state)(mark & 3);
}

// Under the lock.
struct breaker_change breaker_close(struct breaker *b, enum breaker_cause cause, int64_t now_ms);

// breaker_view.c: counts and logs it, if it is one.
void breaker_tell(const struct breaker *b, const struct breaker_change *change);
void breaker_declare_metrics(void);

#endif
