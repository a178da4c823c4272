// Calendar arithmetic on days since 1970-01-01, a Thursday. (gmtime and timegm
// would do it with a lock and a locale.)
#include "window.h"

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

// Days since 1970 of the first of a month; months are counted from March 0000,
// so that the leap day is the last of a year (Howard Hinnant, days_from_civil).
static int64_t first_day(int64_t march_month) {
    int64_t year = floor_div(march_month, 12), month = march_month - 12 * year;
    int64_t era = floor_div(year, 400), year_of_era = year - 400 * era;
    int64_t day_of_year = (153 * month + 2) / 5;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static struct window month_of(int64_t day) {
    // A guess from the mean length of a month is at most one off.
    int64_t month = floor_div((day + 719468) * 4800, 146097);
    if (first_day(month) > day)
        month--;
    else if (first_day(month + 1) <= day)
        month++;
    return (struct window){first_day(month) * WINDOW_DAY_MS, first_day(month + 1) * WINDOW_DAY_MS};
}

struct window window_at(int64_t length_ms, int64_t now_ms) {
    if (length_ms <= 0)
        return (struct window){0, INT64_MAX};
    if (length_ms == WINDOW_MONTH_MS)
        return month_of(floor_div(now_ms, WINDOW_DAY_MS));
    int64_t shift = length_ms == WINDOW_WEEK_MS ? 3 * WINDOW_DAY_MS : 0;
    int64_t start = floor_div(now_ms + shift, length_ms) * length_ms - shift;
    return (struct window){start, start + length_ms};
}
