// jansson's verdict, or none where it is stricter than the standard: it has no
// numbers beyond a double or 64 bits and no NUL in a key.
#include "verdict.h"

#include <jansson.h>
#include <string.h>

enum verdict jansson_verdict(const char *text, size_t len, const char **reason) {
    static json_error_t e;
    // jansson takes a NUL behind the value for the end of the text.
    if (memchr(text, '\0', len) != NULL) {
        *reason = "no JSON text has a NUL byte";
        return VERDICT_REFUSED;
    }
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    *reason = e.text;
    if (value != NULL) {
        json_decref(value);
        return VERDICT_ACCEPTED;
    }
    switch (json_error_code(&e)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_stack_overflow:
    case json_error_out_of_memory:
        return VERDICT_UNKNOWN;
    default:
        return VERDICT_REFUSED;
    }
}
