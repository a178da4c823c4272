// The store as others see it: opening, clients, and handing jobs over.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "redis.h"

static bool make_directory(const char *path, struct error *err) {
    // One level: the parent is the operator's affair.
    if (mkdir(path, 0700) == 0)
        return true;
    struct stat st;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    return error_set(err, "cannot use the directory \"%s\": %s", path,
                     errno == EEXIST ? "it is not a directory" : strerror(errno));
}

static void init_locks(struct store *s) {
    pthread_condattr_t monotonic; // a clock that is set must not hold the thread up
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->watch_lock, NULL);
}

// Signals are the main thread's affair, and one of them is about this thread's
// own work: a write over RLIMIT_FSIZE is to fail, not to end the process.
static bool start_thread(struct store *s) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&s->thread, NULL, store_worker, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

static void store_free(struct store *s) {
    database_close(&s->database); // if its thread did not come to do it
    database_free(&s->database);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->watch_lock);
    pthread_cond_destroy(&s->wake);
    free(s);
}

// ------------------------------------------------------------------ watches

static struct job *job_new(enum job_kind kind, const char *space, struct slice key,
                           struct slice value);

void store_watch(struct store *s, const char *space, store_emptied *emptied, store_changed *changed,
                 void *arg) {
    struct watch *w = base_alloc(sizeof *w);
    *w = (struct watch){.space = space, .emptied = emptied, .changed = changed, .arg = arg};
    pthread_mutex_lock(&s->watch_lock);
    w->next = s->watches;
    s->watches = w;
    pthread_mutex_unlock(&s->watch_lock);
    if (s->redis != NULL && changed != NULL)
        (void)redis_enqueue(s->redis, job_new(JOB_WATCH, space, SLICE_NONE, SLICE_NONE));
}

void store_unwatch(struct store *s, void *arg) {
    pthread_mutex_lock(&s->watch_lock);
    for (struct watch **at = &s->watches; *at != NULL;) {
        struct watch *w = *at;
        if (w->arg != arg) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
    pthread_mutex_unlock(&s->watch_lock);
}

static void tell_watches(void *store, const char *space) {
    struct store *s = store;
    pthread_mutex_lock(&s->watch_lock);
    for (struct watch *w = s->watches; w != NULL; w = w->next)
        if (strcmp(w->space, space) == 0)
            w->emptied(w->arg);
    pthread_mutex_unlock(&s->watch_lock);
}

static void tell_of_change(void *store, const char *space, struct slice key) {
    struct store *s = store;
    pthread_mutex_lock(&s->watch_lock);
    for (struct watch *w = s->watches; w != NULL; w = w->next)
        if (w->changed != NULL && strcmp(w->space, space) == 0)
            w->changed(w->arg, key);
    pthread_mutex_unlock(&s->watch_lock);
}

// ------------------------------------------------------------------ opening

bool store_check_redis(const struct store_redis_options *redis, struct error *err) {
    if (!redis->tls)
        return true;
    struct redis_tls *tls = redis_tls_new(redis, err);
    redis_tls_free(tls);
    return tls != NULL;
}

struct store *store_open(const struct store_options *options, struct error *err) {
    if (!make_directory(options->path, err))
        return NULL;
    struct store *s = base_calloc(1, sizeof *s);
    init_locks(s);
    struct buffer file = {0};
    buffer_printf(&file, "%s/farthing.db%c", options->path, '\0');
    bool ok = database_open(&s->database, file.ptr, options->max_bytes, err) &&
              (start_thread(s) || error_set(err, "cannot start the store's thread"));
    buffer_free(&file);
    if (ok)
        return s;
    store_free(s);
    return NULL;
}

struct store *store_open_redis(const struct store_options *options,
                               const struct store_redis_options *redis, struct error *err) {
    struct store *s = store_open(options, err);
    if (s == NULL || redis == NULL)
        return s;
    s->redis = redis_open(redis, &(struct redis_watcher){tell_watches, tell_of_change, s}, err);
    if (s->redis != NULL)
        return s;
    store_close(s);
    return NULL;
}

void store_close(struct store *s) {
    if (s == NULL)
        return;
    redis_close(s->redis);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    store_free(s);
}

// ------------------------------------------------------------------ clients

struct store_client *store_client_new(struct store *s, struct event_base *loop) {
    struct store_client *c = base_calloc(1, sizeof *c);
    c->store = s;
    c->mailbox = mailbox_new(loop);
    return c;
}

static void unlink_op(struct store_op *op) {
    if (op->previous != NULL)
        op->previous->next = op->next;
    else if (op->client->pending == op)
        op->client->pending = op->next;
    if (op->next != NULL)
        op->next->previous = op->previous;
    op->next = op->previous = NULL;
}

void store_op_release(struct store_op *op) {
    if (atomic_fetch_sub(&op->references, 1) > 1)
        return;
    buffer_free(&op->value);
    free(op);
}

static void on_mail(struct mail *m) {
    struct store_op *op = (struct store_op *)m;
    if (!op->cancelled) {
        unlink_op(op);
        op->done(op->arg, op->status, buffer_slice(&op->value), op->expires_ms);
        store_op_release(op); // the loop's
    }
    store_op_release(op); // the thread's
}

void store_cancel(struct store_op *op) {
    op->cancelled = true;
    unlink_op(op);
    store_op_release(op);
}

// --------------------------------------------------------------------- jobs

static struct job *job_new(enum job_kind kind, const char *space, struct slice key,
                           struct slice value) {
    struct job *j = base_alloc(sizeof *j + key.len + value.len + 1);
    *j = (struct job){.kind = kind, .space = space, .bytes = key.len + value.len};
    char *bytes = (char *)(j + 1);
    if (key.len > 0)
        memcpy(bytes, key.ptr, key.len);
    if (value.len > 0)
        memcpy(bytes + key.len, value.ptr, value.len);
    bytes[key.len + value.len] = '\0';
    j->key = slice_make(bytes, key.len);
    j->value = slice_make(bytes + key.len, value.len);
    return j;
}

// Spaces are in Redis where there is one; journals and queries never are.
static bool hand_over(struct store *s, struct job *j) {
    bool is_of_spaces = j->kind == JOB_GET || j->kind == JOB_PUT || j->kind == JOB_DELETE ||
                        j->kind == JOB_DELETE_SPACE || j->kind == JOB_BOUND || j->kind == JOB_RUN;
    return s->redis != NULL && is_of_spaces ? redis_enqueue(s->redis, j) : store_enqueue(s, j);
}

struct store_op *store_start_op(struct store_client *c, struct job *j, store_done *done,
                                void *arg) {
    struct store_op *op = base_calloc(1, sizeof *op);
    op->mail.run = on_mail;
    op->client = c;
    op->done = done;
    op->arg = arg;
    op->references = 2;
    op->status = STORE_FAILED;
    op->next = c->pending;
    if (c->pending != NULL)
        c->pending->previous = op;
    c->pending = op;
    j->op = op;
    if (hand_over(c->store, j))
        return op;
    unlink_op(op);
    free(op);
    return NULL;
}

struct store_op *store_get(struct store_client *c, const char *space, struct slice key,
                           store_done *done, void *arg) {
    return store_start_op(c, job_new(JOB_GET, space, key, SLICE_NONE), done, arg);
}

struct store_op *store_query(struct store_client *c, const char *sql, const struct slice *params,
                             size_t param_count, store_done *done, void *arg) {
    struct buffer bytes = {0};
    if (param_count > QUERY_PARAMS_MAX)
        return NULL;
    for (size_t i = 0; i < param_count; i++)
        buffer_append(&bytes, params[i]);
    // The statement is the key (with its NUL); the parameters lie in the value.
    struct job *j =
        job_new(JOB_QUERY, NULL, slice_make(sql, strlen(sql) + 1), buffer_slice(&bytes));
    size_t at = 0;
    for (size_t i = 0; i < param_count; i++) {
        j->params[i] = slice_make(j->value.ptr + at, params[i].len);
        at += params[i].len;
        j->param_count++;
    }
    buffer_free(&bytes);
    return store_start_op(c, j, done, arg);
}

static void enqueue_and_forget(struct store *s, struct job *j) {
    (void)hand_over(s, j); // a dropped write is counted there
}

void store_put(struct store *s, const char *space, struct slice key, struct slice value,
               int64_t expires_ms) {
    struct job *j = job_new(JOB_PUT, space, key, value);
    j->expires_ms = expires_ms;
    enqueue_and_forget(s, j);
}

void store_delete(struct store *s, const char *space, struct slice key) {
    enqueue_and_forget(s, job_new(JOB_DELETE, space, key, SLICE_NONE));
}

void store_delete_space(struct store *s, const char *space) {
    enqueue_and_forget(s, job_new(JOB_DELETE_SPACE, space, SLICE_NONE, SLICE_NONE));
}

void store_bound_space(struct store *s, const char *space, int64_t max_bytes) {
    struct job *j = job_new(JOB_BOUND, space, SLICE_NONE, SLICE_NONE);
    j->max_bytes = max_bytes;
    enqueue_and_forget(s, j);
}

// Has a thread do a job, and waits until it and all before it are done.
static bool wait_for(struct store *s, struct redis *redis, struct job *j, struct error *err) {
    struct waiter w = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .err = err};
    j->waiter = &w;
    error_set(err, "the store is not usable"); // unless the job says more
    if (!(redis != NULL ? redis_enqueue(redis, j) : store_enqueue(s, j)))
        return error_set(err, "the store is closed");
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.ok;
}

static void flush_database(struct store *s) {
    (void)wait_for(s, NULL, job_new(JOB_FLUSH, NULL, SLICE_NONE, SLICE_NONE), NULL);
}

void store_client_free(struct store_client *c) {
    if (c == NULL)
        return;
    while (c->pending != NULL)
        store_cancel(c->pending);
    while (c->ears != NULL)
        store_unlisten(c->ears);
    // The threads may still hold operations that will be posted here.
    flush_database(c->store);
    if (c->store->redis != NULL) {
        struct job *j = job_new(JOB_FORGET_CLIENT, NULL, SLICE_NONE, SLICE_NONE);
        j->client = c;
        (void)wait_for(c->store, c->store->redis, j, NULL);
    }
    mailbox_free(c->mailbox);
    free(c);
}

struct store_journal *store_journal_open(struct store *s, const char *table,
                                         const struct store_column *columns, size_t count,
                                         struct error *err) {
    struct store_journal *j = base_calloc(1, sizeof *j);
    j->store = s;
    j->table = slice_dup(slice_of(table));
    j->columns = base_calloc(count, sizeof *j->columns);
    j->column_count = count;
    j->rows_max = JOURNAL_ROWS_MAX;
    for (size_t i = 0; i < count; i++)
        j->columns[i] =
            (struct store_column){slice_dup(slice_of(columns[i].name)),
                                  slice_dup(slice_of(columns[i].type)), columns[i].indexed};
    struct job *job = job_new(JOB_PREPARE, NULL, SLICE_NONE, SLICE_NONE);
    job->journal = j;
    bool ok = wait_for(s, NULL, job, err);
    return ok ? j : NULL; // freed with the store either way
}

void store_journal_append(struct store_journal *j, struct slice lines) {
    struct job *job = job_new(JOB_JOURNAL, NULL, SLICE_NONE, lines);
    job->journal = j;
    enqueue_and_forget(j->store, job);
}

void store_flush(struct store *s) {
    if (s->redis != NULL)
        (void)wait_for(s, s->redis, job_new(JOB_FLUSH, NULL, SLICE_NONE, SLICE_NONE), NULL);
    flush_database(s);
}

void store_journal_flush(struct store_journal *j) {
    flush_database(j->store);
}

void store_stats_get(struct store *s, struct store_stats *out) {
    pthread_mutex_lock(&s->lock);
    out->queued = (int64_t)s->queued;
    pthread_mutex_unlock(&s->lock);
    out->entries = atomic_load(&s->entries);
    out->bytes = atomic_load(&s->bytes);
    out->dropped = atomic_load(&s->dropped);
    out->failures = atomic_load(&s->failures);
    if (s->redis == NULL)
        return;
    out->queued += (int64_t)atomic_load(&s->redis->commands);
    out->dropped += atomic_load(&s->redis->dropped);
    out->failures += atomic_load(&s->redis->failures);
}

int64_t store_disk_troubles(struct store *s) {
    return atomic_load(&s->failures) + atomic_load(&s->dropped);
}
