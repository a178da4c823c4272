// Every key of every section: a value that is taken, and values that are
// refused at their line, with what was seen and what would have been right.
// A key without a row here fails the test.
#include "config_fixture.h"
#include "spec.h"

#define MODELS      PROVIDER "tier \"t\" { models = {\"p/m\"} }\n"
#define TENANT_HEAD "tenant \"a\" { keys = {\"" DIGEST_A "\"}\n"

struct row {
    const char *parent, *section, *key;
    const char *valid;   // as the file spells it
    const char *invalid; // NULL: any text is valid
    const char *seen;    // of the invalid value, in the message
    const char *expected;
};

#define DURATION_BAD "\"10 parsecs\"", "10 parsecs", "a duration such as"
#define SIZE_BAD     "\"99999999999g\"", "99999999999g", "a size such as"
#define NUMBER_BAD   "\"many\"", "many", "a whole number"
#define MONEY_BAD    "\"2 eur\"", "2 eur", "an amount such as"
#define RATE_BAD     "\"600\"", "600", "a rate such as"
#define BOOL_BAD     "maybe", "maybe", "true or false"
#define ANY_TEXT     NULL, NULL, NULL
#define RANGE_ROWS(name)                                                                           \
    {"classifier", "rule", "min_" name, "0 tier = t", "-1 tier = t", "-1", "0 to 1000000000"},     \
        {"classifier", "rule", "max_" name, "1000000000 tier = t", "1.5 tier = t", "1.5",          \
         "a whole number"}

static const struct row rows[] = {
    {"", "server", "listen", "{\"127.0.0.1:0\", \"[::1]:0\"}", "{\"nowhere\"}", "nowhere",
     "host:port"},
    {"", "server", "admin_listen", "\"localhost:9\"", "\"127.0.0.1:65536\"", "65536", "host:port"},
    {"", "server", "workers", "4", "65", "65", "from 1 to 64"},
    {"", "server", "workers", "\"auto\"", "0", "0", "\"auto\""},
    {"", "server", "workers", "1", "-1", "-1", "\"auto\""},
    {"", "server", "max_body", "\"1k\"", SIZE_BAD},
    {"", "server", "max_body", "\"1g\"", "\"1025m\"", "1025m", "1k to 1g"},
    {"", "server", "max_body", "1024", "1023", "1023", "1k to 1g"},
    {"", "server", "max_headers_size", "\"32k\"", "\"2m\"", "2m", "1k to 1m"},
    {"", "server", "max_headers", "8", "7", "7", "8 to 1000"},
    {"", "server", "max_headers", "1000", "4294967304", "4294967304", "8 to 1000"},
    {"", "server", "header_timeout", "\"10ms\"", "\"9ms\"", "9ms", "10ms to 1d"},
    {"", "server", "body_timeout", "\"24h\"", "\"25h\"", "25h", "10ms to 1d"},
    {"", "server", "keepalive_timeout", "\"75s\"", DURATION_BAD},
    {"", "server", "write_timeout", "\"60s\"", DURATION_BAD},
    {"", "server", "stream_buffer", "\"64k\"", "\"65m\"", "65m", "1k to 64m"},
    {"", "server", "max_connections", "0", "-1", "-1", "0 to 10000000"},
    {"", "server", "drain_timeout", "\"0s\"", "\"-1s\"", "-1s", "a duration such as"},
    {"", "server", "tls_certificate", "\"c.pem\" tls_key = \"k.pem\"", "\"c.pem\"",
     "tls_certificate", "tls_key together"},
    {"", "server", "tls_key", "\"k.pem\" tls_certificate = \"c.pem\"", "\"k.pem\"", "tls_key",
     "tls_key together"},
    {"", "store", "kind", "\"embedded\"", "\"redis\"", "url", "redis://host"},
    {"", "store", "kind", "redis url = \"redis://h\"", "\"file\"", "file", "embedded"},
    {"", "store", "url", "\"rediss://:p@h/1\" kind = \"redis\" ca_file = \"ca.pem\"",
     "\"redis+sentinel://a,b\" kind = \"redis\"", "url", "names no master"},
    {"", "store", "url", "\"rediss+cluster://a,b\" kind = \"redis\" ca_file = \"ca.pem\"",
     "\"redis+cluster://a,b/1\" kind = \"redis\"", "url", "no databases but 0"},
    {"", "store", "url", "\"redis://u:p@h\" kind = \"redis\"",
     "\"redis://u@h\" kind = \"redis\"", "url", "a user but no password"},
    {"", "store", "password", "\"p\" kind = \"redis\" url = \"redis://u@h\"",
     "\"p\" kind = \"redis\" url = \"redis://:p@h\"", "password", "in one place"},
    {"", "store", "sentinel_user",
     "\"u\" sentinel_password = \"p\" kind = \"redis\" url = \"redis+sentinel://a/m\"",
     "\"u\" kind = \"redis\" url = \"redis+sentinel://a/m\"", "sentinel_user", "expected both"},
    {"", "store", "sentinel_password", "\"p\"", ANY_TEXT},
    {"", "store", "ca_file", "\"ca.pem\"", ANY_TEXT},
    {"", "store", "certificate",
     "\"c.pem\" key = \"k.pem\" kind = \"redis\" url = \"rediss://h\"",
     "\"c.pem\" kind = \"redis\" url = \"rediss://h\"", "certificate", "together"},
    {"", "store", "key", "\"k.pem\" certificate = \"c.pem\" kind = \"redis\" url = \"rediss://h\"",
     "\"k.pem\" kind = \"redis\" url = \"rediss://h\"", "key", "together"},
    {"", "store", "tls_verify", "false", BOOL_BAD},
    {"", "store", "connect_timeout", "\"10ms\"", "\"61s\"", "61s", "10ms to 1m"},
    {"", "store", "command_timeout", "\"1ms\"", "\"11s\"", "11s", "1ms to 10s"},
    {"", "store", "max_value", "\"256m\"", "\"257m\"", "257m", "1k to 256m"},
    {"", "store", "path", "\"x\"", "\"\"", "path", "a directory"},
    {"", "store", "url", "\"redis://h\"", "\"redis://h x\"", "url", "one word"},
    {"", "store", "max_size", "\"1m\"", "\"1023k\"", "1023k", "1m to 4096g"},
    {"store", "on_store_failure", "idempotency", "\"local\"", "\"open\"", "open", "refuse or local"},
    {"store", "on_store_failure", "budgets", "\"open\"", "\"local\"", "local", "closed or open"},
    {"store", "on_store_failure", "limits", "\"closed\"", "\"refuse\"", "refuse", "local or closed"},
    {"", "cache", "enabled", "false", BOOL_BAD},
    {"", "cache", "memory", "\"64k\"", SIZE_BAD},
    {"", "cache", "ttl", "\"0s\"", "\"3651d\"", "3651d", "0 to 3650d"},
    {"", "cache", "max_entry", "\"1k\"", "\"2g\"", "2g", "1k to 1g"},
    {"", "cache", "idempotency_ttl", "\"90d\"", "\"91d\"", "91d", "1s to 90d"},
    {"", "cache", "idempotency_ttl", "\"1s\"", "\"999ms\"", "999ms", "1s to 90d"},
    {"", "cache", "retry_window", "\"1h\"", "\"61m\"", "61m", "0 to 1h"},
    {"", "cache", "retry_window", "0", "\"10 m\"", "10 m", "a duration such as"},
    {"", "provider", "dialect", "\"anthropic\"", "\"OpenAI\"", "OpenAI", "openai or anthropic"},
    {"", "provider", "base_url", "\"https://h:1/v1/\"", "\"ftp://h\"", "ftp://h",
     "http:// or https://"},
    {"", "provider", "api_key", "\"sk\"", "\"s k\"", "api_key", "one word"},
    {"", "provider", "max_inflight", "0", "1000001", "1000001", "0 to 1000000"},
    {"", "provider", "max_inflight", "adaptive", "-1", "-1", "\"adaptive 200\""},
    {"", "provider", "max_inflight", "\"adaptive 200\"", "\"adaptive 0\"", "adaptive 0",
     "adaptive"},
    {"", "provider", "max_inflight", "\"adaptive  1000000\"", "\"adaptive 1000001\"", "1000001",
     "0 to 1000000"},
    {"", "provider", "max_inflight", "7", "\"adaptive200\"", "adaptive200", "\"adaptive 200\""},
    {"", "provider", "max_inflight", "1", "\"adaptive \"", "adaptive ", "\"adaptive 200\""},
    {"", "provider", "max_inflight", "1", "\"\"", "\"\"", "a whole number"},
    {"", "provider", "output_cap_field", "\"max_tokens\"", "\"max_token\"", "\"max_token\"",
     "did you mean \"max_tokens\"?"},
    {"", "provider", "output_cap_field", "auto", "\"max_output_tokens\"", "max_output_tokens",
     "auto, max_tokens or max_completion_tokens"},
    {"", "provider", "connect_timeout", "\"1ms\"", "\"0ms\"", "0ms", "1ms to 1d"},
    {"", "provider", "first_byte_timeout", "\"1s\"", DURATION_BAD},
    {"", "provider", "idle_timeout", "\"1s\"", DURATION_BAD},
    {"", "provider", "total_timeout", "0", "\"2d\"", "2d", "0 to 1d"},
    {"", "provider", "tls_verify", "off", BOOL_BAD},
    {"", "provider", "ca_file", "\"/x.pem\"", ANY_TEXT},
    {"", "provider", "pass_headers", "{\"openai-beta\"}", "{\"a b\"}", "a b", "header field"},
    {"", "provider", "pass_headers", "{\"x-a\", \"x-b\"}", "{\"X-Farthing-Run\"}", "X-Farthing-Run",
     "not passed on"},
    {"", "provider", "pass_headers", "{\"x\"}", "{\"Authorization\"}", "Authorization",
     "not passed on"},
    {"", "provider", "include_usage", "no", BOOL_BAD},
    {"provider", "retry", "attempts", "16", "0", "0", "1 to 16"},
    {"provider", "retry", "backoff", "\"1s\"", DURATION_BAD},
    {"provider", "retry", "backoff_max", "\"1s\"", DURATION_BAD},
    {"provider", "retry", "budget_percent", "100", "101", "101", "0 to 100"},
    {"provider", "breaker", "failures", "1", "0", "0", "1 to 1000000"},
    {"provider", "breaker", "window", "\"1s\"", DURATION_BAD},
    {"provider", "breaker", "open_for", "\"1s\"", DURATION_BAD},
    {"provider", "breaker", "slow_call", "\"20s\"", "0", "0", "1ms to 1d"},
    {"", "model", "upstream_model", "\"a/b\"", ANY_TEXT},
    {"", "model", "input_price", "\"2.50 usd\"", MONEY_BAD},
    {"", "model", "cached_input_price", "0", MONEY_BAD},
    {"", "model", "cache_write_price", "1.25", MONEY_BAD},
    {"", "model", "output_price", "\"10 USD\"", "\"-1 usd\"", "-1 usd", "an amount such as"},
    {"", "model", "reasoning_price", "\"1\"", MONEY_BAD},
    {"", "model", "context_window", "128000", "0", "0", "1 to 1000000000"},
    {"", "model", "max_output_tokens", "1", NUMBER_BAD},
    {"", "model", "reasoning", "true", BOOL_BAD},
    {"", "tier", "models", "{\"p/a\", \"p/b\"}", "{\"q/a\"}", "q/a", "known: p"},
    {"", "tier", "balance", "\"weighted\" models = {\"p/m\"}", "\"random\" models = {\"p/m\"}",
     "random", "order, least_inflight, weighted or lowest_latency"},
    {"", "tier", "weights", "{3} models = {\"p/m\"} balance = weighted",
     "{0} models = {\"p/m\"} balance = weighted", "\"0\"", "1 to 1000"},
    {"", "tier", "weights", "{1, 1000} models = {\"p/a\", \"p/b\"} balance = weighted",
     "{1} models = {\"p/a\", \"p/b\"} balance = weighted", "1 for 2 models", "one for each"},
    {"", "tier", "weights", "{} models = {\"p/m\"}",
     "{1001} models = {\"p/m\"} balance = weighted", "1001", "1 to 1000"},
    {"", "tier", "weights", "{7} models = {\"p/m\"} balance = weighted",
     "{heavy} models = {\"p/m\"} balance = weighted", "heavy", "a whole number"},
    {"", "classifier", "model", "\"m.bin\"", "\"\"", "model", "farthingctl train"},
    {"", "classifier", "default_tier", "\"t\"", "\"u\"", "u", "known: t"},
    {"", "classifier", "embedding_table", "\"e/model.safetensors\"", "\"\"", "\"\" is no file",
     "model.safetensors"},
    {"", "classifier", "embedding_tokenizer", "\"e/tokenizer.json\"", "\"\"", "\"\" is no file",
     "tokenizer.json"},
    {"", "classifier", "embedding_model", "\"p/m\"", "\"p/embed\"", "no model \"p/embed\"",
     "known: p/m"},
    {"", "classifier", "embedding_timeout", "\"5ms\"", "\"6ms\"", "6ms", "1ms to 5ms"},
    {"", "classifier", "embedding_timeout", "\"1ms\"", "0", "0", "1ms to 5ms"},
    {"", "classifier", "embedding_budget", "\"1 usd\"", "0", "0",
     "more than 0 usd to 9000000 usd"},
    {"", "classifier", "capture", "\"outcomes.jsonl\"", ANY_TEXT},
    {"classifier", "category", "examples", "{\"where is it\"} tier = t", "{\"a\", \" \"} tier = t",
     "\" \" says nothing", "what a user says"},
    {"classifier", "category", "tier", "t examples = {\"a\"}", "tt examples = {\"a\"}", "tt",
     "known: t"},
    {"classifier", "category", "threshold", "1 tier = t examples = {\"a\"}",
     "1.001 tier = t examples = {\"a\"}", "1.001", "0 to 1"},
    {"classifier", "category", "threshold", "0 tier = t examples = {\"a\"}",
     "\"-0.1\" tier = t examples = {\"a\"}", "-0.1", "0 to 1"},
    {"classifier", "category", "threshold", "0.875 tier = t examples = {\"a\"}",
     "\"80%\" tier = t examples = {\"a\"}", "80%", "a number such as 0.1"},
    {"classifier", "rule", "keywords", "{\"CVE-\"} tier = \"t\"", "{\"a\", \" \"} tier = t",
     "\" \" is found in every text", "something to look for"},
    {"classifier", "rule", "contains", "{\"refund\"} tier = \"t\"", "{\"\"} tier = t",
     "\"\" is found", "something to look for"},
    {"classifier", "rule", "patterns", "{'\\\\bfor all\\\\b'} tier = \"t\"", "{\"\"} tier = t",
     "patterns: \"\"", "something to look for"},
    {"classifier", "rule", "features", "{\"a*\"} tier = t", ANY_TEXT},
    {"classifier", "rule", "models", "{\"gpt-*\"} tier = t", ANY_TEXT},
    {"classifier", "rule", "prompt_versions", "{\"v1\"} tier = t", ANY_TEXT},
    {"classifier", "rule", "scripts", "{\"han\", \"other\"} tier = t", "{\"hann\"} tier = t",
     "\"hann\" is not valid", "did you mean \"han\"?"},
    RANGE_ROWS("input_tokens"),
    RANGE_ROWS("turns"),
    RANGE_ROWS("tools"),
    RANGE_ROWS("tool_results"),
    RANGE_ROWS("images"),
    RANGE_ROWS("code_blocks"),
    RANGE_ROWS("code_lines"),
    RANGE_ROWS("questions"),
    RANGE_ROWS("numbers"),
    RANGE_ROWS("math"),
    RANGE_ROWS("schema_bytes"),
    RANGE_ROWS("output_tokens"),
    RANGE_ROWS("deadline_ms"),
    {"classifier", "rule", "min_past_success", "0 tier = t", "101 tier = t", "101", "0 to 100"},
    {"classifier", "rule", "max_past_success", "100 tier = t", "\"70%\" tier = t", "70%",
     "a whole number, 0 to 100"},
    {"classifier", "rule", "no_tools", "true tier = \"t\"", "2 tier = \"t\"", "2", "true or false"},
    {"classifier", "rule", "json", "false tier = \"t\"", "2 tier = \"t\"", "2", "true or false"},
    {"classifier", "rule", "tier", "\"t\"", "\"tt\"", "tt", "known: t"},
    {"classifier", "rule", "route", "\"x\" } } route \"x\" { match {",
     "\"y\" } } route \"x\" { match {", "there is no route \"y\"", "known: x"},
    {"classifier", "rule", "score", "0.25", "1.001", "1.001", "-1 to 1"},
    {"classifier", "rule", "score", "-1", "\"-1.5\"", "-1.5", "-1 to 1"},
    {"classifier", "rule", "score", "\"-0.001\"", "hard", "hard", "a number such as"},
    {"", "route", "tiers", "{\"t\"}", "{\"t\", \"nope\"}", "nope", "known: t"},
    {"", "route", "escalate_on", "{\"error\", \"refusal\"}", "{\"errors\"}", "errors",
     "did you mean \"error\"?"},
    {"", "route", "escalate_on", "{}", "{\"length\", \"slow\"}", "slow", "json_schema, tools"},
    {"", "route", "fallback_temperature", "2", "2.001", "2.001", "0 to 2"},
    {"", "route", "fallback_temperature", "0", "\"-0.1\"", "-0.1", "0 to 2"},
    {"", "route", "fallback_max_output_tokens", "1", "0", "0", "1 to 1000000000"},
    {"", "route", "fallback_explain", "yes", BOOL_BAD},
    {"", "route", "max_attempts", "32", "33", "33", "1 to 32"},
    {"", "route", "max_attempts", "1", "0", "0", "1 to 32"},
    {"", "route", "deadline", "\"30s\"", "0", "0", "1ms to 1d"},
    {"", "route", "quality_target", "0.85", "1.1", "1.1", "0 to 1"},
    {"", "route", "gate_streams", "\"off\"", "\"on\"", "\"on\"", "\"head 200\""},
    {"", "route", "gate_streams", "buffer", "\"head\"", "\"head\"", "\"buffer\""},
    {"", "route", "gate_streams", "\"head 1\"", "\"head 0\"", "head 0", "1 to 100000"},
    {"", "route", "gate_streams", "\"head  100000\"", "\"head 100001\"", "100001", "1 to 100000"},
    {"", "route", "savings_window", "\"7d\"", "\"0s\"", "0s", "1s to 90d"},
    {"", "route", "auto_disable", "true", BOOL_BAD},
    {"route", "canary", "tier", "\"t\" percent = 5", "\"u\" percent = 5", "\"u\"", "known: t"},
    {"route", "canary", "percent", "0.001 tier = t", "0 tier = t", "\"0\"", "0.001 to 100"},
    {"route", "canary", "percent", "100 tier = t", "100.001 tier = t", "100.001", "0.001 to 100"},
    {"route", "canary", "percent", "2.5 tier = t", "0.0001 tier = t", "0.0001",
     "a number such as 0.1"},
    {"route", "canary", "percent", "\"5\" tier = t", "\"5%\" tier = t", "5%", "0.001 to 100"},
    {"route", "canary", "sticky", "user tier = t percent = 5", "\"usr\" tier = t percent = 5",
     "\"usr\"", "did you mean \"user\"?"},
    {"route", "canary", "sticky", "none tier = t percent = 5", "\"always\" tier = t percent = 5",
     "always", "none, user, run, feature or tenant"},
    {"route", "shadow", "tier", "t percent = 2 budget = 1", "\"\" percent = 2 budget = 1",
     "no tier \"\"", "known: t"},
    {"route", "shadow", "percent", "100 tier = t budget = 1", "-1 tier = t budget = 1", "-1",
     "0.001 to 100"},
    {"route", "shadow", "percent", "0.5 tier = t budget = 1", "few tier = t budget = 1", "few",
     "a number such as 0.1"},
    {"route", "shadow", "budget", "\"1 usd\" tier = t percent = 2", "0 tier = t percent = 2",
     "\"0\"", "more than 0 usd to 9000000 usd"},
    {"route", "shadow", "budget", "0.000000000001 tier = t percent = 2",
     "\"1 eur\" tier = t percent = 2", "1 eur", "an amount such as"},
    {"route", "shadow", "window", "total tier = t percent = 2 budget = 1",
     "\"2d\" tier = t percent = 2 budget = 1", "2d", "1h, 1d, 1w, 1mo or total"},
    {"route", "gate", "refusals", "{\"^I cannot\"}", "{\"\"}", "\"\"", "something to look for"},
    {"route", "gate", "must_match", "{\"x\"}", "{\"\"}", "\"\"", "something to look for"},
    {"route", "gate", "must_not_match", "{\"x\"}", "{\" \"}", "\" \"", "something to look for"},
    {"route", "gate", "min_characters", "1", "0", "0", "1 to 1000000000"},
    {"route", "gate", "scripts", "{\"latin\"}", "{\"Latin\"}", "Latin", "did you mean \"latin\"?"},
    {"", "route", "max_output_tokens", "1", "0", "0", "1 to 1000000000"},
    {"", "route", "max_input_tokens", "1000000000", NUMBER_BAD},
    {"", "route", "max_cost", "\"0.05 usd\"", MONEY_BAD},
    {"", "route", "max_n", "1", "0", "0", "1 to 1000000"},
    {"", "route", "max_tools", "0", "-1", "-1", "0 to 1000000"},
    {"", "route", "concise", "yes", BOOL_BAD},
    {"", "route", "concise_text", "\"Kurz.\" concise = true", "\"\"", "\"\"",
     "a sentence in UTF-8"},
    {"", "route", "concise_text", "\"\xC3\xBC\" concise = true", "\"a\xC3\"", "concise_text",
     "a sentence in UTF-8"},
    {"", "route", "max_reasoning_effort", "xhigh", "\"hihg\"", "hihg", "did you mean \"high\"?"},
    {"", "route", "max_reasoning_effort", "none", "\"maximal\"", "maximal",
     "none, minimal, low, medium, high or xhigh"},
    {"", "route", "budget_fit", "\"lower_cap\"", "\"lower\"", "\"lower\"", "refuse or lower_cap"},
    {"", "route", "concurrency", "1", "0", "0", "1 to 1000000"},
    {"", "route", "queue", "0", NUMBER_BAD},
    {"", "route", "queue_timeout", "\"1s\"", "0", "0", "1ms to 1d"},
    {"", "route", "requests", "\"600/min\"", RATE_BAD},
    {"", "route", "tokens", "\"10/s\"", RATE_BAD},
    {"", "route", "idempotency_ttl", "\"24h\"", "0", "0", "1s to 90d"},
    {"", "route", "retry_window", "0", "\"2h\"", "2h", "0 to 1h"},
    {"", "route", "override_model", "on", BOOL_BAD},
    {"", "route", "stream_summary", "true", BOOL_BAD},
    {"", "route", "on_client_gone", "\"wait 15s\"", "\"wait\"", "wait", "\"wait 15s\""},
    {"", "route", "on_client_gone", "cancel", "\"wait 15\"", "wait 15", "\"wait 15s\""},
    {"", "route", "on_client_gone", "finish", "\"stop\"", "stop", "\"cancel\""},
    {"", "route", "on_client_gone", "\"wait 1d\"", "\"wait 25h\"", "wait 25h", "at most 1d"},
    {"route", "match", "features", "{\"a*\"}", ANY_TEXT},
    {"route", "match", "models", "{\"auto\"}", ANY_TEXT},
    {"route", "match", "paths", "{\"/v1/*\"}", "{\"/v2/x\"}", "/v2/x", "below /v1/"},
    {"route", "match", "tenants", "{\"a\"}", ANY_TEXT},
    {"route", "cache", "enabled", "false", BOOL_BAD},
    {"route", "cache", "ttl", "\"10m\"", DURATION_BAD},
    {"route", "cache", "scope", "\"user\"", "\"world\"", "world", "tenant or user"},
    {"route", "cache", "when_temperature_above_zero", "true", BOOL_BAD},
    {"route", "cache", "when_temperature_unset", "false", BOOL_BAD},
    {"route", "context", "max_tokens", "2000", "0", "0", "1 to 1000000000"},
    {"route", "context", "action", "\"trim_oldest\" max_tokens = 1", "\"trim\" max_tokens = 1",
     "\"trim\"", "reject, warn or trim_oldest"},
    {"route", "context", "action", "warn max_tokens = 1", "\"rejct\" max_tokens = 1", "rejct",
     "did you mean \"reject\"?"},
    {"route", "context", "keep_turns", "1 max_tokens = 1", "0 max_tokens = 1", "0", "1 to 1000000"},
    {"route", "context", "markers", "{\"<doc>\", \"Context:\"} max_tokens = 1",
     "{\"\"} max_tokens = 1", "\"\" would fit every text", "begin with"},
    {"", "task", "max_output_tokens", "1", "0", "0", "1 to 1000000000"},
    {"", "task", "max_input_tokens", "1000000000", NUMBER_BAD},
    {"", "task", "max_cost", "\"0.05 usd\"", MONEY_BAD},
    {"", "task", "max_n", "1", "0", "0", "1 to 1000000"},
    {"", "task", "max_tools", "0", "-1", "-1", "0 to 1000000"},
    {"", "run", "max_steps", "1", "0", "0", "1 to 1000000000"},
    {"", "run", "max_attempts", "1", "-1", "-1", "1 to 1000000000"},
    {"", "run", "max_tokens", "1000000000000", "1000000000001", "1000000000001",
     "1 to 1000000000000"},
    {"", "run", "max_cost", "\"5 usd\"", "0", "0", "more than 0 usd to 9000000 usd"},
    {"", "run", "max_wall", "\"365d\"", "0", "0", "1ms to 365d"},
    {"", "tenant", "keys", "{\"" DIGEST_A "\"}", "{\"sha256:12\"}", "key 1 of tenant",
     "64 hex digits"},
    {"", "tenant", "routes", "{\"*\"}", ANY_TEXT},
    {"", "tenant", "concurrency", "1", "0", "0", "1 to 1000000"},
    {"", "tenant", "queue", "0", NUMBER_BAD},
    {"", "tenant", "queue_timeout", "\"1s\"", "0", "0", "1ms to 1d"},
    {"", "tenant", "requests", "\"600/min\"", RATE_BAD},
    {"", "tenant", "tokens", "\"10/s\"", RATE_BAD},
    {"", "tenant", "requests", "\"1/min\"", "\"0/min\"", "0/min", "1/min to 1000000000/min"},
    {"", "tenant", "requests", "\"60/h\"", "\"9223372036854775807/s\"", "9223372036854775807/s",
     "1/min to 1000000000/min"},
    {"", "tenant", "tokens", "\"1000000000000/min\"", "\"1000000000001/min\"", "1000000000001",
     "1/min to 1000000000000/min"},
    {"", "tenant", "max_output_tokens", "1", "0", "0", "1 to 1000000000"},
    {"", "tenant", "max_input_tokens", "1000000000", NUMBER_BAD},
    {"", "tenant", "max_cost", "\"0.05 usd\"", MONEY_BAD},
    {"", "tenant", "max_n", "1", "0", "0", "1 to 1000000"},
    {"", "tenant", "max_tools", "0", "-1", "-1", "0 to 1000000"},
    {"", "tenant", "priority", "1", "0", "0", "1 to 100"},
    {"", "tenant", "priority", "100", "101", "101", "1 to 100"},
    {"", "tenant", "unpriced", "allow", "\"allowed\"", "allowed", "did you mean \"allow\"?"},
    {"", "tenant", "may_override_route", "false", BOOL_BAD},
    {"tenant", "each_key", "concurrency", "1", "0", "0", "1 to 1000000"},
    {"tenant", "each_key", "queue", "0", NUMBER_BAD},
    {"tenant", "each_key", "queue_timeout", "\"1s\"", "0", "0", "1ms to 1d"},
    {"tenant", "each_key", "requests", "\"600/min\"", RATE_BAD},
    {"tenant", "each_key", "tokens", "\"10/s\"", RATE_BAD},
    {"tenant", "run", "max_steps", "1", "0", "0", "1 to 1000000000"},
    {"tenant", "run", "max_attempts", "1", "-1", "-1", "1 to 1000000000"},
    {"tenant", "run", "max_tokens", "1000000000000", "1000000000001", "1000000000001",
     "1 to 1000000000000"},
    {"tenant", "run", "max_cost", "\"5 usd\"", "0", "0", "more than 0 usd to 9000000 usd"},
    {"tenant", "run", "max_wall", "\"365d\"", "0", "0", "1ms to 365d"},
    {"tenant", "budget", "amount", "\"50 usd\"", MONEY_BAD},
    {"tenant", "budget", "amount", "0", "-1", "-1", "0 usd to 9000000 usd"},
    {"tenant", "budget", "amount", "\"9000000 usd\"", "\"9000000.000000000001\"",
     "9000000.000000000001", "0 usd to 9000000 usd"},
    {"tenant", "budget", "amount", "1", "\"99999999999999999999 usd\"", "99999999999999999999 usd",
     "0 usd to 9000000 usd"},
    {"tenant", "budget", "window", "\"1mo\" amount = 1", "\"1y\" amount = 1", "1y", "1mo or total"},
    {"tenant", "budget", "sliding", "true amount = 1 window = 1mo", "2 amount = 1", "2",
     "true or false"},
    {"tenant", "budget", "sliding", "false amount = 1", "true amount = 1", "sliding",
     "1h, 1d, 1w or 1mo"},
    {"tenant", "budget", "timezone", "\"UTC\" amount = 1 window = 1d",
     "\"Nowhere/Atall\" amount = 1 window = 1d", "Nowhere/Atall", "expected"},
    {"tenant", "budget", "feature", "\"a*\" amount = 1", ANY_TEXT},
    {"tenant", "budget", "user", "\"a?\" amount = 1", ANY_TEXT},
    {"tenant", "budget", "per", "user amount = 1", "\"users\" amount = 1", "users",
     "feature, user, run or key; did you mean \"user\"?"},
    {"tenant", "budget", "warn_at", "{\"80%\", 95} amount = 1", "{\"0%\"} amount = 1", "\"0%\"",
     "\"1%\" to \"100%\""},
    {"tenant", "budget", "warn_at", "{} amount = 1", "{101} amount = 1", "101", "100%"},
    {"tenant", "budget", "warn_at", "{1, 100} amount = 1", "{\"80%%\"} amount = 1", "80%%", "100%"},
    {"tenant", "budget", "warn_at", "{1} amount = 1", "{\"%\"} amount = 1", "\"%\"", "100%"},
    {"tenant", "budget", "warn_at", "{1} amount = 1", "{\"99.5%\"} amount = 1", "99.5%", "100%"},
    {"", "log", "cost_log", "\"-\"", ANY_TEXT},
    {"", "log", "prices", "\"p.json\"", ANY_TEXT},
    {"", "log", "level", "\"debug\"", "\"loud\"", "loud", "debug, info, warning or error"},
};

static const char *title_of(const struct row *row) {
    if (strcmp(row->section, "model") == 0)
        return "\"p/m\"";
    if (strcmp(row->section, "tier") == 0)
        return "\"u\"";
    if (strcmp(row->section, "context") == 0)
        return strcmp(row->key, "markers") == 0 ? "\"retrieved\"" : "\"history\"";
    return "\"x\"";
}

// The key alone in its section, at the line that is returned.
static int write_text(struct buffer *out, const struct row *row, const char *value) {
    const struct spec_section *section = spec_section_find(row->parent, row->section);
    struct slice name = slice_of(row->section);
    bool provider = slice_equal(name, SLICE("provider"));
    buffer_clear(out);
    BUFFER_LITERAL(out, MODELS);
    if (slice_equal(slice_of(row->parent), SLICE("tenant")))
        BUFFER_LITERAL(out, TENANT_HEAD);
    else if (row->parent[0] != '\0')
        buffer_printf(out, "%s %s {%s\n", row->parent,
                      spec_section_find("", row->parent)->titled ? "\"x\"" : "",
                      strcmp(row->parent, "provider") == 0 ? " base_url = \"http://h\"" : "");
    else
        BUFFER_LITERAL(out, "\n");
    buffer_printf(out, "%s %s {\n", row->section, section->titled ? title_of(row) : "");
    if (provider && strcmp(row->key, "base_url") != 0)
        BUFFER_LITERAL(out, "base_url = \"http://h\"");
    if (slice_equal(name, SLICE("tenant")) && strcmp(row->key, "keys") != 0)
        BUFFER_LITERAL(out, "keys = {\"" DIGEST_A "\"}");
    buffer_printf(out, "\n%s = %s\n}%s\n", row->key, value, row->parent[0] != '\0' ? " }" : "");
    buffer_append_char(out, '\0');
    return 6;
}

static void valid_values_are_taken(void **state) {
    (void)state;
    struct buffer text = {0};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        int line = write_text(&text, &rows[i], rows[i].valid);
        const struct config *c = load_valid(text.ptr);
        char warning[128];
        snprintf(warning, sizeof warning, "t.conf:%d: warning: %s is checked", line, rows[i].key);
        const struct spec_section *section = spec_section_find(rows[i].parent, rows[i].section);
        bool not_enforced = spec_key_find(section, slice_of(rows[i].key))->not_enforced;
        if (warns(c, warning) != not_enforced)
            fail_msg("%s: %s", rows[i].key, not_enforced ? "no warning" : "a warning");
        config_unref(c);
    }
    buffer_free(&text);
}

static void invalid_values_are_refused_at_their_line(void **state) {
    (void)state;
    struct buffer text = {0};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        if (rows[i].invalid == NULL)
            continue;
        int line = write_text(&text, &rows[i], rows[i].invalid);
        refused_at(text.ptr, line, rows[i].seen, rows[i].expected);
        refused_at(text.ptr, line, rows[i].key, NULL);
    }
    buffer_free(&text);
}

static void a_slip_in_a_key_gets_the_nearest_word(void **state) {
    (void)state;
    struct buffer text = {0};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct row slip = rows[i];
        size_t length = strlen(slip.key);
        if (length < 5)
            continue;
        char key[64], wanted[96];
        // The last two letters change places.
        snprintf(key, sizeof key, "%.*s%c%c", (int)length - 2, slip.key, slip.key[length - 1],
                 slip.key[length - 2]);
        if (strcmp(key, slip.key) == 0)
            snprintf(key, sizeof key, "%sx", slip.key);
        slip.key = key;
        int line = write_text(&text, &slip, slip.valid);
        snprintf(wanted, sizeof wanted, "did you mean \"%s\"?", rows[i].key);
        refused_at(text.ptr, line, wanted, key);
    }
    buffer_free(&text);
}

static const struct row *row_of(const struct spec_section *section, const char *key) {
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (strcmp(rows[i].parent, section->parent) == 0 &&
            strcmp(rows[i].section, section->name) == 0 && strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

static void every_key_has_a_row_and_stands_in_the_reference(void **state) {
    (void)state;
    struct buffer reference = {0};
    config_write_reference(&reference);
    size_t count;
    const struct spec_section *const *all = spec_sections(&count);
    struct slice rest = buffer_slice(&reference);
    for (size_t i = 0; i < count; i++) {
        char word[128];
        snprintf(word, sizeof word, "`%s%s`\n", all[i]->name, all[i]->titled ? " \"NAME\"" : "");
        ptrdiff_t at = slice_find(rest, slice_of(word));
        if (at < 0)
            fail_msg("section %s is not in the reference", all[i]->name);
        rest = slice_from(rest, (size_t)at);
        for (size_t k = 0; k < all[i]->key_count; k++) {
            const struct spec_key *key = &all[i]->keys[k];
            if (row_of(all[i], key->name) == NULL)
                fail_msg("%s.%s has no row in this test", all[i]->name, key->name);
            snprintf(word, sizeof word, "| `%s` | ", key->name);
            if (slice_find(rest, slice_of(word)) < 0 || slice_find(rest, slice_of(key->help)) < 0)
                fail_msg("%s.%s is not in the reference", all[i]->name, key->name);
        }
    }
    buffer_free(&reference);
}

static void values_reach_the_snapshot(void **state) {
    (void)state;
    const struct config *c = load_valid(
        "server { listen = {\"127.0.0.1:1\", \"[::1]:2\"} workers = 3 max_headers = 9 }\n"
        "provider \"p\" { base_url = \"https://h/v1///\" dialect = anthropic pass_headers = "
        "{\"a\", \"b\"}\n"
        "  retry { attempts = 2 } total_timeout = 0 }\n"
        "model \"p/x/y\" { upstream_model = \"z\" input_price = \"0.15 usd\" }\n"
        "model \"p/q/w\" { }\n"
        "route \"r\" { on_client_gone = \"wait  2s\" cache { scope = user enabled = off } }\n"
        "tenant \"t\" { keys = {'" DIGEST_A "', \"" DIGEST_B "\"} budget \"b\" { amount = 1 }\n"
        "  budget \"w\" { amount = 1 window = \"1w\" } }\n"
        "log { level = error cost_log = \"\" }\n");
    assert_int_equal(c->server.listen.count, 2);
    assert_int_equal(c->server.workers, 3);
    assert_int_equal(c->server.max_headers, 9);
    assert_slice(c->providers[0].base_url, "https://h/v1");
    assert_slice(c->providers[0].dialect, "anthropic");
    assert_slice(c->providers[0].pass_headers.items[1], "b");
    assert_int_equal(c->providers[0].retry.attempts, 2);
    assert_int_equal(c->providers[0].total_timeout_ms, 0);
    assert_slice(c->models[0].upstream_model, "z");
    assert_int_equal(c->models[0].input_price, INT64_C(150000000000));
    assert_slice(c->models[1].upstream_model, "q/w");
    assert_int_equal(c->routes[0].on_client_gone, CONFIG_GONE_WAIT);
    assert_int_equal(c->routes[0].on_client_gone_wait_ms, 2000);
    assert_int_equal(c->routes[0].cache.scope, CONFIG_SCOPE_USER);
    assert_false(c->routes[0].cache.enabled);
    assert_int_equal(c->tenants[0].key_count, 2);
    assert_int_equal(c->tenants[0].key_digests[1][0], 0x3e);
    assert_int_equal(c->tenants[0].budgets[0].window_ms, 0);
    assert_int_equal(c->tenants[0].budgets[1].window_ms, 604800000);
    assert_int_equal(c->log.level, LOG_ERROR);
    assert_int_equal(c->log.cost_log.len, 0);
    config_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_values_are_taken),
        cmocka_unit_test(invalid_values_are_refused_at_their_line),
        cmocka_unit_test(a_slip_in_a_key_gets_the_nearest_word),
        cmocka_unit_test(every_key_has_a_row_and_stands_in_the_reference),
        cmocka_unit_test(values_reach_the_snapshot),
    };
    return cmocka_run_group_tests_name("config/keys", tests, NULL, NULL);
}
