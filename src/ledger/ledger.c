// Writing rows down: loops append lines to one shared buffer (a copy under a
// small lock), one thread takes it some twenty times a second and writes it to
// the cost log and to the journal.
//
// What the log cannot take (full disk) is kept up to a bound and tried again,
// then dropped and counted; traffic never waits for it. A line is never torn:
// what was written of a batch is remembered, and the rest follows.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "row.h"

enum {
    BATCH_PAUSE_MS = 50,
    WAKE_BYTES = 256 * 1024,
    QUEUE_BYTES_DEFAULT = 64 << 20,
    COMPLAINT_PAUSE_MS = 60000,
    CHECK_PAUSE_MS = 500, // has the file been renamed?
    WARNED_MODELS_MAX = 256,
};

static const struct metric_family dropped_family = {
    "farthing_cost_rows_dropped_total", "Cost rows that could not be written.", METRIC_COUNTER, {0}, 0, 0, 0, 0};
static const struct metric_family errors_family = {
    "farthing_cost_log_errors_total", "Writes to the cost log that failed.", METRIC_COUNTER, {0}, 0, 0, 0, 0};

struct ledger {
    char *path; // NULL: no cost log
    int fd;
    bool is_stdout;
    struct store_journal *journal;
    size_t queue_bytes;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    struct buffer incoming; // under the lock
    int64_t incoming_rows;
    bool stopping, reopen, busy;

    // The writer's own.
    struct buffer unwritten; // for the log
    int64_t unwritten_rows;
    uint64_t last_complaint_ms, last_check_ms;

    _Atomic int64_t rows, written, dropped, write_errors;

    pthread_mutex_t warned_lock;
    struct table *warned; // models whose price is not known
};

// ------------------------------------------------------------------ the file

static void complain(struct ledger *l, const char *what, int code) {
    atomic_fetch_add(&l->write_errors, 1);
    metric_add(metric_plain(&errors_family), 1);
    uint64_t now = clock_mono_ms();
    if (l->last_complaint_ms != 0 && now - l->last_complaint_ms < COMPLAINT_PAUSE_MS)
        return;
    l->last_complaint_ms = now;
    log_write(LOG_ERROR, "cost log: cannot %s %s: %s; rows wait and are tried again", what, l->path,
              strerror(code));
}

static void make_parent(const char *path) {
    char *copy = slice_dup(slice_of(path));
    char *slash = strrchr(copy, '/');
    if (slash != NULL && slash != copy) {
        *slash = '\0';
        (void)mkdir(copy, 0700); // if it fails, open says why
    }
    free(copy);
}

static bool open_log(struct ledger *l) {
    if (l->is_stdout) {
        l->fd = STDOUT_FILENO;
        return true;
    }
    make_parent(l->path);
    l->fd = open(l->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (l->fd < 0)
        return false;
    // A process that died amid a line left it without an end.
    off_t size = lseek(l->fd, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && pread(l->fd, &last, 1, size - 1) == 1 && last != '\n')
        if (write(l->fd, "\n", 1) != 1)
            complain(l, "write", errno);
    return true;
}

static void close_log(struct ledger *l) {
    if (l->fd >= 0 && !l->is_stdout)
        close(l->fd);
    l->fd = -1;
}

// Is the open file still the one that the path names?
static bool was_moved(const struct ledger *l) {
    struct stat here, there;
    return fstat(l->fd, &here) != 0 || stat(l->path, &there) != 0 || here.st_ino != there.st_ino ||
           here.st_dev != there.st_dev;
}

// Only at a line's end: the rest of a torn line belongs to the old file.
static void follow_renames(struct ledger *l, bool asked) {
    if (l->path == NULL || l->is_stdout || l->unwritten.len > 0)
        return;
    uint64_t now = clock_mono_ms();
    if (!asked && l->fd >= 0 && now - l->last_check_ms < CHECK_PAUSE_MS)
        return;
    l->last_check_ms = now;
    if (l->fd >= 0 && (asked || was_moved(l)))
        close_log(l);
}

static void write_log(struct ledger *l) {
    if (l->unwritten.len == 0)
        return;
    if (l->fd < 0 && !open_log(l)) {
        complain(l, "open", errno);
        return;
    }
    while (l->unwritten.len > 0) {
        ssize_t n = write(l->fd, l->unwritten.ptr, l->unwritten.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            complain(l, "write", n < 0 ? errno : ENOSPC);
            return;
        }
        buffer_consume(&l->unwritten, (size_t)n);
    }
    atomic_fetch_add(&l->written, l->unwritten_rows);
    l->unwritten_rows = 0;
}

// ----------------------------------------------------------------- the thread

static void drop(struct ledger *l, int64_t rows) {
    atomic_fetch_add(&l->dropped, rows);
    metric_add(metric_plain(&dropped_family), rows);
}

static void write_batch(struct ledger *l, struct buffer *batch, int64_t rows) {
    if (l->journal != NULL && batch->len > 0)
        store_journal_append(l->journal, buffer_slice(batch));
    if (l->path == NULL) {
        atomic_fetch_add(&l->written, rows);
        return;
    }
    if (l->unwritten.len + batch->len > l->queue_bytes) {
        drop(l, rows);
    } else {
        buffer_append(&l->unwritten, buffer_slice(batch));
        l->unwritten_rows += rows;
    }
    write_log(l);
}

static void wait_for_rows(struct ledger *l) {
    if (l->stopping || l->reopen)
        return;
    struct timespec until;
    if (l->incoming.len == 0 && l->unwritten.len == 0) {
        l->busy = false;
        pthread_cond_broadcast(&l->idle);
        pthread_cond_wait(&l->wake, &l->lock);
        l->busy = true;
    }
    if (l->stopping || l->reopen || l->incoming.len >= WAKE_BYTES)
        return;
    // Gather a little: one write for many rows.
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += BATCH_PAUSE_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&l->wake, &l->lock, &until);
}

static void *writer(void *arg) {
    struct ledger *l = arg;
    struct buffer batch = {0};
    bool stop = false;
    while (!stop) {
        pthread_mutex_lock(&l->lock);
        wait_for_rows(l);
        struct buffer taken = l->incoming;
        l->incoming = batch; // the two change places
        batch = taken;
        int64_t rows = l->incoming_rows;
        l->incoming_rows = 0;
        stop = l->stopping;
        bool reopen = l->reopen;
        l->reopen = false;
        pthread_mutex_unlock(&l->lock);
        follow_renames(l, reopen);
        write_batch(l, &batch, rows);
        buffer_clear(&batch);
    }
    if (l->unwritten.len > 0) {
        log_write(LOG_ERROR, "cost log: %lld rows could not be written", (long long)l->unwritten_rows);
        drop(l, l->unwritten_rows);
    }
    buffer_free(&batch);
    pthread_mutex_lock(&l->lock);
    l->busy = false;
    pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

// -------------------------------------------------------------------- public

struct ledger *ledger_open(const struct ledger_options *options, struct error *err) {
    struct ledger *l = base_calloc(1, sizeof *l);
    l->fd = -1;
    l->queue_bytes = options->queue_bytes > 0 ? options->queue_bytes : QUEUE_BYTES_DEFAULT;
    l->warned = table_new();
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->warned_lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    pthread_cond_init(&l->idle, NULL);
    row_metrics_declare();
    metric_plain(&dropped_family);
    metric_plain(&errors_family);
    bool ok = true;
    if (options->cost_log != NULL && options->cost_log[0] != '\0') {
        l->path = slice_dup(slice_of(options->cost_log));
        l->is_stdout = strcmp(l->path, "-") == 0;
        if (!open_log(l))
            ok = error_set(err, "cannot open the cost log \"%s\": %s", l->path, strerror(errno));
    }
    if (ok && options->store != NULL) {
        size_t count;
        const struct store_column *columns = cost_row_columns(&count);
        struct error inner;
        l->journal = store_journal_open(options->store, "requests", columns, count, &inner);
        if (l->journal == NULL)
            ok = error_set(err, "cannot make the table \"requests\": %s", inner.text);
    }
    l->busy = true;
    if (ok && pthread_create(&l->thread, NULL, writer, l) != 0)
        ok = error_set(err, "cannot start the ledger's thread");
    if (ok)
        return l;
    close_log(l);
    table_free(l->warned);
    free(l->path);
    free(l);
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

void ledger_record(struct ledger *l, const struct cost_row *row) {
    struct buffer line = {0};
    cost_row_write(&line, row);
    buffer_append_char(&line, '\n');
    pthread_mutex_lock(&l->lock);
    bool full = l->incoming.len + line.len > l->queue_bytes;
    bool was_empty = l->incoming.len == 0;
    if (!full) {
        buffer_append(&l->incoming, buffer_slice(&line));
        l->incoming_rows++;
    }
    bool wake = was_empty || l->incoming.len >= WAKE_BYTES;
    if (wake && !l->busy)
        pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    buffer_free(&line);
    atomic_fetch_add(&l->rows, 1);
    if (full)
        drop(l, 1);
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

void ledger_flush(struct ledger *l) {
    pthread_mutex_lock(&l->lock);
    while (l->incoming.len > 0 || l->busy) {
        if (l->write_errors > 0 && l->incoming.len == 0)
            break; // what waits for a disk would be waited for forever
        pthread_cond_signal(&l->wake);
        pthread_cond_wait(&l->idle, &l->lock);
    }
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
    close_log(l);
    buffer_free(&l->incoming);
    buffer_free(&l->unwritten);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->warned_lock);
    pthread_cond_destroy(&l->wake);
    pthread_cond_destroy(&l->idle);
    table_free(l->warned);
    free(l->path);
    free(l);
}

void ledger_stats_get(const struct ledger *l, struct ledger_stats *out) {
    out->rows = atomic_load(&l->rows);
    out->written = atomic_load(&l->written);
    out->dropped = atomic_load(&l->dropped);
    out->write_errors = atomic_load(&l->write_errors);
}
