// route, its learned model: how likely is it that the small model's answer is good
// enough, and the large one's?
//
// A linear model of the text alone: which n-grams of characters stand in it, and a
// few counts (words, digits, questions, ...). It is trained from labelled rows by
// `farthingctl train`, kept in one file, and asked in some microseconds a KiB. What
// it learned holds for prompts like those it saw; docs/classifier-model.md says what
// is known of that.
#ifndef FARTHING_LEARN_H
#define FARTHING_LEARN_H

#include "farthing/base.h"

// ------------------------------------------------------------------- model

// Never changed after it was made, so any number of threads may ask it at once.
// Counted by reference.
struct learn_model;

// NULL: err says what is wrong with the file: absent, no model, of another version,
// damaged.
struct learn_model *learn_model_load(const char *path, struct error *err) FARTHING_MUST_CHECK;
struct learn_model *learn_model_parse(struct slice file, struct error *err) FARTHING_MUST_CHECK;
void learn_model_write(const struct learn_model *m, struct buffer *out); // the file's bytes
struct learn_model *learn_model_ref(struct learn_model *m);              // any thread
void learn_model_unref(struct learn_model *m);                           // any thread; NULL is fine

struct learn_model_info {
    uint64_t rows;               // it was trained from
    uint64_t small_ok, large_ok; // of these
    double strength;             // of the regularisation, as chosen
};
struct learn_model_info learn_model_info(const struct learn_model *m);

// ----------------------------------------------------------------- scoring

enum {
    LEARN_BUCKET_BITS = 17,
    LEARN_BUCKETS = 1 << LEARN_BUCKET_BITS, // n-grams are hashed into so many
    LEARN_SIGNALS = 18,
    LEARN_TEXT_MAX = 64 * 1024, // bytes of one text whose n-grams are read: those that come first
};

// Reading one text. Some KB, on the caller's stack or wherever it likes: nothing is
// allocated. The members are learn_*.c's affair.
struct learn_reading {
    uint64_t seen[LEARN_BUCKETS / 64]; // n-grams count once
    uint32_t counts[LEARN_SIGNALS];
    size_t bytes; // of the text so far
    int64_t sums[2];
    uint64_t norm;
};

struct learn_score {
    // From 0 (easy) to 1: the share of the training's texts that are easier. Higher
    // needs the large model more. Sending what is above 0.7 to it sends about 30 %.
    double score;
    double p_small, p_large; // chance that its answer is good enough
};

// A text comes in pieces (the texts of messages), each whole and decoded (UTF-8; other
// bytes do no harm).
void learn_score_begin(struct learn_reading *r);
void learn_score_text(struct learn_reading *r, const struct learn_model *m, struct slice piece);
struct learn_score learn_score_end(const struct learn_reading *r, const struct learn_model *m);

// ---------------------------------------------------------------- training

// Labelled texts. One thread at a time.
struct learn_rows;

struct learn_rows *learn_rows_new(void);
void learn_rows_free(struct learn_rows *rows); // NULL is fine
void learn_rows_text(struct learn_rows *rows, struct slice piece);
// Ends the text whose pieces came. False: memory is full (some 67 million n-grams),
// and it was left out.
bool learn_rows_end(struct learn_rows *rows, bool small_ok, bool large_ok) FARTHING_MUST_CHECK;
size_t learn_rows_count(const struct learn_rows *rows);
// Cross-validation: the fold of each row, 0 to folds - 1. Equal texts share one,
// so that nothing is tested on what it was trained with. Same seed, same folds,
// whatever the order of rows.
void learn_rows_fold(const struct learn_rows *rows, unsigned folds, uint64_t seed, uint8_t *out);

// From the rows whose `folds` is not `without` (folds NULL: from all). Deterministic:
// the same rows, in any order, give the same file. NULL: no row.
struct learn_model *learn_train(const struct learn_rows *rows, const uint8_t *folds,
                                unsigned without, struct error *err) FARTHING_MUST_CHECK;
// What the model says of a row. (As if scored from its text.)
struct learn_score learn_rows_score(const struct learn_rows *rows, size_t row,
                                    const struct learn_model *m);

// ------------------------------------------------------------------- proof

struct learn_outcome {
    double score;
    bool small_ok, large_ok;
};

enum { LEARN_CURVE_STEPS = 100 };

// What routing by score is worth. Rows of equal score are in random order: they
// share the average.
struct learn_proof {
    size_t rows, both_ok, large_only, small_only, neither;
    double small_quality, large_quality; // share of good answers, always small and always large
    // Share of good answers where i % of the requests, the highest scores, go to the
    // large model.
    double curve[LEARN_CURVE_STEPS + 1];
    // The next are NAN where the large model is not better than the small one.
    // Share of the gap between always-small and always-large that is recovered,
    // averaged over the share of calls to the large one from 0 to 100 % (RouteLLM's
    // average performance gap recovered). By chance: 0.5.
    double apgr;
    double cpt50, cpt80; // share of calls to the large model that recovers 50 %, 80 % of the gap
    // The threshold that is furthest above a random choice of as many requests, so
    // of the same cost. What scores at least this goes to the large model.
    double threshold;
    double share, quality; // there: of calls to the large model, of good answers
    // There, by what each row needed: both_ok, large_only, small_only, neither.
    size_t sent_small[4], sent_large[4];
};
enum learn_need { LEARN_BOTH_OK, LEARN_LARGE_ONLY, LEARN_SMALL_ONLY, LEARN_NEITHER };

// Sorts the outcomes.
void learn_prove(struct learn_outcome *outcomes, size_t count, struct learn_proof *out);

#endif
