// tenant, its runs: what all requests of one workflow run (x-farthing-run) may
// take together: steps, attempts, tokens, time. (A run's money is a budget,
// budget.h.) One count for all loops, and for all instances that share a store. A
// run that nobody asked for in 24 hours is over; the same name is then a new run.
// Names are cut at 256 bytes.
#ifndef FARTHING_RUNS_H
#define FARTHING_RUNS_H

#include "farthing/base.h"
#include "farthing/config.h"

struct store;
struct store_client;
struct run_question;
struct runs; // the process's; any thread
struct run_state;

// Kept at most, but for those that have requests running, which are never
// forgotten. Beyond: the one idle longest makes room for a new one, of the new
// one's own tenant if that has its share of all, otherwise of whoever has most.
enum { RUNS_MAX = 100000 };

// Runs of the last 24 hours are read from the ledger's table of requests, so that
// a restart does not give a run its steps back. (What a run took earlier than
// that, and requests whose row was not written, are not known any more.) No table
// yet: no runs yet. Blocks, before the loops run. store NULL: memory only.
struct runs *runs_open(struct store *store, struct error *err);
void runs_close(struct runs *r);

// One request's part in its run; the caller's, zeroed before first use.
struct run_ticket {
    struct runs *runs;       // private, as is what follows
    struct run_state *state; // NULL: no run
    int64_t tokens;          // reserved
    struct run_question *question; // before run_enter
};

enum run_cap { RUN_CAP_NONE, RUN_CAP_STEPS, RUN_CAP_ATTEMPTS, RUN_CAP_TOKENS, RUN_CAP_WALL };
struct run_refusal {
    enum run_cap cap;
    int64_t limit;
    int64_t used;  // with what others have reserved; wall: ms
    int64_t asked; // tokens; wall: 0; otherwise 1
};

// A request of this run begins: counts a step. False, and nothing is counted,
// where it is over max_steps or max_wall. A run without caps is not followed: the
// ticket is empty, and all that follows allows everything.
bool run_enter(struct runs *r, struct run_ticket *t, struct slice tenant, struct slice run,
               const struct config_run *caps, struct run_refusal *refusal) FARTHING_MUST_CHECK;
// Before an attempt: counts it, and reserves the tokens that it may take in all
// (in place of what this ticket had reserved before). False, and nothing is
// counted or reserved, where it is over max_attempts, max_tokens or max_wall.
bool run_attempt(struct run_ticket *t, const struct config_run *caps, int64_t tokens,
                 struct run_refusal *refusal) FARTHING_MUST_CHECK;
// What it really took, even if that is more; the rest of the reservation is free
// again. Once for each attempt that took something.
void run_settle(struct run_ticket *t, int64_t tokens);
// The request is over; what was reserved and not settled is free again. Idempotent.
void run_leave(struct run_ticket *t);

// Where the store is shared, a run's requests may be served by several instances. This
// asks what the others' part of it is, and tells them of the step that run_enter is to
// count: of two that ask for the last one, one gets it. Attempts and tokens of the
// others are known as of this moment, what they have reserved included. False where
// nothing is to be asked: without caps, where the store is not shared or is away.
// Otherwise `done` is called, on the client's loop, never before this has returned and
// not after run_enter or run_leave, whether there was an answer or not: without one,
// run_enter goes by what is known.
typedef void run_known(void *arg);
bool run_ask(struct runs *r, struct store_client *client, struct run_ticket *t,
             struct slice tenant, struct slice run, const struct config_run *caps,
             run_known *done, void *arg);

struct run_view {
    struct slice tenant, run;
    int64_t steps, attempts, tokens; // with other instances', as last known
    int64_t reserved, running;       // of this one
    int64_t started_ms, last_ms; // Unix
};
typedef void run_visitor(void *arg, const struct run_view *view);
// All, in no order. Any thread; no lock is held meanwhile.
void runs_visit(struct runs *r, run_visitor *visit, void *arg);

#endif
