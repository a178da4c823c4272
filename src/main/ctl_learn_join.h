// Lines of the file of outcomes (classifier { capture }) as rows with labels.
#ifndef FARTHING_MAIN_CTL_LEARN_JOIN_H
#define FARTHING_MAIN_CTL_LEARN_JOIN_H

#include "ctl_learn.h"

struct ctl_join;

struct ctl_join *ctl_join_new(void);
void ctl_join_free(struct ctl_join *j); // NULL is fine
// Is this line one of outcomes or feedback? (A row that has labels of its own is not.)
bool ctl_join_is_for(const struct json_doc *doc);
// First, every such line of all files, in their order.
void ctl_join_note(struct ctl_join *j, const struct json_doc *doc, struct arena *arena);
// Then each again: what it is now that all others are known. GOOD: a request's own line,
// with its labels.
enum ctl_row_state ctl_join_row(struct ctl_join *j, const struct json_doc *doc,
                                struct arena *arena, struct ctl_row *row);

#endif
