// Writing lines down: loops append them to one shared buffer (a copy under a
// small lock), one thread takes it some twenty times a second and hands it to
// whoever wants to see it and to the file.
//
// What the file cannot take (full disk) is kept up to a bound and tried again,
// then dropped and counted; traffic never waits for it.
#include "line_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum {
    BATCH_PAUSE_MS = 50,
    RETRY_PAUSE_MS = 500, // when no lines come, but some wait for a disk
    WAKE_BYTES = 256 * 1024,
    KEPT_BYTES = 1 << 20, // a burst's memory is given back
};

struct line_writer {
    struct line_writer_options options; // without the path
    struct line_file file;              // the thread's

    pthread_t thread;
    bool started;
    pthread_mutex_t lock;   // what follows, up to the counters
    pthread_cond_t wake;    // for the thread
    pthread_cond_t flushed; // for those who wait for it
    struct buffer incoming;
    int64_t incoming_lines;
    bool asleep; // the thread waits for a first line
    bool stopping, reopen;
    uint64_t flush_asked, flush_done; // tickets

    _Atomic int64_t dropped, written_without_file;
};

// ----------------------------------------------------------------- the thread

static void drop(struct line_writer *w, int64_t lines) {
    atomic_fetch_add(&w->dropped, lines);
    metric_add(metric_plain(w->options.kind->dropped), lines);
}

static void write_batch(struct line_writer *w, struct buffer *batch, int64_t lines) {
    if (w->options.batch != NULL && batch->len > 0)
        w->options.batch(w->options.arg, buffer_slice(batch));
    if (w->file.path == NULL) {
        atomic_fetch_add(&w->written_without_file, lines);
        return;
    }
    if (!line_file_take(&w->file, batch, w->options.queue_bytes))
        drop(w, lines);
    line_file_write(&w->file);
}

// False when the time was over.
static bool wait_ms(struct line_writer *w, const struct timespec *from, long ms) {
    struct timespec until = *from;
    until.tv_nsec += ms * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0;
}

static bool is_urgent(const struct line_writer *w) {
    return w->stopping || w->reopen || w->flush_asked != w->flush_done ||
           w->incoming.len >= WAKE_BYTES;
}

static void wait_for_lines(struct line_writer *w) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    w->asleep = true;
    while (w->incoming.len == 0 && !is_urgent(w)) {
        if (w->file.waiting.len == 0)
            pthread_cond_wait(&w->wake, &w->lock);
        else if (!wait_ms(w, &now, RETRY_PAUSE_MS))
            break;
    }
    w->asleep = false;
    // Gather a little: one write for many lines.
    clock_gettime(CLOCK_MONOTONIC, &now);
    while (w->incoming.len > 0 && !is_urgent(w) && wait_ms(w, &now, BATCH_PAUSE_MS))
        continue;
}

// One round: takes what came and writes it. False when it was the last.
static bool write_round(struct line_writer *w, struct buffer *batch) {
    pthread_mutex_lock(&w->lock);
    wait_for_lines(w);
    struct buffer taken = w->incoming;
    w->incoming = *batch; // the two change places
    *batch = taken;
    int64_t lines = w->incoming_lines;
    w->incoming_lines = 0;
    bool stop = w->stopping, reopen = w->reopen;
    uint64_t ticket = w->flush_asked;
    w->reopen = false;
    pthread_mutex_unlock(&w->lock);

    if (w->file.path != NULL)
        line_file_follow(&w->file, reopen);
    write_batch(w, batch, lines);
    buffer_clear(batch);
    if (batch->cap > KEPT_BYTES)
        buffer_free(batch);

    pthread_mutex_lock(&w->lock);
    w->flush_done = ticket;
    pthread_cond_broadcast(&w->flushed);
    pthread_mutex_unlock(&w->lock);
    return !stop;
}

static void *run(void *arg) {
    struct line_writer *w = arg;
    const struct line_kind *kind = w->options.kind;
    struct buffer batch = {0};
    while (write_round(w, &batch))
        continue;
    int64_t lost = line_file_waiting(&w->file);
    if (lost > 0) {
        log_write(LOG_ERROR, "%s: %lld %s could not be written", kind->name, (long long)lost,
                  kind->lines);
        drop(w, lost);
    }
    buffer_free(&batch);
    return NULL;
}

// ---------------------------------------------------------------------- lives

static void init_locks(struct line_writer *w) {
    pthread_condattr_t monotonic; // a clock that is set must not hold lines back
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&w->flushed, NULL);
    pthread_mutex_init(&w->lock, NULL);
}

static void writer_free(struct line_writer *w) {
    line_file_close(&w->file);
    buffer_free(&w->incoming);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->flushed);
    free(w);
}

struct line_writer *line_writer_open(const struct line_writer_options *options) {
    struct line_writer *w = base_calloc(1, sizeof *w);
    const char *path = options->path;
    w->options = *options;
    w->options.path = NULL;
    w->file.fd = -1;
    init_locks(w);
    metric_plain(options->kind->errors); // shown from the start
    metric_plain(options->kind->dropped);
    if (path == NULL || path[0] == '\0' || line_file_open(&w->file, options->kind, path))
        return w;
    int code = errno;
    writer_free(w);
    errno = code;
    return NULL;
}

// Signals are the main thread's affair, and one of them is about this thread's
// own work: a write over RLIMIT_FSIZE is to fail, not to end the process.
bool line_writer_start(struct line_writer *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, run, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->started;
}

void line_writer_close(struct line_writer *w) {
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->started)
        pthread_join(w->thread, NULL);
    writer_free(w);
}

// --------------------------------------------------------------------- public

void line_writer_add(struct line_writer *w, struct slice line) {
    pthread_mutex_lock(&w->lock);
    size_t before = w->incoming.len, after = before + line.len;
    bool fits = after <= w->options.queue_bytes;
    if (fits) {
        buffer_append(&w->incoming, line);
        w->incoming_lines++;
        // While it gathers, only a full batch wakes it.
        if (w->asleep || (before < WAKE_BYTES && after >= WAKE_BYTES))
            pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    if (!fits)
        drop(w, 1);
}

void line_writer_reopen(struct line_writer *w) {
    pthread_mutex_lock(&w->lock);
    w->reopen = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

// A ticket is done when a round that began after it was drawn is over: that
// round took every line from before. Lines that a full disk refused are not
// waited for: that might be forever.
void line_writer_flush(struct line_writer *w) {
    pthread_mutex_lock(&w->lock);
    uint64_t ticket = ++w->flush_asked;
    pthread_cond_signal(&w->wake);
    while (w->flush_done < ticket)
        pthread_cond_wait(&w->flushed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

struct line_writer_stats line_writer_stats_get(const struct line_writer *w) {
    return (struct line_writer_stats){
        .written = atomic_load(&w->written_without_file) + atomic_load(&w->file.written),
        .dropped = atomic_load(&w->dropped),
        .errors = atomic_load(&w->file.errors),
    };
}
