// Values as routing.conf spells them.
#include "spec.h"

// Digits with at most one point, as a whole number of 10^-decimals; false when
// there are more digits behind the point than that.
static bool parse_decimal(struct slice s, unsigned decimals, int64_t *out) {
    int64_t value = 0;
    unsigned behind = 0;
    bool point = false, any = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return false;
        any = true;
        if (point && behind == decimals) {
            if (c != '0')
                return false; // finer than the unit
            continue;
        }
        behind += point;
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(c - '0'), &value))
            return false;
    }
    for (; behind < decimals; behind++)
        if (__builtin_mul_overflow(value, (int64_t)10, &value))
            return false;
    *out = value;
    return any;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool parse_with_unit(struct slice s, const struct unit *units, size_t count, int64_t *out) {
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9')
        digits++;
    int64_t value;
    if (!slice_to_i64(slice_make(s.ptr, digits), &value))
        return false;
    struct slice name = slice_from(s, digits);
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(name, slice_of(units[i].name)))
            return !__builtin_mul_overflow(value, units[i].factor, out);
    return false;
}

bool config_parse_duration(struct slice s, int64_t *ms) {
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (slice_equal(s, SLICE("0"))) {
        *ms = 0;
        return true;
    }
    return parse_with_unit(s, units, FARTHING_COUNT(units), ms);
}

bool config_parse_size(struct slice s, int64_t *bytes) {
    static const struct unit units[] = {{"", 1},          {"k", 1 << 10}, {"kb", 1 << 10},
                                        {"m", 1 << 20},   {"mb", 1 << 20}, {"g", 1 << 30},
                                        {"gb", 1 << 30}};
    return parse_with_unit(s, units, FARTHING_COUNT(units), bytes);
}

bool config_parse_money(struct slice s, config_pico *out) {
    struct slice amount = slice_trim(s);
    struct slice currency = SLICE("usd");
    if (amount.len > currency.len &&
        slice_equal_nocase(slice_from(amount, amount.len - currency.len), currency))
        amount = slice_trim(slice_make(amount.ptr, amount.len - currency.len));
    return parse_decimal(amount, 12, out);
}

bool config_parse_rate(struct slice s, int64_t *per_minute) {
    static const struct unit units[] = {
        {"/min", 1}, {"/m", 1}, {"/minute", 1}, {"/s", 60}, {"/sec", 60}, {"/second", 60}};
    int64_t an_hour;
    static const struct unit hours[] = {{"/h", 1}, {"/hour", 1}};
    if (parse_with_unit(s, hours, FARTHING_COUNT(hours), &an_hour)) {
        *per_minute = an_hour / 60;
        return an_hour >= 60; // less than one a minute is not a rate that can be kept here
    }
    return parse_with_unit(s, units, FARTHING_COUNT(units), per_minute);
}

bool config_parse_milli(struct slice s, int64_t *out) {
    bool negative = slice_starts_with(s, SLICE("-"));
    if (!parse_decimal(slice_from(s, negative), 3, out))
        return false;
    *out = negative ? -*out : *out;
    return true;
}
