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

struct config_store {
    enum config_store_kind kind;
    struct slice path; // directory of the embedded store
    struct slice url;  // redis
    int64_t max_bytes; // bound of the cache on disk
};

struct config_cache {
    bool enabled;
    int64_t memory_bytes;
    int64_t ttl_ms;
    int64_t max_entry_bytes;
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
};

struct config_provider {
    struct slice name;
    struct slice dialect;  // "openai" or "anthropic"
    struct slice base_url; // without a trailing slash
    struct slice api_key;  // the secret itself; empty: none
    bool passthrough_key;  // api_key = "passthrough"
    int64_t max_inflight;
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
    unsigned index;
};

enum config_balance { CONFIG_BALANCE_ORDER, CONFIG_BALANCE_LEAST_INFLIGHT, CONFIG_BALANCE_WEIGHTED,
                      CONFIG_BALANCE_LOWEST_LATENCY };

struct config_tier {
    struct slice name;
    const struct config_model **models;
    size_t model_count;
    enum config_balance balance;
};

struct config_rule {
    struct slice name;
    struct config_slices keywords;
    int64_t max_input_tokens; // CONFIG_UNSET: not asked
    int64_t min_input_tokens;
    int no_tools; // 1, 0, CONFIG_UNSET
    const struct config_tier *tier;
};

struct config_classifier {
    const struct config_rule *rules;
    size_t rule_count;
    const struct config_tier *default_tier; // NULL: the first tier
};

enum config_cache_scope { CONFIG_SCOPE_TENANT, CONFIG_SCOPE_USER };

enum config_client_gone { CONFIG_GONE_DEFAULT, CONFIG_GONE_CANCEL, CONFIG_GONE_FINISH, CONFIG_GONE_WAIT };

struct config_route {
    struct slice name;
    // match: every list that is not empty must have a glob that fits.
    struct config_slices match_features;
    struct config_slices match_models;
    struct config_slices match_paths;
    struct config_slices match_tenants;
    const struct config_tier **tiers; // the chain, cheapest first; none: all tiers in order
    size_t tier_count;
    struct config_slices escalate_on;
    int64_t fallback_temperature_milli; // thousandths; CONFIG_UNSET
    int64_t max_output_tokens;
    int64_t max_input_tokens;
    config_pico max_cost;
    bool concise;
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

struct config_budget {
    struct slice name;
    config_pico amount;
    int64_t window_ms; // 0: total
    struct slice feature; // glob; empty: all
};

struct config_tenant {
    struct slice name;
    const uint8_t (*key_digests)[DIGEST_LEN]; // SHA-256 of each key
    size_t key_count;
    struct config_slices routes; // globs of route names it may use; empty: all
    int64_t concurrency, queue, queue_timeout_ms;
    int64_t requests_per_minute, tokens_per_minute;
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
    const struct config_tenant *tenants; // none in the file: one called "default" without keys
    size_t tenant_count;
    bool has_tenant_sections;
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
const struct config_tenant *config_tenant_find(const struct config *c, struct slice name);

// Values as the file spells them; also used for request headers.
bool config_parse_duration(struct slice s, int64_t *ms) FARTHING_MUST_CHECK;   // 250ms 30s 10m 6h 7d
bool config_parse_size(struct slice s, int64_t *bytes) FARTHING_MUST_CHECK;    // 64k 32m 1g
bool config_parse_money(struct slice s, config_pico *out) FARTHING_MUST_CHECK; // "2.50 usd", "2.50"
bool config_parse_rate(struct slice s, int64_t *per_minute) FARTHING_MUST_CHECK; // "600/min"

// The table of keys as Markdown: docs/configuration.md is made from it.
void config_write_reference(struct buffer *out);

#endif
