// The parser: one pass over the bytes, one node a value, a small stack of open
// containers instead of recursion.
//
// Strings are most of a prompt, so they decide the speed: 16 bytes at a time
// with SSE2 (every x86-64 has it), 8 at a time by plain arithmetic elsewhere,
// until a byte that means something: quote, backslash, control, non-ASCII.
#include "doc.h"

#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

// The first byte at or after s that is a quote, a backslash, a control
// character or not ASCII; end when there is none.
static const char *skip_plain(const char *s, const char *end) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    for (; end - s >= 16; s += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
        // Signed: bytes over 0x7f are negative, so one comparison finds both
        // controls and non-ASCII.
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, space),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote),
                                                _mm_cmpeq_epi8(v, backslash)));
        int mask = _mm_movemask_epi8(odd);
        if (mask != 0)
            return s + __builtin_ctz((unsigned)mask);
    }
#else
    // A byte of x is zero where (x - 0x01..) & ~x & 0x80.. has its high bit.
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (; end - s >= 8; s += 8) {
        uint64_t v;
        memcpy(&v, s, 8);
        uint64_t q = v ^ (ones * '"'), b = v ^ (ones * '\\');
        if (((v | (v - ones * 0x20) | (q - ones) | (b - ones)) & highs) != 0)
            break; // perhaps one of these: look at them singly
    }
#endif
    for (; s < end; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            return s;
    }
    return end;
}

// Length of the well-formed UTF-8 sequence at s (Unicode table 3-7), or 0.
static size_t utf8_sequence(const unsigned char *s, size_t left) {
    unsigned char c = s[0];
    size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0; // overlong, surrogate, beyond U+10FFFF
    return n;
}

static int hex4(const char *s) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

// At a backslash. Moves behind the escape; a surrogate needs its other half.
static bool skip_escape(struct parser *p, uint8_t *flags) {
    *flags |= NODE_ESCAPES;
    if (p->end - p->at < 2)
        return fail(p, "unfinished escape");
    char c = p->at[1];
    if (c != 'u') {
        if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
            return fail(p, "unknown escape");
        if (c == '/')
            *flags |= NODE_RESPELL;
        p->at += 2;
        return true;
    }
    *flags |= NODE_RESPELL;
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

static bool read_string(struct parser *p) {
    uint32_t node = add_node(p, JSON_STRING);
    uint8_t flags = 0;
    p->at++;
    for (;;) {
        p->at = skip_plain(p->at, p->end);
        if (p->at == p->end)
            return fail(p, "unfinished string");
        unsigned char c = (unsigned char)*p->at;
        if (c == '"')
            break;
        if (c == '\\') {
            if (!skip_escape(p, &flags))
                return false;
        } else if (c < 0x20) {
            return fail(p, "control character in a string");
        } else {
            // Text in other scripts comes in runs: stay here while it lasts.
            do {
                size_t n = utf8_sequence((const unsigned char *)p->at, (size_t)(p->end - p->at));
                if (n == 0)
                    return fail(p, "invalid UTF-8");
                p->at += n;
            } while (p->at < p->end && (unsigned char)*p->at >= 0x80);
        }
    }
    p->at++;
    p->doc->nodes[node].end = (uint32_t)(p->at - p->begin);
    p->doc->nodes[node].flags = flags;
    return true;
}

// ---------------------------------------------------------- other scalars

static bool is_digit(const struct parser *p) {
    return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static void skip_digits(struct parser *p) {
    while (is_digit(p))
        p->at++;
}

static bool read_number(struct parser *p) {
    uint32_t node = add_node(p, JSON_NUMBER);
    if (*p->at == '-')
        p->at++;
    if (!is_digit(p))
        return fail(p, "digit expected");
    if (*p->at == '0')
        p->at++;
    else
        skip_digits(p);
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!is_digit(p))
            return fail(p, "digit expected");
        skip_digits(p);
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            p->at++;
        if (!is_digit(p))
            return fail(p, "digit expected");
        skip_digits(p);
    }
    p->doc->nodes[node].end = (uint32_t)(p->at - p->begin);
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
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
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
    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return read_number(p);
    default:
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
