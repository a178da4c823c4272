// ledger: money, prices, and the cost row: what a request cost, exactly, and
// where that is written down.
#ifndef FARTHING_LEDGER_H
#define FARTHING_LEDGER_H

#include "farthing/api.h"
#include "farthing/base.h"
#include "farthing/config.h"
#include "farthing/store.h"

// ----------------------------------------------------------------- money

// Pico-USD: 1e-12 USD. A price of 0.0001 USD for a million tokens is still
// 100 pico a token; 63 bits hold 9.2 million USD. Sums saturate.
struct money {
    int64_t pico;
};
#define MONEY_ZERO ((struct money){0})
#define MONEY_TEXT_MAX 24

struct money money_add(struct money a, struct money b);
struct money money_sub(struct money a, struct money b);
// Shortest exact decimal, without exponent: "0.00015", "12", "-0.5".
size_t money_format(struct money m, char out[MONEY_TEXT_MAX]);
// "0.05", "2.50 usd"; at most 12 decimals.
bool money_parse(struct slice s, struct money *out) FARTHING_MUST_CHECK;

// ---------------------------------------------------------------- prices

// Pico-USD for a million tokens. Unset (-1) falls back: cached_input,
// cache_write, audio and image input to input; reasoning and audio output to
// output; cache_write_1h to cache_write.
struct price {
    int64_t input, cached_input, cache_write, cache_write_1h, output, reasoning;
    int64_t input_audio, output_audio, cached_audio;
    int64_t request; // pico-USD for each request, or -1
    // Above this many input tokens the whole request is priced by `above`
    // (Gemini, Claude long context). 0: no step.
    int64_t step_above;
    const struct price *above;
};
struct prices; // an immutable catalogue, reference-counted

struct prices *prices_load(const char *path, struct error *err); // conf/prices.json
struct prices *prices_parse(struct slice text, struct error *err); // the same from its text
struct prices *prices_ref(struct prices *p);
void prices_unref(struct prices *p);
struct slice prices_date(const struct prices *p);   // when the catalogue was made
struct slice prices_source(const struct prices *p);
size_t prices_count(const struct prices *p);
// By the provider's name in the config, its host (e.g. "api.openai.com"), and
// the model's name at the provider; dated and "-latest" spellings resolve as
// the catalogue's rules say. service_tier: "" or "default", "batch", "flex",
// "priority". False when unknown.
bool prices_find(const struct prices *p, struct slice provider, struct slice host,
                 struct slice model, struct slice service_tier, int64_t now_ms, struct price *out)
    FARTHING_MUST_CHECK;

// What a model costs as the configuration has it: the catalogue's prices, and over them
// what its own section says. `p` NULL: no catalogue; `own` NULL: it has no section.
// False: not known, but *out may hold what little is. Its steps are the caller's to free.
bool price_configured(const struct prices *p, const struct config_provider *provider,
                      struct slice upstream_model, const struct config_model *own,
                      struct slice service_tier, int64_t now_ms, struct price *out)
    FARTHING_MUST_CHECK;
// What the file's model sets stands over the catalogue's prices, at every length of
// context: steps are copied for it, and are the caller's to free with price_free_steps.
void price_override(struct price *price, const struct config_model *own);
void price_free_steps(struct price *price);
// The host in a provider's base_url, as prices_find asks for it.
struct slice price_host(struct slice base_url);

// Is there a price for all that was used? A half-known cost is not one.
bool price_covers(const struct price *price, const struct api_usage *usage);
// Exact cost: each kind of token counted once (cached and cache-write tokens
// are parts of input, reasoning and audio parts of their totals). Computed in
// 128 bits and rounded up once, to the pico-USD.
struct money price_cost(const struct price *price, const struct api_usage *usage);

// ------------------------------------------------------------- cost rows

// NONE (null in the row): nothing was bought and nothing replayed.
enum ledger_usage_source {
    LEDGER_USAGE_NONE,
    LEDGER_USAGE_PROVIDER,
    LEDGER_USAGE_ESTIMATED,
    LEDGER_USAGE_CACHE,
};

enum ledger_lever {
    LEDGER_SAVED_CACHE, LEDGER_SAVED_COALESCE, LEDGER_SAVED_IDEMPOTENCY, LEDGER_SAVED_RETRY,
    LEDGER_SAVED_ROUTE, LEDGER_SAVED_CAP, LEDGER_SAVED_PROVIDER_CACHE, LEDGER_SAVED_BATCH,
    LEDGER_SAVED_ANSWER, LEDGER_LEVER_COUNT
};

struct cost_attempt {
    struct slice provider, model, tier;
    int status;          // HTTP status, 0: none came
    struct slice reason; // why it ended: "ok", "timeout", "connect", "status", ...
    int64_t latency_ms;
    bool cost_known;
    struct money cost;
};

const char *ledger_lever_name(enum ledger_lever lever);

// Words of rows that mean something to the ledger itself.
#define LEDGER_RULE_OFF "auto_disable" // classifier_rule of what came while its route was off
#define LEDGER_CANARY "canary"         // experiment
#define LEDGER_SHADOW "shadow"         // experiment
#define LEDGER_OWN_TENANT "farthing"   // whose requests are Farthing's own
#define LEDGER_EMBEDDINGS "embeddings" // their feature, where the classifier asked

// One finished exchange. Every slice may be empty (written as null) and is
// only read during the call.
struct cost_row {
    int64_t ts_ms;
    struct slice request_id, tenant_id, feature, user_id, run_id, step_id, route, tier,
        prompt_version, provider, model, requested_model;
    enum api_endpoint endpoint;
    bool stream;
    int status;
    struct slice error_code;
    bool success;
    struct slice finish_reason;
    struct api_usage usage;
    enum ledger_usage_source usage_source;
    bool cost_known; // false: cost_usd is null
    struct money cost;
    const struct cost_attempt *attempts;
    size_t attempt_count;
    struct money retry_cost;
    bool baseline_known;
    struct money baseline_cost;
    struct money saved[LEDGER_LEVER_COUNT]; // zero: left out
    struct slice cache; // hit, miss, ...
    struct slice classifier_rule;
    struct slice signals; // JSON
    struct slice experiment; // canary, shadow
    struct slice shadow_of;  // a shadow: the request_id of whose request it asks again
    struct slice ended_by; // client, provider, limit, budget, deadline, shutdown, farthing, recovered
    struct slice refused_by, queued_for, context_warning;
    struct slice capped; // JSON
    int64_t trimmed_tokens;
    struct money reserved;
    int64_t latency_ms;
    int64_t ttft_ms; // -1: no first token
    int64_t queue_ms;
    int64_t overhead_us;
};

// As one JSON object without the newline. The table of fields in the ledger's
// code is also the journal's columns and the documentation's table.
void cost_row_write(struct buffer *out, const struct cost_row *row);
const struct store_column *cost_row_columns(size_t *count);

void cost_row_write_reference(struct buffer *out); // docs/cost-log.md

struct ledger;

struct ledger_options {
    const char *cost_log;   // path, "-" for stdout, NULL: none
    struct store *store;    // NULL: no table `requests`
    size_t queue_bytes;     // waiting to be written, over which rows are dropped; 0: 64 MiB
};

// Opens the log and starts the one writer thread.
struct ledger *ledger_open(const struct ledger_options *options, struct error *err);
// Serializes on the caller's thread, hands over without blocking, updates the
// metrics of the contract that a row can tell. Any thread.
void ledger_record(struct ledger *l, const struct cost_row *row);
void ledger_reopen(struct ledger *l); // SIGHUP; a renamed or removed file is noticed within a second anyway
void ledger_flush(struct ledger *l);  // waits until all rows so far are written (log and journal); not on a loop
void ledger_close(struct ledger *l);  // flush and stop

// ------------------------------------------------------ what routing saves
//
// Of each route, and of what no route matched (its name is empty): what its requests
// cost within its savings_window, against what the baseline would have cost. Counted
// are requests for which Farthing chose the tier (a classifier_rule, or a canary), and
// what the classifier itself bought (embeddings). Shadows are not.
//
// A route with auto_disable whose net is negative in LEDGER_ROUTE_FLOOR requests or more
// is off until it is not negative any more: what came meanwhile (LEDGER_RULE_OFF) is
// not counted, and what lost money leaves the window in time.
enum { LEDGER_ROUTE_FLOOR = 20 };

struct ledger_saving {
    int64_t requests;
    int64_t unknown; // of these: a price is not known, and they are in no amount
    struct money baseline, cost, retry_cost, classifier_cost;
};
// Baseline less cost less classifier_cost; retry_cost is part of the cost.
struct money ledger_saving_net(const struct ledger_saving *s);

struct ledger_route_view {
    struct slice route; // only during the call
    bool configured, auto_disable, off;
    int64_t window_ms, off_since_ms; // off_since_ms: Unix time; 0: it is on
    struct ledger_saving saving;
};

// The routes of a configuration, whose windows are counted from here on; a route keeps
// its figures by its name. The first call reads them (and which are off) from the table
// of requests, and blocks for it; a window that a later one lengthens fills as requests
// come. Main thread.
void ledger_set_config(struct ledger *l, const struct config *config);
// May its tier not be chosen now? Any thread, without a lock. NULL: the unnamed route.
bool ledger_route_is_off(const struct ledger *l, const struct config_route *route);
// All that are configured, and others that have figures still. Any thread.
void ledger_routes_visit(struct ledger *l, void (*visit)(void *, const struct ledger_route_view *),
                         void *arg);
void ledger_routes_publish(struct ledger *l); // to the gauges, before a scrape

// An SQL expression: a column of ours that holds an amount (below 0 where it takes back one
// that was counted as spent), in pico-USD. Exact, without a float on the way.
#define LEDGER_SQL_PICO(amount)                                                                    \
    "(CAST(" amount " AS INTEGER) * 1000000000000 + "                                              \
    "iif(" amount " LIKE '-%', -1, 1) * iif(instr(" amount ", '.') > 0, "                           \
    "CAST(substr(substr(" amount ", instr(" amount ", '.') + 1) || '000000000000', 1, 12) "        \
    "AS INTEGER), 0))"
// Did Farthing choose the tier of a row?
#define LEDGER_SQL_CHOSEN "(classifier_rule IS NOT NULL OR experiment IS '" LEDGER_CANARY "')"
// Does a row tell what routing cost and what it would have? The baseline is known, or it
// was answered by nobody and only paid for answers that were rejected.
#define LEDGER_SQL_COMPARED                                                                        \
    "(cost_usd IS NOT NULL AND (baseline_cost_usd IS NOT NULL OR cost_usd = retry_cost_usd))"

struct ledger_stats {
    int64_t rows, written, dropped, write_errors;
};
void ledger_stats_get(const struct ledger *l, struct ledger_stats *out);

#endif
