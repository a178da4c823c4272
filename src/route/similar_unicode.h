// What tokenizers ask of Unicode: classes of characters, lower case, normal forms, and
// what a reader takes for one character. Unicode's tables are utf8proc's; ASCII is
// answered without a call.
#ifndef FARTHING_ROUTE_SIMILAR_UNICODE_H
#define FARTHING_ROUTE_SIMILAR_UNICODE_H

#include "farthing/base.h"

enum {
    UNICODE_SPACE = 1,       // White_Space
    UNICODE_PUNCTUATION = 2, // P*, and what ASCII takes for it: $+<=>^`|~
    UNICODE_CONTROL = 4,     // Cc, Cf, Co
    UNICODE_ACCENT = 8,      // Mn: a mark that takes no room of its own
    UNICODE_MARK = 16,       // M*
    UNICODE_WORD = 32,       // \w of regular expressions
};

enum { UNICODE_ASCII = 0x80 };
extern const uint8_t unicode_ascii[UNICODE_ASCII];
uint8_t unicode_class_beyond(uint32_t code);

static inline uint8_t unicode_class(uint32_t code) {
    return code < UNICODE_ASCII ? unicode_ascii[code] : unicode_class_beyond(code);
}

// Ideographs, around which BERT's tokenizers put blanks.
bool unicode_is_han(uint32_t code);
uint32_t unicode_lower(uint32_t code); // one to one

void unicode_put(struct buffer *out, uint32_t code); // as UTF-8

// Normal forms (Unicode, chapter 3.11).
enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD };

// Appends to `out`, and stops some time after it has become longer than `enough`. Costs
// grow with the text, whatever is in it.
void unicode_normalize(enum unicode_form form, struct slice text, size_t enough,
                       struct buffer *out);

// The bytes of what a reader takes for one character (a grapheme cluster), of a text that
// is not empty.
size_t unicode_grapheme(const uint8_t *at, const uint8_t *end);

#endif
