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

// The tiers of the route's chain, or of the default chain of all tiers, cheapest
// first; NULL behind the last. `route` may be NULL.
size_t route_chain_length(const struct config *config, const struct config_route *route);
const struct config_tier *route_chain_at(const struct config *config,
                                         const struct config_route *route, size_t place);

// Does a client that asks for `asked` name this model? By "provider/model", by the
// part behind the slash, or by its name at the provider. An empty `asked` names none.
bool route_names_model(struct slice asked, struct slice name, struct slice upstream_model);

// "auto" or a tier: which model it will be is not the client's word.
bool route_leaves_choice(const struct config *config, struct slice asked);

// ------------------------------------------------------------------- caps

// The lowest of the caps that apply; CONFIG_UNSET where none does. `route` and
// `task` may be NULL.
struct config_caps route_caps(const struct config_route *route, const struct config_task *task,
                              const struct config_tenant *tenant);

// -------------------------------------------------------- context budgets
//
// What is which part of a request:
//   system, developer  messages of that role; `system` of messages, `instructions`
//                      of responses
//   tool_results       messages of role tool or function, items of type ..._output,
//                      Anthropic's messages with a tool_result in them
//   retrieved          where the route has a budget for it: a message or a text part
//                      whose text begins with one of its markers, and a message
//                      (not a tool's) whose `name` is retrieved, context or documents;
//                      such a message or part is in no other part
//   history            all else that users and assistants said, calls and reasoning
//                      among it, but not the question: the user's messages that the
//                      last turn begins with
//   total              everything: also the question, tools and schemas
// A turn begins with a user's message, or with several in a row, and goes up to the
// next one. Other endpoints than chat.completions, responses and messages have
// a total only.

struct route_context {
    int64_t tokens[CONFIG_CONTEXT_PART_COUNT]; // by estimate; TOTAL is more than their sum
};

enum route_context_verdict { ROUTE_CONTEXT_FITS, ROUTE_CONTEXT_WARNS, ROUTE_CONTEXT_TRIMMED,
                             ROUTE_CONTEXT_REJECTED };

struct route_context_result {
    enum route_context_verdict verdict;
    struct route_context before, after; // `after`: when what is trimmed is gone
    // REJECTED: the budget that rejects; TRIMMED, WARNS: the first that does so.
    const struct config_context *over;
    int64_t trimmed_messages, trimmed_tokens;
};

// Measures the request and applies the route's context budgets to it, one after
// the other in the order of enum config_context_part: what one has trimmed, the
// next finds gone. Of several verdicts the later of the enum is told.
// `scale_milli` turns raw estimates into likely tokens (1000: as they are).
// trim_oldest takes the oldest turns out, by `edits`, each with all that belongs to
// it, until the budget is kept: never system or developer messages, never a call
// without its result or the other way round, never one of the last keep_turns
// turns, never the question. What cannot be made to fit so is rejected; then,
// and unless TRIMMED, there are no edits. `route` may be NULL; without budgets
// nothing is measured and all figures are 0.
void route_context_apply(const struct config_route *route, enum api_endpoint e,
                         const struct json_doc *doc, int64_t scale_milli, struct json_edits *edits,
                         struct route_context_result *out);

#endif
