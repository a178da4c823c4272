// One tenant's door: places, the queue, rates, reloads. One loop, or two on one
// thread; the clock moves only when a test says so.
#include "limits_scene.h"

static enum limits_verdict ask_on(struct limits_loop *l, struct guest *g, int64_t tokens) {
    struct limits_ask ask = {.tenant = SLICE("acme"), .tokens = tokens};
    g->verdict = limits_admit(l, &g->ticket, &ask, on_done, g);
    return g->verdict;
}

static enum limits_verdict ask(struct scene *s, struct guest *g, int64_t tokens) {
    return ask_on(s->own, g, tokens);
}

// ---------------------------------------------------------------------- places

static void test_without_limits_everybody_is_granted(void **state) {
    struct scene *s = *state;
    configure(s, "");
    struct guest g[100] = {0};
    for (size_t i = 0; i < FARTHING_COUNT(g); i++)
        assert_int_equal(ask(s, &g[i], INT64_MAX), LIMITS_GRANTED);
    struct limits_view v = view(&g[0]);
    assert_int_equal(v.requests.limit, CONFIG_UNSET);
    assert_int_equal(v.tokens.limit, CONFIG_UNSET);
    assert_int_equal(v.concurrency, CONFIG_UNSET);
    for (size_t i = 0; i < FARTHING_COUNT(g); i++) {
        assert_true(limits_settle(&g[i].ticket, 5));
        release(&g[i]);
    }
}

static void test_no_more_than_its_places(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 2");
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &c, 0), LIMITS_REFUSED);
    assert_int_equal(c.ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
    assert_int_equal(c.ticket.refusal.limit, 2);
    assert_true(c.ticket.refusal.retry_after_ms >= 1000);
    assert_false(limits_release(&c.ticket)); // it holds nothing
    assert_false(limits_settle(&c.ticket, 1));
    release(&a);
    assert_int_equal(ask(s, &c, 0), LIMITS_GRANTED);
    assert_int_equal(view(&c).running, 2);
    release(&b);
    release(&c);
    assert_int_equal(view(&c).running, 0);
}

static void test_other_tenants_are_not_touched(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1");
    struct guest a = {0};
    struct limits_ticket other = {0};
    struct limits_ask theirs = {.tenant = SLICE("umbra")};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(limits_admit(s->own, &other, &theirs, on_done, &a), LIMITS_GRANTED);
    assert_true(limits_release(&other));
    release(&a);
}

static void test_first_come_first_served_over_loops(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 4 queue_timeout = \"10s\"");
    struct guest first = {0}, g[4] = {0}, late = {0};
    assert_int_equal(ask(s, &first, 0), LIMITS_GRANTED);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ask_on(i % 2 ? s->own : s->other, &g[i], 0), LIMITS_QUEUED);
    assert_int_equal(ask(s, &late, 0), LIMITS_REFUSED);
    assert_int_equal(late.ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
    assert_int_equal(late.ticket.refusal.queued, 4);
    struct guest *running = &first;
    for (size_t i = 0; i < 4; i++) {
        at(s, s->now_ms + 500);
        release(running);
        assert_int_equal(g[i].calls, 0); // never from within a call
        run_mail(s);
        assert_int_equal(g[i].calls, 1);
        assert_int_equal(g[i].turn, i + 1);
        assert_int_equal(g[i].told, LIMITS_GRANTED);
        assert_int_equal(g[i].ticket.state, LIMITS_HELD);
        assert_int_equal(g[i].ticket.held_ms - g[i].ticket.admitted_ms, 500 * (i + 1));
        assert_int_equal(view(&g[i]).queued, 3 - i);
        running = &g[i];
    }
    release(running);
    assert_int_equal(view(running).running, 0);
}

static void test_who_comes_later_does_not_overtake(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 2");
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_QUEUED);
    release(&a); // b has the place, and does not know yet
    assert_int_equal(ask(s, &c, 0), LIMITS_QUEUED);
    run_mail(s);
    assert_int_equal(b.told, LIMITS_GRANTED);
    assert_int_equal(c.calls, 0);
    release(&b);
    run_mail(s);
    assert_int_equal(c.calls, 1);
    release(&c);
}

static void test_who_leaves_frees_his_seat_at_once(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 3");
    struct guest a = {0}, g[3] = {0}, late = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask(s, &g[i], 0), LIMITS_QUEUED);
    release(&g[1]); // from the middle
    assert_int_equal(ask(s, &late, 0), LIMITS_QUEUED);
    release(&g[0]); // the first
    release(&late); // the last
    assert_int_equal(view(&a).queued, 1);
    release(&a);
    run_mail(s);
    assert_int_equal(g[2].calls, 1);
    assert_int_equal(g[0].calls + g[1].calls + late.calls, 0);
    release(&g[2]);
}

static void test_who_leaves_as_he_is_granted_passes_it_on(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 2");
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask_on(s->other, &b, 0), LIMITS_QUEUED);
    assert_int_equal(ask(s, &c, 0), LIMITS_QUEUED);
    release(&a); // the mail to b is under way
    release(&b);
    run_mail(s);
    assert_int_equal(b.calls, 0);
    assert_int_equal(c.calls, 1);
    assert_int_equal(view(&c).running, 1);
    release(&c);
    assert_int_equal(view(&c).running, 0);
}

static void test_a_loop_may_close_with_mail_under_way(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 2");
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask_on(s->other, &b, 0), LIMITS_QUEUED);
    release(&a);
    release(&b);
    limits_loop_free(s->other);
    s->other = NULL;
    assert_int_equal(b.calls, 0);
}

// --------------------------------------------------------------------- timeouts

static void test_patience_ends(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 3 queue_timeout = \"2s\" requests = \"10/min\"");
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_QUEUED);
    at(s, s->now_ms + 1000);
    assert_int_equal(ask(s, &c, 0), LIMITS_QUEUED);
    assert_int_equal(view(&a).requests.remaining, 7);
    limits_loop_run_due(s->own, s->now_ms + 999);
    assert_int_equal(b.calls, 0);
    limits_loop_run_due(s->own, s->now_ms + 1000);
    assert_int_equal(b.calls, 1);
    assert_int_equal(b.told, LIMITS_REFUSED);
    assert_int_equal(b.ticket.refusal.reason, LIMITS_REASON_QUEUE_TIMEOUT);
    assert_int_equal(b.ticket.refusal.limit, 1);
    assert_int_equal(c.calls, 0);
    assert_int_equal(view(&a).queued, 1);
    assert_int_equal(view(&a).requests.remaining, 8); // he never got in
    assert_false(limits_release(&b.ticket));
    release(&a);
    run_mail(s);
    assert_int_equal(c.told, LIMITS_GRANTED);
    limits_loop_run_due(s->own, s->now_ms + 100000);
    assert_int_equal(c.calls, 1);
    release(&c);
}

static void test_granted_at_the_last_moment_stays_granted(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 1 queue_timeout = \"2s\"");
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_QUEUED);
    release(&a);
    limits_loop_run_due(s->own, s->now_ms + 5000); // before the mail
    assert_int_equal(b.calls, 0);
    run_mail(s);
    assert_int_equal(b.calls, 1);
    assert_int_equal(b.told, LIMITS_GRANTED);
    release(&b);
}

static void test_a_requests_own_patience_is_shorter(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 2 queue_timeout = \"2s\"");
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_QUEUED);
    struct limits_ask hasty = {.tenant = SLICE("acme"), .max_wait_ms = 300};
    assert_int_equal(limits_admit(s->own, &c.ticket, &hasty, on_done, &c), LIMITS_QUEUED);
    limits_loop_run_due(s->own, s->now_ms + 300);
    assert_int_equal(c.told, LIMITS_REFUSED);
    assert_int_equal(c.calls, 1);
    assert_int_equal(b.calls, 0);
    release(&b);
    release(&a);
}

static void test_the_loops_timer_ends_it(void **state) {
    struct scene *s = *state;
    clock_thaw();
    configure(s, "concurrency = 1 queue = 1 queue_timeout = \"1ms\"");
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_QUEUED);
    while (b.calls == 0)
        event_base_loop(s->loop, EVLOOP_ONCE);
    assert_int_equal(b.told, LIMITS_REFUSED);
    release(&a);
}

static void test_no_patience_no_queue(void **state) {
    struct scene *s = *state;
    limits_set(s->limits, SLICE("acme"),
               &(struct config_limits){.concurrency = 1, .queue = 5, .queue_timeout_ms = 0});
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0), LIMITS_REFUSED);
    assert_int_equal(b.ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
    release(&a);
}

static void test_who_cannot_wait_takes_no_seat(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 5 requests = \"10/min\"");
    struct guest a = {0}, b = {0};
    const struct limits_ask late = {.tenant = SLICE("acme"), .max_wait_ms = -1};
    assert_int_equal(limits_admit(s->own, &a.ticket, &late, on_done, &a), LIMITS_GRANTED);
    assert_int_equal(limits_admit(s->own, &b.ticket, &late, on_done, &b), LIMITS_REFUSED);
    assert_int_equal(b.ticket.refusal.reason, LIMITS_REASON_QUEUE_TIMEOUT);
    assert_int_equal(view(&a).requests.remaining, 9);
    release(&a);
}

// The heap under random comings and goings: everybody is told once, none early.
static void test_many_waiters_end_in_order(void **state) {
    struct scene *s = *state;
    enum { GUESTS = 400 };
    configure(s, "concurrency = 1 queue = 1000 queue_timeout = \"100s\"");
    struct guest a = {0}, *g = base_calloc(GUESTS, sizeof *g);
    int64_t *patience = base_calloc(GUESTS, sizeof *patience);
    random_seed(5);
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    for (size_t i = 0; i < GUESTS; i++) {
        patience[i] = 1 + (int64_t)random_below(1000);
        struct limits_ask ask = {.tenant = SLICE("acme"), .max_wait_ms = patience[i]};
        assert_int_equal(limits_admit(s->own, &g[i].ticket, &ask, on_done, &g[i]), LIMITS_QUEUED);
    }
    for (size_t i = 0; i < GUESTS; i += 3)
        release(&g[i]);
    for (int64_t ms = 0; ms <= 1000; ms += 10) {
        limits_loop_run_due(s->own, s->now_ms + (uint64_t)ms);
        for (size_t i = 0; i < GUESTS; i++)
            assert_int_equal(g[i].calls, i % 3 != 0 && patience[i] <= ms);
    }
    release(&a);
    free(patience);
    free(g);
}

// ------------------------------------------------------------------------ rates

static void test_requests_a_minute(void **state) {
    struct scene *s = *state;
    configure(s, "requests = \"3/min\"");
    struct guest g = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(s, &g, 0), LIMITS_GRANTED);
        release(&g);
    }
    assert_int_equal(ask(s, &g, 0), LIMITS_REFUSED);
    assert_int_equal(g.ticket.refusal.reason, LIMITS_REASON_REQUESTS);
    assert_int_equal(g.ticket.refusal.limit, 3);
    assert_int_equal(g.ticket.refusal.remaining, 0);
    assert_int_equal(g.ticket.refusal.retry_after_ms, 20000);
    struct limits_view v = view(&g);
    assert_int_equal(v.requests.limit, 3);
    assert_int_equal(v.requests.remaining, 0);
    assert_int_equal(v.requests.reset_ms, 60000);
    assert_int_equal(v.requests.next_ms, 20000);
    at(s, s->now_ms + 20000);
    assert_int_equal(ask(s, &g, 0), LIMITS_GRANTED);
    release(&g);
}

static void test_tokens_are_reserved_and_settled(void **state) {
    struct scene *s = *state;
    configure(s, "tokens = \"1000/min\"");
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 700), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 400), LIMITS_REFUSED);
    assert_int_equal(b.ticket.refusal.reason, LIMITS_REASON_TOKENS);
    assert_int_equal(b.ticket.refusal.limit, 1000);
    assert_int_equal(b.ticket.refusal.remaining, 300);
    assert_int_equal(b.ticket.refusal.asked, 400);
    assert_int_equal(b.ticket.refusal.retry_after_ms, 6000);
    assert_true(limits_settle(&a.ticket, 100));
    assert_false(limits_settle(&a.ticket, 0)); // once
    assert_int_equal(view(&a).tokens.remaining, 900);
    assert_int_equal(ask(s, &b, 400), LIMITS_GRANTED);
    assert_true(limits_settle(&b.ticket, 1500)); // more than it said: owed
    struct limits_view v = view(&b);
    assert_int_equal(v.tokens.remaining, 0);
    assert_int_equal(v.tokens.reset_ms, 96000);
    assert_int_equal(v.tokens.next_ms, 36060); // 600 owed, and the one
    release(&a);
    release(&b);
    assert_false(limits_settle(&b.ticket, 1));
    assert_int_equal(view(&b).tokens.reset_ms, 96000);
}

static void test_tokens_never_settled_go_back(void **state) {
    struct scene *s = *state;
    configure(s, "tokens = \"1000/min\"");
    struct guest a = {0};
    assert_int_equal(ask(s, &a, 1000), LIMITS_GRANTED);
    release(&a);
    assert_int_equal(view(&a).tokens.remaining, 1000);
    assert_int_equal(ask(s, &a, 1001), LIMITS_REFUSED);
    assert_int_equal(a.ticket.refusal.retry_after_ms, -1);
    assert_int_equal(ask(s, &a, -5), LIMITS_GRANTED);
    assert_true(limits_settle(&a.ticket, -7));
    release(&a);
    assert_int_equal(view(&a).tokens.remaining, 1000);
}

static void test_a_refusal_takes_nothing(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 requests = \"10/min\" tokens = \"100/min\"");
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 10), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 10), LIMITS_REFUSED); // no place
    assert_int_equal(ask(s, &b, 95), LIMITS_REFUSED); // too many tokens
    assert_int_equal(b.ticket.refusal.reason, LIMITS_REASON_TOKENS);
    assert_int_equal(view(&a).requests.remaining, 9);
    assert_int_equal(view(&a).tokens.remaining, 90);
    release(&a);
}

static void test_what_never_ran_was_never_asked(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 2 requests = \"10/min\" tokens = \"100/min\"");
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 30), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 30), LIMITS_QUEUED);
    assert_int_equal(ask(s, &c, 30), LIMITS_QUEUED);
    assert_true(limits_cancel(&c.ticket)); // as it waits
    assert_true(limits_cancel(&a.ticket)); // as it holds
    assert_false(limits_cancel(&a.ticket));
    assert_false(limits_release(&a.ticket));
    run_mail(s);
    assert_int_equal(b.told, LIMITS_GRANTED);
    assert_int_equal(c.calls, 0);
    assert_int_equal(view(&b).requests.remaining, 9);
    assert_int_equal(view(&b).tokens.remaining, 70);
    assert_true(limits_settle(&b.ticket, 20));
    assert_true(limits_cancel(&b.ticket)); // what was settled was used
    assert_int_equal(view(&b).requests.remaining, 10);
    assert_int_equal(view(&b).tokens.remaining, 80);
    assert_int_equal(view(&b).running, 0);
}

// ---------------------------------------------------------------------- reloads

static void test_a_reload_with_more_places_lets_them_in(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 1 queue = 5");
    struct guest a = {0}, g[4] = {0};
    assert_int_equal(ask(s, &a, 0), LIMITS_GRANTED);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ask(s, &g[i], 0), LIMITS_QUEUED);
    configure(s, "concurrency = 3 queue = 5");
    run_mail(s);
    assert_int_equal(g[0].calls + g[1].calls, 2);
    assert_int_equal(g[2].calls + g[3].calls, 0);
    configure(s, ""); // no limit at all
    run_mail(s);
    assert_int_equal(g[2].calls + g[3].calls, 2);
    release(&a);
    for (size_t i = 0; i < 4; i++)
        release(&g[i]);
    assert_int_equal(view(&a).running, 0);
}

static void test_a_reload_with_fewer_places_drains(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 3 queue = 5");
    struct guest a[3] = {0}, b = {0};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask(s, &a[i], 0), LIMITS_GRANTED);
    configure(s, "concurrency = 1 queue = 5");
    assert_int_equal(ask(s, &b, 0), LIMITS_QUEUED);
    release(&a[0]);
    release(&a[1]);
    run_mail(s);
    assert_int_equal(b.calls, 0);
    release(&a[2]);
    run_mail(s);
    assert_int_equal(b.calls, 1);
    release(&b);
}

static void test_what_was_used_outlives_a_reload(void **state) {
    struct scene *s = *state;
    configure(s, "requests = \"10/min\"");
    struct guest g = {0};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(s, &g, 0), LIMITS_GRANTED);
        release(&g);
    }
    configure(s, "requests = \"12/min\"");
    assert_int_equal(view(&g).requests.remaining, 2);
    configure(s, "requests = \"5/min\"");
    assert_int_equal(ask(s, &g, 0), LIMITS_REFUSED);
    assert_int_equal(g.ticket.refusal.limit, 5);
}

static void count_views(void *arg, const struct limits_view *v) {
    unsigned *count = arg;
    assert_true(v->name.len > 0);
    ++*count;
}

static void test_every_name_is_visited(void **state) {
    struct scene *s = *state;
    configure(s, "concurrency = 3");
    unsigned count = 0;
    limits_visit(s->limits, count_views, &count);
    assert_int_equal(count, 2);
    struct limits_ticket idle = {0};
    struct limits_view v;
    limits_view_ticket(&idle, &v);
    assert_int_equal(v.requests.limit, CONFIG_UNSET);
    assert_false(limits_release(&idle));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_limits_everybody_is_granted),
        TEST(test_no_more_than_its_places),
        TEST(test_other_tenants_are_not_touched),
        TEST(test_first_come_first_served_over_loops),
        TEST(test_who_comes_later_does_not_overtake),
        TEST(test_who_leaves_frees_his_seat_at_once),
        TEST(test_who_leaves_as_he_is_granted_passes_it_on),
        TEST(test_a_loop_may_close_with_mail_under_way),
        TEST(test_patience_ends),
        TEST(test_granted_at_the_last_moment_stays_granted),
        TEST(test_a_requests_own_patience_is_shorter),
        TEST(test_the_loops_timer_ends_it),
        TEST(test_no_patience_no_queue),
        TEST(test_who_cannot_wait_takes_no_seat),
        TEST(test_many_waiters_end_in_order),
        TEST(test_requests_a_minute),
        TEST(test_tokens_are_reserved_and_settled),
        TEST(test_tokens_never_settled_go_back),
        TEST(test_a_refusal_takes_nothing),
        TEST(test_what_never_ran_was_never_asked),
        TEST(test_a_reload_with_more_places_lets_them_in),
        TEST(test_a_reload_with_fewer_places_drains),
        TEST(test_what_was_used_outlives_a_reload),
        TEST(test_every_name_is_visited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
