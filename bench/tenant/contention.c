// What a request pays for limits and budgets, and what two loops lose when all
// their requests are one tenant's.
//
// A request here is admit, reserve, settle tokens, settle money, release: with
// all three limits, none of which refuses, and the budgets that are said: two for
// all; the same with warnings and one of them sliding; or besides one for each
// user (of 1,000) and the run's own. Between requests a loop does other work for as
// long as is said (a proxied request costs 50 us and more). "loss" compares two
// threads on one tenant with two threads on a tenant each: same processors, same
// work, no sharing. Medians of rounds that take turns, and the least and the most. "by
// CPU" is what processor time alone says, which a busy machine disturbs less.
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "farthing/budget.h"
#include "farthing/limits.h"

enum { ROUND_MS = 250, ROUNDS = 9, THREADS_MAX = 2, USERS = 1000 };

static const struct kind {
    const char *name, *budgets;
    bool limits, scoped; // scoped: users and runs are said
} kinds[] = {
    {"budgets only: two",
     "budget \"d\" { amount = \"5000000 usd\" window = \"1d\" }\n"
     "budget \"f\" { amount = \"5000000 usd\" feature = \"chat_*\" }",
     false, false},
    {"limits and two budgets",
     "budget \"d\" { amount = \"5000000 usd\" window = \"1d\" }\n"
     "budget \"f\" { amount = \"5000000 usd\" feature = \"chat_*\" }",
     true, false},
    {"limits and two, warned, one sliding",
     "budget \"d\" { amount = \"5000000 usd\" window = \"1d\" sliding = true warn_at = {\"80%\"} "
     "}\n"
     "budget \"f\" { amount = \"5000000 usd\" feature = \"chat_*\" warn_at = {\"80%\"} }",
     true, false},
    {"limits, two, per user and run",
     "budget \"d\" { amount = \"5000000 usd\" window = \"1d\" }\n"
     "budget \"f\" { amount = \"5000000 usd\" feature = \"chat_*\" }\n"
     "budget \"u\" { amount = \"5000000 usd\" window = \"1d\" per = \"user\" }",
     true, true},
};

static const char *const names[THREADS_MAX] = {"acme", "umbra"};

struct worker {
    pthread_t thread;
    struct limits *limits;
    struct budgets *budgets;
    const struct kind *kind;
    const char *tenant;
    unsigned work_ns;
    int64_t done;
    double cpu_ns; // of all that it did
};

static atomic_bool go, stop;

static const struct config *load(const struct kind *kind) {
    struct buffer text = {0}, messages = {0};
    buffer_printf(&text,
                  "provider \"p\" { dialect = \"openai\" base_url = \"http://127.0.0.1:1/v1\" }\n"
                  "model \"p/m\" { input_price = \"1 usd\" output_price = \"1 usd\" }\n"
                  "tier \"t\" { models = {\"p/m\"} }\n");
    for (unsigned i = 0; i < THREADS_MAX; i++)
        buffer_printf(&text,
                      "tenant \"%s\" { keys = {\"sha256:%064u\"} concurrency = 1000 queue = 10\n"
                      "requests = \"1000000000/min\" tokens = \"1000000000000/min\"\n"
                      "%s }\n",
                      names[i], i + 1, kind->budgets);
    const struct config *c = config_load_text(buffer_slice(&text), "bench", &messages);
    if (c == NULL) {
        fprintf(stderr, "%.*s", SLICE_ARG(buffer_slice(&messages)));
        exit(1);
    }
    buffer_free(&text);
    buffer_free(&messages);
    return c;
}

// This thread's, which does not grow while others have the processor.
static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double turns_per_ns;

static void turn(unsigned turns) {
    for (volatile unsigned i = 0; i < turns; i++)
        continue;
}

// Counted out, not timed: on a busy machine time passes without work being done.
static void calibrate(void) {
    enum { TURNS = 20000000 };
    double start_ns = cpu_ns();
    turn(TURNS);
    turns_per_ns = TURNS / (cpu_ns() - start_ns);
}

static void other_work(unsigned ns) {
    turn((unsigned)(ns * turns_per_ns));
}

static char users[USERS][16], runs[USERS][16];

static void pay(struct worker *w, struct budgets_loop *bl) {
    struct budget_reservation money = {0};
    struct budget_refusal refusal;
    struct budget_ask cost = {
        .scope = {.tenant = slice_of(w->tenant),
                  .feature = SLICE("chat_help"),
                  .run_amount = CONFIG_UNSET},
        .worst = 5000,
    };
    if (w->kind->scoped) {
        cost.scope.user = slice_of(users[w->done % USERS]);
        cost.scope.run = slice_of(runs[w->done / 20 % USERS]);
        cost.scope.run_amount = INT64_MAX / 2;
    }
    if (budget_reserve(bl, &money, &cost, NULL, NULL, &refusal) != BUDGET_GRANTED)
        abort();
    other_work(w->work_ns);
    budget_settle(bl, &money, 3000, NULL);
}

static void request(struct worker *w, struct limits_loop *ll, struct budgets_loop *bl) {
    struct limits_ticket ticket = {0};
    struct limits_ask ask = {.tenant = slice_of(w->tenant), .tokens = 1000};
    if (!w->kind->limits) {
        pay(w, bl);
        return;
    }
    if (limits_admit(ll, &ticket, &ask, NULL, NULL) != LIMITS_GRANTED)
        abort();
    pay(w, bl);
    limits_settle(&ticket, 800);
    limits_release(&ticket);
}

static void *run(void *arg) {
    struct worker *w = arg;
    struct event_base *loop = event_base_new();
    struct limits_loop *ll = limits_loop_new(w->limits, loop);
    struct budgets_loop *bl = budgets_loop_new(w->budgets, loop, NULL);
    while (!atomic_load(&go))
        continue;
    double start_ns = cpu_ns();
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        request(w, ll, bl);
        w->done++;
    }
    w->cpu_ns = cpu_ns() - start_ns;
    limits_loop_free(ll);
    budgets_loop_free(bl);
    event_base_free(loop);
    return NULL;
}

struct bench {
    const struct kind *kind;
    struct limits *limits;
    struct budgets *budgets;
};

// Requests a second of all threads together; *cpu: of one request, in ns.
static double measure(const struct bench *b, unsigned threads, unsigned tenants, unsigned work_ns,
                      double *cpu) {
    struct worker w[THREADS_MAX] = {0};
    struct timespec pause = {0, ROUND_MS * 1000000L};
    atomic_store(&go, false);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < threads; i++) {
        w[i] = (struct worker){.limits = b->limits,
                               .budgets = b->budgets,
                               .kind = b->kind,
                               .tenant = names[i % tenants],
                               .work_ns = work_ns};
        pthread_create(&w[i].thread, NULL, run, &w[i]);
    }
    uint64_t start = clock_mono_ns();
    atomic_store(&go, true);
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    uint64_t took = clock_mono_ns() - start;
    int64_t done = 0;
    double all_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        done += w[i].done;
        all_ns += w[i].cpu_ns;
    }
    *cpu = all_ns / (double)done;
    return (double)done * 1e9 / (double)took;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double list[ROUNDS]) {
    qsort(list, ROUNDS, sizeof *list, by_size);
    return list[ROUNDS / 2];
}

// What is compared takes turns, so that a machine that becomes busy disturbs all alike.
static void print_work(const struct bench *b, unsigned work_ns) {
    double one[ROUNDS], own[ROUNDS], shared[ROUNDS], loss[ROUNDS], cpu_loss[ROUNDS];
    double cpu[ROUNDS], own_cpu[ROUNDS], shared_cpu[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        one[i] = measure(b, 1, 1, work_ns, &cpu[i]);
        own[i] = measure(b, 2, 2, work_ns, &own_cpu[i]);
        shared[i] = measure(b, 2, 1, work_ns, &shared_cpu[i]);
        loss[i] = 100 * (1 - shared[i] / own[i]);
        cpu_loss[i] = 100 * (1 - own_cpu[i] / shared_cpu[i]);
    }
    printf("%-10u %14.0f %18.0f %18.0f %7.1f%%", work_ns, median(one), median(own), median(shared),
           median(loss));
    printf(" (%6.1f to %5.1f) %8.1f%%\n", loss[0], loss[ROUNDS - 1], median(cpu_loss));
    if (work_ns == 0)
        printf("           (CPU ns a request: %.0f; two threads %.0f, on one tenant %.0f)\n",
               median(cpu), median(own_cpu), median(shared_cpu));
    fflush(stdout);
}

static void print_kind(const struct kind *kind) {
    static const unsigned works[] = {0, 5000, 20000, 50000};
    struct error err;
    const struct config *c = load(kind);
    const struct bench b = {kind, limits_new(), budgets_open(NULL, &err)};
    limits_configure(b.limits, c);
    budgets_configure(b.budgets, c);
    printf("%s\n", kind->name);
    for (size_t i = 0; i < FARTHING_COUNT(works); i++)
        print_work(&b, works[i]);
    budgets_close(b.budgets);
    limits_free(b.limits);
    config_unref(c);
}

int main(void) {
    for (unsigned i = 0; i < USERS; i++) {
        snprintf(users[i], sizeof users[i], "user%u", i);
        snprintf(runs[i], sizeof runs[i], "run%u", i);
    }
    calibrate();
    printf("%-10s %14s %18s %18s %8s %17s %9s\n", "work ns", "1 thread /s", "2 threads, own /s",
           "2 threads, one /s", "loss", "(from to)", "by CPU");
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++)
        print_kind(&kinds[i]);
    return 0;
}
