// With a master, its replica and three sentinels: the store follows the master,
// whoever of them dies.
#include "redis_scene.h"

struct watched {
    char directory[64];
    struct redis_sentinels redis;
    struct store_redis_options options;
    struct scene scene;
};

static int set_up(void **state) {
    struct watched *w = base_calloc(1, sizeof *w);
    strcpy(w->directory, "sentinel-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    sentinels_start(&w->redis, w->directory);
    w->options = sentinels_options(&w->redis);
    set_up_paths(&w->scene);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct watched *w = *state;
    scene_close(&w->scene);
    event_base_free(w->scene.loop);
    directory_remove(w->scene.directory);
    sentinels_stop(&w->redis);
    directory_remove(w->directory);
    log_set_level(LOG_INFO);
    free(w);
    return 0;
}

static void open_it(struct watched *w) {
    struct error err;
    const struct store_options options = {w->scene.directory, SCENE_MAX_BYTES};
    w->scene.store = store_open_redis(&options, &w->options, &err);
    if (w->scene.store == NULL)
        fail_msg("%s", err.text);
    w->scene.client = store_client_new(w->scene.store, w->scene.loop);
}

static void put(struct watched *w, const char *key) {
    store_put(w->scene.store, "cache", slice_of(key), SLICE("v"), clock_wall_ms() + 3600000);
    store_flush(w->scene.store);
}

static bool has_a_key_of_ours(const struct redis_member *m) {
    return member_says(m, "EXISTS farthing:cache:generation", ":1");
}

static bool is_at_another(void *arg) {
    struct watched *w = arg;
    return store_epoch(w->scene.store) > 1 && store_is_up(w->scene.store);
}

static void test_the_master_is_found(void **state) {
    struct watched *w = *state;
    redis_server_stop(&w->redis.sentinels[0].server); // the next is asked
    open_it(w);
    assert_true(store_is_up(w->scene.store));
    put(w, "k");
    assert_true(scene_has(&w->scene, "cache", SLICE("k")));
    assert_true(has_a_key_of_ours(&w->redis.nodes[0]));
}

static void test_a_sentinel_is_silent(void **state) {
    struct watched *w = *state;
    w->options.connect_timeout_ms = 2000; // a part of it is the sentinel's
    kill(w->redis.sentinels[0].server.pid, SIGSTOP);
    open_it(w);
    await_up();
    put(w, "k");
    assert_true(scene_has(&w->scene, "cache", SLICE("k")));
}

static void test_the_master_dies(void **state) {
    struct watched *w = *state;
    w->options.seed_count = 1; // of the others it learns
    open_it(w);
    put(w, "k");
    uint64_t epoch = store_epoch(w->scene.store);
    assert_int_equal(epoch, 1);
    redis_server_stop(&w->redis.nodes[0].server);
    redis_server_stop(&w->redis.sentinels[0].server);
    await_down();
    await_up();
    assert_true(member_is_master(&w->redis.nodes[1]));
    put(w, "x");
    assert_true(scene_has(&w->scene, "cache", SLICE("x")));
    assert_true(store_epoch(w->scene.store) > epoch);
}

// A former master that lives goes on to take writes for some seconds.
static void test_the_master_is_changed(void **state) {
    struct watched *w = *state;
    open_it(w);
    put(w, "k");
    redis_server_order(&w->redis.sentinels[1].server, "SENTINEL FAILOVER " MASTER_NAME);
    await(is_at_another, w);
    assert_true(member_is_master(&w->redis.nodes[1]));
    put(w, "x");
    assert_true(scene_has(&w->scene, "cache", SLICE("x")));
}

static void test_a_replica_is_no_master(void **state) {
    struct watched *w = *state;
    char line[64];
    open_it(w);
    for (unsigned n = 0; n < SENTINELS; n++) // and so nobody is there to change it back
        redis_server_stop(&w->redis.sentinels[n].server);
    snprintf(line, sizeof line, "REPLICAOF 127.0.0.1 %u", w->redis.nodes[1].port);
    redis_server_order(&w->redis.nodes[0].server, line);
    redis_server_order(&w->redis.nodes[0].server, "CLIENT KILL TYPE normal");
    await_down();
    assert_int_equal(try_get(&w->scene, SLICE("k")), STORE_FAILED);
}

static void test_nobody_knows_it(void **state) {
    struct watched *w = *state;
    w->options.master = "another";
    open_it(w);
    assert_false(store_is_up(w->scene.store));
    assert_true(errors_of("connect") >= 1);
    assert_int_equal(try_get(&w->scene, SLICE("k")), STORE_FAILED);
}

// Sentinels have users of their own.
static void test_sentinels_that_want_a_password(void **state) {
    struct watched *w = *state;
    for (unsigned n = 0; n < SENTINELS; n++)
        redis_server_order(&w->redis.sentinels[n].server, "ACL SETUSER default resetpass >hush");
    open_it(w);
    assert_false(store_is_up(w->scene.store));
    scene_close(&w->scene);
    w->options.sentinel_password = "wrong";
    open_it(w);
    assert_false(store_is_up(w->scene.store));
    scene_close(&w->scene);
    w->options.sentinel_password = "hush";
    open_it(w);
    assert_true(store_is_up(w->scene.store));
    scene_close(&w->scene);
    w->options.sentinel_user = "default";
    open_it(w);
    assert_true(store_is_up(w->scene.store));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_master_is_found),
        TEST(test_a_sentinel_is_silent),
        TEST(test_the_master_dies),
        TEST(test_the_master_is_changed),
        TEST(test_a_replica_is_no_master),
        TEST(test_nobody_knows_it),
        TEST(test_sentinels_that_want_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
