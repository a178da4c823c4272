// What metrics.c (counting) and metrics_text.c (the exposition) share.
#ifndef FARTHING_BASE_METRICS_H
#define FARTHING_BASE_METRICS_H

#include <stdatomic.h>

#include "farthing/base.h"

struct metric_series {
    const struct metric_family *family;
    struct metric_series *next; // of the family, newest first
    char *values[METRIC_LABELS_MAX];
    size_t label_count;
    _Atomic int64_t value; // counter, gauge; histogram: sum
    _Atomic int64_t count; // histogram
    _Atomic int64_t *buckets;
};

struct metric_entry {
    const struct metric_family *family;
    struct metric_series *series;
    size_t series_count;
    struct metric_entry *next; // in the order of declaration
};

// All families; call with the registry's lock held.
struct metric_entry *metric_entries(void);
void metric_lock(void);
void metric_unlock(void);

#endif
