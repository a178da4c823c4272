// What one instance hears of values that another changes: those that it has read
// or written, and only real changes.
#include "redis_real.h"

// How often each key, of one letter, was told.
struct told {
    atomic_uint calls[128];
};

static void on_emptied(void *arg) {
    (void)arg;
}

static void on_changed(void *arg, struct slice key) {
    struct told *t = arg;
    if (key.len == 1)
        atomic_fetch_add(&t->calls[key.ptr[0] & 127], 1);
}

static unsigned calls_of(struct told *t, char key) {
    return atomic_load(&t->calls[key & 127]);
}

static void await_calls(struct told *t, char key, unsigned more_than) {
    for (unsigned i = 0; i < 20000 && calls_of(t, key) <= more_than; i++)
        usleep(1000);
    assert_true(calls_of(t, key) > more_than);
}

// It takes a moment until Redis tells of changes at all.
static void establish(struct scene *one, struct scene *two, struct told *t) {
    unsigned before = calls_of(t, 'e');
    for (unsigned i = 0; i < 5000 && calls_of(t, 'e') == before; i++) {
        put(one, "cache", "e", "of one");
        put(two, "cache", "e", "of two");
        for (unsigned n = 0; n < 10 && calls_of(t, 'e') == before; n++)
            usleep(500);
    }
    assert_true(calls_of(t, 'e') > before);
}

static void watch(struct scene *s, struct told *t) {
    memset(t, 0, sizeof *t);
    store_watch(s->store, "cache", on_emptied, on_changed, t);
}

static void test_what_was_read(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct told t;
    watch(one, &t);
    establish(one, two, &t);
    put(two, "cache", "a", "first");
    put(two, "cache", "b", "first");
    assert_value(one, "cache", SLICE("a"), SLICE("first"));
    put(two, "cache", "b", "second"); // which one has never seen
    put(two, "cache", "a", "second");
    await_calls(&t, 'a', 0);
    assert_int_equal(calls_of(&t, 'b'), 0);
    assert_value(one, "cache", SLICE("a"), SLICE("second")); // read again, and so told again
    put(two, "cache", "a", "third");
    await_calls(&t, 'a', 1);
    store_unwatch(one->store, &t);
    assert_int_equal(scene_stats(one).failures, 0);
}

static void test_what_was_written(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct told t;
    watch(one, &t);
    establish(one, two, &t);
    put(one, "cache", "a", "first");
    put(one, "cache", "a", "again"); // one's own
    put(one, "cache", "b", "first");
    put(two, "cache", "b", "of two");
    await_calls(&t, 'b', 0);
    assert_int_equal(calls_of(&t, 'a'), 0);
    put(two, "cache", "a", "of two");
    await_calls(&t, 'a', 0);
    store_unwatch(one->store, &t);
}

static void test_what_was_removed(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct told t, of_two;
    watch(one, &t);
    watch(two, &of_two);
    establish(one, two, &t);
    put(one, "cache", "a", "first");
    store_delete(two->store, "cache", SLICE("a"));
    await_calls(&t, 'a', 0);
    // Too large to be kept, which takes the old one with it.
    char *bytes = base_calloc(1, (1 << 20) + 1);
    put(one, "cache", "b", "first");
    store_put(two->store, "cache", SLICE("b"), slice_make(bytes, (1 << 20) + 1), 0);
    await_calls(&t, 'b', 0);
    free(bytes);
    store_unwatch(one->store, &t);
    store_unwatch(two->store, &of_two);
}

// Expired, evicted, flushed: what is in memory is as good as it was.
static void test_what_is_only_gone(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct told t;
    char generation[64], command[160];
    watch(one, &t);
    establish(one, two, &t);
    redis_server_ask(&r->server, "GET farthing:cache:generation", generation, sizeof generation);
    put(one, "cache", "a", "first");
    snprintf(command, sizeof command, "DEL farthing:cache:%.26s:a", generation + 5);
    redis_server_order(&r->server, command);
    put(one, "cache", "b", "first");
    put(two, "cache", "b", "second");
    await_calls(&t, 'b', 0);
    assert_int_equal(calls_of(&t, 'a'), 0);
    put(one, "cache", "a", "first");
    redis_server_order(&r->server, "FLUSHALL");
    establish(one, two, &t);
    assert_int_equal(calls_of(&t, 'a'), 0);
    store_unwatch(one->store, &t);
}

static void test_other_spaces_and_generations(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct told t, other, deaf;
    watch(one, &t);
    memset(&other, 0, sizeof other);
    memset(&deaf, 0, sizeof deaf);
    store_watch(one->store, "other", on_emptied, on_changed, &other);
    store_watch(one->store, "third", on_emptied, NULL, &deaf);
    establish(one, two, &t);
    put(one, "other", "a", "first");
    put(one, "third", "a", "first");
    put(two, "third", "a", "second");
    put(two, "other", "a", "second");
    await_calls(&other, 'a', 0);
    assert_int_equal(calls_of(&t, 'a'), 0);
    // Of what was purged nobody need hear.
    char generation[64], command[160];
    redis_server_ask(&r->server, "GET farthing:cache:generation", generation, sizeof generation);
    put(one, "cache", "c", "first");
    store_delete_space(one->store, "cache");
    store_flush(one->store);
    snprintf(command, sizeof command, "SET farthing:cache:%.26s:c by-hand", generation + 5);
    redis_server_order(&r->server, command);
    establish(one, two, &t);
    assert_int_equal(calls_of(&t, 'c'), 0);
    store_unwatch(one->store, &t);
    store_unwatch(one->store, &other);
    store_unwatch(one->store, &deaf);
}

// Each of the two connections may be lost; watching may begin when another
// listens already.
static void ignore(void *arg, struct slice message) {
    (void)arg;
    (void)message;
}

static void test_connections_that_are_lost(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct told t;
    struct store_ear *ear = store_listen(one->client, "news", ignore, NULL);
    char answer[64];
    do
        redis_server_ask(&r->server, "PUBLISH farthing:news x", answer, sizeof answer);
    while (strcmp(answer, ":1\r\n") != 0);
    watch(one, &t);
    establish(one, two, &t);
    redis_server_order(&r->server, "CLIENT KILL TYPE pubsub");
    establish(one, two, &t);
    redis_server_order(&r->server, "CLIENT KILL TYPE normal");
    await_up();
    establish(one, two, &t);
    redis_server_stop(&r->server);
    await_down();
    redis_server_start(&r->server);
    await_up();
    establish(one, two, &t);
    store_unlisten(ear);
    store_unwatch(one->store, &t);
}

// Where Redis may not be asked for it all else goes on, and what is removed on
// purpose is told all the same.
static void test_no_tracking(void **state) {
    struct real *r = *state;
    struct told t, of_two;
    redis_server_start(&r->server);
    redis_server_order(&r->server, "ACL SETUSER farthing on >p ~farthing:* resetchannels "
                                   "&farthing:* +@all -client -info");
    r->one.scene.redis.user = "farthing";
    r->one.scene.redis.password = "p";
    struct scene *one = open_one(r), *two = open_two(r);
    watch(one, &t);
    watch(two, &of_two);
    for (unsigned i = 0; i < 5000 && calls_of(&t, 'a') == 0; i++) {
        put(one, "cache", "a", "first");
        store_delete(two->store, "cache", SLICE("a"));
        store_flush(two->store);
        usleep(1000);
    }
    assert_true(calls_of(&t, 'a') > 0);
    put(one, "cache", "b", "first");
    put(two, "cache", "b", "second");
    assert_value(one, "cache", SLICE("b"), SLICE("second"));
    assert_int_equal(calls_of(&t, 'b'), 0);
    assert_int_equal(scene_stats(one).failures, 0);
    store_unwatch(one->store, &t);
    store_unwatch(two->store, &of_two);
}

// What scripts read is nobody's memory, and need not be remembered.
static void test_scripts_are_not_tracked(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    static const struct store_script read_it = {"read", "return redis.call('GET', KEYS[1]) or ''"};
    enum { READS = 50 };
    struct told t;
    char answer[4096], name[16];
    watch(one, &t);
    establish(one, two, &t);
    for (unsigned i = 0; i < READS; i++) {
        snprintf(name, sizeof name, "{t}:%u", i);
        const struct slice key = slice_of(name);
        assert_true(store_run_quietly(
            one->store, &(struct store_call){.script = &read_it, .keys = &key, .key_count = 1}));
    }
    put(one, "cache", "a", "v"); // and this is
    redis_server_ask(&r->server, "INFO stats", answer, sizeof answer);
    const char *at = strstr(answer, "tracking_total_keys:");
    assert_non_null(at);
    assert_in_range(strtol(strchr(at, ':') + 1, NULL, 10), 1, READS / 2);
    store_unwatch(one->store, &t);
}

// May say that it tracks, and not that scripts are left out: then it is done without.
static void test_tracking_without_leaving_out(void **state) {
    struct real *r = *state;
    redis_server_start(&r->server);
    redis_server_order(&r->server, "ACL SETUSER farthing on >p ~farthing:* &* +@all -client "
                                   "+client|setname +client|id +client|tracking");
    r->one.scene.redis.user = "farthing";
    r->one.scene.redis.password = "p";
    struct scene *one = open_one(r);
    struct told t;
    char answer[4096];
    watch(one, &t);
    do { // a beat is a script
        redis_server_ask(&r->server, "INFO errorstats", answer, sizeof answer);
        usleep(1000);
    } while (strstr(answer, "errorstat_NOPERM") == NULL);
    do
        redis_server_ask(&r->server, "INFO clients", answer, sizeof answer);
    while (strstr(answer, "tracking_clients:0") == NULL);
    put(one, "cache", "k", "v");
    assert_value(one, "cache", SLICE("k"), SLICE("v"));
    assert_int_equal(scene_stats(one).failures, 0);
    store_unwatch(one->store, &t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        REAL(test_what_was_read),
        REAL(test_what_was_written),
        REAL(test_what_was_removed),
        REAL(test_what_is_only_gone),
        REAL(test_other_spaces_and_generations),
        REAL(test_connections_that_are_lost),
        REAL(test_no_tracking),
        REAL(test_scripts_are_not_tracked),
        REAL(test_tracking_without_leaving_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
