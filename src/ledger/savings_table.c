// What routing saved, as the store knows it: sums of rows for a process that begins, and
// the events of routes that were switched off and on.
#include "savings.h"

#include <stdio.h>

static const struct store_column event_columns[] = {
    {"at", "TEXT", false},
    {"route", "TEXT", true},
    {"event", "TEXT", false}, // off, on
    {"requests", "INTEGER", false},
    {"net_saving_usd", "TEXT", false},
    {"window_ms", "INTEGER", false},
    {"at_ms", "INTEGER", false},
};

struct store_journal *savings_events_open(struct store *store) {
    struct error err;
    struct store_journal *events = store_journal_open(store, "route_events", event_columns,
                                                      FARTHING_COUNT(event_columns), &err);
    if (events == NULL)
        log_write(LOG_ERROR, "table route_events: %s; a restart forgets which routes are off",
                  err.text);
    return events;
}

// ----------------------------------------------------------------------- events

static void put_amount(struct buffer *out, const char *name, struct money amount) {
    char text[MONEY_TEXT_MAX];
    buffer_append(out, slice_of(name));
    buffer_append(out, slice_make(text, money_format(amount, text)));
}

static void write_log(const struct ledger_route_view *v) {
    struct buffer figures = {0};
    put_amount(&figures, "net saving in USD ", ledger_saving_net(&v->saving));
    put_amount(&figures, " (baseline ", v->saving.baseline);
    put_amount(&figures, ", cost ", v->saving.cost);
    put_amount(&figures, ", retries among it ", v->saving.retry_cost);
    put_amount(&figures, ", classifier ", v->saving.classifier_cost);
    log_write(v->off ? LOG_WARNING : LOG_INFO,
              "route \"%.*s\": its routing is %s: of %lld requests in the last %lld s, %.*s)",
              SLICE_ARG(v->route), v->off ? "off, all go to its last tier" : "on again",
              (long long)v->saving.requests, (long long)(v->window_ms / 1000),
              SLICE_ARG(buffer_slice(&figures)));
    buffer_free(&figures);
}

static void write_row(struct store_journal *events, const struct ledger_route_view *v) {
    struct buffer line = {0};
    struct json_writer w;
    char text[MONEY_TEXT_MAX], at[25];
    int64_t at_ms = v->off ? v->off_since_ms : clock_wall_ms(); // the same after a restart
    clock_format_ms(at_ms, at);
    json_write_start(&w, &line);
    json_object_begin(&w);
    json_key(&w, SLICE("at")), json_put_string(&w, slice_of(at));
    json_key(&w, SLICE("route")), json_put_string(&w, v->route);
    json_key(&w, SLICE("event")), json_put_string(&w, v->off ? SLICE("off") : SLICE("on"));
    json_key(&w, SLICE("requests")), json_put_i64(&w, v->saving.requests);
    json_key(&w, SLICE("net_saving_usd"));
    json_put_string(&w, slice_make(text, money_format(ledger_saving_net(&v->saving), text)));
    json_key(&w, SLICE("window_ms")), json_put_i64(&w, v->window_ms);
    json_key(&w, SLICE("at_ms")), json_put_i64(&w, at_ms);
    json_object_end(&w);
    buffer_append_char(&line, '\n');
    store_journal_append(events, buffer_slice(&line));
    buffer_free(&line);
}

void savings_event_write(struct store_journal *events, const struct ledger_route_view *view) {
    write_log(view);
    if (events != NULL)
        write_row(events, view);
}

// ------------------------------------------------------------------------- read

static void query(struct store *store, const char *sql, const struct slice *params, size_t count,
                  store_row_visitor *visit, void *arg) {
    struct buffer rows = {0};
    struct error err;
    if (!store_query_now(store, sql, params, count, &rows, &err) ||
        !store_rows_visit(buffer_slice(&rows), visit, arg, &err))
        log_write(LOG_ERROR, "what routes saved before this start cannot be read: %s", err.text);
    buffer_free(&rows);
}

struct events_reading {
    void (*is_off)(void *arg, struct slice route, int64_t at_ms);
    void *arg;
};

static bool on_event(void *arg, const struct store_row *row, struct error *err) {
    const struct events_reading *reading = arg;
    (void)err;
    if (slice_equal(store_row_text(row, SLICE("event")), SLICE("off")))
        reading->is_off(reading->arg, store_row_text(row, SLICE("route")),
                        store_row_i64(row, SLICE("at_ms")));
    return true;
}

void savings_events_read(struct store *store, void (*is_off)(void *, struct slice, int64_t),
                         void *arg) {
    struct events_reading reading = {is_off, arg};
    // Of each route the last; SQLite takes the other columns from max's row.
    query(store, "SELECT route, event, at_ms, max(rowid) FROM route_events GROUP BY route", NULL, 0,
          on_event, &reading);
}

// Its conditions are saving_of's in savings.c.
static const char sums[] =
    "SELECT coalesce(route, '') AS route, (CAST(strftime('%s', ts) AS INTEGER) * 1000 + "
    "CAST(substr(ts, 21, 3) AS INTEGER)) / CAST(?2 AS INTEGER) AS stretch, "
    "sum(NOT own) AS requests, sum(NOT own AND NOT compared) AS unknown, "
    "sum(iif(own, 0, coalesce(baseline, 0))) AS baseline, sum(iif(own, 0, cost)) AS cost, "
    "sum(iif(own, 0, retry_cost)) AS retry_cost, sum(iif(own, cost, 0)) AS classifier_cost "
    "FROM (SELECT route, ts, own, compared OR own AS compared, "
    "iif(compared, " LEDGER_SQL_PICO("baseline_cost_usd") ", 0) AS baseline, "
    "iif(compared OR own, coalesce(" LEDGER_SQL_PICO("cost_usd") ", 0), 0) AS cost, "
    "iif(compared, " LEDGER_SQL_PICO("retry_cost_usd") ", 0) AS retry_cost "
    "FROM (SELECT *, tenant_id IS '" LEDGER_OWN_TENANT "' AS own, "
    LEDGER_SQL_COMPARED " AS compared FROM requests WHERE ts >= ?1 AND "
    "CASE WHEN tenant_id IS '" LEDGER_OWN_TENANT "' THEN feature IS '" LEDGER_EMBEDDINGS "' "
    "ELSE " LEDGER_SQL_CHOSEN " AND classifier_rule IS NOT '" LEDGER_RULE_OFF "' END)) "
    "GROUP BY 1, 2";

struct sums_reading {
    savings_stretch *use;
    void *arg;
};

static bool on_sum(void *arg, const struct store_row *row, struct error *err) {
    const struct sums_reading *reading = arg;
    (void)err;
    const struct ledger_saving saving = {
        .requests = store_row_i64(row, SLICE("requests")),
        .unknown = store_row_i64(row, SLICE("unknown")),
        .baseline.pico = store_row_i64(row, SLICE("baseline")),
        .cost.pico = store_row_i64(row, SLICE("cost")),
        .retry_cost.pico = store_row_i64(row, SLICE("retry_cost")),
        .classifier_cost.pico = store_row_i64(row, SLICE("classifier_cost")),
    };
    reading->use(reading->arg, store_row_text(row, SLICE("route")),
                 store_row_i64(row, SLICE("stretch")), &saving);
    return true;
}

void savings_read(struct store *store, int64_t since_ms, int64_t width_ms, savings_stretch *use,
                  void *arg) {
    char since[25], width[24];
    clock_format_ms(since_ms > 0 ? since_ms : 0, since);
    int n = snprintf(width, sizeof width, "%lld", (long long)width_ms);
    const struct slice params[] = {slice_of(since), slice_make(width, (size_t)n)};
    struct sums_reading reading = {use, arg};
    query(store, sums, params, FARTHING_COUNT(params), on_sum, &reading);
}
