// Station 4, admit: may this tenant start one more now? Rates are charged and a
// place is taken, or a seat in the tenant's queue; what is refused says which
// limit it was, its figures, and when to come again.
#include "exchange.h"

#include <stdio.h>

int64_t admit_retry_after_s(int64_t ms) {
    return ms <= 0 ? 1 : (ms + 999) / 1000;
}

static bool limits_tokens(const struct exchange *x) {
    return x->tenant->limits.tokens_per_minute > 0 || x->tenant->each_key.tokens_per_minute > 0 ||
           (x->route != NULL && x->route->limits.tokens_per_minute > 0);
}

// The input by estimate, and the output that request and caps allow. Of what is
// passed through (a file, a recording) bytes are no tokens: it is counted when it
// reports some.
static int64_t expected_tokens(struct exchange *x) {
    if (!limits_tokens(x) || !api_endpoint_is_cacheable(x->endpoint) || !x->body_is_json)
        return 0;
    int64_t tokens = input_estimate(x, x->requested_model).likely, output, sum;
    if (x->endpoint == API_EMBEDDINGS)
        return tokens;
    const struct provider_request *asked = input_asked(x);
    int64_t cap = x->caps.max_output_tokens;
    if (cap < 0 || (asked->output_cap >= 0 && asked->output_cap < cap))
        cap = asked->output_cap;
    if (cap < 0)
        return tokens;
    return __builtin_mul_overflow(cap, asked->n, &output) || __builtin_add_overflow(tokens, output, &sum)
               ? INT64_MAX
               : sum;
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
                           (long long)r->asked, (long long)admit_retry_after_s(r->retry_after_ms));
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
                                          [LIMITS_REASON_QUEUE_TIMEOUT] = "queue_timeout",
                                          [LIMITS_REASON_STORE] = "store"};
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
                               (long long)admit_retry_after_s(r->retry_after_ms));
    case LIMITS_REASON_TOKENS:
        return refuse_tokens(x, who, r);
    case LIMITS_REASON_QUEUE_TIMEOUT:
        if (is_past_deadline(x))
            return refuse_late(x);
        return exchange_refuse(x, API_ERROR_QUEUE_TIMEOUT, SLICE_NONE,
                               "%.*s may run %lld requests at once, and none ended while this one "
                               "waited.",
                               SLICE_ARG(who), (long long)r->limit);
    case LIMITS_REASON_STORE:
        return exchange_refuse(x, API_ERROR_STORE_UNAVAILABLE, SLICE_NONE,
                               "The limits of %.*s are kept together with other instances, and the "
                               "store for that does not answer.",
                               SLICE_ARG(who));
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

// Its run's part on other instances is known now, or cannot be.
static void on_run_known(void *arg) {
    struct exchange *x = arg;
    exchange_enter(x);
    exchange_resume_after_admit(x);
    exchange_leave(x);
}

// False: it waits for what other instances say of its run.
static bool knows_its_run(struct exchange *x) {
    struct flow *f = x->flow;
    if (x->attributes.run.len == 0 ||
        !run_ask(f->shared.runs, f->store, &x->run, x->tenant->name, x->attributes.run,
                 &x->tenant->run, on_run_known, x))
        return true;
    exchange_go(x, EXCHANGE_QUEUED);
    return false;
}

static void on_wait_over(void *arg, enum limits_verdict verdict) {
    struct exchange *x = arg;
    exchange_enter(x);
    note_wait(x);
    if (verdict != LIMITS_GRANTED)
        (void)refuse(x);
    else if (identify_unblocked(x) && knows_its_run(x)) // blocked while it waited?
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

void admit_settle(struct exchange *x) {
    bool bought = settle_has_bought(x);
    int64_t tokens = x->retry_usage.input_tokens + x->retry_usage.output_tokens;
    if (bought)
        tokens += x->usage.input_tokens + x->usage.output_tokens;
    if (bought || tokens > 0)
        (void)limits_pass_settle(&x->pass, tokens);
}

bool station_admit(struct exchange *x) {
    struct limits_ask asks[LIMITS_PASS_MAX];
    if (x->own != NULL)
        return true;
    unsigned count = collect_asks(x, asks);
    switch (limits_pass_admit(x->flow->limits, &x->pass, asks, count, on_wait_over, x)) {
    case LIMITS_GRANTED:
        return knows_its_run(x);
    case LIMITS_QUEUED:
        exchange_go(x, EXCHANGE_QUEUED);
        return false;
    case LIMITS_REFUSED:
        break;
    }
    return refuse(x);
}
