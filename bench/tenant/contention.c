// What a request pays for limits and budgets, and what two loops lose when all
// their requests are one tenant's.
//
// A request here is admit, reserve, settle tokens, settle money, release: with
// two budgets and all three limits, none of which refuses. Between requests a
// loop does other work for as long as is said (a proxied request costs 20 us and
// more). "loss" compares two threads on one tenant with two threads on a tenant
// each: same processors, same work, no sharing.
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "farthing/budget.h"
#include "farthing/limits.h"

enum { ROUND_MS = 700, ROUNDS = 3, THREADS_MAX = 2 };

static const char *const names[THREADS_MAX] = {"acme", "umbra"};

struct worker {
    pthread_t thread;
    struct limits *limits;
    struct budgets *budgets;
    const char *tenant;
    unsigned work_ns;
    int64_t done;
};

static atomic_bool go, stop;

static const struct config *load(void) {
    struct buffer text = {0}, messages = {0};
    buffer_printf(&text,
                  "provider \"p\" { dialect = \"openai\" base_url = \"http://127.0.0.1:1/v1\" }\n"
                  "model \"p/m\" { input_price = \"1 usd\" output_price = \"1 usd\" }\n"
                  "tier \"t\" { models = {\"p/m\"} }\n");
    for (unsigned i = 0; i < THREADS_MAX; i++)
        buffer_printf(&text,
                      "tenant \"%s\" { keys = {\"sha256:%064u\"} concurrency = 1000 queue = 10\n"
                      "requests = \"1000000000/min\" tokens = \"1000000000000/min\"\n"
                      "budget \"d\" { amount = \"5000000 usd\" window = \"1d\" }\n"
                      "budget \"f\" { amount = \"5000000 usd\" feature = \"chat_*\" } }\n",
                      names[i], i + 1);
    const struct config *c = config_load_text(buffer_slice(&text), "bench", &messages);
    if (c == NULL) {
        fprintf(stderr, "%.*s", SLICE_ARG(buffer_slice(&messages)));
        exit(1);
    }
    buffer_free(&text);
    buffer_free(&messages);
    return c;
}

static void other_work(unsigned ns) {
    uint64_t until = clock_mono_ns() + ns;
    while (ns > 0 && clock_mono_ns() < until)
        continue;
}

static void request(struct worker *w, struct limits_loop *ll, struct budgets_loop *bl) {
    struct limits_ticket ticket = {0};
    struct budget_reservation money = {0};
    struct budget_refusal refusal;
    struct limits_ask ask = {slice_of(w->tenant), 1000, 0};
    const struct budget_ask cost = {
        .scope = {.tenant = slice_of(w->tenant),
                  .feature = SLICE("chat_help"),
                  .run_amount = CONFIG_UNSET},
        .worst = 5000,
    };
    if (limits_admit(ll, &ticket, &ask, NULL, NULL) != LIMITS_GRANTED ||
        budget_reserve(bl, &money, &cost, NULL, NULL, &refusal) != BUDGET_GRANTED)
        abort();
    other_work(w->work_ns);
    limits_settle(&ticket, 800);
    budget_settle(bl, &money, 3000, NULL);
    limits_release(&ticket);
}

static void *run(void *arg) {
    struct worker *w = arg;
    struct event_base *loop = event_base_new();
    struct limits_loop *ll = limits_loop_new(w->limits, loop);
    struct budgets_loop *bl = budgets_loop_new(w->budgets, loop, NULL);
    while (!atomic_load(&go))
        continue;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        request(w, ll, bl);
        w->done++;
    }
    limits_loop_free(ll);
    budgets_loop_free(bl);
    event_base_free(loop);
    return NULL;
}

// Requests a second of all threads together.
static double measure(struct limits *l, struct budgets *b, unsigned threads, unsigned tenants,
                      unsigned work_ns) {
    struct worker w[THREADS_MAX] = {0};
    struct timespec pause = {0, ROUND_MS * 1000000L};
    atomic_store(&go, false);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < threads; i++) {
        w[i] = (struct worker){
            .limits = l, .budgets = b, .tenant = names[i % tenants], .work_ns = work_ns};
        pthread_create(&w[i].thread, NULL, run, &w[i]);
    }
    uint64_t start = clock_mono_ns();
    atomic_store(&go, true);
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    uint64_t took = clock_mono_ns() - start;
    int64_t done = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        done += w[i].done;
    }
    return (double)done * 1e9 / (double)took;
}

static double best(struct limits *l, struct budgets *b, unsigned threads, unsigned tenants,
                   unsigned work_ns) {
    double most = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double now = measure(l, b, threads, tenants, work_ns);
        most = now > most ? now : most;
    }
    return most;
}

int main(void) {
    static const unsigned works[] = {0, 1000, 5000, 20000};
    struct error err;
    const struct config *c = load();
    struct limits *l = limits_new();
    struct budgets *b = budgets_open(NULL, &err);
    limits_configure(l, c);
    budgets_configure(b, c);
    printf("%-10s %14s %18s %18s %8s\n", "work ns", "1 thread /s", "2 threads, own /s",
           "2 threads, one /s", "loss");
    for (size_t i = 0; i < FARTHING_COUNT(works); i++) {
        double one = best(l, b, 1, 1, works[i]);
        double own = best(l, b, 2, 2, works[i]);
        double shared = best(l, b, 2, 1, works[i]);
        printf("%-10u %14.0f %18.0f %18.0f %7.1f%%\n", works[i], one, own, shared,
               100 * (1 - shared / own));
        if (works[i] == 0)
            printf("           (%.0f ns a request)\n", 1e9 / one);
    }
    budgets_close(b);
    limits_free(l);
    config_unref(c);
    return 0;
}
