// The reader of time zones, on any bytes: never a crash, an error always has words,
// and in what is a zone windows follow each other.
#include <stdlib.h>

#include "window.h"
#include "zone.h"

static const int64_t lengths[] = {WINDOW_HOUR_MS, WINDOW_DAY_MS, WINDOW_WEEK_MS, WINDOW_MONTH_MS};

static void check_window(const struct zone *z, int64_t length_ms, int64_t now_ms) {
    struct window w = window_in_zone(z, length_ms, now_ms);
    if (now_ms < w.start_ms || now_ms >= w.end_ms)
        abort();
    struct window next = window_in_zone(z, length_ms, w.end_ms);
    if (next.start_ms != w.end_ms || next.end_ms <= next.start_ms)
        abort();
}

static void check_moment(const struct zone *z, int64_t seconds) {
    int64_t until;
    int32_t offset = zone_offset(z, seconds, &until);
    if (until <= seconds || offset > 26 * 3600 || offset < -26 * 3600)
        abort();
    int64_t moment = zone_moment(z, seconds + offset);
    if (moment > seconds)
        abort(); // the clock shows it now
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {{0}};
    struct zone *z = zone_parse(slice_make(data, size), &err);
    if (z == NULL) {
        if (err.text[0] == '\0')
            abort();
        return 0;
    }
    for (int64_t ms = INT64_C(-3000000000000); ms < INT64_C(9000000000000);
         ms += INT64_C(777777777777)) {
        check_moment(z, ms / 1000);
        for (size_t i = 0; i < FARTHING_COUNT(lengths); i++)
            check_window(z, lengths[i], ms);
    }
    zone_free(z);
    return 0;
}
