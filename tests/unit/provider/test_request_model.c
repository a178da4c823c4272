// What the name of a model tells about how it wants to be asked.
#include "support.h"

static const struct {
    const char *name;
    bool completion; // takes max_completion_tokens only
    bool reasons;    // at medium or above when told nothing, and takes a word on it
} models[] = {
    {"o1", true, true},
    {"o3", true, true},
    {"o3-mini", true, true},
    {"o3-mini-2025-01-31", true, true},
    {"o4-mini", true, true},
    {"O3-Mini", true, true},
    {"o10", true, true},
    {"openai/o3", true, true},
    {"openrouter/openai/o3", true, true},
    {"openai/o3:floor", true, true},
    {"o3@2025-04-16", true, true},
    {"ft:o4-mini-2025-04-16:acme::a1", true, true},
    {"codex-mini-latest", true, true},
    // The field came after these, or they take one word only.
    {"o1-mini", true, false},
    {"o1-preview", true, false},
    {"o1-preview-2024-09-12", true, false},
    {"o3-deep-research", true, false},
    {"o4-mini-deep-research-2025-06-26", true, false},
    {"gpt-5-pro", true, false},
    {"gpt-5-chat-latest", true, false},
    {"gpt-5-search-api", true, false},
    {"gpt-5", true, true},
    {"GPT-5", true, true},
    {"openai/gpt-5-mini", true, true},
    {"gpt-5-nano-2025-08-07", true, true},
    {"gpt-5-codex", true, true},
    {"azure/gpt-5", true, true},
    // "none" is what these do when told nothing.
    {"gpt-5.1", true, false},
    {"gpt-5.1-codex", true, false},
    {"gpt-5.2-chat-latest", true, false},
    {"gpt-6", true, false},
    {"gpt-4o", false, false},
    {"gpt-4.1-mini", false, false},
    {"gpt-4", false, false},
    {"gpt-3.5-turbo", false, false},
    {"gpt-35-turbo", false, false}, // Azure's spelling
    {"ft:gpt-4o-2024-08-06:acme::a1", false, false},
    {"gpt-oss-120b", false, true},
    {"openai/gpt-oss:20b", false, true},
    {"gpt-", false, false},
    {"gpt-x5", false, false},
    {"my-gpt-5", false, false},
    // Others of that look.
    {"foo1", false, false},
    {"llama-o1", false, false},
    {"ai2/olmo", false, false},
    {"o", false, false},
    {"ox1", false, false},
    {"o1x", false, false},
    {"o200k", false, false},
    {"omni-moderation-latest", false, false},
    {"o3/llama", false, false},
    {"marco-o1", false, false},
    {"", false, false},
    {"/", false, false},
    {"openai/", false, false},
    {"ft:", false, false},
    // Other makers.
    {"google/gemini-2.5-pro", false, true},
    {"gemini-2.5-flash", false, true},
    {"gemini-2.5-flash-preview-05-20", false, true},
    {"gemini-2.5-flash-lite", false, false},
    {"gemini-2.5-flash-image", false, false},
    {"gemini-2.0-flash", false, false},
    {"gemini-3-pro-preview", false, true},
    {"gemini-3-pro-image-preview", false, false},
    {"gemini-3.1-pro-preview", false, true},
    {"gemini-3-flash-preview", false, true},
    {"gemini-3.1-flash-lite", false, false},
    {"xai/grok-3-mini", false, true},
    {"grok-3-mini-fast", false, true},
    {"grok-3", false, false},
    {"grok-4", false, false},
    {"grok-4-fast-reasoning", false, false},
    {"grok-4.3", false, false},
    {"grok-4.5", false, true},
    {"claude-sonnet-4-5", false, false},
    {"anthropic/claude-opus-4-1", false, false},
    {"deepseek-reasoner", false, false},
    {"deepseek-r1", false, false},
    {"qwq-32b", false, false},
    {"magistral-medium", false, false},
    {"mistral-large", false, false},
};

static void names(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(models); i++) {
        // From memory of its own size, so that a sanitizer sees a read beyond it.
        size_t len = strlen(models[i].name);
        char *own = base_alloc(len > 0 ? len : 1);
        memcpy(own, models[i].name, len);
        struct slice name = slice_make(own, len);
        bool completion = provider_output_field_of(name) == PROVIDER_MAX_COMPLETION_TOKENS;
        bool reasons = provider_model_reasons(name);
        free(own);
        if (completion != models[i].completion || reasons != models[i].reasons)
            fail_msg("%s: max_completion_tokens %d, reasons %d", models[i].name, completion,
            reasons);
    }
    assert_int_equal(provider_output_field_of(SLICE_NONE), PROVIDER_MAX_TOKENS);
    assert_false(provider_model_reasons(SLICE_NONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
