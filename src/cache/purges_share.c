// Purges between instances: each second, and when another one says that there is
// something new (store_poll), the shared store is asked for the marks since the last,
// and told of those made here.
#include <stdlib.h>

#include "purges.h"

static const char script_text[] =
#include "purges.lua.h"
    ;
static const struct store_script script = {"purges", script_text};

struct purges_share {
    struct purges *purges;
    struct store_poll *poll; // NULL: it starts
    // Of the server that knows all that is known here; 0: none. Another one, or one
    // that has lost something, is told all again.
    uint64_t epoch;
    bool complained;
    // Of the question that is under way:
    uint64_t asked_epoch, asked_local;
    bool tells;     // of purges that were made here
    bool tells_all; // that is known here
};

static bool take(void *arg, enum store_status status, struct slice value) {
    struct purges_share *s = arg;
    uint64_t latest = 0, seen = purges_seen(s->purges);
    if (status != STORE_OK)
        return false;
    if (!purges_learn(s->purges, value, s->asked_local, &latest)) {
        if (!s->complained)
            log_write(LOG_ERROR, "the purges in the shared store cannot be read: there is "
                                 "something else under their key");
        s->complained = true;
        return false;
    }
    s->complained = false;
    if (s->tells && s->poll != NULL)
        store_poll_tell(s->poll);
    bool lost = latest < seen; // what had been told
    s->epoch = lost ? 0 : s->asked_epoch;
    return lost && !s->tells_all;
}

static struct store_op *ask(void *arg, struct store_client *client, store_done *done,
                            void *done_arg) {
    struct purges_share *s = arg;
    struct buffer known = {0}, waiting = {0};
    char seen[STORE_NUMBER_MAX], most[STORE_NUMBER_MAX], folded[STORE_NUMBER_MAX];
    s->asked_epoch = store_epoch(purges_store(s->purges));
    s->tells_all = s->epoch == 0 || s->epoch != s->asked_epoch;
    purges_write(s->purges, s->tells_all ? &known : NULL, &waiting, &s->asked_local);
    s->tells = waiting.len > 0;
    // One that has lost marks may have given numbers since that are not higher.
    uint64_t since = s->tells_all ? 0 : purges_seen(s->purges);
    const struct slice keys[] = {SLICE("{cache}:purges")};
    const struct slice args[] = {store_number(seen, (int64_t)since), buffer_slice(&known),
                                 buffer_slice(&waiting), store_number(most, PURGES_MARKS_MAX),
                                 store_number(folded, PURGES_FOLDED)};
    const struct store_call call = {.script = &script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = FARTHING_COUNT(args),
                                    .patience_ms = s->poll == NULL ? STORE_POLL_START_MS : 0};
    struct store_op *op = store_run(client, &call, done, done_arg);
    buffer_free(&known);
    buffer_free(&waiting);
    return op;
}

void purges_share_wake(struct purges_share *s) {
    store_poll_wake(s->poll);
}

void purges_share(struct purges *p, struct store_client *client, struct event_base *loop) {
    struct store *store = purges_store(p);
    if (!store_is_shared(store))
        return;
    struct purges_share *s = base_calloc(1, sizeof *s);
    const struct store_poll_options options = {"purge", ask, take, s};
    s->purges = p;
    s->poll = store_poll_new(store, client, loop, &options);
    purges_attach(p, s);
}

void purges_unshare(struct purges *p) {
    struct purges_share *s = purges_attached(p);
    if (s == NULL)
        return;
    purges_attach(p, NULL);
    store_poll_free(s->poll);
    free(s);
}
