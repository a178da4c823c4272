// The classifier's rules. Whether their patterns compile, and which of them can
// never fire, is for who builds the classifier (room route) to say.
#include "loader.h"

void loader_check_texts(struct loader *l, cfg_t *section, const char *key) {
    struct config_slices texts = loader_list(l, section, key);
    for (size_t i = 0; i < texts.count; i++)
        if (slice_trim(texts.items[i]).len == 0)
            loader_error(l, loader_item_line(l, section, key, i),
                         "%s: \"%s\" is found in every text; expected something to look for", key,
                         loader_shown(l, texts.items[i]));
}

void loader_check_scripts(struct loader *l, cfg_t *section) {
    const char *names[CONFIG_SCRIPT_COUNT];
    for (size_t i = 0; i < CONFIG_SCRIPT_COUNT; i++)
        names[i] = config_script_name((enum config_script)i);
    struct config_slices given = loader_list(l, section, "scripts");
    for (size_t i = 0; i < given.count; i++)
        (void)loader_word(l, loader_item_line(l, section, "scripts", i), "scripts", given.items[i],
                          names, CONFIG_SCRIPT_COUNT);
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
        rule->tier = loader_tier(l, loader_line(l, section, "tier"), "tier",
                                 slice_of(loader_text(section, "tier")));
    } else if (route) {
        read_route(l, section, rule);
    } else {
        rule->outcome = CONFIG_OUTCOME_SCORE;
    }
}

static void build_rule(struct loader *l, cfg_t *section, struct config_rule *rule) {
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
    const char *tier = loader_text(section, "default_tier");
    if (tier != NULL)
        c->default_tier =
            loader_tier(l, loader_line(l, section, "default_tier"), "default_tier", slice_of(tier));
    c->where = loader_where(l, section, "model");
    const char *model = loader_text(section, "model");
    if (model != NULL && model[0] == '\0')
        loader_error(l, loader_line(l, section, "model"),
                     "model: \"\" is no file; expected one that farthingctl train wrote");
    unsigned count = cfg_size(section, "rule");
    struct config_rule *rules = loader_many(l, count, sizeof *rules);
    for (unsigned i = 0; i < count; i++)
        build_rule(l, cfg_getnsec(section, "rule", i), &rules[i]);
    c->rules = rules;
    c->rule_count = count;
}
