// farthingctl train, classify, eval: what their files share. They ask no proxy:
// they read files of rows, and a model's file.
#ifndef FARTHING_MAIN_CTL_LEARN_H
#define FARTHING_MAIN_CTL_LEARN_H

#include "ctl.h"
#include "farthing/learn.h"

// ctl_learn_rows.c: one line of a file, as read.
enum ctl_row_state {
    CTL_ROW_GOOD,
    CTL_ROW_JOINED, // it tells of another line, which was used or counted by itself
    CTL_ROW_EMPTY,
    CTL_ROW_INVALID,   // no JSON object
    CTL_ROW_NO_PROMPT, // a row of something else
    CTL_ROW_NO_LABELS, // small_ok or large_ok is neither true nor false
    CTL_ROW_LEFT_OUT,  // too many to learn from
    // Of outcomes:
    CTL_ROW_NO_REQUEST, // no request_id
    CTL_ROW_NO_OUTCOME, // nothing is known of the first tier's answer
    CTL_ROW_ALONE,      // feedback or a shadow of a request that is not here
    CTL_ROW_REPEATED,   // the same request once more
    CTL_ROW_STATES
};
struct ctl_row {
    const char *file;
    uint64_t line;              // from 1
    enum ctl_row_state state;   // labels are not looked for unless asked for
    const struct slice *pieces; // of the prompt
    size_t piece_count;
    bool small_ok, large_ok;
    bool assumed;    // large_ok was not known, and taken as true
    struct slice id; // its own, as JSON; empty: none
};
struct ctl_row_counts {
    uint64_t of[CTL_ROW_STATES], first[CTL_ROW_STATES]; // lines, and where the first stands
    uint64_t assumed; // of the good ones
};
// Calls back for each line of all the files ("-": standard input), in order. A row is
// gone when the callback returns; what this returns counts. False: a file cannot be
// read, and it was said. For labels all files are read twice: lines of outcomes are
// joined (ctl_learn_join.c).
typedef enum ctl_row_state ctl_row_use(void *arg, const struct ctl_row *row);
bool ctl_rows_read(const char *const *files, size_t count, bool labelled, ctl_row_use *use,
                   void *arg, struct ctl_row_counts *counts) FARTHING_MUST_CHECK;
const char *ctl_row_problem(enum ctl_row_state state);
// What was not used, or assumed, on standard error. False: nothing was used.
bool ctl_rows_report(const struct ctl_row_counts *counts, const char *what);
uint64_t ctl_rows_unused(const struct ctl_row_counts *counts);

// ctl_learn_report.c
struct ctl_proof {
    struct learn_proof proof;
    uint64_t unused, assumed;        // lines, rows
    double small_price, large_price; // of a request
    unsigned folds;                  // 0: a model was given
    uint64_t seed;
    double *apgr;      // of each fold; NAN: its large model was not better
    double mean, spread; // of these
};
void ctl_proof_print(const struct ctl_proof *p);
void ctl_proof_print_json(const struct ctl_proof *p);
bool ctl_proof_write_svg(const struct ctl_proof *p, const char *path) FARTHING_MUST_CHECK;

#endif
