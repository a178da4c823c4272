// What instances ask the shared store again and again (store.h): the timer, the ear,
// and that no question begins before the last one was answered.
#include <event2/event.h>
#include <stdlib.h>

#include "farthing/store.h"

struct store_poll {
    struct store_poll_options options;
    struct store *store;
    struct store_client *client; // while it starts: one of a loop of its own
    struct store_op *op;         // NULL: nothing is asked
    bool again;                  // ask once more when the answer is there
    struct event *timer;
    struct store_ear *ear;
};

static void ask(struct store_poll *p);

static void on_answer(void *arg, enum store_status status, struct slice value,
                      int64_t expires_ms) {
    (void)expires_ms;
    struct store_poll *p = arg;
    p->op = NULL;
    bool has_more = p->options.take(p->options.arg, status, value);
    if (status == STORE_OK && (has_more || p->again)) // else at the next second
        ask(p);
}

static void ask(struct store_poll *p) {
    p->again = false;
    p->op = p->options.ask(p->options.arg, p->client, on_answer, p);
}

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct store_poll *p = arg;
    if (p->op == NULL)
        ask(p);
    else
        p->again = true;
}

static void on_heard(void *arg, struct slice message) {
    (void)message;
    on_time(-1, 0, arg);
}

// Before the loop runs, so on another.
static void ask_at_start(struct store_poll *p) {
    struct event_base *loop = event_base_new();
    p->client = store_client_new(p->store, loop);
    ask(p);
    while (p->op != NULL && event_base_loop(loop, EVLOOP_ONCE) == 0) {
    }
    if (p->op != NULL)
        store_cancel(p->op);
    p->op = NULL;
    store_client_free(p->client);
    event_base_free(loop);
}

struct store_poll *store_poll_new(struct store *s, struct store_client *client,
                                  struct event_base *loop,
                                  const struct store_poll_options *options) {
    static const struct timeval second = {1, 0};
    struct store_poll *p = base_calloc(1, sizeof *p);
    p->options = *options;
    p->store = s;
    ask_at_start(p);
    p->client = client;
    p->timer = event_new(loop, -1, EV_PERSIST, on_time, p);
    event_add(p->timer, &second);
    p->ear = store_listen(client, p->options.channel, on_heard, p);
    return p;
}

void store_poll_free(struct store_poll *p) {
    if (p == NULL)
        return;
    if (p->op != NULL)
        store_cancel(p->op);
    store_unlisten(p->ear);
    event_free(p->timer);
    free(p);
}

void store_poll_wake(struct store_poll *p) {
    event_active(p->timer, EV_TIMEOUT, 0);
}

void store_poll_tell(struct store_poll *p) {
    store_say(p->store, p->options.channel, SLICE("new"));
}
