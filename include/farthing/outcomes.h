// ledger, its outcomes: what gates and people said of answers, with the prompts, as
// lines of a file that `farthingctl train` learns from.
//
// The file holds what users wrote: it is made only where classifier { capture } names
// it, with mode 0600, and nothing of it goes anywhere else.
#ifndef FARTHING_OUTCOMES_H
#define FARTHING_OUTCOMES_H

#include "farthing/base.h"

struct outcomes; // any thread; never blocks a loop

// Bytes of a prompt that are kept; the rest is cut. The learned model reads less.
enum { OUTCOMES_PROMPT_MAX = 128 * 1024 };

// Opens the file and starts its writer thread. NULL: err says why it cannot be opened.
// (A full disk is no reason: what cannot be written waits.)
struct outcomes *outcomes_open(const char *path, struct error *err);
void outcomes_reopen(struct outcomes *o); // SIGHUP; a renamed file is noticed anyway
void outcomes_flush(struct outcomes *o);  // waits until all so far is written; not on a loop
void outcomes_close(struct outcomes *o);  // writes what is left; NULL is fine

// What a gate said of one complete answer.
struct outcome {
    struct slice tier;
    // Of the tier in the route's chain, from 0; places: the chain's length. 0: the tier is
    // not of the chain (a canary's may not be), and says nothing of small and large.
    unsigned place, places;
    bool ok;
    struct slice reason; // why it is not, as in the attempt's row; not looked at where it is
};

// One request's, or one shadow's. What is empty is left out.
struct outcome_line {
    int64_t ts_ms;
    struct slice request_id;
    struct slice shadow_of; // a shadow: of which request; it needs no prompt of its own
    struct slice route, feature;
    const struct slice *prompt; // what users say, in order: texts of classify.h
    size_t prompt_count;
    const struct outcome *outcomes; // in the order of attempts
    size_t outcome_count;
};

// Each hands one line over; without room for it, it is dropped and counted
// (farthing_outcomes_dropped_total). `o` NULL: nothing is kept.
void outcomes_record(struct outcomes *o, const struct outcome_line *line);
// Somebody says of a request's answer that it was good, or not. `who` and `reason` may
// be empty.
void outcomes_feedback(struct outcomes *o, struct slice request_id, bool ok, struct slice who,
                       struct slice reason);

#endif
