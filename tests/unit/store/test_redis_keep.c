// Writes while Redis is away: others find them when it is back, but for what
// expired or was purged meanwhile; and memory is bounded.
#include "redis_real.h"

static int64_t kept(void) {
    return metric_of("farthing_store_kept{kind=\"redis\"}");
}

static bool none_are_kept(void *arg) {
    (void)arg;
    return kept() == 0;
}

static int64_t dropped(struct scene *s) {
    struct store_stats stats = scene_stats(s);
    return stats.dropped;
}

static void stop(struct real *r) {
    redis_server_stop(&r->server);
    await_down();
}

static void start(struct real *r) {
    redis_server_start(&r->server);
    await_up();
    await(none_are_kept, NULL);
    store_flush(r->one.scene.store); // what is sent is there
}

// The first instance alone has no Redis any more, and later has it again.
static struct scene *open_as_user(struct real *r) {
    if (r->server.pid == 0)
        redis_server_start(&r->server);
    redis_server_order(&r->server, "ACL SETUSER farthing on >p ~* &* +@all");
    r->one.scene.redis.user = "farthing";
    r->one.scene.redis.password = "p";
    fake_open(&r->one);
    r->one.scene.redis.user = r->one.scene.redis.password = NULL;
    return &r->one.scene;
}

static void shut_out(struct real *r) {
    redis_server_order(&r->server, "ACL SETUSER farthing off");
    redis_server_order(&r->server, "CLIENT KILL USER farthing");
    for (unsigned i = 0; i < 20000 && store_is_up(r->one.scene.store); i++)
        usleep(1000);
    assert_false(store_is_up(r->one.scene.store));
}

static void let_in(struct real *r) {
    redis_server_order(&r->server, "ACL SETUSER farthing on");
    for (unsigned i = 0; i < 20000 && !store_is_up(r->one.scene.store); i++)
        usleep(1000);
    await(none_are_kept, NULL);
    store_flush(r->one.scene.store);
}

static bool is_there(struct scene *s, const char *key) {
    enum store_status status = STORE_FAILED;
    for (unsigned i = 0; i < 20000 && status == STORE_FAILED; i++) {
        status = try_get(s, slice_of(key));
        if (status == STORE_FAILED)
            usleep(1000);
    }
    return status == STORE_OK;
}

static void comes_back(struct scene *s, const char *key) {
    unsigned tries = 0;
    while (!is_there(s, key) && ++tries < 20000)
        usleep(1000);
    assert_true(tries < 20000);
}

static void test_others_find_it(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    put(one, "cache", "gone", "with the server");
    put(one, "idempotency", "first", "use");
    stop(r);
    put(one, "cache", "a", "old");
    put(one, "cache", "b", "value");
    put(one, "cache", "a", "new");
    put(one, "idempotency", "k", "result");
    assert_int_equal(kept(), 3);
    assert_int_equal(scene_stats(one).queued, 0); // a flush does not wait for it
    start(r);
    struct scene *two = open_two(r);
    assert_value(two, "cache", SLICE("a"), SLICE("new"));
    assert_value(two, "cache", SLICE("b"), SLICE("value"));
    assert_value(two, "idempotency", SLICE("k"), SLICE("result"));
    assert_false(is_there(two, "gone"));
    assert_int_equal(dropped(one), 0);
}

// Whoever stops just when Redis is back loses none of it.
static void test_a_stop_when_it_is_back(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    enum { COUNT = 2000 };
    char key[16];
    put(one, "cache", "first", "use");
    stop(r);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "k%u", i);
        store_put(one->store, "cache", slice_of(key), SLICE("v"), 0);
    }
    store_flush(one->store);
    redis_server_start(&r->server);
    await_up();
    while (kept() == COUNT) // the space is known again when the first goes
        usleep(100);
    reopen_one(r);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(is_there(one, key));
    }
}

static void test_removals_are_kept(void **state) {
    struct real *r = *state;
    struct scene *one = open_as_user(r);
    put(one, "cache", "a", "value");
    put(one, "cache", "b", "value");
    shut_out(r);
    store_delete(one->store, "cache", SLICE("a"));
    store_delete(one->store, "cache", SLICE("b"));
    put(one, "cache", "b", "again");
    let_in(r);
    assert_false(is_there(one, "a"));
    assert_value(one, "cache", SLICE("b"), SLICE("again"));
}

// It is not written, nor takes it away what another wrote since.
static void test_what_expired_meanwhile(void **state) {
    struct real *r = *state;
    struct scene *one = open_as_user(r), *two = open_two(r);
    put(one, "cache", "first", "use");
    shut_out(r);
    int64_t expires_ms = clock_wall_ms() + 1;
    store_put(one->store, "cache", SLICE("a"), SLICE("short"), expires_ms);
    store_put(one->store, "cache", SLICE("b"), SLICE("short"), expires_ms);
    store_put(one->store, "cache", SLICE("c"), SLICE("for ever"), 0);
    store_put(one->store, "cache", SLICE("d"), SLICE("long"), expires_ms + 3600000);
    put(two, "cache", "a", "of two");
    while (clock_wall_ms() <= expires_ms)
        usleep(500);
    let_in(r);
    assert_value(two, "cache", SLICE("a"), SLICE("of two"));
    assert_false(is_there(two, "b"));
    assert_true(is_there(two, "c"));
    assert_true(is_there(two, "d"));
    assert_int_equal(dropped(one), 0);
}

// Another instance purges while this one is away, and does not know of it.
static void test_a_purge_meanwhile(void **state) {
    struct real *r = *state;
    struct scene *one = open_as_user(r), *two = open_two(r);
    put(one, "cache", "a", "old");
    put(one, "other", "a", "old");
    shut_out(r);
    put(one, "cache", "b", "to be purged");
    put(one, "other", "b", "kept");
    store_delete_space(two->store, "cache");
    put(two, "cache", "c", "new");
    let_in(r);
    assert_value(two, "other", SLICE("b"), SLICE("kept"));
    assert_false(is_there(two, "b"));
    assert_false(is_there(one, "b"));
    assert_true(is_there(one, "c"));
    assert_int_equal(dropped(one), 0); // written, and purged, as it were
}

static void test_a_purge_of_ones_own(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    put(one, "cache", "a", "old");
    stop(r);
    put(one, "cache", "b", "to be purged");
    store_delete_space(one->store, "cache");
    put(one, "cache", "c", "after it");
    start(r);
    assert_false(is_there(one, "b"));
    assert_true(is_there(one, "c"));
}

// A space of which nothing was known when Redis was lost: it may have been
// purged, and what was written then is not believed.
static void test_an_unknown_space(void **state) {
    struct real *r = *state;
    r->one.scene.redis.connect_timeout_ms = 100;
    fake_open(&r->one); // nothing is there
    put(&r->one.scene, "cache", "a", "value");
    assert_int_equal(kept(), 1);
    redis_server_start(&r->server);
    await_up();
    await(none_are_kept, NULL);
    assert_false(is_there(&r->one.scene, "a"));
    assert_int_equal(dropped(&r->one.scene), 1);
}

static void test_what_was_under_way(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    char key[16];
    put(one, "cache", "first", "use");
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned n = 0; n < 10; n++) {
            snprintf(key, sizeof key, "%u-%u", i, n);
            store_put(one->store, "cache", slice_of(key), SLICE("value"), 0);
        }
        redis_server_order(&r->server, "CLIENT KILL TYPE normal");
    }
    await_up();
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%u-%u", i / 10, i % 10);
        comes_back(one, key); // the loss of the last connection may not be seen yet
    }
    assert_int_equal(dropped(one), 0);
}

// A space's generation is asked for when it is first used. Who waits for a value gives
// up in time; what is to be written waits for it.
static void test_the_first_write_of_a_slow_server(void **state) {
    struct real *r = *state;
    r->one.scene.redis.command_timeout_ms = 50;
    struct scene *one = open_one(r);
    await_up();
    kill(r->server.pid, SIGSTOP);
    store_put(one->store, "cache", SLICE("k"), SLICE("v"), 0);
    assert_int_equal(try_get(one, SLICE("k")), STORE_FAILED);
    await_down();
    kill(r->server.pid, SIGCONT);
    await_up();
    comes_back(one, "k");
    assert_int_equal(dropped(one), 0);
}

// The server refuses for good reasons of its own: that write is over.
static void test_an_error_is_no_reason_to_keep(void **state) {
    struct redis_scene *r = *state;
    fake_open(r);
    store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0);
    store_flush(r->scene.store);
    fake_say(&r->fake, "SET", SLICE("-OOM no\r\n"));
    store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0);
    store_flush(r->scene.store);
    assert_int_equal(kept(), 0);
    fake_say(&r->fake, "SET", SLICE("-READONLY no\r\n")); // but this one comes back
    store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0);
    while (errors_of("readonly") == 0)
        usleep(1000);
    fake_say(&r->fake, "SET", SLICE_NONE);
    await_up();
    await(none_are_kept, NULL);
    assert_int_equal(dropped(&r->scene), 0);
}

static void test_bounds(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    enum { MORE = 100, KEPT = 16384, LARGE = 1 << 20, LARGE_KEPT = 15 };
    char key[16];
    put(one, "cache", "first", "use");
    stop(r);
    for (unsigned i = 0; i < KEPT + MORE; i++) {
        snprintf(key, sizeof key, "k%u", i);
        store_put(one->store, "cache", slice_of(key), SLICE("v"), 0);
        if (i % 1000 == 0)
            store_flush(one->store);
    }
    store_flush(one->store);
    assert_int_equal(kept(), KEPT);
    assert_int_equal(dropped(one), MORE);
    start(r);
    assert_false(is_there(one, "k99")); // the oldest went
    assert_true(is_there(one, "k100"));
    snprintf(key, sizeof key, "k%u", KEPT + MORE - 1);
    assert_true(is_there(one, key));
    stop(r);
    char *bytes = base_calloc(1, LARGE);
    for (unsigned i = 0; i < LARGE_KEPT + 5; i++) {
        snprintf(key, sizeof key, "l%u", i);
        store_put(one->store, "cache", slice_of(key), slice_make(bytes, LARGE), 0);
        store_flush(one->store);
    }
    free(bytes);
    assert_int_equal(kept(), LARGE_KEPT); // keys count, too
    assert_int_equal(dropped(one), MORE + 5);
    assert_int_equal(scene_stats(one).queued, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        REAL(test_others_find_it),
        REAL(test_a_stop_when_it_is_back),
        REAL(test_removals_are_kept),
        REAL(test_what_expired_meanwhile),
        REAL(test_a_purge_meanwhile),
        REAL(test_a_purge_of_ones_own),
        REAL(test_an_unknown_space),
        REAL(test_what_was_under_way),
        REAL(test_the_first_write_of_a_slow_server),
        FAKE(test_an_error_is_no_reason_to_keep),
        REAL(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
