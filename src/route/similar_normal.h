// The normalizer of a tokenizer.json: what is done to a text before it is cut into
// words. A list of steps, each from one buffer into another.
#ifndef FARTHING_ROUTE_SIMILAR_NORMAL_H
#define FARTHING_ROUTE_SIMILAR_NORMAL_H

#include "farthing/json.h"

struct normal_step;

struct normal {
    struct normal_step *steps;
    size_t count;
};

// `at`: the normalizer's object, or null. False: err says what is not supported.
bool normal_parse(struct normal *n, const struct json_doc *doc, json_ref at,
                  struct error *err) FARTHING_MUST_CHECK;
void normal_free(struct normal *n);
// Appends to `out`: at most NORMAL_BYTES_MAX, the first.
enum { NORMAL_BYTES_MAX = 64 * 1024 };
void normal_apply(const struct normal *n, struct slice text, struct buffer *out);

// ------------------------------------------- sentencepiece's map of characters

// A double array (Darts), and the replacements that it leads to.
struct charsmap;

// From what a tokenizer.json holds, in base64. NULL: it is no such map.
struct charsmap *charsmap_parse(struct slice base64, struct error *err) FARTHING_MUST_CHECK;
void charsmap_free(struct charsmap *m); // NULL is fine
void charsmap_apply(const struct charsmap *m, struct slice text, struct buffer *out);

#endif
