// The index: what each value is, where it lies, walking and looking up, and
// what is refused where.
#include "support.h"

static void every_value_has_its_type_and_bytes(void **state) {
    struct bench *b = *state;
    struct json_doc *doc =
        parsed(b, " [ null ,false,\ttrue, -1.5e+3 , \"a\\nb\" ,[ ], {\"k\" : 1} ] \r\n");
    static const struct {
        enum json_type type;
        const char *raw;
    } wanted[] = {
        {JSON_NULL, "null"},          {JSON_FALSE, "false"},      {JSON_TRUE, "true"},
        {JSON_NUMBER, "-1.5e+3"},     {JSON_STRING, "\"a\\nb\""}, {JSON_ARRAY, "[ ]"},
        {JSON_OBJECT, "{\"k\" : 1}"},
    };
    assert_int_equal(json_type_of(doc, JSON_ROOT), JSON_ARRAY);
    assert_int_equal(json_count(doc, JSON_ROOT), FARTHING_COUNT(wanted));
    json_ref r = json_first(doc, JSON_ROOT);
    for (size_t i = 0; i < FARTHING_COUNT(wanted); i++, r = json_next(doc, JSON_ROOT, r)) {
        assert_int_equal(json_type_of(doc, r), wanted[i].type);
        assert_text(json_raw(doc, r), wanted[i].raw);
        assert_int_equal(json_at(doc, JSON_ROOT, i), r);
    }
    assert_int_equal(r, JSON_NONE);
    assert_int_equal(json_at(doc, JSON_ROOT, FARTHING_COUNT(wanted)), JSON_NONE);
    assert_int_equal(json_at(doc, JSON_ROOT, SIZE_MAX), JSON_NONE);
}

static void the_index_points_into_the_original_bytes(void **state) {
    struct bench *b = *state;
    const char *text = "{\"a\":[1,2]}";
    struct json_doc *doc = parsed(b, text);
    assert_ptr_equal(json_text(doc).ptr, text);
    assert_ptr_equal(json_raw(doc, JSON_ROOT).ptr, text);
    assert_ptr_equal(json_raw(doc, json_get(doc, JSON_ROOT, SLICE("a"))).ptr, text + 5);
}

static void members_are_walked_in_their_order(void **state) {
    struct bench *b = *state;
    struct json_doc *doc = parsed(b, "{\"a\":{\"x\":1,\"y\":[1,2,{}]},\"b\":[[],[1]],\"\":3}");
    static const char *const keys[] = {"a", "b", ""};
    size_t i = 0;
    for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(doc, JSON_ROOT, key), i++)
        assert_true(json_string_is(doc, key, slice_of(keys[i])));
    assert_int_equal(i, 3);
    assert_int_equal(json_count(doc, JSON_ROOT), 3);
    assert_text(json_raw(doc, json_get(doc, JSON_ROOT, SLICE(""))), "3");
}

static void lookups_chain_through_what_is_not_there(void **state) {
    struct bench *b = *state;
    struct json_doc *doc =
        parsed(b, "{\"a\":{\"b\":[10,{\"c\":true}]},\"n\":null,\"ab\":1,\"A\":2}");
    json_ref list = json_get(doc, json_get(doc, JSON_ROOT, SLICE("a")), SLICE("b"));
    assert_true(json_is_true(doc, json_get(doc, json_at(doc, list, 1), SLICE("c"))));
    json_ref nowhere = json_get(doc, json_get(doc, JSON_ROOT, SLICE("zz")), SLICE("b"));
    assert_int_equal(nowhere, JSON_NONE);
    // Of the wrong kind, or of none.
    assert_int_equal(json_get(doc, list, SLICE("b")), JSON_NONE);
    assert_int_equal(json_at(doc, JSON_ROOT, 0), JSON_NONE);
    assert_int_equal(json_at(doc, JSON_NONE, 0), JSON_NONE);
    assert_int_equal(json_first(doc, JSON_NONE), JSON_NONE);
    assert_int_equal(json_count(doc, JSON_NONE), 0);
    assert_int_equal(json_count(doc, json_at(doc, list, 0)), 0);
    assert_int_equal(json_duplicate_key(doc, JSON_NONE), JSON_NONE);
    assert_int_equal(json_duplicate_key(doc, list), JSON_NONE);
    assert_false(json_is_true(doc, JSON_NONE));
    assert_false(json_is_true(doc, JSON_ROOT));
    assert_true(json_is_absent(doc, JSON_NONE));
    assert_true(json_is_absent(doc, json_get(doc, JSON_ROOT, SLICE("n"))));
    assert_false(json_is_absent(doc, JSON_ROOT));
    // A name is compared whole and exactly.
    assert_text(json_raw(doc, json_get(doc, JSON_ROOT, SLICE("ab"))), "1");
    assert_text(json_raw(doc, json_get(doc, JSON_ROOT, SLICE("A"))), "2");
}

static void names_are_compared_decoded(void **state) {
    struct bench *b = *state;
    struct json_doc *doc = parsed(b, "{\"m\\u006fdel\":1,\"a\\/b\":2,\"\\ud83d\\ude00\":3}");
    assert_text(json_raw(doc, json_get(doc, JSON_ROOT, SLICE("model"))), "1");
    assert_text(json_raw(doc, json_get(doc, JSON_ROOT, SLICE("a/b"))), "2");
    assert_text(json_raw(doc, json_get(doc, JSON_ROOT, SLICE("\xf0\x9f\x98\x80"))), "3");
}

static void refusals_say_what_and_where(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "unexpected end at byte 0"},
        {"  ", "unexpected end at byte 2"},
        {"{", "unexpected end at byte 1"},
        {"[1", "unexpected end at byte 2"},
        {"[1,", "unexpected end at byte 3"},
        {"[1,]", "value expected at byte 3"},
        {"[,1]", "value expected at byte 1"},
        {"[1}", "comma or ] expected at byte 2"},
        {"{\"a\":1]", "comma or } expected at byte 6"},
        {"{\"a\":1,}", "string expected as a key at byte 7"},
        {"{a:1}", "string expected as a key at byte 1"},
        {"{\"a\" 1}", "colon expected at byte 5"},
        {"{\"a\"", "colon expected at byte 4"},
        {"{\"a\":}", "value expected at byte 5"},
        {"[1 2]", "comma or ] expected at byte 3"},
        {"]", "value expected at byte 0"},
        {"1 2", "more than one value at byte 2"},
        {"{}{}", "more than one value at byte 2"},
        {"nul", "unknown word at byte 0"},
        {"truE", "unknown word at byte 0"},
        {"falsey", "more than one value at byte 5"},
        {"NaN", "value expected at byte 0"},
        {"-", "digit expected at byte 1"},
        {"-a", "digit expected at byte 1"},
        {"+1", "value expected at byte 0"},
        {".5", "value expected at byte 0"},
        {"1.", "digit expected at byte 2"},
        {"1.e1", "digit expected at byte 2"},
        {"1e", "digit expected at byte 2"},
        {"1e+", "digit expected at byte 3"},
        {"01", "more than one value at byte 1"},
        {"\"abc", "unfinished string at byte 4"},
        {"\"a\nb\"", "control character in a string at byte 2"},
        {"\"a\\", "unfinished escape at byte 2"},
        {"\"\\x\"", "unknown escape at byte 1"},
        {"\"\\u12\"", "bad \\u escape at byte 1"},
        {"\"\\u12g4\"", "bad \\u escape at byte 1"},
        {"\"\\ud800\"", "lone surrogate at byte 1"},
        {"\"\\ud800\\u0041\"", "lone surrogate at byte 1"},
        {"\"\\ud800\\ud800\"", "lone surrogate at byte 1"},
        {"\"\\udc00\"", "lone surrogate at byte 1"},
        {"\"\x80\"", "invalid UTF-8 at byte 1"},
        {"\"\xc0\xaf\"", "invalid UTF-8 at byte 1"},
        {"\"\xe0\x80\x80\"", "invalid UTF-8 at byte 1"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8 at byte 1"},
        {"\"\xf0\x80\x80\x80\"", "invalid UTF-8 at byte 1"},
        {"\"\xf4\x90\x80\x80\"", "invalid UTF-8 at byte 1"},
        {"\"\xf5\x80\x80\x80\"", "invalid UTF-8 at byte 1"},
        {"\"\xc3\xa9\xe2\x82\"", "invalid UTF-8 at byte 3"},
        {"\xef\xbb\xbf{}", "value expected at byte 0"},
        {"[1]//x", "more than one value at byte 3"},
        {"'a'", "value expected at byte 0"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        assert_false(json_parse(b->doc, slice_of(cases[i].text), NULL, &b->err));
        if (strcmp(b->err.text, cases[i].message) != 0)
            fail_msg("[%s]: got [%s], wanted [%s]", cases[i].text, b->err.text, cases[i].message);
        // The document is empty then, and look-ups in it find nothing.
        assert_int_equal(json_first(b->doc, JSON_ROOT), JSON_NONE);
        assert_int_equal(json_get(b->doc, JSON_ROOT, SLICE("a")), JSON_NONE);
        assert_null(json_string(b->doc, JSON_ROOT, b->arena).ptr);
    }
    assert_false(json_parse(b->doc, SLICE("\0"), NULL, &b->err));
    assert_false(json_parse(b->doc, SLICE("\"\0\""), NULL, &b->err));
    assert_false(json_parse(b->doc, SLICE("\"\\\0\""), NULL, &b->err));
    assert_false(json_parse(b->doc, SLICE_NONE, NULL, &b->err));
    assert_false(json_parse(b->doc, SLICE("["), NULL, NULL)); // nobody asks why
}

// A byte that ends a run of plain ones is found wherever it stands in the 8 or
// 16 bytes that are looked at together.
static void a_special_byte_is_found_at_every_place(void **state) {
    struct bench *b = *state;
    static const char special[] = {'"', '\\', 0x01, 0x1f, '\x80', '\xff'};
    for (size_t length = 1; length <= 70; length++) {
        char *text = malloc(length + 2);
        for (size_t place = 1; place <= length; place++) {
            memset(text, '~', length + 2); // the plain byte with most bits
            text[0] = text[length + 1] = '"';
            assert_true(json_parse(b->doc, slice_make(text, length + 2), NULL, &b->err));
            for (size_t i = 0; i < sizeof special; i++) {
                text[place] = special[i];
                assert_false(json_parse(b->doc, slice_make(text, length + 2), NULL, &b->err));
            }
        }
        memset(text, ' ', length + 2); // and the one with least
        text[0] = text[length + 1] = '"';
        assert_true(json_parse(b->doc, slice_make(text, length + 2), NULL, &b->err));
        free(text);
    }
}

static void depth_is_bounded(void **state) {
    struct bench *b = *state;
    static const struct json_limits three = {.depth = 3};
    assert_true(json_parse(b->doc, SLICE("[[[1]]]"), &three, &b->err));
    assert_true(json_parse(b->doc, SLICE("[[[1],[2]],[[3]]]"), &three, &b->err));
    assert_false(json_parse(b->doc, SLICE("[{\"a\":[{}]}]"), &three, &b->err));
    assert_string_equal(b->err.text, "nested too deeply at byte 7");
    struct buffer deep = {0};
    for (int i = 0; i < 512; i++)
        buffer_append_char(&deep, '[');
    for (int i = 0; i < 512; i++)
        buffer_append_char(&deep, ']');
    assert_true(json_parse(b->doc, buffer_slice(&deep), NULL, &b->err));
    assert_int_equal(json_count(b->doc, 511), 0);
    deep.len = 512;
    buffer_append_char(&deep, '[');
    assert_false(json_parse(b->doc, buffer_slice(&deep), NULL, &b->err));
    buffer_free(&deep);
}

static void size_is_bounded(void **state) {
    struct bench *b = *state;
    static const struct json_limits ten = {.bytes = 10};
    assert_true(json_parse(b->doc, SLICE("[12345678]"), &ten, &b->err));
    assert_false(json_parse(b->doc, SLICE("[123456789]"), &ten, &b->err));
    assert_string_equal(b->err.text, "11 bytes are more than 10");
    assert_int_equal(json_count(b->doc, JSON_ROOT), 0);
    // Offsets are 32 bits: more is refused before a byte is looked at.
    assert_false(json_parse(b->doc, slice_make("[", ((size_t)1 << 30) + 1), NULL, &b->err));
    static const struct json_limits boundless = {.bytes = SIZE_MAX};
    assert_false(json_parse(b->doc, slice_make("[", ((size_t)1 << 30) + 1), &boundless, &b->err));
}

static void many_values_fit(void **state) {
    struct bench *b = *state;
    struct buffer text = {0};
    buffer_append_char(&text, '[');
    for (int i = 0; i < 100000; i++)
        buffer_printf(&text, "%s%d", i > 0 ? "," : "", i);
    buffer_append_char(&text, ']');
    assert_true(json_parse(b->doc, buffer_slice(&text), NULL, &b->err));
    assert_int_equal(json_count(b->doc, JSON_ROOT), 100000);
    assert_text(json_raw(b->doc, json_at(b->doc, JSON_ROOT, 99999)), "99999");
    buffer_free(&text);
}

static void expect_duplicate(struct bench *b, const char *text, json_ref wanted) {
    parsed(b, text);
    if (json_duplicate_key(b->doc, JSON_ROOT) != wanted)
        fail_msg("%s: %u", text, json_duplicate_key(b->doc, JSON_ROOT));
}

static void duplicate_keys_are_found(void **state) {
    struct bench *b = *state;
    expect_duplicate(b, "{}", JSON_NONE);
    expect_duplicate(b, "{\"a\":1}", JSON_NONE);
    expect_duplicate(b, "{\"a\":1,\"A\":1,\"aa\":1,\"\":1}", JSON_NONE);
    expect_duplicate(b, "{\"a\":1,\"a\":1}", 3);
    expect_duplicate(b, "{\"a\":1,\"b\":2,\"a\":1,\"b\":2}", 5);
    expect_duplicate(b, "{\"\":1,\"\":1}", 3);
    expect_duplicate(b, "{\"a\":1,\"\\u0061\":1}", 3);
    expect_duplicate(b, "{\"\\u0061\":1,\"a\":1}", 3);
    expect_duplicate(b, "{\"\\u0061\":1,\"\\u0062\":1}", JSON_NONE);
    expect_duplicate(b, "{\"a\":{\"b\":1},\"c\":{\"b\":1}}", JSON_NONE); // not in one object
    // The first of both is what a look-up finds.
    parsed(b, "{\"a\":1,\"a\":2}");
    assert_text(json_raw(b->doc, json_get(b->doc, JSON_ROOT, SLICE("a"))), "1");
}

// Few keys are compared with each other, many through a table: both see the
// one that stands twice, whatever their number.
static void duplicates_are_found_among_any_number_of_keys(void **state) {
    struct bench *b = *state;
    for (int count = 1; count <= 200; count++) {
        struct buffer text = {0};
        buffer_append_char(&text, '{');
        for (int i = 0; i < count; i++)
            buffer_printf(&text, "\"k%s%d\":0,", i % 3 == 0 ? "\\u0041" : "A", i);
        size_t unique = text.len;
        BUFFER_LITERAL(&text, "\"last\":0}");
        assert_true(json_parse(b->doc, buffer_slice(&text), NULL, &b->err));
        assert_int_equal(json_duplicate_key(b->doc, JSON_ROOT), JSON_NONE);
        text.len = unique;
        buffer_printf(&text, "\"kA%d\":0}", count / 2);
        assert_true(json_parse(b->doc, buffer_slice(&text), NULL, &b->err));
        assert_int_equal(json_duplicate_key(b->doc, JSON_ROOT), 1 + 2 * count);
        buffer_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BENCH_TEST(every_value_has_its_type_and_bytes),
        BENCH_TEST(the_index_points_into_the_original_bytes),
        BENCH_TEST(members_are_walked_in_their_order),
        BENCH_TEST(lookups_chain_through_what_is_not_there),
        BENCH_TEST(names_are_compared_decoded),
        BENCH_TEST(refusals_say_what_and_where),
        BENCH_TEST(a_special_byte_is_found_at_every_place),
        BENCH_TEST(depth_is_bounded),
        BENCH_TEST(size_is_bounded),
        BENCH_TEST(many_values_fit),
        BENCH_TEST(duplicate_keys_are_found),
        BENCH_TEST(duplicates_are_found_among_any_number_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
