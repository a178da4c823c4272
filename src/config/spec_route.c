// The tables of routes, and of what a kind of work may take.
#include "spec_tables.h"

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

const struct spec_section spec_route =
    SECTION("route", "", true, route_keys,
            "How requests of one kind are served; first match wins.");

const struct spec_section spec_route_match =
    SECTION("match", "route", false, match_keys,
            "Which requests; all lists given must fit.");

const struct spec_section spec_route_cache =
    SECTION("cache", "route", false, route_cache_keys,
            "The route's cache policy.");

const struct spec_section spec_route_gate =
    SECTION("gate", "route", false, gate_keys,
            "What an answer must be like; what is not so counts as escalate_on says.");

const struct spec_section spec_route_canary =
    SECTION("canary", "route", false, canary_keys,
            "A tier on trial: a share of the requests begins with it.");

const struct spec_section spec_route_shadow =
    SECTION("shadow", "route", false, shadow_keys,
            "A tier on trial: a share of the requests is asked of it as well; its answers are "
            "judged and recorded, never sent. They are requests of the tenant \"farthing\".");

const struct spec_section spec_route_context =
    SECTION("context", "route", true, context_keys,
            "A budget of one part of the input; its title is system, developer, history, "
            "retrieved, tool_results or total.");

const struct spec_section spec_task =
    SECTION("task", "", true, task_keys,
            "Caps for a kind of work; its title is a glob of features, and the first that fits "
            "counts. Of several caps (route, task, tenant) the lowest counts.");
