// The store's thread: takes everything that waits, does it in one transaction,
// answers, and sleeps again.
//
// What fails is counted and said at most once a minute; it never stops the
// service. When a transaction fails (full disk, another process's lock), values
// are given up, since they can be bought again; journals' lines cannot, and wait
// for the next try.
#include "store.h"

#include <stdlib.h>
#include <time.h>

static const struct metric_family failures_family = {
    "farthing_store_failures_total", "Operations of the store that failed.", METRIC_COUNTER,
    {0}, 0, 0, 0, 0};
const struct metric_family store_dropped_family = {
    "farthing_store_dropped_total",
    "Writes dropped because the store's queue was full, or a shared store away for too long.",
    METRIC_COUNTER, {0}, 0, 0, 0, 0};

enum { COMPLAINT_PAUSE_MS = 60000, SWEEP_PAUSE_MS = 30000, RETRY_PAUSE_MS = 1000 };

static void count_dropped(struct store *s) {
    atomic_fetch_add(&s->dropped, 1);
    metric_add(metric_plain(&store_dropped_family), 1);
}

bool store_enqueue(struct store *s, struct job *j) {
    pthread_mutex_lock(&s->lock);
    bool full = s->queued >= QUEUE_JOBS_MAX || s->queued_bytes + j->bytes > QUEUE_BYTES_MAX;
    bool accepted = !s->stopping && (!full || j->waiter != NULL || j->kind == JOB_BOUND);
    if (accepted) {
        bool was_empty = s->first == NULL;
        j->next = NULL;
        if (was_empty)
            s->first = j;
        else
            s->last->next = j;
        s->last = j;
        s->queued++;
        s->queued_bytes += j->bytes;
        if (was_empty)
            pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (accepted)
        return true;
    if (j->op == NULL && j->waiter == NULL)
        count_dropped(s);
    free(j);
    return false;
}

static void complain(struct store *s, int code) {
    atomic_fetch_add(&s->failures, 1);
    metric_add(metric_plain(&failures_family), 1);
    uint64_t now = clock_mono_ms();
    if (s->last_complaint_ms != 0 && now - s->last_complaint_ms < COMPLAINT_PAUSE_MS)
        return;
    s->last_complaint_ms = now;
    log_write(LOG_ERROR, "store: %s: %s; going on without it", s->database.path,
              sqlite3_errstr(code));
}

static bool is_good(int code) {
    return code == SQLITE_DONE || code == SQLITE_ROW || code == SQLITE_OK;
}

// ---------------------------------------------------------------- single jobs

static int do_get(struct database *d, struct job *j) {
    buffer_clear(&j->op->value); // a second try after damage
    int code =
        database_get(d, j->space, j->key, clock_wall_ms(), &j->op->value, &j->op->expires_ms);
    j->op->status = code == SQLITE_ROW    ? STORE_OK
                    : code == SQLITE_DONE ? STORE_MISSING
                                          : STORE_FAILED;
    return code;
}

static int do_query(struct database *d, struct job *j) {
    buffer_clear(&j->op->value);
    int code = database_query(d, j->key.ptr, j->params, j->param_count, &j->op->value);
    j->op->status = code == SQLITE_DONE ? STORE_OK : STORE_FAILED;
    return code;
}

static int do_prepare(struct store *s, struct job *j) {
    struct store_journal *journal = j->journal;
    if (!journal->linked) {
        journal->linked = true;
        journal->next = s->journals;
        s->journals = journal;
    }
    j->waiter->ok = journal_prepare(s, journal, j->waiter->err);
    return j->waiter->ok ? SQLITE_DONE : sqlite3_extended_errcode(s->database.db);
}

static int do_job(struct store *s, struct job *j) {
    struct database *d = &s->database;
    switch (j->kind) {
    case JOB_GET:
        return do_get(d, j);
    case JOB_PUT:
        return database_put(d, j->space, j->key, j->value, j->expires_ms, clock_wall_ms());
    case JOB_DELETE:
        return database_delete(d, j->space, j->key);
    case JOB_DELETE_SPACE:
        return database_delete_space(d, j->space);
    case JOB_JOURNAL:
        return journal_write(j->journal, j->value);
    case JOB_QUERY:
        return do_query(d, j);
    case JOB_PREPARE:
        return do_prepare(s, j);
    case JOB_BOUND:
    case JOB_FLUSH:
    case JOB_RUN: // this and what follows are never handed to this thread
    case JOB_BEAT:
    case JOB_SAY:
    case JOB_LISTEN:
    case JOB_UNLISTEN:
    case JOB_WATCH:
    case JOB_CHECK:
    case JOB_FORGET_CLIENT:
    case JOB_STOP:
        break;
    }
    return SQLITE_DONE;
}

static bool is_write(const struct job *j) {
    return j->kind != JOB_GET && j->kind != JOB_QUERY && j->kind != JOB_FLUSH &&
           j->kind != JOB_BOUND;
}

// Is it about this one job, and would be the same at every try?
static bool is_of_the_job(int code) {
    switch (code & 0xff) {
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
        return true;
    default:
        return false;
    }
}

void store_wake(struct waiter *w) {
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void answer(struct job *j) {
    if (j->op != NULL) {
        mailbox_post(j->op->client->mailbox, &j->op->mail);
    } else if (j->waiter != NULL) {
        store_wake(j->waiter);
    }
    free(j);
}

// -------------------------------------------------------------------- batches

// All jobs, the writing ones in one transaction: a code that is not good means
// that none of these was done. Reads alone need no transaction, and must not
// wait for another process's.
static int run_jobs(struct store *s, struct job *jobs) {
    struct database *d = &s->database;
    bool writing = false;
    for (struct job *j = jobs; j != NULL; j = j->next)
        writing = writing || is_write(j);
    int failure = writing ? database_begin(d) : SQLITE_OK;
    bool open = writing && failure == SQLITE_OK;
    for (struct job *j = jobs; j != NULL; j = j->next) {
        if (is_write(j) && !open)
            continue;
        int code = do_job(s, j);
        if (is_good(code))
            continue;
        if (!database_is_damage(code) && (!is_write(j) || is_of_the_job(code))) {
            complain(s, code);
            continue;
        }
        failure = code;
        if (open)
            database_rollback(d);
        open = false;
        if (database_is_damage(code))
            return failure;
    }
    return open ? database_commit(d) : failure;
}

static void prepare_journals(struct store *s) {
    struct error err;
    for (struct store_journal *j = s->journals; j != NULL; j = j->next)
        if (!journal_prepare(s, j, &err))
            log_write(LOG_ERROR, "store: table %s: %s", j->table, err.text);
}

// A new, empty file in the damaged one's place. Journals get their tables again.
static void recover(struct store *s) {
    struct error err;
    for (struct store_journal *j = s->journals; j != NULL; j = j->next)
        journal_forget_statements(j);
    if (database_replace(&s->database, &err))
        prepare_journals(s);
    else
        log_write(LOG_ERROR, "store: %s; going on without it", err.text);
}

// After a replacement that failed: the disk may be well again.
static bool is_usable(struct store *s) {
    if (s->database.db != NULL)
        return true;
    uint64_t now = clock_mono_ms();
    if (now < s->next_reopen_ms)
        return false;
    s->next_reopen_ms = now + RETRY_PAUSE_MS;
    if (database_reopen(&s->database))
        prepare_journals(s);
    return s->database.db != NULL;
}

static int run_or_recover(struct store *s, struct job *jobs) {
    int code = is_usable(s) ? run_jobs(s, jobs) : SQLITE_CANTOPEN;
    if (!database_is_damage(code))
        return code;
    recover(s); // and what this batch brought goes into the new file
    return is_usable(s) ? run_jobs(s, jobs) : SQLITE_CANTOPEN;
}

static void put_off(struct store *s, struct job *j, struct job ***end) {
    if (s->waiting_bytes + j->bytes > WAITING_BYTES_MAX) {
        count_dropped(s);
        free(j);
        return;
    }
    s->waiting_bytes += j->bytes;
    j->next = NULL;
    **end = j;
    *end = &j->next;
}

static void publish(struct store *s) {
    struct space_held held = spaces_total(&s->database);
    atomic_store(&s->entries, held.entries);
    atomic_store(&s->bytes, held.bytes);
}

// Holds whatever becomes of the database and of this batch.
static void set_bounds(struct store *s, const struct job *jobs) {
    for (const struct job *j = jobs; j != NULL; j = j->next)
        if (j->kind == JOB_BOUND)
            space_of(&s->database, slice_of(j->space))->max_bytes = j->max_bytes;
}

static void do_all(struct store *s, struct job *jobs) {
    struct job *all = jobs;
    set_bounds(s, jobs);
    if (s->waiting != NULL) { // these came first
        struct job *last = s->waiting;
        while (last->next != NULL)
            last = last->next;
        last->next = jobs;
        all = s->waiting;
    }
    s->waiting = NULL;
    s->waiting_bytes = 0;
    int code = run_or_recover(s, all);
    if (!is_good(code))
        complain(s, code);
    publish(s); // before anybody who waits goes on
    struct job **end = &s->waiting;
    for (struct job *j = all, *next; j != NULL; j = next) {
        next = j->next;
        if (j->kind == JOB_PREPARE && !is_good(code))
            j->waiter->ok = false; // taken back with the rest
        if (j->kind == JOB_JOURNAL && !is_good(code))
            put_off(s, j, &end);
        else
            answer(j);
    }
}

static void sweep_sometimes(struct store *s) {
    uint64_t now = clock_mono_ms();
    struct database *d = &s->database;
    if (d->db == NULL || (d->last_sweep_ms != 0 && now - d->last_sweep_ms < SWEEP_PAUSE_MS))
        return;
    d->last_sweep_ms = now;
    int code = database_sweep(d, clock_wall_ms());
    if (!is_good(code))
        complain(s, code);
    if (database_is_damage(code))
        recover(s);
    publish(s);
}

// ------------------------------------------------------------------- the loop

// Until there are jobs, or the time to try again what could not be written.
static void wait_for_jobs(struct store *s) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_PAUSE_MS / 1000;
    while (s->first == NULL && !s->stopping) {
        if (s->waiting == NULL)
            pthread_cond_wait(&s->wake, &s->lock);
        else if (pthread_cond_timedwait(&s->wake, &s->lock, &until) != 0)
            return;
    }
}

static void give_up_waiting(struct store *s) {
    if (s->waiting == NULL)
        return;
    log_write(LOG_ERROR, "store: %zu bytes of rows could not be written", s->waiting_bytes);
    for (struct job *j = s->waiting, *next; j != NULL; j = next) {
        next = j->next;
        count_dropped(s);
        free(j);
    }
    s->waiting = NULL;
}

void *store_worker(void *arg) {
    struct store *s = arg;
    // At zero from the start, so that the first event is seen to come.
    metric_add(metric_plain(&store_dropped_family), 0);
    metric_add(metric_plain(&failures_family), 0);
    publish(s);
    for (;;) {
        pthread_mutex_lock(&s->lock);
        wait_for_jobs(s);
        struct job *jobs = s->first;
        s->first = s->last = NULL;
        s->queued = s->queued_bytes = 0;
        bool stop = s->stopping && jobs == NULL;
        pthread_mutex_unlock(&s->lock);
        if (jobs != NULL || s->waiting != NULL)
            do_all(s, jobs);
        if (stop)
            break;
        sweep_sometimes(s);
    }
    give_up_waiting(s);
    // Closing folds the WAL in: this thread's work, as all of the file is.
    journal_free_all(s);
    database_close(&s->database);
    return NULL;
}
