// Putting the deltas of a stream together again.
//
// A tree of what has come: strings grow, objects merge, lists merge by
// `index` or grow, other values are replaced. Strings are kept as they were
// escaped, so nothing is decoded and nothing can be lost. What contradicts
// what came before fails: an answer that is not surely right is not kept.
#ifndef FARTHING_PROVIDER_MERGE_H
#define FARTHING_PROVIDER_MERGE_H

#include "farthing/provider.h"

struct merge; // one value of the tree

struct merge_budget {
    size_t bytes_left; // over which merging fails
    bool failed;       // too large, or of a shape that cannot be put together
};

enum merge_lists {
    MERGE_BY_INDEX, // objects with an `index` are elements at that place
    MERGE_GROW,     // every element is a further one
};

struct merge *merge_new(void);
void merge_free(struct merge *m);
// In all of these m may be NULL, as merge_member gives it: nothing happens.
// Merges the value into the tree, as a delta does.
void merge_value(struct merge *m, const struct json_doc *doc, json_ref value,
                 enum merge_lists lists, struct merge_budget *budget);
void merge_append_text(struct merge *m, struct slice escaped, struct merge_budget *budget);
void merge_append_item(struct merge *m, struct slice raw, struct merge_budget *budget);
void merge_set_raw(struct merge *m, struct slice raw, struct merge_budget *budget);

// The member, or a list's member by its index, made if absent. NULL when the
// budget has failed. `name` is the inside of a key as it stands.
struct merge *merge_member(struct merge *m, struct slice name, struct merge_budget *budget);
struct merge *merge_element(struct merge *m, int64_t index, struct merge_budget *budget);
// The member, or NULL.
const struct merge *merge_find(const struct merge *m, struct slice name);
// Elements and members, as they came, until NULL.
const struct merge *merge_first(const struct merge *m);
const struct merge *merge_next(const struct merge *m);
// The element with the least index above `index`, or NULL.
const struct merge *merge_above(const struct merge *list, int64_t index);
struct slice merge_name(const struct merge *m);
int64_t merge_index(const struct merge *m);

bool merge_is_set(const struct merge *m);   // there, and not null
bool merge_is_blank(const struct merge *m); // unset, null, "" or 0
// Of a string its inside, of another single value all.
struct slice merge_text(const struct merge *m);
void merge_write(const struct merge *m, struct buffer *out); // NULL: null

#endif
