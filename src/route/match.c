// Which route a request takes: the first of the file whose match fits.
#include "farthing/route.h"

static bool any_fits(struct config_slices globs, struct slice text) {
    if (globs.count == 0)
        return true;
    for (size_t i = 0; i < globs.count; i++)
        if (slice_glob(globs.items[i], text))
            return true;
    return false;
}

const struct config_route *route_match(const struct config *config,
                                       const struct route_question *q) {
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *r = &config->routes[i];
        if (any_fits(r->match_features, q->feature) && any_fits(r->match_models, q->model) &&
            any_fits(r->match_paths, q->path) && any_fits(r->match_tenants, q->tenant))
            return r;
    }
    return NULL;
}
