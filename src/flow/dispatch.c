// Station 9, dispatch: one attempt against one provider, and what happens
// between attempts. Bytes of the answer are led where they belong: into the
// exchange's buffer (a whole answer), through the stream reader (stream.c), or
// straight to the client (a path that Farthing does not interpret).
#include "exchange.h"

enum {
    WHOLE_ANSWER_BYTES_MAX = 64 << 20, // a decompressed answer; a gzip bomb ends here
    PEEKED_ANSWER_BYTES_MAX = 1 << 20, // kept of a passed-through answer, to read its usage
    STATUS_CLIENT_GONE = 499,          // nginx's, for the row
};

// ------------------------------------------------------------ the request

static size_t collect_headers(struct exchange *x, const struct config_provider *p,
                              struct api_header *out, size_t max) {
    size_t count = 0, given = http_request_header_count(x->request);
    for (size_t i = 0; i < given && count < max - 2; i++) {
        struct api_header h = http_request_header_at(x->request, i);
        bool passes = provider_request_header_passes(h.name);
        for (size_t k = 0; !passes && k < p->pass_headers.count; k++)
            passes = slice_equal_nocase(h.name, p->pass_headers.items[k]);
        // Kept here, for its tenant. The provider would see the keys of all tenants as one's, and
        // under one key the requests of several models.
        if (x->keyed && slice_equal_nocase(h.name, SLICE("idempotency-key")))
            passes = false;
        // A copy: a second attempt may come when the client has gone.
        if (passes)
            out[count++] = (struct api_header){arena_copy(x->arena, h.name),
                                               arena_copy(x->arena, h.value)};
    }
    struct slice key = p->passthrough_key ? x->client_key : p->api_key;
    return count + provider_auth(exchange_dialect(x), key, x->arena, out + count);
}

static struct slice path_with_query(struct exchange *x) {
    struct slice path =
        provider_path(exchange_dialect(x), arena_copy(x->arena, http_request_path(x->request)));
    struct slice query = http_request_query(x->request);
    if (query.len == 0)
        return path;
    return arena_printf(x->arena, "%.*s?%.*s", SLICE_ARG(path), SLICE_ARG(query));
}

// -------------------------------------------------------------- the answer

static void forget_last_answer(struct exchange *x) {
    x->status = 0;
    x->answer_header_count = 0;
    x->content_type = x->retry_after = x->retry_after_ms = x->should_retry = SLICE_NONE;
    x->passes_through = false;
    x->answer_overflowed = false;
    x->judged = (struct provider_answer){0};
    buffer_clear(&x->answer);
}

static void keep_header(struct exchange *x, struct api_header h) {
    static const struct {
        const char *name;
        size_t offset;
    } watched[] = {
        {"content-type", offsetof(struct exchange, content_type)},
        {"retry-after", offsetof(struct exchange, retry_after)},
        {"retry-after-ms", offsetof(struct exchange, retry_after_ms)},
        {"x-should-retry", offsetof(struct exchange, should_retry)},
    };
    h.name = arena_copy(x->arena, h.name);
    h.value = arena_copy(x->arena, h.value);
    bool is_type = false;
    for (size_t i = 0; i < FARTHING_COUNT(watched); i++)
        if (slice_equal_nocase(h.name, slice_of(watched[i].name))) {
            *(struct slice *)(void *)((char *)x + watched[i].offset) = h.value;
            is_type = i == 0;
        }
    if (!is_type) // the content type is the reply's own affair
        x->answer_headers[x->answer_header_count++] = h;
}

static bool is_event_stream(struct slice type) {
    struct slice wanted = SLICE("text/event-stream");
    return type.len >= wanted.len && slice_equal_nocase(slice_make(type.ptr, wanted.len), wanted);
}

static int64_t attempt_ms(const struct exchange *x) {
    return (int64_t)((clock_mono_ns() - x->attempt_started_ns) / 1000000);
}

static void on_head(void *arg, const struct attempt_head *head) {
    struct exchange *x = arg;
    exchange_enter(x);
    forget_last_answer(x);
    x->status = head->status;
    x->first_byte_ms = attempt_ms(x);
    if (head->status < 400) {
        int64_t now = (int64_t)clock_mono_ms();
        breaker_answered(&x->breaker, x->first_byte_ms, now);
        balance_note(&x->balance, x->first_byte_ms, now);
    }
    x->answer_headers = arena_alloc(x->arena, (head->header_count + 1) * sizeof *x->answer_headers);
    for (size_t i = 0; i < head->header_count; i++)
        if (provider_answer_header_passes(head->headers[i].name))
            keep_header(x, head->headers[i]);
    bool good = head->status < 400;
    if (good && is_event_stream(x->content_type) && api_endpoint_is_cacheable(x->endpoint))
        stream_open(x);
    else if (good && !api_endpoint_is_cacheable(x->endpoint))
        x->passes_through = true;
    if (x->passes_through && is_event_stream(x->content_type))
        stream_observe(x);
    exchange_leave(x);
}

static void keep_bytes(struct exchange *x, struct slice data, size_t max) {
    if (x->answer.len + data.len > max) {
        x->answer_overflowed = true;
        return;
    }
    buffer_append(&x->answer, data);
}

static void on_data(void *arg, struct slice data) {
    struct exchange *x = arg;
    exchange_enter(x);
    if (x->reader != NULL) {
        stream_data(x, data);
    } else if (x->passes_through) {
        reply_begin(x);
        reply_stream(x, data);
        if (x->observer != NULL)
            stream_look_at(x, data);
        else
            keep_bytes(x, data, PEEKED_ANSWER_BYTES_MAX);
    } else if (x->state != EXCHANGE_SETTLED) {
        keep_bytes(x, data, WHOLE_ANSWER_BYTES_MAX);
        if (x->answer_overflowed)
            judge_too_large(x);
    }
    exchange_leave(x);
}

// ---------------------------------------------------------------- attempts

static void note_attempt(struct exchange *x, const struct attempt_result *result) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    if (x->attempt_count == EXCHANGE_ATTEMPTS_MAX)
        return;
    x->attempts[x->attempt_count++] = (struct cost_attempt){
        .provider = c->provider->name,
        .model = c->upstream_model,
        .tier = exchange_tier_of(c),
        .status = result->status,
        .reason = slice_of(result->end == ATTEMPT_OK && result->status >= 400
                               ? "status"
                               : attempt_end_name(result->end)),
        .latency_ms = result->latency_ms,
        .cost_known = true, // an attempt that failed costs nothing until judged otherwise
    };
    x->queue_ms += result->queue_ms;
    if (result->queue_ms > 0 && x->queued_for.len == 0)
        x->queued_for = SLICE("provider");
}

void dispatch_note_reason(struct exchange *x, struct slice reason) {
    x->attempts[x->attempt_count - 1].reason = reason;
}

// Whose fault was it? What says nothing of the provider counts for nothing.
static enum breaker_outcome outcome_of(const struct attempt_result *r) {
    if (r->end == ATTEMPT_QUEUE_TIMEOUT || r->end == ATTEMPT_BAD_REQUEST ||
        r->end == ATTEMPT_TOO_LARGE)
        return BREAKER_NEUTRAL;
    if (r->end != ATTEMPT_OK || r->status >= 500)
        return BREAKER_BAD;
    return r->status >= 400 ? BREAKER_NEUTRAL : BREAKER_GOOD;
}

static void report(struct exchange *x, const struct attempt_result *r) {
    const struct config_provider *p = x->candidates[x->candidate].provider;
    int64_t now = (int64_t)clock_mono_ms();
    enum breaker_outcome outcome = outcome_of(r);
    int64_t first_byte_ms = r->first_byte_ms >= 0 ? r->first_byte_ms : r->latency_ms;
    (void)breaker_report(&x->breaker, outcome, first_byte_ms, now);
    balance_end(&x->balance);
    if (outcome == BREAKER_GOOD)
        retry_budget_note_good(x->flow->retry_budgets, p->name, p->retry.budget_percent, now);
}

static void on_done(void *arg, const struct attempt_result *result) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->attempt = NULL;
    report(x, result);
    note_attempt(x, result);
    if (x->reader != NULL)
        stream_done(x, result);
    else
        station_judge(x, result);
    exchange_leave(x);
}

// Made once: a later attempt sends the same, whether or not its client is
// still there to be read from.
static void prepare(struct exchange *x) {
    const struct config_provider *p = x->candidates[x->candidate].provider;
    size_t max = http_request_header_count(x->request) + 4;
    struct api_header *headers = arena_alloc(x->arena, max * sizeof *headers);
    x->target = (struct upstream_target){
        .name = p->name,
        .base_url = p->base_url,
        .connect_timeout_ms = p->connect_timeout_ms,
        .first_byte_timeout_ms = p->first_byte_timeout_ms,
        .idle_timeout_ms = p->idle_timeout_ms,
        .total_timeout_ms = p->total_timeout_ms,
        .max_inflight = p->max_inflight,
        .adaptive_inflight = p->adaptive_inflight,
        .tls_verify = p->tls_verify,
        .ca_file = p->ca_file,
    };
    x->sent = (struct attempt_request){
        .target = &x->target,
        .method = arena_copy(x->arena, http_request_method(x->request)),
        .path = path_with_query(x),
        .headers = headers,
        .header_count = collect_headers(x, p, headers, max),
        .body = x->body,
        .tenant = x->tenant->name,
        .weight = (unsigned)x->tenant->priority,
        .deadline_ms = x->deadline_ms,
    };
}

// The provider is known to be down: it is not asked.
static void pass_over(struct exchange *x) {
    const struct attempt_result none = {.end = ATTEMPT_CONNECT_FAILED};
    int64_t wait_ms = x->breaker.retry_after_ms;
    note_attempt(x, &none);
    dispatch_note_reason(x, SLICE("breaker_open"));
    x->passed_over++;
    if (chain_next(x, CONFIG_ESCALATE_ERROR, SLICE_NONE) || chain_refuse(x))
        return;
    x->ended_by = ENDED_BY_PROVIDER;
    x->reply_status = 503;
    x->wait_s = wait_ms / 1000 + 1;
    (void)exchange_refuse(x, API_ERROR_UPSTREAM_ERROR, SLICE_NONE,
                          "The model %.*s has failed again and again, and is asked again in %lld s.",
                          SLICE_ARG(x->candidates[x->candidate].name), (long long)x->wait_s);
}

static enum breaker_verdict ask_breaker(struct exchange *x, const struct route_candidate *c,
                                        struct breaker_ticket *ticket) {
    const struct config_breaker *b = &c->provider->breaker;
    const struct breaker_figures figures = {b->failures, b->window_ms, b->open_for_ms,
                                            b->slow_call_ms};
    return breaker_admit(x->flow->breakers, c->name, &figures, (int64_t)clock_mono_ms(), ticket);
}

static bool breaker_lets_pass(struct exchange *x) {
    return ask_breaker(x, &x->candidates[x->candidate], &x->breaker) != BREAKER_OPEN;
}

bool dispatch_is_open(struct exchange *x, const struct route_candidate *c) {
    struct breaker_ticket ticket;
    bool open = ask_breaker(x, c, &ticket) == BREAKER_OPEN;
    (void)breaker_report(&ticket, BREAKER_NEUTRAL, 0, (int64_t)clock_mono_ms()); // not sent yet
    return open;
}

static void note_client_retry(struct exchange *x) {
    const struct config_provider *p = x->candidates[x->candidate].provider;
    if (x->retries && x->attempt_count == 0)
        retry_budget_note_client_retry(x->flow->retry_budgets, p->name, (int64_t)clock_mono_ms());
}

void dispatch_again(struct exchange *x) {
    static const struct attempt_events events = {on_head, on_data, on_done};
    forget_last_answer(x);
    if (!breaker_lets_pass(x)) {
        pass_over(x);
        return;
    }
    note_client_retry(x);
    balance_begin(x->flow->balance, x->candidates[x->candidate].name, &x->balance);
    exchange_go(x, EXCHANGE_BUYING);
    x->attempt_started_ns = clock_mono_ns();
    x->attempt = attempt_start(x->flow->upstream, &x->sent, &events, x);
}

bool station_dispatch(struct exchange *x) {
    prepare(x);
    dispatch_again(x);
    return false;
}

// --------------------------------------------------------- endings from outside

void dispatch_cancel(struct exchange *x, struct slice reason) {
    admit_leave(x);
    vectors_leave(x);
    if (x->lookup != NULL)
        cache_lookup_cancel(x->lookup);
    x->lookup = NULL;
    if (x->attempt != NULL) {
        const struct attempt_result result = {.status = x->status, .latency_ms = attempt_ms(x)};
        note_attempt(x, &result);
        dispatch_note_reason(x, reason);
        x->cancelled_after_sending = attempt_was_sent(x->attempt);
        attempt_cancel(x->attempt);
        (void)breaker_report(&x->breaker, BREAKER_NEUTRAL, 0, (int64_t)clock_mono_ms());
        balance_end(&x->balance);
    }
    x->attempt = NULL;
    if (x->pause != NULL)
        event_del(x->pause);
}

static void give_up(struct exchange *x) {
    dispatch_cancel(x, SLICE("cancelled"));
    bool shutdown = x->ended_by == ENDED_BY_SHUTDOWN;
    x->ended_by = shutdown ? ENDED_BY_SHUTDOWN : ENDED_BY_CLIENT;
    x->error = shutdown ? API_ERROR_SHUTTING_DOWN : API_ERROR_NONE;
    x->reply_status = shutdown ? api_error_info(x->error)->status : STATUS_CLIENT_GONE;
    station_settle(x);
    station_record(x);
}

// SDKs hang up when they have read [DONE], often before the provider has ended
// its body: such a purchase is whole, and is kept.
static bool took_as_whole(struct exchange *x) {
    if (x->attempt == NULL || !stream_is_done(x))
        return false;
    const struct attempt_result whole = {
        .end = ATTEMPT_OK, .status = x->status, .first_byte_ms = x->first_byte_ms};
    x->ended_by = ENDED_BY_FARTHING;
    report(x, &whole); // before it is cancelled, which says nothing of the provider
    dispatch_cancel(x, slice_of(attempt_end_name(ATTEMPT_OK)));
    stream_done(x, &whole);
    return true;
}

static void on_client_stayed_away(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct exchange *x = arg;
    exchange_enter(x);
    bool is_over = x->state == EXCHANGE_SETTLED || join_is_needed(x); // on_alone says when
    if (!is_over && !took_as_whole(x))
        give_up(x);
    exchange_leave(x);
}

void dispatch_client_gone(struct exchange *x) {
    if (took_as_whole(x))
        return;
    enum config_client_gone policy =
        x->route != NULL ? x->route->on_client_gone : CONFIG_GONE_DEFAULT;
    if (policy == CONFIG_GONE_DEFAULT && x->claim != NULL)
        policy = CONFIG_GONE_FINISH;
    bool buying = x->attempt != NULL && x->ended_by != ENDED_BY_SHUTDOWN;
    // One that still reserves has not been sent, and could not be made without its client's
    // request: who follows it is promoted.
    bool pausing = x->state == EXCHANGE_PAUSING && x->ended_by != ENDED_BY_SHUTDOWN;
    if ((buying || pausing) && join_is_needed(x)) {
        if (x->attempt != NULL)
            attempt_resume(x->attempt);
        return; // on_alone of the flight comes when nobody needs it any more
    }
    if (buying && policy == CONFIG_GONE_FINISH) {
        attempt_resume(x->attempt); // nobody reads slowly any more
        return;
    }
    if (buying && policy == CONFIG_GONE_WAIT) {
        attempt_resume(x->attempt);
        exchange_wait(x, x->route->on_client_gone_wait_ms, on_client_stayed_away);
        return;
    }
    give_up(x);
}
