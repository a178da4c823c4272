// Station 4, admit: may this tenant start one more now? Rates are charged and a
// place is taken, or a seat in the tenant's queue; what is refused says which
// limit it was, its figures, and when to come again.
#include "exchange.h"

#include <stdio.h>

static int64_t at_least_a_second(int64_t ms) {
    return ms <= 0 ? 1 : (ms + 999) / 1000;
}

// Whose limit a ticket is: the tenant's, its key's, the route's, in the order
// in which they are asked.
enum admit_kind { ADMIT_TENANT, ADMIT_KEY, ADMIT_ROUTE };

static bool limits_tokens(const struct exchange *x) {
    return x->tenant->limits.tokens_per_minute > 0 || x->tenant->each_key.tokens_per_minute > 0 ||
           (x->route != NULL && x->route->limits.tokens_per_minute > 0);
}

// The input by estimate, and the output that request and caps allow. Of what is
// passed through (a file, a recording) bytes are no tokens: it is counted when it
// reports some.
static int64_t expected_tokens(struct exchange *x) {
    struct provider_request asked;
    if (!limits_tokens(x) || !api_endpoint_is_cacheable(x->endpoint) || !x->body_is_json)
        return 0;
    int64_t tokens = input_estimate(x, x->requested_model).likely, output, sum;
    if (x->endpoint == API_EMBEDDINGS)
        return tokens;
    provider_read_request(x->endpoint, x->doc, &asked);
    int64_t cap = x->caps.max_output_tokens;
    if (cap < 0 || (asked.output_cap >= 0 && asked.output_cap < cap))
        cap = asked.output_cap;
    if (cap < 0)
        return tokens;
    return __builtin_mul_overflow(cap, asked.n, &output) || __builtin_add_overflow(tokens, output, &sum)
               ? INT64_MAX
               : sum;
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

// What RateLimit calls the policies of a ticket.
static const char *policy_name(enum admit_kind kind, bool of_tokens) {
    static const char *const names[][2] = {[ADMIT_TENANT] = {"requests", "tokens"},
                                           [ADMIT_KEY] = {"key-requests", "key-tokens"},
                                           [ADMIT_ROUTE] = {"route-requests", "route-tokens"}};
    return names[kind][of_tokens];
}

struct rate_headers {
    struct buffer policy, state; // draft-ietf-httpapi-ratelimit-headers: one item a policy
    struct api_header *out;
    size_t count;
    bool has_openai[2]; // x-ratelimit-* know one limit of a kind: the first that there is
};

static void add_ticket(struct exchange *x, struct rate_headers *h, enum admit_kind kind,
                       const struct limits_ticket *ticket) {
    struct limits_view view;
    limits_view_ticket(ticket, &view);
    for (int i = 0; i < 2; i++) {
        const struct limits_rate_view *rate = i == 0 ? &view.requests : &view.tokens;
        if (rate->limit <= 0)
            continue;
        const char *comma = h->policy.len > 0 ? ", " : "", *name = policy_name(kind, i == 1);
        buffer_printf(&h->policy, "%s\"%s\";q=%lld;w=%d", comma, name, (long long)rate->limit,
                      LIMITS_WINDOW_S);
        buffer_printf(&h->state, "%s\"%s\";r=%lld;t=%lld", comma, name,
                      (long long)rate->remaining, (long long)((rate->reset_ms + 999) / 1000));
        if (!h->has_openai[i] && kind != ADMIT_ROUTE)
            add_rate(x, h->out, &h->count, i == 0 ? "requests" : "tokens", rate);
        h->has_openai[i] = true;
    }
}

static bool refused_by_limits(const struct exchange *x) {
    return x->error == API_ERROR_RATE_LIMITED || x->error == API_ERROR_CONCURRENCY_LIMITED ||
           x->error == API_ERROR_QUEUE_TIMEOUT;
}

size_t admit_headers(struct exchange *x, struct api_header out[ADMIT_HEADERS_MAX]) {
    if (x->pass.state == LIMITS_IDLE)
        return 0;
    struct rate_headers h = {.out = out};
    for (unsigned i = 0; i < x->pass.count; i++)
        if (x->pass.tickets[i].state != LIMITS_IDLE)
            add_ticket(x, &h, (enum admit_kind)x->admit_kinds[i], &x->pass.tickets[i]);
    if (h.policy.len > 0) {
        add(out, &h.count, "RateLimit-Policy", arena_copy(x->arena, buffer_slice(&h.policy)));
        add(out, &h.count, "RateLimit", arena_copy(x->arena, buffer_slice(&h.state)));
    }
    buffer_free(&h.policy);
    buffer_free(&h.state);
    if (refused_by_limits(x)) {
        int64_t wait_ms = x->pass.refusal.retry_after_ms;
        if (wait_ms < 0)
            add(out, &h.count, "x-should-retry", SLICE("false"));
        else
            add(out, &h.count, "Retry-After",
                arena_printf(x->arena, "%lld", (long long)at_least_a_second(wait_ms)));
    }
    return h.count;
}

// ------------------------------------------------------------------ refusals

static struct slice kind_word(enum admit_kind kind) {
    static const char *const words[] = {
        [ADMIT_TENANT] = "tenant", [ADMIT_KEY] = "key", [ADMIT_ROUTE] = "route"};
    return slice_of(words[kind]);
}

static struct slice subject_of(struct exchange *x, enum admit_kind kind) {
    if (kind == ADMIT_ROUTE)
        return arena_printf(x->arena, "Route %.*s", SLICE_ARG(x->route->name));
    return arena_printf(x->arena, "%s %.*s", kind == ADMIT_KEY ? "Each key of tenant" : "Tenant",
                        SLICE_ARG(x->tenant->name));
}

static bool refuse_tokens(struct exchange *x, struct slice who, const struct limits_refusal *r) {
    if (r->retry_after_ms < 0)
        return exchange_refuse(x, API_ERROR_RATE_LIMITED, SLICE_NONE,
                               "%.*s may use %lld tokens a minute, and this request alone may need "
                               "about %lld: make it shorter, or lower its max_tokens.",
                               SLICE_ARG(who), (long long)r->limit, (long long)r->asked);
    return exchange_refuse(x, API_ERROR_RATE_LIMITED, SLICE_NONE,
                           "%.*s may use %lld tokens a minute and has %lld left; this request may "
                           "need about %lld, which fits in %lld s.",
                           SLICE_ARG(who), (long long)r->limit, (long long)r->remaining,
                           (long long)r->asked, (long long)at_least_a_second(r->retry_after_ms));
}

static bool is_past_deadline(const struct exchange *x) {
    return x->deadline_ms > 0 && (int64_t)clock_mono_ms() >= x->deadline_ms;
}

static bool refuse_late(struct exchange *x) {
    x->ended_by = ENDED_BY_DEADLINE;
    return exchange_refuse(x, API_ERROR_QUEUE_TIMEOUT, SLICE("x-farthing-deadline-ms"),
                           "The request's deadline of %.*s ms was over while it waited for a place.",
                           SLICE_ARG(x->attributes.deadline_ms));
}

static bool refuse(struct exchange *x) {
    static const char *const figures[] = {[LIMITS_REASON_NONE] = "",
                                          [LIMITS_REASON_REQUESTS] = "requests",
                                          [LIMITS_REASON_TOKENS] = "tokens",
                                          [LIMITS_REASON_CONCURRENCY] = "concurrency",
                                          [LIMITS_REASON_QUEUE_TIMEOUT] = "queue_timeout"};
    const struct limits_refusal *r = &x->pass.refusal;
    enum admit_kind kind = (enum admit_kind)x->admit_kinds[x->pass.refused_at];
    struct slice who = subject_of(x, kind);
    x->ended_by = ENDED_BY_LIMIT;
    x->refused_by =
        arena_printf(x->arena, "%.*s.%s", SLICE_ARG(kind_word(kind)), figures[r->reason]);
    switch (r->reason) {
    case LIMITS_REASON_REQUESTS:
        return exchange_refuse(x, API_ERROR_RATE_LIMITED, SLICE_NONE,
                               "%.*s may make %lld requests a minute; the next fits in %lld s.",
                               SLICE_ARG(who), (long long)r->limit,
                               (long long)at_least_a_second(r->retry_after_ms));
    case LIMITS_REASON_TOKENS:
        return refuse_tokens(x, who, r);
    case LIMITS_REASON_QUEUE_TIMEOUT:
        if (is_past_deadline(x))
            return refuse_late(x);
        return exchange_refuse(x, API_ERROR_QUEUE_TIMEOUT, SLICE_NONE,
                               "%.*s may run %lld requests at once, and none ended while this one "
                               "waited.",
                               SLICE_ARG(who), (long long)r->limit);
    case LIMITS_REASON_CONCURRENCY:
    case LIMITS_REASON_NONE:
        break;
    }
    return exchange_refuse(x, API_ERROR_CONCURRENCY_LIMITED, SLICE_NONE,
                           "%.*s may run %lld requests at once, all are running, and %lld wait "
                           "already.",
                           SLICE_ARG(who), (long long)r->limit, (long long)r->queued);
}

// ------------------------------------------------------------------- station

static void note_wait(struct exchange *x) {
    x->queue_ms += x->pass.queue_ms;
    for (unsigned i = x->pass.count; i-- > 0 && x->queued_for.len == 0;)
        if (x->pass.tickets[i].held_ms > x->pass.tickets[i].admitted_ms)
            x->queued_for = kind_word((enum admit_kind)x->admit_kinds[i]);
    if (x->queued_for.len == 0 && x->pass.refusal.reason != LIMITS_REASON_NONE)
        x->queued_for = kind_word((enum admit_kind)x->admit_kinds[x->pass.refused_at]);
}

void admit_leave(struct exchange *x) {
    if (!limits_pass_waiting(&x->pass))
        return;
    for (unsigned i = 0; i < x->pass.count; i++)
        if (x->pass.tickets[i].state == LIMITS_WAITING)
            x->queued_for = kind_word((enum admit_kind)x->admit_kinds[i]);
    (void)limits_pass_release(&x->pass);
    x->queue_ms += x->pass.queue_ms;
}

static void on_wait_over(void *arg, enum limits_verdict verdict) {
    struct exchange *x = arg;
    exchange_enter(x);
    note_wait(x);
    if (verdict != LIMITS_GRANTED)
        (void)refuse(x);
    else if (identify_unblocked(x)) // blocked while it waited?
        exchange_resume_after_admit(x);
    exchange_leave(x);
}

// In the order that everybody asks in, so that nobody waits in a circle.
static unsigned collect_asks(struct exchange *x, struct limits_ask asks[LIMITS_PASS_MAX]) {
    const struct limits_ask ask = {
        .tenant = x->tenant->name,
        .tokens = expected_tokens(x),
        .max_wait_ms = x->deadline_ms > 0 ? x->deadline_ms - (int64_t)clock_mono_ms() : 0,
        .flow = x->tenant->name,
        .weight = (unsigned)x->tenant->priority,
    };
    unsigned count = 0;
    x->admit_kinds[count] = ADMIT_TENANT;
    asks[count++] = ask;
    if (x->has_client_key && limits_any(&x->tenant->each_key)) {
        x->admit_kinds[count] = ADMIT_KEY;
        asks[count] = ask;
        asks[count++].tenant = limits_name_of_key(x->arena, x->client_key_digest);
    }
    if (x->route != NULL && limits_any(&x->route->limits)) {
        x->admit_kinds[count] = ADMIT_ROUTE;
        asks[count] = ask;
        asks[count++].tenant = limits_name_of_route(x->arena, x->route->name);
    }
    return count;
}

bool station_admit(struct exchange *x) {
    struct limits_ask asks[LIMITS_PASS_MAX];
    unsigned count = collect_asks(x, asks);
    switch (limits_pass_admit(x->flow->limits, &x->pass, asks, count, on_wait_over, x)) {
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
