// Station 13, reply: the contract's headers, whole answers, and the bytes of
// streams with their back-pressure.
#include "exchange.h"

static void add(struct api_header *out, size_t *count, struct slice name, struct slice value) {
    if (value.len > 0 && *count < REPLY_HEADERS_MAX)
        out[(*count)++] = (struct api_header){name, value};
}

static struct slice money_text(struct exchange *x, struct money m) {
    char text[MONEY_TEXT_MAX];
    return arena_copy(x->arena, slice_make(text, money_format(m, text)));
}

// The names of the row: what a hit tells is what its purchase told.
struct slice reply_answered_by(const struct exchange *x) {
    struct slice provider = SLICE_NONE, model = SLICE_NONE;
    if (x->hit != NULL) {
        provider = cache_entry_answer(x->hit)->provider;
        model = cache_entry_answer(x->hit)->model;
    } else if (x->joined) {
        provider = x->origin_provider;
        model = x->origin_model;
    } else if (x->candidate_count > 0) {
        provider = x->candidates[x->candidate].provider->name;
        model = x->candidates[x->candidate].upstream_model;
    }
    if (model.len == 0)
        return provider;
    return arena_printf(x->arena, "%.*s/%.*s", SLICE_ARG(provider), SLICE_ARG(model));
}

static struct slice tier_name(const struct exchange *x) {
    if (x->hit != NULL)
        return cache_entry_answer(x->hit)->tier;
    if (x->joined)
        return x->origin_tier;
    return x->candidate_count > 0 ? exchange_tier_of(&x->candidates[x->candidate]) : SLICE_NONE;
}

size_t reply_headers(struct exchange *x, struct api_header out[REPLY_HEADERS_MAX]) {
    size_t count = 0;
    add(out, &count, SLICE("x-farthing-request-id"), x->id);
    add(out, &count, SLICE("x-farthing-cache"), record_cache_word(x));
    if (x->cacheable && x->has_digest)
        add(out, &count, SLICE("x-farthing-cache-key"), normalize_key_text(x));
    if (x->route != NULL)
        add(out, &count, SLICE("x-farthing-route"), x->route->name);
    add(out, &count, SLICE("x-farthing-tier"), tier_name(x));
    add(out, &count, SLICE("x-farthing-model"), reply_answered_by(x));
    size_t attempts = x->attempt_count + (x->attempt != NULL); // the one that runs is not noted yet
    if (attempts > 0)
        add(out, &count, SLICE("x-farthing-attempts"),
            arena_printf(x->arena, "%zu", attempts));
    // A stream's figures are not known when its head is sent.
    struct money total;
    bool all_known = settle_total(x, &total);
    bool known = x->joined || (all_known && (x->reader == NULL || x->hit != NULL));
    if (known)
        add(out, &count, SLICE("x-farthing-cost-usd"), money_text(x, total));
    if (x->hit != NULL && cache_entry_answer(x->hit)->cost_known)
        add(out, &count, SLICE("x-farthing-saved-usd"),
            money_text(x, (struct money){cache_entry_answer(x->hit)->cost_pico}));
    if (reserve_remaining(x) != CONFIG_UNSET)
        add(out, &count, SLICE("x-farthing-budget-remaining-usd"),
            money_text(x, (struct money){x->remaining}));
    add(out, &count, SLICE("x-farthing-context-warning"), x->context_warning);
    if (x->trimmed_messages > 0) {
        add(out, &count, SLICE("x-farthing-trimmed-messages"),
            arena_printf(x->arena, "%lld", (long long)x->trimmed_messages));
        add(out, &count, SLICE("x-farthing-trimmed-tokens"),
            arena_printf(x->arena, "%lld", (long long)x->trimmed_tokens));
    }
    // What is Farthing's own word and may pass: a provider or a store that is down, a restart.
    bool may_pass = x->error == API_ERROR_SHUTTING_DOWN || x->error == API_ERROR_STORE_UNAVAILABLE ||
                    ((x->error == API_ERROR_UPSTREAM_ERROR || x->error == API_ERROR_UPSTREAM_TIMEOUT) &&
                     x->reply_status >= 500);
    if (x->wait_s > 0)
        add(out, &count, SLICE("Retry-After"), arena_printf(x->arena, "%lld", (long long)x->wait_s));
    else if (may_pass && x->retry_after.len == 0 && !slice_equal(x->should_retry, SLICE("false")))
        add(out, &count, SLICE("Retry-After"), SLICE("1"));
    add(out, &count, SLICE("Content-Type"), x->content_type);
    // The tenant's own limits stand in place of those of the provider's account.
    size_t limits = admit_headers(x, out + count);
    count += limits;
    for (size_t i = 0; x->hit == NULL && i < x->answer_header_count; i++)
        if (limits == 0 || !slice_starts_with(x->answer_headers[i].name, SLICE("x-ratelimit-")))
            add(out, &count, x->answer_headers[i].name, x->answer_headers[i].value);
    return count;
}

void reply_whole(struct exchange *x, int status, struct slice body) {
    if (x->request == NULL)
        return;
    struct api_header headers[REPLY_HEADERS_MAX];
    size_t count = reply_headers(x, headers);
    x->reply_begun = true;
    http_reply(x->request, status, headers, count, body);
}

static void on_drain(void *arg) {
    struct exchange *x = arg;
    if (x->attempt != NULL)
        attempt_resume(x->attempt);
    else
        join_drained(x);
}

void reply_begin(struct exchange *x) {
    if (x->reply_begun)
        return;
    x->reply_begun = true;
    if (x->request == NULL)
        return;
    exchange_go(x, EXCHANGE_STREAMING);
    struct api_header headers[REPLY_HEADERS_MAX];
    size_t count = reply_headers(x, headers);
    http_reply_on_drain(x->request, on_drain, x);
    http_reply_begin(x->request, x->status, headers, count);
}

void reply_stream(struct exchange *x, struct slice bytes) {
    if (x->request == NULL)
        return; // bought to the end without its client
    if (!http_reply_write(x->request, bytes) && x->attempt != NULL)
        attempt_pause(x->attempt);
}
