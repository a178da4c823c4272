// Four loops at the same breaker, budget and models, with a clock that all push on:
// one probe an interval, no retry too many, and everything adds up at the end.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "farthing/breaker.h"

enum { THREADS = 4, ROUNDS = 20000, OPEN_FOR = 1000, FAILURES = 50 };

static const struct breaker_figures figures = {FAILURES, 30000, OPEN_FOR, 0};

struct shared {
    struct breakers *breakers;
    struct retry_budgets *budgets;
    struct balances *balances;
};

struct worker {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    int64_t passed, probes, refused, taken;
};

static atomic_int_fast64_t ticks;

static int64_t tick(void) {
    return atomic_fetch_add(&ticks, 1);
}

static struct worker run_all(struct shared *s, void *(*work)(void *)) {
    struct worker w[THREADS] = {0}, sum = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.shared = s, .number = i};
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        sum.passed += w[i].passed;
        sum.probes += w[i].probes;
        sum.refused += w[i].refused;
        sum.taken += w[i].taken;
    }
    return sum;
}

static int open_scene(void **state) {
    struct shared *s = calloc(1, sizeof *s);
    log_set_level(LOG_ERROR);
    atomic_store(&ticks, 1000000);
    s->breakers = breakers_new();
    s->budgets = retry_budgets_new();
    s->balances = balances_new();
    *state = s;
    return 0;
}

static int close_scene(void **state) {
    struct shared *s = *state;
    breakers_free(s->breakers);
    retry_budgets_free(s->budgets);
    balances_free(s->balances);
    free(s);
    return 0;
}

// ------------------------------------------------------------------- breakers

static void call(struct worker *w, struct breakers_loop *l, enum breaker_outcome outcome) {
    struct breaker_ticket t;
    switch (breaker_admit(l, SLICE("p/m"), &figures, tick(), &t)) {
    case BREAKER_OPEN:
        w->refused++;
        return;
    case BREAKER_PROBE:
        w->probes++;
        break;
    case BREAKER_CLOSED:
        w->passed++;
        break;
    }
    if (!breaker_report(&t, outcome, 1, tick()) || breaker_report(&t, outcome, 1, tick()))
        abort();
}

static void *work_bad(void *arg) {
    struct worker *w = arg;
    struct breakers_loop *l = breakers_loop_new(w->shared->breakers);
    for (int i = 0; i < ROUNDS; i++)
        call(w, l, BREAKER_BAD);
    breakers_loop_free(l);
    return NULL;
}

static void *work_good(void *arg) {
    struct worker *w = arg;
    struct breakers_loop *l = breakers_loop_new(w->shared->breakers);
    for (int i = 0; i < ROUNDS; i++)
        call(w, l, BREAKER_GOOD);
    breakers_loop_free(l);
    return NULL;
}

static void look_at_breaker(void *arg, const struct breaker_view *view) {
    *(struct breaker_view *)arg = *view;
}

static void test_one_probe_an_interval(void **state) {
    struct shared *s = *state;
    struct breaker_view v = {0};
    int64_t start = atomic_load(&ticks);
    struct worker sum = run_all(s, work_bad);
    int64_t passed = atomic_load(&ticks) - start;
    assert_int_equal(sum.passed + sum.probes + sum.refused, THREADS * ROUNDS);
    // Those that were let through before it opened, and have not ended yet, are one
    // for each of the others.
    assert_in_range(sum.passed, FAILURES, FAILURES + THREADS - 1);
    assert_in_range(sum.probes, 1, passed / (OPEN_FOR * 9 / 10) + 1);
    breakers_visit(s->breakers, atomic_load(&ticks), look_at_breaker, &v);
    assert_int_not_equal(v.state, BREAKER_STATE_CLOSED);
    sum = run_all(s, work_good);
    assert_true(sum.probes > 0 && sum.passed > 0);
    breakers_visit(s->breakers, atomic_load(&ticks), look_at_breaker, &v);
    assert_int_equal(v.state, BREAKER_STATE_CLOSED);
}

// All that can be done, at once.
static void *work_mixed(void *arg) {
    struct worker *w = arg;
    struct breakers *b = w->shared->breakers;
    struct breakers_loop *l = breakers_loop_new(b);
    random_seed(300 + w->number);
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        struct breaker_ticket t;
        struct breaker_figures f = {(unsigned)random_below(4), 30 + (int64_t)random_below(3),
                                    1 + (int64_t)random_below(20), 0};
        struct slice n =
            slice_make(name, (size_t)snprintf(name, sizeof name, "p/m%d", (int)random_below(6000)));
        if (random_below(2) == 0)
            n = SLICE("p/m0");
        enum breaker_verdict v = breaker_admit(l, n, &f, tick(), &t);
        if (random_below(4) == 0)
            breaker_answered(&t, 1, tick());
        if (breaker_report(&t, (enum breaker_outcome)random_below(3), 1, tick()) !=
            (v != BREAKER_OPEN && f.failures > 0))
            abort();
        if (random_below(200) == 0)
            (void)breakers_reset(b, n, tick());
        if (random_below(1000) == 0)
            breakers_declare(b, n);
        if (random_below(5000) == 0)
            breakers_publish(b);
    }
    breakers_loop_free(l);
    return NULL;
}

struct tally {
    int64_t names;
};

static void count_breaker(void *arg, const struct breaker_view *view) {
    struct tally *t = arg;
    t->names++;
    if (view->state > BREAKER_STATE_OPEN || view->failures > view->calls)
        abort();
}

static void test_everything_at_once(void **state) {
    struct shared *s = *state;
    struct tally t = {0};
    (void)run_all(s, work_mixed);
    breakers_visit(s->breakers, atomic_load(&ticks), count_breaker, &t);
    // Declared ones come on top, at most as many as were.
    assert_in_range(t.names, BREAKER_NAMES_MAX, 6001);
    assert_true(breakers_reset(s->breakers, SLICE("p/m0"), atomic_load(&ticks)));
}

// -------------------------------------------------------------------- budgets

static void *work_retries(void *arg) {
    struct worker *w = arg;
    struct retry_budgets_loop *l = retry_budgets_loop_new(w->shared->budgets);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 10 == 0)
            retry_budget_note_good(l, SLICE("p"), 20, tick());
        if (i % 100 == 0)
            retry_budget_note_client_retry(l, SLICE("p"), tick());
        w->taken += retry_budget_take(l, SLICE("p"), 20, tick());
    }
    retry_budgets_loop_free(l);
    return NULL;
}

static void look_at_budget(void *arg, const struct retry_budget_view *view) {
    *(struct retry_budget_view *)arg = *view;
}

static void test_no_retry_too_many(void **state) {
    struct shared *s = *state;
    struct retry_budget_view v = {0};
    int64_t start = atomic_load(&ticks);
    struct worker sum = run_all(s, work_retries);
    int64_t end = atomic_load(&ticks);
    retry_budgets_visit(s->budgets, end, look_at_budget, &v);
    assert_int_equal(v.retries, sum.taken);
    assert_int_equal(v.retries + v.denied, THREADS * ROUNDS);
    assert_int_equal(v.client_retries, THREADS * ROUNDS / 100);
    int64_t earned = THREADS * ROUNDS / 10 / 5, floor = 3 + (end - start) / 1000 + 2;
    assert_in_range(sum.taken, 1, earned + floor);
}

// -------------------------------------------------------------------- balance

static void *work_balance(void *arg) {
    struct worker *w = arg;
    struct balance_loop *l = balance_loop_new(w->shared->balances);
    const struct balance_candidate models[] = {
        {SLICE("p/a"), 1, false}, {SLICE("p/b"), 2, false}, {SLICE("p/c"), 3, false}};
    struct balance_ticket running[8] = {0};
    random_seed(500 + w->number);
    for (int i = 0; i < ROUNDS; i++) {
        struct balance_ticket *t = &running[random_below(FARTHING_COUNT(running))];
        size_t order[FARTHING_COUNT(models)];
        balance_end(t);
        (void)balance_order(l, (enum config_balance)random_below(4), models, FARTHING_COUNT(models),
                            random_below(2) * random_u64(), random_u64(), tick(), order);
        balance_begin(l, models[order[0]].name, t);
        balance_note(t, (int64_t)random_below(100), tick());
    }
    for (size_t i = 0; i < FARTHING_COUNT(running); i++)
        balance_end(&running[i]);
    balance_loop_free(l);
    return NULL;
}

static void look_at_model(void *arg, const struct balance_view *view) {
    struct tally *t = arg;
    t->names++;
    assert_int_equal(view->inflight, 0);
    assert_in_range(view->latency_us, 0, 99000);
}

static void test_balance(void **state) {
    struct shared *s = *state;
    struct tally t = {0};
    (void)run_all(s, work_balance);
    balances_visit(s->balances, atomic_load(&ticks), look_at_model, &t);
    assert_int_equal(t.names, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_one_probe_an_interval),
        TEST(test_everything_at_once),
        TEST(test_no_retry_too_many),
        TEST(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
