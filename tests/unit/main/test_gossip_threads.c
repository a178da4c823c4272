// Rooms of two instances that are at work on several threads each, while what they
// have to say goes to and fro: everything is told, and nothing twice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gossip_scene.h"

enum { THREADS = 2, ROUNDS = 3000, NOTED = 40 };

struct instance {
    struct gossip_rooms rooms;
    struct instance *other;
    atomic_bool at_work;
    atomic_uint messages;
};

struct two {
    struct instance one, two;
};

static int set_up(void **state) {
    struct two *t = calloc(1, sizeof *t);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    metric_reset_for_test();
    t->one.rooms = rooms_new();
    t->two.rooms = rooms_new();
    t->one.other = &t->two;
    t->two.other = &t->one;
    atomic_store(&t->one.at_work, true);
    atomic_store(&t->two.at_work, true);
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct two *t = *state;
    rooms_free(&t->one.rooms);
    rooms_free(&t->two.rooms);
    log_set_level(LOG_INFO);
    free(t);
    return 0;
}

// Its loops: calls that fail and succeed, reports, outcomes.
static void *work(void *arg) {
    struct instance *i = arg;
    struct breakers_loop *breakers = breakers_loop_new(i->rooms.breakers);
    struct retry_budgets_loop *retries = retry_budgets_loop_new(i->rooms.retry_budgets);
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct breaker_ticket t;
        if (breaker_admit(breakers, GOSSIP_MODEL, &gossip_figures, mono_ms(), &t) != BREAKER_OPEN)
            (void)breaker_report(&t, n % 100 < 50 ? BREAKER_GOOD : BREAKER_BAD, 1, mono_ms());
        else if (n % 500 == 0)
            (void)breakers_reset(i->rooms.breakers, GOSSIP_MODEL, mono_ms());
        retry_budget_note_good(retries, SLICE("openai"), 20, mono_ms());
        (void)!retry_budget_take(retries, SLICE("openai"), 20, mono_ms());
        estimator_learn(i->rooms.estimator, GOSSIP_MODEL, 1000, 1200);
        (void)estimator_ask(i->rooms.estimator, GOSSIP_MODEL, 1000);
        if (n < NOTED)
            past_note(i->rooms.past, SLICE("acme"), SLICE("faq"), SLICE("small"), true);
        (void)rooms_percent(&i->rooms);
    }
    retry_budgets_loop_free(retries);
    breakers_loop_free(breakers);
    return NULL;
}

static bool say(struct instance *i, struct json_doc *doc, struct buffer *text) {
    const struct gossip_head head = {GOSSIP_NEWS, SLICE("x"), 5};
    struct gossip_head heard;
    buffer_clear(text);
    if (!gossip_write(&i->rooms, &head, GOSSIP_SLOW, mono_ms(), text))
        return false;
    assert_true(gossip_read(doc, buffer_slice(text), &heard));
    gossip_take(&i->other->rooms, &heard, doc, 2, mono_ms(), mono_ms());
    atomic_fetch_add(&i->messages, 1);
    return true;
}

// The loop that gossips: until all is said.
static void *gossip(void *arg) {
    struct instance *i = arg;
    struct json_doc *doc = json_doc_new();
    struct buffer text = {0};
    bool at_work, said;
    do {
        at_work = atomic_load(&i->at_work);
        said = say(i, doc, &text);
        (void)rooms_is_open(&i->rooms);
    } while (at_work || said);
    buffer_free(&text);
    json_doc_free(doc);
    return NULL;
}

static void run(struct two *t) {
    struct instance *const instances[] = {&t->one, &t->two};
    pthread_t workers[2][THREADS], gossips[2];
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned k = 0; k < THREADS; k++)
            assert_int_equal(pthread_create(&workers[n][k], NULL, work, instances[n]), 0);
        assert_int_equal(pthread_create(&gossips[n], NULL, gossip, instances[n]), 0);
    }
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned k = 0; k < THREADS; k++)
            (void)pthread_join(workers[n][k], NULL);
        atomic_store(&instances[n]->at_work, false);
    }
    for (unsigned n = 0; n < 2; n++)
        (void)pthread_join(gossips[n], NULL);
}

static void rooms_at_work_gossip(void **state) {
    struct two *t = *state;
    run(t);
    assert_true(atomic_load(&t->one.messages) > 0 && atomic_load(&t->two.messages) > 0);
    const struct instance *const instances[] = {&t->one, &t->two};
    for (unsigned n = 0; n < 2; n++) {
        const struct gossip_rooms *r = &instances[n]->rooms;
        assert_int_equal(rooms_percent(r), 100);
        assert_in_range(rooms_likely(r), 11800, 12200);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rooms_at_work_gossip, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
