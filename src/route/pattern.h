// Regular expressions: PCRE2 behind a small face, the only file that knows the
// library. For the operator's patterns (rules, gates) and for those in clients'
// JSON schemas, so that neither a hostile pattern nor a hostile text can take
// long: the work of a search is counted across all the places where it may begin
// (the library's own limits count anew at each, which leaves it quadratic at
// best), and a search over its budget is given up.
#ifndef FARTHING_ROUTE_PATTERN_H
#define FARTHING_ROUTE_PATTERN_H

#include "farthing/base.h"

enum pattern_flags {
    // ECMA-262's dialect with its u flag, for JSON Schema. Without it: PCRE2's own,
    // with Unicode's properties for \d, \w, \s and \b.
    PATTERN_ECMA = 1,
    PATTERN_CASELESS = 2,
    // Will be searched for many times: also translated to machine code, which
    // takes some 50 microseconds more.
    PATTERN_LASTING = 4,
    PATTERN_AT_START = 8, // found only where it begins at the text's first byte
};

enum { PATTERN_BYTES_MAX = 16384 };

enum pattern_result {
    PATTERN_ABSENT,
    PATTERN_FOUND,
    PATTERN_UNKNOWN, // given up: too much work
};

// Immutable once compiled: any number of threads may search with it at once.
struct pattern;

// NULL: err says what is wrong and at which byte. Copies what it needs.
struct pattern *pattern_compile(struct slice text, unsigned flags, struct error *err);
void pattern_free(struct pattern *p); // NULL is fine

// Is it anywhere in the text? A search that is given up: false. A search takes
// at most pattern_work_for(text.len) steps, a step being an item of the pattern
// tried, or some bytes passed over. Bytes that are no UTF-8 match nothing.
bool pattern_find(const struct pattern *p, struct slice text);

// The same for who must tell "absent" from "given up". Takes what it needs from
// *work, which several searches may share; nothing left: PATTERN_UNKNOWN.
enum pattern_result pattern_search(const struct pattern *p, struct slice text, int64_t *work);

// What one search of a text of this length may take: linear in it.
int64_t pattern_work_for(size_t text_bytes);

#endif
