// The catalogue in memory, as prices_read.c makes it and prices.c looks into it.
#ifndef FARTHING_LEDGER_PRICES_H
#define FARTHING_LEDGER_PRICES_H

#include <stdatomic.h>

#include "farthing/ledger.h"

enum clause_kind {
    CLAUSE_EQUALS, CLAUSE_STARTS, CLAUSE_ENDS, CLAUSE_CONTAINS,
    CLAUSE_LIKE, // `#` is a digit, a last `*` anything: "gpt-6-####-##-##"
    CLAUSE_OR, CLAUSE_AND, CLAUSE_NOT,
};

struct clause {
    enum clause_kind kind;
    struct slice text; // lower case
    struct clause *parts;
    size_t part_count;
};

// A price that holds from a day on, or between two times of each day (UTC).
struct variant {
    const struct price *by_tier; // the standard price, then one for each service tier
    bool priced;                 // in a unit that is known here
    int64_t from_ms;
    int start_minute, end_minute; // -1: all day
};

struct model {
    struct slice id; // lower case
    struct clause match;
    struct variant *variants;
    size_t variant_count;
};

struct service_tier {
    struct slice name;
    int64_t percent; // of every standard price
};

struct vendor {
    struct slice *names, *hosts; // lower case
    size_t name_count, host_count;
    struct slice *fallbacks; // names of those whose models it sells at their price
    size_t fallback_count;
    struct service_tier *service_tiers;
    size_t service_tier_count;
    struct model *models;
    size_t model_count;
};

struct prices {
    struct arena *arena; // holds all of it, this struct too
    _Atomic unsigned references;
    struct slice date, source;
    struct vendor *vendors;
    size_t vendor_count;
};

// From the text of a catalogue into `p`, whose arena is set.
bool prices_read(struct prices *p, struct slice text, struct error *err) FARTHING_MUST_CHECK;

#endif
