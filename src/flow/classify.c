// Station 6, classify: how hard is it, and with which tier of its route does it
// begin? Only where the client leaves the choice: "auto", or a route that decides
// itself. Nothing is asked but the request's own words.
#include "exchange.h"

// A file without rules, model and default tier decides nothing.
static bool has_choice(const struct exchange *x) {
    const struct config_classifier *c = &x->config->classifier;
    bool left_open = slice_equal(x->requested_model, SLICE("auto")) ||
                     (x->route != NULL && x->route->override_model);
    return left_open && x->attributes.tier.len == 0 && x->config->tier_count > 0 && x->body_is_json &&
           (c->rule_count > 0 || c->model.len > 0 || c->default_tier != NULL ||
            x->attributes.quality.len > 0);
}

static void keep_signals(struct exchange *x, const struct classify_result *result) {
    struct buffer text = {0};
    classify_signals_write(&result->signals, &text);
    x->signals = arena_copy(x->arena, buffer_slice(&text));
    buffer_free(&text);
}

bool station_classify(struct exchange *x) {
    if (!has_choice(x))
        return true;
    struct classify_input in = {
        .arena = x->arena,
        .route = x->route,
        .input_tokens = input_estimate(x, x->requested_model).likely,
        .feature = x->attributes.feature,
        .prompt_version = x->attributes.prompt_version,
        .model = x->requested_model,
    };
    struct classify_result result;
    if (x->attributes.quality.len > 0 && !classify_quality_find(x->attributes.quality, &in.quality))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-quality"),
                               "x-farthing-quality must be economy, balanced or best, not \"%.*s\".",
                               SLICE_ARG(x->attributes.quality));
    classify_request(routing_classifier(x->routing), NULL, x->endpoint, x->doc, &in, &result);
    if (result.route != x->route && normalize_permits(x->tenant, result.route)) {
        x->route = result.route;
        x->caps = route_caps(x->route, x->task, x->tenant);
    }
    x->first_tier = result.tier;
    x->classifier_rule =
        result.rule != NULL ? result.rule->name : slice_of(classify_by_name(result.by));
    keep_signals(x, &result);
    return true;
}
