// budget: money that cannot be overspent. Before money can flow, the worst case
// is reserved in every budget that applies, all or none; what it really cost
// settles the reservation and the rest is free again at once. Money is integer
// pico-USD and never wraps.
//
// Windows are fixed or sliding. A cost counts at the time at which it was reserved.
//
// Fixed ones follow the calendar of UTC or of a zone: an hour, a day from midnight
// to midnight (of 23 or 25 hours where the clock is changed), a week from Monday
// on, a month. The last eight windows of each budget are remembered, so a clock
// that is set back finds them as they were, and forward again too: nothing is
// emptied, no window is given twice. Where it is set back further than that, what
// was spent last counts in the window that it shows then.
//
// A sliding one is the last hours or days at any moment, kept in 24 parts, of
// which the oldest counts whole until all of it is out. So no interval of that
// length ever holds more than the amount, and what is spent is given back up to a
// part (a 24th) late. Where the clock is set back, the newest part stays open until
// the clock has come by again; where that is further than the window, all that
// counted is spent in the part that the clock shows then.
//
// A budget that is `per` feature, user, run or key has a counter for each value.
// The empty value is one too, so leaving a header out is no escape. Clients invent
// values: beyond BUDGET_VALUES_MAX of a budget all new ones share one counter,
// "other", whose amount is that of one value, so inventing is none either. Room is
// made by forgetting first those with nothing in their window (and totals
// that nobody has touched for seven days; runs, for ten minutes). Values that are
// long or no text go by their SHA-256. Where the run has an amount of its own
// (budget_scope.run_amount), there is a budget "run" for it, per run, for all time.
//
// What survives a crash (the written rule): for each budget the store holds a
// ceiling that is on disk before anything above it is granted. After an orderly
// end the ceiling is what was spent. After a crash all of the ceiling counts as
// spent: what lies between is the worst case of the reservations of the dead
// process and at most 2 * BUDGET_STEPS-ths (1.6 %) of the amount; of a counter of
// one value, whose ceiling moves in 8ths so that a run does not write a row for
// each request, at most 2 8ths (25 %). It is shown as `recovered`, and told once by
// budgets_recovered. So money that was spent is never forgotten. Where the disk
// does not take the ceiling in BUDGET_CONFIRM_MS, grants go on without it and
// are counted (farthing_budget_unconfirmed_total): within the process nothing
// is overspent even then, and only a crash at that moment could forget.
//
// Where the store is shared by several instances (store_is_shared) the ceiling is a
// lease: what the shared store has granted to this instance in the window. Nothing above
// it is reserved here, so what all instances spend stays below the amount whoever dies,
// and most requests need not ask. A lease is renewed each second, lowered to what is used
// when nobody asks, given back at an orderly end; one that was not renewed for ten seconds
// counts as spent, as `recovered`. Windows turn by the shared store's clock. What an
// operator does is seen by all within some two seconds. Nothing is written to the
// journal, and nothing read from it: it would be one instance's word against all.
// Without the store, grants go on within the lease: for as long as the window lasts,
// since the money in it counts as spent for everybody else. Above it they are refused,
// as unavailable, or (config_store_failure.budgets_open) granted, counted
// (farthing_budget_unconfirmed_total), and told when the store is back.
//
// When what is spent reaches one of warn_at_percent, a line is logged and counted
// (farthing_budget_warnings_total), once for each window, also over restarts; and
// a line when a budget first refuses in a window (of budgets per value one line a
// second at most). Of a sliding window "once" is once in its length.
#ifndef FARTHING_BUDGET_H
#define FARTHING_BUDGET_H

#include "farthing/base.h"
#include "farthing/config.h"

struct event_base;
struct store;
struct store_client;
struct budgets;      // the process's; any thread
struct budgets_loop; // one loop's access; that loop's thread only
struct budget_tenant;
struct budget_counter;
struct budget_waiter;
struct budget_view;

enum {
    BUDGET_STEPS = 128,           // the ceiling moves by 128ths of the amount
    BUDGET_CONFIRM_MS = 250,      // longest wait for the disk
    BUDGET_LEGS = 4,              // applying budgets without an allocation
    BUDGET_VALUES_MAX = 10000,    // counters of one budget
    BUDGET_COUNTERS_MAX = 100000, // of all budgets together
};

// Reads what earlier processes left. Blocks, before the loops run. With store
// NULL everything is in memory only. NULL when the table cannot be read.
struct budgets *budgets_open(struct store *store, struct error *err);
// Writes the last figures. After all loops, before the store is closed.
void budgets_close(struct budgets *b);
// Tells at run time, on a loop, of leases of instances that are gone (`recovered`, of the
// window; below 0 where one has come back, whose own rows say what it spent). Of several
// budgets of a tenant only of that with which rows are to agree: the first that counts
// all its requests, where there is one. Before the loops run.
typedef void budget_visitor(void *arg, const struct budget_view *view);
void budgets_on_recovered(struct budgets *b, budget_visitor *recovered, void *arg);
// With a shared store: `instance` (store_instance) was an earlier process of this place.
// Where it has crashed, others know what it may have spent, and only its rows what it
// did write down: the difference is told as `recovered`, so that rows and counters agree.
// `sum` says what its rows in the view's window sum up to. False: not known.
typedef bool budget_rows_sum(void *arg, const struct budget_view *view, config_pico *sum);
void budgets_settle_earlier(struct budgets *b, struct slice instance, budget_rows_sum *sum,
                            void *arg);
// The budgets of every tenant of the snapshot, in force when it returns. One
// thread at a time, the one that opened.
// Counters are kept by tenant and budget name: a changed amount applies to what
// was spent so far; with a changed window (length, zone, sliding or not) what
// counted goes on counting to the new window's end. A budget that is `per`
// something else from then on is another one, with nothing spent. A zone that
// cannot be read is logged as an error and is UTC; one that was is not read again.
void budgets_configure(struct budgets *b, const struct config *config);

// `client` is this loop's (NULL without a store) and is freed later than this.
struct budgets_loop *budgets_loop_new(struct budgets *b, struct event_base *loop,
                                      struct store_client *client);
// Every reservation of this loop is settled or released by then.
void budgets_loop_free(struct budgets_loop *l);

// -------------------------------------------------------------- reservations

enum budget_state {
    BUDGET_IDLE,    // zero: nothing held
    BUDGET_WAITING, // held or, with a shared store, asked for; the store has not answered yet
    BUDGET_HELD,
    BUDGET_SETTLED,
    BUDGET_RELEASED, // or refused
};

struct budget_leg { // private
    struct budget_counter *counter;
    uint64_t epoch; // of its window
    config_pico level;
};

// The caller's, in memory of its own (zeroed before first use; may be used again
// once settled or released): one attempt's hold on its budgets.
struct budget_reservation {
    enum budget_state state;
    config_pico amount; // reserved in each
    // private
    struct budget_tenant *tenant;
    struct budget_waiter *waiter;
    struct budget_leg *legs; // own, or malloc'd when there are many
    size_t leg_count;
    struct budget_leg own[BUDGET_LEGS];
};

// Figures of one counter at one moment: spent + reserved <= amount at any time,
// but for overruns and for an amount that was lowered.
struct budget_view {
    struct slice tenant, budget, feature, user; // live as long as the budgets
    // Whose, of a budget that is `per` something; "other": all beyond the bound. Lives
    // during the visitor's call; in a refusal it is what the scope said.
    struct slice value;
    enum config_budget_per per;
    bool sliding;
    bool frozen;           // grants nothing until it is thawed
    config_pico amount;    // with what an operator gave
    config_pico topped_up; // of amount, in this window; may be negative
    config_pico spent, reserved;
    config_pico remaining;   // never negative
    config_pico recovered;   // of spent: by the rule above
    config_pico overrun;     // of spent: above what was reserved
    config_pico ceiling;     // on disk or on its way there
    int64_t window_start_ms; // 0 for a total; sliding: one length ago
    int64_t window_end_ms;   // 0: never; sliding: when the next part leaves it
    bool configured;         // in the file now
};

// Whose money, and what for. Empty: not said; budgets for all apply.
struct budget_scope {
    struct slice tenant, feature, user, run;
    struct slice key;       // the client key's SHA-256 in hex
    config_pico run_amount; // this run's own budget (config_run.max_cost); CONFIG_UNSET: none
};

struct budget_ask {
    struct budget_scope scope;
    config_pico worst; // below 0 counts as 0
};

struct budget_refusal {
    struct budget_view budget; // the one with least left
    config_pico asked;
    config_pico fits; // the most that all of them would have granted
    // Until its window ends (sliding: until enough has left it); -1: never by waiting,
    // as where it is frozen.
    int64_t retry_after_ms;
    // It is not for want of money: the shared store is away, or came back with less than
    // it knew, and what is leased does not suffice.
    bool unavailable;
};

// BUDGET_WAIT: the money is reserved, but a crash before `ready` is called could
// forget it; or the shared store is asked whether there is some: do not spend yet.
enum budget_verdict { BUDGET_GRANTED, BUDGET_WAIT, BUDGET_REFUSED };

// On the loop, exactly once, or never after the reservation was settled or
// released. BUDGET_GRANTED: the reservation is BUDGET_HELD. BUDGET_REFUSED, by a shared
// store only: it is BUDGET_RELEASED, and may be used again at once; `refusal` (NULL when
// granted) lives during the call.
typedef void budget_ready(void *arg, enum budget_verdict verdict,
                          const struct budget_refusal *refusal);

// `refusal` is filled when refused. A tenant without budgets is granted anything. What
// the scope's slices point to lives until `ready` is called or the reservation ends.
enum budget_verdict budget_reserve(struct budgets_loop *l, struct budget_reservation *r,
                                   const struct budget_ask *ask, budget_ready *ready, void *arg,
                                   struct budget_refusal *refusal) FARTHING_MUST_CHECK;

struct budget_settled {
    config_pico overrun;   // of the cost over the reservation; 0 without any budget
    config_pico remaining; // least of what is left in these budgets; CONFIG_UNSET: none apply
};

// Books the real cost (all of it, even above the reservation). False, and
// nothing happens, where nothing is held. `out` may be NULL.
bool budget_settle(struct budgets_loop *l, struct budget_reservation *r, config_pico cost,
                   struct budget_settled *out);
// Nothing was spent. False where nothing is held.
bool budget_release(struct budgets_loop *l, struct budget_reservation *r);

// Ends the waiting of those for whom the store took too long; a timer of the
// loop calls it. For tests with a frozen clock.
void budgets_loop_run_due(struct budgets_loop *l, uint64_t now_ms);

// ------------------------------------------------------------------- figures

// Least of what is left in the budgets that apply; CONFIG_UNSET: none do.
config_pico budget_remaining(struct budgets_loop *l, const struct budget_scope *scope);
// Every counter, also of tenants no longer in the file. A tenant's budgets for all
// are of one moment; counters of values come a few hundred a moment. Any thread;
// the visitor is called without a lock.
void budgets_visit(struct budgets *b, budget_visitor *visit, void *arg);
// What this start counted as spent by the rule above: a view for each window, with
// the amount as `recovered`. For the ledger, whose rows then agree with the counters:
// told once, and forgotten. The thread that opened.
void budgets_recovered(struct budgets *b, budget_visitor *visit, void *arg);

// ------------------------------------------------------------ by an operator

// One budget, by name; `value` picks one counter of a budget that is `per`
// something (empty: that of the empty value). False with err when there is none;
// a value that has not come yet can be given more and be frozen, but for runs. Any
// thread; survives a restart, also by kill -9 once the store was flushed.
struct budget_name {
    struct slice tenant, budget, value;
};
// More (or less, below 0, down to an amount of 0) in this window only; of a sliding
// one for its length.
bool budget_top_up(struct budgets *b, const struct budget_name *name, config_pico amount,
                   struct error *err) FARTHING_MUST_CHECK;
// What was spent in this window is forgotten; what is reserved now is not, and will
// be booked in it.
bool budget_reset(struct budgets *b, const struct budget_name *name,
                  struct error *err) FARTHING_MUST_CHECK;
// Grants nothing until it is thawed; what is reserved is settled as ever.
bool budget_freeze(struct budgets *b, const struct budget_name *name, bool frozen,
                   struct error *err) FARTHING_MUST_CHECK;

// Brings farthing_budget_remaining_usd up to date: before metrics are shown.
void budgets_publish(struct budgets *b);

#endif
