// The key: every row of the field table, what does not count as a difference,
// what does, and that no two lists of parts read alike.
#include "fields.h"
#include "support.h"

#include <stdio.h>

static struct cache_key_parts parts_of(enum api_endpoint endpoint) {
    return (struct cache_key_parts){.endpoint = endpoint,
                                    .tenant = SLICE("acme"),
                                    .requested_model = SLICE("auto")};
}

static bool try_key(const struct cache_key_parts *parts, struct slice request,
                    struct cache_key *out, struct error *err) {
    struct json_doc *doc = json_doc_new();
    assert_true(json_parse(doc, request, NULL, err));
    bool ok = cache_key_compute(parts, doc, out, err);
    json_doc_free(doc);
    return ok;
}

static struct cache_key key_with(struct cache_key_parts parts, const char *request) {
    struct cache_key key;
    struct error err;
    if (!try_key(&parts, slice_of(request), &key, &err))
        fail_msg("%s: %s", request, err.text);
    return key;
}

static struct cache_key key_of(enum api_endpoint endpoint, const char *request) {
    return key_with(parts_of(endpoint), request);
}

static bool same(struct cache_key a, struct cache_key b) {
    return memcmp(a.bytes, b.bytes, DIGEST_LEN) == 0;
}

// ----------------------------------------------------------------- the table

static const char *const value_pairs[][2] = {
    {"true", "false"}, {"1", "2"},           {"\"a\"", "\"b\""},
    {"[1]", "[2]"},    {"{\"a\":1}", "{\"a\":2}"}, {"null", "{}"},
};

static struct cache_key key_with_field(enum api_endpoint e, struct slice name, const char *value) {
    struct buffer b = {0};
    BUFFER_LITERAL(&b, "{\"base\":1,");
    json_quote(&b, name);
    buffer_printf(&b, ":%s}%c", value, '\0');
    struct cache_key key = key_of(e, b.ptr);
    buffer_free(&b);
    return key;
}

static void check_field(enum api_endpoint e, struct slice name, bool dropped) {
    struct cache_key without = key_of(e, "{\"base\":1}");
    for (size_t i = 0; i < FARTHING_COUNT(value_pairs); i++) {
        struct cache_key a = key_with_field(e, name, value_pairs[i][0]);
        struct cache_key b = key_with_field(e, name, value_pairs[i][1]);
        if (same(a, without) != dropped || same(b, without) != dropped || same(a, b) != dropped)
            fail_msg("%s: \"%.*s\" should be %s: %s, %s", api_endpoint_name(e), SLICE_ARG(name),
                     dropped ? "dropped" : "kept", value_pairs[i][0], value_pairs[i][1]);
    }
}

static void test_each_row(void **state) {
    (void)state;
    size_t count;
    const struct cache_field *fields = cache_fields(&count);
    for (int e = 0; e < CACHE_FIELD_ENDPOINTS; e++)
        for (size_t i = 0; i < count; i++)
            check_field((enum api_endpoint)e, fields[i].name,
                        fields[i].rule[e] == CACHE_FIELD_DROP);
}

static void test_named_rules(void **state) {
    (void)state;
    // By name, so that a change of the table is noticed here.
    static const char *const dropped[CACHE_FIELD_ENDPOINTS][12] = {
        [API_CHAT_COMPLETIONS] = {"model", "stream", "stream_options", "user", "metadata",
                                  "safety_identifier", "store", "service_tier", "prompt_cache_key",
                                  "prompt_cache_options", "prompt_cache_retention"},
        [API_COMPLETIONS] = {"model", "stream", "stream_options", "user", "metadata"},
        [API_RESPONSES] = {"model", "stream", "stream_options", "user", "metadata",
                           "safety_identifier", "store", "service_tier", "prompt_cache_key",
                           "prompt_cache_options", "prompt_cache_retention"},
        [API_EMBEDDINGS] = {"model", "user", "metadata"},
        [API_MESSAGES] = {"model", "stream", "metadata", "service_tier", "cache_control"},
    };
    size_t count, expected = 0, found = 0;
    const struct cache_field *fields = cache_fields(&count);
    for (int e = 0; e < CACHE_FIELD_ENDPOINTS; e++) {
        for (size_t i = 0; i < 12 && dropped[e][i] != NULL; i++, expected++)
            check_field((enum api_endpoint)e, slice_of(dropped[e][i]), true);
        for (size_t i = 0; i < count; i++)
            found += fields[i].rule[e] == CACHE_FIELD_DROP;
    }
    assert_int_equal(found, expected);
}

static void test_unknown_fields_are_kept(void **state) {
    (void)state;
    static const char *const names[] = {"x_new_option", "Stream",  "stream ", "strea", "streams",
                                        "",             "Model",   "mod\xc3\xa9l", "users",
                                        "meta.data",    "farthing", "__proto__"};
    for (int e = 0; e < CACHE_FIELD_ENDPOINTS; e++)
        for (size_t i = 0; i < FARTHING_COUNT(names); i++)
            check_field((enum api_endpoint)e, slice_of(names[i]), false);
    // Endpoints without a column drop nothing.
    check_field(API_OTHER, SLICE("stream"), false);
    check_field(API_MODELS, SLICE("model"), false);
}

static void test_only_the_root_drops(void **state) {
    (void)state;
    static const char *const names[] = {"stream", "user", "model", "metadata", "store"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        char one[128], two[128];
        snprintf(one, sizeof one, "{\"messages\":[{\"%s\":\"a\"}]}", names[i]);
        snprintf(two, sizeof two, "{\"messages\":[{\"%s\":\"b\"}]}", names[i]);
        assert_false(same(key_of(API_CHAT_COMPLETIONS, one), key_of(API_CHAT_COMPLETIONS, two)));
    }
}

static void test_table_is_in_order(void **state) {
    (void)state;
    size_t count;
    const struct cache_field *fields = cache_fields(&count);
    for (size_t i = 0; i < count; i++) {
        bool drops = false, known = false;
        for (int e = 0; e < CACHE_FIELD_ENDPOINTS; e++) {
            drops = drops || fields[i].rule[e] == CACHE_FIELD_DROP;
            known = known || fields[i].rule[e] != CACHE_FIELD_UNKNOWN;
        }
        assert_int_equal(drops, i < FIELDS_DROPPED);
        assert_true(known);
        assert_true(strlen(fields[i].why) > 0);
        for (size_t j = 0; j < i; j++)
            assert_false(slice_equal(fields[i].name, fields[j].name));
    }
}

// ---------------------------------------------------------------- spellings

static void test_spellings_of_one_request(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"a\":1,\"b\":[1,{\"c\":null}]}", " {\t\"a\" :1 ,\r\n\"b\":[ 1,{ \"c\":null } ] } "},
        {"{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3,\"a\":1,\"b\":2}"},
        {"{\"a\":{\"x\":1,\"y\":2}}", "{\"a\":{\"y\":2,\"x\":1}}"},
        {"{\"a\":[{\"x\":1,\"y\":2}]}", "{\"a\":[{\"y\":2,\"x\":1}]}"},
        {"{\"t\":1}", "{\"t\":1.0}"},
        {"{\"t\":1}", "{\"t\":1e0}"},
        {"{\"t\":1}", "{\"t\":10E-1}"},
        {"{\"t\":100}", "{\"t\":1E+2}"},
        {"{\"t\":0.5}", "{\"t\":5e-1}"},
        {"{\"t\":0}", "{\"t\":0.000}"},
        {"{\"t\":0}", "{\"t\":0e5}"},
        {"{\"s\":\"A\"}", "{\"s\":\"\\u0041\"}"},
        {"{\"s\":\"a/b\"}", "{\"s\":\"a\\/b\"}"},
        {"{\"s\":\"\\n\\t\\u0001\"}", "{\"s\":\"\\u000a\\u0009\\u0001\"}"},
        {"{\"s\":\"\xc3\xa9\"}", "{\"s\":\"\\u00E9\"}"},
        {"{\"s\":\"\xf0\x9f\x98\x80\"}", "{\"s\":\"\\uD83D\\ude00\"}"},
        {"{\"name\":1}", "{\"n\\u0061me\":1}"},
        {"{\"b\":1}", "{\"b\":1,\"\\u0073tream\":true}"}, // a dropped name, escaped
        {"{\"b\":1}", "{\"stream\":true,\"b\":1.0,\"user\":\"u\"}"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(pairs); i++)
        if (!same(key_of(API_CHAT_COMPLETIONS, pairs[i][0]),
                  key_of(API_CHAT_COMPLETIONS, pairs[i][1])))
            fail_msg("two keys: %s and %s", pairs[i][0], pairs[i][1]);
}

static void test_different_requests(void **state) {
    (void)state;
    // Each differs from each other.
    static const char *const all[] = {
        "{}", "[]", "{\"a\":1}", "{\"a\":\"1\"}", "{\"a\":null}", "{\"a\":[]}", "{\"a\":{}}",
        "{\"a\":false}", "{\"a\":\"false\"}", "{\"a\":\"\"}", "{\"a\":[1,2]}", "{\"a\":[2,1]}",
        "{\"a\":[[1],2]}", "{\"a\":[1,[2]]}", "{\"a\":[1],\"b\":2}", "{\"a\":\"a\"}",
        "{\"a\":\"A\"}", "{\"a\":\" a\"}", "{\"a\":\"a\\u0000\"}", "{\"A\":\"a\"}", "{\"a\":-1}",
        "{\"a\":12}", "{\"a\":1.2}", "{\"a\":0.1}", "{\"a\":0.10000000000000001}",
        "{\"a\":9007199254740992}", "{\"a\":9007199254740993}", "{\"a\":1e400}", "{\"a\":1e401}",
        "{\"a\":\"\xc3\xa9\"}", "{\"a\":\"e\xcc\x81\"}", // composed or not: other bytes, other text
        "{\"a\":\"\\\\n\"}", "{\"a\":\"\\n\"}", "{\"a\":\",\\\"b\\\":1\"}", "{\"a\":\",\",\"b\":1}",
    };
    struct cache_key keys[FARTHING_COUNT(all)];
    for (size_t i = 0; i < FARTHING_COUNT(all); i++) {
        keys[i] = key_of(API_CHAT_COMPLETIONS, all[i]);
        for (size_t j = 0; j < i; j++)
            if (same(keys[i], keys[j]))
                fail_msg("one key: %s and %s", all[i], all[j]);
    }
}

// -------------------------------------------------------------------- parts

static struct slice *part_at(struct cache_key_parts *p, size_t i) {
    struct slice *const all[] = {&p->tenant, &p->user, &p->prompt_version, &p->corpus_version,
                                 &p->requested_model};
    return all[i];
}
enum { PARTS = 5 };

static void check_all_differ(const struct cache_key *keys, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (same(keys[i], keys[j]))
                fail_msg("keys %zu and %zu are one", j, i);
}

static void test_each_part_counts(void **state) {
    (void)state;
    struct cache_key keys[2 * PARTS + 1];
    size_t n = 0;
    keys[n++] = key_with(parts_of(API_CHAT_COMPLETIONS), "{}");
    for (size_t i = 0; i < PARTS; i++)
        for (size_t v = 0; v < 2; v++) {
            struct cache_key_parts p = parts_of(API_CHAT_COMPLETIONS);
            *part_at(&p, i) = v == 0 ? SLICE("v1") : SLICE("v2");
            keys[n++] = key_with(p, "{}");
        }
    check_all_differ(keys, n);
}

static void test_each_endpoint_counts(void **state) {
    (void)state;
    struct cache_key keys[API_ENDPOINT_COUNT];
    for (int e = 0; e < API_ENDPOINT_COUNT; e++)
        keys[e] = key_of((enum api_endpoint)e, "{\"input\":\"x\"}");
    check_all_differ(keys, API_ENDPOINT_COUNT);
}

// A text of three bytes, cut in all ways over the five parts, with NULs and
// bytes that look like lengths.
static void test_parts_do_not_run_together(void **state) {
    (void)state;
    static const char *const texts[] = {"abc", "\0\0\0", "\1\0\0", "\x08\0\0"};
    for (size_t t = 0; t < FARTHING_COUNT(texts); t++) {
        struct cache_key keys[64];
        size_t n = 0;
        for (unsigned cuts = 0; cuts < 1u << 7; cuts++) {
            if (__builtin_popcount(cuts) != PARTS - 1)
                continue; // of 3 bytes and 4 cuts, which place is a cut?
            struct cache_key_parts p = {.endpoint = API_CHAT_COMPLETIONS};
            size_t at = 0, part = 0;
            for (size_t i = 0; i < PARTS; i++)
                *part_at(&p, i) = slice_make(texts[t], 0);
            for (unsigned place = 0; place < 7; place++) {
                if ((cuts >> place & 1u) != 0) {
                    part++;
                    continue;
                }
                struct slice *s = part_at(&p, part);
                *s = s->len == 0 ? slice_make(texts[t] + at, 1) : slice_make(s->ptr, s->len + 1);
                at++;
            }
            assert_true(n < FARTHING_COUNT(keys));
            keys[n++] = key_with(p, "{}");
        }
        assert_int_equal(n, 35); // 7 choose 4
        check_all_differ(keys, n);
    }
}

static void test_empty_and_missing_parts_are_one(void **state) {
    (void)state;
    struct cache_key_parts none = parts_of(API_CHAT_COMPLETIONS), empty = none;
    empty.user = empty.prompt_version = SLICE("");
    assert_true(same(key_with(none, "{}"), key_with(empty, "{}")));
}

// Keys are on disk: what goes into them must not change unnoticed. The figure
// is that of any other SHA-256 over the bytes written out in key.c.
static void test_known_key(void **state) {
    (void)state;
    struct cache_key_parts p = {API_CHAT_COMPLETIONS, SLICE("acme"), SLICE("u1"), SLICE("v2"),
                                SLICE("c3"), SLICE("gpt-4o"), SLICE_NONE};
    struct cache_key key = key_with(
        p, "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
           "\"temperature\":0.0,\"stream\":true}");
    char hex[2 * DIGEST_LEN + 1];
    digest_hex(key.bytes, DIGEST_LEN, hex);
    assert_string_equal(hex, "1daccf150b51972943de2a34ec67d0d48f0d4a63a350d345ee221d406dff1ce7");
}

// --------------------------------------------------------------- duplicates

static void test_duplicates_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *request, *named;
    } cases[] = {
        {"{\"a\":1,\"a\":1}", "\"a\""},
        {"{\"a\":1,\"b\":2,\"\\u0061\":1}", "a"},
        {"{\"a\":[{\"x\":1,\"y\":2,\"x\":3}]}", "\"x\""},
        // What is dropped is read too.
        {"{\"model\":\"cheap\",\"model\":\"dear\"}", "model"},
        {"{\"stream\":true,\"a\":1,\"stream\":false}", "stream"},
        {"{\"stream\":true,\"a\":1,\"str\\u0065am\":false}", "stream"},
        {"{\"user\":\"a\",\"user\":\"a\"}", "user"},
        {"{\"metadata\":{\"farthing_run\":\"1\",\"farthing_run\":\"2\"}}", "farthing_run"},
        {"{\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}", "include_usage"},
    };
    struct cache_key_parts parts = parts_of(API_CHAT_COMPLETIONS);
    struct cache_key before = key_of(API_CHAT_COMPLETIONS, "{\"a\":1}");
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct cache_key key;
        struct error err = {.text = ""};
        if (try_key(&parts, slice_of(cases[i].request), &key, &err))
            fail_msg("accepted: %s", cases[i].request);
        if (strstr(err.text, cases[i].named) == NULL)
            fail_msg("%s: \"%s\" does not name %s", cases[i].request, err.text, cases[i].named);
        // Nothing of a refused request stays in the digest.
        assert_true(same(key_of(API_CHAT_COMPLETIONS, "{\"a\":1}"), before));
    }
}

static void test_long_duplicate_is_cut(void **state) {
    (void)state;
    struct buffer b = {0};
    BUFFER_LITERAL(&b, "{\"metadata\":{");
    for (int twice = 0; twice < 2; twice++) {
        buffer_append(&b, twice == 0 ? SLICE("\"") : SLICE(",\""));
        for (int i = 0; i < 5000; i++)
            buffer_append_char(&b, 'k');
        BUFFER_LITERAL(&b, "\":1");
    }
    BUFFER_LITERAL(&b, "}}");
    struct cache_key_parts parts = parts_of(API_CHAT_COMPLETIONS);
    struct cache_key key;
    struct error err;
    assert_false(try_key(&parts, buffer_slice(&b), &key, &err));
    assert_true(strlen(err.text) < 200);
    buffer_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_named_rules),
        cmocka_unit_test(test_unknown_fields_are_kept),
        cmocka_unit_test(test_only_the_root_drops),
        cmocka_unit_test(test_table_is_in_order),
        cmocka_unit_test(test_spellings_of_one_request),
        cmocka_unit_test(test_different_requests),
        cmocka_unit_test(test_each_part_counts),
        cmocka_unit_test(test_each_endpoint_counts),
        cmocka_unit_test(test_parts_do_not_run_together),
        cmocka_unit_test(test_empty_and_missing_parts_are_one),
        cmocka_unit_test(test_known_key),
        cmocka_unit_test(test_duplicates_are_refused),
        cmocka_unit_test(test_long_duplicate_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
