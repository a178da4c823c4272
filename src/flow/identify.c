// Station 2, identify: which tenant, feature, user, run and step is this?
#include "exchange.h"

#include <stdio.h>

// Each attribute has a header and a twin in the body's metadata; the header
// wins. One table for reading and for stripping.
static const struct {
    const char *header, *metadata;
    size_t offset;
} attribute_table[] = {
#define ATTRIBUTE(field, header) \
    {"x-farthing-" header, "farthing_" #field, offsetof(struct attributes, field)}
    ATTRIBUTE(feature, "feature"),
    ATTRIBUTE(prompt_version, "prompt-version"),
    ATTRIBUTE(user, "user"),
    ATTRIBUTE(corpus_version, "corpus-version"),
    ATTRIBUTE(run, "run"),
    ATTRIBUTE(step, "step"),
    ATTRIBUTE(route, "route"),
    ATTRIBUTE(tier, "tier"),
    ATTRIBUTE(quality, "quality"),
    ATTRIBUTE(cache, "cache"),
    ATTRIBUTE(cache_ttl, "cache-ttl"),
    {"x-farthing-max-cost-usd", "farthing_max_cost_usd", offsetof(struct attributes, max_cost)},
    ATTRIBUTE(deadline_ms, "deadline-ms"),
    ATTRIBUTE(priority, "priority"),
#undef ATTRIBUTE
};

enum { ATTRIBUTE_BYTES_MAX = 256 }; // what stands in rows and labels is bounded

static struct slice *attribute_at(struct attributes *a, size_t i) {
    return (struct slice *)(void *)((char *)a + attribute_table[i].offset);
}

static struct slice bounded_copy(struct exchange *x, struct slice s) {
    if (s.len > ATTRIBUTE_BYTES_MAX)
        s.len = ATTRIBUTE_BYTES_MAX;
    return s.len == 0 ? SLICE_NONE : arena_copy(x->arena, s);
}

static json_ref metadata_of(const struct exchange *x) {
    if (!x->body_is_json)
        return JSON_NONE;
    json_ref metadata = json_get(x->doc, JSON_ROOT, SLICE("metadata"));
    return json_is(x->doc, metadata, JSON_OBJECT) ? metadata : JSON_NONE;
}

static void read_headers(struct exchange *x) {
    struct slice prefix = SLICE("x-farthing-");
    size_t count = http_request_header_count(x->request);
    for (size_t h = 0; h < count; h++) {
        struct api_header header = http_request_header_at(x->request, h);
        if (header.name.len <= prefix.len || !api_header_is_farthing(header.name))
            continue; // one look at most headers, not one for each attribute
        for (size_t i = 0; i < FARTHING_COUNT(attribute_table); i++)
            if (slice_equal_nocase(header.name, slice_of(attribute_table[i].header)))
                *attribute_at(&x->attributes, i) = bounded_copy(x, header.value);
    }
}

void attributes_read(struct exchange *x) {
    read_headers(x);
    json_ref metadata = metadata_of(x);
    if (metadata == JSON_NONE)
        return;
    for (size_t i = 0; i < FARTHING_COUNT(attribute_table); i++) {
        struct slice *value = attribute_at(&x->attributes, i);
        if (value->len > 0)
            continue;
        json_ref twin = json_get(x->doc, metadata, slice_of(attribute_table[i].metadata));
        if (json_is_absent(x->doc, twin))
            continue;
        struct slice text = json_type_of(x->doc, twin) == JSON_STRING
                                ? json_string(x->doc, twin, x->arena)
                                : json_raw(x->doc, twin); // a number of seconds, say
        *value = bounded_copy(x, text);
    }
}

void attributes_strip(struct exchange *x, struct json_edits *edits) {
    json_ref metadata = metadata_of(x);
    if (metadata == JSON_NONE)
        return;
    size_t ours = 0, all = 0;
    struct slice prefix = SLICE("farthing_");
    for (json_ref key = json_first(x->doc, metadata); key != JSON_NONE;
         key = json_next(x->doc, metadata, key)) {
        all++;
        ours += slice_starts_with(json_string(x->doc, key, x->arena), prefix);
    }
    if (ours == 0)
        return;
    // OpenAI refuses metadata where `store` is off: what was only for
    // Farthing leaves no empty object behind.
    if (ours == all) {
        json_edit_remove(edits, JSON_ROOT, SLICE("metadata"));
        return;
    }
    for (json_ref key = json_first(x->doc, metadata); key != JSON_NONE;
         key = json_next(x->doc, metadata, key)) {
        if (slice_starts_with(json_string(x->doc, key, x->arena), prefix))
            json_edit_remove_key(edits, metadata, key);
    }
}

// Anthropic's SDKs name their key x-api-key; elsewhere it is some header.
static bool is_anthropic_path(struct slice path) {
    return slice_starts_with(path, SLICE("/v1/messages")) ||
           slice_starts_with(path, SLICE("/v1/models"));
}

static void read_key(struct exchange *x) {
    struct slice key = tenant_bearer(http_request_header(x->request, SLICE("authorization")));
    if (key.len == 0 && is_anthropic_path(http_request_path(x->request)))
        key = http_request_header(x->request, SLICE("x-api-key"));
    if (key.len == 0)
        return;
    x->client_key = arena_copy(x->arena, key);
    x->has_client_key = true;
    digest_sha256(x->client_key, x->client_key_digest);
}

static bool valid_attributes(struct exchange *x) {
    const struct attributes *a = &x->attributes;
    uint64_t number;
    if (a->deadline_ms.len > 0) {
        if (!slice_to_u64(a->deadline_ms, &number) || number == 0 || number > 86400000)
            return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-deadline-ms"),
                                   "x-farthing-deadline-ms must be a whole number of milliseconds "
                                   "from 1 to 86400000, not \"%.*s\".",
                                   SLICE_ARG(a->deadline_ms));
        x->deadline_ms = (int64_t)clock_mono_ms() + (int64_t)number;
    }
    if (a->cache_ttl.len > 0 && !slice_to_u64(a->cache_ttl, &number))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-cache-ttl"),
                               "x-farthing-cache-ttl must be a whole number of seconds, not "
                               "\"%.*s\".",
                               SLICE_ARG(a->cache_ttl));
    struct money ceiling;
    if (a->max_cost.len > 0 && (!money_parse(a->max_cost, &ceiling) || ceiling.pico < 0))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("x-farthing-max-cost-usd"),
                               "x-farthing-max-cost-usd must be an amount such as \"0.05\", not "
                               "\"%.*s\".",
                               SLICE_ARG(a->max_cost));
    return true;
}

static void find_tenant(struct exchange *x) {
    attributes_read(x);
    read_key(x);
    x->tenant = x->own != NULL ? x->config->own
                               : tenant_identify(x->flow->tenants,
                                                 x->has_client_key ? x->client_key_digest : NULL);
    if (x->tenant != NULL)
        exchange_count_inflight(x);
}

void identify_for_the_row(struct exchange *x) {
    find_tenant(x);
    if (x->tenant == NULL)
        x->attributes = (struct attributes){0};
}

bool identify_unblocked(struct exchange *x) {
    if (x->own != NULL || !key_blocks_check(x->flow->shared.blocks, x->has_client_key ? x->client_key_digest : NULL,
                          x->tenant->name))
        return true;
    x->refused_by = SLICE("blocked");
    return exchange_refuse(x, API_ERROR_INVALID_API_KEY, SLICE_NONE,
                           "This key was blocked by an operator.");
}

bool station_identify(struct exchange *x) {
    find_tenant(x);
    if (x->tenant == NULL) {
        // Nobody's word: it is not to fill rows and labels.
        x->attributes = (struct attributes){0};
        return exchange_refuse(x, API_ERROR_INVALID_API_KEY, SLICE_NONE, "%s",
                               x->has_client_key
                                   ? "This API key is not known here."
                                   : "No API key was given: send it as \"Authorization: Bearer "
                                     "KEY\".");
    }
    return identify_unblocked(x) && valid_attributes(x);
}
