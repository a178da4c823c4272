// Four loops on one tenant: nothing is overspent at any instant that can be
// sampled, everything adds up at the end, and nobody holds a place too many.
#include "budget_workers.h"
#include "farthing/limits.h"
#include "../support/directory.h"

enum { GUESTS = 3000 };
// Small enough that most rounds meet the end of it.
#define AMOUNT (USD / 1000)

static atomic_bool overspent;

// --------------------------------------------------------------------- budgets

static void check_view(void *arg, const struct budget_view *v) {
    (void)arg;
    if (v->spent + v->reserved > v->amount || v->spent < 0 || v->reserved < 0)
        atomic_store(&overspent, true);
}

static void *sample(void *arg) {
    while (atomic_load(&budget_workers_running) > 0)
        budgets_visit(arg, check_view, NULL);
    return NULL;
}

static struct budget_ask ask_of(const struct budget_worker *w, int round,
                                struct budget_ask_texts *texts) {
    (void)w, (void)round, (void)texts;
    return (struct budget_ask){
        .scope = {.tenant = SLICE("acme"),
                  .feature = random_below(2) ? SLICE("x1") : SLICE("y"),
                  .run_amount = CONFIG_UNSET},
        .worst = (config_pico)random_below((uint64_t)AMOUNT / 40),
    };
}

static const struct budget_work work = {.rounds = 20000, .held = 16, .seed = 100, .ask = ask_of};

static void on_final(void *arg, const struct budget_view *v) {
    config_pico *settled = arg;
    assert_int_equal(v->reserved, 0);
    if (slice_equal(v->budget, SLICE("all")))
        assert_int_equal(v->spent, *settled);
    else
        assert_true(v->spent <= *settled);
    assert_int_equal(v->overrun, 0);
}

static config_pico spend_all(struct budgets *b, struct store *store, const struct config *c) {
    struct budget_worker w[WORKERS];
    pthread_t sampler;
    atomic_store(&budget_workers_running, WORKERS);
    pthread_create(&sampler, NULL, sample, b);
    budget_workers_start(w, &work, b, store);
    for (int i = 0; i < 50; i++)
        budgets_configure(b, c); // reloads meanwhile
    config_pico settled = budget_workers_join(w);
    pthread_join(sampler, NULL);
    assert_false(atomic_load(&overspent));
    return settled;
}

static struct budgets *open_budgets(struct store *store, const struct config *c) {
    struct error err;
    struct budgets *b = budgets_open(store, &err);
    if (b == NULL)
        fail_msg("%s", err.text);
    budgets_configure(b, c);
    return b;
}

static const struct config *budgets_config(void) {
    return scene_config("budget \"all\" { amount = \"0.001 usd\" window = \"1mo\" }\n"
                        "budget \"x\" { amount = \"0.0006 usd\" feature = \"x*\" }",
                        "");
}

static void test_nothing_is_overspent(void **state) {
    (void)state;
    const struct config *c = budgets_config();
    struct budgets *b = open_budgets(NULL, c);
    config_pico settled = spend_all(b, NULL, c);
    budgets_visit(b, on_final, &settled);
    // All that could be bought was: less is left than the largest reservation.
    assert_true(settled > AMOUNT - AMOUNT / 40);
    config_unref(c);
    budgets_close(b);
}

static struct store *open_store(const char *directory) {
    struct error err;
    struct store *s = store_open(&(struct store_options){directory, 1 << 20}, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

static void test_nothing_is_overspent_or_lost_with_a_store(void **state) {
    (void)state;
    char directory[] = "/tmp/farthing-budgets-XXXXXX";
    assert_non_null(mkdtemp(directory));
    const struct config *c = budgets_config();
    struct store *s = open_store(directory);
    struct budgets *b = open_budgets(s, c);
    config_pico settled = spend_all(b, s, c);
    budgets_visit(b, on_final, &settled);
    budgets_close(b);
    store_close(s);
    s = open_store(directory);
    b = open_budgets(s, c);
    budgets_visit(b, on_final, &settled); // to the last unit
    budgets_close(b);
    store_close(s);
    config_unref(c);
    directory_remove(directory);
}

// ---------------------------------------------------------------------- limits

enum { PLACES = 3 };
static atomic_int inside, most_inside;

struct visitor {
    pthread_t thread;
    struct limits *limits;
    unsigned number;
    int64_t granted, refused;
};

struct guest {
    struct limits_ticket ticket;
    struct visitor *visitor;
    bool told;
};

static void come_in(struct guest *g) {
    int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        continue;
    g->visitor->granted++;
}

static void go(struct guest *g) {
    atomic_fetch_sub(&inside, 1); // before the place is somebody else's
    if (!limits_release(&g->ticket))
        abort();
}

static void on_done(void *arg, enum limits_verdict verdict) {
    struct guest *g = arg;
    g->told = true;
    if (verdict != LIMITS_GRANTED)
        abort(); // nobody's patience ends here
    come_in(g);
    go(g);
}

static void visit_once(struct limits_loop *l, struct event_base *loop, struct guest *g) {
    struct limits_ask ask = {.tenant = SLICE("acme"), .tokens = 10};
    enum limits_verdict verdict = limits_admit(l, &g->ticket, &ask, on_done, g);
    if (verdict == LIMITS_REFUSED) {
        g->visitor->refused++;
    } else if (verdict == LIMITS_GRANTED) {
        come_in(g);
        event_base_loop(loop, EVLOOP_NONBLOCK);
        go(g);
    } else if (random_below(3) == 0) { // the client leaves
        if (g->ticket.state == LIMITS_WAITING && !limits_release(&g->ticket))
            abort();
    } else {
        while (!g->told)
            event_base_loop(loop, EVLOOP_ONCE);
    }
}

static void *visit(void *arg) {
    struct visitor *v = arg;
    struct event_base *loop = event_base_new();
    struct limits_loop *l = limits_loop_new(v->limits, loop);
    random_seed(200 + v->number);
    for (int i = 0; i < GUESTS; i++) {
        struct guest g = {.visitor = v};
        visit_once(l, loop, &g);
    }
    limits_loop_free(l);
    event_base_free(loop);
    return NULL;
}

static void on_view(void *arg, const struct limits_view *v) {
    (void)arg;
    assert_int_equal(v->running, 0);
    assert_int_equal(v->queued, 0);
    if (slice_equal(v->name, SLICE("acme")))
        assert_int_equal(v->tokens.remaining, v->tokens.limit); // all went back
}

static void test_no_place_too_many(void **state) {
    (void)state;
    struct limits *l = limits_new();
    const struct config *c = scene_config("concurrency = 3 queue = 100 queue_timeout = \"1h\" "
                                          "tokens = \"1000000/min\"",
                                          "");
    limits_configure(l, c);
    struct visitor v[WORKERS] = {0};
    for (unsigned i = 0; i < WORKERS; i++) {
        v[i] = (struct visitor){.limits = l, .number = i};
        pthread_create(&v[i].thread, NULL, visit, &v[i]);
    }
    int64_t granted = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(v[i].thread, NULL);
        granted += v[i].granted;
    }
    assert_true(granted > 0);
    assert_int_equal(atomic_load(&inside), 0);
    assert_true(atomic_load(&most_inside) <= PLACES);
    limits_visit(l, on_view, NULL);
    config_unref(c);
    limits_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_overspent),
        cmocka_unit_test(test_nothing_is_overspent_or_lost_with_a_store),
        cmocka_unit_test(test_no_place_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
