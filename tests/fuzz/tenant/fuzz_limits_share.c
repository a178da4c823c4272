// The answers of the scripts of limits and runs, from any bytes: never a crash, and
// what passes is within what can be, and is what was written.
#include <stdio.h>
#include <stdlib.h>

#include "limits_share_answer.h"
#include "rate.h"
#include "runs_share_answer.h"

static void check(bool so) {
    if (!so)
        abort();
}

static void check_figures(const struct limits_answer *a) {
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++) {
        check(a->rates[k].debt >= 0 && a->rates[k].debt <= NUMBERS_MAX);
        check(a->rates[k].paid >= 0 && a->rates[k].paid < RATE_UNIT);
        check(a->rates[k].granted >= 0 && a->rates[k].granted <= NUMBERS_MAX);
    }
    check(a->places >= 0 && a->places <= LIMITS_PLACES_MAX && a->waiting >= 0);
    check(a->yield >= 0 && a->yield <= a->places);
}

static void check_read_again(const struct limits_answer *a) {
    struct buffer text = {0};
    struct limits_answer again;
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        buffer_printf(&text, "%lld %lld %lld ", (long long)a->rates[k].debt,
                      (long long)a->rates[k].paid, (long long)a->rates[k].granted);
    buffer_printf(&text, "%lld %lld %lld", (long long)a->places, (long long)a->yield,
                  (long long)a->waiting);
    check(limits_share_answer_parse(buffer_slice(&text), &again));
    check(again.places == a->places && again.yield == a->yield && again.waiting == a->waiting &&
          again.rates[LIMITS_TOKENS].granted == a->rates[LIMITS_TOKENS].granted);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct limits_answer a;
    struct run_others others;
    if (run_others_parse(slice_make(data, size), &others))
        check(others.steps >= 0 && others.tokens <= NUMBERS_MAX && others.granted <= 1);
    if (!limits_share_answer_parse(slice_make(data, size), &a))
        return 0;
    check_figures(&a);
    check_read_again(&a);
    return 0;
}
