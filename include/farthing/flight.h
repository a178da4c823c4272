// cache, single flight: requests with the same key that are under way at the
// same time are one purchase, across all loops, whole and streamed mixed.
//
// Who asks first is the LEADER and buys. Who asks while that runs is a
// FOLLOWER and gets what the leader publishes: the stream's bytes from their
// beginning and then live, or the whole answer at the end. When the leader
// fails, exactly one of those who have been given nothing yet becomes the
// leader and buys anew; the others stay followers, now its.
//
// Threads. A `struct flight` is one request's seat. It belongs to the loop
// that called flight_join: all its functions are called there, and all its
// callbacks come there, out of the mailbox, with no lock held and never from
// within a flight function. `struct flights` is anybody's.
//
// Ownership. Each seat is given back by exactly one flight_leave, whatever
// happened before. After it has returned no callback comes, though mail may
// still be under way; it may be called within any callback. All seats must
// have been left before flights_free, and a mailbox is freed (as base.h says)
// after all loops have stopped; that then also frees seats whose mail is left.
//
// A leader looks into the cache once more after it joined: the purchase that
// it missed may have landed between its first look and its join. For the same
// reason a leader puts its answer into the cache before flight_finish.
//
// Across instances that share a store a leader is one of several: see share.h, which
// leads a flight here for an owner elsewhere.
//
// SHARED AND UNSHARED purchases of one key do not know of each other. What may
// not be shared by first tries (FLIGHT_LEAD_ONLY) can still be found by the
// retries of the same request (FLIGHT_FIND).
//
// SEATS THAT KEEP (flight_member.keep_all) are of requests that promise one
// result, whoever asks again and whenever (idempotency.h). While such a seat is
// at a purchase, leading or following,
//   - its stream is kept from its beginning up to keep_bytes, not join_bytes;
//   - beyond that another seat that keeps is told FLIGHT_FULL, and never buys
//     the same beside it;
//   - when it has ended with a result, another seat that keeps is still given
//     that, until on_finish of each that kept has returned. So who writes the
//     result down within on_finish leaves no gap. (A leader writes it down
//     before flight_finish.)
#ifndef FARTHING_FLIGHT_H
#define FARTHING_FLIGHT_H

#include "farthing/base.h"
#include "farthing/cache.h"

struct flights_options {
    // Of one stream. Up to join_bytes all of it is kept and anyone may join.
    // Beyond that the purchase is full: who asks now starts another one, and
    // bytes that every follower has read are freed.
    size_t join_bytes;
    // The same for a purchase with a seat that keeps. Not less than join_bytes;
    // 0: sixteen times as much.
    size_t keep_bytes;
    // How far a follower of a full purchase may lag behind its stream before
    // the next append lets it go (FLIGHT_BEHIND): about this, and one append,
    // is held for a stream at most. Not less than join_bytes (of a purchase
    // that was kept: keep_bytes); 0: four times join_bytes.
    size_t hold_bytes;
};

struct flights;
struct flights *flights_new(const struct flights_options *options);
void flights_free(struct flights *all); // NULL is fine

// What a member of a key gets, by what runs under it. "Open" is a purchase
// that anyone may join; "full" one that seats that keep are at and whose stream
// is beyond keep_bytes; what is over join_bytes and not kept is as none.
//
//   wish               none         open         full, and this one keeps
//   FLIGHT_SHARE       leader       follower     FLIGHT_FULL
//   FLIGHT_LEAD_ONLY   leader       FLIGHT_ALONE FLIGHT_ALONE
//   FLIGHT_FIND        leader       follower     FLIGHT_FULL
//
// A full one is as none to who does not keep: it leads another purchase.
enum flight_wish {
    FLIGHT_SHARE,     // may be one purchase with whoever asks the same
    FLIGHT_LEAD_ONLY, // a first try of what must not be shared
    FLIGHT_FIND,      // a retry of that
};

enum flight_role {
    FLIGHT_LEADER,
    FLIGHT_FOLLOWER,
    // No seat (flight_join returned NULL):
    FLIGHT_ALONE, // it buys by itself, and nobody can follow
    FLIGHT_FULL,  // it runs, and can no longer be had from its beginning: come back later
};

enum flight_end {
    FLIGHT_DONE,    // bought
    FLIGHT_REFUSED, // an error that everybody would get: `status` and the answer's body are it
    FLIGHT_FAILED,  // nothing, or not all of it
    FLIGHT_BEHIND,  // followers only: it read too slowly, and the rest is gone
};

// Constant tables of the caller. A seat gets on_more and on_finish while it
// follows, and on_promote and on_alone from when it leads.
struct flight_callbacks {
    // There is something to read, where flight_read said that there was nothing
    // (or was never called). It may have gone again: the leader failed.
    // Only for seats that take a stream.
    void (*on_more)(void *arg);
    // The purchase ended, once, as the last callback; the seat is still to be
    // left. What the stream has had until then can still be read, at the
    // seat's own pace: with DONE that is all of it, with FAILED it breaks off
    // there, with BEHIND nothing is left to read.
    // `entry` is flight_finish's `answer`, and the callback's to release; NULL
    // with FAILED and BEHIND, and where there was none. It is in no cache.
    void (*on_finish)(void *arg, enum flight_end end, int status, struct cache_entry *entry);
    // The leader failed and this seat, which had been given nothing, leads: it
    // buys as if flight_join had said LEADER. One that cannot leaves, and the
    // next is asked.
    void (*on_promote)(void *arg);
    // The last follower left, and none has come since: a leader whose own
    // client has gone can stop (flight_finish FAILED: one who joins just then
    // is promoted).
    void (*on_alone)(void *arg);
};

struct flight_member {
    struct mailbox *box; // of the calling loop; outlives the seat
    // It takes a stream's bytes when there are any. Otherwise it waits for the
    // whole answer, and holds none of the stream's memory.
    bool streams;
    const struct flight_callbacks *on;
    void *arg;
    enum flight_wish wish;
    bool keep_all; // see "seats that keep" above
};

// NULL: without a seat, and *role says why. Never with FLIGHT_SHARE or
// FLIGHT_FIND of a member that does not keep.
struct flight;
struct flight *flight_join(struct flights *all, const struct cache_key *key,
                           const struct flight_member *member,
                           enum flight_role *role) FARTHING_MUST_CHECK;
// A leader that has not finished fails by it.
void flight_leave(struct flight *f);

// The purchase turns out to be somebody else's affair: a leader that has begun no
// stream becomes its first follower (from here on it gets a follower's callbacks,
// and is the first to be promoted), and the seat that is returned leads. Both are
// of one loop. The wish is the leader's.
struct flight *flight_hand_over(struct flight *f,
                                const struct flight_member *member) FARTHING_MUST_CHECK;
// A follower's seat at the very purchase that `leader` leads, and on its loop; for
// who takes what is bought elsewhere. NULL: it streams, and comes too late to have
// the stream from its beginning.
struct flight *flight_attend(struct flight *leader,
                             const struct flight_member *member) FARTHING_MUST_CHECK;

// ---------------------------------------------------------- the leader

// The answer is a stream. `head` says what is known before it (content type,
// provider, model, tier; no body) and is copied. Followers see it with the
// first bytes. Once at most.
void flight_begin_stream(struct flight *f, const struct cache_answer *head);
// The next bytes, as a client gets them before any change for that client
// alone. Copied; costs nothing once nobody can ever read them.
void flight_append(struct flight *f, struct slice bytes);
// Once; flight_leave is all that may follow. `status` is the answer's, for
// what followers tell their clients.
//   DONE     All have it. `answer` is the whole answer, for those who wait for
//            one and for what it cost; copied when there are followers. When a
//            stream could not be assembled its body is empty (or it is NULL):
//            those who wait for a whole answer go on as after FAILED.
//   REFUSED  `answer` has the error's body; only before any bytes.
//   FAILED   `answer` is not looked at. Followers that have read of the stream
//            get on_finish(FAILED); the first of the others is promoted.
void flight_finish(struct flight *f, enum flight_end end, int status,
                   const struct cache_answer *answer);
// How many follow now.
size_t flight_followers(const struct flight *f);
static inline bool flight_has_followers(const struct flight *f) {
    return flight_followers(f) > 0;
}
bool flight_has_readers(const struct flight *f); // does one of them take the stream?

// ------------------------------------------------------------ followers

// The next run of the stream's bytes: in order, each once, from the first one
// on. They stay where they are until this seat's next flight_read or
// flight_leave, or its on_finish(BEHIND). False: nothing now; on_more tells
// when there is, or on_finish has come and that was all. Only who has read is
// bound to this purchase: a reply to the client must not begin before the first
// bytes, since the leader may fail and another stream be bought.
bool flight_read(struct flight *f, struct slice *bytes) FARTHING_MUST_CHECK;
// What flight_begin_stream was told; once something was read, until
// flight_leave. Before that NULL.
const struct cache_answer *flight_head(const struct flight *f);

// ---------------------------------------------------------------- figures

struct flights_stats {
    int64_t purchases, followers, held_bytes; // now
    int64_t led, joined, promoted, behind;    // ever
    int64_t turned_away;                      // FLIGHT_FULL, ever
};
void flights_stats_get(struct flights *all, struct flights_stats *out);

#endif
