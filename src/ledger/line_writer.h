// Lines that any thread hands over and one thread writes to a file.
#ifndef FARTHING_LEDGER_LINE_WRITER_H
#define FARTHING_LEDGER_LINE_WRITER_H

#include "line_file.h"

struct line_writer;

struct line_writer_options {
    const struct line_kind *kind; // outlives it
    const char *path;             // "-": standard output; NULL or empty: no file
    size_t queue_bytes;           // waiting to be written, over which lines are dropped
    // On the thread, with whole lines, before they go to the file; NULL: nobody.
    void (*batch)(void *arg, struct slice lines);
    void *arg;
};

// Opens the file; the thread is not there yet. NULL: it cannot be opened, errno says why.
struct line_writer *line_writer_open(const struct line_writer_options *options);
bool line_writer_start(struct line_writer *w) FARTHING_MUST_CHECK; // once
// One line with its end. Any thread; never blocks. Without room it is dropped and counted.
void line_writer_add(struct line_writer *w, struct slice line);
void line_writer_reopen(struct line_writer *w);
void line_writer_flush(struct line_writer *w); // waits until all so far was tried; not on a loop
void line_writer_close(struct line_writer *w); // flush and stop; NULL is fine

struct line_writer_stats {
    int64_t written, dropped, errors;
};
struct line_writer_stats line_writer_stats_get(const struct line_writer *w);

#endif
