// The members of a request that say how large it may become, found in one pass
// over the root object, and what their values say. Shared by the files that read
// and those that change them.
#ifndef FARTHING_PROVIDER_REQUEST_H
#define FARTHING_PROVIDER_REQUEST_H

#include "farthing/provider.h"

enum request_field {
    REQUEST_OTHER,
    REQUEST_CAP, // any spelling of the cap on output that the endpoint knows
    REQUEST_N,   // n, best_of
    REQUEST_PROMPT,
    REQUEST_TOOLS,
    REQUEST_THINKING,
};

// Walking it: from JSON_NONE to JSON_NONE, every key of the root object that is
// one of these fields at this endpoint, twice-given ones too. Anything but an
// object has none.
json_ref request_next(enum api_endpoint e, const struct json_doc *doc, json_ref key,
                      enum request_field *field);

enum request_kind {
    REQUEST_NULL,     // as if it were not there
    REQUEST_WHOLE,    // zero or more; text of plain digits too
    REQUEST_FRACTION, // value: rounded up
    REQUEST_NEGATIVE,
    // Any other. pydantic takes " 5000", "5_000" and "5000.0" for the number,
    // so who knows what a server makes of it?
    REQUEST_TEXT,
    REQUEST_NO_SUCH, // true, false, a list, an object: no server takes it for a number
};

struct request_number {
    enum request_kind kind;
    int64_t value; // WHOLE, FRACTION; INT64_MAX where it is larger
};
struct request_number request_number_of(const struct json_doc *doc, json_ref value);

// The number as a cap on output; -1: it says nothing of one.
int64_t request_cap_of(struct request_number n);

static inline int64_t request_highest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static inline int64_t request_clamp(int64_t size) {
    return size < PROVIDER_SIZE_MAX ? size : PROVIDER_SIZE_MAX;
}

#endif
