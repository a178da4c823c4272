// A storm: three instances with two loops each on one budget, and one that is killed
// amid it. Whatever they do at once, they never spend more than there is, and at the end
// the shared store has counted exactly what they spent.
#include "budget_share_scene.h"
// After it: cmocka's.
#include <pthread.h>
#include <stdatomic.h>

enum { LOOPS = 2, ROUNDS = 400, HELD = 6 };

#define BODY                                                                                       \
    "budget \"all\" { amount = \"0.02 usd\" window = \"total\" }"                                  \
    "budget \"day\" { amount = \"5 usd\" window = \"1d\" }"
#define WORST_MAX (USD / 2000)

static _Atomic int64_t storm_held, storm_highest; // settled, and reserved as granted

struct storm_loop {
    pthread_t thread;
    struct budget_scene *instance;
    unsigned number;
    int64_t settled, granted, refused;
    bool falls_silent; // and keeps what it holds
};

static void note(int64_t more) {
    int64_t now = atomic_fetch_add(&storm_held, more) + more, high = atomic_load(&storm_highest);
    while (now > high && !atomic_compare_exchange_weak(&storm_highest, &high, now))
        continue;
}

struct storm_hold {
    struct budget_reservation r;
    struct storm_loop *w;
};

static void on_storm_ready(void *arg, enum budget_verdict verdict,
                           const struct budget_refusal *refusal) {
    struct storm_hold *h = arg;
    if (refusal != NULL && refusal->unavailable)
        abort();
    h->w->granted += verdict == BUDGET_GRANTED;
    h->w->refused += verdict == BUDGET_REFUSED;
    if (verdict == BUDGET_GRANTED)
        note(h->r.amount);
}

static void end_one(struct budgets_loop *l, struct storm_hold *h) {
    if (h->r.state != BUDGET_HELD)
        return;
    int64_t cost = (int64_t)random_below((uint64_t)h->r.amount + 1);
    bool given_back = random_below(4) == 0;
    cost = given_back ? 0 : cost;
    h->w->settled += cost;
    note(cost - h->r.amount);
    if (!(given_back ? budget_release(l, &h->r) : budget_settle(l, &h->r, cost, NULL)))
        abort();
}

static void begin_one(struct budgets_loop *l, struct storm_hold *h) {
    const struct budget_ask ask = {.scope = SCOPE(.tenant = SLICE("acme")),
                                   .worst = (int64_t)random_below(WORST_MAX) + 1};
    struct budget_refusal refusal;
    enum budget_verdict verdict = budget_reserve(l, &h->r, &ask, on_storm_ready, h, &refusal);
    if (verdict != BUDGET_WAIT)
        on_storm_ready(h, verdict, verdict == BUDGET_REFUSED ? &refusal : NULL);
}

static void *storm(void *arg) {
    struct storm_loop *w = arg;
    struct event_base *loop = event_base_new();
    struct store_client *client = store_client_new(w->instance->store, loop);
    struct budgets_loop *l = budgets_loop_new(w->instance->budgets, loop, client);
    struct storm_hold held[HELD] = {0};
    random_seed(7 + w->number);
    for (int i = 0; i < ROUNDS; i++) {
        struct storm_hold *h = &held[random_below(HELD)];
        h->w = w;
        end_one(l, h);
        if (h->r.state == BUDGET_WAITING)
            event_base_loop(loop, EVLOOP_ONCE);
        else
            begin_one(l, h);
        if (random_below(16) == 0)
            budget_share_beat(l);
        event_base_loop(loop, EVLOOP_NONBLOCK);
    }
    for (size_t i = 0; i < HELD; i++) {
        while (held[i].r.state == BUDGET_WAITING)
            event_base_loop(loop, EVLOOP_ONCE);
        if (!w->falls_silent)
            end_one(l, &held[i]);
    }
    budgets_loop_free(l);
    store_client_free(client);
    event_base_free(loop);
    return NULL;
}

static int64_t run_storm(struct share_scene *s, unsigned instances, unsigned silent) {
    struct storm_loop loops[INSTANCES * LOOPS] = {0};
    int64_t settled = 0, granted = 0, refused = 0;
    for (unsigned i = 0; i < instances * LOOPS; i++) {
        loops[i] = (struct storm_loop){.instance = &s->instances[i / LOOPS],
                                       .number = i,
                                       .falls_silent = i / LOOPS == silent};
        pthread_create(&loops[i].thread, NULL, storm, &loops[i]);
    }
    for (unsigned i = 0; i < instances * LOOPS; i++) {
        pthread_join(loops[i].thread, NULL);
        settled += loops[i].settled;
        refused += loops[i].refused;
        granted += loops[i].granted;
    }
    assert_true(granted > 0 && refused > 0); // they met its end
    return settled;
}

static void open_all(struct share_scene *s) {
    atomic_store(&storm_held, 0);
    atomic_store(&storm_highest, 0);
    for (unsigned n = 0; n < INSTANCES; n++)
        (void)instance(s, n, BODY);
}

static void test_never_more_than_there_is(void **state) {
    struct share_scene *s = *state;
    open_all(s);
    int64_t settled = run_storm(s, INSTANCES, INSTANCES);
    assert_true(atomic_load(&storm_highest) <= USD / 50);
    assert_true(settled > USD / 100);
    assert_int_equal(atomic_load(&storm_held), settled);
    for (unsigned n = 0; n < INSTANCES; n++)
        give_back(&s->instances[n]);
    for (unsigned n = 0; n < INSTANCES; n++) {
        beat(&s->instances[n]);
        assert_int_equal(view_of(&s->instances[n], "all", "").spent, settled);
        assert_int_equal(view_of(&s->instances[n], "day", "").spent, settled);
        assert_int_equal(view_of(&s->instances[n], "all", "").reserved, 0);
    }
    assert_int_equal(s->told_count, 0);
}

// What it held when it died counts as spent, and nothing else does.
static void test_one_is_killed(void **state) {
    struct share_scene *s = *state;
    open_all(s);
    for (unsigned n = 0; n < INSTANCES; n++)
        s->instances[n].budgets->share.term_ms = 3000;
    struct budget_reservation last = {0}; // it holds at least this
    assert_true(take(&s->instances[0], &last, NOBODY, WORST_MAX));
    note(WORST_MAX);
    int64_t settled = run_storm(s, INSTANCES, 0);
    int64_t held = atomic_load(&storm_held);
    assert_true(atomic_load(&storm_highest) <= USD / 50 && held >= settled);
    instance_kill(&s->instances[0]);
    for (unsigned n = 0; n < PATIENT_MS && s->told_count == 0; n++) {
        give_back(&s->instances[1]);
        give_back(&s->instances[2]);
        usleep(1000);
    }
    assert_int_equal(s->told_count, 1);
    beat(&s->instances[1]);
    struct budget_view view = view_of(&s->instances[1], "all", "");
    assert_true(view.spent >= held && view.spent <= USD / 50);
    assert_int_equal(view.recovered, s->told[0].recovered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHARE(test_never_more_than_there_is),
        SHARE(test_one_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
