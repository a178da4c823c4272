// Patterns: the two dialects, bounds on hostile ones, searches on several threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "pattern.h"

static const struct {
    unsigned flags;
    const char *pattern, *text;
    bool found;
} rows[] = {
    {0, "b+", "abbc", true},
    {0, "^b", "ab", false},
    {0, "", "", true},
    {0, "^$", "", true},
    {0, "a$", "a\n", false}, // $ is the end, not the line before it
    {0, "\\bgrüße\\b", "viele grüße an", true},
    {0, "^\\w+$", "größe", true},
    {0, "^\\d$", "\xD9\xA3", true}, // Arabic's three
    {PATTERN_CASELESS, "STRASSE|ÄRGER", "ärger", true},
    {0, "Ärger", "ärger", false},
    {PATTERN_AT_START, "b", "ab", false},
    {PATTERN_AT_START, "a", "ab", true},
    {PATTERN_LASTING, "(a|b)+c", "xabac", true},
    {PATTERN_LASTING | PATTERN_CASELESS, "(?:foo|bar)\\d{2,3}", "xxFOO12", true},
    {0, "a.c", "a\xFF" "c", false}, // no UTF-8: matches nothing
    {0, "c$", "a\xFF" "c", true},
    {0, "a\\x{0}b", "ab", false},
    // ECMA-262
    {PATTERN_ECMA, "^\\w+$", "größe", false},
    {PATTERN_ECMA, "^\\d$", "\xD9\xA3", false},
    {PATTERN_ECMA, "^\\S+$", "a\xC2\xA0" "b", false}, // no-break space
    {PATTERN_ECMA, "^a\\sb$", "a\xE2\x80\x83" "b", true},
    {PATTERN_ECMA, "^a[\\sx]b$", "a\xEF\xBB\xBF" "b", true},
    {PATTERN_ECMA, "^\\u0041\\x42$", "AB", true},
    {PATTERN_ECMA, "^\\ud83d\\ude00$", "\xF0\x9F\x98\x80", true},
    {PATTERN_ECMA, "^\\u{1F600}$", "\xF0\x9F\x98\x80", true},
    {PATTERN_ECMA, "^.$", "\xF0\x9F\x98\x80", true},
    {PATTERN_ECMA, "^\\p{Letter}+$", "größe", true},
    {PATTERN_ECMA, "^\\p{Lu}\\P{Lu}$", "Aa", true},
    {PATTERN_ECMA, "^\\p{Script=Greek}+$", "αβγ", true},
    {PATTERN_ECMA, "^\\p{General_Category=Decimal_Number}$", "5", true},
    {PATTERN_ECMA, "^\\p{gc=Nd}$", "x", false},
    {PATTERN_ECMA, "[]", "a", false},
    {PATTERN_ECMA, "^[^]$", "\n", true},
    {PATTERN_ECMA, "^a\\/b\\-c$", "a/b-c", true},
    {PATTERN_ECMA, "^(?<year>\\d{4})-\\k<year>$", "2026-2026", true},
    {PATTERN_ECMA, "^(?:\\d{3}-)?\\d{4}$", "555-1234", true},
    {PATTERN_ECMA, "^(?!foo)bar(?=x)", "barx", true},
    {PATTERN_ECMA, "^a$", "a\n", false},
};

static void each_dialect_matches_its_own_way(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct error err = {{0}};
        struct pattern *p = pattern_compile(slice_of(rows[i].pattern), rows[i].flags, &err);
        if (p == NULL)
            fail_msg("%s: %s", rows[i].pattern, err.text);
        if (pattern_find(p, slice_of(rows[i].text)) != rows[i].found)
            fail_msg("%s in %s", rows[i].pattern, rows[i].text);
        pattern_free(p);
    }
    pattern_free(NULL);
}

static void what_is_wrong_is_told(void **state) {
    (void)state;
    static const struct {
        unsigned flags;
        const char *pattern, *error;
    } wrong[] = {
        {0, "a(", "at byte 2"},
        {0, "[z-a]", "range out of order"},
        {0, "a\\C", "at byte 3"},
        {PATTERN_ECMA, "(*UCP)a", "nothing to repeat at byte 0"},
        {PATTERN_ECMA, "\\p{Klingon}", "at byte"},
        {PATTERN_ECMA, "a\\", "at byte"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(wrong); i++) {
        struct error err = {{0}};
        assert_null(pattern_compile(slice_of(wrong[i].pattern), wrong[i].flags, &err));
        if (slice_find(slice_of(err.text), slice_of(wrong[i].error)) < 0)
            fail_msg("%s: %s", wrong[i].pattern, err.text);
    }
    struct buffer longer = {0};
    for (int i = 0; i <= PATTERN_BYTES_MAX; i++)
        buffer_append_char(&longer, 'a');
    struct error err;
    assert_null(pattern_compile(buffer_slice(&longer), 0, &err));
    assert_true(slice_find(slice_of(err.text), SLICE("at most")) >= 0);
    buffer_free(&longer);
}

// Each would take from seconds to years without a budget of steps: exponential,
// and quadratic ones, which the library's own limits do not see.
static void hostile_searches_are_given_up(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *unit, *end;
    } hostile[] = {
        {"^(a+)+[bc]$", "a", ""},
        {"(a|aa)+[bc]", "a", ""},
        {"\\s+$", " ", "x"},
        {"a*+[bc]", "a", ""},
        {"(?:.*,){20}[xy]", "a,", ""},
        {"(.*)(.*)(.*)[xy]", "a", ""},
        {"(?=(a+))a*b?\\1[xy]", "a", ""},
    };
    static const unsigned flags[] = {0, PATTERN_LASTING, PATTERN_ECMA};
    for (size_t i = 0; i < FARTHING_COUNT(hostile); i++) {
        struct buffer text = {0};
        while (text.len < 300000)
            buffer_append(&text, slice_of(hostile[i].unit));
        buffer_append(&text, slice_of(hostile[i].end));
        for (size_t k = 0; k < FARTHING_COUNT(flags); k++) {
            struct error err = {{0}};
            struct pattern *p = pattern_compile(slice_of(hostile[i].pattern), flags[k], &err);
            assert_non_null(p);
            int64_t work = INT64_MAX;
            if (pattern_search(p, buffer_slice(&text), &work) != PATTERN_UNKNOWN)
                fail_msg("%s was searched to its end", hostile[i].pattern);
            // In all it takes no more than it may, and a bit for the last step.
            assert_true(INT64_MAX - work <= 2 * pattern_work_for(text.len));
            assert_false(pattern_find(p, buffer_slice(&text)));
            pattern_free(p);
        }
        buffer_free(&text);
    }
}

static void searches_share_a_budget(void **state) {
    (void)state;
    struct error err;
    struct pattern *p = pattern_compile(SLICE("[ab]c"), 0, &err);
    int64_t work = 1000, before = work;
    assert_int_equal(pattern_search(p, SLICE("xxbc"), &work), PATTERN_FOUND);
    assert_true(work < before);
    while (work > 0) {
        before = work;
        enum pattern_result r = pattern_search(p, SLICE("aaaaaaaaaaaaaa"), &work);
        assert_true(work < before);
        assert_true(r == PATTERN_ABSENT || work <= 0);
    }
    assert_int_equal(pattern_search(p, SLICE("bc"), &work), PATTERN_UNKNOWN);
    pattern_free(p);
}

enum { THREADS = 4, ROUNDS = 500 };

static void *search_often(void *arg) {
    const struct pattern *p = arg;
    uintptr_t wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "order-%d-%s", i, i % 2 ? "paid" : "open");
        wrong += pattern_find(p, slice_make(text, (size_t)len)) != (i % 2 == 1);
    }
    return (void *)wrong;
}

static void any_number_of_threads_may_search(void **state) {
    (void)state;
    static const unsigned flags[] = {0, PATTERN_LASTING};
    for (size_t k = 0; k < FARTHING_COUNT(flags); k++) {
        struct error err;
        struct pattern *p = pattern_compile(SLICE("^order-(\\d+)-(?:paid|sent)$"), flags[k], &err);
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, search_often, p), 0);
        for (size_t i = 0; i < THREADS; i++) {
            void *wrong;
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
        pattern_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_dialect_matches_its_own_way),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(hostile_searches_are_given_up),
        cmocka_unit_test(searches_share_a_budget),
        cmocka_unit_test(any_number_of_threads_may_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
