// Windows against the C library's calendar.
#include <time.h>

#include "scene.h"
#include "window.h"

static int64_t at(int year, int month, int day, int hour) {
    struct tm t = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
    return (int64_t)timegm(&t) * 1000;
}

static void assert_window(int64_t length_ms, int64_t now_ms, int64_t start_ms, int64_t end_ms) {
    struct window w = window_at(length_ms, now_ms);
    assert_int_equal(w.start_ms, start_ms);
    assert_int_equal(w.end_ms, end_ms);
}

static void test_each_kind(void **state) {
    (void)state;
    int64_t now = at(2026, 3, 11, 12) + 1234567;
    assert_window(HOUR_MS, now, at(2026, 3, 11, 12), at(2026, 3, 11, 13));
    assert_window(WINDOW_DAY_MS, now, at(2026, 3, 11, 0), at(2026, 3, 12, 0));
    assert_window(WINDOW_WEEK_MS, now, at(2026, 3, 9, 0), at(2026, 3, 16, 0));
    assert_window(WINDOW_MONTH_MS, now, at(2026, 3, 1, 0), at(2026, 4, 1, 0));
    assert_window(0, now, 0, INT64_MAX);
    assert_int_equal(at(2026, 3, 11, 12), NOON_MS);
}

static void test_edges_belong_to_the_window_that_begins(void **state) {
    (void)state;
    int64_t monday = at(2026, 6, 1, 0); // a Monday and the first of a month
    static const int64_t lengths[] = {HOUR_MS, WINDOW_DAY_MS, WINDOW_WEEK_MS, WINDOW_MONTH_MS};
    for (size_t i = 0; i < FARTHING_COUNT(lengths); i++) {
        assert_int_equal(window_at(lengths[i], monday).start_ms, monday);
        assert_int_equal(window_at(lengths[i], monday - 1).end_ms, monday);
    }
}

static void test_every_month_of_four_centuries(void **state) {
    (void)state;
    for (int year = 1970; year < 2370; year++)
        for (int month = 1; month <= 12; month++) {
            int64_t start = at(year, month, 1, 0), end = at(year, month + 1, 1, 0);
            assert_window(WINDOW_MONTH_MS, start, start, end);
            assert_window(WINDOW_MONTH_MS, end - 1, start, end);
            assert_window(WINDOW_MONTH_MS, start + 14 * DAY_MS, start, end);
        }
}

static void test_before_1970(void **state) {
    (void)state;
    assert_window(WINDOW_DAY_MS, -1, -DAY_MS, 0);
    assert_window(WINDOW_MONTH_MS, -1, at(1969, 12, 1, 0), 0);
    assert_window(WINDOW_WEEK_MS, 0, at(1969, 12, 29, 0), at(1970, 1, 5, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_edges_belong_to_the_window_that_begins),
        cmocka_unit_test(test_every_month_of_four_centuries),
        cmocka_unit_test(test_before_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
