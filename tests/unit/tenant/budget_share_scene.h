// Instances that share their budgets over one real Redis: each a store, budgets and a
// loop of its own, as processes would have. The clock runs. They beat when they are told.
#ifndef FARTHING_TEST_TENANT_BUDGET_SHARE_SCENE_H
#define FARTHING_TEST_TENANT_BUDGET_SHARE_SCENE_H

#include "budget_scene.h"
// After it: cmocka's.
#include "../store/redis_server.h"
#include "budget_room.h"

enum { INSTANCES = 3, PATIENT_MS = 20000 };

struct share_scene {
    char directory[48];
    struct redis_server server;
    struct budget_scene instances[INSTANCES];
    int64_t timeout_ms; // of commands
    struct budget_view told[16]; // what was found of who is gone
    size_t told_count;
};

static inline void share_on_recovered(void *arg, const struct budget_view *view) {
    struct share_scene *s = arg;
    assert_true(s->told_count < FARTHING_COUNT(s->told));
    s->told[s->told_count] = *view;
    s->told[s->told_count++].value = SLICE_NONE;
}

static inline void share_await_up(struct budget_scene *i) {
    for (unsigned n = 0; n < PATIENT_MS && !store_is_up(i->store); n++)
        usleep(1000);
    assert_true(store_is_up(i->store));
}

static inline struct budget_scene *instance(struct share_scene *s, unsigned n, const char *body) {
    struct budget_scene *i = &s->instances[n];
    struct error err;
    char directory[sizeof i->directory];
    snprintf(directory, sizeof directory, "%s/%u", s->directory, n);
    memcpy(i->directory, directory, sizeof directory);
    const struct store_options options = {i->directory, 1 << 20};
    const struct store_redis_options redis = {.socket_path = s->server.socket_path,
                                              .connect_timeout_ms = PATIENT_MS,
                                              .command_timeout_ms = s->timeout_ms,
                                              .max_value_bytes = 1 << 20};
    i->loop = event_base_new();
    i->store = store_open_redis(&options, &redis, &err);
    assert_non_null(i->store);
    share_await_up(i);
    i->client = store_client_new(i->store, i->loop);
    i->budgets = budgets_open(i->store, &err);
    assert_non_null(i->budgets);
    budgets_on_recovered(i->budgets, share_on_recovered, s);
    configure(i, body);
    atomic_store(&i->budgets->share.timeout_ms, s->timeout_ms);
    i->own = budgets_loop_new(i->budgets, i->loop, i->client);
    event_free(i->own->beat);
    i->own->beat = NULL;
    return i;
}

static inline void instance_end(struct budget_scene *i) {
    if (i->store != NULL)
        close_scene(i);
}

// Without a last word, as by kill -9.
static inline void instance_kill(struct budget_scene *i) {
    i->budgets->share.on = false;
    instance_end(i);
}

static inline int share_set_up(void **state) {
    struct share_scene *s = base_calloc(1, sizeof *s);
    metric_reset_for_test();
    log_set_level((enum log_level)(LOG_ERROR + 1));
    s->timeout_ms = PATIENT_MS;
    snprintf(s->directory, sizeof s->directory, "/tmp/farthing-share-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->server.socket_path, sizeof s->server.socket_path, "%s/redis", s->directory);
    redis_server_start(&s->server);
    *state = s;
    return 0;
}

static inline int share_tear_down(void **state) {
    struct share_scene *s = *state;
    for (unsigned n = 0; n < INSTANCES; n++)
        instance_end(&s->instances[n]);
    redis_server_stop(&s->server);
    log_set_level(LOG_INFO);
    directory_remove(s->directory);
    free(s);
    return 0;
}

// --------------------------------------------------------------------- what it does

static inline void settle_down(struct budget_scene *i) {
    while (i->own->calls != NULL)
        event_base_loop(i->loop, EVLOOP_ONCE);
    event_base_loop(i->loop, EVLOOP_NONBLOCK);
}

static inline void for_each_counter(struct budget_scene *i, void (*what)(struct counter_share *)) {
    for (struct budget_tenant *t = i->budgets->tenants; t != NULL; t = t->next)
        for (struct budget *b = t->first; b != NULL; b = b->next)
            for (size_t n = 0; n < b->count; n++)
                what(&b->slots[n]->share);
}

static inline void forget_when_told(struct counter_share *s) {
    s->told_ms = 0;
}

static inline void forget_refusal(struct counter_share *s) {
    s->refused_until_ms = 0;
}

// With a look at what others did, however young the last one is.
static inline void beat(struct budget_scene *i) {
    for_each_counter(i, forget_when_told);
    budget_share_beat(i->own);
    settle_down(i);
}

// Twice: what it used between two beats it keeps in hand.
static inline void give_back(struct budget_scene *i) {
    beat(i);
    beat(i);
}

// Was it granted? What the store says is waited for.
static inline bool take(struct budget_scene *i, struct budget_reservation *r,
                        struct budget_scope scope, config_pico worst) {
    if (ask_for(i, r, scope, worst) == BUDGET_REFUSED)
        return false;
    while (r->state == BUDGET_WAITING)
        event_base_loop(i->loop, EVLOOP_ONCE);
    return r->state == BUDGET_HELD;
}

static inline void buy(struct budget_scene *i, struct budget_scope scope, config_pico cost) {
    struct budget_reservation r = {0};
    assert_true(take(i, &r, scope, cost));
    assert_true(budget_settle(i->own, &r, cost, NULL));
}

// Whatever is refused for less than this is remembered for a moment.
static inline bool can_take(struct budget_scene *i, struct budget_scope scope, config_pico worst) {
    struct budget_reservation r = {0};
    for_each_counter(i, forget_refusal);
    bool held = take(i, &r, scope, worst);
    if (held)
        assert_true(budget_release(i->own, &r));
    return held;
}

static inline void ahead(struct share_scene *s, int64_t ms) {
    for (unsigned n = 0; n < INSTANCES; n++)
        if (s->instances[n].store != NULL)
            atomic_fetch_add(&s->instances[n].budgets->share.ahead_ms, ms);
}

static inline uint64_t calls_of(const struct budget_scene *i) {
    return atomic_load(&i->budgets->share.calls);
}

#define SHARE(test) cmocka_unit_test_setup_teardown(test, share_set_up, share_tear_down)

#endif
