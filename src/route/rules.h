// The rules of a classifier, compiled: which of them fits a request, and which of
// them never can.
#ifndef FARTHING_ROUTE_RULES_H
#define FARTHING_ROUTE_RULES_H

#include "farthing/classify.h"

#include "keywords.h"
#include "pattern.h"

struct rule {
    const struct config_rule *config;
    // What the values must lie within; no_tools is in the range of tools.
    struct config_range ranges[CONFIG_SIGNAL_COUNT];
    uint32_t scripts;       // any of these bits; 0: not asked
    uint32_t keywords_flag; // of `keywords` and `contains`: RULES_NO_FLAG where there
    uint32_t contains_flag; // are none
    struct pattern **patterns;
    size_t pattern_count;
    struct metric_series *fired;
};
#define RULES_NO_FLAG UINT32_MAX

struct rules {
    struct rule *items;
    size_t count;
    struct keywords *keywords; // NULL: no rule has any
};

// False when a pattern does not compile; `messages` gets a line for each.
bool rules_compile(struct rules *rules, const struct config_classifier *from,
                   struct buffer *messages) FARTHING_MUST_CHECK;
void rules_free(struct rules *rules);

// The first that fits, or NULL. `chain`: the tiers that a rule may choose.
struct rules_chain {
    const struct config_tier *const *tiers;
    size_t count;
};
const struct rule *rules_match(const struct rules *rules, const struct classify_input *in,
                               const struct classify_signals *signals,
                               const struct classify_texts *texts,
                               const struct rules_chain *chain);

// rules_check.c: one warning a line for each rule that can never fire.
void rules_check(const struct rules *rules, const struct config *config, struct buffer *messages);

#endif
