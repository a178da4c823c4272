// Writing rows down: loops append lines to one shared buffer (a copy under a
// small lock), one thread takes it some twenty times a second and hands it to
// the journal and to the cost log.
//
// What the log cannot take (full disk) is kept up to a bound and tried again,
// then dropped and counted; traffic never waits for it.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "catch_up.h"
#include "cost_log.h"
#include "row.h"

enum {
    BATCH_PAUSE_MS = 50,
    RETRY_PAUSE_MS = 500, // when no rows come, but some wait for a disk
    WAKE_BYTES = 256 * 1024,
    KEPT_BYTES = 1 << 20, // a burst's memory is given back
    QUEUE_BYTES_DEFAULT = 64 << 20,
    WARNED_MODELS_MAX = 256,
};

static const struct metric_family dropped_family = {
    "farthing_cost_rows_dropped_total", "Cost rows that could not be written.", METRIC_COUNTER,
    {0}, 0, 0, 0, 0};

struct ledger {
    struct cost_log log; // the thread's; without a path: no cost log
    struct store_journal *journal;
    size_t queue_bytes;

    pthread_t thread;
    pthread_mutex_t lock;   // what follows, up to the counters
    pthread_cond_t wake;    // for the thread
    pthread_cond_t flushed; // for those who wait for it
    struct buffer incoming;
    int64_t incoming_rows;
    bool asleep; // the thread waits for a first row
    bool stopping, reopen;
    uint64_t flush_asked, flush_done; // tickets

    _Atomic int64_t rows, dropped, written_unlogged;

    pthread_mutex_t warned_lock;
    struct table *warned; // models whose price is not known
};

// ----------------------------------------------------------------- the thread

static void drop(struct ledger *l, int64_t rows) {
    atomic_fetch_add(&l->dropped, rows);
    metric_add(metric_plain(&dropped_family), rows);
}

static void write_batch(struct ledger *l, struct buffer *batch, int64_t rows) {
    if (l->journal != NULL && batch->len > 0)
        store_journal_append(l->journal, buffer_slice(batch));
    if (l->log.path == NULL) {
        atomic_fetch_add(&l->written_unlogged, rows);
        return;
    }
    if (!cost_log_take(&l->log, batch, l->queue_bytes))
        drop(l, rows);
    cost_log_write(&l->log);
}

// False when the time was over.
static bool wait_ms(struct ledger *l, const struct timespec *from, long ms) {
    struct timespec until = *from;
    until.tv_nsec += ms * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0;
}

static bool is_urgent(const struct ledger *l) {
    return l->stopping || l->reopen || l->flush_asked != l->flush_done ||
           l->incoming.len >= WAKE_BYTES;
}

static void wait_for_rows(struct ledger *l) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    l->asleep = true;
    while (l->incoming.len == 0 && !is_urgent(l)) {
        if (l->log.waiting.len == 0)
            pthread_cond_wait(&l->wake, &l->lock);
        else if (!wait_ms(l, &now, RETRY_PAUSE_MS))
            break;
    }
    l->asleep = false;
    // Gather a little: one write for many rows.
    clock_gettime(CLOCK_MONOTONIC, &now);
    while (l->incoming.len > 0 && !is_urgent(l) && wait_ms(l, &now, BATCH_PAUSE_MS))
        continue;
}

// One round: takes what came and writes it. False when it was the last.
static bool write_round(struct ledger *l, struct buffer *batch) {
    pthread_mutex_lock(&l->lock);
    wait_for_rows(l);
    struct buffer taken = l->incoming;
    l->incoming = *batch; // the two change places
    *batch = taken;
    int64_t rows = l->incoming_rows;
    l->incoming_rows = 0;
    bool stop = l->stopping, reopen = l->reopen;
    uint64_t ticket = l->flush_asked;
    l->reopen = false;
    pthread_mutex_unlock(&l->lock);

    if (l->log.path != NULL)
        cost_log_follow(&l->log, reopen);
    write_batch(l, batch, rows);
    buffer_clear(batch);
    if (batch->cap > KEPT_BYTES)
        buffer_free(batch);

    pthread_mutex_lock(&l->lock);
    l->flush_done = ticket;
    pthread_cond_broadcast(&l->flushed);
    pthread_mutex_unlock(&l->lock);
    return !stop;
}

static void *writer(void *arg) {
    struct ledger *l = arg;
    struct buffer batch = {0};
    while (write_round(l, &batch))
        continue;
    int64_t lost = cost_log_rows_waiting(&l->log);
    if (lost > 0) {
        log_write(LOG_ERROR, "cost log: %lld rows could not be written", (long long)lost);
        drop(l, lost);
    }
    buffer_free(&batch);
    return NULL;
}

// Signals are the main thread's affair, and one of them is about this thread's
// own work: a write over RLIMIT_FSIZE is to fail, not to end the process.
static bool start_thread(struct ledger *l) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&l->thread, NULL, writer, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

// -------------------------------------------------------------------- public

static void init_locks(struct ledger *l) {
    pthread_condattr_t monotonic; // a clock that is set must not hold rows back
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&l->flushed, NULL);
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->warned_lock, NULL);
}

static void ledger_free(struct ledger *l) {
    cost_log_close(&l->log);
    buffer_free(&l->incoming);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->warned_lock);
    pthread_cond_destroy(&l->wake);
    pthread_cond_destroy(&l->flushed);
    table_free(l->warned);
    free(l);
}

static bool open_sinks(struct ledger *l, const struct ledger_options *options, struct error *err) {
    const char *path = options->cost_log;
    if (path != NULL && path[0] != '\0' && !cost_log_open(&l->log, path))
        return error_set(err, "cannot open the cost log \"%s\": %s", path, strerror(errno));
    if (options->store == NULL)
        return true;
    size_t count;
    const struct store_column *columns = cost_row_columns(&count);
    struct error inner;
    l->journal = store_journal_open(options->store, "requests", columns, count, &inner);
    if (l->journal == NULL)
        return error_set(err, "cannot make the table \"requests\": %s", inner.text);
    if (l->log.path != NULL && !l->log.is_stdout)
        (void)ledger_catch_up(options->store, l->journal, path);
    return true;
}

struct ledger *ledger_open(const struct ledger_options *options, struct error *err) {
    struct ledger *l = base_calloc(1, sizeof *l);
    l->log.fd = -1;
    l->queue_bytes = options->queue_bytes > 0 ? options->queue_bytes : QUEUE_BYTES_DEFAULT;
    l->warned = table_new();
    init_locks(l);
    row_metrics_declare();
    cost_log_declare();
    metric_plain(&dropped_family);
    if (open_sinks(l, options, err)) {
        if (start_thread(l))
            return l;
        error_set(err, "cannot start the ledger's thread");
    }
    ledger_free(l);
    return NULL;
}

static void warn_unpriced(struct ledger *l, const struct cost_row *row) {
    char name[256];
    struct buffer key = {0};
    buffer_printf(&key, "%.*s/%.*s", SLICE_ARG(row->provider), SLICE_ARG(row->model));
    if (key.len >= sizeof name)
        key.len = sizeof name - 1;
    pthread_mutex_lock(&l->warned_lock);
    bool first = table_count(l->warned) < WARNED_MODELS_MAX &&
                 table_put(l->warned, buffer_slice(&key), l) == NULL;
    pthread_mutex_unlock(&l->warned_lock);
    if (first)
        log_write(LOG_WARNING,
                  "no price is known for %.*s: its cost is null; give input_price and output_price "
                  "in a model section",
                  SLICE_ARG(buffer_slice(&key)));
    buffer_free(&key);
}

// The row's line, at the end of what the thread will take. False: no room.
static bool enqueue(struct ledger *l, struct slice line) {
    pthread_mutex_lock(&l->lock);
    size_t before = l->incoming.len, after = before + line.len;
    bool fits = after <= l->queue_bytes;
    if (fits) {
        buffer_append(&l->incoming, line);
        l->incoming_rows++;
        // While it gathers, only a full batch wakes it.
        if (l->asleep || (before < WAKE_BYTES && after >= WAKE_BYTES))
            pthread_cond_signal(&l->wake);
    }
    pthread_mutex_unlock(&l->lock);
    return fits;
}

void ledger_record(struct ledger *l, const struct cost_row *row) {
    struct buffer line = {0};
    cost_row_write(&line, row);
    buffer_append_char(&line, '\n');
    atomic_fetch_add(&l->rows, 1);
    if (!enqueue(l, buffer_slice(&line)))
        drop(l, 1);
    buffer_free(&line);
    row_metrics_observe(row);
    if (!row->cost_known)
        warn_unpriced(l, row);
}

void ledger_reopen(struct ledger *l) {
    pthread_mutex_lock(&l->lock);
    l->reopen = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

// A ticket is done when a round that began after it was drawn is over: that
// round took every row from before. Rows that a full disk refused are not
// waited for: that might be forever.
void ledger_flush(struct ledger *l) {
    pthread_mutex_lock(&l->lock);
    uint64_t ticket = ++l->flush_asked;
    pthread_cond_signal(&l->wake);
    while (l->flush_done < ticket)
        pthread_cond_wait(&l->flushed, &l->lock);
    pthread_mutex_unlock(&l->lock);
    if (l->journal != NULL)
        store_journal_flush(l->journal);
}

void ledger_close(struct ledger *l) {
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    ledger_free(l);
}

void ledger_stats_get(const struct ledger *l, struct ledger_stats *out) {
    out->rows = atomic_load(&l->rows);
    out->written = atomic_load(&l->written_unlogged) + atomic_load(&l->log.written);
    out->dropped = atomic_load(&l->dropped);
    out->write_errors = atomic_load(&l->log.errors);
}
