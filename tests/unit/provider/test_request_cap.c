// Caps on output and on effort, spliced into requests.
#include "shaping.h"

#include <stdio.h>

enum { CHAT = API_CHAT_COMPLETIONS, TEXT = API_COMPLETIONS, RESP = API_RESPONSES,
       EMB = API_EMBEDDINGS, MSG = API_MESSAGES };

// ------------------------------------------------------------------- output

struct output_row {
    unsigned endpoint;
    int64_t cap;
    const char *request;
    const char *wanted; // NULL: nothing is changed
    int64_t before;
    bool completion; // the model wants max_completion_tokens
};

static const struct output_row outputs[] = {
    // Lowered where it stands, in whichever spelling.
    {CHAT, 300, "{\"max_tokens\":301}", "{\"max_tokens\":300}", 301, false},
    {CHAT, 300, "{\"max_tokens\":301}", "{\"max_tokens\":300}", 301, true},
    {CHAT, 300, "{\"max_completion_tokens\":9e3}", "{\"max_completion_tokens\":300}", 9000, false},
    {TEXT, 300, "{\"max_tokens\":301}", "{\"max_tokens\":300}", 301, false},
    {RESP, 300, "{\"max_output_tokens\":301}", "{\"max_output_tokens\":300}", 301, false},
    {MSG, 300, "{\"max_tokens\":301}", "{\"max_tokens\":300}", 301, false},
    // Never raised.
    {CHAT, 300, "{\"max_tokens\":300}", NULL, 300, false},
    {CHAT, 300, "{\"max_tokens\":299}", NULL, 299, true},
    {CHAT, 300, "{\"max_tokens\":1}", NULL, 1, false},
    {TEXT, 300, "{\"max_tokens\":5}", NULL, 5, false},
    {RESP, 300, "{\"max_output_tokens\":5}", NULL, 5, false},
    {MSG, 300, "{\"max_tokens\":5}", NULL, 5, false},
    // Added in the spelling of the endpoint or the model.
    {CHAT, 300, "{\"a\":1}", "{\"a\":1,\"max_tokens\":300}", -1, false},
    {CHAT, 300, "{\"a\":1}", "{\"a\":1,\"max_completion_tokens\":300}", -1, true},
    {CHAT, 300, "{}", "{\"max_tokens\":300}", -1, false},
    {TEXT, 300, "{\"a\":1}", "{\"a\":1,\"max_tokens\":300}", -1, true},
    {RESP, 300, "{\"a\":1}", "{\"a\":1,\"max_output_tokens\":300}", -1, true},
    {MSG, 300, "{\"a\":1}", "{\"a\":1,\"max_tokens\":300}", -1, true},
    {CHAT, 300, "{\"max_tokens\":null}", "{\"max_tokens\":300}", -1, false},
    {CHAT, 300, "{\"max_tokens\":null}", "{\"max_tokens\":null,\"max_completion_tokens\":300}", -1,
     true},
    {CHAT, 300, "{\"max_tokens\":null,\"max_completion_tokens\":5}", NULL, 5, false},
    {RESP, 300, "{\"max_tokens\":9}", "{\"max_tokens\":9,\"max_output_tokens\":300}", -1, false},
    // All spellings, and keys that stand twice.
    {CHAT, 300, "{\"max_tokens\":900,\"max_completion_tokens\":800}",
     "{\"max_tokens\":300,\"max_completion_tokens\":300}", 900, false},
    {CHAT, 300, "{\"max_tokens\":5,\"max_completion_tokens\":800}",
     "{\"max_tokens\":5,\"max_completion_tokens\":300}", 800, false},
    {CHAT, 300, "{\"max_tokens\":5,\"max_tokens\":800}", "{\"max_tokens\":5,\"max_tokens\":300}",
     800, false},
    {CHAT, 300, "{\"max_tokens\":800,\"max_tokens\":5}", "{\"max_tokens\":300,\"max_tokens\":5}",
     800, false},
    {CHAT, 300, "{\"max\\u005ftokens\":800}", "{\"max\\u005ftokens\":300}", 800, false},
    // What is no cap to some server is made one.
    {CHAT, 300, "{\"max_tokens\":-1}", "{\"max_tokens\":300}", PROVIDER_SIZE_MAX, false},
    {CHAT, 300, "{\"max_tokens\":-1e400}", "{\"max_tokens\":300}", PROVIDER_SIZE_MAX, false},
    {CHAT, 300, "{\"max_tokens\":1e400}", "{\"max_tokens\":300}", PROVIDER_SIZE_MAX, false},
    {CHAT, 300, "{\"max_tokens\":300.5}", "{\"max_tokens\":300}", 301, false},
    {CHAT, 300, "{\"max_tokens\":\"5000\"}", "{\"max_tokens\":300}", 5000, false},
    {CHAT, 300, "{\"max_tokens\":\" 5000\"}", "{\"max_tokens\":300}", PROVIDER_SIZE_MAX, false},
    {CHAT, 300, "{\"max_tokens\":\"\\u0035000\"}", "{\"max_tokens\":300}", PROVIDER_SIZE_MAX,
     false},
    {CHAT, 300, "{\"max_tokens\":\"lots\"}", "{\"max_tokens\":300}", PROVIDER_SIZE_MAX, false},
    // The provider's to judge.
    {CHAT, 300, "{\"max_tokens\":0}", NULL, -1, false},
    {TEXT, 300, "{\"max_tokens\":0,\"echo\":true,\"logprobs\":1}", NULL, -1, false},
    {CHAT, 300, "{\"max_tokens\":299.5}", NULL, 300, false},
    {CHAT, 300, "{\"max_tokens\":\"200\"}", NULL, 200, false},
    {CHAT, 300, "{\"max_tokens\":true}", NULL, -1, false},
    {CHAT, 300, "{\"max_tokens\":[900]}", NULL, -1, false},
    {CHAT, 300, "{\"max_tokens\":{\"max_tokens\":900}}", NULL, -1, true},
    // Every other byte stays.
    {CHAT, 300, " {\n \"max_tokens\" :\t900 , \"x\" : 1.50 , \"\\u0061\":\"\\/\" }\n",
     " {\n \"max_tokens\" :\t300 , \"x\" : 1.50 , \"\\u0061\":\"\\/\" }\n", 900, false},
    {CHAT, 300, "{\"messages\":[{\"max_tokens\":900}],\"metadata\":{\"max_tokens\":\"900\"} }",
     "{\"messages\":[{\"max_tokens\":900}],\"metadata\":{\"max_tokens\":\"900\"},"
     "\"max_tokens\":300 }", -1, false},
    {CHAT, 300, "{\"user\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"n\":2,\"max_tokens\":900}",
     "{\"user\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"n\":2,\"max_tokens\":300}", 900, false},
    // What takes no cap, and caps that are none.
    {EMB, 300, "{\"max_tokens\":900}", NULL, -1, false},
    {API_MODELS, 300, "{\"max_tokens\":900}", NULL, -1, false},
    {API_OTHER, 300, "{\"max_tokens\":900}", NULL, -1, false},
    {CHAT, 0, "{\"max_tokens\":900}", NULL, -1, false},
    {CHAT, -1, "{\"max_tokens\":900}", NULL, -1, false},
    {CHAT, 1, "{\"max_tokens\":900}", "{\"max_tokens\":1}", 900, false},
    {CHAT, INT64_MAX, "{\"max_tokens\":900}", NULL, 900, false},
    {CHAT, INT64_MAX - 1, "{\"max_tokens\":9223372036854775807}",
     "{\"max_tokens\":9223372036854775806}", PROVIDER_SIZE_MAX, false},
    {CHAT, INT64_MAX, "{}", "{\"max_tokens\":9223372036854775807}", -1, false},
    {CHAT, 300, "[]", NULL, -1, false},
    {CHAT, 300, "[{\"max_tokens\":900}]", NULL, -1, false},
    {CHAT, 300, "\"max_tokens\"", NULL, -1, false},
    {CHAT, 300, "null", NULL, -1, false},
};

#define THINKS(tokens)  "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" tokens "}"
#define DISABLED        "\"thinking\":{\"type\":\"disabled\"}"

static const struct output_row thinking[] = {
    // Fits below the cap: as it was.
    {MSG, 4000, "{\"max_tokens\":8000," THINKS("3999") "}",
     "{\"max_tokens\":4000," THINKS("3999") "}", 8000, false},
    // Keeps its share.
    {MSG, 4000, "{\"max_tokens\":8000," THINKS("4000") "}",
     "{\"max_tokens\":4000," THINKS("2000") "}", 8000, false},
    {MSG, 4000, "{" THINKS("6000") ",\"max_tokens\":8000}",
     "{" THINKS("3000") ",\"max_tokens\":4000}", 8000, false},
    {MSG, 2000, "{\"max_tokens\":64000," THINKS("63999") "}",
     "{\"max_tokens\":2000," THINKS("1999") "}", 64000, false},
    // At least the minimum.
    {MSG, 1025, "{\"max_tokens\":64000," THINKS("32000") "}",
     "{\"max_tokens\":1025," THINKS("1024") "}", 64000, false},
    {MSG, 1500, "{\"max_tokens\":64000," THINKS("2048") "}",
     "{\"max_tokens\":1500," THINKS("1024") "}", 64000, false},
    // Where not even that fits.
    {MSG, 1024, "{\"max_tokens\":8000," THINKS("4000") "}", "{\"max_tokens\":1024," DISABLED "}",
     8000, false},
    {MSG, 1, "{\"max_tokens\":8000," THINKS("1024") "}", "{\"max_tokens\":1," DISABLED "}", 8000,
     false},
    // The share is not known: half.
    {MSG, 4000, "{" THINKS("5000") "}", "{" THINKS("2000") ",\"max_tokens\":4000}", -1, false},
    {MSG, 1100, "{" THINKS("5000") "}", "{" THINKS("1024") ",\"max_tokens\":1100}", -1, false},
    {MSG, 4000, "{\"max_tokens\":-1," THINKS("5000") "}",
     "{\"max_tokens\":4000," THINKS("2000") "}", PROVIDER_SIZE_MAX, false},
    // Not below max_tokens before: refused, or interleaved thinking.
    {MSG, 4000, "{\"max_tokens\":8000," THINKS("8000") "}",
     "{\"max_tokens\":4000," THINKS("8000") "}", 8000, false},
    {MSG, 4000, "{\"max_tokens\":8000," THINKS("90000") "}",
     "{\"max_tokens\":4000," THINKS("90000") "}", 8000, false},
    // max_tokens stays, so does the thinking.
    {MSG, 4000, "{\"max_tokens\":4000," THINKS("3000") "}", NULL, 4000, false},
    {MSG, 4000, "{\"max_tokens\":100," THINKS("5000") "}", NULL, 100, false},
    {MSG, 4000, "{\"max_tokens\":[]," THINKS("5000") "}", NULL, -1, false},
    // No overflow.
    {MSG, INT64_MAX - 2, "{\"max_tokens\":9223372036854775806," THINKS("9223372036854775805") "}",
     "{\"max_tokens\":9223372036854775805," THINKS("9223372036854775804") "}",
     PROVIDER_SIZE_MAX, false},
    // Others have no budget, or none that is a number.
    {MSG, 500, "{\"max_tokens\":900,\"thinking\":{\"type\":\"adaptive\"}}",
     "{\"max_tokens\":500,\"thinking\":{\"type\":\"adaptive\"}}", 900, false},
    {MSG, 500, "{\"max_tokens\":9000,\"thinking\":{\"type\":\"disabled\",\"budget_tokens\":8000}}",
     "{\"max_tokens\":500,\"thinking\":{\"type\":\"disabled\",\"budget_tokens\":8000}}", 9000,
     false},
    {MSG, 500, "{\"max_tokens\":9000," THINKS("\"8000\"") "}",
     "{\"max_tokens\":500," THINKS("\"8000\"") "}", 9000, false},
    {MSG, 500, "{\"max_tokens\":9000,\"thinking\":{\"type\":\"enabled\"}}",
     "{\"max_tokens\":500,\"thinking\":{\"type\":\"enabled\"}}", 9000, false},
    {MSG, 500, "{\"max_tokens\":9000,\"thinking\":null}", "{\"max_tokens\":500,\"thinking\":null}",
     9000, false},
    {MSG, 500, "{\"max_tokens\":9000,\"thinking\":[1]}", "{\"max_tokens\":500,\"thinking\":[1]}",
     9000, false},
    // Members that are not known, and other endpoints.
    {MSG, 4000, "{\"max_tokens\":8000,\"thinking\":{ \"display\":\"x\", \"budget_tokens\" : 6000, "
     "\"type\":\"enabled\" }}",
     "{\"max_tokens\":4000,\"thinking\":{ \"display\":\"x\", \"budget_tokens\" : 3000, "
     "\"type\":\"enabled\" }}", 8000, false},
    {CHAT, 500, "{\"max_tokens\":9000," THINKS("8000") "}",
     "{\"max_tokens\":500," THINKS("8000") "}", 9000, false},
};

static bool cap_output(const struct shaping *s, const void *row) {
    const struct output_row *r = row;
    int64_t before = -7;
    bool changed = provider_cap_output(
        (enum api_endpoint)r->endpoint, s->doc, r->cap,
        r->completion ? PROVIDER_MAX_COMPLETION_TOKENS : PROVIDER_MAX_TOKENS, s->edits, s->arena,
        &before);
    bool original = slice_equal(json_text(s->doc), slice_of(r->request)); // the first time
    if (before < -1 || (original && before != r->before))
        fail_msg("%s: before %lld", r->request, (long long)before);
    return changed;
}

static void output_caps(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(outputs); i++)
        assert_shaped(cap_output, &outputs[i], outputs[i].request, outputs[i].wanted);
    assert_nothing_in_an_empty_document(cap_output, &outputs[0]);
}

static void thinking_budgets(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(thinking); i++)
        assert_shaped(cap_output, &thinking[i], thinking[i].request, thinking[i].wanted);
}

// ------------------------------------------------------------------- effort

struct effort_row {
    unsigned endpoint;
    const char *ceiling;
    bool reasons;
    const char *request, *wanted, *before;
};

static const struct effort_row efforts[] = {
    {CHAT, "low", false, "{\"reasoning_effort\":\"high\"}", "{\"reasoning_effort\":\"low\"}",
     "high"},
    {CHAT, "low", true, "{\"reasoning_effort\":\"high\"}", "{\"reasoning_effort\":\"low\"}",
     "high"},
    {CHAT, "low", true, "{\"reasoning_effort\":\"low\"}", NULL, "low"},
    {CHAT, "low", true, "{\"reasoning_effort\":\"minimal\"}", NULL, "minimal"},
    {CHAT, "low", true, "{\"reasoning_effort\":\"none\"}", NULL, "none"},
    {CHAT, "xhigh", true, "{\"reasoning_effort\":\"max\"}", "{\"reasoning_effort\":\"xhigh\"}",
     "max"},
    {CHAT, "low", true, "{ \"reasoning_effort\" : \"h\\u0069gh\" , \"a\":1 }",
     "{ \"reasoning_effort\" : \"low\" , \"a\":1 }", "high"},
    // Said nothing.
    {CHAT, "low", true, "{\"a\":1}", "{\"a\":1,\"reasoning_effort\":\"low\"}", ""},
    {CHAT, "none", true, "{}", "{\"reasoning_effort\":\"none\"}", ""},
    {CHAT, "minimal", true, "{\"reasoning_effort\":null}", "{\"reasoning_effort\":\"minimal\"}",
     ""},
    {CHAT, "medium", true, "{}", NULL, ""},
    {CHAT, "high", true, "{}", NULL, ""},
    {CHAT, "low", false, "{}", NULL, ""},
    {CHAT, "low", false, "{\"reasoning_effort\":null}", NULL, ""},
    // Not understood.
    {CHAT, "low", true, "{\"reasoning_effort\":\"turbo\"}", NULL, "turbo"},
    {CHAT, "low", true, "{\"reasoning_effort\":\"High\"}", NULL, "High"},
    {CHAT, "low", true, "{\"reasoning_effort\":\"\"}", NULL, ""},
    {CHAT, "low", true, "{\"reasoning_effort\":5}", NULL, ""},
    {CHAT, "low", true, "{\"reasoning_effort\":[\"high\"]}", NULL, ""},
    {CHAT, "turbo", true, "{\"reasoning_effort\":\"high\"}", NULL, ""},
    {CHAT, "max", true, "{\"reasoning_effort\":\"max\"}", NULL, ""},
    {CHAT, "", true, "{}", NULL, ""},
    // Elsewhere, or twice.
    {CHAT, "low", false, "{\"messages\":[{\"reasoning_effort\":\"high\"}]}", NULL, ""},
    {CHAT, "low", false, "{\"reasoning\":{\"effort\":\"high\"}}", NULL, ""},
    {CHAT, "low", false, "{\"reasoning_effort\":\"low\",\"reasoning_effort\":\"high\"}",
     "{\"reasoning_effort\":\"low\",\"reasoning_effort\":\"low\"}", "high"},
    // Responses.
    {RESP, "low", false, "{\"reasoning\":{\"effort\":\"xhigh\",\"summary\":\"auto\"}}",
     "{\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"}}", "xhigh"},
    {RESP, "high", true, "{\"reasoning\":{\"effort\":\"medium\"}}", NULL, "medium"},
    {RESP, "low", true, "{\"reasoning\":{\"summary\":\"auto\"}}",
     "{\"reasoning\":{\"summary\":\"auto\",\"effort\":\"low\"}}", ""},
    {RESP, "low", true, "{\"reasoning\":{}}", "{\"reasoning\":{\"effort\":\"low\"}}", ""},
    {RESP, "low", true, "{\"reasoning\":{\"effort\":null}}", "{\"reasoning\":{\"effort\":\"low\"}}",
     ""},
    {RESP, "low", true, "{\"reasoning\":null}", "{\"reasoning\":{\"effort\":\"low\"}}", ""},
    {RESP, "none", true, "{}", "{\"reasoning\":{\"effort\":\"none\"}}", ""},
    {RESP, "medium", true, "{}", NULL, ""},
    {RESP, "low", false, "{\"reasoning\":{}}", NULL, ""},
    {RESP, "low", false, "{\"reasoning_effort\":\"high\"}", NULL, ""},
    {RESP, "low", true, "{\"reasoning\":\"high\"}", NULL, ""},
    {RESP, "low", true, "{\"reasoning\":[\"effort\",\"high\"]}", NULL, ""},
    {RESP, "low", true, "{\"reasoning\":{\"effort\":7}}", NULL, ""},
    {RESP, "low", false,
     "{\"reasoning\":{\"effort\":\"low\"},\"reasoning\":{\"effort\":\"low\",\"effort\":\"high\"}}",
     "{\"reasoning\":{\"effort\":\"low\"},\"reasoning\":{\"effort\":\"low\",\"effort\":\"low\"}}",
     "high"},
    // No such thing.
    {MSG, "low", true, "{\"output_config\":{\"effort\":\"high\"}}", NULL, ""},
    {TEXT, "low", true, "{\"reasoning_effort\":\"high\"}", NULL, ""},
    {EMB, "low", true, "{}", NULL, ""},
    {CHAT, "low", true, "[]", NULL, ""},
    {RESP, "low", true, "[\"reasoning\",{\"effort\":\"high\"}]", NULL, ""},
    {CHAT, "low", true, "\"high\"", NULL, ""},
};

static bool cap_effort(const struct shaping *s, const void *row) {
    const struct effort_row *r = row;
    struct slice before = SLICE("unset");
    bool changed = provider_cap_effort((enum api_endpoint)r->endpoint, s->doc, slice_of(r->ceiling),
                                       r->reasons, s->edits, &before);
    if (slice_equal(json_text(s->doc), slice_of(r->request)))
        assert_bytes(before, slice_of(r->before), r->request);
    return changed;
}

static void effort_ceilings(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(efforts); i++)
        assert_shaped(cap_effort, &efforts[i], efforts[i].request, efforts[i].wanted);
    assert_nothing_in_an_empty_document(cap_effort, &efforts[0]);
}

// Each word against each ceiling.
static void efforts_are_ordered(void **state) {
    (void)state;
    static const char *const words[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    for (size_t c = 0; c + 1 < FARTHING_COUNT(words); c++)
        for (size_t w = 0; w < FARTHING_COUNT(words); w++) {
            char request[64], wanted[64];
            snprintf(request, sizeof request, "{\"reasoning_effort\":\"%s\"}", words[w]);
            snprintf(wanted, sizeof wanted, "{\"reasoning_effort\":\"%s\"}", words[c]);
            struct effort_row row = {CHAT, words[c], true, request, wanted, words[w]};
            assert_shaped(cap_effort, &row, request, w > c ? wanted : NULL);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_caps),
        cmocka_unit_test(thinking_budgets),
        cmocka_unit_test(effort_ceilings),
        cmocka_unit_test(efforts_are_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
