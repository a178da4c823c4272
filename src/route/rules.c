// Rules: compiling them, and finding the first that fits. What is cheap is asked
// first; the one pass for all keywords is made when the first rule needs it, and
// patterns, which cost most, come last.
#include "rules.h"

#include <stdlib.h>

static const struct metric_family rule_total = {
    .name = "farthing_classifier_rule_total",
    .help = "Requests that a classifier's rule fitted first, by rule.",
    .kind = METRIC_COUNTER,
    .labels = {"rule"},
};

// ------------------------------------------------------------------ compile

static void compile_ranges(struct rule *rule) {
    const struct config_rule *from = rule->config;
    memcpy(rule->ranges, from->signals, sizeof rule->ranges);
    struct config_range *tools = &rule->ranges[CONFIG_SIGNAL_TOOLS];
    if (from->no_tools == 1 && (tools->max == CONFIG_UNSET || tools->max > 0))
        tools->max = 0;
    if (from->no_tools == 0 && tools->min < 1)
        tools->min = 1;
}

static void compile_scripts(struct rule *rule) {
    enum config_script script;
    for (size_t i = 0; i < rule->config->scripts.count; i++)
        if (config_script_find(rule->config->scripts.items[i], &script)) // checked by config
            rule->scripts |= 1u << script;
}

static bool compile_patterns(struct rule *rule, struct buffer *messages) {
    const struct config_rule *from = rule->config;
    bool ok = true;
    rule->patterns = base_calloc(from->patterns.count + 1, sizeof(struct pattern *));
    for (size_t i = 0; i < from->patterns.count; i++) {
        struct error err;
        struct pattern *p = pattern_compile(from->patterns.items[i], PATTERN_LASTING, &err);
        if (p != NULL)
            rule->patterns[rule->pattern_count++] = p;
        else
            buffer_printf(messages, "%.*s: rule \"%.*s\": pattern %zu: %s\n",
                          SLICE_ARG(from->where), SLICE_ARG(from->name), i + 1, err.text);
        ok = ok && p != NULL;
    }
    return ok;
}

// One flag for each list that is not empty.
struct word_list {
    struct keyword *items;
    size_t count;
    uint32_t flags;
};

static uint32_t add_words(struct word_list *all, const struct config_slices *words, bool whole) {
    if (words->count == 0)
        return RULES_NO_FLAG;
    for (size_t i = 0; i < words->count; i++)
        all->items[all->count++] = (struct keyword){words->items[i], whole, all->flags};
    return all->flags++;
}

static void compile_words(struct rules *rules) {
    size_t count = 0;
    for (size_t i = 0; i < rules->count; i++)
        count += rules->items[i].config->keywords.count + rules->items[i].config->contains.count;
    struct word_list all = {.items = base_calloc(count + 1, sizeof *all.items)};
    for (size_t i = 0; i < rules->count; i++) {
        struct rule *rule = &rules->items[i];
        rule->keywords_flag = add_words(&all, &rule->config->keywords, true);
        rule->contains_flag = add_words(&all, &rule->config->contains, false);
    }
    if (count > 0)
        rules->keywords = keywords_new(all.items, count, all.flags);
    free(all.items);
}

bool rules_compile(struct rules *rules, const struct config_classifier *from,
                   struct buffer *messages) {
    bool ok = true;
    *rules = (struct rules){.items = base_calloc(from->rule_count + 1, sizeof *rules->items),
                            .count = from->rule_count};
    metric_declare(&rule_total);
    for (size_t i = 0; i < from->rule_count; i++) {
        struct rule *rule = &rules->items[i];
        rule->config = &from->rules[i];
        rule->fired = metric_series(&rule_total, &rule->config->name);
        compile_ranges(rule);
        compile_scripts(rule);
        ok = compile_patterns(rule, messages) && ok;
    }
    compile_words(rules);
    return ok;
}

void rules_free(struct rules *rules) {
    for (size_t i = 0; i < rules->count; i++) {
        for (size_t p = 0; p < rules->items[i].pattern_count; p++)
            pattern_free(rules->items[i].patterns[p]);
        free(rules->items[i].patterns);
    }
    keywords_free(rules->keywords);
    free(rules->items);
    *rules = (struct rules){0};
}

// -------------------------------------------------------------------- match

struct question {
    const struct rules *rules;
    const struct classify_input *in;
    const struct classify_signals *signals;
    const struct classify_texts *texts;
    const struct rules_chain *chain;
    bool searched;
    struct keywords_found found;
};

static bool any_fits(const struct config_slices *globs, struct slice text) {
    if (globs->count == 0)
        return true;
    for (size_t i = 0; i < globs->count; i++)
        if (slice_glob(globs->items[i], text))
            return true;
    return false;
}

// CONFIG_UNSET as a value (no cap on output) is in no range.
static bool ranges_fit(const struct rule *rule, const struct classify_signals *signals) {
    for (size_t i = 0; i < CONFIG_SIGNAL_COUNT; i++) {
        const struct config_range *r = &rule->ranges[i];
        int64_t value = signals->values[i];
        if ((r->min != CONFIG_UNSET && value < r->min) ||
            (r->max != CONFIG_UNSET && (value > r->max || value == CONFIG_UNSET)))
            return false;
    }
    return true;
}

static bool flags_fit(const struct config_rule *rule, const struct classify_signals *signals) {
    return rule->json_output == CONFIG_UNSET || (rule->json_output == 1) == signals->json_output;
}

static bool globs_fit(const struct config_rule *rule, const struct classify_input *in) {
    return any_fits(&rule->features, in->feature) && any_fits(&rule->models, in->model) &&
           any_fits(&rule->prompt_versions, in->prompt_version);
}

static bool is_raised(struct question *q, uint32_t flag) {
    if (flag == RULES_NO_FLAG)
        return true;
    if (!q->searched) {
        q->found = keywords_begin(q->rules->keywords, q->in->arena);
        for (size_t i = 0; i < q->texts->count; i++)
            keywords_search(q->rules->keywords, q->texts->items[i], &q->found);
        q->searched = true;
    }
    return keywords_raised(&q->found, flag);
}

static bool patterns_fit(const struct rule *rule, const struct classify_texts *texts) {
    for (size_t p = 0; p < rule->pattern_count; p++)
        for (size_t i = 0; i < texts->count; i++)
            if (pattern_find(rule->patterns[p], texts->items[i]))
                return true;
    return rule->pattern_count == 0;
}

static bool may_choose(const struct config_rule *rule, const struct rules_chain *chain) {
    if (rule->outcome != CONFIG_OUTCOME_TIER)
        return true;
    for (size_t i = 0; i < chain->count; i++)
        if (chain->tiers[i] == rule->tier)
            return true;
    return false;
}

static bool fits(struct question *q, const struct rule *rule) {
    return may_choose(rule->config, q->chain) && ranges_fit(rule, q->signals) &&
           flags_fit(rule->config, q->signals) &&
           (rule->scripts == 0 || (rule->scripts & q->signals->scripts) != 0) &&
           globs_fit(rule->config, q->in) && is_raised(q, rule->keywords_flag) &&
           is_raised(q, rule->contains_flag) && patterns_fit(rule, q->texts);
}

const struct rule *rules_match(const struct rules *rules, const struct classify_input *in,
                               const struct classify_signals *signals,
                               const struct classify_texts *texts,
                               const struct rules_chain *chain) {
    struct question q = {
        .rules = rules, .in = in, .signals = signals, .texts = texts, .chain = chain};
    for (size_t i = 0; i < rules->count; i++)
        if (fits(&q, &rules->items[i]))
            return &rules->items[i];
    return NULL;
}
