// A streamed answer on its way to the client: forwarded event by event, read
// as it passes, and kept whole for the cache. What has begun is never retried:
// no two answers' bytes mix in one stream.
#include "exchange.h"

enum {
    HELD_BYTES_MAX = 64 << 20, // as of a whole answer; what is longer is not judged
    STATUS_OF_AN_ERROR = 502,  // where a stream says of itself that it failed
};

void stream_open(struct exchange *x) {
    const struct provider_stream_options options = {
        .dialect = exchange_dialect(x),
        .endpoint = x->endpoint,
        .swallow_usage = x->swallow_usage,
        .assemble = x->gate != NULL || x->cacheable || x->claim != NULL || x->leads,
        .n = x->n,
        // Under a key it is kept, however long it is (0: as long as can be).
        .max_answer_bytes = x->claim != NULL ? 0 : (size_t)x->config->cache.max_entry_bytes,
    };
    provider_stream_free(x->reader);
    x->reader = provider_stream_new(&options);
    x->holds = x->gate != NULL && x->route->gate_streams != CONFIG_GATE_OFF;
}

enum { OBSERVED_EVENT_BYTES_MAX = 64 << 20 }; // an image is one event, and its usage is in it

void stream_observe(struct exchange *x) {
    const struct provider_stream_options options = {
        .dialect = exchange_dialect(x),
        .endpoint = x->endpoint,
        .max_event_bytes = OBSERVED_EVENT_BYTES_MAX,
    };
    provider_stream_free(x->observer);
    x->observer = provider_stream_new(&options);
}

static void on_observed(void *arg, enum provider_emit kind, struct slice bytes) {
    (void)arg;
    (void)kind;
    (void)bytes; // went to the client already
}

void stream_look_at(struct exchange *x, struct slice bytes) {
    struct error ignored;
    if (!provider_stream_feed(x->observer, bytes, on_observed, x, &ignored)) {
        provider_stream_free(x->observer); // its usage stays unknown
        x->observer = NULL;
    }
}

// What is known when the stream is whole: usage, cost, and the summary line.
static void settle_stream(struct exchange *x) {
    const struct provider_stream_state *state = provider_stream_state(x->reader);
    x->judged = state->answer;
    x->judged.finish_reason = arena_copy(x->arena, state->answer.finish_reason);
    x->judged.service_tier = arena_copy(x->arena, state->answer.service_tier);
    x->output_bytes = state->output_bytes;
    x->reply_status = x->status;
    station_settle(x);
}

void stream_summary(struct exchange *x, struct buffer *line) {
    struct json_writer w;
    char text[MONEY_TEXT_MAX];
    struct money total;
    BUFFER_LITERAL(line, ": farthing ");
    json_write_start(&w, line);
    json_object_begin(&w);
    json_key(&w, SLICE("request_id"));
    json_put_string(&w, x->id);
    json_key(&w, SLICE("model"));
    json_put_string(&w, reply_answered_by(x));
    json_key(&w, SLICE("cache"));
    json_put_string(&w, record_cache_word(x));
    json_key(&w, SLICE("cost_usd"));
    if (settle_total(x, &total))
        json_put_string(&w, slice_make(text, money_format(total, text)));
    else
        json_put_null(&w);
    json_key(&w, SLICE("input_tokens"));
    json_put_i64(&w, x->usage.input_tokens);
    json_key(&w, SLICE("output_tokens"));
    json_put_i64(&w, x->usage.output_tokens);
    json_object_end(&w);
    BUFFER_LITERAL(line, "\n\n");
}

static void write_summary(struct exchange *x) {
    struct buffer line = {0};
    stream_summary(x, &line);
    reply_stream(x, buffer_slice(&line));
    buffer_free(&line);
}

static void note_first_token(struct exchange *x) {
    if (x->first_token_ns == 0 && provider_stream_state(x->reader)->first_token)
        x->first_token_ns = clock_mono_ns();
}

// From here on its client has it.
static void let_go(struct exchange *x) {
    struct slice held = buffer_slice(&x->held);
    x->holds = false;
    note_first_token(x);
    join_publish(x, held);
    reply_begin(x);
    reply_stream(x, held);
    buffer_clear(&x->held);
}

static void reject(struct exchange *x, const struct gate_result *result) {
    settle_stream(x); // as far as it came
    dispatch_cancel(x, slice_of(gate_reason_name(result->reason)));
    x->rejected = true;
    outcome_note(x, false, slice_of(gate_reason_name(result->reason)));
    const struct attempt_result over = {.end = ATTEMPT_TOTAL_TIMEOUT};
    if (!chain_next(x, result->reason, result->violation))
        judge_unanswered(x, &over); // its deadline, a moment ago
}

// The head of a held stream is judged when it is there; 4 bytes count as a token.
// A bad one is given all the same where there is no other model.
static void judge_head(struct exchange *x) {
    int64_t bytes = provider_stream_state(x->reader)->output_bytes;
    if (x->gate == NULL || x->route->gate_streams != CONFIG_GATE_HEAD ||
        bytes / 4 < x->route->gate_head_tokens)
        return;
    struct slice text = provider_stream_text(buffer_slice(&x->held), x->arena);
    struct gate_result result = gate_judge_text(x->gate, text, x->arena);
    if (result.reason != GATE_NONE && chain_goes_on(x, result.reason))
        reject(x, &result);
    else
        let_go(x);
}

static void on_emit(void *arg, enum provider_emit kind, struct slice bytes) {
    struct exchange *x = arg;
    // An error before its first byte is none of its client's affair yet.
    if (!x->reply_begun && provider_stream_state(x->reader)->is_error)
        x->holds = true;
    if (x->holds) {
        buffer_append(&x->held, bytes);
        return;
    }
    if (kind == PROVIDER_EMIT_DONE && x->route != NULL && x->route->stream_summary) {
        settle_stream(x);
        reply_begin(x);
        write_summary(x);
    }
    join_publish(x, bytes);
    reply_begin(x);
    reply_stream(x, bytes);
}

static void end_broken(struct exchange *x, enum attempt_end end, const char *why) {
    if (end == ATTEMPT_OK) // as HTTP it was whole
        dispatch_note_reason(x, provider_stream_state(x->reader)->is_error
                                    ? SLICE("error_in_200")
                                    : slice_of(attempt_end_name(ATTEMPT_TRUNCATED)));
    x->error = judge_blame(x, end);
    settle_stream(x);
    struct buffer event = {0};
    provider_stream_error(x->endpoint, x->error, slice_of(why), &event);
    reply_begin(x);
    reply_stream(x, buffer_slice(&event));
    if (x->request != NULL)
        http_reply_abort(x->request);
    buffer_free(&event);
    station_record(x);
}

void stream_data(struct exchange *x, struct slice bytes) {
    if (x->state == EXCHANGE_SETTLED)
        return;
    struct error err;
    if (!provider_stream_feed(x->reader, bytes, on_emit, x, &err)) {
        dispatch_cancel(x, SLICE("too_large")); // of an event, that is
        end_broken(x, ATTEMPT_TOO_LARGE, err.text);
        return;
    }
    if (x->holds) {
        bool too_long = x->held.len > HELD_BYTES_MAX;
        if (too_long)
            let_go(x);
        else
            judge_head(x);
        return;
    }
    note_first_token(x);
}

static void forget_reader(struct exchange *x) {
    provider_stream_free(x->reader);
    x->reader = NULL;
    buffer_clear(&x->held);
}

// Nothing of it has reached the client: it may be bought again.
static void never_began(struct exchange *x, const struct attempt_result *result) {
    struct attempt_result as = *result;
    if (as.end == ATTEMPT_OK) {
        as.end = ATTEMPT_TRUNCATED;
        as.detail = SLICE("the stream ended before its first event");
    }
    dispatch_note_reason(x, slice_of(attempt_end_name(as.end)));
    forget_reader(x);
    if (!judge_retry(x, as.end, as.status) &&
        !chain_next(x, chain_reason_of_end(as.end), SLICE_NONE))
        judge_unanswered(x, &as);
}

static const char *why_broken(const struct exchange *x, const struct provider_stream_state *state,
                              enum attempt_end end) {
    if (state->is_error)
        return "The provider ended the stream with an error.";
    if (end == ATTEMPT_TOTAL_TIMEOUT && x->deadline_ms > 0)
        return "The request's time was over before the stream was complete.";
    if (end == ATTEMPT_IDLE_TIMEOUT || end == ATTEMPT_TOTAL_TIMEOUT)
        return "The provider's stream took too long.";
    return "The provider's stream ended before it was complete.";
}

bool stream_is_done(const struct exchange *x) {
    return x->reader != NULL && provider_stream_state(x->reader)->done;
}

// It failed before its client had any of it: as an answer that is an error.
static bool goes_on_after_error(struct exchange *x) {
    dispatch_note_reason(x, SLICE("error_in_200"));
    bool said_nothing = provider_stream_state(x->reader)->output_bytes == 0;
    if (said_nothing && judge_retry(x, ATTEMPT_OK, STATUS_OF_AN_ERROR)) {
        forget_reader(x);
        return true;
    }
    if (chain_next(x, CONFIG_ESCALATE_ERROR, SLICE_NONE))
        return true;
    if (!said_nothing || x->candidate == 0)
        return false; // it is given as it stands
    forget_reader(x);
    return chain_refuse(x);
}

static bool goes_on_after_break(struct exchange *x, const struct attempt_result *result) {
    if (result->end == ATTEMPT_OK)
        dispatch_note_reason(x, slice_of(attempt_end_name(ATTEMPT_TRUNCATED)));
    return chain_next(x, chain_reason_of_end(result->end), SLICE_NONE);
}

// One that is held back and went wrong. True: another model is asked, or it was refused.
static bool goes_on(struct exchange *x, bool whole, const struct attempt_result *result) {
    if (x->holds && provider_stream_state(x->reader)->is_error)
        return goes_on_after_error(x);
    return x->holds && !whole && goes_on_after_break(x, result);
}

// Everything is there.
static void finish_whole(struct exchange *x, const struct provider_stream_state *state) {
    struct buffer answer = {0};
    bool is_error = state->is_error, is_complete = state->answer.complete && !is_error;
    settle_stream(x);
    bool assembled = (is_complete || (x->gate != NULL && !is_error)) &&
                     provider_stream_answer(x->reader, &answer);
    // Also what its client has already: it is not kept for others.
    if (assembled && x->gate != NULL && judge_by_gate(x, buffer_slice(&answer))) {
        buffer_free(&answer);
        return;
    }
    if (x->holds)
        let_go(x);
    if (is_error) {
        x->ended_by = ENDED_BY_PROVIDER;
        x->error = API_ERROR_UPSTREAM_ERROR;
    }
    x->judged_whole = is_complete && !x->rejected;
    if (assembled)
        remember(x, buffer_slice(&answer));
    buffer_free(&answer);
    reply_begin(x);
    join_leave(x); // as remember(): who asks again for what was rejected buys it anew
    if (x->request != NULL)
        http_reply_finish(x->request);
    station_record(x);
}

void stream_done(struct exchange *x, const struct attempt_result *result) {
    if (result->end == ATTEMPT_OK) // else an event that was begun is a broken one
        provider_stream_end(x->reader, on_emit, x);
    const struct provider_stream_state *state = provider_stream_state(x->reader);
    // Some servers end a whole answer without [DONE].
    bool whole = state->done || (result->end == ATTEMPT_OK && state->answer.complete);
    if (!x->reply_begun && x->held.len == 0) {
        never_began(x, result);
        return;
    }
    if (goes_on(x, whole, result))
        return;
    if (whole) {
        finish_whole(x, state);
        return;
    }
    if (x->holds)
        let_go(x);
    log_write(LOG_WARNING, "%.*s: provider %.*s: stream cut: %s: %.*s", SLICE_ARG(x->id),
              SLICE_ARG(x->candidates[x->candidate].provider->name), attempt_end_name(result->end),
              SLICE_ARG(result->detail));
    end_broken(x, result->end, why_broken(x, state, result->end));
}

void stream_shut_down(struct exchange *x) {
    struct buffer event = {0};
    dispatch_cancel(x, SLICE("cancelled"));
    x->error = API_ERROR_SHUTTING_DOWN;
    if (x->reader != NULL)
        settle_stream(x);
    else
        station_settle(x); // one that passes through
    if (x->reader != NULL || x->observer != NULL) {
        provider_stream_error(x->endpoint, x->error,
                              SLICE("This proxy is shutting down; try again."), &event);
        reply_stream(x, buffer_slice(&event));
    }
    buffer_free(&event);
    http_reply_abort(x->request);
    station_record(x);
}
