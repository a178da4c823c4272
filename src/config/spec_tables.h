// What the tables of routing.conf are written with, and their sections. A key that
// is accepted but has no effect in this version says so (not_enforced), and whoever
// uses it is warned.
#ifndef FARTHING_CONFIG_SPEC_TABLES_H
#define FARTHING_CONFIG_SPEC_TABLES_H

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

#define SECTION(name, parent, titled, keys, help)                                                  \
    { name, parent, titled, keys, FARTHING_COUNT(keys), help }

// spec_server.c
extern const struct spec_section spec_server, spec_store, spec_store_on_store_failure, spec_cache,
    spec_log;
// spec_provider.c
extern const struct spec_section spec_provider, spec_provider_retry, spec_provider_breaker,
    spec_model, spec_tier;
// spec_classifier.c
extern const struct spec_section spec_classifier, spec_classifier_rule, spec_classifier_category;
// spec_route.c
extern const struct spec_section spec_route, spec_route_match, spec_route_cache, spec_route_gate,
    spec_route_canary, spec_route_shadow, spec_route_context, spec_task;
// spec_tenant.c
extern const struct spec_section spec_run, spec_tenant, spec_tenant_each_key, spec_tenant_run,
    spec_tenant_budget;

#endif
