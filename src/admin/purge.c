// The cache: what it holds, and purging of it what belongs to a tenant, a feature, a
// version or a route, or a single answer.
#include "admin_room.h"

// ------------------------------------------------------------------------ figures

void put_cache_figures(struct json_writer *w, struct cache *cache) {
    struct cache_stats s;
    struct cache_purges_view purges;
    cache_stats_get(cache, &s);
    cache_purges_get(cache, &purges);
    admin_put_number(w, "entries", s.entries);
    admin_put_number(w, "bytes", s.bytes);
    admin_put_number(w, "hits", s.hits);
    admin_put_number(w, "misses", s.misses);
    admin_put_number(w, "insertions", s.insertions);
    admin_put_number(w, "evictions", s.evictions);
    admin_put_number(w, "purged", s.purged);
    admin_put_moment(w, "last_purge", purges.last_ms);
    admin_put_number(w, "purge_marks", purges.marks);
    admin_put_number(w, "purges_untold", purges.untold);
}

static bool refuse_without_cache(struct http_request *request) {
    return admin_refuse(request, API_ERROR_NOT_FOUND, NULL,
                        "There is no cache: it is not enabled.");
}

void serve_cache(struct admin *a, struct http_request *request) {
    struct buffer out = {0};
    struct json_writer w;
    if (!admin_read_params(request, NULL, 0))
        return;
    if (a->sources.cache == NULL) {
        refuse_without_cache(request);
        return;
    }
    json_write_start(&w, &out);
    json_object_begin(&w);
    put_cache_figures(&w, a->sources.cache);
    json_object_end(&w);
    admin_reply_json(request, &out);
}

// ------------------------------------------------------------------------ purging

struct wanted {
    enum cache_tag kind;
    const char *name;
    struct slice value; // SLICE_NONE: not said
};
enum { WANTED_COUNT = CACHE_TAG_COUNT };

static void read_wanted(const struct admin_order *o, struct wanted out[WANTED_COUNT]) {
    const struct wanted all[WANTED_COUNT] = {
        {CACHE_TAG_TENANT, "tenant", o->tenant},
        {CACHE_TAG_FEATURE, "feature", o->feature},
        {CACHE_TAG_PROMPT_VERSION, "prompt_version", o->prompt_version},
        {CACHE_TAG_CORPUS_VERSION, "corpus_version", o->corpus_version},
        {CACHE_TAG_ROUTE, "route", o->route},
        {CACHE_TAG_KEY, "key", o->key},
    };
    memcpy(out, all, sizeof all);
}

static bool refuse_route(struct admin *a, const struct admin_order *o) {
    struct slice near = SLICE_NONE;
    size_t distance = ADMIN_NEAR + 1;
    for (size_t i = 0; i < a->config->route_count; i++)
        admin_note_near(a->config->routes[i].name, o->route, &near, &distance);
    return admin_refuse_unknown(o->request, "route", "route", o->route, near);
}

// A value that is there and empty is a variable that was not set, and not a wish to
// purge everything. What clients name as they like cannot be checked.
static bool check(struct admin *a, const struct admin_order *o, const struct wanted *wanted) {
    uint8_t key[DIGEST_LEN];
    for (size_t i = 0; i < WANTED_COUNT; i++)
        if (wanted[i].value.ptr != NULL && wanted[i].value.len == 0)
            return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, wanted[i].name,
                                "\"%s\" is empty. To purge everything, leave it out.",
                                wanted[i].name);
    if (o->tenant.len > 0 && config_tenant_find(a->config, o->tenant) == NULL)
        return admin_refuse_tenant(a, o);
    if (o->route.len > 0 && config_route_find(a->config, o->route) == NULL)
        return refuse_route(a, o);
    if (o->key.len > 0 && !digest_unhex(o->key, key, sizeof key))
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, "key",
                            "\"key\" must be the %d hex digits of an answer's "
                            "x-farthing-cache-key.",
                            2 * DIGEST_LEN);
    return true;
}

static uint64_t tag_of(const struct wanted *wanted) {
    uint8_t key[DIGEST_LEN];
    struct slice value = wanted->value;
    if (wanted->kind == CACHE_TAG_KEY && value.len > 0 && digest_unhex(value, key, sizeof key))
        value = slice_make(key, sizeof key);
    return cache_tag_of(wanted->kind, value);
}

static void put_state(struct admin *a, struct buffer *out, bool done) {
    struct json_writer w;
    struct cache_purges_view view;
    cache_purges_get(a->sources.cache, &view);
    json_write_start(&w, out);
    json_object_begin(&w);
    // The shared store gives the number, a moment later.
    admin_put_moment(&w, "last_purge", done && view.untold > 0 ? clock_wall_ms() : view.last_ms);
    if (done && store_is_shared(a->sources.store))
        admin_put_text(&w, "reaches_others",
                       store_is_up(a->sources.store) ? SLICE("within a second")
                                                     : SLICE("when the shared store is back"));
    json_object_end(&w);
}

bool act_cache_purge(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    struct cache_purge_tags tags = {{0}};
    struct wanted wanted[WANTED_COUNT];
    struct buffer what = {0};
    if (a->sources.cache == NULL)
        return refuse_without_cache(o->request);
    read_wanted(o, wanted);
    if (!check(a, o, wanted))
        return false;
    for (size_t i = 0; i < WANTED_COUNT; i++) {
        tags.of[wanted[i].kind] = tag_of(&wanted[i]);
        if (wanted[i].value.len > 0)
            buffer_printf(&what, "%s%s %.*s", what.len > 0 ? ", " : "", wanted[i].name,
                          SLICE_ARG(wanted[i].value));
    }
    deed->action = "cache.purge";
    deed->what = what.len > 0 ? arena_copy(o->arena, buffer_slice(&what)) : SLICE("everything");
    buffer_free(&what);
    put_state(a, &deed->before, false);
    cache_purge_by(a->sources.cache, &tags);
    put_state(a, &deed->after, true);
    return true;
}
