// Cost rows: made to lines, and handed to the thread that writes them to the
// journal and to the cost log; and told to the metrics.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "catch_up.h"
#include "line_writer.h"
#include "row.h"
#include "savings.h"

enum {
    QUEUE_BYTES_DEFAULT = 64 << 20,
    WARNED_MODELS_MAX = 256,
};

static const struct metric_family errors_family = {
    "farthing_cost_log_errors_total", "Writes to the cost log that failed.", METRIC_COUNTER,
    {0}, 0, 0, 0, 0};
static const struct metric_family dropped_family = {
    "farthing_cost_rows_dropped_total", "Cost rows that could not be written.", METRIC_COUNTER,
    {0}, 0, 0, 0, 0};
static const struct line_kind cost_log_kind = {"cost log", "rows", 0640, &errors_family,
                                               &dropped_family};

struct ledger {
    struct line_writer *writer;
    struct store *store;           // NULL: no tables
    struct store_journal *journal; // of the table `requests`
    struct savings *savings;
    _Atomic int64_t rows;

    pthread_mutex_t warned_lock;
    struct table *warned; // models whose price is not known
};

// ---------------------------------------------------------------------- lives

static void on_batch(void *arg, struct slice lines) {
    struct ledger *l = arg;
    if (l->journal != NULL)
        store_journal_append(l->journal, lines);
}

static void ledger_free(struct ledger *l) {
    line_writer_close(l->writer);
    savings_free(l->savings);
    pthread_mutex_destroy(&l->warned_lock);
    table_free(l->warned);
    free(l);
}

static bool open_log(struct ledger *l, const struct ledger_options *options, struct error *err) {
    l->writer = line_writer_open(&(struct line_writer_options){
        .kind = &cost_log_kind,
        .path = options->cost_log,
        .queue_bytes = options->queue_bytes > 0 ? options->queue_bytes : QUEUE_BYTES_DEFAULT,
        .batch = on_batch,
        .arg = l,
    });
    return l->writer != NULL || error_set(err, "cannot open the cost log \"%s\": %s",
                                          options->cost_log, strerror(errno));
}

static bool open_journal(struct ledger *l, const struct ledger_options *options,
                         struct error *err) {
    const char *path = options->cost_log;
    size_t count;
    const struct store_column *columns = cost_row_columns(&count);
    struct error inner;
    if (options->store == NULL)
        return true;
    l->journal = store_journal_open(options->store, "requests", columns, count, &inner);
    if (l->journal == NULL)
        return error_set(err, "cannot make the table \"requests\": %s", inner.text);
    if (path != NULL && path[0] != '\0' && strcmp(path, "-") != 0)
        (void)ledger_catch_up(options->store, l->journal, path);
    return true;
}

struct ledger *ledger_open(const struct ledger_options *options, struct error *err) {
    struct ledger *l = base_calloc(1, sizeof *l);
    l->store = options->store;
    l->savings = savings_new();
    l->warned = table_new();
    pthread_mutex_init(&l->warned_lock, NULL);
    row_metrics_declare();
    savings_declare();
    if (open_log(l, options, err) && open_journal(l, options, err)) {
        if (line_writer_start(l->writer))
            return l;
        error_set(err, "cannot start the ledger's thread");
    }
    ledger_free(l);
    return NULL;
}

void ledger_close(struct ledger *l) {
    if (l != NULL)
        ledger_free(l);
}

// ----------------------------------------------------------------------- rows

static void warn_unpriced(struct ledger *l, const struct cost_row *row) {
    char name[256];
    struct buffer key = {0};
    buffer_printf(&key, "%.*s/%.*s", SLICE_ARG(row->provider), SLICE_ARG(row->model));
    if (key.len >= sizeof name)
        key.len = sizeof name - 1;
    pthread_mutex_lock(&l->warned_lock);
    bool first = table_count(l->warned) < WARNED_MODELS_MAX &&
                 table_put(l->warned, buffer_slice(&key), l) == NULL;
    pthread_mutex_unlock(&l->warned_lock);
    if (first)
        log_write(LOG_WARNING,
                  "no price is known for %.*s: its cost is null; give input_price and output_price "
                  "in a model section",
                  SLICE_ARG(buffer_slice(&key)));
    buffer_free(&key);
}

void ledger_record(struct ledger *l, const struct cost_row *row) {
    struct buffer line = {0};
    cost_row_write(&line, row);
    buffer_append_char(&line, '\n');
    atomic_fetch_add(&l->rows, 1);
    // Who sees the row finds it in all figures.
    row_metrics_observe(row);
    savings_note(l->savings, row);
    if (!row->cost_known)
        warn_unpriced(l, row);
    line_writer_add(l->writer, buffer_slice(&line));
    buffer_free(&line);
}

void ledger_reopen(struct ledger *l) {
    line_writer_reopen(l->writer);
}

void ledger_flush(struct ledger *l) {
    line_writer_flush(l->writer);
    if (l->journal != NULL)
        store_journal_flush(l->journal);
}

// -------------------------------------------------------------------- savings

void ledger_set_config(struct ledger *l, const struct config *config) {
    savings_set_config(l->savings, l->store, config);
}

bool ledger_route_is_off(const struct ledger *l, const struct config_route *route) {
    return savings_route_is_off(l->savings, route != NULL ? route->name : SLICE_NONE);
}

void ledger_routes_visit(struct ledger *l, void (*visit)(void *, const struct ledger_route_view *),
                         void *arg) {
    savings_visit(l->savings, visit, arg);
}

void ledger_routes_publish(struct ledger *l) {
    savings_publish(l->savings);
}

// ---------------------------------------------------------------------- stats

void ledger_stats_get(const struct ledger *l, struct ledger_stats *out) {
    struct line_writer_stats written = line_writer_stats_get(l->writer);
    out->rows = atomic_load(&l->rows);
    out->written = written.written;
    out->dropped = written.dropped;
    out->write_errors = written.errors;
}
