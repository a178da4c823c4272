// The sections into the snapshot, in the order in which they refer to each
// other: providers, models, tiers, classifier, routes, tenants.
#include "loader.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>

#define CONFIG(l) (&(l)->snapshot->config)

static void *many(struct loader *l, unsigned count, size_t size) {
    return arena_calloc(l->arena, (count > 0 ? count : 1) * size);
}

static struct slice title_of(struct loader *l, cfg_t *section) {
    return arena_copy(l->arena, slice_of(cfg_title(section)));
}

static void fill(struct loader *l, cfg_t *section, const char *parent, const char *name, void *target) {
    loader_fill(l, section, spec_section_find(parent, name), target);
}

// "known: a, b, c", for messages about a name that refers to nothing.
#define KNOWN(l, array, count) known_names((l), (array), (count), sizeof *(array))

static const char *known_names(struct loader *l, const void *array, size_t count, size_t size) {
    struct buffer names = {0};
    for (size_t i = 0; i < count && i < 12; i++) {
        // The name is the first member of every titled section's struct.
        const struct slice *name = (const void *)((const char *)array + i * size);
        buffer_append(&names, i == 0 ? SLICE("known: ") : SLICE(", "));
        buffer_append(&names, *name);
    }
    if (count == 0)
        BUFFER_LITERAL(&names, "none is declared");
    const char *text = arena_string(l->arena, buffer_slice(&names));
    buffer_free(&names);
    return text;
}

// ------------------------------------------------------------------- server

static unsigned usable_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > 64 ? 64 : (unsigned)count;
}

static void read_workers(struct loader *l, cfg_t *section) {
    const char *text = section != NULL ? loader_text(section, "workers") : NULL;
    int64_t number;
    CONFIG(l)->server.workers = usable_processors();
    if (text == NULL || strcmp(text, "auto") == 0)
        return;
    if (!slice_to_i64(slice_of(text), &number) || number < 1 || number > 64)
        loader_error(l, loader_line(l, section, "workers"),
                     "workers: \"%s\" is not valid; expected \"auto\" or a number from 1 to 64", text);
    else
        CONFIG(l)->server.workers = (unsigned)number;
}

static bool split_address(struct slice address, struct slice *host) {
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < address.len; i++)
        if (address.ptr[i] == ':')
            colon = (ptrdiff_t)i;
    uint64_t port;
    if (colon < 0 || !slice_to_u64(slice_from(address, (size_t)colon + 1), &port) || port > 65535)
        return false;
    *host = slice_make(address.ptr, (size_t)colon);
    if (host->len > 2 && host->ptr[0] == '[' && host->ptr[host->len - 1] == ']')
        *host = slice_make(host->ptr + 1, host->len - 2);
    else if (slice_find_char(*host, ':') >= 0)
        return false;
    return true;
}

static bool is_loopback(struct slice host) {
    return slice_equal(host, SLICE("localhost")) || slice_equal(host, SLICE("::1")) ||
           slice_starts_with(host, SLICE("127."));
}

static void check_address(struct loader *l, cfg_t *section, const char *key, struct slice address) {
    struct slice host;
    int line = section != NULL ? loader_line(l, section, key) : 1;
    if (!split_address(address, &host))
        loader_error(l, line, "%s: \"%.*s\" is not valid; expected host:port or [v6]:port", key,
                     SLICE_ARG(address));
    else if (strcmp(key, "listen") == 0 && !CONFIG(l)->has_tenant_sections && !is_loopback(host))
        loader_error(l, line,
                     "listen: \"%.*s\" is open to others, but no tenant section says who may ask; "
                     "expected a loopback address such as \"127.0.0.1:4000\", or tenants",
                     SLICE_ARG(address));
}

static void build_server(struct loader *l, cfg_t *root) {
    cfg_t *section = cfg_getsec(root, "server");
    struct config_server *s = &CONFIG(l)->server;
    fill(l, section, "", "server", s);
    read_workers(l, section);
    for (size_t i = 0; i < s->listen.count; i++)
        check_address(l, section, "listen", s->listen.items[i]);
    check_address(l, section, "admin_listen", s->admin_listen);
    if ((s->tls_certificate.len > 0) != (s->tls_key.len > 0))
        loader_error(l, loader_line(l, section, s->tls_key.len > 0 ? "tls_key" : "tls_certificate"),
                     "%s: expected tls_certificate and tls_key together",
                     s->tls_key.len > 0 ? "tls_key" : "tls_certificate");
}

static void build_store(struct loader *l, cfg_t *root) {
    cfg_t *section = cfg_getsec(root, "store");
    fill(l, section, "", "store", &CONFIG(l)->store);
    const char *kind = loader_text(section, "kind");
    if (kind != NULL && strcmp(kind, "redis") == 0)
        loader_error(l, loader_line(l, section, "kind"),
                     "kind: \"redis\" is not available in this version; expected \"embedded\"");
    else if (kind != NULL && strcmp(kind, "embedded") != 0)
        loader_error(l, loader_line(l, section, "kind"),
                     "kind: \"%s\" is not valid; expected \"embedded\"", kind);
}

static void build_log(struct loader *l, cfg_t *root) {
    cfg_t *section = cfg_getsec(root, "log");
    fill(l, section, "", "log", &CONFIG(l)->log);
    const char *level = loader_text(section, "level");
    CONFIG(l)->log.level = LOG_INFO;
    if (level != NULL && !log_level_parse(slice_of(level), &CONFIG(l)->log.level))
        loader_error(l, loader_line(l, section, "level"),
                     "level: \"%s\" is not valid; expected debug, info, warning or error", level);
}

// ---------------------------------------------------------------- providers

static void check_base_url(struct loader *l, cfg_t *section, struct config_provider *p) {
    struct slice rest = p->base_url;
    if (rest.len == 0) {
        loader_error(l, loader_line(l, section, NULL),
                     "provider \"%.*s\" has no base_url; expected one such as "
                     "\"https://api.openai.com/v1\"",
                     SLICE_ARG(p->name));
        return;
    }
    bool https = slice_starts_with(rest, SLICE("https://"));
    if (https || slice_starts_with(rest, SLICE("http://")))
        rest = slice_from(rest, https ? 8 : 7);
    else
        rest = SLICE_NONE;
    bool odd = false;
    for (size_t i = 0; i < rest.len; i++)
        odd = odd || (unsigned char)rest.ptr[i] <= ' ' || strchr("?#@\\\"<>", rest.ptr[i]) != NULL;
    if (rest.len == 0 || rest.ptr[0] == '/' || odd) {
        loader_error(l, loader_line(l, section, "base_url"),
                     "base_url: \"%.*s\" is not valid; expected http:// or https://, a host and a "
                     "path, without query",
                     SLICE_ARG(p->base_url));
        return;
    }
    while (p->base_url.ptr[p->base_url.len - 1] == '/')
        p->base_url.len--;
}

static void build_providers(struct loader *l, cfg_t *root) {
    unsigned count = cfg_size(root, "provider");
    struct config_provider *all = many(l, count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(root, "provider", i);
        struct config_provider *p = &all[i];
        p->name = title_of(l, section);
        p->index = i;
        fill(l, section, "", "provider", p);
        fill(l, cfg_getsec(section, "retry"), "provider", "retry", &p->retry);
        fill(l, cfg_getsec(section, "breaker"), "provider", "breaker", &p->breaker);
        if (p->name.len == 0 || slice_find_char(p->name, '/') >= 0)
            loader_error(l, loader_line(l, section, NULL),
                         "provider \"%.*s\": expected a name without a slash", SLICE_ARG(p->name));
        if (!slice_equal(p->dialect, SLICE("openai")) && !slice_equal(p->dialect, SLICE("anthropic")))
            loader_error(l, loader_line(l, section, "dialect"),
                         "dialect: \"%.*s\" is not known; expected \"openai\" or \"anthropic\"",
                         SLICE_ARG(p->dialect));
        p->passthrough_key = slice_equal(p->api_key, SLICE("passthrough"));
        if (p->passthrough_key)
            p->api_key = SLICE_NONE;
        check_base_url(l, section, p);
    }
    CONFIG(l)->providers = all;
    CONFIG(l)->provider_count = count;
    if (count == 0)
        loader_error(l, 1, "there is no provider; expected at least one section provider \"NAME\" {"
                           " base_url = \"...\" }");
}

// ------------------------------------------------------------ models and tiers

static const struct config_provider *provider_of(struct loader *l, struct slice model) {
    ptrdiff_t slash = slice_find_char(model, '/');
    if (slash <= 0 || (size_t)slash + 1 == model.len)
        return NULL;
    return config_provider_find(CONFIG(l), slice_make(model.ptr, (size_t)slash));
}

static bool check_model_name(struct loader *l, int line, const char *where, struct slice name) {
    if (provider_of(l, name) != NULL)
        return true;
    if (slice_find_char(name, '/') <= 0)
        loader_error(l, line, "%s: \"%.*s\" is not a model; expected \"provider/model\"", where,
                     SLICE_ARG(name));
    else
        loader_error(l, line, "%s: the provider of \"%.*s\" is not declared (%s)", where,
                     SLICE_ARG(name), KNOWN(l, CONFIG(l)->providers, CONFIG(l)->provider_count));
    return false;
}

static struct config_model *new_model(struct loader *l, struct config_model *all, struct slice name) {
    struct config_model *m = &all[CONFIG(l)->model_count];
    *m = (struct config_model){
        .name = name,
        .provider = provider_of(l, name),
        .index = (unsigned)CONFIG(l)->model_count++,
    };
    loader_fill(l, NULL, spec_section_find("", "model"), m);
    m->upstream_model = slice_from(name, (size_t)slice_find_char(name, '/') + 1);
    return m;
}

// A tier may name a model that no section describes: it is known by its name.
static const struct config_model *model_for_tier(struct loader *l, struct slice name) {
    const struct config_model *m = config_model_find(CONFIG(l), name);
    return m != NULL ? m : new_model(l, (struct config_model *)(uintptr_t)CONFIG(l)->models, name);
}

static void build_models(struct loader *l, cfg_t *root) {
    unsigned count = cfg_size(root, "model"), most = count;
    for (unsigned t = 0; t < cfg_size(root, "tier"); t++)
        most += cfg_size(cfg_getnsec(root, "tier", t), "models");
    struct config_model *all = many(l, most, sizeof *all);
    CONFIG(l)->models = all;
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(root, "model", i);
        struct slice name = title_of(l, section);
        if (!check_model_name(l, loader_line(l, section, NULL), "model", name))
            continue;
        struct config_model *m = new_model(l, all, name);
        struct slice upstream = m->upstream_model;
        fill(l, section, "", "model", m);
        if (m->upstream_model.len == 0)
            m->upstream_model = upstream;
    }
}

static void read_balance(struct loader *l, cfg_t *section, struct config_tier *tier) {
    static const char *const words[] = {"order", "least_inflight", "weighted", "lowest_latency"};
    const char *text = loader_text(section, "balance");
    for (size_t i = 0; text != NULL && i < FARTHING_COUNT(words); i++)
        if (strcmp(text, words[i]) == 0) {
            tier->balance = (enum config_balance)i;
            if (i > 0)
                loader_warn(l, loader_line(l, section, "balance"),
                            "'balance = \"%s\"' is checked but not enforced by this version", text);
            return;
        }
    if (text != NULL)
        loader_error(l, loader_line(l, section, "balance"),
                     "balance: \"%s\" is not valid; expected order, least_inflight, weighted or "
                     "lowest_latency",
                     text);
}

static void build_tiers(struct loader *l, cfg_t *root) {
    unsigned count = cfg_size(root, "tier");
    struct config_tier *all = many(l, count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(root, "tier", i);
        all[i].name = title_of(l, section);
        read_balance(l, section, &all[i]);
        struct config_slices names = loader_list(l, section, "models");
        all[i].models = many(l, (unsigned)names.count, sizeof *all[i].models);
        if (names.count == 0)
            loader_error(l, loader_line(l, section, NULL),
                         "tier \"%.*s\" has no models; expected models = {\"provider/model\"}",
                         SLICE_ARG(all[i].name));
        for (size_t m = 0; m < names.count; m++)
            if (check_model_name(l, loader_line(l, section, "models"), "models", names.items[m]))
                all[i].models[all[i].model_count++] = model_for_tier(l, names.items[m]);
    }
    CONFIG(l)->tiers = all;
    CONFIG(l)->tier_count = count;
}

static const struct config_tier *tier_named(struct loader *l, int line, const char *key,
                                            struct slice name) {
    const struct config_tier *tier = config_tier_find(CONFIG(l), name);
    if (tier == NULL)
        loader_error(l, line, "%s: there is no tier \"%.*s\" (%s)", key, SLICE_ARG(name),
                     KNOWN(l, CONFIG(l)->tiers, CONFIG(l)->tier_count));
    return tier;
}

static void build_classifier(struct loader *l, cfg_t *root) {
    cfg_t *section = cfg_getsec(root, "classifier");
    struct config_classifier *c = &CONFIG(l)->classifier;
    fill(l, section, "", "classifier", c);
    const char *tier = loader_text(section, "default_tier");
    if (tier != NULL)
        c->default_tier =
            tier_named(l, loader_line(l, section, "default_tier"), "default_tier", slice_of(tier));
    unsigned count = cfg_size(section, "rule");
    struct config_rule *rules = many(l, count, sizeof *rules);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *rule = cfg_getnsec(section, "rule", i);
        rules[i].name = title_of(l, rule);
        fill(l, rule, "classifier", "rule", &rules[i]);
        const char *name = loader_text(rule, "tier");
        if (name == NULL)
            loader_error(l, loader_line(l, rule, NULL),
                         "rule \"%.*s\" has no tier; expected tier = \"NAME\"",
                         SLICE_ARG(rules[i].name));
        else
            rules[i].tier = tier_named(l, loader_line(l, rule, "tier"), "tier", slice_of(name));
    }
    c->rules = rules;
    c->rule_count = count;
}

// ------------------------------------------------------------------- routes

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
             config_parse_duration(slice_from(value, 5), &r->on_client_gone_wait_ms))
        r->on_client_gone = CONFIG_GONE_WAIT;
    else
        loader_error(l, loader_line(l, section, "on_client_gone"),
                     "on_client_gone: \"%s\" is not valid; expected \"cancel\", \"finish\" or "
                     "\"wait 15s\"",
                     text);
}

static void read_scope(struct loader *l, cfg_t *section, struct config_route *r) {
    const char *text = loader_text(section, "scope");
    if (text != NULL && strcmp(text, "user") == 0)
        r->cache.scope = CONFIG_SCOPE_USER;
    else if (text != NULL && strcmp(text, "tenant") != 0)
        loader_error(l, loader_line(l, section, "scope"),
                     "scope: \"%s\" is not valid; expected \"tenant\" or \"user\"", text);
}

static void build_routes(struct loader *l, cfg_t *root) {
    unsigned count = cfg_size(root, "route");
    struct config_route *all = many(l, count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(root, "route", i);
        struct config_route *r = &all[i];
        r->name = title_of(l, section);
        r->index = i;
        fill(l, section, "", "route", r);
        cfg_t *match = cfg_getsec(section, "match");
        fill(l, match, "route", "match", r);
        for (size_t p = 0; p < r->match_paths.count; p++)
            if (!slice_starts_with(r->match_paths.items[p], SLICE("/v1/")))
                loader_error(l, loader_line(l, match, "paths"),
                             "paths: \"%.*s\" is no path of the API; expected one below /v1/",
                             SLICE_ARG(r->match_paths.items[p]));
        cfg_t *cache = cfg_getsec(section, "cache");
        fill(l, cache, "route", "cache", r);
        read_scope(l, cache, r);
        read_client_gone(l, section, r);
        struct config_slices names = loader_list(l, section, "tiers");
        r->tiers = many(l, (unsigned)names.count, sizeof *r->tiers);
        for (size_t t = 0; t < names.count; t++) {
            const struct config_tier *tier =
                tier_named(l, loader_line(l, section, "tiers"), "tiers", names.items[t]);
            if (tier != NULL)
                r->tiers[r->tier_count++] = tier;
        }
    }
    CONFIG(l)->routes = all;
    CONFIG(l)->route_count = count;
}

// ------------------------------------------------------------------ tenants

static void read_keys(struct loader *l, cfg_t *section, struct config_tenant *t) {
    struct config_slices keys = loader_list(l, section, "keys");
    uint8_t(*digests)[DIGEST_LEN] = many(l, (unsigned)keys.count, sizeof *digests);
    for (size_t i = 0; i < keys.count; i++) {
        struct slice prefix = SLICE("sha256:");
        if (slice_starts_with(keys.items[i], prefix) &&
            digest_unhex(slice_from(keys.items[i], prefix.len), digests[t->key_count], DIGEST_LEN))
            t->key_count++;
        else // never the value: it may be the key itself
            loader_error(l, loader_line(l, section, "keys"),
                         "keys: key %zu of tenant \"%.*s\" is not valid; expected \"sha256:\" and 64 "
                         "hex digits (printf %%s KEY | sha256sum)",
                         i + 1, SLICE_ARG(t->name));
    }
    t->key_digests = (const uint8_t(*)[DIGEST_LEN])digests;
    if (keys.count == 0)
        loader_error(l, loader_line(l, section, NULL),
                     "tenant \"%.*s\" has no keys; expected keys = {\"sha256:...\"}",
                     SLICE_ARG(t->name));
}

static void read_budgets(struct loader *l, cfg_t *section, struct config_tenant *t) {
    unsigned count = cfg_size(section, "budget");
    struct config_budget *all = many(l, count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *budget = cfg_getnsec(section, "budget", i);
        all[i].name = title_of(l, budget);
        fill(l, budget, "tenant", "budget", &all[i]);
        const char *window = loader_text(budget, "window");
        static const char *const words[] = {"1h", "1d", "1w", "1mo", "total"};
        bool known = window == NULL;
        for (size_t w = 0; window != NULL && w < FARTHING_COUNT(words); w++)
            known = known || strcmp(window, words[w]) == 0;
        if (!known)
            loader_error(l, loader_line(l, budget, "window"),
                         "window: \"%s\" is not valid; expected 1h, 1d, 1w, 1mo or total", window);
    }
    t->budgets = all;
    t->budget_count = count;
}

static void check_route_globs(struct loader *l, cfg_t *section, const struct config_tenant *t) {
    for (size_t g = 0; g < t->routes.count; g++) {
        bool fits = slice_equal(t->routes.items[g], SLICE("*"));
        for (size_t r = 0; r < CONFIG(l)->route_count; r++)
            fits = fits || slice_glob(t->routes.items[g], CONFIG(l)->routes[r].name);
        if (!fits)
            loader_warn(l, loader_line(l, section, "routes"), "routes: no route fits \"%.*s\"",
                        SLICE_ARG(t->routes.items[g]));
    }
}

static void build_tenants(struct loader *l, cfg_t *root) {
    unsigned count = cfg_size(root, "tenant");
    struct config_tenant *all = many(l, count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(root, "tenant", i);
        all[i].name = title_of(l, section);
        all[i].index = i;
        fill(l, section, "", "tenant", &all[i]);
        read_keys(l, section, &all[i]);
        read_budgets(l, section, &all[i]);
        check_route_globs(l, section, &all[i]);
    }
    if (count == 0) {
        all[0].name = SLICE("default");
        loader_fill(l, NULL, spec_section_find("", "tenant"), &all[0]);
        count = 1;
    }
    CONFIG(l)->tenants = all;
    CONFIG(l)->tenant_count = count;
}

void loader_build(struct loader *l, cfg_t *root) {
    CONFIG(l)->has_tenant_sections = cfg_size(root, "tenant") > 0;
    build_server(l, root);
    build_store(l, root);
    fill(l, cfg_getsec(root, "cache"), "", "cache", &CONFIG(l)->cache);
    build_log(l, root);
    build_providers(l, root);
    build_models(l, root);
    build_tiers(l, root);
    build_classifier(l, root);
    build_routes(l, root);
    build_tenants(l, root);
}
