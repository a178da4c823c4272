// Usage objects in every spelling that is known, one row each.
#include "support.h"

#define HUGE_TOKENS (1LL << 30)

static const struct sample {
    const char *name;
    const char *usage;
    struct api_usage wanted;
} samples[] = {
    {"OpenAI chat",
     "{\"prompt_tokens\":100,\"completion_tokens\":50,\"total_tokens\":150,"
     "\"prompt_tokens_details\":{\"cached_tokens\":64,\"audio_tokens\":5},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":30,\"audio_tokens\":7,"
     "\"accepted_prediction_tokens\":1,\"rejected_prediction_tokens\":2}}",
     {.known = true,
      .input_tokens = 100,
      .output_tokens = 50,
      .cached_tokens = 64,
      .reasoning_tokens = 30,
      .input_audio_tokens = 5,
      .output_audio_tokens = 7}},
    {"OpenAI responses",
     "{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":64},"
     "\"output_tokens\":50,\"output_tokens_details\":{\"reasoning_tokens\":30},"
     "\"total_tokens\":150}",
     {.known = true,
      .input_tokens = 100,
      .output_tokens = 50,
      .cached_tokens = 64,
      .reasoning_tokens = 30}},
    {"OpenAI images",
     "{\"total_tokens\":100,\"input_tokens\":50,\"output_tokens\":50,"
     "\"input_tokens_details\":{\"text_tokens\":10,\"image_tokens\":40},"
     "\"output_tokens_details\":{\"image_tokens\":50}}",
     {.known = true,
      .input_tokens = 50,
      .output_tokens = 50,
      .input_image_tokens = 40,
      .output_image_tokens = 50}},
    {"OpenAI transcriptions",
     "{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":0,"
     "\"audio_tokens\":14},\"output_tokens\":45,\"total_tokens\":59}",
     {.known = true, .input_tokens = 14, .output_tokens = 45, .input_audio_tokens = 14}},
    {"billed by duration", "{\"type\":\"duration\",\"seconds\":12}", {.known = false}},
    {"embeddings", "{\"prompt_tokens\":8,\"total_tokens\":8}", {.known = true, .input_tokens = 8}},
    {"Voyage embeddings", "{\"total_tokens\":8}", {.known = true, .input_tokens = 8}},
    {"embeddings whose total is larger",
     "{\"prompt_tokens\":8,\"total_tokens\":9}",
     {.known = true, .input_tokens = 8}},
    {"details that are null",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15,"
     "\"prompt_tokens_details\":null,\"completion_tokens_details\":null}",
     {.known = true, .input_tokens = 10, .output_tokens = 5}},
    {"details of null",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,"
     "\"prompt_tokens_details\":{\"cached_tokens\":null},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":null}}",
     {.known = true, .input_tokens = 10, .output_tokens = 5}},
    {"DeepSeek: the cache twice",
     "{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,"
     "\"prompt_tokens_details\":{\"cached_tokens\":64},\"prompt_cache_hit_tokens\":64,"
     "\"prompt_cache_miss_tokens\":36}",
     {.known = true, .input_tokens = 100, .output_tokens = 20, .cached_tokens = 64}},
    {"DeepSeek without details",
     "{\"prompt_tokens\":100,\"completion_tokens\":20,\"prompt_cache_hit_tokens\":64,"
     "\"prompt_cache_miss_tokens\":36}",
     {.known = true, .input_tokens = 100, .output_tokens = 20, .cached_tokens = 64}},
    {"Moonshot",
     "{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,\"cached_tokens\":50}",
     {.known = true, .input_tokens = 100, .output_tokens = 20, .cached_tokens = 50}},
    {"two spellings, one of them 0",
     "{\"prompt_tokens\":100,\"completion_tokens\":20,\"prompt_tokens_details\":{"
     "\"cached_tokens\":50},\"cached_tokens\":0,\"prompt_cache_hit_tokens\":0}",
     {.known = true, .input_tokens = 100, .output_tokens = 20, .cached_tokens = 50}},
    {"OpenRouter",
     "{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,\"cost\":0.95,"
     "\"prompt_tokens_details\":{\"cached_tokens\":10,\"cache_write_tokens\":30,"
     "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":8,"
     "\"image_tokens\":3},\"cost_details\":{\"upstream_inference_cost\":19}}",
     {.known = true,
      .input_tokens = 100,
      .output_tokens = 20,
      .cached_tokens = 10,
      .cache_write_tokens = 30,
      .reasoning_tokens = 8,
      .output_image_tokens = 3}},
    {"LiteLLM before Anthropic: the cache is in prompt_tokens",
     "{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,"
     "\"prompt_tokens_details\":{\"cached_tokens\":60,\"cache_creation_tokens\":30},"
     "\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":60}",
     {.known = true,
      .input_tokens = 100,
      .output_tokens = 20,
      .cached_tokens = 60,
      .cache_write_tokens = 30}},
    {"a gateway whose total counts the cache beside prompt_tokens",
     "{\"prompt_tokens\":10,\"completion_tokens\":20,\"total_tokens\":120,"
     "\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":60}",
     {.known = true,
      .input_tokens = 100,
      .output_tokens = 20,
      .cached_tokens = 60,
      .cache_write_tokens = 30}},
    {"Anthropic",
     "{\"input_tokens\":10,\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":60,"
     "\"output_tokens\":20,\"service_tier\":\"standard\","
     "\"cache_creation\":{\"ephemeral_5m_input_tokens\":20,\"ephemeral_1h_input_tokens\":10}}",
     {.known = true,
      .input_tokens = 100,
      .output_tokens = 20,
      .cached_tokens = 60,
      .cache_write_tokens = 30,
      .cache_write_1h_tokens = 10}},
    {"Anthropic, only the lifetimes",
     "{\"input_tokens\":10,\"output_tokens\":20,"
     "\"cache_creation\":{\"ephemeral_5m_input_tokens\":20,\"ephemeral_1h_input_tokens\":10}}",
     {.known = true,
      .input_tokens = 40,
      .output_tokens = 20,
      .cache_write_tokens = 30,
      .cache_write_1h_tokens = 10}},
    {"Anthropic without cache",
     "{\"input_tokens\":10,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
     "\"output_tokens\":20,\"cache_creation\":null}",
     {.known = true, .input_tokens = 10, .output_tokens = 20}},
    {"Anthropic with a total",
     "{\"input_tokens\":10,\"cache_read_input_tokens\":60,\"output_tokens\":20,"
     "\"total_tokens\":90}",
     {.known = true, .input_tokens = 70, .output_tokens = 20, .cached_tokens = 60}},
    {"xAI: reasoning beside completion_tokens",
     "{\"prompt_tokens\":32,\"completion_tokens\":9,\"total_tokens\":135,"
     "\"prompt_tokens_details\":{\"text_tokens\":32,\"cached_tokens\":6,\"image_tokens\":4},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":94}}",
     {.known = true,
      .input_tokens = 32,
      .output_tokens = 103,
      .cached_tokens = 6,
      .reasoning_tokens = 94,
      .input_image_tokens = 4}},
    {"Gemini: reasoning in the total only",
     "{\"prompt_tokens\":7,\"completion_tokens\":12,\"total_tokens\":119}",
     {.known = true, .input_tokens = 7, .output_tokens = 112, .reasoning_tokens = 100}},
    {"cache beside prompt_tokens, as the total tells",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":75,"
     "\"prompt_tokens_details\":{\"cached_tokens\":60}}",
     {.known = true, .input_tokens = 70, .output_tokens = 5, .cached_tokens = 60}},
    {"Perplexity: more reasoning than output",
     "{\"prompt_tokens\":33,\"completion_tokens\":7163,\"total_tokens\":7196,"
     "\"citation_tokens\":20016,\"num_search_queries\":18,\"reasoning_tokens\":73780}",
     {.known = true, .input_tokens = 33, .output_tokens = 80943, .reasoning_tokens = 73780}},
    {"more cache than input",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,"
     "\"prompt_tokens_details\":{\"cached_tokens\":60}}",
     {.known = true, .input_tokens = 70, .output_tokens = 5, .cached_tokens = 60}},
    {"a total that is too small",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":1}",
     {.known = true, .input_tokens = 10, .output_tokens = 5}},
    {"all null",
     "{\"prompt_tokens\":null,\"completion_tokens\":null,\"total_tokens\":null}",
     {.known = false}},
    {"output null",
     "{\"prompt_tokens\":10,\"completion_tokens\":null,\"total_tokens\":10}",
     {.known = true, .input_tokens = 10}},
    {"zeros", "{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}", {.known = true}},
    {"output only", "{\"output_tokens\":5}", {.known = true, .output_tokens = 5}},
    {"nothing known", "{\"tokens\":5}", {.known = false}},
    {"empty", "{}", {.known = false}},
    {"null", "null", {.known = false}},
    {"a list", "[1,2]", {.known = false}},
    {"a number", "12", {.known = false}},
    {"strings", "{\"prompt_tokens\":\"10\",\"completion_tokens\":\"5\"}", {.known = false}},
    {"floats",
     "{\"prompt_tokens\":10.0,\"completion_tokens\":5e0}",
     {.known = true, .input_tokens = 10, .output_tokens = 5}},
    {"fractions are rounded up",
     "{\"prompt_tokens\":10.2,\"completion_tokens\":0.5}",
     {.known = true, .input_tokens = 11, .output_tokens = 1}},
    {"negative", "{\"prompt_tokens\":-10,\"completion_tokens\":-0.5}", {.known = true}},
    {"more than there can be",
     "{\"prompt_tokens\":99999999999999999999,\"completion_tokens\":1e300,"
     "\"total_tokens\":9223372036854775807}",
     {.known = true, .input_tokens = HUGE_TOKENS, .output_tokens = HUGE_TOKENS}},
    {"sums that are too large",
     "{\"input_tokens\":1073741824,\"cache_read_input_tokens\":1073741824,\"output_tokens\":1}",
     {.known = true,
      .input_tokens = HUGE_TOKENS,
      .output_tokens = 1,
      .cached_tokens = HUGE_TOKENS}},
};

static void every_spelling(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(samples); i++) {
        struct json_doc *doc = parsed(slice_of(samples[i].usage));
        struct api_usage got = {0};
        provider_read_usage(doc, JSON_ROOT, &got);
        assert_usage(&got, &samples[i].wanted, samples[i].name);
        json_doc_free(doc);
    }
}

static void no_usage_leaves_what_was(void **state) {
    (void)state;
    struct json_doc *doc = parsed(SLICE("{\"usage\":null}"));
    const struct api_usage before = {.known = true, .input_tokens = 3};
    struct api_usage got = before;
    provider_read_usage(doc, json_get(doc, JSON_ROOT, SLICE("usage")), &got);
    provider_read_usage(doc, JSON_NONE, &got);
    assert_usage(&got, &before, "unchanged");
    json_doc_free(doc);
}

static void estimates_are_never_nothing(void **state) {
    (void)state;
    static const int64_t rows[][2] = {{-5, 1}, {0, 1}, {1, 1},      {4, 1},
                                      {5, 2},  {8, 2}, {4000, 1000}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_int_equal(provider_estimate_tokens(rows[i][0]), rows[i][1]);
    assert_true(provider_estimate_tokens(INT64_MAX) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling),
        cmocka_unit_test(no_usage_leaves_what_was),
        cmocka_unit_test(estimates_are_never_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
