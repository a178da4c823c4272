// The safetensors format: eight bytes with the length of a header, the header, which is
// a JSON object of tensors with type, shape and place, and the bytes of the tensors.
// Every number in it is looked at before it is used.
#include "farthing/json.h"
#include "similar_table.h"

enum { HEADER_MAX = 100 << 20 }; // of the format

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    {"F16", 2}, {"BF16", 2}, {"F32", 4}, {"F64", 8}, {"I8", 1},  {"U8", 1},
    {"I16", 2}, {"U16", 2},  {"I32", 4}, {"U32", 4}, {"I64", 8}, {"U64", 8},
}; // as the enum
_Static_assert(FARTHING_COUNT(types) == TENSOR_TYPE_COUNT, "one for each");

static bool read_type(const struct json_doc *doc, json_ref at, enum tensor_type *out) {
    for (size_t i = 0; at != JSON_NONE && i < FARTHING_COUNT(types); i++)
        if (json_string_is(doc, at, slice_of(types[i].name))) {
            *out = (enum tensor_type)i;
            return true;
        }
    return false;
}

// A list of one or two whole numbers that are not below zero. How many: 0 is none.
static size_t read_pair(const struct json_doc *doc, json_ref at, size_t out[2]) {
    size_t count = 0;
    int64_t value;
    if (at == JSON_NONE || json_type_of(doc, at) != JSON_ARRAY)
        return 0;
    for (json_ref i = json_first(doc, at); i != JSON_NONE; i = json_next(doc, at, i)) {
        if (count == 2 || !json_i64(doc, i, &value) || value < 0)
            return 0;
        out[count++] = (size_t)value;
    }
    return count;
}

static bool read_tensor(const struct json_doc *doc, json_ref at, struct slice data,
                        struct tensor *out) {
    size_t shape[2] = {0, 1}, place[2], numbers, bytes;
    if (!read_type(doc, json_get(doc, at, SLICE("dtype")), &out->type) ||
        read_pair(doc, json_get(doc, at, SLICE("shape")), shape) == 0 ||
        read_pair(doc, json_get(doc, at, SLICE("data_offsets")), place) != 2)
        return false;
    if (__builtin_mul_overflow(shape[0], shape[1], &numbers) ||
        __builtin_mul_overflow(numbers, types[out->type].bytes, &bytes) || place[0] > place[1] ||
        place[1] > data.len || place[1] - place[0] != bytes)
        return false;
    out->rows = shape[0];
    out->columns = shape[1];
    out->data = data.ptr + place[0];
    return true;
}

static bool take_header(struct slice *file, struct slice *header, struct error *err) {
    uint64_t len = 0;
    for (size_t i = 0; i < 8 && i < file->len; i++)
        len |= (uint64_t)(uint8_t)file->ptr[i] << (8 * i);
    if (file->len < 8 || len > file->len - 8 || len > HEADER_MAX)
        return error_set(err, "this is no safetensors file: its header is longer than it");
    *header = slice_make(file->ptr + 8, (size_t)len);
    *file = slice_from(*file, 8 + (size_t)len);
    return true;
}

bool tensor_find(struct slice file, struct slice name, struct tensor *out, struct error *err) {
    static const struct json_limits limits = {.depth = 8};
    struct slice header;
    struct error why;
    err->text[0] = '\0';
    if (!take_header(&file, &header, err))
        return false;
    struct json_doc *doc = json_doc_new();
    bool ok = json_parse(doc, header, &limits, &why);
    if (!ok) {
        error_set(err, "this is no safetensors file: its header: %.400s", why.text);
    } else {
        json_ref at = json_get(doc, JSON_ROOT, name);
        ok = at != JSON_NONE && read_tensor(doc, at, file, out);
        if (!ok && at != JSON_NONE)
            error_set(err, "tensor \"%.*s\": its type, shape or place is damaged, or not supported",
                      SLICE_ARG(name));
    }
    json_doc_free(doc);
    return ok;
}
