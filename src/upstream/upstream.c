// One loop's side of it all: what is due soon (`kick`), so that nobody is called
// from inside his own call, and a sweep for timeouts.
#include "attempt.h"

#include <stdlib.h>

enum {
    SWEEP_MS = 20,
    KICKS_IN_A_ROW = 3, // what libcurl asks for to begin a transfer; each costs no system call
};

// ------------------------------------------------------------------- shared

struct upstream_shared *upstream_shared_new(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct upstream_shared *s = base_calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->slots_by_name = table_new();
    return s;
}

void upstream_shared_free(struct upstream_shared *s) {
    if (s == NULL)
        return;
    slot_free_all(s);
    table_free(s->slots_by_name);
    pthread_mutex_destroy(&s->lock);
    free(s);
    curl_global_cleanup();
}

// --------------------------------------------------------------------- loop

// libevent runs what becomes active before it looks at sockets and timers again,
// so kicks that follow from kicks keep the loop to themselves. libcurl asks for
// one after each 1.6 MB of an answer that comes as fast as it is read: after a few
// the others have their turn first.
void upstream_kick(struct upstream *u) {
    static const struct timeval at_once = {0, 0};
    if (u->kicked)
        return;
    u->kicked = true;
    u->kicks_in_a_row = u->kicking ? u->kicks_in_a_row + 1 : 0;
    if (u->kicks_in_a_row > KICKS_IN_A_ROW)
        event_add(u->kick, &at_once);
    else
        event_active(u->kick, 0, 0);
}

void upstream_settle(struct upstream *u) {
    while (u->doomed.first != NULL)
        attempt_destroy(u->doomed.first);
    while (u->ending.first != NULL)
        attempt_report(u->ending.first);
}

static void on_kick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    struct upstream *u = arg;
    u->kicked = false;
    u->kicking = true;
    if (what & EV_TIMEOUT) // the others have had their turn
        u->kicks_in_a_row = 0;
    while (u->resuming.first != NULL)
        transfer_resume(u->resuming.first);
    while (u->admitted.first != NULL)
        transfer_start(u->admitted.first);
    uint64_t now = clock_mono_ms();
    for (size_t i = 0; i < SHARDS; i++)
        shard_run_when_due(&u->shards[i], now);
    upstream_settle(u);
    u->kicking = false;
}

// -------------------------------------------------------------------- sweep

static void arm_sweep(struct upstream *u) {
    const struct timeval pause = {0, SWEEP_MS * 1000};
    event_add(u->sweep, &pause);
}

void upstream_start_sweep(struct upstream *u) {
    if (u->sweeping)
        return;
    u->sweeping = true;
    arm_sweep(u);
}

static void sweep_list(struct list *l, uint64_t now) {
    for (struct attempt *a = l->first, *next; a != NULL; a = next) {
        next = a->next;
        attempt_check_time(a, now);
    }
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct upstream *u = arg;
    uint64_t now = clock_mono_ms();
    sweep_list(&u->waiting, now);
    sweep_list(&u->running, now);
    sweep_list(&u->paused, now);
    u->sweeping = u->waiting.first != NULL || u->admitted.first != NULL ||
                  u->running.first != NULL || u->paused.first != NULL || u->resuming.first != NULL;
    if (u->sweeping)
        arm_sweep(u);
}

// --------------------------------------------------------------------- life

struct upstream *upstream_new(struct event_base *loop, struct upstream_shared *shared) {
    struct upstream *u = base_calloc(1, sizeof *u);
    u->loop = loop;
    u->shared = shared;
    u->queues_by_name = table_new();
    u->kick = event_new(loop, -1, 0, on_kick, u);
    u->sweep = evtimer_new(loop, on_sweep, u);
    u->mailbox = mailbox_new(loop);
    for (size_t i = 0; i < SHARDS; i++)
        shard_open(&u->shards[i], u);
    CURL *probe = curl_easy_init();
    char *ca = NULL;
    curl_easy_getinfo(probe, CURLINFO_CAINFO, &ca);
    u->default_ca = ca != NULL ? slice_dup(slice_of(ca)) : NULL;
    curl_easy_cleanup(probe);
    return u;
}

static void cancel_all(struct list *l) {
    while (l->first != NULL)
        attempt_cancel(l->first);
}

void upstream_free(struct upstream *u) {
    if (u == NULL)
        return;
    cancel_all(&u->waiting);
    cancel_all(&u->admitted);
    cancel_all(&u->running);
    cancel_all(&u->paused);
    cancel_all(&u->resuming);
    cancel_all(&u->ending);
    places_wait_for_posters(u);
    queue_free_all(u);
    for (size_t i = 0; i < SHARDS; i++)
        shard_close(&u->shards[i]);
    watch_free_all(u);
    mailbox_free(u->mailbox);
    event_free(u->kick);
    event_free(u->sweep);
    free(u->default_ca);
    free(u);
}
