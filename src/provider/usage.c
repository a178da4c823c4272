// Usage in every spelling that OpenAI-compatible servers use, brought to one
// convention: input includes cached and cache-write tokens, output includes
// reasoning tokens.
#include "farthing/provider.h"

enum { TOKENS_MAX = 1 << 30 }; // more is a mistake, and would overflow money

struct reading {
    const struct json_doc *doc;
    json_ref usage;
};

static bool number(const struct json_doc *doc, json_ref object, const char *name, int64_t *out) {
    int64_t value;
    double fraction;
    json_ref ref = json_get(doc, object, slice_of(name));
    if (ref == JSON_NONE)
        return false;
    if (!json_i64(doc, ref, &value)) {
        if (!json_double(doc, ref, &fraction) || !(fraction > 0) || fraction > TOKENS_MAX)
            return false;
        value = (int64_t)fraction + 1;
    }
    *out = value < 0 ? 0 : value > TOKENS_MAX ? TOKENS_MAX : value;
    return true;
}

// The first of two names that is there.
static bool either(const struct json_doc *doc, json_ref object, const char *a, const char *b,
                   int64_t *out) {
    return number(doc, object, a, out) || number(doc, object, b, out);
}

static json_ref details_of(const struct json_doc *doc, json_ref usage, const char *a, const char *b) {
    json_ref details = json_get(doc, usage, slice_of(a));
    return json_is_absent(doc, details) ? json_get(doc, usage, slice_of(b)) : details;
}

static void read_details(const struct json_doc *doc, json_ref usage, struct api_usage *out) {
    json_ref in = details_of(doc, usage, "prompt_tokens_details", "input_tokens_details");
    number(doc, in, "cached_tokens", &out->cached_tokens);
    either(doc, in, "cache_write_tokens", "cache_creation_tokens", &out->cache_write_tokens);
    number(doc, in, "audio_tokens", &out->input_audio_tokens);
    number(doc, in, "image_tokens", &out->input_image_tokens);
    json_ref result = details_of(doc, usage, "completion_tokens_details", "output_tokens_details");
    number(doc, result, "reasoning_tokens", &out->reasoning_tokens);
    number(doc, result, "audio_tokens", &out->output_audio_tokens);
    number(doc, result, "image_tokens", &out->output_image_tokens);
}

// Anthropic counts cache reads and writes beside input_tokens, not in it.
static void read_anthropic_cache(const struct json_doc *doc, json_ref usage, struct api_usage *out,
                                 bool beside) {
    int64_t read = 0, written = 0;
    bool any = number(doc, usage, "cache_read_input_tokens", &read);
    any = number(doc, usage, "cache_creation_input_tokens", &written) || any;
    if (!any)
        return;
    if (read > out->cached_tokens)
        out->cached_tokens = read;
    if (written > out->cache_write_tokens)
        out->cache_write_tokens = written;
    json_ref lifetimes = json_get(doc, usage, SLICE("cache_creation"));
    number(doc, lifetimes, "ephemeral_1h_input_tokens", &out->cache_write_1h_tokens);
    if (beside)
        out->input_tokens += read + written;
}

void provider_read_usage(const struct json_doc *doc, json_ref usage, struct api_usage *out) {
    if (json_is_absent(doc, usage) || json_type_of(doc, usage) != JSON_OBJECT)
        return;
    struct api_usage u = {0};
    int64_t total = 0;
    bool openai = number(doc, usage, "prompt_tokens", &u.input_tokens);
    bool known = openai || number(doc, usage, "input_tokens", &u.input_tokens);
    known = either(doc, usage, "completion_tokens", "output_tokens", &u.output_tokens) || known;
    bool has_total = number(doc, usage, "total_tokens", &total);
    if (!known)
        return;
    u.known = true;
    read_details(doc, usage, &u);
    number(doc, usage, "prompt_cache_hit_tokens", &u.cached_tokens); // DeepSeek
    if (u.cached_tokens == 0)
        number(doc, usage, "cached_tokens", &u.cached_tokens); // Moonshot
    if (u.reasoning_tokens == 0)
        number(doc, usage, "reasoning_tokens", &u.reasoning_tokens);
    // A proxy that speaks OpenAI's prompt_tokens has added the cache already.
    read_anthropic_cache(doc, usage, &u, !openai && !has_total);
    // xAI and Gemini report reasoning beside completion_tokens: the total tells.
    int64_t beside = total - u.input_tokens - u.output_tokens;
    if (has_total && beside > 0 && (beside == u.reasoning_tokens || u.reasoning_tokens == 0) && openai) {
        u.output_tokens += beside;
        if (u.reasoning_tokens == 0)
            u.reasoning_tokens = beside;
    }
    *out = u;
}
