// The tables of providers, models and tiers.
#include "spec_tables.h"

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

const struct spec_section spec_provider =
    SECTION("provider", "", true, provider_keys,
            "Where answers come from.");

const struct spec_section spec_provider_retry =
    SECTION("retry", "provider", false, retry_keys,
            "When an attempt failed.");

const struct spec_section spec_provider_breaker =
    SECTION("breaker", "provider", false, breaker_keys,
            "When a provider fails again and again.");

const struct spec_section spec_model =
    SECTION("model", "", true, model_keys,
            "What is known of a model; its title is provider/model.");

const struct spec_section spec_tier =
    SECTION("tier", "", true, tier_keys,
            "Models of one class.");
