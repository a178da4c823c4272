// Runs of the last day, from the ledger's rows: each says whose run it was, what
// it took, and when. Nothing else about runs is written anywhere.
#include <stdio.h>

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

// ----------------------------------------------------------------- their rows

static int64_t positive(const struct store_row *row, struct slice name) {
    int64_t value = store_row_i64(row, name);
    return value > 0 ? value : 0;
}

// What was found so far.
struct recovery {
    struct runs *runs;
    size_t rows;
};

static bool restore(void *arg, const struct store_row *row, struct error *err) {
    (void)err;
    struct recovery *r = arg;
    const struct run_view past = {
        .tenant = store_row_text(row, SLICE("tenant_id")),
        .run = store_row_text(row, SLICE("run_id")),
        .steps = positive(row, SLICE("steps")),
        .attempts = positive(row, SLICE("attempts")),
        .tokens = positive(row, SLICE("tokens")),
        .started_ms = positive(row, SLICE("started_ms")),
        .last_ms = positive(row, SLICE("last_ms")),
    };
    runs_restore(r->runs, &past, clock_wall_ms());
    r->rows++;
    return true;
}

// -------------------------------------------------------------------- asking

static bool ask(struct store *store, const char *sql, const struct slice *params, size_t count,
                struct buffer *rows, struct error *err) {
    buffer_clear(rows);
    return store_query_now(store, sql, params, count, rows, err) ||
           error_set(err, "cannot read the past runs from the store");
}

static struct slice number_text(char out[24], size_t number) {
    return slice_make(out, (size_t)snprintf(out, 24, "%zu", number));
}

static bool restore_page(struct recovery *r, struct store *store, struct buffer *rows,
                         struct error *err) {
    char since[25], limit[24], offset[24];
    clock_format_ms(clock_wall_ms() - RUN_IDLE_MS, since);
    const struct slice params[] = {slice_of(since), number_text(limit, PAGE_ROWS),
                                   number_text(offset, r->rows)};
    return ask(store, past_runs, params, FARTHING_COUNT(params), rows, err) &&
           store_rows_visit(buffer_slice(rows), restore, r, err);
}

static bool restore_all(struct recovery *r, struct store *store, size_t most, struct buffer *rows,
                        struct error *err) {
    if (!ask(store, table_there, NULL, 0, rows, err))
        return false;
    if (slice_equal(buffer_slice(rows), SLICE("[]")))
        return true;
    for (bool full = true; full && r->rows < most;) {
        size_t before = r->rows;
        if (!restore_page(r, store, rows, err))
            return false;
        full = r->rows - before == PAGE_ROWS;
    }
    return true;
}

bool runs_recover(struct runs *r, struct store *store, size_t most, struct error *err) {
    struct buffer rows = {0};
    bool ok = restore_all(&(struct recovery){.runs = r}, store, most, &rows, err);
    buffer_free(&rows);
    return ok;
}

struct runs *runs_open(struct store *store, struct error *err) {
    struct runs *r = runs_new(RUNS_SHARDS, RUNS_MAX / RUNS_SHARDS);
    if (store_is_shared(store))
        r->store = store;
    if (store == NULL || runs_recover(r, store, RUNS_MAX, err))
        return r;
    runs_close(r);
    return NULL;
}
