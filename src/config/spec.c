// The sections of routing.conf, in the order in which the documentation has them.
#include "spec_tables.h"

static const struct spec_section *const sections[] = {
    &spec_server, &spec_store, &spec_store_on_store_failure, &spec_cache, &spec_provider,
    &spec_provider_retry, &spec_provider_breaker, &spec_model, &spec_tier, &spec_classifier,
    &spec_classifier_rule, &spec_classifier_category, &spec_route, &spec_route_match,
    &spec_route_cache, &spec_route_gate, &spec_route_canary, &spec_route_shadow,
    &spec_route_context, &spec_task, &spec_run, &spec_tenant, &spec_tenant_each_key,
    &spec_tenant_run, &spec_tenant_budget, &spec_log,
};

const struct spec_section *const *spec_sections(size_t *count) {
    *count = FARTHING_COUNT(sections);
    return sections;
}
