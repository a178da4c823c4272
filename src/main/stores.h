// The store as the configuration wants it.
#ifndef FARTHING_MAIN_STORES_H
#define FARTHING_MAIN_STORES_H

#include "farthing/config.h"
#include "farthing/store.h"

struct store *stores_open(const struct config_store *config, struct error *err);
// Are the files that it names usable? Nothing is opened.
bool stores_check(const struct config_store *config, struct error *err) FARTHING_MUST_CHECK;
// Or has something changed that needs a restart?
bool stores_are_same(const struct config_store *a, const struct config_store *b);

#endif
