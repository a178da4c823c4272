// The index that the files of this room share.
#ifndef FARTHING_JSON_DOC_H
#define FARTHING_JSON_DOC_H

#include "farthing/json.h"

enum {
    NODE_ESCAPES = 1, // a string with at least one backslash
    NODE_RESPELL = 2, // ... whose escapes are not in canonical spelling (\u, \/)
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

// A string's bytes between its quotes, escapes and all.
static inline struct slice json_inner(const struct json_doc *doc, json_ref ref) {
    const struct json_node *n = &doc->nodes[ref];
    return slice_make(doc->text.ptr + n->start + 1, n->end - n->start - 2);
}

static inline bool json_is_container(const struct json_node *n) {
    return n->type == JSON_ARRAY || n->type == JSON_OBJECT;
}

// Decodes one escape sequence at s (which starts with a backslash and is known
// to be valid) into UTF-8; returns how many bytes of s it took.
size_t json_decode_escape(const char *s, char out[4], size_t *out_len);

// The number's canonical spelling (number.c).
void json_number_canonical(struct slice raw, struct buffer *out);
bool json_number_is_canonical(struct slice raw);

#endif
