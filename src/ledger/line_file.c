// A file of lines, appended to.
//
// A line is never lost to a rename or a full disk: what of a batch is in the
// file is remembered, the rest waits. When the disk filled amid a line, the
// line is gone on with in the same file; a new file gets it whole, and the old
// one keeps a last line without an end, which no reader takes for a row.
#include "line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMPLAINT_PAUSE_MS = 60000, KEPT_BYTES = 1 << 20 };

static void complain(struct line_file *f, const char *what, int code) {
    atomic_fetch_add(&f->errors, 1);
    metric_add(metric_plain(f->kind->errors), 1);
    uint64_t now = clock_mono_ms();
    if (now < f->quiet_until_ms)
        return;
    f->quiet_until_ms = now + COMPLAINT_PAUSE_MS;
    log_write(LOG_ERROR, "%s: cannot %s %s: %s; %s wait and are tried again", f->kind->name, what,
              f->path, strerror(code), f->kind->lines);
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

static void leave_file(struct line_file *f) {
    if (f->is_stdout)
        return;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    f->torn = 0;
}

static bool open_file(struct line_file *f) {
    if (f->is_stdout) {
        f->fd = STDOUT_FILENO;
        return true;
    }
    make_parent(f->path);
    f->fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, f->kind->mode);
    if (f->fd < 0)
        return false;
    if (end_torn_line(f->fd))
        return true;
    int code = errno;
    leave_file(f);
    errno = code;
    return false;
}

bool line_file_open(struct line_file *f, const struct line_kind *kind, const char *path) {
    f->kind = kind;
    f->path = slice_dup(slice_of(path));
    f->is_stdout = strcmp(path, "-") == 0;
    f->fd = -1;
    if (open_file(f))
        return true;
    // A full disk does not stop traffic, not even at the start.
    int code = errno;
    if (code == ENOSPC || code == EDQUOT) {
        complain(f, "open", code);
        return true;
    }
    errno = code;
    return false;
}

void line_file_close(struct line_file *f) {
    leave_file(f);
    buffer_free(&f->waiting);
    free(f->path);
    f->path = NULL;
}

// Is the open file still the one that the path names?
static bool was_moved(const struct line_file *f) {
    struct stat here, there;
    return fstat(f->fd, &here) != 0 || stat(f->path, &there) != 0 ||
           here.st_ino != there.st_ino || here.st_dev != there.st_dev;
}

void line_file_follow(struct line_file *f, bool asked) {
    if (f->is_stdout)
        return;
    if (f->fd >= 0 && (asked || was_moved(f)))
        leave_file(f);
    // Whoever asked looks for the new file at once, not at the next line.
    if (asked && !open_file(f))
        complain(f, "open", errno);
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

int64_t line_file_waiting(const struct line_file *f) {
    return count_lines(buffer_slice(&f->waiting));
}

bool line_file_take(struct line_file *f, struct buffer *batch, size_t limit_bytes) {
    if (f->waiting.len + batch->len > limit_bytes)
        return false;
    if (f->waiting.len == 0) { // as ever, but when a disk is full
        struct buffer empty = f->waiting;
        f->waiting = *batch;
        *batch = empty;
    } else {
        buffer_append(&f->waiting, buffer_slice(batch));
    }
    return true;
}

// The file has the first `done` bytes: whole lines go, a torn one stays whole.
static void forget_written(struct line_file *f, size_t done) {
    const char *last = done > 0 ? memrchr(f->waiting.ptr, '\n', done) : NULL;
    size_t whole = last == NULL ? 0 : (size_t)(last - f->waiting.ptr) + 1;
    atomic_fetch_add(&f->written, count_lines(slice_make(f->waiting.ptr, whole)));
    f->torn = done - whole;
    buffer_consume(&f->waiting, whole);
    if (f->waiting.len == 0 && f->waiting.cap > KEPT_BYTES)
        buffer_free(&f->waiting);
}

void line_file_write(struct line_file *f) {
    if (f->waiting.len == 0)
        return;
    if (f->fd < 0 && !open_file(f)) {
        complain(f, "open", errno);
        return;
    }
    size_t done = f->torn;
    while (done < f->waiting.len) {
        ssize_t n = write(f->fd, f->waiting.ptr + done, f->waiting.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            complain(f, "write", n < 0 ? errno : ENOSPC);
            break;
        }
        done += (size_t)n;
    }
    forget_written(f, done);
}
