// Blocks of keys and tenants between instances: each second, and when another one says
// that there is something new (store_poll), the shared store is asked for the orders
// since the last, and told of those that it may not know.
//
// As purges of the cache are shared (cache/purges_share.c), but for the numbers: the
// server gives those to purges, since it is to decide what was asked for before one.
// Here an order has its own date, which is to count even when it arrives late.
#include <stdlib.h>

#include "blocks_room.h"

static const char script_text[] =
#include "blocks.lua.h"
    ;
static const struct store_script script = {"blocks", script_text};

struct blocks_share {
    struct key_blocks *blocks;
    struct store_poll *poll;    // NULL: it starts
    uint64_t epoch;             // of the server that was asked last; 0: none
    char id[BLOCKS_ID_MAX + 1]; // of the orders that it has
    uint64_t seen;              // the revision of them up to which they are known here
    bool complained_of_answer, complained_of_many;
    // Of the question that is under way:
    struct blocks_offer offers[BLOCKS_PAGE];
    size_t offered;
};

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

static bool take(void *arg, enum store_status status, struct slice value) {
    struct blocks_share *s = arg;
    struct blocks_answer a;
    if (status != STORE_OK)
        return false;
    if (!blocks_answer_read(value, &a)) {
        complain(&s->complained_of_answer, "the blocks of keys in the shared store cannot be read");
        return false;
    }
    s->complained_of_answer = false;
    if (strcmp(a.id, s->id) != 0 || a.from != s->seen) // it has lost what it was told
        blocks_tell_all(s->blocks);
    blocks_note_told(s->blocks, s->offers, s->offered);
    learn(s, &a);
    memcpy(s->id, a.id, sizeof s->id);
    s->seen = a.to;
    bool has_told_all = blocks_all_told(s->blocks);
    if (s->offered > 0 && has_told_all && s->poll != NULL) // once, not with each page
        store_poll_tell(s->poll);
    return a.more || !has_told_all;
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

static struct store_op *ask(void *arg, struct store_client *client, store_done *done,
                            void *done_arg) {
    struct blocks_share *s = arg;
    struct buffer text = {0};
    char seen[STORE_NUMBER_MAX], most[STORE_NUMBER_MAX];
    look_at_epoch(s);
    const struct slice keys[] = {SLICE("{blocks}:orders"), SLICE("{blocks}:names")};
    struct slice args[HEAD_ARGS + 2 * BLOCKS_PAGE] = {slice_of(s->id),
                                                      store_number(seen, (int64_t)s->seen),
                                                      store_number(most, BLOCKS_PAGE)};
    size_t count = HEAD_ARGS + put_offers(s, &text, args + HEAD_ARGS);
    const struct store_call call = {.script = &script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = count,
                                    .patience_ms = s->poll == NULL ? STORE_POLL_START_MS : 0};
    struct store_op *op = store_run(client, &call, done, done_arg);
    buffer_free(&text);
    return op;
}

void blocks_share_wake(struct blocks_share *s) {
    store_poll_wake(s->poll);
}

void key_blocks_share(struct key_blocks *b, struct store_client *client, struct event_base *loop) {
    struct store *store = blocks_store(b);
    if (!store_is_shared(store))
        return;
    struct blocks_share *s = base_calloc(1, sizeof *s);
    const struct store_poll_options options = {"blocks", ask, take, s};
    s->blocks = b;
    s->poll = store_poll_new(store, client, loop, &options);
    blocks_attach(b, s);
}

void key_blocks_unshare(struct key_blocks *b) {
    struct blocks_share *s = b != NULL ? blocks_attached(b) : NULL;
    if (s == NULL)
        return;
    blocks_attach(b, NULL);
    store_poll_free(s->poll);
    free(s);
}
