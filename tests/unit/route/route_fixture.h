// What the tests of this room share: a snapshot from text.
#ifndef ROUTE_FIXTURE_H
#define ROUTE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/route.h"

static inline const struct config *load(const char *text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(slice_of(text), "t.conf", &messages);
    if (c == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    buffer_free(&messages);
    return c;
}

#endif
