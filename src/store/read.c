// Queries that are waited for: at start-up, before the loops run, by those who go
// on from what earlier processes left. And reading the rows that queries give.
#include <event2/event.h>

#include "store.h"

struct reading {
    bool done;
    enum store_status status;
    struct buffer *out;
};

static void on_rows(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct reading *r = arg;
    r->done = true;
    r->status = status;
    buffer_append(r->out, value);
}

bool store_query_now(struct store *s, const char *sql, const struct slice *params,
                     size_t param_count, struct buffer *out, struct error *err) {
    struct reading r = {.status = STORE_FAILED, .out = out};
    struct event_base *loop = event_base_new();
    struct store_client *client = store_client_new(s, loop);
    if (store_query(client, sql, params, param_count, on_rows, &r) != NULL)
        while (!r.done)
            event_base_loop(loop, EVLOOP_ONCE);
    store_client_free(client);
    event_base_free(loop);
    return r.status == STORE_OK || error_set(err, "the store cannot read: %s", sql);
}

// ------------------------------------------------------------------------ rows

bool store_rows_visit(struct slice rows, store_row_visitor *visit, void *arg,
                      struct error *err) {
    struct json_doc *doc = json_doc_new();
    struct store_row row = {doc, JSON_NONE, arena_new(4096)};
    bool ok = json_parse(doc, rows, NULL, err);
    for (row.object = ok ? json_first(doc, JSON_ROOT) : JSON_NONE; ok && row.object != JSON_NONE;
         row.object = json_next(doc, JSON_ROOT, row.object))
        ok = visit(arg, &row, err);
    arena_free(row.arena);
    json_doc_free(doc);
    return ok;
}

struct slice store_row_text(const struct store_row *row, struct slice column) {
    return json_string(row->doc, json_get(row->doc, row->object, column), row->arena);
}

int64_t store_row_i64(const struct store_row *row, struct slice column) {
    int64_t value;
    return json_i64(row->doc, json_get(row->doc, row->object, column), &value) ? value : 0;
}
