// The canonical form: order, spelling, numbers by value, what is left out.
#include "support.h"

static void white_space_goes_and_order_comes(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {" null ", "null"},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"[ 1 , [ ] , { } , true,false , null ]", "[1,[],{},true,false,null]"},
        {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
        {"{\"a\":{\"d\":[{\"z\":1,\"y\":2}],\"c\":3},\"\":0}",
         "{\"\":0,\"a\":{\"c\":3,\"d\":[{\"y\":2,\"z\":1}]}}"},
        {"{\"aa\":1,\"a\":2,\"b\":3,\"A\":4,\"1\":5,\"10\":6,\"2\":7}",
         "{\"1\":5,\"10\":6,\"2\":7,\"A\":4,\"a\":2,\"aa\":1,\"b\":3}"},
        {"[3,1,2]", "[3,1,2]"},
        {"[[[[[{\"a\":[[]]}]]]]]", "[[[[[{\"a\":[[]]}]]]]]"},
        {"{\"c\":{\"b\":1,\"a\":2},\"b\":{\"b\":1,\"a\":2},\"a\":{\"b\":1,\"a\":2}}",
         "{\"a\":{\"a\":2,\"b\":1},\"b\":{\"a\":2,\"b\":1},\"c\":{\"a\":2,\"b\":1}}"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        assert_canonical(b, cases[i].text, cases[i].canonical);
}

// RFC 8785, section 3.2.3: its own example.
static void members_are_ordered_by_utf16_units(void **state) {
    struct bench *b = *state;
    assert_canonical(b,
                     "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
                     "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
                     "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
                     "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
                     "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
                     "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\","
                     "\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
                     "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
    // U+10000 is a surrogate pair, before U+E000 and U+FFFF, behind U+D7FF;
    // also behind a common prefix and between planes.
    assert_canonical(b,
                     "{\"x\xef\xbf\xbf\":1,\"x\xee\x80\x80\":2,\"x\xf4\x8f\xbf\xbf\":3,"
                     "\"x\xf0\x90\x80\x80\":4,\"x\xed\x9f\xbf\":5,\"x\":6}",
                     "{\"x\":6,\"x\xed\x9f\xbf\":5,\"x\xf0\x90\x80\x80\":4,"
                     "\"x\xf4\x8f\xbf\xbf\":3,\"x\xee\x80\x80\":2,\"x\xef\xbf\xbf\":1}");
}

static void strings_have_one_spelling(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"\"\\/\"", "\"/\""},
        {"\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {"\"\\u0022\\u005c\\u0008\\u000c\\u000a\\u000d\\u0009\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {"\"\\u0000\\u001F\\u001f\\u000B\"", "\"\\u0000\\u001f\\u001f\\u000b\""},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u007f\"",
         "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\""},
        {"\"x\\u0041y\\nz\\/\"", "\"xAy\\nz/\""},
        {"\"\\u2028\\u2029\"", "\"\xe2\x80\xa8\xe2\x80\xa9\""},
        {"{\"\\u0062\":1,\"\\u0061\":2}", "{\"a\":2,\"b\":1}"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        assert_canonical(b, cases[i].text, cases[i].canonical);
}

static void numbers_have_one_spelling_for_one_value(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"0.0", "0"},
        {"-0.0e5", "0"},
        {"0e99999999999999999999", "0"},
        {"1", "1"},
        {"1.0", "1"},
        {"1e0", "1"},
        {"1E+0", "1"},
        {"10e-1", "1"},
        {"0.1e1", "1"},
        {"0.00001e5", "1"},
        {"100000e-0000000000000000000005", "1"},
        {"-1.0", "-1"},
        {"100", "100"},
        {"1e2", "100"},
        {"1.50", "1.5"},
        {"15e-1", "1.5"},
        {"-0.05", "-0.05"},
        {"123.456", "123.456"},
        {"123456e-3", "123.456"},
        {"0.7", "0.7"},
        {"0.000001", "0.000001"},
        {"1e-6", "0.000001"},
        {"1e-7", "1e-7"},
        {"0.0000001", "1e-7"},
        {"1.25e-9", "1.25e-9"},
        {"0.012345678901", "0.012345678901"},
        {"0.00000123", "0.00000123"},
        {"0.000000123", "1.23e-7"},
        {"-0.0000005", "-5e-7"},
        {"0.01234567890", "0.0123456789"},
        {"12.000", "12"},
        {"1234567890123456789.25", "1234567890123456789.25"},
        {"1e20", "100000000000000000000"},
        {"100000000000000000000", "100000000000000000000"},
        {"1e21", "1e+21"},
        {"1000000000000000000000", "1e+21"},
        {"123456789012345678901", "123456789012345678901"},
        {"-123456789012345678901", "-123456789012345678901"},
        // Beyond a double: no digit is lost.
        {"9007199254740992", "9007199254740992"},
        {"9007199254740993", "9007199254740993"},
        {"12345678901234567890123", "1.2345678901234567890123e+22"},
        {"12345678901234567890124", "1.2345678901234567890124e+22"},
        {"12345678901234567890123.0", "1.2345678901234567890123e+22"},
        {"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"},
        {"1e400", "1e+400"},
        {"10E+399", "1e+400"},
        {"0.1e401", "1e+400"},
        {"-1e-400", "-1e-400"},
        {"1e999999999999999", "1e+999999999999999"},
        {"10e999999999999998", "1e+999999999999999"},
        {"1e-999999999999999", "1e-999999999999999"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        assert_canonical(b, cases[i].text, cases[i].canonical);
}

// Exponents that do not fit a machine word are kept as they stand: never one
// with a neighbour, and still JSON.
static void absurd_exponents_stay_apart(void **state) {
    struct bench *b = *state;
    static const char *const texts[] = {
        "1e99999999999999999999", "1e99999999999999999998",  "1e-99999999999999999999",
        "2e99999999999999999999", "-1e99999999999999999999",
    };
    struct buffer forms[FARTHING_COUNT(texts)];
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        forms[i] = canonical_of(b, slice_of(texts[i]));
        for (size_t j = 0; j < i; j++)
            assert_false(slice_equal(buffer_slice(&forms[i]), buffer_slice(&forms[j])));
    }
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++)
        buffer_free(&forms[i]);
}

static bool refused(struct bench *b, const char *text) {
    struct buffer out = {0};
    bool ok = json_canonical(parsed(b, text), JSON_ROOT, NULL, NULL, append_piece, &out, &b->err);
    buffer_free(&out);
    return !ok;
}

static void a_duplicate_key_has_no_canonical_form(void **state) {
    struct bench *b = *state;
    assert_true(refused(b, "{\"a\":1,\"a\":1}"));
    assert_string_equal(b->err.text, "the key \"a\" stands twice in one object, at byte 7");
    assert_true(refused(b, "{\"a\":1,\"b\":2,\"a\":1}"));
    assert_true(refused(b, "[0,{\"x\":{\"b\":1,\"a\":2,\"\\u0062\":3}}]"));
    assert_true(refused(b, "{\"\":1,\"\":2}"));
    assert_false(refused(b, "{\"a\":{\"a\":{\"a\":1}}}"));
    // Also when nobody asks why.
    struct buffer unused = {0};
    assert_false(json_canonical(parsed(b, "{\"a\":1,\"a\":1}"), JSON_ROOT, NULL, NULL, append_piece,
                                &unused, NULL));
    buffer_free(&unused);
}

struct skipped {
    const char *name;
    size_t asked;
};

static bool skip_by_name(void *arg, struct slice name, json_ref value) {
    struct skipped *s = arg;
    s->asked++;
    return value != JSON_NONE && slice_equal(name, slice_of(s->name));
}

static void members_of_the_root_can_be_left_out(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *name, *canonical;
        size_t asked;
    } cases[] = {
        {"{\"a\":1,\"user\":2,\"b\":3}", "user", "{\"a\":1,\"b\":3}", 3},
        {"{\"us\\u0065r\":2}", "user", "{}", 1},
        {"{\"z\":{\"user\":1},\"user\":{\"x\":[1]}}", "user", "{\"z\":{\"user\":1}}", 2},
        {"{\"b\":1,\"user\":0,\"a\":2}", "user", "{\"a\":2,\"b\":1}", 3},
        {"[{\"user\":1}]", "user", "[{\"user\":1}]", 0},
        {"{}", "user", "{}", 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct skipped s = {.name = cases[i].name};
        struct buffer out = {0};
        assert_true(json_canonical(parsed(b, cases[i].text), JSON_ROOT, skip_by_name, &s,
                                   append_piece, &out, &b->err));
        assert_text(buffer_slice(&out), cases[i].canonical);
        assert_int_equal(s.asked, cases[i].asked);
        buffer_free(&out);
    }
}

static void a_part_of_the_document_has_a_canonical_form(void **state) {
    struct bench *b = *state;
    struct json_doc *doc = parsed(b, "{\"b\":[1.0, {\"y\":1,\"x\":2}],\"a\":\"\\u0041\"}");
    struct buffer out = {0};
    assert_true(json_canonical(doc, json_get(doc, JSON_ROOT, SLICE("b")), NULL, NULL, append_piece,
                               &out, &b->err));
    assert_true(json_canonical(doc, json_get(doc, JSON_ROOT, SLICE("a")), NULL, NULL, append_piece,
                               &out, &b->err));
    assert_text(buffer_slice(&out), "[1,{\"x\":2,\"y\":1}]\"A\"");
    buffer_free(&out);
}

// Pieces are gathered, long strings go through: whatever the lengths, the
// bytes are those of the pieces in order.
static void long_and_short_pieces_keep_their_order(void **state) {
    struct bench *b = *state;
    struct buffer text = {0}, wanted = {0};
    buffer_append_char(&text, '[');
    for (size_t length = 0; length < 12000; length += length < 600 ? 1 : 997) {
        buffer_append(&text, length > 0 ? SLICE(" ,\"") : SLICE("\""));
        for (size_t i = 0; i < length; i++)
            buffer_append_char(&text, (char)('a' + (i + length) % 26));
        BUFFER_LITERAL(&text, "\\u000a\", \"\", 10e-1");
    }
    buffer_append_char(&text, ']');
    struct buffer got = canonical_of(b, buffer_slice(&text));
    for (size_t i = 0; i < text.len; i++) {
        struct slice rest = slice_from(buffer_slice(&text), i);
        if (slice_starts_with(rest, SLICE("\\u000a"))) {
            BUFFER_LITERAL(&wanted, "\\n");
            i += 5;
        } else if (slice_starts_with(rest, SLICE("10e-1"))) {
            BUFFER_LITERAL(&wanted, "1");
            i += 4;
        } else if (text.ptr[i] != ' ') {
            buffer_append_char(&wanted, text.ptr[i]);
        }
    }
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.ptr, wanted.ptr, got.len);
    buffer_free(&text);
    buffer_free(&wanted);
    buffer_free(&got);
}

// The same members in any order are one text.
static void order_of_members_does_not_matter(void **state) {
    struct bench *b = *state;
    struct buffer first = {0};
    random_seed(8785);
    for (int round = 0; round < 50; round++) {
        int order[40];
        for (int i = 0; i < 40; i++) {
            int j = (int)random_below((uint64_t)i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        struct buffer text = {0};
        for (int i = 0; i < 40; i++)
            buffer_printf(&text, "%c\"%s%d\":%d", i > 0 ? ',' : '{',
                          random_below(2) != 0 ? "\\u006b" : "k", order[i], order[i]);
        buffer_append_char(&text, '}');
        struct buffer got = canonical_of(b, buffer_slice(&text));
        buffer_free(&text);
        if (round == 0) {
            first = got;
            continue;
        }
        assert_bytes(buffer_slice(&got), buffer_slice(&first));
        buffer_free(&got);
    }
    buffer_free(&first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BENCH_TEST(white_space_goes_and_order_comes),
        BENCH_TEST(members_are_ordered_by_utf16_units),
        BENCH_TEST(strings_have_one_spelling),
        BENCH_TEST(numbers_have_one_spelling_for_one_value),
        BENCH_TEST(absurd_exponents_stay_apart),
        BENCH_TEST(a_duplicate_key_has_no_canonical_form),
        BENCH_TEST(members_of_the_root_can_be_left_out),
        BENCH_TEST(a_part_of_the_document_has_a_canonical_form),
        BENCH_TEST(long_and_short_pieces_keep_their_order),
        BENCH_TEST(order_of_members_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
