// What the tests of tables share: small files of tensors and tokenizers, made here.
#ifndef SIMILAR_FIXTURE_H
#define SIMILAR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "similar_table.h"

// BERT's, with words of its own.
#define BERT_NORMALIZER "{\"type\":\"BertNormalizer\"}"
#define BERT_CUTS       "{\"type\":\"BertPreTokenizer\"}"
#define BERT_VOCAB                                                                                 \
    "{\"[PAD]\":0,\"[UNK]\":1,\"hello\":2,\"world\":3,\"##s\":4,\"!\":5,\"cafe\":6,"               \
    "\"\xE4\xBD\xA0\":7,\"##ly\":8,\"wor\":9,\"a\":10,\"##a\":11,\"[CLS]\":12,\"'\":13}"
#define WORDPIECE "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":" BERT_VOCAB "}"
#define TOKENIZER(added, normalizer, cuts, model)                                                  \
    "{\"added_tokens\":" added ",\"normalizer\":" normalizer ",\"pre_tokenizer\":" cuts            \
    ",\"model\":" model "}"
#define BERT TOKENIZER("[]", BERT_NORMALIZER, BERT_CUTS, WORDPIECE)

static inline struct tokens *tokens_of(const char *json) {
    struct error err;
    struct tokens *t = tokens_parse(slice_of(json), &err);
    if (t == NULL)
        fail_msg("%s: %s", err.text, json);
    return t;
}

// The ids of a text, with a blank behind each.
static inline void ids_of(const struct tokens *t, struct slice text, struct buffer *out) {
    uint32_t ids[TOKENS_MAX];
    size_t count = tokens_read(t, text, ids);
    buffer_clear(out);
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%u ", ids[i]);
}

static inline void assert_ids(const struct tokens *t, struct slice text, const char *wanted) {
    struct buffer seen = {0};
    ids_of(t, text, &seen);
    if (!slice_equal(buffer_slice(&seen), slice_of(wanted)))
        fail_msg("\"%.*s\": %.*s, not %s", SLICE_ARG(text), SLICE_ARG(buffer_slice(&seen)), wanted);
    buffer_free(&seen);
}

static inline void assert_refused(const char *json, const char *part) {
    struct error err;
    struct tokens *t = tokens_parse(slice_of(json), &err);
    if (t != NULL || slice_find(slice_of(err.text), slice_of(part)) < 0)
        fail_msg("\"%s\" and not \"%s\": %s", t != NULL ? "" : err.text, part, json);
}

// A safetensors file: its header, and what follows.
static inline void tensors_write(struct buffer *out, const char *header, struct slice data) {
    uint64_t len = strlen(header);
    for (size_t i = 0; i < 8; i++)
        buffer_append_char(out, (char)(len >> (8 * i) & 0xFF));
    buffer_append(out, slice_of(header));
    buffer_append(out, data);
}

#endif
