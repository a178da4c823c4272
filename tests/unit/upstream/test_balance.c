// Balance inside a tier: orders, shares, sessions. Chance is a number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "farthing/breaker.h"

enum { SECOND = 1000, DRAWS = 20000, MODELS_MAX = 100 };

struct scene {
    struct balances *balances;
    struct balance_loop *loop;
    int64_t now_ms;
    struct balance_candidate models[MODELS_MAX];
    char names[MODELS_MAX][16];
    size_t n;
    size_t order[MODELS_MAX];
};

static int open_scene(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    random_seed(7);
    s->balances = balances_new();
    s->loop = balance_loop_new(s->balances);
    s->now_ms = 1000000;
    for (size_t i = 0; i < MODELS_MAX; i++) {
        snprintf(s->names[i], sizeof s->names[i], "p%zu/m", i);
        s->models[i] = (struct balance_candidate){.name = slice_of(s->names[i]), .weight = 1};
    }
    s->n = 4;
    *state = s;
    return 0;
}

static int close_scene(void **state) {
    struct scene *s = *state;
    balance_loop_free(s->loop);
    balances_free(s->balances);
    free(s);
    return 0;
}

static size_t first(struct scene *s, enum config_balance how, uint64_t session, uint64_t chance) {
    for (size_t i = 0; i < s->n; i++)
        s->order[i] = SIZE_MAX;
    assert_int_equal(
        balance_order(s->loop, how, s->models, s->n, session, chance, s->now_ms, s->order), s->n);
    bool seen[MODELS_MAX] = {0};
    for (size_t i = 0; i < s->n; i++) { // each once
        assert_true(s->order[i] < s->n && !seen[s->order[i]]);
        seen[s->order[i]] = true;
    }
    return s->n > 0 ? s->order[0] : SIZE_MAX;
}

static void assert_order(const struct scene *s, const char *digits) {
    char seen[MODELS_MAX + 1] = "";
    for (size_t i = 0; i < s->n; i++)
        seen[i] = (char)('0' + s->order[i]);
    assert_string_equal(seen, digits);
}

static void begin(struct scene *s, size_t model, int n) {
    struct balance_ticket t;
    for (int i = 0; i < n; i++)
        balance_begin(s->loop, s->models[model].name, &t);
}

static void measure(struct scene *s, size_t model, int64_t latency_ms) {
    struct balance_ticket t;
    balance_begin(s->loop, s->models[model].name, &t);
    balance_note(&t, latency_ms, s->now_ms);
    balance_end(&t);
}

static uint64_t session(int i) {
    char key[32];
    snprintf(key, sizeof key, "user-%d", i);
    return balance_session(slice_of(key));
}

static void assert_share(const char *what, int64_t part, double whole, double expected) {
    double share = (double)part / whole;
    if (share < expected - 0.02 || share > expected + 0.02)
        fail_msg("%s: %g, expected %g", what, share, expected);
}

// -------------------------------------------------------------------- all kinds

static const enum config_balance kinds[] = {CONFIG_BALANCE_ORDER, CONFIG_BALANCE_LEAST_INFLIGHT,
                                            CONFIG_BALANCE_WEIGHTED, CONFIG_BALANCE_LOWEST_LATENCY};

static void test_none_one_and_too_many(void **state) {
    struct scene *s = *state;
    static const size_t counts[] = {0, 1, BALANCE_CANDIDATES_MAX, MODELS_MAX};
    for (size_t k = 0; k < FARTHING_COUNT(kinds); k++)
        for (size_t i = 0; i < FARTHING_COUNT(counts); i++)
            for (uint64_t who = 0; who < 2; who++) {
                s->n = counts[i];
                (void)first(s, kinds[k], who, random_u64());
                for (size_t at = BALANCE_CANDIDATES_MAX; at < s->n; at++)
                    assert_int_equal(s->order[at], at);
            }
}

static void test_open_ones_come_last(void **state) {
    struct scene *s = *state;
    s->models[0].open = s->models[2].open = true;
    for (size_t k = 0; k < FARTHING_COUNT(kinds); k++)
        for (int i = 0; i < 200; i++) {
            (void)first(s, kinds[k], i % 2 == 0 ? 0 : session(i), random_u64());
            assert_int_equal(s->order[2], 0);
            assert_int_equal(s->order[3], 2);
        }
    s->models[1].open = s->models[3].open = true;
    for (size_t k = 0; k < FARTHING_COUNT(kinds); k++) {
        (void)first(s, kinds[k], session(1), random_u64());
        assert_order(s, "0123");
    }
}

static void test_order(void **state) {
    struct scene *s = *state;
    begin(s, 0, 100);
    measure(s, 0, 100000);
    for (int i = 0; i < 100; i++) {
        (void)first(s, CONFIG_BALANCE_ORDER, session(i), random_u64());
        assert_order(s, "0123");
    }
}

static void test_the_same_chance_is_the_same_order(void **state) {
    struct scene *s = *state;
    for (size_t k = 0; k < 3; k++)
        for (int i = 0; i < 100; i++) {
            uint64_t chance = random_u64();
            size_t before[MODELS_MAX];
            (void)first(s, kinds[k], 0, chance);
            memcpy(before, s->order, sizeof before);
            (void)first(s, kinds[k], 0, chance);
            assert_memory_equal(before, s->order, s->n * sizeof *before);
        }
}

// --------------------------------------------------------------- least in flight

static void test_least_inflight(void **state) {
    struct scene *s = *state;
    static const int inflight[] = {3, 1, 2, 0};
    for (size_t i = 0; i < s->n; i++)
        begin(s, i, inflight[i]);
    (void)first(s, CONFIG_BALANCE_LEAST_INFLIGHT, 0, random_u64());
    assert_order(s, "3120");
}

static void test_ended_is_ended_once(void **state) {
    struct scene *s = *state;
    struct balance_ticket t;
    s->n = 2;
    begin(s, 1, 1);
    balance_begin(s->loop, s->models[0].name, &t);
    begin(s, 0, 1);
    assert_int_equal(first(s, CONFIG_BALANCE_LEAST_INFLIGHT, 0, 1), 1);
    for (int i = 0; i < 3; i++)
        balance_end(&t);
    begin(s, 1, 1);
    assert_int_equal(first(s, CONFIG_BALANCE_LEAST_INFLIGHT, 0, 1), 0);
    begin(s, 0, 2);
    assert_int_equal(first(s, CONFIG_BALANCE_LEAST_INFLIGHT, 0, 1), 1);
}

// As requests come and go: never more than one apart.
static void test_it_evens_out(void **state) {
    struct scene *s = *state;
    int inflight[4] = {0};
    for (int i = 0; i < 1000; i++) {
        size_t to = first(s, CONFIG_BALANCE_LEAST_INFLIGHT, 0, random_u64());
        begin(s, to, 1);
        inflight[to]++;
        for (size_t m = 0; m < 4; m++)
            assert_true(inflight[to] <= inflight[m] + 1);
    }
}

static void test_chance_among_equals(void **state) {
    struct scene *s = *state;
    int64_t firsts[4] = {0};
    for (int i = 0; i < DRAWS; i++)
        firsts[first(s, CONFIG_BALANCE_LEAST_INFLIGHT, 0, random_u64())]++;
    for (size_t m = 0; m < 4; m++)
        assert_share("of equals", firsts[m], DRAWS, 0.25);
}

// -------------------------------------------------------------------- weights

static void set_weights(struct scene *s, const int64_t *weights) {
    for (size_t m = 0; m < s->n; m++)
        s->models[m].weight = weights[m];
}

// As first, and as second after each first; random numbers or plain counts.
static void check_shares(struct scene *s, const int64_t *weights, bool counting) {
    int64_t firsts[4] = {0}, pairs[4][4] = {{0}};
    double sum = 0;
    set_weights(s, weights);
    for (size_t m = 0; m < 4; m++)
        sum += (double)weights[m];
    for (int i = 0; i < DRAWS; i++) {
        uint64_t chance = counting ? (uint64_t)i : random_u64();
        size_t to = first(s, CONFIG_BALANCE_WEIGHTED, 0, chance);
        firsts[to]++;
        pairs[to][s->order[1]]++;
    }
    for (size_t a = 0; a < 4; a++) {
        assert_share("first", firsts[a], DRAWS, (double)weights[a] / sum);
        for (size_t b = 0; b < 4; b++)
            if (a != b && firsts[a] > 3000)
                assert_share("second", pairs[a][b], (double)firsts[a],
                             (double)weights[b] / (sum - (double)weights[a]));
    }
}

static void test_weights(void **state) {
    static const int64_t rows[][4] = {
        {1, 1, 1, 1}, {1, 2, 3, 4}, {90, 10, 0, 0}, {1, 1, 1, 997}, {5, 0, 5, 0}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        check_shares(*state, rows[i], false);
        check_shares(*state, rows[i], true);
    }
}

static void test_without_weights(void **state) {
    static const int64_t rows[][4] = {{0, 0, 0, 0}, {-1, INT64_MIN, 0, -7}};
    struct scene *s = *state;
    for (size_t row = 0; row < FARTHING_COUNT(rows); row++) {
        int64_t firsts[4] = {0};
        set_weights(s, rows[row]);
        for (int i = 0; i < DRAWS; i++)
            firsts[first(s, CONFIG_BALANCE_WEIGHTED, i % 2 == 0 ? 0 : session(i), random_u64())]++;
        assert_true(firsts[1] > 0 && firsts[2] > 0 && firsts[3] > 0);
    }
    s->models[2].weight = 1;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(
            first(s, CONFIG_BALANCE_WEIGHTED, i % 2 == 0 ? 0 : session(i), random_u64()), 2);
}

// ------------------------------------------------------------------- sessions

static const enum config_balance sticky[] = {CONFIG_BALANCE_LEAST_INFLIGHT,
                                             CONFIG_BALANCE_WEIGHTED};

static void test_a_session_stays(void **state) {
    struct scene *s = *state;
    for (size_t k = 0; k < FARTHING_COUNT(sticky); k++)
        for (int i = 0; i < 200; i++) {
            size_t to = first(s, sticky[k], session(i), random_u64());
            for (int again = 0; again < 5; again++)
                assert_int_equal(first(s, sticky[k], session(i), random_u64()), to);
        }
}

static void test_sessions_by_weight(void **state) {
    static const int64_t weights[] = {1, 2, 3, 4};
    struct scene *s = *state;
    set_weights(s, weights);
    for (size_t k = 0; k < FARTHING_COUNT(sticky); k++) {
        int64_t firsts[4] = {0};
        for (int i = 0; i < DRAWS; i++)
            firsts[first(s, sticky[k], session(i), random_u64())]++;
        for (size_t m = 0; m < 4; m++)
            assert_share("sessions", firsts[m], DRAWS,
                         sticky[k] == CONFIG_BALANCE_WEIGHTED ? (double)weights[m] / 10 : 0.25);
    }
}

// A model more, or one whose breaker opens, or another order in the file: only
// its own sessions move.
static void test_only_its_share_moves(void **state) {
    static const int64_t weights[] = {4, 1, 2, 3, 5};
    struct scene *s = *state;
    for (size_t k = 0; k < FARTHING_COUNT(sticky); k++) {
        int64_t moved = 0;
        double share = sticky[k] == CONFIG_BALANCE_WEIGHTED ? 5.0 / 15 : 0.2;
        for (int i = 0; i < DRAWS; i++) {
            s->n = 5;
            set_weights(s, weights);
            s->models[4].open = true;
            size_t without = first(s, sticky[k], session(i), random_u64());
            s->models[4].open = false;
            size_t with = first(s, sticky[k], session(i), random_u64());
            assert_true(with == without || with == 4);
            moved += with != without;
            s->n = 4;
            assert_int_equal(first(s, sticky[k], session(i), random_u64()), without);
        }
        assert_share("moved", moved, DRAWS, share);
    }
}

static void test_another_place_in_the_file(void **state) {
    struct scene *s = *state;
    for (size_t k = 0; k < FARTHING_COUNT(sticky); k++)
        for (int i = 0; i < 500; i++) {
            struct slice before = s->models[first(s, sticky[k], session(i), 1)].name;
            struct balance_candidate moved = s->models[0];
            memmove(s->models, s->models + 1, 3 * sizeof *s->models);
            s->models[3] = moved;
            assert_true(slice_equal(s->models[first(s, sticky[k], session(i), 2)].name, before));
        }
}

// The figures themselves, as a provider's cache outlives this process.
static void test_sessions_are_the_same_everywhere(void **state) {
    struct scene *s = *state;
    assert_int_equal(balance_session(SLICE("")), 0xc3817c016ba4ff30u);
    char seen[41] = "";
    for (int i = 0; i < 40; i++)
        seen[i] = (char)('0' + first(s, CONFIG_BALANCE_WEIGHTED, session(i), random_u64()));
    assert_string_equal(seen, "1002220002303202211030001133212310223301");
}

static void test_overloaded(void **state) {
    static const struct {
        int own, others;
        bool stays;
    } rows[] = {{0, 0, true},    {8, 0, true},    {9, 0, false},   {28, 10, true},
                {29, 10, false}, {100, 46, true}, {101, 46, false}};
    for (size_t k = 0; k < FARTHING_COUNT(sticky); k++)
        for (size_t row = 0; row < FARTHING_COUNT(rows); row++) {
            void *own_state;
            (void)state;
            (void)open_scene(&own_state);
            struct scene *s = own_state;
            size_t to = first(s, sticky[k], session(1), random_u64()), spared = (to + 1) % 4;
            for (size_t m = 0; m < 4; m++)
                begin(s, m, m == to ? rows[row].own : rows[row].others + (m != spared));
            size_t now = first(s, sticky[k], session(1), random_u64());
            assert_int_equal(now, rows[row].stays ? to : spared);
            (void)close_scene(&own_state);
        }
}

// Nine in ten requests on one model is what its weight says, not overload.
static void test_overload_goes_by_weight(void **state) {
    static const int64_t weights[] = {90, 10};
    struct scene *s = *state;
    s->n = 2;
    set_weights(s, weights);
    begin(s, 0, 90);
    begin(s, 1, 10);
    int64_t firsts[2] = {0};
    for (int i = 0; i < DRAWS; i++)
        firsts[first(s, CONFIG_BALANCE_WEIGHTED, session(i), random_u64())]++;
    assert_share("sessions", firsts[0], DRAWS, 0.9);
    begin(s, 1, 19); // 29 > 2 * 1 * 10 + 8
    assert_int_equal(first(s, CONFIG_BALANCE_WEIGHTED, session(3), 1), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(first(s, CONFIG_BALANCE_WEIGHTED, session(i), random_u64()), 0);
}

// -------------------------------------------------------------------- latency

// Exploring is not meant here: all have just been measured.
static void measure_all(struct scene *s, const int64_t *latencies_ms) {
    for (size_t m = 0; m < s->n; m++)
        measure(s, m, latencies_ms[m]);
}

static void test_lowest_latency(void **state) {
    static const int64_t latencies_ms[] = {300, 100, 400, 200};
    struct scene *s = *state;
    measure_all(s, latencies_ms);
    for (int i = 0; i < 1000; i++) {
        (void)first(s, CONFIG_BALANCE_LOWEST_LATENCY, session(i), random_u64());
        assert_order(s, "1302");
    }
}

static void look(void *arg, const struct balance_view *view) {
    struct balance_view *wanted = arg;
    if (slice_equal(view->name, wanted->name))
        *wanted = *view;
}

static struct balance_view view_of(struct scene *s, size_t model) {
    struct balance_view v = {.name = s->models[model].name};
    balances_visit(s->balances, s->now_ms, look, &v);
    return v;
}

static void test_the_mean_follows(void **state) {
    struct scene *s = *state;
    begin(s, 0, 2);
    assert_int_equal(view_of(s, 0).latency_us, -1);
    measure(s, 0, 100);
    assert_int_equal(view_of(s, 0).latency_us, 100000);
    measure(s, 0, 200); // one of many at the same time
    assert_int_equal(view_of(s, 0).latency_us, 105000);
    for (int i = 0; i < 200; i++)
        measure(s, 0, 200);
    assert_in_range(view_of(s, 0).latency_us, 199900, 200000);
    s->now_ms += 10 * SECOND; // nothing was known for as long as the mean is over
    assert_int_equal(view_of(s, 0).measured_ms_ago, 10 * SECOND);
    measure(s, 0, 400);
    assert_in_range(view_of(s, 0).latency_us, 299900, 300000);
    assert_int_equal(view_of(s, 0).measured_ms_ago, 0);
    s->now_ms += 1000000 * (int64_t)SECOND;
    measure(s, 0, 0);
    assert_in_range(view_of(s, 0).latency_us, 0, 10);
    assert_int_equal(view_of(s, 0).inflight, 2);
    measure(s, 0, -5); // no latency
    assert_in_range(view_of(s, 0).latency_us, 0, 10);
}

static void test_notes_after_the_end(void **state) {
    struct scene *s = *state;
    struct balance_ticket t;
    balance_begin(s->loop, s->models[0].name, &t);
    balance_end(&t);
    balance_note(&t, 100, s->now_ms);
    assert_int_equal(view_of(s, 0).latency_us, -1);
}

// Each that was never measured is tried by one request a second.
static void test_unmeasured_are_explored(void **state) {
    struct scene *s = *state;
    measure(s, 2, 500);
    for (int second = 0; second < 3; second++) {
        static const size_t expected[] = {0, 1, 3, 2, 2, 2, 2};
        for (size_t i = 0; i < FARTHING_COUNT(expected); i++)
            assert_int_equal(first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, random_u64()), expected[i]);
        assert_order(s, "2013"); // then those that are known, then as given
        s->now_ms += SECOND;
    }
    measure(s, 0, 600);
    measure(s, 1, 400);
    measure(s, 3, 700);
    for (int i = 0; i < 100; i++)
        assert_int_equal(first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, random_u64()), 1);
}

static void test_none_is_measured(void **state) {
    struct scene *s = *state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, random_u64()), i);
    (void)first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, random_u64());
    assert_order(s, "0123");
}

// What was slow long ago: each of three by one request in 30 seconds, or,
// with the quickest, stale by then as well, by a sixteenth of the requests where these
// are few. (None of the three is measured.)
static void test_stale_are_explored(void **state) {
    static const int64_t latencies_ms[] = {300, 100, 400, 200};
    static const struct {
        int64_t each_ms, requests, least, most;
    } rows[] = {{5, 360000, 57, 60}, {60 * SECOND, 10000, 120, 200}};
    for (size_t row = 0; row < FARTHING_COUNT(rows); row++) {
        struct scene *s = *state;
        int64_t tried[4] = {0};
        s->now_ms += 1000 * (int64_t)SECOND;
        measure_all(s, latencies_ms);
        for (int64_t i = 0; i < rows[row].requests; i++) {
            s->now_ms += rows[row].each_ms;
            size_t to = first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, random_u64());
            if (to == 1)
                measure(s, 1, 100);
            tried[to]++;
        }
        for (size_t m = 0; m < 4; m++)
            if (m != 1)
                assert_in_range(tried[m], rows[row].least, rows[row].most);
    }
}

// It was slow, and is the quickest now: found by the second request
// that tries it.
static void test_recovery_is_found(void **state) {
    static const int64_t latencies_ms[] = {300, 100, 400, 200};
    struct scene *s = *state;
    measure_all(s, latencies_ms);
    int64_t start_ms = s->now_ms, found_ms = 0;
    while (s->now_ms < start_ms + 300 * SECOND) {
        s->now_ms += 20;
        size_t to = first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, random_u64());
        measure(s, to, to == 2 ? 50 : latencies_ms[to]);
        if (found_ms == 0 && to == 2 && view_of(s, 2).latency_us < 100000)
            found_ms = s->now_ms;
    }
    assert_in_range(found_ms - start_ms, 30 * SECOND, 65 * SECOND);
    assert_int_equal(first(s, CONFIG_BALANCE_LOWEST_LATENCY, 0, 1), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_none_one_and_too_many),
        TEST(test_open_ones_come_last),
        TEST(test_order),
        TEST(test_the_same_chance_is_the_same_order),
        TEST(test_least_inflight),
        TEST(test_ended_is_ended_once),
        TEST(test_it_evens_out),
        TEST(test_chance_among_equals),
        TEST(test_weights),
        TEST(test_without_weights),
        TEST(test_a_session_stays),
        TEST(test_sessions_by_weight),
        TEST(test_only_its_share_moves),
        TEST(test_another_place_in_the_file),
        TEST(test_sessions_are_the_same_everywhere),
        TEST(test_overloaded),
        TEST(test_overload_goes_by_weight),
        TEST(test_lowest_latency),
        TEST(test_the_mean_follows),
        TEST(test_notes_after_the_end),
        TEST(test_unmeasured_are_explored),
        TEST(test_none_is_measured),
        TEST(test_stale_are_explored),
        TEST(test_recovery_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
