// Purchases and keys among instances: what its files share. See farthing/share.h for
// what they promise; the scripts beside them say what lies in the store.
//   share.c           the loop's part: its channel, its beat, and the keys
//   share_purchase.c  claims: asking, renewing, finishing
//   share_relay.c     an owner gives its stream to those elsewhere who wait
//   share_follow.c    who waits for another instance's purchase
//   share_wire.c      answers and messages taken apart
#ifndef FARTHING_CACHE_SHARE_ROOM_H
#define FARTHING_CACHE_SHARE_ROOM_H

#include <event2/event.h>

#include "entry.h"
#include "farthing/share.h"
#include "share_wire.h"

enum {
    SHARE_TERM_MS = 6000,   // a claim, unless it is renewed: so late a dead owner is succeeded
    SHARE_RENEW_MS = 2000,  // three times in a term
    SHARE_PATIENCE_MS = 250, // for a key: without an answer its request is refused
    SHARE_WATCH_MS = 1000,  // who waits looks so often: messages may be lost
    SHARE_WAITER_MS = 5000, // one that has not been heard of for so long waits no more
    SHARE_BEAT_MS = 500,
    SHARE_RESULT_MS = 10000,    // results and streams stay so long after the end
    SHARE_STREAM_MS = 30000,    // a stream, after its last bytes
    SHARE_RELAY_PAUSE_MS = 20,  // a stream's bytes go out in bundles of so long
    SHARE_ENTRY_BYTES = 64 << 10,  // of one entry of a stream
    SHARE_STREAM_BYTES = 16 << 20, // of one stream, which Redis keeps until its end
    SHARE_RESULT_BYTES = 8 << 20,
    SHARE_READ_ENTRIES = 8, // in one look
    SHARE_WAITERS_MAX = 4096, // instances' loops
};

struct share_link {
    struct share_link *previous, *next;
};

struct share {
    struct event_base *loop;
    struct mailbox *box;
    struct store *store;
    struct store_client *client;
    struct store_ear *ear;
    char channel[SHARE_NAME_MAX - SHARE_TOKEN_LEN];
    struct event *beat; // runs while there is anything to look after
    struct share_link purchases, remotes, keys; // rings
    struct table *purchases_by_token, *remotes_by_token;
};

// What an instance has relayed of its stream, and for whom.
struct share_waiter {
    char name[SHARE_NAME_MAX + 1];
    bool streams;
    uint64_t heard_ms;
};
struct share_relay {
    struct flight *seat; // NULL: nobody waits. At the purchase's flight
    bool streams;        // the seat takes the stream
    bool is_cut;         // the stream cannot be had any more: those who wait have the whole
    bool is_gone;        // and is no longer in the store
    struct event *pause;
    uint64_t number; // of the last entry
    size_t bytes;
    struct share_waiter *waiters;
    size_t waiter_count;
};

enum share_purchase_state {
    SHARE_ASKED,   // `op` is under way
    SHARE_HELD,    // ours; or so it is taken to be
    SHARE_FOREIGN, // another instance's
};

struct share_purchase {
    struct share_link link; // first
    struct share *share;
    enum share_purchase_state state;
    struct cache_key key;
    char token[SHARE_TOKEN_LEN + 1];
    struct store_op *op;
    struct flight *leader; // the caller's
    bool streams, keeps;
    share_told *told;
    void *arg;
    uint64_t renewed_ms;
    struct share_relay relay;
    // FOREIGN, and what was heard of it before it is followed
    int64_t their_term_ms;
    bool has_more, is_over;
    char their_token[SHARE_TOKEN_LEN + 1];
};

// A ring of links.
void share_ring_add(struct share_link *ring, struct share_link *link);
void share_ring_remove(struct share_link *link);

// Keys in the store: "{HEX}:KIND", and "{HEX}:stream:TOKEN".
struct slice share_name(const struct cache_key *key, const char *kind, char *out, size_t size);
enum { SHARE_STORE_NAME_MAX = 2 * DIGEST_LEN + 48 };
void share_beat_on(struct share *s); // there is something to look after
void share_id_of(const struct share *s, const char *token, struct buffer *out); // "CHANNEL TOKEN"

// share_purchase.c. The claim's script, for a purchase or for who waits for one.
struct share_claim_call {
    const char *mode; // as share_claim.lua says
    const struct cache_key *key;
    const char *token;
    const char *watched;
    bool streams;
};
// `done` NULL: with no answer, and NULL is returned.
struct store_op *share_run_claim(struct share *s, const struct share_claim_call *call,
                                 store_done *done, void *arg);
void share_purchase_free(struct share_purchase *p);
void share_purchase_look_after(struct share_purchase *p, uint64_t now_ms);
void share_count(const char *part, int64_t how_many); // farthing_shared_purchases_total

// share_relay.c
void share_relay_heard(struct share_purchase *p, const struct share_message *m);
void share_relay_look_after(struct share_purchase *p, uint64_t now_ms); // waiters that are gone
// The rest of the stream; the number of its last entry, which is to be written with the end.
// There is no seat, timer or waiter afterwards; again is fine.
uint64_t share_relay_end(struct share_purchase *p, bool whole);

// share_follow.c
struct share_remote; // begins with its link
void share_remote_heard(struct share *s, const struct share_message *m);
void share_remote_look_after(struct share_link *link, uint64_t now_ms);
void share_remote_abandon(struct share_link *link); // its loop ends

#endif
