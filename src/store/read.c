// A query that is waited for: at start-up, before the loops run, by those who go
// on from what earlier processes left.
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
