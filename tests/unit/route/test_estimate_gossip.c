// What instances tell each other of tokens: that all learn the same from it, once.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "farthing/estimate.h"

enum { ROOM = 32 * 1024 };

#define MODEL SLICE("openai/gpt-4o-mini")

struct pair {
    struct estimator *here, *there;
};

static int open_pair(void **state) {
    struct pair *p = calloc(1, sizeof *p);
    metric_reset_for_test();
    random_seed(7);
    p->here = estimator_new();
    p->there = estimator_new();
    *state = p;
    return 0;
}

static int close_pair(void **state) {
    struct pair *p = *state;
    estimator_free(p->here);
    estimator_free(p->there);
    free(p);
    return 0;
}

static void hear_text(struct estimator *e, struct slice text, bool all) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err;
    assert_true(json_parse(doc, text, NULL, &err));
    estimator_hear(e, doc, JSON_ROOT, arena, all);
    arena_free(arena);
    json_doc_free(doc);
}

static bool tell(struct estimator *from, struct estimator *to, bool all) {
    struct buffer text = {0};
    bool said = estimator_tell(from, &text, ROOM, all);
    assert_int_equal(said, text.len > 0);
    if (said)
        hear_text(to, buffer_slice(&text), all);
    buffer_free(&text);
    return said;
}

static int64_t likely(struct estimator *e) {
    return estimator_ask(e, MODEL, 10000).likely;
}

static int64_t most(struct estimator *e) {
    return estimator_ask(e, MODEL, 10000).most;
}

// About `ratio`, give or take a twentieth.
static void report(struct estimator *e, double ratio) {
    double noise = (double)random_below(1001) / 10000 - 0.05;
    estimator_learn(e, MODEL, 10000, (int64_t)(10000 * (ratio + noise)));
}

// -------------------------------------------------------------------- learning

static void what_one_learns_the_other_knows(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 60; i++)
        report(p->here, 1.6);
    assert_int_equal(likely(p->there), 8500);
    assert_true(tell(p->here, p->there, false));
    assert_in_range(likely(p->there), 15000, 17000);
    assert_true(most(p->there) >= most(p->here) * 95 / 100);
    assert_true(most(p->there) < most(p->here) * 115 / 100);
}

static void it_is_told_once(void **state) {
    struct pair *p = *state;
    assert_false(tell(p->here, p->there, false));
    assert_false(tell(p->here, p->there, true));
    report(p->here, 1.2);
    assert_true(tell(p->here, p->there, false));
    int64_t after = likely(p->there);
    assert_false(tell(p->here, p->there, false));
    assert_false(tell(p->there, p->here, false)); // what was heard is no news
    assert_int_equal(likely(p->there), after);
}

// As if the reports had come to it: told by ones, or a second's together.
static void it_counts_as_own_reports_do(void **state) {
    (void)state;
    static const int together[] = {1, 2, 5, 40};
    for (size_t i = 0; i < FARTHING_COUNT(together); i++) {
        struct pair p = {estimator_new(), estimator_new()};
        for (int n = 0; n < 200; n++) {
            report(p.here, 1.1);
            if (n % together[i] == together[i] - 1)
                assert_true(tell(p.here, p.there, false));
        }
        assert_in_range(likely(p.there), likely(p.here) - 200, likely(p.here) + 200);
        assert_in_range(most(p.there), most(p.here) - 800, most(p.here) + 800);
        estimator_free(p.here);
        estimator_free(p.there);
    }
}

// Each sees a half of what is reported, and both learn all of it.
static void both_come_to_the_same(void **state) {
    struct pair *p = *state;
    for (int second = 0; second < 100; second++) {
        for (int i = 0; i < 5; i++) {
            report(p->here, 1.0);
            report(p->there, 1.4);
        }
        (void)tell(p->here, p->there, false);
        (void)tell(p->there, p->here, false);
    }
    assert_in_range(likely(p->here), 11000, 13000);
    assert_in_range(likely(p->there), 11000, 13000);
}

// One report there weighs as one report here, not as what is known here.
static void who_saw_little_does_not_outweigh(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 100; i++)
        report(p->there, 0.8);
    int64_t before = likely(p->there);
    estimator_learn(p->here, MODEL, 10000, 30000);
    assert_true(tell(p->here, p->there, false));
    assert_in_range(likely(p->there), before, before * 103 / 100);
}

static void small_requests_are_told(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 60; i++) {
        estimator_learn(p->here, MODEL, 20, 17 + 9);
        estimator_learn(p->here, MODEL, 2000, 1700);
    }
    assert_true(tell(p->here, p->there, false));
    assert_in_range(estimator_ask(p->there, MODEL, 20).likely, 24, 28);
}

static void wild_reports_are_told_tame(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 100; i++)
        report(p->there, 0.8);
    for (int i = 0; i < 30; i++)
        report(p->here, 0.8);
    estimator_learn(p->here, MODEL, 1000, 100000);
    int64_t before = likely(p->there), most_before = most(p->there);
    assert_true(tell(p->here, p->there, false));
    assert_in_range(likely(p->there), before * 95 / 100, before * 110 / 100);
    assert_true(most(p->there) < most_before * 130 / 100);
}

// ------------------------------------------------------------------ a newcomer

static void a_newcomer_hears_all(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 500; i++) {
        report(p->here, 1.6);
        estimator_learn(p->here, MODEL, 20, 32 + 9);
    }
    struct buffer told = {0};
    assert_true(estimator_tell(p->here, &told, ROOM, false)); // nobody heard it
    buffer_free(&told);
    assert_true(tell(p->here, p->there, true));
    assert_in_range(likely(p->there), likely(p->here) - 1, likely(p->here) + 1);
    assert_in_range(most(p->there), most(p->here) - 1, most(p->here) + 1);
    assert_int_equal(estimator_ask(p->there, MODEL, 20).likely,
                     estimator_ask(p->here, MODEL, 20).likely);
    assert_false(tell(p->there, p->here, false));
}

static void who_knows_as_much_keeps_his(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 500; i++) {
        report(p->here, 1.6);
        report(p->there, 1.0);
    }
    int64_t before = likely(p->there);
    assert_true(tell(p->here, p->there, true));
    assert_int_equal(likely(p->there), before);
}

static void who_knows_less_takes_it(void **state) {
    struct pair *p = *state;
    for (int i = 0; i < 500; i++)
        report(p->here, 1.6);
    for (int i = 0; i < 5; i++)
        report(p->there, 0.9);
    assert_true(tell(p->there, p->here, false)); // so that is in it already
    assert_true(tell(p->here, p->there, true));
    assert_in_range(likely(p->there), likely(p->here) - 1, likely(p->here) + 1);
}

// ---------------------------------------------------------------------- bounds

static struct slice name_of(char out[32], int n) {
    return slice_make(out, (size_t)snprintf(out, 32, "p/m-%d", n));
}

// Others' models leave room for those that are asked for here.
static void models_are_bounded(void **state) {
    struct pair *p = *state;
    char name[32], row[128];
    for (int i = 0; i < 600; i++) {
        struct slice model = name_of(name, i);
        snprintf(row, sizeof row, "[[\"%.*s\",64,1600000,50000,1700000,0,0]]", SLICE_ARG(model));
        hear_text(p->there, slice_of(row), true);
    }
    assert_int_equal(estimator_ask(p->there, name_of(name, 0), 1000).likely, 1600);
    assert_int_equal(estimator_ask(p->there, name_of(name, 255), 1000).likely, 1600);
    assert_int_equal(estimator_ask(p->there, name_of(name, 256), 1000).likely, 850);
    for (int i = 0; i < 256; i++)
        for (int n = 0; n < 60; n++)
            estimator_learn(p->there, name_of(name, 1000 + i), 1000, 500);
    assert_in_range(estimator_ask(p->there, name_of(name, 1255), 1000).likely, 480, 550);
    // One that is known is heard of, however many there are.
    hear_text(p->there, SLICE("[[\"p/m-1255\",64,1600000,50000,1700000,0,0]]"), false);
    assert_true(estimator_ask(p->there, name_of(name, 1255), 1000).likely > 700);
}

static void what_does_not_fit_waits(void **state) {
    enum { MODELS = 200, SMALL = 8192 };
    struct pair *p = *state;
    char name[32];
    for (int i = 0; i < MODELS; i++)
        estimator_learn(p->here, name_of(name, i), 1000, 900);
    size_t told = 0;
    struct buffer text = {0};
    struct json_doc *doc = json_doc_new();
    while (estimator_tell(p->here, &text, SMALL, false)) {
        struct error err;
        assert_true(text.len <= SMALL && json_parse(doc, buffer_slice(&text), NULL, &err));
        told += json_count(doc, JSON_ROOT);
        buffer_clear(&text);
    }
    assert_int_equal(told, MODELS);
    assert_false(estimator_tell(p->here, &text, 100, true));
    json_doc_free(doc);
    buffer_free(&text);
}

static void what_cannot_be_is_passed_over(void **state) {
    static const char *const texts[] = {
        "null",
        "{}",
        "[]",
        "[1,null,[],[[]]]",
        "[[\"openai/gpt-4o-mini\"]]",
        "[[\"openai/gpt-4o-mini\",64,1600000,50000,1700000,0]]",
        "[[\"openai/gpt-4o-mini\",-1,1600000,50000,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",65,1600000,50000,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",64,299999,50000,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",64,3000001,50000,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",64,1600000,-1,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",64,1600000,50000,9000000,0,0]]",
        "[[\"openai/gpt-4o-mini\",64,1600000,50000,1700000,65,0]]",
        "[[\"openai/gpt-4o-mini\",64,1600000,50000,1700000,64,16000001]]",
        "[[\"openai/gpt-4o-mini\",64,1600000,50000,1700000,64,-16000001]]",
        "[[\"openai/gpt-4o-mini\",64,1.5,50000,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",64,9223372036854775807,50000,1700000,0,0]]",
        "[[\"openai/gpt-4o-mini\",\"64\",1600000,50000,1700000,0,0]]",
        "[[5,64,1600000,50000,1700000,0,0]]",
        "[[\"\",64,1600000,50000,1700000,0,0]]",
    };
    struct pair *p = *state;
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++)
        for (int all = 0; all < 2; all++) {
            hear_text(p->there, slice_of(texts[i]), all);
            if (likely(p->there) != 8500 || most(p->there) != 10000)
                fail_msg("%s", texts[i]);
        }
    hear_text(p->there, SLICE("[[],[\"openai\\/gpt-4o-mini\",64,1600000,50000,1700000,0,0,{}]]"),
              true);
    assert_int_equal(likely(p->there), 16000);
}

// Whatever is said, what is asked stays within its bounds.
static void bounds_hold(void **state) {
    struct pair *p = *state;
    char row[200];
    for (int i = 0; i < 5000; i++) {
        snprintf(row, sizeof row, "[[\"openai/gpt-4o-mini\",%d,%d,%d,%d,%d,%d]]",
                 (int)random_below(65), 300000 + (int)random_below(2700001),
                 (int)random_below(3000001), (int)random_below(3000001), (int)random_below(65),
                 (int)random_below(32000001) - 16000000);
        hear_text(p->there, slice_of(row), random_below(2) == 0);
        int64_t ask = (int64_t)random_below(1u << random_below(31));
        struct estimate got = estimator_ask(p->there, MODEL, ask);
        assert_true(got.likely <= got.most);
        assert_true(got.likely >= ask * 3 / 10 && got.most <= 3 * ask + 17);
    }
}

#define PAIR(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void) {
    const struct CMUnitTest tests[] = {
        PAIR(what_one_learns_the_other_knows),
        PAIR(it_is_told_once),
        PAIR(it_counts_as_own_reports_do),
        PAIR(both_come_to_the_same),
        PAIR(who_saw_little_does_not_outweigh),
        PAIR(small_requests_are_told),
        PAIR(wild_reports_are_told_tame),
        PAIR(a_newcomer_hears_all),
        PAIR(who_knows_as_much_keeps_his),
        PAIR(who_knows_less_takes_it),
        PAIR(models_are_bounded),
        PAIR(what_does_not_fit_waits),
        PAIR(what_cannot_be_is_passed_over),
        PAIR(bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
