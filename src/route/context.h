// What the files of the context budgets share.
#ifndef FARTHING_ROUTE_CONTEXT_H
#define FARTHING_ROUTE_CONTEXT_H

#include "farthing/route.h"

// One message or item, in the order of the request.
struct context_item {
    json_ref ref;
    enum config_context_part part; // of what is not retrieved; TOTAL: of none but the total
    bool pinned;                   // system and developer messages never go
    bool begins_turn;
    int64_t tokens;    // raw, all of it
    int64_t retrieved; // of these
};

// A request taken apart. Zero-initialize; context_items_free to end.
struct context_items {
    enum api_endpoint endpoint;
    const struct json_doc *doc;
    json_ref array; // of the messages; JSON_NONE: there is none
    struct context_item *items;
    size_t count, cap;
    int64_t rest[CONFIG_CONTEXT_PART_COUNT]; // raw tokens outside of the items, by part
};

// `markers`: of the budget for retrieved context; NULL: nothing is told apart as such.
void context_items_read(struct context_items *c, enum api_endpoint e, const struct json_doc *doc,
                        const struct config_slices *markers);
void context_items_free(struct context_items *c);

// Does decoded string begin with these bytes? False for what is no string.
bool context_begins_with(const struct json_doc *doc, json_ref string, struct slice prefix);

// May history be cut before items[at]: is no call before it answered behind it?
// cuts[0..count]: true where it may.
void context_cuts(const struct context_items *c, bool *cuts);

// estimate_input without the items of one array (JSON_NONE: all of it).
int64_t estimate_input_without(enum api_endpoint e, const struct json_doc *doc, json_ref array);

#endif
