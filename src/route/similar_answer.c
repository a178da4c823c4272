// Vectors out of an answer of OpenAI's /v1/embeddings:
// {"data": [{"index": 0, "embedding": [0.1, ...]}, ...]}
#include <math.h>
#include <stdlib.h>

#include "similar.h"

enum { WIDTH_MAX = 8192 };

struct answer {
    const struct json_doc *doc;
    float *numbers;
    uint8_t *seen; // which of them came
    size_t count, width;
};

static bool read_vector(struct answer *a, json_ref list, size_t at, struct error *err) {
    double value;
    size_t width = json_type_of(a->doc, list) == JSON_ARRAY ? json_count(a->doc, list) : 0;
    if (width == 0 || width > WIDTH_MAX)
        return error_set(err, "vector %zu: expected a list of 1 to %d numbers", at, WIDTH_MAX);
    if (a->numbers == NULL) {
        a->width = width;
        a->numbers = base_calloc(a->count * width, sizeof *a->numbers);
    }
    if (width != a->width)
        return error_set(err, "vector %zu has %zu numbers, and another %zu", at, width, a->width);
    float *out = a->numbers + at * width;
    for (json_ref i = json_first(a->doc, list); i != JSON_NONE; i = json_next(a->doc, list, i)) {
        if (!json_double(a->doc, i, &value) || !isfinite((float)value))
            return error_set(err, "vector %zu: number %zu is none", at,
                             (size_t)(out - (a->numbers + at * width)));
        *out++ = (float)value;
    }
    return true;
}

static bool read_item(struct answer *a, json_ref item, size_t place, struct error *err) {
    json_ref index = json_get(a->doc, item, SLICE("index"));
    json_ref list = json_get(a->doc, item, SLICE("embedding"));
    int64_t at = (int64_t)place; // where none is said, they stand in order
    if (!json_is_absent(a->doc, index) && !json_i64(a->doc, index, &at))
        at = -1;
    if (at < 0 || (uint64_t)at >= a->count || a->seen[at] != 0)
        return error_set(err, "entry %zu of data has no index of its own from 0 to %zu", place,
                         a->count - 1);
    if (json_is_absent(a->doc, list))
        return error_set(err, "entry %zu of data has no embedding", place);
    a->seen[at] = 1;
    return read_vector(a, list, (size_t)at, err);
}

static bool read_answer(struct answer *a, struct error *err) {
    json_ref data = json_get(a->doc, JSON_ROOT, SLICE("data"));
    bool list = data != JSON_NONE && json_type_of(a->doc, data) == JSON_ARRAY;
    size_t count = list ? json_count(a->doc, data) : 0, place = 0;
    if (count != a->count)
        return error_set(err, "the answer has %zu vectors in its data, expected %zu", count,
                         a->count);
    for (json_ref i = json_first(a->doc, data); i != JSON_NONE; i = json_next(a->doc, data, i))
        if (!read_item(a, i, place++, err))
            return false;
    return true;
}

float *similar_answer_parse(struct slice body, size_t count, size_t *width, struct error *err) {
    static const struct json_limits limits = {.depth = 16};
    struct json_doc *doc = json_doc_new();
    struct answer a = {.doc = doc, .count = count, .seen = base_calloc(count + 1, 1)};
    bool ok = count > 0 || error_set(err, "there is nothing that a vector could be of");
    ok = ok && json_parse(doc, body, &limits, err) && read_answer(&a, err);
    if (!ok) {
        free(a.numbers);
        a.numbers = NULL;
    }
    *width = a.width;
    free(a.seen);
    json_doc_free(doc);
    return a.numbers;
}

bool classify_vector_parse(struct slice answer_body, struct arena *arena,
                           struct classify_vector *out, struct error *err) {
    size_t width;
    float *numbers = similar_answer_parse(answer_body, 1, &width, err);
    if (numbers == NULL)
        return false;
    float *kept = arena_alloc(arena, width * sizeof *kept);
    memcpy(kept, numbers, width * sizeof *kept);
    free(numbers);
    if (!similar_normalize(kept, width))
        return error_set(err, "the vector has no length");
    *out = (struct classify_vector){kept, width};
    return true;
}
