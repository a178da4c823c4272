// What of ECMA-262's regular expressions PCRE2 spells otherwise.
#ifndef FARTHING_ROUTE_PATTERN_ECMA_H
#define FARTHING_ROUTE_PATTERN_ECMA_H

#include "farthing/base.h"

// Appends the same pattern as PCRE2 reads it under PCRE2_ALT_BSUX: long names of
// Unicode's categories and scripts, surrogate pairs, \s with all its spaces.
// False: what would mean something else there (err says what).
bool pattern_from_ecma(struct slice text, struct buffer *out,
                       struct error *err) FARTHING_MUST_CHECK;

#endif
