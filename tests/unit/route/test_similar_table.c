// Tables: reading safetensors, and the vector of a text.
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "similar_fixture.h"

// Two words, and nothing done to the text.
#define WORDS                                                                                      \
    "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"WordLevel\","         \
    "\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2}}}"
#define DATA(bytes) slice_make(bytes, sizeof(bytes))

static void assert_sum(const char *header, struct slice data, const char *text, float x, float y) {
    struct buffer file = {0};
    struct error err;
    float out[2] = {9, 9};
    BUFFER_LITERAL(&file, ""); // at an odd address, below
    buffer_append_char(&file, 'x');
    tensors_write(&file, header, data);
    struct similar_table *t =
        similar_table_parse(slice_from(buffer_slice(&file), 1), SLICE(WORDS), &err);
    if (t == NULL)
        fail_msg("%s: %s", err.text, header);
    assert_int_equal(similar_table_width(t), 2);
    bool known = similar_table_sum(t, slice_of(text), out);
    if (fabsf(out[0] - x) > 1e-6f || fabsf(out[1] - y) > 1e-6f)
        fail_msg("%s: \"%s\" is %g %g, not %g %g", header, text, (double)out[0], (double)out[1],
                 (double)x, (double)y);
    assert_int_equal(known, strpbrk(text, "ab") != NULL);
    similar_table_free(t);
    buffer_free(&file);
}

#define ROWS(type, bytes)                                                                          \
    "\"embeddings\":{\"dtype\":\"" type "\",\"shape\":[3,2],"                                      \
    "\"data_offsets\":[0," #bytes "]}"

static void numbers_of_each_kind(void **state) {
    (void)state;
    static const float f32[] = {100, 100, 1, -2, 0.25f, 3};
    static const double f64[] = {100, 100, 1, -2, 0.25, 3};
    static const uint16_t f16[] = {0x7BFF, 0, 0x3C00, 0xC000, 0x3400, 0x4200};
    static const uint16_t bf16[] = {0, 0, 0x3F80, 0xC000, 0x3E80, 0x4040};
    static const int8_t i8[] = {100, 100, 1, -2, 127, -128};
    assert_sum("{" ROWS("F32", 24) "}", DATA(f32), "a", 1, -2);
    assert_sum("{" ROWS("F32", 24) "}", DATA(f32), "b a b", 1.5f, 4);
    assert_sum("{" ROWS("F32", 24) "}", DATA(f32), "", 0, 0);
    assert_sum("{" ROWS("F32", 24) "}", DATA(f32), "c ?", 0,
               0); // the unknown one's row is not taken
    assert_sum("{" ROWS("F64", 48) "}", DATA(f64), "a b", 1.25f, 1);
    assert_sum("{" ROWS("F16", 12) "}", DATA(f16), "a b", 1.25f, 1);
    assert_sum("{" ROWS("BF16", 12) "}", DATA(bf16), "a b", 1.25f, 1);
    assert_sum("{" ROWS("I8", 6) "}", DATA(i8), "a b", 128, -130);
}

static void halves(void **state) {
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } rows[] = {
        {0x0000, 0},
        {0x8000, -0.0f},
        {0x0001, 0x1p-24f},
        {0x8001, -0x1p-24f},
        {0x03FF, 1023 * 0x1p-24f},
        {0x0400, 0x1p-14f},
        {0x3555, 0.333251953125f},
        {0x7BFF, 65504},
        {0xFBFF, -65504},
        {0x7C00, INFINITY},
        {0xFC00, -INFINITY},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const uint16_t data[] = {0, 0, rows[i].half, 0, 0, 0};
        struct buffer file = {0};
        struct error err;
        float out[2];
        tensors_write(&file, "{" ROWS("F16", 12) "}", DATA(data));
        struct similar_table *t = similar_table_parse(buffer_slice(&file), SLICE(WORDS), &err);
        assert_non_null(t);
        assert_true(similar_table_sum(t, SLICE("a"), out));
        if (out[0] != rows[i].value || isnan(out[0]))
            fail_msg("%04x is %a, not %a", rows[i].half, (double)out[0], (double)rows[i].value);
        similar_table_free(t);
        buffer_free(&file);
    }
}

// A vocabulary of three that shares two rows, each token with a weight of its own.
static void rows_are_shared_and_weighed(void **state) {
    (void)state;
    static const struct {
        float rows[4];
        int64_t mapping[3];
        float weights[3];
    } data = {{1, 2, 10, 20}, {0, 1, 1}, {5, 0.5f, 2}};
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"np\"},"
        "\"embeddings\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
        "\"mapping\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[16,40]},"
        "\"weights\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[40,52]}}  ";
    struct slice bytes = slice_make(&data, 52);
    assert_sum(header, bytes, "a", 5, 10);
    assert_sum(header, bytes, "b", 20, 40);
    assert_sum(header, bytes, "a b", 25, 50);
    static const float plain[] = {1, 2, 3, 4, 5, 6};
    assert_sum("{\"embedding.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}}",
               DATA(plain), "b", 5, 6); // as sentence-transformers calls it
}

#define TENSOR(name, type, shape, from, to)                                                        \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void damaged_files_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *part;
    } rows[] = {
        {"", "its header"},
        {"[]", "no tensor \"embeddings\""},
        {"{}", "no tensor \"embeddings\""},
        {"{\"embeddings\":3}", "\"embeddings\": its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 23) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 24, 0) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 60, 84) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,-2]", 0, 24) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,2,1]", 0, 24) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[]", 0, 24) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F8", "[3,2]", 0, 24) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[4611686018427387905,4]", 0, 16) "}",
         "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[4611686018427387904,1]", 0, 0) "}",
         "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[9223372036854775807,2]", 0, 24) "}",
         "its type, shape or place"},
        {"{" TENSOR("embeddings", "I32", "[3,2]", 0, 24) "}", "expected F16, BF16, F32"},
        {"{" TENSOR("embeddings", "F32", "[2,2]", 0, 16) "}", "2 rows, and the tokenizer 3 tokens"},
        {"{" TENSOR("embeddings", "F32", "[3,0]", 0, 0) "}", "vectors of 0 numbers"},
        {"{" TENSOR("embeddings", "I8", "[1,8193]", 0, 8193) "}", "its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 24) "," TENSOR("mapping", "I8", "[2]", 24,
                                                                    26) "}",
         "\"mapping\" has 2 numbers"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 24) "," TENSOR("mapping", "I8", "[3]", 24,
                                                                    27) "}",
         "\"mapping\": number 1 is of no row"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 24) "," TENSOR("mapping", "F32", "[3]", 0,
                                                                    12) "}",
         "\"mapping\": number 0 is of no row"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 24) "," TENSOR("mapping", "I8", "[3]", 40,
                                                                    43) "}",
         "\"mapping\": its type, shape or place"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 24) "," TENSOR("weights", "F32", "[2,3]", 0,
                                                                    24) "}",
         "\"weights\" has 2 numbers"},
        {"{" TENSOR("embeddings", "F32", "[3,2]", 0, 24) "," TENSOR("weights", "I16", "[3]", 0,
                                                                    6) "}",
         "\"weights\": expected F16"},
    };
    // Of the mapping: 0, -1, 100.
    static const char data[32] = {[24] = 0, [25] = -1, [26] = 100};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer file = {0};
        struct error err;
        tensors_write(&file, rows[i].header, DATA(data));
        struct similar_table *t = similar_table_parse(buffer_slice(&file), SLICE(WORDS), &err);
        if (t != NULL || slice_find(slice_of(err.text), slice_of(rows[i].part)) < 0)
            fail_msg("row %zu: \"%s\" and not \"%s\"", i, t != NULL ? "" : err.text, rows[i].part);
        buffer_free(&file);
    }
}

// Cut anywhere, it is refused, and nothing beyond its end is read.
static void a_file_that_is_cut_is_refused(void **state) {
    (void)state;
    static const float data[] = {1, 2, 3, 4, 5, 6};
    struct buffer file = {0};
    struct error err;
    tensors_write(&file, "{" ROWS("F32", 24) "}", DATA(data));
    for (size_t len = 0; len < file.len; len++) {
        char *exact = base_alloc(len + 1);
        memcpy(exact, file.ptr, len);
        assert_null(similar_table_parse(slice_make(exact, len), SLICE(WORDS), &err));
        free(exact);
    }
    char wild[16];
    memset(wild, 0xFF, sizeof wild);
    assert_null(similar_table_parse(DATA(wild), SLICE(WORDS), &err));
    assert_null(similar_table_parse(buffer_slice(&file), SLICE("{}"), &err));
    assert_true(slice_starts_with(slice_of(err.text), SLICE("tokenizer: this is no tokenizer")));
    buffer_free(&file);
}

static void write_file(const char *path, struct slice bytes) {
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

static void files_are_named_in_errors(void **state) {
    (void)state;
    static const float data[] = {1, 2, 3, 4, 5, 6};
    char folder[] = "/tmp/farthing-similar-XXXXXX", table[64], words[64];
    struct buffer file = {0};
    struct error err;
    float out[2];
    assert_non_null(mkdtemp(folder));
    snprintf(table, sizeof table, "%s/model.safetensors", folder);
    snprintf(words, sizeof words, "%s/tokenizer.json", folder);
    assert_null(similar_table_load(table, words, &err));
    assert_true(slice_starts_with(slice_of(err.text), slice_of(table)));
    tensors_write(&file, "{" ROWS("F32", 24) "}", DATA(data));
    write_file(table, buffer_slice(&file));
    assert_null(similar_table_load(table, words, &err));
    assert_true(slice_starts_with(slice_of(err.text), slice_of(words)));
    write_file(words, SLICE("{}"));
    assert_null(similar_table_load(table, words, &err));
    assert_true(slice_starts_with(slice_of(err.text), slice_of(words)));
    write_file(words, SLICE(WORDS));
    struct similar_table *t = similar_table_load(table, words, &err);
    assert_non_null(t);
    assert_true(similar_table_sum(t, SLICE("b"), out));
    assert_true(out[0] == 5 && out[1] == 6);
    similar_table_free(t);
    write_file(table, SLICE(""));
    assert_null(similar_table_load(table, words, &err));
    assert_true(slice_find(slice_of(err.text), SLICE("empty")) > 0);
    assert_int_equal(unlink(table), 0);
    assert_int_equal(mkfifo(table, 0600), 0); // not waited for
    assert_null(similar_table_load(table, words, &err));
    assert_int_equal(unlink(table), 0);
    assert_int_equal(unlink(words), 0);
    assert_int_equal(rmdir(folder), 0);
    buffer_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_each_kind),
        cmocka_unit_test(halves),
        cmocka_unit_test(rows_are_shared_and_weighed),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_file_that_is_cut_is_refused),
        cmocka_unit_test(files_are_named_in_errors),
    };
    return cmocka_run_group_tests_name("route/similar_table", tests, NULL, NULL);
}
