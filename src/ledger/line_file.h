// A file of lines, appended to, as its one writer thread sees it: cost rows, outcomes.
#ifndef FARTHING_LEDGER_LINE_FILE_H
#define FARTHING_LEDGER_LINE_FILE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "farthing/base.h"

// What is in it, constant.
struct line_kind {
    const char *name, *lines; // "cost log", "rows": for messages
    mode_t mode;              // of a new file
    const struct metric_family *errors;  // writes that failed
    const struct metric_family *dropped; // lines that could not be written
};

// Made and freed by the writer; touched by its thread, but for the counters.
struct line_file {
    const struct line_kind *kind;
    char *path; // NULL: there is none
    int fd;     // -1: not open
    bool is_stdout;
    struct buffer waiting; // whole lines that the file does not have yet
    size_t torn;           // bytes at the front of `waiting` that it does have
    uint64_t quiet_until_ms;
    _Atomic int64_t written, errors; // lines; failed tries
};

// "-" is the standard output. False (with errno) when the file cannot be
// opened; it is tried again with the next lines.
bool line_file_open(struct line_file *f, const struct line_kind *kind,
                    const char *path) FARTHING_MUST_CHECK;
void line_file_close(struct line_file *f);
// Takes the lines out of `batch` if `waiting` stays within the limit, else
// returns false. The buffer given may be exchanged for another.
bool line_file_take(struct line_file *f, struct buffer *batch, size_t limit_bytes);
// Writes what waits; what the file cannot take goes on waiting.
void line_file_write(struct line_file *f);
// Leaves a file that was renamed or removed, or whatever it is when asked.
void line_file_follow(struct line_file *f, bool asked);
int64_t line_file_waiting(const struct line_file *f); // lines

#endif
