// What the metrics say about requests, all from the row: the two never differ.
#include "row.h"

static const double seconds_buckets[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                         2.5,   5,    10,    30,   60,  120};
static const double overhead_buckets[] = {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005,
                                          0.001,   0.0025,   0.005,   0.01,   0.1};

#define COUNTER(variable, name, help, ...) \
    static const struct metric_family variable = { \
        name, help, METRIC_COUNTER, {__VA_ARGS__}, NULL, 0, 0, 0}
#define MONEY_COUNTER(variable, name, help, ...) \
    static const struct metric_family variable = { \
        name, help, METRIC_COUNTER, {__VA_ARGS__}, NULL, 0, 0, 12}
#define HISTOGRAM(variable, name, help, buckets, scale) \
    static const struct metric_family variable = { \
        name, help, METRIC_HISTOGRAM, {"route"}, buckets, FARTHING_COUNT(buckets), scale, 0}

COUNTER(requests, "farthing_requests_total", "Requests that ended.", "tenant", "feature", "route",
        "tier", "model", "status");
COUNTER(tokens, "farthing_tokens_total", "Tokens, by kind.", "tenant", "feature", "route", "tier",
        "model", "kind");
MONEY_COUNTER(cost, "farthing_cost_usd_total", "What was spent.", "tenant", "feature", "route",
              "model");
MONEY_COUNTER(saved, "farthing_saved_usd_total", "What was not spent, by lever.", "lever", "tenant",
              "feature", "route");
MONEY_COUNTER(retry_cost, "farthing_retry_cost_usd_total",
              "Spent on attempts that were not the last.", "tenant", "feature", "route");
COUNTER(cache_requests, "farthing_cache_requests_total", "Requests by what the cache did.",
        "result");
COUNTER(unpriced, "farthing_unpriced_requests_total", "Requests whose price is not known.",
        "provider", "model");
HISTOGRAM(duration, "farthing_request_duration_seconds", "From first byte in to last byte out.",
          seconds_buckets, 1e-3);
HISTOGRAM(first_token, "farthing_time_to_first_token_seconds", "Until a stream's first token.",
          seconds_buckets, 1e-3);
HISTOGRAM(overhead, "farthing_overhead_seconds", "Time spent in Farthing itself.", overhead_buckets,
          1e-6);

void row_metrics_declare(void) {
    static const struct metric_family *const all[] = {
        &requests,       &tokens,   &cost,     &saved,       &retry_cost,
        &cache_requests, &unpriced, &duration, &first_token, &overhead};
    for (size_t i = 0; i < FARTHING_COUNT(all); i++)
        metric_declare(all[i]);
}

static struct slice status_text(int status, char out[8]) {
    int n = 0;
    char digits[8];
    unsigned value = status > 0 ? (unsigned)status : 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 && n < 7);
    for (int i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return slice_make(out, (size_t)n);
}

static void add_tokens(const struct cost_row *r, const char *kind, int64_t count) {
    if (count <= 0)
        return;
    const struct slice labels[] = {r->tenant_id, r->feature, r->route,
                                   r->tier,      r->model,   slice_of(kind)};
    metric_add(metric_series(&tokens, labels), count);
}

static void add_all_tokens(const struct cost_row *r) {
    if (r->usage_source == LEDGER_USAGE_NONE || r->usage_source == LEDGER_USAGE_CACHE)
        return; // tokens that were bought, not those that were replayed
    add_tokens(r, "input", r->usage.input_tokens);
    add_tokens(r, "output", r->usage.output_tokens);
    add_tokens(r, "cached", r->usage.cached_tokens);
    add_tokens(r, "cache_write", r->usage.cache_write_tokens);
    add_tokens(r, "reasoning", r->usage.reasoning_tokens);
}

static void add_money(const struct cost_row *r) {
    const struct slice place[] = {r->tenant_id, r->feature, r->route, r->model};
    if (r->cost_known && r->cost.pico > 0)
        metric_add(metric_series(&cost, place), r->cost.pico);
    if (r->retry_cost.pico > 0)
        metric_add(metric_series(&retry_cost, place), r->retry_cost.pico);
    for (size_t i = 0; i < LEDGER_LEVER_COUNT; i++) {
        // A counter cannot go down: what a lever lost is in the rows.
        if (r->saved[i].pico <= 0)
            continue;
        const struct slice labels[] = {slice_of(ledger_lever_name((enum ledger_lever)i)),
                                       r->tenant_id, r->feature, r->route};
        metric_add(metric_series(&saved, labels), r->saved[i].pico);
    }
    if (!r->cost_known) {
        const struct slice labels[] = {r->provider, r->model};
        metric_add(metric_series(&unpriced, labels), 1);
    }
}

void row_metrics_observe(const struct cost_row *r) {
    char digits[8];
    const struct slice labels[] = {r->tenant_id, r->feature, r->route,
                                   r->tier,      r->model,   status_text(r->status, digits)};
    metric_add(metric_series(&requests, labels), 1);
    metric_add(metric_series(&cache_requests, &r->cache), 1);
    metric_observe(metric_series(&duration, &r->route), r->latency_ms);
    metric_observe(metric_series(&overhead, &r->route), r->overhead_us);
    if (r->ttft_ms >= 0)
        metric_observe(metric_series(&first_token, &r->route), r->ttft_ms);
    add_all_tokens(r);
    add_money(r);
}
