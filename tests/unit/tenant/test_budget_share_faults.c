// Shared budgets while Redis is silent, and when it comes back with less than it knew.
#include "budget_share_scene.h"

#define TEN "budget \"all\" { amount = \"10 usd\" window = \"total\" }"

enum { SILENT_MS = 300 }; // a command that takes longer has failed

static int silent_set_up(void **state) {
    (void)share_set_up(state);
    ((struct share_scene *)*state)->timeout_ms = SILENT_MS;
    return 0;
}

static void silence(struct share_scene *s) {
    assert_int_equal(kill(s->server.pid, SIGSTOP), 0);
}

static void await_down(struct budget_scene *i) {
    struct budget_reservation r = {0};
    for (unsigned n = 0; n < PATIENT_MS && store_is_up(i->store); n++) {
        if (take(i, &r, NOBODY, 9 * USD)) // more than is leased, so that Redis is asked
            assert_true(budget_release(i->own, &r));
        usleep(1000);
    }
    assert_false(store_is_up(i->store));
}

static void speak_again(struct share_scene *s) {
    assert_int_equal(kill(s->server.pid, SIGCONT), 0);
    for (unsigned n = 0; n < INSTANCES; n++)
        if (s->instances[n].store != NULL)
            share_await_up(&s->instances[n]);
}

// Late answers come, and whoever is up is heard.
static void await_taken(struct budget_scene *i, config_pico worst) {
    bool taken = false;
    for (unsigned n = 0; n < PATIENT_MS && !taken; n++) {
        taken = can_take(i, NOBODY, worst);
        usleep(1000);
    }
    assert_true(taken);
}

// Four times what is asked for, at most an eighth of what is left.
static void lease_some(struct budget_scene *i) {
    struct budget_reservation r = {0};
    assert_true(take(i, &r, NOBODY, USD / 10));
    assert_true(budget_release(i->own, &r));
}

static void test_silence_closed(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN);
    struct budget_reservation held = {0}, r = {0};
    lease_some(a);
    silence(s);
    assert_true(take(a, &held, NOBODY, USD / 10)); // leased already
    assert_false(take(a, &r, NOBODY, 9 * USD));
    assert_true(a->refusal.unavailable);
    await_down(a);
    assert_int_equal(ask_for(a, &r, NOBODY, 9 * USD), BUDGET_REFUSED); // at once
    assert_true(a->refusal.unavailable);
    assert_true(can_take(a, NOBODY, USD / 10));
    assert_true(budget_settle(a->own, &held, USD / 10, NULL));
    speak_again(s);
    await_taken(a, 9 * USD);
    give_back(a);
    assert_int_equal(view_of(a, "all", "").spent, USD / 10);
}

static void test_silence_open(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN), *b = instance(s, 1, TEN);
    struct budget_reservation r = {0};
    atomic_store(&a->budgets->share.open, true);
    buy(a, NOBODY, USD);
    silence(s);
    for (int i = 0; i < 3; i++) {
        assert_true(take(a, &r, NOBODY, 4 * USD));
        assert_true(budget_settle(a->own, &r, 4 * USD, NULL));
    }
    // One may have been within the lease.
    assert_true(metric_value(metric_plain(&budget_unconfirmed_family)) >= 2);
    assert_int_equal(view_of(a, "all", "").spent, 13 * USD);
    speak_again(s);
    for (unsigned n = 0; n < PATIENT_MS && view_of(b, "all", "").spent != 13 * USD; n++) {
        beat(a);
        beat(b);
    }
    assert_int_equal(view_of(b, "all", "").spent, 13 * USD);
    assert_int_equal(view_of(b, "all", "").remaining, 0);
    assert_false(can_take(b, NOBODY, 1));
    assert_false(can_take(a, NOBODY, 1)); // it knows better now
}

static void test_an_operator_is_told(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN);
    const struct budget_name all = {SLICE("acme"), SLICE("all"), SLICE_NONE};
    struct error err;
    silence(s);
    await_down(a);
    assert_false(budget_freeze(a->budgets, &all, true, &err));
    assert_non_null(strstr(err.text, "store is away"));
    assert_false(view_of(a, "all", "").frozen);
    assert_false(budget_top_up(a->budgets, &all, USD, &err));
    assert_int_equal(view_of(a, "all", "").amount, 10 * USD);
    speak_again(s);
}

// One who waits may end meanwhile; what it cost counts.
static void test_a_waiter_ends(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN);
    struct budget_reservation one = {0}, two = {0};
    silence(s);
    assert_int_equal(ask_for(a, &one, NOBODY, USD), BUDGET_WAIT);
    assert_int_equal(ask_for(a, &two, NOBODY, USD), BUDGET_WAIT);
    assert_true(budget_release(a->own, &one));
    assert_true(budget_settle(a->own, &two, USD, NULL));
    assert_int_equal(a->ready, 0);
    speak_again(s);
    await_taken(a, 9 * USD);
    assert_false(can_take(a, NOBODY, 9 * USD + 1));
    assert_int_equal(view_of(a, "all", "").spent, USD);
}

// ------------------------------------------------------------------ lost memory

static void lose_memory(struct share_scene *s) {
    redis_server_stop(&s->server);
    for (unsigned n = 0; n < INSTANCES; n++)
        for (unsigned ms = 0; s->instances[n].store != NULL && ms < PATIENT_MS; ms++) {
            if (!store_is_up(s->instances[n].store))
                break;
            usleep(1000);
        }
    redis_server_start(&s->server);
    for (unsigned n = 0; n < INSTANCES; n++)
        if (s->instances[n].store != NULL)
            share_await_up(&s->instances[n]);
}

static void hold_for(struct share_scene *s, int64_t ms) {
    for (unsigned n = 0; n < INSTANCES; n++)
        if (s->instances[n].store != NULL)
            s->instances[n].budgets->share.hold_ms = ms;
}

static void test_memory_is_lost(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN), *b = instance(s, 1, TEN);
    struct budget_reservation held = {0}, r = {0};
    hold_for(s, 500);
    buy(a, NOBODY, 3 * USD);
    buy(b, NOBODY, 2 * USD);
    assert_true(take(b, &held, NOBODY, USD));
    for (int i = 0; i < 3; i++) {
        give_back(b);
        give_back(a);
    }
    lose_memory(s);
    beat(a); // as it comes by itself within a second
    assert_false(take(a, &r, NOBODY, 7 * USD));
    assert_true(a->refusal.unavailable); // not before the others could say what they have
    beat(b);
    await_taken(a, 4 * USD);
    assert_false(can_take(a, NOBODY, 4 * USD + 1));
    assert_true(budget_settle(b->own, &held, 0, NULL));
    give_back(b);
    give_back(a);
    assert_int_equal(view_of(a, "all", "").spent, 5 * USD);
    assert_true(can_take(a, NOBODY, 5 * USD));
    assert_int_equal(s->told_count, 0);
}

static void say_it_was_told_long_ago(struct counter_share *s) {
    s->told_ms = clock_mono_ms() - (uint64_t)FORGET_TOTAL_MS;
}

// Of a user who comes back after a week the store knows nothing any more, by right.
static void test_what_expired_was_not_lost(void **state) {
    static const char body[] =
        "budget \"user\" { amount = \"2 usd\" window = \"total\" per = \"user\" }";
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, body);
    struct budget_scope ann = {.user = SLICE("ann")};
    hold_for(s, PATIENT_MS);
    buy(a, ann, USD);
    give_back(a);
    redis_server_order(&s->server, "DEL farthing:{t:acme}:budget:user:user:ann");
    for_each_counter(a, say_it_was_told_long_ago);
    assert_true(can_take(a, ann, USD));
    assert_false(can_take(a, ann, USD + 1)); // this instance still knows
}

// Nobody alive spent it; but somebody was told.
static void test_what_the_dead_spent_is_not_lost(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN), *b = instance(s, 1, TEN);
    hold_for(s, 300);
    buy(a, NOBODY, USD);
    buy(b, NOBODY, 4 * USD);
    give_back(b);
    instance_end(b);
    give_back(a);
    assert_int_equal(view_of(a, "all", "").spent, 5 * USD);
    lose_memory(s);
    beat(a);
    await_taken(a, 5 * USD);
    give_back(a);
    assert_false(can_take(a, NOBODY, 5 * USD + 1));
    assert_int_equal(view_of(a, "all", "").spent, 5 * USD);
    buy(a, NOBODY, 2 * USD); // and goes on to count beside what is spent from here on
    give_back(a);
    assert_int_equal(view_of(a, "all", "").spent, 7 * USD);
    assert_false(can_take(a, NOBODY, 3 * USD + 1));
}

static void test_a_reset_is_not_lost(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN);
    const struct budget_name all = {SLICE("acme"), SLICE("all"), SLICE_NONE};
    hold_for(s, 300);
    buy(a, NOBODY, 6 * USD);
    reset(a, &all);
    store_flush(a->store);
    buy(a, NOBODY, USD);
    give_back(a);
    give_back(a);
    lose_memory(s);
    beat(a);
    await_taken(a, 9 * USD);
    assert_false(can_take(a, NOBODY, 9 * USD + 1));
}

// It has spent nothing there, but knows that the server is another one.
static void test_who_has_no_lease_waits_too(void **state) {
    struct share_scene *s = *state;
    struct budget_scene *a = instance(s, 0, TEN), *b = instance(s, 1, TEN);
    struct budget_reservation r = {0};
    hold_for(s, 500);
    buy(a, NOBODY, 8 * USD);
    give_back(a);
    beat(b);
    lose_memory(s);
    budget_share_beat(b->own); // first; it may be that only the second sees the other server
    settle_down(b);
    assert_false(take(b, &r, NOBODY, 3 * USD));
    beat(a);
    await_taken(b, 2 * USD);
    assert_false(can_take(b, NOBODY, 2 * USD + 1));
}

#define SILENT(test) cmocka_unit_test_setup_teardown(test, silent_set_up, share_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SILENT(test_silence_closed),
        SILENT(test_silence_open),
        SILENT(test_an_operator_is_told),
        SILENT(test_a_waiter_ends),
        SHARE(test_memory_is_lost),
        SHARE(test_what_expired_was_not_lost),
        SHARE(test_what_the_dead_spent_is_not_lost),
        SHARE(test_a_reset_is_not_lost),
        SHARE(test_who_has_no_lease_waits_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
