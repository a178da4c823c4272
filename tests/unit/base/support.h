// What the tests of this room share.
#ifndef FARTHING_TESTS_BASE_SUPPORT_H
#define FARTHING_TESTS_BASE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/base.h"

static inline void assert_bytes(struct slice got, struct slice wanted) {
    if (!slice_equal(got, wanted))
        fail_msg("got [%.*s], wanted [%.*s]", SLICE_ARG(got), SLICE_ARG(wanted));
}

static inline void assert_text(struct slice got, const char *wanted) {
    assert_bytes(got, slice_of(wanted));
}

#endif
