// Keywords: what is found where, and the automaton against a search without one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "keywords_automaton.h"
#include "signals_char.h"

static bool finds(const char *word, bool whole, struct slice text) {
    const struct keyword list[] = {{slice_of(word), whole, 0}};
    struct keywords *k = keywords_new(list, 1, 1);
    struct arena *arena = arena_new(256);
    struct keywords_found found = keywords_begin(k, arena);
    char *exact = base_alloc(text.len > 0 ? text.len : 1); // a byte read beyond it is found
    if (text.len > 0)
        memcpy(exact, text.ptr, text.len);
    keywords_search(k, slice_make(exact, text.len), &found);
    bool raised = keywords_raised(&found, 0);
    free(exact);
    arena_free(arena);
    keywords_free(k);
    return raised;
}

static void words_and_parts_of_words(void **state) {
    (void)state;
    static const struct {
        const char *word, *text;
        bool whole, anywhere; // found as a whole word, found anywhere
    } rows[] = {
        {"refund", "refund", true, true},
        {"refund", "A REFUND, please", true, true},
        {"Refund", "refund", true, true},
        {"refund", "refunds", false, true},
        {"refund", "nonrefundable", false, true},
        {"refund", "re fund", false, false},
        {"refund", "refun", false, false},
        {"refund", "", false, false},
        {"refund", "refund_id", false, true},
        {"refund", "refund2", false, true},
        {"refund", "refund-id", true, true},
        {"refund", "(refund)", true, true},
        {"refund", "norefund refund", true, true},
        {"refund", "refundrefund", false, true},
        {"CVE-", "see CVE-2024-1", true, true},
        {"CVE-", "xCVE-2024", false, true},
        {"C++", "in c++!", true, true},
        {"C++", "objc++", false, true},
        {".net", "asp.net", true, true}, // no edge before a point
        {"-x", "a-x", true, true},
        {"-x", "a-xy", false, true},
        {"credit card", "credit card", true, true},
        {"credit card", "Credit \n\t Card", true, true},
        {"credit  card", "credit card", true, true},
        {"credit card", "credit\xC2\xA0" "card", true, true},
        {"credit card", "credit\xE3\x80\x80" "card", true, true},
        {"credit card", "creditcard", false, false},
        {"credit card", "credit cards", false, true},
        {" refund ", "refund", true, false},
        {" refund ", "a refund b", true, true},
        {"don't", "I don't", true, true},
        {"don't", "I don\xE2\x80\x99t", true, true},
        {"a", "a", true, true},
        {"a", "\xC3\xA4", false, false},
        {"\xC3\xA4", "\xC3\x84", true, true},
        {"STRASSE", "stra\xC3\x9F" "e", false, false}, // simple folding only
        {"stra\xC3\x9F" "e", "STRA\xE1\xBA\x9E" "E", true, true},
        {"\xCE\xA3\xCE\x91\xCE\xA3", "\xCF\x83\xCE\xB1\xCF\x82", true, true}, // final sigma
        {"\xD0\x94\xD0\x9E\xD0\x9C", "\xD0\xB4\xD0\xBE\xD0\xBC", true, true},
        {"\xD0\xB4\xD0\xBE\xD0\xBC", "\xD0\xB4\xD0\xBE\xD0\xBC\xD0\xB0", false, true},
        {"\xD0\xB4\xD0\xBE\xD0\xBC", "a\xD0\xB4\xD0\xBE\xD0\xBC", false, true},
        {"k", "\xE2\x84\xAA", true, true},             // Kelvin's sign
        {"\xEF\xBC\xA1", "\xEF\xBD\x81", true, true},  // full width
        {"\xE9\x80\x80\xE6\xAC\xBE", "\xE6\x88\x91\xE8\xA6\x81\xE9\x80\x80\xE6\xAC\xBE\xE5\x90\x97",
         true, true}, // no blanks between words
        {"API", "\xE7\x94\xA8" "API\xE6\x8E\xA5\xE5\x8F\xA3", true, true},
        {"\xED\x99\x98\xEB\xB6\x88", "\xED\x99\x98\xEB\xB6\x88\xEC\x9D\x84", false, true}, // Hangul
        {"e\xCC\x81", "e\xCC\x81", true, true},
        {"e", "e\xCC\x81", false, true}, // a combining accent is of the word
        {"\xF0\x9F\x98\x80", "a\xF0\x9F\x98\x80" "b", true, true},
        {"a", "\xFF" "a\xC3", true, true},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct slice text = slice_of(rows[i].text);
        if (finds(rows[i].word, true, text) != rows[i].whole)
            fail_msg("\"%s\" as a word in \"%s\": not %d", rows[i].word, rows[i].text,
                     rows[i].whole);
        if (finds(rows[i].word, false, text) != rows[i].anywhere)
            fail_msg("\"%s\" anywhere in \"%s\": not %d", rows[i].word, rows[i].text,
                     rows[i].anywhere);
    }
}

static void blanks_alone_are_never_found(void **state) {
    (void)state;
    static const char *const blanks[] = {"", " ", "\n\t", "\xC2\xA0"};
    for (size_t i = 0; i < FARTHING_COUNT(blanks); i++) {
        assert_false(finds(blanks[i], true, SLICE("a b")));
        assert_false(finds(blanks[i], false, SLICE("a b")));
    }
}

// One keyword that is the end of another, and one that is within another.
static void all_that_end_in_one_place_are_found(void **state) {
    (void)state;
    const struct keyword list[] = {
        {SLICE("she"), false, 0}, {SLICE("he"), false, 1},  {SLICE("hers"), false, 2},
        {SLICE("his"), false, 3}, {SLICE("he"), false, 4},  {SLICE("e"), false, 65},
        {SLICE("he"), true, 64},  {SLICE("she"), false, 0},
    };
    struct keywords *k = keywords_new(list, FARTHING_COUNT(list), 66);
    struct arena *arena = arena_new(256);
    struct keywords_found found = keywords_begin(k, arena);
    static const bool wanted[66] = {
        [0] = true, [1] = true, [2] = true, [4] = true, [65] = true};
    keywords_search(k, SLICE("ushers"), &found);
    for (uint32_t flag = 0; flag < FARTHING_COUNT(wanted); flag++)
        if (keywords_raised(&found, flag) != wanted[flag])
            fail_msg("flag %u", flag);
    keywords_search(k, SLICE("his"), &found); // and further texts
    assert_true(keywords_raised(&found, 3) && keywords_raised(&found, 0));
    assert_false(keywords_raised(&found, 64));
    keywords_search(k, SLICE("HE!"), &found);
    assert_true(keywords_raised(&found, 64));
    arena_free(arena);
    keywords_free(k);
}

static void texts_do_not_run_into_each_other(void **state) {
    (void)state;
    const struct keyword list[] = {{SLICE("ab"), false, 0}, {SLICE("a"), true, 1}};
    struct keywords *k = keywords_new(list, FARTHING_COUNT(list), 2);
    struct arena *arena = arena_new(256);
    struct keywords_found found = keywords_begin(k, arena);
    keywords_search(k, SLICE("xa"), &found);
    keywords_search(k, SLICE("b"), &found);
    assert_false(keywords_raised(&found, 0) || keywords_raised(&found, 1));
    keywords_search(k, SLICE("a"), &found);
    assert_true(keywords_raised(&found, 1));
    arena_free(arena);
    keywords_free(k);
}

static void no_keywords_find_nothing(void **state) {
    (void)state;
    struct keywords *k = keywords_new(NULL, 0, 0);
    struct arena *arena = arena_new(256);
    struct keywords_found found = keywords_begin(k, arena);
    keywords_search(k, SLICE("anything"), &found);
    assert_int_equal(found.flags[0], 0);
    arena_free(arena);
    keywords_free(k);
    keywords_free(NULL);
}

// ----------------------------------------------- against a plain search

enum { WORDS = 60, TEXTS = 300, LIST_COUNT = 40 };

static void append_letters(struct buffer *out, uint64_t count) {
    static const char *const pieces[] = {
        "a", "b", "A", "\xC3\xA4", "\xC3\x84", "\xE9\x80\x80", "-", "c", "\xD0\x94", "\xD0\xB4"};
    for (uint64_t i = 0; i <= count; i++)
        buffer_append(out, slice_of(pieces[random_below(FARTHING_COUNT(pieces))]));
}

static struct slice random_text(struct arena *arena, uint64_t words) {
    struct buffer text = {0};
    for (uint64_t w = 0; w <= words; w++) {
        if (w > 0)
            buffer_append_char(&text, ' ');
        append_letters(&text, random_below(4));
    }
    struct slice copy = arena_copy(arena, buffer_slice(&text));
    buffer_free(&text);
    return copy;
}

static struct slice stream_of(struct slice text, bool whole, struct arena *arena) {
    struct buffer stream = {0};
    keywords_stream(text, whole, &stream);
    struct slice copy = arena_copy(arena, buffer_slice(&stream));
    buffer_free(&stream);
    return copy;
}

static void compare(const struct keyword *list, const struct keywords *k, struct arena *arena) {
    for (int t = 0; t < TEXTS; t++) {
        struct slice text = random_text(arena, random_below(WORDS));
        struct slice stream = stream_of(text, true, arena);
        struct keywords_found found = keywords_begin(k, arena);
        keywords_search(k, text, &found);
        for (uint32_t i = 0; i < LIST_COUNT; i++) {
            struct slice word = stream_of(list[i].text, list[i].whole, arena);
            if (keywords_raised(&found, i) != (slice_find(stream, word) >= 0))
                fail_msg("\"%.*s\" in \"%.*s\"", SLICE_ARG(list[i].text), SLICE_ARG(text));
        }
    }
}

static void the_automaton_finds_what_a_plain_search_finds(void **state) {
    (void)state;
    random_seed(4);
    for (int round = 0; round < 20; round++) {
        struct arena *arena = arena_new(4096);
        struct keyword list[LIST_COUNT];
        for (uint32_t i = 0; i < LIST_COUNT; i++)
            list[i] = (struct keyword){random_text(arena, random_below(2)), i % 2 == 0, i};
        struct keywords *k = keywords_new(list, LIST_COUNT, LIST_COUNT);
        compare(list, k, arena);
        keywords_free(k);
        arena_free(arena);
    }
}

// So many that most states have no row of their own.
static void thousands_are_found_each_where_it_stands(void **state) {
    (void)state;
    enum { MANY = 20000 };
    struct arena *arena = arena_new(1 << 20);
    struct keyword *list = base_calloc(MANY, sizeof *list);
    for (uint32_t i = 0; i < MANY; i++)
        list[i] = (struct keyword){
            arena_printf(arena, "%c%xword%u", 'a' + (int)(i % 26), i * 2654435761u, i), i % 3 != 0,
            i};
    struct keywords *k = keywords_new(list, MANY, MANY);
    assert_true(k->state_count > k->dense_count);
    assert_true(keywords_bytes(k) < 64u * MANY * 10);
    for (uint32_t i = 0; i < MANY; i += 7) {
        struct keywords_found found = keywords_begin(k, arena);
        struct slice text = arena_printf(arena, "x %.*s.", SLICE_ARG(list[i].text));
        keywords_search(k, text, &found);
        assert_true(keywords_raised(&found, i));
        for (uint32_t other = 0; other < MANY; other++)
            if (other != i && keywords_raised(&found, other))
                assert_true(slice_find(text, list[other].text) >= 0);
    }
    keywords_free(k);
    free(list);
    arena_free(arena);
}

// ------------------------------------------------------------------- folding

static void folding_is_unicode_s(void **state) {
    (void)state;
    static const uint32_t rows[][2] = {
        {'A', 'a'},       {'Z', 'z'},       {'[', '['},       {'a', 'a'},       {0xC0, 0xE0},
        {0xD7, 0xD7},     {0xDE, 0xFE},     {0xDF, 0xDF},     {0x100, 0x101},   {0x101, 0x101},
        {0x130, 0x130},   {0x139, 0x13A},   {0x13A, 0x13A},   {0x178, 0xFF},    {0x17F, 's'},
        {0x1C4, 0x1C6},   {0x1C5, 0x1C6},   {0x386, 0x3AC},   {0x391, 0x3B1},   {0x3A2, 0x3A2},
        {0x3A3, 0x3C3},   {0x3C2, 0x3C3},   {0x410, 0x430},   {0x400, 0x450},   {0x460, 0x461},
        {0x461, 0x461},   {0x4C0, 0x4CF},   {0x531, 0x561},   {0x557, 0x557},   {0x10A0, 0x2D00},
        {0x1C90, 0x10D0}, {0x1E00, 0x1E01}, {0x1E9E, 0xDF},   {0x1F08, 0x1F00}, {0x1F5A, 0x1F5A},
        {0x1F59, 0x1F51}, {0x2019, '\''},   {0x2126, 0x3C9},  {0x212A, 'k'},    {0x212B, 0xE5},
        {0xFF21, 0xFF41}, {0xFF3B, 0xFF3B}, {0x4E00, 0x4E00}, {0xFFFF, 0xFFFF}, {0x10400, 0x10400},
    };
    const uint8_t *chars = signals_chars();
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        if (keywords_fold(rows[i][0]) != rows[i][1])
            fail_msg("U+%04X: U+%04X", rows[i][0], keywords_fold(rows[i][0]));
        bool marked = (signals_char(chars, rows[i][0]) & CHAR_FOLDS) != 0;
        assert_int_equal(marked, rows[i][0] != rows[i][1]);
    }
}

// For every character: what is marked folds, what is folded folds no further, and
// folding changes neither script nor whether it is of a word.
static void folding_is_consistent(void **state) {
    (void)state;
    const uint8_t *chars = signals_chars();
    const uint8_t same = CHAR_WORD | CHAR_MATH;
    for (uint32_t c = 0; c < CHAR_TABLE_SIZE; c++) {
        uint32_t folded = keywords_fold(c);
        if (((chars[c] & CHAR_FOLDS) != 0) != (folded != c) || keywords_fold(folded) != folded)
            fail_msg("U+%04X", c);
        if ((chars[c] & same) != (chars[folded] & same))
            fail_msg("U+%04X and U+%04X", c, folded);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_parts_of_words),
        cmocka_unit_test(blanks_alone_are_never_found),
        cmocka_unit_test(all_that_end_in_one_place_are_found),
        cmocka_unit_test(texts_do_not_run_into_each_other),
        cmocka_unit_test(no_keywords_find_nothing),
        cmocka_unit_test(the_automaton_finds_what_a_plain_search_finds),
        cmocka_unit_test(thousands_are_found_each_where_it_stands),
        cmocka_unit_test(folding_is_unicode_s),
        cmocka_unit_test(folding_is_consistent),
    };
    return cmocka_run_group_tests_name("route/keywords", tests, NULL, NULL);
}
