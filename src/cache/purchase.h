// Single flight, what is under the lock: purchases, the seats at them, and the
// steps that change both. See farthing/flight.h for what they are.
#ifndef FARTHING_CACHE_PURCHASE_H
#define FARTHING_CACHE_PURCHASE_H

#include <pthread.h>

#include "chain.h"
#include "entry.h"
#include "farthing/flight.h"

enum {
    // Fixed tables: as many purchases as run at once are some thousands, and a
    // lock is held for some 50 ns.
    FLIGHT_SHARDS = 64,
    FLIGHT_BUCKETS = 64,
};

enum news { // bits of `pending`; in the order in which they are told
    NEWS_MORE = 1,
    NEWS_FINISH = 2,
    NEWS_PROMOTE = 4,
    NEWS_ALONE = 8,
};

enum seat_state {
    SEAT_LEADING,   // its purchase's `leader`
    SEAT_FOLLOWING, // in its purchase's queue
    SEAT_SERVED,    // as SEAT_ENDED; until it was told so its landed purchase stays
    SEAT_ENDED,     // in no purchase; `end`, `status` and `entry` say how
};

// A seat. Made and freed by its own loop.
struct flight {
    struct mail mail; // first: who has the mail has the seat
    struct shard *shard;
    struct mailbox *box;
    bool streams, keeps;
    enum flight_wish wish;
    // Its loop's alone. on NULL: it has left, and is only there for its mail.
    const struct flight_callbacks *on;
    void *arg;
    // All below is under the shard's lock.
    enum seat_state state;
    struct purchase *purchase;
    struct flight *older, *newer; // in the queue
    unsigned pending;             // news to tell
    bool posted;                  // its mail is under way, or being read
    bool hungry;                  // has not been told of bytes since it had read all
    struct cursor at;
    struct cache_entry *head; // of the stream that `at` is in
    enum flight_end end;
    int status;
    struct cache_entry *entry;
};

enum purchase_state {
    PURCHASE_OPEN,   // anyone may join
    PURCHASE_FULL,   // its stream is too long; those who follow go on
    PURCHASE_DEAF,   // and none of them reads it: it is no longer kept
    PURCHASE_LANDED, // over; who keeps may still have it, until `keepers` were told
};

// From the first seat's joining to the landing that leaves nobody; all that
// time in its bucket.
struct purchase {
    struct cache_key key;
    bool unshared;
    enum purchase_state state;
    struct purchase *next_in_bucket;
    struct flight *leader;          // always one, until it has landed
    struct flight *oldest, *newest; // the queue of followers
    size_t followers, readers;      // of those: readers take the stream
    size_t keepers;                 // of leader and followers; landed: seats in SEAT_SERVED
    size_t hold_bytes;              // how far a follower may lag when it is full
    struct cache_entry *head;       // NULL: no stream has begun
    struct chain chain;             // extended by the leader's loop alone
    enum flight_end end; // landed: how
    int status;
    struct cache_entry *entry;
};

struct shard {
    pthread_mutex_t lock; // never held over a callback, mail, or the copy of an answer
    struct purchase *buckets[FLIGHT_BUCKETS];
    struct flights *all;
    struct flights_stats stats; // held_bytes is not kept here
};

struct flights {
    struct shard shards[FLIGHT_SHARDS];
    struct flights_options options;
    _Atomic int64_t held;
};

// What a step leads to, and is done when the lock is released: mail to post,
// memory to free.
struct later {
    struct mail *mails;
    struct chunk *chunks[3];
    struct cache_entry *head, *entry;
    struct purchase *purchase;
};
void later_do(struct later *l);

// The role of a newcomer with this key, and the purchase that it is about:
// which it follows, or (no seat) for which it has none. NULL: it leads.
enum flight_role purchase_role(struct shard *s, const struct cache_key *key,
                               const struct flight *f, struct purchase **met);
void purchase_start(struct shard *s, struct purchase *p, struct flight *leader);
// One that has landed serves the newcomer at once.
void purchase_follow(struct shard *s, struct purchase *p, struct flight *f, struct later *l);
void purchase_unfollow(struct shard *s, struct flight *f, struct later *l);
// `from` leads and has published nothing; afterwards `to` does, and it follows.
void purchase_hand_over(struct shard *s, struct flight *from, struct flight *to);
// A seat in SEAT_SERVED was told, or is left.
void purchase_told(struct shard *s, struct flight *f, struct later *l);

// The leader's next bytes are in `more`.
void purchase_extend(struct shard *s, struct purchase *p, const struct chain_extension *more,
                     struct later *l);
// The leader's part is over. Whom it served is cut off; the others get a new
// leader in the same step.
void purchase_land(struct flight *leader, enum flight_end end, int status,
                   struct cache_entry *entry, struct later *l);

bool seat_has_read(const struct flight *f);
// So that the seat keeps the stream from its first byte, whatever becomes of
// the purchase. Nothing where there is no stream or it has that already.
void seat_hold_stream(struct flight *f, const struct purchase *p);

#endif
