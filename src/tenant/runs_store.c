// Runs of the last day, from the ledger's rows: each says whose run it was, what
// it took, and when. Nothing else about runs is written anywhere.
#include <event2/event.h>
#include <stdio.h>

#include "farthing/json.h"
#include "farthing/store.h"
#include "runs_room.h"

// Rows of one answer: names of clients' choice at their longest, escaped, stay
// below what the store gives out.
enum { PAGE_ROWS = 10000 };

static const char table_there[] = "SELECT 1 AS there FROM sqlite_master WHERE name = 'requests'";

// A request that a cap of its run refused before it tried anybody was no step.
// Tokens are bounded so that no sum of them can run over, which would be an error.
static const char past_runs[] =
    "SELECT tenant_id, run_id, "
    "sum(error_code IS NOT 'run_budget_exceeded' OR tries > 0) AS steps, "
    "sum(tries) AS attempts, "
    "sum(CASE WHEN usage_source IN ('provider', 'estimated') THEN tokens ELSE 0 END) AS tokens, "
    "min(ms) AS started_ms, max(ms) AS last_ms "
    "FROM (SELECT tenant_id, run_id, error_code, usage_source, "
    "CAST(min(max(ifnull(input_tokens, 0), 0) + max(ifnull(output_tokens, 0), 0), 1000000000000) "
    "AS INTEGER) AS tokens, "
    "CASE WHEN json_valid(attempts) THEN json_array_length(attempts) ELSE 0 END AS tries, "
    "strftime('%s', ts) * 1000 + CAST(substr(ts, 21, 3) AS INTEGER) AS ms "
    "FROM requests WHERE ts >= ?1 AND tenant_id <> '' AND run_id <> '') "
    "GROUP BY tenant_id, run_id ORDER BY last_ms DESC, tenant_id, run_id "
    "LIMIT CAST(?2 AS INTEGER) OFFSET CAST(?3 AS INTEGER)";

// -------------------------------------------------------------------- asking

// On a loop of its own, since no other runs yet.
struct reader {
    struct event_base *loop;
    struct store_client *client;
    bool done;
    enum store_status status;
    struct buffer text;
};

static void on_rows(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct reader *r = arg;
    r->done = true;
    r->status = status;
    buffer_append(&r->text, value);
}

static bool ask(struct reader *r, const char *sql, const struct slice *params, size_t count,
                struct error *err) {
    r->done = false;
    r->status = STORE_FAILED;
    buffer_clear(&r->text);
    if (store_query(r->client, sql, params, count, on_rows, r) != NULL)
        while (!r->done)
            event_base_loop(r->loop, EVLOOP_ONCE);
    return r->status == STORE_OK || error_set(err, "cannot read the past runs from the store");
}

// ----------------------------------------------------------------- their rows

static int64_t number_of(const struct json_doc *doc, json_ref row, struct slice name) {
    int64_t value;
    return json_i64(doc, json_get(doc, row, name), &value) && value > 0 ? value : 0;
}

static void restore(struct runs *runs, const struct json_doc *doc, json_ref row,
                    struct arena *arena) {
    const struct run_view past = {
        .tenant = json_string(doc, json_get(doc, row, SLICE("tenant_id")), arena),
        .run = json_string(doc, json_get(doc, row, SLICE("run_id")), arena),
        .steps = number_of(doc, row, SLICE("steps")),
        .attempts = number_of(doc, row, SLICE("attempts")),
        .tokens = number_of(doc, row, SLICE("tokens")),
        .started_ms = number_of(doc, row, SLICE("started_ms")),
        .last_ms = number_of(doc, row, SLICE("last_ms")),
    };
    runs_restore(runs, &past, clock_wall_ms());
}

static bool restore_rows(struct runs *runs, struct slice text, size_t *rows, struct error *err) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(4096);
    bool ok = json_parse(doc, text, NULL, err);
    *rows = 0;
    for (json_ref row = ok ? json_first(doc, JSON_ROOT) : JSON_NONE; row != JSON_NONE;
         row = json_next(doc, JSON_ROOT, row), ++*rows)
        restore(runs, doc, row, arena);
    arena_free(arena);
    json_doc_free(doc);
    return ok;
}

static struct slice number_text(char out[24], size_t number) {
    return slice_make(out, (size_t)snprintf(out, 24, "%zu", number));
}

static bool restore_page(struct runs *runs, struct reader *r, size_t from, size_t *rows,
                         struct error *err) {
    char since[25], limit[24], offset[24];
    clock_format_ms(clock_wall_ms() - RUN_IDLE_MS, since);
    const struct slice params[] = {slice_of(since), number_text(limit, PAGE_ROWS),
                                   number_text(offset, from)};
    return ask(r, past_runs, params, FARTHING_COUNT(params), err) &&
           restore_rows(runs, buffer_slice(&r->text), rows, err);
}

static bool restore_all(struct runs *runs, struct reader *r, size_t most, struct error *err) {
    if (!ask(r, table_there, NULL, 0, err))
        return false;
    if (slice_equal(buffer_slice(&r->text), SLICE("[]")))
        return true;
    size_t rows = PAGE_ROWS;
    for (size_t from = 0; from < most && rows == PAGE_ROWS; from += rows)
        if (!restore_page(runs, r, from, &rows, err))
            return false;
    return true;
}

bool runs_recover(struct runs *r, struct store *store, size_t most, struct error *err) {
    struct reader reader = {.loop = event_base_new()};
    reader.client = store_client_new(store, reader.loop);
    bool ok = restore_all(r, &reader, most, err);
    store_client_free(reader.client);
    event_base_free(reader.loop);
    buffer_free(&reader.text);
    return ok;
}

struct runs *runs_open(struct store *store, struct error *err) {
    struct runs *r = runs_new(RUNS_SHARDS, RUNS_MAX / RUNS_SHARDS);
    if (store == NULL || runs_recover(r, store, RUNS_MAX, err))
        return r;
    runs_close(r);
    return NULL;
}
