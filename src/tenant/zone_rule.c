// POSIX TZ strings with the extensions of RFC 9636, 3.3.1: times of day between
// -167 and 167 hours.
#include "window.h"
#include "zone.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

// ------------------------------------------------------------------- reading

static bool take_char(struct slice *s, char c) {
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Three letters or more, or anything in angle brackets.
static bool take_name(struct slice *s) {
    size_t n = 0;
    if (take_char(s, '<')) {
        while (n < s->len && s->ptr[n] != '>')
            n++;
        if (n < 3 || n == s->len)
            return false;
        *s = slice_from(*s, n + 1);
        return true;
    }
    while (n < s->len && is_letter(s->ptr[n]))
        n++;
    *s = slice_from(*s, n);
    return n >= 3;
}

static bool take_number(struct slice *s, int least, int most, int *out) {
    size_t n = 0;
    int value = 0;
    while (n < s->len && n < 4 && s->ptr[n] >= '0' && s->ptr[n] <= '9')
        value = value * 10 + (s->ptr[n++] - '0');
    *s = slice_from(*s, n);
    *out = value;
    return n > 0 && value >= least && value <= most;
}

// [+-]hh[:mm[:ss]]
static bool take_time(struct slice *s, int hours_most, int32_t *out) {
    int hours, minutes = 0, seconds = 0;
    bool negative = take_char(s, '-');
    if (!negative)
        (void)take_char(s, '+');
    if (!take_number(s, 0, hours_most, &hours))
        return false;
    if (take_char(s, ':')) {
        if (!take_number(s, 0, 59, &minutes))
            return false;
        if (take_char(s, ':') && !take_number(s, 0, 59, &seconds))
            return false;
    }
    int32_t all = hours * HOUR + minutes * MINUTE + seconds;
    *out = negative ? -all : all;
    return true;
}

static bool take_change(struct slice *s, struct zone_change *out) {
    *out = (struct zone_change){.kind = ZONE_DAY_OF_YEAR, .time = 2 * HOUR};
    bool ok;
    if (take_char(s, 'M')) {
        out->kind = ZONE_WEEKDAY_OF_MONTH;
        ok = take_number(s, 1, 12, &out->month) && take_char(s, '.') &&
             take_number(s, 1, 5, &out->week) && take_char(s, '.') &&
             take_number(s, 0, 6, &out->day);
    } else if (take_char(s, 'J')) {
        out->kind = ZONE_JULIAN;
        ok = take_number(s, 1, 365, &out->day);
    } else {
        ok = take_number(s, 0, 365, &out->day);
    }
    return ok && (!take_char(s, '/') || take_time(s, 167, &out->time));
}

// Offsets in these strings count westwards.
bool zone_rule_parse(struct slice s, struct zone_rule *out) {
    *out = (struct zone_rule){0};
    int32_t west;
    if (!take_name(&s) || !take_time(&s, 24, &west))
        return false;
    out->standard = -west;
    if (s.len == 0)
        return true;
    out->has_summer = true;
    out->summer = out->standard + HOUR;
    if (!take_name(&s) || s.len == 0)
        return false;
    if (s.ptr[0] != ',') {
        if (!take_time(&s, 24, &west))
            return false;
        out->summer = -west;
    }
    return take_char(&s, ',') && take_change(&s, &out->start) && take_char(&s, ',') &&
           take_change(&s, &out->end) && s.len == 0;
}

// ------------------------------------------------------------------- asking

static bool is_leap(int64_t year) {
    return window_month_day(year, 3) - window_month_day(year, 2) == 29;
}

static int64_t day_of(const struct zone_change *c, int64_t year) {
    int64_t first;
    switch (c->kind) {
    case ZONE_JULIAN:
        return window_month_day(year, 1) + c->day - 1 + (c->day >= 60 && is_leap(year));
    case ZONE_DAY_OF_YEAR:
        return window_month_day(year, 1) + c->day;
    case ZONE_WEEKDAY_OF_MONTH:
        break;
    }
    first = window_month_day(year, c->month);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; // 1970-01-01 was a Thursday
    int64_t day = first + (c->day - weekday + 7) % 7 + 7 * (c->week - 1);
    return day < window_month_day(year, c->month + 1) ? day : day - 7;
}

int32_t zone_rule_offset(const struct zone_rule *rule, int64_t seconds, int64_t *until) {
    *until = INT64_MAX;
    if (!rule->has_summer)
        return rule->standard;
    // Times of day of up to a week: the changes of three years are looked at. Where
    // summer ends at the moment at which it begins again, it goes on.
    int64_t year = window_year_of(seconds / DAY), last = INT64_MIN;
    int32_t offset = rule->standard;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t start = day_of(&rule->start, y) * DAY + rule->start.time - rule->standard;
        int64_t end = day_of(&rule->end, y) * DAY + rule->end.time - rule->summer;
        if (end <= seconds && end > last) {
            last = end;
            offset = rule->standard;
        }
        if (start <= seconds && start >= last) {
            last = start;
            offset = rule->summer;
        }
        if (end > seconds && end < *until)
            *until = end;
        if (start > seconds && start < *until)
            *until = start;
    }
    return offset;
}
