// The catalogue's reader and the look-up, on any bytes: never a crash, an error
// always has words, and what is found costs something that is not negative.
#include <stdlib.h>

#include "farthing/ledger.h"

// Names that the kept corpus speaks of, so that look-ups get somewhere.
static const struct {
    const char *provider, *host, *model, *tier;
} questions[] = {
    {"a", "", "m", ""},          {"a-eu", "", "m-2026-01-02", "batch"},
    {"x", "api.a.cn", "m", ""},  {"b", "b.example", "models/m", "flex"},
    {"", "", "", "priority"},
};

static void check_cost(const struct price *price) {
    static const int64_t inputs[] = {0, 1, 200001, INT64_MAX};
    for (size_t i = 0; i < FARTHING_COUNT(inputs); i++) {
        struct api_usage usage = {.known = true,
                                  .input_tokens = inputs[i],
                                  .output_tokens = inputs[i],
                                  .cached_tokens = inputs[i] / 2,
                                  .cache_write_tokens = inputs[i] / 4,
                                  .cache_write_1h_tokens = inputs[i] / 8,
                                  .reasoning_tokens = inputs[i] / 2,
                                  .input_audio_tokens = 1};
        char text[MONEY_TEXT_MAX];
        struct money cost = price_cost(price, &usage), back;
        if (cost.pico < 0 || !money_parse(slice_make(text, money_format(cost, text)), &back) ||
            back.pico != cost.pico)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {{0}};
    struct money m;
    if (money_parse(slice_make(data, size), &m) && m.pico == INT64_MIN)
        abort(); // it has no positive twin
    struct prices *p = prices_parse(slice_make(data, size), &err);
    if (p == NULL) {
        if (err.text[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < FARTHING_COUNT(questions); i++)
        for (int64_t ms = 0; ms < INT64_C(4000000000000); ms += INT64_C(666666666666)) {
            struct price price;
            if (prices_find(p, slice_of(questions[i].provider), slice_of(questions[i].host),
                            slice_of(questions[i].model), slice_of(questions[i].tier), ms, &price))
                check_cost(&price);
        }
    prices_unref(p);
    return 0;
}
