// Three instances of two loops each at the same doors: passes of two names,
// clients that leave, rates that are settled, loops that end while others go on.
// No place too many over all, nobody told twice, and nothing is left held.
#include <pthread.h>
#include <stdatomic.h>

#include "limits_share_scene.h"

enum { LOOPS = 2, THREADS = INSTANCES_MAX * LOOPS, AT_ONCE = 4, TURNS = 60, PLACES = 4 };

struct worker {
    pthread_t thread;
    struct instance *instance;
    unsigned number;
    unsigned granted, refused, left;
};

struct visitor {
    struct limits_pass pass;
    struct worker *worker;
    bool waiting;
};

static atomic_int inside, most_inside;

static void come_in(struct visitor *g) {
    int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        continue;
    g->worker->granted++;
}

static void on_done(void *arg, enum limits_verdict verdict) {
    struct visitor *g = arg;
    if (!g->waiting)
        abort(); // told twice, or after he left
    g->waiting = false;
    if (verdict == LIMITS_GRANTED)
        come_in(g);
    else
        g->worker->refused++;
}

static void knock(struct limits_loop *l, struct visitor *g) {
    const struct limits_ask asks[] = {
        {.tenant = SLICE("acme"), .tokens = 10},
        {.tenant = SLICE("route:r"), .tokens = 10, .flow = SLICE("acme"), .weight = 1},
    };
    enum limits_verdict verdict =
        limits_pass_admit(l, &g->pass, asks, FARTHING_COUNT(asks), on_done, g);
    g->waiting = verdict == LIMITS_QUEUED;
    if (verdict == LIMITS_GRANTED)
        come_in(g);
    else if (verdict == LIMITS_REFUSED)
        g->worker->refused++;
}

static void end(struct visitor *g) {
    g->waiting = false;
    if (g->pass.state == LIMITS_HELD) {
        atomic_fetch_sub(&inside, 1); // before the place is somebody else's
        if (random_below(2) == 0)
            (void)limits_pass_settle(&g->pass, (int64_t)random_below(20));
    } else if (limits_pass_waiting(&g->pass)) {
        g->worker->left++;
    }
    (void)limits_pass_release(&g->pass);
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct event_base *loop = event_base_new();
    struct store_client *client = store_client_new(w->instance->store, loop);
    struct limits_loop *l = limits_loop_new(w->instance->limits, loop);
    struct visitor visitors[AT_ONCE] = {0};
    limits_loop_share(l, client);
    random_seed(900 + w->number);
    while (w->granted < TURNS) {
        struct visitor *g = &visitors[random_below(AT_ONCE)];
        g->worker = w;
        if (g->pass.state == LIMITS_HELD ||
            (limits_pass_waiting(&g->pass) && random_below(64) == 0))
            end(g);
        else if (!limits_pass_waiting(&g->pass))
            knock(l, g);
        event_base_loop(loop, EVLOOP_NONBLOCK);
        usleep(200);
    }
    for (size_t i = 0; i < AT_ONCE; i++)
        end(&visitors[i]);
    limits_loop_free(l);
    store_client_free(client);
    event_base_free(loop);
    return NULL;
}

static void check_empty(void *arg, const struct limits_view *v) {
    (void)arg;
    assert_int_equal(v->running, 0);
    assert_int_equal(v->queued, 0);
}

static struct worker run_all(struct servers *s, const struct config_limits *route) {
    struct worker w[THREADS] = {0}, sum = {0};
    struct config_limits acme = unlimited;
    acme.tokens_per_minute = 100000000;
    acme.requests_per_minute = 1000000;
    open_instances(s, INSTANCES_MAX);
    atomic_store(&inside, 0);
    atomic_store(&most_inside, 0);
    for (unsigned i = 0; i < INSTANCES_MAX; i++) {
        limits_set(s->instances[i].limits, SLICE("acme"), &acme);
        limits_set(s->instances[i].limits, SLICE("route:r"), route);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        w[i].instance = &s->instances[i % INSTANCES_MAX];
        w[i].number = i;
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        sum.granted += w[i].granted;
        sum.refused += w[i].refused;
        sum.left += w[i].left;
    }
    assert_int_equal(atomic_load(&inside), 0);
    for (unsigned i = 0; i < INSTANCES_MAX; i++)
        limits_visit(s->instances[i].limits, check_empty, NULL);
    return sum;
}

static void test_no_place_too_many(void **state) {
    struct config_limits route = unlimited;
    route.concurrency = PLACES;
    route.queue = 50;
    route.queue_timeout_ms = 60000;
    struct worker sum = run_all(*state, &route);
    assert_in_range(atomic_load(&most_inside), 1, PLACES);
    assert_true(sum.granted >= THREADS * TURNS && sum.left > 0);
}

static void test_without_a_queue(void **state) {
    struct config_limits route = unlimited;
    route.concurrency = PLACES;
    struct worker sum = run_all(*state, &route);
    assert_in_range(atomic_load(&most_inside), 1, PLACES);
    assert_true(sum.granted >= THREADS * TURNS && sum.refused > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVERS(test_no_place_too_many),
        SERVERS(test_without_a_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
