// The thread: takes what is handed over and sees to it that it is done, or
// refused; and a beat each second.
#include "redis.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

enum { CLOSE_MS = 1000 }; // for what is still to be sent when all ends

enum redis_state redis_state_of(const struct redis *r) {
    return (enum redis_state)atomic_load_explicit(&r->state, memory_order_relaxed);
}

void redis_set_timer(struct event *timer, int64_t ms) {
    struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    event_add(timer, &pause);
}

// --------------------------------------------------------------------- jobs

void redis_uncount(struct redis *r, size_t bytes) {
    atomic_fetch_sub_explicit(&r->commands, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&r->bytes, bytes, memory_order_relaxed);
}

void redis_recount(struct redis *r, size_t bytes) {
    atomic_fetch_add_explicit(&r->commands, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->bytes, bytes, memory_order_relaxed);
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

static bool is_write(const struct job *j) {
    return j->kind == JOB_PUT || j->kind == JOB_DELETE;
}

void redis_job_refuse(struct redis *r, struct job *j) {
    if (is_write(j))
        redis_keep(r, j);
    else
        redis_job_done(r, j, STORE_FAILED);
}

// As redis_node_takes, of all together.
static bool takes(const struct redis *r, const struct job *j) {
    return redis_state_takes(redis_state_of(r), j);
}

static void perform_on_value(struct redis *r, struct job *j) {
    struct redis_space *space = redis_space_of(r, j->space);
    if (j->era == 0 && space->generation[0] != '\0')
        j->era = space->era;
    if (!takes(r, j)) // and no generation need be asked for
        redis_job_refuse(r, j);
    else if (is_write(j) && space->state == SPACE_KNOWN && j->era != 0 && j->era != space->era)
        redis_job_done(r, j, STORE_OK); // written, and purged since
    else if (space->state != SPACE_KNOWN)
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
    if (redis_route_has_waiting(r))
        redis_route_wait(r, j);
    else if (r->nodes != NULL)
        redis_send_nothing(r->nodes, j);
    else
        redis_job_done(r, j, STORE_OK);
}

static void forget_client(struct redis *r, const struct store_client *client) {
    for (struct redis_node *n = r->nodes; n != NULL; n = n->next)
        redis_node_forget_client(n, client);
    redis_route_refuse_again(r, client);
    redis_spaces_forget_client(r, client);
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
        forget_client(r, j->client);
        break;
    case JOB_STOP:
        event_del(r->beat); // which would say that we are there
        redis_keep_all(r);
        redis_beat_leave(r);
        redis_set_timer(r->end, CLOSE_MS);
        perform_after_all(r, j);
        return;
    case JOB_FLUSH:
        perform_after_all(r, j);
        return;
    case JOB_RUN:
    case JOB_BEAT:
        redis_send_run(r, j);
        return;
    case JOB_SAY:
        redis_say(r, j);
        return;
    case JOB_LISTEN:
        redis_ear_add(r, j->ear);
        break;
    case JOB_UNLISTEN:
        redis_ear_remove(r, j->ear);
        break;
    case JOB_WATCH:
        redis_track_space(r, redis_space_of(r, j->space));
        break;
    case JOB_CHECK: // never handed over
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
    return j->kind == JOB_GET || j->kind == JOB_RUN || j->kind == JOB_SAY || is_write(j);
}

static bool has_room(struct redis *r, const struct job *j) {
    return atomic_load_explicit(&r->commands, memory_order_relaxed) < REDIS_COMMANDS_MAX &&
           atomic_load_explicit(&r->bytes, memory_order_relaxed) + j->bytes <= REDIS_BYTES_MAX;
}

bool redis_enqueue(struct redis *r, struct job *j) {
    if (is_bounded(j) && ((!is_write(j) && !takes(r, j)) || !has_room(r, j))) {
        if (is_write(j))
            redis_count_dropped(r);
        free(j);
        return false;
    }
    redis_recount(r, j->bytes);
    j->redis = r;
    j->handed_ns = clock_mono_ns();
    j->mail.run = on_job;
    mailbox_post(r->mailbox, &j->mail);
    return true;
}

// ---------------------------------------------------------------- the thread

void redis_has_tried(struct redis *r) {
    pthread_mutex_lock(&r->lock);
    r->tried = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

static void on_end(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    event_base_loopbreak(((struct redis *)arg)->loop);
}

static void on_beat(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct redis *r = arg;
    bool any = false;
    for (struct redis_node *n = r->nodes; n != NULL; n = n->next)
        any = (redis_node_is_open(n) && redis_node_is_alive(n)) || any;
    if (!any)
        return;
    for (struct redis_node *n = r->nodes; n != NULL; n = n->next)
        redis_node_look(n);
    redis_beat_send(r);
    redis_spaces_ask(r);
    redis_ear_beat(r);
    redis_keep_step(r);
}

// ------------------------------------------------------------ opening, closing

static void *run_thread(void *arg) {
    struct redis *r = arg;
    redis_report_begin(r);
    redis_set_timer(r->beat, REDIS_BEAT_MS);
    redis_nodes_open(r);
    event_base_dispatch(r->loop);
    for (struct redis_node *n = r->nodes; n != NULL; n = n->next) {
        redis_enter(n, REDIS_RESTING); // what comes now is refused
        redis_fail_all(n);
    }
    redis_spaces_forget(r, NULL);
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

static void free_all(struct redis *r) {
    redis_nodes_free(r);
    redis_ear_close(r);
    struct event *const timers[] = {r->beat, r->end};
    for (size_t i = 0; i < FARTHING_COUNT(timers); i++)
        if (timers[i] != NULL)
            event_free(timers[i]);
    if (r->loop != NULL)
        event_base_loop(r->loop, EVLOOP_NONBLOCK); // a look-up that was given up ends here
    mailbox_free(r->mailbox);
    redis_keep_end(r);
    if (r->loop != NULL)
        event_base_free(r->loop);
    redis_spaces_free(r);
    redis_scripts_free(r);
    redis_codec_free(r->codec);
    redis_tls_free(r->tls);
    redis_options_free(&r->options);
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

struct redis *redis_open(const struct store_redis_options *options,
                         const struct redis_watcher *watcher, struct error *err) {
    struct redis *r = base_calloc(1, sizeof *r);
    r->watcher = *watcher;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    atomic_init(&r->state, REDIS_RESTING);
    atomic_init(&r->instances, 1);
    random_id(r->instance);
    redis_options_copy(&r->options, options);
    redis_options_describe(options, &r->where);
    buffer_append_char(&r->where, '\0');
    if (options->tls && (r->tls = redis_tls_new(options, err)) == NULL) {
        free_all(r);
        return NULL;
    }
    r->codec = redis_codec_new();
    r->channels = table_new();
    r->loop = event_base_new();
    redis_keep_begin(r);
    r->mailbox = mailbox_new(r->loop);
    r->beat = event_new(r->loop, -1, EV_PERSIST, on_beat, r);
    r->end = evtimer_new(r->loop, on_end, r);
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
