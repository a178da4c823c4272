// The classifier's categories, and what makes vectors of texts for them. Whether
// the files are what they should be is for who reads them (room route) to say.
#include "loader.h"

// --------------------------------------------------------------- categories

static void check_examples(struct loader *l, cfg_t *section, const struct config_category *c) {
    loader_require(l, section, "examples", "{\"what a user says\"}");
    for (size_t i = 0; i < c->examples.count; i++)
        if (slice_trim(c->examples.items[i]).len == 0)
            loader_error(l, loader_item_line(l, section, "examples", i),
                         "examples: \"%s\" says nothing that a request could be like; expected "
                         "what a user says",
                         loader_shown(l, c->examples.items[i]));
}

static void build_category(struct loader *l, cfg_t *section, void *element) {
    struct config_category *c = element;
    c->name = loader_title(l, section);
    c->where = loader_where(l, section, NULL);
    loader_fill_named(l, section, "classifier", "category", c);
    check_examples(l, section, c);
    loader_require(l, section, "tier", "\"NAME\"");
    c->tier = loader_tier_of(l, section, "tier");
}

// --------------------------------------------------------------- embeddings

// The file beside `path` that has this name.
static struct slice beside(struct loader *l, struct slice path, const char *name) {
    size_t directory = path.len;
    while (directory > 0 && path.ptr[directory - 1] != '/')
        directory--;
    return arena_printf(l->arena, "%.*s%s", (int)directory, path.ptr, name);
}

static void read_model(struct loader *l, cfg_t *section, struct config_classifier *c) {
    const struct config *all = loader_config(l);
    int line = loader_line(l, section, "embedding_model");
    struct slice name = slice_of(loader_text(section, "embedding_model"));
    c->embedding_model = config_model_find(all, name);
    if (c->embedding_model == NULL)
        loader_error(l, line, "embedding_model: there is no model \"%s\" (%s)",
                     loader_shown(l, name), LOADER_KNOWN(l, all->models, all->model_count));
    else if (!slice_equal(c->embedding_model->provider->dialect, SLICE("openai")))
        loader_error(l, line,
                     "embedding_model: the provider of \"%s\" has the dialect %.*s, which knows "
                     "no embeddings; expected a model of a provider with dialect = \"openai\"",
                     loader_shown(l, name), SLICE_ARG(c->embedding_model->provider->dialect));
    else
        loader_check_own_key(l, line, "embedding_model", c->embedding_model);
}

static void check_file(struct loader *l, cfg_t *section, const char *key, const char *expected) {
    const char *path = loader_text(section, key);
    if (path != NULL && path[0] == '\0')
        loader_error(l, loader_line(l, section, key), "%s: \"\" is no file; expected %s", key,
                     expected);
}

static void warn_without(struct loader *l, cfg_t *section, const char *key, const char *without) {
    if (loader_given(section, key))
        loader_warn(l, loader_line(l, section, key), "%s has no effect without %s", key, without);
}

// Each that does nothing here says what it lacks.
static void check_effect(struct loader *l, cfg_t *section, const struct config_classifier *c) {
    static const char *const keys[] = {"embedding_table", "embedding_tokenizer", "embedding_model",
                                       "embedding_timeout", "embedding_budget"};
    if (c->category_count == 0) {
        for (size_t i = 0; i < FARTHING_COUNT(keys); i++)
            warn_without(l, section, keys[i], "a section category \"NAME\" { examples = {...} }");
        return;
    }
    if (!loader_given(section, "embedding_table"))
        warn_without(l, section, "embedding_tokenizer", "embedding_table");
    if (!loader_given(section, "embedding_model")) {
        warn_without(l, section, "embedding_timeout", "embedding_model");
        warn_without(l, section, "embedding_budget", "embedding_model");
    }
}

static void read_embeddings(struct loader *l, cfg_t *section, struct config_classifier *c) {
    bool table = loader_given(section, "embedding_table");
    bool model = loader_given(section, "embedding_model");
    check_file(l, section, "embedding_table", "one such as \"potion/model.safetensors\"");
    check_file(l, section, "embedding_tokenizer", "one such as \"potion/tokenizer.json\"");
    c->embedding_where =
        loader_where(l, section, table || !model ? "embedding_table" : "embedding_model");
    if (table && model)
        loader_error(l, loader_line(l, section, "embedding_model"),
                     "embedding_model: vectors are made by embedding_table already; expected one "
                     "of the two");
    if (model)
        read_model(l, section, c);
    if (table && !loader_given(section, "embedding_tokenizer"))
        c->embedding_tokenizer = beside(l, c->embedding_table, "tokenizer.json");
}

void loader_read_similar(struct loader *l, cfg_t *section, struct config_classifier *c) {
    c->categories = loader_build_each(l, section, "category", sizeof(struct config_category),
                                      build_category, &c->category_count);
    read_embeddings(l, section, c);
    check_effect(l, section, c);
}
