// A store over a Redis that the test has in its hand, real or not: what the
// tests of failures begin with. The clock runs.
#ifndef FARTHING_TEST_STORE_REDIS_SCENE_H
#define FARTHING_TEST_STORE_REDIS_SCENE_H

#include "fake_redis.h"
#include "redis.h"

struct redis_scene {
    struct scene scene;
    struct fake_redis fake;
};

static inline int64_t metric_of(const char *name) {
    struct buffer page = {0};
    char line[160];
    buffer_append_char(&page, '\n');
    metric_write_all(&page);
    buffer_append_char(&page, '\0');
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(page.ptr, line);
    int64_t value = at != NULL ? strtoll(at + strlen(line), NULL, 10) : -1;
    buffer_free(&page);
    return value;
}

static inline int64_t errors_of(const char *error) {
    char name[120];
    snprintf(name, sizeof name, "farthing_store_errors_total{kind=\"redis\",error=\"%s\"}", error);
    return metric_of(name);
}

static inline bool is_up(void) {
    return metric_of("farthing_store_up{kind=\"redis\"}") == 1;
}

// Whatever it takes, up to where something is wrong.
static inline void await(bool (*is_so)(void *arg), void *arg) {
    bool it_is = false;
    for (unsigned i = 0; i < 20000 && !it_is; i++) {
        it_is = is_so(arg);
        if (!it_is)
            usleep(1000);
    }
    assert_true(it_is);
}

static inline bool is_up_now(void *arg) {
    (void)arg;
    return is_up();
}

static inline bool is_down_now(void *arg) {
    (void)arg;
    return !is_up();
}

static inline void await_up(void) {
    await(is_up_now, NULL);
}

static inline void await_down(void) {
    await(is_down_now, NULL);
}

// A read whose start may be refused at once.
static inline enum store_status try_get(struct scene *s, struct slice key) {
    struct answer a = {0};
    if (store_get(s->client, "cache", key, on_answer, &a) == NULL)
        return STORE_FAILED;
    scene_await(s, &a);
    buffer_free(&a.value);
    return a.status;
}

static inline void set_up_paths(struct scene *s) {
    strcpy(s->directory, "store-test-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->file, sizeof s->file, "%s/farthing.db", s->directory);
    s->max_bytes = SCENE_MAX_BYTES;
    s->loop = event_base_new();
    metric_reset_for_test();
    log_set_level((enum log_level)(LOG_ERROR + 1));
}

// Over the fake, which is not opened yet.
static inline int fake_set_up(void **state) {
    struct redis_scene *r = base_calloc(1, sizeof *r);
    set_up_paths(&r->scene);
    fake_start(&r->fake, r->scene.directory);
    r->scene.redis = (struct store_redis_options){.socket_path = r->fake.path,
                                                  .connect_timeout_ms = 20000,
                                                  .command_timeout_ms = 20000,
                                                  .max_value_bytes = 1 << 20};
    *state = r;
    return 0;
}

static inline int fake_tear_down(void **state) {
    struct redis_scene *r = *state;
    scene_close(&r->scene);
    fake_stop(&r->fake);
    event_base_free(r->scene.loop);
    clock_thaw();
    log_set_level(LOG_INFO);
    directory_remove(r->scene.directory);
    free(r);
    return 0;
}

static inline void fake_open(struct redis_scene *r) {
    struct error err;
    const struct store_options options = {r->scene.directory, SCENE_MAX_BYTES};
    r->scene.store = store_open_redis(&options, &r->scene.redis, &err);
    if (r->scene.store == NULL)
        fail_msg("%s", err.text);
    r->scene.client = store_client_new(r->scene.store, r->scene.loop);
}

#define FAKE(test) cmocka_unit_test_setup_teardown(test, fake_set_up, fake_tear_down)

#endif
