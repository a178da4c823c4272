// What the script of the limits (limits_share.lua) answers. Pure.
#ifndef FARTHING_TENANT_LIMITS_SHARE_ANSWER_H
#define FARTHING_TENANT_LIMITS_SHARE_ANSWER_H

#include "numbers.h"

enum limits_kind { LIMITS_REQUESTS, LIMITS_TOKENS, LIMITS_KINDS };

enum { LIMITS_PLACES_MAX = 1000000000 };

struct limits_answer {
    struct {
        int64_t debt;    // units
        int64_t paid;    // of the next one, in 60 millionths; below a whole one
        int64_t granted; // since the start of this instance
    } rates[LIMITS_KINDS];
    int64_t places;  // that this instance has now
    int64_t yield;   // of these it gives back as they become free
    int64_t waiting; // places that other instances wait for
};

// False: it is no answer.
bool limits_share_answer_parse(struct slice text, struct limits_answer *out) FARTHING_MUST_CHECK;

#endif
