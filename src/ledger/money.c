// Money: whole pico-USD, saturating. No floats anywhere near it.
#include "farthing/ledger.h"

struct money money_add(struct money a, struct money b) {
    struct money sum;
    if (__builtin_add_overflow(a.pico, b.pico, &sum.pico))
        sum.pico = a.pico > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

struct money money_sub(struct money a, struct money b) {
    struct money difference;
    if (__builtin_sub_overflow(a.pico, b.pico, &difference.pico))
        difference.pico = a.pico >= 0 ? INT64_MAX : INT64_MIN;
    return difference;
}

enum { DECIMALS = 12 };
static const uint64_t unit = UINT64_C(1000000000000);

size_t money_format(struct money m, char out[MONEY_TEXT_MAX]) {
    uint64_t magnitude = m.pico < 0 ? 0 - (uint64_t)m.pico : (uint64_t)m.pico;
    uint64_t whole = magnitude / unit, rest = magnitude % unit;
    char digits[20];
    size_t n = 0, count = 0;
    if (m.pico < 0)
        out[n++] = '-';
    do {
        digits[count++] = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole > 0);
    while (count > 0)
        out[n++] = digits[--count];
    if (rest > 0)
        out[n++] = '.';
    for (uint64_t place = unit / 10; rest > 0; place /= 10) {
        out[n++] = (char)('0' + rest / place);
        rest %= place;
    }
    return n;
}

bool money_parse(struct slice s, struct money *out) {
    struct slice text = slice_trim(s), currency = SLICE("usd");
    if (text.len > currency.len &&
        slice_equal_nocase(slice_from(text, text.len - currency.len), currency))
        text = slice_trim(slice_make(text.ptr, text.len - currency.len));
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (negative)
        text = slice_from(text, 1);
    ptrdiff_t point = slice_find_char(text, '.');
    struct slice whole = point < 0 ? text : slice_make(text.ptr, (size_t)point);
    struct slice rest = point < 0 ? SLICE_NONE : slice_from(text, (size_t)point + 1);
    uint64_t units = 0, parts = 0;
    if (whole.len + rest.len == 0 || rest.len > DECIMALS || (point >= 0 && rest.len == 0) ||
        (whole.len > 0 && !slice_to_u64(whole, &units)) ||
        (rest.len > 0 && !slice_to_u64(rest, &parts)))
        return false;
    for (size_t i = rest.len; i < DECIMALS; i++)
        parts *= 10;
    uint64_t pico;
    if (__builtin_mul_overflow(units, unit, &pico) || __builtin_add_overflow(pico, parts, &pico) ||
        pico > (uint64_t)INT64_MAX)
        return false;
    out->pico = negative ? -(int64_t)pico : (int64_t)pico;
    return true;
}
