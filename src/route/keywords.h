// Thousands of keywords in one pass over a text: an Aho-Corasick automaton over
// folded text.
//
// Text and keywords become one stream of bytes before they meet: UTF-8 of folded
// characters (keywords_fold), every run of white space one blank, and a mark
// wherever a word begins or ends. A keyword that shall be found as a whole word has
// that mark at its ends too, so that words and parts of words are one and the same
// search, and what one keyword implies of another can be read off their streams.
// (At an end that is no letter or digit there is none: "CVE-" is found in "CVE-2024".)
#ifndef FARTHING_ROUTE_KEYWORDS_H
#define FARTHING_ROUTE_KEYWORDS_H

#include "farthing/base.h"

enum { KEYWORDS_EDGE = 0xFF }; // the mark: no byte of UTF-8

struct keyword {
    struct slice text;
    bool whole;    // as whole words; false: anywhere
    uint32_t flag; // raised when it is found; several may raise the same
};

// Immutable once made: any number of threads may search at once.
struct keywords;

// Flags are below flag_count. A keyword of white space alone is never found.
struct keywords *keywords_new(const struct keyword *list, size_t count, uint32_t flag_count);
void keywords_free(struct keywords *k); // NULL is fine

// The flags that a text raises, and further texts.
struct keywords_found {
    uint64_t *flags; // bits
    uint64_t *seen;  // internal
};
struct keywords_found keywords_begin(const struct keywords *k, struct arena *arena);
// Linear in the text, however many keywords there are and however often they occur.
void keywords_search(const struct keywords *k, struct slice text, struct keywords_found *found);
static inline bool keywords_raised(const struct keywords_found *found, uint32_t flag) {
    return (found->flags[flag / 64] >> (flag % 64) & 1) != 0;
}

// The stream of a keyword, appended. If one's is within another's, whatever
// contains the other contains it.
void keywords_stream(struct slice text, bool whole, struct buffer *out);

size_t keywords_bytes(const struct keywords *k); // of memory

#endif
