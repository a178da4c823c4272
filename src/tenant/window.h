// The windows of budgets: fixed, by the calendar in UTC. Pure.
#ifndef FARTHING_TENANT_WINDOW_H
#define FARTHING_TENANT_WINDOW_H

#include <stdint.h>

#define WINDOW_DAY_MS (INT64_C(24) * 3600 * 1000)
#define WINDOW_WEEK_MS (7 * WINDOW_DAY_MS)   // begins on Monday
#define WINDOW_MONTH_MS (30 * WINDOW_DAY_MS) // how the configuration says "1mo": a calendar month

struct window {
    int64_t start_ms, end_ms; // Unix; end_ms INT64_MAX: it never ends
};

// The window of this length that holds now. length_ms 0: all time.
struct window window_at(int64_t length_ms, int64_t now_ms);

#endif
