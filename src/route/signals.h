// What the files of the signals share.
#ifndef FARTHING_ROUTE_SIGNALS_H
#define FARTHING_ROUTE_SIGNALS_H

#include "farthing/classify.h"

// Adds what one text of a user shows: code, questions, numbers, math, scripts.
void signals_count_text(struct slice text, struct classify_signals *s);

#endif
