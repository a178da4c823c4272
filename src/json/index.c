// The parser: one pass over the bytes, one node a value, a small stack of open
// containers instead of recursion.
#include "scan.h"

#include <stdlib.h>

enum { DEPTH_DEFAULT = 512 };
static const size_t bytes_max = (size_t)1 << 30;

struct parser {
    struct json_doc *doc;
    const char *begin, *at, *end;
    uint32_t depth, depth_max;
    struct error *err;
};

struct json_doc *json_doc_new(void) {
    return base_calloc(1, sizeof(struct json_doc));
}

void json_doc_free(struct json_doc *doc) {
    if (doc == NULL)
        return;
    free(doc->nodes);
    free(doc->stack);
    free(doc);
}

static bool fail(struct parser *p, const char *what) {
    return error_set(p->err, "%s at byte %zu", what, (size_t)(p->at - p->begin));
}

static uint32_t add_node(struct parser *p, enum json_type type) {
    struct json_doc *doc = p->doc;
    if (doc->count == doc->cap) {
        doc->cap = doc->cap == 0 ? 64 : doc->cap * 2;
        doc->nodes = base_realloc(doc->nodes, doc->cap * sizeof *doc->nodes);
    }
    doc->nodes[doc->count] = (struct json_node){
        .start = (uint32_t)(p->at - p->begin),
        .next = doc->count + 1,
        .type = (uint8_t)type,
    };
    return doc->count++;
}

// ---------------------------------------------------------------- strings

static int hex4(const char *s) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)s[i];
        unsigned digit = (unsigned)c - '0';
        if (digit > 9) {
            digit = (c | 0x20u) - 'a' + 10u;
            if (digit < 10 || digit > 15)
                return -1;
        }
        value = value << 4 | digit;
    }
    return (int)value;
}

// At a backslash. Moves behind the escape; a surrogate needs its other half.
static bool skip_escape(struct parser *p, uint8_t *flags) {
    if (p->end - p->at < 2)
        return fail(p, "unfinished escape");
    uint8_t short_escape = scan_short_escape(p->at[1]);
    if (short_escape != 0) {
        *flags |= short_escape;
        p->at += 2;
        return true;
    }
    if (p->at[1] != 'u')
        return fail(p, "unknown escape");
    *flags |= NODE_ESCAPES | NODE_RESPELL;
    int unit = p->end - p->at >= 6 ? hex4(p->at + 2) : -1;
    if (unit < 0)
        return fail(p, "bad \\u escape");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail(p, "lone surrogate");
    if (unit >= 0xd800 && unit <= 0xdbff) {
        const char *low = p->at + 6;
        int second = p->end - low >= 6 && low[0] == '\\' && low[1] == 'u' ? hex4(low + 2) : -1;
        if (second < 0xdc00 || second > 0xdfff)
            return fail(p, "lone surrogate");
        p->at += 6;
    }
    p->at += 6;
    return true;
}

static bool is_continuation(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

// Text in other scripts comes in runs: stays while it lasts. Most sequences of
// two and three bytes are told without a call; the ends of their ranges, and
// those of four, are slice_utf8's.
static bool skip_other_scripts(struct parser *p) {
    const char *s = p->at;
    do {
        unsigned char c = (unsigned char)*s;
        ptrdiff_t left = p->end - s;
        size_t n;
        if (c >= 0xc2 && c < 0xe0 && left >= 2 && is_continuation(s[1]))
            n = 2;
        else if (c > 0xe0 && c < 0xed && left >= 3 && is_continuation(s[1]) &&
                 is_continuation(s[2]))
            n = 3;
        else
            n = slice_utf8(slice_make(s, (size_t)left));
        if (n == 0) {
            p->at = s;
            return fail(p, "invalid UTF-8");
        }
        s += n;
    } while (s < p->end && (unsigned char)*s >= 0x80);
    p->at = s;
    return true;
}

static bool read_string(struct parser *p) {
    uint32_t node = add_node(p, JSON_STRING);
    uint8_t flags = 0;
    p->at++;
    for (;;) {
        p->at = scan_text(p->at, p->end, &flags);
        if (p->at == p->end)
            return fail(p, "unfinished string");
        unsigned char c = (unsigned char)*p->at;
        if (c == '"')
            break;
        if (c < 0x20)
            return fail(p, "control character in a string");
        if (!(c == '\\' ? skip_escape(p, &flags) : skip_other_scripts(p)))
            return false;
    }
    p->at++;
    p->doc->nodes[node].end = (uint32_t)(p->at - p->begin);
    p->doc->nodes[node].flags = flags;
    return true;
}

// ---------------------------------------------------------- other scalars

static const char *skip_digits(const char *s, const char *end) {
    while (s < end && *s >= '0' && *s <= '9')
        s++;
    return s;
}

static bool digit_expected(struct parser *p, const char *at) {
    p->at = at;
    return fail(p, "digit expected");
}

static bool read_number(struct parser *p) {
    uint32_t node = add_node(p, JSON_NUMBER);
    const char *start = p->at, *end = p->end;
    bool negative = *start == '-';
    const char *whole = start + negative;
    const char *s = whole < end && *whole == '0' ? whole + 1 : skip_digits(whole, end);
    if (s == whole)
        return digit_expected(p, s);
    // A plain integer of moderate length needs no second look; "-0" does.
    bool plain = s - start <= NUMBER_PLAIN_MAX && !(negative && *whole == '0');
    if (s < end && *s == '.') {
        const char *fraction = s + 1;
        s = skip_digits(fraction, end);
        if (s == fraction)
            return digit_expected(p, s);
        plain = false;
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        if (s < end && (*s == '+' || *s == '-'))
            s++;
        const char *exponent = s;
        s = skip_digits(exponent, end);
        if (s == exponent)
            return digit_expected(p, s);
        plain = false;
    }
    p->at = s;
    p->doc->nodes[node].flags = plain ? 0 : NODE_RESPELL;
    p->doc->nodes[node].end = (uint32_t)(s - p->begin);
    return true;
}

static bool read_word(struct parser *p, struct slice word, enum json_type type) {
    if ((size_t)(p->end - p->at) < word.len || memcmp(p->at, word.ptr, word.len) != 0)
        return fail(p, "unknown word");
    uint32_t node = add_node(p, type);
    p->at += word.len;
    p->doc->nodes[node].end = (uint32_t)(p->at - p->begin);
    return true;
}

// ------------------------------------------------------------- structure

static void skip_space(struct parser *p) {
    const char *s = p->at;
    while (s < p->end && (*s == ' ' || *s == '\n' || *s == '\r' || *s == '\t'))
        s++;
    p->at = s;
}

static bool open_container(struct parser *p, enum json_type type) {
    struct json_doc *doc = p->doc;
    if (p->depth == p->depth_max)
        return fail(p, "nested too deeply");
    if (p->depth == doc->stack_cap) {
        doc->stack_cap = doc->stack_cap == 0 ? 32 : doc->stack_cap * 2;
        doc->stack = base_realloc(doc->stack, doc->stack_cap * sizeof *doc->stack);
    }
    doc->stack[p->depth++] = add_node(p, type);
    p->at++;
    return true;
}

static void close_container(struct parser *p) {
    struct json_node *n = &p->doc->nodes[p->doc->stack[--p->depth]];
    p->at++;
    n->end = (uint32_t)(p->at - p->begin);
    n->next = p->doc->count;
}

// What may come next.
enum expect { EXPECT_VALUE, EXPECT_FIRST_VALUE, EXPECT_FIRST_KEY, EXPECT_KEY, EXPECT_MORE };

static bool read_value(struct parser *p, enum expect *expect) {
    *expect = EXPECT_MORE;
    switch (*p->at) {
    case '"':
        return read_string(p);
    case '{':
        *expect = EXPECT_FIRST_KEY;
        return open_container(p, JSON_OBJECT);
    case '[':
        *expect = EXPECT_FIRST_VALUE;
        return open_container(p, JSON_ARRAY);
    case 't':
        return read_word(p, SLICE("true"), JSON_TRUE);
    case 'f':
        return read_word(p, SLICE("false"), JSON_FALSE);
    case 'n':
        return read_word(p, SLICE("null"), JSON_NULL);
    default:
        if (*p->at == '-' || (*p->at >= '0' && *p->at <= '9'))
            return read_number(p);
        return fail(p, "value expected");
    }
}

static bool read_key(struct parser *p, enum expect *expect) {
    if (*p->at != '"')
        return fail(p, "string expected as a key");
    if (!read_string(p))
        return false;
    skip_space(p);
    if (p->at == p->end || *p->at != ':')
        return fail(p, "colon expected");
    p->at++;
    *expect = EXPECT_VALUE;
    return true;
}

// Behind a value inside a container: comma or the container's end.
static bool read_more(struct parser *p, enum expect *expect) {
    bool object = p->doc->nodes[p->doc->stack[p->depth - 1]].type == JSON_OBJECT;
    if (*p->at == ',') {
        p->at++;
        *expect = object ? EXPECT_KEY : EXPECT_VALUE;
        return true;
    }
    if (*p->at != (object ? '}' : ']'))
        return fail(p, object ? "comma or } expected" : "comma or ] expected");
    close_container(p);
    return true;
}

static bool read_document(struct parser *p) {
    enum expect expect = EXPECT_VALUE;
    do {
        skip_space(p);
        if (p->at == p->end)
            return fail(p, "unexpected end");
        bool ok;
        if (expect == EXPECT_MORE) {
            ok = read_more(p, &expect);
        } else if (expect == EXPECT_FIRST_VALUE && *p->at == ']') {
            close_container(p);
            expect = EXPECT_MORE;
            ok = true;
        } else if (expect == EXPECT_FIRST_KEY && *p->at == '}') {
            close_container(p);
            expect = EXPECT_MORE;
            ok = true;
        } else if (expect == EXPECT_FIRST_KEY || expect == EXPECT_KEY) {
            ok = read_key(p, &expect);
        } else {
            ok = read_value(p, &expect);
        }
        if (!ok)
            return false;
    } while (expect != EXPECT_MORE || p->depth > 0);
    skip_space(p);
    return p->at == p->end || fail(p, "more than one value");
}

bool json_parse(struct json_doc *doc, struct slice text, const struct json_limits *limits,
                struct error *err) {
    struct parser p = {
        .doc = doc,
        .begin = text.ptr,
        .at = text.ptr,
        .end = text.len > 0 ? text.ptr + text.len : text.ptr,
        .depth_max = limits != NULL && limits->depth > 0 ? limits->depth : DEPTH_DEFAULT,
        .err = err,
    };
    doc->text = text;
    doc->count = 0;
    size_t max = limits != NULL && limits->bytes > 0 && limits->bytes < bytes_max ? limits->bytes
                                                                                  : bytes_max;
    bool ok = text.len <= max ? read_document(&p)
                              : error_set(err, "%zu bytes are more than %zu", text.len, max);
    if (!ok)
        doc->count = 0;
    return ok;
}
