// What one answer costs, exactly: each token counted once, one division at the
// end, rounded up to the pico-USD.
#include "farthing/ledger.h"

static int64_t or_else(int64_t price, int64_t otherwise) {
    return price >= 0 ? price : otherwise >= 0 ? otherwise : 0;
}

// A provider that reports a part larger than its whole is not believed beyond
// the whole: parts are taken out of what is left.
static int64_t take(int64_t *left, int64_t wanted) {
    int64_t taken = wanted < 0 ? 0 : wanted < *left ? wanted : *left;
    *left -= taken;
    return taken;
}

static __int128 times(int64_t tokens, int64_t price) {
    return (__int128)tokens * price;
}

static __int128 input_cost(const struct price *p, const struct api_usage *u) {
    int64_t left = u->input_tokens > 0 ? u->input_tokens : 0;
    int64_t cached = take(&left, u->cached_tokens);
    int64_t written = take(&left, u->cache_write_tokens);
    int64_t written_1h = take(&written, u->cache_write_1h_tokens);
    int64_t audio = take(&left, u->input_audio_tokens);
    int64_t image = take(&left, u->input_image_tokens);
    int64_t write_price = or_else(p->cache_write, p->input);
    return times(cached, or_else(p->cached_input, p->input)) + times(written, write_price) +
           times(written_1h, or_else(p->cache_write_1h, write_price)) +
           times(audio, or_else(p->input_audio, p->input)) +
           times(image, or_else(p->input, 0)) + times(left, or_else(p->input, 0));
}

static __int128 output_cost(const struct price *p, const struct api_usage *u) {
    int64_t left = u->output_tokens > 0 ? u->output_tokens : 0;
    int64_t reasoning = take(&left, u->reasoning_tokens);
    int64_t audio = take(&left, u->output_audio_tokens);
    return times(reasoning, or_else(p->reasoning, p->output)) +
           times(audio, or_else(p->output_audio, p->output)) + times(left, or_else(p->output, 0));
}

// The step by length of context that this request is on.
static const struct price *step_of(const struct price *p, const struct api_usage *usage) {
    while (p->above != NULL && p->step_above > 0 && usage->input_tokens > p->step_above)
        p = p->above;
    return p;
}

bool price_covers(const struct price *price, const struct api_usage *usage) {
    const struct price *p = step_of(price, usage);
    return (usage->input_tokens <= 0 || p->input >= 0 || p->request >= 0) &&
           (usage->output_tokens <= 0 || p->output >= 0 || p->request >= 0);
}

struct money price_cost(const struct price *price, const struct api_usage *usage) {
    const struct price *p = step_of(price, usage);
    __int128 million = 1000000;
    __int128 cost = (input_cost(p, usage) + output_cost(p, usage) + million - 1) / million;
    cost += or_else(p->request, 0);
    return (struct money){cost > INT64_MAX ? INT64_MAX : (int64_t)cost};
}
