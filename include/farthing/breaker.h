// breaker: what all loops of the process know together of providers and models,
// so that one that is down costs next to nothing and is not asked more for it:
// circuit breakers, retry budgets, and the balance inside a tier. A part of the
// room upstream; nothing here does any input or output.
//
// Names are "provider/model", or a provider's alone where no model is asked for.
// Clients can invent models: BREAKER_NAMES_MAX names are kept beside those that
// the configuration declares; all others of a provider, and names of more than
// BREAKER_NAME_MAX bytes, share what is kept under the provider's name.
//
// Time is clock_mono_ms() as the caller read it, in milliseconds. Each *_loop is
// its loop's; the rest may be called from any thread where nothing else is said.
#ifndef FARTHING_BREAKER_H
#define FARTHING_BREAKER_H

#include "farthing/base.h"
#include "farthing/config.h"
#include "farthing/json.h"

enum { BREAKER_NAMES_MAX = 4096, BREAKER_NAME_MAX = 256 };

// ------------------------------------------------------------------- breakers
//
// Closed, it counts. It opens when, over the window or over a later part of it (a
// fifth at least), `failures` calls and at least half of all have failed: five in
// ten thousand open nothing, and a busy provider that dies does not have to make
// up for its good minutes first. A good call that took longer than slow_call_ms
// is a failure, too.
//
// Open, nothing passes for open_for_ms, less a chance part of up to a tenth, so
// that instances which failed together do not probe together. Then it is
// half-open: one request passes as a probe. If it is good the breaker closes and
// counts from nothing, if bad it opens again. If nothing is heard of it for
// open_for_ms another one passes, so that a provider that hangs is found to be
// back as soon as one that refuses. What is open for more than five minutes is
// probed less and less often, down to every 8 open_for_ms.
//
// Calls that began before a breaker last changed its state count for nothing when
// they end: those that time out late do not open it again.

// What the configuration says of one provider's breakers. The figures of the call
// that was admitted last count for all.
struct breaker_figures {
    unsigned failures; // 0: no breaker, everything passes
    int64_t window_ms;
    int64_t open_for_ms;
    int64_t slow_call_ms; // below 1: none is too slow
};

enum breaker_state { BREAKER_STATE_CLOSED, BREAKER_STATE_HALF_OPEN, BREAKER_STATE_OPEN };
const char *breaker_state_name(enum breaker_state state); // "closed", "half_open", "open"

enum breaker_verdict {
    BREAKER_CLOSED, // go on
    BREAKER_PROBE,  // go on; on this call it depends whether others may
    BREAKER_OPEN,   // do not; there is nothing to report
};

enum breaker_outcome {
    BREAKER_GOOD,
    BREAKER_BAD,     // the provider's fault: no connection, timeouts, 5xx, broken answers
    BREAKER_NEUTRAL, // says nothing of it: cancelled, never sent, the request's own fault
};

struct breakers;      // one for the process
struct breakers_loop; // one for a loop

// The caller's, in memory of its own: one call that was let through. Each is
// reported once; whatever is done with it later does nothing. Fields are for
// reading.
struct breaker_ticket {
    int64_t retry_after_ms; // BREAKER_OPEN: until a probe may pass; at least 1
    bool probe;
    // private
    struct breaker *breaker; // NULL: nothing to report
    uint64_t mark;
    int64_t admitted_ms;
    struct breaker_figures figures;
};

struct breakers *breakers_new(void);
void breakers_free(struct breakers *b); // after all its loops
// A name of the configuration: has a breaker of its own whatever clients invent,
// and is shown from the beginning.
void breakers_declare(struct breakers *b, struct slice name);
// The same, with what the configuration says of it: by these figures it is judged
// what other instances say, until a call brings its own.
void breakers_set_figures(struct breakers *b, struct slice name,
                          const struct breaker_figures *figures, int64_t now_ms);

struct breakers_loop *breakers_loop_new(struct breakers *b);
void breakers_loop_free(struct breakers_loop *l);

// Fills the ticket, whatever was in it. Closed, or open: two atomic reads.
enum breaker_verdict breaker_admit(struct breakers_loop *l, struct slice name,
                                   const struct breaker_figures *figures, int64_t now_ms,
                                   struct breaker_ticket *t) FARTHING_MUST_CHECK;
// The end of the call. A probe that is not reported keeps the breaker from
// closing for open_for_ms; reported neutral, the next request is the probe. The
// latency is only compared with slow_call_ms: the time to the first byte is
// comparable, that to the last depends on what was asked. False (and nothing
// happens) if there is nothing to report.
bool breaker_report(struct breaker_ticket *t, enum breaker_outcome outcome, int64_t latency_ms,
                    int64_t now_ms);
// A good answer has begun, after latency_ms, and may take long: a probe that was
// not slow closes its breaker now, and is a call like others from here on. To be
// reported all the same.
void breaker_answered(struct breaker_ticket *t, int64_t latency_ms, int64_t now_ms);

struct breaker_view {
    struct slice name;            // lives as long as the breakers
    struct slice provider, model; // its parts; model empty: the provider's own
    enum breaker_state state;
    int64_t calls, failures; // in the window; of closed breakers
    int64_t opened_at_ms;    // Unix, when this outage began; 0: closed
    int64_t retry_in_ms;     // until a probe may pass; 0: now, or closed
    int64_t opened;          // how often, since the start
    bool hearsay;            // open on another instance's word; no probe has failed here
};
typedef void breakers_visitor(void *arg, const struct breaker_view *view);
// Every name that was ever admitted or declared, newest first.
void breakers_visit(struct breakers *b, int64_t now_ms, breakers_visitor *visit, void *arg);
// The operator's word: closed, and counting from nothing. False: no such name.
bool breakers_reset(struct breakers *b, struct slice name, int64_t now_ms);
// Sets the gauge farthing_breaker_state (0 closed, 1 half-open, 2 open) of all that
// are declared or ever opened; before a scrape. Where labels read "other" for
// several, it is the worst of them.
void breakers_publish(struct breakers *b);

// ---------------------------------------------------- breakers, among instances
//
// Instances that share a store tell each other which breakers they opened and
// closed, so that each need not find out for itself. What is told is what was seen:
// no instance passes another's word on as news.
//
// Another one opened: a closed breaker opens, too, for as long as that one still
// waits and open_for_ms at most, and probes by itself as ever. It does not
//   - where it is not known here, or the configuration has none for it;
//   - if the other one's calls would not have opened it here (failures, half of all);
//   - if a call of this instance was good since that outage began, or in the last
//     five seconds, or another instance's probe was good after it, or an operator reset
//     it: one instance whose network is broken must not shut a provider for all;
//   - if it is open already, or half-open: nobody's word makes an outage longer.
//
// Another one's probe was good: what is open on hearsay closes, and so does what is
// open by calls of this instance that failed before that. Unless it had closed so
// before, and its own calls failed again without a good one in between: then the
// provider can be reached from there and not from here, and that word only lets the
// next request pass as a probe.
//
// An operator's reset closes it everywhere.

// A JSON array of what is to be told, appended to `out` as far as it fits into
// `room` bytes; the rest is told the next time. `all`: not only what is new, but all
// that is open, for one that has just come. False: there is nothing, and nothing
// was appended. One thread at a time.
bool breakers_tell(struct breakers *b, struct buffer *out, size_t room, bool all, int64_t now_ms);
// Such an array of another instance, as of sent_ms by this one's clock. Whatever is in
// it: what cannot be is passed over. Any thread.
void breakers_hear(struct breakers *b, const struct json_doc *doc, json_ref rows,
                   struct arena *arena, int64_t sent_ms, int64_t now_ms);

// -------------------------------------------------------------- retry budgets
//
// What a provider answers well earns retries: `percent` of a retry for each
// request, forgotten again over RETRY_BUDGET_KEPT_MS. In calm times retries can
// so be `percent` of the requests; a provider that has stopped to answer earns
// nothing, and what there was is a fraction of the outage's traffic.
//
// The floor is for those with few requests: RETRY_BUDGET_FLOOR retries, one of
// which comes back with a good answer (at most one a second), or in a minute by
// itself. In an outage it is these few once, and then one a minute.
//
// So with 20 %, while a provider fails everything for 30 seconds, it is sent less
// than 1.2 times what clients ask, at one request a second as at thousands.
//
// Clients' own retries are paid from the same budget, into debt if need be.

enum { RETRY_BUDGET_KEPT_MS = 10000, RETRY_BUDGET_FLOOR = 3 };

struct retry_budgets;      // one for the process
struct retry_budgets_loop; // one for a loop

struct retry_budgets *retry_budgets_new(void);
void retry_budgets_free(struct retry_budgets *b); // after all its loops
struct retry_budgets_loop *retry_budgets_loop_new(struct retry_budgets *b);
void retry_budgets_loop_free(struct retry_budgets_loop *l);

// The provider answered a client's request well: once for each, whichever attempt
// it was.
void retry_budget_note_good(struct retry_budgets_loop *l, struct slice provider, unsigned percent,
                            int64_t now_ms);
// A client's request is sent on to the provider that says of itself that it is a
// retry (x-stainless-retry-count above 0).
void retry_budget_note_client_retry(struct retry_budgets_loop *l, struct slice provider,
                                    int64_t now_ms);
// May a request be tried again at this provider? Takes one if so: ask last, when
// nothing else speaks against it. Never with 0 percent.
bool retry_budget_take(struct retry_budgets_loop *l, struct slice provider, unsigned percent,
                       int64_t now_ms) FARTHING_MUST_CHECK;

struct retry_budget_view {
    struct slice provider; // lives as long as the budgets
    int64_t left_milli;    // thousandths of a retry; negative: clients' retries are in debt
    int64_t retries;       // taken, since the start
    int64_t client_retries;
    int64_t denied;
};
typedef void retry_budgets_visitor(void *arg, const struct retry_budget_view *view);
void retry_budgets_visit(struct retry_budgets *b, int64_t now_ms, retry_budgets_visitor *visit,
                         void *arg);

// ----------------------------------------------- retry budgets, among instances
//
// What a fleet sends a provider again is to be `percent` of what the provider answers
// to all of it. So an instance may also spend its share (one by the number of
// instances) of what others have earned and not spent; what others' clients owe is
// owed here, too; and what others take of their floor goes from the floor here, so
// that in an outage a fleet has one floor and not one each. Messages take their time:
// until it has heard of others' retries, each may spend what all have.

// As breakers_tell: what was earned and taken since the last time. A provider that
// was never asked for here is not known here.
bool retry_budgets_tell(struct retry_budgets *b, struct buffer *out, size_t room, int64_t now_ms);
void retry_budgets_hear(struct retry_budgets *b, const struct json_doc *doc, json_ref rows,
                        struct arena *arena, unsigned instances, int64_t sent_ms, int64_t now_ms);

// -------------------------------------------------------------------- balance

struct balances;     // one for the process
struct balance_loop; // one for a loop

struct balances *balances_new(void);
void balances_free(struct balances *b); // after all its loops
void balances_declare(struct balances *b, struct slice name); // as breakers_declare
struct balance_loop *balance_loop_new(struct balances *b);
void balance_loop_free(struct balance_loop *l);

// The caller's, in memory of its own: one attempt that is in flight.
struct balance_ticket {
    struct balance_model *model; // NULL: none
};

// Every attempt, whatever the tier's balance is: it may be another's tomorrow.
void balance_begin(struct balance_loop *l, struct slice name, struct balance_ticket *t);
// The first byte of a good answer. Before balance_end.
void balance_note(const struct balance_ticket *t, int64_t latency_ms, int64_t now_ms);
// Once; does nothing after that.
void balance_end(struct balance_ticket *t);

struct balance_candidate {
    struct slice name;
    int64_t weight; // WEIGHTED: its share; below 1: only after those that have some
    bool open;      // its breaker is: after all others, as given
};

enum { BALANCE_CANDIDATES_MAX = 64 };

// One of these a session (a user, a run): the same in every process and after
// every start. Never 0.
uint64_t balance_session(struct slice key);

// In which order a tier's models are to be tried for one request: indices into
// `c`, all n of them (those over BALANCE_CANDIDATES_MAX as given, at the end).
//
//   ORDER           as given
//   LEAST_INFLIGHT  the fewest attempts in flight in this process first, chance
//                   among equals
//   WEIGHTED        first by chance in proportion to the weights, next so among
//                   the rest
//   LOWEST_LATENCY  by a moving mean of first-byte latencies. A model that was never
//                   measured is tried first by one request a second until it is, one
//                   that was not for 30 s by one in 16 requests, at most one each
//                   30 s: what was slow once gets another chance.
//
// With a session LEAST_INFLIGHT and WEIGHTED prefer the same model each time, so
// that the provider's prompt cache stays warm: rendezvous hashing among those that
// are not open, by weight for WEIGHTED, so that a model that comes or goes moves
// its own share of the sessions only. Unless that model is overloaded: has more
// than twice the attempts of the least busy one (by weight for WEIGHTED), and 8
// more. Then the least busy comes first.
//
// `random` decides what is left to chance: the same gives the same order.
size_t balance_order(struct balance_loop *l, enum config_balance how,
                     const struct balance_candidate *c, size_t n, uint64_t session_hash,
                     uint64_t random, int64_t now_ms, size_t *order_out);

struct balance_view {
    struct slice name; // lives as long as the balances
    int64_t inflight;
    int64_t latency_us; // mean time to the first byte; -1: not measured
    int64_t measured_ms_ago;
};
typedef void balances_visitor(void *arg, const struct balance_view *view);
void balances_visit(struct balances *b, int64_t now_ms, balances_visitor *visit, void *arg);

#endif
