// What a text shows, in one pass: fenced code by its lines, the rest by its
// characters. A letter, which most characters are, costs one look-up.
//
// Counted are: a question mark that ends something (not one inside of a word or an
// address; several in a row are one); a run of digits with its points and commas that no
// letter stands before; an operator where it stands as one, a command of LaTeX, and
// the mathematical characters of Unicode.
#include "signals.h"
#include "signals_char.h"

enum kind {
    OTHER,
    BLANK,
    LINE,
    LETTER,
    DIGIT,
    QUESTION,
    STRONG, // = and ^
    WEAK,   // + * < >
    MINUS,  // - and /
    BACKSLASH,
    CLOSE,
    WIDE, // not ASCII
};

#define LETTERS(first) \
    [first] = LETTER, [(first) + 1] = LETTER, [(first) + 2] = LETTER, [(first) + 3] = LETTER, \
    [(first) + 4] = LETTER, [(first) + 5] = LETTER, [(first) + 6] = LETTER, [(first) + 7] = LETTER
static const uint8_t kinds[256] = {
    [' '] = BLANK,
    ['\t'] = BLANK,
    ['\r'] = BLANK,
    ['\n'] = LINE,
    LETTERS('A'),
    LETTERS('I'),
    LETTERS('Q'),
    ['Y'] = LETTER,
    ['Z'] = LETTER,
    LETTERS('a'),
    LETTERS('i'),
    LETTERS('q'),
    ['y'] = LETTER,
    ['z'] = LETTER,
    ['0' ... '9'] = DIGIT,
    ['?'] = QUESTION,
    ['='] = STRONG,
    ['^'] = STRONG,
    ['+'] = WEAK,
    ['*'] = WEAK,
    ['<'] = WEAK,
    ['>'] = WEAK,
    ['/'] = MINUS,
    ['-'] = MINUS,
    ['\\'] = BACKSLASH,
    [')'] = CLOSE,
    [0x80 ... 0xFF] = WIDE,
};

struct count {
    struct classify_signals *s;
    const uint8_t *chars;
    const uint8_t *at, *end;
    enum kind before; // the kind of the character before
    enum kind solid;  // of the one before that was no blank
    int64_t questions, numbers, math;
};

// -------------------------------------------------------------------- code

// A line that opens or closes a fence: three or more of ` or ~ behind blanks.
struct fence {
    uint8_t sign; // 0: none
    size_t length;
    bool bare; // nothing behind it: only such a line closes
};

static struct fence fence_at(const uint8_t *at, const uint8_t *end) {
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    struct fence f = {0};
    if (at == end || (*at != '`' && *at != '~'))
        return f;
    uint8_t sign = *at;
    const uint8_t *start = at;
    while (at < end && *at == sign)
        at++;
    f.length = (size_t)(at - start);
    f.sign = f.length >= 3 ? sign : 0;
    f.bare = true;
    for (; at < end && *at != '\n'; at++) {
        f.bare = f.bare && (*at == ' ' || *at == '\t' || *at == '\r');
        if (sign == '`' && *at == '`')
            f.sign = 0; // code in a line of text
    }
    return f;
}

static const uint8_t *line_end(const uint8_t *at, const uint8_t *end) {
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
    return newline != NULL ? newline + 1 : end;
}

// From the line behind the opening fence to behind the closing one.
static void skip_code(struct count *c, const struct fence *open) {
    c->s->values[CONFIG_SIGNAL_CODE_BLOCKS]++;
    while (c->at < c->end) {
        struct fence f = fence_at(c->at, c->end);
        c->at = line_end(c->at, c->end);
        if (f.sign == open->sign && f.length >= open->length && f.bare)
            return;
        c->s->values[CONFIG_SIGNAL_CODE_LINES]++;
    }
}

// At the beginning of a line.
static void begin_line(struct count *c) {
    while (c->at < c->end) {
        struct fence f = fence_at(c->at, c->end);
        if (f.sign == 0)
            return;
        c->at = line_end(c->at, c->end);
        skip_code(c, &f);
    }
}

// ---------------------------------------------------------------- characters

static enum kind next_kind(const struct count *c) {
    return c->at < c->end ? (enum kind)kinds[*c->at] : LINE;
}

static void take_digits(struct count *c) {
    bool own = c->before != LETTER;
    for (;;) {
        while (next_kind(c) == DIGIT)
            c->at++;
        bool goes_on = c->end - c->at > 1 && (*c->at == '.' || *c->at == ',') &&
                       kinds[c->at[1]] == DIGIT;
        if (!goes_on)
            break;
        c->at++;
    }
    c->numbers += own;
}

static void take_question(struct count *c) {
    while (next_kind(c) == QUESTION)
        c->at++;
    enum kind next = next_kind(c);
    c->questions += next != LETTER && next != DIGIT && next != STRONG && next != MINUS;
}

static bool is_operand(enum kind k) {
    return k == DIGIT || k == CLOSE;
}

// x = 2, x^2; 2 + x; 5 - 3, but no date and no hyphen.
static void take_operator(struct count *c, enum kind kind) {
    bool counts = is_operand(c->solid) || (kind == STRONG && c->solid == LETTER);
    if (kind == MINUS)
        counts = counts && c->before == BLANK && next_kind(c) == BLANK;
    c->math += counts;
}

static enum kind take_wide(struct count *c) {
    unsigned len;
    uint32_t code = signals_decode(c->at, c->end, &len);
    c->at += len;
    uint8_t class = signals_char(c->chars, code);
    if ((class & CHAR_SCRIPT) != 0)
        c->s->scripts |= 1u << ((class & CHAR_SCRIPT) - 1);
    c->math += (class & CHAR_MATH) != 0;
    // Of Greek, Armenian, Arabic, Ethiopic, and the full-width one.
    c->questions += code == 0x37E || code == 0x55E || code == 0x61F || code == 0x1367 ||
                    code == 0xFF1F;
    return (class & CHAR_WORD) != 0 ? LETTER : OTHER;
}

// One character, or a run of one kind, of which `kind` is the first.
static enum kind take(struct count *c, enum kind kind) {
    if (kind == WIDE)
        return take_wide(c);
    c->at++;
    switch (kind) {
    case LETTER:
        c->s->scripts |= 1u << CONFIG_SCRIPT_LATIN;
        while (next_kind(c) == LETTER)
            c->at++;
        break;
    case DIGIT:
        take_digits(c);
        break;
    case QUESTION:
        take_question(c);
        break;
    case STRONG:
    case WEAK:
    case MINUS:
        take_operator(c, kind);
        break;
    case BACKSLASH:
        c->math += next_kind(c) == LETTER;
        break;
    case LINE:
        begin_line(c);
        break;
    case OTHER:
    case BLANK:
    case CLOSE:
    case WIDE:
        break;
    }
    return kind;
}

void signals_count_text(struct slice text, struct classify_signals *s) {
    if (text.len == 0)
        return;
    const uint8_t *start = (const uint8_t *)text.ptr;
    struct count c = {.s = s,
                      .chars = signals_chars(),
                      .at = start,
                      .end = start + text.len,
                      .before = LINE,
                      .solid = LINE};
    begin_line(&c);
    while (c.at < c.end) {
        c.before = take(&c, (enum kind)kinds[*c.at]);
        if (c.before != BLANK)
            c.solid = c.before;
    }
    s->values[CONFIG_SIGNAL_QUESTIONS] += c.questions;
    s->values[CONFIG_SIGNAL_NUMBERS] += c.numbers;
    s->values[CONFIG_SIGNAL_MATH] += c.math;
}
