// The life of a snapshot, and finding things in it by name.
#include <stdatomic.h>

#include "loader.h"

static struct snapshot *snapshot_of(const struct config *c) {
    return (struct snapshot *)(uintptr_t)c; // its first member
}

const struct config *config_ref(const struct config *c) {
    atomic_fetch_add_explicit(&snapshot_of(c)->references, 1, memory_order_relaxed);
    return c;
}

void config_unref(const struct config *c) {
    if (c != NULL &&
        atomic_fetch_sub_explicit(&snapshot_of(c)->references, 1, memory_order_acq_rel) == 1)
        arena_free(snapshot_of(c)->arena);
}

#define FINDER(function, type, array, number) \
    const struct type *function(const struct config *c, struct slice name) { \
        for (size_t i = 0; i < c->number; i++) \
            if (slice_equal(c->array[i].name, name)) \
                return &c->array[i]; \
        return NULL; \
    }

FINDER(config_provider_find, config_provider, providers, provider_count)
FINDER(config_model_find, config_model, models, model_count)
FINDER(config_tier_find, config_tier, tiers, tier_count)
FINDER(config_route_find, config_route, routes, route_count)
FINDER(config_tenant_find, config_tenant, tenants, tenant_count)

const struct config_task *config_task_for(const struct config *c, struct slice feature) {
    for (size_t i = 0; feature.len > 0 && i < c->task_count; i++)
        if (slice_glob(c->tasks[i].name, feature))
            return &c->tasks[i];
    return NULL;
}
