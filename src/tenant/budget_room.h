// What the files of the budgets share.
//
// A tenant's lock covers all its counters, so that a reservation is in all of
// them or in none and a sample is consistent. It is held for some tens of
// nanoseconds; rows for the store are written after it is free, which is why
// they carry numbers: the highest number is the truth, not the last row.
#ifndef FARTHING_TENANT_BUDGET_ROOM_H
#define FARTHING_TENANT_BUDGET_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "farthing/budget.h"
#include "farthing/store.h"
#include "lock.h"
#include "waits.h"
#include "window.h"

enum {
    SPANS = 8,                   // windows of a budget that are remembered
    ROWS_PER_REFRESH = 1000000,  // the journal forgets its oldest rows, so live ones are repeated
};

// One window of a budget. Kept after it ended, for costs that come late and for
// a clock that is set back.
struct span {
    struct window window;
    uint64_t epoch; // unique in its counter; 0: this span is not in use
    config_pico spent, reserved;
    config_pico recovered, overrun; // parts of spent
    config_pico ceiling;            // of its newest row
    config_pico confirmed;          // grants may go up to here: it is on disk
    bool confirming;                // a higher ceiling is on its way
};

struct budget_counter {
    struct budget_tenant *tenant;
    struct slice name, feature; // in the budgets' arena
    bool configured;
    config_pico amount;
    int64_t length_ms; // of its windows; CONFIG_UNSET: only known from the store
    uint64_t last_epoch;
    struct span *now; // one of the spans
    struct span spans[SPANS];
    struct metric_series *rejections, *overruns, *remaining;
    struct budget_counter *next; // in the order in which they were made
};

// Under the tenant's lock, but for ABANDONED (its loop's).
enum budget_waiter_place { BUDGET_WAITER_QUEUED, BUDGET_WAITER_GRANTED, BUDGET_WAITER_ABANDONED };

// Owned by its loop, which frees it.
struct budget_waiter {
    struct wait wait; // first: the wait is the waiter
    struct budget_waiter *next, *previous; // the tenant's
    enum budget_waiter_place place;
    struct budgets_loop *loop;
    struct budget_reservation *reservation;
    budget_ready *ready;
    void *arg;
};

struct budget_tenant {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct budgets *budgets;
    struct budget_counter *counters;
    struct budget_waiter *waiters; // in no order
    struct slice name;             // in the budgets' arena
    struct budget_tenant *next;    // all, newest first
};

struct budgets {
    pthread_mutex_t lock; // of the three below; never taken under a tenant's
    struct table *by_name;
    struct budget_tenant *tenants;
    struct arena *names;
    struct store *store;           // NULL: memory only
    struct store_journal *journal;
    _Atomic uint64_t rows;         // number of the newest
    atomic_bool store_is_slow;     // until it confirms again, nobody waits for it
};

struct budgets_loop {
    struct budgets *budgets;
    struct store_client *client;
    struct table *known; // tenants by name, without the lock
    struct waits waits;
    struct confirmation *confirmations; // pending
};

// budget_counter.c: arithmetic, under the tenant's lock
config_pico pico_add(config_pico a, config_pico b); // both >= 0; never wraps
config_pico span_used(const struct span *s);
// The span that holds now, which becomes the counter's current one.
struct span *counter_turn(struct budget_counter *c, int64_t now_ms);
// A free span, or that of the window that ended longest ago.
struct span *counter_make_room(struct budget_counter *c);
struct span *counter_span(struct budget_counter *c, uint64_t epoch); // NULL: forgotten
void counter_set_length(struct budget_counter *c, int64_t length_ms, int64_t now_ms);
config_pico counter_left(const struct budget_counter *c); // of its current span; may be negative
// Does the newest ceiling no longer fit what is used? *ceiling: what it should be.
bool counter_wants_raise(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling);
bool counter_wants_lower(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling);
void counter_view(const struct budget_counter *c, struct budget_view *out);

// budget_names.c
struct budget_tenant *budget_tenant_find(struct budgets *b, struct slice name);
struct budget_tenant *budget_tenant_known(struct budgets_loop *l, struct slice name);
// Made when there is none; freed with the budgets. Only the thread that configures.
struct budget_counter *budget_counter_find(struct budget_tenant *t, struct slice name);
extern const struct metric_family budget_unconfirmed_family;

// budget_wait.c; under the tenant's lock, but for the last
// Is all of this reservation below ceilings that are on disk?
bool budget_is_safe(const struct budget_reservation *r);
void budget_wait_start(struct budgets_loop *l, struct budget_reservation *r, budget_ready *ready,
                       void *arg);
// Frees the waiter, or leaves it to the mail that is under way.
void budget_wait_stop(struct budget_reservation *r);
// Grants those who are safe now, and those for whom no answer is to come.
void budget_wake(struct budget_tenant *t);
void budget_on_due(struct wait *wait);

// budget_store.c
// A row to be written: filled under the lock, written without it.
struct budget_row {
    struct budget_counter *counter;
    uint64_t number, epoch;
    struct window window;
    config_pico spent, recovered, overrun, ceiling;
    bool confirm;
};
struct budget_rows {
    size_t count;
    struct budget_row *items;
    struct budget_row own[BUDGET_LEGS];
    size_t capacity; // of items when malloc'd; 0: own
};
static inline void budget_rows_start(struct budget_rows *rows) {
    rows->count = rows->capacity = 0; // its own rows stay as they are: they are many bytes
    rows->items = NULL;
}
// Under the lock: makes a row where the span's ceiling has to move.
void budget_rows_note(struct budget_rows *rows, struct budget_counter *c, struct span *s);
// Without it: writes and frees them.
void budget_rows_write(struct budgets_loop *l, struct budget_rows *rows);
void budget_confirmations_cancel(struct budgets_loop *l);
bool budget_recover(struct budgets *b, struct error *err);
// A row for each span of each counter; `final`: with what was spent as the ceiling.
void budget_rows_write_all(struct budgets *b, bool final);

#endif
