// The answer of the runs' script: six whole numbers.
#include "runs_share_answer.h"

bool run_others_parse(struct slice text, struct run_others *out) {
    int64_t *const figures[] = {&out->steps, &out->attempts, &out->tokens,
                                &out->age_ms, &out->granted, &out->used};
    *out = (struct run_others){0};
    for (size_t i = 0; i < FARTHING_COUNT(figures); i++)
        if (!numbers_take(&text, NUMBERS_MAX, figures[i]))
            return false;
    return text.ptr == NULL && out->granted <= 1;
}
