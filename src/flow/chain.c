// Between stations 10 and 7: when an attempt came to nothing, or its answer is not
// good enough, the next model of the chain is asked. What the rejected answer cost
// is booked, the rest of its reservation given back, and the next attempt reserved
// for itself: a chain never spends more than it could have reserved.
#include "exchange.h"

static const struct metric_family escalations_family = {
    "farthing_escalations_total",
    "Requests that went on along their chain, by why.",
    METRIC_COUNTER,
    {"route", "from", "to", "reason"},
    NULL,
    0,
    0,
    0};

// Without a route: what no answer came of.
static bool is_wanted(const struct exchange *x, enum config_escalation why) {
    uint32_t when = x->route != NULL ? x->route->escalate_on
                                     : 1U << CONFIG_ESCALATE_ERROR | 1U << CONFIG_ESCALATE_TIMEOUT |
                                           1U << CONFIG_ESCALATE_CONTEXT;
    return (when & 1U << why) != 0;
}

bool chain_has_room(const struct exchange *x) {
    size_t most = EXCHANGE_ATTEMPTS_MAX;
    if (x->route != NULL && x->route->max_attempts > 0 && (size_t)x->route->max_attempts < most)
        most = (size_t)x->route->max_attempts;
    size_t noted = x->attempt_count + (x->attempt != NULL); // with the one that runs
    return noted - x->passed_over < most && noted < EXCHANGE_ATTEMPTS_MAX &&
           (x->deadline_ms <= 0 || (int64_t)clock_mono_ms() < x->deadline_ms);
}

static int64_t window_of(const struct route_candidate *c) {
    return c->model != NULL ? c->model->context_window : CONFIG_UNSET;
}

// Nothing is translated: who speaks another dialect does not understand the request.
static bool can_take(const struct exchange *x, const struct route_candidate *c,
                     enum config_escalation why) {
    const struct route_candidate *now = &x->candidates[x->candidate];
    if (!slice_equal(c->provider->dialect, now->provider->dialect))
        return false;
    return why != CONFIG_ESCALATE_CONTEXT || window_of(c) < 0 || window_of(now) < 0 ||
           window_of(c) > window_of(now);
}

static size_t find_next(const struct exchange *x, enum config_escalation why) {
    size_t next = x->candidate + 1;
    while (next < x->candidate_count && !can_take(x, &x->candidates[next], why))
        next++;
    return next;
}

static struct slice tier_of(const struct route_candidate *c) {
    struct slice tier = exchange_tier_of(c);
    return tier.len > 0 ? tier : c->name;
}

static void count(const struct exchange *x, size_t next, enum config_escalation why) {
    const struct slice labels[] = {
        x->route != NULL ? x->route->name : SLICE(""),
        tier_of(&x->candidates[x->candidate]),
        tier_of(&x->candidates[next]),
        slice_of(gate_reason_name(why)),
    };
    metric_add(metric_series(&escalations_family, labels), 1);
}

// Errors are not billed. What a gate rejected was, and what broke off amid its words.
static bool was_billed(const struct exchange *x) {
    return x->rejected ||
           (x->reader != NULL && provider_stream_state(x->reader)->output_bytes > 0);
}

// What the rejected answer cost was paid, whatever comes next.
static void book_rejected(struct exchange *x) {
    if (!was_billed(x)) {
        x->error = API_ERROR_UPSTREAM_ERROR; // so it settles at nothing
        provider_stream_free(x->reader);
        x->reader = NULL;
    }
    station_settle(x);
    if (x->usage_source == LEDGER_USAGE_NONE)
        return;
    x->attempts[x->attempt_count - 1].cost_known = x->cost_known;
    x->attempts[x->attempt_count - 1].cost = x->cost;
    x->retry_cost = money_add(x->retry_cost, x->cost);
    x->retry_cost_unknown = x->retry_cost_unknown || !x->cost_known;
    settle_add_usage(&x->retry_usage, &x->usage);
}

static void forget_rejected(struct exchange *x) {
    provider_stream_free(x->reader);
    x->reader = NULL;
    x->usage = (struct api_usage){0};
    x->usage_source = LEDGER_USAGE_NONE;
    x->cost = MONEY_ZERO;
    x->cost_known = x->learned = false;
    x->judged = (struct provider_answer){0};
    x->judged_whole = x->rejected = false;
    x->output_bytes = 0;
    x->error = API_ERROR_NONE;
    x->ended_by = ENDED_BY_FARTHING;
    x->reply_status = 0;
    x->raw_input = x->output_cap = CONFIG_UNSET;
    x->output_lowered = x->lowered_by_money = false;
    x->trimmed_tokens = x->trimmed_messages = 0;
    buffer_clear(&x->capped);
    buffer_clear(&x->held);
    x->reserved = 0;
    x->run_counted = false;
    x->remaining = CONFIG_UNSET;
}

// The request once more, as its client sent it.
static bool read_again(struct exchange *x) {
    struct error err;
    if (x->doc == NULL)
        x->doc = flow_take_doc(x->flow);
    return json_parse(x->doc, http_request_body(x->request), NULL, &err);
}

static void take_overrides(struct exchange *x, struct slice violation) {
    const struct config_route *r = x->route;
    if (r == NULL)
        return;
    if (r->fallback_max_output_tokens != CONFIG_UNSET)
        x->caps.max_output_tokens = r->fallback_max_output_tokens;
    if (r->fallback_temperature_milli != CONFIG_UNSET && x->endpoint != API_EMBEDDINGS)
        json_edit_set(x->edits, JSON_ROOT, SLICE("temperature"),
                      arena_printf(x->arena, "%lld.%03lld",
                                   (long long)(r->fallback_temperature_milli / 1000),
                                   (long long)(r->fallback_temperature_milli % 1000)));
    if (r->fallback_explain && violation.len > 0)
        x->violation_note =
            arena_printf(x->arena, "An earlier answer to this was not accepted: %.*s Avoid that.",
                         SLICE_ARG(violation));
}

static void ask_next(struct exchange *x, size_t next, struct slice violation) {
    x->candidate = next;
    x->first_attempt = x->attempt_count;
    if (!read_again(x)) { // it was read before: only memory could fail it now
        (void)exchange_refuse(x, API_ERROR_INTERNAL, SLICE_NONE, "The request cannot be read again.");
        return;
    }
    x->edits = json_edits_new(x->doc, x->arena);
    take_overrides(x, violation);
    if (!caps_apply(x))
        return;
    // What this attempt's own cap cuts is nobody else's.
    x->lowered_by_money = x->output_lowered && x->route != NULL &&
                          x->route->fallback_max_output_tokens == x->output_cap;
    if (station_reserve(x))
        (void)station_dispatch(x);
}

// candidate_count: none.
static size_t next_for(const struct exchange *x, enum config_escalation why) {
    // Nobody waits, or has had a part of another answer, or it is no model's affair.
    bool can = x->own == NULL && x->request != NULL && !x->reply_begun && x->body_is_json &&
               api_endpoint_is_cacheable(x->endpoint);
    return can && is_wanted(x, why) && chain_has_room(x) ? find_next(x, why) : x->candidate_count;
}

bool chain_goes_on(const struct exchange *x, enum config_escalation why) {
    return next_for(x, why) < x->candidate_count;
}

bool chain_next(struct exchange *x, enum config_escalation why, struct slice violation) {
    size_t next = next_for(x, why);
    if (next >= x->candidate_count)
        return false;
    count(x, next, why);
    book_rejected(x);
    forget_rejected(x);
    ask_next(x, next, violation);
    return true;
}

// Where more than one model was asked, the last one's words are not the whole story.
bool chain_refuse(struct exchange *x) {
    struct buffer tried = {0};
    if (x->candidate == 0)
        return false;
    for (size_t i = 0; i < x->attempt_count; i++) {
        const struct cost_attempt *a = &x->attempts[i];
        buffer_printf(&tried, "%s%.*s/%.*s: %.*s", i > 0 ? "; " : "", SLICE_ARG(a->provider),
                      SLICE_ARG(a->model), SLICE_ARG(a->reason));
        if (a->status >= 400)
            buffer_printf(&tried, " %d", a->status);
    }
    x->ended_by = ENDED_BY_PROVIDER;
    x->reply_status = 0;
    x->answer_header_count = 0;
    (void)exchange_refuse(x, API_ERROR_ALL_MODELS_FAILED, SLICE_NONE,
                          "No model of the chain gave a usable answer (%.*s).",
                          SLICE_ARG(buffer_slice(&tried)));
    buffer_free(&tried);
    return true;
}

// ------------------------------------------------------------------ why

enum config_escalation chain_reason_of_end(enum attempt_end end) {
    return attempt_end_is_timeout(end) ? CONFIG_ESCALATE_TIMEOUT : CONFIG_ESCALATE_ERROR;
}

// How providers say that the input is too long for the model.
static bool is_too_long(const struct exchange *x) {
    static const char *const words[] = {"context_length_exceeded", "maximum context length",
                                        "context window", "prompt is too long",
                                        "input is too long", "too many tokens"};
    for (size_t i = 0; i < FARTHING_COUNT(words); i++)
        if (slice_equal(x->judged.error_code, slice_of(words[i])) ||
            slice_find(x->judged.error_message, slice_of(words[i])) >= 0)
            return true;
    return false;
}

enum config_escalation chain_reason_of_status(const struct exchange *x) {
    if ((x->status == 400 || x->status == 413 || x->status == 422) && is_too_long(x))
        return CONFIG_ESCALATE_CONTEXT;
    bool may_pass_elsewhere =
        x->status == 408 || x->status == 409 || x->status == 429 || x->status >= 500;
    return may_pass_elsewhere ? CONFIG_ESCALATE_ERROR : GATE_NONE;
}
