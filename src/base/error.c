// Errors as values.
#include "farthing/base.h"

#include <stdio.h>

bool error_set(struct error *e, const char *fmt, ...) {
    if (e == NULL)
        return false;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, args);
    va_end(args);
    return false;
}
