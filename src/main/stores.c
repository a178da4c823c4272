// From the configuration's slices to the options of a store, which is opened
// once: what changes in its section needs a restart.
#include "stores.h"

struct made {
    struct arena *arena; // of the texts
    struct store_options store;
    struct store_redis_options redis;
    bool is_redis;
};

static const char *text(struct arena *arena, struct slice s) {
    return s.len > 0 ? arena_string(arena, s) : NULL;
}

static const enum store_redis_kind kinds[] = {
    [CONFIG_REDIS_SINGLE] = STORE_REDIS_SINGLE,
    [CONFIG_REDIS_SENTINEL] = STORE_REDIS_SENTINEL,
    [CONFIG_REDIS_CLUSTER] = STORE_REDIS_CLUSTER,
};
_Static_assert((int)CONFIG_REDIS_SEEDS_MAX == (int)STORE_REDIS_SEEDS_MAX,
               "all of them are passed on");

static void make_options(const struct config_store *config, struct made *m) {
    const struct config_redis *r = &config->redis;
    struct arena *arena = m->arena = arena_new(4096);
    m->store = (struct store_options){.path = arena_string(arena, config->path),
                                      .max_bytes = config->max_bytes};
    m->is_redis = config->kind == CONFIG_STORE_REDIS;
    m->redis = (struct store_redis_options){
        .kind = kinds[r->kind],
        .host = text(arena, r->host),
        .socket_path = text(arena, r->socket_path),
        .port = r->port,
        .database = r->database,
        .user = text(arena, r->user),
        .password = text(arena, r->password),
        .seed_count = r->seed_count,
        .master = text(arena, r->master),
        .sentinel_user = text(arena, r->sentinel_user),
        .sentinel_password = text(arena, r->sentinel_password),
        .tls = r->tls,
        .tls_verify = r->tls_verify,
        .ca_file = text(arena, r->ca_file),
        .certificate = text(arena, r->certificate),
        .key = text(arena, r->key),
        .connect_timeout_ms = r->connect_timeout_ms,
        .command_timeout_ms = r->command_timeout_ms,
        .max_value_bytes = r->max_value_bytes,
    };
    for (size_t i = 0; i < r->seed_count; i++)
        m->redis.seeds[i] =
            (struct store_redis_seed){text(arena, r->seeds[i].host), r->seeds[i].port};
}

struct store *stores_open(const struct config_store *config, struct error *err) {
    struct made made;
    make_options(config, &made);
    struct store *store = store_open_redis(&made.store, made.is_redis ? &made.redis : NULL, err);
    arena_free(made.arena);
    return store;
}

bool stores_check(const struct config_store *config, struct error *err) {
    struct made made;
    make_options(config, &made);
    bool ok = !made.is_redis || store_check_redis(&made.redis, err);
    arena_free(made.arena);
    return ok;
}

bool stores_are_same(const struct config_store *a, const struct config_store *b) {
    const struct config_redis *x = &a->redis, *y = &b->redis;
    return a->kind == b->kind && slice_equal(a->path, b->path) && slice_equal(a->url, b->url) &&
           a->max_bytes == b->max_bytes && slice_equal(x->password, y->password) &&
           slice_equal(x->sentinel_user, y->sentinel_user) &&
           slice_equal(x->sentinel_password, y->sentinel_password) &&
           slice_equal(x->ca_file, y->ca_file) && slice_equal(x->certificate, y->certificate) &&
           slice_equal(x->key, y->key) && x->tls_verify == y->tls_verify &&
           x->connect_timeout_ms == y->connect_timeout_ms &&
           x->command_timeout_ms == y->command_timeout_ms &&
           x->max_value_bytes == y->max_value_bytes;
}
