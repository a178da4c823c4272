// Tiers on trial, and what a route's choice of tiers must bring in: canary,
// shadow, savings.
#include "loader.h"

// Farthing asks for itself: there is no client whose key could be sent on.
void loader_check_own_key(struct loader *l, int line, const char *what,
                          const struct config_model *model) {
    if (model->provider->passthrough_key)
        loader_warn(l, line,
                    "%s: the provider of \"%s\" gets the client's key (api_key = \"passthrough\"), "
                    "but these requests have no client: they go without a key",
                    what, loader_shown(l, model->name));
}

static void read_canary(struct loader *l, cfg_t *section, struct config_route *r) {
    static const char *const words[] = {"none", "user", "run", "feature", "tenant"}; // as the enum
    loader_fill_named(l, section, "route", "canary", r);
    if (!loader_is_present(l, section))
        return;
    r->canary.tier = loader_tier_of(l, section, "tier");
    r->canary.sticky = (enum config_sticky)loader_choice(l, section, "sticky", words,
                                                         FARTHING_COUNT(words), CONFIG_STICKY_NONE);
    loader_require(l, section, "tier", "\"NAME\"");
    loader_require(l, section, "percent", "5");
}

static void read_shadow(struct loader *l, cfg_t *section, struct config_route *r) {
    loader_fill_named(l, section, "route", "shadow", r);
    r->shadow.window_ms = loader_window(l, section, LOADER_WINDOW_DAY);
    if (!loader_is_present(l, section))
        return;
    r->shadow.tier = loader_tier_of(l, section, "tier");
    loader_require(l, section, "tier", "\"NAME\"");
    loader_require(l, section, "percent", "2");
    loader_require(l, section, "budget", "\"1 usd\"");
    for (size_t m = 0; r->shadow.tier != NULL && m < r->shadow.tier->model_count; m++)
        loader_check_own_key(l, loader_line(l, section, "tier"), "tier", r->shadow.tier->models[m]);
}

static void check_auto_disable(struct loader *l, cfg_t *section, const struct config_route *r) {
    size_t chain = r->tier_count > 0 ? r->tier_count : loader_config(l)->tier_count;
    if (r->auto_disable && chain < 2)
        loader_warn(l, loader_line(l, section, "auto_disable"),
                    "auto_disable has no effect on a chain of %zu %s: there is no choice that "
                    "could lose money",
                    chain, chain == 1 ? "tier" : "tiers");
}

void loader_read_trials(struct loader *l, cfg_t *section, struct config_route *r) {
    read_canary(l, cfg_getsec(section, "canary"), r);
    read_shadow(l, cfg_getsec(section, "shadow"), r);
    check_auto_disable(l, section, r);
}
