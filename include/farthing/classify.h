// route, its classifier: how hard is a request, and which tier shall begin?
//
// Signals are what a request shows at a glance. Rules (routing.conf's classifier
// section) compare them and look for keywords and patterns in what users say: the
// first rule that fits wins. Where no rule decides, examples may: what says nearly the
// same as an example of a category goes to the category's tier. Else a learned model
// may (learn.h). Nothing here asks a model or the network, and everything is linear in
// the request; only where the file names an embedding_model do vectors come from
// outside, and then the caller fetches them.
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
    size_t last;  // from this one on: the last turn of a user
};

// One walk over the index. Texts without escapes point into the request, others
// into the arena. Endpoints that are no conversation or prompt have no texts.
void classify_signals(enum api_endpoint e, const struct json_doc *doc, int64_t input_tokens,
                      struct arena *arena, struct classify_signals *signals,
                      struct classify_texts *texts);
const char *classify_signal_name(enum config_signal s); // "input_tokens"
// As one JSON object of those that are not 0: for the row.
void classify_signals_write(const struct classify_signals *signals, struct buffer *out);

// --------------------------------------------------------------- similarity

// Where a text lies among others: texts that say the same lie in nearly the same
// direction. How long it is does not matter.
struct classify_vector {
    const float *values;
    size_t count;
};

enum { CLASSIFY_SIMILAR_BYTES = 8 * 1024 }; // of a text that are looked at

// What is compared with the examples, and sent to an embedding_model: what the user
// said last, pieces joined by newlines; the first CLASSIFY_SIMILAR_BYTES of it, cut
// between two characters. Empty: there is nothing to compare.
struct slice classify_similar_text(const struct classify_texts *texts, struct arena *arena);

// The one vector in an answer of /v1/embeddings. False: err says why there is none.
bool classify_vector_parse(struct slice answer_body, struct arena *arena,
                           struct classify_vector *out, struct error *err) FARTHING_MUST_CHECK;

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

// Vectors of an embedding_model come from outside: those of the examples once for each
// classifier, that of a request by classify_input. Until the examples are there, and
// where the request has no vector, similarity is passed over. Any thread.
bool classifier_wants_vectors(const struct classifier *c); // an embedding_model and categories
// The examples' texts in their order, all of them: the `input` to ask for.
size_t classifier_examples(const struct classifier *c, const struct slice **texts);
// The answer to that. False: it is not usable, err says why (NULL is fine), and nothing
// has changed. Of several that come at once the first counts, and the others are true.
bool classifier_take_examples(const struct classifier *c, struct slice answer_body,
                              struct error *err) FARTHING_MUST_CHECK;
bool classifier_has_examples(const struct classifier *c); // never false again once it was true

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
    // How often the chain's first tier was good enough for this feature, in percent;
    // CONFIG_UNSET where that is not known. Is the signal PAST_SUCCESS.
    int64_t past_success_percent;
    int64_t deadline_ms; // that are left; CONFIG_UNSET: it has none. Is the signal DEADLINE_MS
    // Of classify_similar_text, by the embedding_model; NULL: none came in time, or no
    // such model is configured.
    const struct classify_vector *vector;
    // As classify_signals gave them, if it was asked already; both or none.
    const struct classify_signals *signals;
    const struct classify_texts *texts;
};

// What chose the tier, most telling first.
enum classify_by {
    CLASSIFY_BY_RULE,    // a rule's tier
    CLASSIFY_BY_QUALITY, // x-farthing-quality: best, or economy where there is no model
    CLASSIFY_BY_SIMILAR, // an example of a category is near enough
    CLASSIFY_BY_MODEL,   // its chances, with a rule's score if one fits
    CLASSIFY_BY_SCORE,   // a rule's score alone
    CLASSIFY_BY_DEFAULT, // default_tier, or the chain's first
    CLASSIFY_BY_COUNT
};
const char *classify_by_name(enum classify_by by); // "rule", "quality", "similar", ...

struct classify_result {
    const struct config_rule *rule;   // the one that fits; NULL: none
    const struct config_route *route; // the request's, or the one that the rule sends it to
    const struct config_tier *tier;   // of the route's chain, where "auto" begins; NULL: no tiers
    enum classify_by by;
    double rule_score;         // -1 (easy) to 1 (hard); 0: none
    // The category of the nearest example, whether or not it is near enough, and the
    // cosine; NULL: not looked for, as with a rule's tier and "best", or no vector.
    const struct config_category *category;
    double similarity;
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
// default_tier, and for a category's tier. Counts farthing_classifier_rule_total{rule}
// and, of categories that chose, farthing_classifier_category_total{category}. `model`
// NULL: that of the configuration, if it names one.
//
// The nearest example of all categories chooses its category's tier, if its cosine is
// at least the category's threshold.
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

// What decided, in a word, for the row: "category:NAME" where an example chose the tier,
// else the name of the rule that fits, else that of `by`.
struct slice classify_result_name(const struct classify_result *result, struct arena *arena);
// classify_signals_write with "similar" and "similarity" beside them, where there is a
// category.
void classify_result_write(const struct classify_result *result, struct buffer *out);

#endif
