// What gates said of answers, kept for later: how often a tier's answers to a feature
// are good enough, and, where the operator wants it, lines to learn from.
#include "exchange.h"

static void take_place(const struct exchange *x, const struct config_tier *tier,
                       struct outcome *out) {
    size_t count = route_chain_length(x->config, x->route);
    for (size_t i = 0; i < count; i++)
        if (route_chain_at(x->config, x->route, i) == tier) {
            out->place = (unsigned)i;
            out->places = (unsigned)count;
        }
}

void outcome_note(struct exchange *x, bool ok, struct slice reason) {
    const struct config_tier *tier = x->candidates[x->candidate].tier;
    if (tier == NULL)
        return;
    const struct own_exchange *own = x->own;
    past_note(x->flow->shared.past, own != NULL ? own->of_tenant : x->tenant->name,
              own != NULL ? own->of_feature : x->attributes.feature, tier->name, ok);
    if (x->flow->shared.outcomes == NULL || x->outcome_count == EXCHANGE_ATTEMPTS_MAX)
        return;
    if (x->outcomes == NULL)
        x->outcomes = arena_alloc(x->arena, EXCHANGE_ATTEMPTS_MAX * sizeof *x->outcomes);
    struct outcome *out = &x->outcomes[x->outcome_count++];
    *out = (struct outcome){.tier = tier->name, .ok = ok, .reason = reason};
    take_place(x, tier, out);
}

void outcome_keep_prompt(struct exchange *x, const struct classify_texts *texts) {
    if (x->flow->shared.outcomes == NULL)
        return;
    struct slice *kept = arena_alloc(x->arena, (texts->count + 1) * sizeof *kept);
    for (size_t i = 0; i < texts->count; i++)
        kept[i] = arena_copy(x->arena, texts->items[i]); // the request may go before the row
    x->prompt = kept;
    x->prompt_count = texts->count;
}

void outcome_record(struct exchange *x) {
    bool is_shadow = x->own != NULL;
    if (x->outcome_count == 0 || (x->prompt_count == 0 && !is_shadow))
        return;
    const struct outcome_line line = {
        .ts_ms = x->started_wall_ms,
        .request_id = x->id,
        .shadow_of = is_shadow ? x->own->of_request : SLICE_NONE,
        .route = x->route != NULL ? x->route->name : SLICE_NONE,
        .feature = is_shadow ? x->own->of_feature : x->attributes.feature,
        .prompt = x->prompt,
        .prompt_count = x->prompt_count,
        .outcomes = x->outcomes,
        .outcome_count = x->outcome_count,
    };
    outcomes_record(x->flow->shared.outcomes, &line);
}
