// Adaptive limits against simulated providers: hard limits, latency that grows
// with load, prompts of every length, outages. Simulated time, seeded chance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "adaptive.h"
#include "farthing/base.h"

enum { MINUTE = 60 * 1000, CEILING = 256, RUNNING_MAX = 512, REFUSAL_MS = 20 };

// --------------------------------------------------------------- simulation

struct provider {
    int64_t hard_limit; // refuses with 429 above; 0: none
    int64_t bears;      // above, latency grows in proportion; 0: any number
    int64_t base_ms;    // of the shortest prompt; the longest takes ten times that
    bool down;
};

struct running {
    uint64_t sent_ms, due_ms;
    bool good;
};

struct sim {
    struct adaptive limit;
    struct provider provider;
    int64_t demand; // as many as would run without a limit
    uint64_t now_ms;
    struct running running[RUNNING_MAX];
    int64_t inflight, served; // served: those that the provider works on
    // Since the last sim_forget.
    int64_t good, refused, least, most;
    double sum;
};

static void sim_open(struct sim *s, struct provider p, int64_t ceiling) {
    random_seed(1);
    *s = (struct sim){.provider = p, .demand = RUNNING_MAX, .now_ms = 1};
    adaptive_open(&s->limit, ceiling);
}

static void sim_forget(struct sim *s) {
    s->good = s->refused = s->most = 0;
    s->least = INT64_MAX;
    s->sum = 0;
}

// From 1 to 10, evenly on a logarithmic scale.
static int64_t prompt_ms(const struct provider *p) {
    static const int64_t tenths[] = {10, 13, 16, 20, 25, 32, 40, 50, 63, 79, 100};
    return p->base_ms * tenths[random_below(FARTHING_COUNT(tenths))] / 10;
}

static void send_one(struct sim *s) {
    const struct provider *p = &s->provider;
    struct running *r = &s->running[s->inflight++];
    r->good = !p->down && (p->hard_limit == 0 || s->served < p->hard_limit);
    s->served += r->good;
    int64_t ms = r->good ? prompt_ms(p) : REFUSAL_MS;
    if (r->good && p->bears > 0 && s->served > p->bears)
        ms = ms * s->served / p->bears;
    r->sent_ms = s->now_ms;
    r->due_ms = s->now_ms + (uint64_t)ms;
}

static void answer_one(struct sim *s, size_t at) {
    struct running r = s->running[at];
    struct adaptive_answer answer = {r.sent_ms, s->now_ms, s->inflight};
    s->running[at] = s->running[--s->inflight];
    s->served -= r.good;
    s->good += r.good;
    s->refused += !r.good;
    (r.good ? adaptive_good : adaptive_overload)(&s->limit, &answer);
}

static uint64_t next_due(const struct sim *s, uint64_t end) {
    uint64_t next = end;
    for (int64_t i = 0; i < s->inflight; i++)
        next = s->running[i].due_ms < next ? s->running[i].due_ms : next;
    return next;
}

static void sim_run(struct sim *s, int64_t ms) {
    sim_forget(s);
    for (uint64_t end = s->now_ms + (uint64_t)ms, next; s->now_ms < end; s->now_ms = next) {
        for (size_t i = (size_t)s->inflight; i-- > 0;)
            if (s->running[i].due_ms <= s->now_ms)
                answer_one(s, i);
        int64_t limit = adaptive_limit(&s->limit);
        assert_true(limit >= 1);
        while (s->inflight < limit && s->inflight < s->demand)
            send_one(s);
        s->least = limit < s->least ? limit : s->least;
        s->most = limit > s->most ? limit : s->most;
        next = next_due(s, end);
        s->sum += (double)limit * (double)(next - s->now_ms) / (double)ms;
    }
}

static void assert_between(const char *what, double value, double low, double high) {
    if (value < low || value > high)
        fail_msg("%s is %g, not between %g and %g", what, value, low, high);
}

// ---------------------------------------------------------------- providers

// What a provider refuses is a small part, what it bears is used, and what it
// refuses above is gone over by one.
static void test_hard_limits(void **state) {
    (void)state;
    static const struct {
        int64_t limit;
        double refused_percent;
    } rows[] = {{1, 14}, {2, 10}, {5, 5}, {10, 4}, {40, 1}, {100, 0.3}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct sim s;
        double n = (double)rows[i].limit;
        sim_open(&s, (struct provider){.hard_limit = rows[i].limit, .base_ms = 200}, CEILING);
        sim_run(&s, 20 * MINUTE);
        sim_run(&s, 20 * MINUTE);
        assert_between("the most", (double)s.most, n, n + 2);
        assert_between("the mean", s.sum, n * 0.75, n + 1);
        double refused = 100.0 * (double)s.refused / (double)(s.good + s.refused);
        assert_between("what was refused, in percent,", refused, 0, rows[i].refused_percent);
    }
}

static void test_a_limit_that_changes(void **state) {
    (void)state;
    struct sim s;
    sim_open(&s, (struct provider){.hard_limit = 40, .base_ms = 200}, CEILING);
    sim_run(&s, 10 * MINUTE);
    s.provider.hard_limit = 5;
    sim_run(&s, 2 * MINUTE);
    sim_run(&s, 10 * MINUTE);
    assert_between("the most after it shrank", (double)s.most, 5, 7);
    s.provider.hard_limit = 30;
    sim_run(&s, 10 * MINUTE);
    sim_run(&s, 5 * MINUTE);
    assert_between("the mean after it grew", s.sum, 22, 31);
}

// It stays where latency is twice what it was at first, for hours. (15 are fewer
// than it begins with, so what it saw first was loaded already.)
static void test_latency_that_grows_with_load(void **state) {
    (void)state;
    static const struct {
        int64_t bears;
        double most;
    } rows[] = {{15, 4}, {30, 2.3}, {60, 2.3}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct sim s;
        double n = (double)rows[i].bears;
        sim_open(&s, (struct provider){.bears = rows[i].bears, .base_ms = 200}, CEILING);
        sim_run(&s, 30 * MINUTE);
        for (int hour = 0; hour < 3; hour++) {
            sim_run(&s, 60 * MINUTE);
            assert_between("the mean", s.sum, n * 0.9, n * rows[i].most);
            assert_between("the most", (double)s.most, n, n * rows[i].most * 1.4);
        }
    }
}

// Long prompts among short ones are no load.
static void test_latency_that_does_not(void **state) {
    (void)state;
    struct sim s;
    sim_open(&s, (struct provider){.base_ms = 200}, 100);
    sim_run(&s, 10 * MINUTE);
    sim_run(&s, 60 * MINUTE);
    assert_between("the mean", s.sum, 90, 100.1);
    assert_between("the least", (double)s.least, 60, 100);
}

// All prompts three times as long: some decreases, then that is how it is.
static void test_other_prompts(void **state) {
    (void)state;
    struct sim s;
    sim_open(&s, (struct provider){.base_ms = 200}, 100);
    sim_run(&s, 20 * MINUTE);
    s.provider.base_ms = 600;
    sim_run(&s, 20 * MINUTE);
    assert_between("the least", (double)s.least, 25, 85);
    sim_run(&s, 40 * MINUTE);
    assert_between("the mean afterwards", s.sum, 90, 100.1);
    s.provider.base_ms = 200;
    sim_run(&s, 20 * MINUTE);
    assert_between("the mean with short ones again", s.sum, 90, 100.1);
}

static void test_outage(void **state) {
    (void)state;
    struct sim s;
    sim_open(&s, (struct provider){.hard_limit = 60, .base_ms = 200}, CEILING);
    sim_run(&s, 20 * MINUTE);
    s.provider.down = true;
    sim_run(&s, 5 * MINUTE);
    assert_int_equal(s.least, 1);
    assert_int_equal(adaptive_limit(&s.limit), 1);
    s.provider.down = false;
    sim_run(&s, MINUTE / 2); // not a minute for each ten places
    assert_between("half a minute later", (double)adaptive_limit(&s.limit), 28, 61);
    sim_run(&s, 5 * MINUTE);
    sim_run(&s, 5 * MINUTE);
    assert_between("the mean later", s.sum, 42, 61);
}

// A limit that nobody reaches tells nothing, and does not grow.
static void test_little_demand(void **state) {
    (void)state;
    struct sim s;
    sim_open(&s, (struct provider){.base_ms = 200}, CEILING);
    s.demand = ADAPTIVE_START - 1;
    sim_run(&s, 60 * MINUTE);
    assert_int_equal(s.most, ADAPTIVE_START);
    s.demand = 3; // and longer prompts then do not count against it
    sim_run(&s, 10 * MINUTE);
    s.provider.base_ms = 2000;
    sim_run(&s, 60 * MINUTE);
    assert_int_equal(s.least, ADAPTIVE_START);
}

// -------------------------------------------------------------- single steps

static void overload(struct adaptive *a, uint64_t sent_ms, uint64_t now_ms, int64_t inflight) {
    adaptive_overload(a, &(struct adaptive_answer){sent_ms, now_ms, inflight});
}

static void good(struct adaptive *a, uint64_t sent_ms, uint64_t now_ms, int64_t inflight) {
    adaptive_good(a, &(struct adaptive_answer){sent_ms, now_ms, inflight});
}

static void test_one_burst_is_one_decrease(void **state) {
    (void)state;
    struct adaptive a;
    adaptive_open(&a, CEILING);
    assert_int_equal(adaptive_limit(&a), 20);
    for (uint64_t i = 0; i < 20; i++)
        overload(&a, 5, 10 + i, 20 - (int64_t)i);
    assert_int_equal(adaptive_limit(&a), 14);
    overload(&a, 10, 40, 14); // sent in the very millisecond
    assert_int_equal(adaptive_limit(&a), 14);
    overload(&a, 11, 40, 14);
    assert_int_equal(adaptive_limit(&a), 9);
}

static void test_few_in_flight(void **state) {
    (void)state;
    struct adaptive a;
    adaptive_open(&a, CEILING);
    overload(&a, 5, 10, 1); // not to the floor at once
    assert_int_equal(adaptive_limit(&a), 7);
    for (uint64_t i = 2; i < 30; i++)
        overload(&a, 10 * i, 10 * i, 0);
    assert_int_equal(adaptive_limit(&a), 1);
}

static void test_one_more_for_a_round(void **state) {
    (void)state;
    struct adaptive a;
    adaptive_open(&a, 22);
    for (uint64_t i = 0; i < 19; i++)
        good(&a, 5, 10, 20);
    assert_int_equal(adaptive_limit(&a), 20);
    good(&a, 5, 10, 20);
    good(&a, 5, 10, 20);
    assert_int_equal(adaptive_limit(&a), 21);
    for (uint64_t i = 0; i < 200; i++)
        good(&a, 5, 10, 30);
    assert_int_equal(adaptive_limit(&a), 22);
}

// What was sent under the old limit says nothing for the new one.
static void test_old_answers_do_not_raise(void **state) {
    (void)state;
    struct adaptive a;
    adaptive_open(&a, CEILING);
    overload(&a, 5, 10, 20);
    for (uint64_t i = 0; i < 40; i++)
        good(&a, 6, 11, 20);
    assert_int_equal(adaptive_limit(&a), 14);
}

static void test_ceilings(void **state) {
    (void)state;
    static const struct {
        int64_t ceiling, limit;
    } rows[] = {{0, 20}, {1, 1}, {5, 5}, {20, 20}, {21, 20}, {INT64_MAX, 20}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct adaptive a;
        adaptive_open(&a, rows[i].ceiling);
        assert_int_equal(adaptive_limit(&a), rows[i].limit);
    }
    struct adaptive a;
    adaptive_open(&a, 0);
    adaptive_set_ceiling(&a, 4);
    assert_int_equal(adaptive_limit(&a), 4);
    adaptive_set_ceiling(&a, 100); // grows there, is not put there
    assert_int_equal(adaptive_limit(&a), 4);
}

// A clock that was read on another core a little earlier.
static void test_an_answer_before_its_request(void **state) {
    (void)state;
    struct adaptive a;
    adaptive_open(&a, CEILING);
    for (uint64_t i = 0; i < 1000; i++)
        good(&a, 100 + i, 99 + i, 1);
    assert_int_equal(adaptive_limit(&a), 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hard_limits),
        cmocka_unit_test(test_a_limit_that_changes),
        cmocka_unit_test(test_latency_that_grows_with_load),
        cmocka_unit_test(test_latency_that_does_not),
        cmocka_unit_test(test_other_prompts),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_little_demand),
        cmocka_unit_test(test_one_burst_is_one_decrease),
        cmocka_unit_test(test_few_in_flight),
        cmocka_unit_test(test_one_more_for_a_round),
        cmocka_unit_test(test_old_answers_do_not_raise),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_an_answer_before_its_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
