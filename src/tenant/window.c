// Calendar arithmetic on days since 1970-01-01, a Thursday. (gmtime and timegm
// would do it with a lock and a locale.)
#include "window.h"

#include "zone.h"

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

static int64_t march_month_of(int64_t day) {
    // A guess from the mean length of a month is at most one off.
    int64_t month = floor_div((day + 719468) * 4800, 146097);
    if (first_day(month) > day)
        return month - 1;
    return first_day(month + 1) <= day ? month + 1 : month;
}

int64_t window_month_day(int64_t year, int month) {
    return first_day(year * 12 + month - 3);
}

int64_t window_year_of(int64_t day) {
    return floor_div(march_month_of(day) + 2, 12);
}

static struct window month_of(int64_t day) {
    int64_t month = march_month_of(day);
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

// -------------------------------------------------------------------- in a zone

// The first change of the local clock in (from, until]; INT64_MAX: none.
static int64_t next_change(const struct zone *z, int64_t from, int64_t until) {
    int64_t at;
    int32_t offset = zone_offset(z, from, &at);
    while (at <= until) {
        int64_t next;
        if (zone_offset(z, at, &next) != offset)
            return at;
        at = next;
    }
    return INT64_MAX;
}

static struct window hour_in_zone(const struct zone *z, int64_t now) {
    int64_t until, hour = WINDOW_HOUR_MS / 1000;
    int32_t offset = zone_offset(z, now, &until);
    int64_t start = floor_div(now + offset, hour) * hour - offset, end = start + hour;
    for (int64_t at = start; (at = next_change(z, at, now)) != INT64_MAX;)
        start = at;
    int64_t change = next_change(z, now, end - 1);
    return (struct window){start * 1000, (change < end ? change : end) * 1000};
}

struct window window_in_zone(const struct zone *zone, int64_t length_ms, int64_t now_ms) {
    if (length_ms <= 0)
        return window_at(length_ms, now_ms);
    int64_t now = floor_div(now_ms, 1000), until;
    if (length_ms < WINDOW_DAY_MS)
        return hour_in_zone(zone, now);
    // Where the clock is set back over midnight a day is entered twice; it begins
    // when it is entered first, and the one before ends there.
    struct window local = window_at(length_ms, (now + zone_offset(zone, now, &until)) * 1000);
    for (;;) {
        int64_t start = zone_moment(zone, local.start_ms / 1000);
        int64_t end = zone_moment(zone, local.end_ms / 1000);
        if (now < start)
            local = window_at(length_ms, local.start_ms - 1);
        else if (now >= end)
            local = window_at(length_ms, local.end_ms);
        else
            return (struct window){start * 1000, end * 1000};
    }
}

// -------------------------------------------------------------------- by shape

int64_t window_part_ms(int64_t length_ms) {
    return (length_ms + WINDOW_PARTS - 1) / WINDOW_PARTS;
}

struct window window_of(const struct window_shape *shape, int64_t now_ms) {
    if (shape->sliding && shape->length_ms > 0) {
        int64_t part_ms = window_part_ms(shape->length_ms);
        int64_t start = floor_div(now_ms, part_ms) * part_ms;
        return (struct window){start, start + part_ms};
    }
    return shape->zone != NULL ? window_in_zone(shape->zone, shape->length_ms, now_ms)
                               : window_at(shape->length_ms, now_ms);
}

bool window_shape_equal(const struct window_shape *a, const struct window_shape *b) {
    return a->length_ms == b->length_ms && a->sliding == b->sliding && a->zone == b->zone;
}
