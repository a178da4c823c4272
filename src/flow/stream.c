// A streamed answer on its way to the client: forwarded event by event, read
// as it passes, and kept whole for the cache. What has begun is never retried:
// no two answers' bytes mix in one stream.
#include "exchange.h"

void stream_open(struct exchange *x) {
    const struct provider_stream_options options = {
        .dialect = exchange_dialect(x),
        .endpoint = x->endpoint,
        .swallow_usage = x->swallow_usage,
        .assemble = x->cacheable || x->claim != NULL || x->leads,
        .n = x->n,
        // Under a key it is kept, however long it is (0: as long as can be).
        .max_answer_bytes = x->claim != NULL ? 0 : (size_t)x->config->cache.max_entry_bytes,
    };
    provider_stream_free(x->reader);
    x->reader = provider_stream_new(&options);
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
    if (x->cost_known)
        json_put_string(&w, slice_make(text, money_format(x->cost, text)));
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

static void on_emit(void *arg, enum provider_emit kind, struct slice bytes) {
    struct exchange *x = arg;
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
    struct cost_attempt *last = &x->attempts[x->attempt_count - 1];
    if (end == ATTEMPT_OK) // as HTTP it was whole
        last->reason = provider_stream_state(x->reader)->is_error
                           ? SLICE("error_in_200")
                           : slice_of(attempt_end_name(ATTEMPT_TRUNCATED));
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
    if (x->first_token_ns == 0 && provider_stream_state(x->reader)->first_token)
        x->first_token_ns = clock_mono_ns();
}

// Nothing of it has reached the client: it may be bought again.
static void never_began(struct exchange *x, const struct attempt_result *result) {
    struct attempt_result as = *result;
    if (as.end == ATTEMPT_OK) {
        as.end = ATTEMPT_TRUNCATED;
        as.detail = SLICE("the stream ended before its first event");
    }
    x->attempts[x->attempt_count - 1].reason = slice_of(attempt_end_name(as.end));
    provider_stream_free(x->reader);
    x->reader = NULL;
    if (!judge_retry(x, as.end, as.status))
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

void stream_done(struct exchange *x, const struct attempt_result *result) {
    if (result->end == ATTEMPT_OK) // else an event that was begun is a broken one
        provider_stream_end(x->reader, on_emit, x);
    if (!x->reply_begun) {
        never_began(x, result);
        return;
    }
    const struct provider_stream_state *state = provider_stream_state(x->reader);
    // Some servers end a whole answer without [DONE].
    bool whole = state->done || (result->end == ATTEMPT_OK && state->answer.complete);
    if (!whole) {
        log_write(LOG_WARNING, "%.*s: provider %.*s: stream cut: %s: %.*s", SLICE_ARG(x->id),
                  SLICE_ARG(x->candidates[x->candidate].provider->name),
                  attempt_end_name(result->end), SLICE_ARG(result->detail));
        end_broken(x, result->end, why_broken(x, state, result->end));
        return;
    }
    settle_stream(x);
    if (state->is_error) {
        x->ended_by = ENDED_BY_PROVIDER;
        x->error = API_ERROR_UPSTREAM_ERROR;
    }
    x->judged_whole = state->answer.complete && !state->is_error;
    struct buffer answer = {0};
    if (x->judged_whole && provider_stream_answer(x->reader, &answer))
        remember(x, buffer_slice(&answer));
    buffer_free(&answer);
    reply_begin(x);
    if (x->request != NULL)
        http_reply_finish(x->request);
    station_record(x);
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
