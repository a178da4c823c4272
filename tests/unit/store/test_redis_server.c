// With a redis-server: what several instances see of each other, what is kept
// how, and what happens when the server stops, starts, is full or wants more
// than was said.
#include "redis_real.h"

// ------------------------------------------------------------------- instances

static void test_instances_share(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    put(one, "cache", "k", "of one");
    assert_value(two, "cache", SLICE("k"), SLICE("of one"));
    put(two, "cache", "k", "of two");
    assert_value(one, "cache", SLICE("k"), SLICE("of two"));
    assert_false(scene_has(one, "other", SLICE("k")));
    store_delete(two->store, "cache", SLICE("k"));
    store_flush(two->store);
    assert_false(scene_has(one, "cache", SLICE("k")));
    assert_int_equal(number_of(&r->server, "DBSIZE"), 3); // two generations, and who is there
}

static bool has_lost_it(void *arg) {
    return !scene_has(arg, "cache", SLICE("k"));
}

static void test_a_purge_is_seen_by_all(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    put(one, "cache", "k", "v");
    put(one, "other", "k", "kept");
    assert_value(two, "cache", SLICE("k"), SLICE("v"));
    store_delete_space(one->store, "cache");
    assert_false(scene_has(one, "cache", SLICE("k")));
    await(has_lost_it, two);
    put(two, "cache", "k", "new");
    assert_value(one, "cache", SLICE("k"), SLICE("new"));
    assert_value(two, "other", SLICE("k"), SLICE("kept"));
}

static void on_emptied(void *arg) {
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static bool is_emptied(void *arg) {
    return atomic_load((atomic_uint *)arg) > 0;
}

// Whoever keeps values in front of it hears of it, once, and not of its own.
static void test_a_purge_is_told(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    atomic_uint told_one = 0, told_two = 0, told_other = 0, unwatched = 0;
    store_watch(one->store, "cache", on_emptied, NULL, &told_one);
    store_watch(two->store, "cache", on_emptied, NULL, &unwatched);
    store_watch(two->store, "cache", on_emptied, NULL, &told_two);
    store_watch(two->store, "other", on_emptied, NULL, &told_other);
    store_unwatch(two->store, &unwatched);
    put(one, "cache", "k", "v");
    put(two, "cache", "k", "v");
    put(two, "other", "k", "v");
    store_delete_space(one->store, "cache");
    await(is_emptied, &told_two);
    assert_int_equal(told_two + told_one + told_other + unwatched, 1);
    redis_server_order(&r->server, "SET farthing:cache:generation by-hand"); // docs/redis.md
    await(is_emptied, &told_one);
    assert_int_equal(told_other, 0);
    store_unwatch(one->store, &told_one);
    store_unwatch(two->store, &told_two);
    store_unwatch(two->store, &told_other);
}

// A restart without its data is no purge: what instances have in memory counts
// on, and what they write each finds of the other.
static void test_an_empty_redis_is_no_purge(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    atomic_uint told = 0;
    put(one, "cache", "k", "v");
    assert_value(two, "cache", SLICE("k"), SLICE("v"));
    store_watch(one->store, "cache", on_emptied, NULL, &told);
    store_watch(two->store, "cache", on_emptied, NULL, &told);
    redis_server_order(&r->server, "FLUSHALL");
    assert_false(scene_has(two, "cache", SLICE("k")));
    while (number_of(&r->server, "EXISTS farthing:cache:generation") == 0)
        usleep(1000); // one of them writes it back
    put(one, "cache", "k", "new");
    assert_value(two, "cache", SLICE("k"), SLICE("new"));
    assert_int_equal(told, 0);
    store_unwatch(one->store, &told);
    store_unwatch(two->store, &told);
}

// The generation was evicted, or somebody flushed all: what was purged before
// never comes back.
static void test_a_lost_generation_brings_nothing_back(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    put(one, "cache", "k", "purged");
    store_delete_space(one->store, "cache");
    store_flush(one->store);
    redis_server_order(&r->server, "DEL farthing:cache:generation");
    reopen_one(r);
    await(has_lost_it, two);
    put(one, "cache", "k", "new");
    for (unsigned i = 0; i < 20000 && !scene_has(two, "cache", SLICE("k")); i++)
        usleep(1000);
    assert_value(two, "cache", SLICE("k"), SLICE("new"));
    redis_server_order(&r->server, "FLUSHALL");
    await(has_lost_it, one);
}

// ------------------------------------------------------------------ what is kept

static void test_expiry_is_told_to_redis(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    char key[128], command[160];
    put(one, "cache", "k", "v");
    char generation[64];
    redis_server_ask(&r->server, "GET farthing:cache:generation", generation, sizeof generation);
    snprintf(key, sizeof key, "farthing:cache:%.26s:k", generation + 5); // behind $26\r\n
    snprintf(command, sizeof command, "PTTL %s", key);
    assert_in_range(number_of(&r->server, command), 3500000, 3600000);
    store_put(one->store, "cache", SLICE("k"), SLICE("v"), clock_wall_ms() - 1); // past
    store_flush(one->store);
    snprintf(command, sizeof command, "EXISTS %s", key);
    assert_int_equal(number_of(&r->server, command), 0);
    // Longer than any time that Redis takes.
    store_put(one->store, "cache", SLICE("k"), SLICE("v"), INT64_MAX);
    store_flush(one->store);
    assert_int_equal(number_of(&r->server, command), 1);
    snprintf(command, sizeof command, "SET %s foreign", key);
    redis_server_order(&r->server, command);
    assert_false(scene_has(one, "cache", SLICE("k")));
    assert_int_equal(errors_of("damaged"), 1);
    snprintf(command, sizeof command, "DEL %s", key);
    redis_server_order(&r->server, command);
    snprintf(command, sizeof command, "LPUSH %s x", key); // of another type
    redis_server_order(&r->server, command);
    assert_int_equal(try_get(one, SLICE("k")), STORE_FAILED);
}

static void test_a_value_that_is_too_large(void **state) {
    struct real *r = *state;
    r->one.scene.redis.max_value_bytes = 5000;
    struct scene *one = open_one(r);
    char *bytes = base_calloc(1, 5001);
    put(one, "cache", "k", "the old one");
    store_put(one->store, "cache", SLICE("k"), slice_make(bytes, 5000), 0);
    assert_value(one, "cache", SLICE("k"), slice_make(bytes, 5000));
    store_put(one->store, "cache", SLICE("k"), slice_make(bytes, 5001), 0);
    assert_false(scene_has(one, "cache", SLICE("k")));
    assert_int_equal(errors_of("too_large"), 1);
    free(bytes);
}

// What does not compress and is as large as may be comes back whole.
static void test_the_largest_value(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    size_t len = (size_t)r->one.scene.redis.max_value_bytes;
    char *bytes = base_alloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)random_below(256);
    store_put(one->store, "cache", SLICE("k"), slice_make(bytes, len), 0);
    assert_value(one, "cache", SLICE("k"), slice_make(bytes, len));
    free(bytes);
}

// ------------------------------------------------------------------------ trouble

static void test_full_memory(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    put(one, "cache", "k", "v");
    redis_server_order(&r->server, "CONFIG SET maxmemory 1");
    put(one, "cache", "k", "another");
    assert_true(errors_of("oom") >= 1);
    assert_value(one, "cache", SLICE("k"), SLICE("v")); // reads go on
    redis_server_order(&r->server, "CONFIG SET maxmemory 0");
    put(one, "cache", "k", "another");
    assert_value(one, "cache", SLICE("k"), SLICE("another"));
    assert_true(is_up());
}

static void test_a_replica(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    put(one, "cache", "k", "v");
    redis_server_order(&r->server, "REPLICAOF 127.0.0.1 1");
    put(one, "cache", "k", "another");
    assert_true(errors_of("readonly") >= 1);
    redis_server_order(&r->server, "REPLICAOF NO ONE");
    await_up();
    put(one, "cache", "k", "third");
    assert_value(one, "cache", SLICE("k"), SLICE("third"));
}

static void test_a_restart(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    put(one, "cache", "k", "v");
    redis_server_stop(&r->server);
    await_down();
    assert_int_equal(try_get(one, SLICE("k")), STORE_FAILED);
    store_delete_space(one->store, "cache"); // is not lost
    redis_server_start(&r->server);
    await_up();
    assert_false(scene_has(one, "cache", SLICE("k")));
    put(one, "cache", "k", "new");
    assert_value(one, "cache", SLICE("k"), SLICE("new"));
}

// Stopped for a while, as by an overloaded host.
static void test_a_stopped_server(void **state) {
    struct real *r = *state;
    r->one.scene.redis.command_timeout_ms = 50;
    struct scene *one = open_one(r);
    put(one, "cache", "k", "v");
    kill(r->server.pid, SIGSTOP);
    assert_int_equal(try_get(one, SLICE("k")), STORE_FAILED);
    await_down(); // the second of silence that is seen without any request
    kill(r->server.pid, SIGCONT);
    await_up();
    for (unsigned i = 0; i < 20000 && try_get(one, SLICE("k")) != STORE_OK; i++)
        usleep(1000);
    assert_value(one, "cache", SLICE("k"), SLICE("v"));
}

static void test_a_purge_while_it_is_away(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    put(one, "cache", "k", "v");
    redis_server_order(&r->server, "CLIENT KILL TYPE normal SKIPME yes");
    store_delete_space(one->store, "cache"); // before or after it is seen
    await_up();
    for (unsigned i = 0; i < 20000 && try_get(one, SLICE("none")) != STORE_MISSING; i++)
        usleep(1000);
    assert_false(scene_has(one, "cache", SLICE("k")));
    reopen_one(r); // whom only Redis tells
    assert_false(scene_has(one, "cache", SLICE("k")));
}

// ------------------------------------------------------------------ users, bases

static void test_who_may(void **state) {
    struct real *r = *state;
    struct store_redis_options *o = &r->one.scene.redis;
    r->server.more[0] = "--requirepass";
    r->server.more[1] = "word of the house";
    redis_server_start(&r->server);
    static const struct {
        const char *user, *password;
        bool may;
    } rows[] = {{NULL, NULL, false},
                {NULL, "wrong", false},
                {"nobody", "wrong", false},
                {"default", "word of the house", true},
                {NULL, "word of the house", true}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        o->user = rows[i].user;
        o->password = rows[i].password;
        metric_reset_for_test();
        struct scene *one = open_one(r);
        assert_int_equal(is_up(), rows[i].may);
        assert_int_equal(errors_of("auth") >= 1, !rows[i].may);
        assert_int_equal(try_get(one, SLICE("k")), rows[i].may ? STORE_MISSING : STORE_FAILED);
        scene_close(one);
    }
}

static void on_change(void *arg, struct slice key) {
    (void)key;
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void on_message(void *arg, struct slice message) {
    (void)message;
    atomic_fetch_add((atomic_uint *)arg, 1);
}

// What docs/redis.md grants, and no more: all is done with it, and nothing refused.
static void test_an_acl(void **state) {
    struct real *r = *state;
    atomic_uint changes = 0, messages = 0;
    redis_server_start(&r->server);
    redis_server_order(&r->server,
                       "ACL SETUSER farthing on >p ~farthing:* resetchannels &farthing:* "
                       "&__redis__:invalidate +@read +@write -@dangerous +auth +ping +select +info "
                       "+time +eval +evalsha +publish +subscribe +unsubscribe +client|setname "
                       "+client|id +client|tracking +client|caching");
    r->one.scene.redis.user = "farthing";
    r->one.scene.redis.password = "p";
    r->one.scene.redis.database = 5;
    struct scene *one = open_one(r), *two = open_two(r);
    store_watch(one->store, "cache", on_emptied, on_change, &changes);
    store_listen(one->client, "news", on_message, &messages);
    for (unsigned i = 0; i < 20000 && (changes == 0 || messages == 0); i++) {
        put(one, "cache", "k", "of one");
        put(two, "cache", "k", "of two");
        store_say(two->store, "news", SLICE("hello"));
        store_flush(two->store);
        event_base_loop(one->loop, EVLOOP_NONBLOCK);
    }
    assert_true(changes > 0 && messages > 0);
    assert_value(one, "cache", SLICE("k"), SLICE("of two"));
    store_delete(one->store, "cache", SLICE("k"));
    assert_false(scene_has(one, "cache", SLICE("k")));
    store_delete_space(one->store, "cache");
    assert_false(scene_has(one, "cache", SLICE("k")));
    assert_int_equal(scene_stats(one).failures, 0);
    assert_int_equal(scene_stats(two).failures, 0);
    assert_int_equal(store_epoch(one->store), 1);
    assert_int_equal(number_of(&r->server, "DBSIZE"), 0); // of base 0
    store_unwatch(one->store, &changes);
}

static void test_tables_stay_here(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    struct store_journal *j = scene_journal(one);
    redis_server_stop(&r->server);
    scene_append(j, 1, 3);
    store_journal_flush(j);
    assert_query(one, "SELECT count(*) AS n FROM rows", "[{\"n\":3}]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        REAL(test_instances_share),
        REAL(test_a_purge_is_seen_by_all),
        REAL(test_a_purge_is_told),
        REAL(test_an_empty_redis_is_no_purge),
        REAL(test_a_lost_generation_brings_nothing_back),
        REAL(test_expiry_is_told_to_redis),
        REAL(test_a_value_that_is_too_large),
        REAL(test_the_largest_value),
        REAL(test_full_memory),
        REAL(test_a_replica),
        REAL(test_a_restart),
        REAL(test_a_stopped_server),
        REAL(test_a_purge_while_it_is_away),
        REAL(test_who_may),
        REAL(test_an_acl),
        REAL(test_tables_stay_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
