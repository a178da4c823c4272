// Rates: what fits, how long to wait, and that no rounding lets more through.
#include "rate.h"
#include "scene.h"

#define SECOND UINT64_C(1000000)

static void test_a_minutes_worth_at_once_then_as_it_is_earned(void **state) {
    (void)state;
    struct rate r = {0};
    uint64_t now = 7 * SECOND;
    for (int i = 0; i < 60; i++) {
        assert_true(rate_fits(&r, 60, 1, now));
        assert_int_equal(rate_remaining(&r, 60, now), 60 - i);
        rate_take(&r, 60, 1, now);
    }
    assert_false(rate_fits(&r, 60, 1, now));
    assert_int_equal(rate_remaining(&r, 60, now), 0);
    assert_int_equal(rate_wait_ms(&r, 60, 1, now), 1000);
    assert_int_equal(rate_wait_ms(&r, 60, 60, now), 60000);
    assert_int_equal(rate_reset_ms(&r, 60, now), 60000);
    assert_false(rate_fits(&r, 60, 1, now + SECOND - 1));
    assert_true(rate_fits(&r, 60, 1, now + SECOND));
    assert_int_equal(rate_reset_ms(&r, 60, now + 60 * SECOND), 0);
    assert_int_equal(rate_remaining(&r, 60, now + 600 * SECOND), 60);
}

// Waiting as long as is said is enough, and a millisecond less is not.
static void test_the_wait_is_right(void **state) {
    (void)state;
    static const struct {
        int64_t limit, taken, asked;
    } rows[] = {{1, 1, 1},
                {7, 7, 3},
                {600, 590, 11},
                {200000, 199999, 2},
                {999983, 999983, 17},
                {INT64_C(9000000000), INT64_C(9000000000), 1}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct rate r = {0};
        rate_take(&r, rows[i].limit, rows[i].taken, SECOND);
        int64_t wait = rate_wait_ms(&r, rows[i].limit, rows[i].asked, SECOND);
        assert_true(wait > 0);
        assert_false(
            rate_fits(&r, rows[i].limit, rows[i].asked, SECOND + (uint64_t)(wait - 1) * 1000));
        assert_true(rate_fits(&r, rows[i].limit, rows[i].asked, SECOND + (uint64_t)wait * 1000));
    }
}

static void test_more_than_the_limit_never_fits(void **state) {
    (void)state;
    struct rate r = {0};
    assert_false(rate_fits(&r, 100, 101, SECOND));
    assert_int_equal(rate_wait_ms(&r, 100, 101, SECOND), -1);
    assert_int_equal(rate_wait_ms(&r, 100, 100, SECOND), 0);
}

static void test_what_is_given_back_is_there_again_and_no_more(void **state) {
    (void)state;
    struct rate r = {0};
    rate_take(&r, 100, 80, SECOND);
    rate_take(&r, 100, -30, SECOND);
    assert_int_equal(rate_remaining(&r, 100, SECOND), 50);
    rate_take(&r, 100, -500, SECOND);
    assert_int_equal(rate_remaining(&r, 100, SECOND), 100);
}

static void test_debts_are_remembered_and_bounded(void **state) {
    (void)state;
    struct rate r = {0};
    rate_take(&r, 100, 250, SECOND);
    assert_int_equal(rate_remaining(&r, 100, SECOND), 0);
    assert_int_equal(rate_reset_ms(&r, 100, SECOND), 150000);
    rate_take(&r, 100, INT64_MAX, SECOND);
    assert_int_equal(rate_reset_ms(&r, 100, SECOND), 3600000);
}

static void test_a_changed_limit_applies_at_once(void **state) {
    (void)state;
    struct rate r = {0};
    rate_take(&r, 60, 60, SECOND);
    assert_int_equal(rate_remaining(&r, 100, SECOND), 40);
    assert_int_equal(rate_remaining(&r, 30, SECOND), 0);
    assert_int_equal(rate_reset_ms(&r, 120, SECOND), 30000);
}

static void test_no_limit_takes_nothing(void **state) {
    (void)state;
    struct rate r = {0};
    rate_take(&r, CONFIG_UNSET, 60, SECOND);
    rate_take(&r, 0, -60, 2 * SECOND);
    assert_int_equal(rate_remaining(&r, 10, 3 * SECOND), 10);
}

static void test_a_clock_that_stands_or_falls_earns_nothing(void **state) {
    (void)state;
    struct rate r = {0};
    rate_take(&r, 60, 60, 100 * SECOND);
    assert_false(rate_fits(&r, 60, 1, 50 * SECOND));
    assert_false(rate_fits(&r, 60, 1, 100 * SECOND));
    assert_true(rate_fits(&r, 60, 1, 101 * SECOND));
    assert_true(rate_fits(&r, INT64_MAX, INT64_MAX, UINT64_MAX));
}

// Whatever the steps: never more than the burst and what was earned.
static void test_nothing_extra_over_a_long_time(void **state) {
    (void)state;
    random_seed(11);
    static const int64_t limits[] = {1, 7, 600, 12345, 1000003};
    for (size_t i = 0; i < FARTHING_COUNT(limits); i++) {
        struct rate r = {0};
        uint64_t start = SECOND, now = start;
        __int128 taken = 0;
        for (int step = 0; step < 20000; step++) {
            int64_t units = (int64_t)random_below((uint64_t)limits[i]) + 1;
            if (rate_fits(&r, limits[i], units, now)) {
                rate_take(&r, limits[i], units, now);
                taken += units;
            }
            now += random_below(50000);
            __int128 earned = (__int128)limits[i] * (now - start);
            assert_true(taken * 60000000 <= (__int128)limits[i] * 60000000 + earned);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minutes_worth_at_once_then_as_it_is_earned),
        cmocka_unit_test(test_the_wait_is_right),
        cmocka_unit_test(test_more_than_the_limit_never_fits),
        cmocka_unit_test(test_what_is_given_back_is_there_again_and_no_more),
        cmocka_unit_test(test_debts_are_remembered_and_bounded),
        cmocka_unit_test(test_a_changed_limit_applies_at_once),
        cmocka_unit_test(test_no_limit_takes_nothing),
        cmocka_unit_test(test_a_clock_that_stands_or_falls_earns_nothing),
        cmocka_unit_test(test_nothing_extra_over_a_long_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
