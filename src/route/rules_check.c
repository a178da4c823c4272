// Rules that can never fire: because they contradict themselves, or because an
// earlier rule fits wherever they would.
//
// Only what is certain is told. So one earlier rule is looked at at a time (two
// may cover a later one between them), patterns are compared as texts, and a glob
// covers another only where its own stars alone can take the other's.
#include "rules.h"

// ------------------------------------------------------------ contradictions

// What no value can be both over and under. Writes why.
static bool is_dead(const struct rule *rule, struct buffer *why) {
    for (size_t i = 0; i < CONFIG_SIGNAL_COUNT; i++) {
        const struct config_range *r = &rule->ranges[i];
        const char *name = classify_signal_name((enum config_signal)i);
        if (r->max != CONFIG_UNSET && r->min > r->max) {
            bool by_flag = i == CONFIG_SIGNAL_TOOLS && rule->config->no_tools != CONFIG_UNSET;
            buffer_printf(why, by_flag ? "no_tools, min_%s and max_%s contradict each other"
                                       : "min_%s is over max_%s",
                          name, name);
            return true;
        }
    }
    const struct config_range *r = rule->ranges;
    if (rule->config->json_output == 0 && r[CONFIG_SIGNAL_SCHEMA_BYTES].min > 0) {
        BUFFER_LITERAL(why, "a schema asks for JSON, which json = false excludes");
        return true;
    }
    if (r[CONFIG_SIGNAL_CODE_BLOCKS].max == 0 && r[CONFIG_SIGNAL_CODE_LINES].min > 0) {
        BUFFER_LITERAL(why, "there are no code lines without a code block");
        return true;
    }
    return false;
}

// -------------------------------------------------------------- implication

// A cap on output that is not said, a deadline that is not set, a success that is not
// known: in no range at all.
static bool may_be_unset(enum config_signal signal) {
    return signal == CONFIG_SIGNAL_OUTPUT_TOKENS || signal == CONFIG_SIGNAL_DEADLINE_MS ||
           signal == CONFIG_SIGNAL_PAST_SUCCESS;
}

// Does every value in `b` lie in `a`? All others are at least 0.
static bool range_implies(enum config_signal signal, struct config_range b, struct config_range a) {
    bool bounded = b.min != CONFIG_UNSET || b.max != CONFIG_UNSET;
    if (a.min == CONFIG_UNSET && a.max == CONFIG_UNSET)
        return true;
    if (may_be_unset(signal) && !bounded)
        return false;
    return (a.min <= 0 || b.min >= a.min) &&
           (a.max == CONFIG_UNSET || (b.max != CONFIG_UNSET && b.max <= a.max));
}

static bool ranges_imply(const struct rule *b, const struct rule *a) {
    for (size_t i = 0; i < CONFIG_SIGNAL_COUNT; i++)
        if (!range_implies((enum config_signal)i, b->ranges[i], a->ranges[i]))
            return false;
    return true;
}

static bool json_implies(const struct rule *b, const struct rule *a) {
    int asked = a->config->json_output;
    return asked == CONFIG_UNSET || asked == b->config->json_output ||
           (asked == 1 && b->ranges[CONFIG_SIGNAL_SCHEMA_BYTES].min > 0);
}

// Is all that fits b's glob sure to fit a's? A star of a's takes whatever stands
// there in b's; a question mark would take a star for one byte.
static bool glob_implies(struct slice b, struct slice a) {
    return slice_equal(b, a) || (slice_find_char(a, '?') < 0 && slice_glob(a, b));
}

static bool text_implies(struct slice b, struct slice a) {
    return slice_equal(b, a);
}

// Long lists are compared word by word only up to here: what lies beyond is not
// certain, and so not told.
enum { COMPARISONS_MAX = 1 << 24 };

// Does each item of b imply some item of a?
static bool list_implies(const struct config_slices *b, const struct config_slices *a,
                         bool implies(struct slice b, struct slice a)) {
    if (a->count == 0)
        return true;
    if (b->count > COMPARISONS_MAX / a->count)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        bool any = false;
        for (size_t k = 0; k < a->count && !any; k++)
            any = implies(b->items[i], a->items[k]);
        if (!any)
            return false;
    }
    return b->count > 0;
}

// Keywords by their streams, each made once: whether one contains the other.
static struct config_slices streams(const struct config_slices *words, bool whole,
                                    struct arena *arena) {
    struct slice *items = arena_alloc(arena, (words->count + 1) * sizeof *items);
    struct buffer stream = {0};
    for (size_t i = 0; i < words->count; i++) {
        buffer_clear(&stream);
        keywords_stream(words->items[i], whole, &stream);
        items[i] = arena_copy(arena, buffer_slice(&stream));
    }
    buffer_free(&stream);
    return (struct config_slices){items, words->count};
}

static bool stream_implies(struct slice b, struct slice a) {
    return a.len > 0 && slice_find(b, a) >= 0;
}

// A rule as the comparison sees it.
struct seen {
    const struct rule *rule;
    struct config_slices keywords, contains; // as streams
};

// b's keywords or its `contains`, each alone, may imply either list of a's.
static bool words_imply(const struct seen *b, const struct seen *a) {
    return (list_implies(&b->keywords, &a->keywords, stream_implies) ||
            list_implies(&b->contains, &a->keywords, stream_implies)) &&
           (list_implies(&b->keywords, &a->contains, stream_implies) ||
            list_implies(&b->contains, &a->contains, stream_implies));
}

static bool implies(const struct seen *b, const struct seen *a) {
    const struct config_rule *bc = b->rule->config, *ac = a->rule->config;
    bool scripts = a->rule->scripts == 0 ||
                   (b->rule->scripts != 0 && (b->rule->scripts & ~a->rule->scripts) == 0);
    return scripts && ranges_imply(b->rule, a->rule) && json_implies(b->rule, a->rule) &&
           list_implies(&bc->features, &ac->features, glob_implies) &&
           list_implies(&bc->models, &ac->models, glob_implies) &&
           list_implies(&bc->prompt_versions, &ac->prompt_versions, glob_implies) &&
           list_implies(&bc->patterns, &ac->patterns, text_implies) && words_imply(b, a);
}

// ------------------------------------------------------------------- report

static bool in_chain(const struct config_route *r, const struct config_tier *tier) {
    for (size_t i = 0; i < r->tier_count; i++)
        if (r->tiers[i] == tier)
            return true;
    return r->tier_count == 0; // all tiers
}

// A rule is passed over on routes that lack its tier: it forestalls another only
// where that one is passed over too.
static bool applies_wherever(const struct config *config, const struct config_rule *a,
                             const struct config_rule *b) {
    if (a->outcome != CONFIG_OUTCOME_TIER ||
        (b->outcome == CONFIG_OUTCOME_TIER && a->tier == b->tier))
        return true;
    for (size_t i = 0; i < config->route_count; i++)
        if (!in_chain(&config->routes[i], a->tier))
            return false;
    return true;
}

// (What implies a rule that contradicts itself contradicts itself too.)
static const struct rule *find_shadow(const struct seen *all, size_t at,
                                      const struct config *config) {
    for (size_t i = 0; i < at; i++)
        if (implies(&all[at], &all[i]) &&
            applies_wherever(config, all[i].rule->config, all[at].rule->config))
            return all[i].rule;
    return NULL;
}

static void warn(const struct rule *rule, struct buffer *messages, struct slice why) {
    buffer_printf(messages, "%.*s: warning: rule \"%.*s\" can never fire: %.*s\n",
                  SLICE_ARG(rule->config->where), SLICE_ARG(rule->config->name), SLICE_ARG(why));
}

void rules_check(const struct rules *rules, const struct config *config, struct buffer *messages) {
    struct arena *arena = arena_new(4096);
    struct seen *all = arena_alloc(arena, (rules->count + 1) * sizeof *all);
    struct buffer why = {0};
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->items[i];
        buffer_clear(&why);
        all[i] = (struct seen){rule, streams(&rule->config->keywords, true, arena),
                               streams(&rule->config->contains, false, arena)};
        bool dead = is_dead(rule, &why);
        const struct rule *by = dead ? NULL : find_shadow(all, i, config);
        if (by != NULL)
            buffer_printf(&why, "rule \"%.*s\" (%.*s) fits wherever it would",
                          SLICE_ARG(by->config->name), SLICE_ARG(by->config->where));
        if (dead || by != NULL)
            warn(rule, messages, buffer_slice(&why));
    }
    buffer_free(&why);
    arena_free(arena);
}
