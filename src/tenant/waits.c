// A binary heap by time with one timer of the loop. (A timer for each waiter
// would do the same in libevent's own heap, but could not be run by a test
// whose clock stands still.)
#include "waits.h"

#include <event2/event.h>
#include <stdlib.h>

// --------------------------------------------------------------------- heap

static void put(struct waits *w, size_t at, struct wait *item) {
    w->heap[at] = item;
    item->index = at;
}

static void sift_up(struct waits *w, size_t at, struct wait *item) {
    for (; at > 1 && w->heap[at / 2]->due_ms > item->due_ms; at /= 2)
        put(w, at, w->heap[at / 2]);
    put(w, at, item);
}

static void sift_down(struct waits *w, size_t at, struct wait *item) {
    for (;;) {
        size_t child = 2 * at;
        if (child > w->count)
            break;
        if (child < w->count && w->heap[child + 1]->due_ms < w->heap[child]->due_ms)
            child++;
        if (w->heap[child]->due_ms >= item->due_ms)
            break;
        put(w, at, w->heap[child]);
        at = child;
    }
    put(w, at, item);
}

// -------------------------------------------------------------------- timer

static void arm(struct waits *w) {
    if (w->count == 0 || (w->armed_ms != 0 && w->armed_ms <= w->heap[1]->due_ms))
        return; // a timer that comes early finds nothing and is set again
    uint64_t now = clock_mono_ms(), due = w->heap[1]->due_ms;
    uint64_t ms = due > now ? due - now : 1;
    struct timeval pause = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    event_add(&w->timer, &pause);
    w->armed_ms = due > 0 ? due : 1;
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct waits *w = arg;
    w->armed_ms = 0;
    waits_run_due(w, clock_mono_ms());
}

void waits_run_due(struct waits *w, uint64_t now_ms) {
    while (w->count > 0 && w->heap[1]->due_ms <= now_ms) {
        struct wait *item = w->heap[1];
        waits_remove(w, item);
        w->on_due(item);
    }
    arm(w);
}

// -------------------------------------------------------------------- as such

void waits_open(struct waits *w, struct event_base *loop, void (*on_due)(struct wait *w)) {
    *w = (struct waits){.mailbox = mailbox_new(loop), .on_due = on_due};
    evtimer_assign(&w->timer, loop, on_timer, w);
}

void waits_close(struct waits *w) {
    mailbox_free(w->mailbox);
    event_del(&w->timer);
    free(w->heap);
}

void waits_add(struct waits *w, struct wait *item, uint64_t due_ms) {
    item->due_ms = due_ms;
    w->count++;
    if (w->count >= w->capacity) {
        w->capacity = w->capacity > 0 ? 2 * w->capacity : 16;
        w->heap = base_realloc(w->heap, w->capacity * sizeof *w->heap);
    }
    sift_up(w, w->count, item);
    arm(w);
}

void waits_remove(struct waits *w, struct wait *item) {
    size_t at = item->index;
    if (at == 0)
        return;
    item->index = 0;
    struct wait *last = w->heap[w->count--];
    if (last == item)
        return;
    if (at > 1 && w->heap[at / 2]->due_ms > last->due_ms)
        sift_up(w, at, last);
    else
        sift_down(w, at, last);
}
