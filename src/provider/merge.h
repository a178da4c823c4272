// Putting the deltas of a stream together again.
//
// A tree of what has come: strings grow, objects merge, lists merge by
// `index` or grow, other values are replaced. Strings are kept as they were
// escaped, so nothing is decoded and nothing can be lost.
#ifndef FARTHING_PROVIDER_MERGE_H
#define FARTHING_PROVIDER_MERGE_H

#include "farthing/provider.h"

struct merge; // one value of the tree

struct merge_budget {
    size_t bytes_left; // over which merging fails
    bool failed;       // too large, or of a shape that cannot be put together
};

struct merge *merge_new(void);
void merge_free(struct merge *m);
// Merges the value into the tree, as a delta does.
void merge_value(struct merge *m, const struct json_doc *doc, json_ref value,
                 struct merge_budget *budget);
// The member (made if absent; never NULL), or NULL when there is none.
struct merge *merge_member(struct merge *m, struct slice name);
const struct merge *merge_find(const struct merge *m, struct slice name);
// A member of a list by its index (made if absent).
struct merge *merge_element(struct merge *m, int64_t index);
void merge_append_text(struct merge *m, struct slice escaped, struct merge_budget *budget);
void merge_set_raw(struct merge *m, struct slice raw, struct merge_budget *budget);
void merge_drop(struct merge *m, struct slice name);
bool merge_is_set(const struct merge *m); // and not null
size_t merge_text_len(const struct merge *m);
struct slice merge_text(const struct merge *m);
void merge_write(const struct merge *m, struct buffer *out);
// Elements and members, in their order, until NULL.
const struct merge *merge_first(const struct merge *m);
const struct merge *merge_next(const struct merge *m);
struct slice merge_name(const struct merge *m);
int64_t merge_index(const struct merge *m);

#endif
