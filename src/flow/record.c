// Station 12, record: one cost row for each exchange, whatever way it ended.
#include "exchange.h"

struct slice record_cache_word(const struct exchange *x) {
    if ((x->joined || x->hit != NULL) && x->lever == LEDGER_SAVED_IDEMPOTENCY)
        return SLICE("idempotent");
    if (x->joined)
        return SLICE("coalesced");
    if (x->hit != NULL)
        return x->cacheable || x->lever == LEDGER_SAVED_CACHE ? SLICE("hit") : SLICE("idempotent");
    return x->cacheable ? SLICE("miss") : SLICE("bypass");
}

static struct slice ender_word(enum exchange_ender ender) {
    switch (ender) {
    case ENDED_BY_CLIENT:
        return SLICE("client");
    case ENDED_BY_PROVIDER:
        return SLICE("provider");
    case ENDED_BY_DEADLINE:
        return SLICE("deadline");
    case ENDED_BY_SHUTDOWN:
        return SLICE("shutdown");
    case ENDED_BY_LIMIT:
        return SLICE("limit");
    case ENDED_BY_BUDGET:
        return SLICE("budget");
    case ENDED_BY_FARTHING:
        break;
    }
    return SLICE("farthing");
}

static void fill_origin(const struct exchange *x, struct cost_row *row) {
    if (x->hit != NULL) {
        const struct cache_answer *kept = cache_entry_answer(x->hit);
        row->provider = kept->provider;
        row->model = kept->model;
        row->tier = kept->tier;
    } else if (x->joined) {
        row->provider = x->origin_provider;
        row->model = x->origin_model;
        row->tier = x->origin_tier;
    } else if (x->candidate_count > 0) {
        const struct route_candidate *c = &x->candidates[x->candidate];
        row->provider = c->provider->name;
        row->model = c->upstream_model;
        row->tier = exchange_tier_of(c);
    }
}

// The model that the client asked for, also where its route had another one serve
// it. Where the choice was Farthing's, the last of the chain, which can do it all.
static bool find_baseline(const struct exchange *x, struct route_candidate *out) {
    for (size_t i = 0; i < x->candidate_count; i++)
        if (route_names_model(x->requested_model, x->candidates[i].name,
                              x->candidates[i].upstream_model)) {
            *out = x->candidates[i];
            return true;
        }
    for (size_t i = 0; i < x->config->model_count; i++) {
        const struct config_model *m = &x->config->models[i];
        if (!route_names_model(x->requested_model, m->name, m->upstream_model))
            continue;
        *out = (struct route_candidate){.provider = m->provider,
                                        .model = m,
                                        .upstream_model = m->upstream_model,
                                        .name = m->name};
        return true;
    }
    if (x->candidate_count == 0 || !route_leaves_choice(x->config, x->requested_model))
        return false;
    *out = x->candidates[x->candidate_count - 1];
    return true;
}

// What the same answer would have cost from it.
static void fill_baseline(const struct exchange *x, struct cost_row *row) {
    struct route_candidate c;
    if (!find_baseline(x, &c))
        return;
    const struct price *price =
        price_book_find(x->flow->book, x->config, &c, x->judged.service_tier);
    row->baseline_known = price != NULL && price_covers(price, &x->usage);
    if (!row->baseline_known)
        return;
    row->baseline_cost = price_cost(price, &x->usage);
    row->saved[LEDGER_SAVED_ROUTE] = money_sub(row->baseline_cost, row->cost);
}

static void fill_savings(const struct exchange *x, struct cost_row *row) {
    if (x->hit != NULL) {
        const struct cache_answer *kept = cache_entry_answer(x->hit);
        row->baseline_known = kept->cost_known;
        row->baseline_cost.pico = kept->cost_pico;
        row->saved[x->lever].pico = kept->cost_known ? kept->cost_pico : 0;
        return;
    }
    if (!x->cost_known || x->usage_source == LEDGER_USAGE_NONE)
        return;
    if (x->own == NULL) // what nobody asked for saves nothing
        fill_baseline(x, row);
    if (x->usage.cached_tokens == 0 && x->trimmed_tokens == 0)
        return;
    const struct price *price = price_book_find(
        x->flow->book, x->config, &x->candidates[x->candidate], x->judged.service_tier);
    if (price == NULL)
        return;
    struct api_usage uncached = x->usage, untrimmed = x->usage;
    uncached.cached_tokens = 0;
    untrimmed.input_tokens += x->trimmed_tokens;
    row->saved[LEDGER_SAVED_PROVIDER_CACHE] = money_sub(price_cost(price, &uncached), x->cost);
    row->saved[LEDGER_SAVED_CAP] = money_sub(price_cost(price, &untrimmed), x->cost);
}

static struct api_usage usage_of_all(const struct exchange *x) {
    struct api_usage sum = x->usage;
    settle_add_usage(&sum, &x->retry_usage);
    return sum;
}

static enum ledger_usage_source source_of_all(const struct exchange *x) {
    bool rejected_only = x->usage_source == LEDGER_USAGE_NONE && x->retry_usage.input_tokens > 0;
    return rejected_only ? LEDGER_USAGE_PROVIDER : x->usage_source;
}

static bool is_shadow(const struct exchange *x) {
    return x->own != NULL && x->own->tier != NULL;
}

static struct slice experiment_of(const struct exchange *x) {
    if (is_shadow(x))
        return SLICE(LEDGER_SHADOW);
    return x->is_canary ? SLICE(LEDGER_CANARY) : SLICE_NONE;
}

static struct slice route_of(const struct exchange *x) {
    if (x->own != NULL)
        return x->own->of_route;
    return x->route != NULL ? x->route->name : SLICE_NONE;
}

// A shadow's answer is nobody's: all that it is for is to be judged.
static bool is_success(const struct exchange *x) {
    return x->error == API_ERROR_NONE && x->reply_status < 400 && !(is_shadow(x) && x->rejected);
}

static int64_t ms_between(uint64_t from_ns, uint64_t to_ns) {
    return (int64_t)((to_ns - from_ns) / 1000000u);
}

void station_record(struct exchange *x) {
    if (x->recorded)
        return;
    x->recorded = true;
    reserve_settle(x);
    run_leave(&x->run);
    join_leave(x);
    repeat_release(x); // after the seat
    vectors_leave(x);
    outcome_record(x);
    // What was paid was paid for the last attempt.
    if (x->attempt_count > 0 && x->usage_source != LEDGER_USAGE_NONE) {
        x->attempts[x->attempt_count - 1].cost_known = x->cost_known;
        x->attempts[x->attempt_count - 1].cost = x->cost;
    }
    struct money total;
    bool cost_known = settle_total(x, &total);
    uint64_t now = clock_mono_ns();
    int64_t latency_ms = ms_between(x->started_ns, now);
    // Parts are rounded by themselves, and must not exceed the whole for that.
    for (size_t i = 0; i < x->attempt_count; i++)
        if (x->attempts[i].latency_ms > latency_ms)
            x->attempts[i].latency_ms = latency_ms;
    const struct attributes *a = &x->attributes;
    struct cost_row row = {
        .ts_ms = x->started_wall_ms,
        .request_id = x->id,
        .tenant_id = x->tenant != NULL ? x->tenant->name : SLICE_NONE,
        .feature = a->feature,
        .user_id = a->user,
        .run_id = a->run,
        .step_id = a->step,
        .route = route_of(x),
        .prompt_version = a->prompt_version,
        .requested_model = x->requested_model,
        .endpoint = x->endpoint,
        .stream = x->stream,
        .status = x->reply_status,
        .error_code = slice_of(api_error_info(x->error)->code),
        .success = is_success(x),
        .finish_reason = x->judged.finish_reason,
        .usage = usage_of_all(x),
        .usage_source = source_of_all(x),
        .cost_known = cost_known,
        .cost = total,
        .attempts = x->attempts,
        .attempt_count = x->attempt_count,
        .retry_cost = x->retry_cost,
        .cache = record_cache_word(x),
        .classifier_rule = x->classifier_rule,
        .signals = x->signals,
        .experiment = experiment_of(x),
        .shadow_of = is_shadow(x) ? x->own->of_request : SLICE_NONE,
        .ended_by = ender_word(x->ended_by),
        .refused_by = x->refused_by,
        .queued_for = x->queued_for,
        .context_warning = x->context_warning,
        .capped = caps_text(x),
        .trimmed_tokens = x->trimmed_tokens,
        .reserved = {x->reserved},
        .latency_ms = latency_ms,
        .ttft_ms = x->first_token_ns != 0 ? ms_between(x->started_ns, x->first_token_ns) : -1,
        .queue_ms = x->queue_ms < latency_ms ? x->queue_ms : latency_ms,
        .overhead_us = (int64_t)((x->inside_ns + (now - x->entered_ns)) / 1000u),
    };
    fill_origin(x, &row);
    fill_savings(x, &row);
    ledger_record(x->flow->shared.ledger, &row);
    admit_settle(x);
    exchange_go(x, EXCHANGE_SETTLED);
}
