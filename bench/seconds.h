// Processor time of this thread, so that a busy machine disturbs a measurement less.
#ifndef FARTHING_BENCH_SECONDS_H
#define FARTHING_BENCH_SECONDS_H

#include <time.h>

static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
