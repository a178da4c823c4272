// Messages between instances: who hears what, that listening survives a server
// that goes away, and what comes over that connection that is no message.
#include "redis_real.h"

enum { TEXT_MAX = 64 };

// What somebody heard.
struct listener {
    unsigned calls;
    char last[TEXT_MAX];
    size_t last_len;
    struct store_ear *ear;
};

static void on_heard(void *arg, struct slice message) {
    struct listener *l = arg;
    l->calls++;
    l->last_len = message.len;
    snprintf(l->last, sizeof l->last, "%.*s", (int)(message.len < 60 ? message.len : 60),
             message.ptr);
}

static void listen_to(struct scene *s, const char *channel, struct listener *l) {
    l->calls = 0;
    l->ear = store_listen(s->client, channel, on_heard, l);
    assert_non_null(l->ear);
}

static void run_loop(struct scene *s) {
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
}

// Said until it is heard: the listener may not be connected yet.
static void say_until_heard(struct scene *from, const char *channel, const char *text,
                            struct scene *to, struct listener *l) {
    for (unsigned i = 0; i < 20000; i++) {
        store_say(from->store, channel, slice_of(text));
        store_flush(from->store);
        for (unsigned n = 0; n < 10; n++) {
            run_loop(to);
            if (l->calls > 0 && strcmp(l->last, text) == 0)
                return;
            usleep(200);
        }
    }
    fail_msg("\"%s\" was not heard on %s", text, channel);
}

static void test_others_hear_it(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct listener here, there, elsewhere;
    listen_to(two, "news", &there);
    listen_to(one, "news", &here);
    listen_to(two, "other", &elsewhere);
    say_until_heard(one, "news", "first", two, &there);
    say_until_heard(one, "news", "to itself", one, &here);
    say_until_heard(two, "other", "back", two, &elsewhere);
    assert_string_equal(there.last, "to itself");
    store_say(one->store, "news", SLICE("a\0b"));
    store_flush(one->store);
    while (there.last_len != 3)
        event_base_loop(two->loop, EVLOOP_ONCE);
    store_say(one->store, "news", SLICE_NONE);
    while (there.last_len != 0)
        event_base_loop(two->loop, EVLOOP_ONCE);
    assert_string_equal(elsewhere.last, "back");
    assert_int_equal(scene_stats(one).failures, 0);
    assert_int_equal(scene_stats(two).failures, 0);
}

// In their order, each once.
static void test_many(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct listener there;
    char text[16];
    listen_to(two, "news", &there);
    say_until_heard(one, "news", "begin", two, &there);
    while (there.calls < 1 || strcmp(there.last, "begin") != 0)
        run_loop(two);
    store_say(one->store, "news", SLICE("marked"));
    while (strcmp(there.last, "marked") != 0)
        event_base_loop(two->loop, EVLOOP_ONCE);
    unsigned before = there.calls;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%u", i);
        store_say(one->store, "news", slice_of(text));
    }
    while (there.calls < before + 1000) {
        unsigned calls = there.calls;
        event_base_loop(two->loop, EVLOOP_ONCE);
        assert_true(there.calls >= calls);
        snprintf(text, sizeof text, "%u", there.calls - before - 1);
        if (there.calls > before)
            assert_string_equal(there.last, text);
    }
}

// Over the bound what comes is not heard, and memory does not grow.
static void test_a_loop_that_does_not_run(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct scene beside = {.store = two->store, .loop = event_base_new()}; // another loop of two's
    struct listener there, end;
    enum { SAID = 6000, KEPT = 4096 };
    beside.client = store_client_new(beside.store, beside.loop);
    listen_to(&beside, "end", &end);
    listen_to(two, "news", &there);
    say_until_heard(one, "news", "begin", two, &there);
    store_say(one->store, "news", SLICE("marked"));
    while (strcmp(there.last, "marked") != 0)
        event_base_loop(two->loop, EVLOOP_ONCE);
    there.calls = 0;
    for (unsigned i = 0; i < SAID; i += 500) {
        for (unsigned n = 0; n < 500; n++)
            store_say(one->store, "news", SLICE("x"));
        store_flush(one->store);
    }
    say_until_heard(one, "end", "all have come", &beside, &end);
    while (there.calls < KEPT)
        event_base_loop(two->loop, EVLOOP_ONCE);
    say_until_heard(one, "news", "end", two, &there);
    assert_true(there.calls < SAID);
    store_client_free(beside.client);
    event_base_free(beside.loop);
}

// ------------------------------------------------------------------- unlisten

static void on_heard_once(void *arg, struct slice message) {
    struct listener *l = arg;
    on_heard(arg, message);
    store_unlisten(l->ear); // from within
}

static void test_deaf_ones_hear_nothing(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    struct listener first, second, third = {0};
    listen_to(one, "news", &first);
    listen_to(one, "news", &second);
    third.ear = store_listen(one->client, "news", on_heard_once, &third);
    say_until_heard(one, "news", "all", one, &first);
    assert_string_equal(second.last, "all");
    assert_int_equal(third.calls, 1);
    store_say(one->store, "news", SLICE("again"));
    store_flush(one->store);
    store_unlisten(first.ear); // with one on its way, perhaps
    unsigned calls = first.calls;
    say_until_heard(one, "news", "rest", one, &second);
    assert_int_equal(first.calls, calls);
    store_unlisten(second.ear);
    listen_to(one, "news", &first); // and anew
    say_until_heard(one, "news", "anew", one, &first);
    assert_int_equal(third.calls, 1);
    char answer[128];
    store_unlisten(first.ear);
    for (unsigned i = 0; i < 20000; i++) {
        redis_server_ask(&r->server, "PUBSUB CHANNELS", answer, sizeof answer);
        if (strcmp(answer, "*0\r\n") == 0)
            return;
        usleep(1000);
    }
    fail_msg("%s", answer);
}

// A client that goes takes its listeners with it.
static void test_a_client_goes(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r);
    struct listener first, second;
    listen_to(one, "news", &first);
    listen_to(one, "other", &second);
    say_until_heard(one, "news", "all", one, &first);
    for (unsigned i = 0; i < 100; i++)
        store_say(one->store, "news", SLICE("x"));
    unsigned calls = first.calls;
    store_client_free(one->client);
    one->client = store_client_new(one->store, one->loop);
    assert_int_equal(first.calls, calls);
    listen_to(one, "news", &first);
    say_until_heard(one, "news", "new", one, &first);
}

// ------------------------------------------------------------------- failures

static void test_it_listens_again(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct listener there;
    listen_to(two, "news", &there);
    say_until_heard(one, "news", "first", two, &there);
    redis_server_order(&r->server, "CLIENT KILL TYPE pubsub");
    say_until_heard(one, "news", "second", two, &there);
    redis_server_stop(&r->server);
    await_down();
    store_say(one->store, "news", SLICE("nobody hears this"));
    redis_server_start(&r->server);
    say_until_heard(one, "news", "third", two, &there);
}

static void test_listening_while_it_is_away(void **state) {
    struct real *r = *state;
    struct listener there;
    r->one.scene.redis.connect_timeout_ms = 100;
    fake_open(&r->one); // nothing is there
    listen_to(&r->one.scene, "news", &there);
    redis_server_start(&r->server);
    say_until_heard(&r->one.scene, "news", "at last", &r->one.scene, &there);
}

// Who may not listen is told so once a minute, and all else goes on.
static void test_no_permission(void **state) {
    struct real *r = *state;
    struct listener here;
    redis_server_start(&r->server);
    redis_server_order(&r->server, "ACL SETUSER farthing on >p ~farthing:* resetchannels +@all");
    r->one.scene.redis.user = "farthing";
    r->one.scene.redis.password = "p";
    struct scene *one = open_one(r);
    listen_to(one, "news", &here);
    while (errors_of("other") == 0)
        usleep(1000);
    store_say(one->store, "news", SLICE("x"));
    store_flush(one->store);
    assert_true(errors_of("other") >= 2);
    assert_true(is_up());
    put(one, "cache", "k", "v");
    assert_value(one, "cache", SLICE("k"), SLICE("v"));
    assert_int_equal(here.calls, 0);
    redis_server_order(&r->server, "ACL SETUSER farthing &farthing:*");
    redis_server_order(&r->server, "CLIENT KILL USER farthing");
    say_until_heard(one, "news", "now", one, &here);
}

// What a connection that listens is sent, after its first subscription.
#define LISTENING(more) SLICE("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n" more)
#define ON_NEWS         "*3\r\n$7\r\nmessage\r\n$13\r\nfarthing:news\r\n"
#define ON_CHANGES      "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

static void hear(struct redis_scene *r, struct listener *l, const char *text) {
    for (unsigned i = 0; i < 20000 && strcmp(l->last, text) != 0; i++) {
        run_loop(&r->scene);
        usleep(1000);
    }
    assert_string_equal(l->last, text);
}

// Messages of any shape: those that are none are passed over.
static void test_odd_messages(void **state) {
    struct redis_scene *r = *state;
    struct listener here;
    fake_say(
        &r->fake, "SUBSCRIBE",
        LISTENING("*1\r\n$7\r\nmessage\r\n"
                  "*2\r\n$7\r\nmessage\r\n$13\r\nfarthing:news\r\n"
                  "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n"
                  "*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\nx\r\n"
                  "*4\r\n$7\r\nmessage\r\n$13\r\nfarthing:news\r\n$1\r\nx\r\n$1\r\nx\r\n" ON_NEWS
                  "$-1\r\n" ON_NEWS ":1\r\n" ON_NEWS "*1\r\n$1\r\nx\r\n" ON_CHANGES
                  "$-1\r\n" ON_CHANGES "*0\r\n" ON_CHANGES "$1\r\nx\r\n" ON_CHANGES
                  "*2\r\n:1\r\n$7\r\nunknown\r\n" ON_NEWS "$4\r\ngood\r\n"));
    fake_open(r);
    memset(&here, 0, sizeof here);
    listen_to(&r->scene, "news", &here);
    hear(r, &here, "good");
    assert_int_equal(here.calls, 1);
    assert_int_equal(fake_connections(&r->fake), 2);
    assert_int_equal(scene_stats(&r->scene).failures, 0);
}

// What is not even that ends this connection, and not the other.
static void test_garbage_instead_of_messages(void **state) {
    struct redis_scene *r = *state;
    static const struct {
        struct slice reply;
        const char *error;
    } rows[] = {
        {SLICE("hello\r\n"), "protocol"},
        {LISTENING(":1\r\n"), "protocol"}, // the answer to nothing
        {LISTENING("*2000\r\n"), "protocol"},
        {LISTENING("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), "protocol"},
        {LISTENING(ON_NEWS "$536870912\r\n+OK"), NULL}, // and no more: it is waited for
        {SLICE("-LOADING Redis is loading\r\n"), "loading"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct listener here = {0};
        fake_say(&r->fake, "SUBSCRIBE", rows[i].reply);
        fake_open(r);
        await_up();
        listen_to(&r->scene, "news", &here);
        while (rows[i].error != NULL && errors_of(rows[i].error) == 0)
            usleep(1000);
        fake_say(&r->fake, "SUBSCRIBE", LISTENING(ON_NEWS "$4\r\ngood\r\n"));
        if (rows[i].error != NULL)
            hear(r, &here, "good");
        assert_true(is_up());
        scene_close(&r->scene);
        metric_reset_for_test();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        REAL(test_others_hear_it),
        REAL(test_many),
        REAL(test_a_loop_that_does_not_run),
        REAL(test_deaf_ones_hear_nothing),
        REAL(test_a_client_goes),
        REAL(test_it_listens_again),
        REAL(test_listening_while_it_is_away),
        REAL(test_no_permission),
        FAKE(test_odd_messages),
        FAKE(test_garbage_instead_of_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
