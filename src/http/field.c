// What names and values of fields are made of, and which fields the message
// itself depends on. For what is read and for what is written.
#include "scan.h"

// RFC 9110 5.6.2. A table: this runs for every byte of every name.
static const bool token_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

size_t scan_token_length(struct slice s) {
    size_t i = 0;
    while (i < s.len && token_chars[(unsigned char)s.ptr[i]])
        i++;
    return i;
}

bool scan_is_token(struct slice s) {
    return s.len > 0 && scan_token_length(s) == s.len;
}

static bool is_value_char(char c) {
    return ((unsigned char)c >= 0x20 || c == '\t') && c != 0x7f;
}

// Does any of eight bytes lie below 0x20, or is it 0x7f? (Tabs count too.)
static bool may_have_control(const char *eight) {
    const uint64_t ones = UINT64_MAX / 255, tops = ones * 0x80;
    uint64_t word;
    memcpy(&word, eight, sizeof word);
    uint64_t del = word ^ ones * 0x7f;
    return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops;
}

// Values are most of a head, and short: eight bytes at a time take a third of
// the instructions of the loop that the compiler vectorizes.
bool scan_is_value(struct slice s) {
    size_t i = 0;
    while (s.len - i >= 8 && !may_have_control(s.ptr + i))
        i += 8;
    // The last few together with some that were looked at.
    if (i > 0 && s.len - i < 8 && !may_have_control(s.ptr + s.len - 8))
        return true;
    while (i < s.len && is_value_char(s.ptr[i]))
        i++;
    return i == s.len;
}

enum scan_field scan_field_of(struct slice name) {
    static const struct {
        const char *name;
        enum scan_field field;
    } by_length[] = {
        [4] = {"host", SCAN_FIELD_HOST},
        [6] = {"expect", SCAN_FIELD_EXPECT},
        [10] = {"connection", SCAN_FIELD_CONNECTION},
        [14] = {"content-length", SCAN_FIELD_LENGTH},
        [17] = {"transfer-encoding", SCAN_FIELD_ENCODING},
    };
    if (name.len >= FARTHING_COUNT(by_length) || by_length[name.len].name == NULL)
        return SCAN_FIELD_OTHER;
    struct slice known = slice_make(by_length[name.len].name, name.len);
    return slice_equal_nocase(name, known) ? by_length[name.len].field : SCAN_FIELD_OTHER;
}
