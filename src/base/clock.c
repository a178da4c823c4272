// The one clock. Tests freeze it; everybody else reads the system's (both
// clocks are vDSO calls of some 25 ns).
#include "farthing/base.h"

#include <stdatomic.h>
#include <time.h>

static atomic_bool frozen;
static _Atomic int64_t frozen_wall_ms;
static _Atomic uint64_t frozen_mono_ns;

int64_t clock_wall_ms(void) {
    if (atomic_load_explicit(&frozen, memory_order_relaxed))
        return atomic_load(&frozen_wall_ms);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t clock_mono_ns(void) {
    if (atomic_load_explicit(&frozen, memory_order_relaxed))
        return atomic_load(&frozen_mono_ns);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clock_freeze(int64_t wall_ms, uint64_t mono_ns) {
    atomic_store(&frozen_wall_ms, wall_ms);
    atomic_store(&frozen_mono_ns, mono_ns);
    atomic_store(&frozen, true);
}

void clock_thaw(void) {
    atomic_store(&frozen, false);
}

static void put_digits(char *out, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

// Days to date by Howard Hinnant's civil_from_days: gmtime and strftime would
// take a lock and a locale for what is arithmetic.
void clock_format_ms(int64_t wall_ms, char out[25]) {
    int64_t seconds = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    int64_t days = seconds / 86400, of_day = seconds % 86400;
    if (of_day < 0) {
        of_day += 86400;
        days--;
    }
    days += 719468; // from 0000-03-01
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, of_day / 3600, 2);
    put_digits(out + 14, of_day / 60 % 60, 2);
    put_digits(out + 17, of_day % 60, 2);
    put_digits(out + 20, ms, 3);
}
