// The estimate of text, against what tokenizers count of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/estimate.h"
#include "estimate_texts.h"

// Hundredths of a tokenizer's count: the least and the most that an estimate may
// be. Where the tokenizers are far apart, so is the most.
static const int64_t room[TEXT_KIND_COUNT][2] = {
    [PROSE] = {104, 195}, [CODE] = {90, 150}, [JSON] = {82, 135},  [FIGURES] = {80, 160},
    [LATIN] = {80, 230},  [CJK] = {75, 180},  [OTHER] = {75, 390},
};

static void texts_are_estimated_from_above(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < FARTHING_COUNT(counted_texts); i++) {
        const struct counted_text *t = &counted_texts[i];
        int64_t got = estimate_text(slice_of(t->text)) * 100;
        for (size_t k = 0; k < TOKENIZER_COUNT; k++) {
            int64_t ratio = got / t->tokens[k];
            if (ratio >= room[t->kind][0] && ratio <= room[t->kind][1])
                continue;
            print_error("%s: %lld %% of what %s counts\n", t->what, (long long)ratio,
                        tokenizer_names[k]);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

// Of prose as a whole, for what most requests go to.
static void prose_is_a_fifth_above(void **state) {
    (void)state;
    for (size_t k = 0; k < TOKENIZER_COUNT; k++) {
        int64_t got = 0, counted = 0;
        for (size_t i = 0; i < FARTHING_COUNT(counted_texts); i++)
            if (counted_texts[i].kind == PROSE) {
                got += estimate_text(slice_of(counted_texts[i].text));
                counted += counted_texts[i].tokens[k];
            }
        assert_in_range(got * 100 / counted, 110, 135);
    }
}

// What JSON escapes costs what it stands for.
static const struct {
    const char *escaped, *plain;
} escapes[] = {
    {"one\\ntwo", "one\ntwo"},
    {"a\\tb\\rc\\bd\\fe", "a\nb\nc\nd\ne"},
    {"say \\\"yes\\\" or no", "say \"yes\" or no"},
    {"a\\/b", "a/b"},
    {"caf\\u00e9 noir", "caf\xC3\xA9 noir"},
    {"\\u0041\\u005A x", "AZ x"},
    {"\\u4f60\\u597D", "\xE4\xBD\xA0\xE5\xA5\xBD"},
    {"\\u0e2a\\u0E27", "\xE0\xB8\xAA\xE0\xB8\xA7"},
    {"x \\ud83d\\ude00\\uD83D\\uDE00", "x \xF0\x9F\x98\x80\xF0\x9F\x98\x80"},
};

static void escapes_cost_what_they_stand_for(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(escapes); i++) {
        int64_t escaped = estimate_text(slice_of(escapes[i].escaped));
        int64_t plain = estimate_text(slice_of(escapes[i].plain));
        if (escaped < plain || escaped > plain + 1)
            fail_msg("%s: %lld, not %lld", escapes[i].escaped, (long long)escaped,
                     (long long)plain);
    }
}

// Text that is no JSON may end anywhere, and hold any bytes.
static void any_bytes_have_an_estimate(void **state) {
    static const char *const ends[] = {"\\",      "\\u", "\\u1",   "\\u12",   "\\u123", "\\u1234",
                                       "\\uzzzz", "\\x", "\\\\\\", "\\ud83d", "\\ude00"};
    (void)state;
    assert_int_equal(estimate_text(SLICE_NONE), 0);
    assert_int_equal(estimate_text(SLICE("")), 0);
    for (size_t i = 0; i < FARTHING_COUNT(ends); i++)
        assert_in_range(estimate_text(slice_of(ends[i])), 1, 5);
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            const unsigned char bytes[] = {(unsigned char)a, (unsigned char)b};
            assert_in_range(estimate_text(slice_make(bytes, 1)), 1, 4);
            assert_in_range(estimate_text(slice_make(bytes, 2)), 1, 8);
        }
}

// A text is about the sum of its parts, so that messages can be measured apart.
static void parts_sum_up(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(counted_texts); i++) {
        struct slice text = slice_of(counted_texts[i].text);
        int64_t whole = estimate_text(text);
        for (size_t cut = 0; cut <= text.len; cut += 7) {
            int64_t sum =
                estimate_text(slice_make(text.ptr, cut)) + estimate_text(slice_from(text, cut));
            assert_in_range(sum, whole - 2, whole + 3);
        }
    }
}

// Linear, without overflow: a run of one character, however long.
static void long_texts_are_as_short_ones(void **state) {
    enum { LEN = 1 << 20 };
    static char text[LEN];
    static const char fills[] = "a1 -\n\xE4";
    (void)state;
    for (size_t i = 0; i + 1 < sizeof fills; i++) {
        memset(text, fills[i], LEN);
        int64_t half = estimate_text(slice_make(text, LEN / 2));
        int64_t whole = estimate_text(slice_make(text, LEN));
        assert_in_range(whole, 2 * half - 3, 2 * half + 3);
        assert_true(whole <= LEN * 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_estimated_from_above),
        cmocka_unit_test(prose_is_a_fifth_above),
        cmocka_unit_test(escapes_cost_what_they_stand_for),
        cmocka_unit_test(any_bytes_have_an_estimate),
        cmocka_unit_test(parts_sum_up),
        cmocka_unit_test(long_texts_are_as_short_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
