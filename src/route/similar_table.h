// A static embedding table in model2vec's format: a row of numbers for each token of a
// tokenizer. The vector of a text is the mean of its tokens' rows.
#ifndef FARTHING_ROUTE_SIMILAR_TABLE_H
#define FARTHING_ROUTE_SIMILAR_TABLE_H

#include "similar_tokens.h"

// Immutable once made: any number of threads may ask at once.
struct similar_table;

// Maps the table, read-only, and reads the tokenizer. NULL: err names the file and what
// is wrong with it.
struct similar_table *similar_table_load(const char *table, const char *tokenizer,
                                         struct error *err) FARTHING_MUST_CHECK;
// The same from bytes, which must outlive it.
struct similar_table *similar_table_parse(struct slice table, struct slice tokenizer,
                                          struct error *err) FARTHING_MUST_CHECK;
void similar_table_free(struct similar_table *t); // NULL is fine
size_t similar_table_width(const struct similar_table *t);
// The sum of the rows of a text's tokens: the direction of their mean. False: no token
// is known. `out` has similar_table_width numbers.
bool similar_table_sum(const struct similar_table *t, struct slice text, float *out);

// ------------------------------------------------------- a safetensors file

enum tensor_type {
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_F32,
    TENSOR_F64,
    TENSOR_I8,
    TENSOR_U8,
    TENSOR_I16,
    TENSOR_U16,
    TENSOR_I32,
    TENSOR_U32,
    TENSOR_I64,
    TENSOR_U64,
    TENSOR_TYPE_COUNT
};

struct tensor {
    enum tensor_type type;
    size_t rows, columns; // one dimension: columns is 1
    const char *data;     // little-endian, at any address
};

// Finds one by its name. False, and err without a text: there is none. False, and a
// text: it is damaged, or of another kind than 1 or 2 dimensions of numbers.
bool tensor_find(struct slice file, struct slice name, struct tensor *out,
                 struct error *err) FARTHING_MUST_CHECK;

#endif
