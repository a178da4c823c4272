// route, its classifier: how hard is a request, and which tier shall begin?
//
// Signals are what a request shows at a glance. Rules (routing.conf's classifier
// section) compare them and look for keywords and patterns in what users say: the
// first rule that fits wins. Where no rule decides, a learned model may (learn.h).
// Nothing here asks a model or the network, and everything is linear in the
// request.
//
// What users say is: the text of messages of role user (of Anthropic's, without the
// tool_result blocks), a prompt, an input. Not system or developer messages, not
// answers, not results of tools: these are the application's words, the same in
// every request, or somebody else's. All turns count, not only the last: a
// conversation about something hard stays with the tier that can do it.
#ifndef FARTHING_CLASSIFY_H
#define FARTHING_CLASSIFY_H

#include "farthing/api.h"
#include "farthing/base.h"
#include "farthing/config.h"
#include "farthing/json.h"
#include "farthing/learn.h"

// ----------------------------------------------------------------- signals

struct classify_signals {
    // By enum config_signal. Of what users say: code_blocks (fenced by ``` or ~~~),
    // code_lines (in them), questions, numbers and math (outside of them).
    // OUTPUT_TOKENS is CONFIG_UNSET where the client says no cap.
    int64_t values[CONFIG_SIGNAL_COUNT];
    int64_t other_parts; // audio, files, documents
    uint32_t scripts;    // bits 1u << CONFIG_SCRIPT_..., of what users say outside of code
    bool json_output;    // JSON is asked for, with or without a schema
};

// What users say, in order: decoded, UTF-8, each text or text part one piece.
struct classify_texts {
    const struct slice *items;
    size_t count;
    size_t bytes; // of all
};

// One walk over the index. Texts without escapes point into the request, others
// into the arena. Endpoints that are no conversation or prompt have no texts.
void classify_signals(enum api_endpoint e, const struct json_doc *doc, int64_t input_tokens,
                      struct arena *arena, struct classify_signals *signals,
                      struct classify_texts *texts);
const char *classify_signal_name(enum config_signal s); // "input_tokens"
// As one JSON object of those that are not 0: for the row.
void classify_signals_write(const struct classify_signals *signals, struct buffer *out);

// --------------------------------------------------------------- classifier

// Made from a snapshot, which it holds; never changed afterwards, so that any number
// of threads may use it at once. Counted by reference.
struct classifier;

// Compiles patterns, and one automaton for all keywords; reads the model's file. NULL:
// a pattern does not compile, or the file is no model; `messages` says which,
// "FILE:LINE: ..." a line. Otherwise `messages` may hold warnings,
// "FILE:LINE: warning: ...", of rules that can never fire, and of rules that an
// earlier one always forestalls: only what is certain.
struct classifier *classifier_new(const struct config *config, struct buffer *messages);
struct classifier *classifier_ref(struct classifier *c); // any thread
void classifier_unref(struct classifier *c);             // any thread; NULL is fine

enum classify_quality { CLASSIFY_BALANCED, CLASSIFY_ECONOMY, CLASSIFY_BEST };
// economy, balanced or best, as x-farthing-quality says it.
bool classify_quality_find(struct slice word, enum classify_quality *out) FARTHING_MUST_CHECK;

struct classify_input {
    struct arena *arena;              // what the result points to lives there
    const struct config_route *route; // that the request matched; NULL: none
    int64_t input_tokens;             // as estimated
    struct slice feature, prompt_version;
    struct slice model; // as requested
    enum classify_quality quality;
};

// What chose the tier, most telling first.
enum classify_by {
    CLASSIFY_BY_RULE,    // a rule's tier
    CLASSIFY_BY_QUALITY, // x-farthing-quality: best, or economy where there is no model
    CLASSIFY_BY_MODEL,   // its chances, with a rule's score if one fits
    CLASSIFY_BY_SCORE,   // a rule's score alone
    CLASSIFY_BY_DEFAULT, // default_tier, or the chain's first
    CLASSIFY_BY_COUNT
};
const char *classify_by_name(enum classify_by by); // "rule", "quality", "model", ...

struct classify_result {
    const struct config_rule *rule;   // the one that fits; NULL: none
    const struct config_route *route; // the request's, or the one that the rule sends it to
    const struct config_tier *tier;   // of the route's chain, where "auto" begins; NULL: no tiers
    enum classify_by by;
    double rule_score;         // -1 (easy) to 1 (hard); 0: none
    bool has_model;            // it was asked: a rule's tier and "best" need no model. Then:
    struct learn_score learned; // what it said
    const double *chances;   // that each tier of the chain is good enough; NULL: did not matter
    size_t chance_count;
    double target; // what the chosen one had to reach
    struct classify_signals signals;
    struct classify_texts texts;
};

// A rule whose outcome is a tier that the route's chain does not have is passed
// over, as if it did not fit: the route bounds what may be used. The same for
// default_tier. Counts farthing_classifier_rule_total{rule}. `model` NULL: that of
// the configuration, if it names one.
//
// With a model: of a chain of n tiers the first has the chance p_small, the last
// p_large, those between by equal steps; a rule's score is taken from each. The
// cheapest tier that reaches the route's quality_target (0.8 unless set; economy:
// 0.1 less) is chosen, else the last. best: always the last.
// Without a model: a rule's score is a place in the chain, -1 its first, 1 its
// last; economy: the first tier, best: the last.
void classify_request(const struct classifier *c, const struct learn_model *model,
                      enum api_endpoint e, const struct json_doc *doc,
                      const struct classify_input *in, struct classify_result *out);

#endif
