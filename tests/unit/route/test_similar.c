// Hashed n-grams: what is near to what.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "similar.h"

static double cosine(struct slice a, struct slice b) {
    static float x[SIMILAR_GRAMS], y[SIMILAR_GRAMS];
    double sum = 0;
    similar_grams(a, x);
    similar_grams(b, y);
    if (!similar_normalize(x, SIMILAR_GRAMS) || !similar_normalize(y, SIMILAR_GRAMS))
        return 0;
    for (size_t i = 0; i < SIMILAR_GRAMS; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

static void what_shares_words_is_near(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        double least, most;
    } rows[] = {
        {"where is my money", "Where is my  MONEY?!", 0.999, 1.001},
        {"where is my money", "my money, where is it?", 0.85, 1},
        {"where is my money", "where\xE2\x80\x99s my money", 0.8, 1},
        {"reset my password", "I forgot my password, how can I reset it?", 0.6, 0.9},
        {"I want a refund for my order", "please refund my order", 0.5, 0.8},
        {"I want a refund for my order", "can I get a refund for the order I made?", 0.5, 0.8},
        {"refund", "refunds", 0.35, 0.7},
        {"delivery adress", "delivery address", 0.5, 0.9},
        {"where is my money", "where is my parcel", 0.3, 0.6},
        {"where is my money", "what is the capital of France", -0.15, 0.15},
        {"I want a refund for my order", "sort a list of integers in Python", -0.15, 0.15},
        {"\xD0\x93\xD0\xB4\xD0\xB5 \xD0\xBC\xD0\xBE\xD0\xB9 "
         "\xD0\xB7\xD0\xB0\xD0\xBA\xD0\xB0\xD0\xB7",
         "\xD0\xB3\xD0\xB4\xD0\xB5 \xD0\xBC\xD0\xBE\xD0\xB9 "
         "\xD0\x97\xD0\x90\xD0\x9A\xD0\x90\xD0\x97?",
         0.999, 1.001},
        // Without blanks between words: the same order, and something else.
        {"\xE6\x88\x91\xE7\x9A\x84\xE8\xAE\xA2\xE5\x8D\x95\xE5\x9C\xA8\xE5\x93\xAA\xE9\x87\x8C",
         "\xE6\x88\x91\xE7\x9A\x84\xE8\xAE\xA2\xE5\x8D\x95\xE5\x91\xA2", 0.4, 0.9},
        {"\xE6\x88\x91\xE7\x9A\x84\xE8\xAE\xA2\xE5\x8D\x95\xE5\x9C\xA8\xE5\x93\xAA\xE9\x87\x8C",
         "\xE8\xAF\xB7\xE5\x86\x99\xE4\xB8\x80\xE9\xA6\x96\xE8\xAF\x97", -0.15, 0.15},
        {"", "a", 0, 0},
        {"?! ...", "a", 0, 0}, // no word
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        double seen = cosine(slice_of(rows[i].a), slice_of(rows[i].b));
        if (seen < rows[i].least || seen > rows[i].most)
            fail_msg("%s | %s: %.3f is not from %.3f to %.3f", rows[i].a, rows[i].b, seen,
                     rows[i].least, rows[i].most);
    }
}

// What is said often weighs more, but not in proportion.
static void repetition_fades(void **state) {
    (void)state;
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "invoice ");
    double once = cosine(SLICE("invoice"), SLICE("invoice mountain"));
    for (int i = 0; i < 30; i++)
        BUFFER_LITERAL(&text, "mountain ");
    double often = cosine(SLICE("invoice"), buffer_slice(&text));
    assert_true(once > 0.5 && often < once && often > once / 5);
    buffer_free(&text);
}

// Any bytes, as long as can be: a place that is counted up to its end stays there.
static void any_text_has_a_finite_vector(void **state) {
    (void)state;
    struct buffer text = {0};
    float v[SIMILAR_GRAMS];
    for (int i = 0; i < 200000; i++)
        BUFFER_LITERAL(&text, "a ");
    similar_grams(buffer_slice(&text), v);
    assert_true(similar_normalize(v, SIMILAR_GRAMS));
    buffer_clear(&text);
    for (int i = 0; i < 100000; i++)
        buffer_append_char(&text, (char)random_below(256));
    similar_grams(buffer_slice(&text), v);
    assert_true(similar_normalize(v, SIMILAR_GRAMS));
    buffer_free(&text);
}

static void vectors_without_a_direction(void **state) {
    (void)state;
    float zero[3] = {0}, wild[2] = {INFINITY, 1}, odd[2] = {NAN, 1}, fine[2] = {3e38f, 3e38f};
    assert_false(similar_normalize(zero, 3));
    assert_false(similar_normalize(wild, 2));
    assert_false(similar_normalize(odd, 2));
    assert_true(similar_normalize(fine, 2));
    assert_true(fabsf(fine[0] - 0.70710678f) < 1e-6f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_shares_words_is_near),
        cmocka_unit_test(repetition_fades),
        cmocka_unit_test(any_text_has_a_finite_vector),
        cmocka_unit_test(vectors_without_a_direction),
    };
    return cmocka_run_group_tests_name("route/similar", tests, NULL, NULL);
}
