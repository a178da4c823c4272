// Station 10, judge: is the answer good enough to be given, or is there to be
// another attempt, or is it an error? Whole answers come here when they are
// there; streams are judged by stream.c as they go.
#include "exchange.h"

// What is wrong with an attempt whose bytes all came.
enum verdict { VERDICT_GOOD, VERDICT_STATUS, VERDICT_NOT_JSON, VERDICT_ERROR_IN_200 };

static void on_pause_over(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct exchange *x = arg;
    exchange_enter(x);
    dispatch_again(x);
    exchange_leave(x);
}

// Batches, fine-tuning, uploads: done twice they are two. They are tried again
// only where the provider has not taken them.
static bool may_repeat(const struct exchange *x, enum attempt_end end, int status) {
    static const char *const idempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}; // RFC 9110 9.2.2
    return SLICE_IS_ONE_OF(x->sent.method, idempotent) || x->endpoint != API_OTHER ||
           end == ATTEMPT_CONNECT_FAILED || end == ATTEMPT_CONNECT_TIMEOUT ||
           end == ATTEMPT_QUEUE_TIMEOUT || (end == ATTEMPT_OK && (status == 429 || status == 503));
}

bool judge_retry(struct exchange *x, enum attempt_end end, int status) {
    bool waited_for = x->request != NULL || join_is_needed(x);
    if (!waited_for || !may_repeat(x, end, status))
        return false; // nobody is waiting, or it is not for us to say
    const struct config_retry *r = &x->candidates[x->candidate].provider->retry;
    const struct retry_policy policy = {r->attempts, r->backoff_ms, r->backoff_max_ms};
    const struct retry_input input = {
        .end = end,
        .status = status,
        .attempts_made = (unsigned)(x->attempt_count - x->first_attempt),
        .body_started = x->reply_begun,
        .sent = true,
        .retry_after = x->retry_after,
        .retry_after_ms = x->retry_after_ms,
        .should_retry = x->should_retry,
        .now_wall_ms = clock_wall_ms(),
        .time_left_ms = x->deadline_ms > 0 ? x->deadline_ms - (int64_t)clock_mono_ms() : -1,
        .random = random_u64(),
    };
    int64_t wait_ms = chain_has_room(x) ? retry_decide(&policy, &input) : -1;
    const struct config_provider *p = x->candidates[x->candidate].provider;
    // The provider's budget last: it does not take back what it gave.
    if (wait_ms < 0 || !reserve_attempt(x) ||
        !retry_budget_take(x->flow->retry_budgets, p->name, r->budget_percent,
                           (int64_t)clock_mono_ms()))
        return false;
    exchange_go(x, EXCHANGE_PAUSING);
    exchange_wait(x, wait_ms, on_pause_over);
    return true;
}

// A status of an error that came inside a 200, where it says one.
static int status_inside(const struct exchange *x) {
    uint64_t code;
    if (slice_to_u64(x->judged.error_code, &code) && code >= 400 && code <= 599)
        return (int)code;
    return 502;
}

// Reads it into the document.
static enum verdict read_whole(struct exchange *x, struct json_doc *doc) {
    bool known = api_endpoint_is_cacheable(x->endpoint);
    struct error ignored;
    bool is_json = json_parse(doc, buffer_slice(&x->answer), NULL, &ignored) &&
                   (!known || json_type_of(doc, JSON_ROOT) == JSON_OBJECT);
    if (is_json) {
        provider_read_answer(exchange_dialect(x), x->endpoint, doc, x->n, x->arena, &x->judged);
        // What points into the buffer moves with it.
        x->judged.finish_reason = arena_copy(x->arena, x->judged.finish_reason);
        x->judged.service_tier = arena_copy(x->arena, x->judged.service_tier);
        x->judged.error_code = arena_copy(x->arena, x->judged.error_code);
        x->judged.error_message = arena_copy(x->arena, x->judged.error_message);
    }
    if (x->status >= 400 || (known && x->status >= 300))
        return VERDICT_STATUS;
    if (known && !is_json)
        return VERDICT_NOT_JSON;
    return known && x->judged.is_error ? VERDICT_ERROR_IN_200 : VERDICT_GOOD;
}

// ----------------------------------------------------------------- endings

static void give_whole(struct exchange *x) {
    x->judged_whole = x->judged.complete && x->status == 200 && !x->rejected;
    x->reply_status = x->status;
    station_settle(x);
    admit_settle(x);
    struct slice body = buffer_slice(&x->answer);
    remember(x, body); // before the client knows, who may ask again at once, on another loop
    struct buffer stream = {0};
    struct error err;
    // Some servers ignore `stream`: their client still gets the stream it asked for.
    if (x->stream && x->status == 200 &&
        provider_replay(x->endpoint, body, x->client_wants_usage, &stream, &err)) {
        x->content_type = SLICE("text/event-stream; charset=utf-8");
        reply_whole(x, 200, buffer_slice(&stream));
    } else {
        reply_whole(x, x->status, body);
    }
    buffer_free(&stream);
    station_record(x);
}

// The provider's own error, as it stands: its words are better than ours.
static void give_error(struct exchange *x) {
    x->ended_by = ENDED_BY_PROVIDER;
    x->error = API_ERROR_UPSTREAM_ERROR;
    x->reply_status = x->status;
    station_settle(x);
    join_give_error(x);
    if (x->answer.len == 0) {
        struct buffer body = {0};
        api_error_write(&body, API_ERROR_UPSTREAM_ERROR,
                        SLICE("The provider answered with an error and no body."), SLICE_NONE);
        x->content_type = SLICE("application/json");
        reply_whole(x, x->status, buffer_slice(&body));
        buffer_free(&body);
    } else {
        reply_whole(x, x->status, buffer_slice(&x->answer));
    }
    station_record(x);
}

enum api_error judge_blame(struct exchange *x, enum attempt_end end) {
    bool deadline = end == ATTEMPT_TOTAL_TIMEOUT && x->deadline_ms > 0 &&
                    (int64_t)clock_mono_ms() >= x->deadline_ms;
    x->ended_by = deadline ? ENDED_BY_DEADLINE : ENDED_BY_PROVIDER;
    return attempt_end_is_timeout(end) ? API_ERROR_UPSTREAM_TIMEOUT : API_ERROR_UPSTREAM_ERROR;
}

void judge_unanswered(struct exchange *x, const struct attempt_result *result) {
    struct slice provider = x->candidates[x->candidate].provider->name;
    enum api_error error = judge_blame(x, result->end);
    log_write(LOG_WARNING, "%.*s: provider %.*s: %s: %.*s", SLICE_ARG(x->id), SLICE_ARG(provider),
              attempt_end_name(result->end), SLICE_ARG(result->detail));
    if (x->passes_through && x->reply_begun) {
        x->error = error;
        x->reply_status = x->status;
        station_settle(x);
        if (x->request != NULL)
            http_reply_abort(x->request);
        station_record(x);
        return;
    }
    if (x->ended_by != ENDED_BY_DEADLINE && chain_refuse(x))
        return;
    const char *plural = x->attempt_count == 1 ? "" : "s";
    if (x->ended_by == ENDED_BY_DEADLINE)
        (void)exchange_refuse(x, error, SLICE("x-farthing-deadline-ms"),
                              "The request's deadline of %.*s ms was over before the provider %.*s "
                              "gave an answer (%zu attempt%s).",
                              SLICE_ARG(x->attributes.deadline_ms), SLICE_ARG(provider),
                              x->attempt_count, plural);
    else
        (void)exchange_refuse(x, error, SLICE_NONE,
                              "The provider %.*s gave no usable answer in %zu attempt%s (the last: %s).",
                              SLICE_ARG(provider), x->attempt_count, plural,
                              attempt_end_name(result->end));
}

static void finish_passed_through(struct exchange *x) {
    x->reply_status = x->status;
    if (!x->answer_overflowed && x->observer == NULL) {
        struct json_doc *doc = flow_take_doc(x->flow);
        (void)read_whole(x, doc);
        flow_give_doc(x->flow, doc);
    }
    station_settle(x);
    reply_begin(x); // an answer without a body
    if (x->request != NULL)
        http_reply_finish(x->request);
    station_record(x);
}

// It may have been billed: buying it again would only double that.
static void refuse_body(struct exchange *x, const char *what) {
    x->ended_by = ENDED_BY_PROVIDER;
    (void)exchange_refuse(x, API_ERROR_UPSTREAM_ERROR, SLICE_NONE,
                          "The provider %.*s answered %d with a body that is %s.",
                          SLICE_ARG(x->candidates[x->candidate].provider->name), x->status, what);
}

// Followed by nobody: neither here, where the provider's key would go along,
// nor by the client, whose request would pass by this proxy.
static void refuse_redirect(struct exchange *x) {
    dispatch_note_reason(x, SLICE("status"));
    x->ended_by = ENDED_BY_PROVIDER;
    x->answer_header_count = 0; // its Location
    (void)exchange_refuse(x, API_ERROR_UPSTREAM_ERROR, SLICE_NONE,
                          "The provider %.*s answered %d, a redirect, which is not followed: is its "
                          "base_url right?",
                          SLICE_ARG(x->candidates[x->candidate].provider->name), x->status);
}

// Not good enough, and another model is asked.
static bool rejects(struct exchange *x, const struct json_doc *answer) {
    if (x->gate == NULL)
        return false;
    bool own_cap = x->asked.output_cap >= 0 && !x->output_lowered;
    struct gate_result result = gate_judge(x->gate, answer, own_cap, x->arena);
    bool is_good = result.reason == GATE_NONE;
    struct slice reason = is_good ? SLICE_NONE : slice_of(gate_reason_name(result.reason));
    outcome_note(x, is_good, reason);
    if (is_good)
        return false;
    dispatch_note_reason(x, reason);
    x->rejected = true; // the chain's last answer is given all the same, and not kept
    return chain_next(x, result.reason, result.violation);
}

bool judge_by_gate(struct exchange *x, struct slice answer) {
    struct flow *f = x->flow;
    struct json_doc *doc = flow_take_doc(f);
    struct error ignored;
    bool goes_on = json_parse(doc, answer, NULL, &ignored) && rejects(x, doc);
    flow_give_doc(f, doc);
    return goes_on;
}

static void judge_whole(struct exchange *x, struct json_doc *doc) {
    struct slice provider = x->candidates[x->candidate].provider->name;
    switch (read_whole(x, doc)) {
    case VERDICT_GOOD:
        if (x->status != 200 || !rejects(x, doc))
            give_whole(x);
        return;
    case VERDICT_STATUS:
        if (judge_retry(x, ATTEMPT_OK, x->status) ||
            chain_next(x, chain_reason_of_status(x), SLICE_NONE))
            return;
        if (chain_reason_of_status(x) != GATE_NONE && chain_refuse(x))
            return;
        if (x->status >= 400)
            give_error(x);
        else
            refuse_redirect(x);
        return;
    case VERDICT_ERROR_IN_200:
        dispatch_note_reason(x, SLICE("error_in_200"));
        x->status = status_inside(x);
        if (judge_retry(x, ATTEMPT_OK, x->status) ||
            chain_next(x, CONFIG_ESCALATE_ERROR, SLICE_NONE) || chain_refuse(x))
            return;
        x->ended_by = ENDED_BY_PROVIDER;
        x->reply_status = x->status;
        (void)exchange_refuse(x, API_ERROR_UPSTREAM_ERROR, SLICE_NONE,
                              "The provider %.*s answered 200 with an error inside: %.*s",
                              SLICE_ARG(provider),
                              (int)(x->judged.error_message.len < 400 ? x->judged.error_message.len : 400),
                              x->judged.error_message.ptr);
        return;
    case VERDICT_NOT_JSON:
        dispatch_note_reason(x, SLICE("not_json"));
        if (chain_next(x, CONFIG_ESCALATE_ERROR, SLICE_NONE) || chain_refuse(x))
            return;
        refuse_body(x, "not a JSON object");
        return;
    }
}

void station_judge(struct exchange *x, const struct attempt_result *result) {
    if (result->end != ATTEMPT_OK) {
        if (!judge_retry(x, result->end, result->status) &&
            !chain_next(x, chain_reason_of_end(result->end), SLICE_NONE))
            judge_unanswered(x, result);
        return;
    }
    if (x->passes_through) {
        finish_passed_through(x);
        return;
    }
    struct flow *f = x->flow;
    struct json_doc *doc = flow_take_doc(f);
    judge_whole(x, doc);
    flow_give_doc(f, doc);
}

void judge_too_large(struct exchange *x) {
    dispatch_cancel(x, SLICE("too_large"));
    refuse_body(x, "too large");
}
