// The most that one attempt can cost: what budgets reserve. See worst_case.c.
#ifndef FARTHING_FLOW_WORST_CASE_H
#define FARTHING_FLOW_WORST_CASE_H

#include "farthing/ledger.h"

// What input and output may be made of besides text, as the request asks for it.
// Whatever else is priced by itself (what the provider has cached, reasoning) any
// answer may have.
enum worst_part {
    WORST_INPUT_AUDIO = 1,
    WORST_OUTPUT_AUDIO = 2,
    WORST_CACHE_WRITE = 4,
    WORST_CACHE_WRITE_1H = 8,
};

struct worst_case {
    int64_t input;   // tokens, estimated from above
    int64_t choices; // that are billed, each with its own output
    // The dearest that a token may be, pico-USD for a million; and the request itself.
    int64_t input_price, output_price, request_price;
};

// Those that are dearer than plain tokens, at any step: only they are worth a look.
unsigned worst_parts_that_matter(const struct price *price);
// Of these, those that the request makes possible, by the words that its body (JSON
// text) must have for it. Only Anthropic's messages have to ask before the provider
// writes to its cache.
unsigned worst_parts(enum api_endpoint e, struct slice body, unsigned of);
// Takes this price into account: all of its steps that `input` may be on. False
// when it has no price for input, or for output where there is some.
bool worst_case_take(struct worst_case *w, const struct price *price, unsigned parts,
                     bool has_output) FARTHING_MUST_CHECK;
// With at most so many tokens of output in each choice. Never overflows: saturates.
int64_t worst_case_cost(const struct worst_case *w, int64_t output);
// The largest cap up to `cap` that costs at most `money`; -1: not even without output.
int64_t worst_case_cap_within(const struct worst_case *w, int64_t cap, int64_t money);

#endif
