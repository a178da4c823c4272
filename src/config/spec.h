// The one table of sections and keys (spec_*.c), from which parsing, validation,
// "did you mean" and the documentation are made.
#ifndef FARTHING_CONFIG_SPEC_H
#define FARTHING_CONFIG_SPEC_H

#include "farthing/config.h"

#define SPEC_USD INT64_C(1000000000000) // one, in pico

enum spec_kind {
    SPEC_TEXT,
    SPEC_LIST,     // of texts
    SPEC_BOOL,
    SPEC_COUNT,    // unsigned
    SPEC_NUMBER,   // int64_t
    SPEC_DURATION, // int64_t milliseconds
    SPEC_SIZE,     // int64_t bytes
    SPEC_MONEY,    // int64_t pico-USD
    SPEC_RATE,     // int64_t a minute
    SPEC_MILLI,    // int64_t thousandths of a decimal number
    SPEC_SECRET,   // text; file: read; never shown
    SPEC_FLAG,     // int: 1, 0 or CONFIG_UNSET
    SPEC_SPECIAL,  // list or text that build_*.c reads by itself
};

struct spec_key {
    const char *name;
    enum spec_kind kind;
    bool list;           // SPEC_SPECIAL: a list
    bool not_enforced;   // valid, but without effect in this version: warned about
    size_t offset;       // into the section's struct
    const char *initial; // default as the file would spell it; NULL: unset
    int64_t min, max;    // for all kinds that are a number
    const char *help;
};

struct spec_section {
    const char *name;   // "provider"
    const char *parent; // "" at the top
    bool titled;        // several, each with a name
    const struct spec_key *keys;
    size_t key_count;
    const char *help;
};

const struct spec_section *const *spec_sections(size_t *count);
const struct spec_section *spec_section_find(const char *parent, const char *name);
const struct spec_key *spec_key_find(const struct spec_section *section, struct slice name);
// The nearest word of the section (keys and subsections), or NULL when nothing is near.
const char *spec_nearest(const struct spec_section *section, struct slice word);
// `candidate` into *best when it is nearer to `word` than *distance, which it then sets.
void spec_consider(const char *candidate, struct slice word, const char **best, size_t *distance);
const char *spec_kind_expected(enum spec_kind kind); // "a duration such as 250ms, 30s, 10m"

bool config_parse_milli(struct slice s, int64_t *out) FARTHING_MUST_CHECK; // value.c: "-0.1" is -100

#endif
