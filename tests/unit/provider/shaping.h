// What the tests of request shaping share: a change is applied to a request, the
// bytes are compared, and the same change once more must find nothing to do.
#ifndef FARTHING_TESTS_PROVIDER_SHAPING_H
#define FARTHING_TESTS_PROVIDER_SHAPING_H

#include "support.h"

struct shaping {
    const struct json_doc *doc;
    struct json_edits *edits;
    struct arena *arena;
};
// True: something was changed.
typedef bool shape(const struct shaping *s, const void *row);

static inline bool shaped(shape *change, const void *row, struct slice request,
                          struct buffer *out) {
    struct json_doc *doc = parsed(request);
    struct arena *arena = arena_new(256);
    const struct shaping s = {doc, json_edits_new(doc, arena), arena};
    bool changed = change(&s, row);
    if (changed == json_edits_empty(s.edits))
        fail_msg("%.*s: said %d of its own edits", SLICE_ARG(request), changed);
    buffer_append(out, json_edits_apply(s.edits));
    arena_free(arena);
    json_doc_free(doc);
    return changed;
}

// `wanted` NULL: nothing is changed.
static inline void assert_shaped(shape *change, const void *row, const char *request,
                                 const char *wanted) {
    struct buffer once = {0}, twice = {0};
    bool changed = shaped(change, row, slice_of(request), &once);
    assert_bytes(buffer_slice(&once), slice_of(wanted != NULL ? wanted : request), request);
    assert_int_equal(changed, wanted != NULL);
    if (shaped(change, row, buffer_slice(&once), &twice))
        fail_msg("%s\n once:  [%.*s]\n twice: [%.*s]", request, SLICE_ARG(buffer_slice(&once)),
                 SLICE_ARG(buffer_slice(&twice)));
    buffer_free(&once);
    buffer_free(&twice);
}

// A document that could not be parsed is an empty one.
static inline void assert_nothing_in_an_empty_document(shape *change, const void *row) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err;
    const struct shaping fresh = {doc, json_edits_new(doc, arena), arena};
    assert_false(change(&fresh, row));
    assert_false(json_parse(doc, SLICE("{\"max_tokens\":"), NULL, &err));
    const struct shaping broken = {doc, json_edits_new(doc, arena), arena};
    assert_false(change(&broken, row));
    arena_free(arena);
    json_doc_free(doc);
}

#endif
