// route: which route a request takes, and which models may serve it.
#ifndef FARTHING_ROUTE_H
#define FARTHING_ROUTE_H

#include "farthing/api.h"
#include "farthing/base.h"
#include "farthing/config.h"

// What is asked, in the client's words. Empty slices for what it left out.
struct route_question {
    enum api_endpoint endpoint;
    struct slice path;
    struct slice tenant, feature;
    struct slice model;      // "auto", a tier, "provider/model", or a bare name
    struct slice tier;       // x-farthing-tier, already permitted
};

// The first route of the file whose match fits, or NULL: run with defaults.
const struct config_route *route_match(const struct config *config, const struct route_question *q);

// One model that may serve the request.
struct route_candidate {
    const struct config_provider *provider;
    const struct config_model *model; // NULL: not declared in the file (provider/model by name)
    const struct config_tier *tier;   // NULL: named outside of any tier
    struct slice upstream_model;      // its name at the provider; empty: leave the request's
    struct slice name;                // "provider/model"
};

// The chain of candidates in order, at most `max`; first comes what the client
// named or the first tier that applies. 0 with err filled: no model fits (the
// error names what is known). Strings live in the arena or the snapshot.
size_t route_plan(const struct config *config, const struct config_route *route,
                  const struct route_question *q, struct arena *arena,
                  struct route_candidate *out, size_t max, struct error *err);

#endif
