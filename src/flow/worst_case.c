// The most that one attempt can cost: its input, estimated from above, and its
// cap on output, each token at the dearest price that it may have. Which that is
// nobody knows before the provider has counted: input may be read from a cache,
// be written to one, be audio, or lie above a step by length; output may be
// reasoning. So the dearest of each that the request makes possible counts for
// all of it. That is more than any usage within the two figures can cost.
#include "worst_case.h"

// ------------------------------------------------------------------------ parts

static bool has(struct slice body, const char *text) {
    return slice_find(body, slice_of(text)) >= 0;
}

// JSON may spell any letter of a name as \u00XX. Nobody does that to small letters
// and "_" but who wants to hide a name.
static bool may_hide_a_name(struct slice body) {
    struct slice escape = SLICE("\\u00");
    for (ptrdiff_t at; (at = slice_find(body, escape)) >= 0;
         body = slice_from(body, (size_t)at + escape.len)) {
        size_t next = (size_t)at + escape.len;
        if (next < body.len && body.ptr[next] >= '5' && body.ptr[next] <= '7')
            return true;
    }
    return false;
}

unsigned worst_parts(enum api_endpoint e, struct slice body, unsigned of) {
    unsigned asked = of & (e != API_MESSAGES ? (unsigned)WORST_CACHE_WRITE : 0);
    if ((of & ~asked) == 0)
        return asked;
    if (may_hide_a_name(body))
        return of;
    if ((of & WORST_INPUT_AUDIO) != 0 && has(body, "input_audio"))
        asked |= WORST_INPUT_AUDIO;
    if ((of & WORST_OUTPUT_AUDIO) != 0 && has(body, "\"audio\""))
        asked |= WORST_OUTPUT_AUDIO;
    const unsigned writes = WORST_CACHE_WRITE | WORST_CACHE_WRITE_1H;
    if ((of & writes) != 0 && has(body, "cache_control"))
        asked |= of & writes;
    return asked;
}

// ----------------------------------------------------------------------- prices

static void lift(int64_t *price, int64_t to) {
    if (to > *price)
        *price = to;
}

// Prices that are not said are below 0, and never the dearest (ledger.h).
static void take_step(struct worst_case *w, const struct price *p, unsigned parts) {
    lift(&w->input_price, p->input);
    lift(&w->input_price, p->cached_input);
    if ((parts & WORST_CACHE_WRITE) != 0)
        lift(&w->input_price, p->cache_write);
    if ((parts & WORST_CACHE_WRITE_1H) != 0)
        lift(&w->input_price, p->cache_write_1h);
    if ((parts & WORST_INPUT_AUDIO) != 0)
        lift(&w->input_price, p->input_audio);
    lift(&w->output_price, p->output);
    lift(&w->output_price, p->reasoning);
    if ((parts & WORST_OUTPUT_AUDIO) != 0)
        lift(&w->output_price, p->output_audio);
    lift(&w->request_price, p->request);
}

static unsigned parts_that_matter(const struct price *p) {
    return (p->input_audio > p->input ? (unsigned)WORST_INPUT_AUDIO : 0) |
           (p->output_audio > p->output ? (unsigned)WORST_OUTPUT_AUDIO : 0) |
           (p->cache_write > p->input ? (unsigned)WORST_CACHE_WRITE : 0) |
           (p->cache_write_1h > p->input ? (unsigned)WORST_CACHE_WRITE_1H : 0);
}

unsigned worst_parts_that_matter(const struct price *price) {
    unsigned parts = 0;
    for (const struct price *p = price; p != NULL; p = p->above)
        parts |= parts_that_matter(p);
    return parts;
}

bool worst_case_take(struct worst_case *w, const struct price *price, unsigned parts,
                     bool has_output) {
    const struct api_usage all = {.input_tokens = w->input > 0 ? w->input : 1,
                                  .output_tokens = has_output};
    if (!price_covers(price, &all))
        return false;
    // The input may turn out shorter, and below a step be dearer than above it.
    for (const struct price *p = price;; p = p->above) {
        take_step(w, p, parts);
        if (p->above == NULL || p->step_above <= 0 || w->input <= p->step_above)
            return true;
    }
}

// ------------------------------------------------------------------------- cost

int64_t worst_case_cost(const struct worst_case *w, int64_t output) {
    const __int128 million = 1000000;
    int64_t tokens;
    if (__builtin_mul_overflow(output, w->choices > 0 ? w->choices : 1, &tokens))
        tokens = INT64_MAX;
    // Each product is below 2^126: two of them fit.
    __int128 cost = (__int128)w->input * w->input_price + (__int128)tokens * w->output_price;
    cost = (cost + million - 1) / million + w->request_price;
    return cost > INT64_MAX ? INT64_MAX : (int64_t)cost;
}

int64_t worst_case_cap_within(const struct worst_case *w, int64_t cap, int64_t money) {
    if (worst_case_cost(w, 0) > money)
        return -1;
    int64_t fits = 0, over = cap < INT64_MAX ? cap + 1 : cap;
    while (over - fits > 1) {
        int64_t middle = fits + (over - fits) / 2;
        if (worst_case_cost(w, middle) <= money)
            fits = middle;
        else
            over = middle;
    }
    return fits;
}
