// Calls and failures of the last while, in slices. Pure: no lock, no clock.
#ifndef FARTHING_UPSTREAM_BREAKER_WINDOW_H
#define FARTHING_UPSTREAM_BREAKER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_SLICES = 10 };

// Zero-initialized: nothing was counted.
struct breaker_window {
    int64_t slice_ms;
    int64_t at; // number of the running slice, since the clock's zero
    int64_t calls[BREAKER_SLICES], failures[BREAKER_SLICES]; // by number modulo BREAKER_SLICES
};

// Another length than before forgets what was counted.
void breaker_window_count(struct breaker_window *w, int64_t length_ms, int64_t now_ms, bool failed);
// Over the window, or over its last two slices or more: at least `failures` of
// them, and half of the calls.
bool breaker_window_tripped(const struct breaker_window *w, int64_t failures);
// Of the whole window.
void breaker_window_sum(const struct breaker_window *w, int64_t now_ms, int64_t *calls,
                        int64_t *failures);

#endif
