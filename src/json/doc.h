// The index that the files of this room share.
#ifndef FARTHING_JSON_DOC_H
#define FARTHING_JSON_DOC_H

#include "farthing/json.h"

enum {
    NODE_ESCAPES = 1, // a string with at least one backslash
    // Perhaps not in canonical spelling: a string with \u or \/, a number that
    // is not a plain integer of at most NUMBER_PLAIN_MAX bytes.
    NODE_RESPELL = 2,
    // From 10^21 on, the canonical spelling has an exponent.
    NUMBER_PLAIN_MAX = 21,
};

// 16 bytes a value. `next` is the index behind the value and all it contains.
struct json_node {
    uint32_t start, end; // bytes in the text; strings with their quotes
    uint32_t next;
    uint8_t type, flags;
};

struct json_doc {
    struct slice text;
    struct json_node *nodes;
    uint32_t count, cap;
    uint32_t *stack; // open containers while parsing
    uint32_t stack_cap;
};

// The bytes of a string between its quotes, escapes and all.
static inline struct slice json_between_quotes(const struct json_doc *doc, json_ref ref) {
    const struct json_node *n = &doc->nodes[ref];
    return slice_make(doc->text.ptr + n->start + 1, n->end - n->start - 2);
}

static inline bool json_is_container(const struct json_node *n) {
    return n->type == JSON_ARRAY || n->type == JSON_OBJECT;
}

// The escape of a quote, a backslash or a control character (RFC 8785's spelling).
void json_quote_byte(struct buffer *out, unsigned char c);

// The number's canonical spelling (number.c).
void json_number_canonical(struct slice raw, struct buffer *out);
bool json_number_is_canonical(struct slice raw);

#endif
