// The windows of budgets: fixed by the calendar of UTC or of a zone, or the parts
// of a sliding one. Pure.
#ifndef FARTHING_TENANT_WINDOW_H
#define FARTHING_TENANT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct zone;

#define WINDOW_HOUR_MS  (INT64_C(3600) * 1000)
#define WINDOW_DAY_MS   (24 * WINDOW_HOUR_MS)
#define WINDOW_WEEK_MS  (7 * WINDOW_DAY_MS)  // begins on Monday
#define WINDOW_MONTH_MS (30 * WINDOW_DAY_MS) // how the configuration says "1mo": a calendar month

enum { WINDOW_PARTS = 24 }; // of a sliding window

struct window {
    int64_t start_ms, end_ms; // Unix; end_ms INT64_MAX: it never ends
};

// What a budget's windows are like.
struct window_shape {
    int64_t length_ms;       // 0: all time
    bool sliding;            // the last length_ms at any time, in parts
    const struct zone *zone; // of the calendar; NULL: UTC
};

// The window of this length that holds now, in UTC. length_ms 0: all time.
struct window window_at(int64_t length_ms, int64_t now_ms);
// By the local calendar: from midnight to midnight, however long that is. An hour
// begins where the local clock shows a full one, or is changed.
struct window window_in_zone(const struct zone *zone, int64_t length_ms, int64_t now_ms);
// Of a sliding window: the part of it that holds now.
struct window window_of(const struct window_shape *shape, int64_t now_ms);
int64_t window_part_ms(int64_t length_ms);
bool window_shape_equal(const struct window_shape *a, const struct window_shape *b);

// Days since 1970-01-01 of the first of a month, 1..12 (13: the next January).
int64_t window_month_day(int64_t year, int month);
int64_t window_year_of(int64_t day);

#endif
