// Slices: comparison, search, numbers, globs, UTF-8. Letters are ASCII's: protocol
// words are ASCII, and the C locale must not matter.
#include "farthing/base.h"

static unsigned char lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

struct slice slice_of(const char *text) {
    return text == NULL ? SLICE_NONE : (struct slice){text, strlen(text)};
}

bool slice_equal_nocase(struct slice a, struct slice b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
            return false;
    return true;
}

int slice_compare(struct slice a, struct slice b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared > 0 ? memcmp(a.ptr, b.ptr, shared) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && slice_equal(slice_make(s.ptr, prefix.len), prefix);
}

bool slice_ends_with(struct slice s, struct slice suffix) {
    return s.len >= suffix.len && slice_equal(slice_from(s, s.len - suffix.len), suffix);
}

bool slice_is_one_of(struct slice s, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(s, slice_of(words[i])))
            return true;
    return false;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s) {
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t slice_find_char(struct slice s, char c) {
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at == NULL ? -1 : at - s.ptr;
}

ptrdiff_t slice_find(struct slice s, struct slice needle) {
    if (needle.len == 0)
        return 0;
    const char *at = s.len >= needle.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at == NULL ? -1 : at - s.ptr;
}

struct slice slice_from(struct slice s, size_t from) {
    if (from > s.len)
        from = s.len;
    // NULL + 0 is undefined in C11.
    return (struct slice){from == 0 ? s.ptr : s.ptr + from, s.len - from};
}

bool slice_split(struct slice *rest, char separator, struct slice *part) {
    if (rest->ptr == NULL)
        return false;
    ptrdiff_t at = slice_find_char(*rest, separator);
    if (at < 0) {
        *part = *rest;
        *rest = SLICE_NONE;
    } else {
        *part = slice_make(rest->ptr, (size_t)at);
        *rest = slice_from(*rest, (size_t)at + 1);
    }
    return true;
}

bool slice_to_u64(struct slice s, uint64_t *out) {
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool slice_to_i64(struct slice s, int64_t *out) {
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t magnitude;
    if (!slice_to_u64(negative ? slice_from(s, 1) : s, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1u : 0u))
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool slice_split_u64(struct slice *rest, char separator, uint64_t *out) {
    struct slice part;
    return slice_split(rest, separator, &part) && slice_to_u64(part, out);
}

bool slice_split_i64(struct slice *rest, char separator, int64_t *out) {
    struct slice part;
    return slice_split(rest, separator, &part) && slice_to_i64(part, out);
}

bool slice_take(struct slice *rest, uint64_t len, struct slice *part) {
    if (len > rest->len)
        return false;
    *part = slice_make(rest->ptr, (size_t)len);
    *rest = slice_from(*rest, (size_t)len);
    return true;
}

char *slice_dup(struct slice s) {
    char *copy = base_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

// Greedy, with one place to come back to: what stands before the last `*` that
// matched never needs another try, so the work is at most pattern * text.
bool slice_glob(struct slice pattern, struct slice text) {
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' || pattern.ptr[p] == text.ptr[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

size_t slice_utf8(struct slice text) {
    const unsigned char *s = (const unsigned char *)text.ptr;
    if (text.len == 0)
        return 0;
    unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xc2 && c < 0xe0   ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || n > text.len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0; // overlong, surrogate, beyond U+10FFFF
    return n;
}

static size_t min3(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

size_t slice_distance(struct slice a, struct slice b) {
    enum { LONGEST = 64 };
    if (a.len > LONGEST || b.len > LONGEST)
        return SIZE_MAX;
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t change = a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1;
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + change);
            diagonal = above;
        }
    }
    return row[b.len];
}
