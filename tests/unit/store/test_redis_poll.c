// What is asked again and again (store_poll): at the start as long as there is more, and
// later when it is woken, or told by another instance.
#include "redis_real.h"

static const struct store_script fine = {"fine", "return ARGV[1]"},
                                 bad = {"bad", "return redis.error_reply('no')"};

struct asker {
    const struct store_script *script;
    unsigned asked, answered, more; // so often it says that there is more
    enum store_status status;
};

static struct store_op *ask(void *arg, struct store_client *client, store_done *done,
                            void *done_arg) {
    struct asker *a = arg;
    char text[STORE_NUMBER_MAX];
    const struct slice key = SLICE("k"), number = store_number(text, ++a->asked);
    const struct store_call call = {
        .script = a->script, .keys = &key, .key_count = 1, .args = &number, .arg_count = 1};
    return store_run(client, &call, done, done_arg);
}

static bool take(void *arg, enum store_status status, struct slice value) {
    struct asker *a = arg;
    char text[STORE_NUMBER_MAX];
    a->answered++;
    a->status = status;
    if (status == STORE_OK)
        assert_true(slice_equal(value, store_number(text, a->asked)));
    return a->more > 0 && a->more-- > 0;
}

static struct store_poll *poll_of(struct scene *s, struct asker *a) {
    const struct store_poll_options options = {"polls", ask, take, a};
    return store_poll_new(s->store, s->client, s->loop, &options);
}

static void test_numbers(void **state) {
    (void)state;
    char text[STORE_NUMBER_MAX];
    assert_true(slice_equal(store_number(text, 0), SLICE("0")));
    assert_true(slice_equal(store_number(text, INT64_MAX), SLICE("9223372036854775807")));
    assert_true(slice_equal(store_number(text, INT64_MIN), SLICE("-9223372036854775808")));
}

static void test_all_is_known_at_the_start(void **state) {
    struct scene *s = open_one(*state);
    struct asker a = {.script = &fine, .more = 3};
    struct store_poll *p = poll_of(s, &a);
    assert_int_equal(a.answered, 4);
    assert_int_equal(a.asked, 4);
    store_poll_free(p);
    store_poll_free(NULL);
}

// It would be asked for ever.
static void test_who_has_no_answer_does_not_ask_at_once(void **state) {
    struct scene *s = open_one(*state);
    struct asker a = {.script = &bad, .more = 3};
    struct store_poll *p = poll_of(s, &a);
    assert_int_equal(a.asked, 1);
    assert_int_equal(a.status, STORE_FAILED);
    store_poll_free(p);
}

static void test_nobody_is_there(void **state) {
    struct real *r = *state;
    struct asker a = {.script = &fine};
    struct scene *s = open_one(r);
    redis_server_stop(&r->server);
    while (store_is_connected(s->store))
        usleep(1000);
    struct store_poll *p = poll_of(s, &a);
    assert_int_equal(a.asked, 1);
    assert_int_equal(a.answered, 0);
    redis_server_start(&r->server);
    while (a.answered == 0) // each second
        event_base_loop(s->loop, EVLOOP_ONCE);
    assert_int_equal(a.status, STORE_OK);
    store_poll_free(p);
}

// Woken, and until it asks: a first time it asked at the start.
static void wake(struct scene *s, struct store_poll *p, const struct asker *a) {
    assert_int_equal(a->asked, 1);
    store_poll_wake(p);
    while (a->asked == 1)
        event_base_loop(s->loop, EVLOOP_NONBLOCK);
}

// As often as it is woken while one is under way, one more is asked.
static void test_it_is_woken(void **state) {
    struct scene *s = open_one(*state);
    struct asker a = {.script = &fine};
    struct store_poll *p = poll_of(s, &a);
    wake(s, p, &a);
    for (unsigned i = 0; i < 3; i++) {
        store_poll_wake(p);
        event_base_loop(s->loop, EVLOOP_NONBLOCK);
        assert_true(a.asked - a.answered <= 1);
    }
    while (a.answered < 3)
        event_base_loop(s->loop, EVLOOP_ONCE);
    store_poll_free(p);
}

static void test_it_is_told(void **state) {
    struct real *r = *state;
    struct scene *one = open_one(r), *two = open_two(r);
    struct asker a = {.script = &fine}, b = {.script = &fine};
    struct store_poll *p = poll_of(one, &a), *q = poll_of(two, &b);
    while (number_of(&r->server, "PUBLISH farthing:polls anything") < 2) // both listen
        usleep(1000);
    unsigned before_a = a.answered, before_b = b.answered;
    store_poll_tell(p);
    while (a.answered == before_a || b.answered == before_b) {
        event_base_loop(one->loop, EVLOOP_NONBLOCK);
        event_base_loop(two->loop, EVLOOP_NONBLOCK);
    }
    store_poll_free(q);
    store_poll_free(p);
}

static void test_it_ends_while_it_asks(void **state) {
    struct scene *s = open_one(*state);
    struct asker a = {.script = &fine};
    struct store_poll *p = poll_of(s, &a);
    wake(s, p, &a);
    unsigned answered = a.answered;
    store_poll_free(p);
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_int_equal(a.answered, answered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        REAL(test_all_is_known_at_the_start),
        REAL(test_who_has_no_answer_does_not_ask_at_once),
        REAL(test_nobody_is_there),
        REAL(test_it_is_woken),
        REAL(test_it_is_told),
        REAL(test_it_ends_while_it_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
