// One loop's part: the channel on which others tell it what they want of its
// purchases and how theirs go on, the beat that renews what it holds, and the keys.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "share_room.h"

static const char hold_text[] =
#include "share_hold.lua.h"
    ;
static const char drop_text[] =
#include "share_drop.lua.h"
    ;
static const struct store_script hold_script = {"hold", hold_text};
static const struct store_script drop_script = {"drop", drop_text};

// -------------------------------------------------------------------- rings

void share_ring_add(struct share_link *ring, struct share_link *link) {
    link->previous = ring->previous;
    link->next = ring;
    ring->previous->next = link;
    ring->previous = link;
}

void share_ring_remove(struct share_link *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->previous = link->next = link;
}

static void ring_init(struct share_link *ring) {
    ring->previous = ring->next = ring;
}

static bool ring_is_empty(const struct share_link *ring) {
    return ring->next == ring;
}

// -------------------------------------------------------------------- names

struct slice share_name(const struct cache_key *key, const char *kind, char *out, size_t size) {
    char hex[2 * DIGEST_LEN + 1];
    digest_hex(key->bytes, DIGEST_LEN, hex);
    int len = snprintf(out, size, "{%s}:%s", hex, kind);
    return slice_make(out, (size_t)len);
}

void share_id_of(const struct share *s, const char *token, struct buffer *out) {
    buffer_printf(out, "%s %s", s->channel, token);
}

// --------------------------------------------------------------------- keys

struct share_key {
    struct share_link link; // first
    struct share *share;
    struct cache_key name, fingerprint, purchase;
    char holder[RANDOM_ID_LEN + 1];
    struct store_op *op; // the first question
    bool is_other;       // it is not held
    share_held *held;
    void *arg;
    uint64_t renewed_ms;
};

static struct slice of_key(const struct cache_key *key) {
    return slice_make(key->bytes, sizeof key->bytes);
}

static struct store_op *run_hold(struct share_key *k, store_done *done) {
    char name[SHARE_STORE_NAME_MAX], term[STORE_NUMBER_MAX];
    const struct slice keys[] = {share_name(&k->name, "key", name, sizeof name)};
    const struct slice args[] = {slice_make(k->holder, RANDOM_ID_LEN), of_key(&k->fingerprint),
                                 of_key(&k->purchase), store_number(term, SHARE_TERM_MS)};
    const struct store_call call = {.script = &hold_script, .keys = keys, .key_count = 1,
                                    .args = args, .arg_count = FARTHING_COUNT(args),
                                    .patience_ms = SHARE_PATIENCE_MS};
    k->renewed_ms = clock_mono_ms();
    if (done != NULL)
        return store_run(k->share->client, &call, done, k);
    (void)store_run_quietly(k->share->store, &call); // again at the next beat
    return NULL;
}

static void on_hold(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct share_key *k = arg;
    char standing = '\0';
    k->op = NULL;
    enum share_standing as = SHARE_KEY_NO_WORD;
    if (status == STORE_OK && share_wire_hold(value, &standing, &k->purchase))
        as = standing == '0'   ? SHARE_KEY_OTHER
             : standing == '1' ? SHARE_KEY_FIRST
                               : SHARE_KEY_SAME;
    k->is_other = as == SHARE_KEY_OTHER;
    k->held(k->arg, as, &k->purchase);
}

struct share_key *share_key_hold(struct share *s, const struct cache_key *name,
                                 const struct cache_key *fingerprint,
                                 const struct cache_key *purchase, share_held *held, void *arg) {
    struct share_key *k = base_calloc(1, sizeof *k);
    k->share = s;
    k->name = *name;
    k->fingerprint = *fingerprint;
    k->purchase = *purchase;
    k->held = held;
    k->arg = arg;
    random_id(k->holder);
    k->op = run_hold(k, on_hold);
    if (k->op == NULL) {
        free(k);
        return NULL;
    }
    share_ring_add(&s->keys, &k->link);
    share_beat_on(s);
    return k;
}

// Also where no word came: it may be held all the same.
void share_key_release(struct share_key *k) {
    if (k->op != NULL)
        store_cancel(k->op);
    if (!k->is_other) {
        char name[SHARE_STORE_NAME_MAX];
        const struct slice keys[] = {share_name(&k->name, "key", name, sizeof name)};
        const struct slice args[] = {slice_make(k->holder, RANDOM_ID_LEN)};
        const struct store_call call = {.script = &drop_script, .keys = keys, .key_count = 1,
                                        .args = args, .arg_count = 1};
        (void)store_run_quietly(k->share->store, &call); // else it ends with its term
    }
    share_ring_remove(&k->link);
    free(k);
}

static void key_look_after(struct share_key *k, uint64_t now_ms) {
    if (k->op == NULL && !k->is_other && now_ms - k->renewed_ms >= SHARE_RENEW_MS)
        (void)run_hold(k, NULL);
}

// --------------------------------------------------------------------- beat

static void on_beat(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct share *s = arg;
    uint64_t now = clock_mono_ms();
    struct share_link *next;
    for (struct share_link *l = s->purchases.next; l != &s->purchases; l = l->next)
        share_purchase_look_after((struct share_purchase *)l, now);
    for (struct share_link *l = s->keys.next; l != &s->keys; l = l->next)
        key_look_after((struct share_key *)l, now);
    for (struct share_link *l = s->remotes.next; l != &s->remotes; l = next) {
        next = l->next; // it may be over with this one
        share_remote_look_after(l, now);
    }
    if (ring_is_empty(&s->purchases) && ring_is_empty(&s->keys) && ring_is_empty(&s->remotes))
        event_del(s->beat);
}

void share_beat_on(struct share *s) {
    static const struct timeval pause = {0, SHARE_BEAT_MS * 1000};
    if (!event_pending(s->beat, EV_TIMEOUT, NULL))
        event_add(s->beat, &pause);
}

// ----------------------------------------------------------------- messages

static void on_heard(void *arg, struct slice message) {
    struct share *s = arg;
    struct share_message m;
    if (!share_wire_message(message, &m))
        return; // another program's
    bool is_for_waiter = m.kind == 'm' || m.kind == 'e';
    struct share_purchase *p = table_get(s->purchases_by_token, m.token);
    if (p != NULL && is_for_waiter)
        *(m.kind == 'm' ? &p->has_more : &p->is_over) = true; // it is about to wait
    else if (p != NULL)
        share_relay_heard(p, &m);
    else if (is_for_waiter)
        share_remote_heard(s, &m);
}

// --------------------------------------------------------------------- life

struct share *share_new(struct event_base *loop, struct mailbox *box, struct store *store,
                        struct store_client *client) {
    static _Atomic unsigned loops;
    struct share *s = base_calloc(1, sizeof *s);
    s->loop = loop;
    s->box = box;
    s->store = store;
    s->client = client;
    ring_init(&s->purchases);
    ring_init(&s->remotes);
    ring_init(&s->keys);
    s->purchases_by_token = table_new();
    s->remotes_by_token = table_new();
    snprintf(s->channel, sizeof s->channel, "flight:%.*s:%u", SLICE_ARG(store_instance(store)),
             atomic_fetch_add(&loops, 1));
    s->beat = event_new(loop, -1, EV_PERSIST, on_beat, s);
    s->ear = store_listen(client, s->channel, on_heard, s);
    return s;
}

void share_free(struct share *s) {
    if (s == NULL)
        return;
    while (!ring_is_empty(&s->remotes))
        share_remote_abandon(s->remotes.next);
    store_unlisten(s->ear);
    event_free(s->beat);
    table_free(s->purchases_by_token);
    table_free(s->remotes_by_token);
    free(s);
}
