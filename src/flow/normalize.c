// Station 3, normalize: what does the request ask for, may its answer be kept,
// and what is its key?
#include "exchange.h"

#include <stdio.h>

enum { MODEL_BYTES_MAX = 256 }; // it stands in rows, labels and a header; no provider's is longer

static bool read_model(struct exchange *x) {
    json_ref model = x->body_is_json ? json_get(x->doc, JSON_ROOT, SLICE("model")) : JSON_NONE;
    if (json_is(x->doc, model, JSON_STRING))
        x->requested_model = arena_copy(x->arena, json_string(x->doc, model, x->arena));
    if (x->requested_model.len > MODEL_BYTES_MAX) {
        x->requested_model = SLICE_NONE;
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("model"),
                               "\"model\" must not be longer than %d bytes.", MODEL_BYTES_MAX);
    }
    if (x->requested_model.len > 0 || !api_endpoint_is_cacheable(x->endpoint))
        return true;
    return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("model"),
                           model == JSON_NONE
                               ? "The request must name a model: \"provider/model\", a tier, or "
                                 "\"auto\"."
                               : "\"model\" must be a string that is not empty.");
}

static void read_options(struct exchange *x) {
    if (!x->body_is_json)
        return;
    // Embeddings have no stream: what says so all the same gets a whole answer.
    x->stream = x->endpoint != API_EMBEDDINGS &&
                json_is_true(x->doc, json_get(x->doc, JSON_ROOT, SLICE("stream")));
    json_ref options = json_get(x->doc, JSON_ROOT, SLICE("stream_options"));
    x->client_wants_usage = json_is_true(x->doc, json_get(x->doc, options, SLICE("include_usage")));
    int64_t n;
    json_ref choices = json_get(x->doc, JSON_ROOT, SLICE("n"));
    if (choices != JSON_NONE && json_i64(x->doc, choices, &n) && n > 0 && n <= 1024)
        x->n = n;
    if (x->endpoint == API_COMPLETIONS)
        x->n *= provider_count_prompts(x->endpoint, x->doc);
    if (x->endpoint == API_EMBEDDINGS)
        x->n = provider_count_prompts(x->endpoint, x->doc);
}

static bool permitted(const struct config_tenant *tenant, struct slice route) {
    if (tenant->routes.count == 0)
        return true;
    for (size_t i = 0; i < tenant->routes.count; i++)
        if (slice_glob(tenant->routes.items[i], route))
            return true;
    return false;
}

bool normalize_permits(const struct config_tenant *tenant, const struct config_route *route) {
    // Where a tenant has a list, what no route fits must be on it too: as "*".
    return permitted(tenant, route != NULL ? route->name : SLICE(""));
}

static bool find_route(struct exchange *x) {
    struct attributes *a = &x->attributes;
    if (x->own != NULL) { // chosen already
        x->route = x->own->route;
        a->tier = x->own->tier != NULL ? x->own->tier->name : SLICE_NONE;
        return true;
    }
    bool overrides = a->route.len > 0 || a->tier.len > 0;
    if (overrides && !x->tenant->may_override_route)
        return exchange_refuse(x, API_ERROR_ROUTE_FORBIDDEN, SLICE_NONE,
                               "Tenant %.*s may not choose its route or tier.",
                               SLICE_ARG(x->tenant->name));
    if (a->tier.len > 0 && config_tier_find(x->config, a->tier) == NULL)
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-tier"),
                               "There is no tier \"%.*s\".", SLICE_ARG(a->tier));
    if (a->route.len > 0) {
        x->route = config_route_find(x->config, a->route);
        if (x->route == NULL)
            return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-route"),
                                   "There is no route \"%.*s\".", SLICE_ARG(a->route));
    } else {
        struct route_question q = {
            .endpoint = x->endpoint,
            .path = http_request_path(x->request),
            .tenant = x->tenant->name,
            .feature = a->feature,
            .model = x->requested_model,
        };
        x->route = route_match(x->config, &q);
    }
    if (normalize_permits(x->tenant, x->route))
        return true;
    return exchange_refuse(x, API_ERROR_ROUTE_FORBIDDEN, SLICE_NONE,
                           "Tenant %.*s may not use %s%.*s.", SLICE_ARG(x->tenant->name),
                           x->route != NULL ? "the route " : "what no route is for",
                           x->route != NULL ? (int)x->route->name.len : 0,
                           x->route != NULL ? x->route->name.ptr : "");
}

static bool directive_is(struct slice list, struct slice name) {
    struct slice part;
    while (slice_split(&list, ',', &part))
        if (slice_equal_nocase(slice_trim(part), name))
            return true;
    return false;
}

static bool read_cache_mode(struct exchange *x) {
    static const struct {
        const char *word;
        enum exchange_cache_mode mode;
    } modes[] = {
        {"use", CACHE_USE}, {"refresh", CACHE_REFRESH}, {"bypass", CACHE_BYPASS}, {"only", CACHE_ONLY}};
    struct slice said = x->attributes.cache;
    if (said.len == 0) {
        // RFC 9111 5.2.1: what the client says of caches in general.
        struct slice control = http_request_header(x->request, SLICE("cache-control"));
        if (control.len == 0)
            return true;
        if (directive_is(control, SLICE("no-store")))
            x->cache_mode = CACHE_BYPASS;
        else if (directive_is(control, SLICE("no-cache")))
            x->cache_mode = CACHE_REFRESH;
        else if (directive_is(control, SLICE("only-if-cached")))
            x->cache_mode = CACHE_ONLY;
        return true;
    }
    for (size_t i = 0; i < FARTHING_COUNT(modes); i++)
        if (slice_equal(said, slice_of(modes[i].word))) {
            x->cache_mode = modes[i].mode;
            return true;
        }
    return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-cache"),
                           "x-farthing-cache must be use, refresh, bypass or only, not \"%.*s\".",
                           SLICE_ARG(said));
}

// Temperature above zero asks for variety; unset is the default of models that
// take none (CONTRACTS, routing.conf).
static bool temperature_allows(const struct exchange *x) {
    if (x->endpoint == API_EMBEDDINGS)
        return true;
    const struct config_route *r = x->route;
    json_ref t = json_get(x->doc, JSON_ROOT, SLICE("temperature"));
    double value = 0;
    if (json_is_absent(x->doc, t))
        return r == NULL || r->cache.when_temperature_unset;
    bool zero = json_double(x->doc, t, &value) && value == 0;
    return zero || (r != NULL && r->cache.when_temperature_above_zero);
}

static bool may_be_kept(const struct exchange *x) {
    if (!api_endpoint_is_cacheable(x->endpoint) || x->flow->shared.cache == NULL ||
        !x->config->cache.enabled || (x->route != NULL && !x->route->cache.enabled))
        return false;
    // A conversation changes with each request that goes through it.
    if (!json_is_absent(x->doc, json_get(x->doc, JSON_ROOT, SLICE("conversation"))))
        return false;
    if (json_is_true(x->doc, json_get(x->doc, JSON_ROOT, SLICE("background"))))
        return false;
    return temperature_allows(x);
}

static void choose_ttl(struct exchange *x) {
    int64_t ttl = x->config->cache.ttl_ms;
    if (x->route != NULL && x->route->cache.ttl_ms != CONFIG_UNSET)
        ttl = x->route->cache.ttl_ms;
    uint64_t seconds;
    if (x->attributes.cache_ttl.len > 0 && slice_to_u64(x->attributes.cache_ttl, &seconds) &&
        seconds < (uint64_t)ttl / 1000)
        ttl = (int64_t)seconds * 1000; // capped by the route: it can only be shortened
    x->cache_ttl_ms = ttl;
    x->cacheable = x->cacheable && ttl > 0;
}

static bool any_passthrough(const struct config *config) {
    for (size_t i = 0; i < config->provider_count; i++)
        if (config->providers[i].passthrough_key)
            return true;
    return false;
}

// What the body does not say and the answer may depend on.
static struct slice variant_of(struct exchange *x) {
    static const char *const headers[] = {"openai-beta", "anthropic-beta", "anthropic-version",
                                          "api-version"};
    struct buffer text = {0};
    buffer_append(&text, http_request_query(x->request));
    for (size_t i = 0; i < FARTHING_COUNT(headers); i++) {
        struct slice value = http_request_header(x->request, slice_of(headers[i]));
        if (value.len > 0)
            buffer_printf(&text, "\n%s:%.*s", headers[i], SLICE_ARG(value));
    }
    if (x->attributes.tier.len > 0) // who asks for a tier wants no other's answer
        buffer_printf(&text, "\ntier:%.*s", SLICE_ARG(x->attributes.tier));
    struct slice variant = text.len > 0 ? arena_copy(x->arena, buffer_slice(&text)) : SLICE_NONE;
    buffer_free(&text);
    return variant;
}

bool normalize_tenant_is_shared(const struct exchange *x) {
    return x->has_client_key && !x->config->has_tenant_sections && any_passthrough(x->config);
}

// Answers under one cap are not served under another. What was asked stays the
// same, whatever a reload makes of it.
static void add_what_the_file_changes(struct exchange *x) {
    struct buffer text = {0};
    x->key = x->asked_digest;
    caps_variant(x, &text);
    if (text.len > 0) {
        buffer_append(&text, slice_make(x->asked_digest.bytes, DIGEST_LEN));
        digest_sha256(buffer_slice(&text), x->key.bytes);
    }
    buffer_free(&text);
}

// Also where nothing is cached: a key and a client's retry are known by it.
static bool compute_key(struct exchange *x) {
    // Where clients bring the provider's own key, the provider is who checks
    // it: an answer is only given back to the key that bought it.
    struct slice tenant = x->tenant->name;
    if (normalize_tenant_is_shared(x)) {
        char hex[2 * DIGEST_LEN + 1];
        digest_hex(x->client_key_digest, DIGEST_LEN, hex);
        tenant = arena_printf(x->arena, "%.*s %s", SLICE_ARG(tenant), hex);
    }
    struct slice user = SLICE_NONE;
    if (x->route != NULL && x->route->cache.scope == CONFIG_SCOPE_USER) {
        user = x->attributes.user;
        if (user.len == 0)
            user = json_string(x->doc, json_get(x->doc, JSON_ROOT, SLICE("user")), x->arena);
        if (user.len == 0)
            x->cacheable = false; // nobody to keep it for
    }
    struct cache_key_parts parts = {
        .endpoint = x->endpoint,
        .tenant = tenant,
        .user = user,
        .prompt_version = x->attributes.prompt_version,
        .corpus_version = x->attributes.corpus_version,
        .requested_model = x->requested_model,
        .variant = variant_of(x),
    };
    struct error err;
    x->has_digest = cache_key_compute(&parts, x->doc, &x->asked_digest, &err);
    add_what_the_file_changes(x);
    if (!x->has_digest && x->cacheable)
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE_NONE, "The body is ambiguous: %s.",
                               err.text);
    return true;
}

void normalize_tag(const struct exchange *x, struct cache_answer *answer) {
    const struct attributes *a = &x->attributes;
    const struct slice values[CACHE_TAG_KEY] = {
        [CACHE_TAG_TENANT] = x->tenant->name,
        [CACHE_TAG_FEATURE] = a->feature,
        [CACHE_TAG_PROMPT_VERSION] = a->prompt_version,
        [CACHE_TAG_CORPUS_VERSION] = a->corpus_version,
        [CACHE_TAG_ROUTE] = x->route != NULL ? x->route->name : SLICE_NONE,
    };
    answer->birth = x->birth;
    for (unsigned kind = 0; kind < CACHE_TAG_KEY; kind++)
        answer->tags[kind] = cache_tag_of((enum cache_tag)kind, values[kind]);
}

struct slice normalize_key_text(const struct exchange *x) {
    char *text = arena_alloc(x->arena, 2 * DIGEST_LEN + 1);
    digest_hex(x->key.bytes, DIGEST_LEN, text);
    return slice_make(text, 2 * DIGEST_LEN);
}

// The route's, where the client's is not sooner.
static void bound_deadline(struct exchange *x, int64_t ms) {
    int64_t until = (int64_t)clock_mono_ms() + ms;
    if (x->deadline_ms > 0 && x->deadline_ms <= until)
        return;
    x->deadline_ms = until;
    x->attributes.deadline_ms = arena_printf(x->arena, "%lld", (long long)ms);
}

bool station_normalize(struct exchange *x) {
    if (!read_model(x))
        return false;
    read_options(x);
    if (!find_route(x) || !read_cache_mode(x))
        return false;
    if (x->route != NULL && x->route->deadline_ms > 0)
        bound_deadline(x, x->route->deadline_ms);
    x->task = config_task_for(x->config, x->attributes.feature);
    x->caps = route_caps(x->route, x->task, x->tenant);
    if (x->endpoint == API_MODELS && x->config->model_count > 0) {
        reply_models(x);
        return false;
    }
    x->cacheable = x->cache_mode != CACHE_BYPASS && may_be_kept(x);
    if (x->cacheable)
        x->birth = cache_birth_now(x->flow->shared.cache);
    choose_ttl(x);
    if (!repeat_read(x))
        return false;
    return (!x->cacheable && !x->keyed && !x->findable) || compute_key(x);
}
