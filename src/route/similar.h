// Similarity to examples: which example of which category is nearest to a text?
#ifndef FARTHING_ROUTE_SIMILAR_H
#define FARTHING_ROUTE_SIMILAR_H

#include "farthing/classify.h"

// Immutable but for the vectors from outside, which come once: any thread.
struct similar;

// Of a configuration that has categories. NULL: a file is none, or there are too many
// examples; `messages` says which.
struct similar *similar_new(const struct config_classifier *from, struct buffer *messages);
void similar_free(struct similar *s); // NULL is fine

struct similar_match {
    const struct config_category *category; // of the nearest example
    double cosine;
};

// False: the text has no vector, or the examples have none yet. `vector`: that from
// outside, where an embedding_model is configured; NULL: none.
bool similar_nearest(const struct similar *s, struct slice text,
                     const struct classify_vector *vector, struct similar_match *out);

// ------------------------------------------------------------ from outside

size_t similar_examples(const struct similar *s, const struct slice **texts);
bool similar_is_outside(const struct similar *s);
bool similar_take(struct similar *s, struct slice answer_body, struct error *err);
bool similar_has_vectors(const struct similar *s);

// similar_answer.c. `count` vectors of an answer of /v1/embeddings, one behind the other
// by their index, all of *width numbers. To be freed. NULL: err says why.
float *similar_answer_parse(struct slice body, size_t count, size_t *width, struct error *err);

// ----------------------------------------------------------------- vectors

// Makes its length 1. False: it has none, or is not finite.
bool similar_normalize(float *vector, size_t width);

// similar_grams.c: the vector of a text by its words and their parts.
enum { SIMILAR_GRAMS = 1024 };
void similar_grams(struct slice text, float out[SIMILAR_GRAMS]);

#endif
