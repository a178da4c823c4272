// Numbers in the shared records of limits and runs, as numbers.lua writes them.
#ifndef FARTHING_TENANT_NUMBERS_H
#define FARTHING_TENANT_NUMBERS_H

#include "farthing/base.h"

// Lua's are exact up to 2^53: so is what two of these come to.
#define NUMBERS_MAX (INT64_C(1) << 52)

// The next one, of 0 to `most`.
static inline bool numbers_take(struct slice *rest, int64_t most, int64_t *out) {
    return slice_split_i64(rest, ' ', out) && *out >= 0 && *out <= most;
}

#endif
