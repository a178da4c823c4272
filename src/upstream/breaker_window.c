// The window slides by a tenth of its length: between nine and ten slices are
// counted at any time.
//
// Half of the calls over the whole window alone would take half a window of
// failures to be reached where every second has as many calls. Half of the last
// two slices takes a fifth of that. One slice would be too little: its first five
// calls may all be connections that the provider dropped at once.
#include "breaker_window.h"

enum { SLICES_MIN = 2 };

static unsigned place(int64_t slice) {
    return (unsigned)(slice % BREAKER_SLICES);
}

// A clock that another thread read a moment earlier counts as now.
static void slide(struct breaker_window *w, int64_t to) {
    if (to - w->at >= BREAKER_SLICES)
        w->at = to - BREAKER_SLICES;
    while (w->at < to) {
        unsigned next = place(++w->at);
        w->calls[next] = w->failures[next] = 0;
    }
}

void breaker_window_count(struct breaker_window *w, int64_t length_ms, int64_t now_ms,
                          bool failed) {
    int64_t slice_ms = length_ms > BREAKER_SLICES ? length_ms / BREAKER_SLICES : 1;
    if (slice_ms != w->slice_ms)
        *w = (struct breaker_window){.slice_ms = slice_ms};
    slide(w, now_ms / slice_ms);
    w->calls[place(w->at)]++;
    w->failures[place(w->at)] += failed;
}

bool breaker_window_tripped(const struct breaker_window *w, int64_t failures) {
    int64_t calls = 0, failed = 0;
    for (int n = 1; n <= BREAKER_SLICES; n++) {
        unsigned i = place(w->at + 1 - n + BREAKER_SLICES);
        calls += w->calls[i];
        failed += w->failures[i];
        if (n >= SLICES_MIN && failed >= failures && 2 * failed >= calls)
            return true;
    }
    return false;
}

void breaker_window_sum(const struct breaker_window *w, int64_t now_ms, int64_t *calls,
                        int64_t *failures) {
    struct breaker_window seen = *w;
    *calls = *failures = 0;
    if (seen.slice_ms == 0)
        return;
    slide(&seen, now_ms / seen.slice_ms);
    for (int i = 0; i < BREAKER_SLICES; i++) {
        *calls += seen.calls[i];
        *failures += seen.failures[i];
    }
}
