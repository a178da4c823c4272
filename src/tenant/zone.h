// Time zones as the system keeps them (TZif, RFC 9636): the offset from UTC at
// any moment. The C library knows one zone a process; budgets need several, on
// several threads. Immutable once made.
#ifndef FARTHING_TENANT_ZONE_H
#define FARTHING_TENANT_ZONE_H

#include "farthing/base.h"

struct zone;

// From the bytes of a file. NULL with err where they are none, or count leap
// seconds. Pure.
struct zone *zone_parse(struct slice bytes, struct error *err);
// By name ("Europe/Berlin") from the system's directory. Blocks.
struct zone *zone_load(struct slice name, struct error *err);
void zone_free(struct zone *z);

// Seconds east of UTC at `seconds` (Unix), and the moment after it until which
// that is known to hold (INT64_MAX: for ever).
int32_t zone_offset(const struct zone *z, int64_t seconds, int64_t *until);
// The first moment at which the local clock shows `local` (as if it were Unix
// time) or more: where the clock leaps over it, the moment of the leap.
int64_t zone_moment(const struct zone *z, int64_t local);

// zone_rule.c: what holds after the last change that a file tells, as a POSIX TZ
// string says it ("CET-1CEST,M3.5.0,M10.5.0/3").
enum zone_day { ZONE_JULIAN, ZONE_DAY_OF_YEAR, ZONE_WEEKDAY_OF_MONTH };
struct zone_change {
    enum zone_day kind;
    int day;         // of the year: 1..365 without February 29, 0..365 with; of the week: 0 Sunday
    int month, week; // week 5: the last
    int32_t time;    // seconds of the local clock before the change; may be below 0 or above a day
};
struct zone_rule {
    int32_t standard, summer; // seconds east of UTC
    bool has_summer;
    struct zone_change start, end; // of summer
};
bool zone_rule_parse(struct slice text, struct zone_rule *out) FARTHING_MUST_CHECK;
int32_t zone_rule_offset(const struct zone_rule *rule, int64_t seconds, int64_t *until);

#endif
