// config: routing.conf read into one immutable snapshot.
//
// A snapshot is made on the main thread, is never changed afterwards, and is
// shared by reference count. Every slice and pointer in it lives as long as
// the snapshot. Names refer to each other by pointer (resolved and checked
// when the file is read). "Unset" numbers are CONFIG_UNSET.
#ifndef FARTHING_CONFIG_H
#define FARTHING_CONFIG_H

#include "farthing/base.h"

#define CONFIG_UNSET (-1)
#define CONFIG_API_LISTEN_DEFAULT "127.0.0.1:4000"
#define CONFIG_ADMIN_LISTEN_DEFAULT "127.0.0.1:4001"

// Money in the file: pico-USD (1e-12 USD); prices: pico-USD for a million tokens.
typedef int64_t config_pico;

struct config_slices {
    const struct slice *items;
    size_t count;
};

struct config_server {
    struct config_slices listen; // "host:port", "[v6]:port"
    struct slice admin_listen;
    unsigned workers; // "auto": the number of usable processors
    int64_t max_body_bytes;
    int64_t max_header_bytes;
    unsigned max_headers;
    int64_t header_timeout_ms;     // to send the whole head
    int64_t body_timeout_ms;       // longest pause while sending a body
    int64_t keepalive_timeout_ms;  // idle between requests
    int64_t write_timeout_ms;      // longest pause while reading an answer
    int64_t stream_buffer_bytes;   // unsent bytes of a stream before the provider is paused
    int64_t max_connections;       // 0: unlimited
    int64_t drain_timeout_ms;
    struct slice tls_certificate; // paths; empty: no TLS
    struct slice tls_key;
};

enum config_store_kind { CONFIG_STORE_EMBEDDED, CONFIG_STORE_REDIS };

enum config_redis_kind { CONFIG_REDIS_SINGLE, CONFIG_REDIS_SENTINEL, CONFIG_REDIS_CLUSTER };

struct config_redis_seed {
    struct slice host; // without the brackets of a v6
    unsigned port;
};

enum { CONFIG_REDIS_SEEDS_MAX = 16 };

// Where a Redis is and how it is spoken to; of kind = "redis" only.
struct config_redis {
    // From the url:
    enum config_redis_kind kind;
    bool tls;
    struct slice host;        // of a single one, as a seed's; empty: a socket
    unsigned port;
    struct slice socket_path; // empty: host and port
    // Sentinels, or some of a cluster's nodes.
    struct config_redis_seed seeds[CONFIG_REDIS_SEEDS_MAX];
    size_t seed_count;
    struct slice master;      // its name among the sentinels
    struct slice user;        // empty: Redis's "default"
    struct slice password;    // empty: no AUTH; the key `password` goes before the url's
    unsigned database;
    struct slice sentinel_user, sentinel_password; // for the sentinels; empty: no AUTH
    // Paths; empty: the system's certification authorities, no client certificate.
    struct slice ca_file, certificate, key;
    bool tls_verify;
    int64_t connect_timeout_ms; // name, connection, TLS and greeting together
    int64_t command_timeout_ms; // the longest that a request waits for it
    int64_t max_value_bytes;    // larger values stay where they are
};

// What is done without the shared store, by function (on_store_failure). Cache and
// single flight have no choice: each instance then has its own.
struct config_store_failure {
    bool idempotency_local; // else a request with a key is answered 503
    bool budgets_open;      // else none is granted above what is leased already
    bool limits_closed;     // else each instance keeps an even share of them by itself
};

struct config_store {
    enum config_store_kind kind;
    struct slice path; // directory of the embedded store: journals, whatever the kind
    struct slice url;  // of a shared store
    int64_t max_bytes; // bound of the cache on disk
    struct config_redis redis;
    struct config_store_failure on_failure;
};

struct config_cache {
    bool enabled;
    int64_t memory_bytes;
    int64_t ttl_ms;
    int64_t max_entry_bytes;
    int64_t idempotency_ttl_ms; // results under an Idempotency-Key; default 24 h
    int64_t retry_window_ms;    // a client's retry is the same request; default 60 s, 0: never
};

struct config_retry {
    unsigned attempts; // including the first
    int64_t backoff_ms;
    int64_t backoff_max_ms;
    unsigned budget_percent;
};

struct config_breaker {
    unsigned failures;
    int64_t window_ms;
    int64_t open_for_ms;
    int64_t slow_call_ms; // an attempt that takes longer is as bad as a failure; CONFIG_UNSET
};

// Where a request says no cap and one is to be added: which spelling does the
// provider's chat take? AUTO goes by the model's name.
enum config_output_field { CONFIG_OUTPUT_AUTO, CONFIG_OUTPUT_MAX_TOKENS,
                           CONFIG_OUTPUT_MAX_COMPLETION_TOKENS };

struct config_provider {
    struct slice name;
    struct slice dialect;  // "openai" or "anthropic"
    struct slice base_url; // without a trailing slash
    struct slice api_key;  // the secret itself; empty: none
    bool passthrough_key;  // api_key = "passthrough"
    int64_t max_inflight;   // 0: no limit; with adaptive_inflight: never more than this
    bool adaptive_inflight; // max_inflight = "adaptive"
    enum config_output_field output_cap_field;
    int64_t connect_timeout_ms;
    int64_t first_byte_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t total_timeout_ms;
    bool tls_verify;      // true unless tls_verify = false
    struct slice ca_file; // extra CA; empty: the system's
    struct config_slices pass_headers; // more request headers to pass on (names)
    bool include_usage;   // may stream_options.include_usage be added? default true
    struct config_retry retry;
    struct config_breaker breaker;
    unsigned index; // position in config.providers
};

// Prices in pico-USD per million tokens; CONFIG_UNSET: from the catalogue.
struct config_model {
    struct slice name;           // "openai/gpt-4o-mini"
    struct slice upstream_model; // its name at the provider
    const struct config_provider *provider;
    config_pico input_price;
    config_pico cached_input_price;
    config_pico cache_write_price;
    config_pico output_price;
    config_pico reasoning_price;
    int64_t context_window;
    int64_t max_output_tokens;
    int reasoning; // 1, 0, CONFIG_UNSET: by its name
    unsigned index;
};

// ------------------------------------------------- guardrails, in many places

// What one request may ask for. CONFIG_UNSET: no such cap here. Of several
// that apply (route, task, tenant) the lowest counts.
struct config_caps {
    int64_t max_output_tokens;
    int64_t max_input_tokens;
    config_pico max_cost;
    int64_t max_n;
    int64_t max_tools;
};

// How much at once and in a minute. CONFIG_UNSET: no such limit.
struct config_limits {
    int64_t concurrency, queue, queue_timeout_ms;
    int64_t requests_per_minute, tokens_per_minute;
};

// What all requests of one x-farthing-run may take together. CONFIG_UNSET: no cap.
struct config_run {
    int64_t max_steps;    // requests
    int64_t max_attempts; // attempts against providers
    int64_t max_tokens;   // input and output
    int64_t max_wall_ms;  // since its first request
    config_pico max_cost;
};

// Requests of some features: a section task "GLOB".
struct config_task {
    struct slice name; // glob of features
    struct config_caps caps;
};

enum config_effort { CONFIG_EFFORT_UNSET, CONFIG_EFFORT_NONE, CONFIG_EFFORT_MINIMAL,
                     CONFIG_EFFORT_LOW, CONFIG_EFFORT_MEDIUM, CONFIG_EFFORT_HIGH,
                     CONFIG_EFFORT_XHIGH, CONFIG_EFFORT_COUNT };
const char *config_effort_name(enum config_effort e); // "none", "minimal", ...; "" when unset

// Parts of a request's input, each with a budget of its own (a route's section
// context "system" { ... }).
enum config_context_part { CONFIG_CONTEXT_SYSTEM, CONFIG_CONTEXT_DEVELOPER, CONFIG_CONTEXT_HISTORY,
                           CONFIG_CONTEXT_RETRIEVED, CONFIG_CONTEXT_TOOL_RESULTS,
                           CONFIG_CONTEXT_TOTAL, CONFIG_CONTEXT_PART_COUNT };
const char *config_context_part_name(enum config_context_part part); // "system"
enum config_context_action { CONFIG_CONTEXT_REJECT, CONFIG_CONTEXT_WARN,
                             CONFIG_CONTEXT_TRIM_OLDEST };

struct config_context {
    enum config_context_part part;
    int64_t max_tokens;
    enum config_context_action action; // TRIM_OLDEST: of history and total only
    int64_t keep_turns;                // trim_oldest: the last turns that stay whole; default 2
    struct config_slices markers;      // retrieved: a text that begins with one of these is
};

enum config_balance { CONFIG_BALANCE_ORDER, CONFIG_BALANCE_LEAST_INFLIGHT, CONFIG_BALANCE_WEIGHTED,
                      CONFIG_BALANCE_LOWEST_LATENCY };

struct config_tier {
    struct slice name;
    const struct config_model **models;
    size_t model_count;
    enum config_balance balance;
    const unsigned *weights; // one a model, 1 where the file says none; for CONFIG_BALANCE_WEIGHTED
};

// What a rule compares: each a signal of classify.h. CONFIG_UNSET: not asked.
struct config_range {
    int64_t min, max;
};

enum config_signal { CONFIG_SIGNAL_INPUT_TOKENS, CONFIG_SIGNAL_TURNS, CONFIG_SIGNAL_TOOLS,
                     CONFIG_SIGNAL_TOOL_RESULTS, CONFIG_SIGNAL_IMAGES, CONFIG_SIGNAL_CODE_BLOCKS,
                     CONFIG_SIGNAL_CODE_LINES, CONFIG_SIGNAL_QUESTIONS, CONFIG_SIGNAL_NUMBERS,
                     CONFIG_SIGNAL_MATH, CONFIG_SIGNAL_SCHEMA_BYTES, CONFIG_SIGNAL_OUTPUT_TOKENS,
                     // Until the client's or the route's; CONFIG_UNSET: it has none.
                     CONFIG_SIGNAL_DEADLINE_MS,
                     // Percent, of this feature at the chain's first tier; CONFIG_UNSET where
                     // too few were seen.
                     CONFIG_SIGNAL_PAST_SUCCESS,
                     CONFIG_SIGNAL_COUNT };

// Scripts of letters, by Unicode's names. OTHER: letters of none of these.
enum config_script {
    CONFIG_SCRIPT_LATIN, CONFIG_SCRIPT_GREEK, CONFIG_SCRIPT_CYRILLIC, CONFIG_SCRIPT_ARMENIAN,
    CONFIG_SCRIPT_HEBREW, CONFIG_SCRIPT_ARABIC, CONFIG_SCRIPT_DEVANAGARI, CONFIG_SCRIPT_BENGALI,
    CONFIG_SCRIPT_GURMUKHI, CONFIG_SCRIPT_GUJARATI, CONFIG_SCRIPT_TAMIL, CONFIG_SCRIPT_TELUGU,
    CONFIG_SCRIPT_KANNADA, CONFIG_SCRIPT_MALAYALAM, CONFIG_SCRIPT_SINHALA, CONFIG_SCRIPT_THAI,
    CONFIG_SCRIPT_LAO, CONFIG_SCRIPT_TIBETAN, CONFIG_SCRIPT_MYANMAR, CONFIG_SCRIPT_GEORGIAN,
    CONFIG_SCRIPT_ETHIOPIC, CONFIG_SCRIPT_KHMER, CONFIG_SCRIPT_HAN, CONFIG_SCRIPT_HIRAGANA,
    CONFIG_SCRIPT_KATAKANA, CONFIG_SCRIPT_HANGUL, CONFIG_SCRIPT_OTHER, CONFIG_SCRIPT_COUNT
};
const char *config_script_name(enum config_script s); // "latin", as the file spells it
bool config_script_find(struct slice name, enum config_script *out) FARTHING_MUST_CHECK;

enum config_outcome { CONFIG_OUTCOME_TIER, CONFIG_OUTCOME_ROUTE, CONFIG_OUTCOME_SCORE };

// All that a rule says must hold; of each list, any of its items.
struct config_rule {
    struct slice name;
    struct slice where;            // "FILE:LINE" of its beginning, for messages
    struct config_slices keywords; // folded case, whole words
    struct config_slices contains; // folded case, anywhere
    struct config_slices patterns; // PCRE2
    struct config_slices features, models, prompt_versions; // globs
    struct config_slices scripts;  // names of enum config_script: any of these is present
    struct config_range signals[CONFIG_SIGNAL_COUNT];
    int no_tools;    // 1: without tools, 0: only with tools, CONFIG_UNSET: not asked
    int json_output; // asks for JSON or a schema: 1, 0, CONFIG_UNSET
    enum config_outcome outcome;
    const struct config_tier *tier;   // NULL unless OUTCOME_TIER
    const struct config_route *route; // NULL unless OUTCOME_ROUTE
    int64_t score_milli;              // OUTCOME_SCORE: -1000 (easy) .. 1000 (hard)
};

// Requests like these examples go to this tier: a classifier's section category.
struct config_category {
    struct slice name;
    struct slice where; // "FILE:LINE" of its beginning, for messages
    struct config_slices examples;
    const struct config_tier *tier;
    int64_t threshold_milli; // of the cosine; default 800
};

struct config_classifier {
    const struct config_rule *rules;
    size_t rule_count;
    const struct config_category *categories;
    size_t category_count;
    // What makes a vector of a text. At most one of table and model is set; neither:
    // hashed n-grams.
    struct slice embedding_table;     // path of a model.safetensors in model2vec's format
    struct slice embedding_tokenizer; // path of its tokenizer.json; beside the table unless set
    const struct config_model *embedding_model; // asked by /v1/embeddings
    struct slice embedding_where;   // "FILE:LINE" of the one that is set, for messages
    int64_t embedding_timeout_ms;   // how long a request waits for it; at most 5, the default
    config_pico embedding_budget;   // for its requests, in a day; CONFIG_UNSET: none
    struct slice capture;           // path of what is kept to learn from; empty: nothing
    const struct config_tier *default_tier; // NULL: the first tier
    struct slice model; // path of a file that farthingctl train wrote; empty: none
    struct slice where; // "FILE:LINE" of `model`, for messages
};

enum config_cache_scope { CONFIG_SCOPE_TENANT, CONFIG_SCOPE_USER };

enum config_client_gone { CONFIG_GONE_DEFAULT, CONFIG_GONE_CANCEL, CONFIG_GONE_FINISH, CONFIG_GONE_WAIT };

// What sends a request on along its chain.
enum config_escalation {
    CONFIG_ESCALATE_ERROR, // no usable answer: connection, 408, 409, 429, 5xx, an error in a 200
    CONFIG_ESCALATE_TIMEOUT,
    CONFIG_ESCALATE_LENGTH,
    CONFIG_ESCALATE_CONTENT_FILTER,
    CONFIG_ESCALATE_EMPTY,
    CONFIG_ESCALATE_REFUSAL,
    CONFIG_ESCALATE_JSON,        // JSON was asked for, and it is none
    CONFIG_ESCALATE_JSON_SCHEMA, // or violates the schema
    CONFIG_ESCALATE_TOOLS,       // unknown tool, or arguments that violate its schema
    CONFIG_ESCALATE_PATTERN,     // gate { must_match, must_not_match }
    CONFIG_ESCALATE_TOO_SHORT,
    CONFIG_ESCALATE_LANGUAGE,
    CONFIG_ESCALATE_REPETITION,
    CONFIG_ESCALATE_CONTEXT, // the input does not fit the model
    CONFIG_ESCALATE_COUNT
};
const char *config_escalation_name(enum config_escalation reason); // "json_schema"

// Streams that are judged: not at all, held back whole, or their beginning.
enum config_gate_streams { CONFIG_GATE_OFF, CONFIG_GATE_BUFFER, CONFIG_GATE_HEAD };

// Who gets the same answer to "am I of the canary?" each time.
enum config_sticky { CONFIG_STICKY_NONE, CONFIG_STICKY_USER, CONFIG_STICKY_RUN,
                     CONFIG_STICKY_FEATURE, CONFIG_STICKY_TENANT };

struct config_canary {
    const struct config_tier *tier; // NULL: no canary. Need not be of the route's chain
    int64_t percent_milli;          // 5000: 5 %
    enum config_sticky sticky;
};

struct config_shadow {
    const struct config_tier *tier; // NULL: no shadow. Need not be of the route's chain
    int64_t percent_milli;
    config_pico budget; // for all shadows of the route, in window_ms; must be set
    int64_t window_ms;  // default 1 day
};

struct config_route {
    struct slice name;
    struct slice where; // "FILE:LINE" of its beginning, for messages
    // match: every list that is not empty must have a glob that fits.
    struct config_slices match_features;
    struct config_slices match_models;
    struct config_slices match_paths;
    struct config_slices match_tenants;
    const struct config_tier **tiers; // the chain, cheapest first; none: all tiers in order
    size_t tier_count;
    uint32_t escalate_on;               // bits: 1u << CONFIG_ESCALATE_...
    int64_t fallback_temperature_milli; // thousandths; CONFIG_UNSET
    int64_t fallback_max_output_tokens; // instead of caps.max_output_tokens; CONFIG_UNSET
    bool fallback_explain;              // adds an instruction that names the violation
    int64_t max_attempts;               // over the whole chain; CONFIG_UNSET
    int64_t deadline_ms;                // of the whole; CONFIG_UNSET
    int64_t quality_target_milli;       // chance that the answer is good enough; CONFIG_UNSET
    struct config_canary canary;
    struct config_shadow shadow;
    int64_t savings_window_ms; // over which its routing must not lose money; default 1 day
    bool auto_disable;         // when it does: its last tier, for all, until it does not any more
    enum config_gate_streams gate_streams;
    int64_t gate_head_tokens;
    struct {
        struct config_slices refusals;         // patterns; none: the built-in ones
        struct config_slices must_match;       // each must be found in the answer
        struct config_slices must_not_match;
        int64_t min_characters;                // CONFIG_UNSET
        struct config_slices scripts; // names of enum config_script: the answer's letters must
                                      // be mostly of these
    } gate;
    struct config_caps caps;
    struct config_limits limits;
    bool concise;
    struct slice concise_text;
    enum config_effort max_reasoning_effort;
    bool budget_may_lower_cap; // budget_fit = "lower_cap" (otherwise "refuse")
    const struct config_context *contexts; // in the order of enum config_context_part
    size_t context_count;
    int64_t idempotency_ttl_ms; // CONFIG_UNSET: the cache section's
    int64_t retry_window_ms;    // CONFIG_UNSET: the cache section's
    bool override_model;
    bool stream_summary;
    enum config_client_gone on_client_gone;
    int64_t on_client_gone_wait_ms;
    struct {
        bool enabled;
        int64_t ttl_ms; // CONFIG_UNSET: the cache section's
        enum config_cache_scope scope;
        bool when_temperature_above_zero;
        bool when_temperature_unset;
    } cache;
    unsigned index;
};

// One counter for all that fits, or one for each value of what it is said to be
// `per`: each user, each run, each key, each feature.
enum config_budget_per { CONFIG_PER_ALL, CONFIG_PER_FEATURE, CONFIG_PER_USER, CONFIG_PER_RUN,
                         CONFIG_PER_KEY };

struct config_budget {
    struct slice name;
    config_pico amount;
    int64_t window_ms; // 0: total
    bool sliding;      // the last window_ms at any time, not a calendar's window
    struct slice timezone; // of calendar windows, "Europe/Berlin"; empty: UTC, also when so named
    struct slice feature;  // glob; empty: all
    bool feature_exact;    // it is no glob: this feature and no other
    struct slice user;     // glob; empty: all
    enum config_budget_per per;
    const int64_t *warn_at_percent; // ascending, 1..100
    size_t warn_at_count;
};

enum config_unpriced { CONFIG_UNPRICED_REFUSE, CONFIG_UNPRICED_ALLOW };

struct config_tenant {
    struct slice name;
    const uint8_t (*key_digests)[DIGEST_LEN]; // SHA-256 of each key
    size_t key_count;
    struct config_slices routes; // globs of route names it may use; empty: all
    struct config_limits limits;
    struct config_limits each_key; // of each of its keys
    struct config_caps caps;
    struct config_run run; // its own, else the top-level section's, key by key
    int64_t priority;      // its weight where tenants wait for one provider: 1..100
    // Where a budget applies and the model has no price: nothing can be promised.
    enum config_unpriced unpriced;
    const struct config_budget *budgets;
    size_t budget_count;
    bool may_override_route; // x-farthing-route, x-farthing-tier; default true
    unsigned index;
};

struct config_log {
    struct slice cost_log; // path; "-" is stdout; empty: none
    struct slice prices;   // path of the price catalogue; empty: the installed one
    enum log_level level;
};

struct config {
    struct slice file; // as given
    struct config_server server;
    struct config_store store;
    struct config_cache cache;
    struct config_classifier classifier;
    struct config_log log;
    const struct config_provider *providers;
    size_t provider_count;
    const struct config_model *models;
    size_t model_count;
    const struct config_tier *tiers;
    size_t tier_count;
    const struct config_route *routes;
    size_t route_count;
    const struct config_task *tasks;
    size_t task_count;
    const struct config_tenant *tenants; // none in the file: one called "default" without keys
    size_t tenant_count;
    bool has_tenant_sections;
    // What Farthing asks for itself, shadows and embeddings, is this tenant's: it is called
    // "farthing", has no keys, and its budgets are those of shadows and embeddings. The last
    // of `tenants`, and counted there; NULL where nothing needs it.
    const struct config_tenant *own;
    struct config_slices warnings; // "FILE:LINE: ..." for settings that are valid but have no effect here
    uint64_t generation; // grows with each snapshot in this process
};

// Reads and validates a file. NULL on failure: messages holds one
// "FILE:LINE: message" a line, each with the value seen, what was expected
// and the nearest known word; as many errors as can be told apart, not only
// the first. Main thread only (libconfuse has global state).
const struct config *config_load(const char *path, struct buffer *messages);
// The same from text, as if it were the contents of `name`.
const struct config *config_load_text(struct slice text, const char *name, struct buffer *messages);

const struct config *config_ref(const struct config *c); // any thread
void config_unref(const struct config *c);               // any thread; NULL is fine

const struct config_provider *config_provider_find(const struct config *c, struct slice name);
const struct config_model *config_model_find(const struct config *c, struct slice name);
const struct config_tier *config_tier_find(const struct config *c, struct slice name);
const struct config_route *config_route_find(const struct config *c, struct slice name);
// The first task whose glob fits; NULL: none, or no feature.
const struct config_task *config_task_for(const struct config *c, struct slice feature);
const struct config_tenant *config_tenant_find(const struct config *c, struct slice name);

// Values as the file spells them; also used for request headers.
bool config_parse_duration(struct slice s, int64_t *ms) FARTHING_MUST_CHECK;   // 250ms 30s 10m 6h 7d
bool config_parse_size(struct slice s, int64_t *bytes) FARTHING_MUST_CHECK;    // 64k 32m 1g
bool config_parse_money(struct slice s, config_pico *out) FARTHING_MUST_CHECK; // "2.50 usd", "2.50"
bool config_parse_rate(struct slice s, int64_t *per_minute) FARTHING_MUST_CHECK; // "600/min"

// The table of keys as Markdown: docs/configuration.md is made from it.
void config_write_reference(struct buffer *out);

#endif
