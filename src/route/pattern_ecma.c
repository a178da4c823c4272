// One pass over the pattern; all but a few escapes is copied as it stands.
//
// Schemas that are met in the wild were mostly written for Python or Rust, so
// what ECMA-262 does not know but PCRE2 does (\A, \z, possessive repeats, inline
// options) is left to mean what it means there. Only what begins with "(*" is
// refused: those are orders to the library, not patterns.
#include "pattern_ecma.h"

struct reader {
    struct slice rest;
    struct buffer *out;
    bool in_class;
};

static struct slice category_of(struct slice name) {
    static const char *const names[][2] = {
        {"Letter", "L"}, {"Cased_Letter", "L&"}, {"LC", "L&"}, {"Uppercase_Letter", "Lu"},
        {"Lowercase_Letter", "Ll"}, {"Titlecase_Letter", "Lt"}, {"Modifier_Letter", "Lm"},
        {"Other_Letter", "Lo"}, {"Mark", "M"}, {"Combining_Mark", "M"}, {"Nonspacing_Mark", "Mn"},
        {"Spacing_Mark", "Mc"}, {"Enclosing_Mark", "Me"}, {"Number", "N"}, {"Decimal_Number", "Nd"},
        {"digit", "Nd"}, {"Letter_Number", "Nl"}, {"Other_Number", "No"}, {"Punctuation", "P"},
        {"punct", "P"}, {"Connector_Punctuation", "Pc"}, {"Dash_Punctuation", "Pd"},
        {"Open_Punctuation", "Ps"}, {"Close_Punctuation", "Pe"}, {"Initial_Punctuation", "Pi"},
        {"Final_Punctuation", "Pf"}, {"Other_Punctuation", "Po"}, {"Symbol", "S"},
        {"Math_Symbol", "Sm"}, {"Currency_Symbol", "Sc"}, {"Modifier_Symbol", "Sk"},
        {"Other_Symbol", "So"}, {"Separator", "Z"}, {"Space_Separator", "Zs"},
        {"Line_Separator", "Zl"}, {"Paragraph_Separator", "Zp"}, {"Other", "C"}, {"Control", "Cc"},
        {"cntrl", "Cc"}, {"Format", "Cf"}, {"Surrogate", "Cs"}, {"Private_Use", "Co"},
        {"Unassigned", "Cn"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        if (slice_equal(name, slice_of(names[i][0])))
            return slice_of(names[i][1]);
    return name;
}

// \p{...} and \P{...}; false: not one of those.
static bool take_property(struct reader *r) {
    ptrdiff_t end = slice_find_char(r->rest, '}');
    if (r->rest.len < 4 || (r->rest.ptr[1] | 0x20) != 'p' || r->rest.ptr[2] != '{' || end < 0)
        return false;
    struct slice name = slice_make(r->rest.ptr + 3, (size_t)end - 3);
    ptrdiff_t equal = slice_find_char(name, '=');
    struct slice key = slice_make(name.ptr, equal < 0 ? 0 : (size_t)equal);
    if (equal < 0 || slice_equal(key, SLICE("General_Category")) || slice_equal(key, SLICE("gc")))
        name = category_of(slice_from(name, (size_t)(equal + 1)));
    buffer_append(r->out, slice_make(r->rest.ptr, 3));
    buffer_append(r->out, name);
    buffer_append_char(r->out, '}');
    r->rest = slice_from(r->rest, (size_t)end + 1);
    return true;
}

// The unit of \uXXXX at `at`, or -1.
static int unit_at(struct slice s, size_t at) {
    uint8_t bytes[2];
    if (s.len < at + 6 || s.ptr[at] != '\\' || s.ptr[at + 1] != 'u' ||
        !digest_unhex(slice_make(s.ptr + at + 2, 4), bytes, 2))
        return -1;
    return bytes[0] << 8 | bytes[1];
}

static bool take_surrogates(struct reader *r) {
    int high = unit_at(r->rest, 0), low = unit_at(r->rest, 6);
    if (high < 0xd800 || high > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return false;
    buffer_printf(r->out, "\\u{%x}", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
    r->rest = slice_from(r->rest, 12);
    return true;
}

// PCRE2 without Unicode's properties (ECMA's \d and \w are ASCII's) has ASCII's
// spaces only; ECMA has all.
#define SPACES "\\s\\p{Z}\\ufeff"

static bool take_space(struct reader *r) {
    char letter = r->rest.ptr[1];
    if (letter == 's' && r->in_class)
        BUFFER_LITERAL(r->out, SPACES);
    else if (letter == 's')
        BUFFER_LITERAL(r->out, "[" SPACES "]");
    else if (letter == 'S' && !r->in_class)
        BUFFER_LITERAL(r->out, "[^" SPACES "]");
    else
        return false;
    r->rest = slice_from(r->rest, 2);
    return true;
}

static void copy(struct reader *r, size_t bytes) {
    buffer_append(r->out, slice_make(r->rest.ptr, bytes));
    r->rest = slice_from(r->rest, bytes);
}

static void take_escape(struct reader *r) {
    if (r->rest.len < 2) {
        copy(r, 1);
        return;
    }
    if (!take_property(r) && !take_surrogates(r) && !take_space(r))
        copy(r, 2);
}

bool pattern_from_ecma(struct slice text, struct buffer *out, struct error *err) {
    struct reader r = {.rest = text, .out = out};
    while (r.rest.len > 0) {
        char c = r.rest.ptr[0];
        if (c == '\\') {
            take_escape(&r);
            continue;
        }
        if (c == '(' && !r.in_class && r.rest.len > 1 && r.rest.ptr[1] == '*')
            return error_set(err, "nothing to repeat at byte %zu", text.len - r.rest.len);
        if (c == '[')
            r.in_class = true;
        else if (c == ']')
            r.in_class = false;
        copy(&r, 1);
    }
    return true;
}
