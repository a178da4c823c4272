// What the tests of this room share: reading a text that must be valid, or the
// messages of one that must not be.
#ifndef CONFIG_FIXTURE_H
#define CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/config.h"

#define PROVIDER "provider \"p\" { base_url = \"http://host/v1\" }\n"
#define DIGEST_A "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
#define DIGEST_B "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"

#define assert_slice(s, literal)                                                                   \
    do {                                                                                           \
        struct slice seen_ = (s), wanted_ = slice_of(literal);                                     \
        if (!slice_equal(seen_, wanted_))                                                          \
            fail_msg("\"%.*s\" is not \"%.*s\"", SLICE_ARG(seen_), SLICE_ARG(wanted_));            \
    } while (0)

// A snapshot of a text that must be valid; the caller unrefs.
static inline const struct config *load_valid(const char *text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(slice_of(text), "t.conf", &messages);
    if (c == NULL)
        fail_msg("refused:\n%.*s%s", SLICE_ARG(buffer_slice(&messages)), text);
    assert_int_equal(messages.len, 0);
    buffer_free(&messages);
    return c;
}

// The messages of a text that must be refused; the caller frees.
static inline char *load_refused_bytes(struct slice text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(text, "t.conf", &messages);
    if (c != NULL)
        fail_msg("accepted: %.*s", SLICE_ARG(text));
    assert_true(messages.len > 0);
    char *copy = slice_dup(buffer_slice(&messages));
    buffer_free(&messages);
    return copy;
}

static inline char *load_refused(const char *text) {
    return load_refused_bytes(slice_of(text));
}

// Not inline: gcc would see a NULL in it that no caller passes.
static __attribute__((noinline, unused)) void assert_says(const char *messages, const char *what) {
    if (strstr(messages, what) == NULL)
        fail_msg("\"%s\" is not in:\n%s", what, messages);
}

static __attribute__((noinline, unused)) void assert_silent(const char *messages,
                                                            const char *what) {
    if (strstr(messages, what) != NULL)
        fail_msg("\"%s\" is in:\n%s", what, messages);
}

// Refused, with a message at this line that holds each of the words.
static inline void refused_at(const char *text, int line, const char *word, const char *other) {
    char *messages = load_refused(text), where[32];
    snprintf(where, sizeof where, "t.conf:%d: ", line);
    const char *found = strstr(messages, where);
    if (found == NULL)
        fail_msg("no message at line %d of\n%s\nbut:\n%s", line, text, messages);
    assert_says(found, word);
    if (other != NULL)
        assert_says(found, other);
    free(messages);
}

static inline bool warns(const struct config *c, const char *what) {
    for (size_t i = 0; i < c->warnings.count; i++)
        if (slice_find(c->warnings.items[i], slice_of(what)) >= 0)
            return true;
    return false;
}

#endif
