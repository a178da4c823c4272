// A redis-server, and two instances on it: each a store of its own, in a
// directory of its own, as two processes would have.
#ifndef FARTHING_TEST_STORE_REDIS_REAL_H
#define FARTHING_TEST_STORE_REDIS_REAL_H

#include "redis_scene.h"

struct real {
    struct redis_scene one;
    struct redis_server server;
    struct scene two; // another instance: its own directory, the same Redis
};

static inline int real_set_up(void **state) {
    struct real *r = base_calloc(1, sizeof *r);
    set_up_paths(&r->one.scene);
    set_up_paths(&r->two);
    snprintf(r->server.socket_path, sizeof r->server.socket_path, "%s/redis",
             r->one.scene.directory);
    r->one.scene.redis = (struct store_redis_options){.socket_path = r->server.socket_path,
                                                      .connect_timeout_ms = 20000,
                                                      .command_timeout_ms = 20000,
                                                      .max_value_bytes = 1 << 20};
    *state = r;
    return 0;
}

static inline void scene_end(struct scene *s) {
    scene_close(s);
    event_base_free(s->loop);
    directory_remove(s->directory);
}

static inline int real_tear_down(void **state) {
    struct real *r = *state;
    scene_close(&r->one.scene);
    scene_close(&r->two);
    redis_server_stop(&r->server);
    scene_end(&r->two);
    scene_end(&r->one.scene);
    clock_thaw();
    log_set_level(LOG_INFO);
    free(r);
    return 0;
}

static inline struct scene *open_one(struct real *r) {
    if (r->server.pid == 0)
        redis_server_start(&r->server);
    fake_open(&r->one);
    return &r->one.scene;
}

// As another process would: with nothing but what Redis has.
static inline void reopen_one(struct real *r) {
    scene_close(&r->one.scene);
    fake_open(&r->one);
}

static inline struct scene *open_two(struct real *r) {
    struct error err;
    const struct store_options options = {r->two.directory, SCENE_MAX_BYTES};
    r->two.store = store_open_redis(&options, &r->one.scene.redis, &err);
    assert_non_null(r->two.store);
    r->two.client = store_client_new(r->two.store, r->two.loop);
    return &r->two;
}

static inline void put(struct scene *s, const char *space, const char *key, const char *value) {
    store_put(s->store, space, slice_of(key), slice_of(value), clock_wall_ms() + 3600000);
    store_flush(s->store);
}

static inline int64_t number_of(const struct redis_server *server, const char *command) {
    char answer[256];
    redis_server_ask(server, command, answer, sizeof answer);
    return strtoll(answer + 1, NULL, 10);
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, real_set_up, real_tear_down)

#endif
