// Without the store, and when it is back: an even share for each, or nothing that
// is not leased; and nobody waits longer than he is told to.
#include <signal.h>

#include "limits_share_scene.h"

static void set_requests(struct servers *s, int64_t requests, int64_t concurrency) {
    struct config_limits f = unlimited;
    f.requests_per_minute = requests;
    f.concurrency = concurrency;
    set_figures(s, f);
}

static bool all_down(struct servers *s, void *arg) {
    (void)arg;
    for (unsigned i = 0; i < s->count; i++)
        if (store_is_up(s->instances[i].store))
            return false;
    return true;
}

static bool all_known(struct servers *s, void *arg) {
    (void)arg;
    for (unsigned i = 0; i < s->count; i++)
        if (store_instances(s->instances[i].store) != s->count)
            return false;
    return true;
}

static void take_redis_away(struct servers *s) {
    redis_server_stop(&s->redis);
    run_until(s, all_down, NULL);
}

// How many of `asked` requests come in, which stay.
static unsigned count_in(struct servers *s, unsigned instance, struct guest *g, unsigned asked) {
    unsigned in = 0;
    for (unsigned i = 0; i < asked; i++)
        in += ask(s, &g[i], instance, 0) == LIMITS_GRANTED;
    return in;
}

static void leave_all(struct guest *g, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        (void)limits_release(&g[i].ticket);
}

static void test_an_even_share_of_rates(void **state) {
    struct servers *s = *state;
    struct guest g[2][20] = {0};
    open_instances(s, 2);
    run_until(s, all_known, NULL);
    set_requests(s, 20, CONFIG_UNSET);
    take_redis_away(s);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t start = clock_mono_ms();
        unsigned in = count_in(s, i, g[i], 20);
        assert_in_range(in, 10, 10 + (clock_mono_ms() - start) * 10 / 60000);
        assert_int_equal(g[i][19].ticket.refusal.reason, LIMITS_REASON_REQUESTS);
        assert_int_equal(g[i][19].ticket.refusal.limit, 20);
        assert_in_range(g[i][19].ticket.refusal.retry_after_ms, 1, 6000);
        struct limits_view view;
        limits_view_ticket(&g[i][0].ticket, &view);
        assert_int_equal(view.requests.limit, 20);
        assert_int_equal(view.requests.remaining, 0);
        leave_all(g[i], 20);
    }
    assert_true(scene_shows("\nfarthing_limits_alone_total 2\n"));
}

static void test_an_even_share_of_places(void **state) {
    struct servers *s = *state;
    struct guest g[2][4] = {0};
    open_instances(s, 2);
    run_until(s, all_known, NULL);
    set_requests(s, CONFIG_UNSET, 5);
    take_redis_away(s);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(count_in(s, i, g[i], 4), 2);
        assert_int_equal(g[i][3].ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
        leave_all(g[i], 4);
    }
}

static void test_at_least_one(void **state) {
    struct servers *s = *state;
    struct guest g[2] = {0};
    open_instances(s, 2);
    run_until(s, all_known, NULL);
    set_requests(s, CONFIG_UNSET, 1);
    take_redis_away(s);
    assert_int_equal(count_in(s, 0, g, 2), 1);
    leave_all(g, 2);
}

static bool is_together(struct servers *s, void *arg) {
    (void)arg;
    for (unsigned i = 0; i < s->count; i++) {
        const struct limits_share *share = name_at(&s->instances[i])->share;
        if (share->alone || share->rates[LIMITS_REQUESTS].charged !=
                                share->rates[LIMITS_REQUESTS].charged_known)
            return false;
    }
    return true;
}

// What each took alone counts for all from then on.
static void test_what_was_taken_alone_is_added(void **state) {
    struct servers *s = *state;
    struct guest g[2][10] = {0}, after = {0};
    open_instances(s, 2);
    run_until(s, all_known, NULL);
    set_requests(s, 20, CONFIG_UNSET);
    take_redis_away(s);
    assert_in_range(count_in(s, 0, g[0], 8), 8, 8);
    assert_in_range(count_in(s, 1, g[1], 8), 8, 8);
    redis_server_start(&s->redis);
    run_until(s, is_together, NULL);
    (void)ask(s, &after, 0, 0);
    struct limits_view view;
    limits_view_ticket(&after.ticket, &view);
    assert_in_range(view.requests.remaining, 2, 15);
    leave_all(g[0], 10);
    leave_all(g[1], 10);
    leave_all(&after, 1);
}

static void test_closed_refuses_what_is_not_leased(void **state) {
    struct servers *s = *state;
    struct guest first = {0}, g = {0};
    s->sharing.closed = true;
    open_instances(s, 1);
    set_requests(s, 20, 5);
    assert_int_equal(ask(s, &first, 0, 0), LIMITS_GRANTED);
    take_redis_away(s);
    come(s, &g, 0, 0);
    assert_int_equal(g.verdict, LIMITS_REFUSED);
    assert_int_equal(g.ticket.refusal.reason, LIMITS_REASON_STORE);
    assert_in_range(g.ticket.refusal.retry_after_ms, 1, 5000);
    leave_all(&first, 1);
    redis_server_start(&s->redis);
    run_until(s, all_up, NULL);
    for (unsigned i = 0; i < PATIENCE && g.verdict != LIMITS_GRANTED; i++) {
        (void)ask(s, &g, 0, 0);
        run_once(s);
    }
    assert_int_equal(g.verdict, LIMITS_GRANTED);
    leave_all(&g, 1);
}

// Redis does not answer, and nobody has found out yet.
static void test_a_silent_store_is_not_waited_for(void **state) {
    struct servers *s = *state;
    struct guest g = {0}, next = {0};
    s->sharing.wait_ms = 20;
    open_instances(s, 1);
    set_requests(s, 20, 5);
    kill(s->redis.pid, SIGSTOP);
    come(s, &g, 0, 0);
    run_until(s, is_told, &g);
    assert_int_equal(g.verdict, LIMITS_GRANTED);
    assert_true(name_at(&s->instances[0])->share->alone);
    come(s, &next, 0, 0); // at once
    assert_int_equal(next.verdict, LIMITS_GRANTED);
    kill(s->redis.pid, SIGCONT);
    run_until(s, is_together, NULL);
    leave_all(&g, 1);
    leave_all(&next, 1);
}

// A hash of another kind at its place: an error each time.
static void test_a_store_that_fails_is_as_one_that_is_away(void **state) {
    struct servers *s = *state;
    struct guest g = {0};
    open_instances(s, 1);
    set_requests(s, 20, 5);
    redis_server_order(&s->redis, "SET farthing:{l:acme}:limit x");
    assert_int_equal(ask(s, &g, 0, 0), LIMITS_GRANTED);
    assert_true(name_at(&s->instances[0])->share->alone);
    leave_all(&g, 1);
    redis_server_order(&s->redis, "DEL farthing:{l:acme}:limit");
    run_until(s, is_together, NULL);
}

static void test_names_are_of_one_slot(void **state) {
    struct servers *s = *state;
    open_instances(s, 1);
    struct config_limits f = unlimited;
    f.requests_per_minute = 10;
    limits_set(s->instances[0].limits, SLICE("a}b{c"), &f);
    const char *key =
        limits_find_known(s->instances[0].own, SLICE("a}b{c"))->share->key;
    assert_int_equal(strlen(key), strlen("{l:}:limit") + 2 * DIGEST_LEN);
    assert_string_equal(name_at(&s->instances[0])->share->key, "{l:acme}:limit");
}

// Nothing is shared where the store is not, and where no loop may ask.
static void test_what_is_not_shared(void **state) {
    struct servers *s = *state;
    struct guest g[3] = {0};
    open_instances(s, 1);
    struct limits *alone = limits_new();
    limits_share(alone, NULL, &s->sharing);
    struct limits_loop *l = limits_loop_new(alone, s->instances[0].loop);
    limits_loop_share(l, NULL);
    struct config_limits f = unlimited;
    f.requests_per_minute = 2;
    limits_set(alone, SLICE("acme"), &f);
    for (unsigned i = 0; i < 3; i++)
        g[i].verdict = limits_admit(l, &g[i].ticket, &(struct limits_ask){.tenant = SLICE("acme")},
                                    on_told, &g[i]);
    assert_int_equal(g[1].verdict, LIMITS_GRANTED);
    assert_int_equal(g[2].verdict, LIMITS_REFUSED);
    leave_all(g, 3);
    limits_loop_free(l);
    limits_free(alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVERS(test_an_even_share_of_rates),
        SERVERS(test_an_even_share_of_places),
        SERVERS(test_at_least_one),
        SERVERS(test_what_was_taken_alone_is_added),
        SERVERS(test_closed_refuses_what_is_not_leased),
        SERVERS(test_a_silent_store_is_not_waited_for),
        SERVERS(test_a_store_that_fails_is_as_one_that_is_away),
        SERVERS(test_names_are_of_one_slot),
        SERVERS(test_what_is_not_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
