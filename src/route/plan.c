// Which models may serve a request, in which order.
//
// A client names a model in one of four ways (CONTRACTS): "provider/model", a
// bare name, a tier, or "auto". A bare name that the file does not declare
// still has a home where only one provider speaks the request's dialect: a
// team that points one SDK at one provider declares nothing at all.
#include "farthing/route.h"

bool route_names_model(struct slice asked, struct slice name, struct slice upstream_model) {
    if (asked.len == 0)
        return false;
    ptrdiff_t slash = slice_find_char(name, '/');
    return slice_equal(asked, name) || slice_equal(asked, upstream_model) ||
           (slash > 0 && slice_equal(asked, slice_from(name, (size_t)slash + 1)));
}

static bool is_auto(struct slice asked) {
    return slice_equal(asked, SLICE("auto"));
}

bool route_leaves_choice(const struct config *config, struct slice asked) {
    return is_auto(asked) || config_tier_find(config, asked) != NULL;
}

struct plan {
    const struct config *config;
    struct arena *arena;
    struct route_candidate *out;
    size_t max, count;
};

static bool same_place(const struct route_candidate *a, const struct route_candidate *b) {
    return a->provider == b->provider && slice_equal(a->upstream_model, b->upstream_model);
}

static void add(struct plan *p, struct route_candidate candidate) {
    for (size_t i = 0; i < p->count; i++)
        if (same_place(&p->out[i], &candidate))
            return; // tried once is enough
    if (p->count < p->max)
        p->out[p->count++] = candidate;
}

static void add_model(struct plan *p, const struct config_model *model,
                      const struct config_tier *tier) {
    add(p, (struct route_candidate){
               .provider = model->provider,
               .model = model,
               .tier = tier,
               .upstream_model = model->upstream_model,
               .name = model->name,
           });
}

static void add_undeclared(struct plan *p, const struct config_provider *provider,
                           struct slice upstream_model) {
    add(p, (struct route_candidate){
               .provider = provider,
               .upstream_model = upstream_model,
               .name = arena_printf(p->arena, "%.*s/%.*s", SLICE_ARG(provider->name),
                                    SLICE_ARG(upstream_model)),
           });
}

static void add_tier(struct plan *p, const struct config_tier *tier) {
    for (size_t m = 0; m < tier->model_count; m++)
        add_model(p, tier->models[m], tier);
}

size_t route_chain_length(const struct config *config, const struct config_route *route) {
    return route != NULL && route->tier_count > 0 ? route->tier_count : config->tier_count;
}

const struct config_tier *route_chain_at(const struct config *config,
                                         const struct config_route *route, size_t place) {
    if (route != NULL && route->tier_count > 0)
        return place < route->tier_count ? route->tiers[place] : NULL;
    return place < config->tier_count ? &config->tiers[place] : NULL;
}

// The chain from `first` on. One that is not of the chain (a client's, a canary's)
// comes before the whole of it.
static void add_chain(struct plan *p, const struct config_route *route,
                      const struct config_tier *first) {
    const struct config_tier *tier = NULL;
    size_t from = 0;
    if (first != NULL) {
        while ((tier = route_chain_at(p->config, route, from)) != NULL && tier != first)
            from++;
        from = tier != NULL ? from : 0;
        add_tier(p, first);
    }
    for (size_t t = from; (tier = route_chain_at(p->config, route, t)) != NULL; t++)
        add_tier(p, tier);
}

static const struct config_tier *tier_of(const struct config_model *model,
                                         const struct config *config) {
    for (size_t t = 0; t < config->tier_count; t++)
        for (size_t m = 0; m < config->tiers[t].model_count; m++)
            if (config->tiers[t].models[m] == model)
                return &config->tiers[t];
    return NULL;
}

// "provider/model", declared or not.
static bool add_qualified(struct plan *p, struct slice name) {
    const struct config_model *declared = config_model_find(p->config, name);
    if (declared != NULL) {
        add_model(p, declared, tier_of(declared, p->config));
        return true;
    }
    ptrdiff_t slash = slice_find_char(name, '/');
    if (slash <= 0 || (size_t)slash + 1 == name.len)
        return false;
    const struct config_provider *provider =
        config_provider_find(p->config, slice_make(name.ptr, (size_t)slash));
    if (provider == NULL)
        return false;
    add_undeclared(p, provider, slice_from(name, (size_t)slash + 1));
    return true;
}

// Counting tokens and batches of messages are Anthropic's too.
static bool is_anthropic(const struct route_question *q) {
    return q->endpoint == API_MESSAGES || slice_starts_with(q->path, SLICE("/v1/messages/"));
}

static const struct config_provider *only_speaker(const struct config *config,
                                                  const struct route_question *q) {
    struct slice wanted = is_anthropic(q) ? SLICE("anthropic") : SLICE("openai");
    const struct config_provider *found = NULL;
    for (size_t i = 0; i < config->provider_count; i++) {
        if (!slice_equal(config->providers[i].dialect, wanted))
            continue;
        if (found != NULL)
            return NULL;
        found = &config->providers[i];
    }
    return found != NULL || config->provider_count != 1 ? found : &config->providers[0];
}

// Every provider that declares it: the first is asked, the others stand in.
static bool add_bare(struct plan *p, const struct route_question *q) {
    struct slice name = q->model;
    size_t before = p->count;
    for (size_t i = 0; i < p->config->model_count; i++) {
        const struct config_model *model = &p->config->models[i];
        if (route_names_model(name, model->name, model->upstream_model))
            add_model(p, model, tier_of(model, p->config));
    }
    if (p->count > before)
        return true;
    const struct config_provider *provider = only_speaker(p->config, q);
    if (provider == NULL)
        return false;
    add_undeclared(p, provider, name);
    return true;
}

// A name can be as long as the body; the advice behind it must still fit.
static struct slice shown(struct slice name) {
    enum { SHOWN_BYTES_MAX = 100 };
    if (name.len <= SHOWN_BYTES_MAX)
        return name;
    name.len = SHOWN_BYTES_MAX;
    while (name.len > 0 && ((unsigned char)name.ptr[name.len] & 0xC0) == 0x80)
        name.len--; // not in the middle of a character
    return name;
}

static bool explain(const struct plan *p, const struct route_question *q, struct error *err) {
    struct slice model = shown(q->model);
    if (p->config->tier_count == 0 && p->config->model_count == 0)
        return error_set(err,
                         "No model fits \"%.*s\": say \"provider/model\"; this proxy has %zu "
                         "providers, the first is \"%.*s\".",
                         SLICE_ARG(model), p->config->provider_count,
                         SLICE_ARG(p->config->providers[0].name));
    return error_set(err,
                     "The model \"%.*s\" is not known here: ask for \"auto\", a tier, or one of "
                     "the models of GET /v1/models.",
                     SLICE_ARG(model));
}

size_t route_plan(const struct config *config, const struct config_route *route,
                  const struct route_question *q, struct arena *arena,
                  struct route_candidate *out, size_t max, struct error *err) {
    struct plan p = {.config = config, .arena = arena, .out = out, .max = max};
    const struct config_tier *tier = config_tier_find(config, q->tier);
    bool by_route = route != NULL && route->override_model;
    bool any_model = q->model.len == 0 || is_auto(q->model);
    if (tier == NULL && !by_route && !any_model)
        tier = config_tier_find(config, q->model);
    if (tier == NULL && !by_route && !any_model && !add_qualified(&p, q->model) &&
        !add_bare(&p, q)) {
        (void)explain(&p, q, err);
        return 0;
    }
    add_chain(&p, route, tier);
    // Paths that name no model (files, audio, batches) need only a provider.
    if (p.count == 0 && q->model.len == 0) {
        const struct config_provider *provider = only_speaker(config, q);
        if (provider == NULL)
            provider = &config->providers[0];
        add(&p, (struct route_candidate){.provider = provider, .name = provider->name});
    }
    if (p.count == 0)
        (void)explain(&p, q, err);
    return p.count;
}
