// Writes that could not be sent, or were under way when a connection was lost:
// they are kept, and sent when Redis is back, each only as long as its value
// lives. So what was finished while Redis was away others find later.
//
// The newest of a key replaces the older ones. What was taken before a purge is
// not written after it, be it one's own or another instance's that is learned of
// only when Redis is back: the purge would be undone.
#include <event2/event.h>
#include <stdlib.h>

#include "redis.h"

enum {
    KEPT_MAX = 16384,
    KEPT_BYTES_MAX = 16 * 1024 * 1024,
    // At once, then a pause, so that reads go between: a value is compressed first.
    STEP_JOBS = 128,
    STEP_BYTES = 256 * 1024,
    STEP_PAUSE_MS = 5,
};

struct redis_kept {
    struct redis_kept *next, *previous; // the older stands first
    struct job *job;
};

static void name_of(const struct job *j, struct buffer *out) {
    buffer_printf(out, "%s%c", j->space, '\0');
    buffer_append(out, j->key);
}

static void take_out(struct redis *r, struct redis_kept *k) {
    if (k->previous != NULL)
        k->previous->next = k->next;
    else
        r->kept_first = k->next;
    if (k->next != NULL)
        k->next->previous = k->previous;
    else
        r->kept_last = k->previous;
    r->kept_bytes -= k->job->bytes;
    free(k);
}

// Out of the list and the table; the caller's from here on.
static struct job *forget(struct redis *r, struct redis_kept *k) {
    struct job *j = k->job;
    struct buffer name = {0};
    name_of(j, &name);
    table_remove(r->kept, buffer_slice(&name));
    buffer_free(&name);
    take_out(r, k);
    redis_report_kept(table_count(r->kept));
    return j;
}

static void drop_oldest(struct redis *r) {
    free(forget(r, r->kept_first));
    redis_count_dropped(r);
}

void redis_keep(struct redis *r, struct job *j) {
    struct buffer name = {0};
    redis_uncount(r, j->bytes);
    name_of(j, &name);
    struct redis_kept *k = table_get(r->kept, buffer_slice(&name));
    if (j->bytes > KEPT_BYTES_MAX || (k != NULL && k->job->handed_ns > j->handed_ns)) {
        if (k == NULL)
            redis_count_dropped(r);
        free(j);
        buffer_free(&name);
        return;
    }
    if (k != NULL)
        free(forget(r, k));
    k = base_calloc(1, sizeof *k);
    k->job = j;
    k->previous = r->kept_last;
    if (r->kept_last != NULL)
        r->kept_last->next = k;
    else
        r->kept_first = k;
    r->kept_last = k;
    r->kept_bytes += j->bytes;
    table_put(r->kept, buffer_slice(&name), k);
    buffer_free(&name);
    while (table_count(r->kept) > KEPT_MAX || r->kept_bytes > KEPT_BYTES_MAX)
        drop_oldest(r);
    redis_report_kept(table_count(r->kept));
}

void redis_keep_replaced(struct redis *r, const struct job *by) {
    if (r->kept_first == NULL)
        return;
    struct buffer name = {0};
    name_of(by, &name);
    struct redis_kept *k = table_get(r->kept, buffer_slice(&name));
    buffer_free(&name);
    if (k != NULL && k->job->handed_ns <= by->handed_ns)
        free(forget(r, k));
}

// ------------------------------------------------------------------ sending

static void send_again(struct redis *r, struct job *j) {
    bool is_expired = j->expires_ms != 0 && j->expires_ms <= clock_wall_ms();
    if (j->era == 0) // nothing was known of the space yet: a purge may have come between
        redis_count_dropped(r);
    if (j->era == 0 || is_expired) {
        free(j);
        return;
    }
    redis_recount(r, j->bytes);
    redis_perform(r, j);
}

// Those of spaces that are known now, the oldest first. False: there are more.
static bool send_some(struct redis *r, size_t max_jobs, size_t max_bytes) {
    size_t jobs = 0, bytes = 0, count = table_count(r->kept);
    for (struct redis_kept *k = r->kept_first, *next; k != NULL && count > 0; k = next, count--) {
        next = k->next;
        if (redis_space_of(r, k->job->space)->state != SPACE_KNOWN)
            continue;
        if (jobs >= max_jobs || bytes >= max_bytes)
            return false;
        jobs++;
        bytes += k->job->bytes;
        send_again(r, forget(r, k)); // which may be kept again, as the newest
    }
    return true;
}

void redis_keep_step(struct redis *r) {
    if (!send_some(r, STEP_JOBS, STEP_BYTES))
        redis_set_timer(r->keep, STEP_PAUSE_MS);
}

void redis_keep_all(struct redis *r) {
    (void)send_some(r, SIZE_MAX, SIZE_MAX);
}

static void on_keep(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    redis_keep_step(arg);
}

void redis_keep_begin(struct redis *r) {
    r->kept = table_new();
    r->keep = evtimer_new(r->loop, on_keep, r);
}

void redis_keep_end(struct redis *r) {
    if (r->kept == NULL)
        return;
    if (r->kept_first != NULL)
        log_write(LOG_WARNING, "store: %zu writes that waited for %s are lost",
                  table_count(r->kept), r->where.ptr);
    while (r->kept_first != NULL)
        drop_oldest(r);
    table_free(r->kept);
    event_free(r->keep);
}
