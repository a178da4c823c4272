// Station 5, recall: have we this answer already? And its counterpart, what is
// put into the cache once it was bought.
#include "exchange.h"

static bool not_found(struct exchange *x) {
    if (x->cache_mode == CACHE_ONLY)
        return exchange_refuse(x, API_ERROR_CACHE_ONLY_MISS, SLICE_NONE,
                               "The answer is not in the cache, and the request asked for nothing "
                               "else.");
    return true;
}

static void serve_hit(struct exchange *x, struct cache_entry *entry) {
    const struct cache_answer *kept = cache_entry_answer(entry);
    x->hit = entry;
    x->lever = repeat_is_of_retry(x, kept->created_ms) ? LEDGER_SAVED_RETRY : LEDGER_SAVED_CACHE;
    repeat_record(x, kept, 200); // what comes again under its key gets the same
    reply_from_cache(x);
}

static void on_lookup(void *arg, struct cache_entry *entry) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->lookup = NULL;
    if (entry != NULL)
        serve_hit(x, entry);
    else if (not_found(x))
        exchange_resume_after_miss(x);
    exchange_leave(x);
}

bool station_recall(struct exchange *x) {
    if (x->keyed)
        repeat_claim(x);
    else if (!repeat_serve_recent(x))
        recall_go_on(x);
    return false;
}

void recall_go_on(struct exchange *x) {
    struct flow *f = x->flow;
    bool wants_stored = x->cache_mode == CACHE_USE || x->cache_mode == CACHE_ONLY;
    if (x->cacheable && wants_stored) {
        int64_t now = clock_wall_ms();
        struct cache_entry *entry = cache_peek(f->shared.cache, &x->key, now);
        if (entry != NULL) {
            serve_hit(x, entry);
            return;
        }
        x->lookup = cache_lookup_start(f->shared.cache, f->store, &x->key, now, on_lookup, x);
        if (x->lookup != NULL) {
            exchange_go(x, EXCHANGE_RECALLING);
            return;
        }
    }
    if (not_found(x))
        exchange_resume_after_miss(x);
}

// Before the last event, where a bought stream has it too.
static void insert_summary(struct exchange *x, struct buffer *stream) {
    size_t at = stream->len > 2 ? stream->len - 2 : 0;
    while (at >= 2 && memcmp(stream->ptr + at - 2, "\n\n", 2) != 0)
        at--;
    if (at < 2)
        return;
    struct slice last = arena_copy(x->arena, slice_make(stream->ptr + at, stream->len - at));
    stream->len = at;
    stream_summary(x, stream);
    buffer_append(stream, last);
}

void reply_from_cache(struct exchange *x) {
    const struct cache_answer *kept = cache_entry_answer(x->hit);
    x->status = x->reply_status = 200;
    x->usage = kept->usage;
    x->usage_source = LEDGER_USAGE_CACHE;
    x->judged.finish_reason = kept->finish_reason;
    x->cost_known = true; // a hit costs nothing, also where its price was never known
    x->content_type = kept->content_type;
    struct slice body = kept->body;
    struct buffer stream = {0};
    if (x->stream) {
        struct error err;
        if (!provider_replay(x->endpoint, kept->body, x->client_wants_usage, &stream, &err)) {
            // Stored by a version that knew other shapes: buy it again.
            log_write(LOG_WARNING, "a cached answer cannot be replayed as a stream: %s", err.text);
            buffer_free(&stream);
            cache_entry_release(x->hit);
            x->hit = NULL;
            x->reply_status = 0;
            x->usage = (struct api_usage){0};
            x->usage_source = LEDGER_USAGE_NONE;
            x->judged.finish_reason = SLICE_NONE;
            x->cost_known = false;
            x->joined = false;
            x->content_type = SLICE_NONE; // was the entry's
            x->status = 0;
            if (not_found(x))
                exchange_resume_after_recall(x);
            return;
        }
        x->content_type = SLICE("text/event-stream; charset=utf-8");
        if (x->route != NULL && x->route->stream_summary)
            insert_summary(x, &stream);
        body = buffer_slice(&stream);
        x->first_token_ns = clock_mono_ns();
    }
    station_settle(x);
    reply_whole(x, 200, body);
    buffer_free(&stream);
    station_record(x);
}

// The Responses API repeats in its answer what the request said of its sender.
// That is of no concern to the next who asks.
static struct slice without_sender(struct exchange *x, struct slice answer) {
    static const struct {
        const char *name, *instead;
    } echoes[] = {{"metadata", "{}"}, {"user", "null"}, {"safety_identifier", "null"},
                  {"prompt_cache_key", "null"}};
    if (x->endpoint != API_RESPONSES)
        return answer;
    struct json_doc *doc = flow_take_doc(x->flow);
    struct error err;
    if (json_parse(doc, answer, NULL, &err) && json_type_of(doc, JSON_ROOT) == JSON_OBJECT) {
        struct json_edits *edits = json_edits_new(doc, x->arena);
        for (size_t i = 0; i < FARTHING_COUNT(echoes); i++) {
            json_ref echo = json_get(doc, JSON_ROOT, slice_of(echoes[i].name));
            if (!json_is_absent(doc, echo) && json_raw(doc, echo).len > 2)
                json_edit_set(edits, JSON_ROOT, slice_of(echoes[i].name),
                              slice_of(echoes[i].instead));
        }
        answer = json_edits_apply(edits);
    }
    flow_give_doc(x->flow, doc);
    return answer;
}

static bool was_cut(const struct exchange *x) {
    static const char *const words[] = {"length", "max_tokens", "max_output_tokens", "incomplete"};
    return SLICE_IS_ONE_OF(x->judged.finish_reason, words);
}

// What is given, and was paid for, but is no answer to keep for others: cut off
// by its cap, or begun in the background. It is the result of its key all the same.
static bool is_partial_result(const struct exchange *x) {
    static const char *const words[] = {"length", "content_filter", "queued", "in_progress"};
    return x->endpoint == API_RESPONSES && x->status == 200 &&
           SLICE_IS_ONE_OF(x->judged.finish_reason, words);
}

struct cache_answer recall_head_of(const struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    return (struct cache_answer){
        .endpoint = x->endpoint,
        .content_type = x->content_type,
        .provider = c->provider->name,
        .model = c->upstream_model,
        .tier = exchange_tier_of(c),
        .usage = x->usage,
        .cost_known = x->cost_known,
        .cost_pico = x->cost.pico,
    };
}

void remember(struct exchange *x, struct slice whole_answer) {
    if ((!x->judged_whole && !is_partial_result(x)) || whole_answer.len == 0)
        return;
    struct cache_answer answer = recall_head_of(x);
    answer.body = whole_answer;
    answer.content_type = SLICE("application/json");
    answer.finish_reason = x->judged.finish_reason;
    answer.request_id = x->id;
    answer.created_ms = clock_wall_ms();
    answer.expires_ms = answer.created_ms + x->cache_ttl_ms;
    repeat_remember(x, &answer); // as the client has it: it is who comes again
    struct cache_answer for_others = answer;
    for_others.body = without_sender(x, whole_answer);
    bool all_of_it = !x->lowered_by_money || !was_cut(x); // others' budgets may bear the whole
    if (x->cacheable && x->judged_whole && all_of_it) {
        normalize_tag(x, &for_others);
        cache_insert(x->flow->shared.cache, &x->key, &for_others);
    }
    if (join_is_for_one_sender(x))
        join_give(x, FLIGHT_DONE, &answer);
    else if (x->judged_whole)
        join_give(x, FLIGHT_DONE, &for_others);
}
