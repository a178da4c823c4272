// The file of cost rows: one line each, appended.
//
// A line is never lost to a rename or a full disk: what of a batch is in the
// file is remembered, the rest waits. When the disk filled amid a line, the
// line is gone on with in the same file; a new file gets it whole, and the old
// one keeps a last line without an end, which no reader takes for a row.
#include "cost_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMPLAINT_PAUSE_MS = 60000, KEPT_BYTES = 1 << 20 };

static const struct metric_family errors_family = {
    "farthing_cost_log_errors_total", "Writes to the cost log that failed.", METRIC_COUNTER,
    {0}, 0, 0, 0, 0};

void cost_log_declare(void) {
    metric_plain(&errors_family);
}

static void complain(struct cost_log *log, const char *what, int code) {
    atomic_fetch_add(&log->errors, 1);
    metric_add(metric_plain(&errors_family), 1);
    uint64_t now = clock_mono_ms();
    if (now < log->quiet_until_ms)
        return;
    log->quiet_until_ms = now + COMPLAINT_PAUSE_MS;
    log_write(LOG_ERROR, "cost log: cannot %s %s: %s; rows wait and are tried again", what,
              log->path, strerror(code));
}

// ------------------------------------------------------------------ the file

static void make_parent(const char *path) {
    char *copy = slice_dup(slice_of(path));
    char *slash = strrchr(copy, '/');
    if (slash != NULL && slash != copy) {
        *slash = '\0';
        (void)mkdir(copy, 0700); // if it fails, open says why
    }
    free(copy);
}

// A process that died amid a line, or a disk that filled, left it without an end.
static bool end_torn_line(int fd) {
    off_t size = lseek(fd, 0, SEEK_END);
    char last = '\n';
    if (size <= 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
        return true;
    return write(fd, "\n", 1) == 1;
}

static void leave_file(struct cost_log *log) {
    if (log->is_stdout)
        return;
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    log->torn = 0;
}

static bool open_file(struct cost_log *log) {
    if (log->is_stdout) {
        log->fd = STDOUT_FILENO;
        return true;
    }
    make_parent(log->path);
    log->fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (log->fd < 0)
        return false;
    if (end_torn_line(log->fd))
        return true;
    int code = errno;
    leave_file(log);
    errno = code;
    return false;
}

bool cost_log_open(struct cost_log *log, const char *path) {
    log->path = slice_dup(slice_of(path));
    log->is_stdout = strcmp(path, "-") == 0;
    log->fd = -1;
    if (open_file(log))
        return true;
    // A full disk does not stop traffic, not even at the start.
    int code = errno;
    if (code == ENOSPC || code == EDQUOT) {
        complain(log, "open", code);
        return true;
    }
    errno = code;
    return false;
}

void cost_log_close(struct cost_log *log) {
    leave_file(log);
    buffer_free(&log->waiting);
    free(log->path);
    log->path = NULL;
}

// Is the open file still the one that the path names?
static bool was_moved(const struct cost_log *log) {
    struct stat here, there;
    return fstat(log->fd, &here) != 0 || stat(log->path, &there) != 0 ||
           here.st_ino != there.st_ino || here.st_dev != there.st_dev;
}

void cost_log_follow(struct cost_log *log, bool asked) {
    if (log->is_stdout)
        return;
    if (log->fd >= 0 && (asked || was_moved(log)))
        leave_file(log);
    // Whoever asked looks for the new file at once, not at the next row.
    if (asked && !open_file(log))
        complain(log, "open", errno);
}

// ------------------------------------------------------------------ the lines

static int64_t count_lines(struct slice text) {
    int64_t count = 0;
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        count++;
        at++;
    }
    return count;
}

int64_t cost_log_rows_waiting(const struct cost_log *log) {
    return count_lines(buffer_slice(&log->waiting));
}

bool cost_log_take(struct cost_log *log, struct buffer *batch, size_t limit_bytes) {
    if (log->waiting.len + batch->len > limit_bytes)
        return false;
    if (log->waiting.len == 0) { // as ever, but when a disk is full
        struct buffer empty = log->waiting;
        log->waiting = *batch;
        *batch = empty;
    } else {
        buffer_append(&log->waiting, buffer_slice(batch));
    }
    return true;
}

// The file has the first `done` bytes: whole lines go, a torn one stays whole.
static void forget_written(struct cost_log *log, size_t done) {
    const char *last = done > 0 ? memrchr(log->waiting.ptr, '\n', done) : NULL;
    size_t whole = last == NULL ? 0 : (size_t)(last - log->waiting.ptr) + 1;
    atomic_fetch_add(&log->written, count_lines(slice_make(log->waiting.ptr, whole)));
    log->torn = done - whole;
    buffer_consume(&log->waiting, whole);
    if (log->waiting.len == 0 && log->waiting.cap > KEPT_BYTES)
        buffer_free(&log->waiting);
}

void cost_log_write(struct cost_log *log) {
    if (log->waiting.len == 0)
        return;
    if (log->fd < 0 && !open_file(log)) {
        complain(log, "open", errno);
        return;
    }
    size_t done = log->torn;
    while (done < log->waiting.len) {
        ssize_t n = write(log->fd, log->waiting.ptr + done, log->waiting.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            complain(log, "write", n < 0 ? errno : ENOSPC);
            break;
        }
        done += (size_t)n;
    }
    forget_written(log, done);
}
