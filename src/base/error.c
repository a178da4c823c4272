// Errors as values.
#include "farthing/base.h"

#include <stdio.h>

bool error_set(struct error *e, const char *fmt, ...) {
    if (e == NULL)
        return false;
    // Aside first: what stands in e may be among the arguments.
    struct error made;
    va_list args;
    va_start(args, fmt);
    vsnprintf(made.text, sizeof made.text, fmt, args);
    va_end(args);
    memcpy(e->text, made.text, strlen(made.text) + 1);
    return false;
}
