// The store's thread: takes everything that waits, does it in one transaction,
// answers, and sleeps again. What fails is counted and said at most once a
// minute; it never stops the service.
#include "store.h"

#include <stdlib.h>

static const struct metric_family failures_family = {
    "farthing_store_failures_total", "Operations of the store that failed.", METRIC_COUNTER, {0}, 0, 0, 0, 0};
static const struct metric_family dropped_family = {
    "farthing_store_dropped_total", "Writes dropped because the store's queue was full.",
    METRIC_COUNTER, {0}, 0, 0, 0, 0};

enum { COMPLAINT_PAUSE_MS = 60000, SWEEP_PAUSE_MS = 30000 };

bool store_enqueue(struct store *s, struct job *j) {
    pthread_mutex_lock(&s->lock);
    bool full = s->queued >= QUEUE_JOBS_MAX || s->queued_bytes + j->bytes > QUEUE_BYTES_MAX;
    bool accepted = !s->stopping && (!full || j->waiter != NULL);
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
    if (j->op == NULL && j->waiter == NULL) {
        atomic_fetch_add(&s->dropped, 1);
        metric_add(metric_plain(&dropped_family), 1);
    }
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

static int do_job(struct store *s, struct job *j) {
    struct database *d = &s->database;
    switch (j->kind) {
    case JOB_GET: {
        int code = database_get(d, j->space, j->key, clock_wall_ms(), &j->op->value,
                                &j->op->expires_ms);
        j->op->status = code == SQLITE_ROW    ? STORE_OK
                        : code == SQLITE_DONE ? STORE_MISSING
                                              : STORE_FAILED;
        return code;
    }
    case JOB_PUT:
        return database_put(d, j->space, j->key, j->value, j->expires_ms, clock_wall_ms());
    case JOB_DELETE:
        return database_delete(d, j->space, j->key);
    case JOB_DELETE_SPACE:
        return database_delete_space(d, j->space);
    case JOB_JOURNAL:
        return journal_write(d, j->journal, j->value);
    case JOB_QUERY: {
        int code = database_query(d, j->key.ptr, j->params, j->param_count, &j->op->value);
        j->op->status = code == SQLITE_DONE ? STORE_OK : STORE_FAILED;
        return code;
    }
    case JOB_PREPARE:
        j->waiter->ok = journal_prepare(s, j->journal, j->waiter->err);
        j->journal->next = s->journals;
        s->journals = j->journal;
        break;
    case JOB_FLUSH:
        break;
    }
    return SQLITE_DONE;
}

static bool is_good(int code) {
    return code == SQLITE_DONE || code == SQLITE_ROW || code == SQLITE_OK;
}

// A new, empty file in the damaged one's place. Journals get their tables again.
static void recover(struct store *s) {
    struct error err;
    for (struct store_journal *j = s->journals; j != NULL; j = j->next) {
        sqlite3_finalize(j->insert);
        j->insert = NULL;
    }
    if (!database_replace(&s->database, &err)) {
        log_write(LOG_ERROR, "store: %s; going on without it", err.text);
        return;
    }
    for (struct store_journal *j = s->journals; j != NULL; j = j->next)
        if (!journal_prepare(s, j, &err))
            log_write(LOG_ERROR, "store: table %s: %s", j->table, err.text);
}

static bool writes(const struct job *jobs) {
    for (; jobs != NULL; jobs = jobs->next)
        if (jobs->kind != JOB_GET && jobs->kind != JOB_QUERY && jobs->waiter == NULL)
            return true;
    return false;
}

static void answer(struct job *j) {
    if (j->op != NULL) {
        mailbox_post(j->op->client->mailbox, &j->op->mail);
    } else if (j->waiter != NULL) {
        pthread_mutex_lock(&j->waiter->lock);
        j->waiter->done = true;
        pthread_cond_signal(&j->waiter->wake);
        pthread_mutex_unlock(&j->waiter->lock);
    }
    free(j);
}

static void do_all(struct store *s, struct job *jobs) {
    struct database *d = &s->database;
    // Reads alone need no transaction, and must not wait for one to be synced.
    bool transaction = d->db != NULL && writes(jobs) &&
                       sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    bool damaged = false;
    for (struct job *j = jobs; j != NULL; j = j->next) {
        int code = d->db != NULL && !damaged ? do_job(s, j) : SQLITE_CANTOPEN;
        if (d->db == NULL || damaged) {
            if (j->op != NULL)
                j->op->status = STORE_FAILED;
        }
        if (!is_good(code))
            complain(s, code);
        damaged = damaged || database_is_damage(code);
    }
    if (transaction) {
        int code = sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL);
        if (code != SQLITE_OK) {
            complain(s, code);
            damaged = damaged || database_is_damage(code);
            if (sqlite3_get_autocommit(d->db) == 0)
                sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    if (damaged)
        recover(s);
    for (struct job *j = jobs, *next; j != NULL; j = next) {
        next = j->next;
        answer(j);
    }
    atomic_store(&s->entries, d->entries);
    atomic_store(&s->bytes, d->bytes);
}

static void sweep_sometimes(struct store *s) {
    uint64_t now = clock_mono_ms();
    struct database *d = &s->database;
    if (d->db == NULL || now - d->last_sweep_ms < SWEEP_PAUSE_MS)
        return;
    d->last_sweep_ms = now;
    int code = database_sweep(d, clock_wall_ms());
    if (!is_good(code))
        complain(s, code);
    if (database_is_damage(code))
        recover(s);
}

void *store_worker(void *arg) {
    struct store *s = arg;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (s->first == NULL && !s->stopping)
            pthread_cond_wait(&s->wake, &s->lock);
        struct job *jobs = s->first;
        s->first = s->last = NULL;
        s->queued = s->queued_bytes = 0;
        bool stop = s->stopping && jobs == NULL;
        pthread_mutex_unlock(&s->lock);
        if (stop)
            return NULL;
        do_all(s, jobs);
        sweep_sometimes(s);
    }
}
