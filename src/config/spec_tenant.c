// The tables of tenants, their budgets, and of runs.
#include "spec_tables.h"

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

const struct spec_section spec_run =
    SECTION("run", "", false, run_keys,
            "What all requests of one x-farthing-run may take together; not set: no cap.");

const struct spec_section spec_tenant =
    SECTION("tenant", "", true, tenant_keys,
            "Who may ask.");

const struct spec_section spec_tenant_each_key =
    SECTION("each_key", "tenant", false, each_key_keys,
            "Limits of each of its keys.");

const struct spec_section spec_tenant_run =
    SECTION("run", "tenant", false, run_keys,
            "Caps of this tenant's runs; what is not set here is as in the section run of the "
            "file.");

const struct spec_section spec_tenant_budget =
    SECTION("budget", "tenant", true, budget_keys,
            "What a tenant may spend.");
