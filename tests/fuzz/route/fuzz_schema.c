// Any schema, any value: {"schema": ..., "data": ...}, or one JSON as both. It
// ends, does not depend on who asks, and what it says of a violation is text.
#include "../check.h"
#include "farthing/schema.h"

enum { WORDS_MAX = 4096 };

static void check_words(struct slice words) {
    CHECK(words.len < WORDS_MAX);
    for (size_t at = 0, n; at < words.len; at += n) {
        n = slice_utf8(slice_from(words, at));
        CHECK(n > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (json_parse(doc, slice_make(data, size), NULL, &err)) {
        json_ref schema = json_get(doc, JSON_ROOT, SLICE("schema"));
        json_ref value = json_get(doc, JSON_ROOT, SLICE("data"));
        struct schema *s = schema_compile(doc, schema == JSON_NONE ? JSON_ROOT : schema);
        json_ref at = value == JSON_NONE ? JSON_ROOT : value;
        struct buffer words = {0};
        enum schema_verdict told = schema_validate(s, doc, at, &words);
        CHECK((told == SCHEMA_INVALID) == (words.len > 0));
        CHECK(schema_validate(s, doc, at, NULL) == told);
        check_words(buffer_slice(&words));
        buffer_free(&words);
        schema_free(s);
    }
    json_doc_free(doc);
    return 0;
}
