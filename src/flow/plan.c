// Station 7, plan: which chain of models may serve this, and what is changed
// in the request for it. What Farthing changes is spliced into the original
// bytes; everything else reaches the provider as the client wrote it.
#include "exchange.h"

enum provider_dialect exchange_dialect(const struct exchange *x) {
    enum provider_dialect dialect;
    // The file was checked: every provider has a dialect that is known.
    return provider_dialect_find(x->candidates[x->candidate].provider->dialect, &dialect)
               ? dialect
               : PROVIDER_OPENAI;
}

// A purchase that may outlive its client must not read the client's buffer.
static bool may_outlive_client(const struct exchange *x) {
    return x->leads || x->keyed ||
           (x->route != NULL && (x->route->on_client_gone == CONFIG_GONE_FINISH ||
                                 x->route->on_client_gone == CONFIG_GONE_WAIT));
}

void plan_make_body(struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    x->body = http_request_body(x->request);
    x->swallow_usage = false;
    if (x->body_is_json) {
        struct json_edits *edits = x->edits;
        if (c->upstream_model.len > 0 && x->requested_model.len > 0 &&
            !slice_equal(c->upstream_model, x->requested_model))
            json_edit_set_string(edits, JSON_ROOT, SLICE("model"), c->upstream_model);
        if (x->stream && !x->client_wants_usage && c->provider->include_usage)
            x->swallow_usage = provider_ask_usage(exchange_dialect(x), x->endpoint, x->doc, edits);
        attributes_strip(x, edits);
        x->body = json_edits_apply(edits);
    }
    x->body_is_own = x->body.ptr != http_request_body(x->request).ptr;
    if (may_outlive_client(x) && !x->body_is_own) {
        x->body = arena_copy(x->arena, x->body);
        x->body_is_own = true;
    }
    x->edits = NULL;
    flow_give_doc(x->flow, x->doc);
    x->doc = NULL;
}

// Files, batches and the like name no model: only the provider is meant.
static void forget_models(struct exchange *x) {
    for (size_t i = 0; i < x->candidate_count; i++) {
        struct route_candidate *c = &x->candidates[i];
        c->model = NULL;
        c->tier = NULL;
        c->upstream_model = SLICE_NONE;
        c->name = c->provider->name;
    }
}

static int64_t weight_of(const struct route_candidate *c) {
    for (size_t i = 0; i < c->tier->model_count; i++)
        if (c->tier->models[i] == c->model)
            return c->tier->weights != NULL ? c->tier->weights[i] : 1;
    return 1;
}

// One tier's models, in the order in which they are tried this time.
static void balance_tier(struct exchange *x, struct route_candidate *c, size_t n) {
    struct balance_candidate given[EXCHANGE_CANDIDATES_MAX];
    struct route_candidate as_given[EXCHANGE_CANDIDATES_MAX];
    size_t order[EXCHANGE_CANDIDATES_MAX];
    struct slice session = x->attributes.run.len > 0 ? x->attributes.run : x->attributes.user;
    for (size_t i = 0; i < n; i++) {
        as_given[i] = c[i];
        given[i] = (struct balance_candidate){
            .name = c[i].name, .weight = weight_of(&c[i]), .open = dispatch_is_open(x, &c[i])};
    }
    balance_order(x->flow->balance, c->tier->balance, given, n,
                  session.len > 0 ? balance_session(session) : 0, random_u64(),
                  (int64_t)clock_mono_ms(), order);
    for (size_t i = 0; i < n; i++)
        c[i] = as_given[order[i]];
}

// A model that the client named stays the first; the tiers after it are balanced.
static void balance_tiers(struct exchange *x) {
    struct route_candidate *c = x->candidates;
    for (size_t from = 0, to; from < x->candidate_count; from = to) {
        const struct config_tier *tier = c[from].tier;
        for (to = from + 1; to < x->candidate_count && c[to].tier == tier; to++)
            continue;
        size_t named = from == 0 && slice_equal(c->name, x->requested_model);
        if (tier != NULL && tier->balance != CONFIG_BALANCE_ORDER && to - from > 1 + named)
            balance_tier(x, c + from + named, to - from - named);
    }
}

bool station_plan(struct exchange *x) {
    struct route_question q = {
        .endpoint = x->endpoint,
        .path = http_request_path(x->request),
        .tenant = x->tenant->name,
        .feature = x->attributes.feature,
        .model = x->requested_model,
        .tier = x->first_tier != NULL ? x->first_tier->name : x->attributes.tier,
    };
    x->candidates = arena_alloc(x->arena, EXCHANGE_CANDIDATES_MAX * sizeof *x->candidates);
    struct error err;
    x->candidate_count = route_plan(x->config, x->route, &q, x->arena, x->candidates,
                                    EXCHANGE_CANDIDATES_MAX, &err);
    if (x->candidate_count == 0)
        return exchange_refuse(x, API_ERROR_MODEL_NOT_FOUND, SLICE("model"), "%s", err.text);
    if (x->requested_model.len == 0)
        forget_models(x);
    else
        balance_tiers(x);
    if (x->body_is_json) {
        x->edits = json_edits_new(x->doc, x->arena);
        x->gate = gate_new(routing_gates(x->routing), x->route, x->endpoint, x->doc, x->arena);
    }
    return caps_apply(x);
}
