// What jansson thinks of a text. Apart, because its header and ours use the
// same names.
#ifndef FARTHING_FUZZ_JSON_VERDICT_H
#define FARTHING_FUZZ_JSON_VERDICT_H

#include <stddef.h>

enum verdict { VERDICT_REFUSED, VERDICT_ACCEPTED, VERDICT_UNKNOWN };

// *reason lives until the next call.
enum verdict jansson_verdict(const char *text, size_t len, const char **reason);

#endif
