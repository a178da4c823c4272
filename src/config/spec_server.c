// The tables of what is there once: listeners, store, cache, log.
#include "spec_tables.h"

static const struct spec_key server_keys[] = {
    {"listen", SPEC_LIST, 0, 0, AT(config_server, listen), CONFIG_API_LISTEN_DEFAULT, 0, 0,
     "Addresses of the API, host:port or [v6]:port."},
    {"admin_listen", SPEC_TEXT, 0, 0, AT(config_server, admin_listen), CONFIG_ADMIN_LISTEN_DEFAULT,
     0, 0, "Address of metrics, health and status."},
    {"workers", SPEC_SPECIAL, 0, 0, 0, "auto", 1, 64,
     "Event loops: \"auto\" (one a core) or a number."},
    {"max_body", SPEC_SIZE, 0, 0, AT(config_server, max_body_bytes), "32m", 1024, INT64_C(1) << 30,
     "Largest request body; over it 413."},
    {"max_headers_size", SPEC_SIZE, 0, 0, AT(config_server, max_header_bytes), "32k", 1024, 1 << 20,
     "Request line and header fields together; over it 431."},
    {"max_headers", SPEC_COUNT, 0, 0, AT(config_server, max_headers), "100", 8, 1000,
     "Number of header fields; over it 431."},
    {"header_timeout", SPEC_DURATION, 0, 0, AT(config_server, header_timeout_ms), "10s", 10, DAY_MS,
     "Time to send the whole head of a request."},
    {"body_timeout", SPEC_DURATION, 0, 0, AT(config_server, body_timeout_ms), "30s", 10, DAY_MS,
     "Longest pause while a body is sent."},
    {"keepalive_timeout", SPEC_DURATION, 0, 0, AT(config_server, keepalive_timeout_ms), "75s", 10,
     DAY_MS, "How long an idle connection is kept."},
    {"write_timeout", SPEC_DURATION, 0, 0, AT(config_server, write_timeout_ms), "60s", 10, DAY_MS,
     "Longest time without progress while a client reads its answer."},
    {"stream_buffer", SPEC_SIZE, 0, 0, AT(config_server, stream_buffer_bytes), "64k", 1024,
     64 << 20, "Unsent bytes of a stream over which the provider is paused."},
    {"max_connections", SPEC_NUMBER, 0, 0, AT(config_server, max_connections), "0", 0, 10000000,
     "Client connections a worker; 0: no limit."},
    {"drain_timeout", SPEC_DURATION, 0, 0, AT(config_server, drain_timeout_ms), "30s", 0, DAY_MS,
     "How long running exchanges may take to finish after SIGTERM."},
    {"tls_certificate", SPEC_TEXT, 0, 0, AT(config_server, tls_certificate), NULL, 0, 0,
     "PEM file with the certificate chain; with tls_key, the API speaks TLS 1.2 and up."},
    {"tls_key", SPEC_TEXT, 0, 0, AT(config_server, tls_key), NULL, 0, 0, "PEM file with its key."},
};

static const struct spec_key store_keys[] = {
    {"kind", SPEC_SPECIAL, 0, 0, 0, "embedded", 0, 0,
     "\"embedded\", or \"redis\": cache and results under Idempotency-Keys are shared."},
    {"path", SPEC_TEXT, 0, 0, AT(config_store, path), "farthing-data", 0, 0,
     "Directory of the embedded store; of either kind, for this instance's own tables."},
    {"url", SPEC_SECRET, 0, 0, AT(config_store, url), NULL, 0, 0,
     "Address of a Redis: redis://, redis+unix://, redis+sentinel:// or redis+cluster://; "
     "rediss... with TLS."},
    {"password", SPEC_SECRET, 0, 0, AT(config_store, redis.password), NULL, 0, 0,
     "Its password, when it is not to stand in the url."},
    {"sentinel_user", SPEC_TEXT, 0, 0, AT(config_store, redis.sentinel_user), NULL, 0, 0,
     "User at the sentinels of redis+sentinel://, which have users of their own."},
    {"sentinel_password", SPEC_SECRET, 0, 0, AT(config_store, redis.sentinel_password), NULL, 0, 0,
     "Password at the sentinels; not set: they ask for none."},
    {"ca_file", SPEC_TEXT, 0, 0, AT(config_store, redis.ca_file), NULL, 0, 0,
     "PEM file of the authorities that a Redis with TLS is judged by; not set: the system's."},
    {"certificate", SPEC_TEXT, 0, 0, AT(config_store, redis.certificate), NULL, 0, 0,
     "PEM file with a client certificate for it; with key."},
    {"key", SPEC_TEXT, 0, 0, AT(config_store, redis.key), NULL, 0, 0,
     "PEM file with that certificate's key."},
    {"tls_verify", SPEC_BOOL, 0, 0, AT(config_store, redis.tls_verify), "true", 0, 0,
     "Is its certificate checked? false is for trials: anybody can be this Redis."},
    {"connect_timeout", SPEC_DURATION, 0, 0, AT(config_store, redis.connect_timeout_ms), "1s", 10,
     60000, "Longest time for a connection to it: name, TLS and greeting together."},
    {"command_timeout", SPEC_DURATION, 0, 0, AT(config_store, redis.command_timeout_ms), "50ms", 1,
     10000, "Longest time that a request waits for it; after it, as if nothing were there."},
    {"max_value", SPEC_SIZE, 0, 0, AT(config_store, redis.max_value_bytes), "8m", 1024, 256 << 20,
     "Largest value that is kept there."},
    {"max_size", SPEC_SIZE, 0, 0, AT(config_store, max_bytes), "1g", 1 << 20, INT64_C(1) << 42,
     "Bound of the cache on disk."},
};

static const struct spec_key store_failure_keys[] = {
    {"idempotency", SPEC_SPECIAL, 0, 0, 0, "refuse", 0, 0,
     "Requests with an Idempotency-Key: \"refuse\" (503), or \"local\" (by what this instance "
     "knows: another may buy the same again)."},
    {"budgets", SPEC_SPECIAL, 0, 0, 0, "closed", 0, 0,
     "Budgets: \"closed\" (no more than what this instance holds of them already), or \"open\" "
     "(counted by this instance, and added when Redis is back: they may be overspent)."},
    {"limits", SPEC_SPECIAL, 0, 0, 0, "local", 0, 0,
     "Rates and places: \"local\" (an even share of them for each instance), or \"closed\" (503 for what it does not hold already)."},
};

static const struct spec_key cache_keys[] = {
    {"enabled", SPEC_BOOL, 0, 0, AT(config_cache, enabled), "true", 0, 0,
     "Is there a cache at all?"},
    {"memory", SPEC_SIZE, 0, 0, AT(config_cache, memory_bytes), "256m", 1 << 16, INT64_C(1) << 40,
     "Memory for answers, shared by all workers."},
    {"ttl", SPEC_DURATION, 0, 0, AT(config_cache, ttl_ms), "1h", 0, 3650 * DAY_MS,
     "How long an answer is kept unless its route says otherwise."},
    {"max_entry", SPEC_SIZE, 0, 0, AT(config_cache, max_entry_bytes), "4m", 1024, 1 << 30,
     "Largest answer that is kept."},
    {"idempotency_ttl", SPEC_DURATION, 0, 0, AT(config_cache, idempotency_ttl_ms), "24h", 1000,
     90 * DAY_MS, "How long the result of a request with an Idempotency-Key is kept."},
    {"retry_window", SPEC_DURATION, 0, 0, AT(config_cache, retry_window_ms), "60s", 0, HOUR_MS,
     "How long a client's retry (x-stainless-retry-count) is the same request; 0: never."},
};

static const struct spec_key log_keys[] = {
    {"cost_log", SPEC_TEXT, 0, 0, AT(config_log, cost_log), "farthing-data/cost.jsonl", 0, 0,
     "File of cost rows; \"-\": standard output; \"\": none."},
    {"prices", SPEC_TEXT, 0, 0, AT(config_log, prices), NULL, 0, 0,
     "The price catalogue; not set: the installed one."},
    {"level", SPEC_SPECIAL, 0, 0, 0, "info", 0, 0, "debug, info, warning or error."},
};

const struct spec_section spec_server =
    SECTION("server", "", false, server_keys,
            "The listeners and their limits.");

const struct spec_section spec_store =
    SECTION("store", "", false, store_keys,
            "Where state lives.");

const struct spec_section spec_store_on_store_failure =
    SECTION("on_store_failure", "store", false, store_failure_keys,
            "What is done while a shared store is away; cache and single flight are then this "
            "instance's own. Changes with a reload.");

const struct spec_section spec_cache =
    SECTION("cache", "", false, cache_keys,
            "Answers that were bought before.");

const struct spec_section spec_log =
    SECTION("log", "", false, log_keys,
            "What is written down.");
