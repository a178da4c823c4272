// What the script of the runs (runs_share.lua) answers. Pure.
#ifndef FARTHING_TENANT_RUNS_SHARE_ANSWER_H
#define FARTHING_TENANT_RUNS_SHARE_ANSWER_H

#include "numbers.h"

// What other instances took of a run.
struct run_others {
    int64_t steps, attempts, tokens; // what is reserved included
    int64_t age_ms;                  // since its first step
    int64_t granted;                 // 1: the step that was asked for; or 0
    int64_t used;                    // steps of all, without it
};

// False: it is no answer.
bool run_others_parse(struct slice text, struct run_others *out) FARTHING_MUST_CHECK;

#endif
