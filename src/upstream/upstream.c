// One loop's libcurl multi handle: its timer, its messages, and a sweep for
// timeouts. Whatever would call back at once is put off to the loop (`kick`),
// so that nobody is called from inside his own call.
#include "attempt.h"

#include <stdlib.h>

enum { SWEEP_MS = 20, CONNECTIONS_KEPT = 2048 };

// ------------------------------------------------------------------- shared

struct upstream_shared *upstream_shared_new(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct upstream_shared *s = base_calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->slots = table_new();
    return s;
}

void upstream_shared_free(struct upstream_shared *s) {
    if (s == NULL)
        return;
    size_t cursor = 0;
    struct slice name;
    void *slot;
    while (table_next(s->slots, &cursor, &name, &slot)) {
        free(((struct slot *)slot)->name);
        free(slot);
    }
    table_free(s->slots);
    pthread_mutex_destroy(&s->lock);
    free(s);
    curl_global_cleanup();
}

static struct slot *shared_slot(struct upstream_shared *s, struct slice name) {
    pthread_mutex_lock(&s->lock);
    struct slot *slot = table_get(s->slots, name);
    if (slot == NULL) {
        slot = base_calloc(1, sizeof *slot);
        slot->name = slice_dup(name);
        table_put(s->slots, name, slot);
    }
    pthread_mutex_unlock(&s->lock);
    return slot;
}

struct slot *upstream_slot(struct upstream *u, struct slice name) {
    struct slot *slot = table_get(u->slots, name);
    if (slot == NULL) {
        slot = shared_slot(u->shared, name);
        table_put(u->slots, name, slot);
    }
    return slot;
}

int64_t upstream_inflight(struct upstream_shared *s, struct slice target_name) {
    pthread_mutex_lock(&s->lock);
    struct slot *slot = table_get(s->slots, target_name);
    pthread_mutex_unlock(&s->lock);
    return slot != NULL ? atomic_load(&slot->inflight) : 0;
}

static void on_room_mail(struct mail *m) {
    struct upstream *u = (struct upstream *)(void *)((char *)m - offsetof(struct upstream, room_mail));
    atomic_store(&u->room_mail_posted, false);
    attempt_admit_waiting(u);
}

void upstream_room(struct upstream *u) {
    if (atomic_load(&u->waiting_count) > 0)
        upstream_kick(u);
    struct upstream_shared *s = u->shared;
    pthread_mutex_lock(&s->lock);
    for (struct upstream *other = s->upstreams; other != NULL; other = other->next)
        if (other != u && atomic_load(&other->waiting_count) > 0 &&
            !atomic_exchange(&other->room_mail_posted, true))
            mailbox_post(other->mailbox, &other->room_mail);
    pthread_mutex_unlock(&s->lock);
}

// --------------------------------------------------------------------- loop

void upstream_kick(struct upstream *u) {
    if (u->kicked)
        return;
    u->kicked = true;
    event_active(u->kick, 0, 0);
}

static void read_messages(struct upstream *u) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(u->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct attempt *a = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&a);
        if (a->state == ATTEMPT_RUNNING)
            transfer_finish(a, message->data.result);
    }
}

static void settle(struct upstream *u) {
    read_messages(u);
    attempt_destroy_doomed(u);
    while (u->ending.first != NULL)
        attempt_report(u->ending.first);
}

void upstream_action(struct upstream *u, curl_socket_t fd, int events) {
    int running;
    u->in_curl = true;
    curl_multi_socket_action(u->multi, fd, events, &running);
    u->in_curl = false;
    settle(u);
}

static void resume_paused(struct upstream *u) {
    for (struct attempt *a = u->running.first, *next; a != NULL; a = next) {
        next = a->next;
        if (!a->resume_wanted)
            continue;
        a->resume_wanted = a->paused = false;
        a->progress_ms = clock_mono_ms();
        u->in_curl = true;
        curl_easy_pause(a->handle->easy, CURLPAUSE_CONT);
        u->in_curl = false;
    }
}

static void on_kick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct upstream *u = arg;
    u->kicked = false;
    resume_paused(u);
    attempt_admit_waiting(u);
    if (u->timer_wanted_ms != 0 && clock_mono_ms() >= u->timer_wanted_ms) {
        u->timer_wanted_ms = 0;
        upstream_action(u, CURL_SOCKET_TIMEOUT, 0);
    } else {
        settle(u);
    }
}

static void arm_timer(struct upstream *u, uint64_t now_ms) {
    uint64_t ms = u->timer_wanted_ms > now_ms ? u->timer_wanted_ms - now_ms : 1;
    struct timeval pause = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    event_add(u->timer, &pause);
    u->timer_armed_ms = u->timer_wanted_ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct upstream *u = arg;
    u->timer_armed_ms = 0;
    uint64_t now = clock_mono_ms();
    if (u->timer_wanted_ms == 0)
        return;
    if (now < u->timer_wanted_ms) {
        arm_timer(u, now);
        return;
    }
    u->timer_wanted_ms = 0;
    upstream_action(u, CURL_SOCKET_TIMEOUT, 0);
}

// libcurl changes its mind several times a request; the event is only touched
// when it would come too late.
static int on_timer_change(CURLM *multi, long timeout_ms, void *arg) {
    (void)multi;
    struct upstream *u = arg;
    if (timeout_ms < 0) {
        u->timer_wanted_ms = 0;
        return 0;
    }
    uint64_t now = clock_mono_ms();
    u->timer_wanted_ms = now + (uint64_t)timeout_ms;
    if (timeout_ms == 0)
        upstream_kick(u);
    else if (u->timer_armed_ms == 0 || u->timer_wanted_ms < u->timer_armed_ms)
        arm_timer(u, now);
    return 0;
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
        enum attempt_end end = attempt_overdue(a, now);
        if (end != ATTEMPT_OK)
            attempt_end_with(a, end);
    }
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct upstream *u = arg;
    uint64_t now = clock_mono_ms();
    sweep_list(&u->waiting, now);
    sweep_list(&u->running, now);
    u->sweeping = u->waiting.first != NULL || u->running.first != NULL;
    if (u->sweeping)
        arm_sweep(u);
}

// --------------------------------------------------------------------- life

struct upstream *upstream_new(struct event_base *loop, struct upstream_shared *shared) {
    struct upstream *u = base_calloc(1, sizeof *u);
    u->loop = loop;
    u->shared = shared;
    u->slots = table_new();
    u->timer = evtimer_new(loop, on_timer, u);
    u->kick = event_new(loop, -1, 0, on_kick, u);
    u->sweep = evtimer_new(loop, on_sweep, u);
    u->mailbox = mailbox_new(loop);
    u->room_mail.run = on_room_mail;
    u->multi = curl_multi_init();
    CURL *probe = curl_easy_init();
    char *ca = NULL;
    curl_easy_getinfo(probe, CURLINFO_CAINFO, &ca);
    u->default_ca = ca != NULL ? slice_dup(slice_of(ca)) : NULL;
    curl_easy_cleanup(probe);
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
    curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    curl_multi_setopt(u->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    pthread_mutex_lock(&shared->lock);
    u->next = shared->upstreams;
    shared->upstreams = u;
    pthread_mutex_unlock(&shared->lock);
    return u;
}

static void leave_shared(struct upstream *u) {
    pthread_mutex_lock(&u->shared->lock);
    struct upstream **at = &u->shared->upstreams;
    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    pthread_mutex_unlock(&u->shared->lock);
}

static void cancel_all(struct list *l) {
    while (l->first != NULL)
        attempt_cancel(l->first);
}

void upstream_free(struct upstream *u) {
    if (u == NULL)
        return;
    leave_shared(u);
    cancel_all(&u->waiting);
    cancel_all(&u->running);
    cancel_all(&u->ending);
    attempt_destroy_doomed(u);
    handle_free_all(u);
    curl_multi_cleanup(u->multi); // closes the idle connections through watch_close
    watch_free_all(u);
    mailbox_free(u->mailbox);
    event_free(u->timer);
    event_free(u->kick);
    event_free(u->sweep);
    table_free(u->slots);
    free(u->default_ca);
    free(u);
}
