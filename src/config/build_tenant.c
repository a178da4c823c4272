// Tenants: who may ask, and what they may spend.
#include "loader.h"

// --------------------------------------------------------------------- keys

// Messages never show a value: it may be the key itself.
// `owners` has the keys of all tenants so far.
static void read_keys(struct loader *l, cfg_t *section, struct config_tenant *t,
                      struct table *owners) {
    struct config_slices keys = loader_list(l, section, "keys");
    uint8_t(*digests)[DIGEST_LEN] = loader_many(l, keys.count, sizeof *digests);
    struct slice prefix = SLICE("sha256:");
    uint8_t nothing[DIGEST_LEN]; // what sha256sum says of a variable that is not set
    digest_sha256(SLICE_NONE, nothing);
    t->key_digests = (const uint8_t(*)[DIGEST_LEN])digests;
    for (size_t i = 0; i < keys.count; i++) {
        int line = loader_item_line(l, section, "keys", i);
        uint8_t *digest = digests[t->key_count];
        if (!slice_starts_with(keys.items[i], prefix) ||
            !digest_unhex(slice_from(keys.items[i], prefix.len), digest, DIGEST_LEN)) {
            loader_error(l, line,
                         "keys: key %zu of tenant \"%s\" is not valid; expected \"sha256:\" and 64 "
                         "hex digits (printf %%s KEY | sha256sum)",
                         i + 1, loader_shown(l, t->name));
            continue;
        }
        if (memcmp(digest, nothing, DIGEST_LEN) == 0) {
            loader_error(l, line,
                         "keys: key %zu of tenant \"%s\" is the digest of an empty text; "
                         "expected that of a key",
                         i + 1, loader_shown(l, t->name));
            continue;
        }
        const struct config_tenant *owner = table_get(owners, slice_make(digest, DIGEST_LEN));
        if (owner != NULL) {
            loader_error(
                l, line,
                "keys: key %zu of tenant \"%s\" is a key of tenant \"%s\" already; expected "
                "each key once",
                i + 1, loader_shown(l, t->name), loader_shown(l, owner->name));
            continue;
        }
        table_put(owners, slice_make(digest, DIGEST_LEN), t);
        t->key_count++;
    }
    loader_require(l, section, "keys", "{\"sha256:...\"}");
}

// ------------------------------------------------------------------ tenants

static void check_route_globs(struct loader *l, cfg_t *section, const struct config_tenant *t) {
    for (size_t g = 0; g < t->routes.count; g++) {
        bool fits = slice_equal(t->routes.items[g], SLICE("*"));
        for (size_t r = 0; r < loader_config(l)->route_count; r++)
            fits = fits || slice_glob(t->routes.items[g], loader_config(l)->routes[r].name);
        bool is_pattern = slice_find_char(t->routes.items[g], '*') >= 0 ||
                          slice_find_char(t->routes.items[g], '?') >= 0;
        if (!fits && is_pattern)
            loader_warn(l, loader_item_line(l, section, "routes", g),
                        "routes: no route fits \"%s\"", loader_shown(l, t->routes.items[g]));
        else if (!fits)
            loader_error(l, loader_item_line(l, section, "routes", g),
                         "routes: there is no route \"%s\" (%s)",
                         loader_shown(l, t->routes.items[g]),
                         LOADER_KNOWN(l, loader_config(l)->routes, loader_config(l)->route_count));
    }
}

// section NULL: the tenant that no section describes.
static void read_guards(struct loader *l, cfg_t *section, const struct config_run *run,
                        struct config_tenant *t) {
    static const char *const unpriced[] = {"refuse", "allow"}; // as the enum
    cfg_t *each_key = section != NULL ? cfg_getsec(section, "each_key") : NULL;
    loader_fill_named(l, section, "", "tenant", t);
    loader_fill_named(l, each_key, "tenant", "each_key", t);
    loader_read_run(l, section != NULL ? cfg_getsec(section, "run") : NULL, run, &t->run);
    t->unpriced = CONFIG_UNPRICED_REFUSE;
    if (section != NULL)
        t->unpriced = (enum config_unpriced)loader_choice(
            l, section, "unpriced", unpriced, FARTHING_COUNT(unpriced), CONFIG_UNPRICED_REFUSE);
}

static void build_tenant(struct loader *l, cfg_t *section, const struct config_run *run,
                         struct table *owners, struct config_tenant *t) {
    t->name = loader_title(l, section);
    if (slice_equal(t->name, SLICE(LOADER_OWN_TENANT)))
        loader_error(l, loader_line(l, section, NULL),
                     "tenant \"" LOADER_OWN_TENANT "\": Farthing's own requests, shadows and "
                     "embeddings, are this tenant's; expected another name");
    read_guards(l, section, run, t);
    read_keys(l, section, t, owners);
    loader_read_budgets(l, section, t);
    check_route_globs(l, section, t);
}

// `all` has room for two more.
static size_t build_tenants(struct loader *l, cfg_t *root, struct config_tenant *all) {
    size_t count = cfg_size(root, "tenant");
    struct table *owners = table_new();
    struct config_run run;
    loader_read_run(l, cfg_getsec(root, "run"), NULL, &run);
    for (size_t i = 0; i < count; i++)
        build_tenant(l, cfg_getnsec(root, "tenant", (unsigned)i), &run, owners, &all[i]);
    table_free(owners);
    if (count > 0)
        return count;
    all[0].name = SLICE("default");
    read_guards(l, NULL, &run, &all[0]);
    return 1;
}

void loader_build_tenants(struct loader *l, cfg_t *root) {
    struct config *c = loader_config(l);
    struct config_tenant *all = loader_many(l, cfg_size(root, "tenant") + 2, sizeof *all);
    c->tenant_count = build_tenants(l, root, all);
    if (loader_has_own_tenant(c)) {
        loader_build_own_tenant(l, &all[c->tenant_count]);
        c->own = &all[c->tenant_count++];
    }
    for (size_t i = 0; i < c->tenant_count; i++)
        all[i].index = (unsigned)i;
    c->tenants = all;
}
