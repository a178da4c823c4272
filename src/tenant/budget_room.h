// What the files of the budgets share.
//
// A tenant has budgets (one for each name in its file); a budget has counters: one,
// or one for each value of what it is `per`. A tenant's lock covers them all, so
// that a reservation is in all of them or in none and a sample is consistent. It
// is held for some tens of nanoseconds; rows for the store and lines for the log
// are written after it is free, which is why rows carry numbers: the highest
// number is the truth, not the last row.
#ifndef FARTHING_TENANT_BUDGET_ROOM_H
#define FARTHING_TENANT_BUDGET_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "budget_share.h"
#include "farthing/budget.h"
#include "farthing/store.h"
#include "waits.h"
#include "window.h"

enum {
    SPANS = 8,                  // windows of a counter that are remembered
    SPANS_SLIDING = 32,         // parts: those that count, and some for late costs
    ROWS_PER_REFRESH = 1000000, // the journal forgets its oldest rows, so live ones are repeated
    ROWS_PER_CHUNK = 256,       // after so many rows, some more counters
    VIEWS_PER_LOCK = 256,       // counters that are copied before others get the lock again
    VALUE_BYTES = 128,          // longer values, and what is no text, go by their SHA-256
    WARNINGS_MAX = 100,         // one for each percent
    // What a budget is per, beside enum config_budget_per: the run's own budget.
    PER_RUN_COST = CONFIG_PER_KEY + 1,
};
// Where room is needed: a value's total that nobody touched for so long.
#define FORGET_TOTAL_MS (7 * WINDOW_DAY_MS)
#define FORGET_RUN_MS   (WINDOW_HOUR_MS / 6)

// What was said of a window already.
struct budget_told {
    unsigned warnings; // of the budget's, from the first
    bool exhausted;
    int64_t since_ms; // sliding only: of the first word
};

// One window of a counter, or a part of a sliding one. Kept after it ended, for
// costs that come late and for a clock that is set back.
struct span {
    struct window window;
    uint64_t epoch; // unique in its counter
    config_pico spent, reserved;
    config_pico recovered, overrun; // parts of spent
    config_pico extra;              // an operator's, on top of the amount; may be negative
    config_pico ceiling;            // of its newest row
    config_pico confirmed;          // grants may go up to here: it is on disk, or leased
    uint64_t raise;                 // row whose answer confirms; 0: none, or no longer
    bool confirming;                // an answer about a higher ceiling is on its way
    bool dirty;                     // wants a row
    int64_t reach_ms;               // a part's: how long it counts after its end
    int64_t until_ms;               // counts until then, beside the window
    struct budget_told told;
    struct span_share share; // all 0 where the store is not shared
};

struct budget_counter {
    struct budget *budget;
    struct slice value; // behind the struct
    config_pico amount; // the budget's, or the run's own
    bool frozen;
    bool many;                 // spans other than the current one may count
    bool dirty;                // some span is
    struct window_shape shape; // length CONFIG_UNSET: only known from the store
    uint64_t last_epoch;
    struct span *now; // one of the spans
    struct span *spans;
    size_t span_count, span_capacity;
    struct budget_told told; // sliding
    int64_t touched_ms;
    uint64_t newest_row;                  // when it was recovered
    unsigned holds;                       // reservations that point here
    _Atomic unsigned writing;             // rows that do; counted up under the lock, down without
    size_t slot;                          // in the budget's
    struct budget_counter *older, *newer; // by last use
    struct counter_share share;
};

struct budget {
    struct budget_tenant *tenant;
    struct budget *next;              // in the order in which they were made
    struct slice name, feature, user; // in the budgets' arena
    bool feature_exact;               // it is no glob
    int per;                          // enum config_budget_per or PER_RUN_COST
    bool configured;
    bool told_full;
    int64_t told_ms; // when a counter's exhaustion was told last
    config_pico amount;
    struct window_shape shape;
    struct slice zone; // its name
    uint8_t warn_at[WARNINGS_MAX];
    unsigned warn_count;
    struct metric_series *rejections, *overruns, *remaining;
    struct budget_counter **slots; // all counters; for all: the first is the one
    size_t count, capacity;
    struct table *by_value; // NULL: for all
    struct budget_counter *oldest, *newest;
};

// Under the tenant's lock, but for ABANDONED (its loop's).
enum budget_waiter_place { BUDGET_WAITER_QUEUED, BUDGET_WAITER_GRANTED, BUDGET_WAITER_ABANDONED };

// Owned by its loop, which frees it.
struct budget_waiter {
    struct wait wait;                      // first: the wait is the waiter
    struct budget_waiter *next, *previous; // the tenant's
    enum budget_waiter_place place;
    struct budgets_loop *loop;
    struct budget_reservation *reservation;
    budget_ready *ready;
    void *arg;
    enum budget_verdict verdict;
    // Of a shared store's:
    uint64_t number; // in its tenant
    struct budget_scope scope;
    struct budget_refusal refusal;
};

struct budget_tenant {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct budgets *budgets;
    struct budget *first, *last; // budgets; only added to
    size_t budget_count;
    struct budget *run;            // PER_RUN_COST; NULL: nobody asked yet
    struct budget_waiter *waiters, *last_waiter; // in the order in which they came
    uint64_t waiter_number;                      // the last one's
    // Counters that are to be reported, of a shared store's; in one of the two.
    struct budget_counter *active, *beating;
    struct slice name;             // in the budgets' arena
    struct budget_tenant *next;    // all, newest first
};

struct budget_zone { // read once a process
    struct budget_zone *next;
    struct slice name;
    struct zone *zone;
};

struct budget_loss { // what was counted as spent, until it is told
    struct budget_loss *next;
    struct budget *budget;
    struct slice value; // behind the struct
    struct window window;
    config_pico lost, spent;
    bool has_row; // of a shared store's: the tenant's rows are made to agree with its budget
};

struct budgets {
    pthread_mutex_t lock; // of the three below; never taken under a tenant's
    struct table *by_name;
    struct budget_tenant *tenants;
    struct arena *names;
    struct budget_zone *zones;  // the configuring thread's
    struct budget_loss *losses; // the opening thread's
    size_t loss_count;
    struct store *store; // NULL: memory only
    struct store_journal *journal; // NULL: memory only, or a shared store
    struct budgets_share share;
    _Atomic uint64_t rows;                // number of the newest
    _Atomic uint64_t refreshed;           // the same when some were written again last
    _Atomic size_t counters;              // of all budgets
    atomic_bool store_is_slow;            // until it confirms again, nobody waits for it
    pthread_mutex_t refreshing;           // of the three below; a tenant's may be taken under it
    struct budget_tenant *refresh_tenant; // where the round is
    struct budget *refresh_budget;
    size_t refresh_slot;
};

struct budgets_loop {
    struct budgets *budgets;
    struct store_client *client;
    struct table *known; // tenants by name, without the lock
    struct waits waits;
    struct confirmation *confirmations; // pending
    struct share_call *calls;           // pending
    struct event *beat;                 // NULL: the store is not shared
    struct budget_tenant *reporting;    // where this loop's round of reports is; NULL: over
};

// All instances turn windows by one clock.
static inline int64_t budgets_now_ms(struct budgets *b) {
    return b->share.on ? store_now_ms(b->store) +
                             atomic_load_explicit(&b->share.ahead_ms, memory_order_relaxed)
                       : clock_wall_ms();
}

// ---- budget_span.c: the windows of a counter; under the tenant's lock, as all
// that follows up to the store

config_pico pico_add(config_pico a, config_pico b); // b >= 0 or a >= 0; never wraps
// Does it count towards the budget at this moment?
bool span_counts(const struct budget_counter *c, const struct span *s, int64_t now_ms);
// Could it still be asked for by a clock that is set back a little?
bool span_is_live(const struct span *s, int64_t now_ms);
// The span that holds now, which becomes the counter's current one. Others move.
struct span *counter_turn(struct budget_counter *c, int64_t now_ms);
struct span *counter_span(struct budget_counter *c, uint64_t epoch); // NULL: forgotten
struct span *counter_span_of(struct budget_counter *c, const struct window *w); // NULL: none
struct span *counter_push_span(struct budget_counter *c); // not initialized
struct span *counter_add_span(struct budget_counter *c, struct window window, int64_t now_ms);
// What counts now goes on counting until the end of the new shape's window.
void counter_set_shape(struct budget_counter *c, const struct window_shape *shape, int64_t now_ms);
void counter_set_dirty(struct budget_counter *c, struct span *s);

// ---- budget_counter.c: figures and ceilings

static inline config_pico span_used(const struct span *s) {
    return s->spent > INT64_MAX - s->reserved ? INT64_MAX : s->spent + s->reserved;
}
struct counter_sums {
    config_pico spent, reserved, recovered, overrun, ceiling, extra;
};
void counter_sum(const struct budget_counter *c, int64_t now_ms, struct counter_sums *out);
config_pico counter_amount(const struct budget_counter *c, config_pico extra); // never below 0
config_pico counter_left(const struct budget_counter *c, int64_t now_ms); // may be negative
// How long until this much is left? -1: never by waiting.
int64_t counter_retry_ms(const struct budget_counter *c, config_pico asked, int64_t now_ms);
// Does the newest ceiling no longer fit what is used? *ceiling: what it should be.
bool counter_wants_raise(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling);
bool counter_wants_lower(const struct budget_counter *c, const struct span *s,
                         config_pico *ceiling);
// Whose it is and when: no figures.
struct budget_view budget_view_of(const struct budget *b, const struct window *w);
void counter_view(const struct budget_counter *c, int64_t now_ms, struct budget_view *out);

// ---- budget.c

void budget_drop_legs(struct budget_reservation *r);
void budget_refuse(struct budget_counter *c, const struct budget_scope *scope, config_pico asked,
                   int64_t now_ms, struct budget_refusal *out);

// ---- budget_values.c: counters of a budget

struct slice budget_value_of(const struct budget *b, const struct budget_scope *scope);
// The counter of this value; NULL: none yet.
struct budget_counter *budget_counter_find(struct budget *b, struct slice value);
// Made when there is none: this value's, or where there are too many that of "other".
struct budget_counter *budget_counter_make(struct budget *b, struct slice value, int64_t now_ms);
void budget_counter_touch(struct budget_counter *c, int64_t now_ms);
void budget_counters_free(struct budget *b);

// ---- budget_names.c

struct budget_tenant *budget_tenant_find(struct budgets *b, struct slice name);
struct budget_tenant *budget_tenant_lookup(struct budgets *b, struct slice name); // NULL: none
struct budget_tenant *budget_tenant_known(struct budgets_loop *l, struct slice name);
struct budget_tenant *budget_tenant_first(struct budgets *b);
// Made when there is none. The thread that opened and configures; without the lock.
struct budget *budget_find(struct budget_tenant *t, struct slice name, int per);
struct budget *budget_of_runs(struct budget_tenant *t); // with the lock
struct slice budget_per_name(int per);                  // as rows say it
bool budget_per_parse(struct slice text, int *out);
void budget_metrics_declare(void);
extern const struct metric_family budget_unconfirmed_family;

// ---- budget_wait.c; under the tenant's lock, but for the last

// Is all of this reservation below ceilings that are on disk?
bool budget_is_safe(const struct budget_reservation *r);
void budget_wait_start(struct budgets_loop *l, struct budget_reservation *r,
                       const struct budget_scope *scope, budget_ready *ready, void *arg);
// Has a shared store still to say whether there is some?
static inline bool budget_is_asked_for(const struct budget_reservation *r) {
    const struct budget_waiter *w = r->waiter;
    return w != NULL && (w->place == BUDGET_WAITER_QUEUED || w->verdict == BUDGET_WAIT);
}
// It has its verdict (BUDGET_WAIT: it has to ask again): off the tenant's list, and told on its loop.
void budget_wait_end(struct budget_tenant *t, struct budget_waiter *w);
// Frees the waiter, or leaves it to the mail that is under way.
void budget_wait_stop(struct budget_reservation *r);
// Grants those who are safe now, and those for whom no answer is to come.
void budget_wake(struct budget_tenant *t);
void budget_on_due(struct wait *wait);

// ---- budget_rows.c: what is to be written once the lock is free

struct budget_row {
    struct budget_counter *counter; // held by its `writing`
    uint64_t number, epoch;
    struct window window;
    config_pico spent, recovered, overrun, extra, ceiling, amount;
    int64_t reach_ms, until_ms, touched_ms;
    bool frozen;
    bool confirm;
};
struct budget_event;
struct budget_rows {
    size_t count;
    struct budget_row *items;
    size_t capacity; // of items when malloc'd; 0: own
    struct budget_event *events;
    struct budget_row own[BUDGET_LEGS];
};
static inline void budget_rows_start(struct budget_rows *rows) {
    rows->count = rows->capacity = 0; // its own rows stay as they are: they are many bytes
    rows->items = NULL;
    rows->events = NULL;
}
// Under the lock: makes a row where the span's ceiling has to move.
void budget_rows_note(struct budget_rows *rows, struct budget_counter *c, struct span *s);
// Under the lock: a row for each span that wants one. Those with no ceiling to
// lower say again what is known.
void budget_rows_note_dirty(struct budget_rows *rows, struct budget_counter *c);
// Under the lock: whether it is frozen.
void budget_rows_note_state(struct budget_rows *rows, struct budget_counter *c);
void budget_rows_note_live(struct budget_rows *rows, struct budget_counter *c, int64_t now_ms,
                           bool final);
// Without it: tells events, and the rows to the journal with no question whether
// they arrived; frees both.
void budget_rows_append(struct budgets *b, struct budget_rows *rows);
// Its parts, for who asks.
void budget_rows_journal(struct budgets *b, const struct budget_rows *rows);
void budget_row_release(const struct budget_row *row);
void budget_rows_free(struct budget_rows *rows);

// ---- budget_events.c; made under the lock, told without it

enum budget_event_kind { BUDGET_EVENT_WARNING, BUDGET_EVENT_EXHAUSTED, BUDGET_EVENT_FULL };
void budget_check_warnings(struct budget_rows *rows, struct budget_counter *c, struct span *s,
                           int64_t now_ms);
void budget_check_exhausted(struct budget_rows *rows, struct budget_counter *c, config_pico asked,
                            int64_t now_ms);
void budget_check_full(struct budget_rows *rows, struct budget *b);
// What was spent already is not told again.
void budget_mute_warnings(struct budget_counter *c, int64_t now_ms);
void budget_events_tell(struct budget_rows *rows);
#define BUDGET_USD_TEXT_MAX 32
const char *budget_usd(config_pico amount, char out[BUDGET_USD_TEXT_MAX]);
extern const struct metric_family budget_warnings_family;

// ---- budget_store.c

// Writes, asks for what is to be confirmed, tells events and frees.
void budget_rows_write(struct budgets_loop *l, struct budget_rows *rows);
void budget_confirmations_cancel(struct budgets_loop *l);
// A row for each span of each counter; `final`: with what was spent as the ceiling.
void budget_rows_write_all(struct budgets *b, bool final);

// ---- budget_recover.c

bool budget_recover(struct budgets *b, struct error *err);
void budget_losses_free(struct budgets *b);

#endif
