// Any bytes as a safetensors file, as a tokenizer.json, as an answer with vectors, and
// as a text that is read by them. The input is three parts, each behind its length in
// two bytes; of what the first says is a tokenizer, the model and its vocabulary may be
// one that works, so that the rest of the file and the text are what is tried.
#include <math.h>

#include "../check.h"
#include "similar.h"
#include "similar_table.h"
#include "similar_unicode.h"

#define WORDPIECE                                                                                  \
    "{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"##a\":2,\"ab\":3,"   \
    "\"\xE4\xBD\xA0\":4,\"!\":5}}"
#define UNIGRAM                                                                                    \
    "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"\xE2\x96\x81\",-3],[\"a\",-2],"    \
    "[\"ab\",-3],[\"\xE2\x96\x81"                                                                  \
    "a\",-2],[\"\xC3\xA9\",-1]]}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// In memory of its own, so that a byte read beyond it is found.
static struct slice take(const uint8_t **data, size_t *size) {
    size_t len = 0;
    if (*size >= 2) {
        len = (size_t)((*data)[0] | (*data)[1] << 8);
        *data += 2;
        *size -= 2;
    }
    len = len < *size ? len : *size;
    char *copy = base_alloc(len > 0 ? len : 1);
    if (len > 0)
        memcpy(copy, *data, len);
    *data += len;
    *size -= len;
    return slice_make(copy, len);
}

static void read_text(const struct tokens *t, struct slice text) {
    uint32_t ids[TOKENS_MAX];
    size_t count = tokens_read(t, text, ids);
    CHECK(count <= TOKENS_MAX);
    for (size_t i = 0; i < count; i++)
        CHECK(ids[i] < tokens_count(t));
}

static void check_tokens(struct slice json, struct slice text) {
    struct error err;
    struct tokens *t = tokens_parse(json, &err);
    if (t != NULL)
        read_text(t, text);
    tokens_free(t);
}

// The bytes as what stands beside a model that works: a normalizer, cuts, added tokens.
static void check_parts(struct slice members, struct slice text, const char *model) {
    struct buffer json = {0};
    buffer_printf(&json, "{\"model\":%s", model);
    if (members.len > 0) {
        buffer_append_char(&json, ',');
        buffer_append(&json, members);
    }
    buffer_append_char(&json, '}');
    check_tokens(buffer_slice(&json), text);
    buffer_free(&json);
}

static void check_table(struct slice table, struct slice text) {
    struct error err;
    struct similar_table *t = similar_table_parse(table, SLICE("{\"model\":" WORDPIECE "}"), &err);
    if (t == NULL)
        return;
    float *v = base_alloc(similar_table_width(t) * sizeof *v);
    if (similar_table_sum(t, text, v) && similar_normalize(v, similar_table_width(t)))
        for (size_t i = 0; i < similar_table_width(t); i++)
            CHECK(fabsf(v[i]) <= 1.001f);
    free(v);
    similar_table_free(t);
}

static void check_answer(struct slice body) {
    struct error err;
    for (size_t count = 1; count < 4; count++) {
        size_t width = 0;
        float *v = similar_answer_parse(body, count, &width, &err);
        for (size_t i = 0; v != NULL && i < count * width; i++)
            CHECK(isfinite(v[i]));
        free(v);
    }
}

static void check_grams(struct slice text) {
    static float v[SIMILAR_GRAMS];
    similar_grams(text, v);
    for (size_t i = 0; i < SIMILAR_GRAMS; i++)
        CHECK(isfinite(v[i]));
}

// What has a normal form keeps it, and both ways to the decomposed one lead to the same.
static void check_forms(struct slice text) {
    struct buffer composed = {0}, again = {0}, split = {0};
    for (enum unicode_form form = UNICODE_NFC; form <= UNICODE_NFKD; form++) {
        buffer_clear(&composed);
        buffer_clear(&again);
        unicode_normalize(form, text, SIZE_MAX, &composed);
        unicode_normalize(form, buffer_slice(&composed), SIZE_MAX, &again);
        CHECK(slice_equal(buffer_slice(&composed), buffer_slice(&again)));
        CHECK(composed.len <= 18 * 3 * text.len);
    }
    buffer_clear(&composed);
    buffer_clear(&again);
    unicode_normalize(UNICODE_NFC, text, SIZE_MAX, &composed);
    unicode_normalize(UNICODE_NFD, buffer_slice(&composed), SIZE_MAX, &again);
    unicode_normalize(UNICODE_NFD, text, SIZE_MAX, &split);
    CHECK(slice_equal(buffer_slice(&split), buffer_slice(&again)));
    buffer_free(&composed);
    buffer_free(&again);
    buffer_free(&split);
}

static void check_graphemes(struct slice text) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    while (at < end) {
        size_t len = unicode_grapheme(at, end);
        CHECK(len > 0 && len <= (size_t)(end - at));
        at += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = take(&data, &size), tokenizer = take(&data, &size);
    struct slice table = take(&data, &size);
    check_tokens(tokenizer, text);
    check_parts(tokenizer, text, WORDPIECE);
    check_parts(tokenizer, text, UNIGRAM);
    check_table(table, text);
    check_answer(table);
    check_grams(text);
    check_forms(text);
    check_graphemes(text);
    free((void *)(uintptr_t)text.ptr);
    free((void *)(uintptr_t)tokenizer.ptr);
    free((void *)(uintptr_t)table.ptr);
    return 0;
}
