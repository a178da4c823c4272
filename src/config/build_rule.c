// The classifier's rules. Whether their patterns compile, and which of them can
// never fire, is for who builds the classifier (room route) to say.
#include "loader.h"
#include "names.h"

void loader_check_texts(struct loader *l, cfg_t *section, const char *key) {
    struct config_slices texts = loader_list(l, section, key);
    for (size_t i = 0; i < texts.count; i++)
        if (slice_trim(texts.items[i]).len == 0)
            loader_error(l, loader_item_line(l, section, key, i),
                         "%s: \"%s\" is found in every text; expected something to look for", key,
                         loader_shown(l, texts.items[i]));
}

void loader_check_scripts(struct loader *l, cfg_t *section) {
    struct config_slices given = loader_list(l, section, "scripts");
    for (size_t i = 0; i < given.count; i++)
        (void)loader_word(l, loader_item_line(l, section, "scripts", i), "scripts", given.items[i],
                          config_script_words, CONFIG_SCRIPT_COUNT);
}

static void read_route(struct loader *l, cfg_t *section, struct config_rule *rule) {
    const struct config *c = loader_config(l);
    struct slice name = slice_of(loader_text(section, "route"));
    rule->outcome = CONFIG_OUTCOME_ROUTE;
    rule->route = config_route_find(c, name);
    if (rule->route == NULL)
        loader_error(l, loader_line(l, section, "route"), "route: there is no route \"%s\" (%s)",
                     loader_shown(l, name), LOADER_KNOWN(l, c->routes, c->route_count));
}

static void read_outcome(struct loader *l, cfg_t *section, struct config_rule *rule) {
    bool tier = loader_text(section, "tier") != NULL, route = loader_text(section, "route") != NULL;
    bool score = loader_text(section, "score") != NULL;
    if (tier + route + score != 1) {
        loader_error(l, loader_line(l, section, NULL),
                     "rule \"%s\" has %s; expected one of tier = \"NAME\", route = \"NAME\" and "
                     "score = 0.5",
                     loader_shown(l, rule->name),
                     tier + route + score == 0 ? "no outcome" : "more than one outcome");
    } else if (tier) {
        rule->outcome = CONFIG_OUTCOME_TIER;
        rule->tier = loader_tier_of(l, section, "tier");
    } else if (route) {
        read_route(l, section, rule);
    } else {
        rule->outcome = CONFIG_OUTCOME_SCORE;
    }
}

static void build_rule(struct loader *l, cfg_t *section, void *element) {
    struct config_rule *rule = element;
    rule->name = loader_title(l, section);
    rule->where = loader_where(l, section, NULL);
    loader_fill_named(l, section, "classifier", "rule", rule);
    loader_check_texts(l, section, "keywords");
    loader_check_texts(l, section, "contains");
    loader_check_texts(l, section, "patterns");
    loader_check_scripts(l, section);
    read_outcome(l, section, rule);
}

void loader_build_classifier(struct loader *l, cfg_t *root) {
    cfg_t *section = cfg_getsec(root, "classifier");
    struct config_classifier *c = &loader_config(l)->classifier;
    loader_fill_named(l, section, "", "classifier", c);
    c->default_tier = loader_tier_of(l, section, "default_tier");
    c->where = loader_where(l, section, "model");
    const char *model = loader_text(section, "model");
    if (model != NULL && model[0] == '\0')
        loader_error(l, loader_line(l, section, "model"),
                     "model: \"\" is no file; expected one that farthingctl train wrote");
    c->rules = loader_build_each(l, section, "rule", sizeof(struct config_rule), build_rule,
                                 &c->rule_count);
    loader_read_similar(l, section, c);
}
