// Four loops on one tenant: nothing is overspent at any instant that can be
// sampled, everything adds up at the end, and nobody holds a place too many.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "farthing/budget.h"
#include "farthing/limits.h"
#include "farthing/store.h"
#include "scene.h"

enum { THREADS = 4, HELD = 16, ROUNDS = 20000, GUESTS = 3000 };
// Small enough that most rounds meet the end of it.
#define AMOUNT (USD / 1000)

struct worker {
    pthread_t thread;
    struct budgets *budgets;
    struct limits *limits;
    struct store *store;
    unsigned number;
    int64_t settled, granted, refused;
};

static atomic_bool overspent;
static atomic_int running_workers;

// --------------------------------------------------------------------- budgets

static void check_view(void *arg, const struct budget_view *v) {
    (void)arg;
    if (v->spent + v->reserved > v->amount || v->spent < 0 || v->reserved < 0)
        atomic_store(&overspent, true);
}

static void *sample(void *arg) {
    while (atomic_load(&running_workers) > 0)
        budgets_visit(arg, check_view, NULL);
    return NULL;
}

static void end_one(struct budgets_loop *l, struct worker *w, struct budget_reservation *r) {
    if (r->state != BUDGET_HELD && r->state != BUDGET_WAITING)
        return;
    config_pico cost = (config_pico)random_below((uint64_t)r->amount / 8 + 1);
    if (random_below(4) == 0) {
        if (!budget_release(l, r))
            abort();
    } else {
        w->settled += cost;
        if (!budget_settle(l, r, cost, NULL))
            abort();
    }
}

static void on_ready(void *arg) {
    struct budget_reservation *r = arg;
    if (r->state != BUDGET_HELD)
        abort();
}

static void *spend(void *arg) {
    struct worker *w = arg;
    struct event_base *loop = event_base_new();
    struct store_client *client = w->store != NULL ? store_client_new(w->store, loop) : NULL;
    struct budgets_loop *l = budgets_loop_new(w->budgets, loop, client);
    struct budget_reservation held[HELD] = {0};
    random_seed(100 + w->number);
    for (int i = 0; i < (client != NULL ? ROUNDS / 8 : ROUNDS); i++) {
        struct budget_reservation *r = &held[random_below(HELD)];
        struct budget_refusal refusal;
        const struct budget_ask ask = {
            .scope = {.tenant = SLICE("acme"),
                      .feature = random_below(2) ? SLICE("x1") : SLICE("y"),
                      .run_amount = CONFIG_UNSET},
            .worst = (config_pico)random_below((uint64_t)AMOUNT / 40),
        };
        end_one(l, w, r);
        if (budget_reserve(l, r, &ask, on_ready, r, &refusal) != BUDGET_REFUSED)
            w->granted++;
        else
            w->refused++;
        if (random_below(4) == 0)
            event_base_loop(loop, EVLOOP_NONBLOCK);
    }
    for (size_t i = 0; i < HELD; i++)
        end_one(l, w, &held[i]);
    budgets_loop_free(l);
    store_client_free(client);
    event_base_free(loop);
    atomic_fetch_sub(&running_workers, 1);
    return NULL;
}

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
    struct worker w[THREADS] = {0};
    pthread_t sampler;
    atomic_store(&running_workers, THREADS);
    pthread_create(&sampler, NULL, sample, b);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.budgets = b, .store = store, .number = i};
        pthread_create(&w[i].thread, NULL, spend, &w[i]);
    }
    for (int i = 0; i < 50; i++)
        budgets_configure(b, c); // reloads meanwhile
    config_pico settled = 0;
    int64_t granted = 0, refused = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        settled += w[i].settled;
        granted += w[i].granted;
        refused += w[i].refused;
    }
    pthread_join(sampler, NULL);
    assert_false(atomic_load(&overspent));
    assert_true(granted > 0 && refused > 0);
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
    char directory[] = "/tmp/farthing-budgets-XXXXXX", file[64];
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
    snprintf(file, sizeof file, "%s/farthing.db", directory);
    unlink(file);
    rmdir(directory);
}

// ---------------------------------------------------------------------- limits

enum { PLACES = 3 };
static atomic_int inside, most_inside;

struct guest {
    struct limits_ticket ticket;
    struct worker *worker;
    bool told;
};

static void come_in(struct guest *g) {
    int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        continue;
    g->worker->granted++;
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
        g->worker->refused++;
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
    struct worker *w = arg;
    struct event_base *loop = event_base_new();
    struct limits_loop *l = limits_loop_new(w->limits, loop);
    random_seed(200 + w->number);
    for (int i = 0; i < GUESTS; i++) {
        struct guest g = {.worker = w};
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
    struct worker w[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.limits = l, .number = i};
        pthread_create(&w[i].thread, NULL, visit, &w[i]);
    }
    int64_t granted = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        granted += w[i].granted;
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
