// What runs now. Every loop knows its own exchanges and nobody else's: they are
// asked, and answer when they come to it. Who has not answered in a second is
// left out, and the answer says so; what comes after that is thrown away.
//
// The answer is shared by the admin and the loops, each of which lets go once;
// the last one frees it, wherever it is.
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "admin_room.h"

struct admin_inflight_answer {
    struct mail mail; // first: all have answered
    atomic_uint references;
    pthread_mutex_t lock;
    bool closed; // nobody waits any more; the admin may be gone
    unsigned awaited;
    struct buffer arrays; // each ends with a NUL, which JSON has none of
    struct mailbox *mailbox;
    // The admin's alone
    struct admin *admin;
    struct admin_inflight_answer *next;
    struct http_request *request;
    struct event *timer;
    char *filter; // tenant; NULL: all
};

static void let_go(struct admin_inflight_answer *n) {
    if (atomic_fetch_sub(&n->references, 1) > 1)
        return;
    pthread_mutex_destroy(&n->lock);
    buffer_free(&n->arrays);
    free(n->filter);
    free(n);
}

void admin_inflight_put(struct admin_inflight_answer *n, struct slice json_array) {
    pthread_mutex_lock(&n->lock);
    if (!n->closed) {
        buffer_append(&n->arrays, json_array);
        if (json_array.len > 0)
            buffer_append_char(&n->arrays, '\0');
        if (--n->awaited == 0) {
            atomic_fetch_add(&n->references, 1); // the mail's
            mailbox_post(n->mailbox, &n->mail);
        }
    }
    pthread_mutex_unlock(&n->lock);
    let_go(n);
}

// ------------------------------------------------------------------ putting together

struct item {
    struct slice raw;
    int64_t age_ms;
};

struct items {
    struct item *list;
    size_t count, room;
};

static void add(struct items *items, struct slice raw, int64_t age_ms) {
    if (items->count == items->room) {
        items->room = items->room == 0 ? 64 : 2 * items->room;
        items->list = base_realloc(items->list, items->room * sizeof *items->list);
    }
    items->list[items->count++] = (struct item){raw, age_ms};
}

static int by_age(const void *a, const void *b) {
    int64_t x = ((const struct item *)a)->age_ms, y = ((const struct item *)b)->age_ms;
    return x < y ? 1 : x > y ? -1 : 0;
}

// What one loop said. False: it is no array.
static bool add_array(struct items *items, struct json_doc *doc, struct slice text,
                      const char *filter) {
    struct error err;
    if (!json_parse(doc, text, NULL, &err) || json_type_of(doc, JSON_ROOT) != JSON_ARRAY)
        return false;
    for (json_ref i = json_first(doc, JSON_ROOT); i != JSON_NONE;
         i = json_next(doc, JSON_ROOT, i)) {
        int64_t age_ms = 0;
        json_ref tenant = json_get(doc, i, SLICE("tenant"));
        if (filter != NULL &&
            (tenant == JSON_NONE || !json_string_is(doc, tenant, slice_of(filter))))
            continue;
        if (!json_i64(doc, json_get(doc, i, SLICE("age_ms")), &age_ms))
            age_ms = 0;
        add(items, json_raw(doc, i), age_ms);
    }
    return true;
}

static bool put_all(struct json_writer *w, struct slice arrays, const char *filter) {
    struct items items = {0};
    struct json_doc *doc = json_doc_new();
    struct slice array;
    bool ok = true;
    while (slice_split(&arrays, '\0', &array))
        if (array.len > 0)
            ok = add_array(&items, doc, array, filter) && ok;
    if (items.count > 0)
        qsort(items.list, items.count, sizeof *items.list, by_age);
    for (size_t i = 0; i < items.count; i++)
        json_put_raw(w, items.list[i].raw);
    json_doc_free(doc);
    free(items.list);
    return ok;
}

static void reply(struct admin_inflight_answer *n, bool incomplete) {
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    json_key(&w, SLICE("inflight"));
    json_array_begin(&w);
    bool ok = put_all(&w, buffer_slice(&n->arrays), n->filter);
    json_array_end(&w);
    admin_put_bool(&w, "incomplete", incomplete || !ok);
    json_object_end(&w);
    admin_reply_json(n->request, &out);
}

// ---------------------------------------------------------------------- asking

static void unlink_answer(struct admin_inflight_answer *n) {
    struct admin_inflight_answer **at = &n->admin->answers;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
}

// Nothing comes in after this. True: all had answered.
static bool close_answer(struct admin_inflight_answer *n) {
    pthread_mutex_lock(&n->lock);
    bool all = n->awaited == 0;
    n->closed = true;
    pthread_mutex_unlock(&n->lock);
    return all;
}

static void finish(struct admin_inflight_answer *n, bool answer) {
    bool all = close_answer(n);
    if (answer)
        reply(n, !all);
    http_request_on_end(n->request, NULL, NULL);
    unlink_answer(n);
    event_free(n->timer);
    n->request = NULL;
    let_go(n);
}

static void on_all(struct mail *m) {
    struct admin_inflight_answer *n = (struct admin_inflight_answer *)m;
    if (n->request != NULL)
        finish(n, true);
    let_go(n);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    finish(arg, true);
}

static void on_end(void *arg, enum http_end how) {
    (void)how;
    finish(arg, false); // the client went first
}

void inflight_close(struct admin *a) {
    while (a->answers != NULL)
        finish(a->answers, false);
}

static struct admin_inflight_answer *answer_new(struct admin *a, struct http_request *request,
                                                struct slice filter) {
    const struct timeval patience = {INFLIGHT_WAIT_MS / 1000, INFLIGHT_WAIT_MS % 1000 * 1000};
    struct admin_inflight_answer *n = base_calloc(1, sizeof *n);
    pthread_mutex_init(&n->lock, NULL);
    n->mail.run = on_all;
    n->awaited = a->sources.inflight.count;
    atomic_init(&n->references, 1 + n->awaited);
    n->mailbox = a->mailbox;
    n->admin = a;
    n->request = request;
    n->filter = filter.ptr != NULL ? slice_dup(filter) : NULL;
    n->timer = evtimer_new(a->sources.loop, on_timeout, n);
    event_add(n->timer, &patience);
    n->next = a->answers;
    a->answers = n;
    http_request_on_end(request, on_end, n);
    return n;
}

void serve_inflight(struct admin *a, struct http_request *request) {
    const struct admin_inflight_source *source = &a->sources.inflight;
    struct buffer buffer = {0};
    struct slice filter;
    if (admin_read_filter(request, &buffer, &filter)) {
        if (source->ask == NULL || source->count == 0 || a->mailbox == NULL)
            admin_refuse(request, API_ERROR_NOT_FOUND, NULL,
                         "What runs now cannot be asked for here.");
        else
            source->ask(source->arg, answer_new(a, request, filter));
    }
    buffer_free(&buffer);
}
