// The writer: commas, quotes, numbers; whatever is given comes out as JSON.
#include "support.h"

static void a_document_is_written(void **state) {
    struct bench *b = *state;
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    json_key(&w, SLICE("string"));
    json_put_string(&w, SLICE("v"));
    json_key(&w, SLICE("empty"));
    json_object_begin(&w);
    json_object_end(&w);
    json_key(&w, SLICE("list"));
    json_array_begin(&w);
    json_put_i64(&w, INT64_MIN);
    json_put_u64(&w, UINT64_MAX);
    json_put_bool(&w, true);
    json_put_bool(&w, false);
    json_put_null(&w);
    json_array_begin(&w);
    json_array_end(&w);
    json_object_begin(&w);
    json_key(&w, SLICE("raw"));
    json_put_raw(&w, SLICE("[1, 2]"));
    json_object_end(&w);
    json_put_string(&w, SLICE_NONE);
    json_array_end(&w);
    json_key(&w, SLICE("last"));
    json_put_i64(&w, 0);
    json_object_end(&w);
    assert_text(buffer_slice(&out),
                "{\"string\":\"v\",\"empty\":{},\"list\":[-9223372036854775808,"
                "18446744073709551615,true,false,null,[],{\"raw\":[1, 2]},\"\"],\"last\":0}");
    assert_true(json_parse(b->doc, buffer_slice(&out), NULL, &b->err));
    buffer_free(&out);
}

static void a_writer_appends(void **state) {
    (void)state;
    struct buffer out = {0};
    BUFFER_LITERAL(&out, "data: ");
    struct json_writer w;
    json_write_start(&w, &out);
    json_put_null(&w);
    assert_text(buffer_slice(&out), "data: null");
    buffer_free(&out);
}

static void an_empty_array_can_be_taken_back(void **state) {
    (void)state;
    struct buffer out = {0};
    struct json_writer w;
    buffer_append(&out, SLICE("a:"));
    json_write_start(&w, &out);
    json_array_begin(&w);
    assert_false(json_array_end_or_drop(&w, 2));
    assert_text(buffer_slice(&out), "a:");
    json_write_start(&w, &out);
    json_array_begin(&w);
    json_put_null(&w);
    assert_true(json_array_end_or_drop(&w, 2));
    assert_text(buffer_slice(&out), "a:[null]");
    buffer_free(&out);
}

static void levels_nest_up_to_63(void **state) {
    struct bench *b = *state;
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    for (int i = 0; i < 63; i++) {
        json_array_begin(&w);
        json_put_i64(&w, i);
    }
    for (int i = 0; i < 63; i++) {
        json_put_null(&w);
        json_array_end(&w);
    }
    assert_true(json_parse(b->doc, buffer_slice(&out), NULL, &b->err));
    assert_int_equal(json_count(b->doc, JSON_ROOT), 3);
    buffer_free(&out);
}

static void quotes_escape_what_must_be(void **state) {
    (void)state;
    static const struct {
        struct slice text;
        const char *quoted;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"\"\\/", 3}, "\"\\\"\\\\/\""},
        {{"\b\t\n\f\r", 5}, "\"\\b\\t\\n\\f\\r\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9}, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        // Not UTF-8: each bad byte becomes U+FFFD.
        {{"a\x80z", 3}, "\"a\xef\xbf\xbdz\""},
        {{"\xc3", 1}, "\"\xef\xbf\xbd\""},
        {{"\xe2\x82", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xc0\xaf", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xf4\x90\x80\x80", 4}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xc3\xa9\xff\n", 4}, "\"\xc3\xa9\xef\xbf\xbd\\n\""},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct buffer out = {0};
        json_quote(&out, cases[i].text);
        assert_text(buffer_slice(&out), cases[i].quoted);
        buffer_free(&out);
    }
}

// Any bytes, quoted, parse; valid text comes back as it was.
static void quoted_bytes_parse(void **state) {
    struct bench *b = *state;
    random_seed(1);
    for (int round = 0; round < 2000; round++) {
        char bytes[80];
        size_t length = random_below(sizeof bytes);
        bool ascii = true;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (char)(random_below(8) == 0 ? random_below(256) : ' ' + random_below(95));
            ascii = ascii && bytes[i] >= 0;
        }
        struct buffer out = {0};
        json_quote(&out, slice_make(bytes, length));
        assert_true(json_parse(b->doc, buffer_slice(&out), NULL, &b->err));
        struct slice back = json_string(b->doc, JSON_ROOT, b->arena);
        assert_true(!ascii || slice_equal(back, slice_make(bytes, length)));
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_document_is_written), BENCH_TEST(a_writer_appends),
        cmocka_unit_test(an_empty_array_can_be_taken_back),
        BENCH_TEST(levels_nest_up_to_63),  BENCH_TEST(quotes_escape_what_must_be),
        BENCH_TEST(quoted_bytes_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
