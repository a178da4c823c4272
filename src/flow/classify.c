// Station 6, classify: how hard is it, and with which tier of its route does it
// begin? Only where the client leaves the choice: "auto", or a route that decides
// itself. Nothing is asked but the request's own words, and, where the file wants
// it, their vector.
#include "exchange.h"

struct classify_reading {
    struct classify_signals signals;
    struct classify_texts texts;
};

static bool is_left_open(const struct exchange *x) {
    bool by_route = x->route != NULL && x->route->override_model;
    return (slice_equal(x->requested_model, SLICE("auto")) || by_route) &&
           x->attributes.tier.len == 0 && x->config->tier_count > 0 && x->body_is_json;
}

// A file that says nothing of it decides nothing.
static bool has_classifier(const struct exchange *x) {
    const struct config_classifier *c = &x->config->classifier;
    return c->rule_count > 0 || c->category_count > 0 || c->model.len > 0 ||
           c->default_tier != NULL || x->attributes.quality.len > 0 ||
           x->flow->shared.outcomes != NULL;
}

static struct classify_reading *read_words(struct exchange *x) {
    struct classify_reading *r = arena_calloc(x->arena, sizeof *r);
    classify_signals(x->endpoint, x->doc, input_estimate(x, x->requested_model).likely, x->arena,
                     &r->signals, &r->texts);
    outcome_keep_prompt(x, &r->texts);
    return r;
}

static int64_t ms_left(const struct exchange *x) {
    if (x->deadline_ms <= 0)
        return CONFIG_UNSET;
    int64_t left = x->deadline_ms - (int64_t)clock_mono_ms();
    return left > 0 ? left : 0;
}

static void keep_signals(struct exchange *x, const struct classify_result *result) {
    struct buffer text = {0};
    classify_result_write(result, &text);
    x->signals = arena_copy(x->arena, buffer_slice(&text));
    buffer_free(&text);
}

static bool read_quality(struct exchange *x, enum classify_quality *out) {
    struct slice said = x->attributes.quality;
    return said.len == 0 || classify_quality_find(said, out) ||
           exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-quality"),
                           "x-farthing-quality must be economy, balanced or best, not \"%.*s\".",
                           SLICE_ARG(said));
}

// False when it refused, or waits for a vector.
static bool classify(struct exchange *x) {
    enum classify_quality quality = CLASSIFY_BALANCED;
    if (!read_quality(x, &quality))
        return false;
    if (x->reading == NULL)
        x->reading = read_words(x);
    if (vectors_ask(x, classify_similar_text(&x->reading->texts, x->arena)))
        return false;
    struct classify_input in = {
        .arena = x->arena,
        .route = x->route,
        .input_tokens = x->reading->signals.values[CONFIG_SIGNAL_INPUT_TOKENS],
        .feature = x->attributes.feature,
        .prompt_version = x->attributes.prompt_version,
        .model = x->requested_model,
        .quality = quality,
        .signals = &x->reading->signals,
        .texts = &x->reading->texts,
        .vector = x->vector,
        .deadline_ms = ms_left(x),
        .past_success_percent = past_percent(x->flow->shared.past, x->tenant->name,
                                             x->attributes.feature,
                                             route_chain_at(x->config, x->route, 0)->name),
    };
    struct classify_result result;
    classify_request(routing_classifier(x->routing), NULL, x->endpoint, x->doc, &in, &result);
    if (result.route != x->route && normalize_permits(x->tenant, result.route)) {
        x->route = result.route;
        x->caps = route_caps(x->route, x->task, x->tenant);
    }
    x->first_tier = result.tier;
    x->classifier_rule = classify_result_name(&result, x->arena);
    keep_signals(x, &result);
    return true;
}

// ------------------------------------------------------------------- canary

static struct slice sticky_value(const struct exchange *x) {
    switch (x->route->canary.sticky) {
    case CONFIG_STICKY_USER:
        return x->attributes.user;
    case CONFIG_STICKY_RUN:
        return x->attributes.run;
    case CONFIG_STICKY_FEATURE:
        return x->attributes.feature;
    case CONFIG_STICKY_TENANT:
        return x->tenant->name;
    case CONFIG_STICKY_NONE:
        break;
    }
    return SLICE_NONE;
}

// Who has nothing to stick to is drawn anew each time.
static bool is_of_canary(const struct exchange *x) {
    struct slice value = sticky_value(x);
    uint64_t lot = random_u64();
    if (value.len > 0) // another one on each route: not always the same users
        lot = balance_session(arena_printf(x->arena, "%.*s %.*s", SLICE_ARG(x->route->name),
                                           SLICE_ARG(value)));
    return (int64_t)(lot % 100000) < x->route->canary.percent_milli;
}

static void choose_canary(struct exchange *x) {
    if (x->route == NULL || x->route->canary.tier == NULL)
        return;
    // Also what the canary leaves: what it is compared with.
    if (x->classifier_rule.len == 0)
        x->classifier_rule = slice_of(classify_by_name(CLASSIFY_BY_DEFAULT));
    if (!is_of_canary(x))
        return;
    x->first_tier = x->route->canary.tier;
    x->is_canary = true;
}

bool station_classify(struct exchange *x) {
    if (!is_left_open(x))
        return true;
    if (ledger_route_is_off(x->flow->shared.ledger, x->route)) {
        x->first_tier = route_chain_at(x->config, x->route,
                                       route_chain_length(x->config, x->route) - 1);
        x->classifier_rule = SLICE(LEDGER_RULE_OFF);
        return true;
    }
    if (has_classifier(x) && !classify(x))
        return false;
    choose_canary(x);
    return true;
}
