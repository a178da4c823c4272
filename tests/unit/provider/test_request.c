// What a request says of its own size.
#include "support.h"

enum { CHAT = API_CHAT_COMPLETIONS, TEXT = API_COMPLETIONS, RESP = API_RESPONSES,
       EMB = API_EMBEDDINGS, MSG = API_MESSAGES };

static const struct row {
    unsigned endpoint;
    const char *request;
    int64_t cap, n, tools;
} rows[] = {
    // Which spelling belongs to which endpoint.
    {CHAT, "{}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":7}", 7, 1, 0},
    {CHAT, "{\"max_completion_tokens\":8}", 8, 1, 0},
    {CHAT, "{\"max_output_tokens\":9}", -1, 1, 0},
    {TEXT, "{\"max_tokens\":7}", 7, 1, 0},
    {TEXT, "{\"max_completion_tokens\":8,\"max_output_tokens\":9}", -1, 1, 0},
    {TEXT, "{}", -1, 1, 0},
    {RESP, "{\"max_output_tokens\":9}", 9, 1, 0},
    {RESP, "{\"max_tokens\":7,\"max_completion_tokens\":8}", -1, 1, 0},
    {MSG, "{\"max_tokens\":7}", 7, 1, 0},
    {MSG, "{\"max_completion_tokens\":8,\"max_output_tokens\":9}", -1, 1, 0},
    {EMB, "{\"max_tokens\":7,\"n\":3,\"input\":[\"a\",\"b\"],\"tools\":[1]}", -1, 1, 0},
    {API_MODELS, "{\"max_tokens\":7,\"n\":3}", -1, 1, 0},
    {API_OTHER, "{\"max_tokens\":7,\"n\":3}", -1, 1, 0},
    // Which of two a server obeys is not known: the highest.
    {CHAT, "{\"max_tokens\":10,\"max_completion_tokens\":9000}", 9000, 1, 0},
    {CHAT, "{\"max_tokens\":9000,\"max_completion_tokens\":10}", 9000, 1, 0},
    {CHAT, "{\"max_tokens\":1,\"max_tokens\":9000}", 9000, 1, 0},
    {CHAT, "{\"max_tokens\":9000,\"max_tokens\":1}", 9000, 1, 0},
    {CHAT, "{\"max_tokens\":null,\"max_completion_tokens\":10}", 10, 1, 0},
    // Nor which values a server takes for a number.
    {CHAT, "{\"max_tokens\":10,\"max_completion_tokens\":-1}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":\"lots\",\"max_completion_tokens\":10}", PROVIDER_SIZE_MAX, 1, 0},
    // Spellings of numbers.
    {CHAT, "{\"max_tokens\":1.0}", 1, 1, 0},
    {CHAT, "{\"max_tokens\":3e2}", 300, 1, 0},
    {CHAT, "{\"max_tokens\":9007199254740990}", PROVIDER_SIZE_MAX - 1, 1, 0},
    {CHAT, "{\"max_tokens\":9007199254740991}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":9007199254740992}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":9223372036854775807}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":9223372036854775808}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":99999999999999999999999}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":1e400}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":1e99999999999999999999}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":null}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":0}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":-0}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":-1}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":-1e400}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":-9223372036854775809}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":0.5}", 1, 1, 0},
    {CHAT, "{\"max_tokens\":1e-400}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":\"\"}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":\"300\"}", 300, 1, 0},
    {CHAT, "{\"max_tokens\":\"-300\"}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":\"0\"}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":\"3e2\"}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":\"\\u0033\"}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":\"99999999999999999999\"}", PROVIDER_SIZE_MAX, 1, 0},
    {CHAT, "{\"max_tokens\":true}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":[5]}", -1, 1, 0},
    {CHAT, "{\"max_tokens\":{\"max_tokens\":5}}", -1, 1, 0},
    // Names: decoded, whole, of the root object only.
    {CHAT, "{\"max\\u005ftokens\":5}", 5, 1, 0},
    {CHAT, "{\"\\u006e\":5}", -1, 5, 0},
    {CHAT, "{\"max_tokens \":5,\"Max_tokens\":6,\"max_token\":7,\"\":8}", -1, 1, 0},
    {CHAT, "{\"messages\":[{\"max_tokens\":5,\"n\":6,\"tools\":[1]}],\"x\":{\"max_tokens\":7}}",
     -1, 1, 0},
    {CHAT, " { \"n\" : 2 ,\n\t\"max_tokens\" : 5 } ", 5, 2, 0},
    // Choices.
    {CHAT, "{\"n\":4,\"best_of\":9}", -1, 4, 0},
    {CHAT, "{\"n\":null}", -1, 1, 0},
    {CHAT, "{\"n\":0}", -1, 1, 0},
    {CHAT, "{\"n\":-5}", -1, 1, 0},
    {CHAT, "{\"n\":false}", -1, 1, 0},
    {CHAT, "{\"n\":2.5}", -1, 3, 0},
    {CHAT, "{\"n\":0.5}", -1, 1, 0},
    {CHAT, "{\"n\":9223372036854775808.5}", -1, PROVIDER_SIZE_MAX, 0},
    {CHAT, "{\"n\":\"128\"}", -1, 128, 0},
    {CHAT, "{\"n\":\" 128\"}", -1, PROVIDER_SIZE_MAX, 0},
    {CHAT, "{\"n\":1,\"n\":128}", -1, 128, 0},
    {CHAT, "{\"n\":128,\"n\":1}", -1, 128, 0},
    {CHAT, "{\"n\":1e400}", -1, PROVIDER_SIZE_MAX, 0},
    {RESP, "{\"n\":5}", -1, 1, 0},
    {MSG, "{\"n\":5}", -1, 1, 0},
    {TEXT, "{\"n\":2,\"best_of\":5}", -1, 5, 0},
    {TEXT, "{\"best_of\":2,\"n\":5}", -1, 5, 0},
    {TEXT, "{\"best_of\":\"7\"}", -1, 7, 0},
    {TEXT, "{\"n\":2,\"best_of\":3,\"prompt\":[\"a\",\"b\",\"c\",\"d\"],\"max_tokens\":5}", 5, 12,
     0},
    {TEXT, "{\"prompt\":[[1,2],[3]],\"n\":2}", -1, 4, 0},
    {TEXT, "{\"prompt\":[1,2,3],\"n\":2}", -1, 2, 0},
    {TEXT, "{\"prompt\":\"a\",\"prompt\":[\"a\",\"b\"],\"prompt\":null}", -1, 2, 0},
    {TEXT, "{\"prompt\":[\"a\",\"b\"],\"n\":9007199254740000}", -1, PROVIDER_SIZE_MAX, 0},
    {TEXT, "{\"prompt\":[\"a\",\"b\"],\"n\":9223372036854775807}", -1, PROVIDER_SIZE_MAX, 0},
    {CHAT, "{\"prompt\":[\"a\",\"b\"],\"n\":2}", -1, 2, 0},
    // Tools.
    {CHAT, "{\"tools\":[]}", -1, 1, 0},
    {CHAT, "{\"tools\":[{\"tools\":[1,2]},{}],\"functions\":[{},[],3]}", -1, 1, 5},
    {CHAT, "{\"tools\":[1],\"tools\":[1,2]}", -1, 1, 3},
    {CHAT, "{\"tools\":{\"a\":1},\"functions\":null}", -1, 1, 0},
    {CHAT, "{\"tools\":\"abc\"}", -1, 1, 0},
    {RESP, "{\"tools\":[{},{}],\"functions\":[1]}", -1, 1, 2},
    {MSG, "{\"tools\":[{}],\"functions\":[1]}", -1, 1, 1},
    {TEXT, "{\"tools\":[{}]}", -1, 1, 0},
    // No object at all.
    {CHAT, "[\"max_tokens\",5]", -1, 1, 0},
    {CHAT, "\"max_tokens\"", -1, 1, 0},
    {CHAT, "5", -1, 1, 0},
    {CHAT, "null", -1, 1, 0},
};

static void assert_size(const char *what, const struct provider_request *got, int64_t cap,
                        int64_t n, int64_t tools) {
    if (got->output_cap != cap || got->n != n || got->tools != tools)
        fail_msg("%s: cap %lld, n %lld, tools %lld; wanted %lld, %lld, %lld", what,
                 (long long)got->output_cap, (long long)got->n, (long long)got->tools,
                 (long long)cap, (long long)n, (long long)tools);
}

static void sizes(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct json_doc *doc = parsed(slice_of(rows[i].request));
        struct provider_request got;
        provider_read_request((enum api_endpoint)rows[i].endpoint, doc, &got);
        assert_size(rows[i].request, &got, rows[i].cap, rows[i].n, rows[i].tools);
        json_doc_free(doc);
    }
}

static void an_empty_document_says_nothing(void **state) {
    (void)state;
    struct json_doc *doc = json_doc_new();
    struct provider_request got;
    struct error err;
    provider_read_request(API_CHAT_COMPLETIONS, doc, &got);
    assert_size("fresh", &got, -1, 1, 0);
    assert_int_equal(provider_count_prompts(API_COMPLETIONS, doc), 1);
    assert_false(json_parse(doc, SLICE("{\"n\":5,"), NULL, &err));
    provider_read_request(API_CHAT_COMPLETIONS, doc, &got);
    assert_size("broken", &got, -1, 1, 0);
    json_doc_free(doc);
}

static void a_number_of_a_megabyte(void **state) {
    (void)state;
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "{\"max_tokens\":");
    for (int i = 0; i < 1 << 20; i++)
        buffer_append_char(&text, '9');
    BUFFER_LITERAL(&text, "}");
    struct json_doc *doc = parsed(buffer_slice(&text));
    struct provider_request got;
    provider_read_request(API_MESSAGES, doc, &got);
    assert_size("a megabyte of nines", &got, PROVIDER_SIZE_MAX, 1, 0);
    json_doc_free(doc);
    buffer_free(&text);
}

static void prompts(void **state) {
    (void)state;
    static const struct {
        unsigned endpoint;
        const char *request;
        int64_t count;
    } cases[] = {
        {TEXT, "{\"prompt\":\"a\"}", 1},
        {TEXT, "{\"prompt\":[\"a\",\"b\"]}", 2},
        {TEXT, "{\"prompt\":[[1],[2],[3]]}", 3},
        {TEXT, "{\"prompt\":[1,2,3]}", 1},
        {TEXT, "{\"prompt\":[]}", 1},
        {TEXT, "{\"prompt\":null}", 1},
        {TEXT, "{\"prompt\":[\"a\",{}]}", 1},
        {TEXT, "{\"input\":[\"a\",\"b\"]}", 1},
        {TEXT, "{}", 1},
        {EMB, "{\"input\":[\"a\",\"b\"]}", 2},
        {EMB, "{\"prompt\":[\"a\",\"b\"]}", 1},
        {RESP, "{\"input\":[\"a\",\"b\"],\"prompt\":[\"a\",\"b\"]}", 1},
        {CHAT, "{\"input\":[\"a\",\"b\"],\"prompt\":[\"a\",\"b\"]}", 1},
        {TEXT, "[\"prompt\",[\"a\",\"b\"]]", 1},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct json_doc *doc = parsed(slice_of(cases[i].request));
        int64_t got = provider_count_prompts((enum api_endpoint)cases[i].endpoint, doc);
        if (got != cases[i].count)
            fail_msg("%s: %lld", cases[i].request, (long long)got);
        json_doc_free(doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(an_empty_document_says_nothing),
        cmocka_unit_test(a_number_of_a_megabyte),
        cmocka_unit_test(prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
