// Budgets that several instances have together, in a shared store. What the journal is
// to a process alone, the store is to all of them: who raises a span's ceiling
// (`confirmed`). Up to it this instance spends by itself; it is this instance's lease,
// granted by budget_share.lua, which see. The sum of all ceilings and of what is spent
// never exceeds the amount, whoever dies.
//
// In a span `spent` and `reserved` are this instance's own, cumulative since its start.
// What the others have stands in its `share`, as told last.
#ifndef FARTHING_TENANT_BUDGET_SHARE_H
#define FARTHING_TENANT_BUDGET_SHARE_H

#include <stdatomic.h>

#include "farthing/budget.h"
#include "farthing/store.h"

struct budget_rows;

#define SHARE_FOREVER_MS INT64_C(9000000000000000) // exact in a double, unlike INT64_MAX

enum {
    SHARE_TERM_MS = 10000,  // of a lease; renewed with each beat
    SHARE_HOLD_MS = 6000,   // longer than any instance takes to reach Redis again, if it can
    SHARE_FRESH_MS = 15000, // after another server was found a window that it does not know waits
    SHARE_BEAT_MS = 1000,
    SHARE_SAME_MS = 100, // so long a refusal is not asked for again
    SHARE_COUNTERS = 16, // of one call
    SHARE_WINDOWS = 32,  // of one counter in a call
    SHARE_REFRESHED = 8, // counters for all of which nothing else is to be said, of one beat
    SHARE_WATCHED_MS = 10000, // after a look at the figures they are kept a second young;
    SHARE_IDLE_MS = 5000,     // otherwise so
};

struct span_share {
    // Of the current window only: of others, in all windows that count. The first is
    // below 0 where an operator forgot what this instance had spent.
    config_pico others_spent, others_open;
    config_pico spent_told, ceiling_told; // what the store knows of this instance's
    // For a store that forgets: what it said of this window, and in which call.
    uint64_t told, reset;
    config_pico base, total, open;
};

struct counter_share {
    uint64_t lease;           // its number among this instance's; 0: none yet
    uint64_t heard;           // the last call that was answered
    uint64_t asked, answered; // waiters up to this number were part of the last call
    bool asking;              // a call is on its way
    bool failed, holding;     // what came of the last one
    bool outdated;            // the amount has changed since that was sent
    bool tell_all;            // another server may know nothing
    bool active;              // in one of the tenant's lists
    unsigned asks;            // since the last beat
    config_pico growth;       // used more than a beat before, or for a moment since then
    config_pico used_before, peak;
    uint64_t epoch_before;
    config_pico refused; // as much as this, or more, until then
    uint64_t refused_until_ms;
    uint64_t told_ms; // when the store said something last; 0: never
    struct budget_counter *next_active;
};

struct budgets_share {
    bool on;
    _Atomic bool open; // go on without the store
    _Atomic int64_t timeout_ms; // of an answer; not below BUDGET_CONFIRM_MS
    atomic_bool is_silent;      // the last answer did not come
    int64_t term_ms, hold_ms;  // tests set them
    _Atomic int64_t ahead_ms;  // tests: the clock's
    _Atomic uint64_t calls, leases;
    _Atomic uint64_t beat_ms, epoch, fresh_until_ms, viewed_ms;
    _Atomic size_t refreshed; // where the round of refreshing is
    budget_visitor *recovered;
    void *recovered_arg;
};

// ---- budget_share_text.c: what is said; pure

struct share_window {
    struct {
        int64_t start_ms, end_ms;
    } window;
    int64_t until_ms;
    config_pico spent, held, least, need, wanted;
    struct span_share said;
};
void budget_share_put_window(struct buffer *out, const struct share_window *w);
// {t:TENANT}:budget:PER:NAME[:VALUE]
void budget_share_put_key(struct buffer *out, const struct budget_counter *c);

// ---- budget_share_answer.c: what is heard; pure

struct share_told_window {
    config_pico ceiling, base, total, open;
    uint64_t reset;
};
struct share_told {
    bool frozen, holding;
    config_pico extra, recovered, spent, open;
    size_t window_count, loss_count;
    struct share_told_window windows[SHARE_WINDOWS];
    struct slice losses;
};
struct share_loss {
    int64_t start_ms, end_ms;
    config_pico amount;
};
// One counter's line. False: it is none.
bool budget_share_parse(struct slice line, struct share_told *out) FARTHING_MUST_CHECK;
bool budget_share_next_loss(struct slice *losses, struct share_loss *out) FARTHING_MUST_CHECK;

// ---- budget_share.c: calls

struct share_call;
// Under the tenant's lock; to be sent without it.
struct share_call *budget_share_call_new(struct budgets_loop *l, struct budget_tenant *t);
// The same for one of a beat's round, which goes on with its answer.
struct share_call *budget_share_round_new(struct budgets_loop *l, struct budget_tenant *t);
bool budget_share_call_is_full(const struct share_call *call);
// `beat`: lowers what is not needed before.
void budget_share_call_add(struct share_call *call, struct budget_counter *c, bool beat);
void budget_share_send(struct share_call *call); // NULL, or nothing in it: nothing
void budget_share_cancel(struct budgets_loop *l);
// Does the store know all that is to be known of it, and is nothing leased?
bool budget_share_is_told(const struct budget_counter *c, int64_t now_ms);
// With nobody who hears the answer, at the end. False: the store is away.
bool budget_share_send_quietly(struct share_call *call);
bool budget_share_send_deed(struct budgets *b, struct budget_counter *c, const char *what,
                            config_pico amount);

// ---- budget_share_take.c: reserving; under the tenant's lock

enum budget_verdict budget_share_take(struct budgets_loop *l, struct budget_reservation *r,
                                      const struct budget_ask *ask,
                                      struct budget_counter *tightest, int64_t now_ms,
                                      struct budget_rows *rows, struct budget_refusal *refusal);
// Those who wait are granted, refused, or go on waiting.
void budget_share_wake(struct budget_tenant *t, int64_t now_ms, struct budget_rows *rows);
// What those who wait need and nobody has asked for. NULL: nothing.
struct share_call *budget_share_ask(struct budgets_loop *l, struct budget_tenant *t);
// After one has ended: what is given back at once, where little is left. NULL: nothing.
struct share_call *budget_share_return(struct budgets_loop *l, const struct budget_reservation *r,
                                       int64_t now_ms);
// The store took too long: it is granted all the same, or refused.
void budget_share_give_up(struct budget_waiter *w, int64_t now_ms);
// One who waits will end: his money counts as reserved, granted or not.
void budget_share_force(struct budget_reservation *r, int64_t now_ms);

// ---- budget_share_beat.c

void budget_share_open(struct budgets *b);
// What was leased and not spent is given back.
void budget_share_close(struct budgets *b);
void budget_share_start(struct budgets_loop *l, struct event_base *loop);
void budget_share_stop(struct budgets_loop *l);
void budget_share_beat(struct budgets_loop *l); // for tests: at once
void budget_share_report_on(struct budgets_loop *l); // the next of the round
void budget_share_activate(struct budget_counter *c); // under the lock

#endif
