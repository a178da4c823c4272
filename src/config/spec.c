// The table of routing.conf. A key that is accepted but has no effect in this
// version says so (not_enforced), and whoever uses it is warned.
#include "spec.h"

#define AT(type, field) offsetof(struct type, field)
#define DAY_MS          (INT64_C(24) * 3600 * 1000)
#define HOUR_MS         (INT64_C(3600) * 1000)
#define TOKENS_MAX      INT64_C(1000000000)
// What is left up to INT64_MAX is for sums that go over it.
#define MONEY_MAX (9000000 * SPEC_USD)

// The same keys in several sections: caps and limits, which are unset unless given.
// clang-format off
#define UNSET(name, kind, type, field, min, max, help) \
    {name, kind, 0, 0, AT(type, field), NULL, min, max, help}

#define CAPS(type, at) \
    UNSET("max_output_tokens", SPEC_NUMBER, type, at.max_output_tokens, 1, TOKENS_MAX, \
          "Cap on output: lowers what the client asks for, never raises it."), \
    UNSET("max_input_tokens", SPEC_NUMBER, type, at.max_input_tokens, 1, TOKENS_MAX, \
          "Most input, as estimated; more is refused."), \
    UNSET("max_cost", SPEC_MONEY, type, at.max_cost, 1, MONEY_MAX, \
          "Most that one request may cost."), \
    UNSET("max_n", SPEC_NUMBER, type, at.max_n, 1, 1000000, \
          "Most answers to one request (n)."), \
    UNSET("max_tools", SPEC_NUMBER, type, at.max_tools, 0, 1000000, \
          "Most tools that a request may offer; 0: none.")

#define LIMITS(type, at) \
    UNSET("concurrency", SPEC_NUMBER, type, at.concurrency, 1, 1000000, \
          "Requests at once."), \
    UNSET("queue", SPEC_NUMBER, type, at.queue, 0, 1000000, \
          "Requests that may wait for a place; not set: none."), \
    UNSET("queue_timeout", SPEC_DURATION, type, at.queue_timeout_ms, 1, DAY_MS, \
          "Longest wait; not set: 10s."), \
    UNSET("requests", SPEC_RATE, type, at.requests_per_minute, 1, 1000000000, \
          "Rate of requests."), \
    UNSET("tokens", SPEC_RATE, type, at.tokens_per_minute, 1, INT64_C(1000000000000), \
          "Rate of tokens, input and output.")
// clang-format on

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
     "Address of a Redis: redis://, rediss:// (TLS) or redis+unix://."},
    {"password", SPEC_SECRET, 0, 0, AT(config_store, redis.password), NULL, 0, 0,
     "Its password, when it is not to stand in the url."},
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

static const struct spec_key provider_keys[] = {
    {"dialect", SPEC_TEXT, 0, 0, AT(config_provider, dialect), "openai", 0, 0,
     "\"openai\" or \"anthropic\"."},
    {"base_url", SPEC_TEXT, 0, 0, AT(config_provider, base_url), NULL, 0, 0,
     "Where its API begins, as an SDK's base URL."},
    {"api_key", SPEC_SECRET, 0, 0, AT(config_provider, api_key), NULL, 0, 0,
     "Its key; \"passthrough\" sends the client's own."},
    {"max_inflight", SPEC_SPECIAL, 0, 0, 0, "256", 0, 0,
     "Requests in flight to it, all workers together: a number (0: no limit), \"adaptive\" (as "
     "many "
     "as it bears, up to 1024), or \"adaptive 200\" (up to 200)."},
    {"output_cap_field", SPEC_SPECIAL, 0, 0, 0, "auto", 0, 0,
     "How its chat spells a cap on output that the client did not set: \"max_tokens\", "
     "\"max_completion_tokens\", or \"auto\" (by the model's name)."},
    {"connect_timeout", SPEC_DURATION, 0, 0, AT(config_provider, connect_timeout_ms), "5s", 1,
     DAY_MS, "Name look-up, TCP and TLS."},
    {"first_byte_timeout", SPEC_DURATION, 0, 0, AT(config_provider, first_byte_timeout_ms), "60s",
     1, DAY_MS, "From the request being sent to the status line."},
    {"idle_timeout", SPEC_DURATION, 0, 0, AT(config_provider, idle_timeout_ms), "120s", 1, DAY_MS,
     "Longest pause within an answer."},
    {"total_timeout", SPEC_DURATION, 0, 0, AT(config_provider, total_timeout_ms), "10m", 0, DAY_MS,
     "One attempt in all; 0: none."},
    {"tls_verify", SPEC_BOOL, 0, 0, AT(config_provider, tls_verify), "true", 0, 0,
     "Check its certificate."},
    {"ca_file", SPEC_TEXT, 0, 0, AT(config_provider, ca_file), NULL, 0, 0,
     "PEM file of the authorities to trust instead of the system's."},
    {"pass_headers", SPEC_LIST, 0, 0, AT(config_provider, pass_headers), NULL, 0, 0,
     "More request headers that are passed on."},
    {"include_usage", SPEC_BOOL, 0, 0, AT(config_provider, include_usage), "true", 0, 0,
     "Ask for usage in streams whose client did not (false for servers that refuse "
     "stream_options)."},
};

static const struct spec_key retry_keys[] = {
    {"attempts", SPEC_COUNT, 0, 0, AT(config_retry, attempts), "3", 1, 16, "Attempts in all."},
    {"backoff", SPEC_DURATION, 0, 0, AT(config_retry, backoff_ms), "200ms", 0, DAY_MS,
     "First pause; doubles with each attempt, with full jitter."},
    {"backoff_max", SPEC_DURATION, 0, 0, AT(config_retry, backoff_max_ms), "8s", 0, DAY_MS,
     "Longest pause."},
    {"budget_percent", SPEC_COUNT, 0, 0, AT(config_retry, budget_percent), "20", 0, 100,
     "Retries at most, in percent of the requests to it, so that an outage never multiplies "
     "traffic; a few each minute are always allowed."},
};

static const struct spec_key breaker_keys[] = {
    {"failures", SPEC_COUNT, 0, 0, AT(config_breaker, failures), "5", 1, 1000000,
     "Failures within the window that open it."},
    {"window", SPEC_DURATION, 0, 0, AT(config_breaker, window_ms), "30s", 1, DAY_MS, "The window."},
    {"open_for", SPEC_DURATION, 0, 0, AT(config_breaker, open_for_ms), "15s", 1, DAY_MS,
     "How long until it is tried again."},
    {"slow_call", SPEC_DURATION, 0, 0, AT(config_breaker, slow_call_ms), NULL, 1, DAY_MS,
     "An attempt whose first byte takes longer counts as a failure, even if its answer is good; "
     "how long the rest takes does not matter. Not set: none does."},
};

static const struct spec_key model_keys[] = {
    {"upstream_model", SPEC_TEXT, 0, 0, AT(config_model, upstream_model), NULL, 0, 0,
     "Its name at the provider; default: what follows the first slash."},
    {"input_price", SPEC_MONEY, 0, 0, AT(config_model, input_price), NULL, 0, MONEY_MAX,
     "For a million input tokens; not set: the catalogue's. So for the other prices."},
    {"cached_input_price", SPEC_MONEY, 0, 0, AT(config_model, cached_input_price), NULL, 0,
     MONEY_MAX, "Input read from the provider's cache."},
    {"cache_write_price", SPEC_MONEY, 0, 0, AT(config_model, cache_write_price), NULL, 0, MONEY_MAX,
     "Input written to the provider's cache."},
    {"output_price", SPEC_MONEY, 0, 0, AT(config_model, output_price), NULL, 0, MONEY_MAX,
     "Output."},
    {"reasoning_price", SPEC_MONEY, 0, 0, AT(config_model, reasoning_price), NULL, 0, MONEY_MAX,
     "Reasoning, where it is priced apart from output."},
    {"context_window", SPEC_NUMBER, 0, 0, AT(config_model, context_window), NULL, 1, TOKENS_MAX,
     "Tokens of input and output together."},
    {"max_output_tokens", SPEC_NUMBER, 0, 0, AT(config_model, max_output_tokens), NULL, 1,
     TOKENS_MAX, "Most it can answer."},
    {"reasoning", SPEC_FLAG, 0, 0, AT(config_model, reasoning), NULL, 0, 0,
     "Does it reason, and take reasoning_effort? Not set: by its name."},
};

static const struct spec_key tier_keys[] = {
    {"models", SPEC_SPECIAL, 1, 0, 0, NULL, 0, 0, "Models, each \"provider/model\", in order."},
    {"balance", SPEC_SPECIAL, 0, 0, 0, "order", 0, 0,
     "Which of them is asked first: \"order\" (the first), \"least_inflight\", \"weighted\" or "
     "\"lowest_latency\"."},
    {"weights", SPEC_SPECIAL, 1, 0, 0, NULL, 1, 1000,
     "balance = \"weighted\": the share of each model, as many numbers from 1 to 1000 as there are "
     "models; not set: all the same."},
};

static const struct spec_key classifier_keys[] = {
    {"default_tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Where no rule, category or model decides: the tier that \"auto\" begins with; not set: the "
     "first of the chain."},
    {"model", SPEC_TEXT, 0, 0, AT(config_classifier, model), NULL, 0, 0,
     "File of a learned model, which farthingctl train wrote."},
    {"embedding_table", SPEC_TEXT, 0, 0, AT(config_classifier, embedding_table), NULL, 0, 0,
     "What makes vectors for categories: file of a static embedding table in model2vec's format "
     "(model.safetensors). With neither this nor embedding_model: hashed n-grams."},
    {"embedding_tokenizer", SPEC_TEXT, 0, 0, AT(config_classifier, embedding_tokenizer), NULL, 0, 0,
     "File of the table's tokenizer; not set: tokenizer.json beside the table."},
    {"embedding_model", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Or: a model, \"provider/model\", that is asked by /v1/embeddings; its provider's dialect is "
     "openai."},
    {"embedding_timeout", SPEC_DURATION, 0, 0, AT(config_classifier, embedding_timeout_ms), "5ms",
     1, 5,
     "How long a request waits for the answer of embedding_model; later, categories are "
     "passed over."},
    {"embedding_budget", SPEC_MONEY, 0, 0, AT(config_classifier, embedding_budget), NULL, 1,
     MONEY_MAX, "What embedding_model may cost in a day (UTC); not set: no budget."},
    {"capture", SPEC_TEXT, 0, 0, AT(config_classifier, capture), NULL, 0, 0,
     "File that prompts are kept in, with what gates and feedback said of their answers, for "
     "farthingctl train; not set: nothing is kept."},
};

static const struct spec_key category_keys[] = {
    {"examples", SPEC_LIST, 0, 0, AT(config_category, examples), NULL, 0, 0,
     "What users say in requests of this kind. At least one."},
    {"tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "The tier that \"auto\" begins with. Where the route's chain lacks it, the category is passed "
     "over. Must be set."},
    {"threshold", SPEC_MILLI, 0, 0, AT(config_category, threshold_milli), "0.8", 0, 1000,
     "How near the nearest example must be: the cosine, from 0 to 1."},
};

// clang-format off
#define RULE_LIST(name, field, help) \
    {name, SPEC_LIST, 0, 0, AT(config_rule, field), NULL, 0, 0, help}
#define RULE_BOUNDS(name, signal, most, what) \
    UNSET("min_" name, SPEC_NUMBER, config_rule, signals[signal].min, 0, most, \
          "At least so many " what "."), \
    UNSET("max_" name, SPEC_NUMBER, config_rule, signals[signal].max, 0, most, \
          "At most so many " what ".")
#define RULE_RANGE(name, signal, what) RULE_BOUNDS(name, signal, TOKENS_MAX, what)
// clang-format on

static const struct spec_key rule_keys[] = {
    RULE_LIST("keywords", keywords,
              "Any of these, as whole words, in any case, in what users say (not in system or "
              "developer messages, answers or tool results)."),
    RULE_LIST("contains", contains, "The same, but also within words."),
    RULE_LIST("patterns", patterns, "Any of these PCRE2 patterns is found in it."),
    RULE_LIST("features", features, "Globs; the request's feature fits one."),
    RULE_LIST("models", models, "Globs; the requested model fits one."),
    RULE_LIST("prompt_versions", prompt_versions, "Globs; the prompt version fits one."),
    RULE_LIST("scripts", scripts,
              "Letters of any of these are in what users say: latin, greek, cyrillic, han, ... "
              "(Unicode's names), or other."),
    RULE_RANGE("input_tokens", CONFIG_SIGNAL_INPUT_TOKENS, "tokens of input, as estimated"),
    RULE_RANGE("turns", CONFIG_SIGNAL_TURNS, "turns of users"),
    RULE_RANGE("tools", CONFIG_SIGNAL_TOOLS, "tools that are offered"),
    RULE_RANGE("tool_results", CONFIG_SIGNAL_TOOL_RESULTS, "results of tools"),
    RULE_RANGE("images", CONFIG_SIGNAL_IMAGES, "images"),
    RULE_RANGE("code_blocks", CONFIG_SIGNAL_CODE_BLOCKS, "fenced code blocks of users"),
    RULE_RANGE("code_lines", CONFIG_SIGNAL_CODE_LINES, "lines in them"),
    RULE_RANGE("questions", CONFIG_SIGNAL_QUESTIONS, "question marks of users"),
    RULE_RANGE("numbers", CONFIG_SIGNAL_NUMBERS, "numbers that users say"),
    RULE_RANGE("math", CONFIG_SIGNAL_MATH, "marks of mathematics that users make"),
    RULE_RANGE("schema_bytes", CONFIG_SIGNAL_SCHEMA_BYTES, "bytes of JSON Schema for the answer"),
    RULE_RANGE("output_tokens", CONFIG_SIGNAL_OUTPUT_TOKENS,
               "tokens of output that the client allows; where it says nothing, neither min nor "
               "max fits"),
    RULE_RANGE("deadline_ms", CONFIG_SIGNAL_DEADLINE_MS,
               "milliseconds are left until the request's deadline; where it has none, neither min "
               "nor max fits"),
    RULE_BOUNDS("past_success", CONFIG_SIGNAL_PAST_SUCCESS, 100,
                "percent of the answers to this feature from the chain's first tier were good "
                "enough lately, as gates and feedback say; where too few were seen, neither min "
                "nor max fits"),
    {"no_tools", SPEC_FLAG, 0, 0, AT(config_rule, no_tools), NULL, 0, 0,
     "true: no tools are offered; false: some are."},
    {"json", SPEC_FLAG, 0, 0, AT(config_rule, json_output), NULL, 0, 0,
     "true: the answer shall be JSON; false: it need not."},
    {"tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Outcome: the tier that \"auto\" begins with. Where the route's chain lacks it, the rule is "
     "passed over."},
    {"route", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0, "Or: another route, with its chain."},
    {"score", SPEC_MILLI, 0, 0, AT(config_rule, score_milli), NULL, -1000, 1000,
     "Or: from -1 (easy) to 1 (hard): so much less is each tier's chance by the learned model; "
     "without one it is a place in the chain, from the first to the last tier. Exactly one of the "
     "three must be set."},
};

static const struct spec_key route_keys[] = {
    {"tiers", SPEC_SPECIAL, 1, 0, 0, NULL, 0, 0,
     "The chain for \"auto\", cheapest first; not set: all tiers in order."},
    {"escalate_on", SPEC_SPECIAL, 1, 0, 0, "error, timeout, context", 0, 0,
     "What sends a request on along the chain: error, timeout, length, content_filter, empty, "
     "refusal, json, json_schema, tools, pattern, too_short, language, repetition, context."},
    {"fallback_temperature", SPEC_MILLI, 0, 0, AT(config_route, fallback_temperature_milli), NULL,
     0, 2000, "Temperature of later attempts."},
    {"fallback_max_output_tokens", SPEC_NUMBER, 0, 0, AT(config_route, fallback_max_output_tokens),
     NULL, 1, TOKENS_MAX, "Cap on output of later attempts, instead of max_output_tokens."},
    {"fallback_explain", SPEC_BOOL, 0, 0, AT(config_route, fallback_explain), "false", 0, 0,
     "Adds an instruction to later attempts that names what was wrong."},
    {"max_attempts", SPEC_NUMBER, 0, 0, AT(config_route, max_attempts), NULL, 1, 32,
     "Most attempts over the whole chain."},
    {"deadline", SPEC_DURATION, 0, 0, AT(config_route, deadline_ms), NULL, 1, DAY_MS,
     "Most time for the whole chain."},
    {"quality_target", SPEC_MILLI, 0, 0, AT(config_route, quality_target_milli), NULL, 0, 1000,
     "With a learned model: the cheapest tier whose chance of a good answer is at least this is "
     "chosen; 0.8 unless set."},
    {"gate_streams", SPEC_SPECIAL, 0, 0, 0, "off", 0, 0,
     "Are streams judged? \"off\": only what comes before their first byte; \"buffer\": they are "
     "held back as a whole; \"head 200\": so many tokens are held back."},
    {"savings_window", SPEC_DURATION, 0, 0, AT(config_route, savings_window_ms), "1d", 1000,
     90 * DAY_MS,
     "The time over which it is counted what the choice of tiers saved, net of "
     "escalations and retries."},
    {"auto_disable", SPEC_BOOL, 0, 0, AT(config_route, auto_disable), "false", 0, 0,
     "When that is less than nothing, all requests go to the chain's last tier until it is not."},
    CAPS(config_route, caps),
    {"concise", SPEC_BOOL, 0, 0, AT(config_route, concise), "false", 0, 0,
     "Adds the instruction of concise_text to each request."},
    {"concise_text", SPEC_TEXT, 0, 0, AT(config_route, concise_text),
     "Answer directly and concisely; no preamble, no repetition of the question.", 0, 0,
     "The instruction."},
    {"max_reasoning_effort", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Highest reasoning_effort of reasoning models: none, minimal, low, medium, high or xhigh; not "
     "set: the client's."},
    {"budget_fit", SPEC_SPECIAL, 0, 0, 0, "refuse", 0, 0,
     "Where the worst case does not fit a budget: \"refuse\", or \"lower_cap\" (cap the output at "
     "what fits)."},
    LIMITS(config_route, limits),
    {"idempotency_ttl", SPEC_DURATION, 0, 0, AT(config_route, idempotency_ttl_ms), NULL, 1000,
     90 * DAY_MS, "As in the cache section; not set: that one."},
    {"retry_window", SPEC_DURATION, 0, 0, AT(config_route, retry_window_ms), NULL, 0, HOUR_MS,
     "As in the cache section; not set: that one."},
    {"override_model", SPEC_BOOL, 0, 0, AT(config_route, override_model), "false", 0, 0,
     "The route's tiers decide even where the client names a model."},
    {"stream_summary", SPEC_BOOL, 0, 0, AT(config_route, stream_summary), "false", 0, 0,
     "One comment line with the final figures before a stream's [DONE]."},
    {"on_client_gone", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "What happens to a purchase whose client has gone: \"cancel\", \"finish\", or \"wait 15s\"; "
     "not "
     "set: finish with an Idempotency-Key, otherwise cancel."},
};

static const struct spec_key match_keys[] = {
    {"features", SPEC_LIST, 0, 0, AT(config_route, match_features), NULL, 0, 0,
     "Globs; the request's feature must fit one."},
    {"models", SPEC_LIST, 0, 0, AT(config_route, match_models), NULL, 0, 0,
     "Globs; the requested model must fit one."},
    {"paths", SPEC_LIST, 0, 0, AT(config_route, match_paths), NULL, 0, 0,
     "Globs; the path must fit one."},
    {"tenants", SPEC_LIST, 0, 0, AT(config_route, match_tenants), NULL, 0, 0,
     "Globs; the tenant must fit one."},
};

static const struct spec_key gate_keys[] = {
    {"refusals", SPEC_LIST, 0, 0, AT(config_route, gate.refusals), NULL, 0, 0,
     "PCRE2 patterns; an answer in which one is found is a refusal. Not set: built-in ones."},
    {"must_match", SPEC_LIST, 0, 0, AT(config_route, gate.must_match), NULL, 0, 0,
     "PCRE2 patterns; each must be found in the answer (escalate_on pattern)."},
    {"must_not_match", SPEC_LIST, 0, 0, AT(config_route, gate.must_not_match), NULL, 0, 0,
     "PCRE2 patterns; none may be found in the answer (escalate_on pattern)."},
    {"min_characters", SPEC_NUMBER, 0, 0, AT(config_route, gate.min_characters), NULL, 1,
     TOKENS_MAX, "Fewer are too short (escalate_on too_short)."},
    {"scripts", SPEC_LIST, 0, 0, AT(config_route, gate.scripts), NULL, 0, 0,
     "Most letters of the answer must be of these: latin, greek, cyrillic, han, ... (escalate_on "
     "language)."},
};

#define PERCENT(field, help)                                                                       \
    { "percent", SPEC_MILLI, 0, 0, AT(config_route, field), NULL, 1, 100000, help }

static const struct spec_key canary_keys[] = {
    {"tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "The tier; it need not be of the route's chain, which follows it. Must be set."},
    PERCENT(canary.percent_milli,
            "Its share of the requests for which Farthing chooses a tier, such as 5 or 0.5. Must "
            "be set."),
    {"sticky", SPEC_SPECIAL, 0, 0, 0, "none", 0, 0,
     "Who stays with it, or without it: \"none\" (each request anew), or all requests of the same "
     "\"user\", \"run\", \"feature\" or \"tenant\"; those that name none are drawn anew."},
};

static const struct spec_key shadow_keys[] = {
    {"tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "The tier; it need not be of the route's chain. Must be set."},
    PERCENT(shadow.percent_milli,
            "The share of the requests that it is asked too, such as 2 or 0.5. Must be set."),
    {"budget", SPEC_MONEY, 0, 0, AT(config_route, shadow.budget), NULL, 1, MONEY_MAX,
     "What all of them may cost in the window. Must be set."},
    {"window", SPEC_SPECIAL, 0, 0, 0, "1d", 0, 0,
     "1h, 1d, 1w, 1mo (of the calendar, UTC) or total."},
};

static const struct spec_key route_cache_keys[] = {
    {"enabled", SPEC_BOOL, 0, 0, AT(config_route, cache.enabled), "true", 0, 0,
     "Are this route's answers kept?"},
    {"ttl", SPEC_DURATION, 0, 0, AT(config_route, cache.ttl_ms), NULL, 0, 3650 * DAY_MS,
     "How long; not set: the cache section's."},
    {"scope", SPEC_SPECIAL, 0, 0, 0, "tenant", 0, 0, "\"tenant\" or \"user\": who shares answers."},
    {"when_temperature_above_zero", SPEC_BOOL, 0, 0,
     AT(config_route, cache.when_temperature_above_zero), "false", 0, 0,
     "Keep answers that were asked for with temperature above 0."},
    {"when_temperature_unset", SPEC_BOOL, 0, 0, AT(config_route, cache.when_temperature_unset),
     "true", 0, 0, "Keep answers of requests that leave temperature unset."},
};

static const struct spec_key context_keys[] = {
    {"max_tokens", SPEC_NUMBER, 0, 0, AT(config_context, max_tokens), NULL, 1, TOKENS_MAX,
     "Most tokens of this part, as estimated. Must be set."},
    {"action", SPEC_SPECIAL, 0, 0, 0, "reject", 0, 0,
     "When there are more: \"reject\", \"warn\", or (history and total only) \"trim_oldest\"."},
    {"keep_turns", SPEC_NUMBER, 0, 0, AT(config_context, keep_turns), "2", 1, 1000000,
     "trim_oldest: the last turns, which stay whole."},
    {"markers", SPEC_LIST, 0, 0, AT(config_context, markers), NULL, 0, 0,
     "retrieved only: a text that begins with one of these is retrieved context."},
};

static const struct spec_key task_keys[] = {CAPS(config_task, caps)};

static const struct spec_key run_keys[] = {
    {"max_steps", SPEC_NUMBER, 0, 0, AT(config_run, max_steps), NULL, 1, TOKENS_MAX, "Requests."},
    {"max_attempts", SPEC_NUMBER, 0, 0, AT(config_run, max_attempts), NULL, 1, TOKENS_MAX,
     "Attempts against providers."},
    {"max_tokens", SPEC_NUMBER, 0, 0, AT(config_run, max_tokens), NULL, 1, INT64_C(1000000000000),
     "Tokens of input and output."},
    {"max_cost", SPEC_MONEY, 0, 0, AT(config_run, max_cost), NULL, 1, MONEY_MAX, "Money."},
    {"max_wall", SPEC_DURATION, 0, 0, AT(config_run, max_wall_ms), NULL, 1, 365 * DAY_MS,
     "Time since its first request."},
};

static const struct spec_key tenant_keys[] = {
    {"keys", SPEC_SPECIAL, 1, 0, 0, NULL, 0, 0,
     "SHA-256 of its keys, each \"sha256:\" and 64 hex digits."},
    {"routes", SPEC_LIST, 0, 0, AT(config_tenant, routes), NULL, 0, 0,
     "Globs of the routes it may use; not set: all."},
    LIMITS(config_tenant, limits),
    CAPS(config_tenant, caps),
    {"priority", SPEC_NUMBER, 0, 0, AT(config_tenant, priority), "10", 1, 100,
     "Its weight where tenants wait for one provider."},
    {"unpriced", SPEC_SPECIAL, 0, 0, 0, "refuse", 0, 0,
     "Where a budget applies and the model has no price: \"refuse\" or \"allow\"."},
    {"may_override_route", SPEC_BOOL, 0, 0, AT(config_tenant, may_override_route), "true", 0, 0,
     "May it say x-farthing-route and x-farthing-tier?"},
};

static const struct spec_key each_key_keys[] = {LIMITS(config_tenant, each_key)};

static const struct spec_key budget_keys[] = {
    {"amount", SPEC_MONEY, 0, 0, AT(config_budget, amount), NULL, 0, MONEY_MAX,
     "What may be spent; 0: nothing. Must be set."},
    {"window", SPEC_SPECIAL, 0, 0, 0, "total", 0, 0, "1h, 1d, 1w, 1mo or total."},
    {"sliding", SPEC_BOOL, 0, 0, AT(config_budget, sliding), "false", 0, 0,
     "The last hour, day, 7 or 30 days at any time, instead of the calendar's."},
    {"timezone", SPEC_TEXT, 0, 0, AT(config_budget, timezone), NULL, 0, 0,
     "The calendar's, such as \"Europe/Berlin\"; not set: UTC."},
    {"feature", SPEC_TEXT, 0, 0, AT(config_budget, feature), NULL, 0, 0,
     "Glob of the features it is for; not set: all."},
    {"user", SPEC_TEXT, 0, 0, AT(config_budget, user), NULL, 0, 0,
     "Glob of the users it is for; not set: all."},
    {"per", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "The amount is for each feature, user, run or key; not set: for all together."},
    {"warn_at", SPEC_SPECIAL, 1, 0, 0, NULL, 0, 0,
     "Shares of the amount such as \"80%\" at which a warning is given, once a window."},
};

static const struct spec_key log_keys[] = {
    {"cost_log", SPEC_TEXT, 0, 0, AT(config_log, cost_log), "farthing-data/cost.jsonl", 0, 0,
     "File of cost rows; \"-\": standard output; \"\": none."},
    {"prices", SPEC_TEXT, 0, 0, AT(config_log, prices), NULL, 0, 0,
     "The price catalogue; not set: the installed one."},
    {"level", SPEC_SPECIAL, 0, 0, 0, "info", 0, 0, "debug, info, warning or error."},
};

#define SECTION(name, parent, titled, keys, help)                                                  \
    { name, parent, titled, keys, FARTHING_COUNT(keys), help }

static const struct spec_section sections[] = {
    SECTION("server", "", false, server_keys, "The listeners and their limits."),
    SECTION("store", "", false, store_keys, "Where state lives."),
    SECTION("cache", "", false, cache_keys, "Answers that were bought before."),
    SECTION("provider", "", true, provider_keys, "Where answers come from."),
    SECTION("retry", "provider", false, retry_keys, "When an attempt failed."),
    SECTION("breaker", "provider", false, breaker_keys, "When a provider fails again and again."),
    SECTION("model", "", true, model_keys,
            "What is known of a model; its title is provider/model."),
    SECTION("tier", "", true, tier_keys, "Models of one class."),
    SECTION("classifier", "", false, classifier_keys, "How hard is a request?"),
    SECTION("rule", "classifier", true, rule_keys, "One rule; the first that fits wins."),
    SECTION("category", "classifier", true, category_keys,
            "Requests that are like these examples, where no rule decides: the nearest example of "
            "all categories counts."),
    SECTION("route", "", true, route_keys,
            "How requests of one kind are served; first match wins."),
    SECTION("match", "route", false, match_keys, "Which requests; all lists given must fit."),
    SECTION("cache", "route", false, route_cache_keys, "The route's cache policy."),
    SECTION("gate", "route", false, gate_keys,
            "What an answer must be like; what is not so counts as escalate_on says."),
    SECTION("canary", "route", false, canary_keys,
            "A tier on trial: a share of the requests begins with it."),
    SECTION("shadow", "route", false, shadow_keys,
            "A tier on trial: a share of the requests is asked of it as well; its answers are "
            "judged and recorded, never sent. They are requests of the tenant \"farthing\"."),
    SECTION(
        "context", "route", true, context_keys,
        "A budget of one part of the input; its title is system, developer, history, retrieved, "
        "tool_results or total."),
    SECTION("task", "", true, task_keys,
            "Caps for a kind of work; its title is a glob of features, and the first that fits "
            "counts. Of several caps (route, task, tenant) the lowest counts."),
    SECTION("run", "", false, run_keys,
            "What all requests of one x-farthing-run may take together; not set: no cap."),
    SECTION("tenant", "", true, tenant_keys, "Who may ask."),
    SECTION("each_key", "tenant", false, each_key_keys, "Limits of each of its keys."),
    SECTION(
        "run", "tenant", false, run_keys,
        "Caps of this tenant's runs; what is not set here is as in the section run of the file."),
    SECTION("budget", "tenant", true, budget_keys, "What a tenant may spend."),
    SECTION("log", "", false, log_keys, "What is written down."),
};

const struct spec_section *spec_sections(size_t *count) {
    *count = FARTHING_COUNT(sections);
    return sections;
}
