// What one text shows: each row is a text and what must be counted in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "signals.h"
#include "signals_char.h"

static struct classify_signals count(struct slice text) {
    struct classify_signals s = {0};
    // At its exact length on the heap: a byte read beyond it is found.
    char *copy = base_alloc(text.len + 1);
    char *exact = base_realloc(copy, text.len > 0 ? text.len : 1);
    if (text.len > 0)
        memcpy(exact, text.ptr, text.len);
    signals_count_text(slice_make(exact, text.len), &s);
    free(exact);
    return s;
}

struct row {
    const char *text;
    int64_t wanted;
};

static void check(enum config_signal signal, const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int64_t seen = count(slice_of(rows[i].text)).values[signal];
        if (seen != rows[i].wanted)
            fail_msg("\"%s\": %lld %s, not %lld", rows[i].text, (long long)seen,
                     classify_signal_name(signal), (long long)rows[i].wanted);
    }
}

static void questions(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", 0},
        {"?", 1},
        {"Why?", 1},
        {"Why? How?", 2},
        {"Really???", 1},
        {"Really?!", 1},
        {"\"Why?\" he asked", 1},
        {"(why?)", 1},
        {"Why?\nHow?\r\n", 2},
        {"see http://h/x?a=b", 0},
        {"a?b", 0},
        {"a?=b", 0},
        {"No.", 0},
        {"\xC2\xBFPor qu\xC3\xA9?", 1},
        {"\xE4\xBB\x80\xE4\xB9\x88\xEF\xBC\x9F", 1}, // full width
        {"\xD9\x84\xD9\x85\xD8\xA7\xD8\xB0\xD8\xA7\xD8\x9F", 1},
        {"\xCE\xB3\xCE\xB9\xCE\xB1\xCF\x84\xCE\xAF\xCD\xBE", 1},
        {"```\nx ? y : z\n```\nWhy?", 1},
    };
    check(CONFIG_SIGNAL_QUESTIONS, rows, FARTHING_COUNT(rows));
}

static void numbers(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", 0},
        {"7", 1},
        {"1 2 3", 3},
        {"1,234.56", 1},
        {"3.", 1},
        {"3, 4", 2},
        {"1..2", 2},
        {"10kg", 1},
        {"x2 and utf8", 0},
        {"2024-01-05", 3},
        {"$5", 1},
        {"a 5", 1},
        {"\xC3\xBC" "5", 0}, // behind a letter that is not ASCII
        {"\xE4\xBB\xB6" "5", 1},
        {"~~~\n1 2 3\n~~~\n4", 1},
    };
    check(CONFIG_SIGNAL_NUMBERS, rows, FARTHING_COUNT(rows));
}

static void math(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", 0},
        {"x = 2", 1},
        {"x^2 + 3x = 4", 3},
        {"2 + 2", 1},
        {"(a) * 3", 1},
        {"3 < 4", 1},
        {"5 - 3", 1},
        {"5 / 3", 1},
        {"1/2/2024", 0},
        {"2024-01-05", 0},
        {"a well-known word", 0},
        {"* a list\n* of points\n+ more\n- and more", 0},
        {"and/or", 0},
        {"<b>bold</b>", 0},
        {"\\frac{1}{2} \\sum", 2},
        {"a \\ b", 0},
        {"\xE2\x88\x80x \xE2\x88\x88 \xE2\x84\x9D", 3}, // for all, in, R
        {"2 \xC3\x97 3 \xC2\xB1 1", 2},
        {"x\xC2\xB2", 1},
        {"\xF0\x9D\x91\xA5", 1}, // mathematical italic x
        {"\xF0\x9F\x98\x80", 0}, // a face
        {"```\nx = 2\n```", 0},
    };
    check(CONFIG_SIGNAL_MATH, rows, FARTHING_COUNT(rows));
}

static void code(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t blocks, lines;
    } rows[] = {
        {"", 0, 0},
        {"no code", 0, 0},
        {"```", 1, 0},
        {"```\n```", 1, 0},
        {"```c\nint x;\n```", 1, 1},
        {"```c\nint x;\n\nint y;\n```\n", 1, 3},
        {"```c\r\nint x;\r\n```\r\n", 1, 1},
        {"text\n  ```\n  a\n  ```\ntext", 1, 1},
        {"~~~\na\nb\n~~~", 1, 2},
        {"```\na\n~~~\n```", 1, 2},          // the other sign does not close
        {"````\n```\na\n```\n````", 1, 3},   // nor do fewer
        {"```\na\n`````", 1, 1},             // but more do
        {"```\n``` not yet\n```", 1, 1},     // a word behind it: no end
        {"```\na\n```  \n```\nb\n```", 2, 2},
        {"```\nnever closed\nagain", 1, 2},
        {"``\na\n``", 0, 0},
        {"```a``` inline", 0, 0},
        {"a ``` b", 0, 0},
        {"\t```\nx\n\t```", 1, 1},
        {"~~~ `a`\nx\n~~~", 1, 1},
        {"```\n\n", 1, 1},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct classify_signals s = count(slice_of(rows[i].text));
        if (s.values[CONFIG_SIGNAL_CODE_BLOCKS] != rows[i].blocks ||
            s.values[CONFIG_SIGNAL_CODE_LINES] != rows[i].lines)
            fail_msg("\"%s\": %lld blocks, %lld lines", rows[i].text,
                     (long long)s.values[CONFIG_SIGNAL_CODE_BLOCKS],
                     (long long)s.values[CONFIG_SIGNAL_CODE_LINES]);
    }
}

#define BIT(script) (1u << CONFIG_SCRIPT_##script)

static void scripts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t scripts;
    } rows[] = {
        {"", 0},
        {"123 !? ...", 0},
        {"a", BIT(LATIN)},
        {"\xC3\xA9", BIT(LATIN)},
        {"\xC3\x97\xC3\xB7", 0}, // times, divided by
        {"\xE1\xBB\x87", BIT(LATIN)}, // Vietnamese
        {"\xCE\xB1", BIT(GREEK)},
        {"\xD0\x96 a", BIT(CYRILLIC) | BIT(LATIN)},
        {"\xD5\xA1", BIT(ARMENIAN)},
        {"\xD7\xA9", BIT(HEBREW)},
        {"\xD8\xB9", BIT(ARABIC)},
        {"\xE0\xA4\x95", BIT(DEVANAGARI)},
        {"\xE0\xA6\x95", BIT(BENGALI)},
        {"\xE0\xA8\x95", BIT(GURMUKHI)},
        {"\xE0\xAA\x95", BIT(GUJARATI)},
        {"\xE0\xAE\x95", BIT(TAMIL)},
        {"\xE0\xB0\x95", BIT(TELUGU)},
        {"\xE0\xB2\x95", BIT(KANNADA)},
        {"\xE0\xB4\x95", BIT(MALAYALAM)},
        {"\xE0\xB6\x9A", BIT(SINHALA)},
        {"\xE0\xB8\x81", BIT(THAI)},
        {"\xE0\xBA\x81", BIT(LAO)},
        {"\xE0\xBD\x80", BIT(TIBETAN)},
        {"\xE1\x80\x80", BIT(MYANMAR)},
        {"\xE1\x83\x90", BIT(GEORGIAN)},
        {"\xE1\x88\x80", BIT(ETHIOPIC)},
        {"\xE1\x9E\x80", BIT(KHMER)},
        {"\xE4\xBD\xA0", BIT(HAN)},
        {"\xF0\xA0\x80\x80", BIT(HAN)}, // second plane
        {"\xE3\x81\x82", BIT(HIRAGANA)},
        {"\xE3\x82\xA2", BIT(KATAKANA)},
        {"\xEF\xBD\xB1", BIT(KATAKANA)}, // half width
        {"\xED\x95\x9C", BIT(HANGUL)},
        {"\xEF\xBC\xA1", BIT(LATIN)}, // full width
        {"\xDC\x90", BIT(OTHER)},     // Syriac
        {"\xF0\x90\xA4\x80", BIT(OTHER)}, // Phoenician
        {"\xF0\x9F\x98\x80\xE2\x9C\x93\xE2\x80\x94", 0},
        {"```\nlatin\n```\n\xD0\x96", BIT(CYRILLIC)},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        uint32_t seen = count(slice_of(rows[i].text)).scripts;
        if (seen != rows[i].scripts)
            fail_msg("\"%s\": %08x, not %08x", rows[i].text, seen, rows[i].scripts);
    }
}

// No UTF-8 reaches this from JSON, but nothing may break when it does.
static void what_is_no_utf8_is_passed_over(void **state) {
    (void)state;
    static const char *const rows[] = {"\xFF", "\xC3", "\xE2\x88", "\xF0\x9D\x91", "a\x80?",
                                       "\xC0\x80", "\xF8\x88\x80\x80\x80"};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct classify_signals s = count(slice_of(rows[i]));
        assert_int_equal(s.values[CONFIG_SIGNAL_MATH] + s.values[CONFIG_SIGNAL_NUMBERS], 0);
    }
    unsigned len;
    const uint8_t *cut = (const uint8_t *)"\xE2\x88\x80";
    assert_int_equal(signals_decode(cut, cut + 3, &len), 0x2200);
    assert_int_equal(len, 3);
    assert_int_equal(signals_decode(cut, cut + 2, &len), 0xFFFD);
    assert_int_equal(len, 1);
}

// Several texts add up.
static void texts_add_up(void **state) {
    (void)state;
    struct classify_signals s = {0};
    signals_count_text(SLICE("Is 1 + 1 = 2?\n```\na\n```"), &s);
    signals_count_text(SLICE_NONE, &s);
    signals_count_text(SLICE("\xD0\x96? 7"), &s);
    assert_int_equal(s.values[CONFIG_SIGNAL_QUESTIONS], 2);
    assert_int_equal(s.values[CONFIG_SIGNAL_NUMBERS], 4);
    assert_int_equal(s.values[CONFIG_SIGNAL_MATH], 2);
    assert_int_equal(s.values[CONFIG_SIGNAL_CODE_BLOCKS], 1);
    assert_int_equal(s.values[CONFIG_SIGNAL_CODE_LINES], 1);
    assert_int_equal(s.scripts, BIT(LATIN) | BIT(CYRILLIC));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions),
        cmocka_unit_test(numbers),
        cmocka_unit_test(math),
        cmocka_unit_test(code),
        cmocka_unit_test(scripts),
        cmocka_unit_test(what_is_no_utf8_is_passed_over),
        cmocka_unit_test(texts_add_up),
    };
    return cmocka_run_group_tests_name("route/signals_text", tests, NULL, NULL);
}
