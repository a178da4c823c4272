// The cost row: one table of its fields, from which the JSON, the journal's
// columns and docs/cost-log.md are made. Names are fixed by the contract.
#include "row.h"

#define AT(field) offsetof(struct cost_row, field)
#define TOKENS(field) offsetof(struct cost_row, usage) + offsetof(struct api_usage, field)

static const struct row_field fields[] = {
    {"ts", ROW_TIME, AT(ts_ms), "TEXT", true, "When the request came, RFC 3339 with milliseconds."},
    {"request_id", ROW_TEXT, AT(request_id), "TEXT", false, "As in x-farthing-request-id."},
    {"tenant_id", ROW_TEXT, AT(tenant_id), "TEXT", false, "Whose key it was."},
    {"feature", ROW_TEXT, AT(feature), "TEXT", false, "x-farthing-feature."},
    {"user_id", ROW_TEXT, AT(user_id), "TEXT", false, "x-farthing-user."},
    {"run_id", ROW_TEXT, AT(run_id), "TEXT", false, "x-farthing-run."},
    {"step_id", ROW_TEXT, AT(step_id), "TEXT", false, "x-farthing-step."},
    {"route", ROW_TEXT, AT(route), "TEXT", false, "The route that matched."},
    {"tier", ROW_TEXT, AT(tier), "TEXT", false, "Tier of the model that answered."},
    {"prompt_version", ROW_TEXT, AT(prompt_version), "TEXT", false, "x-farthing-prompt-version."},
    {"provider", ROW_TEXT, AT(provider), "TEXT", false, "Who answered."},
    {"model", ROW_TEXT, AT(model), "TEXT", false, "Its model, by its own name."},
    {"requested_model", ROW_TEXT, AT(requested_model), "TEXT", false, "What the client asked for."},
    {"endpoint", ROW_ENDPOINT, AT(endpoint), "TEXT", false, "chat.completions, embeddings, ..."},
    {"stream", ROW_BOOL, AT(stream), "INTEGER", false, "Was a stream asked for?"},
    {"status", ROW_INT, AT(status), "INTEGER", false,
     "HTTP status given to the client; 499: it went away."},
    {"error_code", ROW_TEXT, AT(error_code), "TEXT", false, "error.code of the contract, or null."},
    {"success", ROW_BOOL, AT(success), "INTEGER", false, "Was it answered as asked?"},
    {"finish_reason", ROW_TEXT, AT(finish_reason), "TEXT", false, "Of the first choice."},
    {"input_tokens", ROW_LONG, TOKENS(input_tokens), "INTEGER", false,
     "All input, cached and cache-written included."},
    {"output_tokens", ROW_LONG, TOKENS(output_tokens), "INTEGER", false,
     "All output, reasoning included."},
    {"cached_tokens", ROW_LONG, TOKENS(cached_tokens), "INTEGER", false,
     "Input read from the provider's prompt cache."},
    {"cache_write_tokens", ROW_LONG, TOKENS(cache_write_tokens), "INTEGER", false,
     "Input written to it."},
    {"reasoning_tokens", ROW_LONG, TOKENS(reasoning_tokens), "INTEGER", false,
     "Part of the output."},
    {"usage_source", ROW_USAGE_SOURCE, AT(usage_source), "TEXT", false,
     "provider, estimated, cache; null: nothing was bought."},
    {"cost_usd", ROW_COST, 0, "TEXT", false, "Decimal, exact; null: the price is not known."},
    {"attempts", ROW_ATTEMPTS, 0, "TEXT", false,
     "Each attempt: provider, model, tier, status, reason, latency_ms, cost_usd."},
    {"retry_cost_usd", ROW_MONEY, AT(retry_cost), "TEXT", false,
     "Cost of all attempts but the last."},
    {"baseline_cost_usd", ROW_BASELINE, 0, "TEXT", false,
     "What the same tokens would have cost at the model that the client named; where it asked for "
     "auto or a tier, at the last model of its chain. null: not known."},
    {"saved_usd", ROW_SAVED, 0, "TEXT", false, "By lever; levers that saved nothing are left out."},
    {"cache", ROW_TEXT, AT(cache), "TEXT", false, "As in x-farthing-cache."},
    {"classifier_rule", ROW_TEXT, AT(classifier_rule), "TEXT", false,
     "What decided the tier: a rule, by its name, category:NAME, quality, model, score or default; "
     "" LEDGER_RULE_OFF ": the route's routing was off. null: nothing did."},
    {"signals", ROW_RAW, AT(signals), "TEXT", false,
     "What the classifier saw, as an object; null: it was not asked."},
    {"latency_ms", ROW_LONG, AT(latency_ms), "INTEGER", false,
     "From first byte in to last byte out."},
    {"ttft_ms", ROW_LONG_OR_NULL, AT(ttft_ms), "INTEGER", false,
     "Until the first token of a stream; null: none."},
    {"queue_ms", ROW_LONG, AT(queue_ms), "INTEGER", false, "Waited for a free place."},
    {"overhead_us", ROW_LONG, AT(overhead_us), "INTEGER", false, "Time spent in Farthing itself."},
    {"ended_by", ROW_TEXT, AT(ended_by), "TEXT", false,
     "farthing, client, provider, deadline, shutdown, limit (a rate, a place, a cap of the file) or "
     "budget; recovered: no request, but what a crash left reserved."},
    {"refused_by", ROW_TEXT, AT(refused_by), "TEXT", false,
     "What said no: a limit, a cap, a budget, by its name in the file."},
    {"queued_for", ROW_TEXT, AT(queued_for), "TEXT", false,
     "Whose place it waited for: tenant, key, route or provider."},
    {"capped", ROW_RAW, AT(capped), "TEXT", false,
     "What Farthing lowered, as an object: field: [what was asked or null, what was sent]."},
    {"trimmed_tokens", ROW_LONG, AT(trimmed_tokens), "INTEGER", false,
     "History that was left out of the request, by estimate."},
    {"context_warning", ROW_TEXT, AT(context_warning), "TEXT", false,
     "The context budget that it was over, where that only warns."},
    {"reserved_usd", ROW_MONEY, AT(reserved), "TEXT", false,
     "The worst case that budgets held for it."},
    {"experiment", ROW_TEXT, AT(experiment), "TEXT", false,
     "canary: its tier is the canary's; shadow: a request of Farthing's own, whose answer nobody "
     "was given; null: neither."},
    {"shadow_of", ROW_TEXT, AT(shadow_of), "TEXT", false,
     "Of a shadow: the request_id of the request that it repeats."},
};

static const char *const lever_names[LEDGER_LEVER_COUNT] = {
    "cache", "coalesce",       "idempotency", "retry",  "route",
    "cap",   "provider_cache", "batch",       "answer",
};

const char *ledger_lever_name(enum ledger_lever lever) {
    return lever_names[lever];
}

const struct row_field *row_fields(size_t *count) {
    *count = FARTHING_COUNT(fields);
    return fields;
}

const struct store_column *cost_row_columns(size_t *count) {
    static struct store_column columns[FARTHING_COUNT(fields)];
    for (size_t i = 0; i < FARTHING_COUNT(fields); i++)
        columns[i] = (struct store_column){fields[i].name, fields[i].sql_type, fields[i].indexed};
    *count = FARTHING_COUNT(fields);
    return columns;
}

// ------------------------------------------------------------------ writing

static void put_money(struct buffer *out, struct money m) {
    char text[MONEY_TEXT_MAX];
    buffer_append_char(out, '"');
    buffer_append(out, slice_make(text, money_format(m, text)));
    buffer_append_char(out, '"');
}

static void put_money_or_null(struct buffer *out, bool known, struct money m) {
    if (known)
        put_money(out, m);
    else
        BUFFER_LITERAL(out, "null");
}

static void put_text(struct buffer *out, struct slice text) {
    if (text.len > 0)
        json_quote(out, text);
    else
        BUFFER_LITERAL(out, "null");
}

static void put_attempts(struct buffer *out, const struct cost_row *row) {
    buffer_append_char(out, '[');
    for (size_t i = 0; i < row->attempt_count; i++) {
        const struct cost_attempt *a = &row->attempts[i];
        buffer_append(out, i == 0 ? SLICE("{\"provider\":") : SLICE(",{\"provider\":"));
        put_text(out, a->provider);
        BUFFER_LITERAL(out, ",\"model\":");
        put_text(out, a->model);
        BUFFER_LITERAL(out, ",\"tier\":");
        put_text(out, a->tier);
        BUFFER_LITERAL(out, ",\"status\":");
        if (a->status > 0)
            buffer_append_i64(out, a->status);
        else
            BUFFER_LITERAL(out, "null");
        BUFFER_LITERAL(out, ",\"reason\":");
        put_text(out, a->reason);
        BUFFER_LITERAL(out, ",\"latency_ms\":");
        buffer_append_i64(out, a->latency_ms);
        BUFFER_LITERAL(out, ",\"cost_usd\":");
        put_money_or_null(out, a->cost_known, a->cost);
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}

static void put_saved(struct buffer *out, const struct cost_row *row) {
    char before = '{';
    for (size_t i = 0; i < LEDGER_LEVER_COUNT; i++) {
        if (row->saved[i].pico == 0)
            continue;
        buffer_append_char(out, before);
        json_quote(out, slice_of(lever_names[i]));
        buffer_append_char(out, ':');
        put_money(out, row->saved[i]);
        before = ',';
    }
    if (before == '{')
        buffer_append_char(out, '{');
    buffer_append_char(out, '}');
}

static void put_usage_source(struct buffer *out, enum ledger_usage_source source) {
    static const char *const words[] = {"null", "\"provider\"", "\"estimated\"", "\"cache\""};
    buffer_append(out, slice_of(words[source]));
}

static void put_long_or_null(struct buffer *out, int64_t value) {
    if (value >= 0)
        buffer_append_i64(out, value);
    else
        BUFFER_LITERAL(out, "null");
}

static void put_field(struct buffer *out, const struct row_field *f, const struct cost_row *row) {
    const void *at = (const char *)row + f->offset;
    char time[25];
    switch (f->kind) {
    case ROW_TIME:
        clock_format_ms(row->ts_ms, time);
        buffer_append_char(out, '"');
        buffer_append(out, slice_make(time, 24));
        buffer_append_char(out, '"');
        return;
    case ROW_TEXT:
        put_text(out, *(const struct slice *)at);
        return;
    case ROW_RAW:
        buffer_append(out, ((const struct slice *)at)->len > 0 ? *(const struct slice *)at
                                                              : SLICE("null"));
        return;
    case ROW_INT:
        buffer_append_i64(out, *(const int *)at);
        return;
    case ROW_LONG:
        buffer_append_i64(out, *(const int64_t *)at);
        return;
    case ROW_LONG_OR_NULL:
        put_long_or_null(out, *(const int64_t *)at);
        return;
    case ROW_BOOL:
        buffer_append(out, *(const bool *)at ? SLICE("true") : SLICE("false"));
        return;
    case ROW_MONEY:
        put_money(out, *(const struct money *)at);
        return;
    case ROW_COST:
        put_money_or_null(out, row->cost_known, row->cost);
        return;
    case ROW_BASELINE:
        put_money_or_null(out, row->baseline_known, row->baseline_cost);
        return;
    case ROW_ENDPOINT:
        put_text(out, slice_of(api_endpoint_name(row->endpoint)));
        return;
    case ROW_USAGE_SOURCE:
        put_usage_source(out, row->usage_source);
        return;
    case ROW_ATTEMPTS:
        put_attempts(out, row);
        return;
    case ROW_SAVED:
        put_saved(out, row);
        return;
    }
}

void cost_row_write(struct buffer *out, const struct cost_row *row) {
    buffer_reserve(out, 1280); // a usual row, at once
    for (size_t i = 0; i < FARTHING_COUNT(fields); i++) {
        buffer_append(out, i == 0 ? SLICE("{\"") : SLICE(",\""));
        buffer_append(out, slice_of(fields[i].name));
        BUFFER_LITERAL(out, "\":");
        put_field(out, &fields[i], row);
    }
    buffer_append_char(out, '}');
}

void cost_row_write_reference(struct buffer *out) {
    BUFFER_LITERAL(out,
                   "# The cost row\n\n"
                   "This page is made from the table in `src/ledger/row.c` by "
                   "`scripts/update-docs`.\n\n"
                   "One JSON object a line in `log { cost_log }`, and one row in the table "
                   "`requests` of the embedded store (`farthing-data/farthing.db`). What is not "
                   "known is null. Amounts are decimal strings: no reader has to go through a "
                   "float.\n\n"
                   "| field | SQL type | meaning |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < FARTHING_COUNT(fields); i++)
        buffer_printf(out, "| `%s` | %s | %s |\n", fields[i].name, fields[i].sql_type,
                      fields[i].help);
}
