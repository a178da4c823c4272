// The answer of the limits' script: nine whole numbers, each within what can be.
#include "limits_share_answer.h"

#include "rate.h"

static bool take_number(struct slice *rest, int64_t most, int64_t *out) {
    struct slice word;
    return slice_split(rest, ' ', &word) && slice_to_i64(word, out) && *out >= 0 && *out <= most;
}

bool limits_share_answer_parse(struct slice text, struct share_answer *out) {
    *out = (struct share_answer){0};
    for (enum share_kind k = 0; k < SHARE_KINDS; k++)
        if (!take_number(&text, SHARE_UNITS_MAX, &out->rates[k].debt) ||
            !take_number(&text, RATE_UNIT - 1, &out->rates[k].paid) ||
            !take_number(&text, SHARE_UNITS_MAX, &out->rates[k].granted))
            return false;
    return take_number(&text, SHARE_PLACES_MAX, &out->places) &&
           take_number(&text, SHARE_PLACES_MAX, &out->yield) && out->yield <= out->places &&
           take_number(&text, INT64_MAX, &out->waiting) && text.ptr == NULL;
}
