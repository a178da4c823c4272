// Blocks of keys and tenants between instances: each second, and when another one says
// that there is something new, the shared store is asked for the orders since the last,
// and told of those that it may not know. On one loop, with one question at a time.
//
// As purges of the cache are shared (cache/purges_share.c), but for the numbers: the
// server gives those to purges, since it is to decide what was asked for before one.
// Here an order has its own date, which is to count even when it arrives late.
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "blocks_room.h"

static const char channel[] = "blocks"; // what is said on it does not matter
static const char script_text[] =
#include "blocks.lua.h"
    ;
static const struct store_script script = {"blocks.lua", script_text};
static const struct timeval second = {1, 0};

struct blocks_share {
    struct key_blocks *blocks;
    struct store_client *client;
    struct store_op *op; // NULL: nothing is asked
    struct event *timer; // NULL: asked at the start
    struct store_ear *ear;
    uint64_t epoch;              // of the server that was asked last; 0: none
    char id[BLOCKS_ID_MAX + 1];  // of the orders that it has
    uint64_t seen;               // the revision of them up to which they are known here
    bool again;                  // ask once more when the answer is there
    bool complained_of_answer, complained_of_many;
    // Of the question that is under way:
    struct blocks_offer offers[BLOCKS_PAGE];
    size_t offered;
};

static void ask(struct blocks_share *s);

// Once, until it is right again.
static void complain(bool *complained, const char *text) {
    if (!*complained)
        log_write(LOG_ERROR, "%s", text);
    *complained = true;
}

static void learn(struct blocks_share *s, struct blocks_answer *a) {
    struct key_block block;
    uint8_t digest[DIGEST_LEN];
    while (blocks_answer_next(a, &block, digest))
        if (!blocks_learn(s->blocks, &block))
            complain(&s->complained_of_many, "the shared store has more blocks of keys than are "
                                             "kept here: some are not in force");
}

static void on_answer(void *arg, enum store_status status, struct slice value,
                      int64_t expires_ms) {
    (void)expires_ms;
    struct blocks_share *s = arg;
    struct blocks_answer a;
    s->op = NULL;
    if (status != STORE_OK) // at the next second, then
        return;
    if (!blocks_answer_read(value, &a)) {
        complain(&s->complained_of_answer, "the blocks of keys in the shared store cannot be read");
        return;
    }
    s->complained_of_answer = false;
    if (strcmp(a.id, s->id) != 0 || a.from != s->seen) // it has lost what it was told
        blocks_tell_all(s->blocks);
    blocks_note_told(s->blocks, s->offers, s->offered);
    learn(s, &a);
    memcpy(s->id, a.id, sizeof s->id);
    s->seen = a.to;
    if (s->offered > 0 && s->timer != NULL)
        store_say(blocks_store(s->blocks), channel, SLICE("new"));
    if (s->again || a.more || !blocks_all_told(s->blocks))
        ask(s);
}

// One that may have lost orders is told all, and read from its first.
static void look_at_epoch(struct blocks_share *s) {
    uint64_t epoch = store_epoch(blocks_store(s->blocks));
    if (epoch == s->epoch)
        return;
    s->epoch = epoch;
    s->id[0] = '\0';
    s->seen = 0;
    blocks_tell_all(s->blocks);
}

enum { HEAD_ARGS = 3 };

// The names and orders on offer, one behind the other in `text`.
static size_t put_offers(struct blocks_share *s, struct buffer *text,
                         struct slice args[2 * BLOCKS_PAGE]) {
    size_t ends[2 * BLOCKS_PAGE], count = 0, from = 0;
    s->offered = blocks_offer(s->blocks, s->offers);
    for (size_t i = 0; i < s->offered; i++) {
        blocks_put_name(text, &s->offers[i].block);
        ends[count++] = text->len;
        blocks_put_order(text, &s->offers[i].block);
        ends[count++] = text->len;
    }
    for (size_t i = 0; i < count; from = ends[i++])
        args[i] = slice_make(text->ptr + from, ends[i] - from);
    return count;
}

static void ask(struct blocks_share *s) {
    struct buffer text = {0};
    char seen[24], most[12];
    s->again = false;
    look_at_epoch(s);
    snprintf(seen, sizeof seen, "%llu", (unsigned long long)s->seen);
    snprintf(most, sizeof most, "%d", BLOCKS_PAGE);
    const struct slice keys[] = {SLICE("{blocks}:orders"), SLICE("{blocks}:names")};
    struct slice args[HEAD_ARGS + 2 * BLOCKS_PAGE] = {slice_of(s->id), slice_of(seen),
                                                      slice_of(most)};
    size_t count = HEAD_ARGS + put_offers(s, &text, args + HEAD_ARGS);
    const struct store_call call = {.script = &script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = count};
    s->op = store_run(s->client, &call, on_answer, s);
    buffer_free(&text);
}

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct blocks_share *s = arg;
    if (s->op == NULL)
        ask(s);
    else
        s->again = true;
}

static void on_heard(void *arg, struct slice message) {
    (void)message;
    on_time(-1, 0, arg);
}

void blocks_share_wake(struct blocks_share *s) {
    event_active(s->timer, EV_TIMEOUT, 0);
}

// Before this loop runs, on one of its own.
static void ask_at_start(struct blocks_share *s, struct store *store) {
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

void key_blocks_share(struct key_blocks *b, struct store_client *client, struct event_base *loop) {
    struct store *store = blocks_store(b);
    if (!store_is_shared(store))
        return;
    struct blocks_share *s = base_calloc(1, sizeof *s);
    s->blocks = b;
    ask_at_start(s, store);
    s->client = client;
    s->timer = event_new(loop, -1, EV_PERSIST, on_time, s);
    event_add(s->timer, &second);
    s->ear = store_listen(client, channel, on_heard, s);
    blocks_attach(b, s);
}

void key_blocks_unshare(struct key_blocks *b) {
    struct blocks_share *s = b != NULL ? blocks_attached(b) : NULL;
    if (s == NULL)
        return;
    blocks_attach(b, NULL);
    if (s->op != NULL)
        store_cancel(s->op);
    if (s->ear != NULL)
        store_unlisten(s->ear);
    event_free(s->timer);
    free(s);
}
