// tenant, idempotency: what is in flight under a client's Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header), on all loops. What is finished
// stands elsewhere: in a cache (cache.h) with a space of its own in the store,
// under the same key and with the same fingerprint.
//
// THE ORDER that makes it exact. A request with a key
//   1. claims the key;
//   2. looks for a finished record: memory, then the store;
//   3. joins the purchase that the claim names, as a seat that keeps (flight.h);
//   4. when it has its seat, leading or following, and again when it comes to
//      lead: if idempotency_is_recorded(claim), looks once more, as in 2. The
//      purchase that it is at may be another than the one that led to the record;
//   5. writes a result down, and then says idempotency_recorded(claim): a leader
//      before flight_finish, a follower within on_finish;
//   6. leaves its seat, and then releases the claim.
// It buys as a leader only: one that finds no way to be served by the purchase
// that it followed joins again (3). A request without the right to buy beside
// another (FLIGHT_FULL) says 409.
//
// So two requests with one key never both get a result bought. Let A be a
// request that led to a result, and B a later or simultaneous one of the same
// key. Both hold claims of one record, or A's was released before B's was made.
//   - Released before: A's result was written down before that, and B claims
//     before it looks (1, 2): it finds it.
//   - One record: B follows A's purchase and is given its result; or that has
//     ended when B joins, and so A had said idempotency_recorded (5, where A
//     leads: before flight_finish), so that B, whether it now leads or follows
//     a later purchase, looks again (4) and finds it. Where A only followed
//     somebody without the key, the ended purchase stays for B to join until A
//     has written it down and said so (flight.h).
//   - Where B was first to a result, A and B change places.
// Those who took part in a purchase that failed have nothing written down, and
// one of them, or the next who comes, buys again.
//
// AMONG INSTANCES that share a store the same order holds, with share.h beside this:
// the key is held there too (1), the purchase that its first holder named is joined
// (3), and who comes to lead asks for the purchase's claim and looks for a record once
// more after it was given (4). Where the store does not answer, a request with a key is
// refused, unless the configuration has each instance go on by itself. One gap is left:
// who follows, in its own instance, a purchase of another that was begun without the
// store's word (which a request without a key may) may so have one result, and somebody
// elsewhere with the same key another.
//
// A result that could not be written down (over the bound of what is kept, the
// disk full) is gone with its last claim, as is what a process had in flight that
// died: the next request buys. And a stream that could not be put together as a
// whole answer serves none but streams: who wants the whole buys that.
#ifndef FARTHING_IDEMPOTENCY_H
#define FARTHING_IDEMPOTENCY_H

#include "farthing/base.h"

enum { IDEMPOTENCY_KEY_MAX = 255 };

// The key that a header's value says: 1 to 255 characters of printable ASCII, as
// a quoted string of RFC 8941 (the draft's form) or bare (what clients send);
// both spellings of one key are the same key. *key lies in `value` or in `arena`.
bool idempotency_read_key(struct slice value, struct arena *arena, struct slice *key,
                          struct error *err) FARTHING_MUST_CHECK;

struct idempotency_digest {
    uint8_t bytes[DIGEST_LEN];
};

// Whose key it is: under which it is claimed, and kept when finished.
// `provider_key` is the digest of the client's own provider key where clients
// bring one and one tenant may be many of them; otherwise NULL.
void idempotency_name(struct slice tenant, const uint8_t provider_key[DIGEST_LEN],
                      struct slice key, struct idempotency_digest *name);

// ------------------------------------------------------------- in flight

struct idempotency; // the process's; any thread
struct idempotency *idempotency_new(void);
void idempotency_free(struct idempotency *all); // all claims released; NULL is fine

enum idempotency_standing {
    IDEMPOTENCY_FIRST, // nobody else holds the key
    IDEMPOTENCY_SAME,  // others do, who asked the same
    // Others do, who asked something else: no claim. A finished record with this
    // fingerprint still serves it (the others then are those to be refused);
    // otherwise 422.
    IDEMPOTENCY_OTHER,
};

// A share in what is in flight under a key: it is there, and refuses every other
// fingerprint, while anyone holds one, whoever came first. Any thread.
struct idempotency_claim;

// `fingerprint` says what was asked. *purchase: the key under which this request
// would buy (flight_join's); unless it is the first, it then is the first's, and
// to be joined. *claim is NULL with IDEMPOTENCY_OTHER. Copies all it is given.
enum idempotency_standing idempotency_claim(struct idempotency *all,
                                            const struct idempotency_digest *name,
                                            const struct idempotency_digest *fingerprint,
                                            struct idempotency_digest *purchase,
                                            struct idempotency_claim **claim) FARTHING_MUST_CHECK;
// Exactly once for each claim.
void idempotency_release(struct idempotency_claim *claim);

// A result now stands under this key, and is found there by who looks from here on.
void idempotency_recorded(struct idempotency_claim *claim);
// Somebody who holds or held a claim since this one was made has said so.
bool idempotency_is_recorded(const struct idempotency_claim *claim);

struct idempotency_stats {
    int64_t keys, claims;       // in flight now
    int64_t joined, mismatched; // SAME and OTHER, ever
};
void idempotency_stats_get(struct idempotency *all, struct idempotency_stats *out);

#endif
