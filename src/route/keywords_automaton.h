// The automaton's tables: made by keywords_build.c, walked by keywords.c.
//
// Bytes that are in no keyword are one class, 0, and lead back to the root. States
// are numbered in the order of their depth. The first `dense_count` have a row with
// a target for each class, in which the way back on a mismatch is already
// followed; these are the states that a text is in nearly always. A state behind
// them has its few edges and the state to go back to, so that a large list of
// keywords takes bytes for its letters and not for its alphabet.
#ifndef FARTHING_ROUTE_KEYWORDS_AUTOMATON_H
#define FARTHING_ROUTE_KEYWORDS_AUTOMATON_H

#include "keywords.h"

#define KEYWORDS_HIT  0x80000000u // in a target: something ends there
#define KEYWORDS_NONE UINT32_MAX

// Beside the class of a byte of ASCII.
#define KEYWORDS_ASCII_WORD  0x100u
#define KEYWORDS_ASCII_BLANK 0x200u

struct keywords_edges {
    uint32_t first, count; // in edge_classes and edge_targets
    uint32_t back;
};

// What ends in a state, and the next shorter thing that ends there too.
struct keywords_end {
    uint32_t first, count; // in end_flags
    uint32_t shorter;      // an end; KEYWORDS_NONE
};

struct keywords {
    uint8_t classes[256]; // of the stream's bytes
    uint16_t ascii[128];  // of a text's bytes: its class when folded, and the bits above
    uint32_t class_count;
    uint32_t flag_count;
    uint32_t state_count, dense_count;
    uint32_t *rows;               // dense_count times class_count
    struct keywords_edges *edges; // of the states from dense_count on
    uint8_t *edge_classes;
    uint32_t *edge_targets;
    uint32_t *state_ends; // a state's end; only read where KEYWORDS_HIT says so
    struct keywords_end *ends;
    uint32_t end_count;
    uint32_t *end_flags;
    size_t bytes;
};

// The stream of a text, byte by byte: white space, edges and folding.
struct keywords_stream {
    const uint8_t *chars; // signals_chars()
    const uint8_t *at, *end;
    bool in_word, blank; // the last character was of a word, was a blank
};
enum { KEYWORDS_CHAR_BYTES_MAX = 6 }; // an edge and a character, or an edge at the end
// The bytes of the next character; 0 at the end of the text.
unsigned keywords_stream_next(struct keywords_stream *s, uint8_t out[KEYWORDS_CHAR_BYTES_MAX]);

#endif
