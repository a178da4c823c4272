// Four loops on budgets of all kinds at once, with users and runs that are
// invented, an operator, reloads of other shapes and somebody who looks on: nothing
// is overspent at any instant that can be sampled, and everything adds up.
#include "budget_scene.h"
#include "budget_workers.h"

#define AMOUNT (USD / 100)

static atomic_bool overspent;

static const char *const bodies[] = {
    "budget \"all\" { amount = \"0.01 usd\" window = \"1mo\" warn_at = {\"10%\", \"90%\"} }\n"
    "budget \"u\" { amount = \"0.002 usd\" window = \"1d\" per = \"user\" }\n"
    "budget \"s\" { amount = \"0.009 usd\" window = \"1d\" sliding = true }\n"
    "budget \"x\" { amount = \"1 usd\" window = \"1h\" }",
    "budget \"all\" { amount = \"0.01 usd\" window = \"1mo\" warn_at = {\"10%\", \"90%\"} }\n"
    "budget \"u\" { amount = \"0.002 usd\" window = \"1w\" per = \"user\" }\n"
    "budget \"s\" { amount = \"0.009 usd\" window = \"1w\" }\n"
    "budget \"x\" { amount = \"1 usd\" window = \"1d\" timezone = \"Europe/Berlin\" }",
};

// The operator's budget is "x"; all others keep what they promise.
static void check_view(void *arg, const struct budget_view *v) {
    (void)arg;
    bool over = v->spent + v->reserved > v->amount;
    if (v->spent < 0 || v->reserved < 0 || (over && !slice_equal(v->budget, SLICE("x"))))
        atomic_store(&overspent, true);
}

static void *look_on(void *arg) {
    while (atomic_load(&budget_workers_running) > 0) {
        budgets_visit(arg, check_view, NULL);
        budgets_publish(arg);
    }
    return NULL;
}

static void *operate(void *arg) {
    const struct budget_name x = {SLICE("acme"), SLICE("x"), {NULL, 0}};
    const struct budget_name user = {SLICE("acme"), SLICE("u"), SLICE("u1")};
    struct error err;
    for (unsigned i = 0; atomic_load(&budget_workers_running) > 0; i++) {
        bool ok = i % 4 == 0   ? budget_top_up(arg, &x, 1000, &err)
                  : i % 4 == 1 ? budget_reset(arg, &x, &err)
                  : i % 4 == 2 ? budget_freeze(arg, &user, i % 8 == 2, &err)
                               : budget_top_up(arg, &user, 0, &err);
        if (!ok)
            abort();
        sched_yield();
    }
    return NULL;
}

static struct budget_ask ask_of(const struct budget_worker *w, int round,
                                struct budget_ask_texts *texts) {
    snprintf(texts->user, sizeof texts->user, "u%u", (unsigned)random_below(20));
    snprintf(texts->run, sizeof texts->run, "r%u-%d", w->number, round);
    struct budget_ask ask = {.scope = {.tenant = SLICE("acme"),
                                       .user = slice_of(texts->user),
                                       .run = slice_of(texts->run),
                                       .run_amount = CONFIG_UNSET},
                             // Fewer rounds with a store: each asks for more, so that it runs out.
                            .worst = (config_pico)random_below((uint64_t)AMOUNT /
                                                               (w->store != NULL ? 12 : 100))};
    if (random_below(2) == 0)
        ask.scope.run_amount = AMOUNT / 100;
    return ask;
}

static const struct budget_work work = {.rounds = 6000, .held = 8, .seed = 300, .ask = ask_of};

struct sums {
    config_pico all, users;
};

static void on_final(void *arg, const struct budget_view *v) {
    struct sums *sums = arg;
    assert_int_equal(v->reserved, 0);
    assert_int_equal(v->overrun, 0);
    if (slice_equal(v->budget, SLICE("all")))
        sums->all += v->spent;
    if (slice_equal(v->budget, SLICE("u")))
        sums->users += v->spent;
}

static config_pico run_all(struct budgets *b, struct store *store) {
    struct budget_worker w[WORKERS];
    const struct config *configs[] = {scene_config(bodies[0], ""), scene_config(bodies[1], "")};
    pthread_t other[2];
    budgets_configure(b, configs[0]);
    atomic_store(&budget_workers_running, WORKERS);
    pthread_create(&other[0], NULL, look_on, b);
    pthread_create(&other[1], NULL, operate, b);
    budget_workers_start(w, &work, b, store);
    for (int i = 1; i <= 20; i++)
        budgets_configure(b, configs[i % 2]); // ends with the first
    config_pico settled = budget_workers_join(w);
    pthread_join(other[0], NULL);
    pthread_join(other[1], NULL);
    assert_false(atomic_load(&overspent));
    config_unref(configs[0]);
    config_unref(configs[1]);
    return settled;
}

static void assert_adds_up(struct budgets *b, config_pico settled) {
    struct sums sums = {0};
    budgets_visit(b, on_final, &sums);
    assert_int_equal(sums.all, settled);
    assert_int_equal(sums.users, settled);
}

static void test_in_memory(void **state) {
    (void)state;
    struct error err;
    at(NOON_MS); // no window ends meanwhile
    struct budgets *b = budgets_open(NULL, &err);
    assert_adds_up(b, run_all(b, NULL));
    budgets_close(b);
    clock_thaw();
}

static void test_with_a_store(void **state) {
    struct budget_scene *s = *state;
    open_scene(s, "");
    config_pico settled = run_all(s->budgets, s->store);
    assert_adds_up(s->budgets, settled);
    reopen_scene(s, bodies[0]);
    assert_adds_up(s->budgets, settled); // to the last unit
    close_scene(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_memory),
        cmocka_unit_test_setup_teardown(test_with_a_store, set_up_directory, tear_down_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
