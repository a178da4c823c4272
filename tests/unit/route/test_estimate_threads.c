// One estimator used by several loops at once: nothing is lost, and what is asked
// meanwhile is always possible.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "farthing/estimate.h"

enum { THREADS = 4, ROUNDS = 3000, MODELS = 40 };

struct worker {
    pthread_t thread;
    struct estimator *estimator;
    atomic_uint *wrong;
    unsigned seed;
};

static struct slice model_name(unsigned n, char out[32]) {
    return slice_make(out, (size_t)snprintf(out, 32, "threads/model-%u", n));
}

// Even models count half of the raw estimate, odd ones all of it.
static void *work(void *arg) {
    struct worker *w = arg;
    char name[32];
    random_seed(w->seed);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned n = (unsigned)random_below(MODELS);
        struct slice model = model_name(n, name);
        int64_t raw = (int64_t)random_below(5000) + 50;
        struct estimate got = estimator_ask(w->estimator, model, raw);
        if (got.most < got.likely || got.likely < raw * 4 / 10 || got.most > raw * 3)
            atomic_fetch_add(w->wrong, 1);
        estimator_learn(w->estimator, model, raw, n % 2 == 0 ? raw / 2 : raw);
        struct slice text = slice_make("some text, again and again", 5 + (size_t)raw % 20);
        if (estimate_text(text) < 1)
            atomic_fetch_add(w->wrong, 1);
    }
    return NULL;
}

static void threads_share_what_they_learn(void **state) {
    (void)state;
    struct estimator *e = estimator_new();
    struct worker workers[THREADS];
    atomic_uint wrong = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.estimator = e, .wrong = &wrong, .seed = i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    assert_int_equal(wrong, 0);
    char name[32];
    for (unsigned n = 0; n < MODELS; n++) {
        int64_t likely = estimator_ask(e, model_name(n, name), 1000).likely;
        assert_in_range(likely, n % 2 == 0 ? 490 : 980, n % 2 == 0 ? 515 : 1005);
    }
    estimator_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_what_they_learn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
