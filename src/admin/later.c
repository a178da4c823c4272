// Answers that wait for the store, which is asked from the admin's loop and may
// be slow, gone, or overtaken by the client's leaving.
#include <event2/event.h>
#include <stdlib.h>

#include "admin_room.h"

struct later {
    struct http_request *request;
    struct store_op *op; // NULL: it has answered
    struct event *timer;
    later_finish *finish;
    void *arg;
};

static void settle(struct later *l, enum store_status status, struct slice value) {
    l->op = NULL;
    if (l->timer != NULL)
        event_del(l->timer);
    l->finish(l->request, l->arg, status, value);
}

static void on_answer(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    settle(arg, status, value);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct later *l = arg;
    store_cancel(l->op);
    settle(l, STORE_FAILED, SLICE_NONE);
}

static void on_end(void *arg, enum http_end how) {
    (void)how;
    struct later *l = arg;
    if (l->op != NULL)
        store_cancel(l->op);
    if (l->timer != NULL)
        event_free(l->timer);
    free(l->arg);
    free(l);
}

void later_query(struct admin *a, struct http_request *request, const char *sql,
                 const struct slice *params, size_t param_count, later_finish *finish, void *arg) {
    const struct timeval patience = {STORE_WAIT_MS / 1000, STORE_WAIT_MS % 1000 * 1000};
    struct later *l = base_calloc(1, sizeof *l);
    *l = (struct later){.request = request, .finish = finish, .arg = arg};
    http_request_on_end(request, on_end, l);
    if (a->sources.client != NULL)
        l->op = store_query(a->sources.client, sql, params, param_count, on_answer, l);
    if (l->op == NULL) {
        settle(l, STORE_FAILED, SLICE_NONE);
        return;
    }
    if (a->sources.loop != NULL) {
        l->timer = evtimer_new(a->sources.loop, on_timeout, l);
        event_add(l->timer, &patience);
    }
}
