// Purges between instances: each second, and when another one says that there is
// something new, the shared store is asked for the marks since the last, and told of
// those made here. On one loop, with one question at a time.
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "purges.h"

static const char channel[] = "purge"; // what is said on it does not matter
static const char script_text[] =
#include "purges.lua.h"
    ;
static const struct store_script script = {"purges.lua", script_text};

struct purges_share {
    struct purges *purges;
    struct store_client *client;
    struct store_op *op; // NULL: nothing is asked
    struct event *timer; // NULL: asked once, at the start
    struct store_ear *ear;
    // Of the server that knows all that is known here; 0: none. Another one, or one
    // that has lost something, is told all again.
    uint64_t epoch;
    bool again; // ask once more when the answer is there
    bool complained;
    // Of the question that is under way:
    uint64_t asked_epoch, asked_local;
    bool tells;     // of purges that were made here
    bool tells_all; // that is known here
};

static void ask(struct purges_share *s);

static void on_answer(void *arg, enum store_status status, struct slice value,
                      int64_t expires_ms) {
    (void)expires_ms;
    struct purges_share *s = arg;
    uint64_t latest = 0, seen = purges_seen(s->purges);
    s->op = NULL;
    if (status != STORE_OK) // at the next second, then
        return;
    if (!purges_learn(s->purges, value, s->asked_local, &latest)) {
        if (!s->complained)
            log_write(LOG_ERROR, "the purges in the shared store cannot be read: there is "
                                 "something else under their key");
        s->complained = true;
        return;
    }
    s->complained = false;
    if (s->tells && s->timer != NULL)
        store_say(purges_store(s->purges), channel, SLICE("new"));
    bool lost = latest < seen; // what had been told
    s->epoch = lost ? 0 : s->asked_epoch;
    if (s->again || (lost && !s->tells_all))
        ask(s);
}

static void ask(struct purges_share *s) {
    struct store *store = purges_store(s->purges);
    struct buffer known = {0}, waiting = {0};
    char seen[24], most[12], folded[12];
    s->again = false;
    s->asked_epoch = store_epoch(store);
    s->tells_all = s->epoch == 0 || s->epoch != s->asked_epoch;
    // One that has lost marks may have given numbers since that are not higher.
    snprintf(seen, sizeof seen, "%llu",
             (unsigned long long)(s->tells_all ? 0 : purges_seen(s->purges)));
    snprintf(most, sizeof most, "%d", PURGES_MARKS_MAX);
    snprintf(folded, sizeof folded, "%d", PURGES_FOLDED);
    purges_write(s->purges, s->tells_all ? &known : NULL, &waiting, &s->asked_local);
    s->tells = waiting.len > 0;
    const struct slice keys[] = {SLICE("{cache}:purges")};
    const struct slice args[] = {slice_of(seen), buffer_slice(&known), buffer_slice(&waiting),
                                 slice_of(most), slice_of(folded)};
    const struct store_call call = {.script = &script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = FARTHING_COUNT(args)};
    s->op = store_run(s->client, &call, on_answer, s);
    buffer_free(&known);
    buffer_free(&waiting);
}

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct purges_share *s = arg;
    if (s->op == NULL)
        ask(s);
    else
        s->again = true;
}

static void on_heard(void *arg, struct slice message) {
    (void)message;
    on_time(-1, 0, arg);
}

void purges_share_wake(struct purges_share *s) {
    event_active(s->timer, EV_TIMEOUT, 0);
}

// Before this loop runs, on one of its own.
static void ask_at_start(struct purges_share *s, struct store *store) {
    struct event_base *loop = event_base_new();
    s->client = store_client_new(store, loop);
    ask(s);
    while (s->op != NULL && event_base_loop(loop, EVLOOP_ONCE) == 0) {
    }
    if (s->op != NULL)
        store_cancel(s->op);
    s->op = NULL;
    store_client_free(s->client);
    event_base_free(loop);
}

void purges_share(struct purges *p, struct store_client *client, struct event_base *loop) {
    const struct timeval second = {1, 0};
    struct store *store = purges_store(p);
    if (!store_is_shared(store))
        return;
    struct purges_share *s = base_calloc(1, sizeof *s);
    s->purges = p;
    ask_at_start(s, store);
    s->client = client;
    s->timer = event_new(loop, -1, EV_PERSIST, on_time, s);
    event_add(s->timer, &second);
    s->ear = store_listen(client, channel, on_heard, s);
    purges_attach(p, s);
}

void purges_unshare(struct purges *p) {
    struct purges_share *s = purges_attached(p);
    if (s == NULL)
        return;
    purges_attach(p, NULL);
    if (s->op != NULL)
        store_cancel(s->op);
    if (s->ear != NULL)
        store_unlisten(s->ear);
    event_free(s->timer);
    free(s);
}
