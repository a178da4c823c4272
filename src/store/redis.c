// The thread: takes what is handed over, keeps the connection, and comes back
// after it was lost: at random within a time that doubles (full jitter), so
// that a hundred instances do not knock at once.
#include "redis.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

enum {
    BACKOFF_MS = 100, // the first time within which it is tried again
    BACKOFF_MAX_MS = 5000,
    // A connection over which something was written, or that lived so long, was
    // a good one: back to BACKOFF_MS. One that is ended at its first write (a
    // replica), or still loads, must not be tried at once for ever.
    STEADY_MS = 10000,
    CLOSE_MS = 1000, // for what is still to be sent when all ends
};

enum redis_state redis_state_of(const struct redis *r) {
    return (enum redis_state)atomic_load_explicit(&r->state, memory_order_relaxed);
}

void redis_enter(struct redis *r, enum redis_state state) {
    atomic_store_explicit(&r->state, (int)state, memory_order_relaxed);
}

static void set_timer(struct event *timer, int64_t ms) {
    struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    event_add(timer, &pause);
}

// --------------------------------------------------------------------- jobs

void redis_uncount(struct redis *r, size_t bytes) {
    atomic_fetch_sub_explicit(&r->commands, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&r->bytes, bytes, memory_order_relaxed);
}

void redis_job_answer(struct job *j, enum store_status status) {
    if (j->op != NULL) {
        j->op->status = status;
        mailbox_post(j->op->client->mailbox, &j->op->mail);
    } else if (j->waiter != NULL) {
        j->waiter->ok = true;
        store_wake(j->waiter);
    }
    if (j->kind == JOB_STOP)
        event_base_loopbreak(j->redis->loop);
    free(j);
}

void redis_job_done(struct redis *r, struct job *j, enum store_status status) {
    redis_uncount(r, j->bytes);
    redis_job_answer(j, status);
}

void redis_job_refuse(struct redis *r, struct job *j) {
    if (j->kind == JOB_PUT || j->kind == JOB_DELETE)
        redis_count_dropped(r);
    redis_job_done(r, j, STORE_FAILED);
}

static bool takes(const struct redis *r, enum job_kind kind) {
    enum redis_state state = redis_state_of(r);
    return state == REDIS_READY || (state == REDIS_LATE && kind != JOB_GET);
}

static void perform_on_value(struct redis *r, struct job *j) {
    if (!takes(r, j->kind)) {
        redis_job_refuse(r, j);
        return;
    }
    struct redis_space *space = redis_space_of(r, j->space);
    if (space->state != SPACE_KNOWN)
        redis_space_wait(r, space, j);
    else if (j->kind == JOB_GET)
        redis_send_get(r, space, j);
    else if (j->kind == JOB_PUT)
        redis_send_put(r, space, j);
    else
        redis_send_delete(r, space, j);
}

// Done when all is that was handed over before it, be it in a space's list.
static void perform_after_all(struct redis *r, struct job *j) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next)
        if (s->waiting_first != NULL) {
            redis_space_wait(r, s, j);
            return;
        }
    redis_send_nothing(r, j);
}

void redis_perform(struct redis *r, struct job *j) {
    switch (j->kind) {
    case JOB_GET:
    case JOB_PUT:
    case JOB_DELETE:
        perform_on_value(r, j);
        return;
    case JOB_DELETE_SPACE:
        redis_space_purge(r, redis_space_of(r, j->space));
        break;
    case JOB_FORGET_CLIENT:
        redis_forget_client(r, j->client);
        break;
    case JOB_STOP:
        r->stopping = true;
        set_timer(r->pause, CLOSE_MS);
        perform_after_all(r, j);
        return;
    case JOB_FLUSH:
        perform_after_all(r, j);
        return;
    case JOB_BOUND: // how much Redis keeps is told to Redis
    case JOB_JOURNAL:
    case JOB_QUERY:
    case JOB_PREPARE:
        break;
    }
    redis_job_done(r, j, STORE_OK);
}

static void on_job(struct mail *m) {
    struct job *j = (struct job *)m;
    redis_perform(j->redis, j);
}

// What changes nothing that is kept is not held up by bounds; and a purge is
// never lost, for what it removes is not to be seen again.
static bool is_bounded(const struct job *j) {
    return j->kind == JOB_GET || j->kind == JOB_PUT || j->kind == JOB_DELETE;
}

static bool has_room(struct redis *r, const struct job *j) {
    return atomic_load_explicit(&r->commands, memory_order_relaxed) < REDIS_COMMANDS_MAX &&
           atomic_load_explicit(&r->bytes, memory_order_relaxed) + j->bytes <= REDIS_BYTES_MAX;
}

bool redis_enqueue(struct redis *r, struct job *j) {
    if (is_bounded(j) && (!takes(r, j->kind) || !has_room(r, j))) {
        if (j->kind != JOB_GET)
            redis_count_dropped(r);
        free(j);
        return false;
    }
    atomic_fetch_add_explicit(&r->commands, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->bytes, j->bytes, memory_order_relaxed);
    j->redis = r;
    j->handed_ns = clock_mono_ns();
    j->mail.run = on_job;
    mailbox_post(r->mailbox, &j->mail);
    return true;
}

// --------------------------------------------------------------- connection

static void has_tried(struct redis *r) {
    pthread_mutex_lock(&r->lock);
    r->tried = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

static void rest(struct redis *r) {
    bool was_steady =
        r->ready_ns != 0 && clock_mono_ns() - r->ready_ns >= (uint64_t)STEADY_MS * 1000000u;
    r->attempt = was_steady || r->has_written ? 0 : r->attempt + 1;
    r->has_written = false;
    r->ready_ns = 0;
    int64_t within_ms = BACKOFF_MS;
    for (unsigned i = 0; i < r->attempt && within_ms < BACKOFF_MAX_MS; i++)
        within_ms *= 2;
    if (within_ms > BACKOFF_MAX_MS)
        within_ms = BACKOFF_MAX_MS;
    redis_enter(r, REDIS_RESTING);
    set_timer(r->pause, (int64_t)random_below((uint64_t)within_ms) + 1);
}

void redis_lost(struct redis *r, enum redis_trouble trouble, const char *why) {
    redis_link_close(r->link);
    event_del(r->deadline);
    rest(r);
    redis_report_down(r, trouble, why); // before anybody hears that a read failed
    redis_fail_all(r);
    redis_spaces_forget(r);
    has_tried(r);
}

static void on_opened(void *arg) {
    struct redis *r = arg;
    redis_enter(r, REDIS_GREETING);
    redis_reader_free(r->reader);
    r->reader = redis_reader_new((size_t)r->options.max_value_bytes + 1024);
    redis_send_greeting(r);
}

void redis_greeted(struct redis *r) {
    event_del(r->pause);
    r->ready_ns = clock_mono_ns();
    redis_enter(r, REDIS_READY);
    redis_spaces_ask(r);
    redis_report_up(r);
    has_tried(r);
}

static void on_got(void *arg, struct slice bytes) {
    redis_got(arg, bytes);
}

static void on_closed(void *arg, const char *why) {
    struct redis *r = arg;
    bool was_open = redis_state_of(r) != REDIS_OPENING;
    redis_lost(r, was_open ? TROUBLE_CONNECTION : TROUBLE_CONNECT, why);
}

static const struct redis_link_events link_events = {on_opened, on_got, on_closed};

static void on_pause(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct redis *r = arg;
    struct error why;
    if (r->stopping) {
        event_base_loopbreak(r->loop);
        return;
    }
    switch (redis_state_of(r)) {
    case REDIS_RESTING:
        redis_enter(r, REDIS_OPENING);
        set_timer(r->pause, r->options.connect_timeout_ms);
        redis_link_open(r->link);
        return;
    case REDIS_OPENING:
    case REDIS_GREETING:
        error_set(&why, "no connection within %lld ms", (long long)r->options.connect_timeout_ms);
        redis_lost(r, TROUBLE_CONNECT, why.text);
        return;
    case REDIS_READY:
    case REDIS_LATE:
        return;
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    redis_check_deadlines(arg);
}

static void on_beat(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct redis *r = arg;
    enum redis_state state = redis_state_of(r);
    if (state != REDIS_READY && state != REDIS_LATE)
        return;
    int64_t dead_ms = 2 * r->options.command_timeout_ms;
    if (dead_ms < REDIS_DEAD_MS)
        dead_ms = REDIS_DEAD_MS;
    if (r->first != NULL && clock_mono_ns() - r->last_bytes_ns > (uint64_t)dead_ms * 1000000u) {
        struct error why;
        error_set(&why, "no answer for %lld ms", (long long)dead_ms);
        redis_lost(r, TROUBLE_TIMEOUT, why.text);
    } else {
        redis_spaces_ask(r);
    }
}

// ------------------------------------------------------------ opening, closing

static void *run_thread(void *arg) {
    struct redis *r = arg;
    redis_report_begin(r);
    set_timer(r->beat, REDIS_BEAT_MS);
    on_pause(-1, 0, r); // RESTING: the first try
    event_base_dispatch(r->loop);
    redis_enter(r, REDIS_RESTING); // what comes now is refused
    redis_fail_all(r);
    redis_spaces_forget(r);
    return NULL;
}

// Signals are the main thread's affair.
static bool start_thread(struct redis *r) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&r->thread, NULL, run_thread, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

static const char *copy(const char *text) {
    return text != NULL ? slice_dup(slice_of(text)) : NULL;
}

static void copy_options(struct redis *r, const struct store_redis_options *from) {
    struct store_redis_options *o = &r->options;
    *o = *from;
    o->host = copy(from->host);
    o->socket_path = copy(from->socket_path);
    o->user = copy(from->user);
    o->password = copy(from->password);
    o->ca_file = o->certificate = o->key = NULL; // read once, here
    if (o->socket_path != NULL)
        buffer_printf(&r->where, "redis at %s%c", o->socket_path, '\0');
    else
        buffer_printf(&r->where, "redis at %s:%u%c", o->host, o->port, '\0');
}

static void free_all(struct redis *r) {
    redis_link_free(r->link);
    struct event *const timers[] = {r->pause, r->deadline, r->beat};
    for (size_t i = 0; i < FARTHING_COUNT(timers); i++)
        if (timers[i] != NULL)
            event_free(timers[i]);
    if (r->loop != NULL)
        event_base_loop(r->loop, EVLOOP_NONBLOCK); // a look-up that was given up ends here
    mailbox_free(r->mailbox);
    if (r->loop != NULL)
        event_base_free(r->loop);
    redis_spaces_free(r);
    redis_reader_free(r->reader);
    redis_codec_free(r->codec);
    redis_tls_free(r->tls);
    const char *const texts[] = {r->options.host, r->options.socket_path, r->options.user,
                                 r->options.password};
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++)
        free((void *)(uintptr_t)texts[i]);
    buffer_free(&r->where);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

// At the start the cache is to be at hand with the first request, where there
// is one at all: so the first try is waited for, connect_timeout at most.
static void wait_for_first_try(struct redis *r) {
    pthread_mutex_lock(&r->lock);
    while (!r->tried)
        pthread_cond_wait(&r->wake, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

struct redis *redis_open(const struct store_redis_options *options, redis_emptied *emptied,
                         void *arg, struct error *err) {
    struct redis *r = base_calloc(1, sizeof *r);
    r->emptied = emptied;
    r->emptied_arg = arg;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    atomic_init(&r->state, REDIS_RESTING);
    copy_options(r, options);
    if (options->tls && (r->tls = redis_tls_new(options, err)) == NULL) {
        free_all(r);
        return NULL;
    }
    r->codec = redis_codec_new();
    r->loop = event_base_new();
    r->mailbox = mailbox_new(r->loop);
    r->pause = evtimer_new(r->loop, on_pause, r);
    r->deadline = evtimer_new(r->loop, on_deadline, r);
    r->beat = event_new(r->loop, -1, EV_PERSIST, on_beat, r);
    r->link = redis_link_new(r->loop, &r->options, r->tls, &link_events, r);
    if (!start_thread(r)) {
        error_set(err, "cannot start the store's thread");
        free_all(r);
        return NULL;
    }
    wait_for_first_try(r);
    return r;
}

void redis_close(struct redis *r) {
    if (r == NULL)
        return;
    struct job *stop = base_calloc(1, sizeof *stop);
    stop->kind = JOB_STOP;
    (void)redis_enqueue(r, stop);
    pthread_join(r->thread, NULL);
    free_all(r);
}
