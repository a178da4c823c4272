// Instances on one Redis: each with a store, a loop and limits of its own, as so
// many processes would have. The clock runs; nothing depends on how fast.
#ifndef FARTHING_TEST_TENANT_LIMITS_SHARE_SCENE_H
#define FARTHING_TEST_TENANT_LIMITS_SHARE_SCENE_H

#include "scene.h"
// After cmocka.
#include "../store/redis_server.h"
#include "../support/directory.h"
#include "limits_room.h"

enum { INSTANCES_MAX = 3, PATIENCE = 20000 };

struct instance {
    char directory[80];
    struct event_base *loop;
    struct store *store;
    struct store_client *client;
    struct limits *limits;
    struct limits_loop *own;
};

struct servers {
    char directory[64];
    struct redis_server redis;
    struct limits_sharing sharing;
    struct instance instances[INSTANCES_MAX];
    unsigned count;
};

// A request and what it was told.
struct guest {
    struct instance *at;
    struct limits_ticket ticket;
    enum limits_verdict verdict; // QUEUED: not told yet
    unsigned calls;
};

static inline void run_once(struct servers *s) {
    for (unsigned i = 0; i < s->count; i++)
        event_base_loop(s->instances[i].loop, EVLOOP_NONBLOCK);
}

// All loops run until it is so.
static inline void run_until(struct servers *s, bool (*is_so)(struct servers *s, void *arg),
                             void *arg) {
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (is_so(s, arg))
            return;
        run_once(s);
        usleep(1000);
    }
    fail_msg("it never came to be");
}

static inline bool all_up(struct servers *s, void *arg) {
    (void)arg;
    for (unsigned i = 0; i < s->count; i++)
        if (!store_is_up(s->instances[i].store))
            return false;
    return true;
}

static inline void open_instance(struct servers *s, struct instance *i) {
    struct error err;
    strcpy(i->directory, "limits-test-XXXXXX");
    assert_non_null(mkdtemp(i->directory));
    i->loop = event_base_new();
    i->store = store_open_redis(
        &(struct store_options){i->directory, 1 << 20},
        &(struct store_redis_options){.socket_path = s->redis.socket_path,
                                      .connect_timeout_ms = 20000,
                                      .command_timeout_ms = 20000,
                                      .max_value_bytes = 1 << 20},
        &err);
    if (i->store == NULL)
        fail_msg("%s", err.text);
    i->client = store_client_new(i->store, i->loop);
    i->limits = limits_new();
    limits_share(i->limits, i->store, &s->sharing);
    i->own = limits_loop_new(i->limits, i->loop);
    limits_loop_share(i->own, i->client);
}

static inline void close_instance(struct instance *i) {
    limits_loop_free(i->own);
    limits_free(i->limits);
    store_client_free(i->client);
    store_close(i->store);
    event_base_free(i->loop);
    directory_remove(i->directory);
    i->loop = NULL;
}

static inline void open_instances(struct servers *s, unsigned count) {
    for (; s->count < count; s->count++)
        open_instance(s, &s->instances[s->count]);
    run_until(s, all_up, NULL);
}

static inline int servers_set_up(void **state) {
    struct servers *s = base_calloc(1, sizeof *s);
    strcpy(s->directory, "limits-test-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->redis.socket_path, sizeof s->redis.socket_path, "%s/redis", s->directory);
    s->sharing.wait_ms = 20000;
    metric_reset_for_test();
    log_set_level((enum log_level)(LOG_ERROR + 1));
    redis_server_start(&s->redis);
    *state = s;
    return 0;
}

static inline int servers_tear_down(void **state) {
    struct servers *s = *state;
    for (unsigned i = 0; i < s->count; i++)
        if (s->instances[i].loop != NULL)
            close_instance(&s->instances[i]);
    redis_server_stop(&s->redis);
    directory_remove(s->directory);
    log_set_level(LOG_INFO);
    free(s);
    return 0;
}

static inline void set_figures(struct servers *s, struct config_limits figures) {
    for (unsigned i = 0; i < s->count; i++)
        limits_set(s->instances[i].limits, SLICE("acme"), &figures);
}

static const struct config_limits unlimited = {CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET,
                                               CONFIG_UNSET, CONFIG_UNSET};

// ------------------------------------------------------------------------ guests

static inline void on_told(void *arg, enum limits_verdict verdict) {
    struct guest *g = arg;
    assert_int_equal(g->verdict, LIMITS_QUEUED);
    g->calls++;
    g->verdict = verdict;
}

static inline void come(struct servers *s, struct guest *g, unsigned instance, int64_t tokens) {
    g->at = &s->instances[instance];
    g->calls = 0;
    g->verdict = limits_admit(g->at->own, &g->ticket,
                              &(struct limits_ask){.tenant = SLICE("acme"), .tokens = tokens},
                              on_told, g);
}

static inline bool is_told(struct servers *s, void *arg) {
    (void)s;
    return ((struct guest *)arg)->verdict != LIMITS_QUEUED;
}

// Comes and waits for the answer.
static inline enum limits_verdict ask(struct servers *s, struct guest *g, unsigned instance,
                                      int64_t tokens) {
    come(s, g, instance, tokens);
    run_until(s, is_told, g);
    return g->verdict;
}

static inline struct limits_tenant *name_at(struct instance *i) {
    return limits_find_known(i->own, SLICE("acme"));
}

#define SERVERS(test) cmocka_unit_test_setup_teardown(test, servers_set_up, servers_tear_down)

#endif
