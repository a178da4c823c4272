// JSON's numbers as they are written: any number of digits, compared and divided
// without loss.
#ifndef FARTHING_ROUTE_SCHEMA_NUMBER_H
#define FARTHING_ROUTE_SCHEMA_NUMBER_H

#include "farthing/base.h"

// value = 0.DIGITS * 10^point, DIGITS without zeros at either end.
struct schema_number {
    bool negative;
    bool huge;           // an exponent beyond all reckoning; `point` has its sign
    int64_t point;
    struct slice digits; // from the first to the last that is not 0, perhaps with a point
    size_t count;        // of digits; 0: the number is 0
};

struct schema_number schema_number_of(struct slice raw); // raw: a JSON number
bool schema_number_is_whole(const struct schema_number *n);
// False: beyond reckoning. *order: below, equal or above 0.
bool schema_number_compare(const struct schema_number *a, const struct schema_number *b,
                           int *order) FARTHING_MUST_CHECK;
// The same for: is a a multiple of b, which is above 0?
bool schema_number_divides(const struct schema_number *a, const struct schema_number *b,
                           bool *multiple) FARTHING_MUST_CHECK;

#endif
