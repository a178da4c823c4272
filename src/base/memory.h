// For what computes sizes before it allocates.
#ifndef FARTHING_BASE_MEMORY_H
#define FARTHING_BASE_MEMORY_H

#include "farthing/base.h"

// A size that no machine has: ends the process as a failed allocation does,
// before the size wraps round to a small one.
_Noreturn void base_too_large(void);

#endif
