// Strings decoded, numbers read.
#include "support.h"

#include <math.h>

static void strings_are_decoded(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text;
        struct slice decoded;
    } cases[] = {
        {"\"\"", {"", 0}},
        {"\"plain\"", {"plain", 5}},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", {"\"\\/\b\f\n\r\t", 8}},
        {"\"\\u0041\\u006A\\u006a\"", {"Ajj", 3}},
        {"\"\\u0000\"", {"\0", 1}},
        {"\"a\\u0000b\"", {"a\0b", 3}},
        {"\"\\u007f\\u0080\\u07ff\\u0800\"", {"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", 8}},
        {"\"\\ud7ff\\ue000\\uffff\"", {"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 9}},
        {"\"\\ud800\\udc00\\udbff\\udfff\"", {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8}},
        {"\"\\uD83D\\uDE00!\"", {"\xf0\x9f\x98\x80!", 5}},
        {"\"\\\\u0041\"", {"\\u0041", 6}},
        {"\"\xc3\xa9\\n\xf0\x9f\x98\x80\"", {"\xc3\xa9\n\xf0\x9f\x98\x80", 7}},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct json_doc *doc = parsed(b, cases[i].text);
        struct slice got = json_string(doc, JSON_ROOT, b->arena);
        assert_non_null(got.ptr);
        assert_bytes(got, cases[i].decoded);
        assert_true(json_string_is(doc, JSON_ROOT, cases[i].decoded));
        struct slice raw = json_raw(doc, JSON_ROOT), inner = json_inner(doc, JSON_ROOT);
        assert_true(json_is(doc, JSON_ROOT, JSON_STRING));
        assert_ptr_equal(inner.ptr, raw.ptr + 1);
        assert_int_equal(inner.len, raw.len - 2);
        // Neither a part of it nor more than it.
        if (got.len > 0)
            assert_false(json_string_is(doc, JSON_ROOT, slice_make(got.ptr, got.len - 1)));
        struct slice more = arena_printf(b->arena, "%.*sx", SLICE_ARG(got));
        assert_false(json_string_is(doc, JSON_ROOT, more));
    }
}

static void a_string_without_escapes_is_not_copied(void **state) {
    struct bench *b = *state;
    const char *text = "\"as it is\"";
    size_t before = arena_bytes(b->arena);
    assert_ptr_equal(json_string(parsed(b, text), JSON_ROOT, b->arena).ptr, text + 1);
    assert_int_equal(arena_bytes(b->arena), before);
}

static void what_is_no_string_decodes_to_none(void **state) {
    struct bench *b = *state;
    struct json_doc *doc = parsed(b, "[1]");
    assert_null(json_string(doc, JSON_ROOT, b->arena).ptr);
    assert_null(json_string(doc, JSON_NONE, b->arena).ptr);
    assert_false(json_string_is(doc, JSON_ROOT, SLICE("[1]")));
    assert_false(json_string_is(doc, JSON_NONE, SLICE_NONE));
    assert_null(json_inner(doc, JSON_ROOT).ptr);
    assert_null(json_inner(doc, JSON_NONE).ptr);
    assert_true(json_is(doc, JSON_ROOT, json_type_of(doc, JSON_ROOT)));
    assert_false(json_is(doc, JSON_ROOT, JSON_STRING));
    assert_false(json_is(doc, JSON_NONE, JSON_NULL));
}

static void whole_numbers_are_read_in_any_spelling(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0.000", true, 0},
        {"0e999999999999999999999", true, 0},
        {"1", true, 1},
        {"1.0", true, 1},
        {"1e0", true, 1},
        {"10e-1", true, 1},
        {"0.1e1", true, 1},
        {"0.001E+3", true, 1},
        {"1e3", true, 1000},
        {"-1.5e1", true, -15},
        {"120e-1", true, 12},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9.223372036854775807e18", true, INT64_MAX},
        {"-92233720368547758080e-1", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"9223372036854775808.0", false, 0},
        {"1e19", false, 0},
        {"18446744073709551616", false, 0},
        {"18446744073709551617.0", false, 0},
        {"99999999999999999999", false, 0},
        {"1.5", false, 0},
        {"0.1", false, 0},
        {"1e-1", false, 0},
        {"10000000000000000001e-1", false, 0},
        {"1e400", false, 0},
        {"1e99999999999999999999", false, 0},
        {"1e-99999999999999999999", false, 0},
        {"true", false, 0},
        {"\"1\"", false, 0},
        {"[1]", false, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        int64_t got = 77;
        bool ok = json_i64(parsed(b, cases[i].text), JSON_ROOT, &got);
        if (ok != cases[i].ok || (ok && got != cases[i].value))
            fail_msg("%s: %d %ld", cases[i].text, ok, (long)got);
    }
    int64_t unused;
    assert_false(json_i64(b->doc, JSON_NONE, &unused));
}

static void doubles_are_read_as_the_nearest(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text;
        bool ok;
        double value;
    } cases[] = {
        {"0", true, 0},
        {"0.7", true, 0.7},
        {"-1.25e2", true, -125},
        {"1e308", true, 1e308},
        {"5e-324", true, 5e-324},
        {"1e-400", true, 0},
        {"0.1000000000000000055511151231257827021181583404541015625000000000000000000", true, 0.1},
        {"9007199254740993", true, 9007199254740992.0},
        {"1e400", false, 0},
        {"-1e400", false, 0},
        {"1e99999999999999999999", false, 0},
        {"null", false, 0},
        {"\"1\"", false, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        double got = 77;
        bool ok = json_double(parsed(b, cases[i].text), JSON_ROOT, &got);
        if (ok != cases[i].ok || (ok && fabs(got - cases[i].value) > 0))
            fail_msg("%s: %d %g", cases[i].text, ok, got);
    }
    double unused;
    assert_false(json_double(b->doc, JSON_NONE, &unused));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BENCH_TEST(strings_are_decoded),
        BENCH_TEST(a_string_without_escapes_is_not_copied),
        BENCH_TEST(what_is_no_string_decodes_to_none),
        BENCH_TEST(whole_numbers_are_read_in_any_spelling),
        BENCH_TEST(doubles_are_read_as_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
