// Limits by name: which there are, and their figures. Names are a tenant's own,
// "route:NAME" and "key:HEX"; what is held under them does not differ.
#include <stdlib.h>

#include "limits_room.h"

static const struct config_limits no_figures = {CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET,
                                                CONFIG_UNSET, CONFIG_UNSET};

// -------------------------------------------------------------------- by name

struct limits *limits_new(void) {
    struct limits *l = base_calloc(1, sizeof *l);
    base_lock_init(&l->lock);
    l->by_name = table_new();
    return l;
}

void limits_free(struct limits *l) {
    if (l == NULL)
        return;
    for (struct limits_tenant *t = l->tenants, *next; t != NULL; t = next) {
        next = t->next;
        fair_free(&t->queue);
        limits_share_free(t->share);
        pthread_mutex_destroy(&t->lock);
        free((char *)t->name.ptr);
        free(t);
    }
    table_free(l->by_name);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static struct limits_tenant *tenant_new(struct slice name) {
    struct limits_tenant *t = base_calloc_lines(sizeof *t);
    base_lock_init(&t->lock);
    t->figures = no_figures;
    t->name = slice_make(slice_dup(name), name.len);
    return t;
}

static struct limits_tenant *find_or_make(struct limits *l, struct slice name) {
    pthread_mutex_lock(&l->lock);
    struct limits_tenant *t = table_get(l->by_name, name);
    if (t == NULL) {
        t = tenant_new(name);
        t->share = limits_share_new(l, name);
        table_put(l->by_name, name, t);
        t->next = l->tenants;
        l->tenants = t;
    }
    pthread_mutex_unlock(&l->lock);
    return t;
}

struct limits_tenant *limits_find_known(struct limits_loop *l, struct slice name) {
    struct limits_tenant *t = table_get(l->known, name);
    if (t == NULL) {
        t = find_or_make(l->limits, name);
        table_put(l->known, name, t);
    }
    return t;
}

struct limits_loop *limits_loop_new(struct limits *l, struct event_base *loop) {
    struct limits_loop *ll = base_calloc(1, sizeof *ll);
    ll->limits = l;
    ll->base = loop;
    ll->known = table_new();
    waits_open(&ll->waits, loop, limits_on_due);
    return ll;
}

void limits_loop_free(struct limits_loop *l) {
    if (l == NULL)
        return;
    limits_share_close(l);
    waits_close(&l->waits);
    table_free(l->known);
    free(l);
}

// ---------------------------------------------------------------------- names

struct slice limits_name_of_route(struct arena *a, struct slice route) {
    return ARENA_JOIN(a, SLICE("route:"), route);
}

struct slice limits_name_of_key(struct arena *a, const uint8_t digest[DIGEST_LEN]) {
    char hex[2 * DIGEST_LEN + 1];
    digest_hex(digest, DIGEST_LEN, hex);
    return ARENA_JOIN(a, SLICE("key:"), slice_of(hex));
}

// -------------------------------------------------------------------- figures

bool limits_any(const struct config_limits *figures) {
    return figures->concurrency > 0 || figures->requests_per_minute > 0 ||
           figures->tokens_per_minute > 0;
}

static void set_figures(struct limits_tenant *t, const struct config_limits *figures) {
    pthread_mutex_lock(&t->lock);
    t->figures = *figures;
    atomic_store(&t->limited, limits_any(figures));
    limits_hand_over(t);
    pthread_mutex_unlock(&t->lock);
}

void limits_set(struct limits *l, struct slice name, const struct config_limits *figures) {
    set_figures(find_or_make(l, name), figures);
}

static void configure_name(struct limits *l, struct slice name,
                           const struct config_limits *figures) {
    struct limits_tenant *t = find_or_make(l, name);
    t->round = l->round;
    set_figures(t, figures);
}

static void configure_keys(struct limits *l, const struct config_tenant *tenant,
                           struct arena *scratch) {
    if (limits_any(&tenant->each_key))
        for (size_t i = 0; i < tenant->key_count; i++)
            configure_name(l, limits_name_of_key(scratch, tenant->key_digests[i]),
                           &tenant->each_key);
}

// What an earlier round set and this one did not.
static void lift_the_rest(struct limits *l) {
    pthread_mutex_lock(&l->lock);
    struct limits_tenant *t = l->tenants;
    pthread_mutex_unlock(&l->lock);
    for (; t != NULL; t = t->next) {
        if (t->round == 0 || t->round == l->round)
            continue;
        t->round = 0;
        set_figures(t, &no_figures);
    }
}

void limits_configure(struct limits *l, const struct config *config) {
    struct arena *scratch = arena_new(4096);
    atomic_store(&l->closed, config->store.on_failure.limits_closed);
    l->round++;
    for (size_t i = 0; i < config->tenant_count; i++) {
        configure_name(l, config->tenants[i].name, &config->tenants[i].limits);
        configure_keys(l, &config->tenants[i], scratch);
    }
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (limits_any(&route->limits))
            configure_name(l, limits_name_of_route(scratch, route->name), &route->limits);
    }
    lift_the_rest(l);
    arena_free(scratch);
}
