// Scripts over a shared store: what they answer, that they are sent once, and
// what happens when the server does not know them, fails or is late. And what
// the beat brings: the clock, who else is there, and whether it is the same server.
#include "redis_real.h"

static const struct store_script echo = {
    "echo", "return KEYS[1] .. ' ' .. #KEYS .. ' ' .. #ARGV .. ' ' .. (ARGV[1] or '')"};
static const struct store_script count = {"count", "return redis.call('INCRBY', KEYS[1], ARGV[1])"};

static struct store_call call_of(const struct store_script *script, const struct slice *key,
                                 const struct slice *arg) {
    return (struct store_call){
        .script = script, .keys = key, .key_count = 1, .args = arg, .arg_count = arg != NULL};
}

static void begin(struct scene *s, const struct store_script *script, const char *key,
                  const char *arg, struct answer *a) {
    const struct slice name = slice_of(key), what = slice_of(arg);
    const struct store_call call = call_of(script, &name, &what);
    *a = (struct answer){0};
    assert_non_null(store_run(s->client, &call, on_answer, a));
    assert_int_equal(a->calls, 0);
}

static enum store_status run(struct scene *s, const struct store_script *script, const char *key,
                             const char *arg, struct buffer *value) {
    struct answer a;
    begin(s, script, key, arg, &a);
    scene_await(s, &a);
    buffer_clear(value);
    buffer_append(value, buffer_slice(&a.value));
    buffer_free(&a.value);
    return a.status;
}

static void assert_run(struct scene *s, const struct store_script *script, const char *arg,
                       struct slice expected) {
    struct buffer value = {0};
    assert_int_equal(run(s, script, "{t}:k", arg, &value), STORE_OK);
    if (!slice_equal(buffer_slice(&value), expected))
        fail_msg("%s answered %.*s", script->name, SLICE_ARG(buffer_slice(&value)));
    buffer_free(&value);
}

// ------------------------------------------------------------------- answers

static void test_answers(void **state) {
    struct scene *s = open_one(*state);
    static const struct store_script status = {"status", "return redis.status_reply('FINE')"},
                                     number = {"number", "return -9007199254740991"},
                                     none = {"none", "return nil"},
                                     bytes = {"bytes", "return 'a\\0b\\r\\n'"},
                                     empty = {"empty", "return ''"};
    struct buffer value = {0};
    assert_run(s, &echo, "x", SLICE("farthing:{t}:k 1 1 x"));
    assert_run(s, &status, "", SLICE("FINE"));
    assert_run(s, &number, "", SLICE("-9007199254740991"));
    assert_run(s, &bytes, "", SLICE("a\0b\r\n"));
    assert_run(s, &empty, "", SLICE(""));
    assert_int_equal(run(s, &none, "k", "", &value), STORE_MISSING);
    assert_int_equal(value.len, 0);
    buffer_free(&value);
    assert_int_equal(scene_stats(s).failures, 0);
}

// What scripts answer has nothing to do with how large a value may be.
static void test_an_answer_that_is_larger_than_a_value(void **state) {
    struct real *r = *state;
    static const struct store_script large = {"large", "return string.rep('x', ARGV[1])"};
    struct buffer value = {0};
    r->one.scene.redis.max_value_bytes = 1024;
    struct scene *s = open_one(r);
    assert_int_equal(run(s, &large, "k", "8500000", &value), STORE_OK);
    assert_int_equal(value.len, 8500000);
    assert_int_equal(store_epoch(s->store), 1); // over the connection that was there before
    assert_int_equal(scene_stats(s).failures, 0);
    buffer_free(&value);
}

// As many as may be, and one more.
static void test_how_many(void **state) {
    struct scene *s = open_one(*state);
    struct slice many[STORE_RUN_ARGUMENTS_MAX + 1];
    for (size_t i = 0; i < FARTHING_COUNT(many); i++)
        many[i] = SLICE("a\0b");
    struct store_call call = {.script = &echo,
                              .keys = many,
                              .key_count = STORE_RUN_KEYS_MAX,
                              .args = many,
                              .arg_count = STORE_RUN_ARGUMENTS_MAX};
    struct answer a = {0};
    assert_non_null(store_run(s->client, &call, on_answer, &a));
    scene_await(s, &a);
    assert_true(slice_equal(buffer_slice(&a.value), SLICE("farthing:a\0b 64 1024 a\0b")));
    buffer_free(&a.value);
    call.arg_count++;
    assert_null(store_run(s->client, &call, on_answer, &a));
    assert_false(store_run_quietly(s->store, &call));
    call.arg_count = 0;
    call.key_count++;
    assert_null(store_run(s->client, &call, on_answer, &a));
    call.key_count = 0;
    assert_false(store_run_quietly(s->store, &call));
    assert_int_equal(scene_stats(s).queued, 0);
}

static void test_quiet_ones_are_waited_for(void **state) {
    struct real *r = *state;
    struct scene *s = open_one(r);
    const struct slice key = SLICE("{t}:n"), arg = SLICE("2");
    const struct store_call call = call_of(&count, &key, &arg);
    for (unsigned i = 0; i < 50; i++)
        assert_true(store_run_quietly(s->store, &call));
    store_flush(s->store); // be the script known there or not
    char answer[64];
    redis_server_ask(&r->server, "GET farthing:{t}:n", answer, sizeof answer);
    assert_string_equal(answer, "$3\r\n100\r\n");
    assert_int_equal(scene_stats(s).queued, 0);
}

// Sent again with its text it still is before whoever waits for all.
static void test_a_flush_waits_for_what_is_sent_again(void **state) {
    struct scene *s = open_one(*state);
    static const struct store_script slow = {
        "slow", "for i = 1, 3000000 do end return redis.call('INCR', KEYS[1])"};
    const struct slice key = SLICE("{t}:n");
    const struct store_call call = call_of(&slow, &key, NULL);
    struct store_stats stats;
    assert_true(store_run_quietly(s->store, &call));
    store_flush(s->store);
    store_stats_get(s->store, &stats);
    assert_int_equal(stats.queued, 0);
}

// ---------------------------------------------------------- a script not known

static void test_the_server_forgot_it(void **state) {
    struct real *r = *state;
    struct scene *s = open_one(r);
    struct answer answers[20];
    assert_run(s, &echo, "x", SLICE("farthing:{t}:k 1 1 x"));
    assert_run(s, &count, "1", SLICE("1"));
    redis_server_order(&r->server, "SCRIPT FLUSH");
    for (size_t i = 0; i < FARTHING_COUNT(answers); i++)
        begin(s, i % 2 == 0 ? &echo : &count, "{t}:k", "1", &answers[i]);
    store_flush(s->store);
    for (size_t i = 0; i < FARTHING_COUNT(answers); i++) {
        scene_await(s, &answers[i]);
        assert_int_equal(answers[i].status, STORE_OK);
        buffer_free(&answers[i].value);
    }
    assert_run(s, &count, "0", SLICE("11")); // each once
    struct store_stats stats = scene_stats(s);
    assert_int_equal(stats.failures, 0);
    assert_int_equal(stats.queued, 0);
}

static void test_it_is_sent_once(void **state) {
    struct real *r = *state;
    struct scene *s = open_one(r);
    char answer[2048];
    assert_run(s, &count, "1", SLICE("1"));
    redis_server_order(&r->server, "CONFIG RESETSTAT");
    assert_run(s, &count, "1", SLICE("2"));
    redis_server_ask(&r->server, "INFO commandstats", answer, sizeof answer);
    assert_null(strstr(answer, "cmdstat_eval:"));
    assert_non_null(strstr(answer, "cmdstat_evalsha:"));
}

// -------------------------------------------------------------------- failures

static void test_a_script_that_fails(void **state) {
    struct scene *s = open_one(*state);
    static const struct store_script bad[] = {{"syntax", "return ("},
                                              {"raises", "error('no')"},
                                              {"unknown", "return redis.call('NOSUCH')"},
                                              {"type", "return redis.call('LPUSH', KEYS[1], 1)"}};
    struct buffer value = {0};
    assert_run(s, &count, "1", SLICE("1")); // so it is no list
    for (size_t i = 0; i < FARTHING_COUNT(bad); i++) {
        assert_int_equal(run(s, &bad[i], "{t}:k", "secret", &value), STORE_FAILED);
        assert_int_equal(errors_of("other"), i + 1);
    }
    assert_true(store_is_up(s->store));
    assert_run(s, &count, "1", SLICE("2"));
    buffer_free(&value);
}

static void test_a_full_server(void **state) {
    struct real *r = *state;
    struct scene *s = open_one(r);
    struct buffer value = {0};
    assert_run(s, &count, "1", SLICE("1"));
    redis_server_order(&r->server, "CONFIG SET maxmemory 1");
    assert_int_equal(run(s, &count, "{t}:k", "1", &value), STORE_FAILED);
    assert_true(errors_of("oom") >= 1);
    redis_server_order(&r->server, "CONFIG SET maxmemory 0");
    assert_run(s, &count, "1", SLICE("2"));
    buffer_free(&value);
}

// Redis 6.2 wraps what a script met; 7 says it plainly.
static void test_what_a_script_met(void **state) {
    struct redis_scene *r = *state;
    static const struct {
        struct slice reply;
        const char *error;
        bool reconnects;
    } rows[] = {
        {SLICE("-ERR Error running script (call to f_0123): @user_script:1: @user_script: 1: "
               "-READONLY You can't write against a read only replica.\r\n"),
         "readonly", true},
        {SLICE("-READONLY You can't write against a read only replica. script: 0123\r\n"),
         "readonly", true},
        {SLICE("-ERR Error running script (call to f_0123): @user_script:1: @user_script: 1: "
               "-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
         "oom", false},
        {SLICE("-ERR Error running script (call to f_0123): @user_script:9: x: -1 is no\r\n"),
         "other", false},
        {SLICE("-BUSY Redis is busy running a script.\r\n"), "busy", false},
    };
    struct buffer value = {0};
    fake_open(r);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        await_up();
        unsigned before = fake_connections(&r->fake);
        int64_t errors = errors_of(rows[i].error);
        fake_say(&r->fake, "EVALSHA", rows[i].reply);
        assert_int_equal(run(&r->scene, &count, "k", "1", &value), STORE_FAILED);
        assert_true(errors_of(rows[i].error) > errors);
        fake_say(&r->fake, "EVALSHA", SLICE_NONE);
        await_up();
        assert_int_equal(fake_connections(&r->fake) > before, rows[i].reconnects);
    }
    buffer_free(&value);
}

// Neither EVALSHA nor EVAL knows it: an error, and no end of tries.
static void test_never_known(void **state) {
    struct redis_scene *r = *state;
    struct buffer value = {0};
    fake_open(r);
    fake_say(&r->fake, "EVALSHA", SLICE("-NOSCRIPT No matching script.\r\n"));
    fake_say(&r->fake, "EVAL", SLICE("-NOSCRIPT No matching script.\r\n"));
    assert_int_equal(run(&r->scene, &count, "k", "1", &value), STORE_FAILED);
    assert_true(errors_of("other") >= 1);
    fake_say(&r->fake, "EVAL", SLICE(":7\r\n"));
    assert_int_equal(run(&r->scene, &count, "k", "1", &value), STORE_OK);
    assert_true(slice_equal(buffer_slice(&value), SLICE("7")));
    buffer_free(&value);
}

static void test_a_late_one(void **state) {
    struct redis_scene *r = *state;
    struct buffer value = {0};
    const struct slice key = SLICE("k");
    const struct store_call call = call_of(&count, &key, NULL);
    struct answer a = {0};
    r->scene.redis.command_timeout_ms = 250;
    fake_open(r);
    FAKE_SET(&r->fake, mute, true);
    assert_int_equal(run(&r->scene, &count, "k", "1", &value), STORE_FAILED);
    await_down();
    assert_false(store_is_up(r->scene.store));
    for (unsigned i = 0; i < 100; i++)
        assert_null(store_run(r->scene.client, &call, on_answer, &a));
    assert_true(store_run_quietly(r->scene.store, &call)); // nobody waits for it
    FAKE_SET(&r->fake, mute, false);
    await_up();
    for (unsigned i = 0; i < 20000 && !store_is_up(r->scene.store); i++)
        usleep(1000);
    assert_int_equal(run(&r->scene, &count, "k", "1", &value), STORE_OK);
    assert_int_equal(a.calls, 0);
    assert_int_equal(fake_connections(&r->fake), 1);
    buffer_free(&value);
}

static void test_nobody_waits_any_more(void **state) {
    struct redis_scene *r = *state;
    struct answer answers[4] = {0};
    const struct slice key = SLICE("k");
    const struct store_call call = call_of(&count, &key, NULL);
    fake_open(r);
    FAKE_SET(&r->fake, mute, true);
    for (size_t i = 0; i < FARTHING_COUNT(answers); i++) {
        struct store_op *op = store_run(r->scene.client, &call, on_answer, &answers[i]);
        assert_non_null(op);
        if (i % 2 == 0)
            store_cancel(op);
    }
    store_client_free(r->scene.client);
    FAKE_SET(&r->fake, mute, false);
    r->scene.client = store_client_new(r->scene.store, r->scene.loop);
    assert_int_equal(scene_stats(&r->scene).queued, 0);
    for (size_t i = 0; i < FARTHING_COUNT(answers); i++)
        assert_int_equal(answers[i].calls, 0);
}

static void test_away(void **state) {
    struct redis_scene *r = *state;
    const struct slice key = SLICE("k");
    const struct store_call call = call_of(&count, &key, NULL);
    struct answer a = {0};
    r->scene.redis = (struct store_redis_options){.socket_path = "/nonexistent/redis",
                                                  .connect_timeout_ms = 100,
                                                  .command_timeout_ms = 10,
                                                  .max_value_bytes = 1024};
    fake_open(r);
    assert_true(store_is_shared(r->scene.store));
    assert_false(store_is_up(r->scene.store));
    assert_null(store_run(r->scene.client, &call, on_answer, &a));
    assert_false(store_run_quietly(r->scene.store, &call));
    assert_int_equal(scene_stats(&r->scene).dropped, 0); // who asked was told
    assert_int_equal(store_instances(r->scene.store), 1);
    assert_int_equal(store_epoch(r->scene.store), 0);
    assert_in_range(store_now_ms(r->scene.store), clock_wall_ms() - 60000, clock_wall_ms());
}

// ------------------------------------------------------------------------ beat

static bool are_two(void *arg) {
    return store_instances(arg) == 2;
}

static bool is_one(void *arg) {
    return store_instances(arg) == 1;
}

static void test_who_is_there(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    assert_int_equal(store_instance(one->store).len, RANDOM_ID_LEN);
    assert_false(slice_equal(store_instance(one->store), store_instance(two->store)));
    await(are_two, one->store);
    await(are_two, two->store);
    scene_close(two); // it says so
    await(is_one, one->store);
    redis_server_order(&r->server, "ZADD farthing:instances 1000000 of-old");
    await(is_one, one->store); // nobody has heard of that one since 1970
    assert_false(store_is_shared(NULL));
}

static bool has_the_time(void *arg) {
    struct real *r = arg;
    char answer[128];
    redis_server_ask(&r->server, "TIME", answer, sizeof answer);
    int64_t there_ms = strtoll(strchr(answer, '\n') + 5, NULL, 10) * 1000;
    int64_t here_ms = store_now_ms(r->one.scene.store);
    return here_ms > there_ms - 2000 && here_ms < there_ms + 3000;
}

// Whatever this host's clock says.
static void test_the_clock_is_that_of_redis(void **state) {
    struct real *r = *state;
    clock_freeze(1000, clock_mono_ns());
    open_one(r);
    clock_freeze(1000, clock_mono_ns());
    await(has_the_time, r);
    int64_t before_ms = store_now_ms(r->one.scene.store);
    clock_freeze(5000, clock_mono_ns() + 60 * UINT64_C(1000000000));
    assert_true(store_now_ms(r->one.scene.store) >= before_ms); // what is set is not what runs
    clock_thaw();
    await(has_the_time, r);
}

static bool is_second(void *arg) {
    return store_epoch(arg) == 2;
}

static void test_another_server(void **state) {
    struct real *r = *state;
    struct scene *s = open_one(r);
    assert_int_equal(store_epoch(s->store), 1);
    redis_server_order(&r->server, "CLIENT KILL TYPE normal SKIPME yes");
    await_down();
    await_up();
    assert_int_equal(store_epoch(s->store), 1); // the same: it knows all
    redis_server_stop(&r->server);
    await_down();
    redis_server_start(&r->server);
    await_up();
    await(is_second, s->store);
    assert_run(s, &count, "1", SLICE("1"));
}

// One that does not say who it is may be another each time.
static void test_a_server_that_does_not_say(void **state) {
    struct redis_scene *r = *state;
    static const struct slice replies[] = {
        SLICE("-NOPERM no\r\n"), SLICE("$0\r\n\r\n"), SLICE("$8\r\nrun_id:\n\r\n"),
        SLICE("$-1\r\n"),        SLICE("+OK\r\n"),    SLICE(":3\r\n")};
    for (size_t i = 0; i < FARTHING_COUNT(replies); i++) {
        fake_say(&r->fake, "INFO", replies[i]);
        fake_open(r);
        await_up();
        assert_int_equal(store_epoch(r->scene.store), 1);
        fake_say(&r->fake, "GETRANGE", SLICE("-LOADING again\r\n"));
        assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
        fake_say(&r->fake, "GETRANGE", SLICE_NONE);
        await_up();
        assert_int_equal(store_epoch(r->scene.store), 2);
        scene_close(&r->scene);
        metric_reset_for_test();
    }
}

// What a beat answers is looked at as all that comes from outside.
static void test_beats_that_tell_nothing(void **state) {
    struct redis_scene *r = *state;
    static const struct slice replies[] = {SLICE("+OK\r\n"),
                                           SLICE("$0\r\n\r\n"),
                                           SLICE(":17\r\n"),
                                           SLICE("$-1\r\n"),
                                           SLICE("$3\r\n1 x\r\n"),
                                           SLICE("$22\r\n99999999999999999999 1\r\n"),
                                           SLICE("$12\r\n1 4294967296\r\n"),
                                           SLICE("$21\r\n9223372036854775807 1\r\n"),
                                           SLICE("$4\r\n-1 1\r\n")};
    for (size_t i = 0; i < FARTHING_COUNT(replies); i++) {
        fake_say(&r->fake, "EVALSHA", replies[i]);
        fake_open(r);
        await_up();
        store_flush(r->scene.store);
        assert_int_equal(errors_of("other"), 1);
        assert_int_equal(store_instances(r->scene.store), 1);
        assert_in_range(store_now_ms(r->scene.store), clock_wall_ms() - 60000, clock_wall_ms());
        scene_close(&r->scene);
        metric_reset_for_test();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        REAL(test_answers),
        REAL(test_an_answer_that_is_larger_than_a_value),
        REAL(test_how_many),
        REAL(test_quiet_ones_are_waited_for),
        REAL(test_a_flush_waits_for_what_is_sent_again),
        REAL(test_the_server_forgot_it),
        REAL(test_it_is_sent_once),
        REAL(test_a_script_that_fails),
        REAL(test_a_full_server),
        FAKE(test_what_a_script_met),
        FAKE(test_never_known),
        FAKE(test_a_late_one),
        FAKE(test_nobody_waits_any_more),
        FAKE(test_away),
        REAL(test_who_is_there),
        REAL(test_the_clock_is_that_of_redis),
        REAL(test_another_server),
        FAKE(test_a_server_that_does_not_say),
        FAKE(test_beats_that_tell_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
