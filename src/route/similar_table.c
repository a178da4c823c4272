// model2vec's tables. "embeddings" (in files of sentence-transformers "embedding.weight")
// has a row for each id; with "mapping", by which several tokens share a row, for each
// of its numbers; "weights" has a factor for each id.
//
// The file is mapped, not read: tables have up to some hundred MB, and workers and
// reloads share them in the system's cache. So a new table takes the old one's place by
// a rename; who writes into a mapped file changes it under the process, and who cuts it
// ends it.
#include "similar_table.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WIDTH_MAX = 8192,
    TOKENIZER_BYTES_MAX = 64 << 20, // half a million tokens take some 40 MB
};

struct similar_table {
    struct slice mapped; // len 0: the bytes are the caller's
    struct tokens *tokens;
    struct tensor rows;
    bool has_mapping, has_weights;
    struct tensor mapping, weights;
};

// ------------------------------------------------------------------ numbers

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// A half has 5 bits of exponent and 10 of fraction: moved to where a float has them, it
// is 2^112 too small, also where it is denormal.
static float from_half(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x7FFF) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    bool finite = (half & 0x7C00) != 0x7C00;
    float value = finite ? from_bits(bits) * 0x1p112f : from_bits(bits | 0x7F800000);
    return from_bits(sign) < 0 || sign != 0 ? -value : value;
}

static uint64_t little(const char *at, size_t bytes) {
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return le64toh(value);
}

static float number_at(const struct tensor *t, size_t at) {
    double wide;
    uint64_t bits;
    switch (t->type) {
    case TENSOR_F16:
        return from_half((uint16_t)little(t->data + at * 2, 2));
    case TENSOR_BF16:
        return from_bits((uint32_t)little(t->data + at * 2, 2) << 16);
    case TENSOR_F32:
        return from_bits((uint32_t)little(t->data + at * 4, 4));
    case TENSOR_F64:
        bits = little(t->data + at * 8, 8);
        memcpy(&wide, &bits, sizeof wide);
        return (float)wide;
    case TENSOR_I8:
        return (float)(int8_t)t->data[at];
    case TENSOR_U8:
    case TENSOR_I16:
    case TENSOR_U16:
    case TENSOR_I32:
    case TENSOR_U32:
    case TENSOR_I64:
    case TENSOR_U64:
    case TENSOR_TYPE_COUNT:
        break; // are no vectors: refused when the file was read
    }
    return 0;
}

static bool is_vectors(enum tensor_type type) {
    return type <= TENSOR_I8;
}

// Whole numbers; what is below zero becomes more than any table has rows.
static uint64_t index_at(const struct tensor *t, size_t at) {
    static const uint8_t bytes[TENSOR_TYPE_COUNT] = {
        [TENSOR_I8] = 1,  [TENSOR_U8] = 1,  [TENSOR_I16] = 2, [TENSOR_U16] = 2,
        [TENSOR_I32] = 4, [TENSOR_U32] = 4, [TENSOR_I64] = 8, [TENSOR_U64] = 8};
    size_t n = bytes[t->type];
    if (n == 0)
        return UINT64_MAX;
    uint64_t value = little(t->data + at * n, n);
    bool is_signed = t->type == TENSOR_I8 || t->type == TENSOR_I16 || t->type == TENSOR_I32 ||
                     t->type == TENSOR_I64;
    return is_signed && (value >> (8 * n - 1) & 1) != 0 ? UINT64_MAX : value;
}

// ------------------------------------------------------------------- vector

// Each kind has its own loop, so that the compiler makes vectors of them.
static void add_row(const struct tensor *t, size_t row, float weight, float *out) {
    size_t width = t->columns, from = row * width;
    switch (t->type) {
    case TENSOR_F32:
        for (size_t i = 0; i < width; i++) {
            uint32_t bits;
            memcpy(&bits, t->data + (from + i) * 4, 4);
            out[i] += weight * from_bits(le32toh(bits));
        }
        break;
    case TENSOR_F16:
        for (size_t i = 0; i < width; i++) {
            uint16_t bits;
            memcpy(&bits, t->data + (from + i) * 2, 2);
            out[i] += weight * from_half(le16toh(bits));
        }
        break;
    default:
        for (size_t i = 0; i < width; i++)
            out[i] += weight * number_at(t, from + i);
    }
}

size_t similar_table_width(const struct similar_table *t) {
    return t->rows.columns;
}

bool similar_table_sum(const struct similar_table *t, struct slice text, float *out) {
    uint32_t ids[TOKENS_MAX];
    size_t count = tokens_read(t->tokens, text, ids);
    memset(out, 0, t->rows.columns * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        size_t row = t->has_mapping ? (size_t)index_at(&t->mapping, ids[i]) : ids[i];
        // Asked again: who writes into the file would otherwise choose any address.
        if (row < t->rows.rows)
            add_row(&t->rows, row, t->has_weights ? number_at(&t->weights, ids[i]) : 1, out);
    }
    return count > 0;
}

// ------------------------------------------------------------------ reading

static bool find_rows(struct similar_table *t, struct slice file, struct error *err) {
    if (!tensor_find(file, SLICE("embeddings"), &t->rows, err)) {
        if (err->text[0] != '\0')
            return false;
        if (!tensor_find(file, SLICE("embedding.weight"), &t->rows, err))
            return err->text[0] != '\0' ? false
                                        : error_set(err, "there is no tensor \"embeddings\"");
    }
    if (!is_vectors(t->rows.type))
        return error_set(err, "tensor \"embeddings\": expected F16, BF16, F32, F64 or I8");
    if (t->rows.columns == 0 || t->rows.columns > WIDTH_MAX)
        return error_set(err, "tensor \"embeddings\" has vectors of %zu numbers, expected 1 to %d",
                         t->rows.columns, WIDTH_MAX);
    return true;
}

// One number for each id. Not there: that is fine.
static bool find_list(struct slice file, const char *name, size_t count, struct tensor *out,
                      bool *has, struct error *err) {
    *has = tensor_find(file, slice_of(name), out, err);
    if (!*has)
        return err->text[0] == '\0';
    if (out->columns != 1 || out->rows < count)
        return error_set(err, "tensor \"%s\" has %zu numbers, and the tokenizer %zu tokens", name,
                         out->rows, count);
    return true;
}

static bool check_mapping(const struct similar_table *t, struct error *err) {
    for (size_t i = 0; i < t->mapping.rows; i++)
        if (index_at(&t->mapping, i) >= t->rows.rows)
            return error_set(err, "tensor \"mapping\": number %zu is of no row, or none at all", i);
    return true;
}

static bool read_table(struct similar_table *t, struct slice file, struct error *err) {
    size_t count = tokens_count(t->tokens);
    if (!find_rows(t, file, err) ||
        !find_list(file, "mapping", count, &t->mapping, &t->has_mapping, err) ||
        !find_list(file, "weights", count, &t->weights, &t->has_weights, err))
        return false;
    if (t->has_weights && !is_vectors(t->weights.type))
        return error_set(err, "tensor \"weights\": expected F16, BF16, F32, F64 or I8");
    if (t->has_mapping)
        return check_mapping(t, err);
    return t->rows.rows >= count ||
           error_set(err,
                     "tensor \"embeddings\" has %zu rows, and the tokenizer %zu tokens: is it "
                     "this table's?",
                     t->rows.rows, count);
}

struct similar_table *similar_table_parse(struct slice table, struct slice tokenizer,
                                          struct error *err) {
    struct similar_table *t = base_calloc(1, sizeof *t);
    struct error why;
    t->tokens = tokens_parse(tokenizer, &why);
    if (t->tokens == NULL)
        error_set(err, "tokenizer: %.480s", why.text);
    else if (read_table(t, table, err))
        return t;
    similar_table_free(t);
    return NULL;
}

static void unmap(struct slice bytes) {
    if (bytes.len > 0)
        munmap((void *)(uintptr_t)bytes.ptr, bytes.len);
}

void similar_table_free(struct similar_table *t) {
    if (t == NULL)
        return;
    tokens_free(t->tokens);
    unmap(t->mapped);
    free(t);
}

// The whole file, mapped.
static bool map_file(const char *path, size_t most, struct slice *out, struct error *err) {
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO has no end
    if (file < 0)
        return error_set(err, "%s: %s", path, strerror(errno));
    bool ok = fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
              (uint64_t)info.st_size <= most;
    void *at = MAP_FAILED;
    // Read ahead, so that no loop waits for the disk.
    if (ok)
        at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    int why = errno;
    close(file);
    if (at == MAP_FAILED)
        return ok ? error_set(err, "%s: %s", path, strerror(why))
                  : error_set(err, "%s: this is no file, or it is empty or far too long", path);
    *out = slice_make(at, (size_t)info.st_size);
    return true;
}

struct similar_table *similar_table_load(const char *table, const char *tokenizer,
                                         struct error *err) {
    struct slice rows, words;
    struct error why;
    if (!map_file(table, SIZE_MAX, &rows, err))
        return NULL;
    if (!map_file(tokenizer, TOKENIZER_BYTES_MAX, &words, err)) {
        unmap(rows);
        return NULL;
    }
    struct similar_table *t = similar_table_parse(rows, words, &why);
    unmap(words);
    if (t == NULL) {
        unmap(rows);
        bool of_words = slice_starts_with(slice_of(why.text), SLICE("tokenizer: "));
        error_set(err, "%.200s: %.290s", of_words ? tokenizer : table, why.text);
        return NULL;
    }
    t->mapped = rows;
    return t;
}
