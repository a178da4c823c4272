// What routing saved, as /savings tells it: sums of rows, route by route.
#ifndef FARTHING_ADMIN_SAVINGS_H
#define FARTHING_ADMIN_SAVINGS_H

#include "admin_room.h"

// Requests whose answers were judged, and those that nothing was found wrong with.
struct saving_judged {
    int64_t requests, judged, good;
};

// Of one tier of one route.
struct saving_tier {
    struct slice name;
    struct saving_judged chosen;   // it was chosen; good: and it did it itself
    struct saving_judged answered; // the answer is its
    struct saving_judged shadow;
    struct money shadow_cost;
};

enum { SAVING_TIERS_MAX = 32 }; // beyond them: "other"

struct saving_route {
    struct slice name; // empty: what no route matched
    const struct config_route *route; // NULL: the file has it no more, or never
    const struct config_tier *first, *last; // of its chain
    struct saving_tier tiers[SAVING_TIERS_MAX];
    size_t tier_count;
    struct saving_judged all, canary;
    int64_t escalated, retries, while_off;
    struct ledger_saving saving;
    bool small_known; // what the first tier alone would have cost
    struct money small_cost;
    struct saving_route *next;
};

// One answer in the making.
struct saving_page {
    struct admin *admin;
    int64_t since_ms, window_ms;
    struct arena *arena;
    int64_t rows;
    struct slice oldest; // `ts` of them
    bool truncated;      // there are more rows in the window, older ones
    struct saving_route *routes, **end; // in the order of the file, others after them
};

// savings_page.c
void saving_page_write(struct json_writer *w, const struct saving_page *page);

#endif
