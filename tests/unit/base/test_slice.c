// Slices: comparison, search, parts, numbers, globs, distances.
#include "support.h"

static int sign(int x) {
    return (x > 0) - (x < 0);
}

static void slices_compare_by_their_bytes(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        int order;
        bool equal_nocase;
    } cases[] = {
        {"", "", 0, true},
        {"a", "a", 0, true},
        {"a", "b", -1, false},
        {"a", "", 1, false},
        {"a", "ab", -1, false},
        {"A", "a", -1, true},
        {"aB9-", "Ab9-", 1, true},
        {"\x7f", "\x80", -1, false},
        {"[", "{", -1, false},
        {"@", "`", -1, false},
        {"\xc3\x84", "\xc3\xa4", -1, false},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct slice a = slice_of(cases[i].a), b = slice_of(cases[i].b);
        assert_int_equal(sign(slice_compare(a, b)), cases[i].order);
        assert_int_equal(sign(slice_compare(b, a)), -cases[i].order);
        assert_int_equal(slice_equal(a, b), cases[i].order == 0);
        assert_int_equal(slice_equal_nocase(a, b), cases[i].equal_nocase);
    }
    assert_true(slice_equal(SLICE_NONE, SLICE("")));
    assert_true(slice_equal_nocase(SLICE_NONE, SLICE("")));
    assert_int_equal(slice_compare(SLICE_NONE, SLICE_NONE), 0);
    assert_null(slice_of(NULL).ptr);
    assert_int_equal(slice_of(NULL).len, 0);
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
}

static void starts_and_ends(void **state) {
    (void)state;
    assert_true(slice_starts_with(SLICE("abc"), SLICE("ab")));
    assert_true(slice_starts_with(SLICE("abc"), SLICE_NONE));
    assert_true(slice_starts_with(SLICE_NONE, SLICE_NONE));
    assert_false(slice_starts_with(SLICE("a"), SLICE("ab")));
    assert_false(slice_starts_with(SLICE("xab"), SLICE("ab")));
    assert_true(slice_ends_with(SLICE("abc"), SLICE("bc")));
    assert_true(slice_ends_with(SLICE("abc"), SLICE("")));
    assert_true(slice_ends_with(SLICE_NONE, SLICE_NONE));
    assert_false(slice_ends_with(SLICE("c"), SLICE("bc")));
    assert_false(slice_ends_with(SLICE("abcx"), SLICE("bc")));
    static const char *const words[] = {"ab", "", "c"};
    assert_true(SLICE_IS_ONE_OF(SLICE("ab"), words));
    assert_true(SLICE_IS_ONE_OF(SLICE("c"), words));
    assert_true(SLICE_IS_ONE_OF(SLICE_NONE, words));
    assert_false(SLICE_IS_ONE_OF(SLICE("a"), words));
    assert_false(SLICE_IS_ONE_OF(SLICE("abc"), words));
    assert_false(slice_is_one_of(SLICE("c"), words, 2));
}

static void blanks_are_trimmed(void **state) {
    (void)state;
    static const struct {
        const char *text, *trimmed;
    } cases[] = {
        {"", ""}, {" ", ""}, {" \t \t", ""}, {"a", "a"}, {"\ta b ", "a b"}, {"\na\r", "\na\r"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        assert_text(slice_trim(slice_of(cases[i].text)), cases[i].trimmed);
    assert_int_equal(slice_trim(SLICE_NONE).len, 0);
}

static void bytes_are_found(void **state) {
    (void)state;
    assert_int_equal(slice_find_char(SLICE("abca"), 'a'), 0);
    assert_int_equal(slice_find_char(SLICE("abca"), 'c'), 2);
    assert_int_equal(slice_find_char(SLICE("ab\0c"), '\0'), 2);
    assert_int_equal(slice_find_char(SLICE("abc"), 'x'), -1);
    assert_int_equal(slice_find_char(SLICE_NONE, 'x'), -1);
    assert_int_equal(slice_find(SLICE("aabaab"), SLICE("ab")), 1);
    assert_int_equal(slice_find(SLICE("aabaab"), SLICE("b\0")), -1);
    assert_int_equal(slice_find(SLICE("ab"), SLICE("abc")), -1);
    assert_int_equal(slice_find(SLICE("ab"), SLICE_NONE), 0);
    assert_int_equal(slice_find(SLICE_NONE, SLICE("a")), -1);
    assert_int_equal(slice_find(SLICE_NONE, SLICE_NONE), 0);
    assert_text(slice_from(SLICE("abc"), 1), "bc");
    assert_text(slice_from(SLICE("abc"), 3), "");
    assert_text(slice_from(SLICE("abc"), SIZE_MAX), "");
    assert_int_equal(slice_from(SLICE_NONE, 5).len, 0);
}

static void a_slice_is_split(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *parts[4];
    } cases[] = {
        {"a,b,c", {"a", "b", "c"}},
        {"a", {"a"}},
        {"", {""}},
        {",", {"", ""}},
        {"a,", {"a", ""}},
        {",a", {"", "a"}},
        {"a,,b", {"a", "", "b"}},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct slice rest = slice_of(cases[i].text), part;
        size_t n = 0;
        for (; slice_split(&rest, ',', &part); n++) {
            assert_true(n < 4);
            assert_non_null(cases[i].parts[n]);
            assert_text(part, cases[i].parts[n]);
        }
        assert_null(cases[i].parts[n]);
    }
    struct slice none = SLICE_NONE, part;
    assert_false(slice_split(&none, ',', &part));
}

static void numbers_and_bytes_are_taken_from_the_front(void **state) {
    (void)state;
    struct slice rest = SLICE("12 -7\nabcd"), part;
    uint64_t u = 0;
    int64_t i = 0;
    assert_true(slice_split_u64(&rest, ' ', &u));
    assert_int_equal(u, 12);
    assert_true(slice_split_i64(&rest, '\n', &i));
    assert_int_equal(i, -7);
    assert_false(slice_take(&rest, 5, &part));
    assert_false(slice_take(&rest, UINT64_MAX, &part));
    assert_text(rest, "abcd");
    assert_true(slice_take(&rest, 3, &part));
    assert_text(part, "abc");
    assert_false(slice_split_i64(&rest, ' ', &i)); // "d"
    assert_false(slice_split_u64(&rest, ' ', &u)); // nothing any more
    rest = SLICE(" 1");
    assert_false(slice_split_u64(&rest, ' ', &u)); // an empty part
    assert_true(slice_split_u64(&rest, ' ', &u));
    assert_int_equal(u, 1);
}

static void whole_numbers_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool u64, i64;
        uint64_t unsigned_value;
        int64_t signed_value;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"007", true, true, 7, 7},
        {"-0", false, true, 0, 0},
        {"-1", false, true, 0, -1},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", true, false, (uint64_t)INT64_MAX + 1, 0},
        {"-9223372036854775808", false, true, 0, INT64_MIN},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", true, false, UINT64_MAX, 0},
        {"18446744073709551616", false, false, 0, 0},
        {"99999999999999999999999", false, false, 0, 0},
        {"", false, false, 0, 0},
        {"-", false, false, 0, 0},
        {"--1", false, false, 0, 0},
        {"+1", false, false, 0, 0},
        {" 1", false, false, 0, 0},
        {"1 ", false, false, 0, 0},
        {"1.0", false, false, 0, 0},
        {"0x1", false, false, 0, 0},
        {"1e3", false, false, 0, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        uint64_t u = 77;
        int64_t s = 77;
        assert_int_equal(slice_to_u64(slice_of(cases[i].text), &u), cases[i].u64);
        assert_int_equal(slice_to_i64(slice_of(cases[i].text), &s), cases[i].i64);
        assert_true(!cases[i].u64 || u == cases[i].unsigned_value);
        assert_true(!cases[i].i64 || s == cases[i].signed_value);
    }
    uint64_t unused;
    assert_false(slice_to_u64(SLICE_NONE, &unused));
    assert_false(slice_to_u64(SLICE("1\0"), &unused));
}

static void a_copy_ends_with_nul(void **state) {
    (void)state;
    char *copy = slice_dup(slice_make("abcdef", 3));
    assert_string_equal(copy, "abc");
    free(copy);
    copy = slice_dup(SLICE_NONE);
    assert_string_equal(copy, "");
    free(copy);
}

static void globs_match(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"**", "abc", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"a*", "abc", true},
        {"a*", "ba", false},
        {"*c", "abc", true},
        {"*c", "abd", false},
        {"a*c", "ac", true},
        {"a*c", "abbbc", true},
        {"a*c", "abcb", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*ab*ab*", "abxab", true},
        {"*ab*ab*", "abx", false},
        {"support_*", "support_mail", true},
        {"A", "a", false},
        {"*?", "", false},
        {"*?", "a", true},
        {"?*?", "a", false},
        {"a*a*a*b", "aaaaaaaaaaaa", false},
        {"[a]", "a", false},
        {"\\*", "*", false},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        if (slice_glob(slice_of(cases[i].pattern), slice_of(cases[i].text)) != cases[i].matches)
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

// A pattern that would take years with backtracking at every star.
static void a_hostile_glob_ends(void **state) {
    (void)state;
    struct buffer pattern = {0}, text = {0};
    for (int i = 0; i < 500; i++) {
        BUFFER_LITERAL(&pattern, "*a");
        BUFFER_LITERAL(&text, "aa");
    }
    BUFFER_LITERAL(&pattern, "*b");
    assert_false(slice_glob(buffer_slice(&pattern), buffer_slice(&text)));
    buffer_free(&pattern);
    buffer_free(&text);
}

static void utf8_sequences_are_measured(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"", 0},
        {"a", 1},
        {"\x7f", 1},
        {"\x80", 0},
        {"\xbf", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xc2", 0},
        {"\xc2z", 0},
        {"\xc2\xc2", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0},
        {"\xed\xbf\xbf", 0},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbf", 3},
        {"\xe2\x82", 0},
        {"\xe2\x82z", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xf0\x9f\x98", 0},
        {"\xff", 0},
        {"\xc3\xa9rest", 2},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        if (slice_utf8(slice_of(cases[i].text)) != cases[i].length)
            fail_msg("case %zu", i);
    assert_int_equal(slice_utf8(SLICE("\0")), 1);
    assert_int_equal(slice_utf8(SLICE_NONE), 0);
}

static void distances_are_edits(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},      {"", "abc", 3},           {"abc", "abc", 0},       {"abc", "abd", 1},
        {"abc", "ac", 1}, {"kitten", "sitting", 3}, {"listen", "silent", 4}, {"ab", "ba", 2},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct slice a = slice_of(cases[i].a), b = slice_of(cases[i].b);
        assert_int_equal(slice_distance(a, b), cases[i].distance);
        assert_int_equal(slice_distance(b, a), cases[i].distance);
    }
    char longest[65];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(slice_distance(slice_make(longest, 64), SLICE_NONE), 64);
    assert_int_equal(slice_distance(slice_make(longest, 65), SLICE("x")), SIZE_MAX);
    assert_int_equal(slice_distance(SLICE("x"), slice_make(longest, 65)), SIZE_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_their_bytes),
        cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(blanks_are_trimmed),
        cmocka_unit_test(bytes_are_found),
        cmocka_unit_test(a_slice_is_split),
        cmocka_unit_test(whole_numbers_are_read),
        cmocka_unit_test(numbers_and_bytes_are_taken_from_the_front),
        cmocka_unit_test(a_copy_ends_with_nul),
        cmocka_unit_test(globs_match),
        cmocka_unit_test(a_hostile_glob_ends),
        cmocka_unit_test(utf8_sequences_are_measured),
        cmocka_unit_test(distances_are_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
