// Classes of characters: script, word or not, mark of mathematics, upper case.
// For the signals, for keywords, and for whoever asks in which script a text is.
#ifndef FARTHING_ROUTE_SIGNALS_CHAR_H
#define FARTHING_ROUTE_SIGNALS_CHAR_H

#include "farthing/config.h"

enum {
    CHAR_SCRIPT = 0x1F, // enum config_script + 1 of a letter; 0: no letter
    CHAR_MATH = 0x20,
    CHAR_FOLDS = 0x40, // keywords_fold gives another character
    // A letter, mark or digit of a script that puts blanks between words. (Not of
    // Han, Thai and others, where a word begins and ends anywhere.)
    CHAR_WORD = 0x80,
    CHAR_TABLE_SIZE = 0x10000,
};

// One byte of these bits for each code point below CHAR_TABLE_SIZE. Any thread.
const uint8_t *signals_chars(void);
uint8_t signals_char_astral(uint32_t code); // from there on

static inline uint8_t signals_char(const uint8_t *chars, uint32_t code) {
    return code < CHAR_TABLE_SIZE ? chars[code] : signals_char_astral(code);
}

// The character at `at`, which is before `end`, and *len, its bytes. What is no
// UTF-8 is a character of one byte, U+FFFD.
static inline uint32_t signals_decode(const uint8_t *at, const uint8_t *end, unsigned *len) {
    uint32_t lead = *at;
    unsigned n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t code = n == 1 ? lead : lead & (0x7Fu >> n);
    *len = 1;
    if ((size_t)(end - at) < n || (n > 1 && (lead < 0xC2 || lead > 0xF4)))
        return 0xFFFD;
    for (unsigned i = 1; i < n; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0xFFFD;
        code = code << 6 | (at[i] & 0x3F);
    }
    *len = n;
    return code;
}

// Folded by simple case folding, one character to one: letters of Latin, Greek,
// Cyrillic, Armenian, Georgian, full-width forms; the typographic apostrophe is '.
uint32_t keywords_fold(uint32_t code);
// The ranges that fold, for the table of classes; `each` is called for every code point.
void keywords_fold_each(void (*each)(uint32_t code));

#endif
