// What tokenizers ask of Unicode, by utf8proc. The order of marks is made here: the
// library moves each mark step by step to its place, which takes time that grows with
// the square of a run of marks, and texts come from anybody.
#include "similar_unicode.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "signals_char.h"

enum {
    UNICODE_END = 0x110000,
    REPLACEMENT = 0xFFFD,
    PARTS_MAX = 18,     // of one character: U+FDFA, a whole sentence
    MARKS_FROM = 0x300, // below are no marks
    // Is no end of a syllable, though utf8proc 2.8 composes it away as if it were one.
    HANGUL_NO_END = 0x11A7,
};

// ------------------------------------------------------------------ classes

const uint8_t unicode_ascii[UNICODE_ASCII] = {
    [0x00 ... 0x08] = UNICODE_CONTROL,   ['\t' ... '\r'] = UNICODE_SPACE | UNICODE_CONTROL,
    [0x0E ... 0x1F] = UNICODE_CONTROL,   [' '] = UNICODE_SPACE,
    ['!' ... '/'] = UNICODE_PUNCTUATION, ['0' ... '9'] = UNICODE_WORD,
    [':' ... '@'] = UNICODE_PUNCTUATION, ['A' ... 'Z'] = UNICODE_WORD,
    ['[' ... '^'] = UNICODE_PUNCTUATION, ['_'] = UNICODE_PUNCTUATION | UNICODE_WORD,
    ['`'] = UNICODE_PUNCTUATION,         ['a' ... 'z'] = UNICODE_WORD,
    ['{' ... '~'] = UNICODE_PUNCTUATION, [0x7F] = UNICODE_CONTROL,
};

static uint8_t class_of_category(utf8proc_category_t category) {
    switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
        return UNICODE_WORD;
    case UTF8PROC_CATEGORY_MN:
        return UNICODE_ACCENT | UNICODE_MARK | UNICODE_WORD;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return UNICODE_MARK | UNICODE_WORD;
    case UTF8PROC_CATEGORY_PC:
        return UNICODE_PUNCTUATION | UNICODE_WORD;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return UNICODE_PUNCTUATION;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return UNICODE_SPACE;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return UNICODE_CONTROL;
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CN:
        break;
    }
    return 0;
}

// What has a property that the category does not tell: White_Space, Alphabetic and
// Join_Control.
static uint8_t class_besides(uint32_t code) {
    if (code == 0x85)
        return UNICODE_SPACE;
    bool letter_in_a_ring =
        (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
        (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
    return letter_in_a_ring || code == 0x200C || code == 0x200D ? UNICODE_WORD : 0;
}

uint8_t unicode_class_beyond(uint32_t code) {
    return class_of_category(utf8proc_category((utf8proc_int32_t)code)) | class_besides(code);
}

bool unicode_is_han(uint32_t code) {
    return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
           (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
           (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
           (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

// ------------------------------------------------------------------ letters

uint32_t unicode_lower(uint32_t code) {
    if (code < UNICODE_ASCII)
        return code >= 'A' && code <= 'Z' ? code + 32 : code;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}

void unicode_put(struct buffer *out, uint32_t code) {
    if (code < UNICODE_ASCII) {
        buffer_append_char(out, (char)code);
        return;
    }
    utf8proc_uint8_t bytes[4];
    utf8proc_int32_t known = code < UNICODE_END ? (utf8proc_int32_t)code : REPLACEMENT;
    utf8proc_ssize_t len = utf8proc_encode_char(known, bytes);
    buffer_append(out, slice_make(bytes, (size_t)len));
}

size_t unicode_grapheme(const uint8_t *at, const uint8_t *end) {
    const uint8_t *begin = at;
    utf8proc_int32_t state = 0;
    unsigned len;
    uint32_t before = signals_decode(at, end, &len);
    for (at += len; at < end; at += len) {
        uint32_t code = signals_decode(at, end, &len);
        bool ascii = before < UNICODE_ASCII && code < UNICODE_ASCII && code != '\n';
        if (ascii || utf8proc_grapheme_break_stateful((utf8proc_int32_t)before,
                                                      (utf8proc_int32_t)code, &state))
            break;
        before = code;
    }
    return (size_t)(at - begin);
}

// ------------------------------------------------------------- normal forms

// Characters on their way.
struct codes {
    utf8proc_int32_t *at;
    size_t count, capacity;
};

static void split(struct codes *c, uint32_t code, utf8proc_option_t options) {
    int unused = 0;
    if (c->capacity - c->count < PARTS_MAX) {
        c->capacity = c->capacity * 2 + 16 * PARTS_MAX;
        c->at = base_realloc(c->at, c->capacity * sizeof *c->at);
    }
    utf8proc_int32_t *parts = c->at + c->count;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)code, parts, PARTS_MAX, options, &unused);
    if (count <= 0 || count > PARTS_MAX) { // beyond Unicode's end
        parts[0] = code < UNICODE_END ? (utf8proc_int32_t)code : REPLACEMENT;
        count = 1;
    }
    c->count += (size_t)count;
}

// The combining class, by which marks behind a character are ordered; 0: it is no mark.
static uint8_t rank(utf8proc_int32_t code) {
    return code < MARKS_FROM ? 0 : (uint8_t)utf8proc_get_property(code)->combining_class;
}

// By counting: what is equal stays as it was.
static void sort_marks(utf8proc_int32_t *marks, size_t count) {
    utf8proc_int32_t *old = base_alloc(count * sizeof *old);
    size_t places[UINT8_MAX + 2] = {0};
    memcpy(old, marks, count * sizeof *old);
    for (size_t i = 0; i < count; i++)
        places[rank(old[i]) + 1]++;
    for (size_t i = 1; i < FARTHING_COUNT(places); i++)
        places[i] += places[i - 1];
    for (size_t i = 0; i < count; i++)
        marks[places[rank(old[i])]++] = old[i];
    free(old);
}

static void order_marks(struct codes *c) {
    for (size_t i = 0; i < c->count; i++) {
        size_t from = i;
        bool ordered = true;
        for (uint8_t before = 0, now; i < c->count && (now = rank(c->at[i])) != 0; i++) {
            ordered = ordered && before <= now;
            before = now;
        }
        if (!ordered)
            sort_marks(c->at + from, i - from);
    }
}

// The characters from `at` to the next that what stands before it cannot change: so far.
static const uint8_t *split_stretch(struct codes *c, const uint8_t *at, const uint8_t *end,
                                    utf8proc_option_t options) {
    const uint8_t *from = at;
    c->count = 0;
    for (unsigned len; at < end; at += len) {
        uint32_t code = signals_decode(at, end, &len);
        if (at > from && (code < UNICODE_ASCII || code == HANGUL_NO_END))
            break;
        split(c, code, options);
    }
    return at;
}

void unicode_normalize(enum unicode_form form, struct slice text, size_t enough,
                       struct buffer *out) {
    bool compose = form == UNICODE_NFC || form == UNICODE_NFKC;
    bool compat = form == UNICODE_NFKC || form == UNICODE_NFKD;
    utf8proc_option_t options = UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0);
    if (text.len == 0) // and its pointer may be NULL
        return;
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    struct codes codes = {0};
    while (at < end && out->len <= enough) {
        // ASCII is changed only by marks behind it: all but the last goes as it is.
        const uint8_t *from = at;
        while (at < end && *at < UNICODE_ASCII)
            at++;
        at -= at > from && at < end;
        buffer_append(out, slice_make(from, (size_t)(at - from)));
        at = split_stretch(&codes, at, end, options);
        order_marks(&codes);
        if (compose && codes.count > 0)
            codes.count = (size_t)utf8proc_normalize_utf32(codes.at, (utf8proc_ssize_t)codes.count,
                                                           UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        for (size_t i = 0; i < codes.count && out->len <= enough; i++)
            unicode_put(out, (uint32_t)codes.at[i]);
    }
    free(codes.at);
}
