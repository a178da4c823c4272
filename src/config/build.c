// The sections into the snapshot, in the order in which they refer to each
// other: providers, models, tiers, routes, classifier, tasks, tenants. Here is what
// the parts share.
#include "loader.h"

enum { TITLE_BYTES_MAX = 128 };

struct config *loader_config(struct loader *l) {
    return &l->snapshot->config;
}

void *loader_many(struct loader *l, size_t count, size_t size) {
    return arena_calloc(l->arena, (count > 0 ? count : 1) * size);
}

void loader_fill_named(struct loader *l, cfg_t *section, const char *parent, const char *name,
                       void *target) {
    loader_fill(l, section, spec_section_find(parent, name), target);
}

struct slice loader_title(struct loader *l, cfg_t *section) {
    struct slice title = slice_of(cfg_title(section));
    bool valid = title.len > 0 && title.len <= TITLE_BYTES_MAX;
    for (size_t i = 0; i < title.len; i++)
        valid = valid && (unsigned char)title.ptr[i] >= ' ' && title.ptr[i] != 0x7F;
    if (!valid)
        loader_error(
            l, loader_line(l, section, NULL),
            "%s \"%s\" has no valid name; expected 1 to %d bytes without control characters",
            cfg_name(section), loader_shown(l, title), TITLE_BYTES_MAX);
    return arena_copy(l->arena, title);
}

struct slice loader_where(struct loader *l, cfg_t *section, const char *key) {
    struct place p = loader_place(l, loader_line(l, section, key));
    return arena_printf(l->arena, "%s:%d", p.file, p.file_line);
}

bool loader_given(cfg_t *section, const char *key) {
    cfg_opt_t *opt = cfg_getopt(section, key);
    return opt != NULL && (opt->flags & CFGF_MODIFIED) != 0;
}

void loader_require(struct loader *l, cfg_t *section, const char *key, const char *example) {
    const char *title = cfg_title(section);
    if (loader_text(section, key) == NULL)
        loader_error(l, loader_line(l, section, NULL), "%s%s%s%s has no %s; expected %s = %s",
                     cfg_name(section), title != NULL ? " \"" : "",
                     title != NULL ? loader_shown(l, slice_of(title)) : "",
                     title != NULL ? "\"" : "", key, key, example);
}

void *loader_build_each(struct loader *l, cfg_t *parent, const char *name, size_t size,
                        loader_builder *build, size_t *count) {
    unsigned n = cfg_size(parent, name);
    char *all = loader_many(l, n, size);
    for (unsigned i = 0; i < n; i++)
        build(l, cfg_getnsec(parent, name, i), all + i * size);
    *count = n;
    return all;
}

const char *loader_nearest(struct slice word, const char *const *words, size_t count) {
    const char *best = NULL;
    size_t distance = word.len / 2 + 1; // farther is another word, not a slip
    for (size_t i = 0; i < count; i++)
        spec_consider(words[i], word, &best, &distance);
    return best;
}

const char *loader_did_you_mean(struct loader *l, const char *nearest) {
    return nearest == NULL ? "" : arena_printf(l->scratch, "; did you mean \"%s\"?", nearest).ptr;
}

size_t loader_word(struct loader *l, int line, const char *key, struct slice word,
                   const char *const *words, size_t count) {
    struct buffer list = {0};
    size_t found = 0;
    while (found < count && !slice_equal(word, slice_of(words[found])))
        found++;
    if (found < count)
        return found;
    for (size_t i = 0; i < count; i++)
        buffer_printf(&list, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", words[i]);
    const char *nearest = loader_nearest(word, words, count);
    loader_error(l, line, "%s: \"%s\" is not valid; expected %.*s%s", key, loader_shown(l, word),
                 SLICE_ARG(buffer_slice(&list)), loader_did_you_mean(l, nearest));
    buffer_free(&list);
    return count;
}

size_t loader_choice(struct loader *l, cfg_t *section, const char *key, const char *const *words,
                     size_t count, size_t otherwise) {
    const char *text = loader_text(section, key);
    if (text == NULL)
        return otherwise;
    size_t chosen =
        loader_word(l, loader_line(l, section, key), key, slice_of(text), words, count);
    return chosen < count ? chosen : otherwise;
}

const char *loader_known_names(struct loader *l, const void *array, size_t count, size_t size) {
    enum { SHOWN_MAX = 12 };
    struct buffer names = {0};
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        const struct slice *name = (const void *)((const char *)array + i * size);
        buffer_printf(&names, "%s%s", i == 0 ? "known: " : ", ", loader_shown(l, *name));
    }
    if (count == 0)
        BUFFER_LITERAL(&names, "none is declared");
    else if (count > SHOWN_MAX)
        buffer_printf(&names, " and %zu more", count - SHOWN_MAX);
    const char *text = arena_string(l->scratch, buffer_slice(&names));
    buffer_free(&names);
    return text;
}

void loader_build(struct loader *l, cfg_t *root) {
    loader_config(l)->has_tenant_sections = cfg_size(root, "tenant") > 0;
    loader_build_server(l, root);
    loader_build_store(l, root);
    loader_fill_named(l, cfg_getsec(root, "cache"), "", "cache", &loader_config(l)->cache);
    loader_build_log(l, root);
    loader_build_providers(l, root);
    loader_build_models(l, root);
    loader_build_tiers(l, root);
    loader_build_routes(l, root);
    loader_build_classifier(l, root);
    loader_build_tasks(l, root);
    loader_build_tenants(l, root);
}
