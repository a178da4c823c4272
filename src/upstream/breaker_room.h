// What the files of the breakers share: breaker.c decides, breaker_view.c shows,
// breaker_gossip.c speaks with other instances.
#ifndef FARTHING_UPSTREAM_BREAKER_ROOM_H
#define FARTHING_UPSTREAM_BREAKER_ROOM_H

#include "breaker_names.h"
#include "breaker_window.h"

// What other instances are not told yet.
enum breaker_news { BREAKER_NEWS_NONE, BREAKER_NEWS_OPEN, BREAKER_NEWS_CLOSED, BREAKER_NEWS_RESET };

// For moments that never were: before all others, and far from overflow.
static const int64_t BREAKER_NEVER_MS = INT64_MIN / 4;

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
    // What is said between instances.
    _Atomic(enum breaker_news) news; // read without the lock, too
    int64_t news_ms;                 // when it happened; open, half-open: last opened
    int64_t good_ms, bad_ms;         // when a call of this instance last ended so
    int64_t over_ms; // what others opened before is over: a probe there was good, or a reset
    int64_t failures_told, calls_told; // what this outage was opened by
    bool hearsay;  // open or half-open: on another's word, and no probe has failed here yet
    bool trusting; // closed on another's word, and no call was good here since
    bool misled;   // opened by calls of its own while it was trusting
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
    // Another instance says so:
    BREAKER_CAUSE_HEARD_OPEN,
    BREAKER_CAUSE_HEARD_CLOSED,
    BREAKER_CAUSE_HEARD_RESET,
};

// A change of state, told when the lock is free again.
struct breaker_change {
    enum breaker_cause cause;
    enum breaker_state to;
    int64_t calls, failures, window_ms; // FAILURES; HEARD_OPEN, but for the window
    int64_t wait_ms;                    // to OPEN
    int64_t outage_ms;                  // to CLOSED: how long it lasted
};

static inline enum breaker_state breaker_state_of(uint64_t mark) {
    return (enum breaker_state)(mark & 3);
}

// Under the lock.
struct breaker_change breaker_close(struct breaker *b, enum breaker_cause cause, int64_t now_ms);
// For wait_ms, less a chance part; fills wait_ms of the change.
void breaker_go_open(struct breaker *b, int64_t wait_ms, int64_t now_ms,
                     struct breaker_change *change);
int64_t breaker_open_for_ms(const struct breaker_figures *f); // within sense
static inline void breaker_put_news(struct breaker *b, enum breaker_news news, int64_t now_ms) {
    b->news_ms = now_ms;
    atomic_store(&b->news, news);
}

// breaker_view.c: counts and logs it, if it is one.
void breaker_tell(const struct breaker *b, const struct breaker_change *change);
void breaker_declare_metrics(void);

#endif
