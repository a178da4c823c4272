// What a crash left in the cost log alone.
#ifndef FARTHING_LEDGER_CATCH_UP_H
#define FARTHING_LEDGER_CATCH_UP_H

#include "farthing/store.h"

// Puts rows of the log's end that the table lacks into the table. Blocks; before
// the ledger's thread runs. Returns how many.
int64_t ledger_catch_up(struct store *store, struct store_journal *journal, const char *path);

#endif
