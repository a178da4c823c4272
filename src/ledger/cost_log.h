// The file of cost rows, as its one writer thread sees it.
#ifndef FARTHING_LEDGER_COST_LOG_H
#define FARTHING_LEDGER_COST_LOG_H

#include <stdatomic.h>

#include "farthing/base.h"

// Made and freed by the ledger; touched by its thread, but for the counters.
struct cost_log {
    char *path;
    int fd; // -1: not open
    bool is_stdout;
    struct buffer waiting; // whole lines that the file does not have yet
    size_t torn;           // bytes at the front of `waiting` that it does have
    uint64_t quiet_until_ms;
    _Atomic int64_t written, errors; // rows; failed tries
};

// "-" is the standard output. False (with errno) when the file cannot be
// opened; it is tried again with the next rows.
bool cost_log_open(struct cost_log *log, const char *path) FARTHING_MUST_CHECK;
void cost_log_close(struct cost_log *log);
void cost_log_declare(void);
// Takes the lines out of `batch` if `waiting` stays within the limit, else
// returns false. The buffer given may be exchanged for another.
bool cost_log_take(struct cost_log *log, struct buffer *batch, size_t limit_bytes);
// Writes what waits; what the file cannot take goes on waiting.
void cost_log_write(struct cost_log *log);
// Leaves a file that was renamed or removed, or whatever it is when asked.
void cost_log_follow(struct cost_log *log, bool asked);
int64_t cost_log_rows_waiting(const struct cost_log *log);

#endif
