// JSON Schema beyond the suite's cases: what a violation says, what is not known
// and stays so through `not` and `oneOf`, exact numbers, hostile schemas.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/schema.h"

static struct json_doc *parse(const char *text) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (!json_parse(doc, slice_of(text), NULL, &err))
        fail_msg("%s: %s", text, err.text);
    return doc;
}

static enum schema_verdict validate(const char *schema, const char *instance,
                                    struct buffer *words) {
    struct json_doc *schema_doc = parse(schema), *doc = parse(instance);
    struct schema *s = schema_compile(schema_doc, JSON_ROOT);
    enum schema_verdict v = schema_validate(s, doc, JSON_ROOT, words);
    schema_free(s);
    json_doc_free(schema_doc);
    json_doc_free(doc);
    return v;
}

struct row {
    const char *schema, *instance, *words;
};

// --------------------------------------------------------------------- words

static const struct row told[] = {
    {"{\"properties\":{\"items\":{\"items\":{\"properties\":{\"price\":{\"type\":\"number\"}}}}}}",
     "{\"items\":[{},{},{},{\"price\":\"3\"}]}",
     "/items/3/price: expected a number, got a string"},
    {"{\"type\":[\"string\",\"null\"]}", "[1]",
     "the whole value: expected null or a string, got an array"},
    {"{\"type\":\"integer\"}", "1.5",
     "the whole value: expected an integer, got the number 1.5"},
    {"{\"required\":[\"a\",\"b\",\"c\"]}", "{\"a\":1,\"c\":1}",
     "the whole value: expected the member \"b\", which is missing"},
    {"{\"properties\":{\"a/b~c\":{\"const\":1}}}", "{\"a/b~c\":2}",
     "/a~1b~0c: expected 1, got the number 2"},
    {"{\"items\":{\"enum\":[\"red\",\"green\",null]}}", "[null,\"blue\"]",
     "/1: expected one of \"red\", \"green\", null, got the string \"blue\""},
    {"{\"additionalProperties\":false,\"properties\":{\"a\":true}}", "{\"a\":1,\"b\":2}",
     "/b: expected nothing here, leave it out"},
    {"{\"minimum\":1.50}", "1.4999", "the whole value: expected a number of at least 1.50, "
                                     "got the number 1.4999"},
    {"{\"exclusiveMaximum\":5}", "5",
     "the whole value: expected a number below 5, got the number 5"},
    {"{\"maximum\":5}", "6", "the whole value: expected a number of at most 5, got the number 6"},
    {"{\"exclusiveMinimum\":5}", "5",
     "the whole value: expected a number above 5, got the number 5"},
    {"{\"multipleOf\":0.1}", "0.25",
     "the whole value: expected a multiple of 0.1, got the number 0.25"},
    {"{\"minLength\":3}", "\"\\u00e9\\u00e9\"",
     "the whole value: expected at least 3 characters, got 2"},
    {"{\"maxItems\":1}", "[1,2]", "the whole value: expected at most 1 element, got 2"},
    {"{\"minProperties\":1}", "{}", "the whole value: expected at least 1 member, got 0"},
    {"{\"pattern\":\"^[a-z]+$\"}", "\"A1\"",
     "the whole value: expected a string that matches the pattern \"^[a-z]+$\", "
     "got the string \"A1\""},
    {"{\"uniqueItems\":true}", "[1,{\"a\":1},1.0]",
     "the whole value: expected elements that all differ, but one stands twice: 1.0"},
    {"{\"contains\":{\"type\":\"string\"},\"minContains\":2}", "[\"a\",1]",
     "the whole value: expected at least 2 elements that fit the schema of contains, got 1"},
    {"{\"contains\":true,\"maxContains\":1}", "[1,2]",
     "the whole value: expected at most 1 elements that fit the schema of contains, got 2"},
    {"{\"dependentRequired\":{\"a\":[],\"b\":[\"c\",\"d\"]}}", "{\"b\":1,\"c\":2}",
     "the whole value: expected beside \"b\" the members \"c\", \"d\", of which one is missing"},
    {"{\"propertyNames\":{\"maxLength\":2}}", "{\"ab\":1,\"abc\":2}",
     "/abc: expected at most 2 characters, got 3"},
    {"{\"not\":{\"type\":\"null\"}}", "null",
     "the whole value: expected something that does not fit the schema of not"},
    // Alternatives: the nearest one speaks.
    {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "5",
     "the whole value: expected null or a string, got a number"},
    {"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}},"
     "{\"type\":\"null\"}]}", "{\"n\":\"x\"}", "/n: expected an integer, got a string"},
    {"{\"oneOf\":[{\"properties\":{\"kind\":{\"const\":\"a\"}},\"required\":[\"kind\"]},"
     "{\"properties\":{\"kind\":{\"const\":\"b\"}},\"required\":[\"kind\",\"size\"]}]}",
     "{\"kind\":\"b\"}", "the whole value: expected the member \"size\", which is missing"},
    {"{\"oneOf\":[{\"minimum\":1},{\"minimum\":2}]}", "3",
     "the whole value: expected exactly one of the alternatives of oneOf to fit, but several do"},
    {"{\"anyOf\":[{\"const\":1},{\"const\":2}]}", "3",
     "the whole value: expected one of 2 alternatives to fit (anyOf), but none does"},
    {"{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}", "{\"a\":1}",
     "the whole value: expected the member \"b\", which is missing"},
    {"{\"$ref\":\"#/$defs/p\",\"$defs\":{\"p\":{\"items\":{\"$ref\":\"#/$defs/q\"}},"
     "\"q\":{\"type\":\"string\"}}}", "[\"a\",false]", "/1: expected a string, got a boolean"},
};

static void a_violation_says_where_and_what(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(told); i++) {
        struct buffer words = {0};
        assert_int_equal(validate(told[i].schema, told[i].instance, &words), SCHEMA_INVALID);
        if (!slice_equal(buffer_slice(&words), slice_of(told[i].words)))
            fail_msg("%s of %s: [%.*s]", told[i].instance, told[i].schema,
                     SLICE_ARG(buffer_slice(&words)));
        buffer_free(&words);
    }
}

static void long_values_are_cut(void **state) {
    (void)state;
    struct buffer instance = {0}, schema = {0}, words = {0};
    BUFFER_LITERAL(&instance, "{\"");
    for (int i = 0; i < 5000; i++)
        BUFFER_LITERAL(&instance, "\xC3\xA9");
    BUFFER_LITERAL(&instance, "\":\"x\"}");
    buffer_append_char(&instance, '\0');
    BUFFER_LITERAL(&schema, "{\"additionalProperties\":{\"enum\":[");
    for (int i = 0; i < 2000; i++)
        buffer_printf(&schema, "\"value %d\",", i);
    BUFFER_LITERAL(&schema, "0]}}");
    buffer_append_char(&schema, '\0');
    assert_int_equal(validate(schema.ptr, instance.ptr, &words), SCHEMA_INVALID);
    assert_true(words.len > 200 && words.len < 1000);
    for (size_t at = 0, n; at < words.len; at += n) {
        n = slice_utf8(slice_from(buffer_slice(&words), at));
        assert_true(n > 0);
    }
    buffer_free(&instance);
    buffer_free(&schema);
    buffer_free(&words);
}

// --------------------------------------------------------------- three values

static const struct {
    const char *schema, *instance;
    enum schema_verdict verdict;
} verdicts[] = {
    // What is not known stays so, whatever stands around it.
    {"{\"$ref\":\"http://x/y\"}", "1", SCHEMA_UNKNOWN},
    {"{\"not\":{\"$ref\":\"http://x/y\"}}", "1", SCHEMA_UNKNOWN},
    {"{\"$ref\":\"http://x/y\",\"type\":\"string\"}", "1", SCHEMA_INVALID},
    {"{\"anyOf\":[{\"$ref\":\"#/nowhere\"},{\"type\":\"string\"}]}", "1", SCHEMA_UNKNOWN},
    {"{\"anyOf\":[{\"$ref\":\"#/nowhere\"},{\"type\":\"string\"}]}", "\"\"", SCHEMA_VALID},
    {"{\"oneOf\":[{\"$ref\":\"#/nowhere\"},{\"type\":\"string\"}]}", "\"\"", SCHEMA_UNKNOWN},
    {"{\"oneOf\":[{\"$ref\":\"#/x\"},{\"minimum\":1},{\"minimum\":2}]}", "3", SCHEMA_INVALID},
    {"{\"oneOf\":[{\"$ref\":\"#/x\"},{\"minimum\":9}]}", "3", SCHEMA_UNKNOWN},
    {"{\"allOf\":[{\"$ref\":\"#/x\"},{\"minimum\":9}]}", "3", SCHEMA_INVALID},
    {"{\"if\":{\"$ref\":\"#/x\"},\"then\":{\"minimum\":9}}", "3", SCHEMA_UNKNOWN},
    {"{\"if\":{\"$ref\":\"#/x\"},\"then\":{\"minimum\":9},\"else\":{\"minimum\":8}}", "3",
     SCHEMA_INVALID},
    {"{\"if\":{\"$ref\":\"#/x\"},\"then\":{\"minimum\":1},\"else\":{\"minimum\":2}}", "3",
     SCHEMA_VALID},
    {"{\"contains\":{\"$ref\":\"#/x\"}}", "[1]", SCHEMA_UNKNOWN},
    {"{\"contains\":{\"$ref\":\"#/x\"},\"minContains\":2}", "[1]", SCHEMA_INVALID},
    {"{\"contains\":{\"$ref\":\"#/x\"},\"minContains\":0}", "[1]", SCHEMA_VALID},
    {"{\"$ref\":\"#/x\",\"unevaluatedProperties\":false}", "{\"a\":1}", SCHEMA_UNKNOWN},
    {"{\"$ref\":\"#/x\",\"unevaluatedItems\":false}", "[1]", SCHEMA_UNKNOWN},
    // Patterns that do not compile.
    {"{\"pattern\":\"(\"}", "\"a\"", SCHEMA_UNKNOWN},
    {"{\"pattern\":\"(\"}", "1", SCHEMA_UNKNOWN},
    {"{\"patternProperties\":{\"(\":false},\"additionalProperties\":false}", "{\"a\":1}",
     SCHEMA_UNKNOWN},
    {"{\"patternProperties\":{\"(\":false}}", "{}", SCHEMA_VALID},
    {"{\"properties\":{\"a\":{\"type\":\"null\"}},\"patternProperties\":{\"(\":true}}",
     "{\"a\":1}", SCHEMA_INVALID},
    {"{\"pattern\":\"(*LIMIT_MATCH=1)a\"}", "\"a\"", SCHEMA_UNKNOWN},
    // Malformed and older keywords.
    {"5", "1", SCHEMA_UNKNOWN},
    {"{\"minimum\":\"1\"}", "0", SCHEMA_UNKNOWN},
    {"{\"minimum\":1,\"exclusiveMinimum\":true}", "1", SCHEMA_UNKNOWN},
    {"{\"not\":{\"minLength\":-1}}", "\"\"", SCHEMA_UNKNOWN},
    {"{\"type\":\"any\"}", "1", SCHEMA_UNKNOWN},
    {"{\"items\":[{\"type\":\"string\"}]}", "[1]", SCHEMA_UNKNOWN},
    {"{\"required\":\"a\"}", "{}", SCHEMA_UNKNOWN},
    {"{\"required\":true}", "{}", SCHEMA_UNKNOWN},
    {"{\"multipleOf\":0}", "1", SCHEMA_UNKNOWN},
    {"{\"type\":\"string\",\"type\":\"number\"}", "1", SCHEMA_UNKNOWN},
    {"{\"anyOf\":[]}", "1", SCHEMA_UNKNOWN},
    {"{\"$recursiveRef\":\"#\"}", "1", SCHEMA_UNKNOWN},
    {"{\"const\":{\"a\":1,\"a\":2}}", "1", SCHEMA_UNKNOWN},
    {"{\"const\":1}", "{\"a\":1,\"a\":2}", SCHEMA_UNKNOWN},
    // OpenAPI's nullable, annotations, unknown keywords.
    {"{\"type\":\"string\",\"nullable\":true}", "null", SCHEMA_UNKNOWN},
    {"{\"type\":\"string\",\"nullable\":true}", "1", SCHEMA_INVALID},
    {"{\"type\":\"string\",\"nullable\":false}", "null", SCHEMA_INVALID},
    {"{\"format\":\"email\",\"x-any\":{},\"description\":5}", "\"no\"", SCHEMA_VALID},
    // Dialects.
    {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"$ref\":\"#/definitions/a\","
     "\"type\":\"string\",\"definitions\":{\"a\":{\"type\":\"number\"}}}", "1", SCHEMA_VALID},
    {"{\"$ref\":\"#/definitions/a\",\"type\":\"string\",\"definitions\":{\"a\":"
     "{\"type\":\"number\"}}}", "1", SCHEMA_INVALID},
    {"{\"$schema\":\"https://example.com/mine\",\"type\":\"string\"}", "1", SCHEMA_UNKNOWN},
    {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"definitions\":{\"a\":"
     "{\"$id\":\"#a\",\"type\":\"number\"}},\"items\":{\"$ref\":\"#a\"}}", "[\"\"]",
     SCHEMA_INVALID},
    // Where a reference may lead.
    {"{\"x\":{\"deep\":[{\"type\":\"number\"}]},\"$ref\":\"#/x/deep/0\"}", "\"\"", SCHEMA_INVALID},
    {"{\"x\":{\"deep\":[{\"type\":\"number\"}]},\"$ref\":\"#/x/deep/1\"}", "\"\"", SCHEMA_UNKNOWN},
    {"{\"x\":{\"deep\":[{\"type\":\"number\"}]},\"$ref\":\"#/x/deep/-1\"}", "\"\"",
     SCHEMA_UNKNOWN},
    {"{\"x\":{\"$ref\":\"#/y\"},\"y\":{\"type\":\"null\"},\"$ref\":\"#/x\"}", "1", SCHEMA_INVALID},
    {"{\"$ref\":\"#\"}", "1", SCHEMA_UNKNOWN},
    {"{\"$ref\":\"#nope\"}", "1", SCHEMA_UNKNOWN},
    {"{\"required\":[\"a\",\"a\"]}", "{\"a\":1}", SCHEMA_VALID},
};

static void what_is_not_known_rejects_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(verdicts); i++) {
        enum schema_verdict v = validate(verdicts[i].schema, verdicts[i].instance, NULL);
        if (v != verdicts[i].verdict)
            fail_msg("%s of %s: %d", verdicts[i].instance, verdicts[i].schema, (int)v);
    }
}

// ------------------------------------------------------------------- numbers

static const struct {
    const char *schema, *instance;
    bool valid;
} numbers[] = {
    {"{\"type\":\"integer\"}", "1.0", true},
    {"{\"type\":\"integer\"}", "-0.0", true},
    {"{\"type\":\"integer\"}", "1e400", true},
    {"{\"type\":\"integer\"}", "123.45e2", true},
    {"{\"type\":\"integer\"}", "123.45e1", false},
    {"{\"type\":\"integer\"}", "1e-400", false},
    {"{\"type\":\"integer\"}", "100e-2", true},
    {"{\"const\":9007199254740993}", "9007199254740992", false},
    {"{\"const\":1}", "1.0", true},
    {"{\"const\":1}", "10e-1", true},
    {"{\"const\":1}", "true", false},
    {"{\"enum\":[0.1,100]}", "1e2", true},
    {"{\"maximum\":9007199254740992}", "9007199254740993", false},
    {"{\"maximum\":1e400}", "1e399", true},
    {"{\"maximum\":1e400}", "1.0000000000000000000001e400", false},
    {"{\"minimum\":-0.1}", "-0.10000000000000000000000000001", false},
    {"{\"minimum\":-0.1}", "-0.1000", true},
    {"{\"exclusiveMinimum\":0}", "1e-1000", true},
    {"{\"exclusiveMinimum\":0}", "-1e-1000", false},
    {"{\"minimum\":12}", "9", false},
    {"{\"minimum\":9}", "12", true},
    {"{\"multipleOf\":0.01}", "19.99", true},
    {"{\"multipleOf\":0.01}", "19.999", false},
    {"{\"multipleOf\":3}", "1e308", false},
    {"{\"multipleOf\":7}", "777777777777777777777777777777777777777", true},
    {"{\"multipleOf\":7}", "777777777777777777777777777777777777778", false},
    {"{\"multipleOf\":1e-8}", "12391239123", true},
    {"{\"multipleOf\":10}", "5", false},
    {"{\"multipleOf\":2.5}", "-7.5", true},
    {"{\"multipleOf\":1e300}", "0", true},
    {"{\"multipleOf\":1e300}", "1", false},
    {"{\"uniqueItems\":true}", "[1,1.0]", false},
    {"{\"uniqueItems\":true}", "[0,false,null,\"\",[],{}]", true},
    {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2.0,\"a\":1e0}]", false},
    {"{\"maxLength\":2.0}", "\"ab\"", true},
};

static void numbers_are_exact(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(numbers); i++) {
        enum schema_verdict v = validate(numbers[i].schema, numbers[i].instance, NULL);
        if (v != (numbers[i].valid ? SCHEMA_VALID : SCHEMA_INVALID))
            fail_msg("%s of %s: %d", numbers[i].instance, numbers[i].schema, (int)v);
    }
    assert_int_equal(validate("{\"multipleOf\":1234567890123456789}", "2", NULL), SCHEMA_UNKNOWN);
    assert_int_equal(validate("{\"maximum\":1e99999999999999999}", "1e99999999999999998", NULL),
                     SCHEMA_UNKNOWN);
}

// ------------------------------------------------------------------- hostile

static const char *const endless[] = {
    "{\"$ref\":\"#\"}",
    "{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
    "{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
    "{\"not\":{\"$ref\":\"#\"}}",
    "{\"$dynamicAnchor\":\"a\",\"oneOf\":[{\"$dynamicRef\":\"#a\"},{\"$dynamicRef\":\"#a\"}]}",
    "{\"if\":{\"$ref\":\"#\"},\"then\":{\"$ref\":\"#\"},\"else\":{\"$ref\":\"#\"}}",
    ("{\"unevaluatedProperties\":{\"type\":\"string\"},\"allOf\":[{\"$ref\":\"#\"},"
     "{\"$ref\":\"#\"}]}"),
};

static void loops_of_references_end(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(endless); i++) {
        assert_int_equal(validate(endless[i], "1", NULL), SCHEMA_UNKNOWN);
        assert_int_equal(validate(endless[i], "{\"a\":[1,2,{\"b\":\"c\"}]}", NULL),
                         SCHEMA_UNKNOWN);
    }
}

// Each level doubles what is to be done: without a budget, 2^40 steps.
static void what_grows_exponentially_ends(void **state) {
    (void)state;
    struct buffer schema = {0};
    BUFFER_LITERAL(&schema, "{\"$ref\":\"#/$defs/l0\",\"$defs\":{");
    for (int i = 0; i < 40; i++)
        buffer_printf(&schema,
                      "\"l%d\":{\"allOf\":[{\"$ref\":\"#/$defs/l%d\"},"
                      "{\"$ref\":\"#/$defs/l%d\"}]},",
                      i, i + 1, i + 1);
    BUFFER_LITERAL(&schema, "\"l40\":{\"type\":\"string\"}}}");
    buffer_append_char(&schema, '\0');
    assert_int_equal(validate(schema.ptr, "\"x\"", NULL), SCHEMA_UNKNOWN);
    assert_int_equal(validate(schema.ptr, "1", NULL), SCHEMA_INVALID); // told at once
    buffer_free(&schema);
}

static void hostile_patterns_end(void **state) {
    (void)state;
    struct buffer instance = {0};
    buffer_append_char(&instance, '"');
    for (int i = 0; i < 100000; i++)
        buffer_append_char(&instance, 'a');
    BUFFER_LITERAL(&instance, "!\"");
    buffer_append_char(&instance, '\0');
    assert_int_equal(validate("{\"pattern\":\"^(a+)+$\"}", instance.ptr, NULL), SCHEMA_UNKNOWN);
    assert_int_equal(validate("{\"pattern\":\"(a|aa)+[bc]\"}", instance.ptr, NULL), SCHEMA_UNKNOWN);
    assert_int_equal(validate("{\"pattern\":\"!$\"}", instance.ptr, NULL), SCHEMA_VALID);
    buffer_free(&instance);
}

// Deeper than can be followed: not known; as deep as is common: told.
static void depth_is_bounded(void **state) {
    (void)state;
    for (int depth = 100; depth <= 500; depth += 400) {
        struct buffer instance = {0};
        for (int i = 0; i < depth; i++)
            BUFFER_LITERAL(&instance, "{\"a\":");
        BUFFER_LITERAL(&instance, "5");
        for (int i = 0; i < depth; i++)
            buffer_append_char(&instance, '}');
        buffer_append_char(&instance, '\0');
        assert_int_equal(
            validate("{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"type\":\"object\"}",
                     instance.ptr, NULL),
            depth == 100 ? SCHEMA_INVALID : SCHEMA_UNKNOWN);
        buffer_free(&instance);
    }
}

static void one_schema_serves_many_values(void **state) {
    (void)state;
    struct json_doc *schema_doc = parse("{\"s\":{\"type\":\"string\"}}");
    struct json_doc *doc = parse("{\"a\":[\"x\",1]}");
    // The schema need not be a document's root, nor the value.
    struct schema *s =
        schema_compile(schema_doc, json_get(schema_doc, JSON_ROOT, SLICE("s")));
    json_ref list = json_get(doc, JSON_ROOT, SLICE("a"));
    assert_int_equal(schema_validate(s, doc, json_at(doc, list, 0), NULL), SCHEMA_VALID);
    struct buffer words = {0};
    assert_int_equal(schema_validate(s, doc, json_at(doc, list, 1), &words), SCHEMA_INVALID);
    assert_true(slice_starts_with(buffer_slice(&words), SLICE("the whole value: ")));
    buffer_free(&words);
    schema_free(s);
    schema_free(NULL);
    json_doc_free(schema_doc);
    json_doc_free(doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_violation_says_where_and_what),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(what_is_not_known_rejects_nothing),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(loops_of_references_end),
        cmocka_unit_test(what_grows_exponentially_ends),
        cmocka_unit_test(hostile_patterns_end),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(one_schema_serves_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
