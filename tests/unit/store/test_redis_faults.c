// A Redis that answers wrong, late, in pieces or not at all: reads fail, nobody
// waits longer than command_timeout, and when it is well again all goes on.
#include "redis_scene.h"

static const char value_text[] = "a value";

// As it lies in Redis, and as Redis says it.
static void say_value(struct fake_redis *f) {
    struct buffer stored = {0}, answer = {0};
    struct redis_codec *codec = redis_codec_new();
    redis_value_encode(codec, SLICE(value_text), 0, &stored);
    redis_codec_free(codec);
    buffer_printf(&answer, "$%zu\r\n", stored.len);
    buffer_append(&answer, buffer_slice(&stored));
    BUFFER_LITERAL(&answer, "\r\n");
    fake_say(f, "GETRANGE", buffer_slice(&answer));
    buffer_free(&stored);
    buffer_free(&answer);
}

static void assert_well(struct redis_scene *r) {
    await_up();
    say_value(&r->fake);
    store_put(r->scene.store, "cache", SLICE("k"), SLICE(value_text), 0);
    assert_value(&r->scene, "cache", SLICE("k"), SLICE(value_text));
}

static void test_error_replies(void **state) {
    struct redis_scene *r = *state;
    static const struct {
        struct slice reply;
        const char *error;
        bool reconnects;
    } rows[] = {
        {SLICE("-ERR anything else\r\n"), "other", false},
        {SLICE("-NOPERM this user has no permissions\r\n"), "other", false},
        {SLICE("-OOM command not allowed\r\n"), "oom", false},
        {SLICE("-BUSY Redis is busy running a script\r\n"), "busy", false},
        {SLICE("-LOADING Redis is loading the dataset\r\n"), "loading", true},
        {SLICE("-READONLY You can't write against a read only replica.\r\n"), "readonly", true},
        {SLICE("-MASTERDOWN Link with MASTER is down\r\n"), "readonly", true},
        {SLICE("-NOAUTH Authentication required.\r\n"), "auth", true},
        {SLICE("-MOVED 3999 127.0.0.1:6381\r\n"), "cluster", true},
        {SLICE("-ASK 3999 127.0.0.1:6381\r\n"), "cluster", true},
        {SLICE("-CLUSTERDOWN The cluster is down\r\n"), "cluster", true},
        {SLICE("-\r\n"), "other", false},
    };
    fake_open(r);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        await_up();
        unsigned before = fake_connections(&r->fake);
        int64_t errors = errors_of(rows[i].error);
        fake_say(&r->fake, "GETRANGE", rows[i].reply);
        assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
        assert_int_equal(errors_of(rows[i].error), errors + 1);
        assert_well(r);
        assert_int_equal(fake_connections(&r->fake), before + rows[i].reconnects);
    }
    assert_int_equal(scene_stats(&r->scene).failures, FARTHING_COUNT(rows));
    assert_int_equal(store_disk_troubles(r->scene.store), 0);
}

// What is no answer to what was asked ends the connection, and only that.
static void test_garbage(void **state) {
    struct redis_scene *r = *state;
    static const struct slice replies[] = {
        SLICE("hello\r\n"),
        SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"),
        SLICE("*3\r\n$1\r\na\r\n"),
        SLICE("*2147483647\r\n"),
        SLICE("$99999999999999999999\r\n"),
        SLICE("$-7\r\n"),
        SLICE("\0\0\0\0\0\0\0\0"),
        SLICE("+OK\r\n+OK\r\n"), // one more than was asked
        SLICE("$0\r\n\r\n\x16\x03\x01"),
    };
    fake_open(r);
    for (size_t i = 0; i < FARTHING_COUNT(replies); i++) {
        await_up();
        int64_t errors = errors_of("protocol");
        fake_say(&r->fake, "GETRANGE", replies[i]);
        assert_true(try_get(&r->scene, SLICE("k")) != STORE_OK);
        store_flush(r->scene.store);
        say_value(&r->fake);
        for (unsigned n = 0; n < 20000 && errors_of("protocol") == errors; n++)
            usleep(1000);
        assert_int_equal(errors_of("protocol"), errors + 1);
        assert_well(r);
    }
}

// Types that a value never has, and values that are none of ours.
static void test_foreign_answers_are_missing_values(void **state) {
    struct redis_scene *r = *state;
    static const struct slice replies[] = {SLICE("+OK\r\n"), SLICE(":7\r\n"),
                                           SLICE("$5\r\nhello\r\n"), SLICE("$-1\r\n"),
                                           SLICE("$16\r\nFv\x01\0\x05\0\0\0\0\0\0\0\0\0\0\0\r\n")};
    fake_open(r);
    for (size_t i = 0; i < FARTHING_COUNT(replies); i++) {
        fake_say(&r->fake, "GETRANGE", replies[i]);
        assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_MISSING);
        assert_int_equal(errors_of("damaged"), i + 1);
    }
    assert_well(r);
    assert_int_equal(fake_connections(&r->fake), 1);
}

static void test_answers_in_pieces(void **state) {
    struct redis_scene *r = *state;
    fake_open(r);
    for (size_t at_once = 1; at_once < 40; at_once++) {
        FAKE_SET(&r->fake, at_once, at_once);
        assert_well(r);
    }
    assert_int_equal(fake_connections(&r->fake), 1);
}

static void test_the_connection_ends_within_an_answer(void **state) {
    struct redis_scene *r = *state;
    fake_open(r);
    for (size_t cut = 0; cut < 28; cut += 3) {
        await_up();
        say_value(&r->fake);
        FAKE_SET(&r->fake, cut_after, cut);
        assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
        FAKE_SET(&r->fake, cut_after, SIZE_MAX);
        assert_well(r);
    }
    assert_true(errors_of("connection") >= 10);
}

static void test_a_huge_value_is_announced(void **state) {
    struct redis_scene *r = *state;
    fake_open(r);
    fake_say(&r->fake, "GETRANGE", SLICE("$536870912\r\n"));
    FAKE_SET(&r->fake, flood, true);
    assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
    assert_int_equal(errors_of("protocol"), 1);
    FAKE_SET(&r->fake, flood, false);
    assert_well(r);
}

// ------------------------------------------------------------------ late answers

// Long enough for whoever is not mute, however busy this machine is.
enum { LATE_MS = 250 };

static void test_nobody_waits_for_a_late_one(void **state) {
    struct redis_scene *r = *state;
    r->scene.redis.command_timeout_ms = LATE_MS;
    fake_open(r);
    assert_well(r);
    FAKE_SET(&r->fake, mute, true);
    assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
    await_down();
    struct answer a = {0};
    for (unsigned i = 0; i < 100; i++) // at once, and nothing is sent
        assert_null(store_get(r->scene.client, "cache", SLICE("k"), on_answer, &a));
    struct store_stats stats;
    store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0); // but a write is
    store_stats_get(r->scene.store, &stats);
    assert_int_equal(stats.dropped, 0);
    FAKE_SET(&r->fake, mute, false);
    assert_true(errors_of("timeout") >= 1);
    assert_int_equal(a.calls, 0);
}

static void *speak_again(void *arg) {
    usleep(2 * 1000 * LATE_MS);
    FAKE_SET((struct fake_redis *)arg, mute, false);
    return NULL;
}

static void test_it_is_back_with_its_late_answer(void **state) {
    struct redis_scene *r = *state;
    r->scene.redis.command_timeout_ms = LATE_MS;
    fake_open(r);
    assert_well(r);
    FAKE_SET(&r->fake, mute, true);
    assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
    await_down();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, speak_again, &r->fake), 0);
    await_up();
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < 20000 && try_get(&r->scene, SLICE("k")) != STORE_OK; i++)
        usleep(1000);
    assert_int_equal(fake_connections(&r->fake), 1); // and no other was needed
}

// One that never answers again is left for another connection.
static void test_a_dead_connection_is_left(void **state) {
    struct redis_scene *r = *state;
    r->scene.redis.command_timeout_ms = LATE_MS;
    fake_open(r);
    assert_well(r);
    FAKE_SET(&r->fake, mute, true);
    assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
    await_down();
    clock_freeze(clock_wall_ms(), clock_mono_ns() + 60 * UINT64_C(1000000000));
    int64_t before = errors_of("timeout");
    for (unsigned i = 0; i < 20000 && errors_of("timeout") == before; i++)
        usleep(1000);
    clock_thaw();
    FAKE_SET(&r->fake, mute, false);
    assert_well(r);
    assert_true(fake_connections(&r->fake) > 1);
}

// As many as may be outstanding, then none: memory is bounded.
static void test_bounds(void **state) {
    struct redis_scene *r = *state;
    enum { VALUE_BYTES = 1 << 20 };
    fake_open(r);
    assert_well(r);
    FAKE_SET(&r->fake, mute, true);
    struct answer *answers = base_calloc(2 * REDIS_COMMANDS_MAX, sizeof *answers);
    size_t begun = 0;
    while (begun < 2 * REDIS_COMMANDS_MAX &&
           store_get(r->scene.client, "cache", SLICE("k"), on_answer, &answers[begun]) != NULL)
        begun++;
    assert_int_equal(begun, REDIS_COMMANDS_MAX);
    store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0);
    struct store_stats stats;
    store_stats_get(r->scene.store, &stats);
    assert_int_equal(stats.dropped, 1);
    FAKE_SET(&r->fake, mute, false);
    for (size_t i = 0; i < begun; i++)
        while (answers[i].calls == 0)
            event_base_loop(r->scene.loop, EVLOOP_ONCE);
    for (size_t i = 0; i < begun; i++) {
        assert_int_equal(answers[i].status, STORE_OK);
        buffer_free(&answers[i].value);
    }
    free(answers);
    store_flush(r->scene.store);
    FAKE_SET(&r->fake, mute, true);
    char *bytes = base_calloc(1, VALUE_BYTES);
    for (unsigned i = 0; i < REDIS_BYTES_MAX / VALUE_BYTES + 10; i++)
        store_put(r->scene.store, "cache", SLICE("k"), slice_make(bytes, VALUE_BYTES), 0);
    free(bytes);
    store_stats_get(r->scene.store, &stats);
    assert_in_range(stats.dropped, 1 + 10, 1 + 11); // keys count, too
    FAKE_SET(&r->fake, mute, false);
    assert_int_equal(scene_stats(&r->scene).queued, 0);
}

// ------------------------------------------------------------------- beginnings

// What is said before the first use; the store opens all the same.
static void test_greetings_that_fail(void **state) {
    struct redis_scene *r = *state;
    static const struct {
        const char *word;
        struct slice reply;
        const char *error;
    } rows[] = {
        {"AUTH", SLICE("-WRONGPASS invalid username-password pair\r\n"), "auth"},
        {"AUTH", SLICE("-ERR AUTH <password> called without any password\r\n"), "auth"},
        {"SELECT", SLICE("-ERR DB index is out of range\r\n"), "auth"},
        {"PING", SLICE("-LOADING Redis is loading the dataset in memory\r\n"), "loading"},
        {"PING", SLICE("nonsense\r\n"), "protocol"},
    };
    r->scene.redis.password = "secret";
    r->scene.redis.user = "me";
    r->scene.redis.database = 3;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        fake_say(&r->fake, rows[i].word, rows[i].reply);
        fake_open(r);
        assert_true(errors_of(rows[i].error) >= 1);
        assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
        fake_say(&r->fake, rows[i].word, SLICE_NONE);
        assert_well(r);
        scene_close(&r->scene);
        metric_reset_for_test();
    }
    fake_say(&r->fake, "CLIENT", SLICE("-NOPERM no permission to run this\r\n"));
    fake_open(r); // a name is a courtesy
    assert_well(r);
}

// What the log gets, by way of stderr.
static char *log_of(struct redis_scene *r, const char *word, struct slice reply) {
    char path[160];
    snprintf(path, sizeof path, "%s/log", r->scene.directory);
    int before = dup(2), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, 2);
    log_set_level(LOG_INFO);
    fake_say(&r->fake, word, reply);
    fake_open(r);
    store_put(r->scene.store, "cache", SLICE("k"), SLICE("an answer"), 0);
    store_flush(r->scene.store);
    scene_close(&r->scene);
    fake_say(&r->fake, word, SLICE_NONE);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    dup2(before, 2);
    close(before);
    struct buffer text = {0};
    buffer_reserve(&text, 65536);
    ssize_t len = pread(file, text.ptr, 65535, 0);
    close(file);
    text.len = len > 0 ? (size_t)len : 0;
    buffer_append_char(&text, '\0');
    return text.ptr;
}

static void test_what_was_sent_is_not_in_the_log(void **state) {
    struct redis_scene *r = *state;
    static const struct {
        const char *word;
        struct slice reply;
        const char *says;
    } rows[] = {
        {"AUTH", SLICE("-ERR unknown command 'AUTH', with args beginning with: 'hush' \r\n"),
         "unknown command 'AUTH'"},
        {"AUTH", SLICE("-ERR what is hush?\r\n"), "not shown"},
        {"AUTH", SLICE("-WRONGPASS invalid\nts=forged level=info\r\n"), "WRONGPASS"},
        {"SET", SLICE("-ERR unknown command 'SET', with args beginning with: 'k' 'an answer' \r\n"),
         "unknown command 'SET'"},
    };
    r->scene.redis.password = "hush";
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char *text = log_of(r, rows[i].word, rows[i].reply);
        if (strstr(text, rows[i].says) == NULL || strstr(text, "hush") != NULL ||
            strstr(text, "an answer") != NULL || strstr(text, "\nts=forged") != NULL)
            fail_msg("row %zu: %s", i, text);
        free(text);
    }
}

static void test_generations_that_cannot_be_had(void **state) {
    struct redis_scene *r = *state;
    static const struct slice replies[] = {
        SLICE("-ERR no\r\n"),
        SLICE("-OOM no\r\n"),
        SLICE(":1\r\n"),
        SLICE("$0\r\n\r\n"),
        SLICE("$65\r\n01234567890123456789012345678901234567890123456789012345678901234\r\n"),
        SLICE("$3\r\na\0b\r\n")};
    fake_open(r);
    for (size_t i = 0; i < FARTHING_COUNT(replies); i++) {
        fake_say(&r->fake, "GENERATION", replies[i]);
        char space[2] = {(char)('a' + i), '\0'}; // of which nothing is known
        store_put(r->scene.store, space, SLICE("k"), SLICE("v"), 0);
        assert_int_equal(scene_get(&r->scene, space, SLICE("k"), NULL, NULL), STORE_FAILED);
        fake_say(&r->fake, "GENERATION", SLICE_NONE);
        store_put(r->scene.store, space, SLICE("k"), SLICE("v"), 0);
        say_value(&r->fake);
        assert_value(&r->scene, space, SLICE("k"), SLICE(value_text));
        fake_say(&r->fake, "GETRANGE", SLICE_NONE);
    }
}

// A purge that is refused is not forgotten.
static void test_a_purge_that_is_refused_is_tried_again(void **state) {
    struct redis_scene *r = *state;
    fake_open(r);
    assert_well(r);
    fake_say(&r->fake, "SET", SLICE("-OOM no\r\n"));
    store_delete_space(r->scene.store, "cache");
    store_flush(r->scene.store);
    assert_true(errors_of("oom") >= 1);
    int64_t before = errors_of("oom");
    for (unsigned i = 0; i < 20000 && errors_of("oom") == before; i++)
        usleep(1000);
    assert_true(errors_of("oom") > before);
    fake_say(&r->fake, "SET", SLICE_NONE);
    assert_well(r);
}

static void test_nobody_is_there(void **state) {
    struct redis_scene *r = *state;
    static const struct store_redis_options nowhere[] = {
        {.socket_path = "/nonexistent/redis"},
        {.host = "127.0.0.1", .port = 1},
        {.host = "::1", .port = 1},
        {.host = "localhost", .port = 1},
        {.host = "nowhere.invalid", .port = 6379},
        {.host = "192.0.2.1", .port = 6379}, // nobody's (RFC 5737)
    };
    for (size_t i = 0; i < FARTHING_COUNT(nowhere); i++) {
        r->scene.redis = nowhere[i];
        r->scene.redis.connect_timeout_ms = 100;
        r->scene.redis.command_timeout_ms = 10;
        r->scene.redis.max_value_bytes = 1024;
        fake_open(r);
        assert_false(is_up());
        assert_true(errors_of("connect") >= 1);
        assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
        store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0);
        store_delete(r->scene.store, "cache", SLICE("k"));
        store_delete_space(r->scene.store, "cache");
        assert_int_equal(scene_stats(&r->scene).dropped, 0); // they wait
        scene_close(&r->scene);
        metric_reset_for_test();
    }
}

// Closed while much is under way.
static void test_closing_at_any_time(void **state) {
    struct redis_scene *r = *state;
    for (unsigned i = 0; i < 4; i++) {
        struct answer answers[20] = {0};
        FAKE_SET(&r->fake, mute, false);
        r->scene.redis.command_timeout_ms = 10000;
        fake_open(r);
        FAKE_SET(&r->fake, mute, i % 2 == 1);
        for (size_t n = 0; n < FARTHING_COUNT(answers); n++) {
            store_put(r->scene.store, n < 10 ? "cache" : "other", SLICE("k"), SLICE("v"), 0);
            store_get(r->scene.client, "cache", SLICE("k"), on_answer, &answers[n]);
        }
        if (i >= 2)
            store_delete_space(r->scene.store, "cache");
        scene_close(&r->scene);
        for (size_t n = 0; n < FARTHING_COUNT(answers); n++)
            assert_int_equal(answers[n].calls, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FAKE(test_error_replies),
        FAKE(test_garbage),
        FAKE(test_foreign_answers_are_missing_values),
        FAKE(test_answers_in_pieces),
        FAKE(test_the_connection_ends_within_an_answer),
        FAKE(test_a_huge_value_is_announced),
        FAKE(test_nobody_waits_for_a_late_one),
        FAKE(test_it_is_back_with_its_late_answer),
        FAKE(test_a_dead_connection_is_left),
        FAKE(test_bounds),
        FAKE(test_greetings_that_fail),
        FAKE(test_what_was_sent_is_not_in_the_log),
        FAKE(test_generations_that_cannot_be_had),
        FAKE(test_a_purge_that_is_refused_is_tried_again),
        FAKE(test_nobody_is_there),
        FAKE(test_closing_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
