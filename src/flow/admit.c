// Station 4, admit: may this tenant start one more now? Rates are charged and a
// place is taken, or a seat in the tenant's queue; what is refused says which
// limit it was, its figures, and when to come again.
#include "exchange.h"

#include <stdio.h>

static int64_t at_least_a_second(int64_t ms) {
    return ms <= 0 ? 1 : (ms + 999) / 1000;
}

// The input from its bytes, and the output that the request itself allows.
static int64_t expected_tokens(struct exchange *x) {
    static const char *const caps[] = {"max_tokens", "max_completion_tokens", "max_output_tokens"};
    int64_t tokens = provider_estimate_tokens((int64_t)http_request_body(x->request).len);
    for (size_t i = 0; x->body_is_json && i < FARTHING_COUNT(caps); i++) {
        int64_t cap;
        json_ref said = json_get(x->doc, JSON_ROOT, slice_of(caps[i]));
        if (said != JSON_NONE && json_i64(x->doc, said, &cap) && cap > 0 && cap < INT32_MAX)
            return tokens + cap * x->n;
    }
    return tokens;
}

// ------------------------------------------------------------------ headers

// "6m0s", "1.5s", "20ms": as OpenAI writes its resets.
static struct slice duration_text(struct exchange *x, int64_t ms) {
    if (ms < 1000)
        return arena_printf(x->arena, "%lldms", (long long)ms);
    int64_t minutes = ms / 60000;
    double seconds = (double)(ms % 60000) / 1000;
    if (minutes > 0)
        return arena_printf(x->arena, "%lldm%gs", (long long)minutes, seconds);
    return arena_printf(x->arena, "%gs", seconds);
}

static void add(struct api_header *out, size_t *count, const char *name, struct slice value) {
    out[(*count)++] = (struct api_header){slice_of(name), value};
}

// OpenAI's spelling of one rate: limit, remaining, reset.
static void add_rate(struct exchange *x, struct api_header *out, size_t *count, const char *kind,
                     const struct limits_rate_view *rate) {
    static const char *const figures[] = {"limit", "remaining", "reset"};
    const struct slice values[] = {
        arena_printf(x->arena, "%lld", (long long)rate->limit),
        arena_printf(x->arena, "%lld", (long long)rate->remaining),
        duration_text(x, rate->reset_ms),
    };
    for (size_t i = 0; i < FARTHING_COUNT(figures); i++)
        add(out, count, arena_printf(x->arena, "x-ratelimit-%s-%s", figures[i], kind).ptr, values[i]);
}

size_t admit_headers(struct exchange *x, struct api_header out[ADMIT_HEADERS_MAX]) {
    struct limits_view view;
    size_t count = 0;
    if (x->ticket.state == LIMITS_IDLE)
        return 0;
    limits_view_ticket(&x->ticket, &view);
    const struct {
        const char *kind;
        const struct limits_rate_view *rate;
    } rates[] = {{"requests", &view.requests}, {"tokens", &view.tokens}};
    // draft-ietf-httpapi-ratelimit-headers: one item a policy.
    struct buffer policy = {0}, state = {0};
    for (size_t i = 0; i < FARTHING_COUNT(rates); i++) {
        if (rates[i].rate->limit <= 0)
            continue;
        const char *comma = policy.len > 0 ? ", " : "";
        buffer_printf(&policy, "%s\"%s\";q=%lld;w=%d", comma, rates[i].kind,
                      (long long)rates[i].rate->limit, LIMITS_WINDOW_S);
        buffer_printf(&state, "%s\"%s\";r=%lld;t=%lld", comma, rates[i].kind,
                      (long long)rates[i].rate->remaining,
                      (long long)((rates[i].rate->reset_ms + 999) / 1000));
        add_rate(x, out, &count, rates[i].kind, rates[i].rate);
    }
    if (policy.len > 0) {
        add(out, &count, "RateLimit-Policy", arena_copy(x->arena, buffer_slice(&policy)));
        add(out, &count, "RateLimit", arena_copy(x->arena, buffer_slice(&state)));
    }
    buffer_free(&policy);
    buffer_free(&state);
    if (x->error == API_ERROR_RATE_LIMITED || x->error == API_ERROR_CONCURRENCY_LIMITED ||
        x->error == API_ERROR_QUEUE_TIMEOUT) {
        int64_t wait_ms = x->ticket.refusal.retry_after_ms;
        if (wait_ms < 0)
            add(out, &count, "x-should-retry", SLICE("false"));
        else
            add(out, &count, "Retry-After",
                arena_printf(x->arena, "%lld", (long long)at_least_a_second(wait_ms)));
    }
    return count;
}

// ------------------------------------------------------------------ refusals

static bool refuse(struct exchange *x) {
    const struct limits_refusal *r = &x->ticket.refusal;
    struct slice tenant = x->tenant->name;
    switch (r->reason) {
    case LIMITS_REASON_REQUESTS:
        return exchange_refuse(x, API_ERROR_RATE_LIMITED, SLICE_NONE,
                               "Tenant %.*s may make %lld requests a minute; the next fits in %lld s.",
                               SLICE_ARG(tenant), (long long)r->limit,
                               (long long)at_least_a_second(r->retry_after_ms));
    case LIMITS_REASON_TOKENS:
        if (r->retry_after_ms < 0)
            return exchange_refuse(x, API_ERROR_RATE_LIMITED, SLICE_NONE,
                                   "Tenant %.*s may use %lld tokens a minute, and this request alone "
                                   "may need about %lld: make it shorter, or lower its max_tokens.",
                                   SLICE_ARG(tenant), (long long)r->limit, (long long)r->asked);
        return exchange_refuse(x, API_ERROR_RATE_LIMITED, SLICE_NONE,
                               "Tenant %.*s may use %lld tokens a minute and has %lld left; this "
                               "request may need about %lld, which fits in %lld s.",
                               SLICE_ARG(tenant), (long long)r->limit, (long long)r->remaining,
                               (long long)r->asked, (long long)at_least_a_second(r->retry_after_ms));
    case LIMITS_REASON_QUEUE_TIMEOUT:
        return exchange_refuse(x, API_ERROR_QUEUE_TIMEOUT, SLICE_NONE,
                               "Tenant %.*s may run %lld requests at once, and none ended while this "
                               "one waited.",
                               SLICE_ARG(tenant), (long long)r->limit);
    case LIMITS_REASON_CONCURRENCY:
    case LIMITS_REASON_NONE:
        break;
    }
    return exchange_refuse(x, API_ERROR_CONCURRENCY_LIMITED, SLICE_NONE,
                           "Tenant %.*s may run %lld requests at once, all are running, and %lld wait "
                           "already.",
                           SLICE_ARG(tenant), (long long)r->limit, (long long)r->queued);
}

static void note_wait(struct exchange *x) {
    if (x->ticket.held_ms > x->ticket.admitted_ms)
        x->queue_ms += (int64_t)(x->ticket.held_ms - x->ticket.admitted_ms);
}

static void on_wait_over(void *arg, enum limits_verdict verdict) {
    struct exchange *x = arg;
    exchange_enter(x);
    note_wait(x);
    if (verdict == LIMITS_GRANTED)
        exchange_resume_after_admit(x);
    else
        (void)refuse(x);
    exchange_leave(x);
}

bool station_admit(struct exchange *x) {
    const struct limits_ask ask = {
        .tenant = x->tenant->name,
        .tokens = expected_tokens(x),
        .max_wait_ms = x->deadline_ms > 0 ? x->deadline_ms - (int64_t)clock_mono_ms() : 0,
    };
    switch (limits_admit(x->flow->limits, &x->ticket, &ask, on_wait_over, x)) {
    case LIMITS_GRANTED:
        return true;
    case LIMITS_QUEUED:
        exchange_go(x, EXCHANGE_QUEUED);
        return false;
    case LIMITS_REFUSED:
        break;
    }
    return refuse(x);
}
