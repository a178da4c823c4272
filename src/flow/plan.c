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

static void drop_doc(struct exchange *x) {
    struct flow *f = x->flow;
    if (x->doc == NULL || f->spare_doc_count == FARTHING_COUNT(f->spare_docs))
        return; // freed with the exchange
    f->spare_docs[f->spare_doc_count++] = x->doc;
    x->doc = NULL;
}

// A purchase that may outlive its client must not read the client's buffer.
static bool may_outlive_client(const struct exchange *x) {
    return x->leads || x->keyed || (x->route != NULL && (x->route->on_client_gone == CONFIG_GONE_FINISH ||
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
    drop_doc(x);
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

bool station_plan(struct exchange *x) {
    struct route_question q = {
        .endpoint = x->endpoint,
        .path = http_request_path(x->request),
        .tenant = x->tenant->name,
        .feature = x->attributes.feature,
        .model = x->requested_model,
        .tier = x->attributes.tier,
    };
    x->candidates = arena_alloc(x->arena, EXCHANGE_CANDIDATES_MAX * sizeof *x->candidates);
    struct error err;
    x->candidate_count = route_plan(x->config, x->route, &q, x->arena, x->candidates,
                                    EXCHANGE_CANDIDATES_MAX, &err);
    if (x->candidate_count == 0)
        return exchange_refuse(x, API_ERROR_MODEL_NOT_FOUND, SLICE("model"), "%s", err.text);
    if (x->requested_model.len == 0)
        forget_models(x);
    if (x->body_is_json)
        x->edits = json_edits_new(x->doc, x->arena);
    return caps_apply(x);
}
