// Decimal digits as they stand in the text; nothing is ever rounded.
#include "schema_number.h"

enum { EXPONENT_DIGITS_MAX = 15, DIVISOR_DIGITS_MAX = 18 };
static const int64_t beyond = (int64_t)1 << 60;

__extension__ typedef unsigned __int128 wide;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static void add_exponent(struct slice rest, struct schema_number *n) {
    bool negative = rest.ptr[0] == '-';
    if (rest.ptr[0] == '-' || rest.ptr[0] == '+')
        rest = slice_from(rest, 1);
    while (rest.len > 0 && rest.ptr[0] == '0')
        rest = slice_from(rest, 1);
    uint64_t magnitude = 0;
    if (rest.len > EXPONENT_DIGITS_MAX || (rest.len > 0 && !slice_to_u64(rest, &magnitude))) {
        n->huge = true;
        n->point = negative ? -beyond : beyond;
        return;
    }
    n->point += negative ? -(int64_t)magnitude : (int64_t)magnitude;
}

struct schema_number schema_number_of(struct slice raw) {
    struct schema_number n = {.negative = raw.ptr[0] == '-'};
    size_t end = n.negative, point = raw.len, first = raw.len, last = 0;
    for (; end < raw.len && (is_digit(raw.ptr[end]) || raw.ptr[end] == '.'); end++) {
        if (raw.ptr[end] == '.') {
            point = end;
        } else if (raw.ptr[end] != '0') {
            first = first == raw.len ? end : first;
            last = end;
        }
    }
    if (first == raw.len)
        return n;
    point = point == raw.len ? end : point;
    n.digits = slice_make(raw.ptr + first, last - first + 1);
    n.count = n.digits.len - (first < point && point < last ? 1 : 0);
    n.point = first < point ? (int64_t)(point - first) : -(int64_t)(first - point - 1);
    if (end < raw.len)
        add_exponent(slice_from(raw, end + 1), &n);
    return n;
}

bool schema_number_is_whole(const struct schema_number *n) {
    return n->count == 0 || n->point >= (int64_t)n->count;
}

// The next digit, or 0 behind the last.
static char next_digit(struct slice *rest) {
    if (rest->len > 0 && rest->ptr[0] == '.')
        *rest = slice_from(*rest, 1);
    char digit = rest->len > 0 ? rest->ptr[0] : '0';
    *rest = slice_from(*rest, 1);
    return digit;
}

static int sign_of(const struct schema_number *n) {
    return n->count == 0 ? 0 : n->negative ? -1 : 1;
}

bool schema_number_compare(const struct schema_number *a, const struct schema_number *b,
                           int *order) {
    int sign = sign_of(a);
    *order = sign - sign_of(b);
    if (*order != 0 || sign == 0)
        return true;
    if (a->point != b->point) {
        *order = a->point < b->point ? -sign : sign;
        return true;
    }
    struct slice x = a->digits, y = b->digits;
    while (x.len > 0 || y.len > 0) {
        char c = next_digit(&x), d = next_digit(&y);
        if (c != d) {
            *order = c < d ? -sign : sign;
            break;
        }
    }
    return !a->huge;
}

static uint64_t modulo_power_of_ten(uint64_t exponent, uint64_t modulus) {
    wide result = 1 % modulus, base = 10 % modulus;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0)
            result = result * base % modulus;
        base = base * base % modulus;
    }
    return (uint64_t)result;
}

// With whole numbers A and B without zeros at their ends, a = A * 10^e * b / B: so
// B must divide A * 10^e, which it cannot where e is negative, as 10 does not
// divide A.
bool schema_number_divides(const struct schema_number *a, const struct schema_number *b,
                           bool *multiple) {
    *multiple = true;
    if (a->count == 0)
        return true;
    if (a->huge || b->huge || b->count > DIVISOR_DIGITS_MAX)
        return false;
    int64_t e = (a->point - (int64_t)a->count) - (b->point - (int64_t)b->count);
    uint64_t divisor = 0, rest = 0;
    struct slice digits = b->digits;
    for (size_t i = 0; i < b->count; i++)
        divisor = divisor * 10 + (uint64_t)(next_digit(&digits) - '0');
    digits = a->digits;
    for (size_t i = 0; i < a->count; i++)
        rest = (rest * 10 + (uint64_t)(next_digit(&digits) - '0')) % divisor;
    *multiple = e >= 0 && (wide)rest * modulo_power_of_ten((uint64_t)e, divisor) % divisor == 0;
    return true;
}
