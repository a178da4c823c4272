// Station 11, settle: what did it really cost? Called when the outcome is
// known and before the reply's head is made, so that the head can say it; a
// second call (a stream whose summary came first) computes the same again.
#include "exchange.h"

// From the bytes that came, but no more than the cap that was sent: long words
// and an answer's wrapping are no tokens.
static int64_t estimate_output(const struct exchange *x) {
    int64_t about = x->output_bytes > 0 ? provider_estimate_tokens(x->output_bytes) : 0, most;
    bool was_capped = x->asked.output_cap >= 0 || x->output_lowered;
    if (!was_capped || x->output_cap < 0 ||
        __builtin_mul_overflow(x->output_cap, x->asked.n, &most))
        return about;
    return about < most ? about : most;
}

// Usage that no provider reported: from the bytes that went each way.
static void estimate(struct exchange *x) {
    x->usage_source = LEDGER_USAGE_ESTIMATED;
    x->usage = (struct api_usage){
        .input_tokens = input_estimate(x, x->candidates[x->candidate].name).likely,
        .output_tokens = estimate_output(x),
    };
}

// Anthropic's streams count their first token when they begin, and all of them at the
// end: what was cut between the two has had as many as came.
static bool counts_too_little(const struct exchange *x) {
    const struct provider_stream_state *state =
        x->reader != NULL ? provider_stream_state(x->reader) : NULL;
    return state != NULL && !state->done && !state->answer.complete &&
           estimate_output(x) > x->usage.output_tokens;
}

// Whatever is read again (a stored response, a batch that is waited for) reports the
// usage of what was paid for when it was made.
static bool only_reads(const struct exchange *x) {
    static const char *const reading[] = {"GET", "HEAD", "DELETE", "OPTIONS"};
    return SLICE_IS_ONE_OF(x->sent.method, reading);
}

bool settle_has_bought(const struct exchange *x) {
    return x->usage_source == LEDGER_USAGE_PROVIDER || x->usage_source == LEDGER_USAGE_ESTIMATED;
}

void settle_add_usage(struct api_usage *sum, const struct api_usage *more) {
    sum->input_tokens += more->input_tokens;
    sum->output_tokens += more->output_tokens;
    sum->cached_tokens += more->cached_tokens;
    sum->cache_write_tokens += more->cache_write_tokens;
    sum->reasoning_tokens += more->reasoning_tokens;
}

static bool was_bought(const struct exchange *x) {
    if (x->hit != NULL || only_reads(x))
        return false;
    // Errors are not billed, nor what never left (a queue, a pause after an
    // attempt that failed); what a client walked away from, or what broke amid
    // its stream, was.
    if (x->reader != NULL)
        return true;
    if (x->attempt_count == 0)
        return false;
    if (x->ended_by == ENDED_BY_CLIENT || x->ended_by == ENDED_BY_SHUTDOWN)
        return x->cancelled_after_sending && x->status < 400;
    return x->status >= 200 && x->status < 400 && x->error == API_ERROR_NONE;
}

static bool bills_tokens(const struct exchange *x) {
    return x->endpoint != API_OTHER && x->endpoint != API_MODELS;
}

static void price_purchase(struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    const struct price *price = price_book_find(x->flow->book, x->config, c, x->judged.service_tier);
    x->cost_known = price != NULL && price_covers(price, &x->usage);
    if (x->cost_known)
        x->cost = price_cost(price, &x->usage);
}

// A response that was begun in the background is answered before it is made, and what it
// used is only told to who asks for it later: it counts as all that it may take.
static bool goes_on_at_provider(const struct exchange *x) {
    return x->endpoint == API_RESPONSES && !x->judged.usage.known &&
           (slice_equal(x->judged.finish_reason, SLICE("queued")) ||
            slice_equal(x->judged.finish_reason, SLICE("in_progress")));
}

// Answers of streams are settled twice, and learned from once.
static void learn(struct exchange *x) {
    if (x->raw_input > 0 && !x->unseen_input && !x->learned && x->body_is_json &&
        api_endpoint_is_cacheable(x->endpoint))
        estimator_learn(x->flow->shared.estimator, x->candidates[x->candidate].name,
                        x->raw_input + x->added_input, x->usage.input_tokens);
    x->learned = true;
}

static void settle_purchase(struct exchange *x) {
    const struct provider_stream *read = x->reader != NULL ? x->reader : x->observer;
    if (read != NULL) {
        const struct provider_stream_state *state = provider_stream_state(read);
        if (!x->judged.usage.known)
            x->judged.usage = state->answer.usage;
        x->output_bytes = state->output_bytes;
    }
    if (x->judged.usage.known) {
        x->usage = x->judged.usage;
        x->usage_source = LEDGER_USAGE_PROVIDER;
        learn(x);
        if (counts_too_little(x)) {
            x->usage.output_tokens = estimate_output(x);
            x->usage_source = LEDGER_USAGE_ESTIMATED;
        }
    } else if (bills_tokens(x)) {
        if (x->output_bytes == 0 && x->reader == NULL && x->endpoint != API_EMBEDDINGS)
            x->output_bytes = (int64_t)x->answer.len;
        estimate(x);
    } else {
        x->cost_known = true; // nothing that is counted in tokens
        return;
    }
    price_purchase(x);
    if (goes_on_at_provider(x) && x->cost_known && x->reserved > x->cost.pico)
        x->cost.pico = x->reserved;
}

bool settle_total(const struct exchange *x, struct money *total) {
    *total = money_add(x->cost, x->retry_cost);
    return x->cost_known && !x->retry_cost_unknown;
}

void station_settle(struct exchange *x) {
    if (x->recorded || x->hit != NULL)
        return; // what comes from the cache uses none of the tenant's tokens
    if (was_bought(x))
        settle_purchase(x);
    else
        x->cost_known = true; // refused, or an error: it cost nothing
    if (x->attempt == NULL) // else there is more to come
        reserve_settle(x);
}
