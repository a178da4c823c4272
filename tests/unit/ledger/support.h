// What the tests of the ledger share: cmocka, and a short way to say "equal".
#ifndef FARTHING_TEST_LEDGER_SUPPORT_H
#define FARTHING_TEST_LEDGER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After the four above.
#include <cmocka.h>

#include "farthing/ledger.h"

#define assert_slice_equal(a, b)                                                   \
    do {                                                                           \
        struct slice a_ = (a), b_ = (b);                                           \
        if (!slice_equal(a_, b_))                                                  \
            fail_msg("\"%.*s\" is not \"%.*s\"", SLICE_ARG(a_), SLICE_ARG(b_));    \
    } while (0)

#define assert_money_equal(money, text)                                            \
    do {                                                                           \
        char out_[MONEY_TEXT_MAX];                                                 \
        struct slice got_ = slice_make(out_, money_format((money), out_));         \
        assert_slice_equal(got_, slice_of(text));                                  \
    } while (0)

#endif
