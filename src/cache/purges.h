// What was purged by its tags: marks that answers are held against, instead of a
// search for them.
//
// A purge has a number, and leaves a mark: the set of tags that it is for, and the
// number. An answer carries its tags and the number of the last purge that was known
// when its request began. It is there as long as no mark that fits it has a higher
// number: so what was being bought while the purge came is purged, too, and no
// clock decides.
//
// With an embedded store this process gives the numbers, and marks are kept in a
// table of the store. With a shared one its server gives them (purges.lua), so that
// they are the same for all. Until it has done so a mark made here has no number,
// but counts by itself (`waits`): for all but what was asked for after it here.
#ifndef FARTHING_CACHE_PURGES_H
#define FARTHING_CACHE_PURGES_H

#include <stdatomic.h>

#include "farthing/cache.h"

enum {
    // Over it the oldest are made one, which is for all that was born before.
    PURGES_MARKS_MAX = 8192,
    PURGES_FOLDED = PURGES_MARKS_MAX / 8,
    PURGES_NAME_LEN = 18, // of a mark: two hex digits of its kinds, sixteen of its tags
};
#define PURGES_NUMBER_MAX (UINT64_C(1) << 53) // as purges.lua can count

struct purges;
struct purges_share; // purges_share.c

struct purge_mark {
    char name[PURGES_NAME_LEN + 1];
    uint64_t number;
    uint64_t waits; // 0: the shared store knows it; else the how-manieth purge of this process
};

// Any thread, but for the life and for purges_share and purges_unshare: those are the
// loop's, the first before it runs.
struct purges *purges_new(struct store *store); // NULL: kept nowhere
void purges_free(struct purges *p);
struct cache_birth purges_birth(const struct purges *p);
bool purges_allow(struct purges *p, const struct cache_key *key, const struct cache_answer *a);
// Changes with each mark: what was allowed is so until then. 0: there is no mark.
uint64_t purges_version(const struct purges *p);
// Nothing of the shared store is to be used before its marks are known.
bool purges_are_unknown(const struct purges *p);
void purges_order(struct purges *p, const struct cache_purge_tags *tags);
void purges_view(struct purges *p, struct cache_purges_view *out);

void purges_share(struct purges *p, struct store_client *client, struct event_base *loop);
void purges_unshare(struct purges *p);

// ------------------------------------------- between purges.c and purges_share.c

struct store *purges_store(const struct purges *p);
// The last that came from the shared store, with all before it.
uint64_t purges_seen(const struct purges *p);
// The marks, a line each: "NUMBER NAME", of those that the shared store knows or
// gave; and of those that it has yet to take the names alone. `local` says up to which.
void purges_write(struct purges *p, struct buffer *known, struct buffer *waiting, uint64_t *local);
// What the shared store answered; those that waited, up to `local`, are among it.
bool purges_learn(struct purges *p, struct slice answer, uint64_t local,
                  uint64_t *latest) FARTHING_MUST_CHECK;
// Of purges_share.c, to purges.c: something waits.
void purges_share_wake(struct purges_share *s);
void purges_attach(struct purges *p, struct purges_share *s); // NULL: none
struct purges_share *purges_attached(struct purges *p);

#endif
