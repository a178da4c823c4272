// With a cluster of three masters and their replicas: keys and scripts go where
// their slots are, also while slots move, and when a master dies. One cluster for
// all tests, in this order: the last kills a part of it.
#include "redis_scene.h"
#include "redis_slots.h"

struct group {
    char directory[64];
    struct redis_cluster cluster;
};

struct two_instances {
    struct redis_cluster *cluster;
    struct scene one, two;
};

static int group_set_up(void **state) {
    struct group *g = base_calloc(1, sizeof *g);
    strcpy(g->directory, "cluster-test-XXXXXX");
    assert_non_null(mkdtemp(g->directory));
    cluster_start(&g->cluster, g->directory);
    *state = g;
    return 0;
}

static int group_tear_down(void **state) {
    struct group *g = *state;
    cluster_stop(&g->cluster);
    directory_remove(g->directory);
    free(g);
    return 0;
}

static void open_scene(struct scene *s, const struct store_redis_options *redis) {
    struct error err;
    const struct store_options options = {s->directory, SCENE_MAX_BYTES};
    s->store = store_open_redis(&options, redis, &err);
    if (s->store == NULL)
        fail_msg("%s", err.text);
    s->client = store_client_new(s->store, s->loop);
}

static void end_scene(struct scene *s) {
    scene_close(s);
    event_base_free(s->loop);
    directory_remove(s->directory);
}

static int set_up(void **state) {
    struct group *g = *state;
    struct two_instances *t = base_calloc(1, sizeof *t);
    t->cluster = &g->cluster;
    const struct store_redis_options options = cluster_options(t->cluster);
    set_up_paths(&t->one);
    set_up_paths(&t->two);
    open_scene(&t->one, &options);
    open_scene(&t->two, &options);
    *state = t;
    return 0;
}

static struct group *group_of(struct two_instances *t) {
    return (struct group *)((char *)t->cluster - offsetof(struct group, cluster));
}

static int tear_down(void **state) {
    struct two_instances *t = *state;
    end_scene(&t->one);
    end_scene(&t->two);
    log_set_level(LOG_INFO);
    *state = group_of(t);
    free(t);
    return 0;
}

static void put(struct scene *s, const char *key, const char *value) {
    store_put(s->store, "cache", slice_of(key), slice_of(value), clock_wall_ms() + 3600000);
}

static int64_t count_keys(const struct redis_member *m) {
    char answer[64];
    redis_server_ask(&m->server, "DBSIZE", answer, sizeof answer);
    return strtoll(answer + 1, NULL, 10);
}

// -------------------------------------------------------------------- all nodes

static bool are_two(void *arg) {
    return store_instances(((struct scene *)arg)->store) == 2;
}

static void test_values_lie_on_all_nodes(void **state) {
    enum { VALUES = 300 };
    struct two_instances *t = *state;
    char key[16];
    assert_true(store_is_up(t->one.store));
    for (unsigned i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "k%u", i);
        put(&t->one, key, key);
    }
    store_flush(t->one.store); // of all nodes
    int64_t total = 0;
    for (unsigned n = 0; n < CLUSTER_MASTERS; n++) {
        assert_true(count_keys(&t->cluster->nodes[n]) > VALUES / 10);
        total += count_keys(&t->cluster->nodes[n]);
    }
    assert_in_range(total, VALUES, VALUES + 2); // the generation, the instances
    for (unsigned i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_value(&t->two, "cache", slice_of(key), slice_of(key));
    }
    store_delete(t->two.store, "cache", SLICE("k7"));
    store_flush(t->two.store);
    assert_false(scene_has(&t->one, "cache", SLICE("k7")));
    assert_int_equal(errors_of("cluster"), 0);
    await(are_two, &t->one);
    await(are_two, &t->two);
}

static bool has_lost_it(void *arg) {
    return !scene_has(arg, "cache", SLICE("purged"));
}

static void test_a_purge_is_seen_by_all(void **state) {
    struct two_instances *t = *state;
    put(&t->one, "purged", "v");
    store_flush(t->one.store);
    assert_value(&t->two, "cache", SLICE("purged"), SLICE("v"));
    store_delete_space(t->one.store, "cache");
    await(has_lost_it, &t->two);
}

// ---------------------------------------------------------------------- scripts

static const struct store_script set_all = {
    "set_all", "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1]) end\n"
               "return redis.call('GET', KEYS[#KEYS])"};

static struct store_op *begin(struct scene *s, const char *first, const char *second,
                              const char *value, struct answer *a) {
    const struct slice keys[] = {slice_of(first), slice_of(second)}, arg = slice_of(value);
    const struct store_call call = {.script = &set_all, .keys = keys, .key_count = 2, .args = &arg,
                                    .arg_count = 1};
    *a = (struct answer){0};
    return store_run(s->client, &call, on_answer, a);
}

static enum store_status run(struct scene *s, const char *first, const char *second,
                             const char *value) {
    struct answer a;
    assert_non_null(begin(s, first, second, value, &a));
    scene_await(s, &a);
    bool is_value = slice_equal(buffer_slice(&a.value), slice_of(value));
    buffer_free(&a.value);
    return a.status == STORE_OK && !is_value ? STORE_MISSING : a.status;
}

static void test_scripts_run_where_their_keys_are(void **state) {
    struct two_instances *t = *state;
    int64_t before[CLUSTER_MASTERS];
    char first[32], second[32];
    for (unsigned n = 0; n < CLUSTER_MASTERS; n++)
        before[n] = count_keys(&t->cluster->nodes[n]);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(first, sizeof first, "{t%u}:first", i);
        snprintf(second, sizeof second, "{t%u}:second", i);
        assert_int_equal(run(&t->one, first, second, "v"), STORE_OK);
    }
    for (unsigned n = 0; n < CLUSTER_MASTERS; n++)
        assert_true(count_keys(&t->cluster->nodes[n]) >= before[n] + 10);
    // Whose keys lie on several nodes cannot be run, and that harms nothing else.
    assert_int_equal(run(&t->one, "{t1}:x", "{t2}:x", "v"), STORE_FAILED);
    assert_true(store_is_up(t->one.store));
    assert_int_equal(run(&t->one, "{t1}:x", "{t1}:y", "v"), STORE_OK);
}

static void on_heard(void *arg, struct slice message) {
    if (slice_equal(message, SLICE("hello")))
        ++*(unsigned *)arg;
}

// Whatever node each of them is connected to.
static void assert_messages_reach(struct two_instances *t) {
    unsigned heard = 0;
    struct store_ear *ear = store_listen(t->two.client, "news", on_heard, &heard);
    for (unsigned i = 0; i < 20000 && heard == 0; i++) {
        store_say(t->one.store, "news", SLICE("hello"));
        event_base_loop(t->two.loop, EVLOOP_NONBLOCK);
        usleep(1000);
    }
    assert_true(heard > 0);
    store_unlisten(ear);
}

static void test_messages_reach_all(void **state) {
    assert_messages_reach(*state);
}

// ------------------------------------------------------------------ moving slots

// A tag with a slot of these, and the slot.
static unsigned slot_between(unsigned first, unsigned last, char tag[16]) {
    unsigned i = 0, slot;
    do {
        snprintf(tag, 16, "{m%u}", i++);
        slot = redis_slot_of(slice_of(tag));
    } while (slot < first || slot > last);
    return slot;
}

static void set_slot(struct two_instances *t, unsigned node, unsigned slot, const char *what,
                     unsigned other) {
    char line[128], id[41];
    cluster_id(other, id);
    snprintf(line, sizeof line, "CLUSTER SETSLOT %u %s %s", slot, what, id);
    redis_server_order(&t->cluster->nodes[node].server, line);
}

// One of its keys; false when there are none left.
static bool move_one(struct two_instances *t, unsigned slot, unsigned from, unsigned to) {
    char answer[512], line[600];
    snprintf(line, sizeof line, "CLUSTER GETKEYSINSLOT %u 1", slot);
    redis_server_ask(&t->cluster->nodes[from].server, line, answer, sizeof answer);
    if (strncmp(answer, "*1\r\n", 4) != 0)
        return false;
    char *key = strstr(answer + 4, "\r\n") + 2;
    key[strcspn(key, "\r")] = '\0';
    snprintf(line, sizeof line, "MIGRATE 127.0.0.1 %u %s 0 5000", t->cluster->nodes[to].port, key);
    redis_server_order(&t->cluster->nodes[from].server, line);
    return true;
}

static void finish_move(struct two_instances *t, unsigned slot, unsigned from, unsigned to) {
    while (move_one(t, slot, from, to))
        ;
    set_slot(t, to, slot, "NODE", to);
    set_slot(t, from, slot, "NODE", to);
    set_slot(t, 3 - from - to, slot, "NODE", to);
}

static void test_a_slot_moves(void **state) {
    struct two_instances *t = *state;
    char tag[16], keys[5][24];
    unsigned slot = slot_between(0, 50, tag);
    for (unsigned i = 0; i < FARTHING_COUNT(keys); i++)
        snprintf(keys[i], sizeof keys[i], "%sk%u", tag, i);
    for (unsigned i = 0; i < 4; i++)
        put(&t->one, keys[i], "before");
    store_flush(t->one.store);
    int64_t redirects = metric_of("farthing_store_redirects_total");
    set_slot(t, 1, slot, "IMPORTING", 0);
    set_slot(t, 0, slot, "MIGRATING", 1);
    assert_true(move_one(t, slot, 0, 1));
    assert_true(move_one(t, slot, 0, 1));
    for (unsigned i = 0; i < 4; i++) // two are here, two are there
        assert_value(&t->two, "cache", slice_of(keys[i]), SLICE("before"));
    put(&t->one, keys[4], "new"); // is written there
    put(&t->one, keys[0], "again");
    store_delete(t->one.store, "cache", slice_of(keys[1]));
    store_flush(t->one.store);
    assert_value(&t->two, "cache", slice_of(keys[4]), SLICE("new"));
    assert_value(&t->two, "cache", slice_of(keys[0]), SLICE("again"));
    assert_false(scene_has(&t->two, "cache", slice_of(keys[1])));
    int64_t asked = metric_of("farthing_store_redirects_total") - redirects;
    assert_true(asked >= 3);
    finish_move(t, slot, 0, 1);
    assert_value(&t->one, "cache", slice_of(keys[4]), SLICE("new")); // MOVED
    assert_value(&t->two, "cache", slice_of(keys[2]), SLICE("before"));
    assert_true(metric_of("farthing_store_redirects_total") - redirects >= asked + 2);
    redirects = metric_of("farthing_store_redirects_total");
    assert_value(&t->one, "cache", slice_of(keys[4]), SLICE("new")); // it is known now
    assert_int_equal(metric_of("farthing_store_redirects_total"), redirects);
    assert_int_equal(errors_of("cluster"), 0);
}

// Half of its keys are on their way: it waits until they are there.
static void test_a_script_in_the_midst_of_a_move(void **state) {
    struct two_instances *t = *state;
    char tag[16], first[32], second[32];
    unsigned slot = slot_between(11000, 11100, tag);
    snprintf(first, sizeof first, "%s:first", tag);
    snprintf(second, sizeof second, "%s:second", tag);
    assert_int_equal(run(&t->one, first, second, "before"), STORE_OK);
    set_slot(t, 1, slot, "IMPORTING", 2);
    set_slot(t, 2, slot, "MIGRATING", 1);
    assert_true(move_one(t, slot, 2, 1));
    struct answer a;
    assert_non_null(begin(&t->one, first, second, "after", &a));
    for (unsigned i = 0; i < 50; i++) { // it is asked for again and again
        event_base_loop(t->one.loop, EVLOOP_NONBLOCK);
        usleep(1000);
    }
    assert_int_equal(a.calls, 0);
    finish_move(t, slot, 2, 1);
    scene_await(&t->one, &a);
    assert_int_equal(a.status, STORE_OK);
    assert_true(slice_equal(buffer_slice(&a.value), SLICE("after")));
    buffer_free(&a.value);
}

// Values are written, and written again, while slots move: the last counts.
static void test_slots_move_under_load(void **state) {
    enum { SLOTS = 40, ROUNDS = 5 };
    struct two_instances *t = *state;
    char tag[16], key[24], value[16];
    for (unsigned n = 0; n < SLOTS; n++) {
        unsigned slot = slot_between(100 + n, 100 + n, tag);
        snprintf(key, sizeof key, "%sk", tag);
        for (unsigned round = 0; round < ROUNDS; round++) {
            snprintf(value, sizeof value, "v%u", round);
            put(&t->one, key, value);
            if (round == 1) {
                set_slot(t, 2, slot, "IMPORTING", 0);
                set_slot(t, 0, slot, "MIGRATING", 2);
            }
            if (round == 3)
                finish_move(t, slot, 0, 2);
        }
        assert_value(&t->one, "cache", slice_of(key), slice_of(value));
        store_flush(t->one.store);
        assert_value(&t->two, "cache", slice_of(key), slice_of(value));
    }
    assert_int_equal(errors_of("cluster"), 0);
}

// ------------------------------------------------------------------------- seeds

static void test_one_seed_is_enough(void **state) {
    struct two_instances *t = *state;
    struct store_redis_options options = cluster_options(t->cluster);
    options.seeds[0] = (struct store_redis_seed){"127.0.0.1", port_with_bus()}; // nobody
    options.seeds[1].port = t->cluster->nodes[5].port;                          // a replica
    put(&t->one, "seed", "v");
    store_flush(t->one.store);
    scene_close(&t->two);
    open_scene(&t->two, &options);
    await(is_up_now, NULL);
    assert_value(&t->two, "cache", SLICE("seed"), SLICE("v"));
}

static void test_nobody_is_there(void **state) {
    struct two_instances *t = *state;
    struct store_redis_options options = cluster_options(t->cluster);
    options.seeds[0].port = options.seeds[1].port = port_with_bus();
    scene_close(&t->two);
    open_scene(&t->two, &options); // does not wait for what does not come
    assert_false(store_is_up(t->two.store));
    assert_int_equal(store_epoch(t->two.store), 0);
    assert_int_equal(try_get(&t->two, SLICE("k")), STORE_FAILED);
    store_flush(t->two.store);
    assert_true(errors_of("connect") >= 2);
}

static void test_a_server_that_is_no_cluster(void **state) {
    struct two_instances *t = *state;
    struct redis_member alone = {0};
    member_prepare(&alone, group_of(t)->directory, CLUSTER_NODES);
    member_arguments(&alone, NULL, 0);
    redis_server_start(&alone.server);
    struct store_redis_options options = cluster_options(t->cluster);
    options.seeds[0].port = options.seeds[1].port = alone.port;
    scene_close(&t->two);
    open_scene(&t->two, &options);
    assert_false(store_is_up(t->two.store));
    assert_true(errors_of("other") >= 1);
    scene_close(&t->two);
    member_remove(&alone);
}

// ---------------------------------------------------------------------- failover

struct wanted {
    struct scene *scene;
    const char *key;
};

static bool is_kept(void *arg) {
    struct wanted *w = arg;
    put(w->scene, w->key, "after");
    return try_get(w->scene, slice_of(w->key)) == STORE_OK;
}

static void test_a_master_dies(void **state) {
    enum { VICTIM = 2 };
    struct two_instances *t = *state;
    char lost[16], kept[16];
    (void)slot_between(16000, 16383, lost); // the victim's
    (void)slot_between(6000, 7000, kept);   // the second master's
    put(&t->one, lost, "before");
    put(&t->one, kept, "before");
    store_flush(t->one.store);
    assert_messages_reach(t);
    uint64_t epoch = store_epoch(t->one.store);
    redis_server_stop(&t->cluster->nodes[VICTIM].server);
    await_down();
    struct wanted one = {&t->one, lost}, two = {&t->two, lost};
    await(is_kept, &one);
    await(is_kept, &two);
    assert_true(member_is_master(&t->cluster->nodes[VICTIM + CLUSTER_MASTERS]));
    await_up();
    assert_true(store_epoch(t->one.store) > epoch);
    assert_value(&t->one, "cache", slice_of(kept), SLICE("before"));
    put(&t->one, "x", "of one");
    store_flush(t->one.store);
    assert_value(&t->two, "cache", SLICE("x"), SLICE("of one"));
    assert_messages_reach(t);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_values_lie_on_all_nodes),
        TEST(test_a_purge_is_seen_by_all),
        TEST(test_scripts_run_where_their_keys_are),
        TEST(test_messages_reach_all),
        TEST(test_a_slot_moves),
        TEST(test_a_script_in_the_midst_of_a_move),
        TEST(test_slots_move_under_load),
        TEST(test_one_seed_is_enough),
        TEST(test_nobody_is_there),
        TEST(test_a_server_that_is_no_cluster),
        TEST(test_a_master_dies),
    };
    return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
