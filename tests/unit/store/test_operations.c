// Pending operations: each calls back once, on its loop, after it was started;
// or never, once it is cancelled or its client is gone.
#include "scene.h"

#include <pthread.h>

enum { MANY = 2000 };

static void run_until(struct scene *s, const struct answer *answers, size_t count, unsigned calls) {
    for (;;) {
        unsigned seen = 0;
        for (size_t i = 0; i < count; i++)
            seen += answers[i].calls;
        if (seen >= calls)
            return;
        event_base_loop(s->loop, EVLOOP_ONCE);
    }
}

static void free_values(struct answer *answers, size_t count) {
    for (size_t i = 0; i < count; i++)
        buffer_free(&answers[i].value);
}

static void test_exactly_once(void **state) {
    struct scene *s = *state;
    struct answer *answers = base_calloc(MANY, sizeof *answers);
    store_put(s->store, "cache", SLICE("k"), SLICE("v"), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(store_get(s->client, "cache", i % 2 ? SLICE("k") : SLICE("none"), on_answer,
                                  &answers[i]));
    run_until(s, answers, MANY, MANY);
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK); // a second call would come now
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].status, i % 2 ? STORE_OK : STORE_MISSING);
    }
    free_values(answers, MANY);
    free(answers);
}

static void test_never_after_cancel(void **state) {
    struct scene *s = *state;
    struct answer *answers = base_calloc(MANY, sizeof *answers);
    struct store_op **ops = base_calloc(MANY, sizeof(struct store_op *));
    for (unsigned i = 0; i < MANY; i++)
        ops[i] = store_get(s->client, "cache", SLICE("k"), on_answer, &answers[i]);
    for (unsigned i = 0; i < MANY; i += 2) // some done already, some not begun
        store_cancel(ops[i]);
    run_until(s, answers, MANY, MANY / 2);
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(answers[i].calls, i % 2);
    free(ops);
    free_values(answers, MANY);
    free(answers);
}

// Answered, but not yet delivered: cancelling still holds the call back.
static void test_cancel_between_answer_and_call(void **state) {
    struct scene *s = *state;
    struct answer a = {0};
    struct store_op *op = store_get(s->client, "cache", SLICE("k"), on_answer, &a);
    store_flush(s->store); // the thread is done with it
    store_cancel(op);
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_int_equal(a.calls, 0);
}

struct pair {
    struct store_op *other;
    unsigned calls;
};

static void cancel_other(void *arg, enum store_status status, struct slice value,
                         int64_t expires_ms) {
    (void)status, (void)value, (void)expires_ms;
    struct pair *p = arg;
    p->calls++;
    if (p->other != NULL)
        store_cancel(p->other);
    p->other = NULL;
}

static void test_cancel_another_from_a_callback(void **state) {
    struct scene *s = *state;
    struct pair first = {0}, second = {0};
    // On one server, be there several: others answer in any order.
    assert_non_null(store_get(s->client, "cache", SLICE("{t}a"), cancel_other, &first));
    first.other = store_get(s->client, "cache", SLICE("{t}b"), cancel_other, &second);
    store_flush(s->store); // both answers wait in the mailbox
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
}

struct chain {
    struct scene *scene;
    unsigned left;
};

static void get_next(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)status, (void)value, (void)expires_ms;
    struct chain *c = arg;
    if (--c->left > 0)
        assert_non_null(store_get(c->scene->client, "cache", SLICE("k"), get_next, c));
}

static void test_start_another_from_a_callback(void **state) {
    struct scene *s = *state;
    struct chain c = {s, 50};
    assert_non_null(store_get(s->client, "cache", SLICE("k"), get_next, &c));
    while (c.left > 0)
        event_base_loop(s->loop, EVLOOP_ONCE);
}

static void test_freeing_a_client_cancels(void **state) {
    struct scene *s = *state;
    static struct answer answers[200];
    for (size_t i = 0; i < FARTHING_COUNT(answers); i++)
        assert_non_null(store_get(s->client, "cache", SLICE("k"), on_answer, &answers[i]));
    store_client_free(s->client);
    s->client = store_client_new(s->store, s->loop);
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    for (size_t i = 0; i < FARTHING_COUNT(answers); i++)
        assert_int_equal(answers[i].calls, 0);
    store_client_free(NULL);
    store_close(NULL);
}

// ------------------------------------------------------------------- threads

static void *one_loop(void *arg) {
    struct scene own = *(struct scene *)arg; // the store is shared, the loop is not
    own.loop = event_base_new();
    own.client = store_client_new(own.store, own.loop);
    for (uint32_t i = 0; i < 300; i++) {
        struct slice key = slice_make(&i, sizeof i);
        store_put(own.store, "cache", key, SLICE("value"), 0);
        assert_value(&own, "cache", key, SLICE("value"));
        struct answer cancelled = {0};
        store_cancel(store_get(own.client, "cache", key, on_answer, &cancelled));
        assert_int_equal(cancelled.calls, 0);
    }
    store_client_free(own.client);
    event_base_free(own.loop);
    return NULL;
}

static void test_many_loops(void **state) {
    pthread_t threads[4];
    for (size_t i = 0; i < FARTHING_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_loop, *state), 0);
    for (size_t i = 0; i < FARTHING_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    struct store_stats stats = scene_stats(*state);
    assert_entries(*state, 300);
    assert_int_equal(stats.failures, 0);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.queued, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(test_exactly_once),
        SCENE(test_never_after_cancel),
        SCENE(test_cancel_between_answer_and_call),
        SCENE(test_cancel_another_from_a_callback),
        SCENE(test_start_another_from_a_callback),
        SCENE(test_freeing_a_client_cancels),
        SCENE(test_many_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
