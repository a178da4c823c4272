// Training: that it is the same for the same rows, honest about what it does not know,
// and bears any rows.
#include "learn_fixture.h"

static bool same_file(const struct learn_model *a, const struct learn_model *b) {
    struct buffer x = {0}, y = {0};
    learn_model_write(a, &x);
    learn_model_write(b, &y);
    bool same = slice_equal(buffer_slice(&x), buffer_slice(&y));
    buffer_free(&x);
    buffer_free(&y);
    return same;
}

static void same_rows_in_any_order_give_the_same_file(void **state) {
    (void)state;
    enum { ROWS = 80 };
    struct world worlds[ROWS];
    struct learn_rows *forth = learn_rows_new(), *back = learn_rows_new();
    random_seed(2);
    for (size_t i = 0; i < ROWS; i++) {
        world_text(&worlds[i], i % 3 == 0);
        rows_add(forth, worlds[i].text, !worlds[i].hard, true);
    }
    for (size_t i = ROWS; i-- > 0;)
        rows_add(back, worlds[i].text, !worlds[i].hard, true);
    struct learn_model *a = train(forth), *b = train(back), *again = train(forth);
    assert_true(same_file(a, b));
    assert_true(same_file(a, again));
    rows_add(back, worlds[0].text, worlds[0].hard, true);
    struct learn_model *other = train(back);
    assert_false(same_file(a, other));
    learn_model_unref(other);
    learn_model_unref(again);
    learn_model_unref(b);
    learn_model_unref(a);
    learn_rows_free(back);
    learn_rows_free(forth);
}

// Of 1,000 texts that the model did not see, those with a chance of 0.8 succeed in
// 80 %, about.
static void chances_are_what_happens(void **state) {
    (void)state;
    struct learn_rows *rows = learn_rows_new();
    struct world w;
    random_seed(3);
    for (int i = 0; i < 1500; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, random_below(10) < (w.hard ? 3 : 8), random_below(10) < 9);
    }
    struct learn_model *m = train(rows);
    double small[2] = {0}, large = 0;
    for (int i = 0; i < 1000; i++) {
        world_text(&w, i % 2 == 0);
        struct learn_score s = ask(m, w.text);
        small[w.hard] += s.p_small / 500;
        large += s.p_large / 1000;
    }
    assert_near(small[false], 0.8, 0.06);
    assert_near(small[true], 0.3, 0.06);
    assert_near(large, 0.9, 0.03);
    learn_model_unref(m);
    learn_rows_free(rows);
}

// From 0 to GRADES of its words are hard, the others easy.
enum { GRADES = 12 };
static uint64_t graded_text(char *out, size_t room) {
    uint64_t hard = random_below(GRADES + 1);
    size_t at = 0;
    for (uint64_t i = 0; i < GRADES; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%c%c%c ", i < hard ? "integral " : "hello ",
                               (char)('a' + random_below(26)), (char)('a' + random_below(26)),
                               (char)('a' + random_below(26)));
    return hard;
}

// The score is the share of texts that are easier, so of new ones it is spread evenly.
static void score_is_a_share(void **state) {
    (void)state;
    enum { TEXTS = 600 };
    struct learn_rows *rows = learn_rows_new();
    char text[400];
    random_seed(4);
    for (int i = 0; i < 1500; i++) {
        uint64_t hard = graded_text(text, sizeof text);
        rows_add(rows, text, random_below(GRADES) >= hard, true);
    }
    struct learn_model *m = train(rows);
    int above[3] = {0};
    for (int i = 0; i < TEXTS; i++) {
        graded_text(text, sizeof text);
        double score = ask(m, text).score;
        for (int k = 0; k < 3; k++)
            above[k] += score > 0.25 * (k + 1);
    }
    for (int k = 0; k < 3; k++)
        assert_near((double)above[k] / TEXTS, 1 - 0.25 * (k + 1), 0.1);
    learn_model_unref(m);
    learn_rows_free(rows);
}

// A row's score is that of its text.
static void rows_score_as_texts_do(void **state) {
    (void)state;
    struct learn_rows *rows = learn_rows_new();
    struct world w;
    random_seed(5);
    rows_fill(rows, 40);
    world_text(&w, true);
    rows_add(rows, w.text, false, true);
    struct learn_model *m = train(rows);
    assert_int_equal(learn_rows_count(rows), 41);
    assert_same(learn_rows_score(rows, 40, m), ask(m, w.text));
    learn_model_unref(m);
    learn_rows_free(rows);
}

// ------------------------------------------------------------ odd rows

static void fill_nothing(struct learn_rows *rows) {
    for (int i = 0; i < 30; i++)
        rows_add(rows, "", i % 2 == 0, i % 3 > 0);
}
static void fill_one(struct learn_rows *rows) {
    rows_add(rows, "an only row", false, true);
}
static void fill_two(struct learn_rows *rows) {
    rows_add(rows, "hello there", true, true);
    rows_add(rows, "an integral", false, true);
}
static void fill_all_good(struct learn_rows *rows) {
    struct world w;
    for (int i = 0; i < 50; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, true, true);
    }
}
static void fill_all_bad(struct learn_rows *rows) {
    struct world w;
    for (int i = 0; i < 50; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, false, false);
    }
}
static void fill_copies(struct learn_rows *rows) {
    for (int i = 0; i < 100; i++)
        rows_add(rows, "the same text, each time", i % 4 == 0, true);
}
static void fill_twenty(struct learn_rows *rows) {
    rows_fill(rows, 20);
}
static void fill_contrary(struct learn_rows *rows) { // the large model is the worse one
    struct world w;
    for (int i = 0; i < 100; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, true, !w.hard);
    }
}

static void bears_odd_rows(void **state) {
    (void)state;
    static const struct {
        void (*fill)(struct learn_rows *rows);
        double least_small, most_small, least_large, most_large; // chances of "an integral"
    } sets[] = {
        {fill_nothing, 0.2, 0.8, 0.2, 0.9}, {fill_one, 0.01, 0.99, 0.01, 0.99},
        {fill_two, 0.01, 0.99, 0.5, 0.99},  {fill_all_good, 0.95, 0.999, 0.95, 0.999},
        {fill_all_bad, 0.001, 0.05, 0.001, 0.05}, {fill_copies, 0.2, 0.3, 0.95, 0.999},
        {fill_twenty, 0.01, 0.6, 0.5, 0.99}, {fill_contrary, 0.95, 0.999, 0.009, 0.4},
    };
    random_seed(6);
    for (size_t i = 0; i < FARTHING_COUNT(sets); i++) {
        struct learn_rows *rows = learn_rows_new();
        sets[i].fill(rows);
        struct learn_model *m = train(rows);
        struct learn_score s = ask(m, "an integral");
        assert_sane(s);
        if (s.p_small < sets[i].least_small || s.p_small > sets[i].most_small ||
            s.p_large < sets[i].least_large || s.p_large > sets[i].most_large)
            fail_msg("set %zu: small %f, large %f", i, s.p_small, s.p_large);
        struct buffer file = {0};
        struct error err;
        learn_model_write(m, &file);
        struct learn_model *again = learn_model_parse(buffer_slice(&file), &err);
        assert_non_null(again); // what is written can be read
        learn_model_unref(again);
        buffer_free(&file);
        learn_model_unref(m);
        learn_rows_free(rows);
    }
}

static void refuses_no_rows(void **state) {
    (void)state;
    struct learn_rows *rows = learn_rows_new();
    struct error err;
    assert_null(learn_train(rows, NULL, 0, &err));
    rows_add(rows, "one", true, true);
    assert_null(learn_train(rows, (const uint8_t[]){3}, 3, &err));
    struct learn_model *m = learn_train(rows, (const uint8_t[]){3}, 2, &err);
    assert_non_null(m);
    learn_model_unref(m);
    learn_rows_free(rows);
    learn_rows_free(NULL);
}

// Random labels: nothing can be learned, and nothing is claimed.
static void claims_nothing_of_chance(void **state) {
    (void)state;
    struct learn_rows *rows = learn_rows_new();
    struct world w;
    random_seed(7);
    for (int i = 0; i < 400; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, random_below(2), random_below(2));
    }
    struct learn_model *m = train(rows);
    for (int i = 0; i < 100; i++) {
        world_text(&w, i % 2 == 0);
        struct learn_score s = ask(m, w.text);
        assert_near(s.p_small, 0.5, 0.2);
        assert_near(s.p_large, 0.5, 0.2);
    }
    learn_model_unref(m);
    learn_rows_free(rows);
}

// ----------------------------------------------------------------- folds

static void folds_are_even_and_keep_copies_together(void **state) {
    (void)state;
    enum { ROWS = 203, FOLDS = 5 };
    struct learn_rows *rows = learn_rows_new();
    struct world w;
    uint8_t folds[2 * ROWS], again[2 * ROWS], other[2 * ROWS];
    size_t counts[FOLDS] = {0}, moved = 0;
    random_seed(8);
    for (size_t i = 0; i < ROWS; i++) {
        world_text(&w, i % 2 == 0);
        rows_add(rows, w.text, true, false);
        rows_add(rows, w.text, false, true);
    }
    learn_rows_fold(rows, FOLDS, 1, folds);
    learn_rows_fold(rows, FOLDS, 1, again);
    learn_rows_fold(rows, FOLDS, 2, other);
    assert_memory_equal(folds, again, sizeof folds);
    for (size_t i = 0; i < 2 * ROWS; i++) {
        assert_true(folds[i] < FOLDS);
        assert_int_equal(folds[i], folds[i ^ 1]);
        counts[folds[i]]++;
        moved += folds[i] != other[i];
    }
    for (size_t i = 0; i < FOLDS; i++)
        assert_true(counts[i] >= 80 && counts[i] <= 82);
    assert_true(moved > ROWS);
    learn_rows_free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_rows_in_any_order_give_the_same_file),
        cmocka_unit_test(chances_are_what_happens),
        cmocka_unit_test(score_is_a_share),
        cmocka_unit_test(rows_score_as_texts_do),
        cmocka_unit_test(bears_odd_rows),
        cmocka_unit_test(refuses_no_rows),
        cmocka_unit_test(claims_nothing_of_chance),
        cmocka_unit_test(folds_are_even_and_keep_copies_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
