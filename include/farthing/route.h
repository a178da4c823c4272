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

// ------------------------------------------------------------------- caps

// The lowest of the caps that apply; CONFIG_UNSET where none does. `route` and
// `task` may be NULL.
struct config_caps route_caps(const struct config_route *route, const struct config_task *task,
                              const struct config_tenant *tenant);

// -------------------------------------------------------- context budgets

// What a request's input consists of, each message counted once, by estimate.
struct route_context {
    int64_t tokens[CONFIG_CONTEXT_PART_COUNT]; // TOTAL: their sum, with tools and schemas
};

enum route_context_verdict { ROUTE_CONTEXT_FITS, ROUTE_CONTEXT_WARNS, ROUTE_CONTEXT_TRIMMED,
                             ROUTE_CONTEXT_REJECTED };

struct route_context_result {
    enum route_context_verdict verdict;
    struct route_context before, after; // `after`: when what is trimmed is gone
    const struct config_context *over;  // REJECTED: the first that is over; WARNS: likewise
    int64_t trimmed_messages, trimmed_tokens;
};

// Measures the request and applies the route's context budgets to it.
// `scale_milli` turns raw estimates into likely tokens (1000: as they are).
// trim_oldest takes messages out of history from its beginning, by `edits`: never
// the system prompt or developer messages, never one half of a pair of tool
// call and result, never of the last keep_turns turns (a turn begins with a
// user's message). What cannot be made to fit so is rejected, with no edits.
// Endpoints: chat.completions, responses (its input items), messages.
void route_context_apply(const struct config_route *route, enum api_endpoint e,
                         const struct json_doc *doc, int64_t scale_milli, struct json_edits *edits,
                         struct route_context_result *out);

#endif
