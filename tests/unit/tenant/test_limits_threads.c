// Four loops at the same doors: passes of two tenants through one route, clients
// that leave, reloads meanwhile. No place too many, nobody forgotten, nobody told
// twice, and everything adds up at the end.
#include <pthread.h>
#include <stdatomic.h>

#include "farthing/limits.h"
#include "scene.h"

enum { THREADS = 4, AT_ONCE = 6, ROUNDS = 4000, PLACES = 3 };

struct worker {
    pthread_t thread;
    struct limits *limits;
    unsigned number;
    int64_t granted, refused, left;
};

struct guest {
    struct limits_pass pass;
    struct worker *worker;
    bool waiting;
};

static atomic_int inside, most_inside, working;

static void come_in(struct guest *g) {
    int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        continue;
    g->worker->granted++;
}

static void on_done(void *arg, enum limits_verdict verdict) {
    struct guest *g = arg;
    if (!g->waiting)
        abort(); // told twice, or after he left
    g->waiting = false;
    if (verdict == LIMITS_GRANTED)
        come_in(g);
    else
        g->worker->refused++;
}

static void ask(struct limits_loop *l, struct guest *g) {
    struct slice tenant = g->worker->number % 2 == 0 ? SLICE("acme") : SLICE("umbra");
    const struct limits_ask asks[] = {
        {.tenant = tenant, .tokens = 10},
        {.tenant = SLICE("key:none"), .tokens = 10},
        {.tenant = SLICE("route:r"),
         .tokens = 10,
         .flow = tenant,
         .weight = 1 + 9 * (g->worker->number % 2)},
    };
    enum limits_verdict verdict =
        limits_pass_admit(l, &g->pass, asks, FARTHING_COUNT(asks), on_done, g);
    g->waiting = verdict == LIMITS_QUEUED;
    if (verdict == LIMITS_GRANTED)
        come_in(g);
    else if (verdict == LIMITS_REFUSED)
        g->worker->refused++;
}

static void end(struct guest *g) {
    g->waiting = false;
    if (g->pass.state == LIMITS_HELD) {
        atomic_fetch_sub(&inside, 1); // before the place is somebody else's
        if (random_below(2) == 0)
            (void)limits_pass_settle(&g->pass, (int64_t)random_below(10));
    } else if (limits_pass_waiting(&g->pass)) {
        g->worker->left++;
    }
    (void)limits_pass_release(&g->pass);
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct event_base *loop = event_base_new();
    struct limits_loop *l = limits_loop_new(w->limits, loop);
    struct guest guests[AT_ONCE] = {0};
    random_seed(400 + w->number);
    for (int i = 0; i < ROUNDS; i++) {
        struct guest *g = &guests[random_below(AT_ONCE)];
        g->worker = w;
        if (g->pass.state == LIMITS_HELD ||
            (limits_pass_waiting(&g->pass) && random_below(4) == 0))
            end(g);
        else if (!limits_pass_waiting(&g->pass))
            ask(l, g);
        event_base_loop(loop, EVLOOP_NONBLOCK);
    }
    for (size_t i = 0; i < AT_ONCE; i++)
        end(&guests[i]);
    limits_loop_free(l);
    event_base_free(loop);
    atomic_fetch_sub(&working, 1);
    return NULL;
}

static const struct config *file_with(const char *route) {
    struct buffer text = {0};
    buffer_printf(&text,
                  "provider \"p\" { dialect = \"openai\" base_url = \"http://127.0.0.1:1/v1\" }\n"
                  "model \"p/m\" { }\n"
                  "tier \"t\" { models = {\"p/m\"} }\n"
                  "route \"r\" { %s }\n"
                  "tenant \"acme\" { keys = {\"%s\"} concurrency = 6 queue = 2\n"
                  "                tokens = \"1000000/min\" }\n"
                  "tenant \"umbra\" { keys = {\"%s\"} priority = 10 }\n",
                  route, SCENE_KEY, SCENE_KEY_B);
    return scene_load(&text);
}

static void check_empty(void *arg, const struct limits_view *v) {
    (void)arg;
    assert_int_equal(v->running, 0);
    assert_int_equal(v->queued, 0);
}

// `other`: what the file says of the route every second time; NULL: one file only.
static struct worker run_all(const char *route, const char *other) {
    struct limits *l = limits_new();
    const struct config *files[] = {file_with(route), file_with(other != NULL ? other : route)};
    struct worker w[THREADS] = {0}, sum = {0};
    atomic_store(&most_inside, 0);
    atomic_store(&working, THREADS);
    limits_configure(l, files[0]);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.limits = l, .number = i};
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (unsigned i = 0; other != NULL && atomic_load(&working) > 0; i++)
        limits_configure(l, files[i % 2]);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        sum.granted += w[i].granted;
        sum.refused += w[i].refused;
        sum.left += w[i].left;
    }
    assert_int_equal(atomic_load(&inside), 0);
    limits_visit(l, check_empty, NULL);
    config_unref(files[0]);
    config_unref(files[1]);
    limits_free(l);
    return sum;
}

static void test_no_place_too_many(void **state) {
    (void)state;
    struct worker sum = run_all("concurrency = 3 queue = 2 queue_timeout = \"1h\"", NULL);
    assert_true(atomic_load(&most_inside) <= PLACES);
    // Even a loop that runs alone for a while asks for more than there is.
    assert_true(sum.granted > 0 && sum.refused > 0 && sum.left > 0);
}

static void test_reloads_meanwhile(void **state) {
    (void)state;
    struct worker sum = run_all("concurrency = 2 queue = 2 requests = \"1000000/min\"", "");
    assert_true(sum.granted > 0);
}

static void test_rates_meanwhile(void **state) {
    (void)state;
    struct worker sum = run_all("requests = \"500/min\" tokens = \"3000/min\"", NULL);
    assert_true(sum.granted > 0 && sum.refused > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_place_too_many),
        cmocka_unit_test(test_reloads_meanwhile),
        cmocka_unit_test(test_rates_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
