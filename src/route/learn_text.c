// The counts that the learned model takes of a text beside its n-grams: how often each
// byte stands there, and what stands beside what. Nearly without branches: texts make
// the processor guess them wrongly.
#include <math.h>

#include "learn_text.h"

const uint8_t learn_classes[256] = {
    ['A' ... 'Z'] = IS_LETTER,
    ['a' ... 'z'] = IS_LETTER,
    [0x80 ... 0xFF] = IS_LETTER,
    ['0' ... '9'] = IS_DIGIT,
    [' '] = IS_BLANK,
    ['\t'] = IS_BLANK,
    ['\r'] = IS_BLANK,
    ['\n'] = IS_BLANK,
    ['.'] = IS_END | IS_CLOSER,
    ['!'] = IS_END,
    ['?'] = IS_END,
    [')'] = IS_CLOSER,
};

const uint8_t learn_folded[128] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 32, 32, 11, 12, 32, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
    64, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 91, 92, 93, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
};

// "A. ", "(b) ", "3) " at the beginning of a line; `at` is the closer.
static uint32_t is_option(const unsigned char *begin, const unsigned char *at,
                          const unsigned char *end) {
    const unsigned char *line = at - 1;
    if (at == begin || !(learn_classes[*line] & (IS_LETTER | IS_DIGIT)) || at + 1 == end ||
        at[1] != ' ')
        return 0;
    if (line > begin && line[-1] == '(')
        line--;
    return line == begin || line[-1] == '\n';
}

static uint32_t is_decimal(const unsigned char *begin, const unsigned char *at,
                           const unsigned char *end) {
    return *at == '.' && at > begin && at + 1 < end && (learn_classes[at[-1]] & IS_DIGIT) != 0 &&
           (learn_classes[at[1]] & IS_DIGIT) != 0;
}

static uint32_t sum_of(const uint32_t bytes[256], struct slice which) {
    uint32_t sum = 0;
    for (size_t i = 0; i < which.len; i++)
        sum += bytes[(unsigned char)which.ptr[i]];
    return sum;
}

static uint32_t sum_between(const uint32_t bytes[256], unsigned first, unsigned last) {
    uint32_t sum = 0;
    for (unsigned c = first; c <= last; c++)
        sum += bytes[c];
    return sum;
}

static void count_bytes(uint32_t *n, const uint32_t bytes[256]) {
    uint32_t capitals = sum_between(bytes, 'A', 'Z'), foreign = sum_between(bytes, 0xC0, 0xFF);
    n[LEARN_CAPITALS] += capitals;
    n[LEARN_FOREIGN] += foreign; // each begins with one of these bytes
    n[LEARN_LETTERS] += capitals + sum_between(bytes, 'a', 'z') + foreign;
    n[LEARN_DIGITS] += sum_between(bytes, '0', '9');
    n[LEARN_QUESTIONS] += bytes['?'];
    n[LEARN_LINES] += bytes['\n'];
    n[LEARN_COMMAS] += sum_of(bytes, SLICE(",;:"));
    n[LEARN_OPERATORS] += sum_of(bytes, SLICE("=+*/^<>|\\"));
    n[LEARN_MONEY] += sum_of(bytes, SLICE("%$"));
    n[LEARN_CODE] += sum_of(bytes, SLICE("{}[]()_`#;"));
}

void learn_count_signals(struct learn_reading *r, struct slice piece) {
    const unsigned char *begin = (const unsigned char *)piece.ptr, *end = begin + piece.len;
    uint32_t bytes[256] = {0}, words = 0, numbers = 0, sentences = 0;
    unsigned before = IS_BLANK;
    for (const unsigned char *at = begin; at < end; at++) {
        unsigned class = learn_classes[*at], begins = class & ~before;
        bytes[*at]++;
        words += begins & 1;                         // IS_LETTER
        numbers += begins >> 1 & 1;                  // IS_DIGIT
        sentences += (before >> 1 & class) >> 2 & 1; // IS_END, then IS_BLANK
        before = class;
        if (class & IS_CLOSER) { // seldom
            r->counts[LEARN_OPTIONS] += is_option(begin, at, end);
            r->counts[LEARN_DECIMALS] += is_decimal(begin, at, end);
        }
    }
    count_bytes(r->counts, bytes);
    r->counts[LEARN_WORDS] += words;
    r->counts[LEARN_NUMBERS] += numbers;
    r->counts[LEARN_SENTENCES] += sentences + ((before & IS_END) != 0);
    r->bytes += piece.len;
}

void learn_signals(const struct learn_reading *r, double out[LEARN_SIGNALS]) {
    const uint32_t *n = r->counts;
    double bytes = (double)r->bytes + 1;
    for (size_t i = 0; i < LEARN_DIGIT_SHARE; i++)
        out[i] = log1p((double)n[i]);
    out[LEARN_BYTES] = log(bytes);
    out[LEARN_LETTERS] = (double)n[LEARN_LETTERS] / (n[LEARN_WORDS] + 1); // of a word
    out[LEARN_CAPITALS] = (double)n[LEARN_CAPITALS] / bytes;
    out[LEARN_DIGIT_SHARE] = (double)n[LEARN_DIGITS] / bytes;
    out[LEARN_SENTENCE_LENGTH] = (double)n[LEARN_WORDS] / (n[LEARN_SENTENCES] + 1);
}
