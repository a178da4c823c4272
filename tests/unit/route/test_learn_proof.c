// APGR, CPT and the curve, against cases that can be counted by hand.
#include "learn_fixture.h"

enum { B = LEARN_BOTH_OK, L = LEARN_LARGE_ONLY, S = LEARN_SMALL_ONLY, N = LEARN_NEITHER };
enum { ROWS_MAX = 8 };

struct proof_case {
    const char *what;
    size_t count;
    int needs[ROWS_MAX];
    double scores[ROWS_MAX];
    double apgr, cpt50, cpt80; // NAN: there is none
    double threshold, share, quality;
};

static const struct proof_case cases[] = {
    // The curve goes up at once and stays: 1 less the triangle of the first quarter.
    {"perfect", 4, {L, B, B, N}, {9, 3, 2, 1}, 0.875, 0.125, 0.2, 6, 0.25, 0.75},
    {"worst", 4, {L, B, B, N}, {1, 2, 3, 4}, 0.125, 0.875, 0.95, 1, 1, 0.75},
    {"all alike", 4, {L, B, B, N}, {5, 5, 5, 5}, 0.5, 0.5, 0.8, 5, 1, 0.75},
    // The first two share their gain: 0, 1/4, 1/2, then 1/2, 1 of all.
    {"a tie of two", 4, {L, B, N, L}, {7, 7, 2, 1}, 0.4375, 0.5, 0.9, 1, 1, 0.75},
    {"a tie, otherwise told", 4, {B, L, N, L}, {7, 7, 2, 1}, 0.4375, 0.5, 0.9, 1, 1, 0.75},
    // Up one, down one, up one: 1, 0, 1, 1 of 1.
    {"what the large one spoils", 4, {L, S, L, B}, {4, 3, 2, 1}, 0.625, 0.125, 0.2, 3.5, 0.25,
     0.75},
    {"over the top", 4, {L, L, S, B}, {4, 3, 2, 1}, 1.125, 0.125, 0.2, 2.5, 0.5, 1},
    {"no gap", 2, {B, N}, {2, 1}, NAN, NAN, NAN, 3, 0, 0.5},
    {"large is worse", 2, {S, B}, {2, 1}, NAN, NAN, NAN, 3, 0, 1},
    {"large is worse, yet needed", 3, {L, S, S}, {3, 2, 1}, NAN, NAN, NAN, 2.5, 1.0 / 3, 1},
    {"one row", 1, {L}, {0}, 0.5, 0.5, 0.8, 0, 1, 1},
};

static void assert_value(const char *what, const char *name, double seen, double wanted) {
    if (isnan(wanted) ? !isnan(seen) : !(fabs(seen - wanted) < 1e-9))
        fail_msg("%s: %s is %f, expected %f", what, name, seen, wanted);
}

static struct learn_outcome outcome(int need, double score) {
    return (struct learn_outcome){score, need == B || need == S, need == B || need == L};
}

static void counts_by_hand(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        const struct proof_case *c = &cases[i];
        struct learn_outcome outcomes[ROWS_MAX];
        struct learn_proof p;
        for (size_t k = 0; k < c->count; k++) // against the order
            outcomes[c->count - 1 - k] = outcome(c->needs[k], c->scores[k]);
        learn_prove(outcomes, c->count, &p);
        assert_value(c->what, "apgr", p.apgr, c->apgr);
        assert_value(c->what, "cpt50", p.cpt50, c->cpt50);
        assert_value(c->what, "cpt80", p.cpt80, c->cpt80);
        assert_value(c->what, "threshold", p.threshold, c->threshold);
        assert_value(c->what, "share", p.share, c->share);
        assert_value(c->what, "quality", p.quality, c->quality);
        assert_value(c->what, "first of the curve", p.curve[0], p.small_quality);
        assert_value(c->what, "last of the curve", p.curve[LEARN_CURVE_STEPS], p.large_quality);
    }
}

static void counts_needs_and_who_got_them(void **state) {
    (void)state;
    struct learn_outcome o[] = {outcome(L, 9), outcome(L, 8), outcome(B, 7), outcome(L, 2),
                                outcome(B, 1), outcome(S, 0), outcome(N, -1)};
    struct learn_proof p;
    learn_prove(o, FARTHING_COUNT(o), &p);
    assert_int_equal(p.rows, 7);
    assert_int_equal(p.both_ok, 2);
    assert_int_equal(p.large_only, 3);
    assert_int_equal(p.small_only, 1);
    assert_int_equal(p.neither, 1);
    assert_value("needs", "small", p.small_quality, 3.0 / 7);
    assert_value("needs", "large", p.large_quality, 5.0 / 7);
    static const size_t large[] = {1, 3, 0, 0}, small[] = {1, 0, 1, 1};
    assert_value("needs", "threshold", p.threshold, 1.5);
    assert_memory_equal(p.sent_large, large, sizeof large);
    assert_memory_equal(p.sent_small, small, sizeof small);
}

static void bears_no_rows(void **state) {
    (void)state;
    struct learn_proof p;
    learn_prove(NULL, 0, &p);
    assert_int_equal(p.rows, 0);
    assert_true(isnan(p.apgr) && isnan(p.cpt50));
}

// Scores that say nothing give a half, whatever the labels.
static void chance_is_a_half(void **state) {
    (void)state;
    enum { ROWS = 20000 };
    struct learn_outcome *o = base_calloc(ROWS, sizeof *o);
    struct learn_proof p;
    random_seed(9);
    for (size_t i = 0; i < ROWS; i++)
        o[i] = (struct learn_outcome){(double)random_below(1000), random_below(10) < 5,
                                      random_below(10) < 9};
    learn_prove(o, ROWS, &p);
    assert_near(p.apgr, 0.5, 0.03);
    assert_near(p.cpt50, 0.5, 0.05);
    free(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_hand),
        cmocka_unit_test(counts_needs_and_who_got_them),
        cmocka_unit_test(bears_no_rows),
        cmocka_unit_test(chance_is_a_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
