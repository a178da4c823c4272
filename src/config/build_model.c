// Models, and the tiers that they make up.
#include "loader.h"

// ------------------------------------------------------------------- models

static const struct config_provider *provider_of(struct loader *l, struct slice model) {
    ptrdiff_t slash = slice_find_char(model, '/');
    if (slash <= 0 || (size_t)slash + 1 == model.len)
        return NULL;
    return config_provider_find(loader_config(l), slice_make(model.ptr, (size_t)slash));
}

static bool check_model_name(struct loader *l, int line, const char *where, struct slice name) {
    ptrdiff_t slash = slice_find_char(name, '/');
    if (provider_of(l, name) != NULL)
        return true;
    if (slash <= 0 || (size_t)slash + 1 == name.len)
        loader_error(l, line, "%s: \"%s\" is not a model; expected \"provider/model\"", where,
                     loader_shown(l, name));
    else
        loader_error(
            l, line, "%s: the provider of \"%s\" is not declared (%s)", where,
            loader_shown(l, name),
            LOADER_KNOWN(l, loader_config(l)->providers, loader_config(l)->provider_count));
    return false;
}

static struct config_model *new_model(struct loader *l, struct config_model *all,
                                      struct slice name) {
    struct config_model *m = &all[loader_config(l)->model_count];
    *m = (struct config_model){
        .name = name,
        .provider = provider_of(l, name),
        .index = (unsigned)loader_config(l)->model_count++,
    };
    loader_fill_named(l, NULL, "", "model", m);
    m->upstream_model = slice_from(name, (size_t)slice_find_char(name, '/') + 1);
    return m;
}

// A tier may name a model that no section describes: it is known by its name.
static const struct config_model *model_for_tier(struct loader *l, struct slice name) {
    const struct config_model *m = config_model_find(loader_config(l), name);
    return m != NULL
               ? m
               : new_model(l, (struct config_model *)(uintptr_t)loader_config(l)->models, name);
}

void loader_build_models(struct loader *l, cfg_t *root) {
    unsigned count = cfg_size(root, "model"), most = count;
    for (unsigned t = 0; t < cfg_size(root, "tier"); t++)
        most += cfg_size(cfg_getnsec(root, "tier", t), "models");
    struct config_model *all = loader_many(l, most, sizeof *all);
    loader_config(l)->models = all;
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(root, "model", i);
        struct slice name = loader_title(l, section);
        if (!check_model_name(l, loader_line(l, section, NULL), "model", name))
            continue;
        struct config_model *m = new_model(l, all, name);
        struct slice upstream = m->upstream_model;
        loader_fill_named(l, section, "", "model", m);
        if (m->upstream_model.len == 0)
            m->upstream_model = upstream;
    }
}

// -------------------------------------------------------------------- tiers

static void read_weight(struct loader *l, int line, struct slice text, unsigned *weight) {
    enum { MOST = 1000 };
    uint64_t number;
    if (slice_to_u64(text, &number) && number >= 1 && number <= MOST)
        *weight = (unsigned)number;
    else
        loader_error(l, line, "weights: \"%s\" is not valid; expected a whole number from 1 to %d",
                     loader_shown(l, text), MOST);
}

static void read_balance(struct loader *l, cfg_t *section, size_t models,
                         struct config_tier *tier) {
    static const char *const words[] = {"order", "least_inflight", "weighted", "lowest_latency"};
    struct config_slices given = loader_list(l, section, "weights");
    tier->balance = (enum config_balance)loader_choice(l, section, "balance", words,
                                                       FARTHING_COUNT(words), CONFIG_BALANCE_ORDER);
    if (given.count > 0 && given.count != models)
        loader_error(l, loader_line(l, section, "weights"),
                     "weights: %zu for %zu models; expected one for each", given.count, models);
    else if (given.count > 0 && tier->balance != CONFIG_BALANCE_WEIGHTED)
        loader_warn(l, loader_line(l, section, "weights"),
                    "weights have no effect without balance = \"weighted\"");
    unsigned *weights = loader_many(l, models, sizeof *weights);
    for (size_t m = 0; m < models; m++) {
        weights[m] = 1;
        if (m < given.count)
            read_weight(l, loader_item_line(l, section, "weights", m), given.items[m],
                        &weights[m]);
    }
    tier->weights = weights;
}

static void build_tier(struct loader *l, cfg_t *section, void *element) {
    struct config_tier *tier = element;
    tier->name = loader_title(l, section);
    if (slice_equal(tier->name, SLICE("auto")) || slice_find_char(tier->name, '/') >= 0)
        loader_error(
            l, loader_line(l, section, NULL),
            "tier \"%s\": a client that asks for this means something else; expected a name "
            "without a slash, and not \"auto\"",
            loader_shown(l, tier->name));
    struct config_slices names = loader_list(l, section, "models");
    read_balance(l, section, names.count, tier);
    tier->models = loader_many(l, names.count, sizeof *tier->models);
    loader_require(l, section, "models", "{\"provider/model\"}");
    for (size_t m = 0; m < names.count; m++)
        if (check_model_name(l, loader_item_line(l, section, "models", m), "models",
                             names.items[m]))
            tier->models[tier->model_count++] = model_for_tier(l, names.items[m]);
}

void loader_build_tiers(struct loader *l, cfg_t *root) {
    struct config *c = loader_config(l);
    c->tiers =
        loader_build_each(l, root, "tier", sizeof(struct config_tier), build_tier, &c->tier_count);
}

const struct config_tier *loader_tier(struct loader *l, int line, const char *key,
                                      struct slice name) {
    const struct config_tier *tier = config_tier_find(loader_config(l), name);
    if (tier == NULL)
        loader_error(l, line, "%s: there is no tier \"%s\" (%s)", key, loader_shown(l, name),
                     LOADER_KNOWN(l, loader_config(l)->tiers, loader_config(l)->tier_count));
    return tier;
}

const struct config_tier *loader_tier_of(struct loader *l, cfg_t *section, const char *key) {
    const char *name = loader_text(section, key);
    return name != NULL ? loader_tier(l, loader_line(l, section, key), key, slice_of(name)) : NULL;
}
