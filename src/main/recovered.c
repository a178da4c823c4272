// After a crash budgets count as spent what the dead process may have spent and
// could not write down (budget.h). Here that gets its row: the difference
// between a budget and the sum of the rows in its window.
//
// Several budgets of one tenant see the same requests, so only one of them is
// made to agree: one that counts all of the tenant's requests, where there is one.
//
// With a shared store it is other instances that find what one may have spent, and at
// run time: the row then stands with who found it. They cannot know which rows the one
// that died could still write; so at its next start the difference gets a row, too.
#include <stdlib.h>

#include "process.h"

static const char spent_in_window[] =
    "SELECT coalesce(sum(" LEDGER_SQL_PICO("cost_usd") "), 0) AS spent FROM requests "
    "WHERE tenant_id = ?1 AND ts >= ?2 AND ts < ?3 AND cost_usd IS NOT NULL";

static bool read_spent(struct store *store, const char *sql, const struct budget_view *b,
                       int64_t *spent) {
    char from[25], to[25] = "9999";
    clock_format_ms(b->window_start_ms, from);
    if (b->window_end_ms > 0)
        clock_format_ms(b->window_end_ms, to);
    const struct slice params[] = {b->tenant, slice_of(from), slice_of(to)};
    struct buffer text = {0};
    struct json_doc *doc = json_doc_new();
    struct error err;
    bool ok = store_query_now(store, sql, params, 3, &text, &err) &&
              json_parse(doc, buffer_slice(&text), NULL, &err) &&
              json_i64(doc, json_get(doc, json_at(doc, JSON_ROOT, 0), SLICE("spent")), spent);
    json_doc_free(doc);
    buffer_free(&text);
    return ok;
}

static void write_row(struct ledger *ledger, const struct budget_view *b, int64_t missing) {
    int64_t now = clock_wall_ms();
    char id[RANDOM_ID_LEN + 1];
    random_id(id);
    const struct cost_row row = {
        // In the window that it belongs to, where that is over.
        .ts_ms = b->window_end_ms > 0 && b->window_end_ms <= now ? b->window_end_ms - 1 : now,
        .request_id = slice_make(id, RANDOM_ID_LEN),
        .tenant_id = b->tenant,
        .endpoint = API_OTHER,
        .usage_source = LEDGER_USAGE_ESTIMATED,
        .cost_known = true,
        .cost = {missing},
        .ended_by = SLICE("recovered"),
        .reserved = {missing},
        .ttft_ms = -1,
    };
    ledger_record(ledger, &row);
}

// All that was recovered: several budgets, and windows of each.
struct findings {
    struct budget_view *views;
    size_t count, room;
};

static bool counts_all(const struct budget_view *b) {
    return b->feature.len == 0 && b->user.len == 0 && b->per == CONFIG_PER_ALL && !b->sliding &&
           b->value.len == 0;
}

static void collect(void *arg, const struct budget_view *view) {
    struct findings *f = arg;
    if (f->count == f->room) {
        f->room = f->room > 0 ? 2 * f->room : 16;
        f->views = base_realloc(f->views, f->room * sizeof *f->views);
    }
    f->views[f->count++] = *view;
}

static bool is_better(const struct budget_view *a, const struct budget_view *b) {
    return counts_all(a) != counts_all(b) ? counts_all(a) : a->recovered > b->recovered;
}

// Of each tenant the one that is made to agree, by its name. There may be thousands of
// counters.
static struct table *choose(const struct findings *f) {
    struct table *chosen = table_new();
    for (size_t i = 0; i < f->count; i++) {
        struct budget_view *view = &f->views[i];
        const struct budget_view *best = table_get(chosen, view->tenant);
        if (best == NULL || is_better(view, best))
            (void)table_put(chosen, view->tenant, view);
    }
    return chosen;
}

static bool is_chosen(const struct table *chosen, const struct budget_view *view) {
    const struct budget_view *best = table_get(chosen, view->tenant);
    return slice_equal(best->budget, view->budget);
}

static void write_missing(const struct budget_view *b, struct store *store,
                          struct ledger *ledger) {
    int64_t written = 0, missing = b->recovered;
    if (counts_all(b) && read_spent(store, spent_in_window, b, &written))
        missing = b->spent - written;
    if (missing > 0)
        write_row(ledger, b, missing);
}

// ----------------------------------------------------------------- a shared store

static const struct store_column columns[] = {
    {"id", "TEXT", false},
    {"started_ms", "INTEGER", false},
};

static const char last_instance[] =
    "SELECT id, started_ms FROM instances ORDER BY started_ms DESC, rowid DESC LIMIT 1";
static const char rows_of_instance[] =
    "SELECT coalesce(sum(" LEDGER_SQL_PICO("cost_usd") "), 0) AS spent FROM requests "
    "WHERE tenant_id = ?1 AND ts >= ?2 AND ts < ?3 AND cost_usd IS NOT NULL "
    "AND ended_by <> 'recovered'";

// An earlier process of this place: what it called itself, and when it began.
struct earlier {
    struct store *store;
    char id[RANDOM_ID_LEN + 1];
    int64_t started_ms;
};

static bool read_earlier(void *arg, const struct store_row *row, struct error *err) {
    (void)err;
    struct earlier *earlier = arg;
    struct slice id = store_row_text(row, SLICE("id"));
    if (id.len == RANDOM_ID_LEN)
        memcpy(earlier->id, id.ptr, id.len);
    earlier->started_ms = store_row_i64(row, SLICE("started_ms"));
    return true;
}

static bool sum_of_rows(void *arg, const struct budget_view *b, int64_t *spent) {
    const struct earlier *earlier = arg;
    struct budget_view window = *b;
    if (window.window_start_ms < earlier->started_ms)
        window.window_start_ms = earlier->started_ms;
    return read_spent(earlier->store, rows_of_instance, &window, spent);
}

static void remember_instance(struct store *store, struct store_journal *journal) {
    struct buffer line = {0};
    struct json_writer w;
    json_write_start(&w, &line);
    json_object_begin(&w);
    json_key(&w, SLICE("id")), json_put_string(&w, store_instance(store));
    json_key(&w, SLICE("started_ms")), json_put_i64(&w, clock_wall_ms());
    json_object_end(&w);
    buffer_append_char(&line, '\n');
    store_journal_append(journal, buffer_slice(&line));
    buffer_free(&line);
}

void settle_with_earlier_process(struct budgets *budgets, struct store *store) {
    struct earlier earlier = {.store = store};
    struct buffer rows = {0};
    struct error err;
    if (!store_is_shared(store))
        return;
    struct store_journal *journal =
        store_journal_open(store, "instances", columns, FARTHING_COUNT(columns), &err);
    if (journal != NULL && store_query_now(store, last_instance, NULL, 0, &rows, &err) &&
        store_rows_visit(buffer_slice(&rows), read_earlier, &earlier, &err)) {
        budgets_settle_earlier(budgets, slice_of(earlier.id), sum_of_rows, &earlier);
        remember_instance(store, journal);
    } else {
        log_write(LOG_ERROR, "budgets: %s: rows of a process that crashed may differ from what "
                             "counts as spent", err.text);
    }
    buffer_free(&rows);
}

static void write_found(void *ledger, const struct budget_view *view) {
    if (view->recovered != 0)
        write_row(ledger, view, view->recovered);
}

void write_rows_recovered_later(struct budgets *budgets, struct ledger *ledger) {
    budgets_on_recovered(budgets, write_found, ledger);
}

void write_recovered_rows(struct budgets *budgets, struct store *store, struct ledger *ledger) {
    struct findings f = {0};
    budgets_recovered(budgets, collect, &f);
    struct table *chosen = choose(&f);
    for (size_t i = 0; i < f.count; i++)
        if (is_chosen(chosen, &f.views[i]))
            write_missing(&f.views[i], store, ledger);
    if (f.count > 0)
        ledger_flush(ledger); // the budgets know already, and will not tell again
    table_free(chosen);
    free(f.views);
}
