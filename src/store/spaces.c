// What each space holds, and how much it may: kept beside the database, so that
// a put need not count. A space makes room for itself alone: a cache that is
// filled by the minute must not push out what was promised for a day.
#include "store.h"

#include <stdlib.h>

static const struct metric_family evicted_family = {
    .name = "farthing_store_evicted_total",
    .help = "Values that made room for newer ones of their space before they expired.",
    .kind = METRIC_COUNTER,
    .labels = {"space"},
};

struct space *space_of(struct database *d, struct slice name) {
    if (d->spaces == NULL)
        d->spaces = table_new();
    struct space *s = table_get(d->spaces, name);
    if (s != NULL)
        return s;
    s = base_calloc(1, sizeof *s);
    s->name = slice_dup(name);
    table_put(d->spaces, name, s);
    return s;
}

static struct space *next_space(const struct database *d, size_t *cursor) {
    struct slice name;
    void *s;
    return d->spaces != NULL && table_next(d->spaces, cursor, &name, &s) ? s : NULL;
}

void spaces_free(struct database *d) {
    size_t cursor = 0;
    for (struct space *s; (s = next_space(d, &cursor)) != NULL;) {
        free(s->name);
        free(s);
    }
    table_free(d->spaces);
    d->spaces = NULL;
}

void spaces_clear(struct database *d) {
    size_t cursor = 0;
    for (struct space *s; (s = next_space(d, &cursor)) != NULL;)
        s->held = (struct space_held){0};
}

void spaces_begin(struct database *d) {
    size_t cursor = 0;
    for (struct space *s; (s = next_space(d, &cursor)) != NULL;)
        s->before = s->held;
}

void spaces_rollback(struct database *d) {
    size_t cursor = 0;
    for (struct space *s; (s = next_space(d, &cursor)) != NULL;)
        s->held = s->before;
}

struct space_held spaces_total(const struct database *d) {
    struct space_held total = {0};
    size_t cursor = 0;
    for (const struct space *s; (s = next_space(d, &cursor)) != NULL;) {
        total.bytes += s->held.bytes;
        total.entries += s->held.entries;
    }
    return total;
}

int64_t space_max_bytes(const struct database *d, const struct space *s) {
    return s->max_bytes > 0 ? s->max_bytes : d->max_bytes;
}

void space_count(struct space *s, int64_t entries, int64_t bytes) {
    s->held.entries += entries;
    s->held.bytes += bytes;
}

// A 64th of the bound is made free at once, so that a full space does not
// delete with each put; but not many values in one statement, nor more than
// it takes where they are large.
int64_t space_surplus(const struct database *d, const struct space *s) {
    enum { AT_ONCE_MAX = 64, SLACK = 64 };
    int64_t max = space_max_bytes(d, s), over = s->held.bytes - max;
    if (over <= 0 || s->held.entries <= 0)
        return 0;
    int64_t mean = s->held.bytes / s->held.entries + 1;
    int64_t count = (over + max / SLACK) / mean + 1;
    return count < AT_ONCE_MAX ? count : AT_ONCE_MAX;
}

// Of a space with a bound of its own the operator hears: its values are there
// until they expire, and these are not.
void space_note_evicted(struct space *s, int64_t unexpired) {
    enum { COMPLAINT_PAUSE_MS = 60000 };
    if (s->evicted == NULL) { // not before: names in a damaged file are anything
        struct slice name = slice_of(s->name);
        s->evicted = metric_series(&evicted_family, &name);
    }
    metric_add(s->evicted, unexpired);
    uint64_t now = clock_mono_ms();
    if (unexpired == 0 || s->max_bytes == 0 ||
        (s->complained_ms != 0 && now - s->complained_ms < COMPLAINT_PAUSE_MS))
        return;
    s->complained_ms = now;
    log_write(LOG_WARNING,
              "store: the space \"%s\" is over its bound of %lld bytes: its oldest values go "
              "before they expire",
              s->name, (long long)s->max_bytes);
}
