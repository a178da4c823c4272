// cache, what instances do together about purchases: single flight (flight.h) and
// Idempotency-Keys (idempotency.h) among all that share one store.
//
// A PURCHASE has one owner among the instances: who holds the claim on its key, for
// some seconds, and renews it while it buys. The leader of a flight asks for it
// (share_ask) when nobody in its own instance buys. Where it is another's, the
// leader hands its flight over (share_follow): its instance then follows the owner,
// for all of its own followers, and gives them what the owner gives: the stream
// live, where one of them takes it, and the result. When the owner ends without a
// result, or is not heard of until its claim is over, the flight fails: the first
// of its followers is promoted and asks anew, and one of all instances gets the claim.
//
// THE ORDER that makes it exact: what was bought is put into the store before the
// claim is given back (share_finish, after cache_insert), and who gets a claim looks
// into the store once more, after it has got it.
//
// A KEY is held by every request that has it, by its first holder's fingerprint and
// purchase, until the last gives it back. It stands to idempotency_claim as a
// purchase's claim stands to flight_join.
//
// An owner that is held up for longer than its claim lasts is succeeded while it may
// still buy: two results, of which the later one stays. And what Redis loses (a
// failover, a restart without its memory) is claimed anew by who renews it, within
// some seconds; until then another may claim it, too.
//
// Of one loop, but for what lies in the store. Nothing here is called with the
// embedded store.
#ifndef FARTHING_SHARE_H
#define FARTHING_SHARE_H

#include "farthing/cache.h"
#include "farthing/flight.h"
#include "farthing/store.h"

struct event_base;

struct share; // one loop's
struct share *share_new(struct event_base *loop, struct mailbox *box, struct store *store,
                        struct store_client *client);
// After all purchases were finished and all keys released; what it follows fails.
// Before its client is freed. NULL is fine.
void share_free(struct share *s);

// --------------------------------------------------------------- purchases

enum share_word {
    SHARE_OURS,    // to be bought here, and share_finish says what came of it
    SHARE_THEIRS,  // another instance buys it: share_follow, or share_finish
    SHARE_NO_WORD, // as ours, as far as anybody knows: the store did not answer
};
struct share_purchase;
typedef void share_told(void *arg, enum share_word word);

// `leader` leads the flight of `key` on this loop until share_finish or share_follow;
// `streams` and `keeps` as of its member. Never calls back before it has returned, nor
// after share_finish. *asked false: the store is away, and nothing will be told. As after
// SHARE_NO_WORD the purchase is claimed some two seconds after it is there again.
struct share_purchase *share_ask(struct share *s, const struct cache_key *key,
                                 struct flight *leader, bool streams, bool keeps,
                                 share_told *told, void *arg, bool *asked) FARTHING_MUST_CHECK;
// Exactly once, unless it is followed; at any time; before flight_finish of the
// leader, with the same, and after the result was put into the cache.
void share_finish(struct share_purchase *p, enum flight_end end, int status,
                  const struct cache_answer *answer);
// After SHARE_THEIRS: the leader is a follower from here on (flight_hand_over).
void share_follow(struct share_purchase *p);

// -------------------------------------------------------------------- keys

enum share_standing {
    SHARE_KEY_FIRST,   // nobody else holds it
    SHARE_KEY_SAME,    // others do, who asked the same
    SHARE_KEY_OTHER,   // others do, who asked something else: it is not held
    SHARE_KEY_NO_WORD, // the store did not answer
};
struct share_key;
// `purchase` is what holders of the key buy under: the first one's.
typedef void share_held(void *arg, enum share_standing standing, const struct cache_key *purchase);

// NULL: the store is away. Given back by share_key_release, whatever was said; never
// calls back before it has returned, nor after that.
struct share_key *share_key_hold(struct share *s, const struct cache_key *name,
                                 const struct cache_key *fingerprint,
                                 const struct cache_key *purchase, share_held *held,
                                 void *arg) FARTHING_MUST_CHECK;
void share_key_release(struct share_key *k);

#endif
