// Usage in every spelling that OpenAI-compatible servers use, brought to one
// convention: input includes cached and cache-write tokens, output includes
// reasoning tokens. What a server counts beside instead of within is found out
// from its own total, or from a part that is larger than its whole.
#include "usage.h"

enum { TOKENS_MAX = 1 << 30 }; // more is a mistake, and would overflow money

enum place { AT_ROOT, IN_INPUT_DETAILS, IN_OUTPUT_DETAILS, IN_CACHE_CREATION, PLACE_COUNT };

// Of several spellings of one field, the first that is not 0 counts.
static const struct spelling {
    enum usage_field field;
    enum place place;
    const char *name;
} spellings[] = {
    {USAGE_INPUT, AT_ROOT, "prompt_tokens"},
    {USAGE_INPUT, AT_ROOT, "input_tokens"},
    {USAGE_OUTPUT, AT_ROOT, "completion_tokens"},
    {USAGE_OUTPUT, AT_ROOT, "output_tokens"},
    {USAGE_TOTAL, AT_ROOT, "total_tokens"},
    {USAGE_CACHED, IN_INPUT_DETAILS, "cached_tokens"},
    {USAGE_CACHED, AT_ROOT, "prompt_cache_hit_tokens"}, // DeepSeek
    {USAGE_CACHED, AT_ROOT, "cached_tokens"},           // Moonshot
    {USAGE_WRITTEN, IN_INPUT_DETAILS, "cache_write_tokens"},
    {USAGE_WRITTEN, IN_INPUT_DETAILS, "cache_creation_tokens"},
    {USAGE_CACHED_APART, AT_ROOT, "cache_read_input_tokens"}, // Anthropic
    {USAGE_WRITTEN_APART, AT_ROOT, "cache_creation_input_tokens"},
    {USAGE_WRITTEN_5M, IN_CACHE_CREATION, "ephemeral_5m_input_tokens"},
    {USAGE_WRITTEN_1H, IN_CACHE_CREATION, "ephemeral_1h_input_tokens"},
    {USAGE_REASONING, IN_OUTPUT_DETAILS, "reasoning_tokens"},
    {USAGE_REASONING, AT_ROOT, "reasoning_tokens"}, // Perplexity
    {USAGE_INPUT_AUDIO, IN_INPUT_DETAILS, "audio_tokens"},
    {USAGE_OUTPUT_AUDIO, IN_OUTPUT_DETAILS, "audio_tokens"},
    {USAGE_INPUT_IMAGE, IN_INPUT_DETAILS, "image_tokens"},
    {USAGE_OUTPUT_IMAGE, IN_OUTPUT_DETAILS, "image_tokens"},
};

// The objects within usage: chat completions', responses', transcriptions'.
static const char *const place_names[PLACE_COUNT][3] = {
    [IN_INPUT_DETAILS] = {"prompt_tokens_details", "input_tokens_details", "input_token_details"},
    [IN_OUTPUT_DETAILS] = {"completion_tokens_details", "output_tokens_details",
                           "output_token_details"},
    [IN_CACHE_CREATION] = {"cache_creation"},
};

static bool number(const struct json_doc *doc, json_ref object, const char *name, int64_t *out) {
    int64_t value;
    double fraction;
    json_ref ref = json_get(doc, object, slice_of(name));
    if (!json_i64(doc, ref, &value)) {
        if (!json_double(doc, ref, &fraction))
            return false;
        value = !(fraction > 0) ? 0 : fraction >= TOKENS_MAX ? TOKENS_MAX : (int64_t)fraction + 1;
    }
    *out = value < 0 ? 0 : value > TOKENS_MAX ? TOKENS_MAX : value;
    return true;
}

static json_ref place_of(const struct json_doc *doc, json_ref usage, enum place place) {
    if (place == AT_ROOT)
        return usage;
    for (size_t i = 0; i < 3 && place_names[place][i] != NULL; i++) {
        json_ref found = json_get(doc, usage, slice_of(place_names[place][i]));
        if (!json_is_absent(doc, found))
            return found;
    }
    return JSON_NONE;
}

static bool has(const struct usage_report *r, enum usage_field field) {
    return (r->present >> field & 1u) != 0;
}

static void put(struct usage_report *r, enum usage_field field, int64_t value) {
    r->present |= 1u << field;
    r->value[field] = value;
}

bool usage_read(const struct json_doc *doc, json_ref usage, struct usage_report *out) {
    *out = (struct usage_report){0};
    if (!json_is(doc, usage, JSON_OBJECT))
        return false;
    json_ref places[PLACE_COUNT];
    for (enum place p = AT_ROOT; p < PLACE_COUNT; p++)
        places[p] = place_of(doc, usage, p);
    for (size_t i = 0; i < FARTHING_COUNT(spellings); i++) {
        const struct spelling *s = &spellings[i];
        int64_t value;
        if (out->value[s->field] == 0 && number(doc, places[s->place], s->name, &value))
            put(out, s->field, value);
    }
    int64_t ignored;
    out->prompt_tokens = number(doc, usage, "prompt_tokens", &ignored);
    return has(out, USAGE_INPUT) || has(out, USAGE_OUTPUT) || has(out, USAGE_TOTAL);
}

static bool is_of_input(enum usage_field field) {
    switch (field) {
    case USAGE_INPUT:
    case USAGE_CACHED:
    case USAGE_WRITTEN:
    case USAGE_CACHED_APART:
    case USAGE_WRITTEN_APART:
    case USAGE_WRITTEN_5M:
    case USAGE_WRITTEN_1H:
    case USAGE_INPUT_AUDIO:
    case USAGE_INPUT_IMAGE:
        return true;
    case USAGE_OUTPUT:
    case USAGE_TOTAL:
    case USAGE_REASONING:
    case USAGE_OUTPUT_AUDIO:
    case USAGE_OUTPUT_IMAGE:
    case USAGE_FIELD_COUNT:
        break;
    }
    return false;
}

void usage_merge(struct usage_report *into, const struct usage_report *later) {
    // No request is empty: an input of 0 is one that this event does not know
    // (as in the message_delta of some gateways), and a report without any
    // token is a server's way to say that it does not count.
    bool knows_input = later->value[USAGE_INPUT] + later->value[USAGE_CACHED_APART] +
                           later->value[USAGE_WRITTEN_APART] >
                       0;
    bool knows_output = later->value[USAGE_OUTPUT] > 0 || knows_input;
    bool is_first = into->present == 0;
    for (enum usage_field f = 0; f < USAGE_FIELD_COUNT; f++)
        if (has(later, f) && (is_first || (is_of_input(f) ? knows_input : knows_output)))
            put(into, f, later->value[f]);
    // A total belongs to its own report.
    if (!has(later, USAGE_TOTAL) && knows_output)
        into->present &= ~(1u << USAGE_TOTAL);
    if (is_first || knows_input)
        into->prompt_tokens = later->prompt_tokens;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t bounded(int64_t tokens) {
    return tokens > TOKENS_MAX ? TOKENS_MAX : tokens;
}

// Anthropic counts cache reads and writes beside input_tokens, not in it; a
// proxy that speaks OpenAI's prompt_tokens has added them already. A total
// tells either way.
static void add_cache_apart(const struct usage_report *r, struct api_usage *u) {
    int64_t cached = r->value[USAGE_CACHED_APART];
    int64_t written = larger(r->value[USAGE_WRITTEN_APART],
                             r->value[USAGE_WRITTEN_5M] + r->value[USAGE_WRITTEN_1H]);
    u->cached_tokens = larger(u->cached_tokens, cached);
    u->cache_write_tokens = larger(u->cache_write_tokens, written);
    u->cache_write_1h_tokens = r->value[USAGE_WRITTEN_1H];
    bool beside = has(r, USAGE_TOTAL) ? r->value[USAGE_TOTAL] ==
                                            u->input_tokens + u->output_tokens + cached + written
                                      : !r->prompt_tokens;
    if (beside)
        u->input_tokens += cached + written;
}

// xAI and Gemini count reasoning beside completion_tokens, Gemini without
// saying how much it is: the total tells.
static void add_what_total_tells(const struct usage_report *r, struct api_usage *u) {
    int64_t gap = r->value[USAGE_TOTAL] - u->input_tokens - u->output_tokens;
    if (!r->prompt_tokens || !has(r, USAGE_OUTPUT) || !has(r, USAGE_TOTAL) || gap <= 0)
        return;
    if (gap == u->cached_tokens && gap != u->reasoning_tokens) {
        u->input_tokens += gap;
    } else if (gap == u->reasoning_tokens || u->reasoning_tokens == 0) {
        u->output_tokens += gap;
        u->reasoning_tokens = gap;
    }
}

void usage_resolve(const struct usage_report *r, struct api_usage *out) {
    struct api_usage u = {
        .known = r->present != 0,
        .input_tokens = r->value[USAGE_INPUT],
        .output_tokens = r->value[USAGE_OUTPUT],
        .cached_tokens = r->value[USAGE_CACHED],
        .cache_write_tokens = r->value[USAGE_WRITTEN],
        .reasoning_tokens = r->value[USAGE_REASONING],
        .input_audio_tokens = r->value[USAGE_INPUT_AUDIO],
        .output_audio_tokens = r->value[USAGE_OUTPUT_AUDIO],
        .input_image_tokens = r->value[USAGE_INPUT_IMAGE],
        .output_image_tokens = r->value[USAGE_OUTPUT_IMAGE],
    };
    // Voyage's embeddings say the total only.
    if (!has(r, USAGE_INPUT) && !has(r, USAGE_OUTPUT))
        u.input_tokens = r->value[USAGE_TOTAL];
    add_cache_apart(r, &u);
    add_what_total_tells(r, &u);
    // A part cannot be larger than its whole: it was counted beside it.
    if (u.cached_tokens > u.input_tokens)
        u.input_tokens += u.cached_tokens;
    if (u.reasoning_tokens > u.output_tokens)
        u.output_tokens += u.reasoning_tokens;
    u.input_tokens = bounded(u.input_tokens);
    u.output_tokens = bounded(u.output_tokens);
    *out = u;
}

void provider_read_usage(const struct json_doc *doc, json_ref usage, struct api_usage *out) {
    struct usage_report report;
    if (usage_read(doc, usage, &report))
        usage_resolve(&report, out);
}
