// Those of one loop who wait: each with the time at which its patience ends, and
// a mailbox through which another thread can end the waiting. One timer for all.
#ifndef FARTHING_TENANT_WAITS_H
#define FARTHING_TENANT_WAITS_H

#include <event2/event_struct.h>

#include "farthing/base.h"

// Part of a waiter, as its first member: the mail is the wait is the waiter.
struct wait {
    struct mail mail; // for whoever ends the waiting from another thread
    uint64_t due_ms;
    size_t index; // in the heap, from 1; 0: not in it
};

struct waits {
    struct mailbox *mailbox;
    void (*on_due)(struct wait *w); // on the loop; the wait has left the heap
    struct wait **heap;             // from 1, earliest first
    size_t count, capacity;
    struct event timer;
    uint64_t armed_ms; // 0: not
};

void waits_open(struct waits *w, struct event_base *loop, void (*on_due)(struct wait *w));
// Nobody waits, and nobody will post, any more. What was posted is run.
void waits_close(struct waits *w);
void waits_add(struct waits *w, struct wait *item, uint64_t due_ms);
void waits_remove(struct waits *w, struct wait *item); // in no heap: nothing
void waits_run_due(struct waits *w, uint64_t now_ms);

#endif
