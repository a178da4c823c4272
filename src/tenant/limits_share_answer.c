// The answer of the limits' script: nine whole numbers, each within what can be.
#include "limits_share_answer.h"

#include "rate.h"

bool limits_share_answer_parse(struct slice text, struct limits_answer *out) {
    *out = (struct limits_answer){0};
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        if (!numbers_take(&text, NUMBERS_MAX, &out->rates[k].debt) ||
            !numbers_take(&text, RATE_UNIT - 1, &out->rates[k].paid) ||
            !numbers_take(&text, NUMBERS_MAX, &out->rates[k].granted))
            return false;
    return numbers_take(&text, LIMITS_PLACES_MAX, &out->places) &&
           numbers_take(&text, LIMITS_PLACES_MAX, &out->yield) && out->yield <= out->places &&
           numbers_take(&text, INT64_MAX, &out->waiting) && text.ptr == NULL;
}
