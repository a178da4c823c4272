// Messages to a loop: a lock-free stack that the loop takes whole and turns
// round, and an eventfd that is only written when the stack was empty.
#include "farthing/base.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    _Atomic(struct mail *) newest;
    int fd;
    struct event *wake;
};

static void run_all(struct mailbox *box) {
    struct mail *m = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (m != NULL) {
        struct mail *next = m->next;
        m->next = oldest;
        oldest = m;
        m = next;
    }
    while (oldest != NULL) {
        struct mail *next = oldest->next; // run may free it
        oldest->run(oldest);
        oldest = next;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
    run_all(arg);
}

struct mailbox *mailbox_new(struct event_base *loop) {
    struct mailbox *box = base_calloc(1, sizeof *box);
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0) {
        log_write(LOG_ERROR, "cannot make an eventfd: out of file descriptors?");
        abort();
    }
    box->wake = event_new(loop, box->fd, EV_READ | EV_PERSIST, on_wake, box);
    event_add(box->wake, NULL);
    return box;
}

void mailbox_post(struct mailbox *box, struct mail *m) {
    struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
    do
        m->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, m, memory_order_acq_rel,
                                                  memory_order_relaxed));
    if (newest != NULL)
        return; // somebody has woken the loop already
    uint64_t one = 1;
    ssize_t ignored = write(box->fd, &one, sizeof one);
    (void)ignored;
}

void mailbox_free(struct mailbox *box) {
    if (box == NULL)
        return;
    while (atomic_load_explicit(&box->newest, memory_order_relaxed) != NULL)
        run_all(box); // what is run may post
    event_free(box->wake);
    close(box->fd);
    free(box);
}
