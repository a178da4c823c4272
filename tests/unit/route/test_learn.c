// Asking a model, and its file.
#include "learn_fixture.h"

#include <unistd.h>

// ---------------------------------------------------------------- asking

static void tells_hard_from_easy(void **state) {
    (void)state;
    struct learn_model *m = some_model(400);
    struct world w;
    int right = 0;
    for (int i = 0; i < 200; i++) {
        world_text(&w, i % 2 == 0);
        struct learn_score s = ask(m, w.text);
        assert_sane(s);
        right += (s.score > 0.5) == w.hard && (s.p_small < 0.5) == w.hard;
    }
    assert_true(right >= 190);
    learn_model_unref(m);
}

// What differs only in what the model does not look at is the same to it.
static void folds_case_and_blanks(void **state) {
    (void)state;
    struct learn_model *m = some_model(60);
    struct learn_reading a, b;
    learn_score_begin(&a);
    learn_score_begin(&b);
    learn_score_text(&a, m, SLICE("an integral of x"));
    learn_score_text(&b, m, SLICE(" an  \t integral\r\nof x  "));
    assert_memory_equal(a.seen, b.seen, sizeof a.seen);
    assert_memory_equal(a.sums, b.sums, sizeof a.sums);
    assert_true(a.norm == b.norm);
    learn_score_begin(&b);
    learn_score_text(&b, m, SLICE("An INTEGRAL of X"));
    assert_memory_equal(a.seen, b.seen, sizeof a.seen);
    learn_model_unref(m);
}

// Pieces are texts of their own: no n-gram spans two, and their order does not matter.
static void reads_pieces_in_any_order(void **state) {
    (void)state;
    static const struct slice pieces[] = {
        {"the integral ", 13}, {"", 0}, {"3.5? No.", 8}, {"hello", 5}};
    struct learn_model *m = some_model(60);
    struct learn_reading forth, back;
    learn_score_begin(&forth);
    learn_score_begin(&back);
    for (size_t i = 0; i < FARTHING_COUNT(pieces); i++) {
        learn_score_text(&forth, m, pieces[i]);
        learn_score_text(&back, m, pieces[FARTHING_COUNT(pieces) - 1 - i]);
    }
    assert_same(learn_score_end(&forth, m), learn_score_end(&back, m));
    learn_model_unref(m);
}

// Grams across ASCII, two, three and four bytes, and bytes that are no UTF-8 at all.
static void bears_any_bytes(void **state) {
    (void)state;
    static const struct slice texts[] = {
        {"", 0},
        {"a", 1},
        {"\0\0\0\0\0", 5},
        {"\xFF\xFE\x80\x80\xC3", 5},
        {"\xE8\xAF", 2},
        {"na\xC3\xAFve \xE8\xAF\xB7\xE7\x94\xA8 \xF0\x9F\x98\x80\xF0\x9F\x98\x80", 23},
        {"          ", 10},
    };
    struct learn_model *m = some_model(60);
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        struct learn_reading r;
        char *copy = base_alloc(texts[i].len + 1); // on the heap, so that reading beyond is seen
        memcpy(copy, texts[i].ptr, texts[i].len);
        char *exact = base_realloc(copy, texts[i].len > 0 ? texts[i].len : 1);
        learn_score_begin(&r);
        learn_score_text(&r, m, slice_make(exact, texts[i].len));
        assert_sane(learn_score_end(&r, m));
        free(exact);
    }
    struct learn_reading r;
    learn_score_begin(&r);
    assert_sane(learn_score_end(&r, m)); // no piece at all
    learn_model_unref(m);
}

static void reads_the_beginning_of_what_is_long(void **state) {
    (void)state;
    struct learn_model *m = some_model(60);
    struct buffer text = {0};
    struct learn_reading whole, more;
    while (text.len < LEARN_TEXT_MAX)
        BUFFER_LITERAL(&text, "hello ");
    learn_score_begin(&whole);
    learn_score_begin(&more);
    learn_score_text(&whole, m, buffer_slice(&text));
    learn_score_text(&more, m, buffer_slice(&text));
    learn_score_text(&more, m, SLICE("integral"));
    BUFFER_LITERAL(&text, "integral");
    assert_memory_equal(whole.seen, more.seen, sizeof whole.seen);
    assert_true(more.bytes > whole.bytes); // it counts, all the same
    learn_score_begin(&more);
    learn_score_text(&more, m, buffer_slice(&text));
    assert_memory_equal(whole.seen, more.seen, sizeof whole.seen);
    assert_sane(learn_score_end(&more, m));
    buffer_free(&text);
    learn_model_unref(m);
}

// ------------------------------------------------------------------ file

static struct buffer file_of(const struct learn_model *m) {
    struct buffer file = {0};
    learn_model_write(m, &file);
    return file;
}

static void file_keeps_the_model(void **state) {
    (void)state;
    struct learn_model *m = some_model(100);
    struct buffer file = file_of(m);
    struct error err;
    struct learn_model *again = learn_model_parse(buffer_slice(&file), &err);
    assert_non_null(again);
    assert_true(file.len < 1000000);
    struct learn_model_info a = learn_model_info(m), b = learn_model_info(again);
    assert_int_equal(b.rows, 100);
    assert_int_equal(b.small_ok, 50);
    assert_true(a.large_ok == b.large_ok && a.large_ok > 60 && a.large_ok <= 100);
    assert_near(a.strength, b.strength, 0);
    assert_same(ask(m, "an integral, or 3"), ask(again, "an integral, or 3"));
    struct buffer second = file_of(again);
    assert_true(slice_equal(buffer_slice(&file), buffer_slice(&second)));
    buffer_free(&second);
    buffer_free(&file);
    learn_model_unref(learn_model_ref(again));
    learn_model_unref(again);
    learn_model_unref(m);
    learn_model_unref(NULL);
}

// The checksum made right again, so that what is behind it is looked at.
static void seal(struct buffer *file) {
    uint8_t digest[DIGEST_LEN];
    digest_sha256(slice_make(file->ptr, file->len - DIGEST_LEN), digest);
    memcpy(file->ptr + file->len - DIGEST_LEN, digest, DIGEST_LEN);
}

static void assert_refused(struct slice file, const char *wanted) {
    struct error err = {{0}};
    assert_null(learn_model_parse(file, &err));
    if (strstr(err.text, wanted) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, wanted);
}

static void refuses_what_is_no_model(void **state) {
    (void)state;
    static const double not_a_number = NAN, infinite = INFINITY, absurd = 1e300, zero = 0;
    const struct {
        size_t at;
        const void *bytes;
        size_t len;
        const char *wanted;
    } changes[] = {
        {0, "F", 1, "no model"},
        {16, "\x02", 1, "version 2"},
        {20, "\x01", 1, "buckets"},
        {24, "\xFF", 1, "signals"},
        {28, "\x00", 1, "knots"},
        {56, &not_a_number, 8, "no number"}, // strength
        {64, &infinite, 8, "no number"},     // a scale
        {128, &absurd, 8, "no number"},      // a signal's mean
        {136, &zero, 8, "no number"},        // its deviation
        {128 + 18 * 32, &absurd, 8, "no number"}, // a knot, and they do not rise
    };
    struct learn_model *m = some_model(30);
    struct buffer file = file_of(m);
    for (size_t i = 0; i < FARTHING_COUNT(changes); i++) {
        char before[8];
        memcpy(before, file.ptr + changes[i].at, changes[i].len);
        memcpy(file.ptr + changes[i].at, changes[i].bytes, changes[i].len);
        seal(&file);
        assert_refused(buffer_slice(&file), changes[i].wanted);
        memcpy(file.ptr + changes[i].at, before, changes[i].len);
    }
    seal(&file);
    struct error err;
    struct learn_model *good = learn_model_parse(buffer_slice(&file), &err);
    assert_non_null(good);
    file.ptr[file.len / 2] = (char)(file.ptr[file.len / 2] ^ 1);
    assert_refused(buffer_slice(&file), "checksum");
    for (size_t len = 0; len < file.len; len += len < 200 ? 1 : 9973)
        assert_refused(slice_make(file.ptr, len), len < 16 ? "no model" : "damaged");
    buffer_append(&file, SLICE("x"));
    assert_refused(buffer_slice(&file), "damaged");
    assert_refused(SLICE("{\"prompt\": \"a text that is longer than the head of a file\"}"),
                   "no model");
    buffer_free(&file);
    learn_model_unref(good);
    learn_model_unref(m);
}

static void load_names_the_file(void **state) {
    (void)state;
    char path[] = "learn-XXXXXX";
    struct error err;
    struct learn_model *m = some_model(30);
    struct buffer bytes = file_of(m);
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes.ptr, bytes.len), bytes.len);
    struct learn_model *loaded = learn_model_load(path, &err);
    assert_non_null(loaded);
    assert_same(ask(m, "hello"), ask(loaded, "hello"));
    learn_model_unref(loaded);
    assert_int_equal(write(file, "x", 1), 1); // longer than any model
    assert_null(learn_model_load(path, &err));
    assert_non_null(strstr(err.text, path));
    assert_int_equal(ftruncate(file, 0), 0);
    assert_null(learn_model_load(path, &err));
    assert_non_null(strstr(err.text, "no model"));
    close(file);
    unlink(path);
    assert_null(learn_model_load(path, &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_null(learn_model_load(".", &err));
    assert_non_null(strstr(err.text, "directory"));
    buffer_free(&bytes);
    learn_model_unref(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_hard_from_easy),
        cmocka_unit_test(folds_case_and_blanks),
        cmocka_unit_test(reads_pieces_in_any_order),
        cmocka_unit_test(bears_any_bytes),
        cmocka_unit_test(reads_the_beginning_of_what_is_long),
        cmocka_unit_test(file_keeps_the_model),
        cmocka_unit_test(refuses_what_is_no_model),
        cmocka_unit_test(load_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
