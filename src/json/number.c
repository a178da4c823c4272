// Numbers by value and without loss.
//
// A number is taken apart into sign, significant digits and a decimal exponent
// and put together again in ECMAScript's spelling (which RFC 8785 uses), but
// with all its digits: 2^53 and 2^53+1 stay two numbers.
#include "doc.h"

#include <math.h>
#include <stdlib.h>

struct decimal {
    bool negative;
    // The significant digits, without leading or trailing zeros, in up to two
    // pieces (before and after the point). No digits: zero.
    struct slice whole, fraction;
    // value = 0.DIGITS * 10^point
    int64_t point;
    bool huge; // the exponent has more digits than anybody can mean
};

enum { EXPONENT_DIGITS_MAX = 15 };

static struct slice take_digits(struct slice *rest) {
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9')
        n++;
    struct slice digits = slice_make(rest->ptr, n);
    *rest = slice_from(*rest, n);
    return digits;
}

static struct slice without_leading_zeros(struct slice s) {
    while (s.len > 0 && s.ptr[0] == '0')
        s = slice_from(s, 1);
    return s;
}

static struct slice without_trailing_zeros(struct slice s) {
    while (s.len > 0 && s.ptr[s.len - 1] == '0')
        s.len--;
    return s;
}

static void read_exponent(struct slice rest, struct decimal *d) {
    bool negative = rest.ptr[0] == '-';
    if (rest.ptr[0] == '-' || rest.ptr[0] == '+')
        rest = slice_from(rest, 1);
    rest = without_leading_zeros(rest);
    uint64_t magnitude = 0;
    d->huge = rest.len > EXPONENT_DIGITS_MAX;
    if (!d->huge && rest.len > 0 && !slice_to_u64(rest, &magnitude))
        return;
    d->point += negative ? -(int64_t)magnitude : (int64_t)magnitude;
}

static struct decimal decimal_of(struct slice raw) {
    struct decimal d = {.negative = raw.ptr[0] == '-'};
    struct slice rest = d.negative ? slice_from(raw, 1) : raw;
    d.whole = without_leading_zeros(take_digits(&rest));
    if (rest.len > 0 && rest.ptr[0] == '.') {
        rest = slice_from(rest, 1);
        d.fraction = take_digits(&rest);
    }
    d.point = (int64_t)d.whole.len;
    d.fraction = without_trailing_zeros(d.fraction);
    if (d.whole.len == 0) {
        size_t before = d.fraction.len;
        d.fraction = without_leading_zeros(d.fraction);
        d.point = -(int64_t)(before - d.fraction.len);
    }
    if (d.fraction.len == 0)
        d.whole = without_trailing_zeros(d.whole);
    if (rest.len > 0)
        read_exponent(slice_from(rest, 1), &d);
    return d;
}

static size_t digit_count(const struct decimal *d) {
    return d->whole.len + d->fraction.len;
}

static void put_digits(struct buffer *out, const struct decimal *d, size_t from, size_t to) {
    for (size_t i = from; i < to; i++)
        buffer_append_char(out,
                           i < d->whole.len ? d->whole.ptr[i] : d->fraction.ptr[i - d->whole.len]);
}

static void put_zeros(struct buffer *out, int64_t count) {
    while (count-- > 0)
        buffer_append_char(out, '0');
}

// Whether the spelling is canonical at a glance: a plain integer of moderate
// length, or one with a fraction that does not end in zero. (More spellings
// are; they take the long way.)
bool json_number_is_canonical(struct slice raw) {
    if (raw.len > NUMBER_PLAIN_MAX)
        return false;
    const char *s = raw.ptr, *end = raw.ptr + raw.len;
    bool negative = *s == '-';
    s += negative;
    bool zero = *s == '0';
    while (s < end && *s >= '0' && *s <= '9')
        s++;
    if (s == end)
        return !(negative && zero); // "-0" is 0
    if (*s != '.' || end[-1] == '0')
        return false;
    const char *fraction = ++s;
    while (s < end && *s >= '0' && *s <= '9')
        s++;
    // Below 0.000001 comes an exponent.
    bool tiny = zero && end - fraction > 6 && memcmp(fraction, "000000", 6) == 0;
    return s == end && !tiny;
}

void json_number_canonical(struct slice raw, struct buffer *out) {
    struct decimal d = decimal_of(raw);
    size_t k = digit_count(&d);
    if (k == 0) {
        buffer_append_char(out, '0');
        return;
    }
    if (d.huge) { // an exponent of more than 15 digits: its own spelling, told apart by it
        buffer_append(out, raw);
        return;
    }
    int64_t n = d.point, digits = (int64_t)k;
    if (d.negative)
        buffer_append_char(out, '-');
    if (digits <= n && n <= 21) {
        put_digits(out, &d, 0, k);
        put_zeros(out, n - digits);
    } else if (0 < n && n <= 21) {
        put_digits(out, &d, 0, (size_t)n);
        buffer_append_char(out, '.');
        put_digits(out, &d, (size_t)n, k);
    } else if (-6 < n && n <= 0) {
        BUFFER_LITERAL(out, "0.");
        put_zeros(out, -n);
        put_digits(out, &d, 0, k);
    } else {
        put_digits(out, &d, 0, 1);
        if (k > 1)
            buffer_append_char(out, '.');
        put_digits(out, &d, 1, k);
        buffer_append_char(out, 'e');
        if (n - 1 >= 0)
            buffer_append_char(out, '+');
        buffer_append_i64(out, n - 1);
    }
}

bool json_i64(const struct json_doc *doc, json_ref ref, int64_t *out) {
    if (ref >= doc->count || doc->nodes[ref].type != JSON_NUMBER)
        return false;
    struct slice raw = json_raw(doc, ref);
    if (slice_to_i64(raw, out))
        return true;
    struct decimal d = decimal_of(raw);
    size_t k = digit_count(&d);
    if (k == 0) {
        *out = 0;
        return true;
    }
    if (d.huge || d.point > 19 || d.point < (int64_t)k)
        return false; // too large, or with a fraction
    uint64_t value = 0;
    for (int64_t i = 0; i < d.point; i++) {
        size_t at = (size_t)i;
        char c = at < d.whole.len ? d.whole.ptr[at]
                 : at < k         ? d.fraction.ptr[at - d.whole.len]
                                  : '0';
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    if (value > (uint64_t)INT64_MAX + (d.negative ? 1u : 0u))
        return false;
    *out = d.negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

// False also for what overflows: no caller has a use for infinity. (The locale
// of the process is C and stays so, thus strtod reads a point.)
bool json_double(const struct json_doc *doc, json_ref ref, double *out) {
    if (ref >= doc->count || doc->nodes[ref].type != JSON_NUMBER)
        return false;
    struct slice raw = json_raw(doc, ref);
    char text[64];
    if (raw.len < sizeof text) {
        memcpy(text, raw.ptr, raw.len);
        text[raw.len] = '\0';
        *out = strtod(text, NULL);
    } else {
        char *copy = slice_dup(raw);
        *out = strtod(copy, NULL);
        free(copy);
    }
    return isfinite(*out);
}
