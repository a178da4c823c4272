// schema: JSON Schema 2020-12 over the json room's index, to judge whether an
// answer is what was asked for.
//
// The rule above all others: what is not supported, not understood, malformed,
// or too much work never rejects an answer. So a verdict has three values, and
// they are reckoned with as such: the `not` of what is not known is not known.
// docs/gates.md has the table of what is supported.
//
// Neither a schema nor an instance can make it run long: steps are counted, and
// so is the depth; over either, the verdict is SCHEMA_UNKNOWN.
#ifndef FARTHING_SCHEMA_H
#define FARTHING_SCHEMA_H

#include "farthing/base.h"
#include "farthing/json.h"

enum schema_verdict {
    SCHEMA_VALID,
    SCHEMA_UNKNOWN, // cannot be told: not to be held against the instance
    SCHEMA_INVALID,
};

// Immutable once compiled, for any number of threads. Owned by who compiled it;
// its document must outlive it.
struct schema;

// The schema that stands at `root` of the document, with all that it refers to
// within it. Never NULL: what is no schema is one that rejects nothing. Linear in
// the size of the document.
struct schema *schema_compile(const struct json_doc *doc, json_ref root);
void schema_free(struct schema *s); // NULL is fine

// Does the value at `at` fit? SCHEMA_INVALID: appends to `violation` (unless it is
// NULL) the first thing that is wrong, for a model to act on: where, as a JSON
// pointer from `at`, what was expected, and what is there instead:
// "/items/3/price: expected a number, got a string".
enum schema_verdict schema_validate(const struct schema *s, const struct json_doc *doc, json_ref at,
                                    struct buffer *violation);

#endif
