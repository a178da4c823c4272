// Any bytes as a model's file, and as a text. A file is written over a good one, in
// pieces that the first bytes place, and sealed with the right checksum, so that what
// is behind the checksum is reached; what is taken is scored with, and written again
// as it was.
#include "../check.h"
#include "farthing/learn.h"

enum { PIECE_BYTES = 8 };

static struct buffer some_file(void) {
    static const char *const texts[] = {"hello, and again hello", "an integral, \xC3\xA9 1.5?",
                                        "hello"};
    struct learn_rows *rows = learn_rows_new();
    struct buffer file = {0};
    struct error err;
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        learn_rows_text(rows, slice_of(texts[i]));
        CHECK(learn_rows_end(rows, i != 1, true));
    }
    struct learn_model *m = learn_train(rows, NULL, 0, &err);
    CHECK(m != NULL);
    learn_model_write(m, &file);
    learn_model_unref(m);
    learn_rows_free(rows);
    return file;
}

static void check_model(struct slice file, struct slice text) {
    struct error err = {{0}};
    struct learn_model *m = learn_model_parse(file, &err);
    if (m == NULL) {
        CHECK(err.text[0] != '\0');
        return;
    }
    struct learn_reading r;
    learn_score_begin(&r);
    learn_score_text(&r, m, text);
    struct learn_score s = learn_score_end(&r, m);
    CHECK(s.score >= 0 && s.score <= 1);
    CHECK(s.p_small >= 0 && s.p_small <= 1 && s.p_large >= 0 && s.p_large <= 1);
    struct buffer again = {0};
    learn_model_write(m, &again);
    CHECK(slice_equal(buffer_slice(&again), file));
    buffer_free(&again);
    learn_model_unref(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct buffer good;
    if (good.len == 0)
        good = some_file();
    struct slice text = slice_make(data, size);
    check_model(text, text);
    struct buffer file = {0};
    buffer_append(&file, buffer_slice(&good));
    // Most of a file is n-grams, where every byte is good: half of the pieces go before.
    for (; size >= 2 + PIECE_BYTES; data += 2 + PIECE_BYTES, size -= 2 + PIECE_BYTES) {
        size_t at = (size_t)data[0] << 8 | data[1];
        at = at < 0x8000 ? at % 1300 : at * 11;
        if (at + PIECE_BYTES <= file.len - DIGEST_LEN)
            memcpy(file.ptr + at, data + 2, PIECE_BYTES);
    }
    uint8_t digest[DIGEST_LEN];
    digest_sha256(slice_make(file.ptr, file.len - DIGEST_LEN), digest);
    memcpy(file.ptr + file.len - DIGEST_LEN, digest, DIGEST_LEN);
    check_model(buffer_slice(&file), text);
    buffer_free(&file);
    return 0;
}
