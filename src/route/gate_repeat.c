// Degenerate repetition: a model caught in a loop says one thing over and over
// until it is cut off. Seen at the end of the text: what is it a repetition of?
//
// The Z-function of the reversed tail gives, for each period p, how long a suffix
// has that period: linear, and no period is missed. What tells a loop from a
// table, a chorus or an array of zeros is how much of it there is, and whether
// the answer was cut off: loops seldom end by themselves. Rows that differ in one
// character are no repetition at all.
#include "gate_room.h"
#include "signals_char.h"

enum { TAIL_BYTES = 4096, LONG_UNIT_BYTES = 125, REPEATS_MIN = 4, QUOTED_BYTES = 80 };

struct demand {
    size_t bytes;      // of the repeated suffix, at least
    size_t repeats;    // of the unit
    size_t of_long;    // of a unit of LONG_UNIT_BYTES or more
};
static const struct demand demands[2][2] = {
    // [has letters][cut off]
    {{3000, 20, 20}, {1000, 20, 20}}, // blanks, digits, lines: data often look so
    {{1000, 8, 5}, {400, 6, 4}},
};

// z[i]: how many bytes at i are as those at the beginning, for all i up to `last`.
static void z_function(const char *s, size_t n, size_t last, size_t *z) {
    z[0] = n;
    for (size_t i = 1, left = 0, right = 0; i <= last; i++) {
        size_t k = i < right ? (z[i - left] < right - i ? z[i - left] : right - i) : 0;
        while (i + k < n && s[k] == s[i + k])
            k++;
        z[i] = k;
        if (i + k > right) {
            left = i;
            right = i + k;
        }
    }
}

static bool has_letters(struct slice unit) {
    const uint8_t *chars = signals_chars();
    const uint8_t *at = (const uint8_t *)unit.ptr, *end = at + unit.len;
    for (unsigned len; at < end; at += len)
        if ((signals_char(chars, signals_decode(at, end, &len)) & CHAR_SCRIPT) != 0)
            return true;
    return false;
}

// The unit that the text ends in repeating, or an empty slice.
static struct slice repeated(struct slice text, bool cut_off) {
    char reversed[TAIL_BYTES];
    size_t z[TAIL_BYTES / REPEATS_MIN + 1];
    size_t n = text.len < TAIL_BYTES ? text.len : TAIL_BYTES;
    if (n < demands[1][cut_off].bytes)
        return SLICE_NONE;
    for (size_t i = 0; i < n; i++)
        reversed[i] = text.ptr[text.len - 1 - i];
    z_function(reversed, n, n / REPEATS_MIN, z);
    for (size_t p = 1; p <= n / REPEATS_MIN; p++) {
        if (z[p] + p < demands[1][cut_off].bytes || (z[p] + p) / p < REPEATS_MIN)
            continue;
        struct slice unit = slice_make(text.ptr + text.len - p, p);
        const struct demand *d = &demands[has_letters(unit)][cut_off];
        size_t repeats = (z[p] + p) / p;
        if (z[p] + p >= d->bytes && repeats >= (p >= LONG_UNIT_BYTES ? d->of_long : d->repeats))
            return unit;
    }
    return SLICE_NONE;
}

bool gate_repeats(struct gate_run *run, struct slice text, bool cut_off) {
    struct slice unit = repeated(text, cut_off);
    if (unit.len == 0) { // once more without the blank line that ends it
        size_t len = text.len;
        while (len > 0 && (text.ptr[len - 1] == ' ' || text.ptr[len - 1] == '\n'))
            len--;
        if (len < text.len)
            unit = repeated(slice_make(text.ptr, len), cut_off);
    }
    if (unit.len == 0)
        return false;
    // A unit may begin within a character.
    while (unit.len > 0 && ((unsigned char)unit.ptr[0] & 0xC0) == 0x80)
        unit = slice_from(unit, 1);
    unit = gate_cut(unit, QUOTED_BYTES);
    buffer_printf(&run->words, "The answer repeats itself without end: %.*s", SLICE_ARG(unit));
    return true;
}
