// What asking the learned model costs: processor time of the best of some rounds,
// by the kind of text. The aim is under 50 us for each KiB; a text of 2 KiB should
// take less than 20 us, so that all of classification stays under 30.
#include <stdio.h>
#include <stdlib.h>

#include "farthing/learn.h"
#include "../seconds.h"

enum { ROUNDS = 41, ROWS = 400 };

static const struct {
    const char *what, *text;
} kinds[] = {
    {"prose",
     "Some years ago, never mind how long precisely, having little or no money in my "
     "purse, I thought I would sail about a little and see the watery part of the world. "},
    {"code",
     "static int64_t sum(const int *list, size_t n) {\n    int64_t total = 0;\n    "
     "for (size_t i = 0; i < n; i++)\n        total += list[i];\n    return total;\n}\n"},
    {"figures", "2024-01-05,1840,17.25,0.0031 "},
    {"Chinese",
     "\xE8\xAF\xB7\xE7\x94\xA8\xE4\xB8\xA4\xE5\x8F\xA5\xE8\xAF\x9D\xE6\x80\xBB\xE7\xBB\x93"},
};
static const size_t sizes[] = {256, 2048, 32 * 1024, 1024 * 1024};

// Words that do not repeat, as in real texts: half from the kind, half invented.
static struct buffer text_of(const char *kind, size_t bytes) {
    struct buffer out = {0};
    while (out.len < bytes) {
        buffer_append(&out, slice_of(kind));
        for (int i = 0; i < 12; i++) {
            for (uint64_t n = 2 + random_below(8); n > 0; n--)
                buffer_append_char(&out, (char)('a' + random_below(26)));
            buffer_append_char(&out, ' ');
        }
    }
    out.len = bytes;
    return out;
}

static struct learn_model *some_model(void) {
    struct learn_rows *rows = learn_rows_new();
    struct error err;
    for (size_t i = 0; i < ROWS; i++) {
        struct buffer text = text_of(kinds[i % FARTHING_COUNT(kinds)].text, 2048);
        learn_rows_text(rows, buffer_slice(&text));
        if (!learn_rows_end(rows, random_below(3) > 0, random_below(5) > 0))
            exit(1);
        buffer_free(&text);
    }
    double start = seconds();
    struct learn_model *model = learn_train(rows, NULL, 0, &err);
    if (model == NULL)
        exit(1);
    printf("training from %d texts of 2 KiB   %8.2f s\n", ROWS, seconds() - start);
    learn_rows_free(rows);
    return model;
}

static void measure(const struct learn_model *model, const char *what, const char *kind,
                    size_t bytes) {
    struct buffer text = text_of(kind, bytes);
    struct learn_score score = {0};
    double best = 1e9;
    for (int n = 0; n < ROUNDS; n++) {
        struct learn_reading reading;
        double start = seconds();
        learn_score_begin(&reading);
        learn_score_text(&reading, model, buffer_slice(&text));
        score = learn_score_end(&reading, model);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    printf("%-8s %8zu bytes %9.2f us %8.2f us/KiB   (%.2f)\n", what, bytes, best * 1e6,
           best * 1e6 * 1024 / (double)bytes, score.score);
    buffer_free(&text);
}

int main(void) {
    random_seed(1);
    struct learn_model *model = some_model();
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++)
        for (size_t k = 0; k < FARTHING_COUNT(sizes); k++)
            measure(model, kinds[i].what, kinds[i].text, sizes[k]);
    learn_model_unref(model);
    return 0;
}
