// Categories and the vectors of their examples. All vectors have length 1, so that a
// cosine is a sum of products; they stand one behind the other, and the nearest is
// looked for in one pass. Some thousand examples cost less than a millisecond, and no
// index of them would be exact.
#include "similar.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "similar_table.h"

enum {
    // Numbers of all examples together. Twice as many would take more than 5 ms to pass
    // over where they are not in a cache of the processor's.
    NUMBERS_MAX = 4 << 20,
    WIDTH_MAX = 8192, // of vectors
    // From outside, all come by one request, and OpenAI takes no more inputs in one.
    OUTSIDE_MAX = 2048,
};

enum source { SOURCE_GRAMS, SOURCE_TABLE, SOURCE_OUTSIDE };

// Never changed once it is published.
struct vectors {
    size_t width;
    float *numbers; // `count` of `struct similar` times width
    uint8_t *has;   // one an example: 0, its text has no vector
};

struct similar {
    enum source source;
    struct similar_table *table; // SOURCE_TABLE
    size_t count;
    struct slice *texts;
    const struct config_category **categories; // of each example
    _Atomic(struct vectors *) vectors;
};

// ------------------------------------------------------------------ vectors

bool similar_normalize(float *vector, size_t width) {
    double sum = 0;
    for (size_t i = 0; i < width; i++)
        sum += (double)vector[i] * (double)vector[i];
    // Squares of floats do not overflow a double.
    if (!(sum > 0) || !isfinite(sum))
        return false;
    double factor = 1 / sqrt(sum);
    for (size_t i = 0; i < width; i++)
        vector[i] = (float)((double)vector[i] * factor);
    return true;
}

// In lanes, which the compiler makes into the processor's: it may not change the order
// of a plain sum of floats.
static double product(const float *a, const float *b, size_t width) {
    enum { LANES = 16 };
    float lanes[LANES] = {0};
    double sum = 0;
    size_t i = 0;
    for (; i + LANES <= width; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k] += a[i + k] * b[i + k];
    for (; i < width; i++)
        sum += (double)a[i] * (double)b[i];
    for (size_t k = 0; k < LANES; k++)
        sum += (double)lanes[k];
    return sum;
}

static void free_vectors(struct vectors *v) {
    if (v == NULL)
        return;
    free(v->numbers);
    free(v->has);
    free(v);
}

static size_t width_of(const struct similar *s) {
    return s->source == SOURCE_GRAMS ? SIMILAR_GRAMS : similar_table_width(s->table);
}

// False: nothing in the text is known.
static bool vector_of(const struct similar *s, struct slice text, float *out) {
    if (s->source == SOURCE_GRAMS)
        similar_grams(text, out);
    else if (!similar_table_sum(s->table, text, out))
        return false;
    return similar_normalize(out, width_of(s));
}

// --------------------------------------------------------------------- life

static void gather(struct similar *s, const struct config_classifier *from) {
    for (size_t c = 0; c < from->category_count; c++)
        s->count += from->categories[c].examples.count;
    s->texts = base_calloc(s->count + 1, sizeof *s->texts);
    s->categories = base_calloc(s->count + 1, sizeof(struct config_category *));
    for (size_t c = 0, at = 0; c < from->category_count; c++)
        for (size_t i = 0; i < from->categories[c].examples.count; i++, at++) {
            s->texts[at] = from->categories[c].examples.items[i];
            s->categories[at] = &from->categories[c];
        }
}

static bool few_enough(const struct similar *s, size_t width, struct error *err) {
    return s->count <= NUMBERS_MAX / width ||
           error_set(err, "%zu examples with vectors of %zu numbers are too many: at most %zu",
                     s->count, width, (size_t)NUMBERS_MAX / width);
}

static bool few_enough_to_ask(const struct similar *s, const struct config_classifier *from,
                              struct buffer *messages) {
    if (s->count <= OUTSIDE_MAX)
        return true;
    buffer_printf(messages,
                  "%.*s: embedding_model: %zu examples are too many for one request, by which "
                  "their vectors are asked for: at most %d\n",
                  SLICE_ARG(from->embedding_where), s->count, OUTSIDE_MAX);
    return false;
}

static bool open_table(struct similar *s, const struct config_classifier *from,
                       struct buffer *messages) {
    struct error err;
    // Paths end with a NUL, as all of a snapshot.
    s->table = similar_table_load(from->embedding_table.ptr, from->embedding_tokenizer.ptr, &err);
    if (s->table == NULL)
        buffer_printf(messages, "%.*s: embedding_table: %s\n", SLICE_ARG(from->embedding_where),
                      err.text);
    return s->table != NULL;
}

// An example without a vector matches nothing: that is worth a word.
static void warn(const struct similar *s, size_t at, struct buffer *messages) {
    const struct config_category *category = s->categories[at];
    buffer_printf(messages,
                  "%.*s: warning: category \"%.*s\": nothing in the example \"%.*s\" is known to "
                  "the vectors: it will never match\n",
                  SLICE_ARG(category->where), SLICE_ARG(category->name), SLICE_ARG(s->texts[at]));
}

static bool compute(struct similar *s, const struct config_classifier *from,
                    struct buffer *messages) {
    size_t width = width_of(s);
    struct error err;
    if (!few_enough(s, width, &err)) {
        buffer_printf(messages, "%.*s: %s\n", SLICE_ARG(from->categories[0].where), err.text);
        return false;
    }
    struct vectors *v = base_calloc(1, sizeof *v);
    *v = (struct vectors){width, base_calloc(s->count * width, sizeof(float)),
                          base_calloc(s->count, 1)};
    for (size_t i = 0; i < s->count; i++) {
        v->has[i] = vector_of(s, s->texts[i], v->numbers + i * width);
        if (!v->has[i])
            warn(s, i, messages);
    }
    atomic_init(&s->vectors, v);
    return true;
}

static bool prepare(struct similar *s, const struct config_classifier *from,
                    struct buffer *messages) {
    if (s->source == SOURCE_OUTSIDE)
        return few_enough_to_ask(s, from, messages);
    return (s->source == SOURCE_GRAMS || open_table(s, from, messages)) &&
           compute(s, from, messages);
}

struct similar *similar_new(const struct config_classifier *from, struct buffer *messages) {
    struct similar *s = base_calloc(1, sizeof *s);
    atomic_init(&s->vectors, NULL);
    gather(s, from);
    s->source = from->embedding_model != NULL   ? SOURCE_OUTSIDE
                : from->embedding_table.len > 0 ? SOURCE_TABLE
                                                : SOURCE_GRAMS;
    if (prepare(s, from, messages))
        return s;
    similar_free(s);
    return NULL;
}

void similar_free(struct similar *s) {
    if (s == NULL)
        return;
    free_vectors(atomic_load_explicit(&s->vectors, memory_order_acquire));
    similar_table_free(s->table);
    free(s->texts);
    free(s->categories);
    free(s);
}

// ------------------------------------------------------------- from outside

size_t similar_examples(const struct similar *s, const struct slice **texts) {
    *texts = s->texts;
    return s->count;
}

bool similar_is_outside(const struct similar *s) {
    return s->source == SOURCE_OUTSIDE;
}

bool similar_has_vectors(const struct similar *s) {
    return atomic_load_explicit(&s->vectors, memory_order_acquire) != NULL;
}

static bool all_have_length(struct vectors *v, size_t count, struct error *err) {
    for (size_t i = 0; i < count; i++) {
        v->has[i] = similar_normalize(v->numbers + i * v->width, v->width);
        if (!v->has[i])
            return error_set(err, "the vector of example %zu has no length", i);
    }
    return true;
}

bool similar_take(struct similar *s, struct slice answer_body, struct error *err) {
    struct vectors *none = NULL, *v = base_calloc(1, sizeof *v);
    if (s->source != SOURCE_OUTSIDE) {
        free(v);
        return error_set(err, "vectors do not come from outside here");
    }
    v->numbers = similar_answer_parse(answer_body, s->count, &v->width, err);
    v->has = base_calloc(s->count + 1, 1);
    if (v->numbers == NULL || !few_enough(s, v->width, err) || !all_have_length(v, s->count, err)) {
        free_vectors(v);
        return false;
    }
    if (!atomic_compare_exchange_strong_explicit(&s->vectors, &none, v, memory_order_acq_rel,
                                                 memory_order_acquire))
        free_vectors(v); // another came first
    return true;
}

// ------------------------------------------------------------------ nearest

static bool find_nearest(const struct similar *s, const struct vectors *v, const float *vector,
                         struct similar_match *out) {
    out->category = NULL;
    out->cosine = -2; // below any
    for (size_t i = 0; i < s->count; i++) {
        if (!v->has[i])
            continue;
        double cosine = product(vector, v->numbers + i * v->width, v->width);
        if (cosine > out->cosine) {
            out->cosine = cosine;
            out->category = s->categories[i];
        }
    }
    // Rounding: equal texts shall be at 1, so that a threshold of 1 can be reached.
    if (out->cosine > 1 - 1e-6)
        out->cosine = 1;
    return out->category != NULL;
}

bool similar_nearest(const struct similar *s, struct slice text,
                     const struct classify_vector *vector, struct similar_match *out) {
    const struct vectors *v = atomic_load_explicit(&s->vectors, memory_order_acquire);
    float own[WIDTH_MAX];
    if (v == NULL || v->width > WIDTH_MAX)
        return false;
    if (s->source != SOURCE_OUTSIDE)
        return text.len > 0 && vector_of(s, text, own) && find_nearest(s, v, own, out);
    if (vector == NULL || vector->count != v->width)
        return false;
    memcpy(own, vector->values, v->width * sizeof *own);
    return similar_normalize(own, v->width) && find_nearest(s, v, own, out);
}
