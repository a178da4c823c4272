// What the tests of this room share: parsing literals, canonical bytes.
#ifndef FARTHING_TESTS_JSON_SUPPORT_H
#define FARTHING_TESTS_JSON_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/json.h"

// Every test starts with an empty document and arena, as the exchange does.
struct bench {
    struct json_doc *doc;
    struct arena *arena;
    struct error err;
};

static inline int bench_set_up(void **state) {
    struct bench *b = base_calloc(1, sizeof *b);
    b->doc = json_doc_new();
    b->arena = arena_new(256);
    *state = b;
    return 0;
}

static inline int bench_tear_down(void **state) {
    struct bench *b = *state;
    json_doc_free(b->doc);
    arena_free(b->arena);
    free(b);
    return 0;
}

#define BENCH_TEST(function)                                                                       \
    cmocka_unit_test_setup_teardown(function, bench_set_up, bench_tear_down)

static inline struct json_doc *parsed(struct bench *b, const char *text) {
    if (!json_parse(b->doc, slice_of(text), NULL, &b->err))
        fail_msg("%s: %s", text, b->err.text);
    return b->doc;
}

static inline void assert_bytes(struct slice got, struct slice wanted) {
    if (!slice_equal(got, wanted))
        fail_msg("got [%.*s], wanted [%.*s]", SLICE_ARG(got), SLICE_ARG(wanted));
}

static inline void assert_text(struct slice got, const char *wanted) {
    assert_bytes(got, slice_of(wanted));
}

static inline void append_piece(void *arg, struct slice piece) {
    buffer_append(arg, piece);
}

// The canonical bytes of any text; the caller frees.
static inline struct buffer canonical_of(struct bench *b, struct slice text) {
    struct buffer out = {0};
    if (!json_parse(b->doc, text, NULL, &b->err) ||
        !json_canonical(b->doc, JSON_ROOT, NULL, NULL, append_piece, &out, &b->err))
        fail_msg("%.*s: %s", SLICE_ARG(text), b->err.text);
    return out;
}

static inline void assert_canonical(struct bench *b, const char *text, const char *wanted) {
    struct buffer got = canonical_of(b, slice_of(text));
    assert_text(buffer_slice(&got), wanted);
    buffer_free(&got);
}

#endif
