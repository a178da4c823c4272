// tenant, its runs: what all requests of one workflow run (x-farthing-run) may
// take together: steps, attempts, tokens, time. (A run's money is a budget,
// budget.h.) One count for all loops.
#ifndef FARTHING_RUNS_H
#define FARTHING_RUNS_H

#include "farthing/base.h"
#include "farthing/config.h"

struct store;
struct runs;     // the process's; any thread
struct run_state;

// Runs of the last day are read from the table of requests, so that a restart
// does not give a run its steps back. Blocks, before the loops run. store NULL: memory only.
struct runs *runs_open(struct store *store, struct error *err);
void runs_close(struct runs *r);

// One request's part in its run; the caller's, zeroed before first use.
struct run_ticket {
    struct runs *runs;       // private, as is what follows
    struct run_state *state; // NULL: no run
    int64_t tokens;          // reserved
};

enum run_cap { RUN_CAP_NONE, RUN_CAP_STEPS, RUN_CAP_ATTEMPTS, RUN_CAP_TOKENS, RUN_CAP_WALL };
struct run_refusal {
    enum run_cap cap;
    int64_t limit, used, asked;
};

// A request of this run begins: counts a step. False, and nothing is counted,
// where it is over max_steps or max_wall. A run without caps is not followed.
bool run_enter(struct runs *r, struct run_ticket *t, struct slice tenant, struct slice run,
               const struct config_run *caps, struct run_refusal *refusal) FARTHING_MUST_CHECK;
// Before an attempt: counts it, and reserves the tokens that it may take in all
// (in place of what this ticket had reserved before).
bool run_attempt(struct run_ticket *t, const struct config_run *caps, int64_t tokens,
                 struct run_refusal *refusal) FARTHING_MUST_CHECK;
// What it really took; the rest of the reservation is free again.
void run_settle(struct run_ticket *t, int64_t tokens);
// The request is over; what was reserved and not settled is free again. Idempotent.
void run_leave(struct run_ticket *t);

struct run_view {
    struct slice tenant, run;
    int64_t steps, attempts, tokens, reserved, running;
    int64_t started_ms, last_ms; // Unix
};
typedef void run_visitor(void *arg, const struct run_view *view);
void runs_visit(struct runs *r, run_visitor *visit, void *arg);

#endif
