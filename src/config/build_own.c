// The tenant that Farthing itself is: whose requests shadows and embeddings are,
// so that all that holds for money and for rows holds for them.
//
// It stands behind the file's tenants and has no keys, so that nobody who asks is
// ever taken for it. Under its budgets models must have prices (unpriced is
// "refuse"): without them a budget could promise nothing.
#include "loader.h"

enum { PRIORITY = 1 }; // behind every client where a provider is waited for

bool loader_has_own_tenant(const struct config *c) {
    bool has = c->classifier.embedding_model != NULL;
    for (size_t i = 0; i < c->route_count; i++)
        has = has || c->routes[i].shadow.tier != NULL;
    return has;
}

static struct config_budget shadow_budget(struct loader *l, const struct config_route *route) {
    struct slice name = arena_printf(l->arena, "shadow:%.*s", SLICE_ARG(route->name));
    return (struct config_budget){
        .name = name,
        .amount = route->shadow.budget,
        .window_ms = route->shadow.window_ms,
        .feature = name,
        .feature_exact = true, // a route may be called "a*"
    };
}

static struct config_budget embeddings_budget(const struct config_classifier *c) {
    enum { DAY_MS = 24 * 3600 * 1000 };
    return (struct config_budget){
        .name = SLICE("embeddings"),
        .amount = c->embedding_budget,
        .window_ms = DAY_MS,
        .feature = SLICE("embeddings"),
        .feature_exact = true,
    };
}

static void make_budgets(struct loader *l, struct config_tenant *own) {
    const struct config *c = loader_config(l);
    struct config_budget *budgets = loader_many(l, c->route_count + 1, sizeof *budgets);
    for (size_t i = 0; i < c->route_count; i++)
        if (c->routes[i].shadow.tier != NULL)
            budgets[own->budget_count++] = shadow_budget(l, &c->routes[i]);
    if (c->classifier.embedding_model != NULL && c->classifier.embedding_budget != CONFIG_UNSET)
        budgets[own->budget_count++] = embeddings_budget(&c->classifier);
    own->budgets = budgets;
}

void loader_build_own_tenant(struct loader *l, struct config_tenant *own) {
    loader_fill_named(l, NULL, "", "tenant", own);
    loader_fill_named(l, NULL, "tenant", "each_key", own);
    loader_read_run(l, NULL, NULL, &own->run); // the file's runs are its clients'
    own->name = SLICE(LOADER_OWN_TENANT);
    own->priority = PRIORITY;
    make_budgets(l, own);
}
