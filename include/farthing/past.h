// route, past success: how often was an answer of this tier good enough, for this
// feature of this tenant? From what gates and people said of answers, so that a rule
// may send what fails too often to a better tier (max_past_success).
//
// What is old fades, for two reasons: models and prompts change; and a tier that is
// not asked any more, because it failed, gets no new outcomes: its figure must become
// unknown again, so that it is given another chance.
#ifndef FARTHING_PAST_H
#define FARTHING_PAST_H

#include "farthing/json.h"

enum {
    PAST_ENOUGH = 10,   // outcomes, below which nothing is said
    PAST_MEMORY = 100,  // outcomes that count at most: the last about so many
    PAST_HALF_LIFE_MS = 24 * 60 * 60 * 1000, // after which an outcome counts half
    // Features are the client's word, so what is kept is bounded. What does not fit is not
    // tracked: its percentage stays unknown.
    PAST_TENANT_MAX = 1024, // features times tiers of one tenant, about
    PAST_MAX = 16384,       // of all
    PAST_KEY_MAX = 512,     // bytes of the three names together
};

struct past; // shared by all loops, small and sharded

struct past *past_new(void);
void past_free(struct past *p); // NULL is fine

// Any thread. Nothing is allocated but for what was not seen before. An empty feature
// is one of its own. Shadows: under the tenant and the feature of the request that
// they repeat.
void past_note(struct past *p, struct slice tenant, struct slice feature, struct slice tier,
               bool ok);
// 0 to 100; CONFIG_UNSET (-1) until enough is known. Any thread.
int64_t past_percent(struct past *p, struct slice tenant, struct slice feature,
                     struct slice tier);
size_t past_count(struct past *p); // what is tracked

// Among instances that share a store. A JSON array appended to `out`, as far as it fits
// into `room` bytes, the rest the next time: what was noted here since the last time.
// `all`: of what is known enough, for one that knows less. False: there is nothing, and
// nothing was appended. One thread at a time.
bool past_tell(struct past *p, struct buffer *out, size_t room, bool all);
// Such an array of another instance, `all` as it was told: where that one saw more, its
// counts replace these; otherwise they are added. Whatever is in it: what cannot be is
// passed over, and the bounds hold. Any thread.
void past_hear(struct past *p, const struct json_doc *doc, json_ref rows, struct arena *arena,
               bool all);

#endif
