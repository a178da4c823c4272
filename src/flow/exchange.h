// The exchange: one client request on its way through the stations.
//
// Owned by the flow of one loop; made when the request is handed over, freed
// when both its reply has ended (http's on_end) and its purchase has (the
// attempt is done or cancelled). Its memory comes from its arena.
#ifndef FARTHING_FLOW_EXCHANGE_H
#define FARTHING_FLOW_EXCHANGE_H

#include <event2/event.h>

#include "farthing/breaker.h"
#include "farthing/budget.h"
#include "farthing/classify.h"
#include "farthing/estimate.h"
#include "farthing/flight.h"
#include "farthing/flow.h"
#include "farthing/gate.h"
#include "farthing/idempotency.h"
#include "farthing/limits.h"
#include "farthing/outcomes.h"
#include "farthing/past.h"
#include "farthing/provider.h"
#include "farthing/route.h"
#include "farthing/runs.h"
#include "farthing/share.h"
#include "farthing/tenant.h"

enum { EXCHANGE_CANDIDATES_MAX = 16, EXCHANGE_ATTEMPTS_MAX = 16 };

// Where an exchange stands. Changed by exchange_go only.
enum exchange_state {
    EXCHANGE_OPENING,   // receive .. normalize, in one go
    EXCHANGE_QUEUED,    // waits for a place of its tenant's
    EXCHANGE_RECALLING, // waits for the store's answer
    EXCHANGE_FOLLOWING, // waits for somebody else's purchase of the same
    EXCHANGE_CLASSIFYING, // waits for its text's vector, some milliseconds
    EXCHANGE_RESERVING, // waits until what budgets granted is safe, or the shared store has granted it
    EXCHANGE_BUYING,    // an attempt runs
    EXCHANGE_PAUSING,   // waits before the next attempt
    EXCHANGE_STREAMING, // an attempt runs and its bytes flow to the client
    EXCHANGE_SETTLED,   // row written; waits for the reply's last byte
    EXCHANGE_STATE_COUNT
};

// Who ended it: the row's `ended_by`.
enum exchange_ender {
    ENDED_BY_FARTHING, // answered as asked, or refused for what it said
    ENDED_BY_CLIENT,
    ENDED_BY_PROVIDER,
    ENDED_BY_DEADLINE,
    ENDED_BY_SHUTDOWN,
    ENDED_BY_LIMIT,  // a rate, a place, a cap of the file
    ENDED_BY_BUDGET,
};

enum exchange_cache_mode { CACHE_USE, CACHE_REFRESH, CACHE_BYPASS, CACHE_ONLY };

// One loop's prices by "provider/model", so that a request does not walk the
// catalogue. See price_book.c.
struct price_book;

struct flow {
    struct event_base *loop;
    struct flow_shared shared;
    struct upstream *upstream;
    struct limits_loop *limits;
    struct budgets_loop *budgets;
    struct breakers_loop *breakers;
    struct retry_budgets_loop *retry_budgets;
    struct balance_loop *balance;
    struct routing *routing;
    unsigned unestimated; // requests since the last that was estimated only to learn from it
    struct mailbox *mailbox; // the loop's
    struct store_client *store;
    struct share *share; // what instances do together; NULL: the store is this one's alone
    const struct config *config;
    struct prices *prices;
    struct tenant_directory *tenants;
    struct price_book *book;
    struct exchange *exchanges; // all that run, those too whose client has gone
    struct json_doc *spare_docs[8]; // parsed documents keep their memory
    size_t spare_doc_count;
    size_t running;
    size_t in_state[EXCHANGE_STATE_COUNT];
    bool draining;
};

// What the client said about this request, from headers or body metadata.
struct attributes {
    struct slice feature, prompt_version, user, corpus_version, run, step;
    struct slice route, tier, quality, cache, cache_ttl, max_cost, deadline_ms, priority;
};

// What it asks of other instances, and looks for meanwhile; ask.c.
struct ask {
    struct share_purchase *purchase; // asked for, or ours
    struct share_key *key;           // asked for, or held
    enum share_word word;
    enum share_standing standing;
    struct cache_lookup *looks[2];
    struct cache_entry *found[2];
    unsigned due; // answers that are still to come, before
    void (*decide)(struct exchange *x);
};

// Of an exchange that Farthing starts itself, beside a client's.
struct own_exchange {
    const struct config_route *route; // that it takes; NULL: none
    const struct config_tier *tier;   // of a shadow; NULL: it is none
    struct slice of_route, of_request, of_tenant, of_feature; // the client's
};

struct exchange {
    struct flow *flow;
    struct http_request *request; // NULL once its on_end was called
    struct arena *arena;
    struct exchange *previous, *next; // of the flow's
    const struct config *config;
    struct routing *routing;
    enum exchange_state state;
    enum exchange_ender ended_by;

    // receive, identify
    enum api_endpoint endpoint;
    struct slice id;
    struct json_doc *doc; // given back when the attempt's body is made
    bool body_is_json;
    const struct own_exchange *own; // NULL: a client's
    struct attributes attributes;
    const struct config_tenant *tenant;
    struct slice client_key; // for passthrough providers
    uint8_t client_key_digest[DIGEST_LEN];
    bool has_client_key;
    struct metric_series *inflight; // counted in this gauge, from identify to the end

    // normalize
    struct slice requested_model;
    bool stream;
    bool client_wants_usage;
    int64_t n;
    enum exchange_cache_mode cache_mode;
    bool cacheable;
    int64_t cache_ttl_ms;
    struct cache_key key;
    struct cache_birth birth; // of what it may buy
    struct cache_key asked_digest; // what is asked, without what the file changes in it
    bool has_digest; // these two are known; also where nothing is cached
    int64_t deadline_ms; // clock_mono_ms, 0: none

    // admit
    struct limits_pass pass; // given back with the exchange
    unsigned char admit_kinds[LIMITS_PASS_MAX]; // whose tickets they are; admit.c

    // recall
    struct cache_lookup *lookup;
    struct cache_entry *hit;
    enum ledger_lever lever; // what saved the purchase, of a hit and of what was joined

    // recall: the same request once more; repeat.c
    bool keyed;    // it has an Idempotency-Key, and record_name is its record's
    bool findable; // a retry of it may be served by its purchase
    bool retries;  // it is one, as its SDK says
    struct idempotency_digest record_name, fingerprint;
    struct idempotency_digest purchase; // under which it buys, or follows who does
    struct idempotency_claim *claim;    // released with the row
    enum idempotency_standing standing;
    bool same_form; // the purchase's stream is what this client asked for
    int looks; // into the finished records

    struct ask ask; // of other instances

    // join: a seat in a purchase that may be shared, until the row is written
    struct flight *flight;
    bool leads, publishes; // its stream is on its way to followers
    bool joined;           // served by somebody else's purchase
    bool held_back;        // the client is slow: nothing is read of the flight
    bool flight_over;      // leader: it was told how it ended; follower: it has ended
    enum flight_end flight_end;
    int flight_status;
    struct cache_entry *flight_entry;
    struct slice origin_provider, origin_model, origin_tier;

    // classify
    struct classify_reading *reading; // signals and texts, while a vector is waited for
    bool vector_is_asked;
    struct http_request *asked_vector;     // under way, and wanted
    const struct classify_vector *vector;  // NULL: none, or not in time
    const struct config_tier *first_tier; // NULL: the chain's first, or what the client named
    bool is_canary;
    struct slice classifier_rule;
    struct slice signals; // JSON, for the row

    // plan
    const struct config_route *route;
    struct route_candidate *candidates;
    size_t candidate_count;
    size_t candidate; // the one being tried
    size_t first_attempt; // of it, among all attempts
    struct slice violation_note; // for the model that is asked after a rejected answer
    const struct gate *gate; // what answers are held against; NULL: nothing
    struct slice body; // what is sent, after splicing
    bool body_is_own;  // the exchange's; otherwise it goes with the client's request
    bool swallow_usage;

    // plan: caps and context budgets
    const struct config_task *task;
    struct config_caps caps;        // the lowest of those that apply
    struct provider_request asked;  // what it says of its own size; input_asked reads it
    bool asked_is_read;
    struct json_edits *edits;       // of the body, until that is made
    int64_t raw_input;              // estimate_input of what was asked; -1: not estimated
    int64_t added_input;            // to it, by Farthing
    bool unseen_input;              // some of it lies at the provider
    int64_t output_cap;             // of one choice, as it is sent; -1: none
    bool output_lowered;
    struct buffer capped;           // the row's JSON, its object not closed
    int64_t trimmed_tokens, trimmed_messages;
    struct slice context_warning;
    struct slice refused_by, queued_for; // for the row

    // reserve: given back when the exchange is recorded, at the latest
    struct run_ticket run;
    size_t passed_over; // attempts that were none: the breaker was open
    bool run_counted; // this attempt's tokens are among its run's
    struct budget_reservation reservation;
    unsigned less_asked; // how often less was asked of the budgets
    config_pico reserved;  // for the row
    bool lowered_by_money; // its output cap: an answer that this cut is nobody else's
    config_pico remaining; // in the budgets that apply; CONFIG_UNSET: none, or not known

    // dispatch
    struct upstream_target target;
    struct attempt_request sent;
    struct attempt *attempt;
    struct breaker_ticket breaker;
    struct balance_ticket balance;
    int64_t wait_s; // until coming again helps; 0: not known
    uint64_t attempt_started_ns;
    int64_t first_byte_ms; // of its answer's head, since then
    bool cancelled_after_sending; // what was walked away from may be billed
    struct event *pause; // before the next attempt, or for a client that may come back
    struct cost_attempt attempts[EXCHANGE_ATTEMPTS_MAX];
    size_t attempt_count;
    int status; // the provider's
    struct api_header *answer_headers; // that pass to the client
    size_t answer_header_count;
    struct slice content_type;
    struct slice retry_after, retry_after_ms, should_retry; // of the last answer
    struct buffer held;   // events of a stream that is judged before it is given
    bool holds;           // they go there
    struct buffer answer; // a whole answer, or the copy of a passed-through one
    bool passes_through;  // bytes go to the client as they come, uninterpreted
    bool answer_overflowed;
    struct provider_stream *reader;
    struct provider_stream *observer; // of a stream that passes through: for its usage
    bool reply_begun;

    // judge, settle
    struct provider_answer judged;
    bool judged_whole;
    bool rejected; // by its gate
    struct outcome *outcomes; // what it said of each answer
    size_t outcome_count;
    const struct slice *prompt; // for the outcomes' file
    size_t prompt_count;
    enum api_error error;
    int reply_status;
    struct api_usage usage;
    enum ledger_usage_source usage_source;
    int64_t output_bytes;
    bool cost_known;
    struct money cost, retry_cost; // of the last attempt, and of those before
    bool retry_cost_unknown;
    struct api_usage retry_usage;
    bool learned; // the estimate, from what the provider counted
    bool recorded;

    // clocks
    int64_t started_wall_ms;
    uint64_t started_ns, entered_ns, inside_ns, first_token_ns;
    int64_t queue_ms;
};

// ---------------------------------------------------------------- exchange.c

void exchange_start(struct flow *f, struct http_request *request);
// One of Farthing's own, under the snapshot of the one beside which it is asked.
void exchange_start_own(const struct exchange *beside, struct http_request *request,
                        const struct own_exchange *own);
// What it buys may serve others, and others' purchases it.
static inline bool exchange_is_shared(const struct exchange *x) {
    return x->cacheable && x->cache_mode == CACHE_USE;
}
static inline struct slice exchange_tier_of(const struct route_candidate *c) { // empty: of none
    return c->tier != NULL ? c->tier->name : SLICE_NONE;
}
void exchange_go(struct exchange *x, enum exchange_state state);
// From a callback: the time until exchange_leave is Farthing's own.
void exchange_enter(struct exchange *x);
void exchange_leave(struct exchange *x);
// Goes on with the story after the station that waited.
void exchange_resume_after_admit(struct exchange *x);
void exchange_resume_after_miss(struct exchange *x);
void exchange_resume_after_recall(struct exchange *x);
// Refuses: error reply, row. Returns false for `return exchange_refuse(...)`.
bool exchange_refuse(struct exchange *x, enum api_error error, struct slice param, const char *fmt,
                     ...) FARTHING_PRINTF(4, 5);
void exchange_count_inflight(struct exchange *x);
// Calls `then` after that time, in place of what was to be called before.
void exchange_wait(struct exchange *x, int64_t ms, event_callback_fn then);
// The purchase is over: frees the exchange when the reply is over too.
void exchange_release(struct exchange *x);
// The drain is over: clients that still wait are told so.
void exchange_shut_down_all(struct flow *f);
// The loop ends: what still runs has no client any more, and leaves its row.
void exchange_end_all(struct flow *f);

// --------------------------------------------------- stations, in their order
// Each returns true to go on; false when it ended the exchange or waits.

bool station_receive(struct exchange *x);   // receive.c
bool station_identify(struct exchange *x);  // identify.c
bool station_normalize(struct exchange *x); // normalize.c
bool station_admit(struct exchange *x);     // admit.c
bool station_step(struct exchange *x);      // reserve.c
bool station_recall(struct exchange *x);    // recall.c
bool station_join(struct exchange *x);      // join.c
bool station_classify(struct exchange *x);  // classify.c
bool station_plan(struct exchange *x);      // plan.c
bool station_reserve(struct exchange *x);   // reserve.c
bool station_dispatch(struct exchange *x);  // dispatch.c
void station_judge(struct exchange *x, const struct attempt_result *result); // judge.c
void station_settle(struct exchange *x);    // settle.c
void station_record(struct exchange *x);    // record.c

enum provider_dialect exchange_dialect(const struct exchange *x); // of the candidate being tried
struct slice record_cache_word(const struct exchange *x); // x-farthing-cache

// Asks the next model of the chain, for this reason and if there is one; false:
// it is over. `violation`: what was wrong with the answer, in words; chain.c.
bool chain_next(struct exchange *x, enum config_escalation why, struct slice violation);
bool chain_has_room(const struct exchange *x); // for one more attempt, at whichever model; chain.c
bool chain_goes_on(const struct exchange *x, enum config_escalation why); // chain_next would
// Refuses with all that was tried, where more than one model was; chain.c.
bool chain_refuse(struct exchange *x);
enum config_escalation chain_reason_of_end(enum attempt_end end);
enum config_escalation chain_reason_of_status(const struct exchange *x); // GATE_NONE: none
const struct classifier *routing_classifier(const struct routing *r);
// The vectors of the classifier's examples: by one of all loops, and not again at once.
bool routing_may_ask_examples(struct routing *r, int64_t now_ms);
const struct gate_book *routing_gates(const struct routing *r);
// Documents keep their memory: taken from the loop's spare ones, and given back;
// NULL is fine; flow.c.
struct json_doc *flow_take_doc(struct flow *f);
void flow_give_doc(struct flow *f, struct json_doc *doc);

bool settle_has_bought(const struct exchange *x); // tokens, for money
void settle_add_usage(struct api_usage *sum, const struct api_usage *more);
// Of all attempts; false: not known.
bool settle_total(const struct exchange *x, struct money *total);

// Tries again after a pause where the policy says so; judge.c.
bool judge_retry(struct exchange *x, enum attempt_end end, int status);
// Holds a whole answer against what was asked for: true when another model is
// asked instead; judge.c.
bool judge_by_gate(struct exchange *x, struct slice answer);
// More came of a whole answer than is kept: it is not waited for; judge.c.
void judge_too_large(struct exchange *x);
// Whose fault it is that an attempt ended so: the row's ended_by, and the code; judge.c.
enum api_error judge_blame(struct exchange *x, enum attempt_end end);
// No answer came, or none that can be used: an error to the client; judge.c.
void judge_unanswered(struct exchange *x, const struct attempt_result *result);

// Gives up the seat in a queue, if it has one, and notes the wait; admit.c.
void admit_leave(struct exchange *x);
// What the request says of its own size, read when it is first asked for; input.c.
const struct provider_request *input_asked(struct exchange *x);
// The estimate of the input, made when it is first asked for; input.c.
struct estimate input_estimate(struct exchange *x, struct slice model);
// Before the client's request goes: what may be needed of it later; input.c.
void input_keep_before_leaving(struct exchange *x);
// Some of it lies at the provider; input.c.
bool input_is_unseen(const struct exchange *x);
// Makes the estimate of one in some, so that it is good when it is needed; input.c.
void input_estimate_to_learn(struct exchange *x);
// Applies caps and context budgets, by edits; false when it refused; caps.c.
bool caps_apply(struct exchange *x);
// What of the answer depends on what the file changes in the request; caps.c.
void caps_variant(struct exchange *x, struct buffer *out);
// What was lowered, for the row, once; caps.c.
struct slice caps_text(struct exchange *x);
// What is left in the budgets that apply, for its answer's head; reserve.c.
config_pico reserve_remaining(struct exchange *x);
// Lowers the output cap, of one choice, in the request as it is sent; caps.c.
void caps_lower_output(struct exchange *x, int64_t cap);
// The body as it is sent; the parsed request is not needed any more; plan.c.
void plan_make_body(struct exchange *x);
// Headers that say that a request may come more than once; false when it
// refused; repeat.c.
bool repeat_read(struct exchange *x);
// Claims the key and looks for its result; serves it, or goes on to recall_go_on.
void repeat_claim(struct exchange *x);
// Looks (again): serves, or goes on to recall_go_on, with a seat to join_go_on.
void repeat_look(struct exchange *x);
bool repeat_must_look_again(const struct exchange *x);
// For a client's retry: serves what was bought for it a moment ago.
bool repeat_serve_recent(struct exchange *x);
// Writes a result down under the key that is claimed, if one is.
void repeat_record(struct exchange *x, const struct cache_answer *answer, int status);
// The same, and for retries.
void repeat_remember(struct exchange *x, const struct cache_answer *answer);
bool repeat_is_of_retry(const struct exchange *x, int64_t created_ms);
void repeat_release(struct exchange *x);
// A finished record, or (422) one of another request; takes over the entry.
void repeat_serve(struct exchange *x, struct cache_entry *entry);
bool repeat_refuse_mismatch(struct exchange *x);
// Holders of the key elsewhere buy under this.
void repeat_take_purchase(struct exchange *x, const struct cache_key *purchase);
// May the tenant use this route? NULL: what no route fits; normalize.c.
bool normalize_permits(const struct config_tenant *tenant, const struct config_route *route);
// Many clients stand behind this tenant's name, each with a provider key of its own; normalize.c.
bool normalize_tenant_is_shared(const struct exchange *x);
// What an answer to it belongs to, and may be purged by; normalize.c.
void normalize_tag(const struct exchange *x, struct cache_answer *answer);
struct slice normalize_key_text(const struct exchange *x); // of its cache key
void recall_go_on(struct exchange *x); // recall.c: the exact cache, and what follows it
void join_go_on(struct exchange *x);   // join.c: with its seat
// The run's caps allow one more attempt; else refused_by says why not; reserve.c.
bool reserve_attempt(struct exchange *x);
// The reservation ends, at the real cost or at nothing. Idempotent; reserve.c.
void reserve_settle(struct exchange *x);

// What the client said under one name, as header x-farthing-NAME or metadata
// farthing_NAME; identify.c.
void attributes_read(struct exchange *x);
// False when it refused: an operator has blocked the key, or its tenant; identify.c.
bool identify_unblocked(struct exchange *x);
// For a request that was refused before: whose was it? identify.c.
void identify_for_the_row(struct exchange *x);
// Removes the metadata twins from what goes upstream; identify.c.
void attributes_strip(struct exchange *x, struct json_edits *edits);

// ----------------------------------------------------- what Farthing asks itself

// Asks its route's shadow tier the same, where there is one; when its client has its
// answer; shadow.c.
void shadow_follow(struct exchange *x);
// Asks for the text's vector: true when it is waited for; vectors.c.
bool vectors_ask(struct exchange *x, struct slice text);
void vectors_leave(struct exchange *x); // it is not wanted any more

// ------------------------------------------------------------------ outcome.c

// What a gate said of an answer that is complete, or of its beginning.
void outcome_note(struct exchange *x, bool ok, struct slice reason);
void outcome_keep_prompt(struct exchange *x, const struct classify_texts *texts);
void outcome_record(struct exchange *x);

// ------------------------------------------------------------------- replies

// Whose limit a ticket is: the tenant's, its key's, the route's, in the order
// in which they are asked.
enum admit_kind { ADMIT_TENANT, ADMIT_KEY, ADMIT_ROUTE };
int64_t admit_retry_after_s(int64_t wait_ms); // at least one; admit.c
// The tokens that were really used, in the rates: before the client has its answer,
// and may ask again at once, on another loop. Once; admit.c.
void admit_settle(struct exchange *x);
// What the answer's header says of the limits; rate_headers.c.
enum { ADMIT_HEADERS_MAX = 16 };
size_t admit_headers(struct exchange *x, struct api_header out[ADMIT_HEADERS_MAX]);
// Headers of the contract for this exchange; reply.c. Returns how many.
enum { REPLY_HEADERS_MAX = 64 };
size_t reply_headers(struct exchange *x, struct api_header out[REPLY_HEADERS_MAX]);
void reply_whole(struct exchange *x, int status, struct slice body);
struct slice reply_answered_by(const struct exchange *x); // "provider/model", by its own name
void reply_begin(struct exchange *x);
// Bytes of a stream to the client; pauses the attempt when the client is slow.
void reply_stream(struct exchange *x, struct slice bytes);
void reply_models(struct exchange *x); // models.c
void reply_from_cache(struct exchange *x); // recall.c

// ------------------------------------------------------ shared purchases, join.c

void join_publish(struct exchange *x, struct slice bytes); // a leader's stream, as its client gets it
void join_give(struct exchange *x, enum flight_end end, const struct cache_answer *answer);
void join_give_error(struct exchange *x); // the provider's, where all would get it
bool join_is_needed(const struct exchange *x); // others wait for this purchase
// Only who has its key, or a retry of it, can share its purchase.
bool join_is_for_one_sender(const struct exchange *x);
void join_drained(struct exchange *x);         // the client takes more
void join_serve_kept(struct exchange *x, struct cache_entry *entry); // of the cache; takes it over
void join_be_led(struct exchange *x); // it has led, and follows now
void join_leave(struct exchange *x);           // a leader that gave nothing has failed

// ------------------------------------------------------- other instances, ask.c

// A leader goes on to buy, unless another instance does, or it is found meanwhile.
void ask_before_buying(struct exchange *x, const struct cache_key *key, bool streams);
// Holds the key, looks for its record, and goes on to recall_go_on.
void ask_for_key(struct exchange *x);
// Its purchase is over, and nobody else has been told yet.
void ask_finish(struct exchange *x, enum flight_end end, const struct cache_answer *answer);
void ask_leave(struct exchange *x); // waits for no answer any more
void ask_release_key(struct exchange *x);

// -------------------------------------------------------------------- others

bool dispatch_is_open(struct exchange *x, const struct route_candidate *c); // its breaker
void dispatch_again(struct exchange *x);        // dispatch.c: the same once more
void dispatch_note_reason(struct exchange *x, struct slice reason); // why the last attempt ended
void dispatch_cancel(struct exchange *x, struct slice reason); // as the attempt's row says it
void dispatch_client_gone(struct exchange *x);
void stream_open(struct exchange *x);           // stream.c
void stream_data(struct exchange *x, struct slice bytes);
void stream_observe(struct exchange *x); // one that passes through: read on its way, not led
void stream_look_at(struct exchange *x, struct slice bytes);
void stream_done(struct exchange *x, const struct attempt_result *result);
bool stream_is_done(const struct exchange *x); // its last event has come
// The comment line with the final figures, for a stream whose route asks for it.
void stream_summary(struct exchange *x, struct buffer *line);
// The proxy ends: the client of a begun stream is told by an error event.
void stream_shut_down(struct exchange *x);
void remember(struct exchange *x, struct slice whole_answer); // recall.c: into the cache
struct cache_answer recall_head_of(const struct exchange *x); // what is kept, but its body; recall.c

struct price_book *price_book_new(const struct config *config, struct prices *prices);
void price_book_free(struct price_book *b);
// NULL: unknown. Valid until the next call. An exchange of an older snapshot
// is priced by that snapshot.
const struct price *price_book_find(struct price_book *b, const struct config *config,
                                    const struct route_candidate *c, struct slice service_tier);

#endif
