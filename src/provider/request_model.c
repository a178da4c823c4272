// What the name of a model tells about how it wants to be asked. Names change
// faster than programs: what is not known here gets the plain treatment, and a
// model's section in the file can say better.
#include "farthing/provider.h"

// What the model is called at its maker: "openrouter/openai/o3:floor" is o3, and
// "ft:o4-mini:acme::1" a fine-tuned o4-mini.
static struct slice base_name(struct slice model) {
    for (ptrdiff_t at; (at = slice_find_char(model, '/')) >= 0;)
        model = slice_from(model, (size_t)at + 1);
    return model.len >= 3 && slice_equal_nocase(slice_make(model.ptr, 3), SLICE("ft:"))
               ? slice_from(model, 3)
               : model;
}

static bool is_digit(struct slice s, size_t at) {
    return at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9';
}

// A word ends where the name does, or at what separates words, dates, variants
// and versions: "o1-mini", "o3:floor", "o3@20250416".
static bool word_ends(struct slice s, size_t at) {
    return at >= s.len || memchr("-_:@", s.ptr[at], 4) != NULL;
}

static bool starts_with_words(struct slice name, const char *words, size_t len) {
    return name.len >= len && (name.ptr[0] | 0x20) == words[0] && word_ends(name, len) &&
           slice_equal_nocase(slice_make(name.ptr, len), slice_make(words, len));
}

// o1, o3-mini, o4-mini-2025-04-16; not "olmo", "o200k" or "llama-o1".
static bool is_o_series(struct slice name) {
    size_t at = 1;
    if (name.len < 2 || (name.ptr[0] != 'o' && name.ptr[0] != 'O') || !is_digit(name, 1))
        return false;
    while (is_digit(name, at))
        at++;
    return word_ends(name, at);
}

// gpt-5, gpt-5.1-codex, gpt-6. The first digit tells: Azure writes 3.5 as "gpt-35-turbo".
static bool is_gpt_5_or_later(struct slice name) {
    return name.len > 4 && slice_equal_nocase(slice_make(name.ptr, 4), SLICE("gpt-")) &&
           is_digit(name, 4) && name.ptr[4] >= '5';
}

enum provider_output_field provider_output_field_of(struct slice model) {
    static const char codex[] = "codex-mini"; // an o4-mini
    struct slice name = base_name(model);
    return is_o_series(name) || is_gpt_5_or_later(name) ||
                   starts_with_words(name, codex, sizeof codex - 1)
               ? PROVIDER_MAX_COMPLETION_TOKENS
               : PROVIDER_MAX_TOKENS;
}

// The first row that fits counts. Only such models are in it as take a word on
// their effort and think at medium or above without one: adding the word must
// neither be refused nor raise anything. So these are not:
// - gpt-5.1 and later, whose default is "none"; grok-4.3 ("low")
// - Claude, which thinks when it is asked to; the flash-lite models of Gemini likewise
// - grok-4 and its fast variants, magistral, which refuse the field
// - deepseek-reasoner, deepseek-r1, qwq, which think as they like
#define NAMED(text) text, sizeof(text) - 1
static const struct {
    const char *words;
    uint8_t len;
    bool reasons;
} known[] = {
    {NAMED("gpt-5-chat"), false}, // does not think
    {NAMED("gpt-5-pro"), false},  // takes "high" and nothing else
    {NAMED("gpt-5-search"), false},
    {NAMED("gpt-5"), true},
    {NAMED("gpt-oss"), true},
    {NAMED("codex-mini"), true},
    {NAMED("o1-mini"), false}, // the two that came before the field
    {NAMED("o1-preview"), false},
    {NAMED("o3-deep-research"), false}, // take "medium" and nothing else
    {NAMED("o4-mini-deep-research"), false},
    {NAMED("gemini-2.5-flash-lite"), false},
    {NAMED("gemini-2.5-flash-image"), false},
    {NAMED("gemini-2.5-flash"), true},
    {NAMED("gemini-2.5-pro"), true},
    {NAMED("gemini-3-pro-image"), false},
    {NAMED("gemini-3-pro"), true},
    {NAMED("gemini-3.1-pro"), true},
    {NAMED("gemini-3-flash"), true},
    {NAMED("grok-3-mini"), true},
    {NAMED("grok-4.5"), true},
};

bool provider_model_reasons(struct slice model) {
    struct slice name = base_name(model);
    for (size_t i = 0; i < FARTHING_COUNT(known); i++)
        if (starts_with_words(name, known[i].words, known[i].len))
            return known[i].reasons;
    return is_o_series(name);
}
