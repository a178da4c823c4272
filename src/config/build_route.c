// Routes: how requests of one kind are served.
#include "loader.h"
#include "names.h"

enum { WAIT_MS_MAX = 24 * 3600 * 1000 };

static void read_client_gone(struct loader *l, cfg_t *section, struct config_route *r) {
    const char *text = loader_text(section, "on_client_gone");
    if (text == NULL)
        return;
    struct slice value = slice_of(text);
    if (slice_equal(value, SLICE("cancel")))
        r->on_client_gone = CONFIG_GONE_CANCEL;
    else if (slice_equal(value, SLICE("finish")))
        r->on_client_gone = CONFIG_GONE_FINISH;
    else if (slice_starts_with(value, SLICE("wait ")) &&
             config_parse_duration(slice_trim(slice_from(value, 5)), &r->on_client_gone_wait_ms) &&
             r->on_client_gone_wait_ms <= WAIT_MS_MAX)
        r->on_client_gone = CONFIG_GONE_WAIT;
    else
        loader_error(l, loader_line(l, section, "on_client_gone"),
                     "on_client_gone: \"%s\" is not valid; expected \"cancel\", \"finish\" or "
                     "\"wait 15s\" (at most 1d)",
                     loader_shown(l, value));
}

static void check_concise_text(struct loader *l, cfg_t *section, const struct config_route *r) {
    bool valid = r->concise_text.len > 0;
    for (size_t i = 0; valid && i < r->concise_text.len;) {
        size_t n = slice_utf8(slice_from(r->concise_text, i));
        valid = n > 0;
        i += n;
    }
    int line = loader_line(l, section, "concise_text");
    if (!valid)
        loader_error(l, line, "concise_text: \"%s\" is not valid; expected a sentence in UTF-8",
                     loader_shown(l, r->concise_text));
    else if (!r->concise && loader_text(section, "concise_text") != NULL)
        loader_warn(l, line, "concise_text has no effect without concise = true");
}

static void read_guards(struct loader *l, cfg_t *section, struct config_route *r) {
    static const char *const fits[] = {"refuse", "lower_cap"};
    r->budget_may_lower_cap =
        loader_choice(l, section, "budget_fit", fits, FARTHING_COUNT(fits), 0) == 1;
    if (loader_text(section, "max_reasoning_effort") != NULL)
        r->max_reasoning_effort = (enum config_effort)(
            CONFIG_EFFORT_NONE + loader_choice(l, section, "max_reasoning_effort",
                                               config_effort_words + CONFIG_EFFORT_NONE,
                                               CONFIG_EFFORT_COUNT - CONFIG_EFFORT_NONE, 0));
    check_concise_text(l, section, r);
    loader_read_contexts(l, section, r);
}

static void check_paths(struct loader *l, cfg_t *match, const struct config_route *r) {
    for (size_t i = 0; i < r->match_paths.count; i++)
        if (!slice_starts_with(r->match_paths.items[i], SLICE("/v1/")))
            loader_error(l, loader_item_line(l, match, "paths", i),
                         "paths: \"%s\" is no path of the API; expected one below /v1/",
                         loader_shown(l, r->match_paths.items[i]));
}

static void read_tiers(struct loader *l, cfg_t *section, struct config_route *r) {
    struct config_slices names = loader_list(l, section, "tiers");
    r->tiers = loader_many(l, names.count, sizeof *r->tiers);
    for (size_t t = 0; t < names.count; t++) {
        const struct config_tier *tier =
            loader_tier(l, loader_item_line(l, section, "tiers", t), "tiers", names.items[t]);
        if (tier != NULL)
            r->tiers[r->tier_count++] = tier;
    }
}

static void build_route(struct loader *l, cfg_t *section, void *element) {
    static const char *const scopes[] = {"tenant", "user"}; // as enum config_cache_scope
    struct config_route *r = element;
    cfg_t *match = cfg_getsec(section, "match"), *cache = cfg_getsec(section, "cache");
    r->name = loader_title(l, section);
    r->where = loader_where(l, section, NULL);
    loader_fill_named(l, section, "", "route", r);
    loader_fill_named(l, match, "route", "match", r);
    loader_fill_named(l, cache, "route", "cache", r);
    r->cache.scope = (enum config_cache_scope)loader_choice(
        l, cache, "scope", scopes, FARTHING_COUNT(scopes), CONFIG_SCOPE_TENANT);
    read_client_gone(l, section, r);
    read_guards(l, section, r);
    check_paths(l, match, r);
    read_tiers(l, section, r);
    loader_read_chain(l, section, r);
    loader_read_trials(l, section, r);
    if (r->override_model && loader_config(l)->tier_count == 0)
        loader_error(l, loader_line(l, section, "override_model"),
                     "override_model: there is no tier to decide; expected at least one section "
                     "tier \"NAME\" { models = {\"provider/model\"} }");
}

void loader_build_routes(struct loader *l, cfg_t *root) {
    struct config *c = loader_config(l);
    struct config_route *all =
        loader_build_each(l, root, "route", sizeof *all, build_route, &c->route_count);
    for (size_t i = 0; i < c->route_count; i++)
        all[i].index = (unsigned)i;
    c->routes = all;
}
