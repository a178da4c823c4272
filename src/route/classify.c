// A request's tier: by a rule, by what its tenant prefers, by the example that is
// nearest to it, by a learned model, or by default, in this order.
#include <stdatomic.h>
#include <stdlib.h>

#include "rules.h"
#include "similar.h"

static const struct metric_family category_total = {
    .name = "farthing_classifier_category_total",
    .help = "Requests whose tier an example chose, by the example's category.",
    .kind = METRIC_COUNTER,
    .labels = {"category"},
};

struct classifier {
    const struct config *config;
    struct rules rules;
    struct learn_model *model;            // NULL: none
    struct similar *similar;              // NULL: no categories
    struct metric_series **chosen;        // one a category
    const struct config_tier **all_tiers; // the chain where a route names none
    _Atomic unsigned references;
};

static const double TARGET_DEFAULT = 0.8;
// What economy asks less: one bad answer more in ten.
static const double TARGET_ECONOMY = 0.1;

// --------------------------------------------------------------------- life

static bool load_model(struct classifier *c, struct buffer *messages) {
    const struct config_classifier *from = &c->config->classifier;
    struct error err;
    if (from->model.len == 0)
        return true;
    c->model = learn_model_load(from->model.ptr, &err); // ends with a NUL, as all of a snapshot
    if (c->model == NULL)
        buffer_printf(messages, "%.*s: model: %s\n", SLICE_ARG(from->where), err.text);
    return c->model != NULL;
}

static bool load_examples(struct classifier *c, struct buffer *messages) {
    const struct config_classifier *from = &c->config->classifier;
    if (from->category_count == 0)
        return true;
    c->similar = similar_new(from, messages);
    c->chosen = base_calloc(from->category_count, sizeof(struct metric_series *));
    metric_declare(&category_total);
    for (size_t i = 0; i < from->category_count; i++)
        c->chosen[i] = metric_series(&category_total, &from->categories[i].name);
    return c->similar != NULL;
}

struct classifier *classifier_new(const struct config *config, struct buffer *messages) {
    struct classifier *c = base_calloc(1, sizeof *c);
    c->config = config_ref(config);
    c->all_tiers = base_calloc(config->tier_count + 1, sizeof(struct config_tier *));
    for (size_t i = 0; i < config->tier_count; i++)
        c->all_tiers[i] = &config->tiers[i];
    atomic_init(&c->references, 1);
    bool loaded = load_model(c, messages);
    loaded = load_examples(c, messages) && loaded;
    if (!rules_compile(&c->rules, &config->classifier, messages) || !loaded) {
        classifier_unref(c);
        return NULL;
    }
    rules_check(&c->rules, config, messages);
    return c;
}

struct classifier *classifier_ref(struct classifier *c) {
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void classifier_unref(struct classifier *c) {
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    rules_free(&c->rules);
    learn_model_unref(c->model);
    similar_free(c->similar);
    free(c->chosen);
    config_unref(c->config);
    free(c->all_tiers);
    free(c);
}

// -------------------------------------------------------------------- words

bool classify_quality_find(struct slice word, enum classify_quality *out) {
    static const char *const words[] = {"balanced", "economy", "best"}; // as the enum
    for (size_t i = 0; i < FARTHING_COUNT(words); i++)
        if (slice_equal(word, slice_of(words[i]))) {
            *out = (enum classify_quality)i;
            return true;
        }
    return false;
}

const char *classify_by_name(enum classify_by by) {
    static const char *const names[] = {"rule",  "quality", "similar",
                                        "model", "score",   "default"};
    _Static_assert(FARTHING_COUNT(names) == CLASSIFY_BY_COUNT, "a name for each");
    return names[by];
}

// --------------------------------------------------------------------- tiers

static struct rules_chain chain_of(const struct classifier *c, const struct config_route *route) {
    if (route != NULL && route->tier_count > 0)
        return (struct rules_chain){route->tiers, route->tier_count};
    return (struct rules_chain){c->all_tiers, c->config->tier_count};
}

static bool has_tier(const struct rules_chain *chain, const struct config_tier *tier) {
    for (size_t i = 0; i < chain->count; i++)
        if (chain->tiers[i] == tier)
            return true;
    return false;
}

static void choose(struct classify_result *out, const struct rules_chain *chain, size_t at,
                   enum classify_by by) {
    out->tier = chain->tiers[at];
    out->by = by;
}

static void choose_default(const struct classifier *c, const struct rules_chain *chain,
                           struct classify_result *out) {
    const struct config_tier *tier = c->config->classifier.default_tier;
    choose(out, chain, 0, CLASSIFY_BY_DEFAULT);
    if (tier != NULL && has_tier(chain, tier))
        out->tier = tier;
}

static double bounded(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

// -1 the first, 1 the last, the nearest between.
static size_t place_of(double score, size_t count) {
    double place = (bounded(score, -1, 1) + 1) / 2 * (double)(count - 1);
    return (size_t)(place + 0.5);
}

// ---------------------------------------------------------------- the model

static const double *chances_of(const struct classify_result *out, size_t count,
                                struct arena *arena) {
    double *chances = arena_alloc(arena, count * sizeof *chances);
    for (size_t i = 0; i < count; i++) {
        double share = count > 1 ? (double)i / (double)(count - 1) : 1;
        double gap = out->learned.p_large - out->learned.p_small;
        chances[i] = bounded(out->learned.p_small + gap * share - out->rule_score, 0, 1);
    }
    return chances;
}

static double target_of(const struct classify_result *out, enum classify_quality quality) {
    const struct config_route *route = out->route;
    double target = route != NULL && route->quality_target_milli != CONFIG_UNSET
                        ? (double)route->quality_target_milli / 1000
                        : TARGET_DEFAULT;
    return quality == CLASSIFY_ECONOMY ? bounded(target - TARGET_ECONOMY, 0, 1) : target;
}

static void ask_model(const struct learn_model *model, struct classify_result *out) {
    struct learn_reading reading;
    learn_score_begin(&reading);
    for (size_t i = 0; i < out->texts.count; i++)
        learn_score_text(&reading, model, out->texts.items[i]);
    out->learned = learn_score_end(&reading, model);
    out->has_model = true;
}

static void choose_by_chances(const struct rules_chain *chain, const struct classify_input *in,
                              struct classify_result *out) {
    out->chances = chances_of(out, chain->count, in->arena);
    out->chance_count = chain->count;
    out->target = target_of(out, in->quality);
    size_t at = 0;
    while (at + 1 < chain->count && out->chances[at] < out->target)
        at++;
    choose(out, chain, at, CLASSIFY_BY_MODEL);
}

static void choose_by_model(const struct learn_model *model, const struct rules_chain *chain,
                            const struct classify_input *in, struct classify_result *out) {
    ask_model(model, out);
    choose_by_chances(chain, in, out);
}

// --------------------------------------------------------------- similarity

bool classifier_wants_vectors(const struct classifier *c) {
    return c->similar != NULL && similar_is_outside(c->similar);
}

size_t classifier_examples(const struct classifier *c, const struct slice **texts) {
    *texts = NULL;
    return c->similar != NULL ? similar_examples(c->similar, texts) : 0;
}

bool classifier_take_examples(const struct classifier *c, struct slice answer_body,
                              struct error *err) {
    return c->similar != NULL ? similar_take(c->similar, answer_body, err)
                              : error_set(err, "there are no categories");
}

bool classifier_has_examples(const struct classifier *c) {
    return c->similar != NULL && similar_has_vectors(c->similar);
}

// The first bytes, without half a character at their end.
static struct slice cut(struct slice text, size_t most) {
    if (text.len <= most)
        return text;
    while (most > 0 && ((uint8_t)text.ptr[most] & 0xC0) == 0x80)
        most--;
    return slice_make(text.ptr, most);
}

struct slice classify_similar_text(const struct classify_texts *texts, struct arena *arena) {
    size_t last = texts->last < texts->count ? texts->last : texts->count, bytes = 0;
    if (texts->count - last == 1)
        return cut(texts->items[last], CLASSIFY_SIMILAR_BYTES);
    if (texts->count == last)
        return SLICE("");
    char *joined = arena_alloc(arena, CLASSIFY_SIMILAR_BYTES + 1);
    for (size_t i = last; i < texts->count && bytes < CLASSIFY_SIMILAR_BYTES; i++) {
        if (i > last)
            joined[bytes++] = '\n';
        struct slice piece = cut(texts->items[i], CLASSIFY_SIMILAR_BYTES - bytes);
        memcpy(joined + bytes, piece.ptr, piece.len);
        bytes += piece.len;
        if (piece.len < texts->items[i].len)
            break; // what comes after a cut would seem to belong to it
    }
    return slice_make(joined, bytes);
}

static bool choose_by_example(const struct classifier *c, const struct rules_chain *chain,
                              const struct classify_input *in, struct classify_result *out) {
    struct similar_match match;
    if (c->similar == NULL)
        return false;
    struct slice text = similar_is_outside(c->similar)
                            ? SLICE("")
                            : classify_similar_text(&out->texts, in->arena);
    if (!similar_nearest(c->similar, text, in->vector, &match))
        return false;
    out->category = match.category;
    out->similarity = match.cosine;
    if (match.cosine < (double)match.category->threshold_milli / 1000 ||
        !has_tier(chain, match.category->tier))
        return false;
    out->tier = match.category->tier;
    out->by = CLASSIFY_BY_SIMILAR;
    metric_add(c->chosen[match.category - c->config->classifier.categories], 1);
    return true;
}

// ------------------------------------------------------------------ request

static void choose_tier(const struct classifier *c, const struct learn_model *model,
                        const struct classify_input *in, struct classify_result *out) {
    struct rules_chain chain = chain_of(c, out->route);
    if (chain.count == 0)
        return;
    if (out->rule != NULL && out->rule->outcome == CONFIG_OUTCOME_TIER) {
        out->tier = out->rule->tier;
        out->by = CLASSIFY_BY_RULE;
    } else if (in->quality == CLASSIFY_BEST) {
        choose(out, &chain, chain.count - 1, CLASSIFY_BY_QUALITY);
    } else if (choose_by_example(c, &chain, in, out)) {
        return;
    } else if (model != NULL) {
        choose_by_model(model, &chain, in, out);
    } else if (out->rule_score < 0 || out->rule_score > 0) {
        choose(out, &chain, place_of(out->rule_score, chain.count), CLASSIFY_BY_SCORE);
    } else if (in->quality == CLASSIFY_ECONOMY) {
        choose(out, &chain, 0, CLASSIFY_BY_QUALITY);
    } else {
        choose_default(c, &chain, out);
    }
}

static void apply_rule(const struct rule *rule, struct classify_result *out) {
    if (rule == NULL)
        return;
    metric_add(rule->fired, 1);
    out->rule = rule->config;
    if (rule->config->outcome == CONFIG_OUTCOME_ROUTE)
        out->route = rule->config->route;
    if (rule->config->outcome == CONFIG_OUTCOME_SCORE)
        out->rule_score = (double)rule->config->score_milli / 1000;
}

void classify_request(const struct classifier *c, const struct learn_model *model,
                      enum api_endpoint e, const struct json_doc *doc,
                      const struct classify_input *in, struct classify_result *out) {
    struct rules_chain chain = chain_of(c, in->route);
    *out = (struct classify_result){.route = in->route, .by = CLASSIFY_BY_DEFAULT};
    if (in->signals != NULL && in->texts != NULL) {
        out->signals = *in->signals;
        out->texts = *in->texts;
    } else {
        classify_signals(e, doc, in->input_tokens, in->arena, &out->signals, &out->texts);
    }
    out->signals.values[CONFIG_SIGNAL_DEADLINE_MS] = in->deadline_ms;
    out->signals.values[CONFIG_SIGNAL_PAST_SUCCESS] = in->past_success_percent;
    apply_rule(rules_match(&c->rules, in, &out->signals, &out->texts, &chain), out);
    choose_tier(c, model != NULL ? model : c->model, in, out);
}

struct slice classify_result_name(const struct classify_result *result, struct arena *arena) {
    if (result->by == CLASSIFY_BY_SIMILAR)
        return arena_printf(arena, "category:%.*s", SLICE_ARG(result->category->name));
    if (result->rule != NULL)
        return result->rule->name;
    return slice_of(classify_by_name(result->by));
}
