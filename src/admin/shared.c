// The shared store as an operator sees it: which it is, whether it is there, who else
// is, and what is done while it is away.
#include <event2/event.h>

#include "admin_room.h"

bool shared_is_away(struct admin *a) {
    return store_is_shared(a->sources.store) && !store_is_up(a->sources.store);
}

static void look(struct admin *a) {
    bool is_up = store_is_up(a->sources.store);
    if (is_up == a->store_was_up && a->store_since_ms != 0)
        return;
    a->store_was_up = is_up;
    a->store_since_ms = clock_wall_ms();
}

static void on_second(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    look(arg);
}

void shared_open(struct admin *a) {
    const struct timeval second = {1, 0};
    if (!store_is_shared(a->sources.store))
        return;
    look(a);
    if (a->sources.loop == NULL)
        return;
    a->store_timer = event_new(a->sources.loop, -1, EV_PERSIST, on_second, a);
    event_add(a->store_timer, &second);
}

void shared_close(struct admin *a) {
    if (a->store_timer != NULL)
        event_free(a->store_timer);
}

static void put_failure(struct json_writer *w, const struct config_store_failure *f) {
    json_key(w, SLICE("on_store_failure"));
    json_object_begin(w);
    admin_put_text(w, "idempotency", f->idempotency_local ? SLICE("local") : SLICE("refuse"));
    admin_put_text(w, "budgets", f->budgets_open ? SLICE("open") : SLICE("closed"));
    admin_put_text(w, "limits", f->limits_closed ? SLICE("closed") : SLICE("local"));
    json_object_end(w);
}

void put_shared(struct json_writer *w, struct admin *a) {
    const struct store *store = a->sources.store;
    bool shared = store_is_shared(store);
    admin_put_text(w, "kind", shared ? SLICE("redis") : SLICE("embedded"));
    if (!shared)
        return;
    look(a);
    admin_put_bool(w, "up", a->store_was_up);
    admin_put_moment(w, "since", a->store_since_ms);
    admin_put_text(w, "instance", store_instance(store));
    admin_put_number(w, "instances", store_instances(store));
    admin_put_number(w, "epoch", (int64_t)store_epoch(store));
    put_failure(w, &a->config->store.on_failure);
}
